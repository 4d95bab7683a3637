//! How much of their time the media threads work, and when they are full: then new calls are turned
//! away, before the sound of those that are there suffers.

use std::time::{Duration, Instant};

use super::figures::Figures;

/// Looked at so often.
const WINDOW: Duration = Duration::from_millis(500);
/// Full until the load is this much of full time below the limit again.
const ROOM: f32 = 0.1;
/// A thread that works more than this is late for somebody already.
const TOO_MUCH: f32 = 0.97;

#[derive(Debug)]
pub(super) struct Load {
    /// The share of its time, 0–1, that the least busy thread may work.
    limit: f32,
    looked: Instant,
    /// Of each worker, at that time.
    before: Vec<(Duration, u64)>,
    full: bool,
}

impl Load {
    #[must_use]
    pub fn new(busy_max: u8, workers: usize, now: Instant) -> Self {
        Self {
            limit: f32::from(busy_max) / 100.0,
            looked: now,
            before: vec![(Duration::ZERO, 0); workers],
            full: false,
        }
    }

    /// Whether new calls are turned away.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Looks at the figures of all workers if it is time to; they are read only then. Whether it did.
    pub fn look(&mut self, now: Instant, figures: impl Iterator<Item = Figures>) -> bool {
        let window = now.saturating_duration_since(self.looked);
        if window < WINDOW {
            return false;
        }
        self.looked = now;
        let mut shares = Vec::new();
        let mut is_behind = false;
        for (figures, before) in figures.zip(&mut self.before) {
            let (busy, skipped) = *before;
            shares.push(figures.busy.saturating_sub(busy).as_secs_f32() / window.as_secs_f32());
            is_behind |= figures.skipped > skipped;
            *before = (figures.busy, figures.skipped);
        }
        // A new leg goes to the least busy one. Who is far beyond, or leaves ticks out, is in danger
        // whoever is free beside it: where a caller will join is not known when the call comes.
        let least = shares.iter().copied().fold(f32::INFINITY, f32::min);
        let most = shares.iter().copied().fold(0.0, f32::max);
        let limit = if self.full { self.limit - ROOM } else { self.limit };
        self.full = self.limit < 1.0 && (least > limit || most > TOO_MUCH || is_behind);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_at_the_limit_or_when_ticks_are_left_out_and_not_at_once_free_again() {
        let start = Instant::now();
        let mut load = Load::new(80, 2, start);
        let mut done = [(Duration::ZERO, 0), (Duration::ZERO, 0)];
        let mut second = 0;
        let mut after = |shares: [f64; 2], skipped: u64| {
            second += 1;
            for ((busy, left_out), share) in done.iter_mut().zip(shares) {
                *busy += Duration::from_secs_f64(share);
                *left_out += skipped;
            }
            let figures = done.map(|(busy, skipped)| Figures { busy, skipped, ..Figures::default() });
            let now = start + Duration::from_secs(second);
            assert!(load.look(now, figures.into_iter()));
            assert!(!load.look(now + WINDOW / 2, std::iter::empty()), "not yet");
            load.is_full()
        };
        assert!(!after([0.5, 0.9], 0), "one has room");
        assert!(after([0.81, 0.9], 0));
        assert!(after([0.75, 0.75], 0), "still");
        assert!(!after([0.65, 0.65], 0));
        assert!(!after([0.75, 0.75], 0));
        assert!(after([0.1, 0.98], 0), "one is beyond what it can do");
        assert!(!after([0.1, 0.1], 0));
        assert!(after([0.1, 0.1], 4), "ticks were left out");
        assert!(!after([0.1, 0.1], 0));
    }
}
