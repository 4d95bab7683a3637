//! The HTTP API over a real socket, with a switchboard that notes what it is told.

mod bearers;
mod calls;
mod contract;
mod events;
mod hosts;
mod live;
mod meetings;
mod once;
mod operator;
mod page;
#[path = "../support/events.rs"]
mod stream;
mod terminal;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser as _;
use doorline::bridge::input::{DigitSource, Quality};
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
        let path =
            if path.starts_with("/api") || ["/healthz", "/readyz", "/metrics", "/moderate"].contains(&path) {
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
            quality: Some(Quality { opinion: Some(4.25), jitter_ms: 3.5, ..Quality::default() }),
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
        keys: vec![Key { at: started_at, source: DigitSource::Info, lasted: None, merged: 2 }],
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
