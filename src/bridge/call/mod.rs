//! One caller, from hello to good-bye.

mod collect;
mod enter;
mod entry;
pub(crate) mod flow;
mod hello;
mod inside;
mod leaving;
pub(crate) mod lobby;
mod menu;
mod sound;
pub(crate) mod state;

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::bridge::guess::Rounds;
use crate::bridge::input::{Caller, DigitSource, Incoming};
use crate::bridge::view::Known;
use crate::bridge::{PlaybackId, QuestionId};
use crate::types::{CallId, Digit, HostId, MeetingId, Now};

/// What is true of a call in every state. What only one state needs is in that state.
#[derive(Debug)]
pub(crate) struct Call {
    pub id: CallId,
    pub caller: Caller,
    pub trunk: String,
    pub trunk_group: String,
    /// Hosts that remember this phone and let it in today.
    pub known: Vec<Known>,
    pub typed: collect::Typed,
    /// The last key, where and when it was heard.
    pub last_key: Option<(Digit, DigitSource, Instant)>,
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
    /// The host whose moderator let this call in from the lobby.
    pub admitted: Option<HostId>,
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
            trunk_group: incoming.trunk_group,
            known: Vec::new(),
            typed: collect::Typed::default(),
            last_key: None,
            rounds: Rounds::new(),
            hold_until: now.instant + state::HOLD,
            playing: None,
            music: false,
            place: None,
            remembering: None,
            remembered: None,
            admitted: None,
            since: now.date,
            timer: None,
        }
    }

    /// Whether this is a press of its own. Some gateways send one press twice, as an event in RTP
    /// and by INFO: the same key from another source within [`ONE_PRESS`] is the same press.
    pub(crate) fn presses(&mut self, digit: Digit, source: DigitSource, now: Instant) -> bool {
        let again = self.last_key.is_some_and(|(last, from, at)| {
            last == digit && from != source && now.saturating_duration_since(at) < ONE_PRESS
        });
        if !again {
            self.last_key = Some((digit, source, now));
        }
        !again
    }
}

/// Two sources that tell of one press do so within this.
const ONE_PRESS: Duration = Duration::from_millis(100);
