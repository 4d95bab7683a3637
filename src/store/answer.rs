//! Answers to the bridge's questions, each within a bound of time, and none of them wrong.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::sync::oneshot;
use tracing::error;

use super::database::{Transaction, query};
use super::row::Columns;
use super::{Error, Store};
use crate::bridge::{Answer, Question};
use crate::types::{Code, HostId, HostPin, MeetingId};

impl Store {
    /// Answers one question of the bridge. Whatever goes wrong, or takes longer than
    /// [`ANSWER_WITHIN`], is [`Answer::Unavailable`]; the log has the cause.
    pub async fn answer(&self, question: Question, now: Timestamp) -> Answer {
        let asked = name(&question);
        let answer = match question {
            Question::Caller { number } => return self.answer_caller(&number, now).await,
            Question::Open { .. } => self.open_or_put_back(question, now).await,
            _ => tokio::time::timeout(ANSWER_WITHIN, self.try_answer(question, now)).await.ok(),
        };
        match answer {
            Some(Ok(answer)) => answer,
            Some(Err(cause)) => {
                error!(asked, %cause, "question not answered");
                Answer::Unavailable
            }
            None => {
                error!(asked, cause = "no answer in time", "question not answered");
                Answer::Unavailable
            }
        }
    }

    async fn try_answer(&self, question: Question, now: Timestamp) -> Result<Answer, Error> {
        Ok(match question {
            Question::Caller { number } => Answer::Known(self.known(self.keys().number(&number), now).await?),
            Question::Host { pin, by } => {
                let (host, tried) = self.try_pin(pin, by, now).await?;
                let host = match host {
                    Some(host) => self.host_view(host, None, now).await?,
                    None => None,
                };
                Answer::Pin { host: host.map(Box::new), tried }
            }
            Question::HostById { host } => Answer::Host(self.host_view(host, None, now).await?),
            Question::Code { host, meetings, code, by } => {
                let (proved, tried) = self.try_code(host, meetings, code, by, now).await?;
                Answer::Code { proved, tried }
            }
            Question::HostPin { host, pin, by } => {
                let (right, tried) = self.try_host_pin(host, pin, by, now).await?;
                Answer::HostPin { right, tried }
            }
            Question::GiveBack { wrong, proved } => {
                self.give_back(wrong, proved, now).await?;
                Answer::Done
            }
            Question::Open { host, meeting, closes, opened_by } => {
                self.open_meeting(host, meeting, closes, opened_by, now).await?;
                Answer::Done
            }
            Question::Close { meeting } => {
                self.close_meeting(meeting, now).await?;
                Answer::Done
            }
            Question::Remember { host, number, meeting, trust, trunk } => {
                self.remember(host, &number, meeting, trust, &trunk, now).await?;
                Answer::Done
            }
            Question::Used { verified, date, without_code } => {
                self.note_use(verified, date).await?;
                if let Some(meeting) = without_code {
                    self.note_came_without_code(verified, meeting, date).await;
                }
                Answer::Done
            }
            Question::Forget { host, number } => {
                self.forget(host, &number).await?;
                Answer::Done
            }
        })
    }

    /// An opening that commits after we gave up on it would leave a meeting open that nobody knows
    /// of, and its host could open no other. So it runs by itself, and takes itself back when
    /// nobody waits for it any more.
    async fn open_or_put_back(&self, question: Question, now: Timestamp) -> Option<Result<Answer, Error>> {
        let Question::Open { host, meeting, closes, opened_by } = question else { return None };
        let (done, mut waiting) = oneshot::channel();
        let store = self.clone();
        tokio::spawn(async move {
            let opened = store.open_meeting(host, meeting, closes, opened_by, now).await;
            if let Err(Ok(before)) = done.send(opened)
                && let Err(cause) = store.put_back(before).await
            {
                error!(%meeting, %cause, "meeting opened too late and not put back");
            }
        });
        let opened = match tokio::time::timeout(ANSWER_WITHIN, &mut waiting).await {
            Ok(opened) => opened.ok(),
            Err(_) => {
                waiting.close();
                waiting.try_recv().ok()
            }
        };
        opened.map(|opened| opened.map(|_before| Answer::Done))
    }

    /// Compares in constant time, and as often for no host and no meeting as for
    /// [`CODES_COMPARED`] meetings. All are compared even when one is found.
    pub(super) async fn meeting_with_code(
        &self,
        transaction: &mut Transaction,
        host: Option<HostId>,
        meetings: &[MeetingId],
        code: &Code,
    ) -> Result<Option<MeetingId>, Error> {
        let nobody = HostId::numbered(0);
        let rows = query(
            "SELECT id, code_mac FROM meetings
             WHERE host = $1 AND kind = 'one-time' AND state <> 'cancelled' AND id IN ",
        )
        .bind(host.unwrap_or(nobody).to_string())
        .push_list(meetings.iter().map(ToString::to_string))
        .fetch_all(transaction)
        .await?;
        let mut candidates = Vec::with_capacity(rows.len().max(CODES_COMPARED));
        for row in &rows {
            candidates.push((MeetingId(row.uuid("id")?), row.bytes("code_mac")?));
        }
        // Those asked for come in their order: the first that has the code is the answer.
        candidates.sort_by_key(|(id, _)| meetings.iter().position(|asked| asked == id));
        let real = candidates.len();
        while candidates.len() < CODES_COMPARED {
            candidates.push((MeetingId::numbered(0), vec![0; 32]));
        }
        let mut found = u64::MAX;
        for (index, (meeting, mac)) in candidates.iter().enumerate() {
            let equal = self.keys().code(*meeting, code).as_slice().ct_eq(mac);
            let first = equal & found.ct_eq(&u64::MAX) & Choice::from(u8::from(index < real));
            found.conditional_assign(&(index as u64), first);
        }
        let found = usize::try_from(found).ok().and_then(|index| candidates.get(index));
        Ok(found.map(|(meeting, _)| *meeting))
    }

    /// A host that does not exist costs the same as a wrong PIN.
    pub(super) async fn is_host_pin(
        &self,
        transaction: &mut Transaction,
        host: HostId,
        pin: &HostPin,
    ) -> Result<bool, Error> {
        let row = query("SELECT host_pin_mac FROM hosts WHERE id = $1")
            .bind(host.to_string())
            .fetch_optional(transaction)
            .await?;
        let stored = row.map_or_else(|| Ok(vec![0; 32]), |row| row.bytes("host_pin_mac"))?;
        Ok(self.keys().host_pin(host, pin).as_slice().ct_eq(&stored).into())
    }
}

/// The longest the bridge waits for an answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// No deployment remembers a phone longer, however its settings are; the bridge judges the rest.
pub(super) const REMEMBERED_AT_MOST: SignedDuration = SignedDuration::from_hours(365 * 24);

/// MACs computed for one code at least. A host seldom has more meetings in their window at once.
const CODES_COMPARED: usize = 8;

fn name(question: &Question) -> &'static str {
    match question {
        Question::Caller { .. } => "caller",
        Question::Host { .. } => "host",
        Question::HostById { .. } => "host-by-id",
        Question::Code { .. } => "code",
        Question::HostPin { .. } => "host-pin",
        Question::GiveBack { .. } => "give-back",
        Question::Open { .. } => "open",
        Question::Close { .. } => "close",
        Question::Remember { .. } => "remember",
        Question::Used { .. } => "used",
        Question::Forget { .. } => "forget",
    }
}
