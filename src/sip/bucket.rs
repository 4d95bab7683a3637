//! A token bucket: so many at once, and so many in a time.
//!
//! Kept as one moment, the one at which the bucket is full again (the generic cell rate algorithm of
//! ITU-T I.371): nothing ticks, and an idle bucket costs nothing.

use std::time::{Duration, Instant};

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// One more after each of these.
    pub every: Duration,
    /// So many at once, at least 1.
    pub burst: u32,
}

impl Rate {
    /// `per_second` is at least 1.
    #[must_use]
    pub fn per_second(per_second: u32, burst: u32) -> Self {
        Self { every: Duration::from_secs(1) / per_second.max(1), burst: burst.max(1) }
    }
}

/// Full when new.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one out. When there is none: how long until there is.
    pub fn take(&mut self, now: Instant, rate: Rate) -> Result<(), Duration> {
        self.look(now, rate)?;
        self.full_at = Some(self.full_at.map_or(now, |at| at.max(now)) + rate.every);
        Ok(())
    }

    /// The same without taking.
    pub fn look(&self, now: Instant, rate: Rate) -> Result<(), Duration> {
        let after = self.full_at.map_or(now, |at| at.max(now)) + rate.every;
        let wait = after.saturating_duration_since(now).saturating_sub(rate.every * rate.burst);
        if wait.is_zero() { Ok(()) } else { Err(wait) }
    }

    /// As good as a new one.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_so_many_in_a_time() {
        let (rate, begin) = (Rate::per_second(2, 3), Instant::now());
        let mut bucket = Bucket::default();
        // Milliseconds, and whether one is to be had.
        let takes = [
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (499, false),
            (500, true),
            (500, false),
            (10_000, true),
            (10_000, true),
            (10_000, true),
            (10_001, false),
        ];
        for (n, (ms, had)) in takes.into_iter().enumerate() {
            let now = begin + Duration::from_millis(ms);
            assert_eq!(bucket.take(now, rate).is_ok(), had, "take {n} at {ms} ms");
        }
        let now = begin + Duration::from_millis(10_100);
        assert_eq!(bucket.take(now, rate), Err(Duration::from_millis(400)));
        assert!(!bucket.is_full(now) && bucket.is_full(begin + Duration::from_secs(12)));
    }
}
