//! Encrypted calls, end to end: the test phone's SRTP into the real program, both ways, beside plain ones.
//!
//! Transforms and offers are tested by themselves; this proves that keys get from SDP to packets, and that
//! what the trunk's configuration promises is so.

mod support;

use std::time::Duration;

use doorline::cli::phone::{Call, Happening, Plan, Voice, tone};
use doorline::types::Suite;
use serde_json::Value;
use support::hear::{HEARD_DB, SECOND, UNHEARD_DB};
use support::{Doorline, Host, Meeting, Options, eventually};

const ANSWER: Duration = Duration::from_secs(5);
/// From the first key into the meeting.
const JOINED: Duration = Duration::from_secs(30);
const END: Duration = Duration::from_secs(15);

/// The addresses of trunks with each setting.
const OFF: [u8; 4] = [127, 0, 6, 1];
const OFFER: [u8; 4] = [127, 0, 6, 2];
const REQUIRE: [u8; 4] = [127, 0, 6, 3];
/// As it should be where signalling can be read: SRTP is on, and these keys are not believed.
const OFFER_BY_TLS: [u8; 4] = [127, 0, 6, 4];
const REQUIRE_BY_TLS: [u8; 4] = [127, 0, 6, 5];

fn start(log: &'static str) -> Doorline {
    let trunk = |name: &'static str, address: [u8; 4], srtp: &str, plain: bool| {
        let address = std::net::IpAddr::from(address);
        let text = format!(
            "name = \"{name}\"\nallow = [\"{address}\"]\n[caller_id]\ntrust = \"pai\"\n\
             [media]\nsrtp = \"{srtp}\"\nsrtp_over_plain_signalling = {plain}\n"
        );
        (name, text)
    };
    let trunks = vec![
        trunk("off", OFF, "off", true),
        trunk("offer", OFFER, "offer", true),
        trunk("require", REQUIRE, "require", true),
        trunk("offer-by-tls", OFFER_BY_TLS, "offer", false),
        trunk("require-by-tls", REQUIRE_BY_TLS, "require", false),
    ];
    Doorline::start(Options { trunks, log, ..Options::default() })
}

fn plan(door: &Doorline, from: [u8; 4], number: &str, srtp: Option<Suite>) -> Plan {
    let plan = Plan::new(&door.uri(), number).expect("the plan is good");
    Plan { local: from.into(), srtp, ..plan }
}

fn dial(plan: Plan) -> Call {
    let call = Call::dial(plan).expect("the phone works");
    call.wait_for_answer(ANSWER).expect("the service answers");
    call
}

fn typed(host: &Host, meeting: &Meeting, plan: Plan) -> Plan {
    let keys = format!("{}#{}#", host.pin, meeting.code()).parse().expect("PIN and code are keys");
    Plan { keys, ..plan }
}

fn hang_up(door: &Doorline, call: &Call) -> Value {
    call.hang_up();
    call.wait_for_end(END).expect("the call ends");
    door.api().record(call.call_id())
}

/// Each hears every other and not itself, in the last second.
#[track_caller]
fn all_hear_each_other(calls: &[(Call, f64)]) {
    for (listener, own) in calls {
        for (_, hz) in calls {
            if hz != own {
                listener.wait_for_tone(*hz, HEARD_DB, Duration::from_secs(10)).unwrap_or_else(|error| {
                    panic!("{own} Hz ({:?}) does not hear {hz} Hz: {error}", listener.srtp())
                });
            }
        }
        let heard = listener.heard();
        let level = tone::level(&heard[heard.len() - SECOND..], *own);
        assert!(level < UNHEARD_DB, "{own} Hz hears itself at {level:.0} dB");
    }
}

