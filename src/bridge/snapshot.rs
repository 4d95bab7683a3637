//! What is alive now: published after each input for whoever reads along, never asked for.

use jiff::Timestamp;

use crate::bridge::input::Quality;
use crate::bridge::question::OpenedBy;
use crate::bridge::view::MeetingKind;
use crate::types::{CallId, HostId, MeetingId, PhoneNumber, Trust};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub calls: Vec<LiveCall>,
    pub meetings: Vec<LiveMeeting>,
    /// Everyone in a lobby, who came first in front.
    pub lobby: Vec<InLobby>,
    pub draining: bool,
    /// Calls that are over and have no record yet.
    pub unwritten: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LiveCall {
    pub call: CallId,
    pub trunk: String,
    pub number: Option<PhoneNumber>,
    pub trust: Trust,
    /// The state's name as in the record, such as `asking-pin`.
    pub state: &'static str,
    pub started_at: Timestamp,
    pub host: Option<HostId>,
    pub meeting: Option<MeetingId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LiveMeeting {
    pub meeting: MeetingId,
    pub host: HostId,
    pub kind: MeetingKind,
    pub title: String,
    pub opened_by: OpenedBy,
    pub opened_at: Timestamp,
    pub roster: Vec<Participant>,
    /// Callers who hear music until it goes on (`wait_for_moderator`).
    pub waiting: usize,
    /// New guests go to the lobby.
    pub locked: bool,
    pub recording: bool,
    /// Guests who come are muted until they press `*6`.
    pub all_muted: bool,
}

/// A caller who has proved all that is asked, and whom only a moderator lets in.
#[derive(Clone, Debug, PartialEq)]
pub struct InLobby {
    pub participant: CallId,
    pub host: HostId,
    /// The live meeting they want into; `None` while nothing is live.
    pub meeting: Option<MeetingId>,
    pub number: Option<PhoneNumber>,
    pub reason: LobbyReason,
    pub since: Timestamp,
}

/// Why somebody is in the lobby.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LobbyReason {
    /// The meeting is locked.
    Locked,
    /// Too many wrong codes were tried for this host: even the right one is looked at by a moderator.
    Guessing,
}

/// Everyone who is mixed is one of these (R11).
#[derive(Clone, Debug, PartialEq)]
pub struct Participant {
    pub participant: CallId,
    pub role: Role,
    pub number: Option<PhoneNumber>,
    pub entered: Entered,
    /// A moderator let them in from the lobby.
    pub admitted: bool,
    pub joined_at: Timestamp,
    pub muted: bool,
    /// By the moderator: `*6` does not undo it.
    pub hard_muted: bool,
    pub hand_raised: bool,
    /// They speak right now; filled in by who hears them, as the next one.
    pub talking: bool,
    /// Their phone sends back what it is sent.
    pub echo: bool,
    /// How they have sounded so far, as of a few seconds ago.
    pub quality: Option<Quality>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Role {
    Moderator,
    Guest,
}

/// Why somebody was let in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Entered {
    /// Proved this meeting's PIN and code on this call.
    ProvedCode,
    /// The phone was remembered; this meeting's code was not asked.
    Remembered,
    /// A standard meeting: the PIN was enough.
    PinOnly,
    /// The host's own number at trust `signed`, or the host PIN.
    Moderator,
}
