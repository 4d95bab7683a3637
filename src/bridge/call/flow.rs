//! The way of one caller, as a table: *in this state, on this event, do this, go there*.
//!
//! [`next`] takes the state by value, so nothing half-changed can stay behind, and each state owns
//! its deadline: leave the state and the timer is gone. What follows for others (tones, a meeting
//! that is deserted) is put on the desk's list and done after.

use std::time::Instant;

use crate::bridge::admission::Verdict;
use crate::bridge::call::Call;
use crate::bridge::call::choose;
use crate::bridge::call::collect::Pressed;
use crate::bridge::call::enter::{act, admit, another_one_time_meeting, base_proof, follow_on, to_another};
use crate::bridge::call::entry::{
    ask_code, ask_pin, ask_pin_behind, check_code, check_pin, code_checked, pin_checked, silent,
};
use crate::bridge::call::hello::{greet, identify};
use crate::bridge::call::host_pin;
use crate::bridge::call::inside::{self, Inside, Menu, removed};
use crate::bridge::call::leaving::{finish, hang_up, leave, over, part};
use crate::bridge::call::lobby;
use crate::bridge::call::sound::{quiet, speak_another, tell};
use crate::bridge::call::state::{
    About, Event, HOLD, LOOK_UP_TIME, NEXT_KEY, Patience, SIGNALLING_TIME, State,
};
use crate::bridge::desk::Desk;
use crate::bridge::{Answer, Ending, Prompt, QuestionId};
use crate::types::Digit;

/// A call that we have just answered.
pub(crate) fn ringing(look_up: Option<QuestionId>, now: Instant) -> State {
    State::Ringing { look_up, until: now + SIGNALLING_TIME }
}

