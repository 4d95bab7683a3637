//! What the service decides: who may enter, what callers hear, what is live.
//!
//! One [`Bridge`] takes every event of the service, one after another, and answers with what to do.
//! It has no socket, clock, SQL, thread or randomness, so a call of an hour is a list of inputs
//! that a test plays in a millisecond.
//!
//! ```text
//! Input ─> Bridge ─> call/flow (one caller: state × event -> state)
//!             │        │ asks            │ changes
//!             │     admission         meeting (rooms, one live meeting per host)
//!             └─< Output: answer, play, join, ask the store, write the record
//! ```

pub mod command;
pub mod ending;
pub mod guess;
pub mod input;
pub mod news;
pub mod output;
pub mod prompt;
pub mod question;
pub mod record;
pub mod recurrence;
pub mod rehearsal;
pub mod sentence;
pub mod settings;
pub mod snapshot;
pub mod verify;
pub mod view;

mod admission;
mod call;
mod desk;
mod meeting;
mod moderating;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

pub use command::{By, Command, Rejection, Reply, RequestId};
pub use ending::Ending;
pub use input::{Incoming, Input};
pub use news::News;
pub use output::{Output, PlaybackId};
pub use prompt::Prompt;
pub use question::{Answer, Question, QuestionId};
pub use record::CallRecord;
pub use recurrence::{Recurrence, Series};
pub use settings::Settings;
pub use snapshot::Snapshot;
pub use view::{HostView, MeetingView};

use crate::types::{CallId, HostId, MeetingId, Now};
use call::Call;
use call::flow;
use call::state::{Event, State};
use desk::{Asker, Desk, Todo};
use meeting::Awaits;
use snapshot::{InLobby, LiveCall};

