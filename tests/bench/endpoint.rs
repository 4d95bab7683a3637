//! What signalling costs without sockets: calls a second that one endpoint answers and ends, and
//! the memory of an established call. `cargo bench --bench endpoint`.
//!
//! A call is four messages in (INVITE, ACK, INFO, BYE) and four out (100, 200, 200, 200).
//! Time is virtual: old transactions leave as they would, 32 s after their call.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use doorline::sip::endpoint::{Endpoint, Event, Settings};
use doorline::sip::trunk::{Believe, DtmfMode, MediaSource, SrtpMode, Trunk};
use doorline::sip::{Flow, Transport};
use doorline::types::CallId;

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                   m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

fn main() {
    let (calls, seconds) = answered();
    println!("answer, a key, BYE: {:.0} calls a second on one core", calls as f64 / seconds);
    println!("established call: {:.1} KiB each, of 10,000", memory_of_a_call() / 1_024.0);
}

fn endpoint() -> Endpoint {
    let trunk = Trunk {
        name: "lab".to_owned(),
        allow: vec!["127.0.0.0/8".parse().expect("a block")],
        believe: Believe::None,
        country: None,
        codecs: Vec::new(),
        dtmf: DtmfMode::Auto,
        srtp: SrtpMode::Off,
        media_source: MediaSource::Latch,
        voice: Default::default(),
        calls_max: None,
        ..Trunk::default()
    };
    let mut last = 0;
    let new_call = move || {
        last += 1;
        CallId::numbered(last)
    };
    let settings = Settings { transactions_max: 1_000_000, ..Settings::default() };
    Endpoint::new(settings, vec![trunk], [5; 32], Box::new(new_call))
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "127.0.0.1:5060".parse().expect("an address"),
        peer: "127.0.0.1:6000".parse().expect("an address"),
    }
}

fn request(method: &str, call: usize, number: u32, tag: &str, kind: &str, body: &str) -> String {
    format!(
        "{method} sip:+442079460000@127.0.0.1:5060 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:6000;branch=z9hG4bK{call}.{number}{method};rport\r\n\
         Record-Route: <sip:127.0.0.1:6000;lr>\r\n\
         From: \"Caller\" <sip:+442079460123@127.0.0.1:6000>;tag={call}\r\n\
         To: <sip:+442079460000@127.0.0.1:5060>{tag}\r\nCall-ID: {call}@bench\r\nCSeq: {number} {method}\r\n\
         Contact: <sip:caller@127.0.0.1:6000>\r\nMax-Forwards: 70\r\n\
         P-Asserted-Identity: <sip:+442079460123@127.0.0.1>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n\
         {kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Brings one call up; its To tag.
fn bring_up(endpoint: &mut Endpoint, now: Instant, call: usize) -> String {
    let invite = request("INVITE", call, 1, "", "Content-Type: application/sdp\r\n", SDP);
    endpoint.receive(now, &flow(), invite.as_bytes());
    let Some(Event::Incoming(incoming)) = endpoint.poll_event() else { panic!("the call came") };
    endpoint.answer(now, incoming.call, SDP.as_bytes().to_vec());
    let mut ok = endpoint.poll_transmit();
    while let Some(next) = endpoint.poll_transmit() {
        ok = Some(next);
    }
    let ok = String::from_utf8(ok.expect("answered").bytes.to_vec()).expect("text");
    let to = ok.lines().find_map(|line| line.strip_prefix("To: ")).expect("every answer has a To");
    let tag = to[to.find(";tag=").expect("a tag")..].to_owned();
    endpoint.receive(now, &flow(), request("ACK", call, 1, &tag, "", "").as_bytes());
    assert!(matches!(endpoint.poll_event(), Some(Event::Established { .. })));
    tag
}

fn answered() -> (usize, f64) {
    let mut endpoint = endpoint();
    let mut now = Instant::now();
    let begin = Instant::now();
    let mut calls = 0;
    while begin.elapsed() < Duration::from_secs(5) {
        calls += 1;
        // 3,000 calls a second, as the peer would send them.
        now += Duration::from_micros(333);
        endpoint.handle_timeout(now);
        let tag = bring_up(&mut endpoint, now, calls);
        let info =
            request("INFO", calls, 2, &tag, "Content-Type: application/dtmf-relay\r\n", "Signal=5\r\n");
        endpoint.receive(now, &flow(), info.as_bytes());
        endpoint.receive(now, &flow(), request("BYE", calls, 3, &tag, "", "").as_bytes());
        while endpoint.poll_transmit().is_some() {}
        while endpoint.poll_event().is_some() {}
    }
    (calls, begin.elapsed().as_secs_f64())
}

fn memory_of_a_call() -> f64 {
    const CALLS: usize = 10_000;
    let mut endpoint = endpoint();
    let now = Instant::now();
    let before = IN_USE.load(Relaxed);
    for call in 0..CALLS {
        bring_up(&mut endpoint, now, call);
    }
    endpoint.handle_timeout(now + Duration::from_secs(60));
    assert_eq!((endpoint.load().calls, endpoint.load().server_transactions), (CALLS, 0));
    (IN_USE.load(Relaxed) - before) as f64 / CALLS as f64
}

/// Counts the bytes that are allocated and not freed.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is handed to the system's allocator as it came; only sizes are noted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
