//! What an operator does at night, with the real program: reload, metrics, systemd, the doctor.

mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use doorline::cli::phone::{Call, Happening, Plan, Voice, Who};
use serde_json::{Value, json};
use support::certificates::Authority;
use support::hear;
use support::{Api, Doorline, Host, LAB, Meeting, NOBODY, Options, eventually};

const SOON: Duration = Duration::from_secs(5);
/// From dialling into the meeting, with all that is said on the way.
const JOINED: Duration = Duration::from_secs(30);

/// Whether an OPTIONS from there gets any answer.
fn answers(door: &Doorline, source: [u8; 4]) -> bool {
    let socket = UdpSocket::bind(SocketAddr::new(IpAddr::from(source), 0)).expect("loopback is all ours");
    let local = socket.local_addr().expect("it is bound");
    let to = door.sip();
    let options = format!(
        "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{port}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{local}>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: {port}@test\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n",
        port = local.port(),
    );
    socket.set_read_timeout(Some(Duration::from_millis(700))).expect("a timeout can be set");
    socket.send_to(options.as_bytes(), to).expect("it goes out");
    socket.recv(&mut [0; 2048]).is_ok()
}

fn trunk_file(name: &str, source: [u8; 4]) -> String {
    format!("name = \"{name}\"\nallow = [\"{}\"]\n", IpAddr::from(source))
}

fn reload(api: &Api) -> Value {
    api.order("/reload").good()
}

