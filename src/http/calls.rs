//! `/calls`: live calls and the records of past ones. Numbers are masked for everyone.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::Caller;
use super::check;
use super::context::Context;
use super::input::{Id, Parameters};
use super::list::{List, bad_cursor, limit};
use super::problem::Problem;
use crate::bridge::snapshot::LiveCall;
use crate::bridge::{By, Ending, input, record};
use crate::store::words::Word;
use crate::store::{CallFilter, Cursor, PastCall, PastKey, Range};
use crate::types::{CallId, HostId, MeetingId, PhoneNumber, Suite, Trust};

/// What one call did, or does.
#[derive(Debug, Serialize, ToSchema)]
pub struct Call {
    #[schema(value_type = String, format = Uuid)]
    id: CallId,
    live: bool,
    /// Where it is, or was last: such as `asking-pin`, `in-meeting`, `over`.
    state: String,
    trunk: String,
    access_number: Option<String>,
    /// Masked; null when withheld.
    number: Option<String>,
    withheld: bool,
    /// How far the number is believed: `none`, `claimed`, `network`, `signed`.
    #[schema(value_type = String)]
    trust: Trust,
    /// What that rests on, such as `network: P-Asserted-Identity on trunk lab`; null while it lives.
    trust_reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    answered_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    joined_at: Option<Timestamp>,
    /// Null while it lives.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = Uuid)]
    host_id: Option<HostId>,
    #[schema(value_type = Option<String>, format = Uuid)]
    meeting_id: Option<MeetingId>,
    /// Why the caller was let in: `proved-code`, `remembered`, `pin-only`, `moderator`.
    entered: Option<&'static str>,
    /// How it ended, such as `hung-up`; null while it lives.
    ending: Option<&'static str>,
    /// The same in a sentence.
    ending_text: Option<&'static str>,
    /// Why this caller was let in, asked again or kept out.
    explanation: Option<String>,
    /// The phone was remembered during this call.
    remembered: bool,
}

/// A call with what is too long for a list. Of a live one that is not known yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallDetail {
    #[serde(flatten)]
    call: Call,
    /// `Call-ID` of its dialog (RFC 3261 §8.1.1.4).
    sip_call_id: Option<String>,
    /// The way through the states.
    path: Vec<Step>,
    keys: Vec<Key>,
    /// What moderators did to this call, at most the first 64 acts.
    moderated: Vec<Act>,
    quality: Option<Quality>,
    /// The peer's half of Session-ID (RFC 7989), the same at all ends of the call.
    session_id: Option<String>,
    /// The final SIP status of a call that we refused.
    refused_with: Option<u16>,
    /// Whose phone sent the call on to us, masked, as Diversion or History-Info says.
    redirected_by: Option<String>,
    /// Why it did: such as `user-busy`, `no-answer`, `unconditional`, or a SIP status.
    redirected_why: Option<String>,
    /// What the caller's side said when it ended the call.
    peer_reason: Option<PeerReason>,
}

/// A Reason header (RFC 3326).
#[derive(Debug, Serialize, ToSchema)]
pub struct PeerReason {
    /// Cause of Q.850, 1 to 127.
    q850: Option<u8>,
    /// SIP status.
    sip: Option<u16>,
    text: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Step {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    what: String,
}

/// A key press: when and where it was heard, never which.
#[derive(Debug, Serialize, ToSchema)]
pub struct Key {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `rtp`, `info` or `inband`.
    source: &'static str,
    /// How long it was down, in milliseconds; absent: its end was not heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    length_ms: Option<u32>,
    /// How often another source told of the same press, within 100 ms.
    merged: u8,
}

impl Key {
    fn of(key: &PastKey) -> Self {
        Self { at: key.at, source: key.source.word(), length_ms: key.length_ms, merged: key.merged }
    }
}

/// What a moderator did to a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct Act {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `muted`, `unmuted`, `muted-with-all`, `unmuted-with-all`, `admitted`, `refused`, `promoted`,
    /// `hand-lowered`, `removed` or `removed-and-forgotten`.
    what: String,
    /// By a token of the `operator` or the `host`, a `moderator-link`, or a moderator's `phone`.
    by: &'static str,
    /// The moderator's call, if it was by phone.
    #[schema(value_type = Option<String>, format = Uuid)]
    by_call_id: Option<CallId>,
}

