//! Meetings: scheduled, opened, closed, cancelled. At most one per host is open, by a unique index.

use super::database::{Transaction, query};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::hooks::HookEvent;
use super::outbox::Method;
use super::page::{Cursor, Page, Range};
use super::row::{Columns, Row, millis};
use super::words::Word;
use super::{Error, Refusal, Store, draw};
use crate::bridge::guess::Counter;
use crate::bridge::question::OpenedBy;
use crate::bridge::recurrence;
use crate::bridge::view::{KnownCallers, MeetingKind, MeetingState};
use crate::bridge::{Recurrence, Series};
use crate::types::{Code, HostId, MeetingId};

/// A meeting as its host sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Meeting {
    pub id: MeetingId,
    pub host: HostId,
    pub kind: MeetingKind,
    /// The host's own, without times; made with the host.
    pub standing: bool,
    pub state: MeetingState,
    pub title: String,
    /// Of the first occurrence.
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    /// IANA name; what the host wrote the times in.
    pub time_zone: Option<String>,
    pub recurrence: Option<Recurrence>,
    /// `None` for a standard meeting.
    pub code: Option<Code>,
    /// Mail addresses.
    pub invitees: Vec<String>,
    pub known_callers: Option<KnownCallers>,
    pub wait_for_moderator: bool,
    /// Of the invitation (RFC 5545 §3.8.7.4).
    pub sequence: u32,
    pub opened_by: Option<OpenedBy>,
    pub opened_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NewMeeting {
    pub kind: MeetingKind,
    pub title: String,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub time_zone: Option<String>,
    pub recurrence: Option<Recurrence>,
    pub invitees: Vec<String>,
    pub known_callers: Option<KnownCallers>,
    pub wait_for_moderator: bool,
}

/// What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeetingChange {
    pub title: Option<String>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub time_zone: Option<Option<String>>,
    pub recurrence: Option<Option<Recurrence>>,
    pub invitees: Option<Vec<String>>,
    pub known_callers: Option<Option<KnownCallers>>,
    pub wait_for_moderator: Option<bool>,
}

impl Meeting {
    /// Its occurrences; `None` for the standing meeting, which has no times.
    pub fn series(&self) -> Result<Option<Series>, recurrence::BadRecurrence> {
        let Some((start, end)) = self.starts_at.zip(self.ends_at) else { return Ok(None) };
        series(start, end, self.time_zone.as_deref(), self.recurrence.as_ref()).map(Some)
    }
}

/// A meeting's occurrences in its time zone; without a rule UTC will do.
pub fn series(
    starts_at: Timestamp,
    ends_at: Timestamp,
    time_zone: Option<&str>,
    recurrence: Option<&Recurrence>,
) -> Result<Series, recurrence::BadRecurrence> {
    let zone = match (time_zone, recurrence) {
        (Some(name), _) => recurrence::time_zone(name)?,
        (None, None) => TimeZone::UTC,
        (None, Some(_)) => return Err(recurrence::BadRecurrence::WithoutTimeZone),
    };
    Series::new(starts_at, ends_at, zone, recurrence.cloned())
}

/// How a meeting stood before it was opened, to put it back if nobody waited for the answer.
pub(super) struct Before {
    meeting: MeetingId,
    state: String,
    opened_by: Option<String>,
    opened_at: Option<i64>,
    closed_at: Option<i64>,
    /// When it was to be opened, or closed for another.
    opening: i64,
}

