//! The HTTP API over a real socket, with a switchboard that notes what it is told.

mod bearers;
mod events;
mod once;
#[path = "../support/events.rs"]
mod stream;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser as _;
use doorline::bridge::input::DigitSource;
use doorline::bridge::question::OpenedBy;
use doorline::bridge::record::{Act, Key, Step};
use doorline::bridge::snapshot::{Entered, InLobby, LiveCall, LiveMeeting, LobbyReason, Participant, Role};
use doorline::bridge::view::{MeetingKind, MeetingState};
use doorline::bridge::{self, Answer, By, CallRecord, Command, Ending, Question, Rejection, Reply, Snapshot};
use doorline::cli::admin;
use doorline::http::{
    self, AccessNumber, Answered, ConfigFault, Feed, Operations, Probe, Probing, Refused, Registration,
    Reloaded, Reloading, ServiceFacts, Switchboard, TrunkFacts, Verdict,
};
use doorline::store::{self, Store};
use doorline::types::{CallId, HostId, MeetingId, Token, Trust};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

const OPERATOR: &str = "dlo_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

/// Notes commands, refuses when told to, and opens and closes in the store as the bridge would.
struct Fake {
    store: Store,
    commands: Mutex<Vec<Command>>,
    /// Who gave them.
    givers: Mutex<Vec<By>>,
    refuse: Mutex<Option<Rejection>>,
    snapshot: Mutex<Snapshot>,
    /// Of the configuration, should it be read again.
    faults: Mutex<Vec<ConfigFault>>,
}

impl Switchboard for Fake {
    fn command(&self, by: By, command: Command) -> Answered<'_> {
        self.givers.lock().unwrap().push(by);
        Box::pin(async move {
            self.commands.lock().unwrap().push(command.clone());
            if let Some(rejection) = *self.refuse.lock().unwrap() {
                return Err(rejection);
            }
            let question = match command {
                Command::Open { host, meeting } => {
                    let open = host.meetings.iter().find(|m| m.state == MeetingState::Open);
                    let closes = open.map(|open| open.id);
                    Question::Open { host: host.id, meeting, closes, opened_by: OpenedBy::Moderator }
                }
                Command::Close { meeting } => Question::Close { meeting },
                _ => return Ok(Reply::Done),
            };
            match self.store.answer(question, Timestamp::now()).await {
                Answer::Done => Ok(Reply::Done),
                _ => Err(Rejection::StoreUnavailable),
            }
        })
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::new(self.snapshot.lock().unwrap().clone())
    }
}

impl http::Traces for Fake {
    fn find(&self, _: CallId, sip_call_id: Option<&str>) -> Option<http::Trace> {
        let message = http::TraceMessage {
            at: Timestamp::UNIX_EPOCH,
            outgoing: false,
            from: "192.0.2.7:5060".to_owned(),
            to: "192.0.2.1:5060".to_owned(),
            transport: "udp",
            summary: "INVITE (sdp)".to_owned(),
            text: "INVITE".to_owned(),
        };
        Some(http::Trace {
            sip_call_id: sip_call_id?.to_owned(),
            messages: vec![message],
            left_out: 0,
            ladder: "|---INVITE (sdp)-->|\n".to_owned(),
            pcap: vec![0xd4, 0xc3],
        })
    }
}

