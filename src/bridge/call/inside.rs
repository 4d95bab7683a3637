//! In a meeting: what keys and moderators do to one participant.
//!
//! `*` opens the menu for one key ([`menu`]). Acts that cannot be undone are asked about first, and
//! `1` means yes; `*` takes back whatever was begun.

use std::time::{Duration, Instant};

use crate::bridge::call::Call;
use crate::bridge::call::collect::Collector;
use crate::bridge::call::enter::known_to;
use crate::bridge::call::host_pin;
use crate::bridge::call::leaving::leave;
use crate::bridge::call::menu::{self, Action};
use crate::bridge::call::sound::{quiet, say, tell};
use crate::bridge::call::state::{MENU_TIME, Patience, State};
use crate::bridge::command::By;
use crate::bridge::desk::{Asker, Desk, Todo};
use crate::bridge::meeting::Row;
use crate::bridge::snapshot::Role;
use crate::bridge::view::HostView;
use crate::bridge::{Ending, Output, PlaybackId, Prompt, QuestionId, sentence};
use crate::types::{CallId, Digit, HostId, Language, MeetingId};

use crate::bridge::call::state::Event;

/// Where a participant is.
#[derive(Debug)]
pub(crate) struct Inside {
    pub host: Box<HostView>,
    pub meeting: MeetingId,
    pub role: Role,
    pub menu: Menu,
}

/// What the next key means.
#[derive(Debug)]
pub(crate) enum Menu {
    /// Nothing, unless it is `*`.
    Closed,
    /// A command, until then.
    Open(Instant),
    /// `1`: yes. The instant: no.
    Confirm(Confirm, Instant),
    /// The name plays of a caller who is let in when it has been heard.
    Admitting { who: CallId, playback: PlaybackId, until: Instant },
    /// A digit of the host PIN.
    HostPin { entry: Collector, patience: Patience },
    /// Nothing: the host PIN is compared. `right` when the store has answered.
    CheckingHostPin { question: Option<QuestionId>, right: Option<bool>, last_key: Instant, until: Instant },
}

/// What a moderator is asked about first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Confirm {
    EndForAll,
    /// This one, whoever joins meanwhile.
    Drop(CallId),
}

/// For the question and its answer.
const CONFIRM_TIME: Duration = Duration::from_secs(12);
/// For a name, should nobody report its end.
const NAME_TIME: Duration = Duration::from_secs(10);
/// Most names that `*3` plays.
const NAMES_MAX: usize = 20;

impl Menu {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Closed => None,
            Self::Open(until) | Self::Confirm(_, until) => Some(*until),
            Self::Admitting { until, .. } | Self::CheckingHostPin { until, .. } => Some(*until),
            Self::HostPin { patience, .. } => Some(patience.deadline()),
        }
    }
}

pub(super) fn key(desk: &mut Desk, call: &mut Call, mut inside: Inside, key: Digit, at: Instant) -> State {
    let menu = std::mem::replace(&mut inside.menu, Menu::Closed);
    match menu {
        Menu::HostPin { entry, .. } => return host_pin::key_inside(desk, call, inside, entry, key, at),
        Menu::CheckingHostPin { .. } => inside.menu = menu,
        _ if key == Digit::STAR => {
            if matches!(menu, Menu::Confirm(..) | Menu::Admitting { .. }) {
                quiet(desk, call);
            }
            inside.menu = Menu::Open(at + MENU_TIME);
        }
        Menu::Open(_) => command(desk, call, &mut inside, key),
        Menu::Confirm(what, _) if key.as_char() == '1' => confirmed(desk, call, &inside, what),
        Menu::Confirm(..) => tell(desk, call, Prompt::NothingChanged),
        Menu::Admitting { .. } => inside.menu = menu,
        Menu::Closed => {}
    }
    State::InMeeting(inside)
}

