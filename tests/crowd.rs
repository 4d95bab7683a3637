//! A thousand callers and their moderators, at random but repeatable: after every single input
//! the rules that must always hold are looked at. A seed that breaks one prints its inputs.
//!
//! `SEED=17 cargo test --test crowd` plays one seed alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use doorline::bridge::input::{self, DigitSource, HangUp, Quality};
use doorline::bridge::question::OpenedBy;
use doorline::bridge::rehearsal::{Line, Rules, Store};
use doorline::bridge::view::{KnownCallers, MeetingState};
use doorline::bridge::{
    Answer, Bridge, By, Command, Incoming, Input, Output, Question, QuestionId, RequestId, Series, Settings,
    recurrence,
};
use doorline::types::{CallId, Code, Digit, HostId, HostPin, Language, MeetingId, Now, Pin, Trust};
use jiff::{Timestamp, ToSpan};

const CALLERS: usize = 1_000;
const SEEDS: u64 = 5;
const EARLY_JOIN: Duration = Duration::from_secs(15 * 60);
const OVERRUN: Duration = Duration::from_secs(10 * 60);

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

/// A night on which clocks change.
struct Night {
    zone: &'static str,
    /// When the crowd begins to call.
    opened: &'static str,
    /// The hour on the wall that is skipped or comes twice.
    hour: i8,
}

const NIGHTS: [Night; 5] = [
    Night { zone: "Europe/London", opened: "2026-03-29T00:30:00Z", hour: 1 },
    Night { zone: "Europe/London", opened: "2026-10-24T23:45:00Z", hour: 1 },
    Night { zone: "America/New_York", opened: "2026-03-08T06:30:00Z", hour: 2 },
    Night { zone: "America/New_York", opened: "2026-11-01T04:45:00Z", hour: 1 },
    // Half an hour.
    Night { zone: "Australia/Lord_Howe", opened: "2026-10-03T15:00:00Z", hour: 2 },
];

