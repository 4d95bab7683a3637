//! No PIN, code, token or full number in anything that the service prints, whatever callers and
//! operators do: its log at its most talkative, its metrics, and the records of its calls.

mod support;

use std::net::IpAddr;
use std::time::Duration;

use doorline::cli::phone::{Call, DigitsBy, Plan, Presentation, Voice};
use serde_json::json;
use support::api::text;
use support::untold::Kind::{Code, HostPin, Number, Pin, Token};
use support::untold::{ALL, LONG, keep, learn, told_in};
use support::{Doorline, Options, STRANGER, eventually};

#[test]
fn nothing_that_is_printed_tells_a_secret() {
    let mut door = Doorline::start(Options { log: "trace", ..Options::default() });
    let api = door.api();
    let host = api.new_host("careful");
    let meeting = api.new_one_time_meeting(&host);
    let token = api.post(&format!("/hosts/{}/tokens", host.id), &json!({"name": "app"})).made();
    let token = text(&token, "token");
    let code = meeting.code().to_owned();
    let numbers = ["+15550140001", "+15550140002", "+15550140003", "+15550140004"];

    // A first-time caller, a known one, wrong entries, INFO, TCP, a withheld number, another trunk.
    let right = format!("{}#{code}#", host.pin);
    let wrong_pin = "918273645";
    let wrong_code = "0918";
    let plan =
        |n: usize| Plan { keys: right.parse().unwrap(), ..Plan::new(&door.uri(), numbers[n]).unwrap() };
    let plans = [
        plan(0),
        Plan { digits_by: DigitsBy::Info, ..plan(1) },
        Plan { transport: doorline::sip::Transport::Tcp, presentation: Presentation::Withheld, ..plan(2) },
        Plan { local: IpAddr::from(STRANGER), ..plan(3) },
        Plan { keys: format!("{wrong_pin}#{wrong_code}#").parse().unwrap(), ..plan(3) },
    ];
    for plan in plans {
        let call = Call::dial(plan).expect("the phone works");
        call.wait_for_answer(Duration::from_secs(5)).expect("it is answered");
        call.wait_for_keys(Duration::from_secs(10)).expect("it listens");
        std::thread::sleep(Duration::from_secs(3));
        call.hang_up();
        call.wait_for_end(Duration::from_secs(5)).expect("it ends");
    }
    let known = Call::dial(Plan { keys: Default::default(), voice: Voice::tone(440.0), ..plan(0) }).unwrap();
    known.wait_for_answer(Duration::from_secs(5)).expect("it is answered");
    eventually("the known caller is in", Duration::from_secs(10), || {
        (!api.roster(&meeting).is_empty()).then_some(())
    });
    known.hang_up();
    known.wait_for_end(Duration::from_secs(5)).expect("it ends");

    // An API client that gets things wrong, with secrets in the wrong places.
    let _ = api.get(&format!("/hosts/{}", host.pin));
    let _ = api.get(&format!("/calls?number={}", numbers[0]));
    let _ = api.post("/hosts", &json!({"name": host.pin, "pin": host.pin, "numbers": ["x"]}));
    let _ = door.api_with(&host.host_pin).get("/hosts");
    let _ = door.api_with(&token).get("/hosts");
    let records = api.get("/calls?limit=200").good().to_string();
    let metrics = api.text("/metrics");
    door.stop();

    let log = door.log();
    assert!(log.lines().count() > 20, "a log that says nothing proves nothing:\n{log}");
    let mut secrets = vec![
        ("the host's PIN", host.pin.clone()),
        ("the host's private PIN", host.host_pin.clone()),
        ("the operator's token", door.operator_token().to_owned()),
        ("a host's token", token),
        ("a wrong PIN", wrong_pin.to_owned()),
    ];
    for number in numbers {
        secrets.push(("a caller's number", number.trim_start_matches('+').to_owned()));
    }
    for (what, secret) in &secrets {
        assert_untold(what, secret, "the log", &log);
        assert_untold(what, secret, "the metrics", &metrics);
    }
    // Operators may see who called; nobody sees what was keyed.
    for (what, secret) in &secrets[..5] {
        assert_untold(what, secret, "the call records", &records);
    }
    // Four digits also occur in times and ports: a code must not stand by itself.
    for (what, code) in [("a one-time code", code.as_str()), ("a wrong code", wrong_code)] {
        let alone = |text: &str| text.lines().find(|line| stands_alone(line, code)).map(str::to_owned);
        assert_eq!(alone(&log), None, "{what} in the log");
        assert_eq!(alone(&records), None, "{what} in the call records");
    }
}

fn assert_untold(what: &str, secret: &str, place: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(secret));
    assert!(line.is_none(), "{what} in {place}: {}", line.unwrap_or_default());
}

/// Whether `code` stands in `line` with neither digit, letter, point nor hyphen beside it.
fn stands_alone(line: &str, code: &str) -> bool {
    line.match_indices(code).any(|(at, _)| {
        let joins = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '+');
        let before = line[..at].chars().next_back().is_some_and(joins);
        let after = line[at + code.len()..].chars().next().is_some_and(joins);
        !before && !after
    })
}

#[test]
#[should_panic(expected = "a secret stands in note.txt: Pin")]
fn a_secret_that_a_service_leaves_behind_fails_its_test() {
    let door = Doorline::plain();
    let host = door.api().new_host("careless");
    std::fs::write(door.data_dir().join("note.txt"), format!("the PIN is {}", host.pin)).unwrap();
}

#[test]
fn secrets_are_found_where_they_stand_by_themselves() {
    keep(Pin, "918273645");
    keep(Code, "4711");
    learn(&json!({"items": [{"host_pin": "482913", "token": "dlh_abc", "code": null}]}));
    for (text, told) in [
        ("keyed 918273645 at once", Some(Pin)),
        ("pin:918273645", Some(Pin)),
        ("1918273645", None),
        ("code=4711", Some(Code)),
        ("port 127.0.0.1:4711", None),
        ("a host PIN \"482913\"", Some(HostPin)),
        ("2026-01-01T10:00:00.482913Z", None),
        ("Bearer dlh_abc", Some(Token)),
        ("from sip:+15550140001@127.0.0.1", Some(Number)),
        ("from +1555…0001", None),
        ("from +1555…4711", None),
        ("id 915550140001", None),
    ] {
        assert_eq!(told_in(text, ALL), told, "{text}");
    }
    assert_eq!(told_in("code=4711", LONG), None);
}
