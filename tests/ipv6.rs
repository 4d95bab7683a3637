//! Calls over IPv6 with the real program: signalling and sound at [::1], beside a caller over IPv4.

mod support;

use std::time::Duration;

use doorline::cli::phone::{Call, Happening, Plan, Voice};
use support::{ACCESS_NUMBER, Doorline, Ipv6, Options, eventually};

const ANSWER: Duration = Duration::from_secs(5);
/// From dialling into the meeting, with all that is said on the way.
const JOINED: Duration = Duration::from_secs(30);

fn start(ipv6: Ipv6) -> Doorline {
    Doorline::start(Options { ipv6, ..Options::default() })
}

fn plan(door: &Doorline, over_v6: bool, number: &str) -> Plan {
    let to = if over_v6 { door.sip_v6() } else { door.sip() };
    let plan = Plan::new(&format!("sip:{ACCESS_NUMBER}@{to}"), number).expect("the plan is good");
    assert_eq!(plan.local.is_ipv6(), over_v6);
    plan
}

#[test]
fn callers_over_ipv6_key_pin_and_code_and_are_heard_by_all() {
    let door = start(Ipv6::All);
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let dial = |n: u32, over_v6: bool, late_offer: bool, hz: f64| {
        let keys = format!("{}#{}#", host.pin, meeting.code()).parse().expect("PIN and code are keys");
        let plan = plan(&door, over_v6, &format!("+1555010010{n}"));
        let call =
            Call::dial(Plan { keys, late_offer, voice: Voice::tone(hz), ..plan }).expect("the phone works");
        call.wait_for_answer(ANSWER).expect("the service answers");
        call
    };
    let tones = [440.0, 700.0, 1_000.0];
    let calls =
        [dial(1, true, false, tones[0]), dial(2, true, true, tones[1]), dial(3, false, false, tones[2])];
    eventually("all are in", JOINED, || (api.roster(&meeting).len() == calls.len()).then_some(()));
    for (listener, own) in calls.iter().zip(tones) {
        for other in tones.into_iter().filter(|other| *other != own) {
            listener.wait_for_tone(other, -40.0, JOINED).expect("everybody hears everybody");
        }
    }
    // The session is described anew, in the same family.
    calls[0].hold(true);
    calls[0].wait_for_hold(true, ANSWER).expect("it is held");
    calls[0].hold(false);
    calls[0].wait_for_hold(false, ANSWER).expect("it is resumed");
    // One hangs up; the service says BYE to the others, over IPv6 too.
    calls[0].hang_up();
    calls[0].wait_for_end(JOINED).expect("the call ends");
    api.order(&format!("/meetings/{}/close", meeting.id));
    for call in &calls {
        call.wait_for_end(JOINED).expect("the meeting is over");
        let record = api.record(call.call_id());
        assert_eq!(
            (&record["trunk"], &record["entered"]),
            (&"lab".into(), &"proved-code".into()),
            "{record}"
        );
        assert_eq!(record["quality"]["packets_rejected"], 0, "{record}");
    }
}

#[test]
fn sound_over_ipv6_is_refused_with_a_reason_where_there_is_no_address_for_it() {
    let door = start(Ipv6::Signalling);
    let call = Call::dial(plan(&door, true, "+15550100101")).expect("the phone works");
    let refused = call.wait_for_end(ANSWER).expect("it is refused");
    assert!(matches!(refused, Happening::Refused { status: 488, .. }), "{refused}");
    let record = door.api().record(call.call_id());
    assert_eq!(record["ending"], "no-usable-address", "{record}");
    assert!(door.log().contains("audio over IPv6, of which we have no address"), "{}", door.log_tail());
    // Left to the service, the offer is one that it can keep.
    let plan = Plan { late_offer: true, ..plan(&door, true, "+15550100102") };
    let call = Call::dial(plan).expect("the phone works");
    let over = call.wait_for_end(JOINED).expect("the phone has no way to IPv4");
    assert!(!matches!(over, Happening::Refused { .. }), "{over}");
}

#[test]
fn the_doctor_calls_itself_over_both_families_and_says_where_sound_is_missing() {
    let both = start(Ipv6::All);
    let told = both.other(&["doctor", "--config", &both.config_file().display().to_string()]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let self_call = told.lines().find(|line| line.contains("self-call")).unwrap_or_else(|| panic!("{told}"));
    assert!(self_call.starts_with("ok "), "{told}");
    assert!(told.lines().any(|line| line.contains("ports tried at ::1")), "{told}");
    let half = start(Ipv6::Signalling);
    let told = half.other(&["doctor", "--no-call", "--config", &half.config_file().display().to_string()]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let line =
        told.lines().find(|line| line.contains("set rtp.address_v6")).unwrap_or_else(|| panic!("{told}"));
    assert!(line.starts_with("warn"), "{told}");
}
