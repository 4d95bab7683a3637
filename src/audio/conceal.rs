//! What is played where a packet is missing: the voice's last period again and again, fading out (after
//! ITU-T G.711 Appendix I, without its delay).
//!
//! The period is where the last 20 ms are most like what came a little earlier. Its end is bent towards
//! what came before its beginning, so that it repeats without a step, and the first repetition begins at
//! the height where the sound broke off. When sound returns, both are crossed over.

use super::{FADE_MAX, Rate};

/// Samples at 8 kHz of the shortest and the longest period: 200 and 66 Hz. A higher voice repeats several.
const SHORTEST: usize = 40;
const LONGEST: usize = 120;
/// Of the stretch that is compared, 20 ms; and of what must be remembered for that.
const COMPARED: usize = 160;
const REMEMBERED: usize = COMPARED + LONGEST;
const REMEMBERED_MAX: usize = 2 * REMEMBERED;
/// Made-up sound stays as loud for 10 ms and is gone after 60.
const LOUD: usize = 80;
const GONE: usize = 480;

#[derive(Clone, Debug)]
pub struct Concealer {
    rate: Rate,
    /// The last 35 ms really heard, oldest first.
    last: [i16; REMEMBERED_MAX],
    /// What is repeated, and how long it is.
    period: [i16; 2 * LONGEST],
    length: usize,
    /// How far the sound broke off from where the period begins.
    step: i32,
    /// Samples made up since.
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
        Self {
            rate,
            last: [0; REMEMBERED_MAX],
            period: [0; 2 * LONGEST],
            length: SHORTEST,
            step: 0,
            gap: GONE * rate.per_tick(),
        }
    }

    /// Fills `out` with made-up sound. True while there is any, false once it has faded away.
    pub fn fill(&mut self, out: &mut [i16]) -> bool {
        if self.gap == 0 {
            self.find_period();
        }
        let most = GONE * self.rate.per_tick();
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
        let all = REMEMBERED * self.rate.per_tick();
        let count = sound.len().min(all);
        self.last.copy_within(count..all, 0);
        self.last[all - count..all].copy_from_slice(&sound[sound.len() - count..]);
    }

    fn sample(&self, at: usize) -> i16 {
        let (loud, gone) = (LOUD * self.rate.per_tick(), GONE * self.rate.per_tick());
        if at >= gone {
            return 0;
        }
        let bend = (self.length / 4).max(1);
        let step = self.step * bend.saturating_sub(at) as i32 / bend as i32;
        let sound = i32::from(self.period[at % self.length]) + step;
        let gain = (gone - at.max(loud)) as i32;
        (sound * gain / (gone - loud) as i32).clamp(-32_768, 32_767) as i16
    }

    /// Looks for the lag at which the last 20 ms are most like what came before; coarsely at first.
    fn find_period(&mut self) {
        let per_tick = self.rate.per_tick();
        let last = &self.last[..REMEMBERED * per_tick];
        let now = &last[LONGEST * per_tick..];
        let alike = |lag: usize, every: usize| {
            let before = &last[LONGEST * per_tick - lag..][..now.len()];
            let (mut both, mut energy) = (0_i64, 1_i64);
            for (&a, &b) in now.iter().step_by(every).zip(before.iter().step_by(every)) {
                both += i64::from(a) * i64::from(b);
                energy += i64::from(b) * i64::from(b);
            }
            both as f32 / (energy as f32).sqrt()
        };
        let best = |lags: &mut dyn Iterator<Item = usize>, every: usize| {
            lags.map(|lag| (alike(lag, every), lag)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, lag)| lag)
        };
        let (shortest, longest) = (SHORTEST * per_tick, LONGEST * per_tick);
        let coarse = best(&mut (shortest..=longest).step_by(2 * per_tick), 2 * per_tick).unwrap_or(longest);
        let (from, to) =
            (coarse.saturating_sub(2 * per_tick).max(shortest), (coarse + 2 * per_tick).min(longest));
        let length = best(&mut (from..=to), 1).unwrap_or(coarse);

        let end = last.len();
        self.period[..length].copy_from_slice(&last[end - length..]);
        let bend = length / 4;
        for n in 0..bend {
            let share = (n + 1) as i32;
            let own = i32::from(last[end - bend + n]);
            let before = i32::from(last[end - length - bend + n]);
            let bent = (before * share + own * (bend as i32 - share)) / bend as i32;
            self.period[length - bend + n] = bent as i16;
        }
        self.step = i32::from(last[end - 1]) - i32::from(last[end - length - 1]);
        self.length = length;
    }
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
    fn a_lost_packet_of_a_voice_sounds_like_the_voice() {
        // Two pitches with harmonics: what is made up must be near what was lost.
        for (rate, pitch) in [(Rate::Narrow, 90.0), (Rate::Narrow, 210.0), (Rate::Wide, 130.0)] {
            let hz = rate.hz() as f64;
            let voice: Vec<i16> = (0..8 * rate.frame())
                .map(|n| {
                    let time = n as f64 / hz * std::f64::consts::TAU;
                    (1..6).map(|h| 4_000.0 / f64::from(h) * (pitch * f64::from(h) * time).sin()).sum::<f64>()
                        as i16
                })
                .collect();
            let (heard, lost) = voice.split_at(5 * rate.frame());
            let mut concealer = Concealer::new(rate);
            heard.chunks(rate.frame()).for_each(|frame| concealer.real(&mut frame.to_vec()));
            let mut made_up = vec![0; rate.frame() / 2];
            concealer.fill(&mut made_up);
            let power =
                |sound: &mut dyn Iterator<Item = f64>| sound.map(|sample| sample.powi(2)).sum::<f64>();
            let wrong = power(&mut made_up.iter().zip(lost).map(|(&a, &b)| f64::from(a) - f64::from(b)));
            let right = power(&mut lost[..made_up.len()].iter().map(|&sample| f64::from(sample)));
            assert!(wrong < right / 20.0, "{pitch} Hz, {rate:?}: {:.2} of it is wrong", wrong / right);
        }
    }

    #[test]
    fn a_tail_begins_where_the_sound_broke_off() {
        let tail = tail(&[5, 4_000, 8_200], Rate::Narrow);
        assert_eq!(tail[0], 8_000);
        assert!(tail[1] > 3_700 && tail[3..].iter().all(|&sample| sample == 0));
    }
}
