//! The torture messages at the whole endpoint: what it answers to each is in that message's list,
//! by datagram, by stream at once and byte by byte; it goes on answering OPTIONS, and nothing is left.

#[allow(dead_code)]
#[path = "support/torture.rs"]
mod torture;

use std::time::{Duration, Instant};

use doorline::sip::endpoint::{Endpoint, Event, Settings};
use doorline::sip::trunk::{Believe, DtmfMode, MediaSource, SrtpMode, Trunk};
use doorline::sip::wire::{Frame, Framer, Framing, Message, Response, parse};
use doorline::sip::{Farewell, Flow, Transport};
use doorline::types::CallId;
use torture::{Case, all};

/// Messages whose answer is not in their list, and why. None.
const NOT_PASSED: [(&str, &str); 0] = [];

#[derive(Clone, Copy, Debug)]
enum Way {
    Datagram,
    StreamAtOnce,
    StreamByteByByte,
}

/// What we do with a call, if the message is one.
#[derive(Clone, Copy, Debug)]
enum Decision {
    Answer,
    Refuse,
}

fn endpoint() -> Endpoint {
    let trunk = Trunk {
        name: "lab".to_owned(),
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        tls_names: Vec::new(),
        believe: Believe::None,
        country: None,
        codecs: Vec::new(),
        dtmf: DtmfMode::Auto,
        srtp: SrtpMode::Off,
        srtp_over_plain_signalling: false,
        media_source: MediaSource::Latch,
        voice: Default::default(),
        calls_max: None,
        ..Trunk::default()
    };
    let mut calls = 0;
    let new_call = move || {
        calls += 1;
        CallId::numbered(calls)
    };
    Endpoint::new(Settings::default(), vec![trunk], [3; 32], Box::new(new_call))
}

fn flow(way: Way) -> Flow {
    let transport = match way {
        Way::Datagram => Transport::Udp,
        Way::StreamAtOnce | Way::StreamByteByByte => Transport::Tcp,
    };
    Flow { transport, local: "127.0.0.1:5060".parse().unwrap(), peer: "127.0.0.1:40000".parse().unwrap() }
}

fn feed(endpoint: &mut Endpoint, now: Instant, way: Way, bytes: &[u8]) {
    let flow = flow(way);
    let size = match way {
        Way::Datagram => return endpoint.receive(now, &flow, bytes),
        Way::StreamAtOnce => bytes.len(),
        Way::StreamByteByByte => 1,
    };
    let mut framer = Framer::new();
    for piece in bytes.chunks(size) {
        framer.push(piece);
        while let Some(frame) = framer.next_frame() {
            match frame {
                Frame::Message(message) => endpoint.receive_message(now, &flow, Ok(message)),
                Frame::Fault(fault) | Frame::Broken(fault) => {
                    endpoint.receive_message(now, &flow, Err(fault));
                }
                Frame::Ping => {}
            }
        }
    }
}

/// What went out now. Nothing may go anywhere but to the sender.
fn answers(endpoint: &mut Endpoint, file: &str) -> Vec<Response> {
    let mut all = Vec::new();
    while let Some(transmit) = endpoint.poll_transmit() {
        assert!(transmit.flow.peer.ip().is_loopback(), "{file}: sent to {}", transmit.flow.peer);
        match parse(&transmit.bytes, Framing::Datagram) {
            Ok(Message::Response(response)) => all.push(response),
            Ok(Message::Request(_)) => {}
            // The answer to a request with broken headers repeats what could be read of them.
            Err(fault) => {
                let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
                let status = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)).unwrap_or_default();
                assert!(matches!(status, "400" | "416" | "505"), "{file}: {fault}: {text}");
                all.push(stand_in(status.parse().unwrap()));
            }
        }
    }
    all
}