impl Operations for Fake {
    fn reload(&self) -> Reloading<'_> {
        Box::pin(async move {
            let faults = self.faults.lock().unwrap().clone();
            if faults.is_empty() {
                Ok(Reloaded {
                    changes: vec!["trunk added b".to_owned()],
                    needs_restart: vec!["[sip]".to_owned()],
                })
            } else {
                Err(faults)
            }
        })
    }

    fn access_numbers(&self) -> Vec<AccessNumber> {
        vec![AccessNumber {
            number: "+442079460000".parse().unwrap(),
            language: "en-GB".parse().unwrap(),
            country: "GB".to_owned().try_into().ok(),
        }]
    }

    fn trunks(&self) -> Vec<TrunkFacts> {
        let lab = TrunkFacts {
            name: "lab".to_owned(),
            allow: vec!["192.0.2.0/24".to_owned()],
            tls_names: vec!["sbc.example.net".to_owned()],
            believes: "pai",
            country: None,
            calls_max: Some(10),
            answered: 7,
            unanswered: 2,
            recognised_by: vec!["address"],
            state: "unknown",
            learned: Vec::new(),
            registration: None,
            ping: None,
            refused: Refused { too_fast: 3, ..Refused::default() },
        };
        let carrier = TrunkFacts {
            name: "carrier".to_owned(),
            allow: Vec::new(),
            recognised_by: vec!["registration", "password"],
            state: "down",
            registration: Some(Registration {
                state: "failing",
                registered_until: None,
                address: Some("203.0.113.7:5060".to_owned()),
                last_status: Some(403),
                why: Some("Forbidden".to_owned()),
                next_try_at: "2026-03-02T10:00:00Z".parse().ok(),
            }),
            calls_max: None,
            ..lab.clone()
        };
        vec![carrier, lab]
    }

    fn probe(&self, trunk: String) -> Probing<'_> {
        let answer = Probe {
            answered: true,
            address: Some("203.0.113.7:5060".to_owned()),
            transport: Some("udp"),
            status: Some(200),
            round_trip_ms: Some(12.5),
            why: None,
        };
        Box::pin(async move { (trunk == "carrier").then_some(answer) })
    }

    fn judge(&self, trunk: &str, from: IpAddr) -> Option<Verdict> {
        let accepted = from == IpAddr::from([192, 0, 2, 7]);
        (trunk == "lab").then(|| Verdict {
            accepted,
            rule: "allow",
            why: format!("{from} looked at"),
            paste: (!accepted).then(|| format!("allow = [\"{from}\"]")),
        })
    }
}

struct Service {
    runtime: tokio::runtime::Runtime,
    _folder: TempDir,
    store: Store,
    fake: Arc<Fake>,
    feed: Feed,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: Option<tokio::task::JoinHandle<()>>,
    agent: ureq::Agent,
}

struct Answered_ {
    status: u16,
    headers: ureq::http::HeaderMap,
    text: String,
    json: Value,
}

/// A host made through the API.
struct Made {
    id: String,
    token: String,
}

