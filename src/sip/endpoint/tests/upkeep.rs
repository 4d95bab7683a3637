//! Trunks that are kept: registrations and pings, whose calls come in because of them, and what a
//! reload changes.

use std::time::{Duration, Instant};

use super::script::{US, trunk};
use crate::sip::digest::Login;
use crate::sip::endpoint::{Endpoint, Event, Notice, Reach, Settings};
use crate::sip::ping::Ping;
use crate::sip::register::Account;
use crate::sip::trunk::Trunk;
use crate::sip::wire::{Framing, Message, Method, NameAddr, Request, Response, Via, parse};
use crate::sip::{Flow, Transport};
use crate::types::{CallId, Password};

const REGISTRAR: &str = "203.0.113.7:5060";
const PINGED: &str = "203.0.113.9:5060";

fn account(password: &str) -> Account {
    Account {
        registrar: "sip:carrier.example".parse().unwrap(),
        transport: None,
        address: "sip:4420@carrier.example".parse().unwrap(),
        login: Login { user: "4420".to_owned(), password: Password::new(password), realm: None },
        expires: Duration::from_secs(600),
        outbound_proxy: None,
        contact_user: "4420".to_owned(),
    }
}

fn registering(password: &str) -> Trunk {
    Trunk { registration: Some(account(password)), ..trunk("carrier", "198.51.100.0/24") }
}

fn pinging() -> Trunk {
    let ping = Ping { target: "sip:sbc.example".parse().unwrap(), interval: Duration::from_secs(20) };
    Trunk { ping: Some(ping), ..trunk("pinged", "198.51.100.0/24") }
}

fn flow(peer: &str) -> Flow {
    Flow { transport: Transport::Udp, local: US.parse().unwrap(), peer: peer.parse().unwrap() }
}

struct Stage {
    endpoint: Endpoint,
    now: Instant,
    calls: u32,
}

impl Stage {
    fn with(trunks: Vec<Trunk>) -> Self {
        let mut calls = 0;
        let new_call = move || {
            calls += 1;
            CallId::numbered(calls)
        };
        let mut endpoint = Endpoint::new(Settings::default(), trunks, [5; 32], Box::new(new_call));
        let now = Instant::now();
        endpoint.begin(now);
        endpoint.handle_timeout(now);
        Self { endpoint, now, calls: 0 }
    }

    /// What names are looked up; all lead to `peer`.
    fn look_up(&mut self, peer: &str) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(lookup) = self.endpoint.poll_lookup() {
            names.push(lookup.target.to_string());
            self.endpoint.looked_up(self.now, lookup.id, Ok(vec![flow(peer)]));
        }
        names
    }

    fn sent(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|transmit| parse(&transmit.bytes, Framing::Datagram).expect("what we send can be read"))
            .collect()
    }

    /// The one request that is out.
    fn request(&mut self) -> Request {
        match self.sent().as_slice() {
            [Message::Request(request)] => request.clone(),
            other => panic!("not one request: {other:?}"),
        }
    }

    fn answer(&mut self, from: &str, request: &Request, status: u16, headers: &[(&str, &str)]) {
        let mut response = Response::to(request, status).with_to_tag("theirs");
        for (name, value) in headers {
            response.headers.push(name, value);
        }
        self.endpoint.receive(self.now, &flow(from), &response.to_bytes());
    }

    /// Whether a call from there comes in.
    fn is_let_in(&mut self, from: &str) -> bool {
        self.calls += 1;
        let to = NameAddr::parse(&format!("<sip:4420@{US}>")).unwrap();
        let caller = NameAddr::parse(&format!("<sip:caller@{from}>;tag=c{}", self.calls)).unwrap();
        let mut request =
            Request::new(Method::Invite, to.uri.clone(), caller, to, &format!("in{}", self.calls), 1);
        let branch = format!("z9hG4bKin{}", self.calls);
        request.via.push(Via::new(Transport::Udp, from.parse().unwrap(), &branch));
        request.contact = vec![NameAddr::parse(&format!("<sip:caller@{from}>")).unwrap()];
        self.endpoint.receive(self.now, &flow(from), &request.to_bytes());
        self.sent();
        let event = self.endpoint.poll_event();
        if let Some(Event::Incoming(incoming)) = &event {
            self.endpoint.refuse(self.now, incoming.call, 486, None, None);
            self.sent();
            self.endpoint.poll_event();
        }
        event.is_some()
    }

    /// Time passes: what is sent and looked up meanwhile happens at its moment, and is not answered.
    fn wait(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.endpoint.handle_timeout(self.now);
            self.look_up(PINGED);
        }
        self.now = end;
    }

    fn reach(&self, name: &str) -> Reach {
        let states = self.endpoint.trunk_states(self.now);
        states.iter().find(|state| state.name == name).map(|state| state.reach).unwrap()
    }

    fn notices(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.endpoint.poll_notice()).collect()
    }

    /// Until the registrar has said yes.
    fn registered(trunk: Trunk) -> Self {
        let mut stage = Self::with(vec![trunk]);
        assert_eq!(stage.look_up(REGISTRAR), ["sip:carrier.example"]);
        let register = stage.request();
        stage.answer(REGISTRAR, &register, 200, &[("Expires", "600")]);
        assert_eq!(stage.reach("carrier"), Reach::Registered);
        stage
    }
}

