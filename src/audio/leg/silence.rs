//! Comfort noise in place of silence (RFC 3389), for a peer that takes it.

/// What is sent of one tick.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sends {
    Sound,
    /// What the silence sounds like from now on, in -dBov.
    Noise(u8),
    Nothing,
}

/// How long what the peer is sent has been silent.
#[derive(Clone, Debug)]
pub(super) struct Silence {
    /// Of this tick, in dBov.
    level: f32,
    ticks: u32,
}

/// Softer than this, in dBov, is silence: nobody speaks so.
const SILENT: f32 = -66.0;
/// Ticks of silence that are sent as they are: 0.2 s, so that noise does not come between the words of a sentence,
/// and an encoder that remembers is at rest.
const LEAD: u32 = 10;
/// Ticks until it is said again: 0.4 s. A lost packet is then not missed, nor do we look gone.
const AGAIN: u32 = 20;
/// The loudest, for what is never silence.
const LOUD: f32 = 0.0;

impl Default for Silence {
    fn default() -> Self {
        Self { level: LOUD, ticks: 0 }
    }
}

impl Silence {
    /// How loud what the peer hears this tick is, in dBov.
    pub(super) fn note(&mut self, level: f32) {
        self.level = level;
    }

    /// It is something that must be heard, whatever its level.
    pub(super) fn end(&mut self) {
        self.level = LOUD;
    }

    /// Once a tick, after it was noted; what was not is sound.
    pub(super) fn next(&mut self) -> Sends {
        let level = std::mem::replace(&mut self.level, LOUD);
        if level > SILENT {
            self.ticks = 0;
            return Sends::Sound;
        }
        self.ticks = self.ticks.wrapping_add(1).max(1);
        match self.ticks.checked_sub(LEAD + 1) {
            None => Sends::Sound,
            Some(since) if since.is_multiple_of(AGAIN) => {
                Sends::Noise((-level).round().clamp(0.0, 127.0) as u8)
            }
            Some(_) => Sends::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_becomes_noise_after_a_while_is_told_again_and_ends_at_once() {
        let mut silence = Silence::default();
        let mut said = |level: Option<f32>| {
            level.into_iter().for_each(|level| silence.note(level));
            silence.next()
        };
        for _ in 0..2 {
            assert_eq!(said(Some(-30.0)), Sends::Sound);
            assert!((0..LEAD).all(|_| said(Some(-70.2)) == Sends::Sound));
            for level in [-70.2, -127.0, -300.0] {
                assert_eq!(said(Some(level)), Sends::Noise((-level).min(127.0) as u8));
                assert!((1..AGAIN).all(|_| said(Some(-80.0)) == Sends::Nothing));
            }
            // Louder, or nobody has said how loud.
            assert_eq!(said(None), Sends::Sound);
            assert!((0..LEAD).all(|_| said(Some(-127.0)) == Sends::Sound));
            assert_eq!(said(Some(-65.0)), Sends::Sound);
        }
    }
}