pub(super) fn played(desk: &mut Desk, call: &mut Call, mut inside: Inside, played: PlaybackId) -> State {
    match inside.menu {
        Menu::Admitting { who, playback, .. } if playback == played => {
            inside.menu = Menu::Closed;
            admit(desk, call, &inside, who);
        }
        Menu::HostPin { entry, patience } => {
            let patience = patience.heard(played, desk.now().instant);
            inside.menu = Menu::HostPin { entry, patience };
        }
        _ => {}
    }
    State::InMeeting(inside)
}

pub(super) fn tick(desk: &mut Desk, call: &mut Call, mut inside: Inside) -> State {
    match std::mem::replace(&mut inside.menu, Menu::Closed) {
        Menu::Closed | Menu::Open(_) => {}
        Menu::Confirm(..) | Menu::HostPin { .. } => tell(desk, call, Prompt::NothingChanged),
        Menu::Admitting { who, .. } => admit(desk, call, &inside, who),
        Menu::CheckingHostPin { right: Some(right), last_key, .. } => {
            return host_pin::checked_inside(desk, call, inside, right, last_key);
        }
        Menu::CheckingHostPin { .. } => tell(desk, call, Prompt::TryLater),
    }
    State::InMeeting(inside)
}

fn command(desk: &mut Desk, call: &mut Call, inside: &mut Inside, key: Digit) {
    let Inside { host, meeting, role, .. } = inside;
    let (host, meeting, role) = (host.id, *meeting, *role);
    let now = desk.now().instant;
    match menu::action(key, role) {
        None => tell(desk, call, Prompt::UnknownKey),
        Some(Action::Help) if role == Role::Moderator => tell(desk, call, Prompt::HelpModerator),
        Some(Action::Help) => tell(desk, call, Prompt::HelpGuest),
        Some(Action::WhoIsHere) => who_is_here(desk, call, host),
        Some(Action::ToggleHand) => {
            let Some(row) = desk.row(call.id, host, meeting) else { return };
            row.hand_raised = !row.hand_raised;
            let raised = row.hand_raised;
            tell(desk, call, if raised { Prompt::HandRaised } else { Prompt::HandLowered });
            if raised {
                desk.hand_raised(host);
            }
        }
        Some(Action::ToggleMute) => {
            let Some(row) = desk.row(call.id, host, meeting) else { return };
            if row.muted_hard && role == Role::Guest {
                return tell(desk, call, Prompt::MutedByModerator);
            }
            let muted = !row.muted();
            let change = |row: &mut Row| {
                row.muted_self = muted;
                row.muted_with_all &= muted;
                row.muted_hard &= muted;
            };
            mute(desk, call, host, meeting, change);
            tell(desk, call, if muted { Prompt::Muted } else { Prompt::Unmuted });
        }
        Some(Action::ForgetPhone) => forget_phone(desk, call, host),
        Some(Action::BecomeModerator) => inside.menu = host_pin::ask_inside(desk, call),

        Some(Action::ToggleRecording) => {
            let on = desk.live(host).is_some_and(|live| live.recording.is_none());
            desk.step(call.id, if on { "starts-recording" } else { "stops-recording" });
            desk.record_meeting(host, meeting, on);
        }
        Some(Action::ToggleMuteAll) => {
            let muted = desk.live(host).is_some_and(|live| !live.all_muted);
            desk.step(call.id, if muted { "mutes-all" } else { "unmutes-all" });
            desk.mute_all(host, meeting, muted, By::Phone(call.id));
            tell(desk, call, if muted { Prompt::EveryoneMuted } else { Prompt::EveryoneUnmuted });
        }
        Some(Action::ToggleLock) => {
            let locked = desk.live(host).is_some_and(|live| !live.locked);
            desk.step(call.id, if locked { "locks" } else { "unlocks" });
            quiet(desk, call);
            desk.lock(host, meeting, locked);
        }
        Some(Action::AdmitNext) => match desk.room(host).lobby.front().copied() {
            None => tell(desk, call, Prompt::LobbyEmpty),
            Some(who) => {
                say(desk, call, vec![Prompt::LettingIn]);
                let playback = desk.play_name(call.id, who, Some(Prompt::NamelessCaller));
                call.playing = Some(playback);
                inside.menu = Menu::Admitting { who, playback, until: now + NAME_TIME };
            }
        },
        Some(Action::EndForAll) => {
            tell(desk, call, Prompt::ConfirmEnd);
            inside.menu = Menu::Confirm(Confirm::EndForAll, now + CONFIRM_TIME);
        }
        Some(Action::DropLast) => match desk.last_joined(host, call.id) {
            None => tell(desk, call, Prompt::NobodyToDrop),
            Some(who) => {
                tell(desk, call, Prompt::ConfirmDrop);
                inside.menu = Menu::Confirm(Confirm::Drop(who), now + CONFIRM_TIME);
            }
        },
    }
}

