//! Live meetings. Rooms are keyed by host and hold at most one live meeting each, so one host
//! cannot have two (R1); the store's own constraint says the same once more.
//!
//! A meeting becomes live only when the store has written so, and one write per room is under way
//! at a time: whoever wants another one waits and is judged again when it is done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::bridge::admission::{ENDED_LATELY, window};
use crate::bridge::question::OpenedBy;
use crate::bridge::snapshot::{Entered, LiveMeeting, Participant, Role};
use crate::bridge::view::MeetingKind;
use crate::bridge::{Ending, HostView, MeetingView, QuestionId, RequestId, Settings};
use crate::types::{CallId, HostId, Language, MeetingId, Now, PhoneNumber};

/// A meeting that is on.
#[derive(Debug)]
pub(crate) struct Meeting {
    pub view: MeetingView,
    pub opened_by: OpenedBy,
    pub opened_at: Timestamp,
    /// People are mixed. Before (`wait_for_moderator`), they hear music.
    pub started: bool,
    /// Everyone who is mixed, and nobody else (R11).
    pub roster: BTreeMap<CallId, Row>,
    /// How many hear music until it goes on.
    pub waiting: usize,
    /// New guests go to the lobby.
    pub locked: bool,
    pub recording: Option<Recording>,
    /// Guests are muted by `*4`, and who comes is as well.
    pub all_muted: bool,
    /// How many have joined so far.
    pub joined: u64,
    /// Its last moderator by phone has left; it ends then unless one comes.
    pub ends_without_moderator: Option<Instant>,
    pub told: Told,
    /// Phones that proved this meeting's code: `code-once` does not ask them again.
    pub proved: BTreeSet<PhoneNumber>,
    /// When it closes unless somebody comes back.
    pub close_at: Option<Instant>,
}

/// One participant.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub role: Role,
    pub number: Option<PhoneNumber>,
    pub entered: Entered,
    pub admitted: bool,
    pub joined_at: Timestamp,
    /// By `*6`.
    pub muted_self: bool,
    /// With everyone; `*6` undoes it.
    pub muted_with_all: bool,
    /// By the moderator; `*6` does not undo it.
    pub muted_hard: bool,
    pub hand_raised: bool,
    /// Said a name at the door.
    pub named: bool,
    /// The how-manieth to join, for "the last caller who joined"; the clock may step, this does not.
    pub order: u64,
}

/// Which recording of a meeting: who has heard of one has not heard of the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Recording(pub u64);

/// When something was last said or sounded: a crowd at the door must not drown the meeting.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub knock: Option<Instant>,
    pub hand: Option<Instant>,
    pub without_code: Option<Instant>,
    pub join: Option<Instant>,
    pub leave: Option<Instant>,
}

/// Whether so much time has passed that it may sound again; if so, it does.
pub(crate) fn again(last: &mut Option<Instant>, every: Duration, now: Instant) -> bool {
    let again = last.is_none_or(|at| now >= at + every);
    if again {
        *last = Some(now);
    }
    again
}

impl Row {
    pub(crate) fn muted(&self) -> bool {
        self.muted_self || self.muted_with_all || self.muted_hard
    }
}

impl Meeting {
    pub(crate) fn new(view: MeetingView, opened_by: OpenedBy, now: Now) -> Self {
        let started = !view.wait_for_moderator || opened_by == OpenedBy::Moderator;
        Self {
            view,
            opened_by,
            opened_at: now.date,
            started,
            roster: BTreeMap::new(),
            waiting: 0,
            locked: false,
            recording: None,
            all_muted: false,
            joined: 0,
            ends_without_moderator: None,
            told: Told::default(),
            proved: BTreeSet::new(),
            close_at: None,
        }
    }

    /// When it closes if nobody comes: a standard meeting that a caller opened at once, one that
    /// the moderator opened after `overrun`, and none before its window is over, so that callers
    /// who drop can come back.
    pub(crate) fn lingers_until(&self, settings: &Settings, now: Now) -> Instant {
        let own_time = match (self.view.kind, self.opened_by) {
            (MeetingKind::Standard, OpenedBy::Caller) => return now.instant,
            (MeetingKind::Standard, OpenedBy::Moderator) => settings.overrun,
            (MeetingKind::OneTime, _) => Duration::ZERO,
        };
        let window_left = window(&self.view, settings)
            .and_then(|(_, to)| Duration::try_from(to.duration_since(now.date)).ok())
            .unwrap_or(Duration::ZERO);
        now.instant + own_time.max(window_left)
    }

    pub(crate) fn snapshot(&self) -> LiveMeeting {
        let row = |(call, row): (&CallId, &Row)| Participant {
            participant: *call,
            role: row.role,
            number: row.number.clone(),
            entered: row.entered,
            admitted: row.admitted,
            joined_at: row.joined_at,
            muted: row.muted(),
            hard_muted: row.muted_hard,
            hand_raised: row.hand_raised,
            talking: false,
            echo: false,
            quality: None,
        };
        LiveMeeting {
            meeting: self.view.id,
            host: self.view.host,
            kind: self.view.kind,
            title: self.view.title.clone(),
            opened_by: self.opened_by,
            opened_at: self.opened_at,
            roster: self.roster.iter().map(row).collect(),
            waiting: self.waiting,
            locked: self.locked,
            recording: self.recording.is_some(),
            all_muted: self.all_muted,
        }
    }
}

