//! What a decision about one call can reach beside that call: the hosts' rooms, the outputs, the
//! questions that are open, the records, and what is still to be done in this step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::bridge::admission::{self, Candidate, Proof, Situation, Verdict, moderator_may_open};
use crate::bridge::call::Call;
use crate::bridge::call::state::Event;
use crate::bridge::command::{By, Rejection, Reply};
use crate::bridge::input::Caller;
use crate::bridge::meeting::{Awaits, EndedLately, Meeting, Room, Rooms, Row, Wish, Write, Writing, again};
use crate::bridge::news::What;
use crate::bridge::question::OpenedBy;
use crate::bridge::record::CallRecord;
use crate::bridge::snapshot::Role;
use crate::bridge::view::{HostView, MeetingKind, MeetingState, MeetingView};
use crate::bridge::{
    Answer, Ending, News, Output, PlaybackId, Prompt, Question, QuestionId, RequestId, Settings, verify,
};
use crate::types::{CallId, HostId, MeetingId, Now, PhoneNumber};

/// How long a write may take before we stop waiting for it.
const WRITE_TIME: Duration = Duration::from_secs(20);
/// Between two tries of a write that must happen in the end.
const RETRY: Duration = Duration::from_secs(5);
/// Between two tones of a kind: a room's player must not fall behind when a crowd comes.
pub(crate) const TONE_EVERY: Duration = Duration::from_secs(1);
/// Most phones that are still to be forgotten when the store is back.
const OWED_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Desk {
    pub settings: Settings,
    /// The time of this step; none before the first input.
    clock: Option<Now>,
    pub rooms: Rooms,
    /// Rooms that were changed in this step: their timers are looked at when it is over.
    pub touched: BTreeSet<HostId>,
    pub ended: EndedLately,
    pub out: Vec<Output>,
    /// Beside what has changed in rooms.
    pub news: Vec<News>,
    pub todo: VecDeque<Todo>,
    pub asked: BTreeMap<QuestionId, Asker>,
    pub records: BTreeMap<CallId, Box<CallRecord>>,
    /// Live calls by number, for numbers that are believed.
    pub lines: BTreeMap<PhoneNumber, BTreeSet<CallId>>,
    /// Phones that must be forgotten though the store was away.
    pub owed: VecDeque<(Instant, HostId, PhoneNumber)>,
    /// How many recordings there have been.
    pub recordings: u64,
    next_question: u64,
    next_playback: u64,
}

/// What follows from what was decided, done in order before the step is over.
#[derive(Debug)]
pub(crate) enum Todo {
    Call(CallId, Event),
    /// Perhaps nobody is left in this host's meeting.
    LookEmpty(HostId),
}

/// Who gets an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asker {
    Call(CallId),
    /// The room's write.
    Room(HostId),
    /// `forget`: the caller was removed while the answer was on its way.
    Remember {
        call: CallId,
        host: HostId,
        number: PhoneNumber,
        forget: bool,
    },
    /// `call` is told (`*9`), `request` gets its reply.
    Forget {
        call: Option<CallId>,
        request: Option<RequestId>,
        host: HostId,
        number: PhoneNumber,
    },
    Nobody,
}

