//! Moderator links: tokens that are good for one meeting, until a time or until they are revoked.
//!
//! No row is kept of them. A token says which meeting it is for, which round of the meeting's links it
//! is of and when it ends, and a MAC under the key file says that these are our words. Revoking begins
//! the next round.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::database::query;
use super::once::Outcome;
use super::row::Columns;
use super::{Error, Once, Refusal, Store};
use crate::bridge::view::MeetingState;
use crate::types::{HostId, MeetingId, Token};

/// What a link may reach.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Link {
    pub host: HostId,
    pub meeting: MeetingId,
}

/// The words of a link, as they stand in it.
struct Words {
    meeting: MeetingId,
    round: u32,
    /// In seconds since 1970.
    expires_at: i64,
}

const WORDS: usize = 16 + 4 + 8;
const PREFIX: &str = "dlm_";

impl Store {
    /// A link to this meeting that is good until `expires_at`, to the second, at most one for each `once`; and when
    /// it ends. A cancelled one has none.
    pub async fn moderator_link(
        &self,
        meeting: MeetingId,
        expires_at: Timestamp,
        now: Timestamp,
        once: Option<&Once>,
    ) -> Result<(Token, Timestamp), Error> {
        let Some(once) = once else { return Ok((self.new_link(meeting, expires_at).await?, expires_at)) };
        let mut transaction = self.begin().await?;
        if let Some(outcome) = self.outcome(&mut transaction, Some(once), now).await? {
            let token = outcome.link()?;
            let (words, _) = parts(&token).ok_or(Error::Unreadable("outcome"))?;
            let ends = Timestamp::from_second(Words::from_bytes(&words).expires_at);
            return Ok((token, ends.map_err(|_| Error::Unreadable("outcome"))?));
        }
        let token = self.new_link(meeting, expires_at).await?;
        let outcome = Outcome { id: meeting.to_string(), secret: Some(token.reveal().to_owned()) };
        self.keep_outcome(&mut transaction, Some(once), &outcome, now).await?;
        transaction.commit().await?;
        Ok((token, expires_at))
    }

    async fn new_link(&self, meeting: MeetingId, expires_at: Timestamp) -> Result<Token, Error> {
        let (_, state, round) = self.links_of(meeting).await?.ok_or(Refusal::NoSuchMeeting)?;
        if state == MeetingState::Cancelled {
            return Err(Refusal::Cancelled.into());
        }
        let words = Words { meeting, round, expires_at: expires_at.as_second() }.to_bytes();
        let mac = self.keys().link(&words);
        Ok(Token::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([words.as_slice(), &mac].concat()))))
    }

    /// What this link reaches; `None` when it is none of ours, expired or revoked, or its meeting is
    /// cancelled.
    pub async fn link_of_token(&self, token: &Token, now: Timestamp) -> Result<Option<Link>, Error> {
        let Some((words, mac)) = parts(token) else { return Ok(None) };
        if !bool::from(self.keys().link(&words).as_slice().ct_eq(&mac)) {
            return Ok(None);
        }
        let words = Words::from_bytes(&words);
        if words.expires_at <= now.as_second() {
            return Ok(None);
        }
        let found = self.links_of(words.meeting).await?;
        let found =
            found.filter(|(_, state, round)| *state != MeetingState::Cancelled && *round == words.round);
        Ok(found.map(|(host, ..)| Link { host, meeting: words.meeting }))
    }

    /// No link to this meeting that was made before is good any more.
    pub async fn revoke_links(&self, meeting: MeetingId) -> Result<(), Error> {
        let revoked = query("UPDATE meetings SET links = links + 1 WHERE id = $1")
            .bind(meeting.to_string())
            .execute(&self.inner.writer)
            .await?;
        if revoked.rows_affected() == 0 { Err(Refusal::NoSuchMeeting.into()) } else { Ok(()) }
    }

    async fn links_of(&self, meeting: MeetingId) -> Result<Option<(HostId, MeetingState, u32)>, Error> {
        let row = query("SELECT host, state, links FROM meetings WHERE id = $1")
            .bind(meeting.to_string())
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| {
            let round = u32::try_from(row.number("links")?).map_err(|_| Error::Unreadable("links"))?;
            Ok((HostId(row.uuid("host")?), row.word("state")?, round))
        })
        .transpose()
    }
}

/// The words of a link and what says that they are ours.
fn parts(token: &Token) -> Option<([u8; WORDS], Vec<u8>)> {
    let bytes = URL_SAFE_NO_PAD.decode(token.reveal().strip_prefix(PREFIX)?).ok()?;
    bytes.split_first_chunk::<WORDS>().map(|(words, mac)| (*words, mac.to_vec()))
}

impl Words {
    fn to_bytes(&self) -> [u8; WORDS] {
        let mut bytes = [0; WORDS];
        bytes[..16].copy_from_slice(self.meeting.0.as_bytes());
        bytes[16..20].copy_from_slice(&self.round.to_be_bytes());
        bytes[20..].copy_from_slice(&self.expires_at.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; WORDS]) -> Self {
        let (meeting, rest) = bytes.split_first_chunk::<16>().expect("the words are 28 bytes");
        let (round, rest) = rest.split_first_chunk::<4>().expect("12 are left");
        let (expires_at, _) = rest.split_first_chunk::<8>().expect("8 are left");
        Self {
            meeting: MeetingId(Uuid::from_bytes(*meeting)),
            round: u32::from_be_bytes(*round),
            expires_at: i64::from_be_bytes(*expires_at),
        }
    }
}
