//! What is kept for how long, and the sweep that takes the rest away.
//!
//! It deletes a few hundred rows at a time and lets others write in between: a table of years must not
//! keep callers waiting. A phone that expired is deleted a day later, so that a clock that stepped for a
//! while takes nobody's way in.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::database::{Query, query};
use super::once::kept_since;
use super::row::millis;
use super::{Error, Store};

/// How long each is kept; `None`: for ever.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retention {
    /// Call records, from the call's end on.
    pub calls: Option<Duration>,
    /// Notices of hosts, from the last time on.
    pub notices: Option<Duration>,
    /// Events for webhooks, from when they were sent or given up on.
    pub hooks: Option<Duration>,
    /// Meetings that are over or cancelled, from their last occurrence's end on, with their codes, guests
    /// and letters. A meeting whose code a remembered phone proved stays until that phone is forgotten.
    pub meetings: Option<Duration>,
    /// Verified numbers that nobody used for so long have expired (R5), as have those that are older.
    pub verified_unused: Option<Duration>,
    pub verified_in_all: Option<Duration>,
}

/// Rows that one sweep took away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    pub calls: u64,
    pub notices: u64,
    pub hooks: u64,
    pub meetings: u64,
    pub verified_numbers: u64,
    /// What came of requests with an `Idempotency-Key`, which may hold what was told once.
    pub outcomes: u64,
}

/// Rows of one statement: some milliseconds of work.
const LOT: i64 = 500;

/// Statements of one sweep and table; the next sweep goes on.
const LOTS_MAX: usize = 400;

/// Between two of them others write.
const PAUSE: Duration = Duration::from_millis(20);

/// How long an expired phone stays: it goes in no more, but a clock that is put right finds it again.
const GRACE: SignedDuration = SignedDuration::from_hours(24);

impl Store {
    /// Deletes what is kept no longer. On a fault what was deleted until then stays deleted.
    pub async fn sweep(&self, retention: &Retention, now: Timestamp) -> Result<Swept, Error> {
        let before = |kept: Duration| millis(earlier(now, kept));
        let expired = |kept: Option<Duration>| {
            let last = kept.map(|kept| earlier(now, kept).checked_sub(GRACE).unwrap_or(Timestamp::MIN));
            last.map_or(i64::MIN, millis)
        };
        let mut swept = Swept::default();
        if let Some(kept) = retention.calls {
            swept.calls = self
                .sweep_lots(|| {
                    query(
                        "DELETE FROM call_records WHERE id IN (
                             SELECT id FROM call_records WHERE started_at < $1 AND ended_at < $1
                             ORDER BY started_at LIMIT $2)",
                    )
                    .bind(before(kept))
                    .bind(LOT)
                })
                .await?;
        }
        if let Some(kept) = retention.notices {
            swept.notices = self
                .sweep_lots(|| {
                    query(
                        "DELETE FROM notices WHERE id IN (
                             SELECT id FROM notices WHERE noticed_at < $1 LIMIT $2)",
                    )
                    .bind(before(kept))
                    .bind(LOT)
                })
                .await?;
        }
        if let Some(kept) = retention.hooks {
            swept.hooks = self
                .sweep_lots(|| {
                    query(
                        "DELETE FROM webhook_outbox WHERE id IN (
                             SELECT id FROM webhook_outbox WHERE settled_at < $1 LIMIT $2)",
                    )
                    .bind(before(kept))
                    .bind(LOT)
                })
                .await?;
        }
        swept.outcomes = self
            .sweep_lots(|| {
                query(
                    "DELETE FROM once WHERE key_mac IN (
                         SELECT key_mac FROM once WHERE done_at <= $1 LIMIT $2)",
                )
                .bind(millis(kept_since(now)))
                .bind(LOT)
            })
            .await?;
        let (unused, in_all) = (expired(retention.verified_unused), expired(retention.verified_in_all));
        swept.verified_numbers = self
            .sweep_lots(|| {
                query(
                    "DELETE FROM verified_numbers WHERE id IN (
                         SELECT id FROM verified_numbers WHERE last_used_at < $1 OR verified_at < $3 LIMIT $2)",
                )
                .bind(unused)
                .bind(LOT)
                .bind(in_all)
            })
            .await?;
        if let Some(kept) = retention.meetings {
            swept.meetings = self
                .sweep_lots(|| {
                    query(
                        "DELETE FROM meetings WHERE id IN (
                             SELECT id FROM meetings AS one
                             WHERE standing = 0 AND state <> 'open'
                               AND coalesce(series_ends_at, ends_at) < $1
                               AND coalesce(closed_at, 0) < $1
                               AND NOT EXISTS (SELECT 1 FROM verified_numbers WHERE meeting = one.id)
                             LIMIT $2)",
                    )
                    .bind(before(kept))
                    .bind(LOT)
                })
                .await?;
        }
        Ok(swept)
    }

    /// One lot after the other, until there is no more: how many rows.
    async fn sweep_lots(&self, lot: impl Fn() -> Query) -> Result<u64, Error> {
        let mut all = 0;
        for _ in 0..LOTS_MAX {
            let gone = self.write(lot()).await?;
            all += gone;
            if gone < LOT as u64 {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(all)
    }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}
