//! The store's notices, as the mail room wants them: those that their hosts want mailed become letters.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::bridge::recurrence;
use crate::mail::{Letter, Mailer, Method, Notice, notice};
use crate::outbox::{Carrier, Fault, Item, Outbox, Outcome};
use crate::store::{DueNotice, Error, NoticeKind, Settled, Store};
use crate::types::Language;

pub struct Notices {
    store: Store,
    /// The address that mail comes from, and answers go to.
    from: String,
}

/// A letter to a host.
#[derive(Clone, Debug)]
pub struct ToHost(Letter);

impl Notices {
    #[must_use]
    pub fn new(store: Store, from: String) -> Self {
        Self { store, from }
    }

    fn letter(&self, due: DueNotice) -> ToHost {
        let zone = due.time_zone.as_deref().and_then(|name| recurrence::time_zone(name).ok());
        let about = match due.notice.kind {
            NoticeKind::Remembered => notice::About::Remembered,
            NoticeKind::CameWithoutCode => notice::About::CameWithoutCode,
        };
        let notice = Notice {
            language: due.host.language.unwrap_or_else(Language::english),
            about,
            number: due.notice.number.masked(),
            title: due.notice.meeting_title,
            at: due.notice.noticed_at,
            time_zone: zone.unwrap_or(TimeZone::UTC),
        };
        ToHost(Letter {
            id: due.letter,
            attempts: due.attempts,
            message_id: format!("notice.{}", due.notice.id),
            to: due.host.email,
            host_name: "Doorline".to_owned(),
            reply_to: self.from.clone(),
            method: Method::Request,
            rendered: notice.render(),
        })
    }
}

impl Outbox for Notices {
    type Item = ToHost;
    type Error = Error;

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<ToHost>, Error> {
        let due = self.store.due_notices(now, most).await?;
        Ok(due.into_iter().map(|due| self.letter(due)).collect())
    }

    async fn settle(&self, letter: i64, outcome: &Outcome, _: Timestamp) -> Result<(), Error> {
        let settled = match outcome {
            Outcome::Sent => Settled::Sent,
            Outcome::Later { at, why } => Settled::Later(*at, why),
            Outcome::Failed { why } => Settled::Failed(why),
        };
        self.store.settle_notice(letter, settled).await
    }

    async fn filled(&self) {
        self.store.notice_outbox_filled().await;
    }
}

impl Item for ToHost {
    const WHAT: &'static str = "notice";

    fn id(&self) -> i64 {
        self.0.id()
    }

    fn attempts(&self) -> u32 {
        self.0.attempts()
    }
}

impl Carrier<ToHost> for Mailer {
    async fn carry(&self, letter: &ToHost) -> Result<(), Fault> {
        self.send(&letter.0).await
    }
}
