//! Scripts: `> …` is what happens, every other line what the endpoint must do then, in that order.
//!
//! Happenings:
//! ```text
//! > wait 500ms                          time passes; what is done meanwhile is told with its moment
//! > INVITE 1 offer [Require: 100rel]    the peer's request with its CSeq number; `offer` adds SDP
//! > INVITE 1 again                      the same bytes once more
//! > 200 BYE                             the peer's answer to our last such request
//! > ring, ring sdp, answer, refuse 404, hang up, accept, decline 488, reinvite, update, info, call,
//!   call without offer, cancel, ack, drain, break, no trunks, other trunks   commands
//! ```
//! In a header of the peer, `RSEQ` is the number of our last reliable answer.
//! Requests carry the dialog's To tag once there is one, unless `tagless`. `tag=x` on an answer is
//! the peer's tag. What the endpoint does: `180 INVITE`, `BYE`, `event ended ByPeer`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::sip::endpoint::{Endpoint, Event, Outgoing, Settings};
use crate::sip::reason::Farewell;
use crate::sip::trunk::{Believe, DtmfMode, MediaSource, SrtpMode, Trunk};
use crate::sip::wire::{Framing, Message, NameAddr, Request, Response, parse};
use crate::sip::{Flow, Transport};
use crate::types::CallId;

pub(super) const US: &str = "192.0.2.1:5060";
pub(super) const PEER: &str = "198.51.100.7:5060";
const SDP: &str = "v=0\r\n";

pub(super) fn trunk(name: &str, allow: &str) -> Trunk {
    Trunk {
        name: name.to_owned(),
        allow: vec![allow.parse().unwrap()],
        tls_names: Vec::new(),
        believe: Believe::None,
        country: None,
        codecs: Vec::new(),
        dtmf: DtmfMode::Auto,
        srtp: SrtpMode::Off,
        srtp_over_plain_signalling: false,
        media_source: MediaSource::Latch,
        jitter: Default::default(),
        voice: Default::default(),
        calls_max: None,
        ..Trunk::default()
    }
}

/// Calls are numbered 1, 2, 3 …
pub(super) fn endpoint(settings: Settings, seed: u8) -> Endpoint {
    let mut last = 0;
    let new_call = move || {
        last += 1;
        CallId::numbered(last)
    };
    let trunks = vec![trunk("lab", "198.51.100.0/24"), trunk("other", "203.0.113.0/24")];
    Endpoint::new(settings, trunks, [seed; 32], Box::new(new_call))
}

pub(super) fn flow(transport: Transport) -> Flow {
    Flow { transport, local: US.parse().unwrap(), peer: PEER.parse().unwrap() }
}

/// Runs a script over one transport, prints what really happened if it differs, and checks that
/// nothing is left once all timers have run out.
pub(super) fn check_over(transport: Transport, settings: Settings, script: &str) {
    play(Stage::new(transport, settings), script);
}

pub(super) fn check_trunks(trunks: Vec<Trunk>, script: &str) {
    let mut stage = Stage::new(Transport::Udp, Settings::default());
    stage.endpoint.set_trunks(stage.now, trunks);
    play(stage, script);
}

fn play(mut stage: Stage, script: &str) {
    let transport = stage.flow.transport;
    let mut real = Vec::new();
    let lines: Vec<&str> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    for line in &lines {
        if let Some(happening) = line.strip_prefix("> ") {
            real.push((*line).to_owned());
            stage.happen(happening);
            real.append(&mut stage.told);
        }
    }
    assert!(
        real == lines,
        "what really happened over {transport:?}:\n{}\n\nin the script:\n{}\n",
        real.join("\n"),
        lines.join("\n")
    );
    if stage.endpoint.load().calls == 0 {
        stage.happen("wait 100s");
        assert_eq!(stage.endpoint.load(), Default::default(), "left over after\n{}", real.join("\n"));
    }
}

pub(super) fn check(script: &str) {
    check_over(Transport::Udp, Settings::default(), script);
}