impl Service {
    fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let settings = store::Settings {
            url: format!("sqlite:{}", folder.path().join("doorline.db").display()),
            password_file: None,
            key_file: folder.path().join("key"),
        };
        let (stop, stopped) = oneshot::channel();
        let (store, fake, address, task, feed) = runtime.block_on(async {
            let store = Store::open(&settings).await.unwrap();
            let fake = Arc::new(Fake {
                store: store.clone(),
                commands: Mutex::default(),
                givers: Mutex::default(),
                refuse: Mutex::default(),
                snapshot: Mutex::default(),
                faults: Mutex::default(),
            });
            let feed = Feed::default();
            let facts = ServiceFacts {
                operations: fake.clone(),
                traces: fake.clone(),
                rules: bridge::Settings::default(),
                version: "0.1.0",
                metrics: Arc::new(|| "doorline_calls 3\n".to_owned()),
                feed: feed.clone(),
            };
            let settings = http::Settings {
                listen: "127.0.0.1:0".parse().unwrap(),
                operator_token: Token::new(OPERATOR),
            };
            let shutdown = async move {
                let _ = stopped.await;
            };
            let (address, task) =
                http::serve(settings, store.clone(), fake.clone(), facts, shutdown).await.unwrap();
            (store, fake, address, task, feed)
        });
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            // A connection whose request was refused before its body came is closed; a kept one
            // would fail the next request instead of this one.
            .max_idle_connections(0)
            .build()
            .new_agent();
        Self {
            runtime,
            _folder: folder,
            store,
            fake,
            feed,
            address,
            stop: Some(stop),
            task: Some(task),
            agent,
        }
    }

    fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> Answered_ {
        let body = body.map(Value::to_string);
        self.send(method, path, token, body.as_deref(), "application/json")
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
        kind: &str,
    ) -> Answered_ {
        let path = if path.starts_with("/api") || ["/healthz", "/readyz", "/metrics"].contains(&path) {
            path.to_owned()
        } else {
            format!("/api/v1{path}")
        };
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = match body {
            Some(body) => {
                let request = request.header("content-type", kind).body(body.to_owned()).unwrap();
                self.agent.run(request)
            }
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut response = response.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let bytes = response.body_mut().read_to_vec().unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answered_ {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    fn get(&self, path: &str) -> Answered_ {
        self.ask("GET", path, Some(OPERATOR), None)
    }

    fn post(&self, path: &str, body: Value) -> Answered_ {
        self.ask("POST", path, Some(OPERATOR), Some(&body))
    }

    fn host(&self, name: &str) -> Made {
        let made = self.post("/hosts", json!({"name": name, "email": "a@example.com"}));
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json["id"].as_str().unwrap().to_owned();
        let token = self.post(&format!("/hosts/{id}/tokens"), json!({"name": "test"}));
        assert_eq!(token.status, 201, "{}", token.text);
        Made { id, token: token.json["token"].as_str().unwrap().to_owned() }
    }

    fn meeting(&self, host: &Made, kind: &str) -> Value {
        let made = self.post(&format!("/hosts/{}/meetings", host.id), new_meeting(kind));
        assert_eq!(made.status, 201, "{}", made.text);
        made.json
    }

    fn commands(&self) -> Vec<Command> {
        std::mem::take(&mut *self.fake.commands.lock().unwrap())
    }

    fn refuse(&self, rejection: Option<Rejection>) {
        *self.fake.refuse.lock().unwrap() = rejection;
    }

    fn now_live(&self, snapshot: Snapshot) {
        *self.fake.snapshot.lock().unwrap() = snapshot;
    }

    /// Remembers a phone for a host and gives the id of that.
    fn remember(&self, host: &Made, meeting: &Value) -> String {
        let (host_id, meeting) = (host.id.parse().unwrap(), id(meeting));
        let number = "+447700900123".parse().unwrap();
        self.runtime
            .block_on(self.store.remember(host_id, &number, meeting, Trust::Network, "lab", Timestamp::now()))
            .unwrap();
        let list = self.get(&format!("/hosts/{}/verified-numbers", host.id));
        list.json["items"][0]["id"].as_str().unwrap().to_owned()
    }

    fn save(&self, records: impl IntoIterator<Item = CallRecord>) {
        for record in records {
            self.store.save_record(record);
        }
        self.runtime.block_on(self.store.flush_records());
    }
}

impl Answered_ {
    fn items(&self) -> &Vec<Value> {
        self.json["items"].as_array().unwrap_or_else(|| panic!("no list: {}", self.text))
    }

    /// That this is a problem of that status, and tells nothing of our insides.
    #[track_caller]
    fn is_problem(&self, status: u16, field: Option<&str>) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.text);
        assert_eq!(self.json["status"], status, "{}", self.text);
        for member in ["type", "title", "detail"] {
            assert!(!self.json[member].as_str().unwrap_or_default().is_empty(), "{member}: {}", self.text);
        }
        assert_eq!(self.json["field"].as_str(), field, "{}", self.text);
        for inside in ["sql", "SELECT", "src/", "panicked", "sqlite"] {
            assert!(!self.text.contains(inside), "{inside} is told: {}", self.text);
        }
    }
}

fn in_minutes(minutes: i64) -> String {
    (Timestamp::now() + SignedDuration::from_mins(minutes)).to_string()
}

fn new_meeting(kind: &str) -> Value {
    json!({
        "kind": kind, "title": "Budget", "starts_at": in_minutes(0), "ends_at": in_minutes(60),
        "time_zone": "Europe/London", "invitees": ["bob@example.com"],
    })
}

fn id(meeting: &Value) -> MeetingId {
    meeting["id"].as_str().unwrap().parse().unwrap()
}

