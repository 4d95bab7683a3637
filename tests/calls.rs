//! Real calls, end to end: the test phone over loopback into the real program, with the API as
//! witness. Rules are tested in virtual time elsewhere; this proves the wiring.

mod support;

use std::net::IpAddr;
use std::time::Duration;

use doorline::audio::Codec;
use doorline::cli::phone::{Call, DigitsBy, Happening, Plan, Presentation, Voice};
use doorline::sip::Transport;
use serde_json::Value;
use support::api::text;
use support::hear::{SECOND, prompt_in};
use support::scene::{
    ANSWER, END, JOINED, KEYS, Scene, dial, does_not_hear, entry, hangs_up, hears, in_meeting, is_hung_up_on,
    level_now, pause, was_asked,
};
use support::{Doorline, Meeting, NOBODY, STRANGER, eventually};

#[test]
fn the_same_caller_twice() {
    let mut scene = Scene::new();
    let number = "+15550100001";
    let (pin, code) = (scene.host.pin.clone(), scene.meeting.code().to_owned());

    // As a person does it: listen, PIN, listen, code.
    let keys = format!("p,{pin},p,{code}").parse().expect("PIN and code are keys");
    let first = dial(Plan { keys, voice: Voice::tone(440.0), ..scene.plan(number) });
    let roster = scene.sees(1);
    assert_eq!(roster[0]["entered"], "proved-code", "{roster:?}");
    assert_eq!(roster[0]["role"], "guest");
    // While the call goes on it is told how it sounds, anew every few seconds.
    let sounds = |least: u64| {
        eventually("how the call sounds", Duration::from_secs(12), || {
            let quality = scene.sees(1)[0]["quality"].clone();
            quality["packets_received"].as_u64().is_some_and(|count| count > least).then_some(quality)
        })
    };
    let quality = sounds(0);
    assert!(quality["mos"].as_f64().is_some_and(|mos| mos > 3.5), "{quality}");
    assert!(quality["jitter_ms"].is_number() && quality["packets_lost"].is_u64(), "{quality}");
    sounds(quality["packets_received"].as_u64().expect("it was one"));
    pause(4_000);
    let heard = first.heard();
    for prompt in ["welcome", "enter-pin", "enter-code", "remembered"] {
        assert!(prompt_in(&heard, prompt).is_some(), "{prompt} was not heard");
    }
    let question = prompt_in(&heard, "enter-pin").expect("it was heard");
    assert!(question < 5 * SECOND, "the PIN is asked for after {:.1} s", question as f64 / SECOND as f64);
    let record = hangs_up(&first, &scene.api);
    assert_eq!(record["remembered"], true, "{record}");
    assert_eq!(record["ending"], "hung-up", "{record}");
    assert_eq!(record["keys"].as_array().map(Vec::len), Some(13), "{record}");
    assert_eq!(record["trust"], "network", "{record}");
    let verified = scene.api.verified_numbers(&scene.host);
    assert_eq!(verified.len(), 1);

    scene.door.restart();

    // Straight in: no key, no question.
    let second = dial(scene.plan(number));
    let roster = scene.sees(1);
    assert_eq!(roster[0]["entered"], "remembered", "{roster:?}");
    pause(3_000);
    let heard = second.heard();
    for prompt in ["enter-pin", "enter-code"] {
        assert_eq!(prompt_in(&heard, prompt), None, "{prompt} was heard");
    }
    assert!(prompt_in(&heard, "welcome-back").is_some());
    let record = hangs_up(&second, &scene.api);
    assert!(!was_asked(&record), "{record}");
    assert_eq!(record["keys"].as_array().map(Vec::len), Some(0), "{record}");

    // Revoked: asked as on the first day.
    scene.api.delete(&format!("/verified-numbers/{}", text(&verified[0], "id"))).done();
    let third = dial(scene.plan(number));
    pause(6_000);
    assert!(prompt_in(&third.heard(), "enter-pin").is_some());
    assert!(scene.api.roster(&scene.meeting).is_empty());
    let record = hangs_up(&third, &scene.api);
    assert!(was_asked(&record), "{record}");
    assert_eq!(record["entered"], Value::Null, "{record}");
}

