//! In a meeting: what keys and moderators do to one participant.

use crate::bridge::call::Call;
use crate::bridge::call::enter::known_to;
use crate::bridge::call::leaving::leave;
use crate::bridge::call::menu::{self, Action};
use crate::bridge::call::sound::{say, tell};
use crate::bridge::call::state::State;
use crate::bridge::desk::{Asker, Desk};
use crate::bridge::meeting::Row;
use crate::bridge::prompt::Number;
use crate::bridge::snapshot::Role;
use crate::bridge::{Ending, Output, Prompt};
use crate::types::{Digit, HostId, MeetingId};

pub(super) fn command(
    desk: &mut Desk,
    call: &mut Call,
    host: HostId,
    meeting: MeetingId,
    role: Role,
    key: Digit,
) {
    match menu::action(key, role) {
        None => tell(desk, call, Prompt::UnknownKey),
        Some(Action::Help) if role == Role::Moderator => tell(desk, call, Prompt::HelpModerator),
        Some(Action::Help) => tell(desk, call, Prompt::HelpGuest),
        Some(Action::CountPeople) => {
            let people = desk.live(host).map_or(1, |live| live.roster.len());
            if people <= 1 {
                return tell(desk, call, Prompt::OnlyYou);
            }
            let mut sentence = vec![Prompt::ThereAre];
            sentence.extend(Number::english(people));
            sentence.push(Prompt::PeopleHere);
            say(desk, call, sentence);
        }
        Some(Action::ToggleMute) => {
            let Some(row) = desk.row(call.id, host, meeting) else { return };
            if row.muted_hard {
                return tell(desk, call, Prompt::MutedByModerator);
            }
            let muted = !row.muted_self;
            mute(desk, call, host, meeting, |row| row.muted_self = muted, muted);
        }
        Some(Action::ForgetPhone) => forget_phone(desk, call, host),
    }
}

/// Changes the roster row, the mix when that changes what others hear, and tells the caller.
pub(super) fn mute(
    desk: &mut Desk,
    call: &mut Call,
    host: HostId,
    meeting: MeetingId,
    change: impl FnOnce(&mut Row),
    muted: bool,
) {
    let Some(row) = desk.row(call.id, host, meeting) else { return };
    let before = row.muted();
    change(row);
    let (after, hard) = (row.muted(), row.muted_hard);
    if before != after {
        desk.out.push(Output::Mute { call: call.id, muted: after });
    }
    tell(
        desk,
        call,
        match (muted, hard) {
            (true, true) => Prompt::MutedByModerator,
            (true, false) => Prompt::Muted,
            // The moderator lets them speak, but they muted themselves.
            (false, _) if after => Prompt::Muted,
            (false, _) => Prompt::Unmuted,
        },
    );
}

/// `*9`. A number that is not believed enough forgets nothing: it may be somebody else's.
pub(super) fn forget_phone(desk: &mut Desk, call: &mut Call, host: HostId) {
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
pub(super) fn withdraw(desk: &mut Desk, call: &mut Call) -> bool {
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
