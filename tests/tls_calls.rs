//! Calls over TLS with the real program and our own test phone: into a meeting, by the name of the
//! phone's certificate, through a change of the service's own, and what the doctor says of it.

mod support;

use std::time::{Duration, SystemTime};

use doorline::cli::phone::{Call, Certificates, Happening, Plan, Voice, Who};
use doorline::sip::Transport;
use doorline::types::Suite;
use serde_json::json;
use support::certificates::Authority;
use support::{Api, Doorline, Host, Meeting, NOBODY, Options, eventually};

const SOON: Duration = Duration::from_secs(5);
/// From dialling into the meeting, with all that is said on the way.
const JOINED: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(24 * 3600);
const HOURS: Duration = Duration::from_secs(3 * 3600);

fn door(authority: &Authority) -> Doorline {
    Doorline::start(Options { tls: Some(authority.section("door")), ..Options::default() })
}

/// A call over TLS that keys PIN and code.
fn plan(door: &Doorline, host: &Host, meeting: &Meeting, certificates: Certificates) -> Plan {
    let keys = format!("{}#{}#", host.pin, meeting.code()).parse().expect("PIN and code are keys");
    let uri = format!("sip:{}@{};transport=tls", support::ACCESS_NUMBER, door.sip_tls());
    let plan = Plan::new(&uri, "+15550100001").expect("the plan is good");
    assert_eq!(plan.transport, Transport::Tls);
    Plan { keys, certificates, voice: Voice::tone(440.0), ..plan }
}

fn certificates(authority: &Authority, own: Option<&str>) -> Certificates {
    let own = own.map(|own| (authority.file(&format!("{own}.pem")), authority.file(&format!("{own}.key"))));
    Certificates { ca: Some(authority.ca_file()), own }
}

fn in_meeting(api: &Api, meeting: &Meeting, count: usize) {
    let path = format!("/meetings/{}/roster", meeting.id);
    eventually("everybody is in", JOINED, || (api.items(&path).len() == count).then_some(()));
}

