//! Meetings: scheduled, changed, opened, closed, cancelled.

use super::*;

#[test]
fn a_meeting_is_changed_and_its_code_renewed() {
    let service = Service::start();
    let host = service.host("Ada");
    let meeting = service.meeting(&host, "one-time");
    let path = format!("/meetings/{}", meeting["id"].as_str().unwrap());
    let ends_at = in_minutes(90);
    let patch = json!({"title": "Budget 2", "ends_at": ends_at, "known_callers": "code-once",
        "wait_for_moderator": true, "time_zone": null, "invitees": []});
    let changed = service.ask("PATCH", &path, Some(&host.token), Some(&patch));
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!((&changed.json["title"], &changed.json["sequence"]), (&json!("Budget 2"), &json!(1)));
    assert_eq!(changed.json["known_callers"], "code-once");
    assert_eq!((&changed.json["time_zone"], &changed.json["invitees"]), (&Value::Null, &json!([])));
    assert_eq!(
        (&changed.json["code"], &changed.json["starts_at"]),
        (&meeting["code"], &meeting["starts_at"])
    );
    assert!(changed.json["invitation"]["ics"].as_str().unwrap().contains("SEQUENCE:1\r\n"));

    let renewed = service.ask("POST", &format!("{path}/new-code"), Some(&host.token), None);
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    assert_ne!(renewed.json["code"], meeting["code"]);
    assert_eq!(renewed.json["sequence"], 2);
    let standard = service.meeting(&host, "standard");
    let path = format!("/meetings/{}/new-code", standard["id"].as_str().unwrap());
    service.post(&path, json!({})).is_problem(409, None);
}

#[test]
fn opening_closing_and_cancelling_go_through_the_switchboard() {
    let service = Service::start();
    let host = service.host("Ada");
    let (first, second) = (service.meeting(&host, "one-time"), service.meeting(&host, "standard"));
    let path = |meeting: &Value, what: &str| format!("/meetings/{}{what}", meeting["id"].as_str().unwrap());
    let tell = |method: &str, path: &str| service.ask(method, path, Some(&host.token), None);

    let opened = tell("POST", &path(&first, "/open"));
    assert_eq!((opened.status, &opened.json["state"]), (200, &json!("open")), "{}", opened.text);
    assert_eq!(opened.json["opened_by"], "moderator");
    let commands = service.commands();
    let [Command::Open { host: view, meeting }] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!((view.id.to_string(), *meeting), (host.id.clone(), id(&first)));
    assert!(view.meetings.iter().any(|meeting| meeting.id == id(&first)));

    assert_eq!(tell("POST", &path(&second, "/open")).json["state"], "open");
    assert_eq!(tell("GET", &path(&first, "")).json["state"], "closed");
    assert_eq!(tell("POST", &path(&second, "/close")).json["state"], "closed");
    service.commands();

    service.refuse(Some(Rejection::NotOpen));
    tell("POST", &path(&second, "/close")).is_problem(409, None);
    service.refuse(Some(Rejection::NotToBeOpened));
    tell("POST", &path(&second, "/open")).is_problem(409, None);
    service.refuse(Some(Rejection::StoreUnavailable));
    let busy = tell("POST", &path(&second, "/open"));
    busy.is_problem(503, None);
    assert_eq!(busy.headers["retry-after"], "5");
    service.refuse(None);
    service.commands();

    // Cancelling needs no live meeting, and whoever waits is told.
    service.refuse(Some(Rejection::NotOpen));
    assert_eq!(tell("DELETE", &path(&second, "")).status, 204);
    assert_eq!(service.commands(), [Command::Cancelled { meeting: id(&second) }]);
    service.refuse(None);
    let cancelled = tell("GET", &path(&second, ""));
    assert_eq!(cancelled.json["state"], "cancelled");
    assert!(cancelled.json["invitation"]["ics"].as_str().unwrap().contains("METHOD:CANCEL"));
    service.commands();
    tell("POST", &path(&second, "/open")).is_problem(409, None);
    tell("POST", &path(&second, "/new-code")).is_problem(409, None);
    service
        .ask("PATCH", &path(&second, ""), Some(OPERATOR), Some(&json!({"title": "x"})))
        .is_problem(409, None);
    assert_eq!(service.commands(), [], "nothing is told that cannot be done");

    // The standing meeting is there for good.
    let standing = service.get(&format!("/hosts/{}", host.id)).json["standard_meeting_id"].clone();
    tell("DELETE", &format!("/meetings/{}", standing.as_str().unwrap())).is_problem(409, None);

    // A table that says open though nobody is there is put right by closing.
    assert_eq!(tell("POST", &path(&first, "/open")).json["state"], "open");
    service.refuse(Some(Rejection::NotOpen));
    assert_eq!(tell("POST", &path(&first, "/close")).json["state"], "closed");
}

