//! The database: hosts, meetings, verified numbers, call records.
//!
//! SQLite or PostgreSQL through sqlx, one SQL text with `$1` parameters ([`database`] is what differs).
//! In SQLite there is one connection that writes (it has one writer anyway, and a queue in front of it is
//! fairer than its busy handler) and a few that read. Everything committed is on the disk
//! (`synchronous = FULL`): what a caller is told, a power cut does not take back.

mod answer;
mod copy;
mod database;
mod draw;
mod erase;
mod error;
mod examine;
mod guesses;
mod hooks;
mod hosts;
mod key;
mod known;
mod links;
mod meetings;
mod notices;
mod numbers;
mod once;
mod open;
mod outbox;
mod page;
mod records;
mod retention;
mod row;
mod schema;
pub mod settings;
mod spill;
mod tokens;
mod verified;
mod view;
pub mod words;
mod writes;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use copy::{CopyError, back_up, copy, migrate};
pub use erase::Traces;
pub use error::{Error, Refusal};
pub use examine::{Examined, examine};
pub use guesses::UsedUp;
pub use hooks::{HookDelivery, HookEvent, HookState, Subscription};
pub use hosts::{Host, HostChange, NewHost};
pub use links::Link;
pub use meetings::{Meeting, MeetingChange, MeetingFilter, NewMeeting, series};
pub use notices::{DueNotice, Notice, NoticeKind, Notices};
pub use once::Once;
pub use outbox::{Delivery, DeliveryState, Due, Settled};
pub use page::{Cursor, Page, Range};
pub use records::{CallFilter, PastCall, PastKey, PastStep};
pub use retention::{Retention, Swept};
pub use settings::Settings;
pub use tokens::TokenFacts;
pub use verified::Verified;

use crate::bridge::guess::Limits;
use database::{Pool, Query, Transaction, query};
use key::Keys;
use open::Opened;

/// The database and its key. Clones share one pool.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Pool,
    reader: Pool,
    keys: Keys,
    writes: writes::Writes,
    records: records::Writer,
    outbox: outbox::Bell,
    notice_outbox: outbox::Bell,
    hooks: hooks::Hooks,
    known: Mutex<known::Cache>,
    windows: Mutex<Windows>,
    limits: Mutex<Limits>,
}

/// How long before its start and after its end an occurrence of a recurring meeting still matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Windows {
    pub early_join: Duration,
    pub overrun: Duration,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens the database, and on first start makes it and its key file. Brings the schema up to
    /// date, checks the file for damage, and writes what an earlier run had to put aside.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        let Opened { writer, reader, keys, spill } = open::open(settings).await?;
        let (outbox, notice_outbox) = (outbox::Bell::default(), outbox::Bell::default());
        let rules = crate::bridge::Settings::default();
        let windows = Mutex::new(Windows { early_join: rules.early_join, overrun: rules.overrun });
        let limits = Mutex::new(rules.guessing);
        let hooks = hooks::Hooks::default();
        let known = Mutex::default();
        let records =
            records::Writer::start(writer.clone(), spill::Spill::beside(&spill), hooks.clone()).await;
        let writes = writes::Writes::start(writer.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                writer,
                reader,
                keys,
                writes,
                records,
                outbox,
                notice_outbox,
                hooks,
                known,
                windows,
                limits,
            }),
        })
    }

    /// Which occurrence of a recurring meeting matters; the bridge's defaults until this is called.
    pub fn set_windows(&self, windows: Windows) {
        *self.inner.windows.lock().unwrap_or_else(PoisonError::into_inner) = windows;
    }

    /// What wrong entries cost; the defaults until this is called.
    pub fn set_limits(&self, limits: Limits) {
        *self.inner.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    fn limits(&self) -> Limits {
        self.inner.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn windows(&self) -> Windows {
        *self.inner.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the database for one row; for `/readyz`.
    pub async fn ping(&self) -> Result<(), Error> {
        query("SELECT name FROM meta LIMIT 1").fetch_optional(self.reader()).await?;
        Ok(())
    }

    /// Writes what is queued and closes the file. Later use fails; clones are closed too.
    pub async fn close(&self) {
        self.inner.records.flush().await;
        self.inner.reader.close().await;
        self.inner.writer.close().await;
    }

    fn reader(&self) -> &Pool {
        &self.inner.reader
    }

    fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// One short write, committed together with others that come at the same time.
    async fn write(&self, statement: Query) -> Result<u64, Error> {
        self.inner.writes.write(statement).await
    }

    /// The same for several statements: all of them or none.
    async fn job<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut Transaction) -> BoxFuture<'c, Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.inner.writes.job(work).await
    }

    /// Of a text, under the key file: tells whether two texts are the same, and nothing of either.
    #[must_use]
    pub fn fingerprint(&self, text: &[u8]) -> String {
        self.keys().once("fingerprint", &[text]).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
    }

    async fn begin(&self) -> Result<Transaction, Error> {
        Ok(self.inner.writer.begin().await?)
    }
}
