//! Who asks: the operator, who may do everything, or a host, who has its own things alone.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::context::Context;
use super::problem::Problem;
use crate::types::{HostId, Token};

/// Whose token came with the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    Operator,
    Host(HostId),
}

impl Caller {
    pub fn operator_only(self) -> Result<(), Problem> {
        match self {
            Self::Operator => Ok(()),
            Self::Host(_) => Err(Problem::operator_only()),
        }
    }

    /// What belongs to another host does not exist for this one.
    pub fn may_see(self, owner: HostId, what: &str) -> Result<(), Problem> {
        match self {
            Self::Operator => Ok(()),
            Self::Host(host) if host == owner => Ok(()),
            Self::Host(_) => Err(Problem::no_such(what)),
        }
    }

    /// The one host whose things are meant, or `None` for all.
    pub fn scope(self) -> Option<HostId> {
        match self {
            Self::Operator => None,
            Self::Host(host) => Some(host),
        }
    }
}

impl FromRequestParts<Context> for Caller {
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
        let hash: [u8; 32] = Sha256::digest(token).into();
        if bool::from(hash.ct_eq(&context.operator)) {
            return Ok(Self::Operator);
        }
        if token.starts_with("dlh_")
            && let Some(host) = context.store.host_of_token(&Token::new(token)).await?
        {
            return Ok(Self::Host(host));
        }
        Err(Problem::unauthorized("unknown or revoked token"))
    }
}

/// Ours have 47 characters; an operator may have chosen a longer one.
const TOKEN_MAX: usize = 512;
