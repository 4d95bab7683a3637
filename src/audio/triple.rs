//! From 16 to 48 kHz and back, frame by frame.
//!
//! One low-pass for both ways, flat to 7 kHz, half at 8, gone from 9: a third of its taps makes each of the
//! three samples that stand for one, and all of them the one that stands for three. Each way delays by 1 ms.

use std::sync::LazyLock;

use super::Rate;
use super::resample::bessel;

/// Products per sample of 48 kHz, going up; three times as many per sample of 16 kHz, going down.
const TAPS: usize = 32;
const ALL: usize = 3 * TAPS;
/// What 1 is in fixed point; a sum of all taps fits 32 bits.
const UNITY: f64 = (1 << 14) as f64;
/// The most samples of 16 kHz taken at once.
const WIDE: usize = Rate::Wide.frame();
/// As many of 48 kHz.
const FULL: usize = Rate::Full.frame();

/// 16 to 48 kHz.
#[derive(Clone, Debug)]
pub struct Up {
    before: [i16; TAPS - 1],
}

/// 48 to 16 kHz.
#[derive(Clone, Debug)]
pub struct Down {
    before: [i16; ALL - 1],
}

impl Default for Up {
    fn default() -> Self {
        Self { before: [0; TAPS - 1] }
    }
}

impl Default for Down {
    fn default() -> Self {
        Self { before: [0; ALL - 1] }
    }
}

impl Up {
    /// Fills `out` from a third as many samples.
    pub fn process(&mut self, samples: &[i16], out: &mut [i16]) {
        let mut line = [0; WIDE + TAPS - 1];
        let line = joined(&mut self.before, samples, &mut line);
        for (three, window) in out.chunks_exact_mut(3).zip(line.windows(TAPS)) {
            for (sample, taps) in three.iter_mut().zip(&COEFFICIENTS.up) {
                *sample = bounded(dot(taps, window));
            }
        }
    }

    /// Whether something is still to come out when nothing more goes in.
    #[must_use]
    pub fn sounds(&self) -> bool {
        self.before.iter().any(|&sample| sample != 0)
    }
}

impl Down {
    /// Fills `out` from three times as many samples.
    pub fn process(&mut self, samples: &[i16], out: &mut [i16]) {
        let mut line = [0; FULL + ALL - 1];
        let line = joined(&mut self.before, samples, &mut line);
        for (sample, window) in out.iter_mut().zip(line[2..].windows(ALL).step_by(3)) {
            *sample = bounded(dot(&COEFFICIENTS.down, window) / 3);
        }
    }

    /// As [`Up::sounds`].
    #[must_use]
    pub fn sounds(&self) -> bool {
        self.before.iter().any(|&sample| sample != 0)
    }
}

/// What was before and what is now, in one piece; remembers the end of it.
fn joined<'a>(before: &mut [i16], samples: &[i16], line: &'a mut [i16]) -> &'a [i16] {
    let count = before.len() + samples.len();
    line[..before.len()].copy_from_slice(before);
    line[before.len()..count].copy_from_slice(samples);
    before.copy_from_slice(&line[samples.len()..count]);
    &line[..count]
}

fn dot(taps: &[i16], window: &[i16]) -> i32 {
    taps.iter().zip(window).map(|(&tap, &sample)| i32::from(tap) * i32::from(sample)).sum()
}

fn bounded(sum: i32) -> i16 {
    ((sum + (1 << 13)) >> 14).clamp(-32_768, 32_767) as i16
}

struct Coefficients {
    /// For each of the three samples, the oldest first.
    up: [[i16; TAPS]; 3],
    down: [i16; ALL],
}

/// Computes the taps now, so that the first frame does not have to.
pub fn prepare() {
    LazyLock::force(&COEFFICIENTS);
}

