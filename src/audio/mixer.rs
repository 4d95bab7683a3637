//! Adding voices: one sum per conference, and each speaker hears the sum without their own voice
//! (mix-minus).

use super::FRAME_MAX;

/// The sum of a conference's voices, wide enough that no number of callers overflows it. As with a
/// [`Frame`](super::Frame), the room's rate says how much of it counts.
pub type Sum = [i32; FRAME_MAX];

pub fn add(sum: &mut [i32], frame: &[i16]) {
    for (total, &sample) in sum.iter_mut().zip(frame) {
        *total += i32::from(sample);
    }
}

/// What a listener hears: the whole sum.
pub fn heard(sum: &[i32], out: &mut [i16]) {
    limit(sum.iter().copied(), out);
}

/// What a speaker hears: the sum without what they said themselves, which must be exactly what
/// was added.
pub fn heard_without(sum: &[i32], own: &[i16], out: &mut [i16]) {
    limit(sum.iter().zip(own).map(|(&total, &own)| total - i32::from(own)), out);
}

/// Above this, -2.5 dBov, the limiter bends: three quarters of full scale.
const KNEE: i32 = 24_576;
/// What is left above the knee.
const HEADROOM: i32 = i16::MAX as i32 - KNEE;

/// A soft limiter: below the knee nothing changes; above, however much is added, full scale is
/// approached and never passed. The curve has no corner, so loud crosstalk distorts less than
/// clipping would.
fn limit(sum: impl Iterator<Item = i32> + Clone, out: &mut [i16]) {
    let mut largest = 0;
    for (out, total) in out.iter_mut().zip(sum.clone()) {
        largest = largest.max(total.abs());
        *out = total as i16;
    }
    if largest <= KNEE {
        return;
    }
    for (out, total) in out.iter_mut().zip(sum) {
        let over = i64::from(total.abs() - KNEE);
        if over > 0 {
            let bent = KNEE + (over * i64::from(HEADROOM) / (over + i64::from(HEADROOM))) as i32;
            *out = (bent * total.signum()) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME;

    #[test]
    fn a_speaker_hears_all_others_and_not_themselves() {
        let voices = [[100; FRAME], [-2_000; FRAME], [7; FRAME]];
        let mut sum = [0; FRAME];
        voices.iter().for_each(|voice| add(&mut sum, voice));
        let mut out = [0; FRAME];
        heard(&sum, &mut out);
        assert_eq!(out, [-1_893; FRAME]);
        heard_without(&sum, &voices[1], &mut out);
        assert_eq!(out, [107; FRAME]);
    }

    #[test]
    fn a_thousand_shouting_callers_neither_overflow_nor_wrap() {
        let mut sum = [0; FRAME];
        for _ in 0..1_000 {
            add(&mut sum, &[i16::MIN; FRAME]);
        }
        let mut out = [0; FRAME];
        heard(&sum, &mut out);
        assert!(out.iter().all(|&sample| (-32_767..=-32_700).contains(&sample)), "{}", out[0]);
    }

    #[test]
    fn the_limiter_is_smooth_and_never_falls() {
        let bent = |total| {
            let mut out = [0; FRAME];
            heard(&[total; FRAME], &mut out);
            i32::from(out[0])
        };
        for total in (0..200_000).step_by(13) {
            assert!(bent(total + 13) >= bent(total), "at {total}");
            assert!(bent(total + 13) - bent(total) <= 13, "at {total}");
            assert_eq!(bent(-total), -bent(total));
        }
        assert_eq!(bent(KNEE), KNEE);
    }
}
