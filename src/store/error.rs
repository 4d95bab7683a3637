//! What can go wrong with the database. No message holds a PIN, a code, a token or a number.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("database url {0:?}, expected \"sqlite:PATH\" or \"postgres://USER@HOST/DATABASE\"")]
    Url(String),
    #[error("{what} {path}: {source}", path = path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("key file {path} has mode {mode:03o}, expected 600: others on this machine could read it", path = .0.display(), mode = .1)]
    KeyReadableByOthers(PathBuf, u32),
    #[error("key file {path}, expected 32 bytes in base64url on one line", path = .0.display())]
    KeyMalformed(PathBuf),
    #[error("key file {path} is missing, but the database was written with one", path = .0.display())]
    KeyMissing(PathBuf),
    #[error("key file {path} is not the one the database was written with", path = .0.display())]
    WrongKey(PathBuf),
    #[error("database {path} is damaged: {finding}", path = path.display())]
    Damaged { path: PathBuf, finding: String },
    #[error(
        "the database's encoding is {0}, expected UTF8: names are of every language (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)"
    )]
    Encoding(String),
    #[error("database schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The transaction of several writes failed, and each of them with it.
    #[error("database: {0}")]
    Batch(std::sync::Arc<sqlx::Error>),
    #[error("a stored {0} that cannot be read back")]
    Unreadable(&'static str),
    #[error("the system's random source: {0}")]
    Random(#[from] getrandom::Error),
    #[error("no free {0} was found in {tries} draws", tries = super::draw::TRIES)]
    NoneFree(&'static str),
    /// Nothing can be said of all records while some wait to be written.
    #[error("records that were put aside cannot be written yet")]
    RecordsAside,
    #[error("{0}")]
    Refused(Refusal),
}

/// What the store does not do, because of what it holds. Not a fault of the database.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("the host does not exist")]
    NoSuchHost,
    #[error("the meeting does not exist")]
    NoSuchMeeting,
    #[error("the token does not exist")]
    NoSuchToken,
    #[error("the meeting is cancelled")]
    Cancelled,
    #[error("the host's standing meeting cannot be changed in this way or cancelled")]
    Standing,
    #[error("a standard meeting has no one-time code")]
    NoCode,
    #[error("the meeting would end before it starts")]
    EndsBeforeItStarts,
    #[error("the first meeting is on none of the days of its recurrence, or has no time zone")]
    NotItsDay,
    #[error("no mail is sent: the configuration has no [mail]")]
    NoMail,
    #[error("the Idempotency-Key was used for another request")]
    KeyUsedOtherwise,
    #[error("it is not as If-Match expects it")]
    Changed,
    #[error("another meeting of this host is open")]
    AnotherIsOpen,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
