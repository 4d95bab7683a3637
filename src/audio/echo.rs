//! Whether a leg sends back what it is sent: a speakerphone in a bad room, a gateway without a canceller.
//!
//! The loudness of what it was sent, tick by tick, is laid over the loudness of what comes from it, later
//! and later by up to half a second. Where both rise and fall together for seconds, it is an echo: people
//! who talk with each other do the opposite.

/// Ticks compared: 4 s.
const WINDOW: usize = 200;
/// The longest way there and back, in ticks: 500 ms.
const DELAY_MAX: usize = 25;
const KEPT: usize = WINDOW + DELAY_MAX;
/// Softer than this, in dBov, is nothing; an echo below it disturbs nobody.
const FLOOR: f32 = -60.0;
/// How alike both must be, and how much they must move, in dB, for it to mean anything.
const ALIKE: f32 = 0.75;
const UNLIKE: f32 = 0.5;
const MOVES_MIN: f32 = 4.0;
/// Looks, one a second, before it is said, and before it is taken back: who speaks into their own echo
/// hides it.
const SURE: i32 = 3;
const UNSURE: i32 = -10;

/// Listens to one leg.
#[derive(Clone, Debug)]
pub struct Echo {
    /// Levels in dBov, newest at `at - 1`.
    sent: [f32; KEPT],
    came: [f32; WINDOW],
    ticks: usize,
    sure: i32,
    echoes: bool,
    told: bool,
}

impl Default for Echo {
    fn default() -> Self {
        Self { sent: [FLOOR; KEPT], came: [FLOOR; WINDOW], ticks: 0, sure: 0, echoes: false, told: false }
    }
}

impl Echo {
    /// A tick: how loud what it was sent, and what came from it, in dBov.
    pub fn note(&mut self, sent: f32, came: f32) {
        self.sent[self.ticks % KEPT] = sent.max(FLOOR);
        self.came[self.ticks % WINDOW] = came.max(FLOOR);
        self.ticks += 1;
        if self.ticks >= KEPT && self.ticks.is_multiple_of(50) {
            self.look();
        }
    }

    #[must_use]
    pub fn echoes(&self) -> bool {
        self.echoes
    }

    /// Whether that has changed since it was last asked; then it counts as told.
    pub fn take_change(&mut self) -> Option<bool> {
        let changed = self.told != self.echoes;
        self.told = self.echoes;
        changed.then_some(self.echoes)
    }

    fn look(&mut self) {
        let alike = self.alike();
        self.sure = match alike {
            Some(alike) if alike >= ALIKE => (self.sure.max(0) + 1).min(SURE),
            Some(alike) if alike < UNLIKE => (self.sure.min(0) - 1).max(UNSURE),
            // Nothing to be learnt from silence.
            _ => self.sure,
        };
        if self.sure == SURE {
            self.echoes = true;
        } else if self.sure == UNSURE {
            self.echoes = false;
        }
    }

    /// The correlation at the delay where it is greatest; `None` when either hardly moves.
    fn alike(&self) -> Option<f32> {
        let newest = self.ticks;
        let came = |back: usize| self.came[(newest - 1 - back) % WINDOW];
        let (came_mean, came_spread) = spread((0..WINDOW).map(came))?;
        let best = (0..=DELAY_MAX).filter_map(|delay| {
            let sent = |back: usize| self.sent[(newest - 1 - back - delay) % KEPT];
            let (sent_mean, sent_spread) = spread((0..WINDOW).map(sent))?;
            let both: f32 = (0..WINDOW).map(|back| (came(back) - came_mean) * (sent(back) - sent_mean)).sum();
            Some(both / WINDOW as f32 / came_spread / sent_spread)
        });
        best.reduce(f32::max)
    }
}

/// Mean and standard deviation, if it is large enough to tell something.
fn spread(levels: impl Iterator<Item = f32> + Clone) -> Option<(f32, f32)> {
    let mean = levels.clone().sum::<f32>() / WINDOW as f32;
    let variance = levels.map(|level| (level - mean).powi(2)).sum::<f32>() / WINDOW as f32;
    (variance.sqrt() >= MOVES_MIN).then_some((mean, variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A talker's loudness: words and pauses, never twice the same.
    fn talks(random: &mut u32, level: &mut f32, on: bool) -> f32 {
        *random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if *random >> 29 == 0 {
            *level = if on && *random & 0x1000_0000 != 0 { -22.0 } else { -65.0 };
        }
        if on { *level - (*random >> 28 & 7) as f32 } else { -65.0 }
    }

    #[test]
    fn a_leg_that_sends_back_what_it_hears_is_found_and_one_that_converses_is_not() {
        // What: delay of its echo in ticks, how much softer; whether it speaks itself; found or not.
        let cases = [
            ("a speakerphone", Some((3, 10.0)), false, true),
            ("a slow gateway", Some((20, 25.0)), false, true),
            ("a speakerphone that also talks", Some((5, 6.0)), true, true),
            ("a quiet listener", None, false, false),
            ("somebody who converses", None, true, false),
        ];
        for (name, back, speaks, expected) in cases {
            let mut echo = Echo::default();
            let (mut random, mut sent_level, mut own_level) = (7, -65.0, -65.0);
            let mut sent: Vec<f32> = Vec::new();
            for tick in 0..3_000_usize {
                let turn = tick / 150 % 3 == 0;
                sent.push(talks(&mut random, &mut sent_level, !(speaks && turn)));
                let own = talks(&mut random, &mut own_level, speaks && turn);
                let returned =
                    back.and_then(|(delay, softer)| Some(sent.get(tick.checked_sub(delay)?)? - softer));
                echo.note(sent[tick], own.max(returned.unwrap_or(-90.0)));
            }
            assert_eq!(echo.echoes(), expected, "{name}: {:?}", echo.alike());
            assert_eq!(echo.take_change().is_some(), expected, "{name}");
            assert_eq!(echo.take_change(), None);
            // It is put right.
            for _ in 0..1_000 {
                let sent = talks(&mut random, &mut sent_level, true);
                let own = talks(&mut random, &mut own_level, true);
                echo.note(sent, own);
            }
            assert!(!echo.echoes(), "{name}, put right");
        }
    }
}
