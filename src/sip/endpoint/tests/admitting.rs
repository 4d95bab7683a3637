//! Who comes in over a trunk that asks a password or bounds its rate, and that nothing is left of
//! who does not.

use std::time::{Duration, Instant};

use super::script::{PEER, US, flow, trunk};
use crate::sip::bucket::Rate;
use crate::sip::digest::{Algorithm, Client, Guard, Login, Refused};
use crate::sip::endpoint::{Endpoint, Event, Notice, Settings};
use crate::sip::trunk::Trunk;
use crate::sip::wire::{Framing, Message, Method, NameAddr, Request, Response, Via, parse};
use crate::sip::{Flow, Transport};
use crate::types::{CallId, Password};

struct Stage {
    endpoint: Endpoint,
    now: Instant,
    flow: Flow,
    sent: u32,
}

impl Stage {
    fn with(trunk: Trunk) -> Self {
        Self::new(Settings::default(), vec![trunk])
    }

    fn new(settings: Settings, trunks: Vec<Trunk>) -> Self {
        let mut calls = 0;
        let new_call = move || {
            calls += 1;
            CallId::numbered(calls)
        };
        let endpoint = Endpoint::new(settings, trunks, [3; 32], Box::new(new_call));
        Self { endpoint, now: Instant::now(), flow: flow(Transport::Udp), sent: 0 }
    }

    fn request(&mut self, method: Method) -> Request {
        self.sent += 1;
        let to: NameAddr = NameAddr::parse(&format!("<sip:100@{US}>")).unwrap();
        let from = NameAddr::parse(&format!("<sip:caller@{PEER}>;tag=peer{}", self.sent)).unwrap();
        let call_id = format!("call{}@peer", self.sent);
        let mut request = Request::new(method, to.uri.clone(), from, to, &call_id, 1);
        let branch = format!("z9hG4bK{}", self.sent);
        request.via.push(Via::new(Transport::Udp, PEER.parse().unwrap(), &branch));
        request.contact = vec![NameAddr::parse(&format!("<sip:caller@{PEER}>")).unwrap()];
        request
    }

