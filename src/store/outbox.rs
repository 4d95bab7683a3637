//! Invitations on their way: which version goes to which guest, and what became of it.
//!
//! A letter is queued in the transaction that changes the meeting, so that neither is without the
//! other. Only (meeting, sequence, guest) is kept; what the letter says is made from the meeting when
//! it is sent. A version that is overtaken by the next before it was sent is not sent any more.

use std::sync::atomic::{AtomicBool, Ordering};

use super::database::{Transaction, query};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::meetings::Meeting;
use super::once::{Once, Outcome};
use super::row::{Columns, Row, millis};
use super::words::Word;
use super::{Error, Host, Refusal, Store};
use crate::bridge::view::MeetingState;
use crate::types::MeetingId;

/// What a letter asks of the guest's calendar (RFC 5546).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Method {
    Request,
    Cancel,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeliveryState {
    Queued,
    Sent,
    Failed,
    /// A newer version was queued before this one was sent.
    Superseded,
}

/// The newest version that a guest was or will be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    pub recipient: String,
    pub sequence: u32,
    pub cancels: bool,
    pub state: DeliveryState,
    pub attempts: u32,
    /// While it is queued.
    pub next_attempt_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub queued_at: Timestamp,
    /// When it was sent or given up.
    pub settled_at: Option<Timestamp>,
}

/// A letter whose time has come, with what it is made of.
#[derive(Clone, Debug)]
pub struct Due {
    pub id: i64,
    pub host: Host,
    pub meeting: Meeting,
    pub recipient: String,
    pub sequence: u32,
    pub cancels: bool,
    /// Attempts so far.
    pub attempts: u32,
}

