//! Every prompt a caller can hear, by name. Their words stand in `prompts/`, one catalogue per
//! language; sentences with numbers are put together here.

/// One recorded piece of speech or sound.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Prompt {
    // the way in
    Welcome,
    /// In this pack's language: how to be spoken to in it.
    OtherLanguage,
    EnterPin,
    EnterCode,
    /// The one sentence for every wrong entry (R9).
    DoNotMatch,
    /// Before another round after silence.
    NothingHeard,
    /// To a known caller: "Welcome back."
    WelcomeBack,
    /// To a known caller: this meeting's code is asked all the same.
    KnownEnterCode,
    // admission
    Joining,
    /// "You are the first one here."
    FirstHere,
    /// "Your phone is remembered: next time you go straight in."
    Remembered,
    WaitForModerator,
    /// The meeting is not open yet.
    WaitForStart,
    StillWaiting,
    /// Another meeting of the host opened: its code is asked.
    OtherMeetingEnterCode,
    // the lobby
    /// "This meeting is locked." Then …
    LockedNow,
    /// Too many wrong codes were tried for this host. "The moderator lets callers in." Then …
    ModeratorLetsIn,
    /// … "Please say your name after the tone." Then the tone.
    SayName,
    LobbyHold,
    /// The moderator has let the caller in.
    LetIn,
    /// To moderators: somebody is in the lobby.
    CallerWaits,
    MeetingUnlocked,
    /// To a moderator who lets somebody in.
    LobbyEmpty,
    /// "Letting in", then the name, or …
    LettingIn,
    NamelessCaller,
    // the moderator
    EnterHostPin,
    YouAreModerator,
    /// The host PIN was wrong too often.
    NoMoreTries,
    /// The scheduled meeting or the standard one.
    ChooseMeeting,
    /// Another meeting is live: close it?
    ConfirmClose,
    ConfirmEnd,
    ConfirmDrop,
    Dropped,
    NobodyToDrop,
    /// A question was answered with another key, or not at all.
    NothingChanged,
    ModeratorLeft,
    ModeratorBack,
    // the end
    TooManyWrongEntries,
    NothingEntered,
    MeetingHasEnded,
    OtherMeetingOpened,
    MeetingFull,
    MeetingCancelled,
    MeetingNotStarted,
    MeetingLocked,
    NotAdmitted,
    ModeratorGone,
    Removed,
    TryLater,
    Goodbye,
    // in the meeting
    HelpGuest,
    HelpModerator,
    Muted,
    Unmuted,
    MutedByModerator,
    /// Everyone was muted; `*6` undoes it.
    MutedForNow,
    EveryoneMuted,
    EveryoneUnmuted,
    HandRaised,
    HandLowered,
    /// Also before a late joiner is mixed.
    RecordingOn,
    RecordingOff,
    /// "Here are", then the names that were said at the door.
    NamesHere,
    PhoneForgotten,
    PhoneNotRemembered,
    /// "You are the only one here."
    OnlyYou,
    /// "There are", then a number, then …
    There(Plural),
    /// … "other people here."
    Others(Plural),
    /// A key that does nothing here.
    UnknownKey,
    // numbers
    Number(Number),
    /// 1 behind a ten or a hundred.
    OneAfter,
    // sounds
    JoinTone,
    LeaveTone,
    /// Speak now.
    NameTone,
    /// To moderators: somebody raises a hand.
    HandTone,
    /// A remembered caller came in without this meeting's code: for the moderator (R7).
    JoinedWithoutCodeTone,
    Music,
}

/// A recorded number word: 0–20, the tens to 90, the hundreds to 900.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Number(u16);

impl Number {
    /// All that are recorded.
    pub const ALL: [u16; 37] = [
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 30, 40, 50, 60, 70, 80, 90,
        100, 200, 300, 400, 500, 600, 700, 800, 900,
    ];
    /// The largest that can be said.
    pub const MOST: usize = 999;

    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }

    /// Words for 0–999, in order: 342 is three hundred, forty, two.
    #[must_use]
    pub fn words(count: usize) -> Vec<Prompt> {
        let count = count.min(Self::MOST) as u16;
        let (hundreds, rest) = (count / 100 * 100, count % 100);
        let (tens, ones) = if rest > 20 { (rest / 10 * 10, rest % 10) } else { (0, rest) };
        let mut words = Vec::new();
        for part in [hundreds, tens, ones] {
            match part {
                0 if count > 0 => {}
                1 if count > 1 => words.push(Prompt::OneAfter),
                part => words.push(Prompt::Number(Self(part))),
            }
        }
        if count == 0 {
            words.truncate(1);
        }
        words
    }
}

/// Which form of a piece goes with a number; [`sentence`](super::sentence) knows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Plural {
    One,
    Few,
    Many,
}

