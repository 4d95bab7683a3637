//! A store in memory that answers as the real one does: for scripts, crowds and `doorline play`.
//!
//! It holds to the same rules, and writes down when the bridge would break one (`faults`): two
//! live meetings of one host, or a meeting that nobody has.

use std::time::Duration;

use jiff::Timestamp;

use crate::bridge::guess::{Aim, Ladder, Limits};
use crate::bridge::question::OpenedBy;
use crate::bridge::view::{Known, KnownCallers, MeetingKind, MeetingState};
use crate::bridge::{Answer, HostView, MeetingView, Question, Series, Settings};
use crate::types::{Code, HostId, HostPin, Language, MeetingId, PhoneNumber, Pin, Trust, VerifiedId};

#[derive(Debug)]
pub struct Store {
    pub hosts: Vec<Host>,
    pub meetings: Vec<Meeting>,
    pub verified: Vec<Verified>,
    /// Tries and what they cost.
    pub ladder: Ladder,
    /// What the bridge should not have asked for.
    pub faults: Vec<String>,
    /// Which occurrence of a recurring meeting matters.
    pub early_join: Duration,
    pub overrun: Duration,
    born: u128,
}

#[derive(Clone, Debug)]
pub struct Host {
    pub id: HostId,
    pub name: String,
    pub pin: Pin,
    pub host_pin: Option<HostPin>,
    pub language: Option<Language>,
    pub known_callers: KnownCallers,
    pub numbers: Vec<PhoneNumber>,
    pub standard_meeting: MeetingId,
}

#[derive(Clone, Debug)]
pub struct Meeting {
    pub view: MeetingView,
    pub code: Option<Code>,
    /// If it recurs: `view` has the times of its first occurrence.
    pub series: Option<Series>,
    /// When it was opened last.
    opened_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct Verified {
    pub id: VerifiedId,
    pub host: HostId,
    pub number: PhoneNumber,
    pub trust: Trust,
    pub trunk: String,
    pub verified_at: Timestamp,
    pub last_used_at: Timestamp,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            meetings: Vec::new(),
            verified: Vec::new(),
            ladder: Ladder::new(Limits::default()),
            faults: Vec::new(),
            early_join: Settings::default().early_join,
            overrun: Settings::default().overrun,
            born: 0,
        }
    }
}

impl Meeting {
    /// As the real store does it: the occurrence that matters now.
    fn occurring(&self, date: Timestamp, early_join: Duration, overrun: Duration) -> MeetingView {
        let mut view = self.view.clone();
        let Some(series) = &self.series else { return view };
        let at = |time| series.occurrence(time, early_join, overrun);
        let one = at(self.opened_at.filter(|_| view.state == MeetingState::Open).unwrap_or(date));
        let was_this = view.closed_at.is_some_and(|closed| at(closed) == one);
        if view.state == MeetingState::Closed && !was_this {
            view.state = MeetingState::Scheduled;
        }
        view.closed_at = view.closed_at.filter(|_| was_this);
        (view.starts_at, view.ends_at) = (Some(one.starts_at), Some(one.ends_at));
        view
    }
}

impl Store {
    /// Adds a host with its meeting without times.
    pub fn add_host(&mut self, name: &str, pin: Pin) -> &mut Host {
        let (id, standard_meeting) = (HostId::numbered(self.bear()), MeetingId::numbered(self.bear()));
        let view = MeetingView {
            id: standard_meeting,
            host: id,
            kind: MeetingKind::Standard,
            state: MeetingState::Scheduled,
            title: format!("{name}-room"),
            starts_at: None,
            ends_at: None,
            closed_at: None,
            opened_by: None,
            known_callers: None,
            wait_for_moderator: false,
        };
        self.meetings.push(Meeting { view, code: None, series: None, opened_at: None });
        self.hosts.push(Host {
            id,
            name: name.to_owned(),
            pin,
            host_pin: None,
            language: None,
            known_callers: KnownCallers::StraightThrough,
            numbers: Vec::new(),
            standard_meeting,
        });
        self.hosts.last_mut().expect("one was just added")
    }

