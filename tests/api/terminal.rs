//! The same from a terminal: the admin commands against a running API.

use super::*;

// -- the same from a terminal --

#[derive(clap::Parser)]
struct Doorline {
    #[command(subcommand)]
    command: Admin,
}

#[derive(clap::Subcommand)]
enum Admin {
    Host(admin::HostArguments),
    Meeting(admin::MeetingArguments),
    Verified(admin::VerifiedArguments),
    Meetings(admin::meetings::MeetingsArguments),
    Calls(admin::calls::CallsArguments),
    Trunk(admin::trunk::TrunkArguments),
    Reload(admin::trunk::ReloadArguments),
    Erase(admin::erase::EraseArguments),
}

impl Service {
    /// What `doorline LINE` prints, or its complaint.
    pub(super) fn terminal(&self, line: &str) -> Result<String, String> {
        self.terminal_as(OPERATOR, line)
    }

    fn terminal_as(&self, token: &str, line: &str) -> Result<String, String> {
        let url = format!("http://{}/", self.address);
        terminal(&format!("{line} --url {url} --token {token}"))
    }
}

fn terminal(line: &str) -> Result<String, String> {
    let words = std::iter::once("doorline").chain(line.split_whitespace());
    let mut out = Vec::new();
    match Doorline::try_parse_from(words).map_err(|error| error.to_string())?.command {
        Admin::Host(arguments) => admin::host(&arguments, &mut out),
        Admin::Meeting(arguments) => admin::meeting(&arguments, &mut out),
        Admin::Verified(arguments) => admin::verified(&arguments, &mut out),
        Admin::Meetings(arguments) => admin::meetings::meetings(&arguments, &mut out),
        Admin::Calls(arguments) => admin::calls::calls(&arguments, &mut out),
        Admin::Trunk(arguments) => admin::trunk::trunk(&arguments, &mut out),
        Admin::Reload(arguments) => admin::trunk::reload(&arguments, &mut out),
        Admin::Erase(arguments) => admin::erase::erase(&arguments, &mut out),
    }
    .map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(out).unwrap())
}

/// The value behind a heading.
fn told(text: &str, heading: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(heading));
    line.unwrap_or_else(|| panic!("no {heading} in:\n{text}")).trim().to_owned()
}

