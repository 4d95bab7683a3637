//! Messages of real calls with bytes changed, cut and doubled, in any order, and commands at any
//! moment: nothing panics, nothing goes to strangers, and afterwards nothing is left.

use std::time::{Duration, Instant};

use super::lossy::Dice;
use super::script::{US, endpoint, flow};
use crate::sip::endpoint::{Endpoint, Event, Settings};
use crate::sip::reason::Farewell;
use crate::sip::wire::{Framing, Message, parse};
use crate::sip::{Flow, Transport};
use crate::types::CallId;

const METHODS: [&str; 9] = ["INVITE", "ACK", "CANCEL", "BYE", "INFO", "UPDATE", "OPTIONS", "REFER", "DANCE"];

fn message(dice: &mut Dice, tags: &[String]) -> Vec<u8> {
    let method = METHODS[usize::try_from(dice.roll(9)).unwrap()];
    let dialog = dice.roll(4);
    let tag = match dice.roll(3) {
        0 => String::new(),
        _ if tags.is_empty() => ";tag=none".to_owned(),
        _ => format!(";tag={}", tags[usize::try_from(dice.roll(tags.len() as u64)).unwrap()]),
    };
    let number = dice.roll(30);
    let body = ["", "v=0\r\n", "Signal=5\r\n", "--x\r\n\r\n"][usize::try_from(dice.roll(4)).unwrap()];
    let kind = ["application/sdp", "application/dtmf-relay", "multipart/mixed;boundary=x", "text/plain"]
        [usize::try_from(dice.roll(4)).unwrap()];
    let more = [
        "",
        "Require: timer\r\n",
        "Supported: timer\r\nSession-Expires: 90\r\n",
        "Record-Route: <sip:p>\r\n",
    ][usize::try_from(dice.roll(4)).unwrap()];
    let branch = format!(
        "{}{dialog}.{}",
        if method == "ACK" || method == "CANCEL" { "INVITE" } else { method },
        number / 3
    );
    let mut bytes = format!(
        "{method} sip:100@{US} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK{branch}\r\n\
         From: <sip:a@h>;tag=peer\r\nTo: <sip:100@{US}>{tag}\r\nCall-ID: {dialog}\r\nCSeq: {number} {method}\r\n\
         Contact: <sip:a@198.51.100.7>\r\n{more}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes();
    // Half of them stay whole.
    for _ in 0..dice.roll(6).saturating_sub(2) {
        let at = usize::try_from(dice.roll(bytes.len() as u64)).unwrap();
        match dice.roll(4) {
            0 => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
            1 => bytes.truncate(at.max(1)),
            2 => {
                bytes.remove(at);
            }
            _ => bytes.insert(at, b";,<>\"\r\n\0"[usize::try_from(dice.roll(8)).unwrap()]),
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
    bytes
}

/// Reads what the endpoint does; learns its tags and answers some of its requests.
fn listen(
    endpoint: &mut Endpoint,
    now: Instant,
    source: &Flow,
    dice: &mut Dice,
    tags: &mut Vec<String>,
) -> Vec<CallId> {
    let mut answers = Vec::new();
    while let Some(transmit) = endpoint.poll_transmit() {
        assert_eq!(transmit.flow.peer.ip(), source.peer.ip(), "nothing goes to strangers");
        match parse(&transmit.bytes, Framing::Datagram) {
            Ok(Message::Response(response)) if tags.len() < 50 => {
                tags.extend(response.to.tag().map(str::to_owned))
            }
            Ok(Message::Request(request)) if request.method.as_str() != "ACK" => {
                let status = [100, 200, 404, 481, 491][usize::try_from(dice.roll(5)).unwrap()];
                answers.push(crate::sip::wire::Response::to(&request, status).to_bytes());
            }
            // What could not be read is answered with as much of it as could.
            Ok(_) | Err(_) => {}
        }
    }
    for answer in answers {
        if dice.roll(3) > 0 {
            endpoint.receive(now, source, &answer);
        }
    }
    let mut calls = Vec::new();
    while let Some(event) = endpoint.poll_event() {
        calls.push(event.call());
        if let Event::Incoming(incoming) = &event {
            assert_eq!(incoming.trunk, "lab");
        }
    }
    calls
}

#[test]
fn whatever_comes_nothing_panics_and_nothing_is_left() {
    let mut read = 0;
    for seed in 1..=30 {
        let mut dice = Dice(seed * 0x9E37_79B9);
        let mut endpoint = endpoint(Settings { calls_max: 20, ..Settings::default() }, 7);
        let transport = if seed % 2 == 0 { Transport::Udp } else { Transport::Tcp };
        let source = flow(transport);
        let mut now = Instant::now();
        let (mut tags, mut calls) = (Vec::new(), Vec::new());
        for _ in 0..1_000 {
            now += Duration::from_millis(dice.roll(1_500));
            endpoint.handle_timeout(now);
            let bytes = message(&mut dice, &tags);
            read += u64::from(parse(&bytes, Framing::Datagram).is_ok());
            endpoint.receive(now, &source, &bytes);
            calls.extend(listen(&mut endpoint, now, &source, &mut dice, &mut tags));
            let Some(&call) = calls.get(usize::try_from(dice.roll(calls.len().max(1) as u64)).unwrap())
            else {
                continue;
            };
            match dice.roll(14) {
                0 => endpoint.ring(now, call, None),
                1..=3 => endpoint.answer(now, call, b"v=0\r\n".to_vec()),
                4 => endpoint.refuse(now, call, 486, None, None),
                5 => endpoint.accept_offer(now, call, b"v=0\r\n".to_vec()),
                6 => endpoint.refuse_offer(now, call, 488, None),
                7 => endpoint.reinvite(now, call, b"v=0\r\n".to_vec()),
                8 => endpoint.send_info(now, call, "application/dtmf", b"5".to_vec()),
                9 => endpoint.hang_up(now, call, Farewell { cause: 16, text: "x".to_owned() }),
                10 if dice.roll(20) == 0 => endpoint.transport_failed(now, &source),
                _ => {}
            }
        }
        for call in calls {
            endpoint.hang_up(now, call, Farewell { cause: 16, text: "x".to_owned() });
        }
        while let Some(at) = endpoint.poll_timeout() {
            now = now.max(at);
            endpoint.handle_timeout(now);
            while endpoint.poll_transmit().is_some() || endpoint.poll_event().is_some() {}
        }
        assert_eq!(endpoint.load(), Default::default(), "seed {seed}");
    }
    assert!(read > 10_000, "enough of it is readable: {read}");
}