/// What somebody waits for in a room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Awaits {
    /// The write that is under way.
    Write,
    /// This meeting's start, or its moderator.
    Start(MeetingId),
    /// To be let in by a moderator, beside this live meeting or while nothing is live.
    Admission(Option<MeetingId>),
}

impl Awaits {
    /// The meeting without which there is nothing to wait for.
    pub(crate) fn meeting(self) -> Option<MeetingId> {
        match self {
            Self::Write => None,
            Self::Start(meeting) => Some(meeting),
            Self::Admission(meeting) => meeting,
        }
    }
}

/// What belongs to one host.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub live: Option<Meeting>,
    /// What all in it are spoken to in.
    pub language: Option<Language>,
    /// The write that is under way.
    pub write: Option<Write>,
    /// A meeting that is over, though the store could not be told yet; told again at the instant.
    pub unclosed: Option<(MeetingId, Instant)>,
    /// What moderators asked for while a write was under way.
    pub wishes: VecDeque<Wish>,
    /// Callers who are judged again when the room changes, and what they wait for.
    pub pending: BTreeMap<CallId, Awaits>,
    /// Callers in the lobby who have had time to say a name, longest first.
    pub lobby: VecDeque<CallId>,
    /// Its entry in the list of timers.
    pub timer: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Write {
    pub question: QuestionId,
    pub what: Writing,
    pub request: Option<RequestId>,
    /// When we stop believing that an answer comes.
    pub until: Instant,
}

#[derive(Debug)]
pub(crate) enum Writing {
    Opening { view: Box<MeetingView>, by: OpenedBy },
    Closing { meeting: MeetingId },
}

#[derive(Debug)]
pub(crate) enum Wish {
    Open {
        request: RequestId,
        host: Box<HostView>,
        meeting: MeetingId,
    },
    /// `request`: whose reply it is; a moderator by phone needs none.
    Close {
        request: Option<RequestId>,
        meeting: MeetingId,
    },
}

impl Room {
    /// Nothing is left of it.
    pub(crate) fn is_vacant(&self) -> bool {
        self.live.is_none()
            && self.write.is_none()
            && self.unclosed.is_none()
            && self.wishes.is_empty()
            && self.pending.is_empty()
    }

    /// Nobody is in the live meeting and nobody waits for it or for the write.
    pub(crate) fn is_deserted(&self) -> bool {
        self.live.as_ref().is_some_and(|live| {
            live.roster.is_empty()
                && !self
                    .pending
                    .values()
                    .any(|awaits| *awaits == Awaits::Write || awaits.meeting() == Some(live.view.id))
        })
    }

    /// The moderator wants it open as soon as the write under way is done.
    pub(crate) fn wishes_for(&self, meeting: MeetingId) -> bool {
        self.wishes.iter().any(|wish| matches!(wish, Wish::Open { meeting: other, .. } if *other == meeting))
    }

    pub(crate) fn count_waiting(&mut self) {
        if let Some(live) = &mut self.live {
            live.waiting =
                self.pending.values().filter(|awaits| **awaits == Awaits::Start(live.view.id)).count();
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        [
            self.live.as_ref().and_then(|live| live.close_at),
            self.live.as_ref().and_then(|live| live.ends_without_moderator).filter(|_| self.write.is_none()),
            self.write.as_ref().map(|write| write.until),
            self.unclosed.filter(|_| self.write.is_none()).map(|(_, at)| at),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// Meetings that ended in the last ten minutes, for "has ended" (R10).
#[derive(Debug, Default)]
pub(crate) struct EndedLately {
    by_id: BTreeMap<MeetingId, Ending>,
    /// Oldest first.
    until: VecDeque<(Instant, MeetingId)>,
}

impl EndedLately {
    pub(crate) fn get(&self, meeting: MeetingId) -> Option<Ending> {
        self.by_id.get(&meeting).copied()
    }

    pub(crate) fn note(&mut self, meeting: MeetingId, ending: Ending, now: Now) {
        self.forget(meeting);
        self.by_id.insert(meeting, ending);
        self.until.push_back((now.instant + ENDED_LATELY, meeting));
    }

    /// It opened again.
    pub(crate) fn forget(&mut self, meeting: MeetingId) {
        if self.by_id.remove(&meeting).is_some() {
            self.until.retain(|(_, other)| *other != meeting);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.until.front().map(|(until, _)| *until)
    }

    pub(crate) fn tick(&mut self, now: Now) {
        while let Some((until, meeting)) = self.until.front().copied()
            && until <= now.instant
        {
            self.until.pop_front();
            self.by_id.remove(&meeting);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// All rooms that have something in them.
pub(crate) type Rooms = BTreeMap<HostId, Room>;