    /// The answers to a request.
    fn ask(&mut self, request: &Request) -> Vec<Response> {
        self.endpoint.receive(self.now, &self.flow, &request.to_bytes());
        std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|transmit| match parse(&transmit.bytes, Framing::Datagram) {
                Ok(Message::Response(response)) => response,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn statuses(&mut self, request: &Request) -> Vec<u16> {
        self.ask(request).iter().map(|response| response.status).collect()
    }

    fn leaves_nothing(&mut self, why: &str) {
        assert_eq!(self.endpoint.load(), Default::default(), "{why}");
        assert_eq!(self.endpoint.poll_event(), None, "{why}");
    }
}

fn guarded(allow: &str) -> Trunk {
    let guard = Guard {
        realm: "doorline".to_owned(),
        algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        users: vec![("bob".to_owned(), Password::new("zanzibar"))],
    };
    Trunk { guard: Some(guard), ..trunk("lab", allow) }
}

fn login(password: &str) -> Login {
    Login { user: "bob".to_owned(), password: Password::new(password), realm: None }
}

/// Signs a request for the challenge, and makes it a new one.
fn sign(request: &Request, challenge: &Response, login: &Login, n: u32) -> Request {
    let mut client = Client::default();
    client.challenged(challenge, login).unwrap();
    let mut signed = request.clone();
    signed.cseq.number += 1;
    signed.via[0] = Via::new(Transport::Udp, PEER.parse().unwrap(), &format!("z9hG4bKsigned{n}"));
    client.sign(&mut signed, login, "0123456789abcdef");
    signed
}

#[test]
fn a_call_comes_in_once_it_proves_the_password() {
    let mut stage = Stage::with(guarded("198.51.100.0/24"));
    let invite = stage.request(Method::Invite);
    let answers = stage.ask(&invite);
    let [challenge] = answers.as_slice() else { panic!("{answers:?}") };
    let asked: Vec<&str> = challenge.headers.get_all("Proxy-Authenticate").collect();
    assert_eq!(challenge.status, 407);
    assert!(asked[0].contains("SHA-256") && asked[1].contains("MD5"), "{asked:?}");
    assert!(challenge.to.tag().is_some());
    stage.leaves_nothing("a challenge is no state");
    // Its ACK, and a copy of the INVITE.
    let mut ack = invite.clone();
    ack.method = Method::Ack;
    ack.cseq.method = Method::Ack;
    ack.to = challenge.to.clone();
    assert!(stage.ask(&ack).is_empty());
    assert_eq!(stage.statuses(&invite), [407]);
    stage.leaves_nothing("nor is a second one");

    let signed = sign(&invite, challenge, &login("zanzibar"), 1);
    assert_eq!(stage.statuses(&signed), [100]);
    assert!(matches!(stage.endpoint.poll_event(), Some(Event::Incoming(_))));
    // A copy is a copy, not a second use of the nonce.
    assert_eq!(stage.statuses(&signed), [100]);
    // CANCEL carries no credentials (RFC 3261 §22.1).
    let mut cancel = signed.clone();
    cancel.method = Method::Cancel;
    cancel.cseq.method = Method::Cancel;
    cancel.headers.remove("Proxy-Authorization");
    assert_eq!(stage.statuses(&cancel), [200, 487]);
    let admitted = stage.endpoint.admitted("lab");
    assert_eq!((admitted.challenged, admitted.proved), (2, 1));
    assert_eq!(stage.endpoint.poll_notice(), None);
}

#[test]
fn requests_within_a_call_are_not_asked_again() {
    let mut stage = Stage::with(guarded("198.51.100.0/24"));
    let invite = stage.request(Method::Invite);
    let challenge = stage.ask(&invite).remove(0);
    let signed = sign(&invite, &challenge, &login("zanzibar"), 1);
    stage.ask(&signed);
    stage.endpoint.answer(stage.now, CallId::numbered(1), b"v=0\r\n".to_vec());
    let ok = loop {
        let transmit = stage.endpoint.poll_transmit().unwrap();
        if let Ok(Message::Response(response)) = parse(&transmit.bytes, Framing::Datagram) {
            break response;
        }
    };
    let mut bye = stage.request(Method::Bye);
    (bye.call_id, bye.from, bye.to) = (signed.call_id.clone(), signed.from.clone(), ok.to);
    bye.cseq.number = 9;
    assert_eq!(stage.statuses(&bye), [200]);
    // Of no call of ours: that would start something.
    let mut stray = stage.request(Method::Bye);
    stray.to = stray.to.with_tag("nobody");
    assert_eq!(stage.statuses(&stray), [407]);
}

#[test]
fn a_wrong_password_is_counted_told_and_slowed_down() {
    let mut stage = Stage::with(guarded("198.51.100.0/24"));
    let mut statuses = Vec::new();
    for n in 0..12 {
        let invite = stage.request(Method::Invite);
        let challenge = stage.ask(&invite).remove(0);
        let signed = sign(&invite, &challenge, &login("guess"), n);
        statuses.extend(stage.statuses(&signed));
    }
    assert_eq!(statuses, [407, 407, 407, 407, 407, 407, 407, 407, 407, 407, 503, 503]);
    stage.leaves_nothing("wrong passwords leave nothing");
    let admitted = stage.endpoint.admitted("lab");
    let wrong = Refused::ALL.iter().position(|why| *why == Refused::WrongPassword).unwrap();
    assert_eq!((admitted.refused[wrong], admitted.limited, admitted.proved), (10, 2, 0));
    let notices: Vec<Notice> = std::iter::from_fn(|| stage.endpoint.poll_notice()).collect();
    let expected = Notice::Unproved {
        trunk: "lab".to_owned(),
        source: stage.flow.peer.ip(),
        why: Refused::WrongPassword,
    };
    assert_eq!(notices, vec![expected; 10]);
    // Another address is not held to account, and this one may try again after a while.
    stage.flow.peer = "198.51.100.8:5060".parse().unwrap();
    let invite = stage.request(Method::Invite);
    let challenge = stage.ask(&invite).remove(0);
    let signed = sign(&invite, &challenge, &login("zanzibar"), 90);
    assert_eq!(stage.statuses(&signed), [100]);
    stage.flow.peer = PEER.parse().unwrap();
    stage.now += Duration::from_secs(6);
    let invite = stage.request(Method::Invite);
    let challenge = stage.ask(&invite).remove(0);
    let signed = sign(&invite, &challenge, &login("zanzibar"), 91);
    assert_eq!(stage.statuses(&signed), [100]);
}

#[test]
fn a_flood_of_strangers_is_not_answered_for_ever() {
    let mut stage = Stage::with(guarded("0.0.0.0/0"));
    let answered = (0..1_000)
        .filter(|_| {
            let invite = stage.request(Method::Invite);
            stage.statuses(&invite) == [407]
        })
        .count();
    assert_eq!(answered, 400);
    assert_eq!(stage.endpoint.admitted("lab").limited, 600);
    stage.leaves_nothing("a flood leaves nothing");
}

#[test]
fn whoever_asks_how_we_are_is_told_unless_anybody_may_ask() {
    for (allow, expected) in [("198.51.100.0/24", 200), ("0.0.0.0/0", 407)] {
        let mut stage = Stage::with(guarded(allow));
        let options = stage.request(Method::Options);
        assert_eq!(stage.statuses(&options), [expected], "{allow}");
        // While it drains, everybody must hear that calls should go elsewhere.
        stage.endpoint.set_draining(stage.now, true);
        let options = stage.request(Method::Options);
        assert_eq!(stage.statuses(&options), [503], "{allow}");
    }
}

#[test]
fn calls_that_come_too_fast_leave_nothing() {
    let rate = Some(Rate::per_second(2, 3));
    let mut stage = Stage::with(Trunk { calls_rate: rate, ..trunk("lab", "198.51.100.0/24") });
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let invite = stage.request(Method::Invite);
        statuses.extend(stage.statuses(&invite));
    }
    assert_eq!(statuses, [100, 100, 100, 503, 503]);
    assert_eq!(stage.endpoint.load().calls, 3);
    let invite = stage.request(Method::Invite);
    let refusal = stage.ask(&invite).remove(0);
    assert_eq!(refusal.headers.get("Retry-After"), Some("1"));
    let reason = refusal.headers.get("Reason").unwrap();
    assert!(reason.starts_with("Q.850;cause=42;"), "{reason}");
    assert_eq!(stage.endpoint.admitted("lab").too_fast, 3);
    assert_eq!(stage.endpoint.poll_notice(), Some(Notice::TooFast { trunk: "lab".to_owned() }));
    // Only calls are counted.
    let options = stage.request(Method::Options);
    assert_eq!(stage.statuses(&options), [200]);
    stage.now += Duration::from_millis(500);
    let invite = stage.request(Method::Invite);
    assert_eq!(stage.statuses(&invite), [100]);
}

#[test]
fn new_calls_of_all_trunks_share_one_rate_and_what_is_over_it_leaves_nothing() {
    let settings = Settings { calls_rate: Some(Rate::per_second(2, 4)), ..Settings::default() };
    let slow = Trunk { calls_rate: Some(Rate::per_second(1, 1)), ..trunk("slow", "203.0.113.0/24") };
    let mut stage = Stage::new(settings, vec![trunk("lab", "198.51.100.0/24"), slow]);
    let lab = stage.flow;
    let slow = Flow { peer: "203.0.113.9:5060".parse().unwrap(), ..lab };
    let first = stage.request(Method::Invite);
    assert_eq!(stage.statuses(&first), [100]);
    // A trunk that floods takes no more than its own rate from the others.
    stage.flow = slow;
    let statuses: Vec<u16> = (0..20)
        .flat_map(|_| {
            let invite = stage.request(Method::Invite);
            stage.statuses(&invite)
        })
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 100).count(), 1);
    assert_eq!(stage.endpoint.admitted("slow").too_fast, 19);
    // From nobody's address it is a number and nothing else.
    stage.flow = Flow { peer: "192.0.2.200:5060".parse().unwrap(), ..lab };
    for _ in 0..1_000 {
        let invite = stage.request(Method::Invite);
        assert!(stage.ask(&invite).is_empty());
    }
    assert_eq!((stage.endpoint.refused_sources(), stage.endpoint.load().calls), (1_000, 2));
    stage.flow = lab;
    // Copies and what belongs to calls take nothing.
    for _ in 0..10 {
        assert_eq!(stage.statuses(&first), [100]);
    }
    let second = stage.request(Method::Invite);
    let third = stage.request(Method::Invite);
    assert_eq!((stage.statuses(&second), stage.statuses(&third)), (vec![100], vec![100]));

    // Now it is empty.
    let load = stage.endpoint.load();
    while stage.endpoint.poll_event().is_some() || stage.endpoint.poll_notice().is_some() {}
    let refused: Vec<Request> = (0..5).map(|_| stage.request(Method::Invite)).collect();
    for invite in &refused {
        let answers = stage.ask(invite);
        let [refusal] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!((refusal.status, refusal.headers.get("Retry-After")), (503, Some("1")));
        assert!(refusal.headers.get("Reason").is_some_and(|reason| reason.contains("cause=42")));
        assert!(refusal.to.tag().is_some() && refusal.via[0].branch() == invite.via[0].branch());
        let mut ack = invite.clone();
        ack.method = Method::Ack;
        ack.cseq.method = Method::Ack;
        ack.to = refusal.to.clone();
        assert!(stage.ask(&ack).is_empty());
    }
    assert_eq!(stage.endpoint.load(), load);
    assert_eq!((stage.endpoint.counters().too_fast, stage.endpoint.poll_event()), (5, None));
    let notices: Vec<Notice> = std::iter::from_fn(|| stage.endpoint.poll_notice()).collect();
    assert_eq!(notices, [Notice::Flooded { refused: 1 }], "one line, not five");
    let options = stage.request(Method::Options);
    assert_eq!(stage.statuses(&options), [200]);
    let mut cancel = first.clone();
    cancel.method = Method::Cancel;
    cancel.cseq.method = Method::Cancel;
    assert_eq!(stage.statuses(&cancel), [200, 487]);

    stage.now += Duration::from_millis(499);
    let invite = stage.request(Method::Invite);
    assert_eq!(stage.statuses(&invite), [503]);
    stage.now += Duration::from_millis(1);
    assert_eq!(stage.statuses(&invite), [100], "the same call, tried again");
    stage.now += Duration::from_secs(10);
    for _ in 0..7 {
        let invite = stage.request(Method::Invite);
        stage.ask(&invite);
    }
    let notices: Vec<Notice> = std::iter::from_fn(|| stage.endpoint.poll_notice()).collect();
    assert_eq!(notices, [Notice::Flooded { refused: 6 }], "those that no line told of, too");
}