#[test]
fn a_number_that_nobody_vouches_for_is_asked_each_time() {
    let scene = Scene::new();
    let number = "+15550100002";
    let first = scene.joins(number, Voice::Silent, 1);
    hangs_up(&first, &scene.api);
    assert_eq!(scene.api.verified_numbers(&scene.host).len(), 1);

    // The same number: over a trunk that vouches for nobody, without the carrier's word, withheld.
    let from_stranger = Plan { local: IpAddr::from(STRANGER), ..scene.plan(number) };
    let plain = Plan { presentation: Presentation::Plain, ..scene.plan(number) };
    let withheld = Plan { presentation: Presentation::Withheld, ..scene.plan(number) };
    for (plan, trust) in [(from_stranger, "claimed"), (plain, "claimed"), (withheld, "none")] {
        for _ in 0..2 {
            let call = dial(Plan { keys: entry(&scene.host, &scene.meeting), ..plan.clone() });
            scene.sees(1);
            let record = hangs_up(&call, &scene.api);
            assert!(was_asked(&record), "{record}");
            assert_eq!(record["entered"], "proved-code", "{record}");
            assert_eq!(record["remembered"], false, "{record}");
            assert_eq!(record["trust"], trust, "{record}");
            scene.sees(0);
        }
    }
    assert_eq!(scene.api.verified_numbers(&scene.host).len(), 1);

    // With it, still straight in.
    let known = dial(scene.plan(number));
    scene.sees(1);
    assert!(!was_asked(&hangs_up(&known, &scene.api)));
}

/// R7 and R8 over the whole service, and what the host is told.
#[test]
fn what_a_remembered_phone_is_asked_is_the_hosts_to_say_and_a_meetings_to_tighten() {
    let scene = Scene::new();
    let (api, host) = (&scene.api, &scene.host);
    let number = "+15550100040";
    hangs_up(&scene.joins(number, Voice::Silent, 1), api);
    let told = || {
        let notices = api.items(&format!("/hosts/{}/notices", host.id));
        notices.iter().map(|one| (text(one, "kind"), text(one, "meeting_id"))).collect::<Vec<_>>()
    };
    let remembered = ("remembered".to_owned(), scene.meeting.id.clone());
    assert_eq!(told(), std::slice::from_ref(&remembered));

    let asked = |record: &Value, what: &str| {
        record["path"].as_array().expect("a path is a list").iter().any(|step| step["what"] == what)
    };
    let opened = |meeting: Meeting| {
        api.order(&format!("/meetings/{}/open", meeting.id)).done();
        meeting
    };

    // Straight through, into a meeting whose code it never proved: the host is told, once.
    let second = opened(api.new_one_time_meeting(host));
    for _ in 0..2 {
        let call = dial(scene.plan(number));
        in_meeting(api, &second, 1);
        assert!(!asked(&hangs_up(&call, api), "asking-code"));
    }
    let came = ("came-without-code".to_owned(), second.id.clone());
    eventually("the host is told", END, || (told() == [came.clone(), remembered.clone()]).then_some(()));

    // A meeting that is tighter than its host: this meeting's code, and no PIN.
    let tight = opened(api.new_meeting_for_known(host, "code-once"));
    let call = dial(Plan { keys: format!("p,{}#", tight.code()).parse().unwrap(), ..scene.plan(number) });
    in_meeting(api, &tight, 1);
    // A second phone with the same number meanwhile: shared, so it is asked too (R8).
    let shared = dial(Plan { keys: format!("p,{}#", tight.code()).parse().unwrap(), ..scene.plan(number) });
    in_meeting(api, &tight, 2);
    for call in [&call, &shared] {
        let record = hangs_up(call, api);
        assert!(asked(&record, "asking-code") && !was_asked(&record), "{record}");
    }

    // The host is tighter than the meeting: the meeting cannot loosen it.
    api.patch(&format!("/hosts/{}", host.id), &serde_json::json!({"known_callers": "always-code"})).good();
    let loose = opened(api.new_meeting_for_known(host, "straight-through"));
    for _ in 0..2 {
        let keys = format!("p,{}#", loose.code()).parse().unwrap();
        let call = dial(Plan { keys, ..scene.plan(number) });
        in_meeting(api, &loose, 1);
        assert!(asked(&hangs_up(&call, api), "asking-code"));
    }
}

