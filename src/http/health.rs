//! For load balancers and monitors: is it alive, may it get calls, how is it. No token needed.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::context::Context;
use super::problem::Problem;

#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
    version: &'static str,
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "service", security(()),
    responses((status = 200, body = Health)))]
pub async fn healthz(State(context): State<Context>) -> axum::Json<Health> {
    axum::Json(Health { status: "ok", version: context.service.version })
}

/// New calls are welcome: the database answers and the service is not draining.
#[utoipa::path(get, path = "/readyz", tag = "service", security(()),
    responses((status = 200, body = Health), (status = 503, body = Problem)))]
pub async fn readyz(State(context): State<Context>) -> Result<axum::Json<Health>, Problem> {
    if context.switchboard.snapshot().draining {
        return Err(Problem::unavailable("the service is draining"));
    }
    if let Err(cause) = context.store.ping().await {
        error!(%cause, "not ready");
        return Err(Problem::unavailable("the database is not available"));
    }
    Ok(healthz(State(context)).await)
}

/// Figures in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "service", security(()),
    responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (context.service.metrics)())
}
