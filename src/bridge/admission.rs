//! Who gets in, and where: rules R2–R4, R6, R7 and R10 as pure functions of what is on *now*.
//!
//! A caller is judged when something complete is known of them (a PIN, a code, a remembered
//! phone), and again whenever the host's room changes while they wait. So an answer is never
//! older than the question.

use std::time::Duration;

use jiff::Timestamp;

use crate::bridge::meeting::{EndedLately, Meeting};
use crate::bridge::question::OpenedBy;
use crate::bridge::snapshot::{Entered, LobbyReason, Role};
use crate::bridge::view::{KnownCallers, MeetingKind, MeetingState};
use crate::bridge::{Ending, HostView, MeetingView, Settings};
use crate::types::{MeetingId, PhoneNumber};

/// What a caller has shown for one host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Proof {
    /// The PIN, on this call.
    Pin,
    /// The PIN (or a remembered phone) and this meeting's code, on this call.
    Code(MeetingId),
    /// A remembered phone. `shared`: another live call has the same number (R8).
    Remembered { shared: bool },
    /// The host in person.
    Moderator(ModeratorBy),
}

/// How the host has shown who they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ModeratorBy {
    /// A phone of theirs, signed.
    OwnNumber,
    HostPin,
}

/// What happens to a caller now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    /// Into the live meeting.
    Join(Entered, Role),
    /// Nothing that a caller must not close is live: this one opens.
    Open(MeetingId, OpenedBy),
    /// A code is needed first.
    AskCode,
    /// This meeting is not open yet.
    WaitForStart(MeetingId),
    /// It is open, but goes on only with its moderator.
    WaitForModerator(MeetingId),
    /// Only a moderator lets this caller in.
    Lobby(LobbyReason),
    Refuse(Ending),
}

/// A host's room as it is now, for judging.
#[derive(Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub settings: &'a Settings,
    pub host: &'a HostView,
    pub live: Option<&'a Meeting>,
    pub ended: &'a EndedLately,
    pub date: Timestamp,
}

/// Who is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub proof: Proof,
    /// Theirs, when it is believed enough to be remembered with.
    pub number: Option<&'a PhoneNumber>,
    /// A moderator of this host has let this call in: the lobby lies behind it.
    pub admitted: bool,
    /// The phone is not known, and too many wrong tries were made at the code that it proved.
    pub guessed: bool,
}

/// Judges one caller.
pub(crate) fn judge(now: Situation, who: Candidate) -> Verdict {
    let target = now.scheduled_now(MeetingKind::OneTime).or_else(|| now.scheduled_now(MeetingKind::Standard));
    let verdict = match now.live {
        Some(live) if now.in_the_way(live, target, who.proof) => beside_a_live_one(now, live, who),
        _ => with_nothing_live(now, target, who.proof),
    };
    match (verdict, who.proof) {
        // By now it may have been guessed.
        (Verdict::Join(Entered::ProvedCode, Role::Guest) | Verdict::Open(..), Proof::Code(_))
            if who.guessed && !who.admitted =>
        {
            Verdict::Lobby(LobbyReason::Guessing)
        }
        (verdict, _) => verdict,
    }
}

fn beside_a_live_one(now: Situation, live: &Meeting, who: Candidate) -> Verdict {
    let proof = who.proof;
    let by_a_caller = live.opened_by == OpenedBy::Caller;
    let entered = match (live.view.kind, proof) {
        (_, Proof::Moderator(_)) => Entered::Moderator,

        // R2: who proves PIN and code inside the window closes a standard meeting that a caller
        // opened. R3: one that the moderator opened stays, and the PIN is enough for it.
        (MeetingKind::Standard, Proof::Code(meeting)) if by_a_caller && now.in_window(meeting) => {
            return Verdict::Open(meeting, OpenedBy::Caller);
        }
        (MeetingKind::Standard, Proof::Pin)
            if by_a_caller && now.scheduled_now(MeetingKind::OneTime).is_some() =>
        {
            return Verdict::AskCode;
        }
        (MeetingKind::Standard, Proof::Pin | Proof::Code(_)) => Entered::PinOnly,
        (MeetingKind::Standard, Proof::Remembered { .. }) => Entered::Remembered,

        (MeetingKind::OneTime, Proof::Code(meeting)) if meeting == live.view.id => Entered::ProvedCode,
        (MeetingKind::OneTime, Proof::Code(other)) => {
            return now.later_or_over(other);
        }
        (MeetingKind::OneTime, Proof::Pin) => return Verdict::AskCode,
        (MeetingKind::OneTime, Proof::Remembered { shared }) => {
            let proved = who.number.is_some_and(|number| live.proved.contains(number));
            match (now.known_callers(&live.view), shared) {
                (KnownCallers::AlwaysCode, _) | (_, true) => return Verdict::AskCode,
                (KnownCallers::CodeOnce, false) if !proved => return Verdict::AskCode,
                _ if proved => Entered::ProvedCode,
                _ => Entered::Remembered,
            }
        }
    };
    let role = if matches!(proof, Proof::Moderator(_)) { Role::Moderator } else { Role::Guest };
    if live.roster.len() >= now.settings.participants_max && role == Role::Guest {
        return Verdict::Refuse(Ending::MeetingFull);
    }
    if !live.started && role == Role::Guest {
        return Verdict::WaitForModerator(live.view.id);
    }
    if live.locked && !who.admitted && role == Role::Guest {
        return Verdict::Lobby(LobbyReason::Locked);
    }
    Verdict::Join(entered, role)
}

