//! One caller, from hello to good-bye.

mod choose;
mod collect;
mod enter;
mod entry;
pub(crate) mod flow;
mod hello;
mod host_pin;
pub(crate) mod inside;
mod leaving;
pub(crate) mod lobby;
mod menu;
mod sound;
pub(crate) mod state;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::bridge::guess::{Attempt, Limits, Rounds, Spent, Tried};
use crate::bridge::input::{Caller, DigitSource, Incoming};
use crate::bridge::meeting::Recording;
use crate::bridge::view::Known;
use crate::bridge::{PlaybackId, QuestionId};
use crate::types::{CallId, Digit, HostId, Language, MeetingId, Now, Trust};

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
    /// Its wrong tries, which are given back if it succeeds.
    pub wrong: Vec<Spent>,
    /// The budget of the code that was entered had been used up before: it opens the lobby alone.
    pub exhausted: bool,
    /// So much longer than usual this caller waits for a verdict, whatever it is.
    pub delay: Duration,
    /// A caller who is not admitted by then has to go: entries are slow, but not for ever.
    pub hold_until: Instant,
    /// What the caller is spoken to in: by the access number, the caller's choice, else the host's.
    pub language: Option<Language>,
    /// Others that `#` leads to at the question for the PIN, in turn.
    pub other_languages: VecDeque<Language>,
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
    /// What a moderator wants, when asked.
    pub chosen: Option<choose::Chosen>,
    /// Others do not hear the leg, as media has been told.
    pub muted: bool,
    /// The recording that this caller has been told of.
    pub heard: Option<(MeetingId, Recording)>,
    /// Said a name at the door.
    pub named: bool,
    /// Tries at the host PIN that are left in a meeting.
    pub host_pin_tries: u8,
    /// `*` was pressed while keys do nothing else; `0` means something until then.
    pub star: Option<Instant>,
    /// When the state began, for readers.
    pub since: Timestamp,
    /// Its entry in the list of timers.
    pub timer: Option<Instant>,
}

impl Call {
    pub(crate) fn new(incoming: Incoming, limits: &Limits, now: Now) -> Self {
        Self {
            id: incoming.call,
            caller: incoming.caller,
            trunk: incoming.trunk,
            trunk_group: incoming.trunk_group,
            known: Vec::new(),
            typed: collect::Typed::default(),
            last_key: None,
            rounds: Rounds::of(limits),
            wrong: Vec::new(),
            exhausted: false,
            delay: Duration::ZERO,
            hold_until: now.instant + state::HOLD,
            language: incoming.language,
            other_languages: incoming.other_languages.into(),
            playing: None,
            music: false,
            place: None,
            remembering: None,
            remembered: None,
            admitted: None,
            chosen: None,
            muted: false,
            heard: None,
            named: false,
            host_pin_tries: 3,
            star: None,
            since: now.date,
            timer: None,
        }
    }

    /// Who tries, for the limits on guessing. A number that nobody vouches for has no counter of its
    /// own: a forger would lock its owner out.
    pub(crate) fn attempt(&self) -> Attempt {
        let believed = self.caller.trust >= Trust::Network && !self.caller.withheld;
        Attempt { number: self.caller.number.clone().filter(|_| believed), trunk: self.trunk.clone() }
    }

    /// The store has spent a try, and compared.
    pub(crate) fn tried(&mut self, tried: Tried) {
        self.exhausted = tried.exhausted;
        self.wrong.extend(tried.spent);
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
