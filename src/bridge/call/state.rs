//! Where a call can be, what can happen to it, and how long each thing may take.

use std::time::{Duration, Instant};

use crate::bridge::admission::Proof;
use crate::bridge::call::Call;
use crate::bridge::call::choose::Choice;
use crate::bridge::call::collect::Collector;
use crate::bridge::call::inside::Inside;
use crate::bridge::call::lobby::Lobby;
use crate::bridge::input::{HangUp, Quality};
use crate::bridge::meeting::Awaits;
use crate::bridge::view::HostView;
use crate::bridge::{Answer, Ending, PlaybackId, Prompt, QuestionId};
use crate::types::{Digit, HostId, MeetingId};

/// Where a call is.
#[derive(Debug)]
pub(crate) enum State {
    /// Our 200 is on its way. `look_up` is under way until `looked_up`.
    Ringing {
        look_up: Option<QuestionId>,
        until: Instant,
    },
    /// Answered; we do not know yet whether this phone is remembered.
    Identifying {
        look_up: QuestionId,
        until: Instant,
    },
    /// "Welcome back" to a remembered caller. `*` takes them elsewhere.
    WelcomingKnown {
        host: Box<HostView>,
        playback: PlaybackId,
        until: Instant,
    },
    /// `behind`: a `*` led back from the question for this one's code, and no other key came since.
    AskingPin {
        entry: Collector,
        patience: Patience,
        behind: Option<About>,
    },
    /// `found` when the store has answered: `Some(None)` is a PIN that does not exist.
    CheckingPin {
        question: Option<QuestionId>,
        found: Option<Option<Box<HostView>>>,
        last_key: Instant,
        until: Instant,
    },
    AskingCode {
        about: About,
        entry: Collector,
        patience: Patience,
    },
    /// `proved` when the store has answered.
    CheckingCode {
        about: About,
        question: Option<QuestionId>,
        proved: Option<Option<MeetingId>>,
        last_key: Instant,
        until: Instant,
    },
    AskingHostPin {
        about: About,
        entry: Collector,
        patience: Patience,
    },
    /// `right` when the store has answered.
    CheckingHostPin {
        about: About,
        question: Option<QuestionId>,
        right: Option<bool>,
        last_key: Instant,
        until: Instant,
    },
    /// Which of their meetings a moderator wants.
    Choosing {
        host: Box<HostView>,
        choice: Choice,
    },
    /// A meeting must be opened or closed first; then the caller is judged again.
    Opening {
        host: Box<HostView>,
        proof: Proof,
        until: Instant,
    },
    Waiting {
        host: Box<HostView>,
        proof: Proof,
        meeting: MeetingId,
        remind: Instant,
        until: Instant,
    },
    /// Only a moderator lets the caller in.
    Lobby {
        host: Box<HostView>,
        lobby: Lobby,
    },
    /// "This meeting is being recorded" plays; nobody is mixed who has not heard it.
    Announcing {
        host: Box<HostView>,
        proof: Proof,
        playback: PlaybackId,
        until: Instant,
    },
    InMeeting(Inside),
    /// The good-bye plays.
    Leaving {
        ending: Ending,
        playback: PlaybackId,
        until: Instant,
    },
    /// We hung up and wait until the wire says so.
    HangingUp {
        ending: Ending,
        until: Instant,
    },
    /// Over on the wire; the leg's figures may still come.
    Over {
        until: Instant,
    },
    /// Nothing more will happen: the record can be written.
    Gone,
}

/// How long we wait for a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// The prompt plays; the instant is for the case that nobody reports its end.
    Prompt(PlaybackId, Instant),
    Until(Instant),
}

impl Patience {
    pub(super) fn deadline(self) -> Instant {
        match self {
            Self::Prompt(_, at) | Self::Until(at) => at,
        }
    }

    /// A playback is over: if it was the prompt, the first key is waited for.
    pub(super) fn heard(self, played: PlaybackId, now: Instant) -> Self {
        match self {
            Self::Prompt(playback, _) if playback == played => Self::Until(now + FIRST_KEY),
            other => other,
        }
    }
}

