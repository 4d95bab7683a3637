//! What one leg hears beside the mix.

use crate::bridge::call::Call;
use crate::bridge::desk::Desk;
use crate::bridge::{Output, PlaybackId, Prompt};

/// Stops what plays and says this instead: a key was pressed or the state changed.
pub(super) fn say(desk: &mut Desk, call: &mut Call, prompts: Vec<Prompt>) -> PlaybackId {
    quiet(desk, call);
    let playback = desk.play(call.id, prompts);
    call.playing = Some(playback);
    playback
}

pub(super) fn tell(desk: &mut Desk, call: &mut Call, prompt: Prompt) {
    say(desk, call, vec![prompt]);
}

/// Stops prompts and music.
pub(super) fn quiet(desk: &mut Desk, call: &mut Call) {
    let music = std::mem::take(&mut call.music);
    if call.playing.take().is_some() || music {
        desk.out.push(Output::StopPlaying { call: call.id });
    }
}