#[test]
fn calls_come_from_where_we_are_registered_and_from_nowhere_else() {
    let mut stage = Stage::with(vec![registering("word")]);
    assert!(!stage.is_let_in(REGISTRAR), "nobody knows it yet");
    assert_eq!(stage.reach("carrier"), Reach::Unknown);
    assert_eq!(stage.look_up(REGISTRAR), ["sip:carrier.example"]);
    let register = stage.request();
    assert_eq!(register.uri.to_string(), "sip:carrier.example");
    assert_eq!(register.contact[0].to_string(), format!("<sip:4420@{US}>"));
    assert_eq!(register.to.to_string(), "<sip:4420@carrier.example>");
    stage.answer(
        REGISTRAR,
        &register,
        401,
        &[("WWW-Authenticate", "Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\", algorithm=SHA-256")],
    );
    let signed = stage.request();
    assert_eq!(signed.cseq.number, register.cseq.number + 1);
    assert_eq!(signed.call_id, register.call_id);
    let text = signed.headers.get("Authorization").unwrap();
    let credentials = crate::sip::digest::Credentials::parse(text).unwrap();
    assert_eq!(credentials.response, credentials.expected("word", "REGISTER", b""));
    stage.answer(REGISTRAR, &signed, 200, &[("Expires", "600")]);
    assert_eq!(stage.reach("carrier"), Reach::Registered);
    assert_eq!(stage.notices(), [Notice::Reach { trunk: "carrier".to_owned(), reach: Reach::Registered }]);
    assert!(stage.is_let_in(REGISTRAR));
    assert!(stage.is_let_in("198.51.100.7:5060"), "its own file counts too");
    assert!(!stage.is_let_in("203.0.113.8:5060"));
}

#[test]
fn a_registration_that_is_gone_from_the_file_is_given_back() {
    let mut stage = Stage::registered(registering("word"));
    stage.endpoint.set_trunks(stage.now, Vec::new());
    let unregister = stage.request();
    assert_eq!((unregister.method.as_str(), unregister.headers.get("Expires")), ("REGISTER", Some("0")));
    assert!(stage.endpoint.is_leaving());
    stage.answer(REGISTRAR, &unregister, 200, &[]);
    assert!(!stage.endpoint.is_leaving());
    assert!(!stage.is_let_in(REGISTRAR));
    stage.wait(3_600);
    assert_eq!(stage.endpoint.load(), Default::default(), "nothing is left of it");
}

