//! Admission of one caller: judged by what is on now, then into the mix, to wait, or out.

use std::time::Instant;

use crate::bridge::admission::{ModeratorBy, Proof, Verdict};
use crate::bridge::call::Call;
use crate::bridge::call::choose::before_entering;
use crate::bridge::call::entry::ask_code;
use crate::bridge::call::flow::next;
use crate::bridge::call::inside::{Inside, Menu, tell_media};
use crate::bridge::call::leaving::leave;
use crate::bridge::call::lobby::enter_lobby;
use crate::bridge::call::sound::{quiet, say, speak_as_host};
use crate::bridge::call::state::{About, Event, HOLD, OPENING_TIME, PROMPT_TIME, State};
use crate::bridge::desk::{Asker, Desk};
use crate::bridge::guess::Proved;
use crate::bridge::meeting::{Recording, Row};
use crate::bridge::news::What;
use crate::bridge::snapshot::{Entered, Role};
use crate::bridge::view::{HostView, Known, MeetingKind};
use crate::bridge::{Ending, Output, Prompt, Question, verify};
use crate::types::{Digit, HostId, MeetingId, PhoneNumber, Trust};

/// What a caller has shown without a code.
pub(super) fn base_proof(desk: &Desk, call: &Call, host: &HostView) -> Proof {
    let own = call.caller.number.as_ref().is_some_and(|number| host.numbers.contains(number));
    if own && call.caller.trust == Trust::Signed {
        Proof::Moderator(ModeratorBy::OwnNumber)
    } else if known_to(call, host.id).is_some() {
        Proof::Remembered { shared: desk.shared(&call.caller) }
    } else {
        Proof::Pin
    }
}

pub(super) fn known_to(call: &Call, host: HostId) -> Option<&Known> {
    call.known.iter().find(|known| known.host.id == host)
}

/// Judges the caller by what is on now, and acts.
pub(super) fn admit(desk: &mut Desk, call: &mut Call, host: Box<HostView>, proof: Proof) -> State {
    let verdict = desk.judge(&host, proof, call);
    act(desk, call, host, proof, verdict)
}

pub(super) fn act(
    desk: &mut Desk,
    call: &mut Call,
    mut host: Box<HostView>,
    proof: Proof,
    verdict: Verdict,
) -> State {
    let now = desk.now().instant;
    let host_id = host.id;
    speak_as_host(desk, call, &host);
    // Who comes as far as the lobby has not succeeded yet.
    if !matches!(verdict, Verdict::AskCode | Verdict::Lobby(_)) && !call.wrong.is_empty() {
        let proved = match proof {
            Proof::Code(meeting) => Proved::Code(meeting),
            Proof::Moderator(ModeratorBy::HostPin) => Proved::HostPin,
            _ => Proved::Pin,
        };
        let wrong = std::mem::take(&mut call.wrong);
        desk.ask(Asker::Nobody, Question::GiveBack { wrong, proved });
    }
    desk.record(call.id, |record| record.host = Some(host_id));
    if matches!(proof, Proof::Moderator(_)) && matches!(verdict, Verdict::Join(..) | Verdict::Open(..)) {
        match before_entering(desk, call, host, proof) {
            Ok(state) => return state,
            Err(back) => host = back,
        }
    }
    match verdict {
        Verdict::Join(entered, role) => match unheard_recording(desk, call, host_id) {
            Some(recording) => announce(desk, call, host, proof, recording),
            None => enter(desk, call, host, proof, entered, role),
        },
        Verdict::Open(meeting, by) => {
            desk.open_for_caller(&host, meeting, by);
            State::Opening { host, proof, until: now + OPENING_TIME }
        }
        Verdict::AskCode => {
            let prompt =
                if known_to(call, host_id).is_some() { Prompt::KnownEnterCode } else { Prompt::EnterCode };
            ask_code(desk, call, About::Proved(host, prompt), vec![prompt])
        }
        Verdict::WaitForStart(meeting) => wait(desk, call, host, proof, meeting, Prompt::WaitForStart),
        Verdict::WaitForModerator(meeting) => {
            wait(desk, call, host, proof, meeting, Prompt::WaitForModerator)
        }
        Verdict::Lobby(reason) => enter_lobby(desk, call, host, proof, reason),
        Verdict::Refuse(ending) => {
            desk.explain(call.id, format!("kept out: {}", shown(proof)));
            leave(desk, call, ending)
        }
    }
}

