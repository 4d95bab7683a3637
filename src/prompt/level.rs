//! Active speech level (ITU-T P.56, method B): how loud a voice is while it speaks.
//!
//! Pauses do not count. The level is the energy divided by the time in which the speech was active,
//! taken at the threshold that lies 15.9 dB below that very level.

/// How far the level stands above its threshold (P.56 §6.4).
const MARGIN_DB: f64 = 15.9;
/// Time constant of the two-stage envelope.
const SMOOTHING_S: f64 = 0.03;
/// A pause shorter than this belongs to the speech.
const HANGOVER_S: f64 = 0.2;
/// Thresholds at one half, one quarter … of full scale.
const THRESHOLDS: usize = 15;

/// The active level of `samples` in dBov (0: a square wave at full scale); `None` if they are silent
/// or never rise 15.9 dB above the lowest threshold (-90 dBov).
#[must_use]
pub fn active_speech_dbov(samples: impl IntoIterator<Item = i16>, rate: u32) -> Option<f64> {
    let keep = (-1.0 / (f64::from(rate) * SMOOTHING_S)).exp();
    let hangover = (HANGOVER_S * f64::from(rate)).ceil() as u64;
    let (mut energy, mut p, mut q) = (0.0, 0.0, 0.0);
    let mut active = [0_u64; THRESHOLDS];
    let mut quiet_for = [u64::MAX; THRESHOLDS];
    for sample in samples {
        let x = f64::from(sample).abs() / 32_768.0;
        energy += x * x;
        p = keep * p + (1.0 - keep) * x;
        q = keep * q + (1.0 - keep) * p;
        let mut threshold = 1.0;
        for (active, quiet_for) in active.iter_mut().zip(&mut quiet_for) {
            threshold /= 2.0;
            if q >= threshold {
                *quiet_for = 0;
                *active += 1;
            } else if *quiet_for < hangover {
                *quiet_for += 1;
                *active += 1;
            }
        }
    }
    // (level if this were the threshold, its distance from the threshold), from the lowest threshold
    // up: the distance shrinks, and the line between the two neighbours of the margin gives the point.
    // Far above it the distance may grow again, where the threshold is passed for a moment only.
    let mut before: Option<(f64, f64)> = None;
    for (step, active) in active.iter().enumerate().rev().filter(|(_, active)| **active > 0) {
        let level = 10.0 * (energy / *active as f64).log10();
        let distance = level + 20.0 * 2_f64.log10() * (step + 1) as f64;
        if distance <= MARGIN_DB {
            return before.map(|(level_before, distance_before)| {
                let part = (distance_before - MARGIN_DB) / (distance_before - distance);
                level_before + part * (level - level_before)
            });
        }
        before = Some((level, distance));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 kHz with the given peak.
    fn tone(peak: f64, seconds: f64) -> Vec<i16> {
        (0..(seconds * 16_000.0) as usize)
            .map(|n| (peak * (n as f64 * std::f64::consts::TAU / 16.0).sin()).round() as i16)
            .collect()
    }

    #[test]
    fn the_level_of_a_steady_tone_is_its_power() {
        // A sine of peak 3276.8 has 0.1 / sqrt 2 of full scale: -23.01 dBov.
        let level = active_speech_dbov(tone(3_276.8, 10.0), 16_000).unwrap();
        assert!((level + 23.01).abs() < 0.1, "{level}");
    }

    #[test]
    fn pauses_do_not_count() {
        let with_pauses: Vec<i16> =
            (0..5).flat_map(|_| [tone(3_276.8, 2.0), vec![0; 5 * 16_000]].concat()).collect();
        let level = active_speech_dbov(with_pauses, 16_000).unwrap();
        // Each pause keeps its hang-over and the envelope's tail, 0.3 s in 2.3 s: half a dB.
        assert!((-23.9..-23.0).contains(&level), "{level}");
    }

    #[test]
    fn twice_the_amplitude_is_six_db_more() {
        let level = |peak| active_speech_dbov(tone(peak, 3.0), 16_000).unwrap();
        assert!((level(8_000.0) - level(4_000.0) - 6.02).abs() < 0.05);
    }

    #[test]
    fn silence_has_no_level() {
        assert_eq!(active_speech_dbov(vec![0; 16_000], 16_000), None);
        assert_eq!(active_speech_dbov([], 16_000), None);
    }
}
