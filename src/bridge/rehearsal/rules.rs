//! What must hold after every step, whatever callers and moderators do: the bridge as the outside
//! sees it, by its inputs, its outputs and its snapshots alone.
//!
//! [`Rules::step`] is told of each step and says which rule it broke. Scripts, the matrix and the
//! crowd are all held to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::bridge::guess::Spent;
use crate::bridge::input::DigitSource;
use crate::bridge::news::View;
use crate::bridge::snapshot::Role;
use crate::bridge::{
    Answer, Bridge, CallRecord, Input, Output, PlaybackId, Prompt, Question, QuestionId, RequestId, Snapshot,
};
use crate::types::{CallId, Digit, HostId, MeetingId, Now};

/// One line to the service, as the outside knows it.
#[derive(Debug, Default)]
pub struct Line {
    pub answered: bool,
    /// The wire is closed: nothing but the record may come any more.
    pub over: bool,
    /// We have hung up and wait for the wire.
    pub hung_up: bool,
    pub muted: bool,
    /// The meeting it is mixed into.
    pub joined: Option<MeetingId>,
    /// What plays or is going to; its end was not reported yet.
    pub playing: VecDeque<PlaybackId>,
    /// The question that plays, if one does.
    question: Option<PlaybackId>,
    /// The step at which it last heard that the meeting is recorded.
    told_at: usize,
    last_key: Option<(Digit, DigitSource, Instant)>,
    /// Presses, each counted once.
    presses: usize,
    /// Presses that another source told of again.
    merged: usize,
    saved: bool,
}

/// The outside's knowledge, and the rules. Grows with the number of calls: for rehearsals.
#[derive(Debug, Default)]
pub struct Rules {
    lines: BTreeMap<CallId, Line>,
    /// Of `lines`: those that are not over.
    there: BTreeSet<CallId>,
    asked: BTreeSet<QuestionId>,
    played: BTreeSet<PlaybackId>,
    requests: BTreeSet<RequestId>,
    /// Wrong tries that were spent and not given back.
    spent: Vec<Spent>,
    recording: BTreeSet<MeetingId>,
    /// Since which step each meeting is recorded, or is going to be as soon as somebody is in it.
    recorded_since: BTreeMap<MeetingId, usize>,
    /// What an onlooker knows who has heard all news.
    told: BTreeMap<HostId, View>,
    /// The rooms as they stood after the last step.
    before: Snapshot,
    /// Most callers in one meeting beside its moderators.
    guests_max: usize,
    steps: usize,
}

type Held = Result<(), String>;

/// Most outputs of one step.
const OUTPUTS_MAX: usize = 10_000;
/// As many presses as a record keeps.
const KEYS_MAX: usize = 256;
/// Two sources that tell of one press do so within this.
const ONE_PRESS: Duration = Duration::from_millis(100);

impl Rules {
    #[must_use]
    pub fn new(guests_max: usize) -> Self {
        Self { guests_max, ..Self::default() }
    }

    #[must_use]
    pub fn line(&self, call: CallId) -> Option<&Line> {
        self.lines.get(&call)
    }

    /// The calls that are not over.
    pub fn there(&self) -> impl Iterator<Item = (CallId, &Line)> {
        self.there.iter().map(|call| (*call, &self.lines[call]))
    }

    /// One step, just done: what came in, what came out, and how the bridge stands.
    ///
    /// # Errors
    /// Names the rule that does not hold.
    pub fn step(&mut self, input: &Input, out: &[Output], bridge: &Bridge, now: Now) -> Held {
        self.steps += 1;
        self.comes(input, now);
        if out.len() > OUTPUTS_MAX {
            return Err(format!("{} outputs of one step", out.len()));
        }
        for output in out {
            self.goes(output)?;
        }
        if bridge.deadline().is_some_and(|deadline| deadline <= now.instant) {
            return Err("a timer that is not in the future".to_owned());
        }
        let snapshot = bridge.snapshot();
        self.rooms(&snapshot)?;
        self.onlookers(&snapshot)?;
        self.calls(&snapshot, bridge)?;
        self.rights(input, &snapshot)?;
        self.before = snapshot;
        Ok(())
    }

    /// Nobody is there any more: nothing may be left.
    ///
    /// # Errors
    /// Names what is left.
    pub fn at_rest(&self, bridge: &Bridge) -> Held {
        if !bridge.is_idle() {
            return Err(format!("something is left: {bridge:#?}"));
        }
        match self.lines.iter().find(|(_, line)| !line.saved && line.answered) {
            Some((call, _)) => Err(format!("no record of {call:?}")),
            None => Ok(()),
        }
    }

