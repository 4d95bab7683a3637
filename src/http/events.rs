//! `/events`: what happens in live meetings, as it happens (server-sent events, WHATWG HTML §9.2).
//!
//! Each event has an id; a reader that comes again with the last one as `Last-Event-ID` misses
//! nothing, or is told by a `reset` that it did.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use super::auth::{Bearer, Caller, identify};
use super::context::Context;
use super::feed::{Next, Reader, Refused, Scope};
use super::input::Parameters;
use super::live::{InLobby, Participant};
use super::meetings;
use super::problem::Problem;
use super::words::MeetingKind;
use crate::bridge::News;
use crate::bridge::news::What;
use crate::store::words::Word;
use crate::types::{CallId, HostId, MeetingId, PhoneNumber, Token};

/// The data of one event. Its `type` is the event's name as well.
#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String, format = Uuid)]
    host_id: HostId,
    /// Null for what happens while nothing is live.
    #[schema(value_type = Option<String>, format = Uuid)]
    meeting_id: Option<MeetingId>,
    #[serde(flatten)]
    happened: Happened,
}

/// What happened. Numbers are masked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Happened {
    /// The meeting is on. Nobody is in it yet; who comes is told one by one.
    Opened {
        kind: MeetingKind,
        title: String,
        /// `moderator` or `caller`.
        opened_by: &'static str,
        #[schema(value_type = String, format = DateTime)]
        opened_at: Timestamp,
        waiting: usize,
        locked: bool,
        recording: bool,
        all_muted: bool,
    },
    /// The moderator has opened a meeting that a caller had opened before.
    TakenOver {
        opened_by: &'static str,
    },
    Closed,
    /// Whether new guests go to the lobby.
    Lock {
        locked: bool,
    },
    Recording {
        recording: bool,
    },
    /// Whether guests are muted who come.
    AllMuted {
        all_muted: bool,
    },
    /// How many callers hear music until the meeting goes on.
    Waiting {
        waiting: usize,
    },
    Joined {
        participant: Participant,
    },
    Left {
        #[schema(value_type = String, format = Uuid)]
        participant_id: CallId,
    },
    /// `moderator` or `guest`.
    Role {
        #[schema(value_type = String, format = Uuid)]
        participant_id: CallId,
        role: &'static str,
    },
    Mute {
        #[schema(value_type = String, format = Uuid)]
        participant_id: CallId,
        muted: bool,
        /// By the moderator: `*6` does not undo it.
        hard_muted: bool,
    },
    Hand {
        #[schema(value_type = String, format = Uuid)]
        participant_id: CallId,
        hand_raised: bool,
    },
    Talk {
        #[schema(value_type = String, format = Uuid)]
        participant_id: CallId,
        talking: bool,
    },
    /// A caller waits to be let in.
    LobbyEntered {
        waiting: InLobby,
    },
    /// They were let in, sent away, or went.
    LobbyLeft {
        #[schema(value_type = String, format = Uuid)]
        participant_id: CallId,
    },
    /// A new phone proved PIN and code, and goes straight in from now on.
    Remembered {
        #[schema(value_type = String, format = Uuid)]
        participant_id: CallId,
        /// Masked.
        number: String,
    },
    /// A remembered phone came into this meeting without its code.
    CameWithoutCode {
        #[schema(value_type = String, format = Uuid)]
        participant_id: CallId,
        /// Masked.
        number: Option<String>,
    },
}

impl From<&What> for Happened {
    fn from(what: &What) -> Self {
        let masked = PhoneNumber::masked;
        match what {
            What::Opened(live) => Self::Opened {
                kind: live.kind.into(),
                title: live.title.clone(),
                opened_by: live.opened_by.word(),
                opened_at: live.opened_at,
                waiting: live.waiting,
                locked: live.locked,
                recording: live.recording,
                all_muted: live.all_muted,
            },
            What::TakenOver(by) => Self::TakenOver { opened_by: by.word() },
            What::Closed => Self::Closed,
            What::Locked(locked) => Self::Lock { locked: *locked },
            What::Recording(recording) => Self::Recording { recording: *recording },
            What::AllMuted(all_muted) => Self::AllMuted { all_muted: *all_muted },
            What::Waiting(waiting) => Self::Waiting { waiting: *waiting },
            What::Joined(participant) => Self::Joined { participant: participant.into() },
            What::Left(participant_id) => Self::Left { participant_id: *participant_id },
            What::BecameRole(participant_id, role) => {
                Self::Role { participant_id: *participant_id, role: role.word() }
            }
            What::Muted { participant, muted, hard } => {
                Self::Mute { participant_id: *participant, muted: *muted, hard_muted: *hard }
            }
            What::HandRaised(participant_id, up) => {
                Self::Hand { participant_id: *participant_id, hand_raised: *up }
            }
            What::Talking(participant_id, on) => Self::Talk { participant_id: *participant_id, talking: *on },
            What::CameToLobby(waiting) => Self::LobbyEntered { waiting: waiting.into() },
            What::LeftLobby(participant_id) => Self::LobbyLeft { participant_id: *participant_id },
            What::Remembered { participant, number } => {
                Self::Remembered { participant_id: *participant, number: masked(number) }
            }
            What::CameWithoutCode { participant, number } => {
                Self::CameWithoutCode { participant_id: *participant, number: number.as_ref().map(masked) }
            }
        }
    }
}

