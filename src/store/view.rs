//! What the bridge is shown of a host: the meetings that matter now, without their secrets.

use jiff::{SignedDuration, Timestamp};

use super::database::query;
use super::row::{Columns, Row, millis};
use super::{Error, Store, Windows};
use crate::bridge::view::{HostView, MeetingState, MeetingView};
use crate::types::{HostId, MeetingId};

impl Store {
    /// A host as the bridge sees it at `now`, with `also` among its meetings, however far away.
    pub async fn host_view(
        &self,
        host: HostId,
        also: Option<MeetingId>,
        now: Timestamp,
    ) -> Result<Option<HostView>, Error> {
        let row = query("SELECT name, language, known_callers FROM hosts WHERE id = $1")
            .bind(host.to_string())
            .fetch_optional(self.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let rows = query(MEETINGS_THAT_MATTER)
            .bind(host.to_string())
            .bind(millis(earlier(now, ENDED_WITHIN)))
            .bind(millis(later(now, STARTS_WITHIN)))
            .bind(millis(earlier(now, CLOSED_WITHIN)))
            .bind(also.map(|meeting| meeting.to_string()))
            .fetch_all(self.reader())
            .await?;
        let mut standard_meeting = None;
        let mut meetings = Vec::with_capacity(rows.len());
        for row in &rows {
            let meeting = self.read_view(host, row, now)?;
            if row.flag("standing")? {
                standard_meeting = Some(meeting.id);
            }
            meetings.push(meeting);
        }
        Ok(Some(HostView {
            id: host,
            name: row.text("name")?,
            language: row
                .text_or_null("language")?
                .map(|text| text.parse().map_err(|_| Error::Unreadable("language")))
                .transpose()?,
            known_callers: row.word("known_callers")?,
            numbers: self.numbers_of(host).await?,
            standard_meeting: standard_meeting.ok_or(Error::Unreadable("standing meeting"))?,
            meetings,
        }))
    }
}

impl Store {
    fn read_view(&self, host: HostId, row: &Row, now: Timestamp) -> Result<MeetingView, Error> {
        let mut view = read_first(host, row)?;
        if row.text_or_null("recurrence")?.is_some() {
            let opened_at = row.time_or_null("opened_at")?.filter(|_| view.state == MeetingState::Open);
            let meeting = self.read_meeting(row)?;
            // A time zone that the system has lost since must not keep the host's other callers out.
            let Some(series) = meeting.series().ok().flatten() else { return Ok(view) };
            let Windows { early_join, overrun } = self.windows();
            let at = |time| series.occurrence(time, early_join, overrun);
            // A live one is the occurrence that it was opened for.
            let one = at(opened_at.unwrap_or(now));
            let was_this = view.closed_at.is_some_and(|closed| at(closed) == one);
            match view.state {
                MeetingState::Scheduled if was_this => view.state = MeetingState::Closed,
                MeetingState::Closed if !was_this => view.state = MeetingState::Scheduled,
                _ => {}
            }
            // That an earlier occurrence closed is of no concern to who calls for this one.
            view.closed_at = view.closed_at.filter(|_| was_this);
            view.starts_at = Some(one.starts_at);
            view.ends_at = Some(one.ends_at);
        }
        Ok(view)
    }
}

fn read_first(host: HostId, row: &Row) -> Result<MeetingView, Error> {
    let state = row.word("state")?;
    let opened_by = row.word_or_null("opened_by")?;
    Ok(MeetingView {
        id: MeetingId(row.uuid("id")?),
        host,
        kind: row.word("kind")?,
        state,
        title: row.text("title")?,
        starts_at: row.time_or_null("starts_at")?,
        ends_at: row.time_or_null("ends_at")?,
        closed_at: row.time_or_null("closed_at")?,
        opened_by: opened_by.filter(|_| state == MeetingState::Open),
        known_callers: row.word_or_null("known_callers")?,
        wait_for_moderator: row.flag("wait_for_moderator")?,
    })
}

fn earlier(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Scheduled meetings are shown this long after their end and before their start. Whether their
/// window is open is for the bridge to judge: its settings may widen it.
const ENDED_WITHIN: SignedDuration = SignedDuration::from_hours(24);
const STARTS_WITHIN: SignedDuration = SignedDuration::from_hours(26);

/// Closed and cancelled ones are shown this long, so that a late caller hears what became of them.
const CLOSED_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// The standing meeting first (it has no start), then by start. More than 500 at a time would be a
/// runaway client; open and standing ones come first so that they are never cut off.
const MEETINGS_THAT_MATTER: &str = "SELECT * FROM (
    SELECT * FROM meetings WHERE host = $1 AND (
        state = 'open' OR standing = 1 OR id = $5
        OR (state = 'scheduled' AND coalesce(series_ends_at, ends_at) >= $2 AND starts_at <= $3)
        OR (state = 'closed' AND (closed_at >= $4 OR coalesce(series_ends_at, ends_at) >= $4))
        OR (state = 'cancelled' AND updated_at >= $4)
        OR (state = 'cancelled' AND ends_at >= $4 AND starts_at <= $3))
    ORDER BY state = 'open' DESC, standing DESC, id = $5 DESC, starts_at LIMIT 500
) AS these ORDER BY standing DESC, starts_at, id";
