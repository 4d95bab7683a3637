//! What is on one counter: wrong tries by date, or a bucket that leaks.
//!
//! Plain numbers, in milliseconds, so that a tally is the same in memory and in a row of a table.

use std::time::Duration;

use super::{Counter, Limits};

/// One counter's state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Tally {
    /// Wrong tries, at most as many as the budget has, and those given back that count (see
    /// [`Tally::give_back`]). In no order: a clock may be set back.
    Dates { tries: Vec<i64>, given_back: Vec<i64> },
    /// When the bucket will be empty, and when the one of tries given back will be.
    Bucket { empty_at: i64, given_back_empty_at: i64 },
}

/// How long tries count, and how many there may be.
struct Rule {
    tries: usize,
    /// `None`: for ever.
    period: Option<i64>,
    /// A full one stays full for a whole period from its last try on.
    bars: bool,
    /// So many tries of calls that succeeded are given back in a period; `None`: all.
    given_back: Option<usize>,
}

impl Rule {
    fn of(counter: &Counter, limits: &Limits) -> Self {
        match counter {
            Counter::Code(_) | Counter::HostPin(_) => {
                Self { tries: limits.code_tries, period: None, bars: false, given_back: None }
            }
            Counter::CodesOf(_) | Counter::HostPinsOf(_) => Self {
                tries: limits.host_tries,
                period: Some(millis(limits.host_period)),
                bars: false,
                given_back: None,
            },
            Counter::Number(_) | Counter::Trunk(_) => Self {
                tries: limits.number_tries,
                period: Some(millis(limits.number_period)),
                bars: true,
                given_back: Some(limits.number_tries),
            },
        }
    }
}

impl Tally {
    #[must_use]
    pub fn empty(counter: &Counter) -> Self {
        match counter {
            Counter::Trunk(_) => Self::Bucket { empty_at: i64::MIN, given_back_empty_at: i64::MIN },
            _ => Self::Dates { tries: Vec::new(), given_back: Vec::new() },
        }
    }

    /// Drops what does not count any more.
    pub(super) fn settle(&mut self, counter: &Counter, limits: &Limits, now: i64) {
        let Self::Dates { tries, given_back } = self else { return };
        let rule = Rule::of(counter, limits);
        let Some(period) = rule.period else { return };
        let over = |at: i64| at.saturating_add(period) <= now;
        if rule.bars && tries.len() >= rule.tries {
            if tries.iter().all(|at| over(*at)) {
                tries.clear();
            }
        } else {
            tries.retain(|at| !over(*at));
        }
        given_back.retain(|at| !over(*at));
    }

    /// No try is left. Of a settled one.
    pub(super) fn is_full(&self, counter: &Counter, limits: &Limits, now: i64) -> bool {
        match self {
            Self::Dates { tries, .. } => tries.len() >= Rule::of(counter, limits).tries,
            Self::Bucket { empty_at, .. } => !fits(*empty_at, limits, now),
        }
    }

    /// Takes a try. Of one that is not full.
    pub(super) fn spend(&mut self, limits: &Limits, now: i64) {
        match self {
            Self::Dates { tries, .. } => tries.push(now),
            Self::Bucket { empty_at, .. } => *empty_at = (*empty_at).max(now).saturating_add(cost(limits)),
        }
    }

    /// Takes back what was spent at that time: it was right, or never compared.
    pub(super) fn take_back(&mut self, limits: &Limits, at: i64) {
        match self {
            Self::Dates { tries, .. } => {
                if let Some(place) = tries.iter().position(|other| *other == at) {
                    tries.swap_remove(place);
                }
            }
            Self::Bucket { empty_at, .. } => *empty_at = empty_at.saturating_sub(cost(limits)),
        }
    }

    /// Gives a wrong try of a call that succeeded back. To a caller only as often as the budget has
    /// tries: else whoever knows one way in would try others for nothing, two with each call.
    pub(super) fn give_back(&mut self, counter: &Counter, limits: &Limits, at: i64, now: i64) {
        match self {
            Self::Dates { given_back, .. } => {
                if let Some(most) = Rule::of(counter, limits).given_back {
                    if given_back.len() >= most {
                        return;
                    }
                    given_back.push(now);
                }
            }
            Self::Bucket { given_back_empty_at, .. } => {
                if !fits(*given_back_empty_at, limits, now) {
                    return;
                }
                *given_back_empty_at = (*given_back_empty_at).max(now).saturating_add(cost(limits));
            }
        }
        self.take_back(limits, at);
    }

    /// How many tries are in a bucket. One that has not leaked out yet counts as a whole.
    pub(super) fn level(&self, limits: &Limits, now: i64) -> u32 {
        match self {
            Self::Dates { .. } => 0,
            Self::Bucket { empty_at, .. } => {
                let left = empty_at.saturating_sub(now).max(0);
                u32::try_from(left.saturating_add(cost(limits) - 1) / cost(limits)).unwrap_or(u32::MAX)
            }
        }
    }

    /// From when on it is as good as empty; `None`: never by itself.
    #[must_use]
    pub fn void_at(&self, counter: &Counter, limits: &Limits) -> Option<i64> {
        match self {
            Self::Dates { tries, given_back } => {
                let last = tries.iter().chain(given_back).max().copied();
                match (last, Rule::of(counter, limits).period) {
                    (None, _) => Some(i64::MIN),
                    (Some(last), Some(period)) => Some(last.saturating_add(period)),
                    (Some(_), None) => None,
                }
            }
            Self::Bucket { empty_at, given_back_empty_at } => Some(*empty_at.max(given_back_empty_at)),
        }
    }
}

/// Whether a bucket has room for one more.
fn fits(empty_at: i64, limits: &Limits, now: i64) -> bool {
    let after = empty_at.max(now).saturating_add(cost(limits));
    after.saturating_sub(now) <= millis(limits.trunk_period)
}

/// How long a bucket takes to lose one try.
fn cost(limits: &Limits) -> i64 {
    (millis(limits.trunk_period) / i64::from(limits.trunk_tries.max(1))).max(1)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
