//! The host PIN: how a moderator proves by phone who they are.
//!
//! `*0`, the host PIN and `#`, wherever a caller is after the PIN: at the question for the code, while
//! waiting, in the lobby and in the meeting. So `PIN*0HOSTPIN#` in one go always means the same. It
//! is never asked at the PIN prompt itself, where its length would tell it from a PIN; but a `*`
//! there takes the caller back to the PIN, and since no PIN begins with 0 the next key tells which is
//! meant. After a PIN that is nobody's it all goes the same way and takes the same time (R9): the
//! store is asked something that costs nothing, for that PIN has cost its try already.

use std::time::Instant;

use crate::bridge::admission::{ModeratorBy, Proof};
use crate::bridge::call::Call;
use crate::bridge::call::collect::{Collector, Pressed};
use crate::bridge::call::enter::admit;
use crate::bridge::call::entry::{ask_pin, patience, replay, wrong};
use crate::bridge::call::inside::{Inside, Menu, promote};
use crate::bridge::call::sound::{quiet, say, tell};
use crate::bridge::call::state::{
    About, CODE_LENGTH, HOLD, MENU_TIME, NEXT_KEY, PROMPT_TIME, Patience, STORE_TIME, State, VERDICT,
};
use crate::bridge::desk::{Asker, Desk};
use crate::bridge::guess::Proved;
use crate::bridge::view::HostView;
use crate::bridge::{Answer, Output, Prompt, Question, QuestionId};
use crate::types::{Code, Digit, HostId, HostPin};

/// The longest that there may be; shorter ones end with `#`.
const LONGEST: usize = *HostPin::LENGTH.end();

// -- before the meeting --

pub(super) fn ask(desk: &mut Desk, call: &mut Call, about: About) -> State {
    let patience = patience(desk, call, vec![Prompt::EnterHostPin]);
    let state = State::AskingHostPin { about, entry: Collector::new(LONGEST), patience };
    replay(desk, call, state)
}

/// Whether this key, pressed while keys do nothing else, is the `0` of `*0`.
pub(super) fn is_wanted(call: &mut Call, key: Digit, at: Instant) -> bool {
    let star = call.star.take().is_some_and(|until| at <= until);
    if key == Digit::STAR {
        call.star = Some(at + MENU_TIME);
    }
    star && key.as_char() == '0'
}

/// From music to the question.
pub(super) fn ask_who_waits(desk: &mut Desk, call: &mut Call, host: Box<HostView>) -> State {
    call.hold_until = desk.now().instant + HOLD;
    quiet(desk, call);
    if std::mem::take(&mut call.named) {
        desk.out.push(Output::DropName { call: call.id });
    }
    ask(desk, call, About::Proved(host, Prompt::EnterCode))
}

pub(super) fn key(
    desk: &mut Desk,
    call: &mut Call,
    about: About,
    mut entry: Collector,
    patience: Patience,
    key: Digit,
    at: Instant,
) -> State {
    match entry.press(key) {
        Pressed::Complete => {
            quiet(desk, call);
            check(desk, call, about, &entry, at)
        }
        Pressed::More => {
            quiet(desk, call);
            State::AskingHostPin { about, entry, patience: Patience::Until(at + NEXT_KEY) }
        }
        Pressed::Cleared { had: true } => ask(desk, call, about),
        Pressed::Cleared { had: false } => ask_pin(desk, call, vec![Prompt::EnterPin]),
        Pressed::Nothing => State::AskingHostPin { about, entry, patience },
    }
}

fn check(desk: &mut Desk, call: &mut Call, about: About, entry: &Collector, last_key: Instant) -> State {
    let host = about.host().map(|host| host.id);
    match compare(desk, call, host, entry) {
        Some(question) => State::CheckingHostPin {
            about,
            question: Some(question),
            right: None,
            last_key,
            until: desk.now().instant + STORE_TIME,
        },
        None => checked(desk, call, about, false, last_key),
    }
}