#[test]
fn a_trunk_file_is_taken_over_and_a_faulty_one_changes_nothing() {
    let door = Doorline::plain();
    let api = door.api();
    assert!(answers(&door, LAB) && !answers(&door, NOBODY));
    assert_eq!(reload(&api), json!({"changes": [], "needs_restart": []}));

    door.write("trunks.d/new.toml", &trunk_file("new", NOBODY));
    assert!(!answers(&door, NOBODY), "nobody has told it yet");
    assert_eq!(reload(&api)["changes"], json!(["trunk added new"]));
    assert!(answers(&door, NOBODY));
    let names: Vec<String> = api.items("/trunks").iter().map(|one| support::api::text(one, "name")).collect();
    assert_eq!(names, ["lab", "new", "stranger"]);
    let rule = |trunk: &str, from: &str| {
        support::api::text(&api.get(&format!("/trunks/{trunk}/test?from={from}")).good(), "rule")
    };
    assert_eq!(rule("lab", "127.0.0.9"), "other-trunk");
    assert_eq!(rule("lab", "192.0.2.1"), "allow");

    door.write("trunks.d/new.toml", "name = \"new\"\nallow = [\"everybody\"]\nbelief = 1\n");
    let refused = api.order("/reload");
    assert_eq!(refused.status, 422, "{}", refused.body);
    let faults = refused.body["faults"].to_string();
    assert!(
        faults.contains("new.toml") && faults.contains("everybody") && faults.contains("belief"),
        "{faults}"
    );
    assert!(answers(&door, NOBODY) && answers(&door, LAB), "old trunks go on");
    assert!(door.log().contains("not taken over"), "{}", door.log_tail());

    // By signal, and by the command.
    std::fs::remove_file(door.config_file().with_file_name("trunks.d").join("new.toml"))
        .expect("it is there");
    door.hang_up();
    eventually("the trunk is gone", SOON, || (!answers(&door, NOBODY)).then_some(()));
    assert!(door.log().contains("trunk removed new"), "{}", door.log_tail());
    door.write("trunks.d/new.toml", &trunk_file("newer", NOBODY));
    let told = door.other(&["reload"]);
    assert_eq!(String::from_utf8_lossy(&told.stdout), "trunk added newer\n", "{told:?}");
    let told = door.other(&["trunk", "test", "newer", "--from", "192.0.2.1"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    assert!(String::from_utf8_lossy(&told.stdout).starts_with("refused by allow: "), "{told:?}");
}

#[test]
fn what_needs_a_restart_is_named_and_numbers_and_log_level_change_at_once() {
    let config = "\n[log]\nlevel = \"warn\"\n".to_owned();
    let door = Doorline::start(Options { log: "", config, one_access_number: false, ..Options::default() });
    let api = door.api();
    let before = std::fs::read_to_string(door.config_file()).expect("the configuration is there");
    let after = before
        .replace("level = \"warn\"", "level = \"info\"")
        .replace("sqlite:doorline.db", "sqlite:o.db")
        + "\n[[access_number]]\nnumber = \"+442079460001\"\n\n[meetings]\npin_length = 8\n[limits]\ncalls_max = 1\n";
    door.write("doorline.toml", &after);
    assert!(!door.log().contains(" INFO "), "{}", door.log_tail());
    let told = reload(&api);
    assert_eq!(
        told,
        json!({
            "changes": ["access number added +4420…0001", "log.level changed to \"info\"", "limits changed"],
            "needs_restart": ["[store]", "[meetings]"],
        })
    );
    assert!(door.log().contains("configuration read again"), "{}", door.log_tail());
    // Unchanged: PINs are as long as they were. Changed: what invitations tell.
    let host = api.new_host("Ada");
    assert_eq!(host.pin.len(), 9);
    let meeting = api.new_one_time_meeting(&host);
    let told = api.get(&format!("/meetings/{}", meeting.id)).good();
    assert_eq!(told["access_numbers"][0]["number"], "+442079460001", "{told}");
}

#[test]
fn a_drain_that_lasts_too_long_ends_calls_with_a_word_and_each_has_its_record() {
    let config = "\n[limits]\ndrain_seconds = 10\n".to_owned();
    let mut door = Doorline::start(Options { config, ..Options::default() });
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let mut calls: Vec<Call> =
        (1..=2).map(|n| dial(&door, &host, &meeting, &format!("+1555012400{n}"), Voice::default())).collect();
    in_meeting(&api, &meeting, 2);
    // Who is asked for a PIN is told so, too.
    let asked = Call::dial(Plan::new(&door.uri(), "+15550124003").expect("the plan is good"));
    let asked = asked.expect("the phone works");
    asked.wait_for_answer(SOON).expect("the service answers");
    calls.push(asked);
    door.tell_to_stop();
    for call in &calls {
        let end = call.wait_for_end(JOINED).expect("it is ended");
        assert!(matches!(end, Happening::Ended { by: Who::Them, .. }), "{end}");
        assert!(hear::prompt_in(&call.heard(), "try-later").is_some(), "nobody was told");
    }
    eventually("it exits", SOON, || (!door.is_running()).then_some(()));
    door.start_again();
    for call in &calls {
        assert_eq!(api.record(call.call_id())["ending"], "draining");
    }
}

/// A WAV file of a second's tone, as packs have them.
fn tone_file(hz: f64) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::new(&mut bytes, spec).expect("memory can be written");
    for n in 0..16_000 {
        let phase = std::f64::consts::TAU * hz * f64::from(n) / 16_000.0;
        file.write_sample((phase.sin() * 3_000.0) as i16).expect("memory can be written");
    }
    file.finalize().expect("memory can be written");
    bytes.into_inner()
}

#[test]
fn limits_and_prompts_change_while_calls_go_on_and_a_faulty_pack_changes_nothing() {
    let door =
        Doorline::start(Options { config: "\n[limits]\ncalls_max = 1\n".to_owned(), ..Options::default() });
    let api = door.api();
    let config = std::fs::read_to_string(door.config_file()).expect("the configuration is there");
    let calls = |number: &str| Call::dial(Plan::new(&door.uri(), number).expect("the plan is good"));
    let first = calls("+15550123001").expect("the phone works");
    first.wait_for_answer(SOON).expect("there is room for one");
    let refused = calls("+15550123002").expect("the phone works");
    assert!(refused.wait_for_answer(SOON).is_err(), "and for no other");
    door.write("doorline.toml", &config.replace("calls_max = 1", "calls_max = 5\ncalls_entering_max = 5"));
    assert_eq!(reload(&api), json!({"changes": ["limits changed"], "needs_restart": []}));
    let second = calls("+15550123003").expect("the phone works");
    second.wait_for_answer(SOON).expect("now there is");
    second.hang_up();
    second.wait_for_end(SOON).expect("it ends");

    // A pack of the operator's own, in which the first prompt is a tone.
    let packs = door.config_file().with_file_name("packs");
    let pack = packs.join("en-GB");
    std::fs::create_dir_all(&pack).expect("a folder can be made");
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/en-GB");
    for file in std::fs::read_dir(ours).expect("our pack is there") {
        let file = file.expect("it can be read").path();
        if file.is_file() {
            std::fs::copy(&file, pack.join(file.file_name().expect("a file has a name")))
                .expect("it is copied");
        }
    }
    std::fs::write(pack.join("welcome.wav"), tone_file(1_000.0)).expect("a file can be written");
    let with_pack = format!(
        "prompts = \"packs\"\n{}",
        config.replace("calls_max = 1", "calls_max = 5\ncalls_entering_max = 5")
    );
    door.write("doorline.toml", &with_pack);
    assert_eq!(reload(&api), json!({"changes": ["prompts changed en-GB"], "needs_restart": []}));
    assert_eq!(reload(&api), json!({"changes": [], "needs_restart": []}));
    let hears = |number: &str, hz: f64| {
        let call = calls(number).expect("the phone works");
        call.wait_for_answer(SOON).expect("it is answered");
        call.wait_for_tone(hz, -30.0, SOON).expect("the new prompt is heard");
        call.hang_up();
        call.wait_for_end(SOON).expect("it ends");
    };
    hears("+15550123004", 1_000.0);

    std::fs::remove_file(pack.join("goodbye.wav")).expect("it was there");
    std::fs::write(pack.join("welcome.wav"), tone_file(1_500.0)).expect("a file can be written");
    let refused = api.order("/reload");
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body["faults"].to_string().contains("goodbye"), "{}", refused.body);
    hears("+15550123005", 1_000.0);
    assert!(!first.is_over());
}