struct Stage {
    endpoint: Endpoint,
    now: Instant,
    flow: Flow,
    told: Vec<String>,
    call: CallId,
    /// The endpoint's tag, learned from its answers and requests.
    our_tag: Option<String>,
    /// What the peer sent, by `METHOD number`.
    sent: HashMap<String, Vec<u8>>,
    /// The endpoint's last request of each method.
    requests: HashMap<String, Request>,
    branches: u32,
    our_rseq: String,
    /// The dialog as the peer names it: Call-ID, and the peer's tag.
    call_id: String,
    peer_tag: String,
}

impl Stage {
    fn new(transport: Transport, settings: Settings) -> Self {
        Self {
            endpoint: endpoint(settings, 1),
            now: Instant::now(),
            flow: flow(transport),
            told: Vec::new(),
            call: CallId::numbered(1),
            our_tag: None,
            sent: HashMap::new(),
            requests: HashMap::new(),
            branches: 0,
            our_rseq: String::new(),
            call_id: "one@peer".to_owned(),
            peer_tag: "peer".to_owned(),
        }
    }

    fn happen(&mut self, happening: &str) {
        let words: Vec<&str> = happening.split(' ').collect();
        let (now, call) = (self.now, self.call);
        let farewell = || Farewell { cause: 16, text: "bye".to_owned() };
        let endpoint = &mut self.endpoint;
        match words.as_slice() {
            ["wait", time] => return self.wait(time),
            ["ring"] => endpoint.ring(now, call, None),
            ["ring", "sdp"] => endpoint.ring(now, call, Some(SDP.into())),
            ["answer"] => endpoint.answer(now, call, SDP.into()),
            ["refuse", status] => endpoint.refuse(now, call, status.parse().unwrap(), None, None),
            ["refuse", status, "later"] => endpoint.refuse(now, call, status.parse().unwrap(), None, Some(9)),
            ["hang", "up"] => endpoint.hang_up(now, call, farewell()),
            ["accept"] => endpoint.accept_offer(now, call, SDP.into()),
            ["decline", status] => endpoint.refuse_offer(now, call, status.parse().unwrap(), None),
            ["reinvite"] => endpoint.reinvite(now, call, SDP.into()),
            ["update"] => endpoint.update(now, call, SDP.into()),
            ["info"] => endpoint.send_info(now, call, "application/dtmf", b"5".to_vec()),
            ["call"] | ["call", "without", "offer"] => {
                let sdp = (words.len() == 1).then(|| SDP.into());
                let to = format!("sip:100@{PEER}").parse().unwrap();
                let from = NameAddr::parse(&format!("\"Phone\" <sip:+441@{US}>")).unwrap();
                let headers = vec![("Privacy".to_owned(), "none".to_owned())];
                let outgoing = Outgoing { to, flow: self.flow, from, headers, sdp };
                assert_eq!(endpoint.invite(now, outgoing), Ok(call));
            }
            ["cancel"] => endpoint.cancel(now, call),
            ["ack"] => endpoint.ack(now, call, Some(SDP.into())),
            ["no", "trunks"] => endpoint.set_trunks(now, Vec::new()),
            ["other", "trunks"] => endpoint.set_trunks(now, vec![trunk("renamed", "198.51.100.0/24")]),
            ["drain"] => endpoint.set_draining(now, true),
            ["break"] => endpoint.transport_failed(now, &self.flow.clone()),
            ["from", address] => self.flow.peer = address.parse().unwrap(),
            [status, method, ..] if status.parse::<u16>().is_ok() => {
                let bytes = self.response(status, method, happening);
                self.endpoint.receive(now, &self.flow, &bytes);
            }
            [method, number, ..] => {
                let name = format!("{method} {number}");
                if !words.contains(&"again") {
                    let bytes = self.request(method, number, happening);
                    self.sent.insert(name.clone(), bytes);
                }
                self.endpoint.receive(now, &self.flow, &self.sent[&name]);
            }
            _ => panic!("no such happening: {happening}"),
        }
        self.tell("");
    }