fn live_meeting(host: &Made, meeting: MeetingId, participant: u128) -> LiveMeeting {
    LiveMeeting {
        meeting,
        host: host.id.parse().unwrap(),
        kind: MeetingKind::OneTime,
        title: "Budget".to_owned(),
        opened_by: OpenedBy::Caller,
        opened_at: Timestamp::now(),
        roster: vec![Participant {
            participant: CallId::numbered(participant),
            role: Role::Guest,
            number: "+447700900123".parse().ok(),
            entered: Entered::Remembered,
            admitted: false,
            joined_at: Timestamp::now(),
            muted: false,
            hard_muted: false,
            hand_raised: false,
            talking: true,
            echo: false,
        }],
        waiting: 2,
        locked: false,
        recording: false,
        all_muted: false,
    }
}

fn in_lobby(host: &Made, meeting: MeetingId, participant: u128) -> InLobby {
    InLobby {
        participant: CallId::numbered(participant),
        host: host.id.parse().unwrap(),
        meeting: Some(meeting),
        number: "+447700900456".parse().ok(),
        reason: LobbyReason::Locked,
        since: Timestamp::now(),
    }
}

fn live_call(call: u128, host: Option<&Made>) -> LiveCall {
    LiveCall {
        call: CallId::numbered(call),
        trunk: "lab".to_owned(),
        number: "+447700900123".parse().ok(),
        trust: Trust::Network,
        state: "asking-pin",
        started_at: Timestamp::now(),
        host: host.map(|host| host.id.parse().unwrap()),
        meeting: None,
    }
}

fn record(call: u128, host: Option<&Made>) -> CallRecord {
    let started_at =
        "2026-03-02T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(call as i64);
    CallRecord {
        call: CallId::numbered(call),
        sip_call_id: "a84b4c76e66710".to_owned(),
        trunk: "lab".to_owned(),
        access_number: Some("+442079460000".to_owned()),
        number: "+447700900123".parse().ok(),
        withheld: false,
        trust: Trust::Network,
        trust_reason: "network: P-Asserted-Identity on trunk lab".to_owned(),
        started_at,
        answered_at: Some(started_at),
        joined_at: None,
        ended_at: started_at + SignedDuration::from_secs(9),
        host: host.map(|host| host.id.parse().unwrap()),
        meeting: None,
        entered: None,
        ending: if call == 3 { Ending::NothingEntered } else { Ending::HungUp },
        explanation: "hung up while asked for the PIN".to_owned(),
        path: vec![Step { at: started_at, what: "asking-pin" }],
        keys: vec![Key { at: started_at, source: DigitSource::Info }],
        remembered: false,
        acts: vec![Act { at: started_at, what: "muted".to_owned(), by: By::Phone(CallId::numbered(99)) }],
        quality: None,
        signalled: doorline::bridge::record::Signalled {
            peer_q850: Some(16),
            redirected_by: Some("+4420…0001".to_owned()),
            ..Default::default()
        },
    }
}

// -- the promised way --

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

