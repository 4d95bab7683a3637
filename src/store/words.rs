//! The words that tables and the API use for the bridge's enums: one name each, everywhere.

use super::hooks::{HookEvent, HookState};
use super::notices::{NoticeKind, Notices};
use super::outbox::{DeliveryState, Method};
use crate::bridge::input::DigitSource;
use crate::bridge::question::OpenedBy;
use crate::bridge::snapshot::{Entered, LobbyReason, Role};
use crate::bridge::view::{KnownCallers, MeetingKind, MeetingState};

/// An enum whose variants have names.
pub trait Word: Copy + Eq + Sized + 'static {
    const ALL: &'static [(Self, &'static str)];

    fn word(self) -> &'static str;

    /// The variant of that name.
    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == word).map(|(value, _)| *value)
    }
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        impl Word for $name {
            const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $word)),*];

            fn word(self) -> &'static str {
                // A match, so that a new variant does not compile before it has a name.
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

words!(MeetingKind { OneTime = "one-time", Standard = "standard" });
words!(MeetingState { Scheduled = "scheduled", Open = "open", Closed = "closed", Cancelled = "cancelled" });
words!(KnownCallers {
    StraightThrough = "straight-through",
    CodeOnce = "code-once",
    AlwaysCode = "always-code"
});
words!(Method { Request = "request", Cancel = "cancel" });
words!(DeliveryState {
    Queued = "queued",
    Sent = "sent",
    Failed = "failed",
    Superseded = "superseded"
});
words!(HookEvent {
    CallEnded = "call-ended",
    MeetingOpened = "meeting-opened",
    MeetingClosed = "meeting-closed",
    NumberRemembered = "number-remembered"
});
words!(HookState { Queued = "queued", Sent = "sent", Failed = "failed" });
words!(Notices { Off = "off", List = "list" });
words!(NoticeKind { Remembered = "remembered", CameWithoutCode = "came-without-code" });
words!(OpenedBy { Moderator = "moderator", Caller = "caller" });
words!(Role { Moderator = "moderator", Guest = "guest" });
words!(LobbyReason { Locked = "locked", Guessing = "guessing" });
words!(Entered {
    ProvedCode = "proved-code",
    Remembered = "remembered",
    PinOnly = "pin-only",
    Moderator = "moderator"
});
words!(DigitSource { Rtp = "rtp", Info = "info", Inband = "inband" });
