//! `/meetings/{id}/moderator-links`: tokens with which a moderator's page moderates one meeting.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::check;
use super::context::Context;
use super::input::{Body, Id};
use super::meetings;
use super::once::Once;
use super::page;
use super::problem::Problem;
use crate::types::MeetingId;

/// When the link ends: one of these, or neither for a day from now.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// Seconds from now, 60 to 31,622,400 (366 days).
    expires_in: Option<u64>,
    /// As far ahead.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Told once: no copy is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModeratorLink {
    /// A bearer token that reaches this meeting's roster, its moderation and its events, and nothing else.
    token: String,
    #[schema(value_type = String, format = Uuid)]
    meeting_id: MeetingId,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The moderator's page, under the address of this API: `https://…` and this is what a moderator opens.
    page: String,
}

/// Makes a link with which this meeting is moderated, by whoever has it, until it ends, the meeting is
/// cancelled or its links are revoked.
#[utoipa::path(post, path = "/meetings/{id}/moderator-links", tag = "meetings", params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key within 24 h, it is done once and answered as before.")),
    request_body = NewLink,
    responses((status = 201, body = ModeratorLink), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub async fn add_link(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
    once: Once,
    Body(body): Body<NewLink>,
) -> Result<(StatusCode, Json<ModeratorLink>), Problem> {
    meetings::visible(&context, caller, id).await?;
    let now = context.now();
    let done = context.store.was_done(once.get(), now).await?;
    let expires_at = if done { now } else { ends(&body, now)? };
    let (token, expires_at) = context.store.moderator_link(id, expires_at, now, once.get()).await?;
    let page = page::path(id, &token);
    let token = token.reveal().to_owned();
    Ok((StatusCode::CREATED, Json(ModeratorLink { token, meeting_id: id, expires_at, page })))
}

/// Revokes every link to this meeting.
#[utoipa::path(delete, path = "/meetings/{id}/moderator-links", tag = "meetings", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn revoke_links(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
) -> Result<StatusCode, Problem> {
    meetings::visible(&context, caller, id).await?;
    context.store.revoke_links(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// To the second.
fn ends(body: &NewLink, now: Timestamp) -> Result<Timestamp, Problem> {
    let (field, ends) = match (body.expires_in, &body.expires_at) {
        (Some(_), Some(_)) => {
            return Err(Problem::invalid("expires_at", "given beside expires_in, expected one of both"));
        }
        (_, Some(text)) => ("expires_at", check::time("expires_at", text)?),
        (seconds, None) => {
            let seconds = Duration::from_secs(seconds.unwrap_or(DAY).min(2 * LONGEST));
            ("expires_in", now.checked_add(seconds).unwrap_or(Timestamp::MAX))
        }
    };
    let (from, to) = (SignedDuration::from_secs(SHORTEST), SignedDuration::from_secs(LONGEST as i64));
    // What was sixty seconds ahead when it was asked for still is.
    let ahead = ends.duration_since(now) + SignedDuration::from_secs(1);
    if ahead < from || ahead > to + SignedDuration::from_secs(1) {
        return Err(Problem::invalid(field, "expected a minute to 366 days from now"));
    }
    Timestamp::from_second(ends.as_second()).map_err(|_| Problem::invalid(field, "expected a time"))
}

const DAY: u64 = 24 * 60 * 60;
const LONGEST: u64 = 366 * DAY;
const SHORTEST: i64 = 60;
