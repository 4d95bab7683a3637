//! Who wants to be woken when: one ordered set, exact, so that nothing is left behind.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::types::CallId;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Sleeper {
    Server(u64),
    Client(u64),
    Call(CallId),
    Keeper(u64),
}

/// At most one deadline a sleeper; changing one costs O(log n).
#[derive(Default)]
pub(super) struct Deadlines(BTreeSet<(Instant, Sleeper)>);

impl Deadlines {
    /// Moves a sleeper's deadline. It keeps in `scheduled` what stands here.
    pub(super) fn set(&mut self, sleeper: Sleeper, scheduled: &mut Option<Instant>, at: Option<Instant>) {
        if *scheduled == at {
            return;
        }
        if let Some(old) = scheduled.take() {
            self.0.remove(&(old, sleeper));
        }
        if let Some(at) = at {
            self.0.insert((at, sleeper));
        }
        *scheduled = at;
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The first whose time has come, still scheduled.
    pub(super) fn due(&self, now: Instant) -> Option<Sleeper> {
        self.0.first().filter(|(at, _)| *at <= now).map(|(_, sleeper)| *sleeper)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
