//! Keys that come as tones in the sound.

use std::time::Duration;

use crate::audio::dtmf::Listener;
use crate::audio::triple::Down;
use crate::audio::{Frame, Rate, SILENCE};
use crate::types::Digit;

/// Keys heard as tones, and the caller's sound as long as it takes to hear them: a frame.
#[derive(Debug)]
pub(super) struct Tones {
    listener: Listener,
    /// Keys lie far below 8 kHz: full sound is listened to at 16 kHz.
    rate: Rate,
    down: Down,
    pub(super) key: Option<Digit>,
    /// How long the one before was down.
    pub(super) lasted: Option<Duration>,
    /// Whether the last frame was a key's, and what it was.
    tone: bool,
    last: Frame,
    any: bool,
}

impl Default for Tones {
    fn default() -> Self {
        Self::new(Rate::Narrow)
    }
}

impl Tones {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            listener: Listener::new(rate.min(Rate::Wide)),
            rate,
            down: Down::default(),
            key: None,
            lasted: None,
            tone: false,
            last: SILENCE,
            any: false,
        }
    }

    /// Whether this frame or the one before belong to a key, or may.
    pub(super) fn listen(&mut self, frame: &[i16], whole: bool) -> bool {
        let mut wide = [0; Rate::Wide.frame()];
        let frame = if self.rate == Rate::Full {
            self.down.process(frame, &mut wide);
            &wide
        } else {
            frame
        };
        let heard = if whole { self.listener.hear(frame) } else { self.listener.miss() };
        self.key = heard.key.or(self.key);
        self.lasted = heard.lasted.or(self.lasted);
        std::mem::replace(&mut self.tone, heard.tone) || heard.tone
    }

    /// Keeps this frame and gives the one before, as `any` says whether there is one.
    pub(super) fn delay(&mut self, frame: &mut [i16], any: bool) -> bool {
        self.last[..frame.len()].swap_with_slice(frame);
        std::mem::replace(&mut self.any, any)
    }
}