#[test]
fn the_roster_is_masked_and_its_people_are_muted_and_removed() {
    let service = Service::start();
    let host = service.host("Ada");
    let meeting = service.meeting(&host, "one-time");
    let snapshot = Snapshot {
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
    assert_eq!(roster.json["waiting"], 2);
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

#[test]
fn calls_are_listed_live_ones_first_and_paged_without_gap_or_doublet() {
    let service = Service::start();
    let host = service.host("Ada");
    service.save((1..=7).map(|call| record(call, (call % 2 == 0).then_some(&host))));
    let calls = vec![live_call(21, None), live_call(23, Some(&host)), live_call(22, None)];
    service.now_live(Snapshot { calls, ..Snapshot::default() });
    let all = |query: &str, token: &str| -> Vec<u128> {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        for _ in 0..30 {
            let page = service.ask("GET", &format!("/calls?{query}{cursor}"), Some(token), None);
            assert_eq!(page.status, 200, "{}", page.text);
            seen.extend(
                page.items()
                    .iter()
                    .map(|call| call["id"].as_str().unwrap().parse::<CallId>().unwrap().0.as_u128()),
            );
            match page.json["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return seen,
            }
        }
        panic!("the pages do not end");
    };
    let everything = [23, 22, 21, 7, 6, 5, 4, 3, 2, 1];
    for limit in [1, 2, 3, 4, 7, 10, 200] {
        assert_eq!(all(&format!("limit={limit}"), OPERATOR), everything, "limit {limit}");
    }
    let cases: [(&str, &[u128]); 10] = [
        ("live=true", &[23, 22, 21]),
        ("live=false", &[7, 6, 5, 4, 3, 2, 1]),
        ("live=true&limit=2", &[23, 22, 21]),
        ("ending=nothing-entered", &[3]),
        ("number=%2B447700900123&live=false&limit=3", &[7, 6, 5, 4, 3, 2, 1]),
        ("number=+447700900999", &[]),
        ("trunk=other", &[]),
        ("live=false&from=2026-03-02T10:00:03Z&until=2026-03-02T10:00:05Z", &[4, 3]),
        (&format!("host_id={}", host.id), &[23, 6, 4, 2]),
        ("meeting_id=00000000-0000-0000-0000-000000000001", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(all(query, OPERATOR), expected, "{query}");
    }
    assert_eq!(all("limit=2", &host.token), [23, 6, 4, 2], "a host sees those that reached it");
    let other = format!("host_id={}", HostId::numbered(5));
    assert_eq!(all(&other, &host.token), [0; 0]);
}

#[test]
fn a_call_tells_its_way_but_no_number_and_no_key() {
    let service = Service::start();
    let host = service.host("Ada");
    service.save([record(3, Some(&host))]);
    service.now_live(Snapshot { calls: vec![live_call(9, Some(&host))], ..Snapshot::default() });
    let call = service.ask("GET", &format!("/calls/{}", CallId::numbered(3)), Some(&host.token), None);
    let json = &call.json;
    assert_eq!(
        (&json["live"], &json["state"], &json["ending"]),
        (&json!(false), &json!("over"), &json!("nothing-entered"))
    );
    assert_eq!(json["number"], "+4477…0123");
    assert_eq!(
        (&json["path"][0]["what"], &json["keys"][0]["source"]),
        (&json!("asking-pin"), &json!("info"))
    );
    assert!(json["keys"][0].get("digit").is_none());
    let act = json!({
        "at": json["started_at"], "what": "muted", "by": "phone", "by_call_id": CallId::numbered(99).to_string(),
    });
    assert_eq!(json["moderated"], json!([act]));
    assert!(!call.text.contains("447700900123"), "{}", call.text);
    let live = service.ask("GET", &format!("/calls/{}", CallId::numbered(9)), Some(&host.token), None);
    assert_eq!(
        (&live.json["live"], &live.json["state"], &live.json["ended_at"]),
        (&json!(true), &json!("asking-pin"), &Value::Null)
    );
    service.get(&format!("/calls/{}", CallId::numbered(1))).is_problem(404, None);
}

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
    Calls(admin::calls::CallsArguments),
    Trunk(admin::trunk::TrunkArguments),
    Reload(admin::trunk::ReloadArguments),
    Erase(admin::erase::EraseArguments),
}

impl Service {
    /// What `doorline LINE` prints, or its complaint.
    fn terminal(&self, line: &str) -> Result<String, String> {
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
fn trunks_are_the_operators_alone_to_see_and_to_test() {
    let service = Service::start();
    let host = service.host("Ada");
    service.now_live(Snapshot { calls: vec![live_call(1, None), live_call(2, None)], ..Snapshot::default() });
    let trunks = service.get("/trunks");
    let trunk = &trunks.items()[1];
    assert_eq!(
        (&trunk["name"], &trunk["calls_live"], &trunk["answered"]),
        (&json!("lab"), &json!(2), &json!(7))
    );
    assert_eq!((&trunk["state"], &trunk["refused"]["too_fast"]), (&json!("unknown"), &json!(3)));
    let carrier = &trunks.items()[0];
    assert_eq!(carrier["recognised_by"], json!(["registration", "password"]));
    assert_eq!(carrier["registration"]["last_status"], 403);

    let probe = |trunk: &str| service.ask("POST", &format!("/trunks/{trunk}/probe"), Some(OPERATOR), None);
    assert_eq!(probe("carrier").json["round_trip_ms"], 12.5);
    probe("lab").is_problem(409, None);
    probe("other").is_problem(404, None);

    let verdict = |from: &str| service.get(&format!("/trunks/lab/test?from={from}"));
    assert_eq!(verdict("192.0.2.7").json["accepted"], true);
    // An IPv4 address in IPv6's clothes is the same one.
    assert_eq!(verdict("::ffff:192.0.2.7").json["accepted"], true);
    let refused = verdict("192.0.2.8").json;
    assert_eq!((&refused["accepted"], &refused["paste"]), (&json!(false), &json!("allow = [\"192.0.2.8\"]")));
    verdict("nowhere").is_problem(400, Some("from"));
    service.get("/trunks/other/test?from=192.0.2.7").is_problem(404, None);
    for (method, path) in [
        ("GET", "/trunks"),
        ("GET", "/trunks/lab/test?from=::1"),
        ("POST", "/trunks/carrier/probe"),
        ("POST", "/reload"),
    ] {
        service.ask(method, path, Some(&host.token), None).is_problem(403, None);
        service.ask(method, path, None, None).is_problem(401, None);
    }
}

#[test]
fn a_reload_tells_what_it_changed_or_everything_that_is_wrong() {
    let service = Service::start();
    let reload = || service.ask("POST", "/reload", Some(OPERATOR), None);
    assert_eq!(reload().json, json!({"changes": ["trunk added b"], "needs_restart": ["[sip]"]}));
    let fault = |key: &str| ConfigFault {
        file: "trunks.d/b.toml".to_owned(),
        key: key.to_owned(),
        what: "nonsense".to_owned(),
    };
    *service.fake.faults.lock().unwrap() = vec![fault("allow"), fault("")];
    let refused = reload();
    refused.is_problem(422, None);
    assert_eq!(refused.json["faults"].as_array().unwrap().len(), 2);
    assert_eq!(refused.json["faults"][0]["key"], "allow");
    assert_eq!(
        service.terminal("reload").unwrap_err(),
        "the configuration has faults, nothing was changed:\ntrunks.d/b.toml: allow: nonsense\n\
         trunks.d/b.toml: nonsense"
    );
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

#[test]
fn the_signalling_of_a_call_is_the_operators_alone_to_see() {
    let service = Service::start();
    let ada = service.host("Ada");
    service.save([record(1, Some(&ada))]);
    let call = CallId::numbered(1);
    let path = format!("/calls/{call}/ladder");
    let trace = service.get(&path).json;
    assert_eq!(trace["sip_call_id"], "a84b4c76e66710", "by what its record says");
    assert_eq!(trace["messages"][0]["summary"], "INVITE (sdp)");
    assert_eq!(trace["pcap"], Value::Null);
    let text = service.get(&format!("{path}?format=text"));
    assert_eq!(
        (text.text.as_str(), &text.headers["content-type"]),
        ("|---INVITE (sdp)-->|\n", &"text/plain; charset=utf-8".parse().unwrap())
    );
    service.get(&format!("{path}?format=xml")).is_problem(400, Some("format"));
    let capture = service.get(&format!("/calls/{call}/sip.pcap"));
    assert_eq!(capture.headers["content-type"], "application/vnd.tcpdump.pcap");
    for what in ["ladder", "sip.pcap"] {
        service.ask("GET", &format!("/calls/{call}/{what}"), Some(&ada.token), None).is_problem(403, None);
        service.get(&format!("/calls/{}/{what}", CallId::numbered(2))).is_problem(404, None);
    }

    let drawn = service.terminal(&format!("calls ladder {call}")).unwrap();
    assert_eq!(drawn, "|---INVITE (sdp)-->|\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.pcap");
    let line = format!("calls ladder {call} --pcap {}", file.display());
    service.terminal(&line).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), [0xd4, 0xc3]);
    assert!(service.terminal(&line).unwrap_err().contains("call.pcap"), "no file is overwritten");
}