#[test]
fn a_caller_joins_over_tls_and_stays_while_the_certificate_is_renewed() {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    let door = door(&authority);
    let api = door.api();
    let (host, meeting) = {
        let host = api.new_host("Ada");
        let meeting = api.new_one_time_meeting(&host);
        (host, meeting)
    };
    let ours = || certificates(&authority, None);
    let call = Call::dial(plan(&door, &host, &meeting, ours())).expect("the phone works");
    call.wait_for_answer(SOON).expect("the service answers");
    in_meeting(&api, &meeting, 1);

    // A faulty file changes nothing; a good one is for new connections.
    let expiry = || {
        let text = api.text("/metrics");
        let line =
            text.lines().find(|line| line.starts_with("doorline_tls_certificate_expiry_timestamp_seconds "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<f64>().ok()).expect("the metric is there")
    };
    let before = expiry();
    let good = std::fs::read_to_string(authority.file("door.pem")).expect("it is there");
    std::fs::write(authority.file("door.pem"), "no certificate").expect("it can be written");
    let refused = api.order("/reload");
    assert_eq!(refused.status, 422, "{}", refused.body);
    let faults = refused.body["faults"].to_string();
    assert!(
        faults.contains("sip.tls.certificate_file") && faults.contains("no certificate in it"),
        "{faults}"
    );
    std::fs::write(authority.file("door.pem"), good).expect("it can be written");
    assert_eq!(api.order("/reload").good(), json!({"changes": [], "needs_restart": []}));
    assert!((expiry() - before).abs() < 1.0);
    authority.issue_until("door", &["sip.example.org", "127.0.0.1"], SystemTime::now() + DAY * 90 + HOURS);
    let told = api.order("/reload").good();
    assert_eq!(told["changes"], json!(["sip.tls changed: certificate of sip.example.org"]));
    assert!(expiry() > before + 3_600.0);

    let second =
        Call::dial(Plan { number: "+15550100002".to_owned(), ..plan(&door, &host, &meeting, ours()) });
    let second = second.expect("the phone works");
    second.wait_for_answer(SOON).expect("the service answers");
    in_meeting(&api, &meeting, 2);
    second.wait_for_tone(440.0, -40.0, JOINED).expect("the first is heard");
    assert!(!call.is_over());
    // The service's own BYE takes the phone's connection.
    api.order(&format!("/meetings/{}/close", meeting.id));
    for call in [call, second] {
        let end = call.wait_for_end(JOINED).expect("the meeting is over");
        assert!(matches!(end, Happening::Ended { by: Who::Them, .. }), "{end}");
        assert_eq!(api.record(call.call_id())["trunk"], "lab");
    }
}

#[test]
fn a_phone_at_any_address_calls_with_the_right_certificate_and_none_without() {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    authority.issue("sbc", &["sbc.example.net"]);
    authority.issue("other", &["other.example.net"]);
    let door = door(&authority);
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let dial = |own: Option<&str>| {
        let plan = plan(&door, &host, &meeting, certificates(&authority, own));
        Call::dial(Plan { local: NOBODY.into(), ..plan })
    };
    assert!(dial(Some("sbc")).is_err(), "nobody knows it yet");
    door.write("trunks.d/named.toml", "name = \"named\"\ntls_names = [\"sbc.example.net\"]\n");
    assert_eq!(api.order("/reload").good()["changes"], json!(["trunk added named"]));
    let test = api.get("/trunks/named/test?from=192.0.2.1").good();
    assert_eq!((&test["accepted"], &test["rule"]), (&json!(true), &json!("tls_names")), "{test}");

    let call = dial(Some("sbc")).expect("the handshake succeeds");
    call.wait_for_answer(SOON).expect("the service answers");
    in_meeting(&api, &meeting, 1);
    call.hang_up();
    call.wait_for_end(SOON).expect("the call ends");
    assert_eq!(api.record(call.call_id())["trunk"], "named");
    for wrong in [Some("other"), None] {
        // The handshake may succeed; then nothing is answered.
        if let Ok(call) = dial(wrong) {
            let end = call.wait_for_end(SOON).expect("the connection is closed");
            assert!(matches!(end, Happening::Failed { .. } | Happening::Refused { .. }), "{end}");
        }
    }
    assert!(door.log().contains("TLS peer that proves no name of a trunk"), "{}", door.log_tail());
}

#[test]
fn a_phone_does_not_talk_to_a_service_that_nobody_vouches_for() {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    let door = door(&authority);
    let uri = format!("sips:{}@{}", support::ACCESS_NUMBER, door.sip_tls());
    let elsewhere = Authority::new();
    let ca = elsewhere.ca_file().display().to_string();
    let told = door.other(&["phone", &uri, "--transport", "tls", "--ca", &ca]);
    let error = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.code() == Some(1) && error.contains("invalid peer certificate"), "{told:?}");
    let ca = authority.ca_file().display().to_string();
    let told = door.other(&["phone", &uri, "--ca", &ca, "--duration", "0.2"]);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
}

/// Trunks that take encrypted sound, and nothing else.
const OFFER: [u8; 4] = [127, 0, 6, 1];
const REQUIRE: [u8; 4] = [127, 0, 6, 2];