impl Prompt {
    /// All but the numbers.
    pub const NAMED: [(Self, &'static str); 80] = [
        (Self::Welcome, "welcome"),
        (Self::OtherLanguage, "other-language"),
        (Self::EnterPin, "enter-pin"),
        (Self::EnterCode, "enter-code"),
        (Self::DoNotMatch, "do-not-match"),
        (Self::NothingHeard, "nothing-heard"),
        (Self::WelcomeBack, "welcome-back"),
        (Self::KnownEnterCode, "known-enter-code"),
        (Self::Joining, "joining"),
        (Self::FirstHere, "first-here"),
        (Self::Remembered, "remembered"),
        (Self::WaitForModerator, "wait-for-moderator"),
        (Self::WaitForStart, "wait-for-start"),
        (Self::StillWaiting, "still-waiting"),
        (Self::OtherMeetingEnterCode, "other-meeting-enter-code"),
        (Self::LockedNow, "locked-now"),
        (Self::ModeratorLetsIn, "moderator-lets-in"),
        (Self::SayName, "say-name"),
        (Self::LobbyHold, "lobby-hold"),
        (Self::LetIn, "let-in"),
        (Self::CallerWaits, "caller-waits"),
        (Self::MeetingUnlocked, "meeting-unlocked"),
        (Self::LobbyEmpty, "lobby-empty"),
        (Self::LettingIn, "letting-in"),
        (Self::NamelessCaller, "nameless-caller"),
        (Self::EnterHostPin, "enter-host-pin"),
        (Self::YouAreModerator, "you-are-moderator"),
        (Self::NoMoreTries, "no-more-tries"),
        (Self::ChooseMeeting, "choose-meeting"),
        (Self::ConfirmClose, "confirm-close"),
        (Self::ConfirmEnd, "confirm-end"),
        (Self::ConfirmDrop, "confirm-drop"),
        (Self::Dropped, "dropped"),
        (Self::NobodyToDrop, "nobody-to-drop"),
        (Self::NothingChanged, "nothing-changed"),
        (Self::ModeratorLeft, "moderator-left"),
        (Self::ModeratorBack, "moderator-back"),
        (Self::TooManyWrongEntries, "too-many-wrong-entries"),
        (Self::NothingEntered, "nothing-entered"),
        (Self::MeetingHasEnded, "meeting-has-ended"),
        (Self::OtherMeetingOpened, "other-meeting-opened"),
        (Self::MeetingFull, "meeting-full"),
        (Self::MeetingCancelled, "meeting-cancelled"),
        (Self::MeetingNotStarted, "meeting-not-started"),
        (Self::MeetingLocked, "meeting-locked"),
        (Self::NotAdmitted, "not-admitted"),
        (Self::ModeratorGone, "moderator-gone"),
        (Self::Removed, "removed"),
        (Self::TryLater, "try-later"),
        (Self::Goodbye, "goodbye"),
        (Self::HelpGuest, "help-guest"),
        (Self::HelpModerator, "help-moderator"),
        (Self::Muted, "muted"),
        (Self::Unmuted, "unmuted"),
        (Self::MutedByModerator, "muted-by-moderator"),
        (Self::MutedForNow, "muted-for-now"),
        (Self::EveryoneMuted, "everyone-muted"),
        (Self::EveryoneUnmuted, "everyone-unmuted"),
        (Self::HandRaised, "hand-raised"),
        (Self::HandLowered, "hand-lowered"),
        (Self::RecordingOn, "recording-on"),
        (Self::RecordingOff, "recording-off"),
        (Self::NamesHere, "names-here"),
        (Self::PhoneForgotten, "phone-forgotten"),
        (Self::PhoneNotRemembered, "phone-not-remembered"),
        (Self::OnlyYou, "only-you"),
        (Self::There(Plural::One), "there-one"),
        (Self::There(Plural::Few), "there-few"),
        (Self::There(Plural::Many), "there-many"),
        (Self::Others(Plural::One), "others-one"),
        (Self::Others(Plural::Few), "others-few"),
        (Self::Others(Plural::Many), "others-many"),
        (Self::OneAfter, "number-1-after"),
        (Self::UnknownKey, "unknown-key"),
        (Self::JoinTone, "join-tone"),
        (Self::LeaveTone, "leave-tone"),
        (Self::NameTone, "name-tone"),
        (Self::HandTone, "hand-tone"),
        (Self::JoinedWithoutCodeTone, "joined-without-code-tone"),
        (Self::Music, "music"),
    ];

    /// The file name without its ending, and the key in the catalogue: `enter-pin`, `number-20`.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Number(number) => format!("number-{}", number.0),
            _ => Self::NAMED
                .iter()
                .find(|(prompt, _)| *prompt == self)
                .map(|(_, id)| (*id).to_owned())
                .expect("every prompt but the numbers is in NAMED, which a test proves"),
        }
    }

    /// Every prompt there is, numbers included.
    pub fn all() -> impl Iterator<Item = Self> {
        let numbers = Number::ALL.into_iter().map(|n| Self::Number(Number(n)));
        Self::NAMED.into_iter().map(|(prompt, _)| prompt).chain(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_part_by_part() {
        let said = |n| Number::words(n).into_iter().map(Prompt::id).collect::<Vec<_>>().join(" ");
        assert_eq!(said(0), "number-0");
        assert_eq!(said(1), "number-1");
        assert_eq!(said(17), "number-17");
        assert_eq!(said(42), "number-40 number-2");
        assert_eq!(said(81), "number-80 number-1-after");
        assert_eq!(said(100), "number-100");
        assert_eq!(said(101), "number-100 number-1-after");
        assert_eq!(said(342), "number-300 number-40 number-2");
        assert_eq!(said(4_711), "number-900 number-90 number-9");
    }
}
