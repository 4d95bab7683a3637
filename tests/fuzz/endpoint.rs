//! A life of an endpoint, decoded from bytes: datagrams of a peer, answers to its own requests, commands
//! of the service, and time, in any order. Its invariants are those that everything above relies on.
//!
//! Each step is a byte that says what, and its arguments; missing ones are 0. So every input is a life,
//! and a change of one byte is a change of one step.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use doorline::sip::bucket::Rate;
use doorline::sip::endpoint::{Endpoint, Event, Outgoing, Settings};
use doorline::sip::trunk::Trunk;
use doorline::sip::wire::{Framing, Message, NameAddr, Request, Response, parse};
use doorline::sip::{Farewell, Flow, Transport};
use doorline::types::CallId;

/// Steps of one life that are looked at.
const STEPS_MAX: usize = 400;
const METHODS: [&str; 12] = [
    "INVITE", "ACK", "CANCEL", "BYE", "INFO", "UPDATE", "PRACK", "OPTIONS", "REFER", "NOTIFY", "MESSAGE",
    "DANCE",
];
const HEADERS: [&str; 16] = [
    "",
    "Supported: timer, 100rel\r\n",
    "Require: 100rel\r\n",
    "Require: timer\r\nSession-Expires: 90;refresher=uac\r\n",
    "Supported: timer\r\nSession-Expires: 1800;refresher=uas\r\nMin-SE: 90\r\n",
    "Session-Expires: 10\r\n",
    "Record-Route: <sip:198.51.100.8;lr>, <sip:198.51.100.9>\r\n",
    "Require: dancing\r\n",
    "RAck: 1 1 INVITE\r\n",
    "Replaces: x;to-tag=1;from-tag=2\r\n",
    "Reason: Q.850;cause=16, SIP;cause=200\r\n",
    "P-Asserted-Identity: <sip:+15550160001@x>\r\nPrivacy: id\r\n",
    "Identity: a.b.c;info=<https://x/y>;alg=ES256;ppt=shaken\r\n",
    "Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000\r\n",
    "Allow: INVITE, UPDATE\r\nContact: <sip:b@198.51.100.7:5062;transport=tcp>\r\n",
    "Event: dialog\r\nInfo-Package: x\r\n",
];
const BODIES: [(&str, &str); 6] = [
    ("", ""),
    (
        "application/sdp",
        "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
    ),
    ("application/sdp", "v=0\r\n"),
    ("application/dtmf-relay", "Signal=5\r\nDuration=100\r\n"),
    ("multipart/mixed;boundary=x", "--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--\r\n"),
    ("text/plain", "hello"),
];
const STATUSES: [u16; 16] = [100, 180, 183, 200, 200, 200, 202, 302, 401, 404, 408, 422, 481, 486, 491, 503];
/// For so long over UDP a copy of an INVITE is a copy (timer I).
const ONE_INVITE: Duration = Duration::from_secs(4);
const US: &str = "192.0.2.1:5060";
const SDP: &[u8] = b"v=0\r\n";

/// What happened, in short: lives that differ in it are worth going on from.
pub fn endpoint(bytes: &[u8]) -> Vec<u16> {
    let mut life = Life::new(bytes.first().copied().unwrap_or(0));
    let mut steps = Steps(bytes.get(1..).unwrap_or_default());
    for _ in 0..STEPS_MAX {
        let Some(step) = steps.maybe() else { break };
        life.step(step, &mut steps);
        life.settle();
    }
    life.finish();
    life.happened
}

struct Steps<'a>(&'a [u8]);

