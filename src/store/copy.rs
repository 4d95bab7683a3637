//! Keeping the database: checking it, backing it up while it is used, moving it to a server.

use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use futures_util::TryStreamExt;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row as _, SqliteConnection};

use super::open::{Address, address, with_password};
use super::{Error, Settings, schema};

/// What cannot be done with these databases.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{0}")]
    Store(#[from] Error),
    #[error("{0}, expected a SQLite database (\"sqlite:FILE\")")]
    NotAFile(&'static str),
    #[error("the target, expected a PostgreSQL database (\"postgres://USER@HOST/DATABASE\")")]
    NotAServer,
    #[error("{0} is there already, expected a new file")]
    Exists(String),
    #[error("the target has {0} hosts, expected an empty database")]
    NotEmpty(i64),
    #[error("key file {path}: {source}", path = .0.display(), source = .1)]
    Key(std::path::PathBuf, std::io::Error),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Brings the schema up to date and does nothing else. On SQLite the service may not be running.
pub async fn migrate(settings: &Settings) -> Result<(), Error> {
    super::Store::open(settings).await?.close().await;
    Ok(())
}

/// A copy of a SQLite database as it is at one moment, made while the service goes on (`VACUUM INTO`).
/// Without the key file it cannot be read: that is kept elsewhere, once.
pub async fn back_up(settings: &Settings, to: &Path) -> Result<(), CopyError> {
    let Address::File(from) = address(&settings.url)? else {
        return Err(CopyError::NotAFile("a server's database is backed up by pg_dump"));
    };
    // SQLite writes into an empty file that is there already, so the copy is private from the start.
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(
        |error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => CopyError::Exists(to.display().to_string()),
            _ => CopyError::Store(Error::File { what: "backup", path: to.to_owned(), source: error }),
        },
    )?;
    let mut connection = SqliteConnectOptions::new().filename(&from).connect().await?;
    sqlx::query("VACUUM INTO $1").bind(to.display().to_string()).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Copies every row of a SQLite database into an empty PostgreSQL one, all or nothing, and its key file
/// if the target has none. The service must not be running on either. `told` is called with each
/// table's name, and the rows copied of it so far.
///
/// Tables and columns are read from the source itself, so none can be forgotten here.
pub async fn copy(from: &Settings, to: &Settings, mut told: impl FnMut(&str, u64)) -> Result<u64, CopyError> {
    let Address::File(file) = address(&from.url)? else {
        return Err(CopyError::NotAFile("the source is a server"));
    };
    let Address::Server(server) = address(&to.url)? else { return Err(CopyError::NotAServer) };
    // Opened once as the service would, so that its schema is the newest.
    migrate(from).await?;
    let mut source = SqliteConnectOptions::new().filename(&file).read_only(true).connect().await?;
    let mut target = prepare(to, *server).await?;
    let mut transaction = target.begin().await?;
    let mut copied = 0;
    for table in tables(&mut source).await? {
        copied += copy_table(&mut source, &mut transaction, &table, &mut told).await?;
    }
    copy_key(&from.key_file, &to.key_file)?;
    transaction.commit().await?;
    target.close().await?;
    source.close().await?;
    Ok(copied)
}

/// Makes the tables; refuses a database that is in use.
async fn prepare(to: &Settings, server: PgConnectOptions) -> Result<PgConnection, CopyError> {
    let mut target = with_password(to, server)?.connect().await?;
    schema::postgres().run_direct(None, &mut target, false).await.map_err(Error::from)?;
    let hosts: i64 = sqlx::query_scalar("SELECT count(*) FROM hosts").fetch_one(&mut target).await?;
    if hosts > 0 {
        return Err(CopyError::NotEmpty(hosts));
    }
    sqlx::query("DELETE FROM meta").execute(&mut target).await?;
    Ok(target)
}

struct Table {
    name: String,
    /// Name, and SQLite's type: TEXT, INTEGER or BLOB.
    columns: Vec<(String, String)>,
    /// Its rows are numbered by the database.
    numbered: Option<String>,
}

/// All tables of ours, those that others refer to first.
async fn tables(source: &mut SqliteConnection) -> Result<Vec<Table>, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
             AND name NOT LIKE '\\_sqlx%' ESCAPE '\\' ORDER BY name",
    )
    .fetch_all(&mut *source)
    .await?;
    let mut waiting = Vec::new();
    for name in names {
        let rows = sqlx::query("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid")
            .bind(&name)
            .fetch_all(&mut *source)
            .await?;
        let column = |row: &SqliteRow| Ok((row.try_get("name")?, row.try_get("type")?));
        let columns: Vec<(String, String)> = rows.iter().map(column).collect::<Result<_, sqlx::Error>>()?;
        let keys: Vec<&SqliteRow> =
            rows.iter().filter(|row| row.try_get::<i64, _>("pk").is_ok_and(|pk| pk > 0)).collect();
        let numbered = match keys[..] {
            [key] if key.try_get::<String, _>("type")? == "INTEGER" => Some(key.try_get("name")?),
            _ => None,
        };
        let refers: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1)")
                .bind(&name)
                .fetch_all(&mut *source)
                .await?;
        waiting.push((refers, Table { name, columns, numbered }));
    }
    let mut sorted: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let ready = |(refers, table): &(Vec<String>, Table)| {
            refers.iter().all(|to| *to == table.name || sorted.iter().any(|done| done.name == *to))
        };
        // Tables that refer to each other in a ring would never be ready; we have none.
        let next = waiting.iter().position(ready).unwrap_or(0);
        sorted.push(waiting.remove(next).1);
    }
    Ok(sorted)
}

