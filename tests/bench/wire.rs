//! How long SIP messages and SDP take to read and print, beside rsip alone on the same message.
//!
//! `cargo bench --bench wire`; on one core: `taskset -c 0 cargo bench --bench wire`. Figures are the
//! best of several rounds, because everything else on the machine only ever makes them worse.

use std::hint::black_box;
use std::time::{Duration, Instant};

use doorline::sip::offer::{CodecName, Local, Offer, answer};
use doorline::sip::wire::{Frame, Framer, Framing, Message, Response, parse};

const INVITE: &[u8] = include_bytes!("../fuzz/corpora/sip_datagram/invite");
const COMPACT: &[u8] = include_bytes!("../fuzz/corpora/sip_datagram/compact");
const TORTUOUS: &[u8] = include_bytes!("../torture/rfc4475/wsinv.dat");
const REFUSED: &[u8] = include_bytes!("../torture/rfc4475/quotbal.dat");

fn main() {
    let Ok(Message::Request(request)) = parse(INVITE, Framing::Datagram) else {
        panic!("the INVITE is good")
    };
    let local = Local {
        rtp: ([192, 0, 2, 10], 20_000).into(),
        rtcp_port: 20_001,
        codecs: vec![CodecName::Pcma, CodecName::Pcmu],
        opus_rate: 16_000,
        noise: false,
        events: true,
        rtcp_mux: true,
        srtp: Default::default(),
        session_id: 1,
    };
    let ringing = Response::to(&request, 180).with_to_tag("tag");
    let stream = INVITE.repeat(100);

    println!("{:<44} {:>9} {:>12} {:>6}", "one core", "ns each", "a second", "rsip=1");
    let rsip = best(|| drop(black_box(rsip::SipMessage::try_from(black_box(INVITE)))), 1);
    row("rsip alone: INVITE with SDP, nothing typed", rsip, rsip);
    row(
        "read INVITE with SDP",
        best(|| drop(black_box(parse(black_box(INVITE), Framing::Datagram))), 1),
        rsip,
    );
    row(
        "read it compact and folded",
        best(|| drop(black_box(parse(black_box(COMPACT), Framing::Datagram))), 1),
        rsip,
    );
    row(
        "read RFC 4475 §3.1.1.1",
        best(|| drop(black_box(parse(black_box(TORTUOUS), Framing::Datagram))), 1),
        rsip,
    );
    row(
        "refuse RFC 4475 §3.1.2.6",
        best(|| drop(black_box(parse(black_box(REFUSED), Framing::Datagram))), 1),
        rsip,
    );
    row("cut a stream of INVITEs and read them", best(|| count(black_box(&stream)), 100), rsip);
    row("answer 180: make", best(|| drop(black_box(Response::to(black_box(&request), 180))), 1), rsip);
    row("answer 180: print", best(|| drop(black_box(black_box(&ringing).to_bytes())), 1), rsip);
    let negotiate = || answer(&Offer::parse(black_box(&request.body)).unwrap(), &local, None).unwrap();
    row("SDP: read the offer, print the answer", best(|| drop(black_box(negotiate())), 1), rsip);
}

fn count(stream: &[u8]) {
    let mut framer = Framer::new();
    let mut messages = 0;
    for read in stream.chunks(4_096) {
        framer.push(read);
        while let Some(frame) = framer.next_frame() {
            messages += usize::from(matches!(frame, Frame::Message(_)));
        }
    }
    assert_eq!(messages, 100);
}

/// The best of nine rounds of about 50 ms each, per item of which `work` does `items`.
fn best(work: impl Fn(), items: u32) -> Duration {
    let begin = Instant::now();
    let mut times = 0_u32;
    while begin.elapsed() < Duration::from_millis(50) {
        work();
        times += 1;
    }
    let round = || {
        let begin = Instant::now();
        (0..times).for_each(|_| work());
        begin.elapsed() / times / items
    };
    (0..9).map(|_| round()).min().unwrap_or_default()
}

fn row(what: &str, each: Duration, rsip: Duration) {
    let ns = each.as_nanos().max(1);
    println!(
        "{what:<44} {ns:>9} {:>12} {:>6.2}",
        1_000_000_000 / ns,
        each.as_secs_f64() / rsip.as_secs_f64()
    );
}