/// The recording that goes on, unless this caller knows of it.
fn unheard_recording(desk: &Desk, call: &Call, host: HostId) -> Option<(MeetingId, Recording)> {
    let live = desk.live(host)?;
    let recording = (live.view.id, live.recording?);
    (call.heard != Some(recording)).then_some(recording)
}

/// Says that the meeting is recorded, before anybody hears this caller.
fn announce(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    proof: Proof,
    recording: (MeetingId, Recording),
) -> State {
    call.heard = Some(recording);
    let playback = say(desk, call, vec![Prompt::RecordingOn]);
    State::Announcing { host, proof, playback, until: desk.now().instant + PROMPT_TIME }
}

/// Presses the keys of a host PIN that was typed ahead.
pub(super) fn press_ahead(
    desk: &mut Desk,
    call: &mut Call,
    mut state: State,
    ahead: Vec<(Digit, Instant)>,
) -> State {
    for (key, at) in ahead {
        state = next(desk, call, state, Event::Key(key, at));
    }
    state
}

pub(super) fn wait(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    proof: Proof,
    meeting: MeetingId,
    prompt: Prompt,
) -> State {
    let now = desk.now().instant;
    let ahead = call.typed.take_host_pin();
    say(desk, call, vec![prompt]);
    call.music = true;
    desk.out.push(Output::PlayLoop { call: call.id, prompt: Prompt::Music });
    desk.record(call.id, |record| record.meeting = Some(meeting));
    desk.explain(call.id, format!("may wait: {}", shown(proof)));
    let until = now + desk.settings.waiting;
    let state = State::Waiting { host, proof, meeting, remind: now + desk.settings.reassurance, until };
    press_ahead(desk, call, state, ahead)
}

/// Into the mix, as soon as may be; what is said is said while the room is heard.
pub(super) fn enter(
    desk: &mut Desk,
    call: &mut Call,
    host: Box<HostView>,
    proof: Proof,
    entered: Entered,
    role: Role,
) -> State {
    let Some(live) = desk.live(host.id) else { return leave(desk, call, Ending::MeetingEnded) };
    let (meeting, one_time) = (live.view.id, live.view.kind == MeetingKind::OneTime);
    let number = call.caller.number.clone();
    let proved = number.as_ref().is_some_and(|number| live.proved.contains(number));
    let muted = live.all_muted && role == Role::Guest;
    // Before they are mixed.
    tell_media(desk, call, muted);
    let without_code = (one_time && entered == Entered::Remembered && !proved).then_some(meeting);
    let at = desk.now().date;
    let row = Row {
        role,
        number,
        entered,
        admitted: call.admitted == Some(host.id),
        joined_at: at,
        muted_self: false,
        muted_with_all: muted,
        muted_hard: false,
        hand_raised: false,
        named: call.named,
        order: 0,
    };
    let first = desk.join(call.id, host.id, row, one_time && entered == Entered::Remembered);
    call.place = Some((host.id, meeting));
    let ahead = call.typed.take_host_pin();
    desk.record(call.id, |record| {
        record.host = Some(host.id);
        record.meeting = Some(meeting);
        record.entered = Some(entered);
        record.joined_at.get_or_insert(at);
    });
    desk.explain(call.id, format!("let in: {}", shown(proof)));

    let known = known_to(call, host.id).map(|known| (known.verified, known.meeting));
    if let Some((_, proved_there)) = known
        && without_code.is_some()
        && proved_there != without_code
    {
        let number = call.caller.number.clone();
        desk.tell(host.id, without_code, What::CameWithoutCode { participant: call.id, number });
    }
    let known = known.map(|(verified, _)| verified);
    let mut said = match (first, call.admitted == Some(host.id)) {
        (true, _) => vec![Prompt::FirstHere],
        (false, true) => vec![Prompt::LetIn],
        (false, false) if known.is_none() && role == Role::Guest => vec![Prompt::Joining],
        (false, false) => Vec::new(),
    };
    said.extend((role == Role::Moderator).then_some(Prompt::YouAreModerator));
    said.extend(muted.then_some(Prompt::MutedForNow));
    if !said.is_empty() {
        call.playing = Some(desk.play(call.id, said));
    }
    if let Some(verified) = known {
        desk.ask(Asker::Nobody, Question::Used { verified, date: at, without_code });
    }
    if let Proof::Code(_) = proof
        && one_time
        && let Some(number) = verify::may_be_remembered(&call.caller, &desk.settings).cloned()
    {
        if let Some(live) = desk.room(host.id).live.as_mut() {
            live.proved.insert(number.clone());
        }
        if known.is_none() && call.remembered != Some(host.id) {
            remember(desk, call, host.id, meeting, number);
        }
    }
    let inside = State::InMeeting(Inside { host, meeting, role, menu: Menu::Closed });
    // For a moderator these keys would end the meeting.
    if role == Role::Guest { press_ahead(desk, call, inside, ahead) } else { inside }
}

