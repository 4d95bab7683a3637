//! Every event in every state. A caller is brought to each place of the way, among others who are in the
//! meeting, and then each thing that can happen does; the rules are looked at after each step, and
//! where the caller is then stands in `tests/matrix.txt`. After that everybody goes home and nothing
//! may be left.
//!
//! A new state or event does not compile before it has a place or a line here. When rules change on purpose,
//! `REWRITE=1 cargo nextest run --lib matrix` writes down what happens now; read the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bridge::call::inside::{Inside, Menu};
use crate::bridge::call::state::{About, Event, State};
use crate::bridge::desk::Asker;
use crate::bridge::guess::Tried;
use crate::bridge::input::{HangUp, Quality};
use crate::bridge::rehearsal::Stage;
use crate::bridge::snapshot::Role;
use crate::bridge::view::MeetingState;
use crate::bridge::{Answer, Ending, Input, PlaybackId, QuestionId};

/// Who and what there is.
const WORLD: &str = "
    at 09:11
    host ada pin 123456789 host-pin 246810
    one-time ada review code 4711 09:00-10:00 known-callers always-code
    one-time ada budget code 8052 09:10-11:00
    one-time ada hold code 5274 09:00-10:00 wait
    one-time ada later code 9163 09:40-10:30
    remembered ada +442079460011
    remembered ada +442079460012
";

/// The meeting goes on, with a moderator and a guest in it, and one more at the door.
const COMPANY: &str = "ada opens review; mia: call withheld; mia: dial 123456789#4711#; wait 3s; promote mia; \
    gus: call withheld; gus: dial 123456789#4711#; wait 3s; lou: call from +442079460021 network";

/// What a list of kinds is: a name for each value, and something for each name.
macro_rules! kinds {
    ($name:ident, $all:ident, $of:ty, $($text:literal, $pattern:pat $(if $guard:expr)? => $with:expr;)+) => {
        fn $name(it: &$of) -> &'static str {
            match it { $($pattern $(if $guard)? => $text,)+ }
        }
        const $all: &[(&str, &[&str])] = &[$(($text, $with)),+];
    };
}

