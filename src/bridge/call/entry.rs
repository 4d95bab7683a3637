//! Entries: the PIN, then the code, and one verdict on both (R9).

use std::time::Instant;

use crate::bridge::admission::{Proof, Verdict};
use crate::bridge::call::Call;
use crate::bridge::call::collect::Collector;
use crate::bridge::call::enter::{act, base_proof};
use crate::bridge::call::flow::next;
use crate::bridge::call::leaving::leave;
use crate::bridge::call::sound::{offer_languages, quiet, say};
use crate::bridge::call::state::{
    About, CODE_ASKED, CODE_LENGTH, Event, FIRST_KEY, PROMPT_TIME, Patience, STORE_TIME, State, VERDICT,
};
use crate::bridge::desk::{Asker, Desk};
use crate::bridge::view::HostView;
use crate::bridge::{Ending, Prompt, Question};
use crate::types::{Code, MeetingId, Pin};

/// Asks, unless the answer has been typed already.
pub(super) fn ask_pin(desk: &mut Desk, call: &mut Call, prompts: Vec<Prompt>) -> State {
    let entry = Collector::new(desk.settings.pin_length);
    let mut patience = patience(desk, call, prompts);
    if let Patience::Prompt(playback, _) = &mut patience
        && let Some(last) = offer_languages(desk, call)
    {
        *playback = last;
    }
    replay(desk, call, State::AskingPin { entry, patience, behind: None })
}

/// A `*` leads back from the code to the PIN; with a `0` behind it, to the host PIN of the same host.
pub(super) fn ask_pin_behind(desk: &mut Desk, call: &mut Call, about: About) -> State {
    let entry = Collector::new(desk.settings.pin_length);
    let patience = patience(desk, call, vec![Prompt::EnterPin]);
    replay(desk, call, State::AskingPin { entry, patience, behind: Some(about) })
}

pub(super) fn ask_code(desk: &mut Desk, call: &mut Call, about: About, prompts: Vec<Prompt>) -> State {
    let entry = Collector::new(CODE_LENGTH);
    let patience = patience(desk, call, prompts);
    replay(desk, call, State::AskingCode { about, entry, patience })
}

pub(super) fn patience(desk: &mut Desk, call: &mut Call, prompts: Vec<Prompt>) -> Patience {
    let now = desk.now().instant;
    if call.typed.answers() {
        quiet(desk, call);
        Patience::Until(now + FIRST_KEY)
    } else {
        let playback = say(desk, call, prompts);
        Patience::Prompt(playback, now + PROMPT_TIME)
    }
}

/// Presses the keys that were typed ahead. What one entry does not need stays for the next one.
pub(super) fn replay(desk: &mut Desk, call: &mut Call, mut state: State) -> State {
    while matches!(
        state,
        State::AskingPin { .. }
            | State::AskingCode { .. }
            | State::AskingHostPin { .. }
            | State::Choosing { .. }
    ) {
        let Some((key, at)) = call.typed.pop() else { break };
        state = next(desk, call, state, Event::Key(key, at));
    }
    state
}

/// A round went by without a complete entry; whether there is another, and time for it.
pub(super) fn silent(desk: &mut Desk, call: &mut Call) -> bool {
    desk.step(call.id, "nothing-entered");
    call.rounds.spend() && desk.now().instant < call.hold_until
}

pub(super) fn check_pin(desk: &mut Desk, call: &mut Call, entry: &Collector, last_key: Instant) -> State {
    // A PIN of another length does not exist; nobody is told before the verdict.
    let full = entry.keys().len() == desk.settings.pin_length;
    match Pin::from_keys(entry.keys()) {
        Ok(pin) if full => {
            let by = call.attempt();
            let question = Some(desk.ask(Asker::Call(call.id), Question::Host { pin, by }));
            State::CheckingPin { question, found: None, last_key, until: desk.now().instant + STORE_TIME }
        }
        _ => pin_checked(desk, call, None, last_key),
    }
}

/// The store has said whose PIN it is. An unknown one goes the way of one that needs a code.
pub(super) fn pin_checked(
    desk: &mut Desk,
    call: &mut Call,
    found: Option<Box<HostView>>,
    last_key: Instant,
) -> State {
    let now = desk.now().instant;
    let later = |found, until| State::CheckingPin { question: None, found: Some(found), last_key, until };
    if now < last_key + CODE_ASKED {
        return later(found, last_key + CODE_ASKED);
    }
    let Some(host) = found else { return ask_code(desk, call, About::Typed(None), vec![Prompt::EnterCode]) };
    let proof = base_proof(desk, call, &host);
    match desk.judge(&host, proof, call) {
        Verdict::AskCode => ask_code(desk, call, About::Typed(Some(host)), vec![Prompt::EnterCode]),
        _ if now < last_key + VERDICT + call.delay => later(Some(host), last_key + VERDICT + call.delay),
        verdict => act(desk, call, host, proof, verdict),
    }
}

pub(super) fn check_code(
    desk: &mut Desk,
    call: &mut Call,
    about: About,
    entry: &Collector,
    last_key: Instant,
) -> State {
    let Ok(code) = Code::from_keys(entry.keys()) else {
        return code_checked(desk, call, about, None, last_key);
    };
    let host = about.host().map(|host| host.id);
    let meetings = about.host().map(|host| desk.situation(host).codes()).unwrap_or_default();
    let by = call.attempt();
    let question = Some(desk.ask(Asker::Call(call.id), Question::Code { host, meetings, code, by }));
    State::CheckingCode { about, question, proved: None, last_key, until: desk.now().instant + STORE_TIME }
}

/// The verdict on PIN and code together, at its fixed time (R9).
pub(super) fn code_checked(
    desk: &mut Desk,
    call: &mut Call,
    about: About,
    proved: Option<MeetingId>,
    last_key: Instant,
) -> State {
    if desk.now().instant < last_key + VERDICT + call.delay {
        let until = last_key + VERDICT + call.delay;
        return State::CheckingCode { about, question: None, proved: Some(proved), last_key, until };
    }
    let (host, again) = match about {
        About::Typed(None) => return wrong(desk, call, None),
        About::Typed(Some(host)) => (host, None),
        About::Proved(host, prompt) => (host, Some(prompt)),
    };
    let proof = proved.map_or_else(|| base_proof(desk, call, &host), Proof::Code);
    match (desk.judge(&host, proof, call), again) {
        (Verdict::AskCode, None) => wrong(desk, call, None),
        (Verdict::AskCode, Some(prompt)) => wrong(desk, call, Some((host, prompt))),
        // Right; or wrong, but something is live by now that needs no code.
        (verdict, _) => act(desk, call, host, proof, verdict),
    }
}

/// One sentence for every wrong entry, whatever part was wrong (R9).
pub(super) fn wrong(desk: &mut Desk, call: &mut Call, again: Option<(Box<HostView>, Prompt)>) -> State {
    desk.step(call.id, "wrong-details");
    // Keys that came after a wrong entry belong to it, and must not spoil the next one.
    call.typed.clear();
    if !call.rounds.spend() || desk.now().instant >= call.hold_until {
        return leave(desk, call, Ending::TooManyWrongEntries);
    }
    match again {
        None => ask_pin(desk, call, vec![Prompt::DoNotMatch, Prompt::EnterPin]),
        Some((host, prompt)) => {
            ask_code(desk, call, About::Proved(host, prompt), vec![Prompt::DoNotMatch, prompt])
        }
    }
}
