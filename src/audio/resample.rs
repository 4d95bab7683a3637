//! From 8 to 16 kHz and back, frame by frame.
//!
//! One half-band filter for both ways: every second of its taps is zero, so one of two samples
//! passes as it is and the other is 24 products. Flat to 3.4 kHz, half at 4, gone from 4.6; each
//! way delays by 1.4 ms. The state between frames is what the filter remembers, and nothing that
//! is older than 3 ms has any part in what comes out.

use std::sync::LazyLock;

/// Products per sample.
const TAPS: usize = 24;
/// What the middle tap, 1, is in fixed point; a sum of all taps fits 32 bits.
const UNITY: i32 = 1 << 14;
/// The most samples of 8 kHz taken at once.
const FRAME: usize = super::FRAME;

/// 8 to 16 kHz.
#[derive(Clone, Debug, Default)]
pub struct Up {
    before: [i16; TAPS - 1],
    sounds: bool,
}

impl Up {
    /// Samples of 8 kHz that it is late by.
    pub const DELAY: usize = TAPS / 2;

    /// Fills `out` from half as many samples, at most [`super::FRAME`].
    pub fn process(&mut self, samples: &[i16], out: &mut [i16]) {
        let line = line(&mut self.before, samples);
        let taps = &*COEFFICIENTS;
        for ((pair, window), middle) in
            out.chunks_exact_mut(2).zip(line.windows(TAPS)).zip(&line[TAPS / 2 - 1..])
        {
            pair[0] = *middle;
            pair[1] = bounded(dot(taps, window));
        }
        self.sounds = self.before.iter().any(|&sample| sample != 0);
    }

    /// Whether something is still to come out when nothing more goes in.
    #[must_use]
    pub fn sounds(&self) -> bool {
        self.sounds
    }
}

/// 16 to 8 kHz.
#[derive(Clone, Debug, Default)]
pub struct Down {
    odd: [i16; TAPS - 1],
    even: [i16; TAPS / 2 - 1],
}

impl Down {
    /// Fills `out` from twice as many samples, at most two [`super::FRAME`].
    pub fn process(&mut self, samples: &[i16], out: &mut [i16]) {
        let mut split = [[0; FRAME]; 2];
        let [even, odd] = &mut split;
        for ((pair, even), odd) in samples.chunks_exact(2).zip(even).zip(odd) {
            *even = pair[0];
            *odd = pair[1];
        }
        let count = samples.len() / 2;
        let line = line(&mut self.odd, &split[1][..count]);
        const EVENS: usize = TAPS / 2 - 1;
        let mut middle = [0; FRAME + EVENS];
        middle[..EVENS].copy_from_slice(&self.even);
        middle[EVENS..][..count].copy_from_slice(&split[0][..count]);
        self.even.copy_from_slice(&middle[count..count + EVENS]);
        let taps = &*COEFFICIENTS;
        for ((out, window), middle) in out.iter_mut().zip(line.windows(TAPS)).zip(&middle) {
            *out = bounded((dot(taps, window) + i32::from(*middle) * UNITY) / 2);
        }
    }

    /// As [`Up::sounds`].
    #[must_use]
    pub fn sounds(&self) -> bool {
        self.odd.iter().chain(&self.even).any(|&sample| sample != 0)
    }
}

/// What was before and what is now, in one piece; remembers the end of it.
fn line(before: &mut [i16; TAPS - 1], samples: &[i16]) -> [i16; FRAME + TAPS - 1] {
    let mut line = [0; FRAME + TAPS - 1];
    line[..TAPS - 1].copy_from_slice(before);
    line[TAPS - 1..][..samples.len()].copy_from_slice(samples);
    before.copy_from_slice(&line[samples.len()..samples.len() + TAPS - 1]);
    line
}

fn dot(taps: &[i16; TAPS], window: &[i16]) -> i32 {
    let window: &[i16; TAPS] = window.try_into().expect("windows are as long as there are taps");
    taps.iter().zip(window).map(|(&tap, &sample)| i32::from(tap) * i32::from(sample)).sum()
}

fn bounded(sum: i32) -> i16 {
    ((sum + UNITY / 2) >> 14).clamp(-32_768, 32_767) as i16
}

/// Computes the taps now, so that the first frame does not have to.
pub fn prepare() {
    LazyLock::force(&COEFFICIENTS);
}