fn with_nothing_live(now: Situation, target: Option<&MeetingView>, proof: Proof) -> Verdict {
    let one_time = target.filter(|target| target.kind == MeetingKind::OneTime);
    let by = if matches!(proof, Proof::Moderator(_)) { OpenedBy::Moderator } else { OpenedBy::Caller };
    match (proof, one_time) {
        (Proof::Code(meeting), _) if now.in_window(meeting) => Verdict::Open(meeting, by),
        (Proof::Code(meeting), _) => now.later_or_over(meeting),
        (Proof::Pin, Some(_)) => Verdict::AskCode,
        (Proof::Remembered { shared }, Some(target)) => {
            // Nobody can have proved this one's code yet: it was not open.
            match now.known_callers(target) {
                KnownCallers::StraightThrough if !shared => Verdict::Open(target.id, by),
                _ => Verdict::AskCode,
            }
        }
        (Proof::Moderator(_), Some(target)) => Verdict::Open(target.id, by),
        (Proof::Pin | Proof::Remembered { .. }, None) => match now.just_over() {
            Some(ending) if target.is_none() => Verdict::Refuse(ending),
            _ => Verdict::Open(now.standard(target), by),
        },
        (Proof::Moderator(_), None) => Verdict::Open(now.standard(target), by),
    }
}

/// How long an ended meeting is still remembered as such (R10).
pub(crate) const ENDED_LATELY: Duration = Duration::from_secs(10 * 60);

impl<'a> Situation<'a> {
    /// The meetings whose code is accepted or explained: the live one, those whose window is
    /// open, those that begin while a caller may wait, and those just over.
    ///
    /// The fewer, the better: each is one more chance for somebody who guesses.
    pub(crate) fn codes(&self) -> Vec<MeetingId> {
        let wait = self.settings.waiting.saturating_add(self.settings.early_join);
        let mut meetings: Vec<MeetingId> = self
            .host
            .meetings
            .iter()
            .filter(|meeting| meeting.kind == MeetingKind::OneTime)
            .filter(|meeting| {
                let soon = meeting.starts_at.is_some_and(|start| {
                    start > self.date && before(start, wait) <= self.date && !over_state(meeting.state)
                });
                soon || self.in_window(meeting.id) || self.over(meeting.id).is_some()
            })
            .map(|meeting| meeting.id)
            .collect();
        if let Some(live) = self.live
            && live.view.kind == MeetingKind::OneTime
            && !meetings.contains(&live.view.id)
        {
            meetings.push(live.view.id);
        }
        meetings
    }

