//! What a call would be rated by people who hear it, from what its packets met: the E-model (ITU-T G.107).
//!
//! A rating of 0 to 100 loses points for delay and for loss, the more the worse a codec bears it, and
//! becomes a mean opinion of 1 to 4.5. It is an estimate from the network alone: it hears no echo and no
//! noise, and rates a wideband codec as the narrow one that it is better than.

use std::time::Duration;

/// What happened to one direction of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Met {
    /// Share of packets that were not played in time, 0–1.
    pub lost: f32,
    /// From mouth to ear.
    pub delay: Duration,
    /// The codec repairs losses from what it repeats.
    pub repairs: bool,
}

/// Base: everything else as good as a wired telephone line.
const BEST: f32 = 93.2;
/// How well G.711 with concealment, and a codec that repairs, bear random loss (G.113 Bpl).
const ROBUST_CONCEALED: f32 = 25.1;
const ROBUST_REPAIRED: f32 = 40.0;

impl Met {
    /// The rating R (G.107 §7.1), 0–100.
    #[must_use]
    pub fn rating(&self) -> f32 {
        let percent = self.lost.clamp(0.0, 1.0) * 100.0;
        let robust = if self.repairs { ROBUST_REPAIRED } else { ROBUST_CONCEALED };
        let equipment = 95.0 * percent / (percent + robust);
        let ms = self.delay.as_secs_f32() * 1_000.0;
        // Pure delay disturbs little below 177 ms and more beyond, where people begin to talk over each
        // other.
        let delay = 0.024 * ms + 0.11 * (ms - 177.3).max(0.0);
        (BEST - equipment - delay).clamp(0.0, 100.0)
    }
}

/// Mean opinion, 1–4.5 (G.107 Annex B).
#[must_use]
pub fn opinion(rating: f32) -> f32 {
    let r = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_are_those_of_the_recommendation() {
        // Loss, delay in ms, repairs; mean opinion within 0.12. G.107 and G.113 give 4.4 for the best call, and
        // R 49.9 for a fifth lost: 2.57 by Annex B, as 1.15 for all lost.
        let cases = [
            (0.0, 20, false, 4.4),
            (0.0, 150, false, 4.32),
            (0.0, 400, false, 3.1),
            (0.01, 50, false, 4.3),
            (0.05, 50, false, 3.8),
            (0.05, 50, true, 4.05),
            (0.20, 50, false, 2.57),
            (1.0, 50, false, 1.15),
        ];
        for (lost, ms, repairs, expected) in cases {
            let met = Met { lost, delay: Duration::from_millis(ms), repairs };
            let got = opinion(met.rating());
            assert!((got - expected).abs() < 0.12, "{met:?}: {got:.2}, R {:.1}", met.rating());
        }
        assert!((opinion(93.2) - 4.41).abs() < 0.01);
    }
}
