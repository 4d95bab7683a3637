//! Webhooks of the real program, told to an https server on loopback that checks each signature: a call,
//! its meeting and its remembered number, a server that is away for a while, and one that lies.

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use doorline::cli::phone::{Call, Plan};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use sha2::Sha256;
use support::api::text;
use support::untold::{self, Looked};
use support::{Api, Doorline, Options, eventually};
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{self, ServerConfig, ServerConnection, StreamOwned};

const SECRET: &str = "a secret of twenty-four characters or more";
const NUMBER: &str = "+15550140001";

/// One request, as it came.
#[derive(Clone, Debug)]
struct Told {
    path: String,
    id: String,
    timestamp: i64,
    signature: String,
    body: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// As the standard says: the header, made anew.
    fn is_signed(&self) -> bool {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{}.{}.{}", self.id, self.timestamp, self.body).as_bytes());
        self.signature == format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// An https server on loopback that answers as it is told to. It ends with the process.
struct Receiver {
    address: SocketAddr,
    authority: String,
    told: Arc<Mutex<Vec<Told>>>,
    answer: Arc<Mutex<&'static str>>,
}

impl Receiver {
    fn start() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca_params = CertificateParams::default();
        ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = ca_params.self_signed(&ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &Issuer::new(ca_params, ca_key)).unwrap();
        let private = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let this = Self {
            address: listener.local_addr().unwrap(),
            authority: ca.pem(),
            told: Arc::default(),
            answer: Arc::new(Mutex::new("200 OK")),
        };
        let (told, answer, config) = (this.told.clone(), this.answer.clone(), Arc::new(config));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, answer, config) = (told.clone(), answer.clone(), config.clone());
                std::thread::spawn(move || {
                    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    let Some(one) = read(&mut stream) else { return };
                    told.lock().unwrap().push(one);
                    let status = *answer.lock().unwrap();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
                    );
                    let _ = stream.write_all(answer.as_bytes());
                    let _ = stream.flush();
                });
            }
        });
        this
    }

    fn answer(&self, status: &'static str) {
        *self.answer.lock().unwrap() = status;
    }

    fn told(&self) -> Vec<Told> {
        let told = self.told.lock().unwrap().clone();
        for one in &told {
            Looked::default().through("a webhook", one.body.as_bytes(), untold::ALL);
        }
        told
    }

    fn section(&self, name: &str, more: &str) -> String {
        format!(
            "\n[[webhook]]\nname = \"{name}\"\nurl = \"https://{}/{name}?token=x\"\nsecret_file = \"secrets/hook\"\n\
             ca_file = \"hook-ca.pem\"\n{more}\n",
            self.address
        )
    }
}

fn read(stream: &mut impl Read) -> Option<Told> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend(&buffer[..count]),
        }
        let all = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let found = head.lines().filter_map(|line| line.split_once(':'));
            let mut found = found.filter(|(there, _)| there.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        if body.len() >= header("content-length").parse().unwrap_or(0) {
            return Some(Told {
                path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
                id: header("webhook-id"),
                timestamp: header("webhook-timestamp").parse().unwrap_or_default(),
                signature: header("webhook-signature"),
                body: body.to_owned(),
            });
        }
    }
}

fn deliveries(api: &Api, state: &str) -> Vec<Value> {
    api.items(&format!("/webhook-deliveries?state={state}&limit=200"))
}

