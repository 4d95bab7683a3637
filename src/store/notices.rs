//! Notices: what a host is told about phones that go straight in.
//!
//! Written beside what they tell of, and never in its way: a caller who is remembered is remembered
//! whether or not the notice can be written.

use jiff::{SignedDuration, Timestamp};
use tracing::warn;

use super::database::{Query, query};
use super::outbox::Bell;
use super::page::{Cursor, Page, Range};
use super::row::{Columns, Row, millis};
use super::words::Word;
use super::{DeliveryState, Error, Host, Settled, Store};
use crate::types::{HostId, MeetingId, NoticeId, PhoneNumber, VerifiedId};

/// What a host wants to be told (per host).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Notices {
    Off,
    #[default]
    List,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoticeKind {
    /// A new phone proved PIN and code.
    Remembered,
    /// A remembered phone came into this meeting without its code.
    CameWithoutCode,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub id: NoticeId,
    pub host: HostId,
    pub kind: NoticeKind,
    pub number: PhoneNumber,
    pub meeting: MeetingId,
    pub meeting_title: String,
    /// The last time, if it happened several times.
    pub noticed_at: Timestamp,
}

/// A notice whose letter's time has come.
#[derive(Clone, Debug)]
pub struct DueNotice {
    pub letter: i64,
    /// Attempts so far.
    pub attempts: u32,
    pub host: Host,
    pub notice: Notice,
    /// The meeting's.
    pub time_zone: Option<String>,
}

