//! The way of one caller, as a table: *in this state, on this event, do this, go there*.
//!
//! [`next`] takes the state by value, so nothing half-changed can stay behind, and each state owns
//! its deadline: leave the state and the timer is gone. What follows for others (tones, a meeting
//! that is deserted) is put on the desk's list and done after.

use std::time::Instant;

use crate::bridge::admission::Verdict;
use crate::bridge::call::Call;
use crate::bridge::call::collect::Pressed;
use crate::bridge::call::enter::{
    act, admit, another_one_time_meeting, ask_code_of_another, base_proof, follow_on,
};
use crate::bridge::call::entry::{
    ask_code, ask_pin, check_code, check_pin, code_checked, heard, pin_checked, silent,
};
use crate::bridge::call::hello::{greet, identify};
use crate::bridge::call::inside::{command, mute, removed};
use crate::bridge::call::leaving::{finish, hang_up, leave, over, part};
use crate::bridge::call::lobby;
use crate::bridge::call::sound::{quiet, tell};
use crate::bridge::call::state::{
    About, Event, HOLD, LOOK_UP_TIME, MENU_TIME, NEXT_KEY, Patience, REASSURANCE, SIGNALLING_TIME, State,
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
        (_, E::MediaLost) => hang_up(desk, call, Ending::MediaLost),
        (
            S::InMeeting { host, .. }
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
        (S::AskingPin { mut entry, patience }, E::Key(key, at)) => match entry.press(key) {
            Pressed::Complete => {
                quiet(desk, call);
                check_pin(desk, call, &entry, at)
            }
            Pressed::More => {
                quiet(desk, call);
                S::AskingPin { entry, patience: Patience::Until(at + NEXT_KEY) }
            }
            Pressed::Cleared { .. } => ask_pin(desk, call, vec![Prompt::EnterPin]),
            Pressed::Nothing => S::AskingPin { entry, patience },
        },
        (S::AskingPin { entry, patience }, E::Played(played)) => {
            S::AskingPin { entry, patience: heard(patience, played, now) }
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
            Pressed::Cleared { had: false } => ask_pin(desk, call, vec![Prompt::EnterPin]),
            Pressed::Nothing => S::AskingCode { about, entry, patience },
        },
        (S::AskingCode { about, entry, patience }, E::Played(played)) => {
            S::AskingCode { about, entry, patience: heard(patience, played, now) }
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

        // Keys that come too early wait.
        (state, E::Key(key, at))
            if matches!(
                state,
                S::Ringing { .. } | S::Identifying { .. } | S::CheckingPin { .. } | S::CheckingCode { .. }
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
                        desk.step(call.id, "another-meeting-opened");
                        ask_code_of_another(desk, call, host)
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
                    S::Waiting { host, proof, meeting, remind: now + REASSURANCE, until }
                }
                verdict => {
                    quiet(desk, call);
                    act(desk, call, host, proof, verdict)
                }
            }
        }

        // -- the lobby --
        (S::Lobby { host, lobby }, E::Played(played)) => lobby::played(desk, call, host, lobby, played),
        (S::Lobby { host, lobby }, E::Key(..)) => lobby::key(desk, call, host, lobby),
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
        (S::InMeeting { host, meeting, role, star }, E::Key(key, at)) => {
            let star = match star {
                _ if key == Digit::STAR => Some(at + MENU_TIME),
                Some(_) => {
                    command(desk, call, host.id, meeting, role, key);
                    None
                }
                None => None,
            };
            S::InMeeting { host, meeting, role, star }
        }
        (S::InMeeting { host, meeting, role, .. }, E::Tick) => {
            S::InMeeting { host, meeting, role, star: None }
        }
        (S::InMeeting { host, .. }, E::MeetingOver { ending, follow }) => {
            part(desk, call);
            if follow { follow_on(desk, call, host, ending) } else { leave(desk, call, ending) }
        }
        (S::InMeeting { host, meeting, role, star }, E::Muted(muted)) => {
            mute(desk, call, host.id, meeting, |row| row.muted_hard = muted, muted);
            S::InMeeting { host, meeting, role, star }
        }
        (state, E::Remembered(by)) => {
            call.remembering = None;
            call.remembered = Some(by);
            desk.step(call.id, "remembered");
            if matches!(state, S::InMeeting { .. }) {
                call.playing = Some(desk.play(call.id, vec![Prompt::Remembered]));
            }
            state
        }
        (state @ S::InMeeting { .. }, E::Forgotten(done)) => {
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
            | E::Forgotten(_),
        ) => state,
    }
}