/// A call that keys PIN and code.
fn dial(door: &Doorline, host: &Host, meeting: &Meeting, number: &str, voice: Voice) -> Call {
    let keys = format!("{}#{}#", host.pin, meeting.code()).parse().expect("PIN and code are keys");
    let plan = Plan { keys, voice, ..Plan::new(&door.uri(), number).expect("the plan is good") };
    let call = Call::dial(plan).expect("the phone works");
    call.wait_for_answer(SOON).expect("the service answers");
    call
}

fn in_meeting(api: &Api, meeting: &Meeting, count: usize) {
    eventually(&format!("{count} in the meeting"), JOINED, || {
        (api.roster(meeting).len() == count).then_some(())
    });
}

#[test]
fn live_calls_go_on_through_twenty_reloads() {
    let door = Doorline::plain();
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let one = dial(&door, &host, &meeting, "+15550100001", Voice::tone(440.0));
    let other = dial(&door, &host, &meeting, "+15550100002", Voice::tone(1_000.0));
    in_meeting(&api, &meeting, 2);
    for round in 0..20 {
        // The calls' own trunk changes too.
        let lab = format!(
            "name = \"lab\"\nallow = [\"127.0.0.1\", \"127.0.5.0/24\"]\n[caller_id]\ntrust = \"pai\"\n\
             country = \"GB\"\n[limits]\ncalls_max = {}\n",
            50 + round
        );
        door.write("trunks.d/lab.toml", &lab);
        assert_eq!(reload(&api)["changes"], json!(["trunk changed lab"]));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!one.is_over() && !other.is_over());
    in_meeting(&api, &meeting, 2);
    one.wait_for_tone(1_000.0, support::hear::HEARD_DB, SOON).expect("one hears the other");
    other.wait_for_tone(440.0, support::hear::HEARD_DB, SOON).expect("the other hears one");
    for call in [one, other] {
        call.hang_up();
        call.wait_for_end(SOON).expect("the call ends");
        assert_eq!(api.record(call.call_id())["ending"], "hung-up");
    }
}

