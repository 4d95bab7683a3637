//! What is alive now: live meetings, who is in them, and what can be done about it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::calls::Quality;
use super::context::Context;
use super::input::Id;
use super::meetings;
use super::problem::Problem;
use super::words::MeetingKind;
use crate::bridge::{Command, Snapshot, snapshot};
use crate::store::words::Word;
use crate::types::{CallId, HostId, MeetingId, PhoneNumber};

/// What the caller may see of what is alive.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    items: Vec<LiveMeeting>,
    /// Always null: what is alive comes in one piece.
    next: Option<String>,
    /// Calls at any stage, in meetings or on their way there.
    calls: usize,
    /// No new calls are taken.
    draining: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct LiveMeeting {
    #[schema(value_type = String, format = Uuid)]
    meeting_id: MeetingId,
    #[schema(value_type = String, format = Uuid)]
    host_id: HostId,
    kind: MeetingKind,
    title: String,
    /// `moderator` or `caller`.
    opened_by: &'static str,
    #[schema(value_type = String, format = DateTime)]
    opened_at: Timestamp,
    participants: usize,
    /// Callers who hear music until the meeting goes on.
    waiting: usize,
    /// Callers whom a moderator must let in.
    lobby: usize,
    /// New guests go to the lobby.
    locked: bool,
    recording: bool,
}

/// Live meetings: all for the operator, its own for a host.
#[utoipa::path(get, path = "/live", tag = "live", responses((status = 200, body = Live)))]
pub async fn live(State(context): State<Context>, caller: Caller) -> Result<Json<Live>, Problem> {
    let scope = caller.scope()?;
    let snapshot = context.switchboard.snapshot();
    let mine = |host: Option<HostId>| scope.is_none() || scope == host;
    let items = snapshot.meetings.iter().filter(|meeting| mine(Some(meeting.host)));
    Ok(Json(Live {
        items: items.map(|meeting| LiveMeeting::of(meeting, &snapshot)).collect(),
        next: None,
        calls: snapshot.calls.iter().filter(|call| mine(call.host)).count(),
        draining: snapshot.draining,
    }))
}

impl LiveMeeting {
    fn of(meeting: &snapshot::LiveMeeting, all: &Snapshot) -> Self {
        Self {
            meeting_id: meeting.meeting,
            host_id: meeting.host,
            kind: meeting.kind.into(),
            title: meeting.title.clone(),
            opened_by: meeting.opened_by.word(),
            opened_at: meeting.opened_at,
            participants: meeting.roster.len(),
            waiting: meeting.waiting,
            lobby: all.lobby.iter().filter(|waiting| waiting.meeting == Some(meeting.meeting)).count(),
            locked: meeting.locked,
            recording: meeting.recording,
        }
    }
}

/// Who is in a meeting. Everyone who is mixed stands here.
#[derive(Debug, Serialize, ToSchema)]
pub struct Roster {
    items: Vec<Participant>,
    /// Always null: a roster comes in one piece.
    next: Option<String>,
    /// The meeting's.
    title: String,
    /// The meeting is on.
    live: bool,
    waiting: usize,
    /// New guests go to the lobby.
    locked: bool,
    /// Being recorded; everyone has heard so.
    recording: bool,
    /// Guests are muted, and who comes is as well.
    all_muted: bool,
    /// Who waits to be let in, longest first: for this meeting, or for the host while nothing is live.
    lobby: Vec<InLobby>,
}

