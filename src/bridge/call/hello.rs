//! Hello: who calls, as far as the phone tells, and what they hear first.

use crate::bridge::call::Call;
use crate::bridge::call::entry::ask_pin;
use crate::bridge::call::sound::{say, speak_as_host};
use crate::bridge::call::state::{State, WELCOME_TIME};
use crate::bridge::desk::Desk;
use crate::bridge::view::Known;
use crate::bridge::{Answer, Prompt, verify};

/// Keeps those hosts that remember this phone and let it in today.
pub(super) fn identify(desk: &mut Desk, call: &mut Call, answer: Answer) {
    let Answer::Known(known) = answer else {
        desk.step(call.id, "look-up-failed");
        return;
    };
    let mut refused = None;
    for known in known {
        match verify::usable(&known, &call.caller, &call.trunk_group, &desk.settings, desk.now().date) {
            Ok(()) => call.known.push(known),
            Err(why) => refused = Some(why),
        }
    }
    if let Some(why) = refused
        && call.known.is_empty()
    {
        desk.step(call.id, "remembered-but-not-usable");
        desk.explain(
            call.id,
            format!("asked as on the first day: the phone is remembered, but {}", why.text()),
        );
    }
}

pub(super) fn greet(desk: &mut Desk, call: &mut Call) -> State {
    if call.typed.means_something() {
        let prompts = vec![Prompt::Welcome, Prompt::EnterPin];
        return ask_pin(desk, call, prompts);
    }
    let live = |known: &&Known| desk.live(known.host.id).is_some();
    let mut with_live_meeting = call.known.iter().filter(live);
    let host = match (call.known.as_slice(), with_live_meeting.next(), with_live_meeting.next()) {
        ([only], _, _) => Some(Box::new(only.host.clone())),
        (_, Some(only), None) => Some(Box::new(only.host.clone())),
        _ => None,
    };
    match host {
        Some(host) => {
            speak_as_host(desk, call, &host);
            let playback = say(desk, call, vec![Prompt::WelcomeBack]);
            let until = desk.now().instant + WELCOME_TIME;
            State::WelcomingKnown { host, playback, until }
        }
        None if call.known.is_empty() => ask_pin(desk, call, vec![Prompt::Welcome, Prompt::EnterPin]),
        None => {
            desk.step(call.id, "remembered-by-several-hosts");
            ask_pin(desk, call, vec![Prompt::WelcomeBack, Prompt::EnterPin])
        }
    }
}