    // -- what comes in --

    fn comes(&mut self, input: &Input, now: Now) {
        match input {
            Input::Incoming(incoming) => {
                self.lines.entry(incoming.call).or_default();
                self.there.insert(incoming.call);
            }
            Input::HungUp { call, .. } => {
                if let Some(line) = self.lines.get_mut(call) {
                    (line.over, line.joined) = (true, None);
                }
                self.there.remove(call);
            }
            Input::Played { call, playback } => {
                if let Some(line) = self.lines.get_mut(call) {
                    line.playing.retain(|playing| playing != playback);
                    line.question = line.question.filter(|question| question != playback);
                }
            }
            Input::Digit { call, digit, source } => {
                if let Some(line) = self.lines.get_mut(call).filter(|line| !line.saved) {
                    let again = line.last_key.is_some_and(|(last, from, at)| {
                        last == *digit && from != *source && now.instant - at < ONE_PRESS
                    });
                    if !again {
                        line.last_key = Some((*digit, *source, now.instant));
                        line.presses += 1;
                    } else if line.presses < KEYS_MAX {
                        line.merged += 1;
                    }
                }
            }
            Input::Answer { question, answer } => {
                if self.asked.contains(question)
                    && let Answer::Pin { tried, .. }
                    | Answer::Code { tried, .. }
                    | Answer::HostPin { tried, .. } = answer
                {
                    self.spent.extend(tried.spent.clone());
                }
            }
            Input::Command { request, .. } => {
                self.requests.insert(*request);
            }
            Input::Answered { .. }
            | Input::MediaLost { .. }
            | Input::KeyUp { .. }
            | Input::Quality { .. }
            | Input::Tick => {}
        }
    }

    // -- what goes out --

    /// The line of a call that is told something.
    fn told(&mut self, call: CallId, what: &str) -> Result<&mut Line, String> {
        let line = self.lines.get_mut(&call).ok_or(format!("{what} of a call that is not"))?;
        if line.over || line.hung_up {
            return Err(format!("{what} after the end of {call:?}"));
        }
        Ok(line)
    }

    fn goes(&mut self, output: &Output) -> Held {
        match output {
            Output::Ring { call } => self.told(*call, "ring").map(|_| ())?,
            Output::Answer { call } => {
                if std::mem::replace(&mut self.told(*call, "answer")?.answered, true) {
                    return Err(format!("{call:?} answered twice"));
                }
            }
            Output::Refuse { call, .. } => {
                let line = self.told(*call, "refusal")?;
                if line.answered {
                    return Err(format!("{call:?} refused after the answer"));
                }
                line.over = true;
                self.there.remove(call);
            }
            Output::HangUp { call, .. } => self.told(*call, "hang-up")?.hung_up = true,
            Output::Play { call, playback, prompts } => self.plays(*call, *playback, prompts)?,
            Output::PlayName { to, playback, of, .. } => {
                self.told(*of, "name")?;
                self.plays(*to, *playback, &[Prompt::NamelessCaller])?;
            }
            Output::Speak { call, .. } => self.told(*call, "speak").map(|_| ())?,
            Output::PlayLoop { call, .. } => {
                if self.told(*call, "music")?.joined.is_some() {
                    return Err(format!("music for {call:?} in a meeting"));
                }
            }
            Output::StopPlaying { call } => self.told(*call, "stop")?.question = None,
            Output::PlayToMeeting { meeting, .. } if self.mixed(*meeting) == 0 => {
                return Err(format!("a tone for nobody in {meeting:?}"));
            }
            Output::PlayToMeeting { .. } => {}
            Output::Join { call, meeting } => {
                let line = self.told(*call, "join")?;
                let told_at = line.told_at;
                if let Some(other) = line.joined.replace(*meeting) {
                    return Err(format!("{call:?} joins {meeting:?} from within {other:?}"));
                }
                if self.recorded_since.get(meeting).is_some_and(|since| told_at < *since) {
                    return Err(format!("{call:?} is recorded and has not heard so"));
                }
            }
            Output::Leave { call } => {
                if self.told(*call, "leave")?.joined.take().is_none() {
                    return Err(format!("{call:?} leaves from nowhere"));
                }
            }
            Output::Mute { call, muted } => self.told(*call, "mute")?.muted = *muted,
            Output::RecordName { call, .. } => {
                if self.told(*call, "name")?.joined.is_some() {
                    return Err(format!("{call:?} says a name in a meeting"));
                }
            }
            Output::DropName { call } => self.told(*call, "name").map(|_| ())?,
            Output::Record { meeting, on } => {
                if *on && self.mixed(*meeting) == 0 {
                    return Err(format!("nobody to record in {meeting:?}"));
                }
                let changed =
                    if *on { self.recording.insert(*meeting) } else { self.recording.remove(meeting) };
                if !changed {
                    return Err(format!("recording of {meeting:?} is {on} already"));
                }
            }
            Output::Ask { question, ask } => {
                if !self.asked.insert(*question) {
                    return Err(format!("{question:?} twice"));
                }
                self.gives_back(ask)?;
            }
            Output::Save { record } => self.saved(record)?,
            Output::News { news } => self.told.entry(news.host).or_default().apply(news),
            Output::Reply { request, .. } => {
                if !self.requests.remove(request) {
                    return Err(format!("{request:?} answered twice"));
                }
            }
        }
        Ok(())
    }

