//! The server side of every method but INVITE and ACK (RFC 3261 §17.2.2, RFC 4320 §4).
//!
//! ```text
//! Trying ─ final ──> Completed ─ J ──> over
//!    ├─ 100 once, when the client's timer E has reached T2
//!    └─ nothing said for 64·T1: over in silence, a 408 would come too late to be believed
//! ```

use std::time::Instant;

use super::{Due, Timers};
use crate::sip::flow::Bytes;

#[derive(Debug)]
pub struct NonInviteServer {
    timers: Timers,
    reliable: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Trying { hurry: Option<Instant>, hundred: Option<Bytes>, until: Instant },
    Completed { response: Bytes, j: Instant },
}

impl NonInviteServer {
    #[must_use]
    pub fn new(now: Instant, timers: Timers, reliable: bool) -> Self {
        let state = State::Trying {
            hurry: Some(now + timers.hurry()),
            hundred: None,
            until: now + timers.patience(),
        };
        Self { timers, reliable, state }
    }

    /// The request came again: what to send, if anything.
    #[must_use]
    pub fn repeated(&self) -> Option<Bytes> {
        match &self.state {
            State::Trying { hundred, .. } => hundred.clone(),
            State::Completed { response, .. } => Some(response.clone()),
        }
    }

    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Trying { .. })
    }

    /// The 100 that [`Due::Hurry`] asked for has gone out.
    pub fn hurried(&mut self, response: Bytes) {
        if let State::Trying { hundred, .. } = &mut self.state {
            *hundred = Some(response);
        }
    }

    /// A final answer has gone out.
    pub fn finish(&mut self, now: Instant, response: Bytes) {
        if self.is_open() {
            let j = now + self.timers.linger(self.timers.patience(), self.reliable);
            self.state = State::Completed { response, j };
        }
    }

    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        Some(match self.state {
            State::Trying { hurry, until, .. } => hurry.map_or(until, |hurry| hurry.min(until)),
            State::Completed { j, .. } => j,
        })
    }

    pub fn elapse(&mut self, now: Instant) -> Due {
        match &mut self.state {
            State::Trying { until, .. } if now >= *until => Due::Over,
            State::Completed { j, .. } if now >= *j => Due::Over,
            State::Trying { hurry, .. } if hurry.is_some_and(|at| now >= at) => {
                *hurry = None;
                Due::Hurry
            }
            State::Trying { .. } | State::Completed { .. } => Due::Nothing,
        }
    }
}
