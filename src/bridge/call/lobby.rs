//! The lobby: a caller who has proved all that is asked, and whom only a moderator lets in.
//!
//! They hear why, say their name, and hear music, never the meeting. A moderator lets them in or
//! sends them away; nobody waits longer than [`Settings::lobby`](crate::bridge::Settings::lobby).

use std::time::{Duration, Instant};

use crate::bridge::admission::{Proof, Verdict};
use crate::bridge::call::Call;
use crate::bridge::call::enter::{act, another_one_time_meeting, press_ahead, shown, to_another};
use crate::bridge::call::leaving::leave;
use crate::bridge::call::sound::{quiet, say};
use crate::bridge::call::state::{PROMPT_TIME, State};
use crate::bridge::desk::Desk;
use crate::bridge::snapshot::LobbyReason;
use crate::bridge::view::HostView;
use crate::bridge::{Ending, Output, PlaybackId, Prompt};
use crate::types::MeetingId;

/// Longest name that is kept.
const NAME_TIME: Duration = Duration::from_secs(4);

/// What only this state needs.
#[derive(Debug)]
pub(crate) struct Lobby {
    pub proof: Proof,
    /// The live meeting; `None` while nothing is live.
    pub meeting: Option<MeetingId>,
    pub reason: LobbyReason,
    name: Name,
    until: Instant,
}

/// How far the caller is with their name.
#[derive(Clone, Copy, Debug)]
enum Name {
    /// The question plays; the instant is for the case that nobody reports its end.
    Asked(PlaybackId, Instant),
    /// The caller speaks.
    Said(Instant),
    /// The moderators know; the caller is reassured at the instant.
    Kept(Instant),
}

impl Lobby {
    pub(crate) fn deadline(&self) -> Instant {
        match self.name {
            Name::Asked(_, at) | Name::Said(at) | Name::Kept(at) => at.min(self.until),
        }
    }
}

pub(super) fn enter_lobby(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    proof: Proof,
    reason: LobbyReason,
) -> State {
    let now = desk.now().instant;
    if desk.lobby_is_full(host.id) {
        desk.explain(call.id, format!("kept out, the lobby is full: {}", shown(proof)));
        return leave(desk, call, Ending::Locked);
    }
    let ahead = call.typed.take_host_pin();
    let why = match reason {
        LobbyReason::Locked => Prompt::LockedNow,
        LobbyReason::Guessing => Prompt::ModeratorLetsIn,
    };
    let playback = say(desk, call, vec![why, Prompt::SayName, Prompt::NameTone]);
    let meeting = desk.live(host.id).map(|live| live.view.id);
    desk.record(call.id, |record| record.meeting = meeting.or(record.meeting));
    desk.explain(call.id, format!("sent to the lobby: {}", shown(proof)));
    let lobby = Lobby {
        proof,
        meeting,
        reason,
        name: Name::Asked(playback, now + PROMPT_TIME),
        until: now + desk.settings.lobby,
    };
    press_ahead(desk, call, State::Lobby { host, lobby }, ahead)
}

/// The question has been heard.
pub(super) fn played(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    lobby: Lobby,
    played: PlaybackId,
) -> State {
    match lobby.name {
        Name::Asked(playback, _) if playback == played => listen(desk, call, host, lobby),
        _ => State::Lobby { host, lobby },
    }
}

/// A key goes on: past the question to the tone, and past the name.
pub(super) fn key(desk: &mut Desk, call: &mut Call, host: Box<HostView>, mut lobby: Lobby) -> State {
    match lobby.name {
        Name::Asked(..) => {
            let playback = say(desk, call, vec![Prompt::NameTone]);
            lobby.name = Name::Asked(playback, desk.now().instant + PROMPT_TIME);
            State::Lobby { host, lobby }
        }
        Name::Said(_) => hold(desk, call, host, lobby),
        Name::Kept(_) => State::Lobby { host, lobby },
    }
}

pub(super) fn tick(desk: &mut Desk, call: &mut Call, host: Box<HostView>, mut lobby: Lobby) -> State {
    let now = desk.now().instant;
    if now >= lobby.until {
        return leave(desk, call, Ending::LobbyTimedOut);
    }
    match lobby.name {
        Name::Asked(..) => listen(desk, call, host, lobby),
        Name::Said(_) => hold(desk, call, host, lobby),
        Name::Kept(_) => {
            call.playing = Some(desk.play(call.id, vec![Prompt::StillWaiting]));
            lobby.name = Name::Kept(now + desk.settings.reassurance);
            State::Lobby { host, lobby }
        }
    }
}

fn listen(desk: &mut Desk, call: &mut Call, host: Box<HostView>, mut lobby: Lobby) -> State {
    lobby.name = Name::Said(desk.now().instant + NAME_TIME);
    call.named = true;
    desk.out.push(Output::RecordName { call: call.id, most: NAME_TIME });
    State::Lobby { host, lobby }
}

/// The name is said: the moderators are told, and the caller holds the line.
fn hold(desk: &mut Desk, call: &mut Call, host: Box<HostView>, mut lobby: Lobby) -> State {
    say(desk, call, vec![Prompt::LobbyHold]);
    call.music = true;
    desk.out.push(Output::PlayLoop { call: call.id, prompt: Prompt::Music });
    lobby.name = Name::Kept(desk.now().instant + desk.settings.reassurance);
    desk.knock(host.id, call.id);
    State::Lobby { host, lobby }
}

/// The room has changed, or a moderator lets the caller in.
pub(super) fn rejudge(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    lobby: Lobby,
    opened: Option<MeetingId>,
) -> State {
    let verdict = desk.judge(&host, lobby.proof, call);
    let live = desk.live(host.id).map(|live| live.view.id);
    match verdict {
        Verdict::Lobby(reason) if live == lobby.meeting => {
            State::Lobby { host, lobby: Lobby { reason, ..lobby } }
        }
        Verdict::Join(..) | Verdict::Open(..) => {
            quiet(desk, call);
            act(desk, call, host, lobby.proof, verdict)
        }
        verdict => {
            // A name that was said for one meeting is not heard in another.
            call.named = false;
            desk.out.push(Output::DropName { call: call.id });
            let another =
                lobby.meeting.is_some_and(|meeting| another_one_time_meeting(desk, host.id, opened, meeting));
            if another || verdict == Verdict::AskCode {
                return to_another(desk, call, host);
            }
            quiet(desk, call);
            act(desk, call, host, lobby.proof, verdict)
        }
    }
}