// Where a caller can be, and the ways there that are told apart. `@` is the caller, `PHONE` their
// number, `KNOWN` one that the host remembers.
kinds! { place, PLACES, State,
    "ringing", State::Ringing { .. } => &["@: ring from PHONE network"];
    "identifying", State::Identifying { .. } => &["store slow 1500ms; @: call from PHONE network; store back"];
    "welcoming", State::WelcomingKnown { .. } => &["@: call from KNOWN network"];
    "asking-pin, behind the code", State::AskingPin { behind: Some(_), .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial *",
    ];
    "asking-pin, begun", State::AskingPin { entry, .. } if !entry.keys().is_empty() => &[
        "@: call from PHONE network; @: dial 12",
    ];
    "asking-pin", State::AskingPin { .. } => &["@: call from PHONE network", "@: call withheld in en-GB pl-PL"];
    "checking-pin", State::CheckingPin { found: None, .. } => &[
        "@: call withheld; store slow 2s; @: dial 123456789; store back",
    ];
    "checking-pin, found", State::CheckingPin { found: Some(_), .. } => &[
        "@: call from PHONE network; @: dial 123456789",
        "@: call from PHONE network; @: dial 999999999",
    ];
    "asking-code", State::AskingCode { about: About::Typed(Some(_)), .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s",
        "@: call from PHONE claimed; @: dial 123456789; wait 1s; @: dial 47",
    ];
    "asking-code, of nobody", State::AskingCode { about: About::Typed(None), .. } => &[
        "@: call from PHONE network; @: dial 999999999; wait 1s",
    ];
    "asking-code, proved", State::AskingCode { about: About::Proved(..), .. } => &["@: call from KNOWN network; wait 4s"];
    "checking-code", State::CheckingCode { proved: None, .. } => &[
        "@: call withheld; @: dial 123456789; wait 1s; store slow 2s; @: dial 4711; store back",
    ];
    "checking-code, wrong", State::CheckingCode { proved: Some(None), .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial 0000",
    ];
    "checking-code, right", State::CheckingCode { proved: Some(Some(_)), .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial 4711",
    ];
    "asking-host-pin", State::AskingHostPin { .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial *0",
        "@: call from PHONE network; @: dial 999999999; wait 1s; @: dial *02468",
    ];
    "checking-host-pin", State::CheckingHostPin { right: None, .. } => &[
        "@: call withheld; @: dial 123456789; wait 1s; store slow 2s; @: dial *0246810#; store back",
    ];
    "checking-host-pin, wrong", State::CheckingHostPin { right: Some(false), .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial *0135790#",
    ];
    "checking-host-pin, right", State::CheckingHostPin { right: Some(true), .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial *0246810#",
    ];
    "choosing", State::Choosing { .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial *0246810#; wait 2s",
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial *0246810#; wait 2s; @: dial 1",
    ];
    "opening", State::Opening { .. } => &[
        "ada closes review; @: call from PHONE network; @: dial 123456789; wait 1s; @: dial 8052; store slow 3s; \
         wait 1500ms; store back",
    ];
    "waiting", State::Waiting { .. } => &[
        "@: call from PHONE network; @: dial 123456789; wait 1s; @: dial 9163; wait 2s",
        "ada closes review; @: call from PHONE network; @: dial 123456789; wait 1s; @: dial 5274; wait 2s",
    ];
    "lobby", State::Lobby { .. } => &[
        "ada locks review; @: call from PHONE network; @: dial 123456789; wait 1s; @: dial 4711; wait 2s",
        "ada locks review; @: call from PHONE network; @: dial 123456789; wait 1s; @: dial 4711; wait 6s",
        "ada locks review; @: call from PHONE network; @: dial 123456789; wait 1s; @: dial 4711; wait 12s",
    ];
    "announcing", State::Announcing { .. } => &[
        "ada records review; @: call from PHONE network; @: dial 123456789; wait 1s; @: dial 4711; wait 1500ms",
    ];
    "guest", State::InMeeting(Inside { role: Role::Guest, menu: Menu::Closed, .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s",
        "@: call withheld; @: dial 123456789#4711#; wait 2s; mute @",
        "store slow 9s; @: call withheld; store back; @: dial 123456789#4711#; wait 2s; @: dial *5",
    ];
    "guest, star", State::InMeeting(Inside { role: Role::Guest, menu: Menu::Open(_), .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; @: dial *",
    ];
    "guest, host PIN asked", State::InMeeting(Inside { menu: Menu::HostPin { .. }, .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; @: dial *024681",
    ];
    "guest, host PIN compared", State::InMeeting(Inside { menu: Menu::CheckingHostPin { right: None, .. }, .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; store slow 2s; @: dial *0246810#; store back",
    ];
    "guest, host PIN known", State::InMeeting(Inside { menu: Menu::CheckingHostPin { right: Some(_), .. }, .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; @: dial *0246810#",
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; @: dial *0135790#",
    ];
    "moderator", State::InMeeting(Inside { role: Role::Moderator, menu: Menu::Closed, .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; promote @",
    ];
    "moderator, star", State::InMeeting(Inside { role: Role::Moderator, menu: Menu::Open(_), .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; promote @; @: dial *",
    ];
    "moderator, asked", State::InMeeting(Inside { menu: Menu::Confirm(..), .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; promote @; @: dial *0",
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; promote @; @: dial *#",
    ];
    "moderator, lets in", State::InMeeting(Inside { menu: Menu::Admitting { .. }, .. }) => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; promote @; ada locks review; \
         lou: dial 123456789#4711#; wait 15s; @: dial *8",
    ];
    "leaving", State::Leaving { .. } => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; remove @",
    ];
    "hanging-up", State::HangingUp { .. } => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; wire slow 3s; @: lose media; wire back",
    ];
    "over", State::Over { .. } => &[
        "@: call from PHONE network; @: dial 123456789#4711#; wait 2s; wire slow 1500ms; @: hang up; wire back",
    ];
    "gone", State::Gone => &["@: call from PHONE network; @: dial 123456789#4711#; wait 2s; @: hang up"];
}

// What can happen. Behind `!` stands what no line of a script says.
kinds! { kind, EVENTS, Event,
    "answered", Event::Answered => &["@: answered"];
    "key", Event::Key(..) => &[
        "@: dial 0", "@: dial 1", "@: dial 2", "@: dial 9", "@: dial *", "@: dial #", "@: dial D", "@: dial 1 twice",
        "@: dial *9", "@: dial *#", "@: dial *#1", "@: dial *7",
    ];
    "played", Event::Played(_) => &["! played", "! played another"];
    "media-lost", Event::MediaLost => &["@: lose media"];
    "quality", Event::Quality(_) => &["! quality"];
    "hung-up", Event::HungUp(_) => &[
        "! hung up Caller", "! hung up Cancelled", "! hung up NoPrack", "! hung up NoAck", "! hung up SessionExpired",
        "! hung up Us", "! hung up Transport", "! hung up NoUsableAnswer", "! hung up Overload",
    ];
    "answer", Event::Answer(..) => &[
        "! answer unavailable", "! answer done", "! answer known", "! answer host", "! answer pin", "! answer code",
        "! answer host-pin", "! stray answer",
    ];
    "tick", Event::Tick => &["! tick"];
    "rejudge", Event::Rejudge { .. } => &["! rejudge", "! rejudge budget", "ada unlocks review", "ada opens later"];
    "write-failed", Event::WriteFailed => &["! write failed", "store gone; ada opens budget"];
    "meeting-over", Event::MeetingOver { .. } => &[
        "ada closes review", "ada cancels review", "ada opens budget", "ada opens ada-room", "! over", "! over, follow",
    ];
    "host-removed", Event::HostRemoved => &["remove ada", "! host removed"];
    "service-stops", Event::ServiceStops => &["end all calls"];
    "admitted", Event::Admitted => &["admit @", "! admitted"];
    "refused", Event::Refused => &["refuse @", "! refused"];
    "removed", Event::Removed { .. } => &["remove @", "remove and forget @"];
    "muted", Event::Muted(_) => &["mute @", "unmute @", "! muted"];
    "muted-with-all", Event::MutedWithAll(_) => &["ada mutes all in review", "ada unmutes all in review", "! all muted"];
    "promoted", Event::Promoted => &["promote @", "! promoted"];
    "hand-lowered", Event::HandLowered => &["lower hand of @", "! hand lowered"];
    "remembered", Event::Remembered(_) => &["! remembered"];
    "forgotten", Event::Forgotten(_) => &["! forgotten", "! not forgotten"];
}

/// What happens to others, to the store and to the clock.
const AROUND: &[&str] = &[
    "ada locks review",
    "ada records review",
    "ada stops recording review",
    "store gone",
    "store slow 8s",
    "store slow 30s",
    "date +1h",
    "date -1h",
    "drain",
    "revoke KNOWN",
    "yan: call from PHONE network",
    "mia: hang up",
    "mia: dial *2",
    "mia: dial *4",
    "mia: dial *7",
    "mia: dial *8",
    "mia: dial *#1",
    "mia: dial *01",
    "lou: dial 123456789#*0246810#1",
    "gus: dial *0246810#",
    "gus: dial *3",
];

/// What meets several callers at once.
const TOGETHER: &[&str] = &[
    "ada opens budget",
    "ada opens ada-room",
    "ada opens hold",
    "ada closes review",
    "ada cancels review",
    "ada locks review; ada unlocks review",
    "ada records review; wait 1s; ada stops recording review",
    "ada mutes all in review; gus: dial *6; ada unmutes all in review",
    "remove ada",
    "drain",
    "store gone; wait 5s",
    "mia: dial *01",
    "mia: dial *#1",
    "mia: hang up; wait 6m",
    "date +1h; wait 1m; date -1h",
    "wait 40s",
    "wait 12m",
    "mia: dial *8; wait 3s; mia: dial *8",
];

/// One caller: the name, the number, and one that is remembered.
type Who = [&'static str; 3];
const ANNA: Who = ["anna", "+442079460001", "+442079460011"];
const BERT: Who = ["bert", "+442079460002", "+442079460012"];

fn at_home() -> Stage {
    let mut stage = Stage::new(Instant::now());
    for line in WORLD.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.set_up(line).unwrap();
    }
    happen(&mut stage, ANNA, COMPANY);
    stage
}

fn happen(stage: &mut Stage, [name, phone, known]: Who, script: &str) {
    for line in script.split(';').map(str::trim) {
        let line = line.replace('@', name).replace("PHONE", phone).replace("KNOWN", known);
        match line.strip_prefix("! ") {
            Some(inner) => within(stage, name, inner),
            None => stage.happen(&line).unwrap_or_else(|error| panic!("{error}")),
        }
    }
}

/// What no script can say: single events, answers and ends of every kind.
fn within(stage: &mut Stage, name: &str, what: &str) {
    let call = stage.call(name).unwrap();
    let ada = stage.store.host_named("ada").map(|host| host.id);
    let budget = stage.store.meeting_named("budget").map(|view| view.id);
    let asked = stage.bridge.desk.asked.iter();
    let question =
        asked.filter(|(_, asker)| **asker == Asker::Call(call)).map(|(question, _)| *question).next_back();
    let nobody = QuestionId(u64::MAX);
    let tried =
        Tried { compared: true, delay: Duration::ZERO, exhausted: false, spent: None, used_up: Vec::new() };
    let answer = |answer| Input::Answer { question: question.unwrap_or(nobody), answer };
    let ending = Ending::MeetingEnded;
    let (event, ada) = match (what, ada) {
        ("played", _) => {
            let playback = stage.first_playing(call).unwrap_or(PlaybackId(u64::MAX));
            return stage.feed(Input::Played { call, playback });
        }
        ("played another", _) => return stage.feed(Input::Played { call, playback: PlaybackId(u64::MAX) }),
        ("quality", _) => return stage.feed(Input::Quality { call, quality: Quality::default() }),
        ("tick", _) => {
            // Until the caller's own timer comes; what happens before may put it off.
            let end = stage.now().instant + Duration::from_secs(60 * 60);
            loop {
                let timer = stage.bridge.calls.get(&call).and_then(|entry| entry.0.timer);
                let next = stage.next().unwrap_or(end).min(end);
                stage.advance(next - stage.now().instant);
                if next == end || timer.is_none_or(|timer| timer <= next) {
                    return;
                }
            }
        }
        ("answer unavailable", _) => return stage.feed(answer(Answer::Unavailable)),
        ("answer done", _) => return stage.feed(answer(Answer::Done)),
        ("answer known", _) => return stage.feed(answer(Answer::Known(Vec::new()))),
        ("answer host", _) => return stage.feed(answer(Answer::Host(None))),
        ("answer pin", _) => return stage.feed(answer(Answer::Pin { host: None, tried })),
        ("answer code", _) => return stage.feed(answer(Answer::Code { proved: None, tried })),
        ("answer host-pin", _) => return stage.feed(answer(Answer::HostPin { right: false, tried })),
        ("stray answer", _) => return stage.feed(Input::Answer { question: nobody, answer: Answer::Done }),
        ("rejudge", ada) => (Event::Rejudge { opened: None }, ada),
        ("rejudge budget", ada) => (Event::Rejudge { opened: budget }, ada),
        ("write failed", ada) => (Event::WriteFailed, ada),
        ("over", ada) => (Event::MeetingOver { ending, follow: false }, ada),
        ("over, follow", ada) => (Event::MeetingOver { ending, follow: true }, ada),
        ("host removed", ada) => (Event::HostRemoved, ada),
        ("admitted", ada) => (Event::Admitted, ada),
        ("refused", ada) => (Event::Refused, ada),
        ("muted", ada) => (Event::Muted(true), ada),
        ("all muted", ada) => (Event::MutedWithAll(true), ada),
        ("promoted", ada) => (Event::Promoted, ada),
        ("hand lowered", ada) => (Event::HandLowered, ada),
        ("remembered", Some(host)) => (Event::Remembered(host), Some(host)),
        ("forgotten", ada) => (Event::Forgotten(true), ada),
        ("not forgotten", ada) => (Event::Forgotten(false), ada),
        (what, _) => {
            let how = what
                .strip_prefix("hung up ")
                .and_then(|how| HANG_UPS.into_iter().find(|hang_up| format!("{hang_up:?}") == how));
            let how = how.unwrap_or_else(|| panic!("{what:?} is nothing that can happen"));
            return stage.hung_up(name, how).unwrap();
        }
    };
    assert!(ada.is_some());
    let (_, lines) = EVENTS.iter().find(|(name, _)| *name == kind(&event)).unwrap();
    assert!(lines.iter().any(|line| line.strip_prefix("! ") == Some(what)), "{what:?} stands elsewhere");
    stage.event(call, event);
}

const HANG_UPS: [HangUp; 9] = [
    HangUp::Caller,
    HangUp::Cancelled,
    HangUp::NoPrack,
    HangUp::NoAck,
    HangUp::SessionExpired,
    HangUp::Us,
    HangUp::Transport,
    HangUp::NoUsableAnswer,
    HangUp::Overload,
];

fn place_of(stage: &Stage, name: &str) -> &'static str {
    let call = stage.call(name).unwrap();
    stage.bridge.calls.get(&call).map_or("gone", |entry| place(&entry.1))
}

/// The story goes on a little, then everybody goes home. What is left or went wrong.
fn to_the_end(stage: &mut Stage, who: &[Who]) -> Result<(), String> {
    for keys in ["1", "*6", "#"] {
        for name in who.iter().map(|who| who[0]).chain(["mia", "gus", "lou"]) {
            stage.happen(&format!("{name}: dial {keys}"))?;
        }
    }
    stage.advance(Duration::from_secs(20));
    stage.happen("store back")?;
    stage.advance(Duration::from_secs(20));
    for name in who.iter().map(|who| who[0]).chain(["mia", "gus", "lou", "yan"]) {
        if stage.call(name).is_ok_and(|call| stage.bridge.calls.contains_key(&call)) {
            stage.happen(&format!("{name}: hang up"))?;
        }
    }
    // A moderator's meeting stays open until its end, and the clock may have been set back.
    stage.advance(Duration::from_secs(5 * 60 * 60));
    if let Some(fault) = stage.store.faults.first() {
        return Err(fault.clone());
    }
    stage.at_rest()?;
    if let Some(open) = stage.store.meetings.iter().find(|row| row.view.state == MeetingState::Open) {
        return Err(format!("{} stays open", open.view.title));
    }
    Ok(())
}

#[test]
fn in_every_state_every_event_does_what_is_written() {
    let mut written = String::from("Where a caller is after each thing that can happen, in each place.\n");
    let (mut pairs, mut faults) = (BTreeSet::new(), Vec::new());
    let around = ("around", AROUND);
    for (at, ways) in PLACES {
        for way in *ways {
            written += &format!("\n== {at}\n   {way}\n");
            let mut after: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (event, lines) in EVENTS.iter().chain([&around]) {
                for line in *lines {
                    let mut stage = at_home();
                    happen(&mut stage, ANNA, way);
                    if place_of(&stage, ANNA[0]) != *at {
                        faults.push(format!("{at}, by {way:?}: it leads to {}", place_of(&stage, ANNA[0])));
                        break;
                    }
                    happen(&mut stage, ANNA, line);
                    after.entry(place_of(&stage, ANNA[0])).or_default().push(line);
                    pairs.insert((*at, *event));
                    if let Err(fault) = to_the_end(&mut stage, &[ANNA]) {
                        faults.push(format!("{at}, by {way:?}, then {line:?}: {fault}"));
                    }
                }
            }
            for (place, lines) in after {
                written += &format!("{place} <- {}\n", lines.join(" | "));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(pairs.len(), PLACES.len() * (EVENTS.len() + 1));
    println!("{} places x {} events, all of them", PLACES.len(), EVENTS.len());

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix.txt");
    if std::env::var_os("REWRITE").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (expected, happened) in expected.lines().zip(written.lines()) {
        assert_eq!(expected, happened, "written in tests/matrix.txt, and how it went");
    }
    assert_eq!(expected.len(), written.len());
}

#[test]
fn whatever_meets_two_callers_at_once_the_rules_hold() {
    let ways: Vec<(&str, &str)> =
        PLACES.iter().flat_map(|(at, ways)| ways.iter().map(move |way| (*at, *way))).collect();
    let (mut both, mut faults) = (0, Vec::new());
    let mut stories = 0;
    for (one, (_, first)) in ways.iter().enumerate() {
        for (other, (at, second)) in ways.iter().enumerate() {
            // Each pair meets some of them, and each of them meets many pairs.
            for turn in 0..3 {
                let line = TOGETHER[(one + other * 5 + turn * 7) % TOGETHER.len()];
                let mut stage = at_home();
                happen(&mut stage, ANNA, first);
                happen(&mut stage, BERT, second);
                both +=
                    usize::from(place_of(&stage, BERT[0]) == *at && place_of(&stage, ANNA[0]) == ways[one].0);
                happen(&mut stage, ANNA, line);
                stories += 1;
                if let Err(fault) = to_the_end(&mut stage, &[ANNA, BERT]) {
                    faults.push(format!("{first:?} and {second:?}, then {line:?}: {fault}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    println!("{stories} stories, {both} of them with both where they were to be");
    assert!(both * 3 > stories, "{both} of {stories}");
}