fn stand_in(status: u16) -> Response {
    let text = format!(
        "SIP/2.0 {status} X\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@h>\r\nTo: <sip:a@h>\r\nCall-ID: 1\r\nCSeq: 1 X\r\n\r\n"
    );
    match parse(text.as_bytes(), Framing::Datagram) {
        Ok(Message::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

/// All that is answered to one message.
fn play(endpoint: &mut Endpoint, now: Instant, case: &Case, way: Way, decision: Decision) -> Vec<Response> {
    feed(endpoint, now, way, &case.bytes);
    let mut said = answers(endpoint, &case.file);
    while let Some(event) = endpoint.poll_event() {
        if let Event::Incoming(incoming) = event {
            match decision {
                Decision::Answer => endpoint.answer(now, incoming.call, b"v=0\r\n".to_vec()),
                Decision::Refuse => endpoint.refuse(now, incoming.call, 404, None, None),
            }
            said.extend(answers(endpoint, &case.file));
            endpoint.hang_up(now, incoming.call, Farewell { cause: 16, text: "done".to_owned() });
        }
    }
    said
}

/// Lets all timers run out.
fn exhaust(endpoint: &mut Endpoint, mut now: Instant, file: &str) -> Instant {
    while let Some(at) = endpoint.poll_timeout() {
        now = now.max(at);
        endpoint.handle_timeout(now);
        answers(endpoint, file);
        while endpoint.poll_event().is_some() {}
    }
    now + Duration::from_secs(1)
}

fn options(way: Way, number: usize) -> Vec<u8> {
    let via = flow(way).transport.via_name();
    format!(
        "OPTIONS sip:door@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{via} 127.0.0.1:40000;branch=z9hG4bKalive{number}\r\n\
         From: <sip:a@h>;tag={number}\r\nTo: <sip:door@127.0.0.1>\r\nCall-ID: {number}\r\nCSeq: 1 OPTIONS\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn every_answer_is_in_the_list_of_its_message_and_the_endpoint_lives_on() {
    let cases = all();
    let mut endpoint = endpoint();
    let mut now = Instant::now();
    let mut wrong = Vec::new();
    let mut played = 0;
    for case in &cases {
        for way in [Way::Datagram, Way::StreamAtOnce, Way::StreamByteByByte] {
            for decision in [Decision::Answer, Decision::Refuse] {
                played += 1;
                let said = play(&mut endpoint, now, case, way, decision);
                let finals: Vec<u16> =
                    said.iter().map(|r| r.status).filter(|status| *status >= 200).collect();
                let answer = finals.first().copied();
                // Without Content-Length nobody knows where a message on a stream ends, so what is
                // right for a datagram is 400 there.
                let allowed = case.allows(answer)
                    && !answer.is_some_and(|status| {
                        case.must_not.split([';', ' ']).any(|w| w == status.to_string())
                    });
                let kept_out = NOT_PASSED.iter().any(|(file, _)| *file == case.file);
                if !allowed && !kept_out {
                    wrong.push(format!(
                        "{} {way:?} {decision:?}: {answer:?}, allowed {:?}",
                        case.file, case.codes
                    ));
                }
                // On a stream the trailing octets of dblreq are the next message.
                let most = if case.file == "dblreq.dat" && !matches!(way, Way::Datagram) { 2 } else { 1 };
                assert!(finals.len() <= most, "{} {way:?}: answered {finals:?}", case.file);

                feed(&mut endpoint, now, way, &options(way, played));
                let alive: Vec<u16> = answers(&mut endpoint, &case.file).iter().map(|r| r.status).collect();
                assert_eq!(alive, [200], "OPTIONS after {} {way:?}", case.file);
                now = exhaust(&mut endpoint, now, &case.file);
                assert_eq!(endpoint.load(), Default::default(), "left after {} {way:?}", case.file);
            }
        }
    }
    for (file, why) in NOT_PASSED {
        println!("not passed: {file}: {why}");
    }
    println!(
        "F8: {} torture messages of RFC 4475 and 5118, {played} plays, {} answered otherwise than their list says",
        cases.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn answers_carry_what_their_message_asks_for() {
    let now = Instant::now();
    let said = |file: &str| {
        let case = all().into_iter().find(|case| case.file == file).unwrap();
        play(&mut endpoint(), now, &case, Way::Datagram, Decision::Answer)
    };
    let last = |file: &str| said(file).pop().unwrap();

    assert_eq!(last("longreq.dat").via.len(), 34, "every Via comes back");
    let unsupported = last("bext01.dat").headers.get("Unsupported").map(str::to_owned);
    assert_eq!(unsupported.as_deref(), Some("nothingSupportsThis, nothingSupportsThisEither"));
    assert_eq!(last("invut.dat").headers.get("Accept"), Some("application/sdp"));
    assert_eq!(said("dblreq.dat").len(), 1, "what follows the message in its datagram is noise");
    let intmeth = last("intmeth.dat");
    assert!(intmeth.headers.get("Allow").is_some_and(|allow| allow.contains("INVITE")), "{intmeth:?}");
    assert!(said("bcast.dat").is_empty() && said("unreason.dat").is_empty(), "responses are never answered");
}