#[test]
fn a_standard_meeting_asks_for_the_pin_alone() {
    let door = Doorline::plain();
    let api = door.api();
    let host = api.new_host("Grace");
    let meetings = api.items(&format!("/hosts/{}/meetings", host.id));
    let standing = meetings.iter().find(|meeting| meeting["standing"] == true).expect("it always exists");
    let meeting = Meeting { id: text(standing, "id"), code: None };
    let plan = Plan::new(&door.uri(), "+15550100003").expect("the plan is good");
    let call = dial(Plan { keys: host.pin.parse().expect("a PIN is keys"), ..plan });
    assert_eq!(in_meeting(&api, &meeting, 1)[0]["entered"], "pin-only");
    assert_eq!(api.state_of(&meeting), "open");
    let record = hangs_up(&call, &api);
    assert_eq!(record["remembered"], false, "{record}");
    assert!(api.verified_numbers(&host).is_empty());
}

#[test]
fn three_wrong_codes_end_the_call_with_the_reason() {
    let scene = Scene::new();
    let last = scene.meeting.code().bytes().last().expect("a code has digits") - b'0';
    let wrong = format!("{}{}", &scene.meeting.code()[..3], (last + 1) % 10);
    let round = format!("{}#{wrong}#", scene.host.pin);
    let keys = format!("{round},w4,{round},w4,{round}").parse().expect("they are keys");
    let call = dial(Plan { keys, ..scene.plan("+15550100004") });
    let record = is_hung_up_on(&call, &scene.api);
    assert_eq!(record["ending"], "too-many-wrong-entries", "{record}");
    assert_eq!(record["entered"], Value::Null, "{record}");
    let heard = call.heard();
    assert!(prompt_in(&heard, "do-not-match").is_some());
    assert!(prompt_in(&heard, "too-many-wrong-entries").is_some());
    assert!(matches!(
        call.happenings().last().map(|at| at.happening.clone()),
        Some(Happening::Ended { reason: Some(reason), .. }) if reason.contains("cause=21")
    ));
    assert!(scene.api.verified_numbers(&scene.host).is_empty());
}

#[test]
fn two_rooms_at_once_hear_themselves_and_not_each_other() {
    let scene = Scene::new();
    let other_host = scene.api.new_host("Lin");
    let other = scene.api.new_one_time_meeting(&other_host);
    let tones = [440.0, 620.0, 810.0, 1_130.0, 1_390.0];
    let mut calls: Vec<Call> = Vec::new();
    for (n, &hz) in tones.iter().enumerate() {
        let number = format!("+1555010010{n}");
        let codec = Codec::ALL[n % 4];
        let (host, meeting) = if n < 3 { (&scene.host, &scene.meeting) } else { (&other_host, &other) };
        let keys = entry(host, meeting);
        calls.push(dial(Plan { keys, codec, voice: Voice::tone(hz), ..scene.plan(&number) }));
    }
    in_meeting(&scene.api, &scene.meeting, 3);
    in_meeting(&scene.api, &other, 2);
    let is_together = |a: usize, b: usize| (a < 3) == (b < 3);
    for (listener, call) in calls.iter().enumerate() {
        for (speaker, &hz) in tones.iter().enumerate() {
            if speaker != listener && is_together(speaker, listener) {
                hears(call, hz);
            }
        }
    }
    for (listener, call) in calls.iter().enumerate() {
        for (speaker, &hz) in tones.iter().enumerate() {
            if speaker == listener || !is_together(speaker, listener) {
                does_not_hear(call, hz);
            }
        }
        // All others at once, each as loud as it speaks: nothing is lost or softened on the way.
        let others = || tones.iter().enumerate().filter(|&(n, _)| n != listener && is_together(n, listener));
        eventually("all others are heard as loud as they speak", Duration::from_secs(10), || {
            others().all(|(_, &hz)| (level_now(call, hz) + 20.0).abs() < 1.0).then_some(())
        });
    }
}