    /// How many hear and are heard there.
    fn mixed(&self, meeting: MeetingId) -> usize {
        self.there().filter(|(_, line)| line.joined == Some(meeting)).count()
    }

    fn plays(&mut self, call: CallId, playback: PlaybackId, prompts: &[Prompt]) -> Held {
        if prompts.is_empty() {
            return Err("nothing to play".to_owned());
        }
        if !self.played.insert(playback) {
            return Err(format!("{playback:?} twice"));
        }
        let step = self.steps;
        let line = self.told(call, "prompt")?;
        if !line.answered {
            return Err(format!("a prompt before the answer to {call:?}"));
        }
        if prompts.contains(&Prompt::RecordingOn) {
            line.told_at = step;
        }
        if prompts.iter().any(|prompt| QUESTIONS.contains(prompt))
            && let Some(other) = line.question.replace(playback)
        {
            return Err(format!("{call:?} is asked {prompts:?} while {other:?} asks it something"));
        }
        line.playing.push_back(playback);
        Ok(())
    }

    /// Only what was spent is given back, and once.
    fn gives_back(&mut self, ask: &Question) -> Held {
        let Question::GiveBack { wrong, .. } = ask else { return Ok(()) };
        for back in wrong {
            let at = self.spent.iter().position(|spent| spent == back);
            let at = at.ok_or(format!("a try given back that was not spent: {back:?}"))?;
            self.spent.swap_remove(at);
        }
        Ok(())
    }

    fn saved(&mut self, record: &CallRecord) -> Held {
        let line = self.lines.get_mut(&record.call).ok_or("a record of no call")?;
        if std::mem::replace(&mut line.saved, true) || !(line.over || line.hung_up) {
            return Err(format!("a second or early record of {:?}", record.call));
        }
        if record.path.is_empty() || record.path.len() > 64 || record.explanation.is_empty() {
            return Err(format!("a poor record: {record:?}"));
        }
        if record.keys.len() != line.presses.min(KEYS_MAX) {
            return Err(format!("{} keys recorded of {} pressed", record.keys.len(), line.presses));
        }
        let merged: usize = record.keys.iter().map(|key| usize::from(key.merged)).sum();
        if merged != line.merged {
            return Err(format!("{merged} presses recorded as told twice of {}", line.merged));
        }
        line.over = true;
        self.there.remove(&record.call);
        Ok(())
    }

    // -- how it stands --

