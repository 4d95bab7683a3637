//! Every route, and the OpenAPI 3.1 document that is made of the same list.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::context::Context;
use super::{calls, health, hosts, live, meetings, verified};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Doorline",
        version = "1",
        description = "The phone door to One Time Meetings. Errors are application/problem+json (RFC 9457), \
                       times RFC 3339, lists {\"items\": [...], \"next\": CURSOR|null}. A host's token reaches \
                       that host's things alone; the operator's reaches all.",
        license(name = "MIT OR Apache-2.0")
    ),
    security(("bearer" = []))
)]
struct Head;

/// The document at `/api/v1/openapi.json`.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = routes().into_openapi();
    document
        .components
        .get_or_insert_default()
        .add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    document
}

pub(super) fn routes() -> OpenApiRouter<Context> {
    let api = OpenApiRouter::new()
        .routes(routes!(hosts::add_host, hosts::list_hosts))
        .routes(routes!(hosts::get_host, hosts::patch_host, hosts::remove_host))
        .routes(routes!(hosts::new_pin))
        .routes(routes!(hosts::new_host_pin))
        .routes(routes!(hosts::add_token, hosts::list_tokens))
        .routes(routes!(hosts::revoke_token))
        .routes(routes!(meetings::add_meeting, meetings::list_meetings))
        .routes(routes!(meetings::get_meeting, meetings::patch_meeting, meetings::cancel_meeting))
        .routes(routes!(meetings::open_meeting))
        .routes(routes!(meetings::close_meeting))
        .routes(routes!(meetings::new_code))
        .routes(routes!(verified::list_verified, verified::revoke_all))
        .routes(routes!(verified::revoke))
        .routes(routes!(live::live))
        .routes(routes!(live::roster))
        .routes(routes!(live::mute))
        .routes(routes!(live::unmute))
        .routes(routes!(live::remove))
        .routes(routes!(live::remove_and_forget))
        .routes(routes!(calls::list_calls))
        .routes(routes!(calls::get_call))
        .routes(routes!(openapi_json));
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .nest("/api/v1", api)
}

/// This document. No token needed.
#[utoipa::path(get, path = "/openapi.json", tag = "service", security(()),
    responses((status = 200, body = Object)))]
async fn openapi_json() -> impl IntoResponse {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| document().to_json().expect("a document of strings and maps can be printed"));
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}
