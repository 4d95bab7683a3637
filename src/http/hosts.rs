//! `/hosts`: accounts, their PINs and their tokens.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Caller;
use super::check;
use super::conditions::{Conditions, Tagged};
use super::context::Context;
use super::input::{Body, Id, Parameters, present};
use super::list::{List, Paging};
use super::once::Once;
use super::problem::Problem;
use super::words::{KnownCallers, Notices};
use crate::bridge::Command;
use crate::store::{self, HostChange, NewHost};
use crate::types::{HostId, Language, MeetingId, PhoneNumber, TokenId};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHostBody {
    /// 1 to 200 characters.
    name: String,
    email: String,
    /// What callers are spoken to in, as a BCP 47 tag; absent: the access number's language.
    #[schema(example = "en-GB")]
    language: Option<String>,
    known_callers: Option<KnownCallers>,
    /// The host's own phones in E.164, at most 20.
    #[serde(default)]
    numbers: Vec<String>,
}

/// What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostPatch {
    name: Option<String>,
    email: Option<String>,
    /// Null: the access number's.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    language: Option<Option<String>>,
    known_callers: Option<KnownCallers>,
    notices: Option<Notices>,
    /// Whether each notice is mailed to `email`, too. Nothing is, while `notices` is `off`.
    notice_mail: Option<bool>,
    /// In place of those it has.
    numbers: Option<Vec<String>>,
}

/// A host as itself and the operator see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Host {
    #[schema(value_type = String, format = Uuid)]
    id: HostId,
    name: String,
    email: String,
    #[schema(value_type = Option<String>)]
    language: Option<Language>,
    known_callers: KnownCallers,
    notices: Notices,
    notice_mail: bool,
    numbers: Vec<String>,
    /// Names the host's room; the same for moderator and guests.
    pin: String,
    /// Told once, when it is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_pin: Option<String>,
    /// The meeting that opens when nothing is scheduled.
    #[schema(value_type = String, format = Uuid)]
    standard_meeting_id: MeetingId,
    used_up: UsedUp,
    #[schema(value_type = String, format = DateTime)]
    created_at: jiff::Timestamp,
}

/// What was guessed at so often that it is not taken any more.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct UsedUp {
    /// Too many wrong codes: callers who are not verified go to the lobby even with the right one, until
    /// there is a new PIN.
    codes: bool,
    /// The host PIN opens nothing until there is a new one.
    host_pin: bool,
}

impl From<store::UsedUp> for UsedUp {
    fn from(used_up: store::UsedUp) -> Self {
        Self { codes: used_up.codes, host_pin: used_up.host_pin }
    }
}

impl Host {
    fn of(host: store::Host, used_up: store::UsedUp) -> Self {
        Self {
            id: host.id,
            name: host.name,
            email: host.email,
            language: host.language,
            known_callers: host.known_callers.into(),
            notices: host.notices.into(),
            notice_mail: host.notice_mail,
            numbers: host.numbers.iter().map(|number| number.reveal().to_owned()).collect(),
            pin: host.pin.reveal().to_owned(),
            host_pin: None,
            standard_meeting_id: host.standard_meeting,
            used_up: used_up.into(),
            created_at: host.created_at,
        }
    }
}

/// One line of the list: without PIN, numbers masked.
#[derive(Debug, Serialize, ToSchema)]
pub struct HostLine {
    #[schema(value_type = String, format = Uuid)]
    id: HostId,
    name: String,
    email: String,
    #[schema(value_type = Option<String>)]
    language: Option<Language>,
    known_callers: KnownCallers,
    numbers: Vec<String>,
    #[schema(value_type = String, format = Uuid)]
    standard_meeting_id: MeetingId,
    #[schema(value_type = String, format = DateTime)]
    created_at: jiff::Timestamp,
}

impl From<store::Host> for HostLine {
    fn from(host: store::Host) -> Self {
        Self {
            id: host.id,
            name: host.name,
            email: host.email,
            language: host.language,
            known_callers: host.known_callers.into(),
            numbers: host.numbers.iter().map(PhoneNumber::masked).collect(),
            standard_meeting_id: host.standard_meeting,
            created_at: host.created_at,
        }
    }
}