impl From<record::Act> for Act {
    fn from(act: record::Act) -> Self {
        let (by, by_call_id) = match act.by {
            By::Operator => ("operator", None),
            By::Host => ("host", None),
            By::ModeratorLink => ("moderator-link", None),
            By::Phone(call) => ("phone", Some(call)),
        };
        Self { at: act.at, what: act.what, by, by_call_id }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Quality {
    packets_received: u64,
    packets_late: u64,
    packets_lost: u64,
    packets_sent: u64,
    jitter_ms: f32,
    /// Share of frames that were concealed, 0 to 1.
    concealed: f32,
    /// What the caller's side lost, 0 to 1, as it reported.
    peer_lost: Option<f32>,
    round_trip_ms: Option<f32>,
    /// Packets that came after one that was sent later.
    packets_reordered: u64,
    /// Ticks of ours, of 20 ms, that came more than 5 ms late for this call or were left out; by how much the
    /// worst was late.
    ticks_late: u64,
    tick_late_max_ms: f32,
    /// What the jitter buffer added at the end.
    buffer_ms: f32,
    /// How we heard the caller, as people would rate it: 1 to 4.5 (ITU-T G.107).
    mos: Option<f32>,
    /// How the caller's side says that it heard us (RFC 3611).
    peer_mos: Option<f32>,
    /// SRTP packets that were not authentic, or came again.
    packets_rejected: u64,
    /// What encrypted the sound, such as `AES_CM_128_HMAC_SHA1_80`; null: it was plain.
    srtp: Option<&'static str>,
}

impl From<&LiveCall> for Call {
    fn from(call: &LiveCall) -> Self {
        Self {
            id: call.call,
            live: true,
            state: call.state.to_owned(),
            trunk: call.trunk.clone(),
            access_number: None,
            number: call.number.as_ref().map(PhoneNumber::masked),
            withheld: call.number.is_none(),
            trust: call.trust,
            trust_reason: None,
            started_at: call.started_at,
            answered_at: None,
            joined_at: None,
            ended_at: None,
            host_id: call.host,
            meeting_id: call.meeting,
            entered: None,
            ending: None,
            ending_text: None,
            explanation: None,
            remembered: false,
        }
    }
}

impl From<&PastCall> for Call {
    fn from(call: &PastCall) -> Self {
        let facts = call.ending.facts();
        Self {
            id: call.call,
            live: false,
            state: "over".to_owned(),
            trunk: call.trunk.clone(),
            access_number: call.access_number.clone(),
            number: call.number.as_ref().map(PhoneNumber::masked),
            withheld: call.withheld,
            trust: call.trust,
            trust_reason: Some(call.trust_reason.clone()).filter(|reason| !reason.is_empty()),
            started_at: call.started_at,
            answered_at: call.answered_at,
            joined_at: call.joined_at,
            ended_at: Some(call.ended_at),
            host_id: call.host,
            meeting_id: call.meeting,
            entered: call.entered.map(Word::word),
            ending: Some(facts.name),
            ending_text: Some(facts.text),
            explanation: Some(call.explanation.clone()),
            remembered: call.remembered,
        }
    }
}

impl CallDetail {
    fn past(call: PastCall) -> Self {
        let said = call.signalled.clone();
        let peer_reason = PeerReason { q850: said.peer_q850, sip: said.peer_status, text: said.peer_text };
        let has_reason =
            peer_reason.q850.is_some() || peer_reason.sip.is_some() || peer_reason.text.is_some();
        Self {
            call: Call::from(&call),
            sip_call_id: Some(call.sip_call_id),
            path: call.path.into_iter().map(|step| Step { at: step.at, what: step.what }).collect(),
            keys: call.keys.iter().map(Key::of).collect(),
            moderated: call.acts.into_iter().map(Act::from).collect(),
            quality: call.quality.map(Quality::from),
            session_id: said.session_id,
            refused_with: said.refused_with,
            redirected_by: said.redirected_by,
            redirected_why: said.redirected_why,
            peer_reason: has_reason.then_some(peer_reason),
        }
    }

    fn live(call: &LiveCall) -> Self {
        Self {
            call: call.into(),
            sip_call_id: None,
            path: Vec::new(),
            keys: Vec::new(),
            moderated: Vec::new(),
            quality: None,
            session_id: None,
            refused_with: None,
            redirected_by: None,
            redirected_why: None,
            peer_reason: None,
        }
    }
}

impl From<input::Quality> for Quality {
    fn from(quality: input::Quality) -> Self {
        Self {
            packets_received: quality.packets_received,
            packets_late: quality.packets_late,
            packets_lost: quality.packets_lost,
            packets_sent: quality.packets_sent,
            jitter_ms: quality.jitter_ms,
            concealed: quality.concealed,
            peer_lost: quality.peer_lost,
            round_trip_ms: quality.round_trip_ms,
            packets_reordered: quality.reordered,
            ticks_late: quality.ticks_late,
            tick_late_max_ms: quality.tick_late_max_ms,
            buffer_ms: quality.buffer_ms,
            mos: quality.opinion,
            peer_mos: quality.peer_opinion,
            packets_rejected: quality.packets_rejected,
            srtp: quality.srtp.map(Suite::name),
        }
    }
}

/// All that are given must be met.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CallQuery {
    /// True: live calls alone; false: past ones alone; absent: live ones first, then past ones.
    live: Option<bool>,
    host_id: Option<String>,
    meeting_id: Option<String>,
    trunk: Option<String>,
    /// The caller's number in E.164.
    number: Option<String>,
    /// Such as `too-many-wrong-entries`; past calls alone.
    ending: Option<String>,
    /// Started at this time or later.
    from: Option<String>,
    /// Started before this time.
    until: Option<String>,
    /// Most items, 1 to 200; 50 if absent.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Calls, live ones first, then past ones, latest start first. A host sees those that reached it.
#[utoipa::path(get, path = "/calls", tag = "calls", params(CallQuery),
    responses((status = 200, body = List<Call>), (status = 400, body = Problem)))]