/// Everything that is decided, for all calls of this service.
///
/// # When a decision panics
///
/// A call that is decided about is taken out of the bridge and put back when its new state is
/// known, so a panic leaves no half-changed call behind. Whoever runs the bridge catches the
/// unwind, calls [`Bridge::after_panic`], and goes on: that call ends, the others live.
#[derive(Debug)]
pub struct Bridge {
    desk: Desk,
    calls: BTreeMap<CallId, Box<(Call, State)>>,
    timers: BTreeSet<(Instant, Timer)>,
    /// Of `calls`: not admitted yet, and over but for their figures.
    entering: usize,
    over: usize,
    draining: bool,
    /// The call that is out of `calls` because it is decided about.
    at_work: Option<CallId>,
    revision: u64,
    /// What onlookers have been told of each room.
    told: BTreeMap<HostId, news::View>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Timer {
    Call(CallId),
    Room(HostId),
}

impl Bridge {
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            desk: Desk::new(settings),
            calls: BTreeMap::new(),
            timers: BTreeSet::new(),
            entering: 0,
            over: 0,
            draining: false,
            at_work: None,
            revision: 0,
            told: BTreeMap::new(),
        }
    }

    /// Room for as many calls and participants as `settings` have, from the next call on. Who is in stays in.
    pub fn set_room(&mut self, settings: &Settings) {
        self.desk.settings = self.desk.settings.with_room_of(settings);
    }

    /// Takes one input and appends what is to be done, in order. `now` never goes back.
    ///
    /// An input that came in time counts even if the clock's tick is late: deadlines that have
    /// passed are dealt with after it.
    pub fn handle(&mut self, input: Input, now: Now, out: &mut Vec<Output>) {
        self.desk.set_now(now);
        self.desk.out.append(out);
        self.take(input);
        self.work();
        self.tick();
        out.append(&mut self.desk.out);
    }

    /// When [`Input::Tick`] is wanted next; always after the last `now`.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let owed = self.desk.owed.front().map(|(at, ..)| *at);
        let timer = self.timers.first().map(|(at, _)| *at);
        [timer, self.desk.ended.deadline(), owed].into_iter().flatten().min()
    }

    /// Grows whenever a [`snapshot`](Self::snapshot) would differ; tells when one is worth building.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What is alive now. Costs a walk over all calls: ask when [`revision`](Self::revision) has
    /// grown, and not more often than readers look.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let live_call = |entry: &(Call, State)| {
            let (call, state) = entry;
            let record = self.desk.records.get(&call.id);
            LiveCall {
                call: call.id,
                trunk: call.trunk.clone(),
                number: call.caller.number.clone(),
                trust: call.caller.trust,
                state: state.name(),
                started_at: record.map_or(call.since, |record| record.started_at),
                host: state.host().or(record.and_then(|record| record.host)),
                meeting: record.and_then(|record| record.meeting),
            }
        };
        let calls = self.calls.values().filter(|entry| !entry.1.is_over());
        let rooms = self.desk.rooms.values();
        let mut lobby: Vec<InLobby> = self.calls.values().filter_map(|entry| in_lobby(entry)).collect();
        lobby.sort_by_key(|waiting| waiting.since);
        Snapshot {
            calls: calls.map(|entry| live_call(entry)).collect(),
            meetings: rooms.filter_map(|room| room.live.as_ref()).map(|live| live.snapshot()).collect(),
            lobby,
            draining: self.draining,
            unwritten: self.over,
        }
    }

    /// How many calls are on the line: what a drain waits for.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len() - self.over
    }

    /// No call, meeting, question, timer or debt is left.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
            && self.desk.rooms.is_empty()
            && self.desk.asked.is_empty()
            && self.desk.records.is_empty()
            && self.desk.lines.is_empty()
            && self.desk.owed.is_empty()
            && self.told.is_empty()
            && self.desk.ended.is_empty()
            && self.timers.is_empty()
            && (self.entering, self.over) == (0, 0)
    }

    /// Ends the call whose decision panicked, and finishes what was under way for the others.
    /// `None` when no call was being decided about.
    pub fn after_panic(&mut self, out: &mut Vec<Output>) -> Option<CallId> {
        let call = self.at_work.take();
        if let Some(call) = call {
            self.timers.retain(|(_, timer)| *timer != Timer::Call(call));
            self.desk.lines.retain(|_, calls| {
                calls.remove(&call);
                !calls.is_empty()
            });
            let mut rows = Vec::new();
            for (host, room) in &mut self.desk.rooms {
                room.pending.remove(&call);
                room.lobby.retain(|waiting| *waiting != call);
                let row = room.live.as_mut().and_then(|live| live.roster.remove(&call));
                rows.push((*host, row.map(|row| row.role)));
            }
            for (host, role) in rows {
                self.desk.touched.insert(host);
                match role {
                    Some(role) => self.desk.left(host, role),
                    None => self.desk.todo.push_back(Todo::LookEmpty(host)),
                }
            }
            self.entering = self.calls.values().filter(|entry| entry.1.is_entering()).count();
            self.over = self.calls.values().filter(|entry| entry.1.is_over()).count();
            self.desk.out.push(Output::HangUp { call, ending: Ending::InternalError });
            let now = self.desk.now().date;
            self.desk.record(call, |record| {
                record.step(now, "fault");
                record.end(now, Ending::InternalError);
            });
            self.save(call);
        }
        self.work();
        out.append(&mut self.desk.out);
        call
    }

    /// One event of one call, which else comes of an input, and what follows.
    #[cfg(test)]
    fn event(&mut self, call: CallId, event: Event, now: Now, out: &mut Vec<Output>) {
        self.desk.set_now(now);
        self.desk.todo.push_back(Todo::Call(call, event));
        self.handle(Input::Tick, now, out);
    }

    // -- inputs --

    fn take(&mut self, input: Input) {
        let now = self.desk.now();
        let todo = &mut self.desk.todo;
        let mut call_event = |call, event| todo.push_back(Todo::Call(call, event));
        match input {
            Input::Incoming(incoming) => self.incoming(incoming),
            Input::Answered { call } => call_event(call, Event::Answered),
            Input::HungUp { call, how } => call_event(call, Event::HungUp(how)),
            Input::Digit { call, digit, source } => {
                let line = self.calls.get_mut(&call);
                if line.is_some_and(|entry| entry.0.presses(digit, source, now.instant)) {
                    todo.push_back(Todo::Call(call, Event::Key(digit, now.instant)));
                    self.desk.record(call, |record| record.key(now.date, source));
                } else {
                    self.desk.record(call, |record| record.key_again());
                }
            }
            Input::KeyUp { call, source, lasted } => {
                self.desk.record(call, |record| record.key_up(source, lasted));
            }
            Input::Played { call, playback } => call_event(call, Event::Played(playback)),
            Input::MediaLost { call } => call_event(call, Event::MediaLost),
            Input::Quality { call, quality } => call_event(call, Event::Quality(quality)),
            Input::Answer { question, answer } => self.answer(question, answer),
            Input::Command { request, by, command } => self.command(request, by, command),
            Input::Tick => {}
        }
    }

    fn incoming(&mut self, incoming: Incoming) {
        let (id, now) = (incoming.call, self.desk.now());
        if self.calls.contains_key(&id) {
            return;
        }
        let settings = &self.desk.settings;
        let refusal = if self.draining {
            Some(Ending::Draining)
        } else if self.calls() >= settings.calls_max || self.entering >= settings.calls_entering_max {
            Some(Ending::OverCapacity)
        } else {
            None
        };
        if let Some(ending) = refusal {
            let record = CallRecord::refused(&incoming, ending, now.date);
            self.desk.out.push(Output::Refuse { call: id, ending });
            self.desk.out.push(Output::Save { record: Box::new(record) });
            return;
        }
        self.desk.records.insert(id, Box::new(CallRecord::begin(&incoming, now.date)));
        let call = Call::new(incoming, &self.desk.settings.guessing, now);
        // A number that nobody vouches for is not even looked up: it would open nothing.
        let believed = call.caller.trust >= settings.use_min && !call.caller.withheld;
        let look_up = call.caller.number.clone().filter(|_| believed).map(|number| {
            self.desk.lines.entry(number.clone()).or_default().insert(id);
            self.desk.ask(Asker::Call(id), Question::Caller { number })
        });
        self.desk.out.push(Output::Ring { call: id });
        self.desk.out.push(Output::Answer { call: id });
        if let Some(language) = call.language.clone() {
            self.desk.out.push(Output::Speak { call: id, language });
        }
        if !believed && !call.caller.withheld {
            self.desk
                .explain(id, format!("asked as on the first day: {}", call.caller.basis.text(&call.trunk)));
        }
        let state = flow::ringing(look_up, now.instant);
        self.desk.step(id, state.name());
        self.put_back(call, state);
    }

    fn answer(&mut self, question: QuestionId, answer: Answer) {
        // A second answer, or one nobody asked for, changes nothing.
        let Some(asker) = self.desk.asked.remove(&question) else { return };
        let done = answer == Answer::Done;
        match asker {
            Asker::Call(call) => self.desk.todo.push_back(Todo::Call(call, Event::Answer(question, answer))),
            Asker::Room(host) => self.desk.room_answer(host, Some(question), &answer),
            Asker::Remember { call, host, number, forget: true } => {
                self.desk.forget(host, number, Some(call), None);
            }
            Asker::Remember { call, host, number, .. } if done => {
                self.desk.record(call, |record| record.remembered = true);
                let place = self.calls.get(&call).and_then(|entry| entry.0.place);
                let what = news::What::Remembered { participant: call, number };
                self.desk.tell(host, place.map(|(_, meeting)| meeting), what);
                self.desk.todo.push_back(Todo::Call(call, Event::Remembered(host)));
            }
            Asker::Forget { call, request, host, number } => {
                if !done {
                    self.desk.owe(host, number);
                }
                self.desk
                    .reply(request, if done { Ok(Reply::Done) } else { Err(Rejection::StoreUnavailable) });
                if let Some(call) = call {
                    self.desk.todo.push_back(Todo::Call(call, Event::Forgotten(done)));
                }
            }
            Asker::Remember { .. } | Asker::Nobody => {}
        }
    }

    fn command(&mut self, request: RequestId, by: By, command: Command) {
        let done = Ok(Reply::Done);
        match command {
            Command::Open { host, meeting } => self.desk.open_for_moderator(request, *host, meeting),
            Command::Close { meeting } => match self.desk.host_of(meeting) {
                Some(host) => self.desk.close_for_moderator(Some(request), host, meeting),
                None => self.desk.reply(Some(request), Err(Rejection::NotOpen)),
            },
            Command::Cancelled { meeting } => {
                self.desk.cancelled(meeting);
                self.desk.reply(Some(request), done);
            }
            Command::Mute { participant, muted } => {
                self.tell_participant(request, by, participant, Event::Muted(muted));
            }
            Command::Remove { participant, forget } => {
                self.tell_participant(request, by, participant, Event::Removed { forget });
            }
            Command::Lock { meeting, locked } => {
                let host = self.desk.host_of(meeting);
                let there = host.is_some_and(|host| self.desk.lock(host, meeting, locked));
                self.desk.reply(Some(request), if there { done } else { Err(Rejection::NotOpen) });
            }
            Command::MuteAll { meeting, muted } => {
                let host = self.desk.host_of(meeting);
                let there = host.is_some_and(|host| self.desk.mute_all(host, meeting, muted, by));
                self.desk.reply(Some(request), if there { done } else { Err(Rejection::NotOpen) });
            }
            Command::Record { meeting, on } => {
                let host = self.desk.host_of(meeting);
                let there = host.is_some_and(|host| self.desk.record_meeting(host, meeting, on));
                self.desk.reply(Some(request), if there { done } else { Err(Rejection::NotOpen) });
            }
            Command::Promote { participant } => {
                self.tell_participant(request, by, participant, Event::Promoted);
            }
            Command::LowerHand { participant } => {
                self.tell_participant(request, by, participant, Event::HandLowered);
            }
            Command::Admit { participant } => {
                self.tell_participant(request, by, participant, Event::Admitted)
            }
            Command::Refuse { participant } => {
                self.tell_participant(request, by, participant, Event::Refused)
            }
            Command::HostRemoved { host } => {
                self.desk.host_removed(host);
                let about_it = self.calls.values().filter(|entry| entry.1.host() == Some(host));
                let calls: Vec<CallId> = about_it.map(|entry| entry.0.id).collect();
                for call in calls {
                    self.desk.todo.push_back(Todo::Call(call, Event::HostRemoved));
                }
                self.desk.reply(Some(request), done);
            }
            Command::Drain => {
                self.draining = true;
                self.revision += 1;
                self.desk.reply(Some(request), done);
            }
            Command::EndCalls => {
                let all = self.calls.keys().map(|call| Todo::Call(*call, Event::ServiceStops));
                self.desk.todo.extend(all);
                self.desk.reply(Some(request), done);
            }
        }
    }

    /// A moderator's act on somebody who is in a meeting or waits for one.
    fn tell_participant(&mut self, request: RequestId, by: By, participant: CallId, event: Event) {
        let there = self.calls.get(&participant).map(|entry| match event {
            Event::Removed { .. } => entry.0.place.is_some() || entry.1.pending().is_some(),
            Event::Admitted | Event::Refused => matches!(entry.1, State::Lobby { .. }),
            _ => entry.0.place.is_some(),
        });
        let reply = match (there, &event) {
            (Some(true), _) => Ok(Reply::Done),
            (Some(false), Event::Admitted | Event::Refused) => Err(Rejection::NotInLobby),
            _ => Err(Rejection::NoSuchParticipant),
        };
        if reply.is_ok() {
            self.desk.act(participant, act(&event), by);
            self.desk.todo.push_back(Todo::Call(participant, event));
        }
        self.desk.reply(Some(request), reply);
    }

    // -- one step --

    /// Does what follows, and what follows from that.
    fn work(&mut self) {
        while let Some(todo) = self.desk.todo.pop_front() {
            match todo {
                Todo::Call(call, event) => self.decide(call, event),
                Todo::LookEmpty(host) => self.desk.look_empty(host),
            }
        }
        while let Some(host) = self.desk.touched.pop_first() {
            self.revision += 1;
            self.tell_news(host);
            let Some(room) = self.desk.rooms.get_mut(&host) else { continue };
            let deadline = room.deadline();
            if room.timer != deadline {
                if let Some(at) = room.timer {
                    self.timers.remove(&(at, Timer::Room(host)));
                }
                if let Some(at) = deadline {
                    self.timers.insert((at, Timer::Room(host)));
                }
                room.timer = deadline;
            }
            if room.is_vacant() {
                self.desk.rooms.remove(&host);
            }
        }
    }

    /// Tells onlookers what has changed in a room.
    fn tell_news(&mut self, host: HostId) {
        let room = self.desk.rooms.get(&host);
        let waiting = |call: &CallId| self.calls.get(call).and_then(|entry| in_lobby(entry));
        let mut now = news::View {
            live: room.and_then(|room| room.live.as_ref()).map(meeting::Meeting::snapshot),
            lobby: room.map(|room| room.pending.keys().filter_map(waiting).collect()).unwrap_or_default(),
        };
        now.lobby.sort_by_key(|waiting| waiting.since);
        let before = self.told.entry(host).or_default();
        let mut news = before.news(host, &now);
        // A call may have asked for two things in a row: what it wanted is told of after where it is.
        news.extend(self.desk.news.extract_if(.., |news| news.host == host));
        let told = |news| Output::News { news: Box::new(news) };
        self.desk.out.extend(news.into_iter().map(told));
        if now.is_empty() {
            self.told.remove(&host);
        } else {
            *before = now;
        }
    }

    /// The room that this participant is mixed in.
    #[must_use]
    pub fn place_of(&self, participant: CallId) -> Option<(HostId, MeetingId)> {
        self.calls.get(&participant)?.0.place
    }

    fn decide(&mut self, id: CallId, event: Event) {
        let Some(entry) = self.calls.remove(&id) else { return };
        self.at_work = Some(id);
        let (mut call, state) = *entry;
        let before = (state.name(), state.pending());
        self.entering -= usize::from(state.is_entering());
        self.over -= usize::from(state.is_over());
        let state = flow::next(&mut self.desk, &mut call, state, event);
        if state.name() != before.0 {
            call.since = self.desk.now().date;
            self.desk.step(id, state.name());
            self.revision += 1;
        }
        if state.pending() != before.1 {
            self.queue(id, before.1, state.pending());
        }
        self.put_back(call, state);
        self.at_work = None;
    }

    /// Keeps the rooms' lists of who waits for what.
    fn queue(&mut self, call: CallId, left: Waiting, entered: Waiting) {
        if let Some((host, _)) = left {
            self.desk.room(host).pending.remove(&call);
            self.desk.room(host).lobby.retain(|waiting| *waiting != call);
            self.desk.todo.push_back(Todo::LookEmpty(host));
        }
        if let Some((host, awaits)) = entered {
            self.desk.room(host).pending.insert(call, awaits);
        }
        for (host, _) in left.into_iter().chain(entered) {
            self.desk.room(host).count_waiting();
        }
    }

    /// Files a call under its new state: its timer, the counters, its end.
    fn put_back(&mut self, mut call: Call, state: State) {
        let deadline = state.deadline(&call);
        if call.timer != deadline {
            if let Some(at) = call.timer {
                self.timers.remove(&(at, Timer::Call(call.id)));
            }
            if let Some(at) = deadline {
                self.timers.insert((at, Timer::Call(call.id)));
            }
            call.timer = deadline;
        }
        if state.is_over()
            && let Some(number) = &call.caller.number
            && let Some(calls) = self.desk.lines.get_mut(number)
        {
            calls.remove(&call.id);
            if calls.is_empty() {
                self.desk.lines.remove(number);
            }
        }
        if matches!(state, State::Gone) {
            self.revision += 1;
            self.save(call.id);
            return;
        }
        self.entering += usize::from(state.is_entering());
        self.over += usize::from(state.is_over());
        self.calls.insert(call.id, Box::new((call, state)));
    }

    fn save(&mut self, call: CallId) {
        if let Some(record) = self.desk.records.remove(&call) {
            self.desk.out.push(Output::Save { record });
        }
    }

    /// Deals with every deadline that has come.
    fn tick(&mut self) {
        let now = self.desk.now();
        self.desk.ended.tick(now);
        self.desk.pay();
        while let Some((at, timer)) = self.timers.first().copied()
            && at <= now.instant
        {
            match timer {
                Timer::Call(call) => self.desk.todo.push_back(Todo::Call(call, Event::Tick)),
                Timer::Room(host) => self.desk.room_tick(host),
            }
            self.work();
        }
    }
}

