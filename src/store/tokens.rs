//! Host tokens of the HTTP API. The token itself is told once; the store keeps its SHA-256.

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::database::query;
use super::once::{Once, Outcome};
use super::page::{Cursor, Page, Range};
use super::row::{Columns, Row, millis};
use super::{Error, Refusal, Store, draw};
use crate::types::{HostId, Token, TokenId};

/// What may be told of a token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TokenFacts {
    pub id: TokenId,
    pub host: HostId,
    /// What its owner called it, such as `outlook`.
    pub name: String,
    pub created_at: Timestamp,
}

impl Store {
    pub async fn add_token(
        &self,
        host: HostId,
        name: &str,
        now: Timestamp,
    ) -> Result<(TokenFacts, Token), Error> {
        self.add_token_once(host, name, now, None).await
    }

    /// The same, at most once for each `once`.
    pub async fn add_token_once(
        &self,
        host: HostId,
        name: &str,
        now: Timestamp,
        once: Option<&Once>,
    ) -> Result<(TokenFacts, Token), Error> {
        let token = draw::host_token()?;
        let id = TokenId::fresh();
        let mut transaction = self.begin().await?;
        if let Some(outcome) = self.outcome(&mut transaction, once, now).await? {
            let row = query("SELECT name, created_at FROM tokens WHERE id = $1")
                .bind(&outcome.id)
                .fetch_optional(&mut transaction)
                .await?
                .ok_or(Refusal::NoSuchToken)?;
            let (name, created_at) = (row.text("name")?, row.time("created_at")?);
            let facts = TokenFacts { id: outcome.token()?, host, name, created_at };
            return Ok((facts, Token::new(outcome.secret.unwrap_or_default())));
        }
        let added = query(
            "INSERT INTO tokens (id, host, name, hash, created_at)
             SELECT $1, id, $3, $4, $5 FROM hosts WHERE id = $2",
        )
        .bind(id.to_string())
        .bind(host.to_string())
        .bind(name)
        .bind(Sha256::digest(token.reveal()).to_vec())
        .bind(millis(now))
        .execute(&mut transaction)
        .await?;
        if added.rows_affected() == 0 {
            return Err(Refusal::NoSuchHost.into());
        }
        let outcome = Outcome { id: id.to_string(), secret: Some(token.reveal().to_owned()) };
        self.keep_outcome(&mut transaction, once, &outcome, now).await?;
        transaction.commit().await?;
        // As it is read back.
        let created_at = Timestamp::from_millisecond(millis(now)).unwrap_or(now);
        Ok((TokenFacts { id, host, name: name.to_owned(), created_at }, token))
    }

    /// Whose token is this? The index finds it by hash, from which nothing can be learnt bit by
    /// bit; the comparison of what was found is constant-time all the same.
    pub async fn host_of_token(&self, token: &Token) -> Result<Option<HostId>, Error> {
        let hash = Sha256::digest(token.reveal());
        let row = query("SELECT host, hash FROM tokens WHERE hash = $1")
            .bind(hash.to_vec())
            .fetch_optional(self.reader())
            .await?;
        match row {
            Some(row) if bool::from(row.bytes("hash")?.ct_eq(hash.as_slice())) => {
                Ok(Some(HostId(row.uuid("host")?)))
            }
            _ => Ok(None),
        }
    }

    /// Oldest first.
    pub async fn tokens(&self, host: HostId, range: Range) -> Result<Page<TokenFacts>, Error> {
        let rows =
            query("SELECT id, name, created_at FROM tokens WHERE host = $1 AND id > $2 ORDER BY id LIMIT $3")
                .bind(host.to_string())
                .bind(range.after.map_or_else(String::new, |cursor| cursor.id.to_string()))
                .bind(i64::from(range.limit) + 1)
                .fetch_all(self.reader())
                .await?;
        let read = |row: &Row| {
            Ok::<_, Error>(TokenFacts {
                id: TokenId(row.uuid("id")?),
                host,
                name: row.text("name")?,
                created_at: row.time("created_at")?,
            })
        };
        let found = rows.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page::of(found, range.limit, |token: &TokenFacts| Cursor { time: 0, id: token.id.0 }))
    }

    /// `of`: only if it is this host's. `false`: there was none.
    pub async fn revoke_token(&self, token: TokenId, of: Option<HostId>) -> Result<bool, Error> {
        let revoked = query("DELETE FROM tokens WHERE id = $1 AND ($2 IS NULL OR host = $2)")
            .bind(token.to_string())
            .bind(of.map(|host| host.to_string()))
            .execute(&self.inner.writer)
            .await?;
        Ok(revoked.rows_affected() > 0)
    }
}
