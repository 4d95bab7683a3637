//! `/verified-numbers`: which phones go straight in, and taking that away.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::context::Context;
use super::hosts;
use super::input::{Id, Parameters};
use super::list::{List, Paging};
use super::problem::Problem;
use crate::bridge;
use crate::store;
use crate::types::{HostId, MeetingId, Trust, VerifiedId};

/// A remembered phone, as its host sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerifiedNumber {
    #[schema(value_type = String, format = Uuid)]
    id: VerifiedId,
    #[schema(value_type = String, format = Uuid)]
    host_id: HostId,
    /// The whole number.
    number: String,
    /// The meeting whose code was proved.
    #[schema(value_type = String, format = Uuid)]
    meeting_id: MeetingId,
    /// It goes straight in at this trust or better, from a trunk of this group.
    #[schema(value_type = String)]
    trust: Trust,
    trunk: String,
    #[schema(value_type = String, format = DateTime)]
    verified_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_used_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl VerifiedNumber {
    fn of(verified: store::Verified, rules: &bridge::Settings) -> Self {
        let after = |time: Timestamp, span| time.checked_add(span).unwrap_or(Timestamp::MAX);
        let unused = after(verified.last_used_at, rules.verified_unused);
        let in_all = after(verified.verified_at, rules.verified_in_all);
        Self {
            id: verified.id,
            host_id: verified.host,
            number: verified.number.reveal().to_owned(),
            meeting_id: verified.meeting,
            trust: verified.trust,
            trunk: verified.trunk,
            verified_at: verified.verified_at,
            last_used_at: verified.last_used_at,
            expires_at: unused.min(in_all),
        }
    }
}

/// The host's verified numbers, newest first.
#[utoipa::path(get, path = "/hosts/{id}/verified-numbers", tag = "verified numbers",
    params(("id" = String, Path), Paging),
    responses((status = 200, body = List<VerifiedNumber>), (status = 404, body = Problem)))]
pub async fn list_verified(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<List<VerifiedNumber>>, Problem> {
    hosts::visible(&context, caller, id).await?;
    let page = context.store.verified_numbers(id, paging.range()?).await?;
    Ok(Json(List::of(page, |verified| VerifiedNumber::of(verified, &context.service.rules))))
}

/// Which of a host's verified numbers.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Those that proved the code of this meeting; absent: all.
    meeting: Option<String>,
}

/// Forgets all verified numbers of the host, or those of one meeting.
#[utoipa::path(delete, path = "/hosts/{id}/verified-numbers", tag = "verified numbers",
    params(("id" = String, Path), Which), responses((status = 204), (status = 404, body = Problem)))]
pub async fn revoke_all(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    Parameters(which): Parameters<Which>,
) -> Result<StatusCode, Problem> {
    hosts::visible(&context, caller, id).await?;
    let meeting = which.meeting.as_deref().map(str::parse).transpose();
    let meeting = meeting.map_err(|_| Problem::bad_parameter("meeting", "expected an id (a UUID)"))?;
    context.store.revoke_all(id, meeting).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets one verified number.
#[utoipa::path(delete, path = "/verified-numbers/{id}", tag = "verified numbers",
    params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub async fn revoke(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<VerifiedId>,
) -> Result<StatusCode, Problem> {
    if context.store.revoke(id, caller.scope()?).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::no_such("verified number"))
    }
}