/// A moderator's act, as the record calls it.
const fn act(event: &Event) -> &'static str {
    match event {
        Event::Muted(true) => "muted",
        Event::Muted(false) => "unmuted",
        Event::Removed { forget: true } => "removed-and-forgotten",
        Event::Removed { forget: false } => "removed",
        Event::Admitted => "admitted",
        Event::Refused => "refused",
        Event::Promoted => "promoted",
        Event::HandLowered => "hand-lowered",
        _ => "moderated",
    }
}

fn in_lobby(entry: &(Call, State)) -> Option<InLobby> {
    match &entry.1 {
        State::Lobby { host, lobby } => Some(InLobby {
            participant: entry.0.id,
            host: host.id,
            meeting: lobby.meeting,
            number: entry.0.caller.number.clone(),
            reason: lobby.reason,
            since: entry.0.since,
        }),
        _ => None,
    }
}

/// The room a call waits in, and what it waits for.
type Waiting = Option<(HostId, Awaits)>;

#[cfg(test)]
mod tests {
    mod matrix;

    use std::time::Duration;

    use super::*;
    use crate::bridge::rehearsal::Stage;

    #[test]
    fn another_limit_is_for_the_next_call_and_ends_none() {
        let mut stage = Stage::new(Instant::now());
        stage.set_up("host ada pin 123456789").unwrap();
        for line in ["anna: call from +442079460001 network", "bert: call from +442079460002 network"] {
            stage.happen(line).unwrap();
        }
        let room = |calls_max| Settings { calls_max, ..Settings::default() };
        let calls = |stage: &Stage| stage.bridge.snapshot().calls.len();
        for (calls_max, caller, expected) in [(1, 3, 2), (2, 4, 2), (3, 5, 3), (3, 6, 3)] {
            stage.bridge.set_room(&room(calls_max));
            stage.happen(&format!("c{caller}: call from +44207946000{caller} network")).unwrap();
            assert_eq!(calls(&stage), expected, "{calls_max} calls");
        }
    }