/// Whose code is asked, and what it rests on.
#[derive(Debug)]
pub(crate) enum About {
    /// The PIN that was just typed; `None` if there is no such PIN. Never told before the verdict.
    Typed(Option<Box<HostView>>),
    /// The caller is known or was in this host's room before: only the code is missing. The
    /// prompt asks for it.
    Proved(Box<HostView>, Prompt),
}

impl About {
    pub(super) fn host(&self) -> Option<&HostView> {
        match self {
            Self::Typed(host) => host.as_deref(),
            Self::Proved(host, _) => Some(host),
        }
    }

    pub(super) fn prompt(&self) -> Prompt {
        match self {
            Self::Typed(_) => Prompt::EnterCode,
            Self::Proved(_, prompt) => *prompt,
        }
    }
}

/// What happens to one call.
#[derive(Debug)]
pub(crate) enum Event {
    Answered,
    Key(Digit, Instant),
    Played(PlaybackId),
    MediaLost,
    Quality(Quality),
    HungUp(HangUp),
    Answer(QuestionId, Answer),
    /// The state's deadline has come.
    Tick,
    /// The host's room changed. `opened`: this meeting is live now.
    Rejudge {
        opened: Option<MeetingId>,
    },
    /// The room's write did not succeed.
    WriteFailed,
    /// The meeting the caller is in or waits for is over. `follow`: they may go to the live one.
    MeetingOver {
        ending: Ending,
        follow: bool,
    },
    /// The host whose room this is was deleted.
    HostRemoved,
    /// The service stops, and waits for this call no longer.
    ServiceStops,
    /// The moderator lets this caller in from the lobby, or does not.
    Admitted,
    Refused,
    /// The moderator removed this caller.
    Removed {
        forget: bool,
    },
    /// The moderator muted or unmuted this caller.
    Muted(bool),
    /// … everyone.
    MutedWithAll(bool),
    Promoted,
    HandLowered,
    /// This phone is remembered by that host now.
    Remembered(HostId),
    /// The answer to `*9`; whether it worked.
    Forgotten(bool),
}