pub async fn list_calls(
    State(context): State<Context>,
    caller: Caller,
    Parameters(query): Parameters<CallQuery>,
) -> Result<Json<List<Call>>, Problem> {
    let limit = limit(query.limit)?;
    let place = query.cursor.as_deref().map(Place::from_text).transpose()?;
    let Some(filter) = filter(&query, caller)? else { return Ok(Json(List::whole(Vec::new()))) };

    let mut items = Vec::new();
    let mut after = None;
    match place {
        Some(Place::Past(cursor)) => after = Some(cursor),
        _ if query.live == Some(false) || filter.ending.is_some() => {}
        live_place => {
            let snapshot = context.switchboard.snapshot();
            let mut live: Vec<&LiveCall> =
                snapshot.calls.iter().filter(|call| is_met(&filter, call)).collect();
            live.sort_by_key(|call| std::cmp::Reverse(call.call));
            if let Some(Place::Live(seen)) = live_place {
                live.retain(|call| call.call < seen);
            }
            let more = live.len() > limit as usize;
            items.extend(live.iter().take(limit as usize).map(|call| Call::from(*call)));
            if more || (items.len() == limit as usize && query.live.is_none()) {
                let next = items.last().map(|call| Place::Live(call.id).to_text());
                return Ok(Json(List { items, next }));
            }
        }
    }
    if query.live == Some(true) {
        return Ok(Json(List::whole(items)));
    }
    let range = Range { after, limit: limit - items.len() as u32 };
    let page = context.store.calls(&filter, range).await?;
    items.extend(page.items.iter().map(Call::from));
    Ok(Json(List { items, next: page.next.map(|cursor| Place::Past(cursor).to_text()) }))
}

