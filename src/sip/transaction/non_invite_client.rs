//! The client side of every method but INVITE and ACK (RFC 3261 §17.1.2).
//!
//! ```text
//! Trying ─ 1xx ──> Proceeding ─ final ──> Completed ─ K ──> over
//!    ├─ E: send again, pauses double up to T2; in Proceeding every T2
//!    └─ F: timed out
//! ```

use std::time::Instant;

use super::{Backoff, Due, Heard, Timers};
use crate::sip::flow::Bytes;

#[derive(Debug)]
pub struct NonInviteClient {
    timers: Timers,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Trying and Proceeding differ in nothing but the pauses of E.
    Open {
        request: Bytes,
        e: Option<Backoff>,
        f: Instant,
        proceeding: bool,
    },
    Completed {
        k: Instant,
    },
}

impl NonInviteClient {
    /// `request` has gone out for the first time.
    #[must_use]
    pub fn new(now: Instant, request: Bytes, timers: Timers, reliable: bool) -> Self {
        let e = (!reliable).then(|| Backoff::new(now, timers.t1, timers.t2));
        let f = now + timers.patience();
        Self { timers, reliable, state: State::Open { request, e, f, proceeding: false } }
    }

    pub fn hear(&mut self, now: Instant, status: u16) -> Heard {
        match (&mut self.state, status) {
            (State::Open { e, proceeding, .. }, 100..200) => {
                if !*proceeding && e.is_some() {
                    *e = Some(Backoff::new(now, self.timers.t2, self.timers.t2));
                }
                *proceeding = true;
                Heard::New
            }
            (State::Open { .. }, _) => {
                self.state = State::Completed { k: now + self.timers.linger(self.timers.t4, self.reliable) };
                Heard::New
            }
            (State::Completed { .. }, _) => Heard::Again,
        }
    }

    /// No final answer has come.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        Some(match &self.state {
            State::Open { e, f, .. } => e.map_or(*f, |e| e.at().min(*f)),
            State::Completed { k } => *k,
        })
    }

    pub fn elapse(&mut self, now: Instant) -> Due {
        match &mut self.state {
            State::Open { f, .. } if now >= *f => Due::TimedOut,
            State::Completed { k } if now >= *k => Due::Over,
            State::Open { request, e: Some(e), .. } => e.resend(now, request),
            State::Open { .. } | State::Completed { .. } => Due::Nothing,
        }
    }
}