impl Desk {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: None,
            rooms: Rooms::new(),
            touched: BTreeSet::new(),
            ended: EndedLately::default(),
            out: Vec::new(),
            news: Vec::new(),
            todo: VecDeque::new(),
            asked: BTreeMap::new(),
            records: BTreeMap::new(),
            lines: BTreeMap::new(),
            owed: VecDeque::new(),
            recordings: 0,
            next_question: 0,
            next_playback: 0,
        }
    }

    pub(crate) fn now(&self) -> Now {
        self.clock.expect("every step begins with its time")
    }

    pub(crate) fn set_now(&mut self, now: Now) {
        self.clock = Some(now);
    }

    // -- outputs --

    pub(crate) fn ask(&mut self, asker: Asker, ask: Question) -> QuestionId {
        self.next_question += 1;
        let question = QuestionId(self.next_question);
        self.asked.insert(question, asker);
        self.out.push(Output::Ask { question, ask });
        question
    }

    pub(crate) fn play(&mut self, call: CallId, prompts: Vec<Prompt>) -> PlaybackId {
        self.next_playback += 1;
        let playback = PlaybackId(self.next_playback);
        self.out.push(Output::Play { call, playback, prompts });
        playback
    }

    /// Over what everyone in a live meeting hears.
    pub(crate) fn play_to_meeting(&mut self, host: HostId, meeting: MeetingId, prompt: Prompt) {
        let language = self.rooms.get(&host).and_then(|room| room.language.clone());
        self.out.push(Output::PlayToMeeting { meeting, language, prompts: vec![prompt] });
    }

    /// The name that `of` said at the door, to one leg; else `otherwise`.
    pub(crate) fn play_name(&mut self, to: CallId, of: CallId, otherwise: Option<Prompt>) -> PlaybackId {
        self.next_playback += 1;
        let playback = PlaybackId(self.next_playback);
        self.out.push(Output::PlayName { to, playback, of, otherwise });
        playback
    }

    pub(crate) fn reply(&mut self, request: Option<RequestId>, reply: Result<Reply, Rejection>) {
        if let Some(request) = request {
            self.out.push(Output::Reply { request, reply });
        }
    }

    /// Tells onlookers of something in or beside a host's room.
    pub(crate) fn tell(&mut self, host: HostId, meeting: Option<MeetingId>, what: What) {
        self.touched.insert(host);
        self.news.push(News { host, meeting, what });
    }

    /// Writes a step into the call's record.
    pub(crate) fn step(&mut self, call: CallId, what: &'static str) {
        let at = self.now().date;
        if let Some(record) = self.records.get_mut(&call) {
            record.step(at, what);
        }
    }

    pub(crate) fn record(&mut self, call: CallId, change: impl FnOnce(&mut CallRecord)) {
        if let Some(record) = self.records.get_mut(&call) {
            change(record);
        }
    }

    /// Notes in the call's record what a moderator does to it.
    pub(crate) fn act(&mut self, call: CallId, what: &str, by: By) {
        let at = self.now().date;
        self.record(call, |record| record.act(at, what, by));
    }

    pub(crate) fn explain(&mut self, call: CallId, why: impl Into<String>) {
        let why = why.into();
        self.record(call, |record| record.explanation = why);
    }

    // -- rooms --

    pub(crate) fn room(&mut self, host: HostId) -> &mut Room {
        self.touched.insert(host);
        self.rooms.entry(host).or_default()
    }

    pub(crate) fn live(&self, host: HostId) -> Option<&Meeting> {
        self.rooms.get(&host)?.live.as_ref()
    }

    pub(crate) fn live_mut(&mut self, host: HostId, meeting: MeetingId) -> Option<&mut Meeting> {
        self.touched.insert(host);
        self.rooms.get_mut(&host)?.live.as_mut().filter(|live| live.view.id == meeting)
    }

    pub(crate) fn situation<'a>(&'a self, host: &'a HostView) -> Situation<'a> {
        Situation {
            settings: &self.settings,
            host,
            live: self.live(host.id),
            ended: &self.ended,
            date: self.now().date,
        }
    }

    pub(crate) fn judge(&self, host: &HostView, proof: Proof, call: &Call) -> Verdict {
        let number = verify::may_be_remembered(&call.caller, &self.settings);
        let admitted = call.admitted == Some(host.id);
        let guessed = call.exhausted && !call.known.iter().any(|known| known.host.id == host.id);
        admission::judge(self.situation(host), Candidate { proof, number, admitted, guessed })
    }

    /// A caller's wish that this meeting be open; whoever wishes is pending and will be judged again.
    pub(crate) fn open_for_caller(&mut self, host: &HostView, meeting: MeetingId, by: OpenedBy) {
        if self.rooms.get(&host.id).is_some_and(|room| room.write.is_some()) {
            return;
        }
        let view = view_of(host, meeting);
        self.room(host.id).language.clone_from(&host.language);
        self.begin_opening(host.id, view, by, None);
    }

    fn begin_opening(
        &mut self,
        host: HostId,
        view: MeetingView,
        opened_by: OpenedBy,
        request: Option<RequestId>,
    ) {
        let room = self.room(host);
        let live = room.live.as_ref().map(|live| live.view.id);
        let unclosed = room.unclosed.map(|(meeting, _)| meeting);
        let closes = live.or(unclosed).filter(|closes| *closes != view.id);
        let meeting = view.id;
        let question = self.ask(Asker::Room(host), Question::Open { host, meeting, closes, opened_by });
        let until = self.now().instant + WRITE_TIME;
        let what = Writing::Opening { view: Box::new(view), by: opened_by };
        self.room(host).write = Some(Write { question, what, request, until });
    }

    fn begin_closing(&mut self, host: HostId, meeting: MeetingId, request: Option<RequestId>) {
        let question = self.ask(Asker::Room(host), Question::Close { meeting });
        let until = self.now().instant + WRITE_TIME;
        self.room(host).write = Some(Write { question, what: Writing::Closing { meeting }, request, until });
    }

    /// The store has answered the room's write, or will not any more (`question` is then `None`).
    pub(crate) fn room_answer(&mut self, host: HostId, question: Option<QuestionId>, answer: &Answer) {
        let room = self.room(host);
        let Some(write) = room.write.take_if(|write| question.is_none_or(|q| q == write.question)) else {
            return;
        };
        let done = *answer == Answer::Done;
        let reply = if done { Ok(Reply::Done) } else { Err(Rejection::StoreUnavailable) };
        self.reply(write.request, reply);
        match write.what {
            Writing::Opening { view, by } if done => self.opened(host, *view, by),
            Writing::Opening { view, .. } => {
                if question.is_none() {
                    // It may have been written after all.
                    let retry = self.now().instant + RETRY;
                    let room = self.room(host);
                    if room.live.as_ref().is_none_or(|live| live.view.id != view.id) {
                        room.unclosed = Some((view.id, retry));
                    }
                }
                let waiting_for_it =
                    |(call, awaits): (&CallId, &Awaits)| (*awaits == Awaits::Write).then_some(*call);
                let failed: Vec<CallId> = self.room(host).pending.iter().filter_map(waiting_for_it).collect();
                for call in failed {
                    self.todo.push_back(Todo::Call(call, Event::WriteFailed));
                }
            }
            Writing::Closing { meeting } => {
                let retry = self.now().instant + RETRY;
                self.room(host).unclosed = (!done).then_some((meeting, retry));
                self.rejudge(host, None);
            }
        }
        self.grant_wishes(host);
        self.todo.push_back(Todo::LookEmpty(host));
    }

    fn opened(&mut self, host: HostId, view: MeetingView, by: OpenedBy) {
        if self.ended.get(view.id) == Some(Ending::MeetingCancelled) {
            // Cancelled while it was being opened. What was live before is closed in the store.
            if let Some(before) = self.room(host).live.take() {
                self.dismiss(&before, Ending::MeetingClosedBySecond, false);
            }
            self.begin_closing(host, view.id, None);
            return;
        }
        let meeting = view.id;
        self.ended.forget(meeting);
        let now = self.now();
        let room = self.room(host);
        room.unclosed = None;
        // The first one's mix ends before the second one's begins: its callers are told first (R1).
        let before = room.live.take();
        room.live = Some(Meeting::new(view, by, now));
        if let Some(before) = before {
            let follow = before.view.kind == MeetingKind::Standard && before.opened_by == OpenedBy::Caller;
            self.dismiss(&before, Ending::MeetingClosedBySecond, follow);
        }
        self.rejudge(host, Some(meeting));
    }

    /// Tells a meeting's participants that it is over. `follow`: they may go on to the live one.
    fn dismiss(&mut self, meeting: &Meeting, ending: Ending, follow: bool) {
        if meeting.recording.is_some() && !meeting.roster.is_empty() {
            self.out.push(Output::Record { meeting: meeting.view.id, on: false });
        }
        if meeting.view.kind == MeetingKind::OneTime {
            self.ended.note(meeting.view.id, ending, self.now());
        }
        for call in meeting.roster.keys() {
            self.todo.push_back(Todo::Call(*call, Event::MeetingOver { ending, follow }));
        }
    }

    fn grant_wishes(&mut self, host: HostId) {
        while self.rooms.get(&host).is_some_and(|room| room.write.is_none()) {
            match self.room(host).wishes.pop_front() {
                Some(Wish::Open { request, host, meeting }) => {
                    self.open_for_moderator(request, *host, meeting);
                }
                Some(Wish::Close { request, meeting }) => {
                    self.close_for_moderator(request, host, meeting);
                }
                None => return,
            }
        }
    }

    /// The moderator opens a meeting (R1, R2).
    pub(crate) fn open_for_moderator(&mut self, request: RequestId, host: HostView, meeting: MeetingId) {
        let id = host.id;
        let view = host.meetings.iter().find(|view| view.id == meeting);
        let standing = meeting == host.standard_meeting;
        let cancelled = self.ended.get(meeting) == Some(Ending::MeetingCancelled);
        let may = view.map_or(standing, |view| moderator_may_open(view, &self.settings, self.now().date));
        if let Some(live) = self.live_mut(id, meeting) {
            live.opened_by = OpenedBy::Moderator;
            live.started = true;
            // Who opens it over the API is there, if not by phone.
            live.ends_without_moderator = None;
            self.reply(Some(request), Ok(Reply::Done));
            self.rejudge(id, None);
            self.todo.push_back(Todo::LookEmpty(id));
        } else if !may || cancelled {
            self.reply(Some(request), Err(Rejection::NotToBeOpened));
        } else if self.room(id).write.is_some() {
            self.room(id).wishes.push_back(Wish::Open { request, host: Box::new(host), meeting });
        } else {
            let view = view_of(&host, meeting);
            self.room(id).language = host.language;
            self.begin_opening(id, view, OpenedBy::Moderator, Some(request));
        }
    }

    /// Somebody with the right to do so ends a meeting.
    pub(crate) fn close_for_moderator(
        &mut self,
        request: Option<RequestId>,
        host: HostId,
        meeting: MeetingId,
    ) {
        let opening =
            |write: &Write| matches!(&write.what, Writing::Opening { view, .. } if view.id == meeting);
        let room = self.room(host);
        let live = room.live.as_ref().is_some_and(|live| live.view.id == meeting);
        let wished = room.wishes_for(meeting);
        if room.write.as_ref().is_some_and(|write| live || wished || opening(write)) {
            room.wishes.push_back(Wish::Close { request, meeting });
        } else if live {
            self.close(host, Ending::MeetingEnded, request);
        } else {
            self.reply(request, Err(Rejection::NotOpen));
        }
    }

    /// Ends the live meeting and has the store told. No write may be under way.
    pub(crate) fn close(&mut self, host: HostId, ending: Ending, request: Option<RequestId>) {
        if let Some(meeting) = self.end_live(host, ending) {
            self.begin_closing(host, meeting, request);
        }
    }

    /// Ends the live meeting for everyone in it or waiting for it. The store is not told.
    pub(crate) fn end_live(&mut self, host: HostId, ending: Ending) -> Option<MeetingId> {
        let live = self.room(host).live.take()?;
        let meeting = live.view.id;
        self.dismiss(&live, ending, false);
        self.end_waiting(host, meeting, ending);
        Some(meeting)
    }

    /// Whoever waits for this meeting waits in vain.
    pub(crate) fn end_waiting(&mut self, host: HostId, meeting: MeetingId, ending: Ending) {
        let Some(room) = self.rooms.get(&host) else { return };
        for (call, _) in room.pending.iter().filter(|(_, awaits)| awaits.meeting() == Some(meeting)) {
            self.todo.push_back(Todo::Call(*call, Event::MeetingOver { ending, follow: false }));
        }
    }

    /// The host in whose room this meeting is live or about to be.
    pub(crate) fn host_of(&self, meeting: MeetingId) -> Option<HostId> {
        let there = |room: &Room| {
            let opening =
                |write: &Write| matches!(&write.what, Writing::Opening { view, .. } if view.id == meeting);
            room.live.as_ref().is_some_and(|live| live.view.id == meeting)
                || room.write.as_ref().is_some_and(opening)
                || room.wishes_for(meeting)
        };
        self.rooms.iter().find(|(_, room)| there(room)).map(|(host, _)| *host)
    }

    /// A host was deleted, and its meetings with it. The store knows already.
    pub(crate) fn host_removed(&mut self, host: HostId) {
        self.end_live(host, Ending::HostRemoved);
        let room = self.room(host);
        let write = room.write.take().and_then(|write| write.request);
        room.unclosed = None;
        let wishes = std::mem::take(&mut room.wishes).into_iter().map(|wish| match wish {
            Wish::Open { request, .. } => Some(request),
            Wish::Close { request, .. } => request,
        });
        for request in write.into_iter().chain(wishes.flatten().collect::<Vec<_>>()) {
            self.reply(Some(request), Err(Rejection::NotToBeOpened));
        }
    }

    /// A meeting was cancelled: whoever is in it or waits for it hears so. The store knows already.
    pub(crate) fn cancelled(&mut self, meeting: MeetingId) {
        let hosts: Vec<HostId> = self.rooms.keys().copied().collect();
        for host in hosts {
            if self.live(host).is_some_and(|live| live.view.id == meeting) {
                self.end_live(host, Ending::MeetingCancelled);
                self.rejudge(host, None);
            } else {
                self.end_waiting(host, meeting, Ending::MeetingCancelled);
            }
        }
        self.ended.note(meeting, Ending::MeetingCancelled, self.now());
    }

    /// Closes a meeting that nobody is in, now or later.
    pub(crate) fn look_empty(&mut self, host: HostId) {
        let (settings, now) = (self.settings.clone(), self.now());
        let Some(room) = self.rooms.get_mut(&host) else { return };
        self.touched.insert(host);
        let deserted = room.is_deserted();
        let Some(live) = room.live.as_mut() else { return };
        if !deserted {
            live.close_at = None;
            return;
        }
        let until = live.close_at.unwrap_or_else(|| live.lingers_until(&settings, now));
        live.close_at = Some(until);
        if until > now.instant || room.write.is_some() {
            return;
        }
        // The date may have been set back since: look again.
        let again = live.lingers_until(&settings, now);
        let over = live.view.kind == MeetingKind::Standard || again <= now.instant;
        if over {
            self.close(host, Ending::MeetingEnded, None);
        } else {
            live.close_at = Some(again);
        }
    }

    /// A room's timer has come.
    pub(crate) fn room_tick(&mut self, host: HostId) {
        let now = self.now().instant;
        let Some(room) = self.rooms.get_mut(&host) else { return };
        self.touched.insert(host);
        if room.write.as_ref().is_some_and(|write| write.until <= now) {
            self.room_answer(host, None, &Answer::Unavailable);
        } else if let Some((meeting, at)) = room.unclosed
            && at <= now
            && room.write.is_none()
        {
            room.unclosed = None;
            self.begin_closing(host, meeting, None);
        }
        self.look_for_moderator(host);
        self.look_empty(host);
    }

    // -- participants --

    /// Puts a caller on the roster and into the mix, and lets the others hear it.
    pub(crate) fn join(&mut self, call: CallId, host: HostId, mut row: Row, unproved: bool) -> bool {
        let (moderators, now) = (self.moderators(host), self.now().instant);
        let Some(live) = self.rooms.get_mut(&host).and_then(|room| room.live.as_mut()) else { return false };
        self.touched.insert(host);
        let meeting = live.view.id;
        let first = live.roster.is_empty();
        let moderator = row.role == Role::Moderator;
        live.joined += 1;
        row.order = live.joined;
        live.close_at = None;
        live.roster.insert(call, row);
        let tone = !first && again(&mut live.told.join, TONE_EVERY, now);
        let warn = unproved && again(&mut live.told.without_code, TONE_EVERY, now);
        let recording = first && live.recording.is_some();
        self.out.push(Output::Join { call, meeting });
        if recording {
            self.out.push(Output::Record { meeting, on: true });
        }
        if tone {
            self.play_to_meeting(host, meeting, Prompt::JoinTone);
        }
        if warn {
            for moderator in moderators {
                self.play(moderator, vec![Prompt::JoinedWithoutCodeTone]);
            }
        }
        if moderator {
            self.moderator_came(host, call);
        }
        first
    }

    /// Takes a caller off the roster. `leg`: there is still somebody to take out of the mix.
    pub(crate) fn part(&mut self, call: CallId, host: HostId, meeting: MeetingId, leg: bool) {
        let now = self.now().instant;
        if leg {
            self.out.push(Output::Leave { call });
        }
        if let Some(live) = self.live_mut(host, meeting)
            && let Some(row) = live.roster.remove(&call)
        {
            if !live.roster.is_empty() && again(&mut live.told.leave, TONE_EVERY, now) {
                self.play_to_meeting(host, meeting, Prompt::LeaveTone);
            }
            self.left(host, row.role);
        }
    }

    pub(crate) fn row(&mut self, call: CallId, host: HostId, meeting: MeetingId) -> Option<&mut Row> {
        self.live_mut(host, meeting)?.roster.get_mut(&call)
    }

    // -- phones --

    /// Another live call has this number, too (R8).
    pub(crate) fn shared(&self, caller: &Caller) -> bool {
        let calls = caller.number.as_ref().and_then(|number| self.lines.get(number));
        calls.is_some_and(|calls| calls.len() > 1)
    }

    /// Forgets a phone, sooner or later.
    pub(crate) fn forget(
        &mut self,
        host: HostId,
        number: PhoneNumber,
        call: Option<CallId>,
        request: Option<RequestId>,
    ) {
        if let Some(live) = self.rooms.get_mut(&host).and_then(|room| room.live.as_mut()) {
            live.proved.remove(&number);
        }
        let asker = Asker::Forget { call, request, host, number: number.clone() };
        self.ask(asker, Question::Forget { host: Some(host), number });
    }

    pub(crate) fn owe(&mut self, host: HostId, number: PhoneNumber) {
        if self.owed.len() < OWED_MAX {
            self.owed.push_back((self.now().instant + RETRY, host, number));
        }
    }

    /// Asks again for what the store could not do.
    pub(crate) fn pay(&mut self) {
        while let Some((at, ..)) = self.owed.front()
            && *at <= self.now().instant
            && let Some((_, host, number)) = self.owed.pop_front()
        {
            self.forget(host, number, None, None);
        }
    }
}

/// The meeting as the host's view has it; the host's standing one may be left out there.
fn view_of(host: &HostView, meeting: MeetingId) -> MeetingView {
    let known = host.meetings.iter().find(|view| view.id == meeting).cloned();
    known.unwrap_or_else(|| MeetingView {
        id: meeting,
        host: host.id,
        kind: MeetingKind::Standard,
        state: MeetingState::Scheduled,
        title: String::new(),
        starts_at: None,
        ends_at: None,
        closed_at: None,
        opened_by: None,
        known_callers: None,
        wait_for_moderator: false,
    })
}
