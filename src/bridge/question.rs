//! What the bridge asks of the store, and what the store may answer.

use jiff::Timestamp;

use crate::bridge::guess::{Attempt, Proved, Spent, Tried};
use crate::bridge::view::{HostView, Known};
use crate::types::{Code, HostId, HostPin, MeetingId, PhoneNumber, Pin, Trust, VerifiedId};

/// Pairs a question with its one answer.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct QuestionId(pub u64);

/// A look-up or a write that must be durable before the bridge goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Which hosts remember this number? → [`Answer::Known`]
    Caller { number: PhoneNumber },
    /// Whose PIN is this? A try by `by` is spent first, and given back if it is somebody's. → [`Answer::Pin`]
    Host { pin: Pin, by: Attempt },
    /// A host by id, as it stands now. → [`Answer::Host`]
    HostById { host: HostId },
    /// Which of these meetings has this code? Costs the same for no host and no meeting: the
    /// comparison is constant-time and made at least once. A try is spent first, durably, and given
    /// back if the code is right. → [`Answer::Code`]
    Code { host: Option<HostId>, meetings: Vec<MeetingId>, code: Code, by: Attempt },
    /// Is this the host's private PIN? A try is spent first, as for a code. → [`Answer::HostPin`]
    HostPin { host: HostId, pin: HostPin, by: Attempt },
    /// The call succeeded: give its wrong tries back. → [`Answer::Done`]
    GiveBack { wrong: Vec<Spent>, proved: Proved },
    /// Make `meeting` the host's live one; `closes` ends in the same transaction. → [`Answer::Done`]
    Open { host: HostId, meeting: MeetingId, closes: Option<MeetingId>, opened_by: OpenedBy },
    /// The meeting is over. → [`Answer::Done`]
    Close { meeting: MeetingId },
    /// Remember this phone, as it came over this group of trunks; durable when answered. → [`Answer::Done`]
    Remember { host: HostId, number: PhoneNumber, meeting: MeetingId, trust: Trust, trunk: String },
    /// A remembered number came straight in: note the use, so that it does not expire. → [`Answer::Done`]
    Used { verified: VerifiedId, date: Timestamp },
    /// Forget this phone for one host, or (`None`) for all. → [`Answer::Done`]
    Forget { host: Option<HostId>, number: PhoneNumber },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Neither expired nor revoked ones alone: the bridge judges expiry and trust itself.
    Known(Vec<Known>),
    Host(Option<HostView>),
    /// Whose PIN it is; nobody's also when the caller has no try left.
    Pin {
        host: Option<Box<HostView>>,
        tried: Tried,
    },
    /// The meeting whose code it is; none also when the caller has no try left.
    Code {
        proved: Option<MeetingId>,
        tried: Tried,
    },
    /// `right` is false also when the caller or the host PIN has no try left.
    HostPin {
        right: bool,
        tried: Tried,
    },
    /// It is durable.
    Done,
    /// The store is gone, slow, or full. Nothing was written.
    Unavailable,
}

/// Who made a meeting live (R2).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OpenedBy {
    Moderator,
    Caller,
}
