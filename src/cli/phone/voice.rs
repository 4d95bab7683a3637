//! What the phone says: nothing, a tone, or a recording.

use super::tone::Tone;

/// Samples in the 20 ms of one packet.
pub const FRAME: usize = 160;

pub type Frame = [i16; FRAME];

/// How loud a spoken tone is; five of them together do not clip.
pub const TONE_DB: f64 = -20.0;

#[derive(Clone, Debug, Default)]
pub enum Voice {
    #[default]
    Silent,
    Tone(Tone),
    /// Said once, from `at` on; silent after its end.
    Recording {
        samples: Vec<i16>,
        at: usize,
    },
}

impl Voice {
    #[must_use]
    pub fn tone(hz: f64) -> Self {
        Self::Tone(Tone::new(hz, TONE_DB))
    }

    #[must_use]
    pub fn recording(samples: Vec<i16>) -> Self {
        Self::Recording { samples, at: 0 }
    }

    pub fn next_frame(&mut self) -> Frame {
        let mut frame = [0; FRAME];
        match self {
            Self::Silent => {}
            Self::Tone(tone) => frame.fill_with(|| tone.next_sample()),
            Self::Recording { samples, at } => {
                let rest = &samples[(*at).min(samples.len())..];
                let count = rest.len().min(FRAME);
                frame[..count].copy_from_slice(&rest[..count]);
                *at += count;
            }
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_said_once() {
        let mut voice = Voice::recording(vec![7; 200]);
        assert_eq!(voice.next_frame(), [7; FRAME]);
        assert_eq!(voice.next_frame().iter().filter(|&&s| s == 7).count(), 40);
        assert_eq!(voice.next_frame(), [0; FRAME]);
    }
}
