//! Who asks: the operator, who may do everything; a host, who has its own things alone; or a moderator's
//! link, which reaches one meeting.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::context::Context;
use super::problem::Problem;
use crate::bridge::By;
use crate::store::Link;
use crate::types::{HostId, MeetingId, Token};

/// Whose token came with the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    Operator,
    Host(HostId),
    Link(Link),
}

impl Caller {
    pub fn operator_only(self) -> Result<(), Problem> {
        match self {
            Self::Operator => Ok(()),
            Self::Host(_) => Err(Problem::operator_only()),
            Self::Link(_) => Err(Problem::not_by_link()),
        }
    }

    /// What belongs to another host does not exist for this one.
    pub fn may_see(self, owner: HostId, what: &str) -> Result<(), Problem> {
        match self {
            Self::Operator => Ok(()),
            Self::Host(host) if host == owner => Ok(()),
            Self::Host(_) => Err(Problem::no_such(what)),
            Self::Link(_) => Err(Problem::not_by_link()),
        }
    }

    /// What a moderator does and sees. `meeting`: the one it is about; `None` in a lobby while nothing of
    /// the host is live, which belongs to whichever meeting opens.
    pub fn may_moderate(self, owner: HostId, meeting: Option<MeetingId>, what: &str) -> Result<(), Problem> {
        match self {
            Self::Link(link) if link.host == owner && meeting.is_none_or(|of| of == link.meeting) => Ok(()),
            Self::Link(_) => Err(Problem::no_such(what)),
            Self::Operator | Self::Host(_) => self.may_see(owner, what),
        }
    }

    /// Who moderates, for records.
    pub fn by(self) -> By {
        match self {
            Self::Operator => By::Operator,
            Self::Host(_) => By::Host,
            Self::Link(_) => By::ModeratorLink,
        }
    }

    /// The one meeting that a link reaches.
    pub fn meeting(self) -> Option<MeetingId> {
        match self {
            Self::Operator | Self::Host(_) => None,
            Self::Link(link) => Some(link.meeting),
        }
    }

    /// The one host whose things are meant, or `None` for all.
    pub fn scope(self) -> Result<Option<HostId>, Problem> {
        match self {
            Self::Operator => Ok(None),
            Self::Host(host) => Ok(Some(host)),
            Self::Link(_) => Err(Problem::not_by_link()),
        }
    }
}

/// Who asks, and the token that says so.
pub struct Bearer {
    pub caller: Caller,
    pub token: Token,
}

impl FromRequestParts<Context> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        Bearer::from_request_parts(parts, context).await.map(|bearer| bearer.caller)
    }
}

impl FromRequestParts<Context> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(header), None) = (headers.next(), headers.next()) else {
            return Err(Problem::unauthorized("expected one header \"Authorization: Bearer TOKEN\""));
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .filter(|token| !token.is_empty() && token.len() <= TOKEN_MAX)
            .ok_or_else(|| Problem::unauthorized("expected a header \"Authorization: Bearer TOKEN\""))?;
        let token = Token::new(token);
        let caller = identify(context, &token).await?;
        Ok(Self { caller, token })
    }
}

/// Whose token it is, now.
pub async fn identify(context: &Context, token: &Token) -> Result<Caller, Problem> {
    let hash: [u8; 32] = Sha256::digest(token.reveal()).into();
    if bool::from(hash.ct_eq(&context.operator)) {
        return Ok(Caller::Operator);
    }
    if token.reveal().starts_with("dlh_")
        && let Some(host) = context.store.host_of_token(token).await?
    {
        return Ok(Caller::Host(host));
    }
    if token.reveal().starts_with("dlm_")
        && let Some(link) = context.store.link_of_token(token, context.now()).await?
    {
        return Ok(Caller::Link(link));
    }
    Err(Problem::unauthorized("unknown or revoked token"))
}

/// Ours have 47 characters; an operator may have chosen a longer one.
const TOKEN_MAX: usize = 512;
