//! ETag, If-Match and If-None-Match (RFC 9110 §13): nobody overwrites what they have not seen, and
//! nobody reads again what they have.
//!
//! A tag has two parts: the version of what is stored, which `If-Match` is about, and a hash of the whole
//! answer, which also tells of what changes beside it, such as deliveries.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::context::Context;
use super::problem::Problem;

/// What a request says of the tags that it knows.
pub struct Conditions {
    if_match: Option<Vec<String>>,
    if_none_match: Option<Vec<String>>,
}

impl Conditions {
    /// The versions that may be changed or taken away; `None`: any.
    pub fn versions(&self) -> Option<Vec<String>> {
        let tags = self.if_match.as_ref().filter(|tags| !tags.iter().any(|tag| tag == "*"))?;
        // Weak tags never match here (RFC 9110 §13.1.1).
        let strong = tags.iter().filter_map(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
        Some(strong.map(|tag| tag.split('.').next().unwrap_or_default().to_owned()).collect())
    }

    fn is_known(&self, tag: &str) -> bool {
        let known = |other: &String| other == "*" || other.strip_prefix("W/").unwrap_or(other) == tag;
        self.if_none_match.as_ref().is_some_and(|tags| tags.iter().any(known))
    }
}

impl FromRequestParts<Context> for Conditions {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Context) -> Result<Self, Problem> {
        Ok(Self {
            if_match: tags(&parts.headers, &IF_MATCH)?,
            if_none_match: tags(&parts.headers, &IF_NONE_MATCH)?,
        })
    }
}

/// Ours have no commas within.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<String>>, Problem> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let mut tags = Vec::new();
    for header in headers.get_all(name) {
        let text = header.to_str().map_err(|_| Problem::malformed(format!("a {name} that is no text")))?;
        tags.extend(text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()));
    }
    Ok(Some(tags))
}

/// An answer with its tag.
pub struct Tagged<T> {
    tag: String,
    body: T,
}

impl<T: Serialize> Tagged<T> {
    pub fn new(context: &Context, version: &str, body: T) -> Self {
        let text = serde_json::to_vec(&body).expect("an answer of ours is JSON");
        Self { tag: format!("\"{version}.{}\"", context.store.fingerprint(&text)), body }
    }

    /// Nothing but the tag, for who knows the answer already.
    pub fn unless_known(self, conditions: &Conditions) -> Response {
        if conditions.is_known(&self.tag) {
            return (StatusCode::NOT_MODIFIED, [(ETAG, self.tag)]).into_response();
        }
        self.into_response()
    }
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(ETAG, self.tag)], Json(self.body)).into_response()
    }
}
