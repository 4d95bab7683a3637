//! How loud a frame is.

/// The largest absolute sample, 0–32,768.
#[must_use]
pub fn peak(samples: &[i16]) -> u16 {
    let (mut low, mut high) = (0_i16, 0_i16);
    for &sample in samples {
        low = low.min(sample);
        high = high.max(sample);
    }
    low.unsigned_abs().max(high as u16)
}

/// Whether nothing is in there but a codec's idle code: A-law cannot say less than ±8.
#[must_use]
pub fn is_silent(samples: &[i16]) -> bool {
    peak(samples) <= 8
}

/// Breaks off: fades out over so many samples, and the rest is silence.
pub fn fade_out(samples: &mut [i16], over: usize) {
    let (fading, rest) = samples.split_at_mut(over);
    for (n, sample) in fading.iter_mut().enumerate() {
        *sample = (i32::from(*sample) * (over - n) as i32 / (over as i32 + 1)) as i16;
    }
    rest.fill(0);
}

/// The level of silence, in dBov.
pub const NOTHING: f32 = -127.0;

/// Level in dBov (RFC 6465 §4): 0 is a full-scale square wave, a full-scale sine is -3; -127 for
/// silence.
#[must_use]
pub fn dbov(samples: &[i16]) -> f32 {
    let energy: i64 = samples.iter().map(|&sample| i64::from(sample) * i64::from(sample)).sum();
    if energy == 0 {
        return NOTHING;
    }
    let mean = energy as f64 / samples.len() as f64 / (32_767.0 * 32_767.0);
    (10.0 * mean.log10()).max(f64::from(NOTHING)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::tone;

    #[test]
    fn levels_of_known_sounds() {
        let sine: Vec<i16> = tone(1_000.0, 32_767.0, 0, 800).collect();
        assert!((dbov(&sine) + 3.01).abs() < 0.01);
        assert_eq!(peak(&sine), 32_767);
        assert_eq!(peak(&[i16::MIN, 5]), 32_768);
        assert_eq!(dbov(&[0; 160]), -127.0);
        assert!(is_silent(&[8, -8]) && !is_silent(&[9]));
    }
}