    fn wait(&mut self, time: &str) {
        let time = match time.strip_suffix("ms") {
            Some(ms) => Duration::from_millis(ms.parse().unwrap()),
            None => Duration::from_secs(time.strip_suffix('s').unwrap().parse().unwrap()),
        };
        let begin = self.now;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= begin + time) {
            self.now = at.max(self.now);
            self.endpoint.handle_timeout(self.now);
            let moment = format!("{}ms ", (self.now - begin).as_millis());
            self.tell(&moment);
        }
        self.now = begin + time;
    }

    fn request(&mut self, method: &str, number: &str, happening: &str) -> Vec<u8> {
        let has = |word: &str| happening.split(' ').any(|w| w == word);
        self.branches += 1;
        // ACK and CANCEL of a transaction have its branch, unless the ACK is of a 2xx.
        let branch = match happening.split(' ').find_map(|word| word.strip_prefix("branch=")) {
            Some(branch) => branch.to_owned(),
            None if method == "CANCEL" || has("refused") => format!("INVITE{number}"),
            None if method == "INVITE" => format!("INVITE{number}"),
            None => format!("{}", self.branches),
        };
        let tag = self.our_tag.as_ref().filter(|_| !has("tagless") && method != "CANCEL");
        let tag = if has("wrong-tag") {
            ";tag=wrong".to_owned()
        } else {
            tag.map_or(String::new(), |tag| format!(";tag={tag}"))
        };
        let headers: String = happening
            .split('[')
            .skip(1)
            .map(|rest| format!("{}\r\n", rest.split(']').next().unwrap()))
            .collect();
        let headers = headers.replace("RSEQ", &self.our_rseq);
        let (kind, body) = match happening.split_once("body=") {
            Some((_, body)) => (String::new(), body.replace("\\n", "\r\n")),
            None if has("offer") || has("sdp") => {
                ("Content-Type: application/sdp\r\n".to_owned(), SDP.to_owned())
            }
            None => (String::new(), String::new()),
        };
        let via = self.flow.transport.via_name();
        let contact = happening.split(' ').find_map(|word| word.strip_prefix("contact=")).unwrap_or(PEER);
        format!(
            "{method} sip:100@{US} SIP/2.0\r\nVia: SIP/2.0/{via} {PEER};branch=z9hG4bK{branch}\r\n\
             From: \"Caller\" <sip:+442079460001@{PEER}>;tag={}\r\nTo: <sip:100@{US}>{tag}\r\nCall-ID: {}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:caller@{contact}>\r\nMax-Forwards: 70\r\n{headers}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            self.peer_tag,
            self.call_id,
            body.len()
        )
        .into_bytes()
    }

    fn response(&mut self, status: &str, method: &str, happening: &str) -> Vec<u8> {
        let request = &self.requests[method];
        let mut response = Response::to(request, status.parse().unwrap());
        if let Some(tag) = happening.split(' ').find_map(|word| word.strip_prefix("tag=")) {
            response = response.with_to_tag(tag);
            tag.clone_into(&mut self.peer_tag);
        }
        if happening.contains("sdp") {
            response = response.with_body("application/sdp", SDP.into());
        }
        response.contact = vec![NameAddr::parse(&format!("<sip:them@{PEER}>")).unwrap()];
        for header in happening.split('[').skip(1) {
            let (name, value) = header.split(']').next().unwrap().split_once(": ").unwrap();
            response.headers.push(name, value);
        }
        response.to_bytes()
    }

    /// What the endpoint has done since.
    fn tell(&mut self, moment: &str) {
        let framing = if self.flow.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        while let Some(transmit) = self.endpoint.poll_transmit() {
            let mut words = match parse(&transmit.bytes, framing) {
                Ok(Message::Request(request)) => self.learn_request(request),
                Ok(Message::Response(response)) => self.learn_response(&response),
                Err(fault) => panic!("we sent {fault}: {}", String::from_utf8_lossy(&transmit.bytes)),
            };
            if transmit.flow.peer != self.flow.peer {
                words.push(format!("to {}", transmit.flow.peer));
            }
            self.told.push(format!("{moment}{}", words.join(" ")));
        }
        while let Some(event) = self.endpoint.poll_event() {
            self.told.push(format!("{moment}event {}", describe(&event)));
        }
    }

    fn learn_request(&mut self, request: Request) -> Vec<String> {
        let method = request.method.to_string();
        self.call_id.clone_from(&request.call_id);
        let mut words = vec![method.clone()];
        if !request.body.is_empty() {
            words.push(
                if request.content_type().as_deref() == Some("application/sdp") { "sdp" } else { "body" }
                    .to_owned(),
            );
        }
        words.extend(request.headers.get("Reason").map(|reason| format!("[{reason}]")));
        for name in ["RAck", "Session-Expires", "Min-SE"] {
            words.extend(request.headers.get(name).map(|value| format!("[{name}: {value}]")));
        }
        self.our_tag = request.from.tag().map(str::to_owned);
        self.requests.insert(method, request);
        words
    }

    fn learn_response(&mut self, response: &Response) -> Vec<String> {
        let mut words = vec![response.status.to_string(), response.cseq.method.to_string()];
        if response.cseq.method.as_str() == "INVITE"
            && matches!(response.status, 101..300)
            && self.our_tag.is_none()
        {
            self.our_tag = response.to.tag().map(str::to_owned);
        }
        if !response.body.is_empty() {
            words.push("sdp".to_owned());
        }
        if let Some(rseq) = response.headers.get("RSeq") {
            rseq.clone_into(&mut self.our_rseq);
            words.push("[RSeq]".to_owned());
            assert_eq!(response.require, ["100rel"]);
        }
        for name in ["Retry-After", "Unsupported", "Min-SE", "Session-Expires", "Reason"] {
            words.extend(response.headers.get(name).map(|value| format!("[{name}: {value}]")));
        }
        let says_allow = matches!(response.status, 405 | 501);
        assert!(!says_allow || response.headers.get("Allow").is_some(), "405 and 501 say what is allowed");
        words
    }
}

