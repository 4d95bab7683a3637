//! What each fuzz target does with its bytes: it must not panic, and what it asserts must hold.
//!
//! Written once. libFuzzer runs them from `tests/fuzz` (its `Cargo.toml` says how), and
//! `tests/corpora.rs` runs them on stable over the kept corpora and seeded mutations.

use std::net::SocketAddr;

use doorline::rtp::packet::{self, Packet};
use doorline::rtp::rtcp;
use doorline::rtp::telephone_event::{Event, Receiver};
use doorline::sip::Uri;
use doorline::sip::offer::{CodecName, Local, Offer, accept_answer, answer, offer};
use doorline::sip::wire::{Frame, Framer, Framing, Message, NameAddr, parse};

pub type Target = fn(&[u8]);

/// Every target by name.
#[allow(dead_code)]
pub const ALL: [(&str, Target); 6] = [
    ("sip_datagram", sip_datagram),
    ("sip_stream", sip_stream),
    ("uri", uri),
    ("sdp", sdp),
    ("rtp_packet", rtp_packet),
    ("telephone_event", telephone_event),
];

/// One datagram: what is read prints and reads back the same; what is refused is answered, if at
/// all, with one whole response.
pub fn sip_datagram(bytes: &[u8]) {
    let source = SocketAddr::from(([192, 0, 2, 1], 5060));
    match parse(bytes, Framing::Datagram) {
        Ok(mut message) => {
            assert_reads_back(&message);
            let _ = format!("{message:?}");
            if let Message::Request(request) = &mut message {
                request.mark_received(source);
                assert!(request.via[0].answer_address().is_some());
                let _ = (request.content_type(), request.expires(), request.uri.socket_address());
                assert_reads_back(&message);
            }
        }
        Err(fault) => {
            assert!((400..=505).contains(&fault.wrong.status()), "{fault}");
            if let Some(answer) = fault.answer(source, "tag") {
                let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
                assert_eq!(end, Some(answer.len() - 4), "one head, nothing behind it");
                assert!(answer.starts_with(b"SIP/2.0 "));
                assert!(!bytes.starts_with(b"ACK "), "an ACK is never answered");
            }
        }
    }
}

/// A message read once is printed so that it reads back the same, unless it no longer fits.
fn assert_reads_back(message: &Message) {
    let printed = message.to_bytes();
    match parse(&printed, Framing::Stream) {
        Ok(again) => assert!(again == *message, "{}", String::from_utf8_lossy(&printed)),
        // Latin-1 becomes UTF-8, compact names full ones: a message at a bound can grow past it.
        Err(fault) => assert!(fault.wrong.loses_framing(), "{fault}: {}", String::from_utf8_lossy(&printed)),
    }
}

/// A stream: in pieces and whole it gives the same frames.
pub fn sip_stream(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let whole = frames(bytes, bytes.len().max(1));
    assert_eq!(frames(bytes, usize::from(size % 64) + 1), whole);
    assert!(whole.len() <= bytes.len());
    let broken = whole.iter().position(|frame| matches!(frame, Frame::Broken(_)));
    assert!(broken.is_none_or(|at| at + 1 == whole.len()), "nothing comes after a break");
}

fn frames(bytes: &[u8], size: usize) -> Vec<Frame> {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for piece in bytes.chunks(size) {
        framer.push(piece);
        while let Some(frame) = framer.next_frame() {
            frames.push(frame);
        }
    }
    frames
}

/// A URI, and the same bytes as an address and a list of them.
pub fn uri(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(uri) = text.parse::<Uri>() {
        let _ = (uri.user(), uri.port_or_default(), uri.socket_address(), format!("{uri:?}"));
        // ":::" is read as "::", and addresses have one spelling: the second print is the first.
        let printed = uri.to_string();
        assert_eq!(printed.parse::<Uri>(), Ok(uri), "{printed}");
    }
    if let Some(address) = NameAddr::parse(&text) {
        let printed = address.to_string();
        assert_eq!(NameAddr::parse(&printed), Some(address), "{printed}");
    }
    if let Some(list) = NameAddr::parse_list(&text, 8) {
        assert!((1..=8).contains(&list.len()));
    }
}

/// A description as an offer and as an answer to ours. Our answer to it is one that we ourselves
/// could read, and the same offer again has the same answer.
pub fn sdp(bytes: &[u8]) {
    let local = Local {
        rtp: SocketAddr::from(([192, 0, 2, 10], 20_000)),
        rtcp_port: 20_001,
        codecs: vec![CodecName::Pcma, CodecName::Pcmu, CodecName::G722, CodecName::Opus],
        events: true,
        rtcp_mux: true,
        srtp: Default::default(),
        session_id: 1,
    };
    if let Ok(theirs) = Offer::parse(bytes)
        && let Ok((ours, negotiated)) = answer(&theirs, &local, None)
    {
        assert!(negotiated.payload_type < 128 && negotiated.remote_rtp.is_none_or(|rtp| rtp.port() != 0));
        assert!(Offer::parse(&ours).expect("our answer is SDP").has_audio());
        let (again, _) = answer(&theirs, &local, Some(&ours)).expect("what was usable stays so");
        assert_eq!(again, ours);
    }
    let _ = accept_answer(&offer(&local, None), bytes);
}

/// A datagram on an RTP port.
pub fn rtp_packet(bytes: &[u8]) {
    if let Ok(packet) = Packet::parse(bytes) {
        assert!(!packet::is_control(bytes) && packet.payload.len() + 12 <= bytes.len());
        let mut again = vec![0; 12];
        again.extend_from_slice(packet.payload);
        packet.header.write(&mut again);
        assert_eq!(Packet::parse(&again), Ok(packet));
    }
    let mut items = 0;
    let _ = rtcp::read(bytes, |_| items += 1);
    assert!(items <= bytes.len());
}

/// Events in a row: two bytes of timestamp and four of event each. Never more presses than packets.
pub fn telephone_event(bytes: &[u8]) {
    let mut receiver = Receiver::default();
    let mut presses = 0;
    for (sequence, record) in (0..=u16::MAX).cycle().zip(bytes.chunks(6)) {
        let (timestamp, event) = record.split_at(record.len().min(2));
        let timestamp = timestamp.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        if let Ok(event) = Event::parse(event) {
            let kept = Event::parse(&event.bytes());
            assert_eq!(kept, Ok(event));
            presses += usize::from(receiver.receive(sequence, timestamp * 160, event).is_some());
            assert_eq!(
                receiver.receive(sequence, timestamp * 160, event),
                None,
                "a repeated packet is no press"
            );
        }
    }
    assert!(presses <= bytes.len() / 6);
}
