//! Who reads along while real phones call: nothing is missed, nothing is told to others.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use doorline::cli::phone::{Call, Plan, Voice};
use support::events::{Event, Events};
use support::{Doorline, Host, Meeting, eventually};

/// Dials with PIN and code typed ahead, and more keys after that.
fn dials(door: &Doorline, number: &str, (host, meeting): (&Host, &Meeting), more: &str) -> Call {
    let keys = format!("{}{}{more}", host.pin, meeting.code()).parse().expect("PIN and code are keys");
    let plan = Plan::new(&door.uri(), number).expect("the plan is good");
    let call = Call::dial(Plan { keys, voice: Voice::tone(440.0), ..plan }).expect("the phone works");
    call.wait_for_answer(Duration::from_secs(5)).expect("the service answers");
    call
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).filter(|name| *name != "talk").collect()
}

#[test]
fn a_meeting_is_followed_from_its_opening_to_its_close() {
    let mut door = Doorline::plain();
    let api = door.api();
    let (ada, bob) = (api.new_host("Ada"), api.new_host("Bob"));
    let meeting = api.new_one_time_meeting(&ada);
    let token = |host: &Host| {
        let made = api.post(&format!("/hosts/{}/tokens", host.id), &serde_json::json!({"name": "page"}));
        support::api::text(&made.made(), "token")
    };
    let (ada_token, bob_token) = (token(&ada), token(&bob));
    let address: SocketAddr = door.http();
    let mut page = Events::open(address, &ada_token, "", None);
    let mut other = Events::open(address, &bob_token, "", None);
    let mut operator = Events::open(address, door.operator_token(), "", None);
    let act = |what: &str| api.order(&format!("/meetings/{}/{what}", meeting.id)).done();

    let anna = dials(&door, "+15550100001", (&ada, &meeting), "");
    let mut all = page.until("remembered");
    assert_eq!(names(&all), ["opened", "joined", "remembered"], "{all:?}");
    let joined = all.iter().find(|event| event.name == "joined").expect("it is there");
    assert_eq!(joined.data["participant"]["entered"], "proved-code", "{joined:?}");
    assert_eq!(joined.data["meeting_id"], meeting.id.as_str(), "{joined:?}");
    let anna_id = support::api::text(&joined.data["participant"], "id");
    // A tone is as loud as speech.
    if !all.iter().any(|event| event.name == "talk") && joined.data["participant"]["talking"] != true {
        all.extend(page.until("talk"));
    }

    act("lock");
    all.extend(page.until("lock"));
    let bert = dials(&door, "+15550100002", (&ada, &meeting), "");
    let lobby = page.until("lobby-entered");
    let waiting = lobby.last().expect("it came").data["waiting"].clone();
    assert_eq!(waiting["reason"], "locked", "{waiting}");
    all.extend(lobby);
    let bert_id = support::api::text(&waiting, "id");
    api.order(&format!("/participants/{bert_id}/admit")).done();
    let came = page.until("remembered");
    assert_eq!(names(&came), ["lobby-left", "joined", "remembered"], "{came:?}");
    all.extend(came);

    act("record");
    all.extend(page.until("recording"));
    act("mute-all");
    all.extend(page.until("mute"));
    all.extend(page.until("mute"));
    api.order(&format!("/participants/{anna_id}/mute")).done();
    let muted = page.until("mute");
    assert_eq!(muted.last().expect("it came").data["hard_muted"], true, "{muted:?}");
    all.extend(muted);
    bert.hang_up();
    all.extend(page.until("left"));
    act("close");
    let closing = page.until("closed");
    assert_eq!(names(&closing).last(), Some(&"closed"), "{closing:?}");
    all.extend(closing);
    anna.wait_for_end(Duration::from_secs(40)).expect("the service hangs up");

    // The operator saw the same, in the same order; who comes again sees all that came after.
    assert_eq!(operator.until("closed"), all);
    let middle = all.len() / 2;
    let mut again = Events::open(address, &ada_token, "", Some(&all[middle].id.to_string()));
    assert_eq!(again.until("closed"), all[middle + 1..]);
    for event in &all {
        let text = event.data.to_string();
        for secret in [&ada.pin, meeting.code(), "15550100001", "15550100002"] {
            assert!(!text.contains(&format!("\"{secret}\"")) && !text.contains("155501"), "{text}");
        }
    }

    // The other host saw nothing of it, but sees its own.
    let own = api.new_one_time_meeting(&bob);
    api.order(&format!("/meetings/{}/open", own.id)).done();
    let seen = other.event();
    assert_eq!((seen.name.as_str(), &seen.data["host_id"]), ("opened", &bob.id.as_str().into()));
    assert_eq!(seen.data["meeting_id"], own.id.as_str());

    let last = all.last().expect("there are some").id;
    door.restart();
    let address = door.http();
    let mut after = eventually("the events go on", Duration::from_secs(5), || {
        Some(Events::open(address, &ada_token, "", Some(&last.to_string())))
    });
    assert_eq!(after.event().name, "reset", "what happened before a restart is not held");
}

#[test]
fn a_remembered_phone_without_this_meetings_code_is_told_of() {
    let door = Doorline::plain();
    let api = door.api();
    let ada = api.new_host("Ada");
    let first = api.new_one_time_meeting(&ada);
    let mut page = Events::open(door.http(), door.operator_token(), "", None);
    let call = dials(&door, "+15550100003", (&ada, &first), "");
    page.until("remembered");
    call.hang_up();
    page.until("left");
    let second = api.new_one_time_meeting(&ada);
    api.order(&format!("/meetings/{}/open", second.id)).done();
    page.until("opened");
    let plan = Plan::new(&door.uri(), "+15550100003").expect("the plan is good");
    let call = Call::dial(plan).expect("the phone works");
    let events = page.until("came-without-code");
    let told = events.last().expect("it came");
    assert_eq!(told.data["meeting_id"], second.id.as_str(), "{told:?}");
    assert!(told.data["number"].as_str().is_some_and(|number| number.ends_with("0003")), "{told:?}");
    call.hang_up();
    page.until("left");
}