#[test]
fn a_second_meeting_closes_the_first() {
    let scene = Scene::new();
    let second = scene.api.new_one_time_meeting(&scene.host);
    let calls: Vec<Call> = (0..3)
        .map(|n| {
            scene.joins(&format!("+1555010020{n}"), Voice::tone(440.0 + 200.0 * f64::from(n)), n as usize + 1)
        })
        .collect();
    pause(3_000);
    scene.api.order(&format!("/meetings/{}/open", second.id)).done();
    assert_eq!(scene.api.state_of(&scene.meeting), "closed");
    assert_eq!(scene.api.state_of(&second), "open");
    for call in &calls {
        let record = is_hung_up_on(call, &scene.api);
        assert_eq!(record["ending"], "meeting-closed-by-second", "{record}");
        assert!(prompt_in(&call.heard(), "other-meeting-opened").is_some());
    }
    // New callers join the second; with the first one's code they do not.
    let known = dial(scene.plan("+15550100200"));
    in_meeting(&scene.api, &second, 1);
    let stale = dial(scene.typed("+15550100209"));
    let record = is_hung_up_on(&stale, &scene.api);
    assert_eq!(record["ending"], "meeting-ended", "{record}");
    assert!(prompt_in(&stale.heard(), "meeting-has-ended").is_some());
    assert_eq!(scene.api.roster(&second).len(), 1);
    drop(known);
}

#[test]
fn the_moderator_mutes_and_removes_over_the_api() {
    let scene = Scene::new();
    let loud = scene.joins("+15550100301", Voice::tone(440.0), 1);
    let id = text(&scene.sees(1)[0], "id");
    let other = scene.joins("+15550100302", Voice::tone(1_000.0), 2);
    hears(&other, 440.0);
    hears(&loud, 1_000.0);

    scene.api.order(&format!("/participants/{id}/mute")).done();
    pause(1_500);
    does_not_hear(&other, 440.0);
    hears(&loud, 1_000.0);
    scene.api.order(&format!("/participants/{id}/unmute")).done();
    hears(&other, 440.0);

    // By key, and back.
    loud.press("*6".parse().expect("they are keys"));
    eventually("muted by key", JOINED, || {
        scene.api.roster(&scene.meeting).iter().any(|one| one["muted"] == true).then_some(())
    });
    pause(1_500);
    does_not_hear(&other, 440.0);
    loud.press("*6".parse().expect("they are keys"));
    hears(&other, 440.0);

    scene.api.order(&format!("/participants/{id}/remove-and-forget")).done();
    let record = is_hung_up_on(&loud, &scene.api);
    assert_eq!(record["ending"], "removed-by-moderator", "{record}");
    scene.sees(1);
    let verified = scene.api.verified_numbers(&scene.host);
    assert!(verified.iter().all(|one| one["number"] != "+15550100301"), "{verified:?}");
    assert!(!other.is_over());
}

#[test]
fn a_held_call_comes_back() {
    let scene = Scene::new();
    let held = scene.joins("+15550100401", Voice::tone(440.0), 1);
    let other = scene.joins("+15550100402", Voice::tone(1_000.0), 2);
    hears(&held, 1_000.0);
    hears(&other, 440.0);
    held.hold(true);
    held.wait_for_hold(true, ANSWER).expect("holding is agreed");
    pause(1_500);
    does_not_hear(&other, 440.0);
    let mark = held.heard_so_far();
    pause(1_000);
    assert!(held.heard_so_far() - mark < SECOND / 10, "sound is sent to a caller who holds");
    held.hold(false);
    held.wait_for_hold(false, ANSWER).expect("resuming is agreed");
    hears(&held, 1_000.0);
    hears(&other, 440.0);
    assert_eq!(scene.api.roster(&scene.meeting).len(), 2);
}

