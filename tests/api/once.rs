//! Requests that are sent again, and those that know what was there.

use super::*;

impl Service {
    fn with(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answered_ {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}/api/v1{path}", self.address))
            .header("authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            Value::Null => self.agent.run(request.body(()).unwrap()),
            body => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).unwrap())
            }
        };
        let mut response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let text = response.body_mut().read_to_string().unwrap();
        Answered_ {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    fn keyed(&self, path: &str, token: &str, key: &str, body: &Value) -> Answered_ {
        self.with("POST", path, token, &[("idempotency-key", key)], body)
    }
}

fn tag(answer: &Answered_) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[test]
fn what_is_asked_for_twice_with_one_key_is_done_once() {
    let service = Service::start();
    let (ada, bob) = (service.host("Ada"), service.host("Bob"));
    let eve = json!({"name": "Eve", "email": "e@example.com"});
    let cases = [
        ("/hosts".to_owned(), OPERATOR, eve),
        (format!("/hosts/{}/meetings", ada.id), ada.token.as_str(), new_meeting("one-time")),
        (format!("/hosts/{}/tokens", ada.id), OPERATOR, json!({"name": "page"})),
        (format!("/hosts/{}/new-pin", ada.id), ada.token.as_str(), Value::Null),
        (format!("/hosts/{}/new-host-pin", ada.id), ada.token.as_str(), Value::Null),
    ];
    for (path, token, body) in &cases {
        let (one, two) = (format!("one of {path}"), format!("two of {path}"));
        let first = service.keyed(path, token, &one, body);
        assert!([200, 201].contains(&first.status), "{path}: {}", first.text);
        let again = service.keyed(path, token, &one, body);
        assert_eq!((again.status, &again.json), (first.status, &first.json), "{path}");
        let other = service.keyed(path, token, &two, body);
        assert_eq!(other.status, first.status, "{path}");
        assert_ne!(other.json, first.json, "{path}: another key is another wish");
        let fields = body.as_object().cloned().unwrap_or_default();
        let mut changed = Value::Object(fields);
        changed[if path.ends_with("/meetings") { "title" } else { "name" }] = json!("Other");
        let refused = service.keyed(path, token, &one, &changed);
        refused.is_problem(422, None);
        assert!(refused.text.contains("key-used-otherwise"), "{path}: {}", refused.text);
    }
    // Ada, Bob, and one for each key.
    assert_eq!(service.get("/hosts").items().len(), 4);
    let meetings = service.get(&format!("/hosts/{}/meetings?kind=one-time", ada.id));
    assert_eq!(meetings.items().len(), 2);
    let meeting = meetings.items()[0]["id"].as_str().unwrap().to_owned();
    let new_code = format!("/meetings/{meeting}/new-code");
    let first = service.keyed(&new_code, &ada.token, "code", &Value::Null);
    let again = service.keyed(&new_code, &ada.token, "code", &Value::Null);
    assert_eq!((first.status, &first.json), (200, &again.json), "{}", first.text);

    // A key is its bearer's own.
    let own = format!("/hosts/{}/meetings", bob.id);
    let made = service.keyed(&own, &bob.token, "key one", &new_meeting("standard"));
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/hosts/{}/meetings", ada.id);
    service.keyed(&path, &bob.token, "key one", &cases[1].2).is_problem(404, None);
    let long = "x".repeat(256);
    for key in ["", long.as_str(), "\u{e4}"] {
        service.keyed(&own, &bob.token, key, &new_meeting("standard")).is_problem(400, None);
    }
}

#[test]
fn a_link_and_an_invitation_asked_for_twice_are_made_once() {
    let service = Service::start();
    service.store.attend_outbox();
    let ada = service.host("Ada");
    let meeting = service.meeting(&ada, "one-time")["id"].as_str().unwrap().to_owned();
    let links = format!("/meetings/{meeting}/moderator-links");
    let first = service.keyed(&links, &ada.token, "link", &json!({"expires_in": 600}));
    assert_eq!(first.status, 201, "{}", first.text);
    // Later it would end later.
    std::thread::sleep(Duration::from_millis(1_100));
    let again = service.keyed(&links, &ada.token, "link", &json!({"expires_in": 600}));
    assert_eq!((again.status, &again.json), (201, &first.json));
    let other = service.keyed(&links, &ada.token, "other link", &json!({"expires_in": 600}));
    assert_ne!(other.json["token"], first.json["token"]);
    service.keyed(&links, &ada.token, "link", &json!({"expires_in": 700})).is_problem(422, None);

    let invitations = format!("/meetings/{meeting}/invitations");
    let wish = json!({"again": true});
    let sequence = |answer: &Answered_| answer.json["sequence"].as_u64().unwrap();
    let first = service.keyed(&invitations, &ada.token, "mail", &wish);
    assert_eq!(first.status, 202, "{}", first.text);
    let again = service.keyed(&invitations, &ada.token, "mail", &wish);
    assert_eq!((again.status, &again.json), (202, &first.json));
    let other = service.keyed(&invitations, &ada.token, "more mail", &wish);
    assert_eq!(sequence(&other), sequence(&first) + 1);
}

