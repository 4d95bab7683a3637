//! What the bridge sees of hosts, meetings and verified numbers. The store fills these; secrets
//! stay behind.

use jiff::Timestamp;

use crate::bridge::question::OpenedBy;
use crate::types::{HostId, Language, MeetingId, PhoneNumber, Trust, VerifiedId};

/// A host and those of its meetings that matter now: open ones, scheduled ones whose window is
/// open or opens within 24 h, and those that ended within the last hour.
#[derive(Clone, Debug, PartialEq)]
pub struct HostView {
    pub id: HostId,
    pub name: String,
    pub language: Option<Language>,
    pub known_callers: KnownCallers,
    /// The host's own phones: with trust `signed` they prove the moderator.
    pub numbers: Vec<PhoneNumber>,
    /// The meeting without a code that opens when nothing is scheduled. It always exists.
    pub standard_meeting: MeetingId,
    /// Sorted by start. The standing standard meeting is among them, without times.
    pub meetings: Vec<MeetingView>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MeetingView {
    pub id: MeetingId,
    pub host: HostId,
    pub kind: MeetingKind,
    pub state: MeetingState,
    pub title: String,
    /// `None` for the host's standing standard meeting.
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    /// When it last closed, if it did.
    pub closed_at: Option<Timestamp>,
    pub opened_by: Option<OpenedBy>,
    /// Tighter than the host's, or `None` for the host's.
    pub known_callers: Option<KnownCallers>,
    pub wait_for_moderator: bool,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MeetingKind {
    OneTime,
    Standard,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MeetingState {
    Scheduled,
    Open,
    Closed,
    Cancelled,
}

/// What a remembered phone is still asked (R7). Ordered: a later one is tighter.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KnownCallers {
    #[default]
    StraightThrough,
    CodeOnce,
    AlwaysCode,
}

/// A remembered number, with its host.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub verified: VerifiedId,
    pub host: HostView,
    pub number: PhoneNumber,
    /// The meeting whose code it proved.
    pub meeting: Option<MeetingId>,
    /// The trust and the group of trunks it was verified with: it is good at that trust or better, from
    /// there.
    pub trust: Trust,
    pub trunk: String,
    pub verified_at: Timestamp,
    pub last_used_at: Timestamp,
}