/// The verdict, at its fixed time.
pub(super) fn checked(
    desk: &mut Desk,
    call: &mut Call,
    about: About,
    right: bool,
    last_key: Instant,
) -> State {
    let at = last_key + VERDICT + call.delay;
    if desk.now().instant < at {
        return State::CheckingHostPin { about, question: None, right: Some(right), last_key, until: at };
    }
    match about {
        About::Typed(Some(host)) | About::Proved(host, _) if right => {
            admit(desk, call, host, Proof::Moderator(ModeratorBy::HostPin))
        }
        _ => wrong(desk, call, None),
    }
}

/// Asks the store, unless no host PIN looks like this.
fn compare(desk: &mut Desk, call: &Call, host: Option<HostId>, entry: &Collector) -> Option<QuestionId> {
    let pin = HostPin::from_keys(entry.keys()).ok()?;
    let by = call.attempt();
    let ask = match host {
        Some(host) => Question::HostPin { host, pin, by },
        None => {
            let code = Code::from_keys(&entry.keys()[..CODE_LENGTH]).ok()?;
            Question::Code { host: None, meetings: Vec::new(), code, by }
        }
    };
    Some(desk.ask(Asker::Call(call.id), ask))
}

/// What the store has answered; `None`: it could not.
pub(super) fn answered(call: &mut Call, about: Option<&About>, answer: Answer) -> Option<bool> {
    let (right, tried) = match answer {
        Answer::HostPin { right, tried } => (right, tried),
        // Nobody's host PIN.
        Answer::Code { tried, .. } => (false, tried),
        _ => return None,
    };
    // After a PIN the delay is the PIN's, whether it is somebody's or not.
    if !matches!(about, Some(About::Typed(_))) {
        call.delay = tried.delay;
    }
    call.wrong.extend(tried.spent);
    Some(right)
}

// -- in the meeting --

pub(super) fn ask_inside(desk: &mut Desk, call: &mut Call) -> Menu {
    if call.host_pin_tries == 0 {
        tell(desk, call, Prompt::NoMoreTries);
        return Menu::Closed;
    }
    let playback = say(desk, call, vec![Prompt::EnterHostPin]);
    let patience = Patience::Prompt(playback, desk.now().instant + PROMPT_TIME);
    Menu::HostPin { entry: Collector::new(LONGEST), patience }
}

pub(super) fn key_inside(
    desk: &mut Desk,
    call: &mut Call,
    mut inside: Inside,
    mut entry: Collector,
    key: Digit,
    at: Instant,
) -> State {
    quiet(desk, call);
    match entry.press(key) {
        Pressed::More | Pressed::Nothing => {
            inside.menu = Menu::HostPin { entry, patience: Patience::Until(at + NEXT_KEY) };
        }
        // Taken back: the key after it is a command again.
        Pressed::Cleared { .. } => inside.menu = Menu::Open(at + MENU_TIME),
        Pressed::Complete => match compare(desk, call, Some(inside.host.id), &entry) {
            Some(question) => {
                inside.menu = Menu::CheckingHostPin {
                    question: Some(question),
                    right: None,
                    last_key: at,
                    until: desk.now().instant + STORE_TIME,
                };
            }
            None => return checked_inside(desk, call, inside, false, at),
        },
    }
    State::InMeeting(inside)
}

pub(super) fn checked_inside(
    desk: &mut Desk,
    call: &mut Call,
    mut inside: Inside,
    right: bool,
    last_key: Instant,
) -> State {
    let at = last_key + VERDICT + call.delay;
    if desk.now().instant < at {
        inside.menu = Menu::CheckingHostPin { question: None, right: Some(right), last_key, until: at };
        return State::InMeeting(inside);
    }
    inside.menu = Menu::Closed;
    if right {
        let wrong = std::mem::take(&mut call.wrong);
        if !wrong.is_empty() {
            desk.ask(Asker::Nobody, Question::GiveBack { wrong, proved: Proved::HostPin });
        }
        promote(desk, call, &mut inside);
    } else {
        desk.step(call.id, "wrong-host-pin");
        call.host_pin_tries = call.host_pin_tries.saturating_sub(1);
        let last = call.host_pin_tries == 0;
        say(
            desk,
            call,
            if last { vec![Prompt::DoNotMatch, Prompt::NoMoreTries] } else { vec![Prompt::DoNotMatch] },
        );
    }
    State::InMeeting(inside)
}