/// What became of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Settled<'a> {
    Sent,
    Later(Timestamp, &'a str),
    Failed(&'a str),
}

/// Whether there is somebody who sends, and the bell to wake them.
#[derive(Debug, Default)]
pub(super) struct Bell {
    attended: AtomicBool,
    bell: Notify,
}

impl Bell {
    /// To be called when what was queued is committed.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Whether what is queued is sent.
    pub fn attended(&self) -> bool {
        self.attended.load(Ordering::Acquire)
    }

    /// Ends when it was rung since the last call.
    pub async fn filled(&self) {
        self.bell.notified().await;
    }
}

impl Store {
    /// From now on invitations are queued, because somebody sends them. Before that they are not: a
    /// service without mail must not pile up letters that leave in a year.
    pub fn attend_outbox(&self) {
        self.outbox().attended.store(true, Ordering::Release);
    }

    /// Ends when something was queued since the last call.
    pub async fn outbox_filled(&self) {
        self.outbox().filled().await;
    }

    /// Sends the newest version to the meeting's guests, or to those in `to`, unless they have it. What
    /// failed is tried anew. With `again` the invitation gets the next sequence and goes to
    /// whoever has it already, too.
    pub async fn invite(
        &self,
        meeting: MeetingId,
        to: Option<&[String]>,
        again: bool,
        now: Timestamp,
    ) -> Result<Meeting, Error> {
        self.invite_once(meeting, to, again, now, None).await
    }

    /// The same, at most once for each `once`.
    pub async fn invite_once(
        &self,
        meeting: MeetingId,
        to: Option<&[String]>,
        again: bool,
        now: Timestamp,
        once: Option<&Once>,
    ) -> Result<Meeting, Error> {
        if !self.outbox().attended() {
            return Err(Refusal::NoMail.into());
        }
        let mut transaction = self.begin().await?;
        if let Some(outcome) = self.outcome(&mut transaction, once, now).await? {
            return self.read_back(&mut transaction, outcome.meeting()?).await;
        }
        let mut invited = self.read_back(&mut transaction, meeting).await?;
        if invited.state == MeetingState::Cancelled {
            return Err(Refusal::Cancelled.into());
        }
        if again {
            query("UPDATE meetings SET sequence = sequence + 1, updated_at = $2 WHERE id = $1")
                .bind(meeting.to_string())
                .bind(millis(now))
                .execute(&mut transaction)
                .await?;
            invited = self.read_back(&mut transaction, meeting).await?;
        }
        let guests = to.unwrap_or(&invited.invitees).to_vec();
        self.queue(&mut transaction, &invited, Method::Request, &guests, now).await?;
        let outcome = Outcome { id: meeting.to_string(), secret: None };
        self.keep_outcome(&mut transaction, once, &outcome, now).await?;
        transaction.commit().await?;
        self.outbox().ring();
        Ok(invited)
    }

    /// One per guest, by address.
    pub async fn deliveries(&self, meeting: MeetingId) -> Result<Vec<Delivery>, Error> {
        let rows = query(
            "SELECT * FROM outbox AS one WHERE meeting = $1 AND sequence = (
                 SELECT max(sequence) FROM outbox WHERE meeting = $1 AND recipient = one.recipient)
             ORDER BY recipient LIMIT 2000",
        )
        .bind(meeting.to_string())
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(read_delivery).collect()
    }

    /// At most `most` letters to be sent now, the longest waiting first.
    pub async fn due_invitations(&self, now: Timestamp, most: usize) -> Result<Vec<Due>, Error> {
        // Through the writing connection: what was just settled must not be seen as queued.
        let rows = query(
            "SELECT * FROM outbox WHERE state = 'queued' AND next_attempt_at <= $1
             ORDER BY next_attempt_at, id LIMIT $2",
        )
        .bind(millis(now))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.writer)
        .await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in &rows {
            let meeting = MeetingId(row.uuid("meeting")?);
            // Gone in between, and its letters with it.
            let Some(meeting) = self.meeting(meeting).await? else { continue };
            let Some(host) = self.host(meeting.host).await? else { continue };
            let delivery = read_delivery(row)?;
            due.push(Due {
                id: row.number("id")?,
                host,
                meeting,
                recipient: delivery.recipient,
                sequence: delivery.sequence,
                cancels: delivery.cancels,
                attempts: delivery.attempts,
            });
        }
        Ok(due)
    }

    /// Writes down what became of an attempt. What was sent is sent, even if a newer version was
    /// queued meanwhile.
    pub async fn settle_invitation(
        &self,
        id: i64,
        settled: Settled<'_>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (state, next, why) = match settled {
            Settled::Sent => (DeliveryState::Sent, None, None),
            Settled::Later(at, why) => (DeliveryState::Queued, Some(at), Some(why)),
            Settled::Failed(why) => (DeliveryState::Failed, None, Some(why)),
        };
        query(
            "UPDATE outbox SET
                 state = CASE WHEN state = 'superseded' AND $2 <> 'sent' THEN state ELSE $2 END,
                 attempts = attempts + 1, next_attempt_at = coalesce($3, next_attempt_at), last_error = $4,
                 settled_at = CASE WHEN $2 = 'queued' THEN NULL ELSE $5 END
             WHERE id = $1 AND state IN ('queued', 'superseded')",
        )
        .bind(id)
        .bind(state.word())
        .bind(next.map(millis))
        .bind(why.map(|why| why.chars().take(300).collect::<String>()))
        .bind(millis(now))
        .execute(&self.inner.writer)
        .await?;
        Ok(())
    }

    pub(super) fn outbox(&self) -> &Bell {
        &self.inner.outbox
    }

    /// Queues the meeting's version for `guests`, once each.
    pub(super) async fn queue(
        &self,
        connection: &mut Transaction,
        meeting: &Meeting,
        method: Method,
        guests: &[String],
        now: Timestamp,
    ) -> Result<(), Error> {
        if !self.outbox().attended() {
            return Ok(());
        }
        for guest in guests {
            query(
                "UPDATE outbox SET state = 'superseded', settled_at = $4
                 WHERE meeting = $1 AND recipient = $2 AND sequence < $3 AND state = 'queued'",
            )
            .bind(meeting.id.to_string())
            .bind(guest)
            .bind(meeting.sequence)
            .bind(millis(now))
            .execute(&mut *connection)
            .await?;
            query(
                "INSERT INTO outbox (meeting, sequence, recipient, method, state, attempts, next_attempt_at,
                                     queued_at)
                 VALUES ($1, $2, $3, $4, 'queued', 0, $5, $5)
                 ON CONFLICT (meeting, sequence, recipient) DO UPDATE SET
                     state = 'queued', attempts = 0, next_attempt_at = $5, settled_at = NULL
                 WHERE outbox.state = 'failed'",
            )
            .bind(meeting.id.to_string())
            .bind(meeting.sequence)
            .bind(guest)
            .bind(method.word())
            .bind(millis(now))
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }

    /// Who must learn of a change: all guests if what they see is another, else those who are new; and
    /// those who are guests no more learn that.
    pub(super) async fn queue_change(
        &self,
        connection: &mut Transaction,
        before: &Meeting,
        after: &Meeting,
        now: Timestamp,
    ) -> Result<(), Error> {
        let same = |a: &String, b: &String| a.eq_ignore_ascii_case(b);
        let left: Vec<String> = before
            .invitees
            .iter()
            .filter(|guest| !after.invitees.iter().any(|other| same(guest, other)))
            .cloned()
            .collect();
        let seen = |meeting: &Meeting| {
            (
                meeting.title.clone(),
                meeting.starts_at,
                meeting.ends_at,
                meeting.time_zone.clone(),
                meeting.recurrence.clone(),
                meeting.code.clone(),
            )
        };
        let mut guests = if seen(before) == seen(after) {
            let known = |guest: &&String| before.invitees.iter().any(|other| same(guest, other));
            after.invitees.iter().filter(|guest| !known(guest)).cloned().collect()
        } else {
            self.audience(connection, after).await?
        };
        guests.retain(|guest| !left.iter().any(|other| same(guest, other)));
        self.queue(connection, after, Method::Request, &guests, now).await?;
        self.queue(connection, after, Method::Cancel, &left, now).await
    }

    /// The guests, and who else was invited last.
    pub(super) async fn audience(
        &self,
        connection: &mut Transaction,
        meeting: &Meeting,
    ) -> Result<Vec<String>, Error> {
        let rows = query(
            "SELECT recipient FROM outbox AS one WHERE meeting = $1 AND method = 'request' AND sequence = (
                 SELECT max(sequence) FROM outbox WHERE meeting = $1 AND recipient = one.recipient)",
        )
        .bind(meeting.id.to_string())
        .fetch_all(connection)
        .await?;
        let mut guests = meeting.invitees.clone();
        for row in &rows {
            let guest = row.text("recipient")?;
            if !guests.iter().any(|other| other.eq_ignore_ascii_case(&guest)) {
                guests.push(guest);
            }
        }
        Ok(guests)
    }
}

fn read_delivery(row: &Row) -> Result<Delivery, Error> {
    let state = row.word("state")?;
    let number = |column| u32::try_from(row.number(column)?).map_err(|_| Error::Unreadable(column));
    Ok(Delivery {
        recipient: row.text("recipient")?,
        sequence: number("sequence")?,
        cancels: row.word::<Method>("method")? == Method::Cancel,
        state,
        attempts: number("attempts")?,
        next_attempt_at: Some(row.time("next_attempt_at")?).filter(|_| state == DeliveryState::Queued),
        last_error: row.text_or_null("last_error")?,
        queued_at: row.time("queued_at")?,
        settled_at: row.time_or_null("settled_at")?,
    })
}
