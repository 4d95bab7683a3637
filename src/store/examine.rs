//! A look at a database from outside, without writing to it: for the doctor, beside a service that
//! may be running on it.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Error, Settings, database_path};

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Examined {
    /// There is none yet: the first start makes it.
    Absent,
    Good,
    /// SQLite's first complaint.
    Damaged(String),
}

/// Opens the database read-only and lets SQLite look for damage.
pub async fn examine(settings: &Settings) -> Result<Examined, Error> {
    let path = database_path(&settings.url)?;
    if !path.exists() {
        return Ok(Examined::Absent);
    }
    let mut connection = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await?;
    let complaint: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(if complaint == "ok" { Examined::Good } else { Examined::Damaged(complaint) })
}
