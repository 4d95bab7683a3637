//! How strong one tone is in a stretch of sound (Goertzel's algorithm).

use super::RATE;

/// The amplitude of a sine of `frequency` Hz in `samples`, in sample units: a full-scale tone over
/// a whole number of its periods gives 32,767. 0 for no samples.
#[must_use]
pub fn amplitude(samples: &[i16], frequency: f64) -> f64 {
    amplitude_at(RATE, samples, frequency)
}

/// As [`amplitude`], of samples at `rate` a second.
#[must_use]
pub fn amplitude_at(rate: usize, samples: &[i16], frequency: f64) -> f64 {
    if samples.is_empty() {
        return 0.0;
    }
    let angle = std::f64::consts::TAU * frequency / rate as f64;
    let factor = 2.0 * angle.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in samples {
        let now = f64::from(sample) + factor * last - before;
        before = last;
        last = now;
    }
    let power: f64 = last * last + before * before - factor * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len() as f64
}

/// A sine of `frequency` Hz and `amplitude`, `count` samples long, from phase 0 at sample `from`:
/// stretches that follow each other join without a step.
pub fn tone(frequency: f64, amplitude: f64, from: usize, count: usize) -> impl Iterator<Item = i16> {
    tone_at(RATE, frequency, amplitude, from, count)
}

/// As [`tone`], of samples at `rate` a second.
pub fn tone_at(
    rate: usize,
    frequency: f64,
    amplitude: f64,
    from: usize,
    count: usize,
) -> impl Iterator<Item = i16> {
    (from..from + count).map(move |n| {
        let angle = std::f64::consts::TAU * frequency * n as f64 / rate as f64;
        (amplitude * angle.sin()).round() as i16
    })
}

/// The amplitude of a sine of so many dBm0.
#[must_use]
pub fn dbm0(level: f64) -> f64 {
    32_767.0 * 10_f64.powf((level - OVERLOAD) / 20.0)
}

/// A sine of full scale, in dBm0: 3.14 with A-law, 3.17 with µ-law (ITU-T G.711).
const OVERLOAD: f64 = 3.15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_where_it_is_and_nowhere_else() {
        let samples: Vec<i16> = tone(1_000.0, 8_000.0, 0, 1_600).collect();
        assert!((amplitude(&samples, 1_000.0) - 8_000.0).abs() < 10.0);
        for other in [300.0, 850.0, 1_150.0, 2_000.0] {
            assert!(amplitude(&samples, other) < 80.0, "{other} Hz");
        }
        assert_eq!(amplitude(&[], 1_000.0), 0.0);
    }
}