    /// Adds a meeting with times; with a code it is a One Time Meeting.
    pub fn add_meeting(
        &mut self,
        host: HostId,
        title: &str,
        code: Option<Code>,
        times: (Timestamp, Timestamp),
    ) -> &mut MeetingView {
        let view = MeetingView {
            id: MeetingId::numbered(self.bear()),
            host,
            kind: if code.is_some() { MeetingKind::OneTime } else { MeetingKind::Standard },
            state: MeetingState::Scheduled,
            title: title.to_owned(),
            starts_at: Some(times.0),
            ends_at: Some(times.1),
            closed_at: None,
            opened_by: None,
            known_callers: None,
            wait_for_moderator: false,
        };
        self.meetings.push(Meeting { view, code, series: None, opened_at: None });
        &mut self.meetings.last_mut().expect("one was just added").view
    }

    /// Remembers a phone.
    pub fn add_verified(
        &mut self,
        host: HostId,
        number: PhoneNumber,
        trust: Trust,
        trunk: &str,
        at: Timestamp,
    ) -> &mut Verified {
        self.verified.retain(|row| (row.host, &row.number) != (host, &number));
        let id = VerifiedId::numbered(self.bear());
        let trunk = trunk.to_owned();
        self.verified.push(Verified { id, host, number, trust, trunk, verified_at: at, last_used_at: at });
        self.verified.last_mut().expect("one was just added")
    }

    #[must_use]
    pub fn meeting_named(&self, title: &str) -> Option<&MeetingView> {
        self.meetings.iter().map(|meeting| &meeting.view).find(|view| view.title == title)
    }