#[test]
fn encrypted_and_plain_callers_are_in_one_meeting_and_hear_each_other() {
    let mut door = start("trace");
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let suites = [None, Some(Suite::ALL[0]), Some(Suite::ALL[1]), Some(Suite::ALL[2]), Some(Suite::ALL[3])];
    let calls: Vec<(Call, f64)> = suites
        .into_iter()
        .zip(1..)
        .map(|(suite, n)| {
            let hz = 300.0 + 230.0 * f64::from(n);
            let plan = plan(&door, OFFER, &format!("+1555016000{n}"), suite);
            // One of them leaves the offer to the service.
            let plan = Plan { late_offer: n == 3, voice: Voice::tone(hz), ..typed(&host, &meeting, plan) };
            let call = dial(plan);
            assert_eq!(call.srtp(), suite);
            eventually(&format!("caller {n} is in"), JOINED, || {
                (api.roster(&meeting).len() == n as usize).then_some(())
            });
            (call, hz)
        })
        .collect();
    all_hear_each_other(&calls);

    // Hold and resume, with the same key; then a key of its own choice, in the middle of a sentence.
    let (held, hz) = &calls[2];
    held.hold(true);
    held.wait_for_hold(true, ANSWER).expect("it is held");
    std::thread::sleep(Duration::from_millis(500));
    held.hold(false);
    held.wait_for_hold(false, ANSWER).expect("it is resumed");
    let (rekeyed, _) = &calls[3];
    rekeyed.change_key();
    rekeyed.wait_for(ANSWER, |happening| matches!(happening, Happening::Changed { .. })).expect("a new key");
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(*hz > 0.0);
    all_hear_each_other(&calls);

    for (n, (call, _)) in calls.iter().enumerate() {
        assert_eq!(call.packets_rejected(), 0, "{n}");
        assert!(call.reports_heard() > 0, "caller {n} was told nothing of its own packets");
        let record = hang_up(&door, call);
        assert_eq!(record["ending"], "hung-up", "{record}");
        assert_eq!(record["quality"]["srtp"].as_str(), suites[n].map(Suite::name), "{record}");
        assert_eq!(record["quality"]["packets_rejected"], 0, "{record}");
        // By the phone's reports, which come on the RTP port.
        assert!(record["quality"]["round_trip_ms"].is_number(), "{record}");
    }
    let metrics = api.text("/metrics");
    let line = |line: &str| assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    line("doorline_packets_rejected_total 0");
    line("doorline_encryption_total{suite=\"none\"} 1");
    line("doorline_encryption_total{suite=\"AEAD_AES_256_GCM\"} 1");
    door.stop();
    let log = door.log();
    let keys = log.lines().find(|line| line.contains("inline:") || line.contains("a=crypto"));
    assert!(log.lines().count() > 20 && keys.is_none(), "{keys:?}");
}

#[test]
fn each_trunk_takes_what_its_configuration_says() {
    let door = start("info");
    let srtp = Some(Suite::AesCm128HmacSha1_80);
    // The trunk, what the phone can, whether it leaves the offer to us; whether the call comes about.
    let cases = [
        ("plain", OFF, None, false, true),
        ("SRTP", OFF, srtp, false, false),
        ("plain, late offer", OFF, None, true, true),
        ("plain", OFFER, None, false, true),
        ("SRTP", OFFER, srtp, false, true),
        ("SRTP, late offer", OFFER, srtp, true, true),
        ("plain", REQUIRE, None, false, false),
        ("SRTP", REQUIRE, srtp, false, true),
        ("SRTP, late offer", REQUIRE, srtp, true, true),
        ("SRTP over UDP", OFFER_BY_TLS, srtp, false, false),
        ("plain over UDP", OFFER_BY_TLS, None, false, true),
        ("plain over UDP, late offer", OFFER_BY_TLS, None, true, true),
        ("SRTP over UDP", REQUIRE_BY_TLS, srtp, false, false),
        ("plain over UDP", REQUIRE_BY_TLS, None, false, false),
        ("over UDP, late offer", REQUIRE_BY_TLS, srtp, true, false),
    ];
    for (name, from, srtp, late_offer, comes_about) in cases {
        let number = "+15550161001";
        let call =
            Call::dial(Plan { late_offer, ..plan(&door, from, number, srtp) }).expect("the phone works");
        match call.wait_for_answer(ANSWER) {
            Ok(()) => {
                assert!(comes_about, "{name} from {from:?} was answered");
                assert_eq!(call.srtp(), srtp, "{name} from {from:?}");
                hang_up(&door, &call);
            }
            Err(error) => {
                assert!(!comes_about, "{name} from {from:?}: {error}");
                let refused = call.happenings().into_iter().find_map(|at| match at.happening {
                    Happening::Refused { status, .. } => Some(status),
                    _ => None,
                });
                assert_eq!(refused, Some(488), "{name} from {from:?}");
                let record = door.api().record(call.call_id());
                assert_eq!(record["ending"], "no-usable-encryption", "{name} from {from:?}: {record}");
            }
        }
    }
}
