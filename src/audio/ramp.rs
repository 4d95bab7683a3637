//! A gain that never jumps: it takes one frame to reach where it is told to go, so that joining,
//! leaving and muting do not click.

/// Gains are in 1/32,768, from 0 (nothing) to [`UNITY`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ramp {
    now: i32,
    target: i32,
}

/// As loud as it came.
pub const UNITY: i32 = 1 << 15;

impl Ramp {
    #[must_use]
    pub fn at(gain: i32) -> Self {
        Self { now: gain, target: gain }
    }

    pub fn go_to(&mut self, gain: i32) {
        self.target = gain;
    }

    /// Where it is, at the end of the last frame.
    #[must_use]
    pub fn gain(&self) -> i32 {
        self.now
    }

    /// Whether frames pass unchanged.
    #[must_use]
    pub fn is_unity(&self) -> bool {
        self.now == UNITY && self.target == UNITY
    }

    /// Whether frames become silence, all of them.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.now == 0 && self.target == 0
    }

    pub fn apply(&mut self, frame: &mut [i16]) {
        if self.is_unity() {
            return;
        }
        let (from, step) = (self.now, self.target - self.now);
        let count = frame.len() as i32;
        for (n, sample) in frame.iter_mut().enumerate() {
            let gain = from + step * (n as i32 + 1) / count;
            *sample = ((i32::from(*sample) * gain) >> 15) as i16;
        }
        self.now = self.target;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME;

    #[test]
    fn a_gain_arrives_after_one_frame_without_a_step() {
        let mut ramp = Ramp::at(0);
        ramp.go_to(UNITY);
        let mut frame = [16_000; FRAME];
        ramp.apply(&mut frame);
        assert_eq!((frame[0], frame[FRAME - 1]), (99, 16_000));
        assert!(frame.windows(2).all(|pair| (0..=102).contains(&(pair[1] - pair[0]))));
        assert!(ramp.is_unity());
        ramp.go_to(0);
        ramp.apply(&mut frame);
        assert_eq!(frame[FRAME - 1], 0);
        assert!(ramp.is_closed());
    }
}