impl<'a> Steps<'a> {
    fn maybe(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn next(&mut self) -> usize {
        self.maybe().unwrap_or(0).into()
    }

    /// One of `from`.
    fn one<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.next() % from.len()]
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

struct Life {
    endpoint: Endpoint,
    now: Instant,
    source: Flow,
    /// Our tags, as the peer learns them.
    tags: Vec<String>,
    /// Requests of the endpoint that have no answer yet.
    asked: Vec<Request>,
    /// Calls that were told of, in that order, and those that are over.
    calls: Vec<CallId>,
    over: HashSet<CallId>,
    /// Final answers to INVITEs, by branch and tag: there is one, whatever copies come.
    finals: HashMap<String, (u16, Instant)>,
    happened: Vec<u16>,
}

impl Life {
    /// `kind` says over what, and how much the endpoint may hold.
    fn new(kind: u8) -> Self {
        let transport = [Transport::Udp, Transport::Tcp][usize::from(kind & 1)];
        let trunk = Trunk {
            name: "lab".to_owned(),
            allow: vec!["198.51.100.0/24".parse().expect("a block")],
            ..Trunk::default()
        };
        let settings = Settings {
            calls_max: if kind & 2 == 0 { 20 } else { 2 },
            transactions_max: if kind & 4 == 0 { 1_000 } else { 5 },
            calls_rate: (kind & 8 != 0).then(|| Rate::per_second(1, 2)),
            session_interval: (kind & 16 != 0).then_some(90),
            tcp: if kind & 32 == 0 { Vec::new() } else { vec![US.parse().expect("an address")] },
            ..Settings::default()
        };
        let mut last = 0;
        let new_call = move || {
            last += 1;
            CallId::numbered(last)
        };
        let endpoint = Endpoint::new(settings, vec![trunk], [7; 32], Box::new(new_call));
        let source = Flow {
            transport,
            local: US.parse().expect("an address"),
            peer: "198.51.100.7:5060".parse().expect("an address"),
        };
        Self {
            endpoint,
            now: Instant::now(),
            source,
            tags: Vec::new(),
            asked: Vec::new(),
            calls: Vec::new(),
            over: HashSet::new(),
            finals: HashMap::new(),
            happened: Vec::new(),
        }
    }

    fn step(&mut self, step: u8, steps: &mut Steps<'_>) {
        let now = self.now;
        match step % 32 {
            0..=9 => {
                let request = self.request(steps);
                self.endpoint.receive(now, &self.source, request.as_bytes());
            }
            10 => {
                let request = self.request(steps).into_bytes();
                let bytes = mangled(request, steps);
                self.endpoint.receive(now, &self.source, &bytes);
            }
            11 => {
                let length = steps.next() * 16;
                let bytes = steps.take(length);
                self.endpoint.receive(now, &self.source, bytes);
            }
            12..=15 => self.answer(steps),
            16 | 17 => {
                let wait = Duration::from_millis(steps.next().pow(2) as u64);
                self.wait(wait);
            }
            18 => {
                let wait = Duration::from_secs(steps.next() as u64);
                self.wait(wait);
            }
            19 if steps.next().is_multiple_of(8) => self.endpoint.transport_failed(now, &self.source),
            20 => {
                let stranger = Flow { peer: "203.0.113.9:5060".parse().expect("an address"), ..self.source };
                let request = self.request(steps);
                let before = (self.endpoint.load(), self.endpoint.refused_sources());
                self.endpoint.receive(now, &stranger, request.as_bytes());
                assert_eq!(before.0, self.endpoint.load(), "a stranger leaves nothing");
                assert_eq!(before.1 + 1, self.endpoint.refused_sources());
            }
            21 => self.endpoint.set_draining(now, steps.next().is_multiple_of(2)),
            _ => self.command(step, steps),
        }
    }

    /// Of the service, about one of its calls.
    fn command(&mut self, step: u8, steps: &mut Steps<'_>) {
        let (now, sdp) = (self.now, SDP.to_vec());
        if step % 32 == 22 {
            let outgoing = Outgoing {
                to: "sip:200@198.51.100.7".parse().expect("a URI"),
                flow: self.source,
                from: NameAddr::parse("<sip:100@192.0.2.1>").expect("an address"),
                headers: vec![("X-Padding".to_owned(), "x".repeat(steps.next() * 8))],
                sdp: steps.next().is_multiple_of(2).then_some(sdp),
            };
            if let Ok(call) = self.endpoint.invite(now, outgoing) {
                self.calls.push(call);
            }
            return;
        }
        if self.calls.is_empty() {
            return;
        }
        let call = steps.one(&self.calls);
        let endpoint = &mut self.endpoint;
        match step % 32 {
            23 => endpoint.ring(now, call, steps.next().is_multiple_of(2).then_some(sdp)),
            24 | 25 => endpoint.answer(now, call, sdp),
            26 => endpoint.refuse(now, call, 400 + u16::from(step % 32), None, Some(3)),
            27 => endpoint.accept_offer(now, call, sdp),
            28 => endpoint.refuse_offer(now, call, 488, None),
            29 => match steps.next() % 3 {
                0 => endpoint.reinvite(now, call, vec![b'x'; steps.next() * 8]),
                1 => endpoint.update(now, call, sdp),
                _ => endpoint.send_info(now, call, "application/dtmf", b"5".to_vec()),
            },
            30 => endpoint.ack(now, call, Some(sdp)),
            _ => match steps.next() % 3 {
                0 => endpoint.cancel(now, call),
                _ => endpoint.hang_up(now, call, Farewell::new(16, "bye")),
            },
        }
    }

