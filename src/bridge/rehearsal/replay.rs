//! A recorded call once more: its times, its keys without their digits, and what others did to it are
//! played to the real flow among made-up people, and the two ways are laid side by side.
//!
//! A record never holds a digit. What was keyed is made up so that it has the verdict that the record
//! tells: right entries where the caller came further, wrong ones where they did not. Prompts have about
//! their length here, so times may differ; the way may not.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;

use super::Stage;

/// What a replay needs of a record, as `GET /calls/{id}` and `doorline calls --json` write it.
#[derive(Clone, Debug, Deserialize)]
pub struct Recorded {
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub withheld: bool,
    pub trust: String,
    pub entered: Option<String>,
    pub ending: Option<String>,
    pub path: Vec<Step>,
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Step {
    pub at: Timestamp,
    pub what: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Key {
    pub at: Timestamp,
}

/// One line of the comparison: when since the call's start, and what.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pair {
    pub recorded: Option<(Duration, String)>,
    pub replayed: Option<(Duration, String)>,
}

impl Pair {
    /// The same happened.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let what = |side: &Option<(Duration, String)>| side.as_ref().map(|(_, what)| what.clone());
        what(&self.recorded) == what(&self.replayed)
    }
}

/// Most steps that a record keeps; one that has as many may have lost its beginning.
const STEPS_MAX: usize = 64;
/// From the last key to the verdict, less what clocks may differ by.
const VERDICT: Duration = Duration::from_millis(1_150);
const PIN: &str = "123456789";
const CODE: &str = "4711";
const WRONG_CODE: &str = "4712";
const HOST_PIN: &str = "445566778899";
/// Long enough for every good-bye.
const GOODBYE: Duration = Duration::from_secs(120);

/// Plays the call; both ways, step by step. `start`: where its time begins; any instant will do.
///
/// # Errors
/// When the record is of a call that still lives, was never answered, or has lost its beginning.
pub fn replay(recorded: &Recorded, start: Instant) -> Result<Vec<Pair>, String> {
    let Some(ended_at) = recorded.ended_at else { return Err("the call still lives".to_owned()) };
    if recorded.path.len() >= STEPS_MAX {
        return Err(format!("the record has its last {STEPS_MAX} steps alone, its beginning is lost"));
    }
    if recorded.path.first().is_none_or(|step| step.what != "ringing") {
        return Err("the call was refused before anything was decided about it".to_owned());
    }
    let world = World { recorded, ended_at };
    let mut stage = Stage::new(start);
    for line in world.set_up() {
        stage.set_up(&line)?;
    }
    for line in world.before() {
        stage.happen(&line)?;
    }
    let start = stage.now();
    let mut events = world.events();
    events.sort_by_key(|(at, _)| *at);
    for (at, line) in events {
        let passed = stage.now().instant - start.instant;
        stage.advance(at.saturating_sub(passed));
        // Somebody who is gone cannot press a key any more.
        if stage.records.is_empty() {
            stage.happen(&line)?;
        }
    }
    stage.advance(GOODBYE);
    let replayed = stage.records.first().map(|record| &record.path[..]).unwrap_or_default();
    let since = |start: Timestamp, at: Timestamp| at.duration_since(start).try_into().unwrap_or_default();
    let ours = recorded.path.iter().map(|step| (since(recorded.started_at, step.at), step.what.clone()));
    let theirs = replayed.iter().map(|step| (since(start.date, step.at), step.what.to_owned()));
    let (ours, theirs): (Vec<_>, Vec<_>) = (ours.collect(), theirs.collect());
    let count = ours.len().max(theirs.len());
    let pair = |n| Pair { recorded: ours.get(n).cloned(), replayed: theirs.get(n).cloned() };
    Ok((0..count).map(pair).collect())
}

/// The people and meetings in which the recorded call makes sense.
struct World<'a> {
    recorded: &'a Recorded,
    ended_at: Timestamp,
}