    #[test]
    fn a_decision_that_panics_ends_its_own_call_and_no_other() {
        let mut stage = Stage::new(Instant::now());
        stage.set_up("host ada pin 123456789").unwrap();
        for line in [
            "anna: call from +442079460001 network",
            "anna: dial 123456789",
            "bert: call from +442079460002 network",
            "bert: dial 123456789",
            "wait 3s",
        ] {
            stage.happen(line).unwrap();
        }
        let bridge = &mut stage.bridge;
        let [anna, bert] = bridge.calls.keys().copied().collect::<Vec<_>>()[..] else { panic!("two calls") };

        // As it stands while a decision about Anna is being made that never returns.
        bridge.calls.remove(&anna).unwrap();
        bridge.at_work = Some(anna);
        let mut out = Vec::new();
        assert_eq!(bridge.after_panic(&mut out), Some(anna));

        let hang_up = Output::HangUp { call: anna, ending: Ending::InternalError };
        assert!(out.contains(&hang_up), "{out:?}");
        let saved = |output: &Output| matches!(output, Output::Save { record } if record.call == anna && record.ending == Ending::InternalError);
        assert!(out.iter().any(saved), "{out:?}");
        let snapshot = bridge.snapshot();
        assert_eq!(snapshot.calls.iter().map(|call| call.call).collect::<Vec<_>>(), [bert]);
        assert_eq!(snapshot.meetings[0].roster.len(), 1);

        stage.happen("bert: hang up").unwrap();
        stage.advance(Duration::from_secs(60));
        assert!(stage.bridge.is_idle());
    }
}
