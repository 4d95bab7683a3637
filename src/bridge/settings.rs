//! The figures behind the rules, with their defaults.

use std::time::Duration;

use crate::bridge::guess::Limits;
use crate::types::Trust;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Digits of a PIN, 4–12; fixed, so that no `#` is needed after it.
    pub pin_length: usize,
    /// How long before its start a One Time Meeting may be opened by a caller.
    pub early_join: Duration,
    /// How long after its end a meeting may still be opened or go on being joined.
    pub overrun: Duration,
    /// Least trust that a number is remembered with, and that a remembered one is used with.
    pub grant_min: Trust,
    pub use_min: Trust,
    /// A verified number expires after this long unused, and after this long in all.
    pub verified_unused: Duration,
    pub verified_in_all: Duration,
    /// Most callers in one meeting.
    pub participants_max: usize,
    /// Most calls at once, and of those, most that are not yet admitted.
    pub calls_max: usize,
    pub calls_entering_max: usize,
    /// How long a caller may wait for a meeting to begin.
    pub waiting: Duration,
    /// Between two reassurances of a caller who waits, for a meeting or in the lobby.
    pub reassurance: Duration,
    /// What wrong entries cost.
    pub guessing: Limits,
    /// How long a caller may wait in the lobby to be let in.
    pub lobby: Duration,
    /// How long a One Time Meeting goes on when its last moderator by phone has left.
    pub moderator_grace: Duration,
    /// The same for standard meetings, which go on without one otherwise.
    pub standard_needs_moderator: bool,
}

impl Settings {
    /// These, with as many calls, callers who enter and participants as `other` has room for.
    #[must_use]
    pub fn with_room_of(&self, other: &Self) -> Self {
        Self {
            participants_max: other.participants_max,
            calls_max: other.calls_max,
            calls_entering_max: other.calls_entering_max,
            ..self.clone()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            pin_length: 9,
            early_join: 15 * MINUTE,
            overrun: 30 * MINUTE,
            grant_min: Trust::Network,
            use_min: Trust::Network,
            verified_unused: 90 * DAY,
            verified_in_all: 365 * DAY,
            participants_max: 1_000,
            calls_max: 2_000,
            calls_entering_max: 400,
            waiting: 30 * MINUTE,
            reassurance: Duration::from_secs(45),
            guessing: Limits::default(),
            lobby: 5 * MINUTE,
            moderator_grace: 5 * MINUTE,
            standard_needs_moderator: false,
        }
    }
}