#[test]
fn a_changed_registration_begins_anew_and_an_unchanged_one_goes_on() {
    let mut stage = Stage::registered(registering("word"));
    let mut same = registering("word");
    same.calls_max = Some(3);
    stage.endpoint.set_trunks(stage.now, vec![same, trunk("another", "192.0.2.0/24")]);
    stage.endpoint.handle_timeout(stage.now);
    assert!(stage.sent().is_empty() && stage.endpoint.poll_lookup().is_none(), "unchanged");
    assert_eq!(stage.reach("carrier"), Reach::Registered);
    assert!(stage.is_let_in(REGISTRAR));

    stage.endpoint.set_trunks(stage.now, vec![registering("other word")]);
    let unregister = stage.request();
    assert_eq!(unregister.headers.get("Expires"), Some("0"));
    stage.endpoint.handle_timeout(stage.now);
    assert!(stage.endpoint.poll_lookup().is_none(), "the old one is given back first");
    stage.answer(REGISTRAR, &unregister, 200, &[]);
    stage.endpoint.handle_timeout(stage.now);
    assert_eq!(stage.look_up(REGISTRAR), ["sip:carrier.example"]);
    let register = stage.request();
    assert_eq!(register.headers.get("Expires"), Some("600"));
    assert_ne!(register.call_id, unregister.call_id);

    // Another address of ours is another Contact.
    stage.answer(REGISTRAR, &register, 200, &[]);
    let external = ["203.0.113.99".parse().unwrap()].into_iter().collect();
    stage
        .endpoint
        .set_trunks(stage.now, vec![Trunk { external_address: external, ..registering("other word") }]);
    let unregister = stage.request();
    stage.answer(REGISTRAR, &unregister, 200, &[]);
    stage.endpoint.handle_timeout(stage.now);
    stage.look_up(REGISTRAR);
    assert_eq!(stage.request().contact[0].to_string(), "<sip:4420@203.0.113.99:5060>");
}

#[test]
fn a_service_that_stops_gives_its_registrations_back() {
    let mut stage = Stage::registered(registering("word"));
    stage.endpoint.set_draining(stage.now, true);
    let unregister = stage.request();
    assert_eq!(unregister.headers.get("Expires"), Some("0"));
    // A registrar that does not answer does not keep us.
    assert!(stage.endpoint.is_leaving());
    stage.wait(5);
    assert!(!stage.endpoint.is_leaving());
    // And a reload while we stop registers nothing.
    stage.endpoint.set_trunks(stage.now, vec![registering("other")]);
    stage.wait(60);
    assert!(stage.endpoint.poll_lookup().is_none());
}

#[test]
fn a_registration_that_fails_says_why_and_is_tried_again() {
    let mut stage = Stage::with(vec![registering("word")]);
    stage.look_up(REGISTRAR);
    let register = stage.request();
    stage.answer(REGISTRAR, &register, 403, &[]);
    assert_eq!(stage.reach("carrier"), Reach::Down);
    let notices = stage.notices();
    let [Notice::Reach { reach: Reach::Down, .. }, Notice::NotRegistered { trunk, failure, next_try }] =
        notices.as_slice()
    else {
        panic!("{notices:?}")
    };
    assert_eq!((trunk.as_str(), failure.status, failure.why.as_str()), ("carrier", Some(403), "Forbidden"));
    assert!((15..=30).contains(&next_try.as_secs()), "{next_try:?}");
    stage.wait(next_try.as_secs());
    stage.wait(1);
    let register = stage.request();
    stage.answer(PINGED, &register, 200, &[]);
    assert_eq!(stage.reach("carrier"), Reach::Registered);
}

#[test]
fn a_peer_that_is_asked_may_answer_and_do_nothing_else() {
    let mut stage = Stage::with(vec![pinging()]);
    assert_eq!(stage.look_up(PINGED), ["sip:sbc.example"]);
    let options = stage.request();
    assert_eq!((options.method.as_str(), options.uri.to_string().as_str()), ("OPTIONS", "sip:sbc.example"));
    assert!(!stage.is_let_in(PINGED), "whom we ask is no source of calls");
    stage.now += Duration::from_millis(20);
    stage.answer(PINGED, &options, 404, &[]);
    assert_eq!(stage.reach("pinged"), Reach::Up);
    let ping = stage.endpoint.trunk_states(stage.now)[0].ping.clone().unwrap();
    assert_eq!((ping.status, ping.round_trip), (Some(404), Some(Duration::from_millis(20))));
    stage.wait(45);
    assert_eq!(stage.reach("pinged"), Reach::Down);
    stage.sent();
    stage.wait(3);
    let options = stage.sent().into_iter().rev().find_map(|message| match message {
        Message::Request(request) => Some(request),
        Message::Response(_) => None,
    });
    stage.answer(PINGED, &options.unwrap(), 200, &[]);
    assert_eq!(stage.reach("pinged"), Reach::Up);
    let reached: Vec<Notice> = stage.notices();
    let told = |reach| Notice::Reach { trunk: "pinged".to_owned(), reach };
    assert_eq!(reached, [told(Reach::Up), told(Reach::Down), told(Reach::Up)]);
    stage.endpoint.set_trunks(stage.now, Vec::new());
    stage.wait(60);
    assert_eq!(stage.endpoint.load(), Default::default(), "nothing is left of it");
}

