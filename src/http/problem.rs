//! What went wrong, for the one who asked (RFC 9457). Nothing of our insides.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::ConfigFault;
use crate::bridge::Rejection;
use crate::store::{self, Refusal};

/// A refusal or fault.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    /// Which kind of problem, for programs.
    #[serde(rename = "type")]
    #[schema(example = "urn:doorline:problem:invalid")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What came and what was expected.
    detail: String,
    /// The field or parameter that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Everything that is wrong with the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<ConfigFault>,
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:doorline:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            faults: Vec::new(),
        }
    }

    fn at(self, field: &str) -> Self {
        Self { field: Some(field.chars().take(80).collect()), ..self }
    }

    pub fn unauthorized(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed", detail)
    }

    pub fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED.as_u16()
    }

    pub fn operator_only() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "This token may not do that",
            "a host's token, expected the operator's",
        )
    }

    pub fn not_by_link() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "This token may not do that",
            "a moderator link, expected a host's token or the operator's",
        )
    }

    pub fn no_such_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-route",
            "There is nothing at this path",
            "see /api/v1/openapi.json for what there is",
        )
    }

    /// Also for what belongs to somebody else.
    pub fn no_such(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", format!("no such {what}"))
    }

    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "This path does not have that method",
            "see the Allow header for those it has",
        )
    }

    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request cannot be read", detail)
    }

    pub fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The request is too large",
            format!("body too long, expected at most {limit} bytes"),
        )
    }

    pub fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not-json",
            "The request is not JSON",
            "expected content-type application/json",
        )
    }

    /// A query parameter that cannot be understood.
    pub fn bad_parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid-parameter", "A query parameter is wrong", detail).at(name)
    }

    /// A field of the body.
    pub fn invalid(field: &str, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A field is wrong", detail);
        if field.is_empty() { problem } else { problem.at(field) }
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Not possible as things stand", detail)
    }

    pub fn faulty_configuration(faults: Vec<ConfigFault>) -> Self {
        let detail = format!("{} faults, nothing was changed", faults.len());
        let problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "faulty-configuration",
            "The configuration has faults",
            detail,
        );
        Self { faults, ..problem }
    }

    pub fn unavailable(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Please try again later", detail)
    }

    fn key_used_otherwise() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "key-used-otherwise",
            "The Idempotency-Key was used for another request",
            "the same key came with another path or body, expected a key of its own",
        )
    }

    fn changed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "changed",
            "It has changed meanwhile",
            "If-Match names no version that is current, expected the ETag of what is there now",
        )
    }

    pub fn too_many(detail: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many of these at once", detail)
    }

    fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The service failed",
            "the cause is in the service's log",
        )
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Refused(refusal) => match refusal {
                Refusal::NoSuchHost => Self::no_such("host"),
                Refusal::NoSuchMeeting => Self::no_such("meeting"),
                Refusal::NoSuchToken => Self::no_such("token"),
                Refusal::EndsBeforeItStarts => Self::invalid("ends_at", "not later than starts_at"),
                Refusal::NotItsDay => Self::invalid("recurrence", refusal.to_string()),
                Refusal::KeyUsedOtherwise => Self::key_used_otherwise(),
                Refusal::Changed => Self::changed(),
                Refusal::Cancelled
                | Refusal::Standing
                | Refusal::NoCode
                | Refusal::NoMail
                | Refusal::AnotherIsOpen => Self::conflict(refusal.to_string()),
            },
            store::Error::Unreadable(_) => {
                error!(cause = %error, "request failed");
                Self::internal()
            }
            _ => {
                error!(cause = %error, "request failed");
                Self::unavailable("the database is not available")
            }
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NoSuchParticipant => Self::no_such("participant"),
            Rejection::NotOpen | Rejection::NotToBeOpened | Rejection::NotInLobby => {
                Self::conflict(rejection.to_string())
            }
            Rejection::StoreUnavailable => Self::unavailable("the database is not available"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("made from a StatusCode");
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
