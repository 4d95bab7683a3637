//! `/hosts/{id}/notices`: what a host is told about phones that go straight in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::context::Context;
use super::hosts;
use super::input::{Id, Parameters};
use super::list::{List, Paging};
use super::problem::Problem;
use super::words::NoticeKind;
use crate::store;
use crate::types::{HostId, MeetingId, NoticeId};

/// One thing that its host may want to know of.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notice {
    #[schema(value_type = String, format = Uuid)]
    id: NoticeId,
    kind: NoticeKind,
    /// The whole number.
    number: String,
    /// The meeting that it came into.
    #[schema(value_type = String, format = Uuid)]
    meeting_id: MeetingId,
    meeting_title: String,
    /// The last time, if it happened several times.
    #[schema(value_type = String, format = DateTime)]
    noticed_at: Timestamp,
}

impl From<store::Notice> for Notice {
    fn from(notice: store::Notice) -> Self {
        Self {
            id: notice.id,
            kind: notice.kind.into(),
            number: notice.number.reveal().to_owned(),
            meeting_id: notice.meeting,
            meeting_title: notice.meeting_title,
            noticed_at: notice.noticed_at,
        }
    }
}

/// Phones that were remembered, and those that came in without their meeting's code; newest first.
/// A phone in one meeting is one notice of each kind. They go after 90 days, and when the phone is
/// forgotten by its caller or by the moderator.
#[utoipa::path(get, path = "/hosts/{id}/notices", tag = "verified numbers",
    params(("id" = String, Path), Paging),
    responses((status = 200, body = List<Notice>), (status = 404, body = Problem)))]
pub async fn list_notices(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<List<Notice>>, Problem> {
    hosts::visible(&context, caller, id).await?;
    let page = context.store.notices(id, paging.range()?).await?;
    Ok(Json(List::of(page, Notice::from)))
}

/// Takes all notices of the host away: they have been seen.
#[utoipa::path(delete, path = "/hosts/{id}/notices", tag = "verified numbers",
    params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub async fn dismiss_notices(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
) -> Result<StatusCode, Problem> {
    hosts::visible(&context, caller, id).await?;
    context.store.dismiss_notices(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
