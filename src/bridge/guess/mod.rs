//! Guessing: what a wrong entry costs. First the rounds of one call, then the [`Ladder`] of limits
//! across calls.
//!
//! A code has 10,000 values, so limits per call alone are no defence. A try is *spent before it is
//! compared*; what stays spent moves the callers of a meeting to the lobby, and a believed number out
//! for a day. A number that nobody vouches for has no counter of its own, or a forger would lock its
//! owner out: those share one bucket per trunk.

mod ladder;
mod tally;

use std::time::Duration;

pub use ladder::{Ladder, Proved};
pub use tally::Tally;

use crate::types::{HostId, MeetingId, PhoneNumber};

/// Rounds that a call has left for its entries. A wrong entry and a silent prompt cost one each;
/// `*` is free, because the time of a call that is not admitted is bounded as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rounds {
    left: u8,
}

impl Rounds {
    pub(crate) const fn of(limits: &Limits) -> Self {
        Self { left: limits.rounds }
    }

    /// Takes one; whether there is another.
    pub(crate) fn spend(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}

/// The figures of the ladder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Rounds of one call.
    pub rounds: u8,
    /// Wrong tries against one code in its life; after them its callers go to the lobby. The same
    /// for one host PIN; after them it opens nothing.
    pub code_tries: usize,
    /// Wrong tries against one host's codes within `host_period`, since the last new PIN; and, counted
    /// apart, against its host PINs.
    pub host_tries: usize,
    pub host_period: Duration,
    /// Wrong tries from one believed number within `number_period`; then it is kept out as long.
    pub number_tries: usize,
    pub number_period: Duration,
    /// Wrong tries of all other callers of a trunk, refilled evenly over `trunk_period`.
    pub trunk_tries: u32,
    pub trunk_period: Duration,
    /// More delay for such a caller with each wrong try on this trunk, up to the most.
    pub delay_step: Duration,
    pub delay_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            rounds: 3,
            code_tries: 5,
            host_tries: 9,
            host_period: DAY.saturating_mul(365),
            number_tries: 9,
            number_period: DAY,
            trunk_tries: 200,
            trunk_period: DAY,
            delay_step: Duration::from_secs(2),
            delay_max: Duration::from_secs(15),
        }
    }
}

/// Who tries: what counts against the caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// A number at trust `network` or better.
    pub number: Option<PhoneNumber>,
    pub trunk: String,
}

impl Attempt {
    #[must_use]
    pub fn counter(&self) -> Counter {
        match &self.number {
            Some(number) => Counter::Number(number.clone()),
            None => Counter::Trunk(self.trunk.clone()),
        }
    }
}

/// What is tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Aim {
    /// Whose PIN is it?
    Pin,
    /// Which of these meetings has the code? No host: the PIN is nobody's, and was paid for when it
    /// was looked up.
    Codes {
        host: Option<HostId>,
        meetings: Vec<MeetingId>,
    },
    HostPin {
        host: HostId,
    },
}

impl Aim {
    /// The budgets that a try is taken from beside the caller's own.
    #[must_use]
    pub fn counters(&self) -> Vec<Counter> {
        match self {
            Self::Codes { host: Some(host), meetings } if !meetings.is_empty() => {
                let codes = meetings.iter().map(|meeting| Counter::Code(*meeting));
                codes.chain([Counter::CodesOf(*host)]).collect()
            }
            Self::Pin | Self::Codes { .. } => Vec::new(),
            Self::HostPin { host } => vec![Counter::HostPin(*host), Counter::HostPinsOf(*host)],
        }
    }

    /// Whether the caller pays, too.
    #[must_use]
    pub fn costs_the_caller(&self) -> bool {
        !matches!(self, Self::Codes { host: None, .. })
    }
}

/// One budget.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Counter {
    /// One code, for its life.
    Code(MeetingId),
    /// All codes of a host.
    CodesOf(HostId),
    /// One host PIN, for its life.
    HostPin(HostId),
    /// All host PINs that a host ever had.
    HostPinsOf(HostId),
    Number(PhoneNumber),
    Trunk(String),
}

/// How a try went before anything was compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// `false`: the caller's budget is used up. Nothing was spent and nothing may be compared.
    pub compared: bool,
    /// So much longer than usual the verdict waits, whatever it is.
    pub delay: Duration,
    /// The budget of what was tried had been used up before: even a right entry opens only the lobby.
    pub exhausted: bool,
    /// To be given back if the call succeeds; `None` when nothing was spent or it is back already.
    pub spent: Option<Spent>,
    /// The budgets of which this was the last try.
    pub used_up: Vec<Counter>,
}

/// A spent try.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spent {
    pub counters: Vec<Counter>,
    /// In milliseconds since 1970.
    pub at: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_three_rounds() {
        let mut rounds = Rounds::of(&Limits::default());
        assert_eq!(
            [rounds.spend(), rounds.spend(), rounds.spend(), rounds.spend()],
            [true, true, false, false]
        );
    }
}