impl World<'_> {
    fn passed(&self, what: &str) -> bool {
        self.recorded.path.iter().any(|step| step.what == what)
    }

    fn entered(&self, how: &str) -> bool {
        self.recorded.entered.as_deref() == Some(how)
    }

    fn ended(&self, how: &str) -> bool {
        self.recorded.ending.as_deref() == Some(how)
    }

    fn since_start(&self, at: Timestamp) -> Duration {
        at.duration_since(self.recorded.started_at).try_into().unwrap_or_default()
    }

    /// A One Time Meeting, or the host's standard one.
    fn title(&self) -> &'static str {
        let code = self.passed("asking-code") || self.entered("proved-code") || self.passed("waiting");
        if code || self.passed("asking-host-pin") { "review" } else { "ada-room" }
    }

    fn set_up(&self) -> Vec<String> {
        let host_pin = &HOST_PIN[..self.host_pin_length()];
        let mut lines = vec![format!("host ada pin {PIN} host-pin {host_pin}")];
        if self.title() == "review" {
            let wait = if self.passed("waiting") { " wait" } else { "" };
            lines.push(format!("one-time ada review code {CODE} 08:30-20:00{wait}"));
        }
        if self.ended("meeting-closed-by-second") {
            lines.push("one-time ada other code 8052 08:00-20:00".to_owned());
        }
        if self.passed("welcoming") {
            lines.push("remembered ada +442079460001".to_owned());
        }
        lines
    }

    /// What was there before the call.
    fn before(&self) -> Vec<String> {
        let came_in = self.recorded.entered.is_some() || self.passed("lobby");
        let mut lines = Vec::new();
        if came_in
            && !self.passed("opening")
            && !self.passed("waiting")
            && !self.passed("asked-which-meeting")
        {
            lines.push(format!("ada opens {}", self.title()));
        }
        if self.passed("lobby") {
            lines.push(format!("ada locks {}", self.title()));
        }
        lines
    }

    /// Everything that happened to the call, by when.
    fn events(&self) -> Vec<(Duration, String)> {
        let who = if self.recorded.withheld {
            "call withheld".to_owned()
        } else {
            format!("call from +442079460001 {}", self.recorded.trust)
        };
        let mut events = Vec::new();
        // Whether the number was known by the answer is the store's doing, not the flow's.
        let looked_up = self.recorded.path.iter().position(|step| step.what == "identifying");
        if let Some(then) = looked_up.and_then(|at| self.recorded.path.get(at + 1)) {
            let took = self.since_start(then.at).max(Duration::from_millis(1));
            events.push((Duration::ZERO, format!("store slow {}ms", took.as_millis())));
            events.push((took, "store back".to_owned()));
        }
        events.push((Duration::ZERO, format!("x: {who}")));
        events.extend(self.keys().into_iter().map(|(at, key)| (at, format!("x: dial {key}"))));
        let title = self.title();
        let (mut before, mut inside) = ("", false);
        for step in &self.recorded.path {
            let line = match step.what.as_str() {
                "admitted" => Some("admit x".to_owned()),
                "refused" => Some("refuse x".to_owned()),
                "muted-by-moderator" => Some("mute x".to_owned()),
                "unmuted-by-moderator" => Some("unmute x".to_owned()),
                "becomes-moderator" => Some("promote x".to_owned()),
                "leaving" if self.ended("removed-by-moderator") => Some("remove x".to_owned()),
                "leaving" if self.ended("meeting-cancelled") => Some(format!("ada cancels {title}")),
                "leaving" if self.ended("meeting-closed-by-second") => Some("ada opens other".to_owned()),
                "leaving" if self.ended("meeting-ended") && inside => Some(format!("ada closes {title}")),
                "in-meeting" | "announcing" if before == "waiting" => Some(format!("ada opens {title}")),
                _ => None,
            };
            events.extend(line.map(|line| (self.since_start(step.at), line)));
            before = &step.what;
            inside |= before == "in-meeting";
        }
        let end = match self.recorded.ending.as_deref() {
            Some("hung-up") => Some("x: hang up"),
            Some("transport-lost") => Some("x: lose transport"),
            Some("media-lost") => Some("x: lose media"),
            _ => None,
        };
        events.extend(end.map(|line| (self.since_start(self.ended_at), line.to_owned())));
        events
    }

    /// Each key's time, and the digit that we make up for it.
    fn keys(&self) -> Vec<(Duration, char)> {
        let keys: Vec<Duration> = self.recorded.keys.iter().map(|key| self.since_start(key.at)).collect();
        let mut digits: Vec<char> = vec!['#'; keys.len()];
        let mut from = 0;
        for (verdict, entry) in self.rounds() {
            // What was complete by the verdict; a `#` behind it may come later.
            let complete = keys.partition_point(|at| *at + VERDICT <= verdict).max(from);
            let entry: Vec<char> = entry.chars().collect();
            // More keys than the entry has: a `#` behind the PIN, or corrections, which change nothing.
            let more = (complete - from).saturating_sub(entry.len());
            let pin = PIN.len().min(entry.len());
            for (n, at) in (from..complete).enumerate() {
                digits[at] = match n {
                    n if n < pin => entry[n],
                    n if n < pin + more => '#',
                    n => entry[n - more],
                };
            }
            from = complete;
        }
        // Chosen before it was asked which meeting: the first.
        if let Some(at) = self.chosen_ahead()
            && let Some(last) = keys.partition_point(|key| *key <= at).checked_sub(1)
        {
            digits[last] = '1';
        }
        for (at, command) in self.commands() {
            let end = keys.partition_point(|key| *key <= at);
            for (n, key) in command.chars().rev().enumerate() {
                if let Some(place) = end.checked_sub(n + 1).filter(|place| *place >= from) {
                    digits[place] = key;
                }
            }
        }
        keys.into_iter().zip(digits).collect()
    }

    /// When each verdict came, and an entry that has it.
    fn rounds(&self) -> Vec<(Duration, String)> {
        let mut rounds = Vec::new();
        let (mut asked, mut code, mut host_pin) = (false, false, false);
        for step in &self.recorded.path {
            let at = self.since_start(step.at);
            match step.what.as_str() {
                "asking-pin" => (asked, code, host_pin) = (true, false, false),
                "asking-code" => (asked, code) = (true, true),
                "asking-host-pin" => (asked, host_pin) = (true, true),
                "wrong-details" => {
                    rounds.push((at, format!("{PIN}{WRONG_CODE}")));
                    asked = false;
                }
                // Nothing complete: no verdict.
                "nothing-entered" => asked = false,
                "in-meeting" | "opening" | "lobby" | "waiting" | "announcing" | "leaving" if asked => {
                    let pin = if self.passed("asking-pin") { PIN } else { "" };
                    let entry = match (host_pin, code) {
                        (true, _) => format!("{pin}*0{}#", &HOST_PIN[..self.host_pin_length()]),
                        (false, true) => format!("{pin}{CODE}"),
                        (false, false) => pin.to_owned(),
                    };
                    rounds.push((at, entry));
                    asked = false;
                }
                _ => {}
            }
        }
        rounds
    }

    /// How long the host PIN was, by the number of keys; six digits if that tells nothing.
    fn host_pin_length(&self) -> usize {
        let asked = self.recorded.path.iter().position(|step| step.what == "asking-host-pin");
        let Some(asked) = asked else { return 6 };
        let verdict = self.recorded.path[asked..]
            .iter()
            .find(|step| step.what != "asking-host-pin" && step.what != "checking");
        let until = verdict.map_or(self.ended_at, |step| step.at);
        let count = self.recorded.keys.iter().filter(|key| key.at < until).count();
        let chosen = usize::from(self.chosen_ahead().is_some());
        count.saturating_sub(PIN.len() + 3 + chosen).clamp(6, HOST_PIN.len())
    }

    /// When a moderator was asked which meeting, if the answer had been keyed by then.
    fn chosen_ahead(&self) -> Option<Duration> {
        let asked = self.recorded.path.iter().position(|step| step.what == "asked-which-meeting")?;
        let next = self.recorded.path.get(asked + 1)?;
        (next.what == "opening").then(|| self.since_start(self.recorded.path[asked].at))
    }

    /// Keys of the meeting that left a trace, by when.
    fn commands(&self) -> Vec<(Duration, &'static str)> {
        let command = |step: &Step| {
            let keys = match step.what.as_str() {
                "locks" | "unlocks" => "*7",
                "mutes-all" | "unmutes-all" => "*4",
                "starts-recording" | "stops-recording" => "*2",
                "forgotten" => "*9",
                "ends-for-all" => "*01",
                _ => return None,
            };
            Some((self.since_start(step.at), keys))
        };
        self.recorded.path.iter().filter_map(command).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::CallRecord;
    use crate::bridge::snapshot::Entered;

    /// The record of the call that a script made, as the API would write it.
    fn recorded(script: &str) -> Recorded {
        let mut stage = Stage::new(Instant::now());
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match line.strip_prefix('>') {
                Some(story) => stage.happen(story.trim()).unwrap(),
                None => stage.set_up(line).unwrap(),
            }
        }
        let record: &CallRecord = stage.records.first().expect("the call is over");
        Recorded {
            started_at: record.started_at,
            ended_at: Some(record.ended_at),
            withheld: record.withheld,
            trust: record.trust.as_str().to_owned(),
            entered: record.entered.map(|entered| word(entered).to_owned()),
            ending: Some(record.ending.name().to_owned()),
            path: record.path.iter().map(|step| Step { at: step.at, what: step.what.to_owned() }).collect(),
            keys: record.keys.iter().map(|key| Key { at: key.at }).collect(),
        }
    }

    fn word(entered: Entered) -> &'static str {
        match entered {
            Entered::ProvedCode => "proved-code",
            Entered::Remembered => "remembered",
            Entered::PinOnly => "pin-only",
            Entered::Moderator => "moderator",
        }
    }

    const ADA: &str = "host ada pin 987654321 host-pin 665544\none-time ada budget code 1357 08:00-12:00\n";

    #[test]
    fn a_recorded_call_goes_the_same_way_whatever_was_keyed() {
        let stories = [
            ("PIN and code in one go", "> x: dial 9876543211357\n> wait 20s\n> x: hang up"),
            ("with hashes", "> x: dial 987654321#1357#\n> wait 20s\n> x: hang up"),
            (
                "as a person does it",
                "> wait 4s\n> x: dial 987654321\n> wait 3s\n> x: dial 1357\n> wait 9s\n> x: hang up",
            ),
            (
                "wrong, then right",
                "> x: dial 9876543211358\n> wait 5s\n> x: dial 987654321#1357\n> wait 9s\n> x: hang up",
            ),
            ("nobody's PIN", "> x: dial 1111111111111\n> wait 5s\n> x: hang up"),
            (
                "three times wrong",
                "> x: dial 9876543211358\n> wait 5s\n> x: dial 9876543211358\n> wait 5s\n> x: dial 9876543211358\n> wait 30s",
            ),
            ("nothing at all", "> wait 120s"),
            ("gives up while typing", "> x: dial 98765\n> wait 1s\n> x: hang up"),
            ("closed by the host", "> x: dial 9876543211357\n> wait 9s\n> ada closes budget\n> wait 30s"),
            ("removed", "> x: dial 9876543211357\n> wait 9s\n> remove x\n> wait 30s"),
            (
                "muted and let speak",
                "> x: dial 9876543211357\n> wait 9s\n> mute x\n> wait 2s\n> unmute x\n> x: hang up",
            ),
            (
                "forgets the phone",
                "> x: dial 9876543211357\n> wait 9s\n> x: dial *9\n> wait 5s\n> x: hang up",
            ),
            (
                "the moderator",
                "> x: dial 987654321*0665544#1\n> wait 9s\n> x: dial *7\n> wait 3s\n> x: dial *7\n> wait 3s\n> x: hang up",
            ),
        ];
        for (name, story) in stories {
            let recorded = recorded(&format!("{ADA}> x: call from +442079460007 network\n{story}"));
            let pairs = replay(&recorded, Instant::now()).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert!(pairs.len() > 2, "{name}: {pairs:?}");
            assert!(pairs.iter().all(Pair::agrees), "{name}: {pairs:#?}");
        }
        let remembered = format!(
            "{ADA}remembered ada +442079460007\n> x: call from +442079460007 network\n> wait 9s\n> x: hang up"
        );
        let lobby = format!(
            "{ADA}> ada opens budget\n> ada locks budget\n> x: call withheld\n> x: dial 9876543211357\n> wait 20s\n> admit x\n> wait 5s\n> x: hang up"
        );
        let standard =
            "host ada pin 987654321\n> x: call withheld\n> x: dial 987654321\n> wait 20s\n> x: hang up"
                .to_owned();
        let slow = format!(
            "{ADA}> store slow 20ms\n> x: call from +442079460007 network\n> wait 1s\n> store back\n\
             > x: dial 9876543211357\n> wait 9s\n> x: hang up"
        );
        for script in [remembered, lobby, standard, slow] {
            let pairs = replay(&recorded(&script), Instant::now()).unwrap();
            assert!(pairs.iter().all(Pair::agrees), "{script}: {pairs:#?}");
        }
    }

    #[test]
    fn where_it_departs_is_found_and_what_cannot_be_replayed_is_said() {
        let good =
            recorded(&format!("{ADA}> x: call withheld\n> x: dial 9876543211357\n> wait 9s\n> x: hang up"));
        let mut changed = good.clone();
        let at = changed.path.iter().position(|step| step.what == "in-meeting").unwrap();
        changed.path[at].what = "lobby-of-old".to_owned();
        let pairs = replay(&changed, Instant::now()).unwrap();
        assert_eq!(pairs.iter().position(|pair| !pair.agrees()), Some(at), "{pairs:#?}");

        let lives = Recorded { ended_at: None, ..good.clone() };
        assert_eq!(replay(&lives, Instant::now()), Err("the call still lives".to_owned()));
        let lost = Recorded { path: good.path.iter().cycle().take(64).cloned().collect(), ..good.clone() };
        assert!(replay(&lost, Instant::now()).unwrap_err().contains("its beginning is lost"));
        let refused = Recorded { path: good.path[1..].to_vec(), ..good };
        assert!(replay(&refused, Instant::now()).is_err());
    }
}