/// The odd taps of a sinc at half the higher rate, under a Kaiser window for 54 dB.
static COEFFICIENTS: LazyLock<[i16; TAPS]> = LazyLock::new(|| {
    const SHAPE: f64 = 5.0;
    let half = TAPS as f64;
    let taps: [f64; TAPS] = std::array::from_fn(|n| {
        let x = 2.0 * n as f64 + 1.0 - half;
        let angle = std::f64::consts::FRAC_PI_2 * x;
        angle.sin() / angle * bessel(SHAPE * (1.0 - (x / half).powi(2)).sqrt()) / bessel(SHAPE)
    });
    // The passing and the computed samples must be as loud as each other.
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| (tap / sum * f64::from(UNITY)).round() as i16)
});

/// The modified Bessel function of order 0, by its series.
pub(super) fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    (1..30).fold(1.0, |sum, n| {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum + term
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::{amplitude_at, tone_at};

    fn up(samples: &[i16], piece: usize) -> Vec<i16> {
        let mut filter = Up::default();
        let mut out = vec![0; 2 * samples.len()];
        for (samples, out) in samples.chunks(piece).zip(out.chunks_mut(2 * piece)) {
            filter.process(samples, out);
        }
        out
    }

    fn down(samples: &[i16], piece: usize) -> Vec<i16> {
        let mut filter = Down::default();
        let mut out = vec![0; samples.len() / 2];
        for (samples, out) in samples.chunks(2 * piece).zip(out.chunks_mut(piece)) {
            filter.process(samples, out);
        }
        out
    }

    #[test]
    fn tones_keep_their_loudness_both_ways_and_images_and_aliases_stay_away() {
        for frequency in [200.0, 1_000.0, 2_500.0, 3_400.0] {
            let narrow: Vec<i16> = tone_at(8_000, frequency, 10_000.0, 0, 8_000).collect();
            let wide = up(&narrow, 160);
            let got = amplitude_at(16_000, &wide[800..], frequency);
            assert!((got - 10_000.0).abs() < 300.0, "{frequency} Hz up: {got}");
            let image = amplitude_at(16_000, &wide[800..], 8_000.0 - frequency);
            assert!(image < 40.0, "{frequency} Hz has an image of {image}");
            let back = amplitude_at(8_000, &down(&wide, 160)[400..], frequency);
            assert!((back - 10_000.0).abs() < 500.0, "{frequency} Hz up and down: {back}");
        }
        for frequency in [4_700.0, 5_500.0, 7_000.0] {
            let wide: Vec<i16> = tone_at(16_000, frequency, 10_000.0, 0, 16_000).collect();
            let alias = amplitude_at(8_000, &down(&wide, 160)[400..], 8_000.0 - frequency);
            assert!(alias < 40.0, "{frequency} Hz comes back with {alias}");
        }
    }

    #[test]
    fn pieces_of_any_size_are_the_whole() {
        let sound: Vec<i16> = tone_at(16_000, 777.0, 20_000.0, 0, 3_200).collect();
        for piece in [2, 40, 77] {
            assert_eq!(up(&sound, piece), up(&sound, 160));
            assert_eq!(down(&sound, piece), down(&sound, 160));
        }
    }

    #[test]
    fn the_loudest_samples_do_not_wrap() {
        let square: Vec<i16> = (0..1_600).map(|n| if n / 80 % 2 == 0 { 32_767 } else { -32_768 }).collect();
        for (out, delay, half) in [(up(&square, 160), 24, 160), (down(&square, 160), 12, 40)] {
            for (n, sample) in out[delay..].iter().enumerate().filter(|(n, _)| n % half > half / 3) {
                let high = n / half % 2 == 0;
                assert!(if high { *sample > 28_000 } else { *sample < -28_000 } || n % half > half * 2 / 3);
            }
            assert!(out.contains(&32_767) && out.contains(&-32_768));
        }
    }

    #[test]
    fn silence_ends_within_one_frame() {
        let mut filter = Up::default();
        let mut out = [0; 320];
        filter.process(&[9; 160], &mut out);
        assert!(filter.sounds());
        filter.process(&[0; 160], &mut out);
        assert!(!filter.sounds() && out[0] != 0 && out[60..].iter().all(|&sample| sample == 0));
    }
}
