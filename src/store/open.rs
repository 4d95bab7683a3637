//! Opening the database: a file that is ours alone, or a server that others use too.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Row as _, SqlitePool};

use super::database::{Pool, query};
use super::key::Keys;
use super::row::Columns;
use super::{Error, Settings, schema};

/// What an open database consists of.
pub(super) struct Opened {
    pub writer: Pool,
    pub reader: Pool,
    pub keys: Keys,
    /// Where records lie that could not be written.
    pub spill: PathBuf,
}

/// Opens it and brings its schema up to date; on first start makes it and its key file.
pub(super) async fn open(settings: &Settings) -> Result<Opened, Error> {
    make_folder("folder of key file", &settings.key_file)?;
    match address(&settings.url)? {
        Address::File(path) => open_file(settings, &path).await,
        Address::Server(options) => open_server(settings, *options).await,
    }
}

async fn open_file(settings: &Settings, path: &Path) -> Result<Opened, Error> {
    make_folder("folder of database", path)?;
    // The key first: a refused key file leaves no database behind.
    let keys = Keys::read(&settings.key_file)?;
    make_private(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A file does not hang up on us as a server may.
        .test_before_acquire(false)
        // When a disk fails, SQLite rolls back by itself, and the roll-back that follows fails: the connection
        // then counts a transaction that is none, and would never begin another. It is closed for a new one.
        .before_acquire(|connection, _| {
            Box::pin(async move {
                if connection.is_in_transaction() {
                    // A roll-back that is still on its way is done before this is answered.
                    connection.ping().await?;
                }
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_with(options.clone())
        .await?;
    check_file(&writer, path).await?;
    schema::sqlite().run(&writer).await?;
    let writer = Pool::Sqlite(writer);
    let keys = check_key(&writer, keys, &settings.key_file).await?;
    let reader = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_with(options.pragma("query_only", "on"))
        .await?;
    Ok(Opened { writer, reader: Pool::Sqlite(reader), keys, spill: path.to_owned() })
}

async fn open_server(settings: &Settings, options: PgConnectOptions) -> Result<Opened, Error> {
    let keys = Keys::read(&settings.key_file)?;
    let options = with_password(settings, options)?;
    let statement_most = STATEMENT_TIMEOUT.as_millis().to_string();
    let options = options
        .application_name("doorline")
        .options([("statement_timeout", statement_most.as_str()), ("lock_timeout", statement_most.as_str())]);
    // A server may go and come back: a connection is tried before it is used.
    let pool = |most| PgPoolOptions::new().max_connections(most).acquire_timeout(ACQUIRE_TIMEOUT);
    let writer = pool(SERVER_WRITERS).connect_with(options.clone()).await?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&writer).await?;
    if encoding != "UTF8" {
        return Err(Error::Encoding(encoding));
    }
    schema::postgres().run(&writer).await?;
    let writer = Pool::Postgres(writer);
    let keys = check_key(&writer, keys, &settings.key_file).await?;
    let reader = Pool::Postgres(pool(SERVER_READERS).connect_with(options).await?);
    let spill = settings.key_file.with_file_name("records");
    Ok(Opened { writer, reader, keys, spill })
}

pub(super) fn with_password(
    settings: &Settings,
    options: PgConnectOptions,
) -> Result<PgConnectOptions, Error> {
    let Some(path) = &settings.password_file else { return Ok(options) };
    let text = std::fs::read_to_string(path).map_err(|source| Error::File {
        what: "password file",
        path: path.clone(),
        source,
    })?;
    Ok(options.password(text.trim_end_matches(['\r', '\n'])))
}

/// Where a database is.
pub(super) enum Address {
    File(PathBuf),
    Server(Box<PgConnectOptions>),
}

pub(super) fn address(url: &str) -> Result<Address, Error> {
    let refused = || {
        // What follows the scheme of another database may hold a password.
        Error::Url(match url.split_once(':') {
            Some((scheme, _)) => format!("{}:…", scheme.chars().take(20).collect::<String>()),
            None => url.chars().take(20).collect(),
        })
    };
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return PgConnectOptions::from_str(url)
            .map(|options| Address::Server(Box::new(options)))
            .map_err(|_| refused());
    }
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).ok_or_else(refused)?;
    if path.is_empty() || path.contains(['?', '\0']) || path == ":memory:" {
        return Err(refused());
    }
    Ok(Address::File(PathBuf::from(path)))
}

fn make_folder(what: &'static str, file: &Path) -> Result<(), Error> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => std::fs::create_dir_all(folder).map_err(|source| Error::File {
            what,
            path: folder.to_owned(),
            source,
        }),
        None => Ok(()),
    }
}

/// SQLite would make the file by the umask; names and addresses of hosts are nobody else's business.
fn make_private(path: &Path) -> Result<(), Error> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::File { what: "database", path: path.to_owned(), source }),
    }
}

async fn check_file(pool: &SqlitePool, path: &Path) -> Result<(), Error> {
    // Not integrity_check: that reads every index against its table and takes minutes on a big file.
    let row = sqlx::query("PRAGMA quick_check(1)").fetch_one(pool).await?;
    let finding: String = row.try_get(0)?;
    if finding == "ok" {
        return Ok(());
    }
    Err(Error::Damaged { path: path.to_owned(), finding: finding.chars().take(200).collect() })
}

/// The key that the database was written with; a new one for a new database.
async fn check_key(pool: &Pool, keys: Option<Keys>, path: &Path) -> Result<Keys, Error> {
    let known = query("SELECT value FROM meta WHERE name = 'key_check'").fetch_optional(pool).await?;
    match (known, keys) {
        (Some(row), Some(keys)) => {
            if row.bytes("value")? == keys.check() {
                Ok(keys)
            } else {
                Err(Error::WrongKey(path.to_owned()))
            }
        }
        (Some(_), None) => Err(Error::KeyMissing(path.to_owned())),
        (None, keys) => {
            let keys = keys.map_or_else(|| Keys::make(path), Ok)?;
            query("INSERT INTO meta (name, value) VALUES ('key_check', $1)")
                .bind(keys.check().to_vec())
                .execute(pool)
                .await?;
            Ok(keys)
        }
    }
}

/// How long SQLite waits for another process (a backup) that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long PostgreSQL may work at one statement or wait for a lock.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);

/// Connections that read; each is a thread in SQLite.
const READERS: u32 = 4;

/// Connections to a server. Writers queue behind one another for most of what they do.
const SERVER_WRITERS: u32 = 4;
const SERVER_READERS: u32 = 8;
