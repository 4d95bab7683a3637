//! One caller, from hello to good-bye.

mod collect;
mod enter;
mod entry;
pub(crate) mod flow;
mod hello;
mod inside;
mod leaving;
mod menu;
mod sound;
pub(crate) mod state;

use std::time::Instant;

use jiff::Timestamp;

use crate::bridge::guess::Rounds;
use crate::bridge::input::{Caller, Incoming};
use crate::bridge::view::Known;
use crate::bridge::{PlaybackId, QuestionId};
use crate::types::{CallId, HostId, MeetingId, Now};

/// What is true of a call in every state. What only one state needs is in that state.
#[derive(Debug)]
pub(crate) struct Call {
    pub id: CallId,
    pub caller: Caller,
    pub trunk: String,
    /// Hosts that remember this phone and let it in today.
    pub known: Vec<Known>,
    pub typed: collect::Typed,
    pub rounds: Rounds,
    /// A caller who is not admitted by then has to go: entries are slow, but not for ever.
    pub hold_until: Instant,
    /// What plays to this leg, if anything.
    pub playing: Option<PlaybackId>,
    /// Waiting music plays.
    pub music: bool,
    /// The meeting whose roster the call is on.
    pub place: Option<(HostId, MeetingId)>,
    /// The question that has this phone remembered.
    pub remembering: Option<QuestionId>,
    /// The host that remembers this phone since this call.
    pub remembered: Option<HostId>,
    /// When the state began, for readers.
    pub since: Timestamp,
    /// Its entry in the list of timers.
    pub timer: Option<Instant>,
}

impl Call {
    pub(crate) fn new(incoming: Incoming, now: Now) -> Self {
        Self {
            id: incoming.call,
            caller: incoming.caller,
            trunk: incoming.trunk,
            known: Vec::new(),
            typed: collect::Typed::default(),
            rounds: Rounds::new(),
            hold_until: now.instant + state::HOLD,
            playing: None,
            music: false,
            place: None,
            remembering: None,
            remembered: None,
            since: now.date,
            timer: None,
        }
    }
}
