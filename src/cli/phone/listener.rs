//! Notices, while a call goes on, when sound begins and ends and when it is a pure tone.

use super::fingers::SOUND_DB;
use super::tone::{RATE, level, loudness};

/// What is judged at once: 100 ms for sound, 200 ms for a tone.
const SOUND_WINDOW: usize = RATE as usize / 10;
const TONE_WINDOW: usize = RATE as usize / 5;

/// Sound has ended after this many windows without any: 700 ms.
const QUIET_WINDOWS: u32 = 7;

/// A tone holds all but this much of the loudness.
const PURE_DB: f64 = 1.0;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Noticed {
    SoundBegan,
    SoundEnded,
    /// In Hz.
    Tone(u32),
}

/// Follows one time line.
#[derive(Debug, Default)]
pub struct Listener {
    at: usize,
    sounding: bool,
    quiet: u32,
    tone: Option<u32>,
}

impl Listener {
    /// What is new in `heard`, the whole time line so far.
    pub fn listen(&mut self, heard: &[i16]) -> Vec<Noticed> {
        let mut noticed = Vec::new();
        while self.at + SOUND_WINDOW <= heard.len() {
            let end = self.at + SOUND_WINDOW;
            let loud = loudness(&heard[self.at..end]) > SOUND_DB;
            self.quiet = if loud { 0 } else { self.quiet + 1 };
            if loud && !self.sounding {
                self.sounding = true;
                noticed.push(Noticed::SoundBegan);
            } else if self.sounding && self.quiet >= QUIET_WINDOWS {
                self.sounding = false;
                noticed.push(Noticed::SoundEnded);
            }
            let tone = pure_tone(&heard[end.saturating_sub(TONE_WINDOW)..end]);
            if let Some(hz) = tone.filter(|hz| self.tone.is_none_or(|last| last.abs_diff(*hz) > 5)) {
                noticed.push(Noticed::Tone(hz));
            }
            self.tone = tone;
            self.at = end;
        }
        noticed
    }
}

/// The frequency of a window that holds one sine and next to nothing else.
#[must_use]
pub fn pure_tone(window: &[i16]) -> Option<u32> {
    let loudness = loudness(window);
    if window.len() < TONE_WINDOW || loudness < SOUND_DB {
        return None;
    }
    let crossings = window.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
    let about = (crossings * RATE as usize / window.len()) as u32;
    let levels = (about.saturating_sub(6)..=about + 6).map(|hz| (hz, level(window, f64::from(hz))));
    let (hz, loudest) = levels.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (hz > 50 && loudest > loudness - PURE_DB).then_some(hz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::phone::tone::Tone;

    #[test]
    fn sound_and_tones_are_noticed_once() {
        let (mut a, mut b) = (Tone::new(440.0, -20.0), Tone::new(1_000.0, -20.0));
        let mut line = vec![0i16; 8_000];
        line.extend((0..8_000).map(|_| a.next_sample()));
        line.extend((0..8_000).map(|_| a.next_sample() + b.next_sample()));
        line.extend((0..8_000).map(|_| b.next_sample()));
        line.extend([0; 16_000]);
        let mut listener = Listener::default();
        let mut noticed = Vec::new();
        // In pieces, as it comes in.
        for end in (0..=line.len()).step_by(160) {
            noticed.extend(listener.listen(&line[..end]));
        }
        assert_eq!(
            noticed,
            [Noticed::SoundBegan, Noticed::Tone(440), Noticed::Tone(1_000), Noticed::SoundEnded]
        );
    }

    #[test]
    fn noise_is_no_tone() {
        let mut random = 1u32;
        let noise: Vec<i16> = (0..1_600)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 18) as i16
            })
            .collect();
        assert_eq!(pure_tone(&noise), None);
    }
}