/// Has the phone remembered. The caller is told when it is durable (R5).
pub(super) fn remember(
    desk: &mut Desk,
    call: &mut Call,
    host: HostId,
    meeting: MeetingId,
    number: PhoneNumber,
) {
    desk.owed.retain(|(_, other, owed)| (*other, owed) != (host, &number));
    let asker = Asker::Remember { call: call.id, host, number: number.clone(), forget: false };
    let trust = call.caller.trust;
    let trunk = call.trunk_group.clone();
    let question = desk.ask(asker, Question::Remember { host, number, meeting, trust, trunk });
    call.remembering = Some(question);
}

pub(super) const fn shown(proof: Proof) -> &'static str {
    match proof {
        Proof::Pin => "the PIN was right",
        Proof::Code(_) => "the details and the one-time code were right",
        Proof::Remembered { shared: false } => "the phone is remembered",
        Proof::Remembered { shared: true } => "the phone is remembered, but another live call has its number",
        Proof::Moderator(ModeratorBy::OwnNumber) => "the host's own number, signed",
        Proof::Moderator(ModeratorBy::HostPin) => "the host PIN was right",
    }
}

/// From a standard meeting that had to give way into the one that took its place (R2).
pub(super) fn follow_on(desk: &mut Desk, call: &mut Call, host: Box<HostView>, ending: Ending) -> State {
    call.hold_until = desk.now().instant + HOLD;
    let proof = base_proof(desk, call, &host);
    match desk.judge(&host, proof, call) {
        Verdict::AskCode => ask_code_of_another(desk, call, host),
        verdict @ (Verdict::Join(..) | Verdict::WaitForModerator(_) | Verdict::Lobby(_)) => {
            desk.step(call.id, "following");
            act(desk, call, host, proof, verdict)
        }
        _ => leave(desk, call, ending),
    }
}

pub(super) fn ask_code_of_another(desk: &mut Desk, call: &mut Call, host: Box<HostView>) -> State {
    call.hold_until = desk.now().instant + HOLD;
    quiet(desk, call);
    let prompt = Prompt::OtherMeetingEnterCode;
    ask_code(desk, call, About::Proved(host, prompt), vec![prompt])
}

/// Another meeting of the host opened while this caller waited for one: who is remembered and let
/// in there goes in, the others are asked for its code.
pub(super) fn to_another(desk: &mut Desk, call: &mut Call, host: Box<HostView>) -> State {
    desk.step(call.id, "another-meeting-opened");
    let proof = base_proof(desk, call, &host);
    match desk.judge(&host, proof, call) {
        verdict @ (Verdict::Join(..) | Verdict::WaitForModerator(_) | Verdict::Lobby(_)) => {
            quiet(desk, call);
            act(desk, call, host, proof, verdict)
        }
        _ => ask_code_of_another(desk, call, host),
    }
}

/// The meeting that just opened is one with a code, and not the one waited for.
pub(super) fn another_one_time_meeting(
    desk: &Desk,
    host: HostId,
    opened: Option<MeetingId>,
    meeting: MeetingId,
) -> bool {
    opened.is_some_and(|opened| opened != meeting)
        && desk.live(host).is_some_and(|live| live.view.kind == MeetingKind::OneTime)
}
