//! What holds for every path: tokens, problems, pages, headers, the agreed document.

use super::*;

// -- who may what --

#[test]
fn nothing_is_told_without_a_token() {
    let service = Service::start();
    let document = serde_json::to_value(http::document()).unwrap();
    let mut routes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            let path = path.replace("{id}", &HostId::numbered(1).to_string());
            if operation["tags"][0] == "service" {
                assert_eq!(service.ask(&method, &path, None, None).status, 200, "{method} {path}");
                continue;
            }
            routes += 1;
            for token in [None, Some("wrong"), Some("dlh_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] {
                let refused = service.ask(&method, &path, token, None);
                refused.is_problem(401, None);
                assert_eq!(refused.headers["www-authenticate"], "Bearer", "{method} {path}");
            }
        }
    }
    assert!(routes >= 25, "only {routes} routes were tried");
    assert_eq!(service.commands(), []);

    for header in [
        "Basic abc",
        "Bearer",
        "Bearer ",
        OPERATOR,
        &format!("Bearer {OPERATOR}x"),
        &format!("Bearer  {}", &OPERATOR[1..]),
    ] {
        let request = ureq::http::Request::get(format!("http://{}/api/v1/hosts", service.address))
            .header("authorization", header)
            .body(())
            .unwrap();
        assert_eq!(service.agent.run(request).unwrap().status(), 401, "{header}");
    }
}

// -- what is refused --

#[test]
fn a_refusal_names_the_field_and_what_was_expected() {
    let service = Service::start();
    let host = service.host("Ada");
    let hosts = "/hosts".to_owned();
    let meetings = format!("/hosts/{}/meetings", host.id);
    let with = |field: &str, value: Value| {
        let mut body = new_meeting("one-time");
        body[field] = value;
        body
    };
    let mut nowhere = with("recurrence", json!("FREQ=DAILY"));
    nowhere["time_zone"] = Value::Null;
    let ada = |field: &str, value: Value| {
        let mut body = json!({"name": "Ada", "email": "ada@example.com"});
        body[field] = value;
        body
    };
    let cases = [
        (&hosts, json!({"email": "ada@example.com"}), "name", "missing"),
        (&hosts, ada("name", json!("")), "name", "0 characters, expected 1 to 200"),
        (&hosts, ada("name", json!(7)), "name", "integer, expected a string"),
        (&hosts, ada("email", json!("ada")), "email", "mail address"),
        (&hosts, ada("emial", json!("x")), "emial", "unknown field"),
        (&hosts, ada("pin", json!("123456789")), "pin", "unknown field"),
        (&hosts, ada("language", json!("english!")), "language", "expected a tag"),
        (&hosts, ada("known_callers", json!("never")), "known_callers", "expected one of"),
        (&hosts, ada("numbers", json!(["+4420"])), "numbers", "number 1: "),
        (&meetings, with("kind", json!("two-time")), "kind", "expected `one-time` or `standard`"),
        (&meetings, with("title", json!("a\nb")), "title", "control character"),
        (&meetings, with("starts_at", json!("tomorrow")), "starts_at", "RFC 3339"),
        (&meetings, with("starts_at", json!("0001-01-01T00:00:00Z")), "starts_at", "2000 to 2199"),
        (&meetings, with("ends_at", json!(in_minutes(-10))), "ends_at", "after starts_at"),
        (&meetings, with("time_zone", json!("Mars/Olympus")), "time_zone", "IANA"),
        (&meetings, with("recurrence", json!("FREQ=HOURLY")), "recurrence", "DAILY, WEEKLY"),
        (&meetings, nowhere, "time_zone", "without time_zone"),
        (
            &meetings,
            with("recurrence", json!("FREQ=YEARLY;BYMONTHDAY=29;BYMONTH=2")),
            "recurrence",
            "starts_at",
        ),
        (&meetings, with("invitees", json!(["bob"])), "invitees", "mail address"),
        (&meetings, with("wait_for_moderator", json!("yes")), "wait_for_moderator", "expected a boolean"),
        (&meetings, with("code", json!("1234")), "code", "unknown field"),
    ];
    for (path, body, field, detail) in cases {
        let refused = service.post(path, body);
        refused.is_problem(422, Some(field));
        let told = refused.json["detail"].as_str().unwrap();
        assert!(told.contains(detail), "{field}: {told}");
    }
    let over =
        json!({"kind": "standard", "title": "x", "starts_at": in_minutes(-60), "ends_at": in_minutes(-1)});
    service.post(&meetings, over).is_problem(422, Some("ends_at"));
    assert_eq!(service.get("/hosts").items().len(), 1);
    assert_eq!(service.get(&meetings).items().len(), 1);
    let allowed = with("recurrence", Value::Null);
    assert_eq!(service.post(&meetings, allowed).status, 201);
}

