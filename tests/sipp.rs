//! QA's scenarios, run by the real SIPp against the real program.
//!
//! SIPp checks statuses and headers; what it cannot see is read from the call's record. Some callers
//! are silent for most of a minute, so all run at once, each from a number of its own.

mod support;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use support::sipp::{self, Scenario};
use support::{Api, Doorline, Host, Ipv6, Meeting, Options};

/// A host with its One Time Meeting, of which each scenario has its own.
struct Scene {
    api: Api,
    host: Host,
    meeting: Meeting,
}

/// One scenario's test: what SIPp needs to be told, and what the record must say.
type Check = (&'static str, fn(&Doorline, &Scene, &str));

const CHECKS: &[Check] = &[
    ("first-time-caller", |door, scene, number| {
        let record = call(door, scene, "first-time-caller", number);
        entered(&record, "proved-code");
        assert_eq!(record["remembered"], true, "{record}");
        assert_eq!(scene.api.verified_numbers(&scene.host).len(), 1);
    }),
    ("known-caller", |door, scene, number| {
        let record = call(door, scene, "early-digits", number);
        assert_eq!(record["remembered"], true, "{record}");
        let record = call(door, scene, "known-caller", number);
        // It proved this very meeting's code a moment ago, and that is what the roster shows.
        entered(&record, "proved-code");
        let why = record["explanation"].as_str().expect("an explanation is text");
        assert!(why.contains("the phone is remembered"), "{record}");
        assert!(!went_through(&record, "asking-pin"), "{record}");
        assert_eq!(record["keys"].as_array().map(Vec::len), Some(0), "{record}");
    }),
    ("wrong-code", |door, scene, number| {
        let wrong = wrong_code(scene.meeting.code());
        let scenario = Scenario::new("wrong-code", door.sip(), number);
        let call = scenario.key("pin", &scene.host.pin).key("code", &wrong).passes();
        let record = scene.api.record(&call.call_id);
        assert_eq!(record["ending"], "too-many-wrong-entries", "{record}");
        assert_eq!(record["entered"], Value::Null, "{record}");
        assert!(scene.api.verified_numbers(&scene.host).is_empty());
    }),
    ("silent-caller", |door, scene, number| {
        let scenario = Scenario::new("silent-caller", door.sip(), number);
        let call = scenario.within(Duration::from_secs(80)).passes();
        let record = scene.api.record(&call.call_id);
        assert_eq!(record["ending"], "nothing-entered", "{record}");
    }),
    ("early-digits", |door, scene, number| {
        let record = call(door, scene, "early-digits", number);
        entered(&record, "proved-code");
    }),
    ("hold", |door, scene, number| {
        let record = call(door, scene, "hold", number);
        assert_eq!(record["ending"], "hung-up", "{record}");
    }),
    ("late-offer", |door, scene, number| {
        // PIN, then code, as one line of keys.
        let keys = format!("{}#{}#", scene.host.pin, scene.meeting.code());
        let call = Scenario::new("late-offer", door.sip(), number).key("pin", &keys).passes();
        let record = scene.api.record(&call.call_id);
        entered(&record, "proved-code");
        let keys = record["keys"].as_array().expect("keys are a list");
        assert!(keys.iter().all(|key| key["source"] == "info"), "{record}");
    }),
    ("cancel", |door, scene, number| {
        // Our answer may overtake the CANCEL, see the scenario.
        let runs = (0..60).map(|_| Scenario::new("cancel", door.sip(), number).run());
        let mut errors = String::new();
        let cancelled = runs.into_iter().find(|run| {
            errors.clone_from(&run.errors);
            run.passed
        });
        let call = cancelled.unwrap_or_else(|| panic!("never cancelled: {errors}"));
        let record = scene.api.record(&call.call_id);
        assert_eq!(record["ending"], "cancelled", "{record}");
        assert_eq!(record["answered_at"], Value::Null, "{record}");
    }),
    ("lost-ack", |door, scene, number| {
        let call = Scenario::new("lost-ack", door.sip(), number).passes();
        let record = scene.api.record(&call.call_id);
        assert_eq!(record["ending"], "no-ack", "{record}");
    }),
    ("unknown-number", |door, scene, number| {
        let call = Scenario::new("unknown-number", door.sip(), number).dials("+442079460999").passes();
        let record = scene.api.record(&call.call_id);
        assert_eq!(record["ending"], "unknown-access-number", "{record}");
    }),
    ("no-codec", |door, scene, number| {
        let call = Scenario::new("no-codec", door.sip(), number).passes();
        let record = scene.api.record(&call.call_id);
        assert_eq!(record["ending"], "no-usable-codec", "{record}");
    }),
    ("no-address", |door, _, number| {
        passes(door, "no-address", number, "no-usable-address");
    }),
    ("repeated-lines", |door, _, number| {
        passes(door, "repeated-lines", number, "hung-up");
    }),
    ("secure-media", |door, scene, number| {
        for from in [SECURE, SECURE_ALONE] {
            let call = Scenario::new("secure-media", door.sip(), number).from(from).passes();
            let record = scene.api.record(&call.call_id);
            assert_eq!(record["ending"], "hung-up", "{record}");
            assert_eq!(record["quality"]["srtp"], "AES_CM_128_HMAC_SHA1_32", "{record}");
        }
    }),
    ("secure-media-refused", |door, scene, number| {
        let call = Scenario::new("secure-media-refused", door.sip(), number).passes();
        let record = scene.api.record(&call.call_id);
        assert_eq!(record["ending"], "no-usable-encryption", "{record}");
    }),
    ("plain-media", |door, scene, number| {
        let call = Scenario::new("plain-media", door.sip(), number).from(SECURE_ALONE).passes();
        let record = scene.api.record(&call.call_id);
        assert_eq!(record["ending"], "no-usable-encryption", "{record}");
    }),
    ("prack", |door, _, number| {
        let record = passes(door, "prack", number, "hung-up");
        assert_eq!(record["redirected_by"], "+4420…0002", "{record}");
        assert_eq!(record["redirected_why"], "no-answer", "{record}");
        assert_eq!(record["session_id"], "ab30317f1a784dc48ff824d0d3715d86", "{record}");
        assert_eq!(record["peer_reason"]["q850"], 16, "{record}");
        assert_ne!(record["answered_at"], Value::Null, "{record}");
    }),
    ("early-update", |door, _, number| {
        passes(door, "early-update", number, "hung-up");
    }),
    ("wrong-rack", |door, _, number| {
        passes(door, "wrong-rack", number, "hung-up");
    }),
    ("timer-by-caller", |door, _, number| {
        passes(door, "timer-by-caller", number, "hung-up");
    }),
    ("timer-by-us", |door, scene, number| {
        // It asks nothing of the caller but to stay, and would else be asked for a PIN three times.
        passes_inside(door, scene, "timer-by-us", number, "hung-up");
    }),
    ("timer-expires", |door, scene, number| {
        passes_inside(door, scene, "timer-expires", number, "session-expired");
    }),
    ("glare", |door, scene, number| {
        passes_inside(door, scene, "glare", number, "hung-up");
    }),
    ("short-timer", |door, _, number| {
        let record = passes(door, "short-timer", number, "interval-too-small");
        assert_eq!(record["refused_with"], 422, "{record}");
    }),
    ("hold-forms", |door, _, number| {
        passes(door, "hold-forms", number, "hung-up");
    }),
    ("t38", |door, _, number| {
        passes(door, "t38", number, "hung-up");
    }),
    ("refer", |door, _, number| {
        passes(door, "refer", number, "hung-up");
    }),
    ("not-allowed", |door, _, number| {
        Scenario::new("not-allowed", door.sip(), number).passes();
        Scenario::new("not-allowed", door.sip(), number).over_tcp().passes();
    }),
    ("bad-extension", |door, _, number| {
        Scenario::new("bad-extension", door.sip(), number).passes();
        Scenario::new("bad-extension", door.sip(), number).over_tcp().passes();
    }),
    ("no-such-call", |door, _, number| {
        Scenario::new("no-such-call", door.sip(), number).passes();
        Scenario::new("no-such-call", door.sip(), number).over_tcp().passes();
    }),
];

#[test]
fn every_scenario_passes_and_leaves_the_right_record() {
    let door = Doorline::start(Options {
        trunks: vec![trunk("secure", SECURE, "offer"), trunk("secure-alone", SECURE_ALONE, "require")],
        ..Options::default()
    });
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (n, (name, check)) in CHECKS.iter().enumerate() {
            let (door, failed) = (&door, &failed);
            scope.spawn(move || {
                let api = door.api();
                let host = api.new_host(&format!("{name}-host"));
                let meeting = api.new_one_time_meeting(&host);
                let number = format!("+155501001{n:02}");
                let scene = Scene { api, host, meeting };
                let run = std::panic::AssertUnwindSafe(|| check(door, &scene, &number));
                if std::panic::catch_unwind(run).is_err() {
                    failed.lock().expect("nobody panics with it").push(*name);
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nobody panics with it");
    assert!(failed.is_empty(), "failed, see above: {}", failed.join(", "));
}

#[test]
fn scenarios_pass_over_ipv6_too() {
    let door = Doorline::start(Options { ipv6: Ipv6::All, ..Options::default() });
    let api = door.api();
    let (host, run) = (api.new_host("Ada"), |name: &'static str, number: &str| {
        Scenario::new(name, door.sip_v6(), number).over_ipv6()
    });
    let meeting = api.new_one_time_meeting(&host);
    let first = run("first-time-caller", "+15550102001").key("pin", &host.pin).key("code", meeting.code());
    let record = api.record(&first.passes().call_id);
    entered(&record, "proved-code");
    assert_eq!(record["keys"][0]["source"], "rtp", "{record}");
    for (name, ending) in
        [("hold", "hung-up"), ("prack", "hung-up"), ("t38", "hung-up"), ("no-codec", "no-usable-codec")]
    {
        let record = api.record(&run(name, "+15550102002").passes().call_id);
        assert_eq!(record["ending"], ending, "{name}: {record}");
    }
    run("not-allowed", "+15550102003").over_tcp().passes();
}

#[test]
fn every_scenario_has_a_test() {
    let tested: BTreeSet<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    for scenario in sipp::all() {
        assert!(tested.contains(scenario.as_str()), "nothing runs {scenario}.xml");
    }
    assert_eq!(tested.len(), sipp::all().len(), "a scenario's file is gone");
}

/// The address of a trunk that takes SRTP, and of one that takes nothing else.
const SECURE: [u8; 4] = [127, 0, 6, 1];
const SECURE_ALONE: [u8; 4] = [127, 0, 6, 2];

fn trunk(name: &'static str, address: [u8; 4], srtp: &str) -> (&'static str, String) {
    let address = std::net::IpAddr::from(address);
    let media = format!("[media]\nsrtp = \"{srtp}\"\nsrtp_over_plain_signalling = true\n");
    (name, format!("name = \"{name}\"\nallow = [\"{address}\"]\n{media}"))
}

/// A call that gives the right PIN and code where its scenario asks for them; its record.
fn call(door: &Doorline, scene: &Scene, scenario: &str, number: &str) -> Value {
    let scenario = Scenario::new(scenario, door.sip(), number);
    let call = scenario.key("pin", &scene.host.pin).key("code", scene.meeting.code()).passes();
    let record = scene.api.record(&call.call_id);
    assert_eq!(record["ending"], "hung-up", "{record}");
    record
}

/// A call that keys nothing; its record.
fn passes(door: &Doorline, scenario: &str, number: &str, ending: &str) -> Value {
    let call = Scenario::new(scenario, door.sip(), number).within(Duration::from_secs(80)).passes();
    let record = door.api().record(&call.call_id);
    assert_eq!(record["ending"], ending, "{record}");
    record
}

/// The same of a phone that has proved the code before, so that it goes straight in and stays.
fn passes_inside(door: &Doorline, scene: &Scene, scenario: &str, number: &str, ending: &str) -> Value {
    call(door, scene, "early-digits", number);
    passes(door, scenario, number, ending)
}

fn entered(record: &Value, how: &str) {
    assert_eq!(record["entered"], how, "{record}");
}

fn went_through(record: &Value, state: &str) -> bool {
    record["path"].as_array().expect("a path is a list").iter().any(|step| step["what"] == state)
}

/// Differs from the right one in its last digit.
fn wrong_code(code: &str) -> String {
    let last = code.bytes().last().expect("a code has digits") - b'0';
    format!("{}{}", &code[..code.len() - 1], (last + 1) % 10)
}