#[test]
fn what_happens_is_told_signed_and_told_again_until_it_is_taken() {
    let receiver = Receiver::start();
    let config = receiver.section("crm", "allow_private = true")
        + &receiver.section("calls", "allow_private = true\nevents = [\"call-ended\"]")
        // Not allowed: it is on this machine.
        + &receiver.section("barred", "events = [\"call-ended\"]");
    let files = vec![("secrets/hook", format!("{SECRET}\n")), ("hook-ca.pem", receiver.authority.clone())];
    let mut door = Doorline::start(Options { config, files, ..Options::default() });
    let api = door.api();
    let host = api.new_host("ada");
    let meeting = api.new_one_time_meeting(&host);
    // Away at first: what happens meanwhile is told later.
    receiver.answer("503 Service Unavailable");
    let keys = format!("{}#{}#", host.pin, meeting.code()).parse().unwrap();
    let call = Call::dial(Plan { keys, ..Plan::new(&door.uri(), NUMBER).unwrap() }).expect("the phone works");
    eventually("the caller is in", Duration::from_secs(20), || {
        (!api.roster(&meeting).is_empty()).then_some(())
    });
    eventually("the meeting and the number are refused", Duration::from_secs(10), || {
        let queued = deliveries(&api, "queued");
        let tried = queued.iter().filter(|one| one["attempts"] == 1).count();
        (tried >= 2).then_some(())
    });
    let queued = deliveries(&api, "queued");
    assert!(
        queued.iter().all(|one| one["last_error"].is_null() || one["last_error"] == "answered 503"),
        "{queued:?}"
    );
    receiver.answer("307 Temporary Redirect");
    call.hang_up();
    call.wait_for_end(Duration::from_secs(5)).expect("it ends");
    eventually(
        "the call's end is refused too, and barred from going inside",
        Duration::from_secs(15),
        || {
            let errors: BTreeSet<String> = deliveries(&api, "queued")
                .iter()
                .filter_map(|one| one["last_error"].as_str().map(str::to_owned))
                .collect();
            let all = errors.contains("it is not on the public Internet")
                && errors.iter().any(|error| error.starts_with("307"));
            all.then_some(())
        },
    );
    assert!(receiver.told().iter().all(|told| !told.path.starts_with("/barred")), "nobody knocked inside");

    // Gone for good: a dead letter, which the operator sees and sends again.
    receiver.answer("410 Gone");
    door.restart();
    eventually("what is due after half a minute is given up", Duration::from_secs(60), || {
        (deliveries(&api, "failed").len() >= 3).then_some(())
    });
    receiver.answer("200 OK");
    let before = receiver.told().len();
    let failed = deliveries(&api, "failed");
    for one in &failed {
        assert_eq!(one["last_error"], "410: it is gone");
        api.order(&format!("/webhook-deliveries/{}/retry", one["id"])).done();
    }
    eventually("all is taken", Duration::from_secs(60), || {
        let taken: BTreeSet<(String, String)> =
            deliveries(&api, "sent").iter().map(|one| (text(one, "webhook"), text(one, "type"))).collect();
        let wanted = [
            ("crm", "call-ended"),
            ("crm", "meeting-opened"),
            ("crm", "number-remembered"),
            ("calls", "call-ended"),
        ];
        wanted
            .iter()
            .all(|(hook, kind)| taken.contains(&((*hook).to_owned(), (*kind).to_owned())))
            .then_some(())
    });
    assert_eq!(api.order("/webhook-deliveries/999999/retry").status, 404);

    let told = receiver.told();
    let masked = "+1555…0001";
    for one in &told {
        assert!(one.is_signed(), "{one:?}");
        assert!((Timestamp::now().as_second() - one.timestamp).abs() < 120);
        assert_eq!(one.json()["id"], one.id, "the same id in header and body");
        let secrets = [NUMBER.trim_start_matches('+'), host.pin.as_str()];
        assert!(secrets.iter().all(|secret| !one.body.contains(secret)), "a secret in a webhook");
    }
    let last = |kind: &str| told.iter().rfind(|one| one.json()["type"] == kind).unwrap().json();
    assert_eq!(last("call-ended")["data"]["ending"], "hung-up");
    assert_eq!(last("call-ended")["data"]["number"], masked);
    assert_eq!(last("number-remembered")["data"]["number"], masked);
    assert_eq!(last("meeting-opened")["data"]["meeting_id"], meeting.id.as_str());
    let ids: BTreeSet<&str> = told.iter().map(|one| one.id.as_str()).collect();
    println!("{} requests for {} events, {} before the last answer", told.len(), ids.len(), before);
    assert!(ids.len() < told.len(), "an event has the same id each time it is told");
}
