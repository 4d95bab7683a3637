//! Requests of ours that are too large for a datagram: which way they go, and which when that is closed.

use std::time::{Duration, Instant};

use super::script::{PEER, US, endpoint, flow};
use crate::sip::endpoint::{Endpoint, Event, Outgoing, Settings};
use crate::sip::wire::{Framing, Message, Method, NameAddr, Request, Response, parse};
use crate::sip::{Farewell, Flow, Transmit, Transport};
use crate::types::CallId;

struct Stage {
    endpoint: Endpoint,
    now: Instant,
}

impl Stage {
    fn new(tcp: &[&str]) -> Self {
        let tcp = tcp.iter().map(|address| address.parse().unwrap()).collect();
        Self { endpoint: endpoint(Settings { tcp, ..Settings::default() }, 4), now: Instant::now() }
    }

    /// Makes a call whose INVITE has so many bytes in a header of its own.
    fn call(&mut self, padding: usize) -> CallId {
        let outgoing = Outgoing {
            to: format!("sip:200@{PEER}").parse().unwrap(),
            flow: flow(Transport::Udp),
            from: NameAddr::parse(&format!("<sip:100@{US}>")).unwrap(),
            headers: vec![("X-Padding".to_owned(), "x".repeat(padding))],
            sdp: None,
        };
        self.endpoint.invite(self.now, outgoing).unwrap()
    }

    /// What went out: the way, and the request.
    fn sent(&mut self) -> Vec<(Flow, Request)> {
        let sent: Vec<Transmit> = std::iter::from_fn(|| self.endpoint.poll_transmit()).collect();
        let read = |transmit: Transmit| match parse(&transmit.bytes, Framing::Stream) {
            Ok(Message::Request(request)) => (transmit.flow, request),
            other => panic!("{other:?}"),
        };
        sent.into_iter().map(read).collect()
    }

    fn one(&mut self) -> (Flow, Request) {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        let (flow, request) = sent.remove(0);
        // The Via says which way it went.
        assert_eq!(request.via.len(), 1);
        assert_eq!(request.via[0].transport, flow.transport.via_name(), "{request:?}");
        assert_eq!(request.via[0].port, Some(flow.local.port()), "{request:?}");
        (flow, request)
    }

