//! Every way a call ends. One table gives each its name, SIP status, `Reason` cause and prompt.

use crate::bridge::Prompt;

/// Why a call is over. Each has its own name in records, metrics and the API.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Ending {
    // before the answer
    UnknownAccessNumber,
    NoUsableCodec,
    NoUsableAddress,
    NoUsableEncryption,
    OverCapacity,
    Draining,
    /// Requires an option that we do not have.
    UnknownExtension,
    /// Accepts no SDP.
    NotAcceptable,
    /// A body that we do not read.
    UnsupportedBody,
    /// Wants to take another call's place.
    ReplacesRefused,
    /// Wants to be refreshed more often than we do.
    IntervalTooSmall,
    /// Came back to us.
    Looped,
    Cancelled,
    NoPrack,
    NoAck,
    // the caller's doing
    HungUp,
    // the flow's
    TooManyWrongEntries,
    NothingEntered,
    MeetingEnded,
    MeetingClosedBySecond,
    MeetingFull,
    MeetingCancelled,
    NotStartedInTime,
    LobbyRefused,
    LobbyTimedOut,
    Locked,
    ModeratorGone,
    RemovedByModerator,
    HostRemoved,
    // faults
    StoreUnavailable,
    Overload,
    MediaLost,
    SessionExpired,
    TransportLost,
    InternalError,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Kebab-case name: record, API, metric label.
    pub name: &'static str,
    /// Final status when the call was not answered (RFC 3261 §21).
    pub status: u16,
    /// Q.850 cause for the `Reason` header (RFC 3326) of our BYE.
    pub q850: u8,
    /// What the caller hears before we hang up, if anything.
    pub prompt: Option<Prompt>,
    /// For an operator: what happened, in one sentence.
    pub text: &'static str,
}

impl Ending {
    pub const ALL: [Self; 35] = [
        Self::UnknownAccessNumber,
        Self::NoUsableCodec,
        Self::NoUsableAddress,
        Self::NoUsableEncryption,
        Self::OverCapacity,
        Self::Draining,
        Self::UnknownExtension,
        Self::NotAcceptable,
        Self::UnsupportedBody,
        Self::ReplacesRefused,
        Self::IntervalTooSmall,
        Self::Looped,
        Self::Cancelled,
        Self::NoPrack,
        Self::NoAck,
        Self::HungUp,
        Self::TooManyWrongEntries,
        Self::NothingEntered,
        Self::MeetingEnded,
        Self::MeetingClosedBySecond,
        Self::MeetingFull,
        Self::MeetingCancelled,
        Self::NotStartedInTime,
        Self::LobbyRefused,
        Self::LobbyTimedOut,
        Self::Locked,
        Self::ModeratorGone,
        Self::RemovedByModerator,
        Self::HostRemoved,
        Self::StoreUnavailable,
        Self::Overload,
        Self::MediaLost,
        Self::SessionExpired,
        Self::TransportLost,
        Self::InternalError,
    ];