    /// A request of the peer: which, of which dialog, with which number, tag, headers and body.
    fn request(&self, steps: &mut Steps<'_>) -> String {
        let method = steps.one(&METHODS);
        let (dialog, number) = (steps.next() % 8, steps.next() % 16);
        let tag = match steps.next() {
            0 => String::new(),
            _ if self.tags.is_empty() => ";tag=none".to_owned(),
            n => format!(";tag={}", self.tags[n % self.tags.len()]),
        };
        let (more, (kind, body)) = (steps.one(&HEADERS), steps.one(&BODIES));
        // CANCEL and ACK have their INVITE's branch; a copy has the same.
        let of = if matches!(method, "ACK" | "CANCEL") { "INVITE" } else { method };
        let via = self.source.transport.via_name();
        format!(
            "{method} sip:100@{US} SIP/2.0\r\nVia: SIP/2.0/{via} 198.51.100.7;rport;branch=z9hG4bK{of}{dialog}.{number}\r\n\
             From: <sip:a@h>;tag=peer{dialog}\r\nTo: <sip:100@{US}>{tag}\r\nCall-ID: {dialog}\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:a@198.51.100.7>\r\nMax-Forwards: 70\r\n{more}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Of the peer, to one of the endpoint's requests.
    fn answer(&mut self, steps: &mut Steps<'_>) {
        if self.asked.is_empty() {
            return;
        }
        let at = steps.next() % self.asked.len();
        let status = steps.one(&STATUSES);
        let request = if status >= 200 { self.asked.swap_remove(at) } else { self.asked[at].clone() };
        let mut response = Response::to(&request, status);
        if response.to.tag().is_none() && status > 100 {
            response = response.with_to_tag(["a", "b"][steps.next() % 2]);
        }
        response.contact = vec![NameAddr::parse("<sip:200@198.51.100.7>").expect("an address")];
        response.record_route.clone_from(&request.record_route);
        let (kind, body) = steps.one(&BODIES);
        if !kind.is_empty() {
            response = response.with_body(kind, body.into());
        }
        let more = steps.next();
        for (bit, name, value) in [
            (1, "Require", "100rel"),
            (1, "RSeq", "1"),
            (2, "Min-SE", "120"),
            (4, "Session-Expires", "90;refresher=uac"),
        ] {
            if more & bit != 0 {
                response.headers.push(name, value);
            }
        }
        let bytes = response.to_bytes();
        self.endpoint.receive(self.now, &self.source, &bytes);
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        // As a driver does: from deadline to deadline, each once.
        for _ in 0..10_000 {
            let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            assert!(
                self.endpoint.poll_timeout().is_none_or(|next| next > self.now),
                "a deadline that stays is a loop"
            );
            self.settle();
        }
        self.now = until;
        self.endpoint.handle_timeout(until);
    }

    /// Reads what the endpoint does, and holds it against what it may.
    fn settle(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            assert_eq!(transmit.flow.peer.ip(), self.source.peer.ip(), "nothing goes to strangers");
            match parse(&transmit.bytes, Framing::Stream) {
                Ok(Message::Response(response)) => self.responded(&response),
                Ok(Message::Request(request)) => {
                    self.happened.push(20_000 + request.method.as_str().len() as u16);
                    assert_eq!(request.via.len(), 1, "one Via, ours");
                    assert_eq!(request.via[0].transport, transmit.flow.transport.via_name());
                    let is_copy =
                        |other: &Request| other.via == request.via && other.method == request.method;
                    if request.method.as_str() != "ACK"
                        && self.asked.len() < 64
                        && !self.asked.iter().any(is_copy)
                    {
                        self.asked.push(request);
                    }
                }
                // What could not be read is answered with as much of it as could. And whoever names nothing but
                // other schemes than SIP, in Contact and From, is sent requests that say so.
                Err(_) => assert!(
                    transmit.bytes.starts_with(b"SIP/2.0 4")
                        || transmit.bytes.starts_with(b"SIP/2.0 50")
                        || is_for_another_scheme(&transmit.bytes),
                    "{}",
                    transmit.bytes.escape_ascii()
                ),
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.happened(&event);
        }
        while self.endpoint.poll_notice().is_some() || self.endpoint.poll_lookup().is_some() {}
        let load = self.endpoint.load();
        assert!(load.calls <= self.calls.len() && load.dialogs <= load.calls, "{load:?}");
    }

    fn responded(&mut self, response: &Response) {
        self.happened.push(response.status);
        if let Some(tag) = response.to.tag()
            && self.tags.len() < 32
            && !self.tags.iter().any(|known| known == tag)
        {
            self.tags.push(tag.to_owned());
        }
        // 505: another SIP than 2.0 (RFC 3261 §21.5.6).
        assert!(matches!(response.status, 100..=501 | 503..=505), "{response:?}");
        let branch = response.via.first().and_then(|via| via.branch()).unwrap_or_default();
        // What is answered without a transaction, such as a copy that arrives damaged, may differ.
        let is_decided = matches!(response.status, 200 | 480 | 486 | 487);
        if is_decided && response.cseq.method.as_str() == "INVITE" && !self.source.transport.is_reliable() {
            // Later the same bytes are another INVITE.
            let key = format!("{branch} {}", response.to.tag().unwrap_or_default());
            let (status, at) = *self.finals.entry(key).or_insert((response.status, self.now));
            let is_same = status == response.status || self.now > at + ONE_INVITE;
            assert!(is_same, "an INVITE has one final answer, {status}: {response:?}");
        }
    }

    fn happened(&mut self, event: &Event) {
        let call = event.call();
        let kind = match event {
            Event::Incoming(incoming) => {
                assert_eq!(incoming.trunk, "lab");
                assert!(!self.calls.contains(&call), "a call comes in once");
                self.calls.push(call);
                0
            }
            Event::TurnedAway(_) => {
                assert!(!self.calls.contains(&call), "nobody has heard of it");
                return self.happened.push(10_000);
            }
            Event::Established { .. } => 2,
            Event::Progress { .. } => 3,
            Event::Accepted { .. } => 4,
            Event::Rejected { .. } => 5,
            Event::Offered { .. } => 6,
            Event::Modified { .. } => 7,
            Event::ChangeRefused { .. } => 8,
            Event::Digit { .. } => 9,
            Event::NotDone { .. } => 10,
            Event::Ended { how, .. } => 11 + *how as u16,
        };
        self.happened.push(10_001 + kind);
        assert!(self.calls.contains(&call), "{event:?} of a call that nobody has heard of");
        assert!(!self.over.contains(&call), "{event:?} after the end");
        if matches!(event, Event::Ended { .. } | Event::Rejected { .. }) {
            self.over.insert(call);
        }
    }

    /// All is hung up and all time goes by: nothing is left, and every call has had its end.
    fn finish(&mut self) {
        for call in self.calls.clone() {
            self.endpoint.hang_up(self.now, call, Farewell::new(16, "bye"));
        }
        self.settle();
        self.wait(Duration::from_secs(3_600));
        self.settle();
        assert_eq!(self.endpoint.load(), Default::default(), "something is left");
        assert_eq!(self.over.len(), self.calls.len(), "every call ends");
    }
}

/// A few bytes of a message changed.
fn mangled(mut bytes: Vec<u8>, steps: &mut Steps<'_>) -> Vec<u8> {
    for _ in 0..steps.next() % 4 {
        let at = (steps.next() * 256 + steps.next()) % bytes.len().max(1);
        match steps.next() % 3 {
            0 => bytes.truncate(at.max(1)),
            1 => bytes[at] = steps.maybe().unwrap_or(0),
            _ => bytes.insert(at, steps.maybe().unwrap_or(0)),
        }
    }
    bytes
}

/// A request whose Request-URI is neither SIP nor SIPS.
fn is_for_another_scheme(bytes: &[u8]) -> bool {
    let mut words = bytes.split(|byte| *byte == b' ');
    let is_method = words.next().is_some_and(|word| word.iter().all(u8::is_ascii_uppercase));
    is_method && words.next().is_some_and(|uri| !uri.starts_with(b"sip:") && !uri.starts_with(b"sips:"))
}