    fn rooms(&mut self, snapshot: &Snapshot) -> Held {
        let live = |meeting| snapshot.meetings.iter().find(|live| live.meeting == meeting);
        if let Some(stray) = self.recording.iter().find(|meeting| live(**meeting).is_none()) {
            return Err(format!("{stray:?} is recorded and not live"));
        }
        let hosts: BTreeSet<HostId> = snapshot.meetings.iter().map(|meeting| meeting.host).collect();
        if hosts.len() != snapshot.meetings.len() {
            return Err("a host with two live meetings".to_owned());
        }
        self.recorded_since.retain(|meeting, _| live(*meeting).is_some_and(|live| live.recording));
        let mut rostered = BTreeMap::new();
        for meeting in &snapshot.meetings {
            let guests = meeting.roster.iter().filter(|row| row.role == Role::Guest).count();
            if guests > self.guests_max {
                return Err("a meeting fuller than full".to_owned());
            }
            if meeting.recording {
                self.recorded_since.entry(meeting.meeting).or_insert(self.steps);
            }
            let recorded = meeting.recording && !meeting.roster.is_empty();
            if recorded != self.recording.contains(&meeting.meeting) {
                return Err(format!("{:?}: recorded or not?", meeting.meeting));
            }
            for row in &meeting.roster {
                let call = row.participant;
                if self.lines.get(&call).is_none_or(|line| line.muted != row.muted) {
                    return Err(format!("{call:?} is muted on the roster or in the mix alone"));
                }
                if rostered.insert(call, meeting.meeting).is_some() {
                    return Err(format!("{call:?} in two meetings"));
                }
            }
        }
        let joined = self.there().filter_map(|(call, line)| Some((call, line.joined?)));
        let joined: BTreeMap<CallId, MeetingId> = joined.collect();
        if rostered != joined {
            return Err(format!("on the roster: {rostered:?}, in the mix: {joined:?}"));
        }
        for waiting in &snapshot.lobby {
            if joined.contains_key(&waiting.participant) {
                return Err(format!("{:?} hears the mix from the lobby", waiting.participant));
            }
            let live = snapshot.meetings.iter().find(|live| live.host == waiting.host);
            if waiting.meeting != live.map(|live| live.meeting) {
                return Err(format!("{waiting:?} beside {live:?}"));
            }
        }
        Ok(())
    }

    /// Whoever has heard all news knows what the snapshot shows.
    fn onlookers(&mut self, snapshot: &Snapshot) -> Held {
        let mut shown: BTreeMap<HostId, View> = BTreeMap::new();
        for meeting in &snapshot.meetings {
            shown.entry(meeting.host).or_default().live = Some(meeting.clone());
        }
        for waiting in &snapshot.lobby {
            shown.entry(waiting.host).or_default().lobby.push(waiting.clone());
        }
        self.told.retain(|_, view| !view.is_empty());
        for view in shown.values_mut().chain(self.told.values_mut()) {
            view.lobby.sort_by_key(|waiting| waiting.participant);
            if let Some(live) = &mut view.live {
                live.roster.sort_by_key(|row| row.participant);
            }
        }
        if shown == self.told { Ok(()) } else { Err(format!("shown: {shown:#?}\ntold: {:#?}", self.told)) }
    }

    fn calls(&self, snapshot: &Snapshot, bridge: &Bridge) -> Held {
        let known: BTreeSet<CallId> = snapshot.calls.iter().map(|call| call.call).collect();
        if known.len() != bridge.calls() {
            return Err(format!("{} calls known, {} counted", known.len(), bridge.calls()));
        }
        // One that we hung up may be given up before the wire says so.
        let lost = self.there().find(|(call, line)| !line.hung_up && !known.contains(call));
        let stray = known.iter().find(|call| !self.there.contains(call));
        match (lost, stray) {
            (Some((call, _)), _) => Err(format!("{call:?} is on the line and not known")),
            (_, Some(call)) => Err(format!("{call:?} is known and not on the line")),
            _ => Ok(()),
        }
    }

    /// The keys of a guest lock, mute and record nobody.
    fn rights(&self, input: &Input, after: &Snapshot) -> Held {
        let Input::Digit { call, .. } = input else { return Ok(()) };
        for before in &self.before.meetings {
            let Some(after) = after.meetings.iter().find(|live| live.meeting == before.meeting) else {
                continue;
            };
            let role = before.roster.iter().find(|row| row.participant == *call).map(|row| row.role);
            let same = (before.locked, before.all_muted) == (after.locked, after.all_muted)
                && (before.recording || !after.recording);
            if !same && role != Some(Role::Moderator) {
                return Err(format!("a key of {call:?} ({role:?}) changed {before:?} into {after:?}"));
            }
        }
        Ok(())
    }
}

/// Prompts that ask for keys: a caller hears one of them at a time.
const QUESTIONS: [Prompt; 10] = [
    Prompt::EnterPin,
    Prompt::EnterCode,
    Prompt::KnownEnterCode,
    Prompt::OtherMeetingEnterCode,
    Prompt::EnterHostPin,
    Prompt::ChooseMeeting,
    Prompt::ConfirmClose,
    Prompt::ConfirmEnd,
    Prompt::ConfirmDrop,
    Prompt::SayName,
];
