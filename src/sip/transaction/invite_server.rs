//! The server side of INVITE (RFC 3261 §17.2.1, RFC 6026 §8.7).
//!
//! ```text
//! Proceeding ─ 2xx ──> Accepted ─ L ──> over
//!     └─ 300–699 ──> Completed ─ ACK ──> Confirmed ─ I ──> over
//!                        └─ H: no ACK, timed out
//! ```
//! The 2xx is repeated by the call until its ACK, over streams too, because no other transaction
//! does it (RFC 3261 §13.3.1.4); any other final answer is repeated here (timer G).

use std::time::Instant;

use super::{Backoff, Due, Timers};
use crate::sip::flow::Bytes;

#[derive(Debug)]
pub struct InviteServer {
    timers: Timers,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Proceeding { last: Option<Bytes> },
    Accepted { l: Instant },
    Completed { response: Bytes, g: Option<Backoff>, h: Instant },
    Confirmed { i: Instant },
}

/// What an ACK that matches this transaction means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ack {
    /// It ends the repetition of our refusal.
    OfRefusal,
    /// It belongs to the call: it acknowledges a 2xx.
    OfSuccess,
    /// It came before a final answer or twice.
    Stray,
}

impl InviteServer {
    #[must_use]
    pub const fn new(timers: Timers, reliable: bool) -> Self {
        Self { timers, reliable, state: State::Proceeding { last: None } }
    }

    /// The request came again: what to send, if anything. After a 2xx the call repeats it itself.
    #[must_use]
    pub fn repeated(&self) -> Option<Bytes> {
        match &self.state {
            State::Proceeding { last } => last.clone(),
            State::Completed { response, .. } => Some(response.clone()),
            State::Accepted { .. } | State::Confirmed { .. } => None,
        }
    }

    /// No final answer has gone out.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Proceeding { .. })
    }

    /// An answer below 200 has gone out.
    pub fn progress(&mut self, response: Bytes) {
        if let State::Proceeding { last } = &mut self.state {
            *last = Some(response);
        }
    }

    /// A 2xx has gone out.
    pub fn accept(&mut self, now: Instant) {
        if self.is_open() {
            self.state = State::Accepted { l: now + self.timers.patience() };
        }
    }

    /// An answer of 300 or more has gone out.
    pub fn refuse(&mut self, now: Instant, response: Bytes) {
        if self.is_open() {
            let g = (!self.reliable).then(|| Backoff::new(now, self.timers.t1, self.timers.t2));
            self.state = State::Completed { response, g, h: now + self.timers.patience() };
        }
    }

    pub fn acknowledge(&mut self, now: Instant) -> Ack {
        match self.state {
            State::Completed { .. } => {
                self.state = State::Confirmed { i: now + self.timers.linger(self.timers.t4, self.reliable) };
                Ack::OfRefusal
            }
            State::Accepted { .. } => Ack::OfSuccess,
            State::Proceeding { .. } | State::Confirmed { .. } => Ack::Stray,
        }
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Proceeding { .. } => None,
            State::Accepted { l } => Some(*l),
            State::Completed { g, h, .. } => Some(g.map_or(*h, |g| g.at().min(*h))),
            State::Confirmed { i } => Some(*i),
        }
    }

    pub fn elapse(&mut self, now: Instant) -> Due {
        match &mut self.state {
            State::Accepted { l } if now >= *l => Due::Over,
            State::Confirmed { i } if now >= *i => Due::Over,
            State::Completed { h, .. } if now >= *h => Due::TimedOut,
            State::Completed { response, g: Some(g), .. } => g.resend(now, response),
            State::Proceeding { .. }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Confirmed { .. } => Due::Nothing,
        }
    }
}