impl State {
    /// The name in records, the API and the console.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ringing { .. } => "ringing",
            Self::Identifying { .. } => "identifying",
            Self::WelcomingKnown { .. } => "welcoming",
            Self::AskingPin { .. } => "asking-pin",
            Self::CheckingPin { .. } | Self::CheckingCode { .. } => "checking",
            Self::CheckingHostPin { .. } => "checking",
            Self::AskingHostPin { .. } => "asking-host-pin",
            Self::Choosing { .. } => "choosing",
            Self::Announcing { .. } => "announcing",
            Self::AskingCode { .. } => "asking-code",
            Self::Opening { .. } => "opening",
            Self::Waiting { .. } => "waiting",
            Self::Lobby { .. } => "lobby",
            Self::InMeeting { .. } => "in-meeting",
            Self::Leaving { .. } => "leaving",
            Self::HangingUp { .. } => "hanging-up",
            Self::Over { .. } | Self::Gone => "over",
        }
    }

    /// Not admitted yet: these calls have a limit of their own.
    pub(crate) const fn is_entering(&self) -> bool {
        matches!(
            self,
            Self::Ringing { .. }
                | Self::Identifying { .. }
                | Self::WelcomingKnown { .. }
                | Self::AskingPin { .. }
                | Self::CheckingPin { .. }
                | Self::AskingCode { .. }
                | Self::CheckingCode { .. }
                | Self::AskingHostPin { .. }
                | Self::CheckingHostPin { .. }
                | Self::Choosing { .. }
                | Self::Announcing { .. }
                | Self::Opening { .. }
        )
    }

    /// There is nobody on the line any more.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self, Self::Over { .. } | Self::Gone)
    }

    /// The room whose changes matter to this state, and what is waited for.
    pub(crate) fn pending(&self) -> Option<(HostId, Awaits)> {
        match self {
            Self::Opening { host, .. } => Some((host.id, Awaits::Write)),
            Self::Waiting { host, meeting, .. } => Some((host.id, Awaits::Start(*meeting))),
            Self::Lobby { host, lobby } => Some((host.id, Awaits::Admission(lobby.meeting))),
            _ => None,
        }
    }

    /// The host this caller is about to enter or has entered, as far as the call shows it.
    pub(crate) fn host(&self) -> Option<HostId> {
        match self {
            Self::WelcomingKnown { host, .. }
            | Self::Opening { host, .. }
            | Self::Waiting { host, .. }
            | Self::Choosing { host, .. }
            | Self::Announcing { host, .. }
            | Self::Lobby { host, .. }
            | Self::InMeeting(Inside { host, .. }) => Some(host.id),
            Self::AskingCode { about, .. }
            | Self::CheckingCode { about, .. }
            | Self::AskingHostPin { about, .. }
            | Self::CheckingHostPin { about, .. } => about.host().map(|host| host.id),
            Self::CheckingPin { found: Some(Some(host)), .. } => Some(host.id),
            _ => None,
        }
    }

    pub(crate) fn deadline(&self, call: &Call) -> Option<Instant> {
        match self {
            Self::Ringing { until, .. }
            | Self::Identifying { until, .. }
            | Self::WelcomingKnown { until, .. }
            | Self::CheckingPin { until, .. }
            | Self::CheckingCode { until, .. }
            | Self::CheckingHostPin { until, .. }
            | Self::Announcing { until, .. }
            | Self::Opening { until, .. }
            | Self::Leaving { until, .. }
            | Self::HangingUp { until, .. }
            | Self::Over { until } => Some(*until),
            Self::AskingPin { patience, .. }
            | Self::AskingCode { patience, .. }
            | Self::AskingHostPin { patience, .. } => Some(patience.deadline().min(call.hold_until)),
            Self::Choosing { choice, .. } => Some(choice.patience.deadline()),
            Self::Waiting { remind, until, .. } => Some((*remind).min(*until)),
            Self::Lobby { lobby, .. } => Some(lobby.deadline()),
            Self::InMeeting(inside) => inside.menu.deadline(),
            Self::Gone => None,
        }
    }
}

/// Most time from the answer until a caller is admitted.
pub(crate) const HOLD: Duration = Duration::from_secs(90);
/// For the first key, from the prompt's end on.
pub(super) const FIRST_KEY: Duration = Duration::from_secs(6);
/// For each further key.
pub(super) const NEXT_KEY: Duration = Duration::from_secs(5);
/// From the last key to the verdict, right or wrong: its time must tell nothing.
pub(super) const VERDICT: Duration = Duration::from_millis(1_200);
/// From the last key of a PIN to the question for the code, whether there is such a PIN or not.
pub(super) const CODE_ASKED: Duration = Duration::from_millis(300);
/// For an answer from the store. The caller hears nothing meanwhile.
pub(super) const STORE_TIME: Duration = Duration::from_secs(6);
/// For the look-up of the caller's number, which is asked long before the answer.
pub(super) const LOOK_UP_TIME: Duration = Duration::from_secs(2);
/// For a room's write, which may have to wait for one before it.
pub(super) const OPENING_TIME: Duration = Duration::from_secs(45);
/// For "welcome back", which takes a second.
pub(super) const WELCOME_TIME: Duration = Duration::from_secs(5);
/// For prompts whose end is not reported: longer than any.
pub(super) const PROMPT_TIME: Duration = Duration::from_secs(30);
/// For our BYE, the answer to our 200, and the like: longer than 64·T1 (RFC 3261 §17.1.1.1).
pub(super) const SIGNALLING_TIME: Duration = Duration::from_secs(40);
/// For the leg's figures after the call.
pub(super) const FIGURES_TIME: Duration = Duration::from_secs(2);
/// For the key after `*` in a meeting.
pub(super) const MENU_TIME: Duration = Duration::from_secs(5);
pub(super) const CODE_LENGTH: usize = 4;
