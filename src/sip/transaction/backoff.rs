//! When to send again: pauses that double up to a bound (timers A, E, G and the 200 to INVITE).

use std::time::{Duration, Instant};

use super::Due;
use crate::sip::flow::Bytes;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    at: Instant,
    pause: Duration,
    longest: Duration,
}

impl Backoff {
    /// The first repetition is one `pause` after `now`.
    #[must_use]
    pub fn new(now: Instant, pause: Duration, longest: Duration) -> Self {
        Self { at: now + pause, pause, longest }
    }

    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// Is it time? If so, the next time is set. Counted from `now`: a late wake-up does not make a burst.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.at;
        if due {
            self.pause = (self.pause * 2).min(self.longest);
            self.at = now + self.pause;
        }
        due
    }

    /// As a machine says it.
    pub(super) fn resend(&mut self, now: Instant, message: &Bytes) -> Due {
        if self.is_due(now) { Due::Resend(message.clone()) } else { Due::Nothing }
    }
}
