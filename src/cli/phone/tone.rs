//! Pure tones: made, and found again in what is heard.
//!
//! A phone that speaks a tone of its own can be told from all others by whoever hears it. Levels are
//! in dB of the loudest sine that 16 bits hold.

use std::f64::consts::TAU;

/// Sound is 8 kHz everywhere in the phone: that is what G.711 carries.
pub const RATE: u32 = 8_000;

/// A sine without end.
#[derive(Clone, Debug)]
pub struct Tone {
    step: f64,
    phase: f64,
    amplitude: f64,
}

impl Tone {
    /// `level_db` is 0 for the loudest sine, -20 for a tenth of its amplitude.
    #[must_use]
    pub fn new(hz: f64, level_db: f64) -> Self {
        Self { step: TAU * hz / f64::from(RATE), phase: 0.0, amplitude: amplitude(level_db) }
    }

    pub fn next_sample(&mut self) -> i16 {
        let value = self.phase.sin() * self.amplitude;
        self.phase = (self.phase + self.step) % TAU;
        value.round() as i16
    }
}

/// The two frequencies of a key (ITU-T Q.23), for phones that send keys as sound.
#[must_use]
pub fn key_tones(key: crate::types::Digit) -> (f64, f64) {
    const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const HIGH: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    const KEYPAD: &str = "123A456B789C*0#D";
    let place = KEYPAD.find(key.as_char()).expect("every key is on the keypad");
    (LOW[place / 4], HIGH[place % 4])
}

/// How loud the sine of `hz` is in `samples`, in dB of the loudest; -120 at least.
///
/// A Goertzel filter under a Hann window: at 400 ms other tones 10 Hz away are 40 dB down and more.
#[must_use]
pub fn level(samples: &[i16], hz: f64) -> f64 {
    if samples.is_empty() {
        return SILENT_DB;
    }
    let n = samples.len() as f64;
    let coefficient = 2.0 * (TAU * hz / f64::from(RATE)).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for (i, &sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * i as f64 / n).cos();
        let next = coefficient * last - before + f64::from(sample) * window;
        before = last;
        last = next;
    }
    let power = last * last + before * before - coefficient * last * before;
    // The window halves the amplitude, the filter sums n of them, a sine has half of it on each side.
    let amplitude = power.max(0.0).sqrt() * 4.0 / n;
    (20.0 * (amplitude / f64::from(i16::MAX)).log10()).max(SILENT_DB)
}

/// The mean loudness of `samples`, as dB of the loudest sine's; -120 at least.
#[must_use]
pub fn loudness(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return SILENT_DB;
    }
    let sum: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    let sine = f64::from(i16::MAX) * f64::from(i16::MAX) / 2.0;
    (10.0 * (sum / samples.len() as f64 / sine).log10()).max(SILENT_DB)
}

/// Below everything that 16 bits hold.
pub const SILENT_DB: f64 = -120.0;

fn amplitude(level_db: f64) -> f64 {
    f64::from(i16::MAX) * 10f64.powf(level_db / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Digit;

    fn mixed(tones: &[(f64, f64)], samples: usize) -> Vec<i16> {
        let mut tones: Vec<Tone> = tones.iter().map(|&(hz, db)| Tone::new(hz, db)).collect();
        (0..samples).map(|_| tones.iter_mut().map(Tone::next_sample).sum()).collect()
    }

    #[test]
    fn a_tone_is_found_at_its_level_among_others() {
        let sound = mixed(&[(440.0, -20.0), (620.0, -26.0), (1_000.0, -40.0)], 3_200);
        for (hz, db) in [(440.0, -20.0), (620.0, -26.0), (1_000.0, -40.0)] {
            assert!((level(&sound, hz) - db).abs() < 0.5, "{hz} Hz: {}", level(&sound, hz));
        }
        for hz in [300.0, 500.0, 700.0, 2_000.0] {
            assert!(level(&sound, hz) < -60.0, "{hz} Hz: {}", level(&sound, hz));
        }
    }

    #[test]
    fn silence_has_no_level() {
        assert_eq!(level(&[], 440.0), SILENT_DB);
        assert_eq!(level(&[0; 800], 440.0), SILENT_DB);
        assert_eq!(loudness(&[0; 800]), SILENT_DB);
    }

    #[test]
    fn loudness_of_a_sine_is_its_level() {
        assert!((loudness(&mixed(&[(440.0, -20.0)], 8_000)) + 20.0).abs() < 0.1);
    }

    #[test]
    fn keys_have_the_tones_of_the_keypad() {
        for (key, tones) in
            [('1', (697.0, 1209.0)), ('5', (770.0, 1336.0)), ('0', (941.0, 1336.0)), ('#', (941.0, 1477.0))]
        {
            assert_eq!(key_tones(Digit::from_char(key).unwrap()), tones, "{key}");
        }
    }
}
