//! The database: hosts, meetings, verified numbers, call records.
//!
//! SQLite through sqlx, one SQL text with `$1` parameters, so that PostgreSQL can be added without
//! writing it twice. There is one connection that writes (SQLite has one writer anyway, and a queue in
//! front of it is fairer than its busy handler) and a few that read. Everything committed is on
//! the disk (`synchronous = FULL`): what a caller is told, a power cut does not take back.

mod answer;
mod draw;
mod error;
mod examine;
mod guesses;
mod hosts;
mod key;
mod meetings;
mod numbers;
mod outbox;
mod page;
mod records;
mod row;
pub mod settings;
mod spill;
mod tokens;
mod verified;
mod view;
pub mod words;
mod writes;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row as _, SqlSafeStr, Transaction};

pub use error::{Error, Refusal};
pub use examine::{Examined, examine};
pub use guesses::UsedUp;
pub use hosts::{Host, HostChange, NewHost};
pub use meetings::{Meeting, MeetingChange, NewMeeting, series};
pub use outbox::{Delivery, DeliveryState, Due, Settled};
pub use page::{Cursor, Page, Range};
pub use records::{CallFilter, PastCall, PastKey, PastStep};
pub use settings::Settings;
pub use tokens::TokenFacts;
pub use verified::Verified;

use crate::bridge::guess::Limits;
use key::Keys;
use row::Db;

/// The database and its key. Clones share one pool.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: sqlx::Pool<Db>,
    reader: sqlx::Pool<Db>,
    keys: Keys,
    writes: writes::Writes,
    records: records::Writer,
    outbox: outbox::Bell,
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
        let path = database_path(&settings.url)?;
        for (what, file) in [("folder of database", &path), ("folder of key file", &settings.key_file)] {
            if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder).map_err(|source| Error::File {
                    what,
                    path: folder.to_owned(),
                    source,
                })?;
            }
        }
        // The key first: a refused key file leaves no database behind.
        let keys = Keys::read(&settings.key_file)?;
        make_private(&path)?;

        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A file does not hang up on us as a server may.
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await?;
        check_file(&writer, &path).await?;
        migrations().run(&writer).await?;
        let keys = check_key(&writer, keys, &settings.key_file).await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        let outbox = outbox::Bell::default();
        let rules = crate::bridge::Settings::default();
        let windows = Mutex::new(Windows { early_join: rules.early_join, overrun: rules.overrun });
        let limits = Mutex::new(rules.guessing);
        let records = records::Writer::start(writer.clone(), spill::Spill::beside(&path)).await;
        let writes = writes::Writes::start(writer.clone());
        Ok(Self { inner: Arc::new(Inner { writer, reader, keys, writes, records, outbox, windows, limits }) })
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
        sqlx::query("SELECT name FROM meta LIMIT 1").fetch_optional(self.reader()).await?;
        Ok(())
    }

    /// Writes what is queued and closes the file. Later use fails; clones are closed too.
    pub async fn close(&self) {
        self.inner.records.flush().await;
        self.inner.reader.close().await;
        self.inner.writer.close().await;
    }

    fn reader(&self) -> &sqlx::Pool<Db> {
        &self.inner.reader
    }

    fn keys(&self) -> &Keys {
        &self.inner.keys
    }

    /// One short write, committed together with others that come at the same time.
    async fn write(&self, statement: writes::Statement) -> Result<u64, Error> {
        self.inner.writes.write(statement).await
    }

    /// The same for work of several statements.
    async fn job<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut <Db as sqlx::Database>::Connection) -> BoxFuture<'c, Result<T, Error>>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        self.inner.writes.job(work).await
    }

    /// A transaction that has the right to write from its first statement on: none fails half-way
    /// because somebody else wrote in between.
    async fn begin(&self) -> Result<Transaction<'static, Db>, Error> {
        Ok(self.inner.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// How long SQLite waits for another process (a backup) that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that read; each is a thread.
const READERS: u32 = 4;

fn database_path(url: &str) -> Result<PathBuf, Error> {
    let refused = || {
        // What follows the scheme of another database may hold a password.
        Error::Url(match url.split_once(':') {
            Some((scheme, _)) => format!("{}:…", scheme.chars().take(20).collect::<String>()),
            None => url.chars().take(20).collect(),
        })
    };
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).ok_or_else(refused)?;
    if path.is_empty() || path.contains(['?', '\0']) || path == ":memory:" {
        return Err(refused());
    }
    Ok(PathBuf::from(path))
}

/// SQLite would make the file by the umask; names and addresses of hosts are nobody else's business.
fn make_private(path: &Path) -> Result<(), Error> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::File { what: "database", path: path.to_owned(), source }),
    }
}

async fn check_file(pool: &sqlx::Pool<Db>, path: &Path) -> Result<(), Error> {
    // Not integrity_check: that reads every index against its table and takes minutes on a big file.
    let row = sqlx::query("PRAGMA quick_check(1)").fetch_one(pool).await?;
    let finding: String = row.try_get(0)?;
    if finding == "ok" {
        return Ok(());
    }
    Err(Error::Damaged { path: path.to_owned(), finding: finding.chars().take(200).collect() })
}

fn migrations() -> Migrator {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "first", include_str!("migrations/sqlite/0001_first.sql")),
        migration(2, "invitations", include_str!("migrations/sqlite/0002_invitations.sql")),
        migration(3, "guesses", include_str!("migrations/sqlite/0003_guesses.sql")),
    ])
}

/// The key that the database was written with; a new one for a new database.
async fn check_key(pool: &sqlx::Pool<Db>, keys: Option<Keys>, path: &Path) -> Result<Keys, Error> {
    let known = sqlx::query("SELECT value FROM meta WHERE name = 'key_check'").fetch_optional(pool).await?;
    match (known, keys) {
        (Some(row), Some(keys)) => {
            if row.try_get::<Vec<u8>, _>(0)? == keys.check() {
                Ok(keys)
            } else {
                Err(Error::WrongKey(path.to_owned()))
            }
        }
        (Some(_), None) => Err(Error::KeyMissing(path.to_owned())),
        (None, keys) => {
            let keys = keys.map_or_else(|| Keys::make(path), Ok)?;
            sqlx::query("INSERT INTO meta (name, value) VALUES ('key_check', $1)")
                .bind(keys.check().to_vec())
                .execute(pool)
                .await?;
            Ok(keys)
        }
    }
}