#[test]
fn sound_is_encrypted_with_keys_that_came_over_tls_and_plain_sound_is_refused_where_it_is_required() {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    let trunk = |name: &'static str, address: [u8; 4], srtp: &str| {
        let address = std::net::IpAddr::from(address);
        (
            name,
            format!(
                "name = \"{name}\"\nallow = [\"{address}\"]\n[media]\nsrtp = \"{srtp}\"\nautomatic_gain = false\n"
            ),
        )
    };
    let mut door = Doorline::start(Options {
        tls: Some(authority.section("door")),
        trunks: vec![trunk("offer", OFFER, "offer"), trunk("require", REQUIRE, "require")],
        log: "trace",
        ..Options::default()
    });
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let planned = |from: [u8; 4], n: u32, hz: f64, srtp: Option<Suite>| {
        let number = format!("+1555017000{n}");
        let ours = certificates(&authority, None);
        Plan {
            local: from.into(),
            number,
            voice: Voice::tone(hz),
            srtp,
            ..plan(&door, &host, &meeting, ours)
        }
    };
    let cases = [
        (REQUIRE, 440.0, Some(Suite::ALL[0]), false),
        // It leaves the offer to the service.
        (REQUIRE, 620.0, Some(Suite::ALL[1]), true),
        (OFFER, 860.0, Some(Suite::ALL[3]), false),
        (OFFER, 1_150.0, None, false),
    ];
    let calls: Vec<(Call, f64)> = cases
        .into_iter()
        .zip(1..)
        .map(|((from, hz, srtp, late_offer), n)| {
            let call =
                Call::dial(Plan { late_offer, ..planned(from, n, hz, srtp) }).expect("the phone works");
            call.wait_for_answer(SOON).expect("the service answers");
            assert_eq!(call.srtp(), srtp, "caller {n}");
            (call, hz)
        })
        .collect();
    in_meeting(&api, &meeting, calls.len());
    for (listener, own) in &calls {
        for (_, hz) in calls.iter().filter(|(_, hz)| hz != own) {
            listener.wait_for_tone(*hz, -40.0, JOINED).expect("everybody hears everybody");
        }
    }
    let refused = Call::dial(planned(REQUIRE, 9, 440.0, None)).expect("the phone works");
    let end = refused.wait_for_end(SOON).expect("it is refused");
    assert!(matches!(end, Happening::Refused { status: 488, .. }), "{end}");
    assert_eq!(api.record(refused.call_id())["ending"], "no-usable-encryption");

    for ((call, _), (_, _, srtp, _)) in calls.iter().zip(cases) {
        call.hang_up();
        call.wait_for_end(SOON).expect("the call ends");
        let record = api.record(call.call_id());
        assert_eq!(record["quality"]["srtp"].as_str(), srtp.map(Suite::name), "{record}");
        assert_eq!(
            (call.packets_rejected(), &record["quality"]["packets_rejected"]),
            (0, &json!(0)),
            "{record}"
        );
    }
    door.stop();
    let log = door.log();
    let keys = log.lines().find(|line| line.contains("inline:") || line.contains("a=crypto"));
    assert!(log.lines().count() > 20 && keys.is_none(), "{keys:?}");
}

#[test]
fn the_doctor_and_check_know_about_certificates() {
    let authority = Authority::new();
    let now = SystemTime::now();
    for (name, until, word, says) in [
        ("door", now + DAY * 60, "ok ", "days"),
        ("soon", now + DAY * 20, "warn", "renew it and reload"),
        ("gone", now - DAY, "fail", "expired at"),
        ("early", now + DAY * 92, "fail", "no peer believes it yet"),
    ] {
        authority.issue_until(name, &["sip.example.org"], until);
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("trunks.d")).expect("a folder can be made");
        let config = format!(
            "data_dir = \"data\"\n[sip]\nlisten = [\"tls:127.0.0.1:0\"]\n{}",
            authority.section(name)
        );
        let file = folder.path().join("doorline.toml");
        std::fs::write(&file, config).expect("a file can be written");
        let run = |command: &str, more: &[&str]| {
            let told = std::process::Command::new(env!("CARGO_BIN_EXE_doorline"))
                .arg(command)
                .arg("--config")
                .arg(&file)
                .args(more)
                .env("DOORLINE_OPERATOR_TOKEN", "0123456789abcdef0123456789abcdef")
                .output()
                .expect("the doorline binary starts");
            String::from_utf8_lossy(&told.stdout).into_owned()
        };
        let told = run("doctor", &["--no-call"]);
        let line = told.lines().find(|line| line.contains("certificate of sip.example.org"));
        let line = line.unwrap_or_else(|| panic!("{told}"));
        assert!(line.starts_with(word) && line.contains(says), "{name}: {line}");
        assert!(run("check", &[]).contains("tls:127.0.0.1:0"), "{name}");
    }
}