#[test]
fn a_meeting_far_away_is_shown_to_the_bridge_when_it_is_opened() {
    let service = Service::start();
    let host = service.host("Ada");
    let body = json!({"kind": "one-time", "title": "Next week",
        "starts_at": in_minutes(7 * 24 * 60), "ends_at": in_minutes(7 * 24 * 60 + 30)});
    let meeting = service.post(&format!("/hosts/{}/meetings", host.id), body).json;
    service.post(&format!("/meetings/{}/open", meeting["id"].as_str().unwrap()), json!({}));
    let commands = service.commands();
    let [Command::Open { host: view, .. }] = commands.as_slice() else { panic!("{commands:?}") };
    assert!(view.meetings.iter().any(|view| view.id == id(&meeting)));
}

#[test]
fn a_recurring_meeting_is_scheduled_changed_and_told_in_its_calendar() {
    let service = Service::start();
    let host = service.host("Ada");
    let meetings = format!("/hosts/{}/meetings", host.id);
    let mut body = new_meeting("one-time");
    body["starts_at"] = json!("2027-03-22T10:00:00Z");
    body["ends_at"] = json!("2027-03-22T11:00:00Z");
    body["recurrence"] = json!("RRULE:freq=weekly;count=4;byday=mo");
    let made = service.post(&meetings, body);
    assert_eq!(made.status, 201, "{}", made.text);
    let meeting = &made.json;
    assert_eq!(meeting["recurrence"], "FREQ=WEEKLY;COUNT=4;BYDAY=MO");
    assert_eq!(meeting["deliveries"], json!([]));
    let ics = meeting["invitation"]["ics"].as_str().unwrap();
    for line in [
        "DTSTART;TZID=Europe/London:20270322T100000",
        "RRULE:FREQ=WEEKLY;COUNT=4;BYDAY=MO",
        "BEGIN:VTIMEZONE",
    ] {
        assert!(ics.lines().any(|found| found == line), "{line} is not in {ics}");
    }
    let path = format!("/meetings/{}", meeting["id"].as_str().unwrap());
    let patch = |body: Value| service.ask("PATCH", &path, Some(&host.token), Some(&body));
    let changed = patch(json!({"recurrence": "FREQ=DAILY;COUNT=2"}));
    assert_eq!(
        (&changed.json["recurrence"], &changed.json["sequence"]),
        (&json!("FREQ=DAILY;COUNT=2"), &json!(1))
    );
    patch(json!({"recurrence": "FREQ=WEEKLY;BYDAY=TU"})).is_problem(422, Some("recurrence"));
    patch(json!({"time_zone": null})).is_problem(422, Some("time_zone"));
    patch(json!({"recurrence": 7})).is_problem(422, Some("recurrence"));
    let once = patch(json!({"recurrence": null, "time_zone": null}));
    assert_eq!((&once.json["recurrence"], &once.json["time_zone"]), (&Value::Null, &Value::Null));
    assert!(!once.json["invitation"]["ics"].as_str().unwrap().contains("RRULE"));
}