/// Makes a host with a PIN, a host PIN and its standing meeting. Operator only.
#[utoipa::path(post, path = "/hosts", tag = "hosts", params(("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key within 24 h, it is done once and answered as before.")), request_body = NewHostBody,
    responses((status = 201, body = Host), (status = 422, body = Problem)))]
pub async fn add_host(
    State(context): State<Context>,
    caller: Caller,
    once: Once,
    Body(body): Body<NewHostBody>,
) -> Result<impl IntoResponse, Problem> {
    caller.operator_only()?;
    let new = NewHost {
        name: check::line("name", &body.name)?,
        email: check::email("email", &body.email)?,
        language: body.language.as_deref().map(|text| check::language("language", text)).transpose()?,
        known_callers: body.known_callers.map(Into::into).unwrap_or_default(),
        numbers: check::numbers("numbers", &body.numbers)?,
    };
    let (host, host_pin) = context
        .store
        .add_host_once(&new, context.service.rules.pin_length, context.now(), once.get())
        .await?;
    let location = location("hosts", host.id);
    let host =
        Host { host_pin: Some(host_pin.reveal().to_owned()), ..Host::of(host, store::UsedUp::default()) };
    Ok((StatusCode::CREATED, [location], Json(host)))
}

/// All hosts, oldest first; a host sees itself.
#[utoipa::path(get, path = "/hosts", tag = "hosts", params(Paging),
    responses((status = 200, body = List<HostLine>)))]
pub async fn list_hosts(
    State(context): State<Context>,
    caller: Caller,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<List<HostLine>>, Problem> {
    let range = paging.range()?;
    Ok(Json(match caller {
        Caller::Operator => List::of(context.store.hosts(range).await?, HostLine::from),
        Caller::Host(host) => {
            List::whole(context.store.host(host).await?.into_iter().map(HostLine::from).collect())
        }
        Caller::Link(_) => return Err(Problem::not_by_link()),
    }))
}

/// One host, with its PIN.
#[utoipa::path(get, path = "/hosts/{id}", tag = "hosts", params(("id" = String, Path), ("If-None-Match" = Option<String>, Header, description = "ETag of the answer that is known already.")),
    responses((status = 200, body = Host), (status = 304, description = "It is as the caller knows it."), (status = 404, body = Problem)))]
pub async fn get_host(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    conditions: Conditions,
) -> Result<Response, Problem> {
    let host = visible(&context, caller, id).await?;
    Ok(shown(&context, host).await?.unless_known(&conditions))
}

/// Changes a host.
#[utoipa::path(patch, path = "/hosts/{id}", tag = "hosts", params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed; if it has changed meanwhile, nothing is done.")),
    request_body = HostPatch, responses((status = 412, body = Problem), (status = 200, body = Host), (status = 422, body = Problem)))]
pub async fn patch_host(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    conditions: Conditions,
    Body(body): Body<HostPatch>,
) -> Result<Tagged<Host>, Problem> {
    visible(&context, caller, id).await?;
    let change = HostChange {
        name: body.name.map(|text| check::line("name", &text)).transpose()?,
        email: body.email.map(|text| check::email("email", &text)).transpose()?,
        language: match body.language {
            Some(Some(text)) => Some(Some(check::language("language", &text)?)),
            Some(None) => Some(None),
            None => None,
        },
        known_callers: body.known_callers.map(Into::into),
        notices: body.notices.map(Into::into),
        notice_mail: body.notice_mail,
        numbers: body.numbers.map(|texts| check::numbers("numbers", &texts)).transpose()?,
    };
    let versions = conditions.versions();
    let host = context.store.change_host_if(id, &change, versions.as_deref()).await?;
    shown(&context, host.ok_or_else(no_such_host)?).await
}

/// Removes a host with all that is its; a live meeting of it ends. Operator only.
#[utoipa::path(delete, path = "/hosts/{id}", tag = "hosts", params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "ETag of what is to be changed; if it has changed meanwhile, nothing is done.")),
    responses((status = 412, body = Problem), (status = 204), (status = 404, body = Problem)))]