#[test]
fn every_way_of_calling_and_keying_leads_in() {
    let scene = Scene::new();
    let (pin, code) = (&scene.host.pin, scene.meeting.code());
    let typed = |n: usize| scene.typed(&format!("+1555010050{n}"));
    let ways = [
        ("INFO", "info", Plan { digits_by: DigitsBy::Info, ..typed(0) }),
        ("a late offer", "rtp", Plan { late_offer: true, ..typed(2) }),
        ("TCP", "rtp", Plan { transport: Transport::Tcp, ..typed(3) }),
        ("A-law", "rtp", Plan { codec: Codec::Pcma, ..typed(4) }),
        ("G.722", "rtp", Plan { codec: Codec::G722, ..typed(7) }),
        (
            "PIN and code in one go",
            "rtp",
            Plan { keys: format!("{pin}{code}").parse().expect("keys"), ..typed(5) },
        ),
        (
            "a second thought",
            "rtp",
            Plan { keys: format!("12*{pin}{code}").parse().expect("keys"), ..typed(6) },
        ),
    ];
    // All at once: they are six callers of one meeting.
    let calls: Vec<(&str, &str, Call)> =
        ways.into_iter().map(|(way, source, plan)| (way, source, dial(plan))).collect();
    for (way, _, call) in &calls {
        call.wait_for_keys(KEYS).unwrap_or_else(|error| panic!("{way}: {error}"));
    }
    pause(5_000);
    for (way, source, call) in &calls {
        let record = hangs_up(call, &scene.api);
        assert_eq!(record["entered"], "proved-code", "{way}: {record}");
        let keys = record["keys"].as_array().expect("keys are a list");
        assert!(keys.iter().all(|key| key["source"] == *source), "{way}: {record}");
        // Fingers hold a key for 100 ms; INFO tells 160.
        let is_press = |key: &Value| key["length_ms"].as_u64().is_some_and(|ms| (80..=160).contains(&ms));
        assert!(keys.iter().all(|key| is_press(key) && key["merged"] == 0), "{way}: {record}");
        let pressed: usize = call
            .happenings()
            .iter()
            .filter_map(|at| match at.happening {
                Happening::KeysSent { count } => Some(count),
                _ => None,
            })
            .sum();
        assert_eq!(keys.len(), pressed, "{way}: a key was lost or doubled: {record}");
    }
}

#[test]
fn what_was_told_to_the_caller_survives_a_kill() {
    let mut scene = Scene::new();
    let number = "+15550100601";
    let call = scene.joins(number, Voice::Silent, 1);
    eventually("the phone is remembered", JOINED, || {
        (scene.api.verified_numbers(&scene.host).len() == 1).then_some(())
    });
    assert_eq!(scene.api.state_of(&scene.meeting), "open");
    scene.door.kill();
    call.vanish();
    scene.door.start_again();

    assert_eq!(scene.api.verified_numbers(&scene.host).len(), 1);
    assert_ne!(scene.api.state_of(&scene.meeting), "open", "nobody is in it");
    assert!(scene.api.items("/live").is_empty());
    let known = dial(scene.plan(number));
    assert_eq!(scene.sees(1)[0]["entered"], "remembered");
    drop(known);
}

#[test]
fn strangers_and_wrong_numbers_are_turned_away() {
    let scene = Scene::new();
    let unknown = Plan::new(&scene.door.uri_of("+442079460999"), "+15550100701").expect("the plan is good");
    let call = Call::dial(unknown).expect("the phone works");
    match call.wait_for_end(ANSWER).expect("it is refused") {
        Happening::Refused { status, .. } => assert_eq!(status, 404),
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.api.record(call.call_id())["ending"], "unknown-access-number");

    let from_nowhere = Plan { local: IpAddr::from(NOBODY), ..scene.plan("+15550100702") };
    let call = Call::dial(from_nowhere).expect("the phone works");
    assert!(call.wait_for_answer(Duration::from_millis(1_500)).is_err());
    let answers =
        call.happenings().into_iter().filter(|at| !matches!(at.happening, Happening::Dialled { .. }));
    assert_eq!(answers.count(), 0, "a source that no trunk allows gets no answer at all");
    call.vanish();
}

#[test]
fn a_recorded_call_goes_the_same_way_again() {
    let scene = Scene::new();
    let call = scene.joins("+15550100801", Voice::Silent, 1);
    pause(4_000);
    let record = hangs_up(&call, &scene.api);
    scene.door.write("call.json", &record.to_string());
    let replayed = scene.door.other(&["replay", "call.json"]);
    let said = String::from_utf8_lossy(&replayed.stdout);
    assert!(replayed.status.success(), "{said}{}", String::from_utf8_lossy(&replayed.stderr));
    assert!(said.contains("in-meeting") && said.contains("the same way: "), "{said}");
    assert!(!record.to_string().contains(&scene.host.pin), "no digit is in it");
}