#[test]
fn a_host_and_its_meetings_are_run_from_a_terminal() {
    let service = Service::start();
    let run = |line: &str| service.terminal(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let made =
        run("host add --name Ada --email ada@example.com --number +442079460001 --number +442079460002");
    let host = told(&made, "id");
    assert_eq!((told(&made, "PIN").len(), told(&made, "host PIN").len()), (9, 6));
    assert!(run("host list").contains("+4420…0001, +4420…0002"));
    assert_eq!(told(&run(&format!("host show {host}")), "PIN"), told(&made, "PIN"));
    assert!(!run(&format!("host show {host}")).contains("host PIN"));
    assert_eq!(told(&run(&format!("host new-host-pin {host}")), "host PIN").len(), 6);
    let renewed = run(&format!("host new-pin {host}"));
    assert_ne!(told(&renewed, "PIN"), told(&made, "PIN"));
    let token = told(&run(&format!("host add-token {host} --name outlook")), "token");
    assert!(run(&format!("host tokens {host}")).contains("outlook"));

    let made =
        run(&format!("meeting add --host {host} --title Budget --time-zone Europe/London --minutes 30"));
    let (meeting, code) = (told(&made, "id"), told(&made, "one-time code"));
    assert_eq!((code.len(), told(&made, "state").as_str()), (4, "scheduled"));
    assert!(made.contains(&format!("  One-time code: {code}")), "{made}");
    let as_host = |line: &str| service.terminal_as(&token, line).unwrap();
    assert_eq!(told(&as_host(&format!("meeting open {meeting}")), "state"), "open");
    assert!(as_host(&format!("meeting list --host {host} --state open")).contains(&meeting));
    assert_eq!(told(&as_host(&format!("meeting close {meeting}")), "state"), "closed");
    assert_eq!(as_host(&format!("meeting list --host {host} --state open")), "none\n");
    assert_ne!(told(&as_host(&format!("meeting new-code {meeting}")), "one-time code"), code);

    service.remember(&Made { id: host.clone(), token: token.clone() }, &json!({"id": meeting}));
    let listed = as_host(&format!("verified list --host {host}"));
    assert!(listed.contains("+447700900123"), "{listed}");
    let verified = listed.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(as_host(&format!("verified revoke {verified}")), "revoked\n");
    assert_eq!(as_host(&format!("verified revoke --host {host}")), "revoked\n");
    assert_eq!(as_host(&format!("verified list --host {host}")), "none\n");

    assert_eq!(as_host(&format!("meeting cancel {meeting}")), "cancelled\n");
    assert_eq!(told(&as_host(&format!("meeting show {meeting}")), "state"), "cancelled");
    let standard = run(&format!("meeting add --host {host} --title Talk --kind standard --json"));
    let standard: Value = serde_json::from_str(&standard).unwrap();
    assert_eq!((&standard["kind"], &standard["code"]), (&json!("standard"), &Value::Null));
    let listed: Value = serde_json::from_str(&run("host list --json")).unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert_eq!(run(&format!("host remove {host}")), "removed\n");
    assert_eq!(run("host list"), "none\n");
}

#[test]
fn a_list_in_a_terminal_is_whole() {
    let service = Service::start();
    let host = service.host("Ada");
    for _ in 0..120 {
        service.meeting(&host, "standard");
    }
    let listed = service.terminal(&format!("meeting list --host {}", host.id)).unwrap();
    assert_eq!(listed.lines().count(), 1 + 120 + 1, "heading, meetings, the standing one");
}

#[test]
fn a_complaint_in_a_terminal_is_a_sentence_with_what_came_back() {
    let service = Service::start();
    let (host, bob) = (service.host("Ada"), service.host("Bob"));
    let nobody = HostId::numbered(1);
    let cases = [
        ("host add --name x --email x".to_owned(), "422 A field is wrong: email: expected a mail address"),
        (format!("host show {nobody}"), "404 Not found: no such host"),
        ("host show 5".to_owned(), "invalid value '5'"),
        (format!("meeting add --host {} --title x --time-zone Mars", host.id), "time_zone: expected an IANA"),
        (format!("meeting add --host {} --title x --ends-at 2020-01-01T00:00:00Z", host.id), "ends_at: 2020"),
        ("verified revoke".to_owned(), "required"),
    ];
    for (line, expected) in cases {
        let error = service.terminal(&line).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
    let error = service.terminal_as(&bob.token, &format!("host show {}", host.id)).unwrap_err();
    assert!(error.contains("404") && !error.contains(&bob.token), "{error}");
    let error = service.terminal_as("wrong", "host list").unwrap_err();
    assert!(error.contains("401 A valid token is needed: unknown or revoked token"), "{error}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        (
            format!("host list --url http://{closed} --token x"),
            "nobody listens there; is the service running?",
        ),
        ("host list --url https://127.0.0.1 --token x".to_owned(), "expected http://HOST:PORT"),
        ("host list --token-file /nonexistent/token".to_owned(), "token file /nonexistent/token"),
    ];
    for (line, expected) in cases {
        let error = terminal(&line).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn trunks_are_listed_and_tested_from_a_terminal() {
    let service = Service::start();
    let run = |line: &str| service.terminal(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(
        run("trunk list"),
        "name     state    recognised by           live  most  answered  unanswered  believes  allow         registration\n\
         carrier  down     registration, password  0     -     7         2           pai       -             \
         not registered: 403 Forbidden; next try at 2026-03-02T10:00:00Z\n\
         lab      unknown  address                 0     10    7         2           pai       192.0.2.0/24  -\n"
    );
    assert_eq!(
        run("trunk test lab --from 192.0.2.7"),
        "accepted by allow: 192.0.2.7 looked at\n\
         not asked: the trunk has neither ping.target nor register.registrar\n"
    );
    assert_eq!(
        run("trunk test carrier"),
        "answers: 200 in 12.5 ms from udp:203.0.113.7:5060\n\
         not registered: 403 Forbidden; next try at 2026-03-02T10:00:00Z\n"
    );
    assert!(
        run("trunk test lab --from 192.0.2.8").contains("to let it in, write in the trunk's file: allow")
    );
    assert!(service.terminal("trunk test ../hosts --from ::1").is_err());
    assert_eq!(run("reload"), "trunk added b\n[sip] changed: needs a restart\n");
}

#[test]
fn calls_are_listed_exported_and_explained_in_a_terminal() {
    let service = Service::start();
    let host = service.host("Ada");
    service.save([record(1, Some(&host)), record(2, None), record(3, Some(&host))]);
    let run = |line: &str| service.terminal(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let table = run("calls --past");
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("nothing-entered") && !table.contains("447700900123"), "{table}");
    assert_eq!(run(&format!("calls --past --host {}", host.id)).lines().count(), 3);
    assert_eq!(run("calls --ending nothing-entered").lines().count(), 2);
    assert_eq!(run("calls --past --most 2").lines().count(), 3);

    let csv = run("calls --past --csv");
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 4, "{csv}");
    assert!(rows[0].starts_with("id,started_at,"), "{csv}");
    assert!(rows.iter().all(|row| row.split(',').count() == rows[0].split(',').count()), "{csv}");
    let lines = run("calls --past --lines");
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");

    let one = run(&format!("calls {}", CallId::numbered(3)));
    assert!(one.contains("hung up while asked for the PIN") && one.contains("asking-pin"), "{one}");
    assert!(one.contains("1 keys, by info") && !one.contains("447700900123"), "{one}");
}

#[test]
fn a_person_is_erased_by_the_operator_after_a_look_at_what_there_is() {
    let service = Service::start();
    let ada = service.host("Ada");
    let meeting = service.meeting(&ada, "one-time");
    service.remember(&ada, &meeting);
    service.save([record(1, Some(&ada)), record(2, Some(&ada))]);
    let mut live = Snapshot::default();
    live.calls.push(live_call(3, Some(&ada)));
    service.now_live(live);

    let number = json!({"number": "+447700900123"});
    service.ask("POST", "/erasures", Some(&ada.token), Some(&number)).is_problem(403, None);
    service.post("/erasures", json!({"number": "4477"})).is_problem(422, Some("number"));
    let counted = service.terminal("erase +447700900123").unwrap();
    assert_eq!(told(&counted, "verified numbers"), "1", "{counted}");
    assert!(counted.contains("nothing was erased") && !counted.contains("447700900123"), "{counted}");
    let own = format!("/hosts/{}/verified-numbers", ada.id);
    assert_eq!(service.get(&own).items().len(), 1, "a look changes nothing");

    let erased = service.post("/erasures", number).json;
    let figure = |name: &str| erased[name].as_u64().unwrap_or_else(|| panic!("{name}: {erased}"));
    assert_eq!((figure("verified_numbers"), figure("calls"), figure("notices")), (1, 2, 1), "{erased}");
    assert_eq!((&erased["erased"], figure("live_calls")), (&json!(true), 1), "{erased}");
    assert_eq!(service.get(&own).items().len(), 0);
    let past = service.get("/calls?live=false");
    assert_eq!(past.items().len(), 2, "records stay");
    assert!(past.items().iter().all(|call| call["number"].is_null()), "{}", past.text);
}