fn confirmed(desk: &mut Desk, call: &mut Call, inside: &Inside, what: Confirm) {
    let (host, meeting) = (inside.host.id, inside.meeting);
    match what {
        Confirm::EndForAll => {
            desk.step(call.id, "ends-for-all");
            quiet(desk, call);
            desk.close_for_moderator(None, host, meeting);
        }
        Confirm::Drop(who) if desk.row(who, host, meeting).is_some() => {
            desk.step(call.id, "drops-and-forgets");
            tell(desk, call, Prompt::Dropped);
            desk.act(who, "removed-and-forgotten", By::Phone(call.id));
            desk.todo.push_back(Todo::Call(who, Event::Removed { forget: true }));
        }
        Confirm::Drop(_) => tell(desk, call, Prompt::NobodyToDrop),
    }
}

/// The name has been heard: the caller is let in, if they are still there.
fn admit(desk: &mut Desk, call: &Call, inside: &Inside, who: CallId) {
    let lobby = &desk.room(inside.host.id).lobby;
    if !lobby.contains(&who) {
        desk.play(call.id, vec![Prompt::LobbyEmpty]);
        return;
    }
    let more = lobby.len() > 1;
    desk.step(call.id, "admits");
    desk.act(who, "admitted", By::Phone(call.id));
    desk.todo.push_back(Todo::Call(who, Event::Admitted));
    if more {
        desk.play(call.id, vec![Prompt::CallerWaits]);
    }
}

/// How many others, and the names of those who said one at the door.
fn who_is_here(desk: &mut Desk, call: &mut Call, host: HostId) {
    let Some(live) = desk.live(host) else { return };
    let others = live.roster.iter().filter(|(other, _)| **other != call.id);
    let count = others.clone().count();
    if count == 0 {
        return tell(desk, call, Prompt::OnlyYou);
    }
    let named: Vec<CallId> =
        others.filter(|(_, row)| row.named).map(|(other, _)| *other).take(NAMES_MAX).collect();
    let language = call.language.clone().unwrap_or_else(Language::english);
    let mut sentence = sentence::others(&language, count);
    if !named.is_empty() {
        sentence.push(Prompt::NamesHere);
    }
    say(desk, call, sentence);
    for other in named {
        call.playing = Some(desk.play_name(call.id, other, None));
    }
}

/// The moderator mutes this participant, or lets them speak.
pub(super) fn muted_hard(desk: &mut Desk, call: &mut Call, inside: &Inside, muted: bool) {
    let change = |row: &mut Row| {
        row.muted_hard = muted;
        row.muted_with_all &= muted;
    };
    desk.step(call.id, if muted { "muted-by-moderator" } else { "unmuted-by-moderator" });
    let Some(after) = mute(desk, call, inside.host.id, inside.meeting, change) else { return };
    let prompt = match (muted, after) {
        (true, _) => Prompt::MutedByModerator,
        // They muted themselves.
        (false, true) => Prompt::Muted,
        (false, false) => Prompt::Unmuted,
    };
    tell(desk, call, prompt);
}

