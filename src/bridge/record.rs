//! The call record: what one call did, for operators. Built from inputs and outputs; holds no secrets.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bridge::Ending;
use crate::bridge::command::By;
use crate::bridge::input::{DigitSource, Incoming, Quality};
use crate::bridge::snapshot::Entered;
use crate::types::{CallId, HostId, MeetingId, PhoneNumber, Trust};

#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    pub call: CallId,
    pub sip_call_id: String,
    pub trunk: String,
    pub access_number: Option<String>,
    pub number: Option<PhoneNumber>,
    pub withheld: bool,
    pub trust: Trust,
    /// The trust and what it rests on, such as `network: P-Asserted-Identity on trunk lab`.
    pub trust_reason: String,
    pub started_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub joined_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub host: Option<HostId>,
    pub meeting: Option<MeetingId>,
    pub entered: Option<Entered>,
    pub ending: Ending,
    /// One sentence: why this caller was let in, asked again or kept out.
    pub explanation: String,
    /// The way through the states, at most 64 steps (the last ones are kept).
    pub path: Vec<Step>,
    /// One row per accepted key: when and from where, never which.
    pub keys: Vec<Key>,
    /// The phone was remembered during this call.
    pub remembered: bool,
    /// What moderators did to this call, at most 64 acts (the first ones are kept).
    pub acts: Vec<Act>,
    pub quality: Option<Quality>,
    pub signalled: Signalled,
}

/// What else signalling said of a call. Claims of others, for operators: nothing is decided by it,
/// and no number stands in it but masked.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Signalled {
    /// The final SIP status of a call that we refused.
    pub refused_with: Option<u16>,
    /// Whose phone sent the call on to us, masked; why (`user-busy`, …).
    pub redirected_by: Option<String>,
    pub redirected_why: Option<String>,
    /// The peer's half of Session-ID (RFC 7989).
    pub session_id: Option<String>,
    /// What the peer's BYE or CANCEL said (RFC 3326): Q.850 cause, SIP status, words.
    pub peer_q850: Option<u8>,
    pub peer_status: Option<u16>,
    pub peer_text: Option<String>,
}

/// What a moderator did to a call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Act {
    pub at: Timestamp,
    /// Such as `muted`, `admitted`, `removed`.
    pub what: String,
    pub by: By,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub at: Timestamp,
    /// Such as `asking-pin`, `wrong-details`, `in-meeting`.
    pub what: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    pub at: Timestamp,
    pub source: DigitSource,
    /// How long it was down; `None`: its end was not heard.
    pub lasted: Option<Duration>,
    /// How often another source told of the same press.
    pub merged: u8,
}

/// Most steps and keys that a record keeps: a call of an hour must not grow without end.
const STEPS_MAX: usize = 64;
const KEYS_MAX: usize = 256;
const ACTS_MAX: usize = 64;

impl CallRecord {
    /// The record of a call that has just come in.
    pub(crate) fn begin(incoming: &Incoming, at: Timestamp) -> Self {
        let Incoming { call, trunk, trunk_group: _, access_number, caller, sip_call_id, .. } = incoming;
        Self {
            call: *call,
            sip_call_id: sip_call_id.clone(),
            trunk: trunk.clone(),
            access_number: access_number.clone(),
            number: caller.number.clone(),
            withheld: caller.withheld,
            trust: caller.trust,
            trust_reason: caller.why(trunk),
            started_at: at,
            answered_at: None,
            joined_at: None,
            ended_at: at,
            host: None,
            meeting: None,
            entered: None,
            ending: Ending::InternalError,
            explanation: String::new(),
            path: Vec::new(),
            keys: Vec::new(),
            remembered: false,
            acts: Vec::new(),
            quality: None,
            signalled: Signalled::default(),
        }
    }

    /// The whole record of a call that was refused at the door.
    #[must_use]
    pub fn refused(incoming: &Incoming, ending: Ending, at: Timestamp) -> Self {
        let mut record = Self::begin(incoming, at);
        record.step(at, "refused");
        record.end(at, ending);
        record
    }

    /// A step of the way; the oldest ones go when there are too many.
    pub(crate) fn step(&mut self, at: Timestamp, what: &'static str) {
        if self.path.len() >= STEPS_MAX {
            self.path.remove(0);
        }
        self.path.push(Step { at, what });
    }

    pub(crate) fn act(&mut self, at: Timestamp, what: &str, by: By) {
        if self.acts.len() < ACTS_MAX {
            self.acts.push(Act { at, what: what.to_owned(), by });
        }
    }

    pub(crate) fn key(&mut self, at: Timestamp, source: DigitSource) {
        if self.keys.len() < KEYS_MAX {
            self.keys.push(Key { at, source, lasted: None, merged: 0 });
        }
    }

    /// Another source told of the last key too.
    pub(crate) fn key_again(&mut self) {
        if let Some(key) = self.last_key() {
            key.merged = key.merged.saturating_add(1);
        }
    }

    /// The last key is up, if it was this source that told of it.
    pub(crate) fn key_up(&mut self, source: DigitSource, lasted: Duration) {
        if let Some(key) = self.last_key().filter(|key| key.source == source) {
            key.lasted.get_or_insert(lasted);
        }
    }

    /// `None` once there are too many: what is told is of a later one.
    fn last_key(&mut self) -> Option<&mut Key> {
        if self.keys.len() < KEYS_MAX { self.keys.last_mut() } else { None }
    }

    /// Says how it ended; the reason why somebody was let in stays in front.
    pub(crate) fn end(&mut self, at: Timestamp, ending: Ending) {
        self.ended_at = at;
        self.ending = ending;
        if !self.explanation.is_empty() {
            self.explanation.push_str("; ");
        }
        self.explanation.push_str(ending.facts().text);
    }
}
