//! The stage itself: reads a line, gives the bridge its inputs, and writes down what comes out.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::line::{clock, day, describe, duration, length, number};
use super::rules::Rules;
use super::store::Store;
#[cfg(test)]
use crate::bridge::call::state::Event;
use crate::bridge::guess::Ladder;
use crate::bridge::input::{Caller, DigitSource, HangUp, Quality};
use crate::bridge::verify::Basis;
use crate::bridge::view::{KnownCallers, MeetingState};
use crate::bridge::{
    Answer, Bridge, By, CallRecord, Command, Incoming, Input, News, Output, PlaybackId, Question, RequestId,
    Settings,
};
use crate::types::{CallId, Code, Digit, HostPin, Language, MeetingId, Now, PhoneNumber, Pin, Trust};

/// Between two keys of a `dial`.
const KEY_TIME: Duration = Duration::from_millis(100);
/// A name as it was said.
const NAME_LENGTH: Duration = Duration::from_secs(2);
/// Most steps at one moment before we say that something runs in circles.
const STEPS_MAX: usize = 100_000;

/// A bridge among made-up people.
#[derive(Debug)]
pub struct Stage {
    pub bridge: Bridge,
    pub store: Store,
    settings: Settings,
    now: Now,
    /// Inputs that are on their way, by when they arrive.
    coming: BTreeMap<(Instant, u64), Input>,
    born: u64,
    calls: BTreeMap<String, CallId>,
    names: BTreeMap<CallId, String>,
    /// What plays to each leg: its end is in `coming`.
    playing: BTreeMap<CallId, VecDeque<(PlaybackId, Instant)>>,
    answered: BTreeMap<CallId, bool>,
    mood: Mood,
    /// How long the wire takes to end a call, and the leg to tell its figures.
    wire: Duration,
    rules: Rules,
    said: Vec<String>,
    news: Vec<News>,
    /// The records of calls that are over.
    pub records: Vec<CallRecord>,
}

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    There(Duration),
    Gone,
    /// It takes questions and never answers.
    Silent,
}

type Done = Result<(), String>;

