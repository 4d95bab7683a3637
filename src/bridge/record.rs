//! The call record: what one call did, for operators. Built from inputs and outputs; holds no secrets.

use jiff::Timestamp;

use crate::bridge::Ending;
use crate::bridge::input::{DigitSource, Quality};
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
    pub quality: Option<Quality>,
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
}
