//! The outbox in the store, as the mail room wants it: rows become letters when they are due.

use std::sync::Arc;

use jiff::Timestamp;

use crate::http::invitation;
use crate::mail::{AccessNumber, Letter, Method, Outbox, Outcome};
use crate::store::{Due, Error, Settled, Store};

/// The access numbers as they are now: a reload may change them.
pub type Numbers = Arc<dyn Fn() -> Vec<AccessNumber> + Send + Sync>;

pub struct Invitations {
    store: Store,
    numbers: Numbers,
    /// The address that mail comes from.
    from: String,
}

impl Invitations {
    /// From now on the store queues invitations.
    #[must_use]
    pub fn new(store: Store, numbers: Numbers, from: String) -> Self {
        store.attend_outbox();
        Self { store, numbers, from }
    }

    fn letter(&self, due: Due) -> Letter {
        let method = if due.cancels { Method::Cancel } else { Method::Request };
        let guest = (due.recipient.as_str(), due.sequence, method);
        let invitation = invitation::to_one(&due.host, &due.meeting, &(self.numbers)(), guest, &self.from);
        Letter {
            id: due.id,
            attempts: due.attempts,
            message_id: format!("{}.{}.{}", due.meeting.id, due.sequence, due.id),
            rendered: invitation.render(),
            to: due.recipient,
            host_name: due.host.name,
            reply_to: due.host.email,
            method,
        }
    }
}

impl Outbox for Invitations {
    type Item = Letter;
    type Error = Error;

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<Letter>, Error> {
        let due = self.store.due_invitations(now, most).await?;
        Ok(due.into_iter().map(|due| self.letter(due)).collect())
    }

    async fn settle(&self, letter: i64, outcome: &Outcome, now: Timestamp) -> Result<(), Error> {
        let settled = match outcome {
            Outcome::Sent => Settled::Sent,
            Outcome::Later { at, why } => Settled::Later(*at, why),
            Outcome::Failed { why } => Settled::Failed(why),
        };
        self.store.settle_invitation(letter, settled, now).await
    }

    async fn filled(&self) {
        self.store.outbox_filled().await;
    }
}
