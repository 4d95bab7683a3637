//! How long a jitter buffer may make sound wait.

use std::time::Duration;

/// The delay that it aims at adapts between `least` and `most`; what would wait for longer than `cap` is left out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JitterBounds {
    pub least: Duration,
    pub most: Duration,
    /// At least `most`, at most [`JitterBounds::CAP_MAX`].
    pub cap: Duration,
}

impl JitterBounds {
    /// As much as a buffer has room for.
    pub const CAP_MAX: Duration = Duration::from_millis(240);
}

impl Default for JitterBounds {
    fn default() -> Self {
        let [least, most, cap] = [20, 120, 120].map(Duration::from_millis);
        Self { least, most, cap }
    }
}
