//! A thousand callers and their moderators, at random but repeatable: after every single input
//! the rules that must always hold are looked at. A seed that breaks one prints its inputs.
//!
//! `SEED=17 cargo test --test crowd` plays one seed alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use doorline::bridge::input::{Caller, DigitSource, HangUp, Quality};
use doorline::bridge::news::View;
use doorline::bridge::rehearsal::Store;
use doorline::bridge::view::{KnownCallers, MeetingState};
use doorline::bridge::{
    Answer, Bridge, By, Command, Incoming, Input, Output, PlaybackId, Prompt, Question, QuestionId,
    RequestId, Settings, Snapshot,
};
use doorline::types::{CallId, Code, Digit, HostId, HostPin, Language, MeetingId, Now, Pin, Trust};

const CALLERS: usize = 1_000;
const SEEDS: u64 = 5;

#[test]
fn whatever_a_thousand_callers_do_the_rules_hold() {
    let one = std::env::var("SEED").ok().map(|seed| seed.parse().expect("SEED is a number"));
    for seed in one.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        let mut crowd = Crowd::new(seed);
        let faults = crowd.play();
        if let Err(fault) = faults {
            let inputs = crowd.inputs.join("\n");
            panic!("seed {seed}: {fault}\nits inputs:\n{inputs}\nseed {seed}: {fault}");
        }
        crowd.tally.check(seed);
        println!(
            "F9: seed {seed}: the clock set {} times amid {CALLERS} callers, every rule held",
            crowd.tally.clock_steps
        );
    }
}

/// That a crowd did what crowds do; else it proves nothing.
#[derive(Debug, Default)]
struct Tally {
    joined: usize,
    remembered: usize,
    closed_by_second: usize,
    waited: usize,
    wrong: usize,
    removed: usize,
    refused: usize,
    unavailable: usize,
    named: usize,
    clock_steps: usize,
    host_pins: usize,
    recorded: usize,
    grace_over: usize,
    chosen: usize,
    let_in: usize,
    not_let_in: usize,
    news: usize,
}

impl Tally {
    fn check(&self, seed: u64) {
        let all = [
            self.joined,
            self.remembered,
            self.closed_by_second,
            self.waited,
            self.wrong,
            self.removed,
            self.refused,
            self.unavailable,
            self.named,
            self.clock_steps,
            self.host_pins,
            self.recorded,
            self.chosen,
            self.let_in,
            self.not_let_in,
            self.news,
        ];
        assert!(all.iter().all(|count| *count > 0), "seed {seed} was too tame: {self:?}");
    }
}

/// One line to our service, as the outside knows it.
#[derive(Debug, Default)]
struct Line {
    answered: bool,
    acked: bool,
    /// The wire is closed: nothing but the record may come any more.
    over: bool,
    wants_hang_up: bool,
    muted: bool,
    /// The input at which it last heard that the meeting is recorded.
    told_at: usize,
    joined: Option<MeetingId>,
    playing: VecDeque<PlaybackId>,
    /// Keys that this caller is going to press.
    keys: VecDeque<Digit>,
    /// When the next ones come.
    patient_until: Option<Instant>,
    saved: bool,
}

struct Crowd {
    bridge: Bridge,
    store: Store,
    now: Now,
    dice: u64,
    lines: BTreeMap<CallId, Line>,
    /// Of `lines`: those that are not over.
    there: BTreeSet<CallId>,
    questions: Vec<(QuestionId, Question)>,
    asked: BTreeSet<QuestionId>,
    played: BTreeSet<PlaybackId>,
    requests: BTreeSet<RequestId>,
    next_request: u64,
    hosts: Vec<(HostId, String)>,
    codes: BTreeMap<MeetingId, String>,
    store_is_there: bool,
    /// When it all began.
    opened: jiff::Timestamp,
    recording: BTreeSet<MeetingId>,
    /// What an onlooker knows who has heard all news.
    told: BTreeMap<HostId, View>,
    /// Since which input each meeting is recorded, or is going to be as soon as somebody is in it.
    recorded_since: BTreeMap<MeetingId, usize>,
    inputs: Vec<String>,
    tally: Tally,
}