async fn copy_table(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &Table,
    told: &mut impl FnMut(&str, u64),
) -> Result<u64, sqlx::Error> {
    // Names come from the schema that we wrote ourselves, never from data.
    let names = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let select = format!("SELECT {names} FROM \"{}\"", table.name);
    let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(source);
    let mut copied = 0;
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH
            && let Some(row) = rows.try_next().await?
        {
            batch.push(row);
        }
        if batch.is_empty() {
            break;
        }
        insert(target, table, &names, &batch).await?;
        copied += batch.len() as u64;
        told(&table.name, copied);
    }
    if let Some(column) = &table.numbered {
        let next = format!(
            "SELECT setval(pg_get_serial_sequence('{0}', '{column}'), (SELECT coalesce(max({column}), 0) + 1 FROM {0}), false)",
            table.name
        );
        sqlx::query(AssertSqlSafe(next)).execute(target).await?;
    }
    Ok(copied)
}

/// Rows of one INSERT; PostgreSQL takes 65,535 parameters.
const BATCH: usize = 500;

async fn insert(
    target: &mut PgConnection,
    table: &Table,
    names: &str,
    rows: &[SqliteRow],
) -> Result<(), sqlx::Error> {
    let width = table.columns.len();
    let places = (0..rows.len()).map(|row| {
        let places = (1..=width).map(|column| format!("${}", row * width + column));
        format!("({})", places.collect::<Vec<_>>().join(","))
    });
    let places = places.collect::<Vec<_>>().join(",");
    let sql = format!("INSERT INTO \"{}\" ({names}) VALUES {places}", table.name);
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for row in rows {
        for (column, (_, kind)) in table.columns.iter().enumerate() {
            query = match kind.as_str() {
                "INTEGER" => query.bind(row.try_get::<Option<i64>, _>(column)?),
                "BLOB" => query.bind(row.try_get::<Option<Vec<u8>>, _>(column)?),
                _ => query.bind(row.try_get::<Option<String>, _>(column)?),
            };
        }
    }
    query.execute(target).await?;
    Ok(())
}

/// A key file that is there stays; that it is the right one is found out when the service opens it.
fn copy_key(from: &Path, to: &Path) -> Result<(), CopyError> {
    if to.exists() {
        return Ok(());
    }
    let fault = |error| CopyError::Key(to.to_owned(), error);
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(fault)?;
    }
    std::fs::copy(from, to).map_err(fault)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600)).map_err(fault)
}
