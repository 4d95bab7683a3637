//! What operators, hosts and moderators can tell the bridge while it runs.

use serde::{Deserialize, Serialize};

use crate::bridge::view::HostView;
use crate::types::{CallId, HostId, MeetingId};

/// Pairs a command with its reply.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub u64);

/// Who gives a command, or moderates by phone.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The operator's token, or the service itself.
    Operator,
    /// A host's token.
    Host,
    ModeratorLink,
    /// The keys of this moderator's phone.
    Phone(CallId),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The moderator opens this meeting; a live one of the same host closes first (R1).
    Open {
        host: Box<HostView>,
        meeting: MeetingId,
    },
    /// End a live meeting for all.
    Close {
        meeting: MeetingId,
    },
    /// A meeting was cancelled in the store: whoever waits for it or is in it hears so.
    Cancelled {
        meeting: MeetingId,
    },
    Mute {
        participant: CallId,
        muted: bool,
    },
    /// Out of the meeting, and the call ends. `forget`: the phone is forgotten as well.
    Remove {
        participant: CallId,
        forget: bool,
    },
    /// New guests of this live meeting go to the lobby, until it is unlocked.
    Lock {
        meeting: MeetingId,
        locked: bool,
    },
    /// Every guest is muted, and who comes later; each may undo it for themselves with `*6`.
    MuteAll {
        meeting: MeetingId,
        muted: bool,
    },
    /// Records this live meeting, or stops. Everyone hears so.
    Record {
        meeting: MeetingId,
        on: bool,
    },
    /// Makes a participant a moderator.
    Promote {
        participant: CallId,
    },
    LowerHand {
        participant: CallId,
    },
    /// Lets a caller in from the lobby.
    Admit {
        participant: CallId,
    },
    /// Sends a caller away from the lobby; the call ends with its prompt.
    Refuse {
        participant: CallId,
    },
    /// The host is deleted: its live meeting ends.
    HostRemoved {
        host: HostId,
    },
    /// Stop taking calls (drain).
    Drain,
    /// The drain has lasted long enough: every call ends, and each hears that it may call again. Meetings go
    /// by their rules, as when everybody leaves.
    EndCalls,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reply {
    Done,
}

/// Why a command did nothing.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Rejection {
    #[error("the participant is not in a meeting")]
    NoSuchParticipant,
    #[error("the caller is not in the lobby")]
    NotInLobby,
    #[error("the meeting is not open")]
    NotOpen,
    #[error("the meeting is cancelled or over")]
    NotToBeOpened,
    #[error("the database is not available")]
    StoreUnavailable,
}
