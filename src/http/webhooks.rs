//! `/webhook-deliveries`: what was told to whom, and what was given up. For the operator alone.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::context::Context;
use super::input::{Id, Parameters};
use super::list::{List, Paging};
use super::problem::Problem;
use crate::store::words::Word;
use crate::store::{self, HookState};

/// One event for one webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookDelivery {
    id: i64,
    /// The same in each attempt and for each webhook: what `webhook-id` says.
    event_id: String,
    /// Its name in the configuration.
    webhook: String,
    /// `call-ended`, `meeting-opened`, `meeting-closed` or `number-remembered`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// `queued`, `sent` or `failed`: given up after two days, a dead letter.
    state: &'static str,
    attempts: u32,
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    last_error: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    queued_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    settled_at: Option<Timestamp>,
}

impl From<store::HookDelivery> for WebhookDelivery {
    fn from(delivery: store::HookDelivery) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event,
            webhook: delivery.hook,
            kind: delivery.kind.word(),
            state: delivery.state.word(),
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_attempt_at,
            last_error: delivery.last_error,
            queued_at: delivery.queued_at,
            settled_at: delivery.settled_at,
        }
    }
}

/// Which of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WebhookQuery {
    /// Of this webhook alone.
    webhook: Option<String>,
    /// `queued`, `sent` or `failed`.
    state: Option<String>,
    /// Most items, 1 to 200; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Events for webhooks, newest first. Those that were sent or given up go after `retention.webhooks_days`.
#[utoipa::path(get, path = "/webhook-deliveries", tag = "webhooks", params(WebhookQuery),
    responses((status = 200, body = List<WebhookDelivery>), (status = 403, body = Problem)))]
pub async fn list_deliveries(
    State(context): State<Context>,
    caller: Caller,
    Parameters(query): Parameters<WebhookQuery>,
) -> Result<Json<List<WebhookDelivery>>, Problem> {
    caller.operator_only()?;
    let state = query.state.as_deref().map(|state| {
        HookState::from_word(state)
            .ok_or_else(|| Problem::bad_parameter("state", "expected queued, sent or failed"))
    });
    let paging = Paging { limit: query.limit, cursor: query.cursor };
    let page =
        context.store.hook_deliveries(query.webhook.as_deref(), state.transpose()?, paging.range()?).await?;
    Ok(Json(List::of(page, WebhookDelivery::from)))
}

/// Tries an event anew that was given up.
#[utoipa::path(post, path = "/webhook-deliveries/{id}/retry", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn retry_delivery(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<i64>,
) -> Result<StatusCode, Problem> {
    caller.operator_only()?;
    if context.store.revive_hook(id, context.now()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::no_such("event that was given up"))
    }
}
