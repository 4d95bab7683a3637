//! The client side of INVITE (RFC 3261 §17.1.1, RFC 6026 §8.4).
//!
//! ```text
//! Calling ─ 1xx ──> Proceeding ─ 2xx ──> Accepted ─ M ──> over
//!    │                  └─ 300–699: ACK ──> Completed ─ D ──> over
//!    ├─ A: send again, pauses double
//!    └─ B: timed out    (and no final answer within `longest` after a first one)
//! ```
//! Every 2xx, repeated or from another fork, goes to the call, which acknowledges it.

use std::time::{Duration, Instant};

use super::{Backoff, Due, Heard, Timers};
use crate::sip::flow::Bytes;

#[derive(Debug)]
pub struct InviteClient {
    timers: Timers,
    reliable: bool,
    longest: Duration,
    state: State,
}

#[derive(Debug)]
enum State {
    Calling { request: Bytes, a: Option<Backoff>, b: Instant },
    Proceeding { until: Instant },
    Accepted { m: Instant },
    Completed { ack: Option<Bytes>, d: Instant },
}

impl InviteClient {
    /// `request` has gone out for the first time. After a first answer the peer has `longest` to
    /// decide: whoever gives up earlier sends a CANCEL.
    #[must_use]
    pub fn new(now: Instant, request: Bytes, timers: Timers, reliable: bool, longest: Duration) -> Self {
        let b = now + timers.patience();
        let a = (!reliable).then(|| Backoff::new(now, timers.t1, timers.patience()));
        Self { timers, reliable, longest, state: State::Calling { request, a, b } }
    }

    /// A response of `status` came. After a refusal that is [`Heard::New`] call [`acknowledged`].
    ///
    /// [`acknowledged`]: Self::acknowledged
    pub fn hear(&mut self, now: Instant, status: u16) -> Heard {
        match (&mut self.state, status) {
            (State::Calling { .. }, 100..200) => {
                self.state = State::Proceeding { until: now + self.longest };
                Heard::New
            }
            (State::Proceeding { .. }, 100..200) => Heard::New,
            (State::Calling { .. } | State::Proceeding { .. }, 200..300) => {
                self.state = State::Accepted { m: now + self.timers.patience() };
                Heard::New
            }
            (State::Accepted { .. }, 200..300) => Heard::New,
            (State::Calling { .. } | State::Proceeding { .. }, 300..) => {
                let d = now + self.timers.linger(self.timers.patience(), self.reliable);
                self.state = State::Completed { ack: None, d };
                Heard::New
            }
            (State::Completed { ack: Some(ack), .. }, 300..) => Heard::AckAgain(ack.clone()),
            (
                State::Accepted { .. }
                | State::Completed { .. }
                | State::Calling { .. }
                | State::Proceeding { .. },
                _,
            ) => Heard::Again,
        }
    }

    /// This ACK of a refusal has gone out; it goes out again with each repetition of the refusal.
    pub fn acknowledged(&mut self, bytes: Bytes) {
        if let State::Completed { ack, .. } = &mut self.state {
            *ack = Some(bytes);
        }
    }

    /// An answer has come, so that a CANCEL may follow (RFC 3261 §9.1).
    #[must_use]
    pub const fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// No final answer has come.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Proceeding { .. })
    }

    /// A CANCEL has gone out: without a final answer within 64·T1 the transaction is over (§9.1).
    pub fn cancelled(&mut self, now: Instant) {
        if let State::Proceeding { until } = &mut self.state {
            *until = now + self.timers.patience();
        }
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Calling { a, b, .. } => Some(a.map_or(*b, |a| a.at().min(*b))),
            State::Proceeding { until } => Some(*until),
            State::Accepted { m } => Some(*m),
            State::Completed { d, .. } => Some(*d),
        }
    }

    pub fn elapse(&mut self, now: Instant) -> Due {
        match &mut self.state {
            State::Calling { b, .. } if now >= *b => Due::TimedOut,
            State::Proceeding { until } if now >= *until => Due::TimedOut,
            State::Accepted { m } if now >= *m => Due::Over,
            State::Completed { d, .. } if now >= *d => Due::Over,
            State::Calling { request, a: Some(a), .. } => a.resend(now, request),
            State::Calling { .. }
            | State::Proceeding { .. }
            | State::Accepted { .. }
            | State::Completed { .. } => Due::Nothing,
        }
    }
}