/// The names of all samples.
fn names(scrape: &str) -> BTreeSet<&str> {
    let samples = scrape.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

/// The value of a sample, its labels included.
fn value(scrape: &str, sample: &str) -> f64 {
    let line = scrape.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {sample} in\n{scrape}"))
}

#[test]
fn metrics_tell_of_a_call_and_alerts_and_dashboard_know_their_names() {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    let door = Doorline::start(Options { tls: Some(authority.section("door")), ..Options::default() });
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    assert!(!answers(&door, NOBODY));
    let call = dial(&door, &host, &meeting, "+15550100001", Voice::tone(440.0));
    in_meeting(&api, &meeting, 1);
    std::thread::sleep(Duration::from_millis(500));
    let live = api.text("/metrics");
    assert_eq!(value(&live, "doorline_trunk_calls_live{trunk=\"lab\"}"), 1.0);
    assert_eq!(value(&live, "doorline_participants_live"), 1.0);
    call.hang_up();
    call.wait_for_end(SOON).expect("the call ends");
    api.record(call.call_id());

    let scrape = api.text("/metrics");
    for (sample, expected) in [
        ("doorline_calls_total{ending=\"hung-up\"}", 1.0),
        ("doorline_trunk_calls_total{trunk=\"lab\",outcome=\"answered\"}", 1.0),
        ("doorline_entries_total{by=\"proved-code\"}", 1.0),
        ("doorline_entry_rounds_total{verdict=\"right\"}", 1.0),
        ("doorline_entry_rounds_total{verdict=\"wrong\"}", 0.0),
        ("doorline_keys_total{source=\"rtp\"}", 15.0),
        ("doorline_remembered_total", 1.0),
        ("doorline_caller_trust_total{trust=\"network\"}", 1.0),
        ("doorline_setup_seconds_count", 1.0),
        ("doorline_call_seconds_count", 1.0),
        ("doorline_concealed_share_count", 1.0),
        ("doorline_refused_sources_total", 1.0),
        ("doorline_trunk_calls_live{trunk=\"lab\"}", 0.0),
        ("doorline_build_info{version=\"0.1.0\"}", 1.0),
    ] {
        assert_eq!(value(&scrape, sample), expected, "{sample}\n{scrape}");
    }
    for at_least in [
        "doorline_packets_received_total",
        "doorline_packets_sent_total",
        "doorline_ports_free",
        "doorline_tls_certificate_expiry_timestamp_seconds",
        "doorline_media_lateness_seconds_count{worker=\"0\"}",
        "doorline_store_seconds_count{question=\"code\"}",
        "doorline_switchboard_seconds_bucket{le=\"+Inf\"}",
    ] {
        assert!(value(&scrape, at_least) >= 1.0, "{at_least}\n{scrape}");
    }
    // Everything says what it is.
    let names = names(&scrape);
    for name in &names {
        let of = ["_bucket", "_sum", "_count"]
            .into_iter()
            .find_map(|part| name.strip_suffix(part))
            .unwrap_or(name);
        assert!(scrape.contains(&format!("# HELP {of} ")), "{of} has no description");
        assert!(scrape.contains(&format!("# TYPE {of} ")), "{of} has no type");
        assert!(!scrape.contains(&format!("# TYPE {of} summary")), "{of} is no real histogram");
    }
    for secret in [host.pin.as_str(), meeting.code(), "5550100001"] {
        // As a number of its own: four digits of a figure are no code.
        let alone = scrape.split(|c: char| !c.is_ascii_digit()).any(|digits| digits == secret);
        assert!(!alone, "a secret is told");
    }
    for file in ["ops/prometheus/alerts.yml", "ops/grafana/doorline.json"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/").to_owned() + file;
        let text = std::fs::read_to_string(path).expect(file);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let used: BTreeSet<&str> = words.filter(|word| word.starts_with("doorline_")).collect();
        assert!(used.len() > 10, "{file} uses {used:?}");
        for name in used {
            assert!(names.contains(name), "{file} uses {name}, which no scrape has");
        }
    }
}

/// By Prometheus' own judge: the files are well-formed, and each alert fires for what it is for.
#[test]
fn the_alerts_fire_for_what_they_are_for_and_for_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/prometheus");
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts.test.yml"],
    ] {
        let judged = Command::new("promtool").args(arguments).current_dir(&folder).output();
        let judged = judged.expect("promtool is installed (Debian's package prometheus)");
        let said =
            String::from_utf8_lossy(&judged.stdout).into_owned() + &String::from_utf8_lossy(&judged.stderr);
        assert!(judged.status.success(), "{arguments:?}: {said}");
    }
    let [rules, cases] = ["alerts.yml", "alerts.test.yml"]
        .map(|file| std::fs::read_to_string(folder.join(file)).expect("it is there"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(cases.contains(&format!("alertname: {alert}\n")), "{alert} is tried by no case");
    }
}

/// What systemd would be told, until a message that begins so.
fn told(systemd: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let mut buffer = [0; 512];
        let length =
            systemd.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted} ({error}) after {all:?}"));
        all.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        if all.last().is_some_and(|text| text.starts_with(wanted)) {
            return all;
        }
    }
}

