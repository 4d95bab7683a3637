//! Every route, and the OpenAPI 3.1 document that is made of the same list.

use std::sync::LazyLock;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::Response;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::context::Context;
use super::{calls, erasures, health, hosts, live, meetings, notices, traces, trunks, verified, webhooks};

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
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            say_problems(operation);
        }
    }
    document
}

/// What every operation has in common: problems have their own content type, and a token that is
/// missing or unknown is one.
fn say_problems(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    if operation.security.is_none() {
        responses.insert("401".to_owned(), RefOr::T(Response::new("")));
    }
    for (status, response) in responses.iter_mut().filter(|(status, _)| status.as_str() >= "400") {
        let RefOr::T(response) = response else { continue };
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        response.content.clear();
        response.content.insert("application/problem+json".to_owned(), RefOr::T(problem));
        response.description = match status.as_str() {
            "400" | "422" => "A parameter or field is wrong.",
            "401" => "No token, or an unknown one.",
            "403" => "Only the operator may do that.",
            "404" => "It does not exist, or belongs to somebody else.",
            "409" => "Not possible as things stand.",
            _ => "Please try again later.",
        }
        .to_owned();
    }
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
        .routes(routes!(meetings::send_invitations))
        .routes(routes!(verified::list_verified, verified::revoke_all))
        .routes(routes!(verified::revoke))
        .routes(routes!(erasures::erase))
        .routes(routes!(notices::list_notices, notices::dismiss_notices))
        .routes(routes!(live::live))
        .routes(routes!(live::roster))
        .routes(routes!(live::lock))
        .routes(routes!(live::unlock))
        .routes(routes!(live::mute_all))
        .routes(routes!(live::unmute_all))
        .routes(routes!(live::record))
        .routes(routes!(live::stop_recording))
        .routes(routes!(live::promote))
        .routes(routes!(live::lower_hand))
        .routes(routes!(live::admit))
        .routes(routes!(live::refuse))
        .routes(routes!(live::mute))
        .routes(routes!(live::unmute))
        .routes(routes!(live::remove))
        .routes(routes!(live::remove_and_forget))
        .routes(routes!(calls::list_calls))
        .routes(routes!(calls::get_call))
        .routes(routes!(webhooks::list_deliveries))
        .routes(routes!(webhooks::retry_delivery))
        .routes(routes!(traces::ladder))
        .routes(routes!(traces::capture))
        .routes(routes!(trunks::list_trunks))
        .routes(routes!(trunks::test_trunk))
        .routes(routes!(trunks::probe_trunk))
        .routes(routes!(trunks::reload))
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
