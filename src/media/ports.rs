//! The pool of UDP ports: an even one for RTP, the next for its RTCP (RFC 3550 §11).
//!
//! A port rests before it is used again, so that a new call does not inherit what an old caller's
//! phone still sends. The order is shuffled: where the next call will listen is not to be guessed.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// How long a port rests. A phone that has our BYE stops within a round trip; one that has not is
/// still kept out by latching.
pub const REST: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Ports {
    /// Even ports and since when they are free, the longest first; `None`: never used.
    free: VecDeque<(u16, Option<Instant>)>,
}

impl Ports {
    /// All pairs that lie wholly in `range`, in an order that `random` makes.
    #[must_use]
    pub fn new(range: &RangeInclusive<u16>, mut random: impl FnMut() -> u32) -> Self {
        let mut even: Vec<u16> =
            range.clone().filter(|port| port % 2 == 0 && *port > 0 && range.contains(&(port + 1))).collect();
        for last in (1..even.len()).rev() {
            even.swap(last, random() as usize % (last + 1));
        }
        Self { free: even.into_iter().map(|port| (port, None)).collect() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.free.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.free.is_empty()
    }

    /// The port that has rested longest; `None` when none has rested long enough.
    pub fn take(&mut self, now: Instant) -> Option<u16> {
        let (port, since) = *self.free.front()?;
        if since.is_some_and(|since| now.saturating_duration_since(since) < REST) {
            return None;
        }
        self.free.pop_front();
        Some(port)
    }

    /// Gives a port back, to rest.
    pub fn give_back(&mut self, port: u16, now: Instant) {
        self.free.push_back((port, Some(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_even_is_used_once_and_rests() {
        let mut ports = Ports::new(&(20_001..=20_008), || 7);
        let start = Instant::now();
        let mut taken: Vec<u16> = std::iter::from_fn(|| ports.take(start)).collect();
        taken.sort_unstable();
        assert_eq!(taken, [20_002, 20_004, 20_006]);
        ports.give_back(20_004, start);
        ports.give_back(20_002, start + REST / 2);
        assert_eq!(ports.take(start + REST - Duration::from_millis(1)), None);
        assert_eq!(ports.take(start + REST), Some(20_004));
        assert_eq!(ports.take(start + REST), None);
        assert_eq!(ports.take(start + REST * 2), Some(20_002));
    }

    #[test]
    fn a_range_to_the_very_end_holds_no_half_pairs() {
        assert_eq!(Ports::new(&(65_534..=65_535), || 0).len(), 1);
        assert!(Ports::new(&(65_535..=65_535), || 0).is_empty());
    }
}