type Outcome = Result<(), String>;

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut store = Store::default();
        let date: jiff::Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
        let minutes = |minutes: i64| date.checked_add(jiff::SignedDuration::from_mins(minutes)).unwrap();
        let (mut hosts, mut codes) = (Vec::new(), BTreeMap::new());
        for host in 0..8_u32 {
            let pin = format!("{}", 100_000_000 + host);
            let row = store.add_host(&format!("host-{host}"), Pin::parse(&pin).unwrap());
            let policies = [KnownCallers::StraightThrough, KnownCallers::CodeOnce, KnownCallers::AlwaysCode];
            row.known_callers = policies[host as usize % 3];
            if host % 2 == 0 {
                row.numbers.push(phone(host));
            }
            row.host_pin = HostPin::parse(&host_pin(host)).ok();
            let id = row.id;
            for meeting in 0..3 {
                let code = format!("{}", 4_000 + host * 10 + meeting);
                let from = i64::from(meeting) * 20 - 10;
                let title = format!("{host}-{meeting}");
                let times = (minutes(from), minutes(from + 30));
                let view = store.add_meeting(id, &title, Code::parse(&code).ok(), times);
                view.wait_for_moderator = (host + meeting) % 4 == 0;
                codes.insert(view.id, code);
            }
            hosts.push((id, pin));
        }
        let settings = Settings {
            participants_max: 12,
            calls_max: 90,
            calls_entering_max: 60,
            overrun: Duration::from_secs(10 * 60),
            ..Settings::default()
        };
        Self {
            bridge: Bridge::new(settings),
            store,
            now: Now { instant: Instant::now(), date },
            dice: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            lines: BTreeMap::new(),
            there: BTreeSet::new(),
            questions: Vec::new(),
            asked: BTreeSet::new(),
            played: BTreeSet::new(),
            requests: BTreeSet::new(),
            next_request: 0,
            hosts,
            codes,
            store_is_there: true,
            opened: date,
            recording: BTreeSet::new(),
            told: BTreeMap::new(),
            recorded_since: BTreeMap::new(),
            inputs: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// xorshift64*: good enough to be unkind.
    fn roll(&mut self, sides: usize) -> usize {
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        (self.dice.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { Some(of[self.roll(of.len())].clone()) }
    }

    fn play(&mut self) -> Outcome {
        while self.lines.len() < CALLERS {
            self.step()?;
        }
        // Everybody goes home, and the store is kind again.
        self.store_is_there = true;
        let calls: Vec<CallId> = self.on_the_line(|_| true);
        for call in calls {
            self.hang_up(call, HangUp::Caller)?;
        }
        while let Some((question, ask)) = self.questions.pop() {
            self.answer(question, ask, true)?;
        }
        for _ in 0..100_000 {
            if let Some((question, ask)) = self.questions.pop() {
                self.answer(question, ask, true)?;
            } else if let Some(deadline) = self.bridge.deadline() {
                self.pass(deadline.saturating_duration_since(self.now.instant))?;
            } else {
                break;
            }
        }
        if !self.bridge.is_idle() {
            return Err(format!("something is left: {:#?}", self.bridge));
        }
        if let Some((call, _)) = self.lines.iter().find(|(_, line)| !line.saved) {
            return Err(format!("no record of {call:?}"));
        }
        if let Some(open) = self.store.meetings.iter().find(|row| row.view.state == MeetingState::Open) {
            return Err(format!("{} stays open", open.view.title));
        }
        Ok(())
    }

    fn step(&mut self) -> Outcome {
        match self.roll(100) {
            0..5 => self.call(),
            5..50 => self.key(),
            50..68 => match self.roll(self.questions.len().max(1)) {
                n if n < self.questions.len() => {
                    let (question, ask) = self.questions.swap_remove(n);
                    let there = self.store_is_there && self.roll(60) > 0;
                    self.answer(question, ask, there)
                }
                _ => Ok(()),
            },
            68..82 => {
                let calls = self.on_the_line(|line| !line.playing.is_empty());
                let Some(call) = self.pick(&calls) else { return Ok(()) };
                let Some(playback) = self.lines.get_mut(&call).and_then(|line| line.playing.pop_front())
                else {
                    return Ok(());
                };
                self.give(Input::Played { call, playback })
            }
            82..86 => {
                let calls = self.on_the_line(|line| line.answered && !line.acked);
                let Some(call) = self.pick(&calls) else { return Ok(()) };
                self.lines.entry(call).or_default().acked = true;
                self.give(Input::Answered { call })
            }
            86..88 if self.roll(6) == 0 => {
                let calls = self.on_the_line(|_| true);
                let Some(call) = self.pick(&calls) else { return Ok(()) };
                let how = [HangUp::Caller, HangUp::Transport, HangUp::SessionExpired, HangUp::NoAck];
                let how = self.pick(&how).unwrap();
                self.hang_up(call, how)
            }
            88 => {
                if self.roll(3) == 0 {
                    let calls = self.on_the_line(|line| line.acked);
                    let Some(call) = self.pick(&calls) else { return Ok(()) };
                    return self.give(Input::MediaLost { call });
                }
                if self.roll(20) == 0 {
                    self.store_is_there = !self.store_is_there;
                }
                if self.roll(4) == 0 {
                    self.store_is_there = true;
                }
                Ok(())
            }
            89..91 => self.command(),
            91 if self.roll(40) == 0 => {
                // The clock is set, back or on, across the edges of windows.
                let minute = self.roll(70) as i64 - 10;
                self.now.date = self.opened.checked_add(jiff::SignedDuration::from_mins(minute)).unwrap();
                self.tally.clock_steps += 1;
                Ok(())
            }
            91..99 => {
                let millis = self.roll(500) as u64;
                self.pass(Duration::from_millis(millis))
            }
            // An answer that nobody waits for, and a call that nobody knows.
            99 => {
                let question = QuestionId(self.roll(1_000_000) as u64 + 10_000_000);
                self.give(Input::Answer { question, answer: Answer::Done })?;
                self.give(Input::Answered { call: CallId::numbered(0) })
            }
            _ => Ok(()),
        }
    }

    fn on_the_line(&self, which: impl Fn(&Line) -> bool) -> Vec<CallId> {
        self.there.iter().copied().filter(|call| which(&self.lines[call])).collect()
    }

    fn call(&mut self) -> Outcome {
        let call = CallId::numbered(self.lines.len() as u128 + 1);
        let number = self.roll(30) as u32;
        let trusts = [Trust::Network, Trust::Network, Trust::Network, Trust::Claimed, Trust::Signed];
        let trust = self.pick(&trusts).unwrap();
        let caller = match self.roll(10) {
            0 => Caller { withheld: true, ..Caller::default() },
            _ => Caller { number: Some(phone(number)), trust, ..Caller::default() },
        };
        let keys = self.intention();
        self.lines.insert(call, Line { keys, ..Line::default() });
        self.there.insert(call);
        let trunk = if self.roll(12) == 0 { "other" } else { "lab" }.to_owned();
        let sip_call_id = format!("{call}");
        let polish = || "pl-PL".parse().expect("it is a tag");
        let (language, other_languages) = match self.roll(3) {
            0 => (None, Vec::new()),
            1 => (Some(Language::english()), Vec::new()),
            _ => (Some(Language::english()), vec![polish()]),
        };
        self.give(Input::Incoming(Incoming {
            call,
            trunk_group: trunk.clone(),
            trunk,
            access_number: None,
            language,
            other_languages,
            caller,
            sip_call_id,
        }))
    }

    /// What somebody wants to dial: mostly the right thing, sometimes not.
    fn intention(&mut self) -> VecDeque<Digit> {
        if self.roll(10) == 0 {
            return "999999999#0000#".repeat(3).chars().filter_map(Digit::from_char).collect();
        }
        let mut keys = String::new();
        for _ in 0..3 {
            let hosts = self.hosts.clone();
            let (host, pin) = self.pick(&hosts).unwrap();
            let meetings: Vec<MeetingId> = self
                .store
                .meetings
                .iter()
                .map(|row| &row.view)
                .filter(|view| view.host == host)
                .map(|view| view.id)
                .collect();
            let code = self.pick(&meetings).and_then(|meeting| self.codes.get(&meeting).cloned());
            keys += match self.roll(12) {
                0 => "999999999#",
                1 => "12#",
                2 => "*",
                _ => &pin,
            };
            if self.roll(2) == 0 {
                keys += "#";
            }
            let own = self.hosts.iter().position(|(other, _)| *other == host).unwrap_or(0) as u32;
            let as_host = format!("*0{}#{}", host_pin(own), ["", "1", "2", "11", "21"][self.roll(5)]);
            keys += match self.roll(10) {
                0 => "0000",
                1 => "1#",
                2..4 => &as_host,
                4 => "*0123123#",
                _ => code.as_deref().unwrap_or("4711"),
            };
            for _ in 0..self.roll(4) {
                let keypad = [
                    "#", "*6", "*3", "*9", "*1", "*#", "##", "*2", "*4", "*5", "*7", "*7", "*8", "*8", "*#1",
                    "*01",
                ];
                keys += keypad[self.roll(keypad.len())];
            }
        }
        keys.chars().filter_map(Digit::from_char).collect()
    }

    fn key(&mut self) -> Outcome {
        let now = self.now.instant;
        let ready = |line: &Line| line.patient_until.is_none_or(|until| until <= now);
        let calls = self.on_the_line(|line| line.answered && !line.keys.is_empty() && ready(line));
        let Some(call) = self.pick(&calls) else { return Ok(()) };
        let pause = Duration::from_millis(self.roll(5_000) as u64);
        self.lines.get_mut(&call).unwrap().patient_until = Some(now + pause);
        for _ in 0..5 + self.roll(12) {
            let line = self.lines.get_mut(&call).unwrap();
            let Some(digit) = line.keys.pop_front().filter(|_| !line.over) else { return Ok(()) };
            self.give(Input::Digit { call, digit, source: DigitSource::Rtp })?;
        }
        Ok(())
    }

    fn hang_up(&mut self, call: CallId, how: HangUp) -> Outcome {
        let line = self.lines.get_mut(&call).unwrap();
        line.over = true;
        line.joined = None;
        self.there.remove(&call);
        let figures = line.answered && self.roll(10) > 0;
        self.give(Input::HungUp { call, how })?;
        if figures { self.give(Input::Quality { call, quality: Quality::default() }) } else { Ok(()) }
    }

    fn answer(&mut self, question: QuestionId, ask: Question, there: bool) -> Outcome {
        let answer = if there { self.store.answer(ask, self.now.date) } else { Answer::Unavailable };
        self.tally.unavailable += usize::from(!there);
        self.give(Input::Answer { question, answer })
    }

    fn command(&mut self) -> Outcome {
        let meetings: Vec<_> = self.store.meetings.iter().map(|row| row.view.clone()).collect();
        let meeting = self.pick(&meetings).unwrap();
        let participants = self.on_the_line(|line| line.joined.is_some());
        let participant = self.pick(&participants).unwrap_or(CallId::numbered(0));
        let lobby: Vec<CallId> =
            self.bridge.snapshot().lobby.iter().map(|waiting| waiting.participant).collect();
        let waiting = self.pick(&lobby).unwrap_or(participant);
        let flag = self.roll(2) == 0;
        let command = match self.roll(80) {
            0..12 => match self.store.view(meeting.host, self.now.date) {
                Some(host) => Command::Open { host: Box::new(host), meeting: meeting.id },
                None => return Ok(()),
            },
            12..17 => Command::Close { meeting: meeting.id },
            17..27 => Command::Remove { participant, forget: flag },
            27..39 => Command::Mute { participant, muted: flag },
            63..67 => Command::MuteAll { meeting: meeting.id, muted: flag },
            67..73 => Command::Record { meeting: meeting.id, on: flag },
            73..77 => Command::Promote { participant },
            77..79 => Command::LowerHand { participant },
            39..49 => Command::Lock { meeting: meeting.id, locked: self.roll(4) > 0 },
            49..57 => Command::Admit { participant: waiting },
            57..63 => Command::Refuse { participant: waiting },
            _ => {
                if meeting.starts_at.is_none() {
                    return Ok(());
                }
                self.store.meeting_mut(meeting.id).unwrap().state = MeetingState::Cancelled;
                Command::Cancelled { meeting: meeting.id }
            }
        };
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.requests.insert(request);
        self.give(Input::Command { request, by: By::Host, command })
    }

    /// Time goes by; timers that come due ring, a little late.
    fn pass(&mut self, time: Duration) -> Outcome {
        self.now = self.now.after(time);
        if self.bridge.deadline().is_some_and(|deadline| deadline <= self.now.instant) {
            self.give(Input::Tick)?;
        }
        Ok(())
    }

    fn give(&mut self, input: Input) -> Outcome {
        self.inputs.push(format!("{} {input:?}", self.now.date));
        let tick = input == Input::Tick;
        let mut out = Vec::new();
        self.bridge.handle(input, self.now, &mut out);
        if tick && out.len() > 10_000 {
            return Err("a tick with more than 10,000 outputs".to_owned());
        }
        for output in out {
            self.take(output)?;
        }
        self.look()?;
        // The wire and the leg do as they are told.
        let calls: Vec<CallId> = self.on_the_line(|line| line.wants_hang_up);
        for call in calls {
            self.hang_up(call, HangUp::Us)?;
        }
        Ok(())
    }

    fn line(&mut self, call: CallId, what: &str) -> Result<&mut Line, String> {
        let line = self.lines.get_mut(&call).ok_or(format!("{what} of a call that is not"))?;
        if line.over || line.wants_hang_up {
            return Err(format!("{what} after the end of {call:?}"));
        }
        Ok(line)
    }

    fn take(&mut self, output: Output) -> Outcome {
        match output {
            Output::Ring { call } => self.line(call, "ring").map(|_| ())?,
            Output::Answer { call } => {
                let line = self.line(call, "answer")?;
                if std::mem::replace(&mut line.answered, true) {
                    return Err(format!("{call:?} answered twice"));
                }
            }
            Output::Refuse { call, .. } => {
                let line = self.line(call, "refusal")?;
                if line.answered {
                    return Err(format!("{call:?} refused after the answer"));
                }
                line.over = true;
                self.there.remove(&call);
                self.tally.refused += 1;
            }
            Output::HangUp { call, .. } => self.line(call, "hang-up")?.wants_hang_up = true,
            Output::Play { call, playback, prompts } => {
                if prompts.is_empty() {
                    return Err("nothing to play".to_owned());
                }
                let input = self.inputs.len();
                let line = self.line(call, "prompt")?;
                if prompts.contains(&Prompt::RecordingOn) {
                    line.told_at = input;
                }
                line.playing.push_back(playback);
                if !line.answered {
                    return Err(format!("a prompt before the answer to {call:?}"));
                }
                if !self.played.insert(playback) {
                    return Err(format!("{playback:?} twice"));
                }
            }
            Output::Speak { call, .. } => {
                self.line(call, "speak")?;
            }
            Output::PlayLoop { call, .. } => {
                self.line(call, "music")?;
                self.tally.waited += 1;
            }
            Output::StopPlaying { call } => {
                self.line(call, "stop")?;
            }
            Output::PlayToMeeting { meeting, .. } => {
                if !self.there.iter().any(|call| self.lines[call].joined == Some(meeting)) {
                    return Err(format!("a tone for nobody in {meeting:?}"));
                }
            }
            Output::Join { call, meeting } => {
                let line = self.line(call, "join")?;
                let told_at = line.told_at;
                if let Some(other) = line.joined.replace(meeting) {
                    return Err(format!("{call:?} joins {meeting:?} from within {other:?}"));
                }
                if self.recorded_since.get(&meeting).is_some_and(|since| told_at < *since) {
                    return Err(format!("{call:?} is recorded and has not heard so"));
                }
                self.tally.joined += 1;
            }
            Output::Leave { call } => {
                if self.line(call, "leave")?.joined.take().is_none() {
                    return Err(format!("{call:?} leaves from nowhere"));
                }
            }
            Output::Mute { call, muted } => {
                self.line(call, "mute")?.muted = muted;
            }
            Output::RecordName { call, .. } => {
                if self.line(call, "name")?.joined.is_some() {
                    return Err(format!("{call:?} says a name in a meeting"));
                }
                self.tally.named += 1;
            }
            Output::Record { meeting, on } => {
                if on && !self.there.iter().any(|call| self.lines[call].joined == Some(meeting)) {
                    return Err(format!("nobody to record in {meeting:?}"));
                }
                if self.recording.contains(&meeting) == on {
                    return Err(format!("recording of {meeting:?} is {on} already"));
                }
                if on {
                    self.recording.insert(meeting);
                } else {
                    self.recording.remove(&meeting);
                }
                self.tally.recorded += usize::from(on);
            }
            Output::PlayName { to, playback, of, .. } => {
                self.line(of, "name")?;
                self.line(to, "name")?.playing.push_back(playback);
                if !self.played.insert(playback) {
                    return Err(format!("{playback:?} twice"));
                }
            }
            Output::DropName { call } => {
                self.line(call, "name")?;
            }
            Output::Ask { question, ask } => {
                if !self.asked.insert(question) {
                    return Err(format!("{question:?} twice"));
                }
                self.tally.remembered += usize::from(matches!(ask, Question::Remember { .. }));
                self.questions.push((question, ask));
            }
            Output::Save { record } => {
                let line = self.lines.get_mut(&record.call).ok_or("a record of no call")?;
                if !line.over || std::mem::replace(&mut line.saved, true) {
                    return Err(format!("a second or early record of {:?}", record.call));
                }
                if record.path.is_empty() || record.path.len() > 64 || record.explanation.is_empty() {
                    return Err(format!("a poor record: {record:?}"));
                }
                let ending = record.ending.name();
                self.tally.closed_by_second += usize::from(ending == "meeting-closed-by-second");
                self.tally.wrong += usize::from(ending == "too-many-wrong-entries");
                let admitted = record.path.iter().any(|step| step.what == "admitted");
                self.tally.let_in += usize::from(admitted && record.joined_at.is_some());
                let step = |name| record.path.iter().any(|step| step.what == name);
                self.tally.host_pins += usize::from(step("becomes-moderator"));
                self.tally.chosen += usize::from(step("asked-which-meeting"));
                self.tally.grace_over += usize::from(ending == "moderator-gone");
                self.tally.not_let_in += usize::from(ending == "lobby-refused");
                self.tally.removed += usize::from(ending == "removed-by-moderator");
            }
            Output::News { news } => {
                self.told.entry(news.host).or_default().apply(&news);
                self.tally.news += 1;
            }
            Output::Reply { request, .. } => {
                if !self.requests.remove(&request) {
                    return Err(format!("{request:?} answered twice"));
                }
            }
        }
        Ok(())
    }

    /// Whoever has heard all news knows what the snapshot shows.
    fn onlookers_know(&mut self, snapshot: &Snapshot) -> Outcome {
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
        if shown != self.told {
            return Err(format!("shown: {shown:#?}\ntold: {:#?}", self.told));
        }
        Ok(())
    }

    /// What must hold after every input.
    fn look(&mut self) -> Outcome {
        if let Some(fault) = self.store.faults.first() {
            return Err(fault.clone());
        }
        if self.bridge.deadline().is_some_and(|deadline| deadline <= self.now.instant) {
            return Err("a timer that is not in the future".to_owned());
        }
        let snapshot = self.bridge.snapshot();
        if let Some(stray) = self
            .recording
            .iter()
            .find(|meeting| snapshot.meetings.iter().all(|live| live.meeting != **meeting))
        {
            return Err(format!("{stray:?} is recorded and not live"));
        }
        let hosts: BTreeSet<HostId> = snapshot.meetings.iter().map(|meeting| meeting.host).collect();
        if hosts.len() != snapshot.meetings.len() {
            return Err("a host with two live meetings".to_owned());
        }
        self.recorded_since.retain(|meeting, _| {
            snapshot.meetings.iter().any(|live| live.meeting == *meeting && live.recording)
        });
        let mut rostered = BTreeMap::new();
        for meeting in &snapshot.meetings {
            if meeting.roster.len() > 12 + 8 {
                return Err("a meeting fuller than full".to_owned());
            }
            if meeting.recording {
                self.recorded_since.entry(meeting.meeting).or_insert(self.inputs.len());
            }
            let recorded = meeting.recording && !meeting.roster.is_empty();
            if recorded != self.recording.contains(&meeting.meeting) {
                return Err(format!("{:?}: recorded or not?", meeting.meeting));
            }
            for participant in &meeting.roster {
                let line = &self.lines[&participant.participant];
                if participant.muted != line.muted {
                    return Err(format!(
                        "{:?} is muted on the roster or in the mix alone",
                        participant.participant
                    ));
                }
                if rostered.insert(participant.participant, meeting.meeting).is_some() {
                    return Err(format!("{:?} in two meetings", participant.participant));
                }
            }
        }
        let joined: BTreeMap<CallId, MeetingId> = self
            .there
            .iter()
            .filter_map(|call| self.lines[call].joined.map(|meeting| (*call, meeting)))
            .collect();
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
        self.onlookers_know(&snapshot)?;
        let there = self.there.len();
        if snapshot.calls.len() != there || self.bridge.calls() != there {
            return Err(format!("{} calls known of {there}", snapshot.calls.len()));
        }
        Ok(())
    }
}

fn host_pin(host: u32) -> String {
    format!("{}", 600_000 + host)
}

fn phone(number: u32) -> doorline::types::PhoneNumber {
    format!("+44207946{number:04}").parse().unwrap()
}