impl Stage {
    /// A stage on which it is 9 o'clock, with nobody there.
    ///
    /// `start` is where its time begins: any instant will do, also in the past.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        let date: Timestamp = "2026-03-02T09:00:00Z".parse().expect("it is a date");
        let settings = Settings::default();
        Self {
            bridge: Bridge::new(settings.clone()),
            store: Store::default(),
            settings,
            now: Now { instant: start, date },
            coming: BTreeMap::new(),
            born: 0,
            calls: BTreeMap::new(),
            names: BTreeMap::new(),
            playing: BTreeMap::new(),
            answered: BTreeMap::new(),
            mood: Mood::There(Duration::ZERO),
            wire: Duration::ZERO,
            rules: Rules::new(Settings::default().participants_max),
            said: Vec::new(),
            news: Vec::new(),
            records: Vec::new(),
        }
    }

    /// What happened since the last time.
    pub fn take_said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }

    /// What onlookers were told since the last time.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    #[must_use]
    pub fn now(&self) -> Now {
        self.now
    }

    /// When something happens next if nobody does anything.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let coming = self.coming.first_key_value().map(|((at, _), _)| *at);
        coming.into_iter().chain(self.bridge.deadline()).min()
    }

    /// One line of the beginning: who and what there is.
    pub fn set_up(&mut self, line: &str) -> Done {
        let words: Vec<&str> = line.split_whitespace().collect();
        let date = self.now.date;
        match words.as_slice() {
            ["at", time] => self.now.date = clock(time, date)?,
            ["at", on, time] => self.now.date = clock(time, day(on)?)?,
            ["host", name, "pin", pin, options @ ..] => {
                let pin = Pin::parse(pin).map_err(|error| error.to_string())?;
                let host = self.store.add_host(name, pin);
                for option in options.chunks(2) {
                    match option {
                        ["known-callers", policy] => host.known_callers = known_callers(policy)?,
                        ["language", language] => host.language = Some(tongue(language)?),
                        ["own", own] => host.numbers.push(number(own)?),
                        ["host-pin", pin] => {
                            host.host_pin = Some(HostPin::parse(pin).map_err(|error| error.to_string())?);
                        }
                        _ => return Err(format!("option {option:?} of a host")),
                    }
                }
            }
            ["one-time", host, title, "code", code, times, options @ ..] => {
                let code = Code::parse(code).map_err(|error| error.to_string())?;
                self.meeting(host, title, Some(code), times, options)?;
            }
            ["standard", host, title, times, options @ ..] => {
                self.meeting(host, title, None, times, options)?
            }
            ["remembered", host, phone, options @ ..] => {
                let host = self.store.host_named(host).ok_or("no such host")?.id;
                let row = self.store.add_verified(host, number(phone)?, Trust::Network, "lab", date);
                for option in options.chunks(2) {
                    match option {
                        ["trust", trust] => row.trust = Trust::from_name(trust).ok_or("no such trust")?,
                        ["trunk", trunk] => (*trunk).clone_into(&mut row.trunk),
                        ["verified", on] => row.verified_at = day(on)?,
                        ["used", on] => row.last_used_at = day(on)?,
                        _ => return Err(format!("option {option:?} of a remembered phone")),
                    }
                }
            }
            ["set", what, figure] => {
                let figure: usize = figure.parse().map_err(|_| format!("figure {figure:?}"))?;
                match *what {
                    "full" => self.settings.participants_max = figure,
                    "calls" => self.settings.calls_max = figure,
                    "entering" => self.settings.calls_entering_max = figure,
                    "waiting-minutes" => self.settings.waiting = minutes(figure),
                    "lobby-minutes" => self.settings.lobby = minutes(figure),
                    "grace-minutes" => self.settings.moderator_grace = minutes(figure),
                    "reassure-seconds" => {
                        self.settings.reassurance = Duration::from_secs(figure as u64);
                    }
                    "standard-needs-moderator" => self.settings.standard_needs_moderator = figure > 0,
                    "code-tries" => self.settings.guessing.code_tries = figure,
                    "number-tries" => self.settings.guessing.number_tries = figure,
                    _ => {
                        return Err(format!(
                            "setting {what:?}, expected full, calls, entering, standard-needs-moderator, \
                             code-tries, number-tries, waiting-minutes, lobby-minutes, grace-minutes or \
                             reassure-seconds"
                        ));
                    }
                }
                self.bridge = Bridge::new(self.settings.clone());
                self.rules = Rules::new(self.settings.participants_max);
                self.store.ladder = Ladder::new(self.settings.guessing.clone());
            }
            _ => return Err(format!("line {line:?} is nothing a stage can be set up with")),
        }
        Ok(())
    }

    fn meeting(
        &mut self,
        host: &str,
        title: &str,
        code: Option<Code>,
        times: &str,
        options: &[&str],
    ) -> Done {
        let date = self.now.date;
        let host = self.store.host_named(host).ok_or("no such host")?.id;
        let (start, end) = times.split_once('-').ok_or("times, expected such as 09:00-10:00")?;
        let view = self.store.add_meeting(host, title, code, (clock(start, date)?, clock(end, date)?));
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match *option {
                "wait" => view.wait_for_moderator = true,
                "cancelled" => view.state = MeetingState::Cancelled,
                "closed" => {
                    view.state = MeetingState::Closed;
                    view.closed_at = Some(clock(options.next().ok_or("closed when?")?, date)?);
                }
                "known-callers" => {
                    view.known_callers = Some(known_callers(options.next().ok_or("which known callers?")?)?);
                }
                _ => return Err(format!("option {option:?} of a meeting")),
            }
        }
        Ok(())
    }

    /// One line of the story.
    pub fn happen(&mut self, line: &str) -> Done {
        let (name, rest) = line.split_once(':').filter(|(name, _)| !name.contains(' ')).unwrap_or(("", line));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match words.as_slice() {
            ["wait", time] => self.advance(duration(time)?),
            ["store", "gone"] => self.mood = Mood::Gone,
            ["store", "back"] => self.mood = Mood::There(Duration::ZERO),
            ["store", "slow", time] => self.mood = Mood::There(duration(time)?),
            ["store", "silent"] => self.mood = Mood::Silent,
            ["wire", "slow", time] => self.wire = duration(time)?,
            ["wire", "back"] => self.wire = Duration::ZERO,
            ["date", step] => {
                let (back, time) = step.strip_prefix('-').map_or((false, &step[1..]), |time| (true, time));
                let time = duration(time)?;
                let date = self.now.date;
                let stepped = if back { date.checked_sub(time) } else { date.checked_add(time) };
                self.now.date = stepped.map_err(|error| error.to_string())?;
            }
            ["revoke", phone] => {
                let phone = number(phone)?;
                self.store.verified.retain(|row| row.number != phone);
            }
            ["call", who @ ..] => {
                let call = self.incoming(name, who)?;
                self.feed(Input::Answered { call });
            }
            ["ring", who @ ..] => {
                self.incoming(name, who)?;
            }
            ["answered"] => {
                let call = self.call(name)?;
                self.feed(Input::Answered { call });
            }
            ["dial", keys] => self.dial(name, keys, &[DigitSource::Rtp])?,
            ["dial", keys, "twice"] => self.dial(name, keys, &[DigitSource::Rtp, DigitSource::Info])?,
            ["hang", "up"] => self.hung_up(name, HangUp::Caller)?,
            ["cancel"] => self.hung_up(name, HangUp::Cancelled)?,
            ["lose", "transport"] => self.hung_up(name, HangUp::Transport)?,
            ["no", "ack"] => self.hung_up(name, HangUp::NoAck)?,
            ["lose", "media"] => {
                let call = self.call(name)?;
                self.feed(Input::MediaLost { call });
            }
            ["mute", who] => self.mute(who, true)?,
            ["unmute", who] => self.mute(who, false)?,
            ["remove", "and", "forget", who] => self.remove(who, true)?,
            ["remove", who] if self.calls.contains_key(*who) => self.remove(who, false)?,
            ["remove", host] => {
                let id = self.store.host_named(host).ok_or(format!("neither caller nor host {host:?}"))?.id;
                self.store.hosts.retain(|host| host.id != id);
                self.store.verified.retain(|row| row.host != id);
                self.store.meetings.retain(|meeting| meeting.view.host != id);
                self.command(Command::HostRemoved { host: id });
            }
            ["admit", who] => {
                let participant = self.call(who)?;
                self.command(Command::Admit { participant });
            }
            ["refuse", who] => {
                let participant = self.call(who)?;
                self.command(Command::Refuse { participant });
            }
            ["promote", who] => {
                let participant = self.call(who)?;
                self.command(Command::Promote { participant });
            }
            ["lower", "hand", "of", who] => {
                let participant = self.call(who)?;
                self.command(Command::LowerHand { participant });
            }
            [_, "mutes", "all", "in", title] => {
                let meeting = self.titled(title)?;
                self.command(Command::MuteAll { meeting, muted: true });
            }
            [_, "unmutes", "all", "in", title] => {
                let meeting = self.titled(title)?;
                self.command(Command::MuteAll { meeting, muted: false });
            }
            [_, "records", title] => {
                let meeting = self.titled(title)?;
                self.command(Command::Record { meeting, on: true });
            }
            [_, "stops", "recording", title] => {
                let meeting = self.titled(title)?;
                self.command(Command::Record { meeting, on: false });
            }
            [_, "locks", title] => {
                let meeting = self.titled(title)?;
                self.command(Command::Lock { meeting, locked: true });
            }
            [_, "unlocks", title] => {
                let meeting = self.titled(title)?;
                self.command(Command::Lock { meeting, locked: false });
            }
            [host, "opens", title] => {
                let host = self.store.host_named(host).ok_or(format!("host {host:?}"))?.id;
                let host = Box::new(self.store.view(host, self.now.date).ok_or("no such host")?);
                let meeting = self.titled(title)?;
                self.command(Command::Open { host, meeting });
            }
            [_, "closes", title] => {
                let meeting = self.titled(title)?;
                self.command(Command::Close { meeting });
            }
            [_, "cancels", title] => {
                let meeting = self.titled(title)?;
                if let Some(view) = self.store.meeting_mut(meeting) {
                    view.state = MeetingState::Cancelled;
                }
                self.command(Command::Cancelled { meeting });
            }
            ["drain"] => self.command(Command::Drain),
            ["end", "all", "calls"] => self.command(Command::EndCalls),
            _ => return Err(format!("line {line:?} is nothing that can happen")),
        }
        Ok(())
    }

    /// Lets time pass, and what is due happen.
    pub fn advance(&mut self, time: Duration) {
        let end = self.now.after(time);
        let mut steps = 0;
        while let Some(at) = self.next().filter(|at| *at <= end.instant) {
            let passed = at.saturating_duration_since(self.now.instant);
            self.now = self.now.after(passed);
            self.step();
            steps += 1;
            assert!(steps < STEPS_MAX, "the bridge runs in circles: {:?}", self.said.last());
        }
        self.now = self.now.after(end.instant - self.now.instant);
    }

    /// What is due now: the first input on its way, else the bridge's own timer.
    fn step(&mut self) {
        let due = self.coming.first_entry().filter(|entry| entry.key().0 <= self.now.instant);
        match due.map(|entry| entry.remove()) {
            Some(input) => self.give(input),
            None => self.give(Input::Tick),
        }
    }

    /// An input, and all that follows at this very moment.
    pub fn feed(&mut self, input: Input) {
        self.give(input);
        self.advance(Duration::ZERO);
    }

    fn give(&mut self, input: Input) {
        if let Input::Played { call, playback } = &input
            && let Some(playing) = self.playing.get_mut(call)
        {
            playing.retain(|(other, _)| other != playback);
        }
        let mut out = Vec::new();
        self.bridge.handle(input.clone(), self.now, &mut out);
        self.done(&input, out);
    }

    fn done(&mut self, input: &Input, out: Vec<Output>) {
        if let Err(fault) = self.rules.step(input, &out, &self.bridge, self.now) {
            self.store.faults.push(fault);
        }
        for output in out {
            self.carry_out(output);
        }
    }

    /// One event of one call, without the input that it comes of.
    #[cfg(test)]
    pub(in crate::bridge) fn event(&mut self, call: CallId, event: Event) {
        let mut out = Vec::new();
        self.bridge.event(call, event, self.now, &mut out);
        self.done(&Input::Tick, out);
        self.advance(Duration::ZERO);
    }

    /// What this caller hears now, if anything.
    #[cfg(test)]
    pub(in crate::bridge) fn first_playing(&self, call: CallId) -> Option<PlaybackId> {
        self.playing.get(&call)?.front().map(|(playback, _)| *playback)
    }

    /// Nobody is there any more: whether anything is left.
    ///
    /// # Errors
    /// Names what is left.
    pub fn at_rest(&self) -> Done {
        self.rules.at_rest(&self.bridge)
    }

    fn carry_out(&mut self, output: Output) {
        let title = |meeting| self.title(meeting);
        if let Some(what) = describe(&output, title) {
            let call = match &output {
                Output::Ring { call }
                | Output::Answer { call }
                | Output::Speak { call, .. }
                | Output::Refuse { call, .. }
                | Output::HangUp { call, .. }
                | Output::Play { call, .. }
                | Output::PlayLoop { call, .. }
                | Output::StopPlaying { call }
                | Output::Join { call, .. }
                | Output::Leave { call }
                | Output::Mute { call, .. }
                | Output::RecordName { call, .. }
                | Output::PlayName { to: call, .. }
                | Output::DropName { call } => Some(call),
                Output::Save { record } => Some(&record.call),
                Output::PlayToMeeting { .. }
                | Output::Record { .. }
                | Output::Ask { .. }
                | Output::News { .. }
                | Output::Reply { .. } => None,
            };
            let name = call.and_then(|call| self.names.get(call)).filter(|name| !name.is_empty());
            let whose = match &output {
                Output::PlayName { of, .. } => self.names.get(of).map(|of| format!(" {of}")),
                _ => None,
            };
            let what = what + &whose.unwrap_or_default();
            self.said.push(name.map_or(what.clone(), |name| format!("{name}: {what}")));
        }
        match output {
            Output::Answer { call } => {
                self.answered.insert(call, true);
            }
            Output::Refuse { call, .. } | Output::HangUp { call, .. } => {
                self.later(self.wire, Input::HungUp { call, how: HangUp::Us });
                self.close_leg(call);
            }
            Output::Play { call, playback, prompts } => {
                let queue = self.playing.entry(call).or_default();
                let begin = queue.back().map_or(self.now.instant, |(_, end)| *end);
                let end = begin + prompts.into_iter().map(length).sum::<Duration>();
                queue.push_back((playback, end));
                self.at(end, Input::Played { call, playback });
            }
            Output::PlayName { to, playback, .. } => {
                let queue = self.playing.entry(to).or_default();
                let end = queue.back().map_or(self.now.instant, |(_, end)| *end) + NAME_LENGTH;
                queue.push_back((playback, end));
                self.at(end, Input::Played { call: to, playback });
            }
            Output::StopPlaying { call } => self.stop(call),
            Output::News { news } => self.news.push(*news),
            Output::Save { record } => self.records.push(*record),
            Output::Ask { question, ask } => match self.mood {
                Mood::There(delay) => {
                    let answer = self.store.answer(ask, self.now.date);
                    self.later(delay, Input::Answer { question, answer });
                }
                Mood::Gone => {
                    self.later(Duration::ZERO, Input::Answer { question, answer: Answer::Unavailable })
                }
                Mood::Silent => self.lose(&ask),
            },
            _ => {}
        }
    }

    fn lose(&mut self, ask: &Question) {
        let title = |meeting| self.title(meeting);
        let what = describe(&Output::Ask { question: crate::bridge::QuestionId(0), ask: ask.clone() }, title);
        self.said.push(format!("no answer: {}", what.unwrap_or_default()));
    }

    /// What plays ends now; that it ended is still reported.
    fn stop(&mut self, call: CallId) {
        for (playback, _) in self.playing.remove(&call).unwrap_or_default() {
            self.coming
                .retain(|_, input| !matches!(input, Input::Played { playback: p, .. } if *p == playback));
            self.later(Duration::ZERO, Input::Played { call, playback });
        }
    }

    /// The leg closes: its prompts are gone, its figures come.
    fn close_leg(&mut self, call: CallId) {
        self.playing.remove(&call);
        self.coming.retain(|_, input| !matches!(input, Input::Played { call: c, .. } if *c == call));
        if self.answered.remove(&call).is_some() {
            self.later(self.wire, Input::Quality { call, quality: Quality::default() });
        }
    }

    fn later(&mut self, delay: Duration, input: Input) {
        self.at(self.now.instant + delay, input);
    }

    fn at(&mut self, at: Instant, input: Input) {
        self.born += 1;
        self.coming.insert((at, self.born), input);
    }

    fn incoming(&mut self, name: &str, who: &[&str]) -> Result<CallId, String> {
        self.born += 1;
        let call = CallId::numbered(u128::from(self.born));
        let at = who.iter().position(|word| *word == "in").unwrap_or(who.len());
        let (who, spoken) = who.split_at(at);
        let mut languages: VecDeque<Language> =
            spoken.iter().skip(1).map(|tag| tongue(tag)).collect::<Result<_, _>>()?;
        let (caller, trunk) = caller(who)?;
        self.calls.insert(name.to_owned(), call);
        self.names.insert(call, name.to_owned());
        self.feed(Input::Incoming(Incoming {
            call,
            trunk: trunk.to_owned(),
            trunk_group: trunk.split('.').next().unwrap_or_default().to_owned(),
            access_number: None,
            language: languages.pop_front(),
            other_languages: languages.into(),
            caller,
            sip_call_id: format!("call-{}", self.born),
        }));
        Ok(call)
    }

    pub(in crate::bridge) fn hung_up(&mut self, name: &str, how: HangUp) -> Done {
        let call = self.call(name)?;
        self.give(Input::HungUp { call, how });
        self.close_leg(call);
        self.advance(Duration::ZERO);
        Ok(())
    }

    /// Each key is told by each source, one right after the other.
    fn dial(&mut self, name: &str, keys: &str, sources: &[DigitSource]) -> Result<(), String> {
        let call = self.call(name)?;
        for key in keys.chars() {
            let digit = Digit::from_char(key).ok_or(format!("key {key:?}"))?;
            for source in sources {
                self.feed(Input::Digit { call, digit, source: *source });
            }
            self.advance(KEY_TIME);
            for source in sources {
                self.feed(Input::KeyUp { call, source: *source, lasted: KEY_TIME });
            }
        }
        Ok(())
    }

    fn mute(&mut self, who: &str, muted: bool) -> Done {
        let participant = self.call(who)?;
        self.command(Command::Mute { participant, muted });
        Ok(())
    }

    fn remove(&mut self, who: &str, forget: bool) -> Done {
        let participant = self.call(who)?;
        self.command(Command::Remove { participant, forget });
        Ok(())
    }

    fn command(&mut self, command: Command) {
        self.born += 1;
        self.feed(Input::Command { request: RequestId(self.born), by: By::Host, command });
    }

    /// The call of that name.
    pub fn call(&self, name: &str) -> Result<CallId, String> {
        self.calls.get(name).copied().ok_or(format!("nobody called {name:?} has called"))
    }

    fn titled(&self, title: &str) -> Result<MeetingId, String> {
        Ok(self.store.meeting_named(title).ok_or(format!("no meeting {title:?}"))?.id)
    }

    fn title(&self, meeting: MeetingId) -> String {
        let view = self.store.meetings.iter().map(|row| &row.view).find(|view| view.id == meeting);
        view.map_or_else(|| "a deleted meeting".to_owned(), |view| view.title.clone())
    }
}

