//! The three times that all timers of RFC 3261 are made of (§17.1.1.1, table 4).

use std::time::Duration;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timers {
    /// Estimated round trip. Smaller than the real one: every message is sent twice.
    pub t1: Duration,
    /// Longest pause between two sendings of a non-INVITE request or an answer to INVITE.
    pub t2: Duration,
    /// How long a message may live in the network.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// 64·T1: timers B, F, H, J, L, M, and D, which must be at least 32 s (that is 64·T1 by default).
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// J, D: zero where nothing repeats; K, I likewise with T4.
    #[must_use]
    pub fn linger(&self, time: Duration, reliable: bool) -> Duration {
        if reliable { Duration::ZERO } else { time }
    }

    /// When a client's timer E has grown to T2: from then on a server that still works on a
    /// non-INVITE request says 100 (RFC 4320 §4.1). 3.5 s by default.
    #[must_use]
    pub fn hurry(&self) -> Duration {
        let (mut sum, mut pause) = (Duration::ZERO, self.t1);
        while pause < self.t2 {
            sum += pause;
            pause *= 2;
        }
        sum
    }
}