    #[must_use]
    pub fn host_named(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    #[must_use]
    pub fn meeting_mut(&mut self, id: MeetingId) -> Option<&mut MeetingView> {
        self.meetings.iter_mut().map(|meeting| &mut meeting.view).find(|view| view.id == id)
    }

    /// The host as the bridge sees it: with the meetings that matter now.
    #[must_use]
    pub fn view(&self, id: HostId, date: Timestamp) -> Option<HostView> {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        let host = self.hosts.iter().find(|host| host.id == id)?;
        let soon = date.checked_add(24 * HOUR).unwrap_or(Timestamp::MAX);
        let lately = date.checked_sub(HOUR).unwrap_or(Timestamp::MIN);
        let matters = |view: &MeetingView| {
            view.host == id
                && (view.state == MeetingState::Open
                    || (view.starts_at.is_none_or(|at| at <= soon)
                        && view.ends_at.is_none_or(|at| at >= lately)))
        };
        let occurring = |meeting: &Meeting| meeting.occurring(date, self.early_join, self.overrun);
        let mut meetings: Vec<_> = self.meetings.iter().map(occurring).filter(matters).collect();
        meetings.sort_by_key(|view| view.starts_at);
        Some(HostView {
            id,
            name: host.name.clone(),
            language: host.language.clone(),
            known_callers: host.known_callers,
            numbers: host.numbers.clone(),
            standard_meeting: host.standard_meeting,
            meetings,
        })
    }

    /// Answers as the real store does when it is there.
    pub fn answer(&mut self, question: Question, date: Timestamp) -> Answer {
        match question {
            Question::Caller { number } => {
                let rows = self.verified.iter().filter(|row| row.number == number);
                let known = rows.filter_map(|row| {
                    Some(Known {
                        verified: row.id,
                        host: self.view(row.host, date)?,
                        number: row.number.clone(),
                        meeting: None,
                        trust: row.trust,
                        trunk: row.trunk.clone(),
                        verified_at: row.verified_at,
                        last_used_at: row.last_used_at,
                    })
                });
                Answer::Known(known.collect())
            }
            Question::Host { pin, by } => {
                let mut tried = self.ladder.spend(&by, &Aim::Pin, date);
                let host = self.hosts.iter().find(|host| tried.compared && host.pin == pin);
                let host = host.and_then(|host| self.view(host.id, date));
                if host.is_some() {
                    self.ladder.was_right(&mut tried);
                }
                Answer::Pin { host: host.map(Box::new), tried }
            }
            Question::HostById { host } => Answer::Host(self.view(host, date)),
            Question::Code { host, meetings, code, by } => {
                let aim = Aim::Codes { host, meetings: meetings.clone() };
                let mut tried = self.ladder.spend(&by, &aim, date);
                let right = self.meetings.iter().find(|meeting| {
                    tried.compared
                        && Some(meeting.view.host) == host
                        && meetings.contains(&meeting.view.id)
                        && meeting.code.as_ref() == Some(&code)
                });
                let proved = right.map(|meeting| meeting.view.id);
                if proved.is_some() {
                    self.ladder.was_right(&mut tried);
                }
                Answer::Code { proved, tried }
            }
            Question::HostPin { host, pin, by } => {
                let mut tried = self.ladder.spend(&by, &Aim::HostPin { host }, date);
                let row = self.hosts.iter().find(|row| row.id == host);
                let right = tried.compared
                    && !tried.exhausted
                    && row.is_some_and(|row| row.host_pin.as_ref() == Some(&pin));
                if right {
                    self.ladder.was_right(&mut tried);
                }
                Answer::HostPin { right, tried }
            }
            Question::GiveBack { wrong, proved } => {
                self.ladder.give_back(&wrong, proved, date);
                Answer::Done
            }
            Question::Open { host, meeting, closes, opened_by } => {
                self.open(host, meeting, closes, opened_by, date)
            }
            Question::Close { meeting } => {
                self.close(meeting, date);
                Answer::Done
            }
            Question::Remember { host, number, meeting: _, trust, trunk } => {
                self.add_verified(host, number, trust, &trunk, date);
                Answer::Done
            }
            Question::Used { verified, date, without_code: _ } => {
                for row in self.verified.iter_mut().filter(|row| row.id == verified) {
                    row.last_used_at = date;
                }
                Answer::Done
            }
            Question::Forget { host, number } => {
                self.verified.retain(|row| host.is_some_and(|host| host != row.host) || row.number != number);
                Answer::Done
            }
        }
    }

    fn open(
        &mut self,
        host: HostId,
        meeting: MeetingId,
        closes: Option<MeetingId>,
        by: OpenedBy,
        date: Timestamp,
    ) -> Answer {
        if let Some(closes) = closes {
            self.close(closes, date);
        }
        let open = |view: &MeetingView| view.host == host && view.state == MeetingState::Open;
        if self.meetings.iter().any(|other| other.view.id != meeting && open(&other.view)) {
            self.faults.push("two live meetings of one host".to_owned());
            return Answer::Unavailable;
        }
        match self.meetings.iter_mut().find(|row| row.view.id == meeting) {
            Some(row) if row.view.host == host => {
                row.view.state = MeetingState::Open;
                row.view.opened_by = Some(by);
                row.opened_at = Some(date);
                Answer::Done
            }
            _ => {
                self.faults.push("a meeting that the host does not have".to_owned());
                Answer::Unavailable
            }
        }
    }

    /// The host's own meeting can open again at any time; one with times is closed.
    fn close(&mut self, meeting: MeetingId, date: Timestamp) {
        if let Some(view) = self.meeting_mut(meeting)
            && view.state != MeetingState::Cancelled
        {
            let standing = view.starts_at.is_none();
            view.state = if standing { MeetingState::Scheduled } else { MeetingState::Closed };
            view.closed_at = Some(date);
            view.opened_by = None;
        }
    }

    fn bear(&mut self) -> u128 {
        self.born += 1;
        self.born
    }
}
