//! `Idempotency-Key`: a POST that may have got lost is sent again, and what it asks for is done once.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, Request};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::BODY_MAX;
use super::auth::Caller;
use super::context::Context;
use super::problem::Problem;
use crate::store;

/// The key that came with this request, if one did, and what the request is.
#[derive(Clone)]
struct Keyed {
    key: String,
    request: [u8; 32],
}

/// Looks at a request's key before its body is read: what it asks is part of what the key stands for.
pub async fn keyed(request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(HEADER) {
        return next.run(request).await;
    }
    match with_key(request).await {
        Ok(request) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn with_key(request: Request) -> Result<Request, Problem> {
    let mut keys = request.headers().get_all(HEADER).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return Err(bad_key()) };
    let key = key.to_str().map_err(|_| bad_key())?.trim();
    if key.is_empty() || key.len() > KEY_MAX || !key.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        return Err(bad_key());
    }
    let key = key.to_owned();
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX).await.map_err(|_| Problem::too_large(BODY_MAX))?;
    let mut hash = Sha256::new();
    hash.update(parts.uri.path());
    hash.update([0]);
    hash.update(&body);
    parts.extensions.insert(Keyed { key, request: hash.finalize().into() });
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn bad_key() -> Problem {
    Problem::malformed(format!("an Idempotency-Key, expected one of 1 to {KEY_MAX} printable characters"))
}

/// The request's key, for handlers whose work is done once for it. While this lives, another request
/// with the same key is refused.
pub struct Once {
    once: Option<store::Once>,
    context: Context,
}

/// Keys of requests that are under way.
#[derive(Default)]
pub struct UnderWay(Mutex<HashSet<[u8; 32]>>);

impl Once {
    pub fn get(&self) -> Option<&store::Once> {
        self.once.as_ref()
    }
}

impl FromRequestParts<Context> for Once {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let mut this = Self { once: None, context: context.clone() };
        let Some(keyed) = parts.extensions.get::<Keyed>().cloned() else { return Ok(this) };
        let caller = Caller::from_request_parts(parts, context).await?;
        let once = context.store.once(&format!("{caller:?}"), &keyed.key, &keyed.request);
        let mut keys = context.under_way.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(once.key()) {
            return Err(Problem::conflict("a request with this Idempotency-Key is under way"));
        }
        drop(keys);
        this.once = Some(once);
        Ok(this)
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        if let Some(once) = &self.once {
            let mut keys = self.context.under_way.0.lock().unwrap_or_else(PoisonError::into_inner);
            keys.remove(&once.key());
        }
    }
}

const HEADER: &str = "idempotency-key";
const KEY_MAX: usize = 255;