#[test]
fn no_code_outlives_its_window_when_clocks_change_or_are_set() {
    for (seed, night) in (100..).zip(&NIGHTS) {
        let mut crowd = Crowd::at_night(seed, night);
        if let Err(fault) = crowd.play() {
            let inputs = crowd.inputs.join("\n");
            panic!("{}: {fault}\nits inputs:\n{inputs}\n{}: {fault}", night.zone, night.zone);
        }
        let Tally { clock_steps, opened_by_callers, joined, remembered, .. } = crowd.tally;
        let did = [clock_steps, opened_by_callers, joined, remembered];
        assert!(did.iter().all(|count| *count > 0), "{}: too tame: {:?}", night.zone, crowd.tally);
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
    opened_by_callers: usize,
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

/// Somebody who calls, and what they are about to do.
#[derive(Debug, Default)]
struct Caller {
    acked: bool,
    /// Keys that they are going to press.
    keys: VecDeque<Digit>,
    /// When the next ones come.
    patient_until: Option<Instant>,
}

struct Crowd {
    bridge: Bridge,
    store: Store,
    now: Now,
    dice: u64,
    rules: Rules,
    callers: BTreeMap<CallId, Caller>,
    /// When each meeting may be opened by a caller, if the crowd meets at night.
    windows: BTreeMap<MeetingId, Vec<(Timestamp, Timestamp)>>,
    questions: Vec<(QuestionId, Question)>,
    next_request: u64,
    hosts: Vec<(HostId, String)>,
    codes: BTreeMap<MeetingId, String>,
    store_is_there: bool,
    /// When it all began.
    opened: Timestamp,
    inputs: Vec<String>,
    tally: Tally,
}

type Outcome = Result<(), String>;

impl Crowd {
    /// Every meeting is daily, at a time on the wall about the change.
    fn at_night(seed: u64, night: &Night) -> Self {
        let mut crowd = Self::new(seed);
        let zone = recurrence::time_zone(night.zone).unwrap();
        crowd.opened = night.opened.parse().unwrap();
        crowd.now.date = crowd.opened;
        crowd.store.overrun = OVERRUN;
        let day = crowd.opened.to_zoned_datetime(zone.clone()).date();
        // From, on the wall and in minutes since the hour before, and how long.
        let walls = [(20, 30), (50, 50), (90, 40)];
        for (row, (from, length)) in
            crowd.store.meetings.iter_mut().filter(|row| row.code.is_some()).zip(walls.into_iter().cycle())
        {
            let from = i32::from(night.hour - 1) * 60 + from;
            let at = |days: i32| {
                let date = day.checked_add(days.days()).unwrap();
                let wall = date.at((from / 60) as i8, (from % 60) as i8, 0, 0);
                wall.to_zoned_datetime(zone.clone()).unwrap().timestamp()
            };
            let length = jiff::SignedDuration::from_mins(length);
            let rule = "FREQ=DAILY".parse().ok();
            row.series = Series::new(at(-10), at(-10) + length, zone.clone(), rule).ok();
            assert!(row.series.is_some());
            let windows = (-2..3).map(|days| {
                let (early, late) = (EARLY_JOIN, OVERRUN);
                (at(days) - early, at(days) + length + late)
            });
            crowd.windows.insert(row.view.id, windows.collect());
        }
        crowd
    }

    /// The clock is set by an hour: nobody who is in a meeting notices, and no phone is forgotten.
    fn set_clock(&mut self) -> Outcome {
        let hour = jiff::SignedDuration::from_hours(if self.roll(2) == 0 { 1 } else { -1 });
        let seen = |crowd: &Self| {
            let inside: Vec<_> = crowd.rules.there().map(|(call, line)| (call, line.joined)).collect();
            (inside, crowd.store.verified.len())
        };
        let before = seen(self);
        self.now.date += hour;
        self.tally.clock_steps += 1;
        self.give(Input::Tick)?;
        if seen(self) == before { Ok(()) } else { Err(format!("the clock was set by {hour}: {before:?}")) }
    }

    fn new(seed: u64) -> Self {
        let mut store = Store::default();
        let date: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
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
            overrun: OVERRUN,
            early_join: EARLY_JOIN,
            ..Settings::default()
        };
        Self {
            rules: Rules::new(settings.participants_max),
            bridge: Bridge::new(settings),
            store,
            now: Now { instant: Instant::now(), date },
            dice: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            callers: BTreeMap::new(),
            windows: BTreeMap::new(),
            questions: Vec::new(),
            next_request: 0,
            hosts,
            codes,
            store_is_there: true,
            opened: date,
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
        while self.callers.len() < CALLERS {
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
        self.rules.at_rest(&self.bridge)?;
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
                let Some(playback) = self.rules.line(call).and_then(|line| line.playing.front().copied())
                else {
                    return Ok(());
                };
                self.give(Input::Played { call, playback })
            }
            82..86 => {
                let calls = self.callers_there(|line, caller| line.answered && !caller.acked);
                let Some(call) = self.pick(&calls) else { return Ok(()) };
                self.callers.entry(call).or_default().acked = true;
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
                    let calls = self.callers_there(|_, caller| caller.acked);
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
            91 if self.roll(if self.windows.is_empty() { 40 } else { 10 }) == 0 => {
                // The clock is set, back or on, across the edges of windows.
                if !self.windows.is_empty() && self.roll(2) == 0 {
                    return self.set_clock();
                }
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
        self.callers_there(|line, _| which(line))
    }

    fn callers_there(&self, which: impl Fn(&Line, &Caller) -> bool) -> Vec<CallId> {
        let there = self.rules.there().filter(|(call, line)| which(line, &self.callers[call]));
        there.map(|(call, _)| call).collect()
    }

    fn call(&mut self) -> Outcome {
        let call = CallId::numbered(self.callers.len() as u128 + 1);
        let number = self.roll(30) as u32;
        let trusts = [Trust::Network, Trust::Network, Trust::Network, Trust::Claimed, Trust::Signed];
        let trust = self.pick(&trusts).unwrap();
        let caller = match self.roll(10) {
            0 => input::Caller { withheld: true, ..input::Caller::default() },
            _ => input::Caller { number: Some(phone(number)), trust, ..input::Caller::default() },
        };
        let keys = self.intention();
        self.callers.insert(call, Caller { keys, ..Caller::default() });
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
        let ready = |caller: &Caller| caller.patient_until.is_none_or(|until| until <= now);
        let calls =
            self.callers_there(|line, caller| line.answered && !caller.keys.is_empty() && ready(caller));
        let Some(call) = self.pick(&calls) else { return Ok(()) };
        let pause = Duration::from_millis(self.roll(5_000) as u64);
        self.callers.get_mut(&call).unwrap().patient_until = Some(now + pause);
        for _ in 0..5 + self.roll(12) {
            let over = self.rules.line(call).is_none_or(|line| line.over);
            let keys = &mut self.callers.get_mut(&call).unwrap().keys;
            let Some(digit) = keys.pop_front().filter(|_| !over) else { return Ok(()) };
            self.give(Input::Digit { call, digit, source: DigitSource::Rtp })?;
        }
        Ok(())
    }

    fn hang_up(&mut self, call: CallId, how: HangUp) -> Outcome {
        let answered = self.rules.line(call).is_some_and(|line| line.answered);
        let figures = answered && self.roll(10) > 0;
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
        let mut out = Vec::new();
        self.bridge.handle(input.clone(), self.now, &mut out);
        self.rules.step(&input, &out, &self.bridge, self.now)?;
        for output in out {
            self.in_window(&output)?;
            self.count(output);
        }
        if let Some(fault) = self.store.faults.first() {
            return Err(fault.clone());
        }
        // The wire and the leg do as they are told.
        let calls: Vec<CallId> = self.on_the_line(|line| line.hung_up);
        for call in calls {
            self.hang_up(call, HangUp::Us)?;
        }
        Ok(())
    }

    /// A caller opens a meeting within one of its windows alone.
    fn in_window(&mut self, output: &Output) -> Outcome {
        let Output::Ask { ask: Question::Open { meeting, opened_by: OpenedBy::Caller, .. }, .. } = output
        else {
            return Ok(());
        };
        self.tally.opened_by_callers += 1;
        let Some(windows) = self.windows.get(meeting) else { return Ok(()) };
        let now = self.now.date;
        if windows.iter().any(|(from, to)| *from <= now && now <= *to) {
            Ok(())
        } else {
            Err(format!("{meeting:?} is opened at {now}, and its windows are {windows:?}"))
        }
    }

    /// What a crowd must have done, by what comes out.
    fn count(&mut self, output: Output) {
        let tally = &mut self.tally;
        match output {
            Output::Refuse { .. } => tally.refused += 1,
            Output::PlayLoop { .. } => tally.waited += 1,
            Output::Join { .. } => tally.joined += 1,
            Output::RecordName { .. } => tally.named += 1,
            Output::Record { on, .. } => tally.recorded += usize::from(on),
            Output::News { .. } => tally.news += 1,
            Output::Ask { question, ask } => {
                tally.remembered += usize::from(matches!(ask, Question::Remember { .. }));
                self.questions.push((question, ask));
            }
            Output::Save { record } => {
                let ending = record.ending.name();
                tally.closed_by_second += usize::from(ending == "meeting-closed-by-second");
                tally.wrong += usize::from(ending == "too-many-wrong-entries");
                tally.grace_over += usize::from(ending == "moderator-gone");
                tally.not_let_in += usize::from(ending == "lobby-refused");
                tally.removed += usize::from(ending == "removed-by-moderator");
                let step = |name| record.path.iter().any(|step| step.what == name);
                tally.let_in += usize::from(step("admitted") && record.joined_at.is_some());
                tally.host_pins += usize::from(step("becomes-moderator"));
                tally.chosen += usize::from(step("asked-which-meeting"));
            }
            _ => {}
        }
    }
}

fn host_pin(host: u32) -> String {
    format!("{}", 600_000 + host)
}

fn phone(number: u32) -> doorline::types::PhoneNumber {
    format!("+44207946{number:04}").parse().unwrap()
}
