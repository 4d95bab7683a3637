//! What one leg hears beside the mix.

use crate::bridge::call::Call;
use crate::bridge::desk::Desk;
use crate::bridge::view::HostView;
use crate::bridge::{Output, PlaybackId, Prompt};
use crate::types::Language;

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

/// Who is told nothing else by their access number is spoken to in their host's language. Not before the
/// verdict on a PIN: it would tell that the PIN exists.
pub(super) fn speak_as_host(desk: &mut Desk, call: &mut Call, host: &HostView) {
    if call.language.is_none()
        && let Some(language) = host.language.clone()
    {
        speak(desk, call, language);
    }
}

/// The caller takes the next language that the access number offers.
pub(super) fn speak_another(desk: &mut Desk, call: &mut Call) {
    if let Some(next) = call.other_languages.pop_front() {
        call.other_languages.extend(call.language.take());
        desk.step(call.id, "another-language");
        speak(desk, call, next);
    }
}

fn speak(desk: &mut Desk, call: &mut Call, language: Language) {
    call.language = Some(language.clone());
    desk.out.push(Output::Speak { call: call.id, language });
}

/// Tells, in each of them, how to be spoken to in another language; the last playback, if there is one.
pub(super) fn offer_languages(desk: &mut Desk, call: &mut Call) -> Option<PlaybackId> {
    let own = call.language.clone()?;
    let mut last = None;
    for language in call.other_languages.clone() {
        desk.out.push(Output::Speak { call: call.id, language });
        last = Some(desk.play(call.id, vec![Prompt::OtherLanguage]));
    }
    if last.is_some() {
        call.playing = last;
        desk.out.push(Output::Speak { call: call.id, language: own });
    }
    last
}

/// Stops prompts and music.
pub(super) fn quiet(desk: &mut Desk, call: &mut Call) {
    let music = std::mem::take(&mut call.music);
    if call.playing.take().is_some() || music {
        desk.out.push(Output::StopPlaying { call: call.id });
    }
}
