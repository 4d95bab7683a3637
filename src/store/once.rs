//! Doing a thing once, however often it is asked for: `Idempotency-Key` on requests that make something.
//!
//! What came of a request is written in the transaction that did it, so there is no moment in which the
//! thing is done and a retry would do it again. Kept is what was made, and what is told only once
//! (sealed); the rest of the answer is read again.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::database::{Transaction, query};
use super::row::{Columns, millis};
use super::{Error, Refusal, Store};
use crate::types::{HostId, HostPin, MeetingId, Token, TokenId};

/// A request that is to be carried out once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Once {
    /// Who asks, and their key, as a MAC.
    key: [u8; 32],
    /// What they ask, as a MAC.
    request: [u8; 32],
}

/// What came of it. It may hold a secret, so it does not print.
#[derive(Deserialize, Serialize)]
pub(super) struct Outcome {
    /// The id of what was made or changed.
    pub id: String,
    /// What is told once.
    pub secret: Option<String>,
}

impl Outcome {
    pub fn host(&self) -> Result<HostId, Error> {
        self.id.parse().map_err(|_| Error::Unreadable("outcome"))
    }

    pub fn meeting(&self) -> Result<MeetingId, Error> {
        self.id.parse().map_err(|_| Error::Unreadable("outcome"))
    }

    pub fn token(&self) -> Result<TokenId, Error> {
        self.id.parse().map_err(|_| Error::Unreadable("outcome"))
    }

    pub fn link(&self) -> Result<Token, Error> {
        self.secret.as_deref().map(Token::new).ok_or(Error::Unreadable("outcome"))
    }

    pub fn host_pin(&self) -> Result<HostPin, Error> {
        let pin = self.secret.as_deref().unwrap_or_default();
        HostPin::parse(pin).map_err(|_| Error::Unreadable("outcome"))
    }
}

impl Store {
    /// `who`: the same for all requests of one asker, and for nobody else's. `request`: all that
    /// makes two requests two.
    #[must_use]
    pub fn once(&self, who: &str, key: &str, request: &[u8]) -> Once {
        Once {
            key: self.keys().once("key", &[who, key].map(str::as_bytes)),
            request: self.keys().once("request", &[request]),
        }
    }

    /// Whether this request was carried out before. What was good then is not judged by today's time.
    ///
    /// # Errors
    /// When its key was used for another one.
    pub async fn was_done(&self, once: Option<&Once>, now: Timestamp) -> Result<bool, Error> {
        if once.is_none() {
            return Ok(false);
        }
        let mut transaction = self.begin().await?;
        Ok(self.outcome(&mut transaction, once, now).await?.is_some())
    }

    /// What came of this request when it was carried out before, if it was.
    pub(super) async fn outcome(
        &self,
        transaction: &mut Transaction,
        once: Option<&Once>,
        now: Timestamp,
    ) -> Result<Option<Outcome>, Error> {
        let Some(once) = once else { return Ok(None) };
        let row = query("SELECT request_mac, outcome_sealed FROM once WHERE key_mac = $1 AND done_at > $2")
            .bind(once.key.to_vec())
            .bind(millis(kept_since(now)))
            .fetch_optional(transaction)
            .await?;
        let Some(row) = row else { return Ok(None) };
        if row.bytes("request_mac")? != once.request {
            return Err(Refusal::KeyUsedOtherwise.into());
        }
        let text = self.keys().unseal("outcome", once.owner(), &row.bytes("outcome_sealed")?)?;
        serde_json::from_str(&text).map(Some).map_err(|_| Error::Unreadable("outcome"))
    }

    /// Notes what came of it, in the transaction that did it.
    pub(super) async fn keep_outcome(
        &self,
        transaction: &mut Transaction,
        once: Option<&Once>,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(once) = once else { return Ok(()) };
        // One that is too old to be found may still hold the key's place.
        query("DELETE FROM once WHERE key_mac = $1")
            .bind(once.key.to_vec())
            .execute(&mut *transaction)
            .await?;
        let text = serde_json::to_string(outcome).expect("two strings are JSON");
        query("INSERT INTO once (key_mac, request_mac, outcome_sealed, done_at) VALUES ($1, $2, $3, $4)")
            .bind(once.key.to_vec())
            .bind(once.request.to_vec())
            .bind(self.keys().seal("outcome", once.owner(), &text)?)
            .bind(millis(now))
            .execute(transaction)
            .await?;
        Ok(())
    }
}

impl Once {
    fn owner(&self) -> &[u8; 16] {
        self.key.first_chunk().expect("32 bytes begin with 16")
    }

    /// Tells requests of one key apart from others while they are under way.
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        self.key
    }
}

pub(super) fn kept_since(now: Timestamp) -> Timestamp {
    now.checked_sub(KEPT).unwrap_or(Timestamp::MIN)
}

/// How long a retry finds what came of the first try.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