#[test]
fn an_operator_may_ask_whether_a_peer_is_there() {
    let mut stage = Stage::with(vec![pinging(), trunk("silent", "192.0.2.7")]);
    stage.look_up(PINGED);
    stage.sent();
    assert_eq!(stage.endpoint.probe(stage.now, "silent"), None, "nothing says where it is");
    assert_eq!(stage.endpoint.probe(stage.now, "nobody"), None);
    let id = stage.endpoint.probe(stage.now, "pinged").unwrap();
    stage.look_up(PINGED);
    let options = stage.request();
    stage.now += Duration::from_millis(70);
    stage.answer(PINGED, &options, 200, &[]);
    let probed = stage.endpoint.poll_probed().unwrap();
    assert_eq!((probed.id, probed.answer), (id, Ok((flow(PINGED), 200, Duration::from_millis(70)))));
    let id = stage.endpoint.probe(stage.now, "pinged").unwrap();
    stage.wait(5);
    let probed = stage.endpoint.poll_probed().unwrap();
    assert_eq!((probed.id, probed.answer), (id, Err("no answer".to_owned())));
}

#[test]
fn a_call_lives_on_when_its_registrar_moves() {
    let mut stage = Stage::registered(registering("word"));
    let to = NameAddr::parse(&format!("<sip:4420@{US}>")).unwrap();
    let caller = NameAddr::parse(&format!("<sip:caller@{REGISTRAR}>;tag=c")).unwrap();
    let mut invite = Request::new(Method::Invite, to.uri.clone(), caller, to, "lives", 1);
    invite.via.push(Via::new(Transport::Udp, REGISTRAR.parse().unwrap(), "z9hG4bKlives"));
    invite.contact = vec![NameAddr::parse(&format!("<sip:caller@{REGISTRAR}>")).unwrap()];
    stage.endpoint.receive(stage.now, &flow(REGISTRAR), &invite.to_bytes());
    let Some(Event::Incoming(incoming)) = stage.endpoint.poll_event() else { panic!("no call") };
    stage.endpoint.answer(stage.now, incoming.call, b"v=0\r\n".to_vec());
    let Some(Message::Response(ok)) = stage.sent().pop() else { panic!("no answer") };
    let mut ack = invite.clone();
    (ack.method, ack.cseq.method, ack.to) = (Method::Ack, Method::Ack, ok.to.clone());
    ack.via = vec![Via::new(Transport::Udp, REGISTRAR.parse().unwrap(), "z9hG4bKack")];
    stage.endpoint.receive(stage.now, &flow(REGISTRAR), &ack.to_bytes());
    // The refresh finds another address behind the name.
    let register = loop {
        stage.wait(1);
        let refresh = stage.sent().into_iter().find_map(|message| match message {
            Message::Request(request) if request.method == Method::Register => Some(request),
            _ => None,
        });
        if let Some(register) = refresh {
            break register;
        }
    };
    stage.answer(PINGED, &register, 200, &[]);
    while stage.endpoint.poll_event().is_some() {}
    assert!(stage.is_let_in(PINGED) && !stage.is_let_in(REGISTRAR));
    let mut bye = ack.clone();
    (bye.method, bye.cseq.method, bye.cseq.number) = (Method::Bye, Method::Bye, 2);
    bye.via = vec![Via::new(Transport::Udp, REGISTRAR.parse().unwrap(), "z9hG4bKbye")];
    stage.endpoint.receive(stage.now, &flow(REGISTRAR), &bye.to_bytes());
    assert!(matches!(stage.endpoint.poll_event(), Some(Event::Ended { .. })));
}