pub async fn remove_host(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    conditions: Conditions,
) -> Result<StatusCode, Problem> {
    caller.operator_only()?;
    let versions = conditions.versions();
    if !context.store.remove_host_if(id, context.now(), versions.as_deref()).await? {
        return Err(no_such_host());
    }
    context.command(caller, Command::HostRemoved { host: id }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Draws a new PIN. The old one is worth nothing at once, and every verified number is forgotten.
#[utoipa::path(post, path = "/hosts/{id}/new-pin", tag = "hosts", params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key within 24 h, it is done once and answered as before.")),
    responses((status = 200, body = Host), (status = 404, body = Problem)))]
pub async fn new_pin(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    once: Once,
) -> Result<Tagged<Host>, Problem> {
    visible(&context, caller, id).await?;
    let length = context.service.rules.pin_length;
    let host = context.store.new_pin_once(id, length, context.now(), once.get()).await?;
    shown(&context, host.ok_or_else(no_such_host)?).await
}

/// Draws a new host PIN, which is told here and never again.
#[utoipa::path(post, path = "/hosts/{id}/new-host-pin", tag = "hosts", params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key within 24 h, it is done once and answered as before.")),
    responses((status = 200, body = Host), (status = 404, body = Problem)))]
pub async fn new_host_pin(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    once: Once,
) -> Result<Json<Host>, Problem> {
    let host = visible(&context, caller, id).await?;
    let pin = context.store.new_host_pin_once(id, context.now(), once.get()).await?;
    let pin = pin.ok_or_else(no_such_host)?;
    let used_up = context.store.used_up(id, context.now()).await?;
    Ok(Json(Host { host_pin: Some(pin.reveal().to_owned()), ..Host::of(host, used_up) }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for, such as `outlook`.
    name: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Token {
    #[schema(value_type = String, format = Uuid)]
    id: TokenId,
    name: String,
    /// Told once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: jiff::Timestamp,
}

/// Makes a token with which the host's own programs come to this API. Operator only: a token that
/// leaked must not make others.
#[utoipa::path(post, path = "/hosts/{id}/tokens", tag = "hosts", params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Sent again with the same key within 24 h, it is done once and answered as before.")),
    request_body = NewToken, responses((status = 201, body = Token), (status = 404, body = Problem)))]
pub async fn add_token(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    once: Once,
    Body(body): Body<NewToken>,
) -> Result<(StatusCode, Json<Token>), Problem> {
    caller.may_see(id, "host")?;
    caller.operator_only()?;
    let name = check::line("name", &body.name)?;
    let (facts, token) = context.store.add_token_once(id, &name, context.now(), once.get()).await?;
    let token = Some(token.reveal().to_owned());
    let told = Token { id: facts.id, name: facts.name, token, created_at: facts.created_at };
    Ok((StatusCode::CREATED, Json(told)))
}

/// The host's tokens, without the tokens themselves, oldest first.
#[utoipa::path(get, path = "/hosts/{id}/tokens", tag = "hosts", params(("id" = String, Path), Paging),
    responses((status = 200, body = List<Token>), (status = 404, body = Problem)))]
pub async fn list_tokens(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<HostId>,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<List<Token>>, Problem> {
    visible(&context, caller, id).await?;
    let page = context.store.tokens(id, paging.range()?).await?;
    Ok(Json(List::of(page, |token| Token {
        id: token.id,
        name: token.name,
        token: None,
        created_at: token.created_at,
    })))
}

/// Revokes a token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "hosts", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn revoke_token(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<TokenId>,
) -> Result<StatusCode, Problem> {
    if context.store.revoke_token(id, caller.scope()?).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::no_such("token"))
    }
}

async fn shown(context: &Context, host: store::Host) -> Result<Tagged<Host>, Problem> {
    let used_up = context.store.used_up(host.id, context.now()).await?;
    let version = host.version.clone();
    Ok(Tagged::new(context, &version, Host::of(host, used_up)))
}

/// The host, if the caller may see it.
pub async fn visible(context: &Context, caller: Caller, id: HostId) -> Result<store::Host, Problem> {
    caller.may_see(id, "host")?;
    context.store.host(id).await?.ok_or_else(no_such_host)
}

pub fn location(of: &str, id: impl std::fmt::Display) -> (HeaderName, String) {
    (header::LOCATION, format!("/api/v1/{of}/{id}"))
}

fn no_such_host() -> Problem {
    Problem::no_such("host")
}