fn minutes(figure: usize) -> Duration {
    Duration::from_secs(60 * figure as u64)
}

fn tongue(tag: &str) -> Result<Language, String> {
    tag.parse().map_err(|error| format!("{error}"))
}

/// `from +44… network [over lab]`, or `withheld [over lab]`. A trunk's group is its name up to a dot.
fn caller<'a>(who: &[&'a str]) -> Result<(Caller, &'a str), String> {
    let (who, trunk) = match who {
        [who @ .., "over", trunk] => (who, *trunk),
        _ => (who, "lab"),
    };
    let caller = match who {
        ["withheld"] => Caller { withheld: true, basis: Basis::Withheld, ..Caller::default() },
        ["from", phone, trust] => {
            let phone: PhoneNumber = number(phone)?;
            let trust = Trust::from_name(trust).ok_or(format!("trust {trust:?}"))?;
            Caller { number: Some(phone), trust, ..Caller::default() }
        }
        _ => return Err(format!("caller {who:?}, expected such as from +442079460001 network")),
    };
    Ok((caller, trunk))
}

fn known_callers(policy: &str) -> Result<KnownCallers, String> {
    Ok(match policy {
        "straight-through" => KnownCallers::StraightThrough,
        "code-once" => KnownCallers::CodeOnce,
        "always-code" => KnownCallers::AlwaysCode,
        _ => return Err(format!("known callers {policy:?}")),
    })
}

/// Plays a script and compares: lines with `>` happen, all others are expected to come out.
///
/// The error is the whole script as it really went.
pub fn check(script: &str, start: Instant) -> Result<(), String> {
    let (expected, happened) = play(script, start)?;
    if expected == happened { Ok(()) } else { Err(happened.join("\n")) }
}

/// The script's story as written and as it went.
pub fn play(script: &str, start: Instant) -> Result<(Vec<String>, Vec<String>), String> {
    let mut stage = Stage::new(start);
    let (mut expected, mut happened) = (Vec::new(), Vec::new());
    let mut begun = false;
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        if let Some(story) = line.strip_prefix('>') {
            begun = true;
            expected.push(line.to_owned());
            happened.push(line.to_owned());
            stage.happen(story.trim()).map_err(|error| format!("{error}, in line {line:?}"))?;
            happened.append(&mut stage.take_said());
        } else if begun {
            expected.push(line.to_owned());
        } else {
            stage.set_up(line).map_err(|error| format!("{error}, in line {line:?}"))?;
        }
    }
    if !stage.store.faults.is_empty() {
        happened.push(format!("faults: {:?}", stage.store.faults));
    }
    Ok((expected, happened))
}
