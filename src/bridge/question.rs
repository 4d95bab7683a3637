//! What the bridge asks of the store, and what the store may answer.

use jiff::Timestamp;

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
    /// Whose PIN is this? → [`Answer::Host`]
    Host { pin: Pin },
    /// A host by id, as it stands now. → [`Answer::Host`]
    HostById { host: HostId },
    /// Which of these meetings has this code? Costs the same for no host and no meeting: the
    /// comparison is constant-time and made at least once. → [`Answer::Code`]
    Code { host: Option<HostId>, meetings: Vec<MeetingId>, code: Code },
    /// Is this the host's private PIN? → [`Answer::HostPin`]
    HostPin { host: HostId, pin: HostPin },
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
    /// The meeting whose code it is.
    Code(Option<MeetingId>),
    HostPin(bool),
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
