//! Real sockets on the loop-back: the wiring, not the rules.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::*;
use crate::sip::endpoint::{Event, HowEnded, Outgoing};
use crate::sip::trunk::{Believe, DtmfMode, MediaSource, SrtpMode};
use crate::sip::wire::NameAddr;
use crate::sip::{Flow, Reason};

const SDP: &[u8] = b"v=0\r\n";

fn trunk(allow: &str) -> Trunk {
    Trunk {
        name: "lab".to_owned(),
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

async fn start_with(limits: Limits, allow: &str, address: &str) -> (Handle, Events) {
    let listen = |transport| Listen { transport, address: address.parse().unwrap() };
    let settings =
        Settings { listen: vec![listen(Transport::Udp), listen(Transport::Tcp)], ..Settings::default() };
    let seed = [address.len() as u8; 32];
    Signalling::start(&settings, Default::default(), limits, vec![trunk(allow)], seed).await.unwrap()
}

async fn start() -> (Handle, Events) {
    start_with(Limits::default(), "127.0.0.0/8", "127.0.0.1:0").await
}

fn udp(handle: &Handle) -> SocketAddr {
    handle.local_addresses()[0].address
}

fn tcp(handle: &Handle) -> SocketAddr {
    handle.local_addresses()[1].address
}

fn request(method: &str, number: u32, via: &str, more: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{via};rport;branch=z9hG4bK{method}{number}\r\n\
         From: <sip:+441@127.0.0.1>;tag=peer\r\nTo: <sip:100@127.0.0.1>{more}\r\nCall-ID: call{number}\r\n\
         CSeq: {number} {method}\r\nContact: <sip:me@127.0.0.1>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), future).await.expect("within 5 s")
}

