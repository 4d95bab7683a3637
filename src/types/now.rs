//! The time, as it comes into a room that decides.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// One moment on two clocks. Timers run on `instant`, which never steps; meeting windows and
/// expiries are judged by `date`, which an administrator or NTP may set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    pub instant: Instant,
    pub date: Timestamp,
}

impl Now {
    /// Reads both clocks: for rooms that do, never for rooms that decide.
    #[must_use]
    pub fn read() -> Self {
        Self { instant: Instant::now(), date: Timestamp::now() }
    }

    /// The moment `later` after this one, on both clocks.
    #[must_use]
    pub fn after(self, later: Duration) -> Self {
        Self { instant: self.instant + later, date: self.date.checked_add(later).unwrap_or(Timestamp::MAX) }
    }
}
