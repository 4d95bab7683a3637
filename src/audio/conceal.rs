//! What is played where a packet is missing: the last 20 ms again, to and fro, fading out.
//!
//! Played backwards first, the repetition begins at the very sample where the sound broke off, and
//! turns around at each end; so it has no step anywhere. When sound returns, both are crossed over.

use super::{FADE_MAX, Frame, Rate, SILENCE};

#[derive(Clone, Debug)]
pub struct Concealer {
    rate: Rate,
    /// The last 20 ms really heard, oldest first.
    last: Frame,
    /// Samples made up since then.
    gap: usize,
}

impl Default for Concealer {
    fn default() -> Self {
        Self::new(Rate::Narrow)
    }
}

impl Concealer {
    /// As after a long silence.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, last: SILENCE, gap: concealed_max(rate) }
    }

    /// Fills `out` with made-up sound. True while there is any, false once it has faded away.
    pub fn fill(&mut self, out: &mut [i16]) -> bool {
        let most = concealed_max(self.rate);
        let heard = self.gap < most;
        for (n, sample) in out.iter_mut().enumerate() {
            *sample = self.sample(self.gap + n);
        }
        self.gap = (self.gap + out.len()).min(most);
        heard
    }

    /// Takes note of real sound and, where it follows made-up sound, crosses over into it.
    pub fn real(&mut self, sound: &mut [i16]) {
        if self.gap > 0 {
            let count = self.rate.fade().min(sound.len());
            for (n, sample) in sound.iter_mut().take(count).enumerate() {
                let share = (n + 1) as i32 * 1_024 / (count + 1) as i32;
                let made_up = i32::from(self.sample(self.gap + n));
                *sample = ((i32::from(*sample) * share + made_up * (1_024 - share)) >> 10) as i16;
            }
            self.gap = 0;
        }
        let frame = self.rate.frame();
        let count = sound.len().min(frame);
        self.last.copy_within(count..frame, 0);
        self.last[frame - count..frame].copy_from_slice(&sound[sound.len() - count..]);
    }

    fn sample(&self, at: usize) -> i16 {
        let most = concealed_max(self.rate);
        if at >= most {
            return 0;
        }
        let frame = self.rate.frame();
        let place = at % (2 * frame);
        let place = if place < frame { frame - 1 - place } else { place - frame };
        let gain = (most - at) as i32;
        (i32::from(self.last[place]) * gain / most as i32) as i16
    }
}

/// After this much made-up sound there is silence: 60 ms.
const fn concealed_max(rate: Rate) -> usize {
    3 * rate.frame()
}

/// A fade-out of the sound that ended with `last`: added to what follows, it takes away the click
/// of breaking off. Zero from [`Rate::fade`] on.
#[must_use]
pub fn tail(last: &[i16], rate: Rate) -> [i16; FADE_MAX] {
    let fade = rate.fade();
    std::array::from_fn(|n| {
        let sample = last.len().checked_sub(n + 1).map_or(0, |at| last[at]);
        (i32::from(sample) * fade.saturating_sub(n) as i32 / (fade as i32 + 1)) as i16
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME;
    use crate::audio::goertzel::tone;

    fn largest_step(samples: &[i16]) -> i32 {
        samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap()
    }

    #[test]
    fn a_gap_in_a_tone_has_no_click_at_either_end_and_fades() {
        let mut concealer = Concealer::default();
        let mut heard: Vec<i16> = tone(440.0, 10_000.0, 0, 5 * FRAME).collect();
        concealer.real(&mut heard[FRAME..]);
        let mut made_up = [0; 4 * FRAME];
        assert!(concealer.fill(&mut made_up));
        assert!(!concealer.fill(&mut [0; FRAME]));
        let steepest = largest_step(&tone(440.0, 10_000.0, 0, FRAME).collect::<Vec<_>>());
        let mut after: Vec<i16> = tone(440.0, 10_000.0, 9 * FRAME, FRAME).collect();
        concealer.real(&mut after);
        heard.extend_from_slice(&made_up);
        heard.extend_from_slice(&[0; FRAME]);
        heard.extend_from_slice(&after);
        assert!(largest_step(&heard[2 * FRAME..]) <= steepest + steepest / 10);
        assert_eq!(made_up[4 * FRAME - 1], 0);
    }

    #[test]
    fn a_tail_begins_where_the_sound_broke_off() {
        let tail = tail(&[5, 4_000, 8_200], Rate::Narrow);
        assert_eq!(tail[0], 8_000);
        assert!(tail[1] > 3_700 && tail[3..].iter().all(|&sample| sample == 0));
    }
}