/// The next datagram, its status line or request line first.
async fn heard(socket: &UdpSocket) -> String {
    let mut buffer = vec![0; 4_096];
    let (length, _) = within(socket.recv_from(&mut buffer)).await.unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

async fn read_some(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4_096];
    let length = within(stream.read(&mut buffer)).await.unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn a_call_over_udp_is_answered_and_ends() {
    let (handle, mut events) = start().await;
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let via = format!("UDP {}", phone.local_addr().unwrap());
    phone.send_to(request("INVITE", 1, &via, "", "v=0\r\n").as_bytes(), udp(&handle)).await.unwrap();
    let Some(Event::Incoming(incoming)) = within(events.recv()).await else { panic!("no call") };
    assert_eq!((incoming.trunk.as_str(), incoming.offer.as_deref()), ("lab", Some(SDP)));
    assert_eq!(incoming.flow.local, udp(&handle));
    handle.ring(incoming.call, None).await.unwrap();
    handle.answer(incoming.call, SDP.to_vec()).await.unwrap();
    assert!(heard(&phone).await.starts_with("SIP/2.0 100 "));
    assert!(heard(&phone).await.starts_with("SIP/2.0 180 "));
    let ok = heard(&phone).await;
    assert!(ok.starts_with("SIP/2.0 200 ") && ok.ends_with("v=0\r\n"), "{ok}");
    assert!(ok.contains(&format!("Contact: <sip:doorline@{}>;isfocus", udp(&handle))), "{ok}");
    let to = ok.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
    let tag = &to[to.find(";tag").unwrap()..];
    phone.send_to(request("ACK", 1, &via, tag, "").as_bytes(), udp(&handle)).await.unwrap();
    assert!(matches!(within(events.recv()).await, Some(Event::Established { answer: None, .. })));
    handle.hang_up(incoming.call, 16, "the end").await.unwrap();
    let bye = heard(&phone).await;
    assert!(
        bye.starts_with("BYE sip:me@127.0.0.1 SIP/2.0\r\n") && bye.contains("Reason: Q.850;cause=16"),
        "{bye}"
    );
    handle.stop().await;
    assert_eq!(handle.ring(incoming.call, None).await, Err(Gone));
    assert!(within(events.recv()).await.is_none());
}

#[tokio::test]
async fn a_stream_may_come_in_pieces_and_pings_are_answered() {
    let (handle, _events) = start().await;
    let mut phone = TcpStream::connect(tcp(&handle)).await.unwrap();
    let options = request("OPTIONS", 1, "TCP 127.0.0.1", "", "");
    for piece in options.as_bytes().chunks(60) {
        phone.write_all(piece).await.unwrap();
        phone.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(read_some(&mut phone).await.starts_with("SIP/2.0 200 OK"));
    phone.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_some(&mut phone).await, "\r\n");
    let two =
        request("OPTIONS", 2, "TCP 127.0.0.1", "", "") + &request("REGISTER", 3, "TCP 127.0.0.1", "", "");
    phone.write_all(two.as_bytes()).await.unwrap();
    let mut both = String::new();
    while both.matches("SIP/2.0").count() < 4 {
        both += &read_some(&mut phone).await;
    }
    assert!(both.contains("SIP/2.0 200 ") && both.contains("SIP/2.0 405 "), "{both}");
}

#[tokio::test]
async fn lost_framing_is_answered_and_the_connection_closed_and_others_live() {
    let (handle, _events) = start().await;
    let mut good = TcpStream::connect(tcp(&handle)).await.unwrap();
    let mut bad = TcpStream::connect(tcp(&handle)).await.unwrap();
    let text =
        request("OPTIONS", 1, "TCP 127.0.0.1", "", "").replace("Content-Length: 0", "Content-Length: -1");
    bad.write_all(text.as_bytes()).await.unwrap();
    assert!(read_some(&mut bad).await.starts_with("SIP/2.0 400 "));
    assert_eq!(read_some(&mut bad).await, "", "closed");
    good.write_all(request("OPTIONS", 2, "TCP 127.0.0.1", "", "").as_bytes()).await.unwrap();
    assert!(read_some(&mut good).await.starts_with("SIP/2.0 200 "));
}

#[tokio::test]
async fn an_unknown_source_gets_nothing() {
    let (handle, _events) = start_with(Limits::default(), "127.0.0.2", "127.0.0.1:0").await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let friend = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let options =
        |socket: &UdpSocket| request("OPTIONS", 1, &format!("UDP {}", socket.local_addr().unwrap()), "", "");
    stranger.send_to(options(&stranger).as_bytes(), udp(&handle)).await.unwrap();
    friend.send_to(options(&friend).as_bytes(), udp(&handle)).await.unwrap();
    assert!(heard(&friend).await.starts_with("SIP/2.0 200 "));
    let mut buffer = [0; 100];
    assert!(stranger.try_recv(&mut buffer).is_err(), "no answer");
    let mut stream = TcpStream::connect(tcp(&handle)).await.unwrap();
    assert_eq!(read_some(&mut stream).await, "", "closed at accept");
    handle.load().await.unwrap();
    assert_eq!(handle.counters().refused_sources, 2);
}

#[tokio::test]
async fn a_silent_or_endless_connection_is_closed() {
    let limits = Limits {
        first_message: Duration::from_millis(200),
        idle: Duration::from_secs(3),
        ..Limits::default()
    };
    let (handle, _events) = start_with(limits, "127.0.0.0/8", "127.0.0.1:0").await;
    let mut silent = TcpStream::connect(tcp(&handle)).await.unwrap();
    assert_eq!(read_some(&mut silent).await, "");
    // One byte now and then does not buy more time.
    let mut slow = TcpStream::connect(tcp(&handle)).await.unwrap();
    slow.write_all(b"OPT").await.unwrap();
    tokio::time::sleep(Duration::from_millis(120)).await;
    slow.write_all(b"IONS").await.unwrap();
    let begin = std::time::Instant::now();
    assert_eq!(read_some(&mut slow).await, "");
    assert!(begin.elapsed() < Duration::from_secs(2));
    // After a whole message there is time until the next.
    let mut good = TcpStream::connect(tcp(&handle)).await.unwrap();
    good.write_all(request("OPTIONS", 1, "TCP 127.0.0.1", "", "").as_bytes()).await.unwrap();
    assert!(read_some(&mut good).await.starts_with("SIP/2.0 200 "));
    tokio::time::sleep(Duration::from_millis(500)).await;
    good.write_all(request("OPTIONS", 2, "TCP 127.0.0.1", "", "").as_bytes()).await.unwrap();
    assert!(read_some(&mut good).await.starts_with("SIP/2.0 200 "));
}

#[tokio::test]
async fn one_source_has_so_many_connections_and_no_more() {
    let limits = Limits { connections_per_source: 2, ..Limits::default() };
    let (handle, _events) = start_with(limits, "127.0.0.0/8", "127.0.0.1:0").await;
    let mut held = Vec::new();
    for number in 1..=2 {
        let mut stream = TcpStream::connect(tcp(&handle)).await.unwrap();
        stream.write_all(request("OPTIONS", number, "TCP 127.0.0.1", "", "").as_bytes()).await.unwrap();
        assert!(read_some(&mut stream).await.starts_with("SIP/2.0 200 "));
        held.push(stream);
    }
    let mut third = TcpStream::connect(tcp(&handle)).await.unwrap();
    assert_eq!(read_some(&mut third).await, "", "closed");
    assert_eq!(handle.counters().refused_connections, 1);
    // One that goes makes room.
    held.pop();
    within(async {
        loop {
            let mut again = TcpStream::connect(tcp(&handle)).await.unwrap();
            let sent = again.write_all(request("OPTIONS", 9, "TCP 127.0.0.1", "", "").as_bytes()).await;
            if sent.is_ok() && read_some(&mut again).await.starts_with("SIP/2.0 200 ") {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_service_that_does_not_keep_up_refuses_new_calls_and_loses_no_other_event() {
    let limits = Limits { events: 1, ..Limits::default() };
    let (handle, mut events) = start_with(limits, "127.0.0.0/8", "127.0.0.1:0").await;
    let phone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let via = format!("UDP {}", phone.local_addr().unwrap());
    for number in 1..=2 {
        phone.send_to(request("INVITE", number, &via, "", "v=0\r\n").as_bytes(), udp(&handle)).await.unwrap();
        assert!(heard(&phone).await.starts_with("SIP/2.0 100 "));
    }
    let refusal = heard(&phone).await;
    assert!(refusal.starts_with("SIP/2.0 503 ") && refusal.contains("Retry-After: 5"), "{refusal}");
    // The end of the first call waits behind its beginning.
    phone
        .send_to(request("CANCEL", 1, &via, "", "").replace("bKCANCEL", "bKINVITE").as_bytes(), udp(&handle))
        .await
        .unwrap();
    while !heard(&phone).await.contains("CSeq: 1 CANCEL") {}
    let Some(Event::Incoming(incoming)) = within(events.recv()).await else { panic!("no call") };
    let ended = Event::Ended { call: incoming.call, how: HowEnded::Cancelled, reason: None };
    assert_eq!(within(events.recv()).await, Some(ended));
    assert_eq!(events.try_recv(), None, "nobody hears of the refused call");
    assert_eq!(handle.counters().refused_busy, 1);
}

#[tokio::test]
async fn two_of_us_talk_over_udp_and_tcp() {
    let (caller, mut caller_events) = start_with(Limits::default(), "127.0.0.0/8", "127.0.0.1:0").await;
    let (called, mut called_events) = start_with(Limits::default(), "127.0.0.0/8", "0.0.0.0:0").await;
    for (index, transport) in [Transport::Udp, Transport::Tcp].into_iter().enumerate() {
        let port = called.local_addresses()[index].address.port();
        let peer = SocketAddr::from(([127, 0, 0, 1], port));
        let outgoing = Outgoing {
            to: format!("sip:100@{peer};transport={}", transport.name()).parse().unwrap(),
            flow: Flow { transport, local: caller.local_addresses()[index].address, peer },
            from: NameAddr::parse("<sip:+441@127.0.0.1>").unwrap(),
            headers: vec![("P-Asserted-Identity".to_owned(), "<tel:+441>".to_owned())],
            sdp: Some(SDP.to_vec()),
        };
        let call = caller.invite(outgoing).await.unwrap().unwrap();
        let Some(Event::Incoming(incoming)) = within(called_events.recv()).await else { panic!("no call") };
        assert_eq!(incoming.evidence.asserted.len(), 1);
        assert!(!incoming.flow.local.ip().is_unspecified(), "our address as the peer sees it");
        called.answer(incoming.call, SDP.to_vec()).await.unwrap();
        assert_eq!(
            within(caller_events.recv()).await,
            Some(Event::Accepted { call, sdp: Some(SDP.to_vec()) })
        );
        let established = Event::Established { call: incoming.call, answer: None };
        assert_eq!(within(called_events.recv()).await, Some(established));
        caller
            .send_info(call, "application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n".to_vec())
            .await
            .unwrap();
        assert!(matches!(within(called_events.recv()).await, Some(Event::Digit { duration_ms: 160, .. })));
        called.hang_up(incoming.call, 16, "done").await.unwrap();
        let reason = Some(Reason { q850: Some(16), sip: None, text: Some("done".to_owned()) });
        let ended = Event::Ended { call, how: HowEnded::ByPeer, reason };
        assert_eq!(within(caller_events.recv()).await, Some(ended));
        let ended = Event::Ended { call: incoming.call, how: HowEnded::ByUs, reason: None };
        assert_eq!(within(called_events.recv()).await, Some(ended));
    }
    let load = called.load().await.unwrap();
    assert_eq!((load.calls, load.dialogs), (0, 0));
}

#[tokio::test]
async fn a_connection_that_cannot_be_opened_rejects_the_call() {
    let (caller, mut events) = start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outgoing = Outgoing {
        to: format!("sip:100@{nobody}").parse().unwrap(),
        flow: Flow { transport: Transport::Tcp, local: tcp(&caller), peer: nobody },
        from: NameAddr::parse("<sip:+441@127.0.0.1>").unwrap(),
        headers: Vec::new(),
        sdp: None,
    };
    let call = caller.invite(outgoing).await.unwrap().unwrap();
    assert!(
        matches!(within(events.recv()).await, Some(Event::Rejected { call: c, status: 503, .. }) if c == call)
    );
}

#[tokio::test]
async fn a_large_request_goes_by_tcp_and_by_datagram_where_nobody_takes_a_connection() {
    let (caller, _events) = start().await;
    let invite = async |peer: SocketAddr| {
        let outgoing = Outgoing {
            to: format!("sip:100@{peer}").parse().unwrap(),
            flow: Flow { transport: Transport::Udp, local: udp(&caller), peer },
            from: NameAddr::parse("<sip:+441@127.0.0.1>").unwrap(),
            headers: vec![("X-Padding".to_owned(), "x".repeat(2_000))],
            sdp: None,
        };
        caller.invite(outgoing).await.unwrap().unwrap();
    };
    let both = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let peer = both.local_addr().unwrap();
    let listener = tokio::net::TcpListener::bind(peer).await.unwrap();
    invite(peer).await;
    let (mut stream, _) = within(listener.accept()).await.unwrap();
    let text = read_some(&mut stream).await;
    let via = format!("Via: SIP/2.0/TCP {};", tcp(&caller));
    assert!(text.starts_with("INVITE ") && text.contains(&via), "{text}");
    assert_eq!(both.try_recv(&mut [0; 100]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);

    let alone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    invite(alone.local_addr().unwrap()).await;
    let text = heard(&alone).await;
    let via = format!("Via: SIP/2.0/UDP {};", udp(&caller));
    assert!(text.starts_with("INVITE ") && text.contains(&via), "{text}");
}

#[tokio::test]
async fn an_address_that_cannot_be_had_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let start = |listen| async {
        let settings = Settings { listen, ..Settings::default() };
        let started =
            Signalling::start(&settings, Default::default(), Limits::default(), Vec::new(), [0; 32]).await;
        started.map(|_| ()).unwrap_err().to_string()
    };
    let error = start(vec![Listen { transport: Transport::Udp, address }]).await;
    assert!(error.starts_with(&format!("listen address udp:{address}: ")), "{error}");
    assert!(
        start(vec![Listen { transport: Transport::Tls, address }]).await.contains("without a certificate")
    );
    assert!(start(Vec::new()).await.starts_with("no listen address"));
}
