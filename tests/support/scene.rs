//! A service with one host and one meeting that is open to callers, and what phones do there.

use std::time::Duration;

use doorline::cli::phone::{Call, Happening, Keys, Plan, Voice, Who, tone};
use serde_json::Value;

use super::hear::{HEARD_DB, SECOND, UNHEARD_DB};
use super::{Api, Doorline, Host, Meeting, eventually};

/// An answer takes milliseconds; this is for a loaded machine.
pub const ANSWER: Duration = Duration::from_secs(5);

/// From the last key into the meeting: the verdict's fixed instant and the prompts before it.
pub const JOINED: Duration = Duration::from_secs(15);

/// Keys of a PIN and a code, one after another.
pub const KEYS: Duration = Duration::from_secs(12);

/// From a BYE to the end.
pub const END: Duration = Duration::from_secs(15);

/// A service, a host, and that host's One Time Meeting, open to callers now.
pub struct Scene {
    pub door: Doorline,
    pub api: Api,
    pub host: Host,
    pub meeting: Meeting,
}

impl Scene {
    pub fn new() -> Self {
        let door = Doorline::plain();
        let api = door.api();
        let host = api.new_host("Ada");
        let meeting = api.new_one_time_meeting(&host);
        Self { door, api, host, meeting }
    }

    /// A call that says nothing and presses nothing.
    pub fn plan(&self, number: &str) -> Plan {
        Plan::new(&self.door.uri(), number).expect("the plan is good")
    }

    /// The same with PIN and code typed ahead.
    pub fn typed(&self, number: &str) -> Plan {
        Plan { keys: entry(&self.host, &self.meeting), ..self.plan(number) }
    }

    /// Calls, keys PIN and code, and is in the meeting as the `nth` participant.
    pub fn joins(&self, number: &str, voice: Voice, nth: usize) -> Call {
        let call = dial(Plan { voice, ..self.typed(number) });
        self.sees(nth);
        call
    }

    /// The roster comes to have `count` participants.
    pub fn sees(&self, count: usize) -> Vec<Value> {
        in_meeting(&self.api, &self.meeting, count)
    }
}

pub fn entry(host: &Host, meeting: &Meeting) -> Keys {
    let code = meeting.code.as_ref().map(|code| format!("{code}#")).unwrap_or_default();
    format!("{}#{code}", host.pin).parse().expect("PIN and code are keys")
}

pub fn in_meeting(api: &Api, meeting: &Meeting, count: usize) -> Vec<Value> {
    eventually(&format!("{count} in the meeting"), KEYS + JOINED, || {
        let roster = api.roster(meeting);
        (roster.len() == count).then_some(roster)
    })
}

/// Dials and is answered.
pub fn dial(plan: Plan) -> Call {
    let call = Call::dial(plan).expect("the phone works");
    call.wait_for_answer(ANSWER).expect("the service answers");
    call
}

/// Hangs up; the call's record.
pub fn hangs_up(call: &Call, api: &Api) -> Value {
    call.hang_up();
    call.wait_for_end(END).expect("the call ends");
    api.record(call.call_id())
}

/// The service hangs up; the call's record.
pub fn is_hung_up_on(call: &Call, api: &Api) -> Value {
    let last = call.wait_for_end(Duration::from_secs(40)).expect("the service hangs up");
    assert!(matches!(last, Happening::Ended { by: Who::Them, .. }), "{last:?}");
    api.record(call.call_id())
}

pub fn was_asked(record: &Value) -> bool {
    record["path"].as_array().expect("a path is a list").iter().any(|step| step["what"] == "asking-pin")
}

pub fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// The level of a tone in the last second that this phone heard.
pub fn level_now(call: &Call, hz: f64) -> f64 {
    let heard = call.heard();
    assert!(heard.len() >= SECOND, "heard {} samples", heard.len());
    tone::level(&heard[heard.len() - SECOND..], hz)
}

/// A room is softer while a prompt is played to this caller, so this waits for the prompt's end.
pub fn hears(call: &Call, hz: f64) {
    call.wait_for_tone(hz, HEARD_DB, Duration::from_secs(10))
        .unwrap_or_else(|error| panic!("{hz} Hz: {error}"));
}

/// Whoever speaks does so without a pause, so one second without the tone is proof. Speech of a prompt
/// has some of every frequency; it is over after a while.
#[track_caller]
pub fn does_not_hear(call: &Call, hz: f64) {
    let mut level = f64::MAX;
    for _ in 0..40 {
        level = level_now(call, hz);
        if level < UNHEARD_DB {
            return;
        }
        pause(250);
    }
    panic!("{hz} Hz is heard at {level:.0} dB");
}