/// The moderator mutes everyone, or lets all speak. Who is muted otherwise hears nothing new.
pub(super) fn muted_with_all(desk: &mut Desk, call: &mut Call, inside: &Inside, muted: bool) {
    let Some(row) = desk.row(call.id, inside.host.id, inside.meeting) else { return };
    let otherwise = row.muted_self || row.muted_hard;
    mute(desk, call, inside.host.id, inside.meeting, |row| row.muted_with_all = muted);
    if !otherwise {
        tell(desk, call, if muted { Prompt::MutedForNow } else { Prompt::Unmuted });
    }
}

/// Changes the roster row, and the mix when that changes what others hear. Whether the caller is
/// muted then.
fn mute(
    desk: &mut Desk,
    call: &mut Call,
    host: HostId,
    meeting: MeetingId,
    change: impl FnOnce(&mut Row),
) -> Option<bool> {
    let row = desk.row(call.id, host, meeting)?;
    change(row);
    let muted = row.muted();
    tell_media(desk, call, muted);
    Some(muted)
}

/// The leg is muted or not, whichever meeting it is in.
pub(super) fn tell_media(desk: &mut Desk, call: &mut Call, muted: bool) {
    if std::mem::replace(&mut call.muted, muted) != muted {
        desk.out.push(Output::Mute { call: call.id, muted });
    }
}

/// By the host PIN, or by another moderator. Who was muted by one may speak.
pub(super) fn promote(desk: &mut Desk, call: &mut Call, inside: &mut Inside) {
    let (host, meeting) = (inside.host.id, inside.meeting);
    let again = inside.role == Role::Moderator;
    inside.role = Role::Moderator;
    mute(desk, call, host, meeting, |row| {
        row.role = Role::Moderator;
        row.muted_hard = false;
        row.muted_with_all = false;
    });
    if !again {
        desk.step(call.id, "becomes-moderator");
        desk.moderator_came(host, call.id);
    }
    tell(desk, call, Prompt::YouAreModerator);
}

pub(super) fn hand_lowered(desk: &mut Desk, call: &mut Call, inside: &Inside) {
    let Some(row) = desk.row(call.id, inside.host.id, inside.meeting) else { return };
    if std::mem::take(&mut row.hand_raised) {
        tell(desk, call, Prompt::HandLowered);
    }
}

/// `*9`. A number that is not believed enough forgets nothing: it may be somebody else's.
fn forget_phone(desk: &mut Desk, call: &mut Call, host: HostId) {
    let here = call.remembered == Some(host) || call.remembering.is_some() || known_to(call, host).is_some();
    match call.caller.number.clone() {
        Some(number) if here => {
            call.known.retain(|known| known.host.id != host);
            call.remembered = None;
            if !withdraw(desk, call) {
                desk.forget(host, number, Some(call.id), None);
            }
        }
        _ => tell(desk, call, Prompt::PhoneNotRemembered),
    }
}

/// If this phone is just being remembered: has it forgotten when that is done.
fn withdraw(desk: &mut Desk, call: &mut Call) -> bool {
    let Some(question) = call.remembering.take() else { return false };
    match desk.asked.get_mut(&question) {
        Some(Asker::Remember { forget, .. }) => {
            *forget = true;
            true
        }
        _ => false,
    }
}

/// Out, by the moderator. What this call had remembered goes with it (R5).
pub(super) fn removed(desk: &mut Desk, call: &mut Call, host: HostId, forget: bool) -> State {
    let here = call.remembered == Some(host);
    call.remembered = None;
    desk.record(call.id, |record| record.remembered = false);
    let withdrawn = withdraw(desk, call);
    if (forget || here)
        && !withdrawn
        && let Some(number) = call.caller.number.clone()
    {
        desk.forget(host, number, None, None);
    }
    leave(desk, call, Ending::RemovedByModerator)
}