/// One event as it goes over the line.
pub fn text(id: u64, news: &News, at: Timestamp) -> String {
    let event = Event { at, host_id: news.host, meeting_id: news.meeting, happened: (&news.what).into() };
    let data = serde_json::to_value(&event).expect("an event is made of strings, numbers and flags");
    let name = data["type"].as_str().unwrap_or_default();
    // JSON on one line: it escapes every line break, so no title ends the event early.
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Events of this meeting alone, and of the host's lobby while nothing is live.
    meeting_id: Option<String>,
}

/// What happens from now on, or after the event whose id is given as `Last-Event-ID`: rosters, who talks,
/// lobbies, locks, recordings, meetings' lives, and phones that are remembered. The operator gets all, a
/// host its own, a moderator link its meeting's.
///
/// A `reset` says that events were missed: ask for what is live now and go on from there. Comments come at
/// least every 15 s. A reader that is too slow is cut off.
#[utoipa::path(get, path = "/events", tag = "live",
    params(EventQuery, ("Last-Event-ID" = Option<String>, Header, description = "Of the last event that was seen.")),
    responses((status = 200, body = Event, content_type = "text/event-stream"), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub async fn events(
    State(context): State<Context>,
    bearer: Bearer,
    headers: HeaderMap,
    Parameters(query): Parameters<EventQuery>,
) -> Result<Response, Problem> {
    let meeting = query.meeting_id.as_deref().map(str::parse::<MeetingId>).transpose();
    let meeting = meeting.map_err(|_| Problem::bad_parameter("meeting_id", "expected an id (a UUID)"))?;
    let meeting = meeting.or(bearer.caller.meeting());
    let host = match meeting {
        // Its host's lobby is its own as well.
        Some(meeting) => Some(meetings::moderated(&context, bearer.caller, meeting).await?.host),
        None => bearer.caller.scope()?,
    };
    // What is no id of ours is one that we do not hold.
    let after = headers.get("last-event-id").map(|id| {
        let id = id.to_str().ok().and_then(|id| id.trim().parse().ok());
        id.unwrap_or_default()
    });
    let hash = Sha256::digest(bearer.token.reveal()).into();
    let reader = context.service.feed.reader(hash, after).map_err(|refused| match refused {
        Refused::TooMany => Problem::too_many("this token reads events often enough already"),
        Refused::Full => Problem::unavailable("there are enough readers of events already"),
    })?;
    let onlooker = Onlooker {
        scope: Scope { host, meeting },
        greeted: false,
        heartbeat: Instant::now() + HEARTBEAT,
        reader,
        caller: bearer.caller,
        token: bearer.token,
        context,
    };
    let pieces = stream::unfold(onlooker, |mut onlooker| async move {
        let piece = onlooker.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(piece)), onlooker))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Proxies that collect an answer before they pass it on would collect for ever.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// One reader and what it has seen.
struct Onlooker {
    scope: Scope,
    greeted: bool,
    heartbeat: Instant,
    reader: Reader,
    caller: Caller,
    token: Token,
    context: Context,
}

impl Onlooker {
    /// The next piece of the answer; `None` at its end.
    async fn next(&mut self) -> Option<String> {
        loop {
            let first = !std::mem::replace(&mut self.greeted, true);
            match self.reader.take(self.scope) {
                Next::Events { text, .. } if !text.is_empty() => return Some(text),
                // An id without data: the reader knows where to go on, should nothing ever happen.
                Next::Events { through, .. } if first => return Some(beat(through)),
                Next::Events { .. } => {}
                Next::Lost { newest } if first => {
                    return Some(format!("id: {newest}\nevent: reset\ndata: {{\"type\":\"reset\"}}\n\n"));
                }
                Next::Lost { .. } => {
                    metrics::counter!("doorline_event_readers_dropped_total").increment(1);
                    info!("a reader of events was too slow and is cut off");
                    return None;
                }
            }
            tokio::select! {
                more = self.reader.wait() => if !more { return None },
                () = sleep_until(self.heartbeat) => {
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    return self.may_go_on().await.then(|| beat(self.reader.seen()));
                }
            }
        }
    }

    /// A token that was revoked reads no further. A database that is away revokes nothing.
    async fn may_go_on(&self) -> bool {
        match identify(&self.context, &self.token).await {
            Ok(caller) => caller == self.caller,
            Err(problem) => !problem.is_unauthorized(),
        }
    }
}

/// A sign of life.
fn beat(seen: u64) -> String {
    format!(": alive\nid: {seen}\n\n")
}

/// Between two signs of life at most: proxies cut off what is silent for a minute or half of one.
const HEARTBEAT: Duration = Duration::from_secs(15);
