//! Guessing: what a wrong entry costs. Here, the rounds of one call.

/// Rounds that a call has left for its entries. A wrong entry and a silent prompt cost one each;
/// `*` is free, because the time of a call that is not admitted is bounded as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rounds {
    left: u8,
}

/// Rounds of one call.
const ROUNDS: u8 = 3;

impl Rounds {
    pub(crate) const fn new() -> Self {
        Self { left: ROUNDS }
    }

    /// Takes one; whether there is another.
    pub(crate) fn spend(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}
