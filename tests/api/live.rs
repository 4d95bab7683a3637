//! What is live: rosters, and what a moderator does there.

use super::*;

#[test]
fn the_roster_is_masked_and_its_people_are_muted_and_removed() {
    let service = Service::start();
    let host = service.host("Ada");
    let meeting = service.meeting(&host, "one-time");
    let snapshot = Snapshot {
        unwritten: 0,
        calls: vec![live_call(7, Some(&host)), live_call(8, None)],
        meetings: vec![live_meeting(&host, id(&meeting), 7)],
        lobby: vec![in_lobby(&host, id(&meeting), 9)],
        draining: false,
    };
    service.now_live(snapshot);
    let live = service.ask("GET", "/live", Some(&host.token), None);
    assert_eq!((live.items().len(), &live.json["calls"]), (1, &json!(1)));
    assert_eq!((&live.items()[0]["participants"], &live.items()[0]["waiting"]), (&json!(1), &json!(2)));
    assert_eq!(service.get("/live").json["calls"], 2);

    let roster = format!("/meetings/{}/roster", meeting["id"].as_str().unwrap());
    let roster = service.ask("GET", &roster, Some(&host.token), None);
    let one = &roster.items()[0];
    assert_eq!(
        (&one["number"], &one["role"], &one["entered"]),
        (&json!("+4477…0123"), &json!("guest"), &json!("remembered"))
    );
    assert_eq!((&one["quality"]["mos"], &one["quality"]["jitter_ms"]), (&json!(4.25), &json!(3.5)));
    assert_eq!(roster.json["waiting"], 2);
    let shown = service.terminal("meetings").unwrap();
    assert!(
        shown.lines().nth(1).is_some_and(|line| line.starts_with(meeting["id"].as_str().unwrap())),
        "{shown}"
    );
    let shown = service.terminal(&format!("meetings {}", meeting["id"].as_str().unwrap())).unwrap();
    assert!(shown.contains("+4477…0123") && shown.contains("guest"), "{shown}");
    assert_eq!((&roster.json["title"], &roster.json["live"]), (&json!("Budget"), &json!(true)));
    let waits = &roster.json["lobby"][0];
    assert_eq!((&waits["number"], &waits["reason"]), (&json!("+4477…0456"), &json!("locked")));
    assert_eq!((&live.items()[0]["lobby"], &live.items()[0]["locked"]), (&json!(1), &json!(false)));

    let participant = CallId::numbered(7);
    let cases = [
        ("mute", Command::Mute { participant, muted: true }),
        ("unmute", Command::Mute { participant, muted: false }),
        ("promote", Command::Promote { participant }),
        ("lower-hand", Command::LowerHand { participant }),
        ("remove", Command::Remove { participant, forget: false }),
        ("remove-and-forget", Command::Remove { participant, forget: true }),
    ];
    for (what, command) in cases {
        let told =
            service.ask("POST", &format!("/participants/{participant}/{what}"), Some(&host.token), None);
        assert_eq!(told.status, 204, "{what}: {}", told.text);
        assert_eq!(service.commands(), [command], "{what}");
    }
    let participant = CallId::numbered(9);
    for (what, command) in
        [("admit", Command::Admit { participant }), ("refuse", Command::Refuse { participant })]
    {
        let told =
            service.ask("POST", &format!("/participants/{participant}/{what}"), Some(&host.token), None);
        assert_eq!(told.status, 204, "{what}: {}", told.text);
        assert_eq!(service.commands(), [command], "{what}");
    }
    let participant = CallId::numbered(7);
    // In a call, but not in a meeting; and gone since the snapshot.
    let path = format!("/participants/{}/mute", CallId::numbered(8));
    service.post(&path, json!({})).is_problem(404, None);
    assert_eq!(service.commands(), []);
    service.refuse(Some(Rejection::NoSuchParticipant));
    service.post(&format!("/participants/{participant}/mute"), json!({})).is_problem(404, None);
}

#[test]
fn a_live_meeting_is_locked_muted_and_recorded() {
    let service = Service::start();
    let host = service.host("Ada");
    let stored = service.meeting(&host, "one-time");
    let meeting = id(&stored);
    let cases = [
        ("lock", Command::Lock { meeting, locked: true }),
        ("unlock", Command::Lock { meeting, locked: false }),
        ("mute-all", Command::MuteAll { meeting, muted: true }),
        ("unmute-all", Command::MuteAll { meeting, muted: false }),
        ("record", Command::Record { meeting, on: true }),
        ("stop-recording", Command::Record { meeting, on: false }),
    ];
    for (what, command) in cases {
        let path = format!("/meetings/{meeting}/{what}");
        assert_eq!(service.ask("POST", &path, Some(&host.token), None).status, 204, "{what}");
        assert_eq!(service.commands(), [command]);
        service.refuse(Some(Rejection::NotOpen));
        service.ask("POST", &path, Some(&host.token), None).is_problem(409, None);
        service.refuse(None);
        service.commands();
    }
}

#[test]
fn a_meeting_that_is_not_live_has_an_empty_roster() {
    let service = Service::start();
    let host = service.host("Ada");
    let meeting = service.meeting(&host, "one-time");
    let roster = service.get(&format!("/meetings/{}/roster", meeting["id"].as_str().unwrap()));
    assert_eq!((roster.status, roster.items().len()), (200, 0));
}