#[test]
fn what_was_asked_for_in_time_is_answered_as_before_when_its_time_is_over() {
    let service = Service::start();
    let ada = service.host("Ada");
    let path = format!("/hosts/{}/meetings", ada.id);
    let soon = Timestamp::now() + SignedDuration::from_secs(2);
    let wish = json!({"kind": "one-time", "title": "Short", "starts_at": in_minutes(-5), "ends_at": soon.to_string()});
    let first = service.keyed(&path, &ada.token, "one", &wish);
    assert_eq!(first.status, 201, "{}", first.text);
    let mut tries = 0;
    while Timestamp::now() <= soon {
        std::thread::sleep(Duration::from_millis(50));
        tries += 1;
        assert!(tries < 200);
    }
    service.keyed(&path, &ada.token, "two", &wish).is_problem(422, Some("ends_at"));
    let again = service.keyed(&path, &ada.token, "one", &wish);
    assert_eq!((again.status, &again.json), (201, &first.json));
}

#[test]
fn many_at_once_with_one_key_make_one_thing() {
    let service = Service::start();
    let ada = service.host("Ada");
    let path = format!("/hosts/{}/meetings", ada.id);
    let body = new_meeting("one-time");
    let answers: Vec<Answered_> = std::thread::scope(|scope| {
        let tries: Vec<_> =
            (0..12).map(|_| scope.spawn(|| service.keyed(&path, &ada.token, "same", &body))).collect();
        tries.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut made = BTreeSet::new();
    for answer in &answers {
        match answer.status {
            201 => {
                made.insert(answer.json["id"].as_str().unwrap().to_owned());
            }
            _ => answer.is_problem(409, None),
        }
    }
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(service.get(&format!("{path}?kind=one-time")).items().len(), 1);
    // Whoever was refused comes again.
    assert_eq!(service.keyed(&path, &ada.token, "same", &body).status, 201);
}

#[test]
fn nobody_overwrites_what_they_have_not_seen() {
    let service = Service::start();
    let ada = service.host("Ada");
    let meeting = service.meeting(&ada, "one-time")["id"].as_str().unwrap().to_owned();
    let change = json!({"wait_for_moderator": true});
    let cases = [
        (format!("/meetings/{meeting}"), json!({"title": "Mine"}), change),
        (format!("/hosts/{}", ada.id), json!({"name": "Ada L."}), json!({"notices": "off"})),
    ];
    for (path, theirs, ours) in &cases {
        let seen = service.get(path);
        let tag_seen = tag(&seen);
        let known = service.with("GET", path, OPERATOR, &[("if-none-match", &tag_seen)], &Value::Null);
        assert_eq!((known.status, known.text.as_str()), (304, ""), "{path}");
        assert_eq!(tag(&known), tag_seen);
        for other in ["\"x\"", "W/\"y\", \"z\""] {
            let whole = service.with("GET", path, OPERATOR, &[("if-none-match", other)], &Value::Null);
            assert_eq!((whole.status, &whole.json), (200, &seen.json), "{path}");
        }

        let done = service.with("PATCH", path, OPERATOR, &[("if-match", &tag_seen)], theirs);
        assert_eq!(done.status, 200, "{path}: {}", done.text);
        assert_ne!(tag(&done), tag_seen, "{path}");
        assert_eq!(tag(&service.get(path)), tag(&done), "{path}");
        for old in [tag_seen.as_str(), "\"none\"", "W/\"weak\""] {
            service.with("PATCH", path, OPERATOR, &[("if-match", old)], ours).is_problem(412, None);
            service.with("DELETE", path, OPERATOR, &[("if-match", old)], &Value::Null).is_problem(412, None);
        }
        let still = service.get(path);
        assert_eq!(still.json, done.json, "{path}: nothing was done");
        let any = service.with("PATCH", path, OPERATOR, &[("if-match", "*")], ours);
        assert_eq!(any.status, 200, "{path}: {}", any.text);
        let fresh = [tag(&still), tag(&any)].join(", ");
        let gone = service.with("DELETE", path, OPERATOR, &[("if-match", &fresh)], &Value::Null);
        assert_eq!(gone.status, 204, "{path}: {}", gone.text);
    }
}

#[test]
fn meetings_are_listed_by_kind_and_time() {
    let service = Service::start();
    let ada = service.host("Ada");
    let path = format!("/hosts/{}/meetings", ada.id);
    let at = |title: &str, kind: &str, from: i64, to: i64| {
        let wish =
            json!({"kind": kind, "title": title, "starts_at": in_minutes(from), "ends_at": in_minutes(to)});
        assert_eq!(service.post(&path, wish).status, 201);
    };
    at("now", "one-time", -10, 50);
    at("soon", "standard", 60, 120);
    at("late", "one-time", 600, 660);
    let query = |query: &str| {
        let list = service.get(&format!("{path}?{}", query.replace('+', "%2B")));
        let titles = list.items().iter().map(|meeting| meeting["title"].as_str().unwrap().to_owned());
        titles.collect::<Vec<_>>()
    };
    let (hour, day) = (in_minutes(55), in_minutes(200));
    let cases = [
        ("kind=one-time".to_owned(), vec!["late", "now"]),
        (format!("from={hour}"), vec!["late", "soon"]),
        (format!("to={hour}"), vec!["now"]),
        (format!("from={hour}&to={day}"), vec!["soon"]),
        (format!("from={hour}&kind=one-time&state=scheduled"), vec!["late"]),
        ("state=cancelled".to_owned(), vec![]),
        // Also the host's own, without times.
        ("kind=standard".to_owned(), vec!["soon", "Ada"]),
    ];
    for (filter, expected) in cases {
        assert_eq!(query(&filter), expected, "{filter}");
    }
    service.get(&format!("{path}?from=yesterday")).is_problem(400, Some("from"));
    service.get(&format!("{path}?kind=odd")).is_problem(400, Some("kind"));
}
