//! What readers see of live meetings and of calls that are over: rosters, records, paths.

use std::time::{Duration, Instant};

use doorline::bridge::rehearsal::Stage;
use doorline::bridge::snapshot::{Entered, LiveMeeting, Role};
use doorline::bridge::{CallRecord, Input, Output, Settings};

const SET_UP: &str = "
    host ada pin 123456789 own +442079460099
    one-time ada review code 4711 09:00-10:00
    one-time ada budget code 1234 09:00-10:00
    remembered ada +442079460003";

fn stage(story: &str) -> Stage {
    let mut stage = Stage::new(Instant::now());
    for line in SET_UP.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.set_up(line).unwrap();
    }
    tell(&mut stage, story);
    stage
}

fn tell(stage: &mut Stage, story: &str) {
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.happen(line).unwrap();
    }
}

fn only_meeting(stage: &Stage) -> LiveMeeting {
    let [meeting] = &stage.bridge.snapshot().meetings[..] else { panic!("one live meeting") };
    meeting.clone()
}

const THREE_WAYS_IN: &str = "
    ada: call from +442079460099 signed
    ada: dial 123456789
    wait 3s
    guest: call from +442079460001 network
    guest: dial 123456789#
    wait 2s
    guest: dial 4711
    known: call from +442079460003 network
    wait 3s";

#[test]
fn the_roster_says_who_is_in_as_what_and_why() {
    // Which of the two meetings is on when the moderator dials in is theirs to choose.
    let stage = stage(&format!("ada opens review\n{THREE_WAYS_IN}"));
    let meeting = only_meeting(&stage);
    assert_eq!(meeting.title, "review");
    let rows: Vec<(Role, Entered, String)> = meeting
        .roster
        .iter()
        .map(|row| (row.role, row.entered, row.number.as_ref().unwrap().masked()))
        .collect();
    assert_eq!(
        rows,
        [
            (Role::Moderator, Entered::Moderator, "+4420…0099".to_owned()),
            (Role::Guest, Entered::ProvedCode, "+4420…0001".to_owned()),
            (Role::Guest, Entered::Remembered, "+4420…0003".to_owned()),
        ]
    );
}

#[test]
fn a_host_has_one_live_meeting_whatever_is_opened() {
    let mut stage = stage("ada opens review");
    for opened in ["budget", "ada-room", "review", "budget"] {
        tell(&mut stage, &format!("ada opens {opened}"));
        assert_eq!(only_meeting(&stage).title, opened);
    }
    assert!(stage.store.faults.is_empty());
}

#[test]
fn who_waits_for_the_moderator_is_counted_and_not_on_the_roster() {
    let mut stage = Stage::new(Instant::now());
    stage.set_up("host ada pin 123456789").unwrap();
    stage.set_up("one-time ada review code 4711 09:00-10:00 wait").unwrap();
    tell(
        &mut stage,
        "anna: call from +442079460001 network
         anna: dial 123456789#4711#
         bert: call withheld
         bert: dial 123456789#4711#
         wait 3s",
    );
    let meeting = only_meeting(&stage);
    assert_eq!((meeting.waiting, meeting.roster.len()), (2, 0));
    tell(&mut stage, "ada opens review");
    let meeting = only_meeting(&stage);
    assert_eq!((meeting.waiting, meeting.roster.len()), (0, 2));
}

#[test]
fn mute_shows_on_the_roster() {
    let mut stage = stage(&format!("ada opens review\n{THREE_WAYS_IN}"));
    let muted = |stage: &Stage| only_meeting(stage).roster.iter().map(|row| row.muted).collect::<Vec<_>>();
    tell(&mut stage, "guest: dial *6");
    assert_eq!(muted(&stage), [false, true, false]);
    tell(&mut stage, "mute known");
    assert_eq!(muted(&stage), [false, true, true]);
    tell(&mut stage, "known: dial *6\n unmute known");
    assert_eq!(muted(&stage), [false, true, false]);
}

