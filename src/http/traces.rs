//! `/calls/{id}/ladder` and `/sip.pcap`: the signalling of a call, masked. For the operator alone.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::context::Context;
use super::input::{Id, Parameters};
use super::problem::Problem;
use crate::types::CallId;

/// The way to what was traced.
pub trait Traces: Send + Sync + 'static {
    /// What there is of a call, by its id or the `Call-ID` of its dialog.
    fn find(&self, call: CallId, sip_call_id: Option<&str>) -> Option<Trace>;
}

/// A service that traces nothing.
pub struct NoTraces;

impl Traces for NoTraces {
    fn find(&self, _: CallId, _: Option<&str>) -> Option<Trace> {
        None
    }
}

/// The signalling of one call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Trace {
    /// `Call-ID` of its dialog.
    pub sip_call_id: String,
    pub messages: Vec<TraceMessage>,
    /// Messages that found no room; they are missing after the first ones.
    pub left_out: u64,
    /// The messages as arrows between addresses.
    pub ladder: String,
    #[serde(skip)]
    pub pcap: Vec<u8>,
}

/// One SIP message. What is secret in it is x-ed out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TraceMessage {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// To the peer, not from it.
    pub outgoing: bool,
    #[schema(example = "192.0.2.7:5060")]
    pub from: String,
    pub to: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// Such as `INVITE (sdp)` or `200 OK (INVITE, sdp)`.
    pub summary: String,
    pub text: String,
}

/// In which form.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// `json` (if absent) or `text`: the ladder alone.
    format: Option<String>,
}

/// The signalling of a call: its messages, and a ladder of them. Those of the latest calls are kept in
/// memory. Keys pressed, credentials and SRTP keys are x-ed out, and the middle of telephone numbers.
#[utoipa::path(get, path = "/calls/{id}/ladder", tag = "calls", params(("id" = String, Path), Wanted),
    responses((status = 200, body = Trace), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn ladder(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<CallId>,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<Response, Problem> {
    caller.operator_only()?;
    let text = match wanted.format.as_deref() {
        None | Some("json") => false,
        Some("text") => true,
        Some(_) => return Err(Problem::bad_parameter("format", "expected json or text")),
    };
    let trace = find(&context, id).await?;
    Ok(if text {
        ([(CONTENT_TYPE, "text/plain; charset=utf-8")], trace.ladder).into_response()
    } else {
        Json(trace).into_response()
    })
}

/// The same as a capture file, for Wireshark: each message as a UDP datagram, whatever carried it.
#[utoipa::path(get, path = "/calls/{id}/sip.pcap", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, content_type = "application/vnd.tcpdump.pcap", body = Vec<u8>),
              (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn capture(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<CallId>,
) -> Result<Response, Problem> {
    caller.operator_only()?;
    let trace = find(&context, id).await?;
    let headers = [
        (CONTENT_TYPE, "application/vnd.tcpdump.pcap".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.pcap\"")),
    ];
    Ok((headers, trace.pcap).into_response())
}

/// A live call is known by its id, a past one by what its record says.
async fn find(context: &Context, id: CallId) -> Result<Trace, Problem> {
    if let Some(trace) = context.service.traces.find(id, None) {
        return Ok(trace);
    }
    let past = context.store.call(id).await?.map(|call| call.sip_call_id);
    let trace = past.and_then(|sip_call_id| context.service.traces.find(id, Some(&sip_call_id)));
    trace.ok_or_else(|| Problem::no_such("trace of that call; only the latest calls have one"))
}