/// The table.
pub(crate) fn next(desk: &mut Desk, call: &mut Call, state: State, event: Event) -> State {
    use Event as E;
    use State as S;
    let now = desk.now().instant;
    if let E::Played(playback) = event
        && call.playing == Some(playback)
    {
        call.playing = None;
    }
    match (state, event) {
        // -- in every state --
        (S::Over { .. }, E::Quality(quality)) => {
            desk.record(call.id, |record| record.quality = Some(quality));
            S::Gone
        }
        (state, E::Quality(quality)) => {
            desk.record(call.id, |record| record.quality = Some(quality));
            state
        }
        (S::Over { .. }, E::Tick) => S::Gone,
        (state @ (S::Over { .. } | S::Gone), _) => state,
        (state, E::HungUp(how)) => over(desk, call, &state, how),

        // -- on the way out --
        (S::HangingUp { ending, .. }, E::Tick) => finish(desk, call, ending),
        (S::Leaving { ending, playback, until }, E::Played(played)) => {
            if played == playback {
                hang_up(desk, call, ending)
            } else {
                S::Leaving { ending, playback, until }
            }
        }
        (S::Leaving { ending, .. }, E::Tick | E::MediaLost) => hang_up(desk, call, ending),
        (state @ (S::Leaving { .. } | S::HangingUp { .. }), _) => state,

        (_, E::HostRemoved) => leave(desk, call, Ending::HostRemoved),
        (S::Ringing { .. }, E::ServiceStops) => hang_up(desk, call, Ending::Draining),
        (_, E::ServiceStops) => leave(desk, call, Ending::Draining),
        (_, E::MediaLost) => hang_up(desk, call, Ending::MediaLost),
        (
            S::InMeeting(Inside { host, .. })
            | S::Opening { host, .. }
            | S::Waiting { host, .. }
            | S::Lobby { host, .. },
            E::Removed { forget },
        ) => removed(desk, call, host.id, forget),

        // -- hello --
        (S::Ringing { look_up, .. }, E::Answered) => {
            let at = desk.now().date;
            desk.record(call.id, |record| record.answered_at = Some(at));
            call.hold_until = now + HOLD;
            match look_up {
                Some(look_up) => S::Identifying { look_up, until: now + LOOK_UP_TIME },
                None => greet(desk, call),
            }
        }
        (S::Ringing { look_up, until }, E::Answer(question, answer)) => {
            if look_up == Some(question) {
                identify(desk, call, answer);
                S::Ringing { look_up: None, until }
            } else {
                S::Ringing { look_up, until }
            }
        }
        (S::Ringing { .. }, E::Tick) => hang_up(desk, call, Ending::NoAck),
        (S::Identifying { look_up, until }, E::Answer(question, answer)) => {
            if look_up == question {
                identify(desk, call, answer);
                greet(desk, call)
            } else {
                S::Identifying { look_up, until }
            }
        }
        // Fails to the side where more is asked.
        (S::Identifying { .. }, E::Tick) => {
            desk.step(call.id, "look-up-late");
            greet(desk, call)
        }

        // -- a remembered caller --
        (S::WelcomingKnown { host, playback, until }, E::Played(played)) => {
            if played == playback {
                let proof = base_proof(desk, call, &host);
                admit(desk, call, host, proof)
            } else {
                S::WelcomingKnown { host, playback, until }
            }
        }
        (S::WelcomingKnown { host, .. }, E::Tick) => {
            let proof = base_proof(desk, call, &host);
            admit(desk, call, host, proof)
        }
        (S::WelcomingKnown { host, playback, until }, E::Key(key, at)) => {
            if key == Digit::POUND || !(key == Digit::STAR || key.is_decimal()) {
                return S::WelcomingKnown { host, playback, until };
            }
            // Another meeting: by its PIN, or by `*` and then its PIN.
            desk.step(call.id, "another-meeting");
            if key.is_decimal() {
                call.typed.push(key, at);
            }
            ask_pin(desk, call, vec![Prompt::EnterPin])
        }

        // -- the PIN --
        (S::AskingPin { entry, behind: Some(about), .. }, E::Key(key, _))
            if entry.keys().is_empty() && key.as_char() == '0' =>
        {
            host_pin::ask(desk, call, about)
        }
        (S::AskingPin { entry, behind: None, .. }, E::Key(Digit::POUND, _))
            if entry.keys().is_empty() && !call.other_languages.is_empty() =>
        {
            speak_another(desk, call);
            ask_pin(desk, call, vec![Prompt::EnterPin])
        }
        (S::AskingPin { mut entry, patience, behind }, E::Key(key, at)) => match entry.press(key) {
            Pressed::Complete => {
                quiet(desk, call);
                check_pin(desk, call, &entry, at)
            }
            Pressed::More => {
                quiet(desk, call);
                S::AskingPin { entry, patience: Patience::Until(at + NEXT_KEY), behind: None }
            }
            Pressed::Cleared { .. } => ask_pin(desk, call, vec![Prompt::EnterPin]),
            Pressed::Nothing => S::AskingPin { entry, patience, behind },
        },
        (S::AskingPin { entry, patience, behind }, E::Played(played)) => {
            S::AskingPin { entry, patience: patience.heard(played, now), behind }
        }
        (S::AskingPin { .. }, E::Tick) => {
            if silent(desk, call) {
                ask_pin(desk, call, vec![Prompt::NothingHeard, Prompt::EnterPin])
            } else {
                leave(desk, call, Ending::NothingEntered)
            }
        }
        (S::CheckingPin { question, found, last_key, until }, E::Answer(answered, answer)) => {
            if question != Some(answered) {
                return S::CheckingPin { question, found, last_key, until };
            }
            match answer {
                Answer::Pin { host, tried } => {
                    call.delay = tried.delay;
                    call.tried(tried);
                    pin_checked(desk, call, host, last_key)
                }
                _ => leave(desk, call, Ending::StoreUnavailable),
            }
        }
        (S::CheckingPin { found: Some(found), last_key, .. }, E::Tick) => {
            pin_checked(desk, call, found, last_key)
        }
        (S::CheckingPin { .. }, E::Tick) => leave(desk, call, Ending::StoreUnavailable),

        // -- the code --
        (S::AskingCode { about, mut entry, patience }, E::Key(key, at)) => match entry.press(key) {
            Pressed::Complete => {
                quiet(desk, call);
                check_code(desk, call, about, &entry, at)
            }
            Pressed::More => {
                quiet(desk, call);
                S::AskingCode { about, entry, patience: Patience::Until(at + NEXT_KEY) }
            }
            Pressed::Cleared { had: true } => {
                let prompt = about.prompt();
                ask_code(desk, call, about, vec![prompt])
            }
            // Who takes back nothing takes back the PIN.
            Pressed::Cleared { had: false } => ask_pin_behind(desk, call, about),
            Pressed::Nothing => S::AskingCode { about, entry, patience },
        },
        (S::AskingCode { about, entry, patience }, E::Played(played)) => {
            S::AskingCode { about, entry, patience: patience.heard(played, now) }
        }
        (S::AskingCode { about, .. }, E::Tick) => {
            if silent(desk, call) {
                let prompt = about.prompt();
                ask_code(desk, call, about, vec![Prompt::NothingHeard, prompt])
            } else {
                leave(desk, call, Ending::NothingEntered)
            }
        }
        (S::CheckingCode { about, question, proved, last_key, until }, E::Answer(answered, answer)) => {
            if question != Some(answered) {
                return S::CheckingCode { about, question, proved, last_key, until };
            }
            match answer {
                Answer::Code { proved, tried } => {
                    // After a PIN it is the PIN's: one that is nobody's has cost its try already, and
                    // must not be told by a longer silence.
                    if matches!(about, About::Proved(..)) {
                        call.delay = tried.delay;
                    }
                    call.tried(tried);
                    code_checked(desk, call, about, proved, last_key)
                }
                _ => leave(desk, call, Ending::StoreUnavailable),
            }
        }
        (S::CheckingCode { about, proved: Some(proved), last_key, .. }, E::Tick) => {
            code_checked(desk, call, about, proved, last_key)
        }
        (S::CheckingCode { .. }, E::Tick) => leave(desk, call, Ending::StoreUnavailable),

        // -- the host PIN --
        (S::AskingHostPin { about, entry, patience }, E::Key(key, at)) => {
            host_pin::key(desk, call, about, entry, patience, key, at)
        }
        (S::AskingHostPin { about, entry, patience }, E::Played(played)) => {
            S::AskingHostPin { about, entry, patience: patience.heard(played, now) }
        }
        (S::AskingHostPin { about, .. }, E::Tick) => {
            if silent(desk, call) {
                host_pin::ask(desk, call, about)
            } else {
                leave(desk, call, Ending::NothingEntered)
            }
        }
        (S::CheckingHostPin { about, question, right, last_key, until }, E::Answer(answered, answer)) => {
            match answer {
                _ if question != Some(answered) => {
                    S::CheckingHostPin { about, question, right, last_key, until }
                }
                answer => match host_pin::answered(call, Some(&about), answer) {
                    Some(right) => host_pin::checked(desk, call, about, right, last_key),
                    None => leave(desk, call, Ending::StoreUnavailable),
                },
            }
        }
        (S::CheckingHostPin { about, right: Some(right), last_key, .. }, E::Tick) => {
            host_pin::checked(desk, call, about, right, last_key)
        }
        (S::CheckingHostPin { .. }, E::Tick) => leave(desk, call, Ending::StoreUnavailable),

        // -- a moderator's choice --
        (S::Choosing { host, choice }, E::Key(key, _)) => choose::key(desk, call, host, choice, key),
        (S::Choosing { host, choice }, E::Played(played)) => choose::played(host, choice, played, now),
        (S::Choosing { host, choice }, E::Tick) => choose::silent(desk, call, host, choice),

        // Keys that come too early wait.
        (state, E::Key(key, at))
            if matches!(
                state,
                S::Ringing { .. }
                    | S::Identifying { .. }
                    | S::CheckingPin { .. }
                    | S::CheckingCode { .. }
                    | S::CheckingHostPin { .. }
                    | S::Announcing { .. }
            ) =>
        {
            call.typed.push(key, at);
            state
        }

        // -- admission --
        (S::Opening { host, proof, .. }, E::Rejudge { .. }) => admit(desk, call, host, proof),
        (S::Opening { .. }, E::WriteFailed | E::Tick) => leave(desk, call, Ending::StoreUnavailable),
        (S::Opening { .. } | S::Waiting { .. } | S::Lobby { .. }, E::MeetingOver { ending, .. }) => {
            leave(desk, call, ending)
        }
        (S::Waiting { host, proof, meeting, remind, until }, E::Rejudge { opened }) => {
            match desk.judge(&host, proof, call) {
                verdict @ (Verdict::Join(..) | Verdict::Open(..)) => {
                    quiet(desk, call);
                    act(desk, call, host, proof, verdict)
                }
                verdict => {
                    let same = Verdict::WaitForStart(meeting) == verdict
                        || Verdict::WaitForModerator(meeting) == verdict;
                    if another_one_time_meeting(desk, host.id, opened, meeting) || verdict == Verdict::AskCode
                    {
                        to_another(desk, call, host)
                    } else if same {
                        S::Waiting { host, proof, meeting, remind, until }
                    } else {
                        quiet(desk, call);
                        act(desk, call, host, proof, verdict)
                    }
                }
            }
        }
        (S::Waiting { host, proof, meeting, until, .. }, E::Tick) => {
            if now >= until {
                return leave(desk, call, Ending::NotStartedInTime);
            }
            // Its window may have opened meanwhile.
            match desk.judge(&host, proof, call) {
                Verdict::WaitForStart(_) | Verdict::WaitForModerator(_) => {
                    call.playing = Some(desk.play(call.id, vec![Prompt::StillWaiting]));
                    S::Waiting { host, proof, meeting, remind: now + desk.settings.reassurance, until }
                }
                verdict => {
                    quiet(desk, call);
                    act(desk, call, host, proof, verdict)
                }
            }
        }

        (S::Waiting { host, proof, meeting, remind, until }, E::Key(key, at)) => {
            if host_pin::is_wanted(call, key, at) {
                host_pin::ask_who_waits(desk, call, host)
            } else {
                S::Waiting { host, proof, meeting, remind, until }
            }
        }
        (S::Announcing { host, proof, playback, until }, E::Played(played)) => {
            if played == playback {
                admit(desk, call, host, proof)
            } else {
                S::Announcing { host, proof, playback, until }
            }
        }
        (S::Announcing { host, proof, .. }, E::Tick) => admit(desk, call, host, proof),

        // -- the lobby --
        (S::Lobby { host, lobby }, E::Played(played)) => lobby::played(desk, call, host, lobby, played),
        (S::Lobby { host, lobby }, E::Key(key, at)) => {
            if host_pin::is_wanted(call, key, at) {
                host_pin::ask_who_waits(desk, call, host)
            } else {
                lobby::key(desk, call, host, lobby)
            }
        }
        (S::Lobby { host, lobby }, E::Tick) => lobby::tick(desk, call, host, lobby),
        (S::Lobby { host, lobby }, E::Rejudge { opened }) => lobby::rejudge(desk, call, host, lobby, opened),
        (S::Lobby { host, lobby }, E::Admitted) => {
            call.admitted = Some(host.id);
            desk.step(call.id, "admitted");
            lobby::rejudge(desk, call, host, lobby, None)
        }
        (S::Lobby { .. }, E::Refused) => {
            desk.step(call.id, "refused");
            leave(desk, call, Ending::LobbyRefused)
        }

        // -- in the meeting --
        (S::InMeeting(inside), E::Key(key, at)) => inside::key(desk, call, inside, key, at),
        (S::InMeeting(inside), E::Played(played)) => inside::played(desk, call, inside, played),
        (S::InMeeting(inside), E::Tick) => inside::tick(desk, call, inside),
        (S::InMeeting(mut inside), E::Answer(answered, answer)) => match inside.menu {
            Menu::CheckingHostPin { question: Some(question), last_key, .. } if question == answered => {
                match host_pin::answered(call, None, answer) {
                    Some(right) => host_pin::checked_inside(desk, call, inside, right, last_key),
                    None => {
                        inside.menu = Menu::Closed;
                        tell(desk, call, Prompt::TryLater);
                        S::InMeeting(inside)
                    }
                }
            }
            _ => S::InMeeting(inside),
        },
        (S::InMeeting(inside), E::MeetingOver { ending, follow }) => {
            part(desk, call);
            if follow { follow_on(desk, call, inside.host, ending) } else { leave(desk, call, ending) }
        }
        (S::InMeeting(inside), E::Muted(muted)) => {
            inside::muted_hard(desk, call, &inside, muted);
            S::InMeeting(inside)
        }
        (S::InMeeting(inside), E::MutedWithAll(muted)) => {
            inside::muted_with_all(desk, call, &inside, muted);
            S::InMeeting(inside)
        }
        (S::InMeeting(mut inside), E::Promoted) => {
            inside::promote(desk, call, &mut inside);
            S::InMeeting(inside)
        }
        (S::InMeeting(inside), E::HandLowered) => {
            inside::hand_lowered(desk, call, &inside);
            S::InMeeting(inside)
        }
        (state, E::Remembered(by)) => {
            call.remembering = None;
            call.remembered = Some(by);
            desk.step(call.id, "remembered");
            if matches!(state, S::InMeeting(_)) {
                call.playing = Some(desk.play(call.id, vec![Prompt::Remembered]));
            }
            state
        }
        (state @ S::InMeeting(_), E::Forgotten(done)) => {
            if done {
                desk.record(call.id, |record| record.remembered = false);
                desk.step(call.id, "forgotten");
            }
            tell(desk, call, if done { Prompt::PhoneForgotten } else { Prompt::TryLater });
            state
        }

        // The rest may come late and changes nothing. Events are listed by name, so that a new
        // one does not compile before we have thought about it.
        (
            state,
            E::Answered
            | E::Key(..)
            | E::Played(_)
            | E::Answer(..)
            | E::Rejudge { .. }
            | E::WriteFailed
            | E::MeetingOver { .. }
            | E::Admitted
            | E::Refused
            | E::Removed { .. }
            | E::Muted(_)
            | E::MutedWithAll(_)
            | E::Promoted
            | E::HandLowered
            | E::Forgotten(_),
        ) => state,
    }
}