    /// The meeting of this kind that is on by the clock: of several, the last one to have begun,
    /// else the first to begin.
    pub(crate) fn scheduled_now(&self, kind: MeetingKind) -> Option<&'a MeetingView> {
        let on = || self.host.meetings.iter().filter(move |m| m.kind == kind && self.in_window(m.id));
        on().filter(|meeting| meeting.starts_at.is_some_and(|start| start <= self.date))
            .max_by_key(|meeting| meeting.starts_at)
            .or_else(|| on().min_by_key(|meeting| meeting.starts_at))
    }

    /// The standard meeting to open: a scheduled one, else the host's own.
    fn standard(&self, target: Option<&MeetingView>) -> MeetingId {
        target.map_or(self.host.standard_meeting, |target| target.id)
    }

    fn view(&self, meeting: MeetingId) -> Option<&'a MeetingView> {
        self.host.meetings.iter().find(|view| view.id == meeting)
    }

    /// A caller may open it: its window is open, and it is neither cancelled nor just ended.
    fn in_window(&self, meeting: MeetingId) -> bool {
        self.view(meeting).is_some_and(|view| {
            self.over(meeting).is_none()
                && window(view, self.settings).is_some_and(|(from, to)| from <= self.date && self.date <= to)
        })
    }

    /// It ended or was cancelled a short while ago: what its callers are told.
    fn over(&self, meeting: MeetingId) -> Option<Ending> {
        if let Some(ending) = self.ended.get(meeting) {
            return Some(match ending {
                Ending::MeetingCancelled => Ending::MeetingCancelled,
                _ => Ending::MeetingEnded,
            });
        }
        let view = self.view(meeting)?;
        let (from, _) = window(view, self.settings)?;
        match view.state {
            MeetingState::Cancelled => {
                let on = from <= self.date && view.ends_at.is_none_or(|end| self.date <= end);
                on.then_some(Ending::MeetingCancelled)
            }
            MeetingState::Closed => {
                let lately = view.closed_at.is_some_and(|at| self.date <= after(at, ENDED_LATELY));
                lately.then_some(Ending::MeetingEnded)
            }
            MeetingState::Scheduled | MeetingState::Open => None,
        }
    }

    /// For who proved the code of a meeting that cannot be entered now.
    fn later_or_over(&self, meeting: MeetingId) -> Verdict {
        if let Some(ending) = self.over(meeting) {
            return Verdict::Refuse(ending);
        }
        let later = self.view(meeting).and_then(|view| view.starts_at).is_some_and(|start| start > self.date);
        if later || self.in_window(meeting) {
            Verdict::WaitForStart(meeting)
        } else {
            Verdict::Refuse(Ending::MeetingEnded)
        }
    }

    /// Nothing is on, but a One Time Meeting was a moment ago, or would be had it not been cancelled.
    fn just_over(&self) -> Option<Ending> {
        let one_time = self.host.meetings.iter().filter(|view| view.kind == MeetingKind::OneTime);
        one_time.filter_map(|view| self.over(view.id)).next()
    }

    /// What a remembered phone is still asked here: the tighter of the host's and the meeting's.
    fn known_callers(&self, meeting: &MeetingView) -> KnownCallers {
        self.host.known_callers.max(meeting.known_callers.unwrap_or_default())
    }

    /// Whether the live meeting counts for this caller. A deserted One Time Meeting that nobody
    /// would miss (a caller opened it, or its time is over) lingers only so that its callers can
    /// come back, and does not stand in another one's way.
    fn in_the_way(&self, live: &Meeting, target: Option<&MeetingView>, proof: Proof) -> bool {
        let deserted = live.view.kind == MeetingKind::OneTime && live.close_at.is_some();
        let missed =
            live.opened_by == OpenedBy::Moderator && live.view.ends_at.is_none_or(|end| end >= self.date);
        let back = proof == Proof::Code(live.view.id);
        let another = target.is_some_and(|target| target.id != live.view.id);
        !deserted || missed || back || !another
    }
}

/// When callers may open it: from `early_join` before its start until `overrun` after its end.
pub(crate) fn window(view: &MeetingView, settings: &Settings) -> Option<(Timestamp, Timestamp)> {
    let start = view.starts_at?;
    let end = view.ends_at.unwrap_or(start);
    Some((before(start, settings.early_join), after(end, settings.overrun)))
}

/// Whether the moderator may open it: any of theirs, unless cancelled or past its window.
pub(crate) fn moderator_may_open(view: &MeetingView, settings: &Settings, date: Timestamp) -> bool {
    view.state != MeetingState::Cancelled && window(view, settings).is_none_or(|(_, to)| date <= to)
}

fn over_state(state: MeetingState) -> bool {
    matches!(state, MeetingState::Closed | MeetingState::Cancelled)
}

fn before(date: Timestamp, time: Duration) -> Timestamp {
    date.checked_sub(time).unwrap_or(Timestamp::MIN)
}

fn after(date: Timestamp, time: Duration) -> Timestamp {
    date.checked_add(time).unwrap_or(Timestamp::MAX)
}