/// Somebody who has proved all that is asked, and whom only a moderator lets in.
#[derive(Debug, Serialize, ToSchema)]
pub struct InLobby {
    #[schema(value_type = String, format = Uuid)]
    id: CallId,
    /// Masked; null when withheld.
    number: Option<String>,
    /// `locked`, or `guessing`: too many wrong codes were tried for this host.
    reason: &'static str,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

impl From<&snapshot::InLobby> for InLobby {
    fn from(waiting: &snapshot::InLobby) -> Self {
        Self {
            id: waiting.participant,
            number: waiting.number.as_ref().map(PhoneNumber::masked),
            reason: waiting.reason.word(),
            since: waiting.since,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Participant {
    #[schema(value_type = String, format = Uuid)]
    id: CallId,
    /// `moderator` or `guest`.
    role: &'static str,
    /// Masked; null when withheld.
    number: Option<String>,
    /// Why they were let in: `proved-code`, `remembered` (this meeting's code was not asked),
    /// `pin-only` or `moderator`.
    entered: &'static str,
    /// A moderator let them in from the lobby.
    admitted: bool,
    #[schema(value_type = String, format = DateTime)]
    joined_at: Timestamp,
    muted: bool,
    /// By the moderator: `*6` does not undo it.
    hard_muted: bool,
    hand_raised: bool,
    /// They speak right now.
    talking: bool,
    /// Their phone sends back what it is sent: others hear themselves.
    echo: bool,
    /// How they have sounded since the call began, renewed every few seconds; null at first, and where
    /// nothing has been measured yet.
    quality: Option<Quality>,
}

impl From<&snapshot::Participant> for Participant {
    fn from(participant: &snapshot::Participant) -> Self {
        Self {
            id: participant.participant,
            role: participant.role.word(),
            number: participant.number.as_ref().map(PhoneNumber::masked),
            entered: participant.entered.word(),
            admitted: participant.admitted,
            joined_at: participant.joined_at,
            muted: participant.muted,
            hard_muted: participant.hard_muted,
            hand_raised: participant.hand_raised,
            talking: participant.talking,
            echo: participant.echo,
            quality: participant.quality.map(Quality::from),
        }
    }
}

/// Who is in the meeting; nobody when it is not live.
#[utoipa::path(get, path = "/meetings/{id}/roster", tag = "live", params(("id" = String, Path)),
    responses((status = 200, body = Roster), (status = 404, body = Problem)))]
pub async fn roster(
    State(context): State<Context>,
    caller: Caller,
    Id(id): Id<MeetingId>,
) -> Result<Json<Roster>, Problem> {
    let stored = meetings::moderated(&context, caller, id).await?;
    let snapshot = context.switchboard.snapshot();
    let meeting = snapshot.meetings.iter().find(|meeting| meeting.meeting == id);
    Ok(Json(Roster {
        items: meeting.map(|live| live.roster.iter().map(Participant::from).collect()).unwrap_or_default(),
        next: None,
        live: meeting.is_some(),
        waiting: meeting.map_or(0, |live| live.waiting),
        locked: meeting.is_some_and(|live| live.locked),
        recording: meeting.is_some_and(|live| live.recording),
        all_muted: meeting.is_some_and(|live| live.all_muted),
        lobby: snapshot
            .lobby
            .iter()
            .filter(|waiting| waiting.host == stored.host && waiting.meeting.is_none_or(|live| live == id))
            .map(InLobby::from)
            .collect(),
        title: stored.title,
    }))
}

/// From now on new guests go to the lobby.
#[utoipa::path(post, path = "/meetings/{id}/lock", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn lock(
    State(context): State<Context>,
    caller: Caller,
    Id(meeting): Id<MeetingId>,
) -> Result<StatusCode, Problem> {
    tell_meeting(&context, caller, meeting, Command::Lock { meeting, locked: true }).await
}

/// New guests go straight in again, and so does who waits in the lobby because of the lock.
#[utoipa::path(post, path = "/meetings/{id}/unlock", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn unlock(
    State(context): State<Context>,
    caller: Caller,
    Id(meeting): Id<MeetingId>,
) -> Result<StatusCode, Problem> {
    tell_meeting(&context, caller, meeting, Command::Lock { meeting, locked: false }).await
}

/// Mutes every guest, and who comes later. Each may undo it for themselves with `*6`.
#[utoipa::path(post, path = "/meetings/{id}/mute-all", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn mute_all(
    State(context): State<Context>,
    caller: Caller,
    Id(meeting): Id<MeetingId>,
) -> Result<StatusCode, Problem> {
    tell_meeting(&context, caller, meeting, Command::MuteAll { meeting, muted: true }).await
}

/// Undoes `mute-all`. Who was muted alone stays so.
#[utoipa::path(post, path = "/meetings/{id}/unmute-all", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn unmute_all(
    State(context): State<Context>,
    caller: Caller,
    Id(meeting): Id<MeetingId>,
) -> Result<StatusCode, Problem> {
    tell_meeting(&context, caller, meeting, Command::MuteAll { meeting, muted: false }).await
}

/// Records the meeting. Everyone in it hears so, and who comes later before anybody hears them.
#[utoipa::path(post, path = "/meetings/{id}/record", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn record(
    State(context): State<Context>,
    caller: Caller,
    Id(meeting): Id<MeetingId>,
) -> Result<StatusCode, Problem> {
    tell_meeting(&context, caller, meeting, Command::Record { meeting, on: true }).await
}