#[test]
fn the_revision_grows_when_readers_would_see_something_new() {
    let mut stage = stage("anna: call from +442079460001 network");
    let before = (stage.bridge.revision(), stage.bridge.snapshot());
    tell(&mut stage, "anna: dial 1234");
    assert_eq!((stage.bridge.revision(), stage.bridge.snapshot()), before);
    tell(&mut stage, "anna: dial 56789");
    let after = (stage.bridge.revision(), stage.bridge.snapshot());
    assert!(after.0 > before.0 && after.1 != before.1);
}

#[test]
fn after_everyone_is_gone_nothing_is_left() {
    let mut stage = stage(&format!("ada opens review\n{THREE_WAYS_IN}"));
    tell(&mut stage, "ada: hang up\n guest: hang up\n known: hang up");
    stage.advance(Duration::from_secs(3 * 60 * 60));
    assert!(stage.bridge.is_idle());
    assert_eq!(stage.bridge.deadline(), None);
}

/// The record of one call, told by the inputs of a bridge alone.
fn record_of(story: &str) -> CallRecord {
    let mut stage = stage(story);
    let call = stage.bridge.snapshot().calls.first().map(|call| call.call).expect("a call is there");
    let mut out = Vec::new();
    let now = stage.now();
    let how = doorline::bridge::input::HangUp::Caller;
    stage.bridge.handle(Input::HungUp { call, how }, now, &mut out);
    let quality = doorline::bridge::input::Quality { packets_received: 500, ..Default::default() };
    stage.bridge.handle(Input::Quality { call, quality }, now, &mut out);
    out.into_iter()
        .find_map(|output| match output {
            Output::Save { record } => Some(*record),
            _ => None,
        })
        .expect("the record is saved when the figures are there")
}

#[test]
fn a_record_tells_the_way_and_why_and_no_secret() {
    let record = record_of(
        "anna: call from +442079460001 network
         anna: dial 123456789#9999#
         wait 2s
         anna: dial 123456789#4711#
         wait 3s",
    );
    let path: Vec<&str> = record.path.iter().map(|step| step.what).collect();
    assert_eq!(
        path,
        [
            "ringing",
            "asking-pin",
            "checking",
            "asking-code",
            "checking",
            "wrong-details",
            "asking-pin",
            "checking",
            "asking-code",
            "checking",
            "opening",
            "in-meeting",
            "remembered",
            "over"
        ]
    );
    assert_eq!(record.keys.len(), 30);
    assert_eq!(record.entered, Some(Entered::ProvedCode));
    assert!(record.remembered && record.answered_at.is_some() && record.joined_at.is_some());
    assert_eq!(record.quality.unwrap().packets_received, 500);
    let printed = format!("{record:?}");
    for secret in ["123456789", "9999", "4711", "+442079460001"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn a_record_keeps_its_last_sixty_four_steps() {
    let mut story = String::from("anna: call from +442079460001 network\n anna: dial 123456789#\n");
    // `*` at the code goes back to the PIN: two steps each time.
    for _ in 0..40 {
        story += "wait 1s\n anna: dial *\n anna: dial 123456789\n";
    }
    let record = record_of(&story);
    assert_eq!(record.path.len(), 64);
    assert_eq!(record.path.last().unwrap().what, "over");
}

#[test]
fn the_defaults_of_the_rules_are_those_of_the_documents() {
    let settings = Settings::default();
    assert_eq!(settings.early_join, Duration::from_secs(15 * 60));
    assert_eq!(settings.overrun, Duration::from_secs(30 * 60));
    assert_eq!(settings.waiting, Duration::from_secs(30 * 60));
    assert_eq!(settings.verified_unused, Duration::from_secs(90 * 86_400));
    assert_eq!(settings.verified_in_all, Duration::from_secs(365 * 86_400));
}