/// A sinc at a sixth of the higher rate, under a Kaiser window for 60 dB. One tap, the last, is zero, so that the
/// others lie evenly around one of them.
static COEFFICIENTS: LazyLock<Coefficients> = LazyLock::new(|| {
    const SHAPE: f64 = 5.6;
    let half = (ALL / 2 - 1) as f64;
    let taps: [f64; ALL] = std::array::from_fn(|n| {
        let x = n as f64 - half;
        if x > half {
            return 0.0;
        }
        let angle = std::f64::consts::PI * x / 3.0;
        let sinc = if x == 0.0 { 1.0 } else { angle.sin() / angle };
        sinc * bessel(SHAPE * (1.0 - (x / (half + 1.0)).powi(2)).sqrt()) / bessel(SHAPE)
    });
    // Each of the three must be as loud as the others, or there is a tone where there was none.
    let up: [[i16; TAPS]; 3] = std::array::from_fn(|phase| {
        let sum: f64 = (0..TAPS).map(|n| taps[phase + 3 * n]).sum();
        std::array::from_fn(|n| (taps[phase + 3 * (TAPS - 1 - n)] / sum * UNITY).round() as i16)
    });
    let sum: f64 = taps.iter().sum();
    let down = std::array::from_fn(|n| (taps[ALL - 1 - n] / sum * 3.0 * UNITY).round() as i16);
    Coefficients { up, down }
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::{amplitude_at, tone_at};

    fn up(samples: &[i16], piece: usize) -> Vec<i16> {
        let mut filter = Up::default();
        let mut out = vec![0; 3 * samples.len()];
        for (samples, out) in samples.chunks(piece).zip(out.chunks_mut(3 * piece)) {
            filter.process(samples, out);
        }
        out
    }

    fn down(samples: &[i16], piece: usize) -> Vec<i16> {
        let mut filter = Down::default();
        let mut out = vec![0; samples.len() / 3];
        for (samples, out) in samples.chunks(3 * piece).zip(out.chunks_mut(piece)) {
            filter.process(samples, out);
        }
        out
    }

    #[test]
    fn tones_keep_their_loudness_both_ways_and_images_and_aliases_stay_away() {
        for frequency in [100.0, 1_000.0, 3_400.0, 6_000.0, 7_000.0] {
            let wide: Vec<i16> = tone_at(16_000, frequency, 10_000.0, 0, 16_000).collect();
            let full = up(&wide, 320);
            let got = amplitude_at(48_000, &full[4_800..], frequency);
            assert!((got - 10_000.0).abs() < 200.0, "{frequency} Hz up: {got}");
            for image in [16_000.0 - frequency, 16_000.0 + frequency] {
                let got = amplitude_at(48_000, &full[4_800..], image);
                assert!(got < 30.0, "{frequency} Hz has an image of {got} at {image}");
            }
            let back = amplitude_at(16_000, &down(&full, 320)[1_600..], frequency);
            assert!((back - 10_000.0).abs() < 300.0, "{frequency} Hz up and down: {back}");
        }
        for frequency in [9_100.0, 12_000.0, 15_000.0, 20_000.0] {
            let full: Vec<i16> = tone_at(48_000, frequency, 10_000.0, 0, 48_000).collect();
            let folded = (frequency - 16_000.0_f64).abs();
            let alias = amplitude_at(16_000, &down(&full, 320)[1_600..], folded);
            assert!(alias < 30.0, "{frequency} Hz comes back with {alias}");
        }
    }

    #[test]
    fn pieces_of_any_size_are_the_whole_and_the_loudest_samples_do_not_wrap() {
        let sound: Vec<i16> = tone_at(16_000, 777.0, 20_000.0, 0, 3_200).collect();
        let full = up(&sound, 320);
        for piece in [1, 40, 77] {
            assert_eq!(up(&sound, piece), full);
            assert_eq!(down(&full, piece), down(&full, 320));
        }
        let square: Vec<i16> = (0..1_600).map(|n| if n / 80 % 2 == 0 { 32_767 } else { -32_768 }).collect();
        for (out, half, delay) in [(up(&square, 320), 240, 47), (down(&square, 320), 80 / 3, 16)] {
            for (n, &sample) in out[delay..].iter().enumerate() {
                let middle = n % half > half / 3 && n % half < half * 2 / 3;
                let high = (n / half).is_multiple_of(2);
                if middle && half == 240 {
                    assert!(if high { sample > 28_000 } else { sample < -28_000 }, "{n}: {sample}");
                }
            }
            assert!(out.contains(&32_767) && out.contains(&-32_768));
        }
    }
}