/// Older notices go when a new one comes.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Store {
    /// Newest first.
    pub async fn notices(&self, host: HostId, range: Range) -> Result<Page<Notice>, Error> {
        let rows = query(
            "SELECT notices.*, meetings.title FROM notices JOIN meetings ON meetings.id = notices.meeting
             WHERE notices.host = $1 AND ($2 IS NULL OR notices.id < $2) ORDER BY notices.id DESC LIMIT $3",
        )
        .bind(host.to_string())
        .bind(range.after.map(|cursor| cursor.id.to_string()))
        .bind(i64::from(range.limit) + 1)
        .fetch_all(self.reader())
        .await?;
        let found = rows.iter().map(|row| self.read_notice(row)).collect::<Result<_, _>>()?;
        Ok(Page::of(found, range.limit, |notice: &Notice| Cursor { time: 0, id: notice.id.0 }))
    }

    /// The host has seen them: how many there were.
    pub async fn dismiss_notices(&self, host: HostId) -> Result<u64, Error> {
        let statement = query("DELETE FROM notices WHERE host = $1").bind(host.to_string());
        Ok(statement.execute(&self.inner.writer).await?.rows_affected())
    }

    /// A remembered phone came into a meeting without its code: into another than the one whose code it
    /// proved when it was remembered.
    pub(super) async fn note_came_without_code(
        &self,
        verified: VerifiedId,
        meeting: MeetingId,
        now: Timestamp,
    ) {
        let id = NoticeId::fresh();
        // Its number is sealed for its host already, as it is in a notice.
        let statement = query(
            "INSERT INTO notices (id, host, kind, number_mac, number_sealed, meeting, noticed_at,
                                  letter, letter_state, letter_next_at)
             SELECT $1, hosts.id, 'came-without-code', number_mac, number_sealed, $3, $4,
                    CASE WHEN hosts.notice_mail = 1 THEN $5 END,
                    CASE WHEN hosts.notice_mail = 1 AND $5 IS NOT NULL THEN 'queued' END, $4
             FROM verified_numbers JOIN hosts ON hosts.id = host
             WHERE verified_numbers.id = $2 AND verified_numbers.meeting <> $3 AND hosts.notices <> 'off'
             ON CONFLICT (host, kind, number_mac, meeting) DO UPDATE SET noticed_at = excluded.noticed_at",
        )
        .bind(id.to_string())
        .bind(verified.to_string())
        .bind(meeting.to_string())
        .bind(millis(now))
        .bind(self.letter(id));
        told(self.write(statement).await);
        self.notice_outbox().ring();
    }

    /// That this phone is new, unless it is remembered already: to be written right before it is.
    pub(super) fn notice_of_new_phone(
        &self,
        host: HostId,
        number: &PhoneNumber,
        meeting: MeetingId,
        now: Timestamp,
    ) -> Result<Query, Error> {
        let id = NoticeId::fresh();
        Ok(query(
            "INSERT INTO notices (id, host, kind, number_mac, number_sealed, meeting, noticed_at,
                                  letter, letter_state, letter_next_at)
             SELECT $1, hosts.id, 'remembered', $3, $4, $5, $6,
                    CASE WHEN hosts.notice_mail = 1 THEN $7 END,
                    CASE WHEN hosts.notice_mail = 1 AND $7 IS NOT NULL THEN 'queued' END, $6
             FROM hosts
             WHERE hosts.id = $2 AND hosts.notices <> 'off'
               AND NOT EXISTS (SELECT 1 FROM verified_numbers WHERE host = $2 AND number_mac = $3)
             ON CONFLICT (host, kind, number_mac, meeting) DO UPDATE SET noticed_at = excluded.noticed_at",
        )
        .bind(id.to_string())
        .bind(host.to_string())
        .bind(self.keys().number(number).to_vec())
        .bind(self.keys().seal_number(host.0.as_bytes(), number)?)
        .bind(meeting.to_string())
        .bind(millis(now))
        .bind(self.letter(id)))
    }

    /// The number of a notice's letter, if letters are sent at all.
    fn letter(&self, notice: NoticeId) -> Option<i64> {
        self.outbox().attended().then(|| (notice.0.as_u128() & i64::MAX as u128) as i64)
    }

    /// At most `most` notices whose letters are to be sent now, the longest waiting first.
    pub async fn due_notices(&self, now: Timestamp, most: usize) -> Result<Vec<DueNotice>, Error> {
        // Through the writing connection: what was just settled must not be seen as queued.
        let rows = query(
            "SELECT notices.*, meetings.title, meetings.time_zone
             FROM notices JOIN meetings ON meetings.id = notices.meeting
             WHERE letter_state = 'queued' AND letter_next_at <= $1 ORDER BY letter_next_at, letter LIMIT $2",
        )
        .bind(millis(now))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.writer)
        .await?;
        let mut due = Vec::with_capacity(rows.len());
        for row in &rows {
            let notice = self.read_notice(row)?;
            let Some(host) = self.host(notice.host).await? else { continue };
            due.push(DueNotice {
                letter: row.number("letter")?,
                attempts: u32::try_from(row.number("letter_attempts")?)
                    .map_err(|_| Error::Unreadable("letter_attempts"))?,
                host,
                notice,
                time_zone: row.text_or_null("time_zone")?,
            });
        }
        Ok(due)
    }

    /// Writes down what became of a letter. One whose notice is gone is nobody's concern.
    pub async fn settle_notice(&self, letter: i64, settled: Settled<'_>) -> Result<(), Error> {
        let (state, next, why) = match settled {
            Settled::Sent => (DeliveryState::Sent, None, None),
            Settled::Later(at, why) => (DeliveryState::Queued, Some(at), Some(why)),
            Settled::Failed(why) => (DeliveryState::Failed, None, Some(why)),
        };
        query(
            "UPDATE notices SET letter_state = $2, letter_attempts = letter_attempts + 1,
                 letter_next_at = coalesce($3, letter_next_at), letter_error = $4
             WHERE letter = $1 AND letter_state = 'queued'",
        )
        .bind(letter)
        .bind(state.word())
        .bind(next.map(millis))
        .bind(why.map(|why| why.chars().take(300).collect::<String>()))
        .execute(&self.inner.writer)
        .await?;
        Ok(())
    }

    /// Ends when a notice was written since the last call.
    pub async fn notice_outbox_filled(&self) {
        self.notice_outbox().filled().await;
    }

    pub(super) fn notice_outbox(&self) -> &Bell {
        &self.inner.notice_outbox
    }

    /// Those of this host that nobody has looked at for too long.
    pub(super) fn old_notices(host: HostId, now: Timestamp) -> Query {
        query("DELETE FROM notices WHERE host = $1 AND noticed_at < $2")
            .bind(host.to_string())
            .bind(millis(now.checked_sub(KEPT).unwrap_or(Timestamp::MIN)))
    }

    fn read_notice(&self, row: &Row) -> Result<Notice, Error> {
        let host = HostId(row.uuid("host")?);
        Ok(Notice {
            id: NoticeId(row.uuid("id")?),
            host,
            kind: NoticeKind::from_word(&row.text("kind")?).ok_or(Error::Unreadable("kind"))?,
            number: self.keys().unseal_number(host.0.as_bytes(), &row.bytes("number_sealed")?)?,
            meeting: MeetingId(row.uuid("meeting")?),
            meeting_title: row.text("title")?,
            noticed_at: row.time("noticed_at")?,
        })
    }
}

/// A notice that is lost is lost: what it tells of has happened all the same.
pub(super) fn told(written: Result<u64, Error>) {
    if let Err(cause) = written {
        warn!(%cause, "a notice for a host was not written");
    }
}