#[test]
fn systemd_is_told_ready_alive_reloading_and_stopping() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("notify");
    let systemd = UnixDatagram::bind(&path).expect("a socket can be bound");
    systemd.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    let environment =
        vec![("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", "400000".to_owned())];
    let mut door = Doorline::start(Options { environment, ..Options::default() });
    told(&systemd, "READY=1");
    told(&systemd, "WATCHDOG=1");
    told(&systemd, "WATCHDOG=1");
    door.hang_up();
    let reloading = told(&systemd, "RELOADING=1");
    assert!(reloading.last().is_some_and(|text| text.contains("MONOTONIC_USEC=")), "{reloading:?}");
    told(&systemd, "READY=1");
    assert!(door.stop().success());
    told(&systemd, "STOPPING=1");
}

#[test]
fn the_doctor_finds_what_would_keep_it_from_starting() {
    let mut door = Doorline::plain();
    let config = door.config_file().display().to_string();
    let look = |door: &Doorline| {
        let output = door.other(&["doctor", "--config", &config]);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = look(&door);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("another program has it, or the service runs"), "{text}");
    door.stop();
    let (code, text) = look(&door);
    assert_eq!(code, Some(0), "{text}");
    for what in [
        "config",
        "trunk",
        "sip",
        "http",
        "rtp",
        "data",
        "database",
        "prompts",
        "files",
        "buffers",
        "clock",
        "self-call",
    ] {
        let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(what));
        assert!(line.is_some_and(|line| !line.starts_with("fail")), "{what}\n{text}");
    }
    assert!(text.contains("tone heard back"), "{text}");
    let json = |arguments: &[&str]| -> Value {
        let output = door.other(&[arguments, &["--json", "--config", &config]].concat());
        serde_json::from_slice(&output.stdout).expect("it is JSON")
    };
    let found = json(&["doctor", "--no-call"]);
    assert_eq!((&found["good"], &found["findings"][0]["what"]), (&json!(true), &json!("config")), "{found}");
    assert_eq!(json(&["check"])["good"], true);
    door.write("trunks.d/new.toml", "name = \"all\"\nallow = [\"0.0.0.0/0\"]\n");
    let faults = json(&["check"]);
    assert!(faults["faults"][0]["what"].as_str().is_some_and(|what| what.contains("overlaps")), "{faults}");
    let (code, text) = look(&door);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("fail  config") && text.contains("overlaps"), "{text}");
    door.write("trunks.d/new.toml", "name = \"all\"\nallow = []\n");
    std::fs::remove_file(door.data_dir().join("doorline.key")).expect("the key is there");
    let (code, text) = look(&door);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("key") && text.contains("missing"), "{text}");
}

#[test]
fn what_is_done_with_the_database_and_the_prompts_is_told_to_programs_too() {
    let mut door = Doorline::plain();
    door.stop();
    let config = door.config_file().display().to_string();
    let told = |arguments: &[&str]| -> (Option<i32>, Value) {
        let output = door.other(&[arguments, &["--json"]].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        (output.status.code(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    };
    let check = ["db", "check", "--config", &config];
    assert_eq!(told(&check), (Some(0), json!({"good": true, "exists": true})));
    assert_eq!(told(&["db", "migrate", "--config", &config]), (Some(0), json!({"good": true})));
    let backup = ["db", "backup", "--config", &config, "copy.db"];
    assert_eq!(told(&backup), (Some(0), json!({"good": true, "file": "copy.db"})));
    // What could not be done is told on the other stream, as by every command.
    let again = door.other(&[&backup[..], &["--json"]].concat());
    assert_eq!((again.status.code(), again.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&again.stderr).contains("copy.db"), "{again:?}");

    let database = door.data_dir().join("doorline.db");
    let mut bytes = std::fs::read(&database).expect("it is there");
    let pages = bytes.len() / 2..bytes.len() / 2 + 8_192;
    bytes[pages].fill(0x5a);
    std::fs::write(&database, bytes).expect("it can be written");
    let (code, found) = told(&check);
    assert_eq!((code, &found["good"]), (Some(1), &json!(false)), "{found}");
    assert!(found["what"].is_string(), "{found}");

    let (code, packs) = told(&["prompts", "check", "--language", "en-GB"]);
    assert_eq!((code, &packs["packs"][0]["good"]), (Some(0), &json!(true)), "{packs}");
    assert!(packs["packs"][0]["level_dbov"].is_number(), "{packs}");
    let (_, said) = told(&["prompts", "say", "others", "2"]);
    assert_eq!(said["words"], "There are two other people here.", "{said}");
}