    #[must_use]
    #[rustfmt::skip]
    pub const fn facts(self) -> Facts {
        const fn row(name: &'static str, status: u16, q850: u8, prompt: Option<Prompt>, text: &'static str) -> Facts {
            Facts { name, status, q850, prompt, text }
        }
        match self {
            Self::UnknownAccessNumber => row("unknown-access-number", 404, 1, None, "the dialled number is not one of ours"),
            Self::NoUsableCodec => row("no-usable-codec", 488, 88, None, "the offer had no codec we speak"),
            Self::NoUsableAddress => row("no-usable-address", 488, 88, None, "the offer named no address that we can send sound to"),
            Self::NoUsableEncryption => row("no-usable-encryption", 488, 88, None, "the trunk and the offer did not agree on encryption"),
            Self::OverCapacity => row("over-capacity", 503, 42, None, "the service or the trunk was full"),
            Self::Draining => row("draining", 503, 41, Some(Prompt::TryLater), "the service was shutting down"),
            Self::UnknownExtension => row("unknown-extension", 420, 127, None, "the call required an option that we do not have"),
            Self::NotAcceptable => row("not-acceptable", 406, 79, None, "the caller accepted no session description"),
            Self::UnsupportedBody => row("unsupported-body", 415, 79, None, "the call carried a body that we do not read"),
            Self::ReplacesRefused => row("replaces-refused", 481, 21, None, "the call wanted to take another call's place"),
            Self::IntervalTooSmall => row("interval-too-small", 422, 127, None, "the session would have expired sooner than we refresh"),
            Self::Looped => row("looped", 482, 25, None, "the call was one of our own that came back"),
            Self::NoPrack => row("no-prack", 504, 102, None, "our ringing was never acknowledged"),
            Self::Cancelled => row("cancelled", 487, 16, None, "the caller gave up before we answered"),
            Self::NoAck => row("no-ack", 408, 102, None, "our answer was never acknowledged"),
            Self::HungUp => row("hung-up", 487, 16, None, "the caller hung up"),
            Self::TooManyWrongEntries => row("too-many-wrong-entries", 403, 21, Some(Prompt::TooManyWrongEntries), "three rounds of wrong details"),
            Self::NothingEntered => row("nothing-entered", 403, 18, Some(Prompt::NothingEntered), "three prompts without a complete entry"),
            Self::MeetingEnded => row("meeting-ended", 480, 16, Some(Prompt::MeetingHasEnded), "the meeting was over"),
            Self::MeetingClosedBySecond => row("meeting-closed-by-second", 480, 16, Some(Prompt::OtherMeetingOpened), "the host opened another meeting"),
            Self::MeetingFull => row("meeting-full", 486, 17, Some(Prompt::MeetingFull), "the meeting had no room left"),
            Self::MeetingCancelled => row("meeting-cancelled", 480, 16, Some(Prompt::MeetingCancelled), "the meeting was cancelled"),
            Self::NotStartedInTime => row("not-started-in-time", 480, 18, Some(Prompt::MeetingNotStarted), "the meeting did not start while the caller waited"),
            Self::LobbyRefused => row("lobby-refused", 403, 21, Some(Prompt::NotAdmitted), "the moderator did not admit the caller"),
            Self::LobbyTimedOut => row("lobby-timed-out", 480, 18, Some(Prompt::NotAdmitted), "nobody admitted the caller in time"),
            Self::Locked => row("locked", 403, 21, Some(Prompt::MeetingLocked), "the meeting was locked"),
            Self::ModeratorGone => row("moderator-gone", 480, 16, Some(Prompt::ModeratorGone), "the moderator left and did not come back"),
            Self::RemovedByModerator => row("removed-by-moderator", 403, 21, Some(Prompt::Removed), "the moderator removed the caller"),
            Self::HostRemoved => row("host-removed", 480, 1, Some(Prompt::MeetingHasEnded), "the host's account was deleted"),
            Self::StoreUnavailable => row("store-unavailable", 503, 41, Some(Prompt::TryLater), "the database could not be asked"),
            Self::Overload => row("overload", 503, 42, Some(Prompt::TryLater), "a queue of the service was full"),
            Self::MediaLost => row("media-lost", 480, 41, None, "no sound came from the caller for a minute"),
            Self::SessionExpired => row("session-expired", 408, 102, None, "the session timer ran out"),
            Self::TransportLost => row("transport-lost", 408, 41, None, "the connection to the trunk broke"),
            Self::InternalError => row("internal-error", 500, 41, Some(Prompt::TryLater), "a fault of ours ended the call"),
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The ending of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ending| ending.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_a_name_of_its_own_and_a_final_status() {
        let mut names: Vec<_> = Ending::ALL.iter().map(|ending| ending.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Ending::ALL.len());
        for ending in Ending::ALL {
            assert!((400..700).contains(&ending.facts().status), "{ending:?}");
            assert_eq!(Ending::from_name(ending.name()), Some(ending));
        }
    }
}