    fn answer(&mut self, flow: &Flow, request: &Request, status: u16) {
        let mut response = Response::to(request, status);
        if status > 100 {
            response = response.with_to_tag("peer");
        }
        response.contact = vec![NameAddr::parse(&format!("<sip:200@{PEER}>")).unwrap()];
        self.endpoint.receive(self.now, flow, &response.to_bytes());
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.endpoint.handle_timeout(self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }
}

const TCP: &str = "192.0.2.1:5062";

#[test]
fn the_size_decides_which_way_a_request_goes() {
    let mut stage = Stage::new(&[TCP]);
    stage.call(0);
    let (_, small) = stage.one();
    let bare = small.to_bytes().len();
    let cases = [
        ("as large as a datagram may be", &[TCP][..], 1_300, Transport::Udp),
        ("larger", &[TCP], 1_301, Transport::Tcp),
        ("much larger", &["[2001:db8::1]:5060", "0.0.0.0:5062"], 4_000, Transport::Tcp),
        ("larger, without TCP", &[], 4_000, Transport::Udp),
        ("larger, without TCP of that family", &["[2001:db8::1]:5060"], 4_000, Transport::Udp),
    ];
    for (name, tcp, size, transport) in cases {
        let mut stage = Stage::new(tcp);
        stage.call(size - bare);
        let (way, request) = stage.one();
        // "TCP" is as long as "UDP".
        assert_eq!(request.to_bytes().len(), size, "{name}");
        assert_eq!((way.transport, way.peer), (transport, PEER.parse().unwrap()), "{name}");
        let port = if transport == Transport::Tcp { 5_062 } else { 5_060 };
        assert_eq!(way.local, format!("192.0.2.1:{port}").parse().unwrap(), "{name}");
    }
}

#[test]
fn what_went_by_tcp_is_answered_acknowledged_and_given_up_there() {
    let mut stage = Stage::new(&[TCP]);
    let call = stage.call(2_000);
    let (tcp, invite) = stage.one();
    stage.wait(Duration::from_secs(5));
    assert!(stage.sent().is_empty(), "nothing is repeated on a connection");
    stage.answer(&tcp, &invite, 100);
    stage.endpoint.cancel(stage.now, call);
    let (way, cancel) = stage.one();
    assert_eq!((way, &cancel.method, &cancel.via), (tcp, &Method::Cancel, &invite.via));
    stage.answer(&tcp, &cancel, 200);
    stage.answer(&tcp, &invite, 487);
    let (way, ack) = stage.one();
    assert_eq!((way, &ack.method, &ack.via), (tcp, &Method::Ack, &invite.via));
    assert!(matches!(stage.events().as_slice(), [Event::Rejected { status: 487, .. }]));

    let call = stage.call(2_000);
    let (tcp, invite) = stage.one();
    stage.answer(&tcp, &invite, 200);
    stage.endpoint.ack(stage.now, call, Some(b"v=0\r\n".to_vec()));
    let (way, ack) = stage.one();
    assert_eq!((way, &ack.method), (tcp, &Method::Ack));
    stage.endpoint.hang_up(stage.now, call, Farewell::new(16, "bye"));
    let (way, bye) = stage.one();
    assert_eq!(way, tcp, "the connection is there");
    stage.answer(&tcp, &bye, 200);
    stage.wait(Duration::from_secs(100));
    assert_eq!(stage.endpoint.load(), Default::default());
}

#[test]
fn without_a_connection_it_is_a_datagram_after_all_and_so_are_the_next_ones() {
    let mut stage = Stage::new(&[TCP]);
    let call = stage.call(2_000);
    let (tcp, by_tcp) = stage.one();
    stage.endpoint.transport_failed(stage.now, &tcp);
    let (udp, invite) = stage.one();
    assert_eq!(udp, flow(Transport::Udp));
    assert_eq!((invite.via[0].branch(), &invite.cseq), (by_tcp.via[0].branch(), &by_tcp.cseq));
    stage.wait(Duration::from_millis(500));
    assert_eq!(stage.one().0, udp, "and repeated as datagrams are");
    stage.answer(&udp, &invite, 180);
    stage.endpoint.cancel(stage.now, call);
    let (way, cancel) = stage.one();
    assert_eq!((way, &cancel.via), (udp, &invite.via));
    stage.answer(&udp, &cancel, 200);
    stage.answer(&udp, &invite, 487);
    assert_eq!(stage.one().1.method, Method::Ack);

    for (after, transport) in [(0, Transport::Udp), (590, Transport::Udp), (11, Transport::Tcp)] {
        stage.wait(Duration::from_secs(after));
        stage.sent();
        stage.call(2_000);
        assert_eq!(stage.one().0.transport, transport, "{after}");
    }
}

#[test]
fn a_connection_that_breaks_after_somebody_answered_fails_the_request() {
    let mut stage = Stage::new(&[TCP]);
    stage.call(2_000);
    let (tcp, invite) = stage.one();
    stage.answer(&tcp, &invite, 100);
    stage.endpoint.transport_failed(stage.now, &tcp);
    assert!(stage.sent().is_empty());
    assert!(matches!(stage.events().as_slice(), [Event::Rejected { status: 503, .. }]));
}

#[test]
fn requests_and_acknowledgements_within_a_call_go_the_same_way() {
    let mut stage = Stage::new(&[TCP]);
    let call = stage.call(0);
    let (udp, invite) = stage.one();
    let large = |letter: u8| vec![letter; 1_400];
    stage.answer(&udp, &invite, 200);
    stage.endpoint.ack(stage.now, call, Some(large(b'a')));
    let (tcp, ack) = stage.one();
    assert_eq!((tcp.transport, &ack.method), (Transport::Tcp, &Method::Ack));
    stage.endpoint.transport_failed(stage.now, &tcp);
    let (way, again) = stage.one();
    assert_eq!((way, &again.method, &again.body), (udp, &Method::Ack, &ack.body));
    stage.answer(&udp, &invite, 200);
    assert_eq!(stage.one().0, udp, "and so with each copy of the answer");

    stage.wait(Duration::from_secs(601));
    stage.sent();
    stage.endpoint.send_info(stage.now, call, "text/plain", large(b'i'));
    let (tcp, info) = stage.one();
    assert_eq!((tcp.transport, &info.method), (Transport::Tcp, &Method::Info));
    stage.answer(&tcp, &info, 200);
    stage.endpoint.hang_up(stage.now, call, Farewell::new(16, "bye"));
    let (way, bye) = stage.one();
    assert_eq!((way, &bye.method), (udp, &Method::Bye), "a small one is a datagram");
    stage.answer(&udp, &bye, 200);
    stage.wait(Duration::from_secs(100));
    assert_eq!(stage.endpoint.load(), Default::default());
}
