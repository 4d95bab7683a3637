//! `/moderate`: the moderator's page, one file with its style and script inside.
//!
//! It knows nothing of itself: meeting and token come behind the `#` of its address, which browsers send
//! nowhere, and what it shows and does goes through the API like anybody's. Its policy lets
//! this very style and script run, and nothing else.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::types::{MeetingId, Token};

const PAGE: &str = include_str!("page/moderate.html");

/// By hash (CSP level 3, §2.3.1).
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |name: &str| {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let (_, rest) = PAGE.split_once(&open).expect("the page has a style and a script");
        let (inside, _) = rest.split_once(&close).expect("each of them ends");
        STANDARD.encode(Sha256::digest(inside))
    };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style"),
    )
});

/// Where a link's holder moderates, under the service's own address.
pub fn path(meeting: MeetingId, token: &Token) -> String {
    format!("/moderate#meeting={meeting}&token={}", token.reveal())
}

pub async fn moderate() -> Response {
    ([(header::CONTENT_SECURITY_POLICY, POLICY.as_str())], Html(PAGE)).into_response()
}
