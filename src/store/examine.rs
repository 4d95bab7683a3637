//! A look at a database from outside, without writing to it: for the doctor, beside a service that
//! may be running on it.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::open::{Address, address, with_password};
use super::{Error, Settings};

/// What was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Examined {
    /// There is none yet: the first start makes it.
    Absent,
    Good,
    /// SQLite's first complaint.
    Damaged(String),
}

/// Opens the database read-only and lets SQLite look for damage; of a server, whether it lets us in.
pub async fn examine(settings: &Settings) -> Result<Examined, Error> {
    let path = match address(&settings.url)? {
        Address::File(path) => path,
        Address::Server(options) => {
            // A server looks after its own files: that it lets us in is all there is to see.
            let connection = with_password(settings, *options)?.connect().await?;
            connection.close().await?;
            return Ok(Examined::Good);
        }
    };
    if !path.exists() {
        return Ok(Examined::Absent);
    }
    let mut connection = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await?;
    let complaint: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(if complaint == "ok" { Examined::Good } else { Examined::Damaged(complaint) })
}
