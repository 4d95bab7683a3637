//! Hosts, their tokens, their verified numbers and their notices.

use super::*;

#[test]
fn an_operator_makes_a_host_and_the_host_schedules_a_meeting() {
    let service = Service::start();
    let made = service.post(
        "/hosts",
        json!({"name": " Ada L ", "email": "ada@example.com", "language": "en-GB", "numbers": ["+44 20 7946 0001"]}),
    );
    assert_eq!(made.status, 201, "{}", made.text);
    let host = &made.json;
    let id = host["id"].as_str().unwrap();
    assert_eq!(made.headers["location"], format!("/api/v1/hosts/{id}"));
    assert_eq!((&host["name"], &host["email"]), (&json!("Ada L"), &json!("ada@example.com")));
    assert_eq!(host["numbers"], json!(["+442079460001"]));
    assert_eq!(host["known_callers"], "straight-through");
    let pin = host["pin"].as_str().unwrap();
    assert!(pin.len() == 9 && pin.bytes().all(|b| b.is_ascii_digit()));
    assert_eq!(host["host_pin"].as_str().unwrap().len(), 6);

    let token = service.post(&format!("/hosts/{id}/tokens"), json!({"name": "outlook"}));
    let token = token.json["token"].as_str().unwrap();
    assert!(token.starts_with("dlh_") && token.len() == 47);

    let path = format!("/hosts/{id}/meetings");
    let made = service.ask("POST", &path, Some(token), Some(&new_meeting("one-time")));
    assert_eq!(made.status, 201, "{}", made.text);
    let meeting = &made.json;
    let code = meeting["code"].as_str().unwrap();
    assert_eq!((&meeting["kind"], &meeting["state"]), (&json!("one-time"), &json!("scheduled")));
    assert_eq!((meeting["pin"].as_str(), code.len()), (Some(pin), 4));
    assert_eq!(
        meeting["access_numbers"],
        json!([{"number": "+442079460000", "language": "en-GB", "country": "GB"}])
    );
    assert_eq!(meeting["one_tap"], json!([format!("tel:+442079460000,,{pin}#,,{code}#")]));
    let invitation = &meeting["invitation"];
    assert_eq!(invitation["subject"], "Budget");
    assert!(invitation["text"].as_str().unwrap().contains(&format!("One-time code: {code}")));
    assert!(invitation["html"].as_str().unwrap().contains(code));
    let ics = invitation["ics"].as_str().unwrap();
    assert!(ics.contains("METHOD:REQUEST\r\n") && ics.contains("SEQUENCE:0\r\n"), "{ics}");

    let standard = service.ask("POST", &path, Some(token), Some(&new_meeting("standard")));
    assert_eq!((standard.status, &standard.json["code"]), (201, &Value::Null));

    let list = service.ask("GET", &path, Some(token), None);
    let kinds: Vec<_> = list.items().iter().map(|m| (m["kind"].clone(), m["standing"].clone())).collect();
    assert_eq!(
        kinds,
        [
            (json!("standard"), json!(false)),
            (json!("one-time"), json!(false)),
            (json!("standard"), json!(true))
        ]
    );
    assert_eq!(list.json["next"], Value::Null);
    let read = service.ask("GET", made.headers["location"].to_str().unwrap(), Some(token), None);
    assert_eq!(read.json, *meeting);
    let open = service.ask("GET", &format!("{path}?state=open"), Some(token), None);
    assert_eq!(open.items().len(), 0);
}

#[test]
fn a_host_is_changed_renewed_and_removed() {
    let service = Service::start();
    let host = service.host("Ada");
    let path = format!("/hosts/{}", host.id);
    let before = service.get(&path).json;
    assert!(before.get("host_pin").is_none(), "a host PIN is told once");

    let patch = json!({"name": "Ada L", "language": "de-DE", "known_callers": "always-code", "numbers": ["+442079460001"]});
    let changed = service.ask("PATCH", &path, Some(&host.token), Some(&patch));
    assert_eq!(changed.status, 200, "{}", changed.text);
    for (field, value) in patch.as_object().unwrap() {
        assert_eq!(changed.json[field], *value, "{field}");
    }
    assert_eq!((&changed.json["email"], &changed.json["pin"]), (&before["email"], &before["pin"]));
    let cleared = service.ask("PATCH", &path, Some(&host.token), Some(&json!({"language": null})));
    assert_eq!((&cleared.json["language"], &cleared.json["name"]), (&Value::Null, &json!("Ada L")));

    let meeting = service.meeting(&host, "one-time");
    service.remember(&host, &meeting);
    let renewed = service.ask("POST", &format!("{path}/new-pin"), Some(&host.token), None);
    assert_eq!(renewed.status, 200, "{}", renewed.text);
    assert_ne!(renewed.json["pin"], before["pin"]);
    let verified = service.get(&format!("{path}/verified-numbers"));
    assert_eq!(verified.items().len(), 0, "a new PIN revokes all");
    let pin = service.ask("POST", &format!("{path}/new-host-pin"), Some(&host.token), None);
    assert_eq!(pin.json["host_pin"].as_str().unwrap().len(), 6);

    let tokens = service.ask("GET", &format!("{path}/tokens"), Some(&host.token), None);
    assert!(tokens.items()[0].get("token").is_none(), "a token is told once");
    let listed = service.get("/hosts");
    assert!(listed.items()[0].get("pin").is_none());
    assert_eq!(listed.items()[0]["numbers"], json!(["+4420…0001"]));

    service.commands();
    assert_eq!(service.ask("DELETE", &path, Some(OPERATOR), None).status, 204);
    assert_eq!(service.commands(), [Command::HostRemoved { host: host.id.parse().unwrap() }]);
    service.get(&path).is_problem(404, None);
    service.ask("GET", "/hosts", Some(&host.token), None).is_problem(401, None);
}

