//! Good-bye: the reason, the BYE, the record.

use crate::bridge::call::Call;
use crate::bridge::call::inside::tell_media;
use crate::bridge::call::sound::say;
use crate::bridge::call::state::{FIGURES_TIME, PROMPT_TIME, SIGNALLING_TIME, State};
use crate::bridge::desk::Desk;
use crate::bridge::input::HangUp;
use crate::bridge::{Ending, Output, Prompt};

/// Off the roster, out of the mix.
pub(super) fn part(desk: &mut Desk, call: &mut Call) {
    if let Some((host, meeting)) = call.place.take() {
        desk.part(call.id, host, meeting, true);
        // It may come into another meeting, where nobody has muted it.
        tell_media(desk, call, false);
    }
}

/// Says why, then hangs up: nobody is hung up on silently (R10).
pub(super) fn leave(desk: &mut Desk, call: &mut Call, ending: Ending) -> State {
    part(desk, call);
    let Some(reason) = ending.facts().prompt else { return hang_up(desk, call, ending) };
    let playback = say(desk, call, vec![reason, Prompt::Goodbye]);
    State::Leaving { ending, playback, until: desk.now().instant + PROMPT_TIME }
}

pub(super) fn hang_up(desk: &mut Desk, call: &mut Call, ending: Ending) -> State {
    part(desk, call);
    desk.out.push(Output::HangUp { call: call.id, ending });
    State::HangingUp { ending, until: desk.now().instant + SIGNALLING_TIME }
}

pub(super) fn over(desk: &mut Desk, call: &mut Call, state: &State, how: HangUp) -> State {
    let decided = match state {
        State::Leaving { ending, .. } | State::HangingUp { ending, .. } => Some(*ending),
        _ => None,
    };
    let ending = decided.unwrap_or(match how {
        HangUp::Caller => Ending::HungUp,
        HangUp::Cancelled => Ending::Cancelled,
        HangUp::NoPrack => Ending::NoPrack,
        HangUp::NoAck => Ending::NoAck,
        HangUp::SessionExpired => Ending::SessionExpired,
        HangUp::Transport => Ending::TransportLost,
        HangUp::NoUsableAnswer => Ending::NoUsableCodec,
        HangUp::Overload => Ending::Overload,
        // We were not asked: the service is going down.
        HangUp::Us => Ending::Draining,
    });
    finish(desk, call, ending)
}

pub(super) fn finish(desk: &mut Desk, call: &mut Call, ending: Ending) -> State {
    if let Some((host, meeting)) = call.place.take() {
        desk.part(call.id, host, meeting, false);
    }
    let at = desk.now().date;
    let mut figures_to_come = false;
    desk.record(call.id, |record| {
        record.end(at, ending);
        figures_to_come = record.answered_at.is_some() && record.quality.is_none();
    });
    if figures_to_come { State::Over { until: desk.now().instant + FIGURES_TIME } } else { State::Gone }
}
