//! For operators: the trunks as they stand, who may call over them, and a new reading of the
//! configuration.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::context::Context;
use super::input::{Id, Parameters};
use super::problem::Problem;
use super::{Ping, Probe, Refused, Registration, Reloaded, Verdict};

#[derive(Debug, Serialize, ToSchema)]
pub struct Trunks {
    items: Vec<Trunk>,
    /// Always null: trunks come in one piece.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Trunk {
    name: String,
    /// Addresses and blocks whose calls are this trunk's.
    allow: Vec<String>,
    /// Names of which its verified TLS client certificate must have one; empty: none is asked for.
    tls_names: Vec<String>,
    /// Which header names the caller with the carrier's word: `none`, `from` or `pai`.
    believes: &'static str,
    /// What a national number on it means (ISO 3166).
    country: Option<String>,
    /// Calls at any stage, now.
    calls_live: usize,
    /// Most calls at once; null: no limit of its own.
    calls_max: Option<usize>,
    /// Calls that are over, since the service's start: answered ones, and those refused or given
    /// up before an answer.
    answered: u64,
    unanswered: u64,
    /// How its calls are told from others: `address`, `registration` (the registrar's addresses),
    /// `password`.
    recognised_by: Vec<&'static str>,
    /// The way to its peer: `registered`, `up`, `down`, or `unknown` when nobody asks.
    state: &'static str,
    /// Sources that are its because we are registered there.
    learned: Vec<String>,
    registration: Option<Registration>,
    ping: Option<Ping>,
    refused: Refused,
}

/// Every trunk, by name.
#[utoipa::path(get, path = "/trunks", tag = "operation",
    responses((status = 200, body = Trunks), (status = 403, body = Problem)))]
pub async fn list_trunks(State(context): State<Context>, caller: Caller) -> Result<Json<Trunks>, Problem> {
    caller.operator_only()?;
    let snapshot = context.switchboard.snapshot();
    let items = context.service.operations.trunks().into_iter().map(|facts| Trunk {
        calls_live: snapshot.calls.iter().filter(|call| call.trunk == facts.name).count(),
        name: facts.name,
        allow: facts.allow,
        tls_names: facts.tls_names,
        believes: facts.believes,
        country: facts.country,
        calls_max: facts.calls_max,
        answered: facts.answered,
        unanswered: facts.unanswered,
        recognised_by: facts.recognised_by,
        state: facts.state,
        learned: facts.learned,
        registration: facts.registration,
        ping: facts.ping,
        refused: facts.refused,
    });
    Ok(Json(Trunks { items: items.collect(), next: None }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Source {
    /// The address that calls come from.
    #[param(example = "192.0.2.7")]
    from: String,
}

/// Would a call from this address come in over this trunk now, and if not, which rule refuses it?
#[utoipa::path(get, path = "/trunks/{name}/test", tag = "operation",
    params(("name" = String, Path), Source),
    responses((status = 200, body = Verdict), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem)))]
pub async fn test_trunk(
    State(context): State<Context>,
    caller: Caller,
    Id(name): Id<String>,
    Parameters(source): Parameters<Source>,
) -> Result<Json<Verdict>, Problem> {
    caller.operator_only()?;
    let from: IpAddr = source.from.parse().map_err(|_| {
        Problem::bad_parameter("from", "not an IP address, expected such as 192.0.2.7 or 2001:db8::7")
    })?;
    let verdict = context.service.operations.judge(&name, from.to_canonical());
    verdict.map(Json).ok_or_else(|| Problem::no_such("trunk"))
}

/// Ask the trunk's peer whether it is there (SIP OPTIONS), now: where it is pinged or where we register.
#[utoipa::path(post, path = "/trunks/{name}/probe", tag = "operation",
    params(("name" = String, Path)),
    responses((status = 200, body = Probe), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem)))]
pub async fn probe_trunk(
    State(context): State<Context>,
    caller: Caller,
    Id(name): Id<String>,
) -> Result<Json<Probe>, Problem> {
    caller.operator_only()?;
    let operations = &context.service.operations;
    if !operations.trunks().iter().any(|trunk| trunk.name == name) {
        return Err(Problem::no_such("trunk"));
    }
    let probe = operations.probe(name).await;
    probe.map(Json).ok_or_else(|| {
        Problem::conflict(
            "nothing says where this trunk's peer is: it has neither ping.target nor register.registrar",
        )
    })
}

/// Read the configuration again: trunks, access numbers, TLS certificates and the log level change at once, live calls
/// go on. A faulty configuration changes nothing.
#[utoipa::path(post, path = "/reload", tag = "operation",
    responses((status = 200, body = Reloaded), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn reload(State(context): State<Context>, caller: Caller) -> Result<Json<Reloaded>, Problem> {
    caller.operator_only()?;
    context.service.operations.reload().await.map(Json).map_err(Problem::faulty_configuration)
}