#[test]
fn a_revoked_token_opens_nothing() {
    let service = Service::start();
    let host = service.host("Ada");
    let tokens = service.ask("GET", &format!("/hosts/{}/tokens", host.id), Some(&host.token), None);
    let token = tokens.items()[0]["id"].as_str().unwrap();
    let path = format!("/tokens/{token}");
    service.ask("DELETE", &path, Some(&service.host("Bob").token), None).is_problem(404, None);
    assert_eq!(service.ask("DELETE", &path, Some(&host.token), None).status, 204);
    service.ask("GET", "/hosts", Some(&host.token), None).is_problem(401, None);
}

#[test]
fn verified_numbers_are_listed_whole_and_revoked() {
    let service = Service::start();
    let host = service.host("Ada");
    let meeting = service.meeting(&host, "one-time");
    let verified = service.remember(&host, &meeting);
    let path = format!("/hosts/{}/verified-numbers", host.id);
    let list = service.ask("GET", &path, Some(&host.token), None);
    let one = &list.items()[0];
    assert_eq!(
        (&one["number"], &one["trust"], &one["trunk"]),
        (&json!("+447700900123"), &json!("network"), &json!("lab"))
    );
    assert_eq!(one["meeting_id"], meeting["id"]);
    let time = |field: &str| one[field].as_str().unwrap().parse::<Timestamp>().unwrap();
    let days = time("expires_at").duration_since(time("verified_at")).as_hours() / 24;
    assert_eq!(days, 90, "90 days unused come before 365 in all");

    assert_eq!(
        service.ask("DELETE", &format!("/verified-numbers/{verified}"), Some(&host.token), None).status,
        204
    );
    service
        .ask("DELETE", &format!("/verified-numbers/{verified}"), Some(&host.token), None)
        .is_problem(404, None);
    service.remember(&host, &meeting);
    let of = |meeting: &str| format!("{path}?meeting={meeting}");
    let other = service.meeting(&host, "standard");
    let ask = |method, path: &str| service.ask(method, path, Some(&host.token), None);
    assert_eq!(ask("DELETE", &of(other["id"].as_str().unwrap())).status, 204);
    assert_eq!(ask("GET", &path).items().len(), 1, "it proved another meeting's code");
    ask("DELETE", &of("budget")).is_problem(400, Some("meeting"));
    assert_eq!(ask("DELETE", &of(meeting["id"].as_str().unwrap())).status, 204);
    assert_eq!(ask("GET", &path).items().len(), 0);
    service.remember(&host, &meeting);
    assert_eq!(ask("DELETE", &path).status, 204);
    assert_eq!(ask("GET", &path).items().len(), 0);
}

#[test]
fn a_host_sees_what_it_is_told_of_phones_and_says_whether_it_wants_to() {
    let service = Service::start();
    let (host, other) = (service.host("Ada"), service.host("Bob"));
    let meeting = service.meeting(&host, "one-time");
    service.remember(&host, &meeting);
    let path = format!("/hosts/{}/notices", host.id);
    let list = service.ask("GET", &path, Some(&host.token), None);
    let [one] = list.items().as_slice() else { panic!("{}", list.json) };
    assert_eq!(
        (&one["kind"], &one["number"], &one["meeting_id"], &one["meeting_title"]),
        (&json!("remembered"), &json!("+447700900123"), &meeting["id"], &meeting["title"])
    );
    for method in ["GET", "DELETE"] {
        service.ask(method, &path, Some(&other.token), None).is_problem(404, None);
    }
    assert_eq!(service.ask("DELETE", &path, Some(&host.token), None).status, 204);
    assert_eq!(service.ask("GET", &path, Some(&host.token), None).items().len(), 0);

    let account = format!("/hosts/{}", host.id);
    let patch = |body| service.ask("PATCH", &account, Some(&host.token), Some(&body));
    assert_eq!(service.ask("GET", &account, Some(&host.token), None).json["notices"], "list");
    assert_eq!(patch(json!({"notices": "off"})).json["notices"], "off");
    assert_eq!(patch(json!({"notices": "loud"})).status, 422);
}