#[test]
fn at_four_times_the_rate_as_many_calls_come_in_as_at_the_rate() {
    // Calls a second that are offered, for a minute; calls that come in, of 50 a second and 50 at once.
    for (offered, expected) in [(25, 1_500), (50, 3_000), (100, 3_050), (200, 3_050)] {
        let settings = Settings { calls_rate: Some(Rate::per_second(50, 50)), ..Settings::default() };
        let mut stage = Stage::new(settings, vec![trunk("lab", "198.51.100.0/24")]);
        let (mut admitted, mut refused) = (0, 0);
        for _ in 0..60 * offered {
            let invite = stage.request(Method::Invite);
            for status in stage.statuses(&invite) {
                match status {
                    100 => admitted += 1,
                    503 => refused += 1,
                    other => panic!("{other}"),
                }
            }
            while stage.endpoint.poll_event().is_some() {}
            stage.now += Duration::from_secs(1) / offered;
            stage.endpoint.handle_timeout(stage.now);
            while stage.endpoint.poll_transmit().is_some() {}
        }
        assert_eq!(admitted + refused, 60 * offered, "{offered}: each is answered");
        assert!((expected - 2..=expected + 2).contains(&admitted), "{offered}: {admitted}");
    }
}

#[test]
fn a_trunk_is_told_our_address_as_it_sees_it() {
    let external = Some("203.0.113.5".parse().unwrap());
    let mut stage = Stage::with(Trunk { external_address: external, ..trunk("lab", "198.51.100.0/24") });
    let invite = stage.request(Method::Invite);
    stage.ask(&invite);
    stage.endpoint.ring(stage.now, CallId::numbered(1), None);
    let transmit = stage.endpoint.poll_transmit().unwrap();
    let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
    assert!(text.contains("Contact: <sip:doorline@203.0.113.5:5060>"), "{text}");
}