/// Ends the recording. Everyone in the meeting hears so.
#[utoipa::path(post, path = "/meetings/{id}/stop-recording", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn stop_recording(
    State(context): State<Context>,
    caller: Caller,
    Id(meeting): Id<MeetingId>,
) -> Result<StatusCode, Problem> {
    tell_meeting(&context, caller, meeting, Command::Record { meeting, on: false }).await
}

/// Makes the participant a moderator, who hears so.
#[utoipa::path(post, path = "/participants/{id}/promote", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn promote(
    State(context): State<Context>,
    caller: Caller,
    Id(participant): Id<CallId>,
) -> Result<StatusCode, Problem> {
    tell(&context, caller, participant, Command::Promote { participant }).await
}

/// Lowers the participant's hand.
#[utoipa::path(post, path = "/participants/{id}/lower-hand", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn lower_hand(
    State(context): State<Context>,
    caller: Caller,
    Id(participant): Id<CallId>,
) -> Result<StatusCode, Problem> {
    tell(&context, caller, participant, Command::LowerHand { participant }).await
}

/// Lets a caller in from the lobby.
#[utoipa::path(post, path = "/participants/{id}/admit", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn admit(
    State(context): State<Context>,
    caller: Caller,
    Id(participant): Id<CallId>,
) -> Result<StatusCode, Problem> {
    tell(&context, caller, participant, Command::Admit { participant }).await
}

/// Sends a caller away from the lobby: they hear so, and the call ends.
#[utoipa::path(post, path = "/participants/{id}/refuse", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn refuse(
    State(context): State<Context>,
    caller: Caller,
    Id(participant): Id<CallId>,
) -> Result<StatusCode, Problem> {
    tell(&context, caller, participant, Command::Refuse { participant }).await
}

/// Others do not hear the participant any more.
#[utoipa::path(post, path = "/participants/{id}/mute", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn mute(
    State(context): State<Context>,
    caller: Caller,
    Id(participant): Id<CallId>,
) -> Result<StatusCode, Problem> {
    tell(&context, caller, participant, Command::Mute { participant, muted: true }).await
}

/// Others hear the participant again.
#[utoipa::path(post, path = "/participants/{id}/unmute", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn unmute(
    State(context): State<Context>,
    caller: Caller,
    Id(participant): Id<CallId>,
) -> Result<StatusCode, Problem> {
    tell(&context, caller, participant, Command::Mute { participant, muted: false }).await
}

/// Out of the meeting; the call ends.
#[utoipa::path(post, path = "/participants/{id}/remove", tag = "live", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove(
    State(context): State<Context>,
    caller: Caller,
    Id(participant): Id<CallId>,
) -> Result<StatusCode, Problem> {
    tell(&context, caller, participant, Command::Remove { participant, forget: false }).await
}

/// Out of the meeting; the call ends, and the phone is asked for PIN and code next time.
#[utoipa::path(post, path = "/participants/{id}/remove-and-forget", tag = "live",
    params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove_and_forget(
    State(context): State<Context>,
    caller: Caller,
    Id(participant): Id<CallId>,
) -> Result<StatusCode, Problem> {
    tell(&context, caller, participant, Command::Remove { participant, forget: true }).await
}

async fn tell(
    context: &Context,
    caller: Caller,
    participant: CallId,
    command: Command,
) -> Result<StatusCode, Problem> {
    let snapshot = context.switchboard.snapshot();
    let is_in = |meeting: &&snapshot::LiveMeeting| {
        meeting.roster.iter().any(|someone| someone.participant == participant)
    };
    let inside = snapshot.meetings.iter().find(is_in).map(|meeting| (meeting.host, Some(meeting.meeting)));
    let waits = snapshot.lobby.iter().find(|waiting| waiting.participant == participant);
    let place = inside.or(waits.map(|waiting| (waiting.host, waiting.meeting)));
    let (host, meeting) = place.ok_or_else(|| Problem::no_such("participant"))?;
    caller.may_moderate(host, meeting, "participant")?;
    context.command(caller, command).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn tell_meeting(
    context: &Context,
    caller: Caller,
    meeting: MeetingId,
    command: Command,
) -> Result<StatusCode, Problem> {
    meetings::moderated(context, caller, meeting).await?;
    context.command(caller, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