/// One call with its way through the states, keys' sources and sound quality.
#[utoipa::path(get, path = "/calls/{id}", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, body = CallDetail), (status = 404, body = Problem)))]
pub async fn get_call(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<CallId>,
) -> Result<Json<CallDetail>, Problem> {
    let scope = caller.scope()?;
    let may_see = |host: Option<HostId>| scope.is_none() || scope == host;
    let snapshot = context.switchboard.snapshot();
    if let Some(call) = snapshot.calls.iter().find(|call| call.call == id && may_see(call.host)) {
        return Ok(Json(CallDetail::live(call)));
    }
    let past = context.store.call(id).await?.filter(|call| may_see(call.host));
    past.map(|call| Json(CallDetail::past(call))).ok_or_else(|| Problem::no_such("call"))
}

/// `None`: it can be met by nothing that this caller may see.
fn filter(query: &CallQuery, caller: Caller) -> Result<Option<CallFilter>, Problem> {
    let asked = query.host_id.as_deref().map(|text| id::<HostId>("host_id", text)).transpose()?;
    let host = match (caller.scope()?, asked) {
        (Some(own), Some(asked)) if own != asked => return Ok(None),
        (own, asked) => own.or(asked),
    };
    // In a query a plus sign is a space (it must be written %2B); a number begins with no space.
    let number = query.number.as_deref().map(|text| match text.strip_prefix(' ') {
        Some(rest) => format!("+{rest}"),
        None => text.to_owned(),
    });
    let time = |name, text: &Option<String>| {
        let text = text.as_deref();
        text.map(|text| check::time(name, text).map_err(|_| bad(name, "expected a time as in RFC 3339")))
            .transpose()
    };
    Ok(Some(CallFilter {
        host,
        meeting: query.meeting_id.as_deref().map(|text| id("meeting_id", text)).transpose()?,
        trunk: query.trunk.clone(),
        number: number
            .map(|text| PhoneNumber::parse(&text, None).map_err(|error| bad("number", &error.to_string())))
            .transpose()?,
        ending: query
            .ending
            .as_deref()
            .map(|name| {
                Ending::from_name(name).ok_or_else(|| bad("ending", "expected a name such as hung-up"))
            })
            .transpose()?,
        from: time("from", &query.from)?,
        until: time("until", &query.until)?,
    }))
}

fn is_met(filter: &CallFilter, call: &LiveCall) -> bool {
    filter.host.is_none_or(|host| call.host == Some(host))
        && filter.meeting.is_none_or(|meeting| call.meeting == Some(meeting))
        && filter.trunk.as_ref().is_none_or(|trunk| call.trunk == *trunk)
        && filter.number.as_ref().is_none_or(|number| call.number.as_ref() == Some(number))
        && filter.from.is_none_or(|from| call.started_at >= from)
        && filter.until.is_none_or(|until| call.started_at < until)
}

fn id<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| bad(name, "expected an id (a UUID)"))
}

fn bad(name: &str, detail: &str) -> Problem {
    Problem::bad_parameter(name, detail)
}

/// Where a page of calls ended: among the live ones, or among the past ones.
enum Place {
    Live(CallId),
    Past(Cursor),
}

impl Place {
    fn to_text(&self) -> String {
        match self {
            Self::Live(call) => format!("l{}", call.0.simple()),
            Self::Past(cursor) => format!("p{}", cursor.to_text()),
        }
    }

    fn from_text(text: &str) -> Result<Self, Problem> {
        let place = if let Some(id) = text.strip_prefix('l') {
            id.parse().ok().map(Self::Live)
        } else {
            text.strip_prefix('p').and_then(Cursor::from_text).map(Self::Past)
        };
        place.ok_or_else(bad_cursor)
    }
}
