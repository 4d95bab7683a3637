//! What the media threads measure about themselves, for the metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the lateness histogram, in microseconds; one more bucket takes the rest.
pub const LATENESS_BOUNDS_US: [u64; 10] = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 100_000];

/// One worker's counters: written by its thread, read by anyone.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub lateness: [AtomicU64; LATENESS_BOUNDS_US.len() + 1],
    pub lateness_ns: AtomicU64,
    pub busy_ns: AtomicU64,
    pub phases: AtomicU64,
    pub skipped: AtomicU64,
    pub packets_in: AtomicU64,
    pub packets_out: AtomicU64,
    pub send_failures: AtomicU64,
    pub events_lost: AtomicU64,
    pub freed_in_tick: AtomicU64,
    pub faults: AtomicU64,
    pub rooms_moved: AtomicU64,
    pub legs: AtomicU64,
    pub rooms: AtomicU64,
}

/// A snapshot of one worker's counters since its start.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// Phases (four a tick) that began this late after their deadline; bucket n counts those up
    /// to [`LATENESS_BOUNDS_US`]`[n]` and above the bound before.
    pub lateness: [u64; LATENESS_BOUNDS_US.len() + 1],
    /// The lateness of all phases together.
    pub late_in_all: Duration,
    /// Time spent working, of the time since the start.
    pub busy: Duration,
    pub phases: u64,
    /// Phases left out because the thread was more than 100 ms behind.
    pub skipped: u64,
    pub packets_in: u64,
    pub packets_out: u64,
    pub send_failures: u64,
    /// Events for which there was no room. Key presses have their own.
    pub events_lost: u64,
    /// Memory freed by a worker itself because nobody read the events.
    pub freed_in_tick: u64,
    /// Faults of ours that ended the calls they happened to.
    pub faults: u64,
    /// Rooms that went on to another thread, so that none has much more to do than the others.
    pub rooms_moved: u64,
    /// Now.
    pub legs: u64,
    pub rooms: u64,
}

impl Counters {
    pub fn late_by(&self, lateness: Duration) {
        let us = lateness.as_micros() as u64;
        let bucket = LATENESS_BOUNDS_US.iter().position(|&bound| us <= bound);
        add(&self.lateness_ns, lateness.as_nanos() as u64);
        add(&self.lateness[bucket.unwrap_or(LATENESS_BOUNDS_US.len())], 1);
    }

    pub fn read(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        Figures {
            lateness: std::array::from_fn(|n| read(&self.lateness[n])),
            late_in_all: Duration::from_nanos(read(&self.lateness_ns)),
            busy: Duration::from_nanos(read(&self.busy_ns)),
            phases: read(&self.phases),
            skipped: read(&self.skipped),
            packets_in: read(&self.packets_in),
            packets_out: read(&self.packets_out),
            send_failures: read(&self.send_failures),
            events_lost: read(&self.events_lost),
            freed_in_tick: read(&self.freed_in_tick),
            faults: read(&self.faults),
            rooms_moved: read(&self.rooms_moved),
            legs: read(&self.legs),
            rooms: read(&self.rooms),
        }
    }
}

/// There is one writer, so a load and a store do; they cost less than an atomic addition.
pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed) + count, Relaxed);
}

pub(super) fn take_one(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed).saturating_sub(1), Relaxed);
}

impl Figures {
    /// The lateness that this share (0–1) of all phases did not exceed, as a bound of the
    /// histogram; `None` before the first phase or when it lies beyond the last bound.
    #[must_use]
    pub fn lateness_quantile(&self, share: f64) -> Option<Duration> {
        let total: u64 = self.lateness.iter().sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (count, &bound) in self.lateness.iter().zip(&LATENESS_BOUNDS_US) {
            seen += count;
            if total > 0 && seen >= wanted {
                return Some(Duration::from_micros(bound));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_counted_in_buckets_and_read_as_quantiles() {
        let counters = Counters::default();
        assert_eq!(counters.read().lateness_quantile(0.5), None);
        for _ in 0..99 {
            counters.late_by(Duration::from_micros(40));
        }
        counters.late_by(Duration::from_micros(1_500));
        let figures = counters.read();
        assert_eq!(figures.lateness_quantile(0.99), Some(Duration::from_micros(50)));
        assert_eq!(figures.lateness_quantile(0.999), Some(Duration::from_micros(2_000)));
        counters.late_by(Duration::from_secs(1));
        assert_eq!(counters.read().lateness_quantile(1.0), None);
    }
}
