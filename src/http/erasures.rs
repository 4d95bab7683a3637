//! `/erasures`: everything about a person's number, counted or erased.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::ToSchema;

use super::auth::Caller;
use super::context::Context;
use super::input::Body;
use super::problem::Problem;
use crate::types::PhoneNumber;

/// Whose number.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewErasure {
    /// In E.164.
    #[schema(example = "+447700900123")]
    number: String,
    /// Only count.
    #[serde(default)]
    dry_run: bool,
}

/// What was erased, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erasure {
    erased: bool,
    /// Hosts that the number went straight in to.
    verified_numbers: u64,
    /// Records of calls, which stay without the number.
    calls: u64,
    notices: u64,
    /// Hosts who had it as a phone of their own.
    host_numbers: u64,
    /// Events for webhooks that named it, masked, sent or not.
    webhook_events: u64,
    /// Counters of wrong entries from it. They hold no number, are kept, and go by themselves.
    guess_counters_kept: u64,
    /// Calls from it that are live: their records are written when they end. Erase again then.
    live_calls: usize,
}

/// Erases everything that is kept about a telephone number; with `dry_run` it is only counted. Backups
/// and recordings are not touched.
#[utoipa::path(post, path = "/erasures", tag = "verified numbers", request_body = NewErasure,
    responses((status = 200, body = Erasure), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn erase(
    State(context): State<Context>,
    caller: Caller,
    Body(asked): Body<NewErasure>,
) -> Result<Json<Erasure>, Problem> {
    caller.operator_only()?;
    let number = PhoneNumber::parse(&asked.number, None)
        .map_err(|error| Problem::invalid("number", error.to_string()))?;
    let traces = if asked.dry_run {
        context.store.traces_of(&number).await?
    } else {
        context.store.erase(&number).await?
    };
    let snapshot = context.switchboard.snapshot();
    let live_calls = snapshot.calls.iter().filter(|call| call.number.as_ref() == Some(&number)).count();
    if !asked.dry_run {
        // That it happened, and not to whom.
        info!(
            calls = traces.calls,
            verified_numbers = traces.verified_numbers,
            "a person's number was erased"
        );
    }
    Ok(Json(Erasure {
        erased: !asked.dry_run,
        verified_numbers: traces.verified_numbers,
        calls: traces.calls,
        notices: traces.notices,
        host_numbers: traces.host_numbers,
        webhook_events: traces.told,
        guess_counters_kept: traces.guess_counters,
        live_calls,
    }))
}