#[test]
fn a_request_that_cannot_be_read_is_a_problem_too() {
    let service = Service::start();
    let host = service.host("Ada");
    let send = |body: &str, kind: &str| service.send("POST", "/hosts", Some(OPERATOR), Some(body), kind);
    send("{\"name\": ", "application/json").is_problem(400, None);
    send("[1]", "application/json").is_problem(422, None);
    send("", "application/json").is_problem(422, Some("name"));
    send("name=Ada", "application/x-www-form-urlencoded").is_problem(415, None);
    send(&"[".repeat(60_000), "application/json").is_problem(400, None);
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(70_000));
    send(&long, "application/json").is_problem(413, None);
    let utf8 = send("{\"name\": \"Ada\", \"email\": \"a@example.com\"}", "application/json; charset=utf-8");
    assert_eq!(utf8.status, 201);

    service.get("/nothing").is_problem(404, None);
    service.get("/api/v2/hosts").is_problem(404, None);
    service.get("/hosts/not-an-id").is_problem(404, None);
    service.get("/meetings/%00").is_problem(404, None);
    let refused = service.ask("PUT", "/hosts", Some(OPERATOR), None);
    refused.is_problem(405, None);
    assert_eq!(refused.headers["allow"], "POST,GET,HEAD");

    let meetings = format!("/hosts/{}/meetings", host.id);
    let cases = [
        ("/hosts?limit=0".to_owned(), "limit"),
        ("/hosts?limit=201".to_owned(), "limit"),
        ("/hosts?limit=many".to_owned(), "limit"),
        ("/hosts?cursor=x".to_owned(), "cursor"),
        ("/hosts?page=2".to_owned(), "page"),
        (format!("{meetings}?state=ajar"), "state"),
        ("/calls?ending=bored".to_owned(), "ending"),
        ("/calls?from=yesterday".to_owned(), "from"),
        ("/calls?number=anonymous".to_owned(), "number"),
        ("/calls?host_id=5".to_owned(), "host_id"),
        ("/calls?cursor=p".to_owned(), "cursor"),
        ("/calls?live=perhaps".to_owned(), "live"),
    ];
    for (path, field) in cases {
        let refused = service.get(&path);
        assert_eq!(refused.status, 400, "{path}: {}", refused.text);
        refused.is_problem(400, Some(field));
    }
}

#[test]
fn lists_are_paged() {
    let service = Service::start();
    for index in 0..5 {
        service.host(&format!("Host {index}"));
    }
    let mut names = Vec::new();
    let mut path = "/hosts?limit=2".to_owned();
    for expected in [2, 2, 1] {
        let page = service.get(&path);
        assert_eq!(page.items().len(), expected);
        names.extend(page.items().iter().map(|host| host["name"].as_str().unwrap().to_owned()));
        path = format!("/hosts?limit=2&cursor={}", page.json["next"].as_str().unwrap_or("end"));
    }
    assert!(path.ends_with("cursor=end"));
    assert_eq!(names, ["Host 0", "Host 1", "Host 2", "Host 3", "Host 4"]);
}

#[test]
fn a_broken_database_is_said_in_a_word() {
    let service = Service::start();
    let host = service.host("Ada");
    assert_eq!(service.get("/readyz").status, 200);
    service.runtime.block_on(service.store.close());
    service.get("/hosts").is_problem(503, None);
    service.ask("GET", "/hosts", Some(&host.token), None).is_problem(503, None);
    service.post("/hosts", json!({"name": "Bob", "email": "b@example.com"})).is_problem(503, None);
    service.get("/readyz").is_problem(503, None);
    assert_eq!(service.get("/healthz").status, 200, "the process itself is well");
}

// -- the service itself --

#[test]
fn health_readiness_and_figures_need_no_token() {
    let service = Service::start();
    let health = service.ask("GET", "/healthz", None, None);
    assert_eq!(health.json, json!({"status": "ok", "version": "0.1.0"}));
    assert_eq!(service.ask("GET", "/readyz", None, None).status, 200);
    let metrics = service.ask("GET", "/metrics", None, None);
    assert_eq!(metrics.text, "doorline_calls 3\n");
    assert!(metrics.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    service.now_live(Snapshot { draining: true, ..Snapshot::default() });
    service.ask("GET", "/readyz", None, None).is_problem(503, None);
    assert_eq!(service.ask("GET", "/healthz", None, None).status, 200);
}

#[test]
fn every_answer_carries_the_headers_that_keep_browsers_honest() {
    let service = Service::start();
    for (path, token) in
        [("/hosts", Some(OPERATOR)), ("/hosts", None), ("/nothing", None), ("/healthz", None)]
    {
        let answer = service.ask("GET", path, token, None);
        let header = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert!(header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert!(answer.headers.get("server").is_none(), "{path}");
    }
}

#[test]
fn the_document_is_the_one_that_was_agreed() {
    let service = Service::start();
    let served = service.ask("GET", "/openapi.json", None, None);
    assert_eq!(served.json["openapi"], "3.1.0");
    let text = format!("{}\n", serde_json::to_string_pretty(&served.json).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api.json");
    if std::env::var_os("DOORLINE_RENEW").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let agreed = std::fs::read_to_string(path).unwrap_or_default();
    if let Some((at, (now, then))) = text.lines().zip(agreed.lines()).enumerate().find(|(_, (a, b))| a != b) {
        panic!(
            "line {} of tests/api.json is {then:?}, the API now has {now:?}; DOORLINE_RENEW=1 renews it",
            at + 1
        );
    }
    assert_eq!(text.len(), agreed.len(), "tests/api.json has another length; DOORLINE_RENEW=1 renews it");
}

#[test]
fn the_server_ends_when_it_is_told_even_with_a_connection_open() {
    let mut service = Service::start();
    let mut idle = TcpStream::connect(service.address).unwrap();
    assert_eq!(service.get("/healthz").status, 200);
    let began = Instant::now();
    service.stop.take().unwrap().send(()).unwrap();
    let task = service.task.take().unwrap();
    service
        .runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(5), task).await })
        .unwrap()
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let mut rest = Vec::new();
    idle.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    assert_eq!(idle.read_to_end(&mut rest).unwrap_or(0), 0);
}

#[test]
fn bytes_that_are_no_http_end_the_connection_and_nothing_else() {
    let service = Service::start();
    let cases: [&[u8]; 4] =
        [b"\0\0\0\0\r\n\r\n", b"INVITE sip:x SIP/2.0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &[0xff; 4096]];
    for bytes in cases {
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || text.starts_with("HTTP/1.1 400"), "{text}");
    }
    assert_eq!(service.get("/healthz").status, 200);
}