fn describe(event: &Event) -> String {
    let with = |name: &str, sdp: &Option<Vec<u8>>| match sdp {
        None => name.to_owned(),
        Some(sdp) if sdp.is_empty() => format!("{name} nothing"),
        Some(_) => format!("{name} sdp"),
    };
    match event {
        Event::Incoming(incoming) => {
            let user = incoming.request_user.as_deref().unwrap_or("-");
            let told = with(&format!("incoming {} {user}", incoming.trunk), &incoming.offer);
            if incoming.reliable { told + " reliable" } else { told }
        }
        Event::TurnedAway(away) => format!("turned away {} {:?}", away.status, away.why),
        Event::NotDone { method, status, .. } => format!("not done {method} {status}"),
        Event::Established { answer, .. } => with("established", answer),
        Event::Progress { status, sdp, .. } => with(&format!("progress {status}"), sdp),
        Event::Accepted { sdp, .. } => with("accepted", sdp),
        Event::Rejected { status, .. } => format!("rejected {status}"),
        Event::Offered { sdp, .. } => with("offered", sdp),
        Event::Modified { answer, .. } => with("modified", answer),
        Event::ChangeRefused { status, .. } => format!("change refused {status}"),
        Event::Digit { digit, duration_ms, .. } => format!("digit {} {duration_ms}", digit.as_char()),
        Event::Ended { how, reason: None, .. } => format!("ended {how:?}"),
        Event::Ended { how, reason: Some(said), .. } => {
            let text = said.text.as_deref().unwrap_or("-");
            format!("ended {how:?} {} {} {text}", said.q850.unwrap_or(0), said.sip.unwrap_or(0))
        }
    }
}
