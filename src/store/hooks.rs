//! Events for webhooks, on their way: what is told to whom, and what became of it.
//!
//! An event is queued in the transaction that it tells of, once for each hook that wants its kind, so that
//! neither is without the other. No number is in it but masked.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::database::{Query, query};
use super::outbox::Settled;
use super::page::{Cursor, Page, Range};
use super::row::{Columns, Row, millis};
use super::words::Word;
use super::{Error, Store};

/// What hooks are told of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum HookEvent {
    CallEnded,
    MeetingOpened,
    MeetingClosed,
    NumberRemembered,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HookState {
    Queued,
    Sent,
    /// Given up: a dead letter.
    Failed,
}

/// Somebody who wants to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subscription {
    /// As the configuration calls it.
    pub hook: String,
    pub events: Vec<HookEvent>,
}

/// One event for one hook.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HookDelivery {
    pub id: i64,
    /// Whatever happens, the same event has the same id.
    pub event: String,
    pub hook: String,
    pub kind: HookEvent,
    pub body: String,
    pub state: HookState,
    /// Attempts so far.
    pub attempts: u32,
    /// While it is queued.
    pub next_attempt_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub queued_at: Timestamp,
    /// When it was sent or given up.
    pub settled_at: Option<Timestamp>,
}

/// Who wants to be told; nobody until somebody is attended.
#[derive(Clone, Default)]
pub(super) struct Hooks(Arc<OnceLock<Vec<(Subscription, Notify)>>>);

impl Hooks {
    /// The rows of one event that is committed with what it tells of: a statement for each hook.
    /// `event` must be the same whenever the same thing is told, which is then queued once.
    pub fn rows(
        &self,
        event: &str,
        kind: HookEvent,
        about: &str,
        mac: Option<Vec<u8>>,
        at: Timestamp,
        data: Value,
    ) -> Vec<Query> {
        let Some(all) = self.0.get() else { return Vec::new() };
        let wanted = all.iter().filter(|(one, _)| one.events.contains(&kind));
        let body = json!({"id": event, "type": kind.word(), "timestamp": at.to_string(), "data": data});
        let body = body.to_string();
        wanted
            .map(|(one, _)| {
                query(
                    "INSERT INTO webhook_outbox (event, hook, kind, about, number_mac, body, state, attempts,
                                                 next_attempt_at, queued_at)
                     VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, $7, $7) ON CONFLICT (event, hook) DO NOTHING",
                )
                .bind(event)
                .bind(&one.hook)
                .bind(kind.word())
                .bind(about)
                .bind(mac.clone())
                .bind(&body)
                .bind(millis(at))
            })
            .collect()
    }

    /// To be called when what was queued is committed.
    pub fn ring(&self) {
        for (_, bell) in self.0.get().into_iter().flatten() {
            bell.notify_one();
        }
    }
}

impl Store {
    /// From now on events are queued for these hooks, because somebody sends them. Once per store.
    pub fn attend_hooks(&self, hooks: Vec<Subscription>) {
        let hooks = hooks.into_iter().map(|hook| (hook, Notify::new())).collect();
        let _ = self.inner.hooks.0.set(hooks);
    }

    /// Ends when something may have been queued for this hook since the last call.
    pub async fn hook_filled(&self, hook: &str) {
        let mut all = self.inner.hooks.0.get().into_iter().flatten();
        match all.find(|(one, _)| one.hook == hook) {
            Some((_, bell)) => bell.notified().await,
            None => std::future::pending().await,
        }
    }

    /// At most `most` events to be told to this hook now, the longest waiting first.
    pub async fn due_hooks(
        &self,
        hook: &str,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<HookDelivery>, Error> {
        // Through the writing connection: what was just settled must not be seen as queued.
        let rows = query(
            "SELECT * FROM webhook_outbox WHERE state = 'queued' AND hook = $1 AND next_attempt_at <= $2
             ORDER BY next_attempt_at, id LIMIT $3",
        )
        .bind(hook)
        .bind(millis(now))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(&self.inner.writer)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Writes down what became of an attempt.
    pub async fn settle_hook(&self, id: i64, settled: Settled<'_>, now: Timestamp) -> Result<(), Error> {
        let (state, next, why) = match settled {
            Settled::Sent => (HookState::Sent, None, None),
            Settled::Later(at, why) => (HookState::Queued, Some(at), Some(why)),
            Settled::Failed(why) => (HookState::Failed, None, Some(why)),
        };
        let settled_at = (state != HookState::Queued).then(|| millis(now));
        query(
            "UPDATE webhook_outbox SET state = $2, attempts = attempts + 1,
                 next_attempt_at = coalesce($3, next_attempt_at), last_error = $4, settled_at = $5
             WHERE id = $1 AND state = 'queued'",
        )
        .bind(id)
        .bind(state.word())
        .bind(next.map(millis))
        .bind(why.map(|why| why.chars().take(300).collect::<String>()))
        .bind(settled_at)
        .execute(&self.inner.writer)
        .await?;
        Ok(())
    }

    /// Newest first.
    pub async fn hook_deliveries(
        &self,
        hook: Option<&str>,
        state: Option<HookState>,
        range: Range,
    ) -> Result<Page<HookDelivery>, Error> {
        let rows = query(
            "SELECT * FROM webhook_outbox WHERE ($1 IS NULL OR hook = $1) AND ($2 IS NULL OR state = $2)
               AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        )
        .bind(hook)
        .bind(state.map(Word::word))
        .bind(range.after.map(|cursor| cursor.time))
        .bind(i64::from(range.limit) + 1)
        .fetch_all(self.reader())
        .await?;
        let found = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page::of(found, range.limit, |one: &HookDelivery| Cursor { time: one.id, id: uuid::Uuid::nil() }))
    }

    /// A dead letter is tried anew; `false`: there is none of that number.
    pub async fn revive_hook(&self, id: i64, now: Timestamp) -> Result<bool, Error> {
        let revived = query(
            "UPDATE webhook_outbox SET state = 'queued', attempts = 0, next_attempt_at = $2, settled_at = NULL
             WHERE id = $1 AND state = 'failed'",
        )
        .bind(id)
        .bind(millis(now))
        .execute(&self.inner.writer)
        .await?;
        self.inner.hooks.ring();
        Ok(revived.rows_affected() > 0)
    }
}

fn read(row: &Row) -> Result<HookDelivery, Error> {
    let state = row.word("state")?;
    let next = row.time("next_attempt_at")?;
    Ok(HookDelivery {
        id: row.number("id")?,
        event: row.text("event")?,
        hook: row.text("hook")?,
        kind: row.word("kind")?,
        body: row.text("body")?,
        state,
        attempts: u32::try_from(row.number("attempts")?).map_err(|_| Error::Unreadable("attempts"))?,
        next_attempt_at: (state == HookState::Queued).then_some(next),
        last_error: row.text_or_null("last_error")?,
        queued_at: row.time("queued_at")?,
        settled_at: row.time_or_null("settled_at")?,
    })
}