impl Store {
    pub async fn add_meeting(
        &self,
        host: HostId,
        new: &NewMeeting,
        now: Timestamp,
    ) -> Result<Meeting, Error> {
        if millis(new.starts_at) >= millis(new.ends_at) {
            return Err(Refusal::EndsBeforeItStarts.into());
        }
        let times = series(new.starts_at, new.ends_at, new.time_zone.as_deref(), new.recurrence.as_ref())
            .map_err(|_| Refusal::NotItsDay)?;
        let id = MeetingId::fresh();
        let mut transaction = self.begin().await?;
        let known = query("SELECT 1 FROM hosts WHERE id = $1")
            .bind(host.to_string())
            .fetch_optional(&mut transaction)
            .await?;
        if known.is_none() {
            return Err(Refusal::NoSuchHost.into());
        }
        let code = match new.kind {
            MeetingKind::OneTime => Some(self.draw_code(&mut transaction, host, now).await?),
            MeetingKind::Standard => None,
        };
        query(
            "INSERT INTO meetings (id, host, kind, standing, state, title, starts_at, ends_at, time_zone,
                                   code_mac, code_sealed, invitees, known_callers, wait_for_moderator,
                                   sequence, created_at, updated_at, recurrence, series_ends_at)
             VALUES ($1, $2, $3, 0, 'scheduled', $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $13, $14, $15)",
        )
        .bind(id.to_string())
        .bind(host.to_string())
        .bind(new.kind.word())
        .bind(&new.title)
        .bind(millis(new.starts_at))
        .bind(millis(new.ends_at))
        .bind(new.time_zone.as_ref())
        .bind(code.as_ref().map(|code| self.keys().code(id, code).to_vec()))
        .bind(code.as_ref().map(|code| self.keys().seal("code", id.0.as_bytes(), code.reveal())).transpose()?)
        .bind(list_to_text(&new.invitees))
        .bind(new.known_callers.map(Word::word))
        .bind(new.wait_for_moderator)
        .bind(millis(now))
        .bind(new.recurrence.as_ref().map(ToString::to_string))
        .bind(new.recurrence.as_ref().map(|_| millis(times.ends_at())))
        .execute(&mut transaction)
        .await?;
        let meeting = self.read_back(&mut transaction, id).await?;
        self.queue(&mut transaction, &meeting, Method::Request, &meeting.invitees, now).await?;
        transaction.commit().await?;
        self.outbox().ring();
        self.known_changed(host, now);
        Ok(meeting)
    }

    pub async fn meeting(&self, meeting: MeetingId) -> Result<Option<Meeting>, Error> {
        let row = query("SELECT * FROM meetings WHERE id = $1")
            .bind(meeting.to_string())
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| self.read_meeting(&row)).transpose()
    }

    /// Newest first; the standing meeting is the host's oldest.
    pub async fn meetings(
        &self,
        host: HostId,
        state: Option<MeetingState>,
        range: Range,
    ) -> Result<Page<Meeting>, Error> {
        let rows = query(
            "SELECT * FROM meetings WHERE host = $1 AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR id < $3)
             ORDER BY id DESC LIMIT $4",
        )
        .bind(host.to_string())
        .bind(state.map(Word::word))
        .bind(range.after.map(|cursor| cursor.id.to_string()))
        .bind(i64::from(range.limit) + 1)
        .fetch_all(self.reader())
        .await?;
        let found = rows.iter().map(|row| self.read_meeting(row)).collect::<Result<_, _>>()?;
        Ok(Page::of(found, range.limit, |meeting: &Meeting| Cursor { time: 0, id: meeting.id.0 }))
    }

    /// A closed meeting that is moved into the future is scheduled again.
    pub async fn change_meeting(
        &self,
        meeting: MeetingId,
        change: &MeetingChange,
        now: Timestamp,
    ) -> Result<Meeting, Error> {
        let mut transaction = self.begin().await?;
        let mut changed = self.read_for_change(&mut transaction, meeting).await?;
        let before = changed.clone();
        let timed = change.starts_at.is_some() || change.ends_at.is_some() || change.recurrence.is_some();
        if changed.standing && timed {
            return Err(Refusal::Standing.into());
        }
        if let Some(title) = &change.title {
            changed.title.clone_from(title);
        }
        changed.starts_at = change.starts_at.or(changed.starts_at);
        changed.ends_at = change.ends_at.or(changed.ends_at);
        if changed.starts_at.zip(changed.ends_at).is_some_and(|(start, end)| millis(start) >= millis(end)) {
            return Err(Refusal::EndsBeforeItStarts.into());
        }
        if let Some(time_zone) = &change.time_zone {
            changed.time_zone.clone_from(time_zone);
        }
        if let Some(recurrence) = &change.recurrence {
            changed.recurrence.clone_from(recurrence);
        }
        let times = changed.series().map_err(|_| Refusal::NotItsDay)?;
        let series_ends_at = times.filter(|_| changed.recurrence.is_some()).map(|times| times.ends_at());
        if let Some(invitees) = &change.invitees {
            changed.invitees.clone_from(invitees);
        }
        if let Some(known_callers) = change.known_callers {
            changed.known_callers = known_callers;
        }
        changed.wait_for_moderator = change.wait_for_moderator.unwrap_or(changed.wait_for_moderator);
        let moved = (&changed.starts_at, &changed.ends_at, &changed.recurrence)
            != (&before.starts_at, &before.ends_at, &before.recurrence);
        let ends_at = series_ends_at.or(changed.ends_at);
        if changed.state == MeetingState::Closed && moved && ends_at.is_some_and(|end| end > now) {
            changed.state = MeetingState::Scheduled;
        }
        query(
            "UPDATE meetings SET title = $2, starts_at = $3, ends_at = $4, time_zone = $5, invitees = $6,
                    known_callers = $7, wait_for_moderator = $8, state = $9, sequence = sequence + 1,
                    updated_at = $10, recurrence = $11, series_ends_at = $12,
                    closed_at = CASE WHEN $13 = 1 AND state <> 'open' THEN NULL ELSE closed_at END
             WHERE id = $1",
        )
        .bind(meeting.to_string())
        .bind(&changed.title)
        .bind(changed.starts_at.map(millis))
        .bind(changed.ends_at.map(millis))
        .bind(changed.time_zone.as_ref())
        .bind(list_to_text(&changed.invitees))
        .bind(changed.known_callers.map(Word::word))
        .bind(changed.wait_for_moderator)
        .bind(changed.state.word())
        .bind(millis(now))
        .bind(changed.recurrence.as_ref().map(ToString::to_string))
        .bind(series_ends_at.map(millis))
        .bind(moved && changed.recurrence.is_some())
        .execute(&mut transaction)
        .await?;
        let changed = self.read_back(&mut transaction, meeting).await?;
        self.queue_change(&mut transaction, &before, &changed, now).await?;
        transaction.commit().await?;
        self.outbox().ring();
        self.known_changed(changed.host, now);
        Ok(changed)
    }

    /// Draws a code none of the host's last twenty; the old one is worth nothing from now on.
    pub async fn new_code(&self, meeting: MeetingId, now: Timestamp) -> Result<Meeting, Error> {
        let mut transaction = self.begin().await?;
        let before = self.read_for_change(&mut transaction, meeting).await?;
        if before.kind == MeetingKind::Standard {
            return Err(Refusal::NoCode.into());
        }
        let code = self.draw_code(&mut transaction, before.host, now).await?;
        query(
            "UPDATE meetings SET code_mac = $2, code_sealed = $3, sequence = sequence + 1, updated_at = $4
             WHERE id = $1",
        )
        .bind(meeting.to_string())
        .bind(self.keys().code(meeting, &code).to_vec())
        .bind(self.keys().seal("code", meeting.0.as_bytes(), code.reveal())?)
        .bind(millis(now))
        .execute(&mut transaction)
        .await?;
        self.renew(&mut transaction, &[Counter::Code(meeting)]).await?;
        let changed = self.read_back(&mut transaction, meeting).await?;
        self.queue_change(&mut transaction, &before, &changed, now).await?;
        transaction.commit().await?;
        self.outbox().ring();
        self.known_changed(changed.host, now);
        Ok(changed)
    }

    /// Cancelling twice is cancelling once.
    pub async fn cancel_meeting(&self, meeting: MeetingId, now: Timestamp) -> Result<Meeting, Error> {
        let mut transaction = self.begin().await?;
        let before = self.read_back(&mut transaction, meeting).await?;
        if before.standing {
            return Err(Refusal::Standing.into());
        }
        if before.state == MeetingState::Cancelled {
            return Ok(before);
        }
        query(
            "UPDATE meetings SET closed_at = CASE WHEN state = 'open' THEN $2 ELSE closed_at END,
                                 state = 'cancelled', sequence = sequence + 1, updated_at = $2
             WHERE id = $1",
        )
        .bind(meeting.to_string())
        .bind(millis(now))
        .execute(&mut transaction)
        .await?;
        let cancelled = self.read_back(&mut transaction, meeting).await?;
        let guests = self.audience(&mut transaction, &cancelled).await?;
        self.queue(&mut transaction, &cancelled, Method::Cancel, &guests, now).await?;
        transaction.commit().await?;
        self.outbox().ring();
        self.known_changed(cancelled.host, now);
        Ok(cancelled)
    }

    /// Makes a meeting the live one, and the other one no more, both or neither.
    pub(super) async fn open_meeting(
        &self,
        host: HostId,
        meeting: MeetingId,
        closes: Option<MeetingId>,
        opened_by: OpenedBy,
        now: Timestamp,
    ) -> Result<Vec<Before>, Error> {
        let mut transaction = self.begin().await?;
        let mut before = Vec::with_capacity(2);
        for touched in closes.into_iter().chain([meeting]) {
            let row = query(
                "SELECT state, opened_by, opened_at, closed_at FROM meetings WHERE id = $1 AND host = $2",
            )
            .bind(touched.to_string())
            .bind(host.to_string())
            .fetch_optional(&mut transaction)
            .await?
            .ok_or(Refusal::NoSuchMeeting)?;
            before.push(Before {
                meeting: touched,
                state: row.text("state")?,
                opened_by: row.text_or_null("opened_by")?,
                opened_at: row.time_or_null("opened_at")?.map(millis),
                closed_at: row.time_or_null("closed_at")?.map(millis),
                opening: millis(now),
            });
        }
        if let Some(closes) = closes.filter(|closes| *closes != meeting) {
            let closed =
                query(CLOSE).bind(closes.to_string()).bind(millis(now)).execute(&mut transaction).await?;
            if closed.rows_affected() > 0 {
                self.tell(&mut transaction, HookEvent::MeetingClosed, closes, now).await?;
            }
        }
        let opened = query(
            "UPDATE meetings SET state = 'open', opened_by = $2, opened_at = $3, closed_at = NULL,
                                 updated_at = $3
             WHERE id = $1 AND state <> 'cancelled'",
        )
        .bind(meeting.to_string())
        .bind(opened_by.word())
        .bind(millis(now))
        .execute(&mut transaction)
        .await
        .map_err(|error| match error.as_database_error() {
            Some(fault) if fault.is_unique_violation() => Refusal::AnotherIsOpen.into(),
            _ => Error::from(error),
        })?;
        if opened.rows_affected() == 0 {
            return Err(Refusal::Cancelled.into());
        }
        self.tell(&mut transaction, HookEvent::MeetingOpened, meeting, now).await?;
        transaction.commit().await?;
        self.inner.hooks.ring();
        Ok(before)
    }

    /// Takes an opening back whose answer came too late.
    pub(super) async fn put_back(&self, before: Vec<Before>) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        for was in before.iter().rev() {
            query(
                "UPDATE meetings SET state = $2, opened_by = $3, opened_at = $4, closed_at = $5 WHERE id = $1",
            )
            .bind(was.meeting.to_string())
            .bind(&was.state)
            .bind(was.opened_by.as_ref())
            .bind(was.opened_at)
            .bind(was.closed_at)
            .execute(&mut transaction)
            .await?;
            // What did not happen is not told, unless it is on its way already.
            query(
                "DELETE FROM webhook_outbox WHERE about = $1 AND state = 'queued' AND attempts = 0
                   AND kind IN ('meeting-opened', 'meeting-closed') AND queued_at >= $2",
            )
            .bind(was.meeting.to_string())
            .bind(was.opening)
            .execute(&mut transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Closes a meeting if it is open. A standing one is then ready to be opened again.
    pub async fn close_meeting(&self, meeting: MeetingId, now: Timestamp) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        let closed =
            query(CLOSE).bind(meeting.to_string()).bind(millis(now)).execute(&mut transaction).await?;
        if closed.rows_affected() > 0 {
            self.tell(&mut transaction, HookEvent::MeetingClosed, meeting, now).await?;
        }
        transaction.commit().await?;
        self.inner.hooks.ring();
        Ok(())
    }

    /// Queues for webhooks what became of a meeting.
    async fn tell(
        &self,
        transaction: &mut Transaction,
        kind: HookEvent,
        meeting: MeetingId,
        now: Timestamp,
    ) -> Result<(), Error> {
        let row = query("SELECT host, kind, title, opened_by FROM meetings WHERE id = $1")
            .bind(meeting.to_string())
            .fetch_optional(&mut *transaction)
            .await?
            .ok_or(Refusal::NoSuchMeeting)?;
        let data = serde_json::json!({
            "meeting_id": meeting,
            "host_id": row.text("host")?,
            "kind": row.text("kind")?,
            "title": row.text("title")?,
            "opened_by": row.text_or_null("opened_by")?,
        });
        let event = uuid::Uuid::now_v7().to_string();
        for told in self.inner.hooks.rows(&event, kind, &meeting.to_string(), None, now, data) {
            told.execute(&mut *transaction).await?;
        }
        Ok(())
    }

    /// After a start: nothing is live yet, whatever a crash left open. Meetings whose end plus
    /// `overrun` is still to come can be opened again, the others are over. Tells how many it were.
    pub async fn after_crash(&self, now: Timestamp, overrun: std::time::Duration) -> Result<u64, Error> {
        let found = query(
            "UPDATE meetings SET
                 state = CASE WHEN standing = 1 OR coalesce(series_ends_at, ends_at) + $2 > $1 THEN 'scheduled' ELSE 'closed' END,
                 closed_at = CASE WHEN standing = 1 OR coalesce(series_ends_at, ends_at) + $2 > $1 THEN closed_at ELSE $1 END,
                 updated_at = $1
             WHERE state = 'open'",
        )
        .bind(millis(now))
        .bind(i64::try_from(overrun.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4))
        .execute(&self.inner.writer)
        .await?;
        Ok(found.rows_affected())
    }

    async fn draw_code(
        &self,
        connection: &mut Transaction,
        host: HostId,
        now: Timestamp,
    ) -> Result<Code, Error> {
        let rows = query("SELECT code_mac, number FROM drawn_codes WHERE host = $1 ORDER BY number")
            .bind(host.to_string())
            .fetch_all(&mut *connection)
            .await?;
        let drawn = rows.iter().map(|row| row.bytes("code_mac")).collect::<Result<Vec<_>, _>>()?;
        let number = rows.last().map_or(Ok(0), |row| row.number("number"))? + 1;
        let year = now.to_zoned_datetime(TimeZone::UTC).year();
        for _ in 0..draw::TRIES {
            let code = draw::code(year)?;
            let mac = self.keys().drawn_code(host, &code).to_vec();
            if drawn.contains(&mac) {
                continue;
            }
            query("INSERT INTO drawn_codes (host, code_mac, drawn_at, number) VALUES ($1, $2, $3, $4)")
                .bind(host.to_string())
                .bind(mac)
                .bind(millis(now))
                .bind(number)
                .execute(&mut *connection)
                .await?;
            query("DELETE FROM drawn_codes WHERE host = $1 AND number <= $2")
                .bind(host.to_string())
                .bind(number - DRAWN_CODES_KEPT)
                .execute(&mut *connection)
                .await?;
            return Ok(code);
        }
        Err(Error::NoneFree("one-time code"))
    }

    pub(super) async fn read_back(
        &self,
        connection: &mut Transaction,
        meeting: MeetingId,
    ) -> Result<Meeting, Error> {
        let row = query("SELECT * FROM meetings WHERE id = $1")
            .bind(meeting.to_string())
            .fetch_optional(connection)
            .await?;
        self.read_meeting(&row.ok_or(Refusal::NoSuchMeeting)?)
    }

    /// A cancelled meeting stays as it is.
    async fn read_for_change(
        &self,
        connection: &mut Transaction,
        meeting: MeetingId,
    ) -> Result<Meeting, Error> {
        let meeting = self.read_back(connection, meeting).await?;
        if meeting.state == MeetingState::Cancelled { Err(Refusal::Cancelled.into()) } else { Ok(meeting) }
    }

    pub(super) fn read_meeting(&self, row: &Row) -> Result<Meeting, Error> {
        let id = MeetingId(row.uuid("id")?);
        let sealed = row.bytes_or_null("code_sealed")?;
        Ok(Meeting {
            id,
            host: HostId(row.uuid("host")?),
            kind: row.word("kind")?,
            standing: row.flag("standing")?,
            state: row.word("state")?,
            title: row.text("title")?,
            starts_at: row.time_or_null("starts_at")?,
            ends_at: row.time_or_null("ends_at")?,
            time_zone: row.text_or_null("time_zone")?,
            recurrence: row
                .text_or_null("recurrence")?
                .map(|rule| rule.parse().map_err(|_| Error::Unreadable("recurrence")))
                .transpose()?,
            code: sealed.map(|sealed| self.keys().unseal_code(id, &sealed)).transpose()?,
            invitees: serde_json::from_str(&row.text("invitees")?)
                .map_err(|_| Error::Unreadable("invitees"))?,
            known_callers: row.word_or_null("known_callers")?,
            wait_for_moderator: row.flag("wait_for_moderator")?,
            sequence: u32::try_from(row.number("sequence")?).map_err(|_| Error::Unreadable("sequence"))?,
            opened_by: row.word_or_null("opened_by")?,
            opened_at: row.time_or_null("opened_at")?,
            closed_at: row.time_or_null("closed_at")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

fn list_to_text(list: &[String]) -> String {
    serde_json::to_string(list).expect("a list of strings is JSON")
}

/// A cancelled one stays cancelled: only what is open closes. A recurring one is scheduled again.
const CLOSE: &str = "UPDATE meetings SET
     state = CASE WHEN standing = 1 OR series_ends_at > $2 THEN 'scheduled' ELSE 'closed' END,
     closed_at = $2, updated_at = $2
     WHERE id = $1 AND state = 'open'";

/// A new code is none of this many before it.
const DRAWN_CODES_KEPT: i64 = 20;
