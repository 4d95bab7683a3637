//! SIP over TLS, over real sockets on the loop-back: who is let in by which certificate, what is closed
//! unread, what a slow or wrong peer costs, and calls of our own.

#[path = "support/certificates.rs"]
#[allow(dead_code)]
mod certificates;
#[path = "support/dns.rs"]
#[allow(dead_code)]
mod dns;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use certificates::Authority;
use dns::NameServer;
use doorline::signalling::tls::Files;
use doorline::signalling::{Events, Handle, Limits, Listen, Settings, Signalling, Tls};
use doorline::sip::endpoint::{Event, HowEnded, Outgoing, Reach};
use doorline::sip::ping::Ping;
use doorline::sip::trunk::Trunk;
use doorline::sip::wire::NameAddr;
use doorline::sip::{Flow, TlsName, Transport};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const SDP: &[u8] = b"v=0\r\n";
/// The name that the service's certificate has.
const OURS: &str = "sip.example.org";

fn trunk(name: &str, allow: &[&str], tls_names: &[&str]) -> Trunk {
    Trunk {
        name: name.to_owned(),
        allow: allow.iter().map(|block| block.parse().unwrap()).collect(),
        tls_names: tls_names.iter().map(|name| name.parse().unwrap()).collect(),
        ..Trunk::default()
    }
}

/// A service on UDP, TCP and TLS, in this order.
async fn start(limits: Limits, tls: Tls, trunks: Vec<Trunk>) -> (Handle, Events) {
    start_asking(Vec::new(), limits, tls, trunks).await
}

/// The same with name servers of its own.
async fn start_asking(
    name_servers: Vec<SocketAddr>,
    limits: Limits,
    tls: Tls,
    trunks: Vec<Trunk>,
) -> (Handle, Events) {
    let listen = |transport| Listen { transport, address: "127.0.0.1:0".parse().unwrap() };
    let settings = Settings {
        listen: [Transport::Udp, Transport::Tcp, Transport::Tls].map(listen).to_vec(),
        tls: Some(tls),
        name_servers,
        ..Settings::default()
    };
    // Each has a seed of its own: whose tags a call bears tells whether it comes back to where it began.
    static SEED: AtomicU8 = AtomicU8::new(0);
    let seed = [SEED.fetch_add(1, Ordering::Relaxed); 32];
    Signalling::start(&settings, Default::default(), limits, trunks, seed).await.unwrap()
}

fn at(handle: &Handle, transport: Transport) -> SocketAddr {
    let listen = handle.local_addresses().iter().find(|listen| listen.transport == transport);
    listen.expect("it listens there").address
}

fn tls(handle: &Handle) -> SocketAddr {
    at(handle, Transport::Tls)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), future).await.expect("within 5 s")
}

/// From this address of the loop-back.
async fn tcp(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    within(socket.connect(to)).await.unwrap()
}

/// A secured connection, if the handshake succeeds.
async fn secured(
    from: &str,
    to: SocketAddr,
    client: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(OURS).unwrap();
    within(TlsConnector::from(client).connect(name, tcp(from, to).await)).await
}

fn request(method: &str, number: u32, more: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sips:100@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK{method}{number}\r\n\
         From: <sip:+441@127.0.0.1>;tag=peer\r\nTo: <sip:100@127.0.0.1>{more}\r\nCall-ID: call{number}\r\n\
         CSeq: {number} {method}\r\nContact: <sip:me@127.0.0.1;transport=tls>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What comes next; empty when the other end has closed.
async fn read_some(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut buffer = vec![0; 8_192];
    let length = within(stream.read(&mut buffer)).await.unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// The answer to OPTIONS over this connection, if any.
async fn options(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> String {
    // The other end may have closed: then nothing comes either.
    let _ = stream.write_all(request("OPTIONS", 1, "", "").as_bytes()).await;
    read_some(stream).await
}

#[tokio::test]
async fn a_call_over_tls_is_answered_and_our_bye_takes_the_same_connection() {
    let authority = Authority::new();
    authority.issue("door", &[OURS]);
    let (handle, mut events) =
        start(Limits::default(), authority.tls("door"), vec![trunk("lab", &["127.0.0.0/8"], &[])]).await;
    let mut phone = secured("127.0.0.1", tls(&handle), authority.client(None)).await.unwrap();
    let invite = request("INVITE", 1, "", "v=0\r\n");
    for piece in invite.as_bytes().chunks(50) {
        phone.write_all(piece).await.unwrap();
        phone.flush().await.unwrap();
    }
    let Some(Event::Incoming(incoming)) = within(events.recv()).await else { panic!("no call") };
    assert_eq!((incoming.trunk.as_str(), incoming.flow.transport), ("lab", Transport::Tls));
    handle.answer(incoming.call, SDP.to_vec()).await.unwrap();
    let mut heard = String::new();
    while !heard.contains("SIP/2.0 200 ") {
        heard += &read_some(&mut phone).await;
    }
    assert!(heard.contains(&format!("Contact: <sip:doorline@{};transport=tls>", tls(&handle))), "{heard}");
    let ok = &heard[heard.find("SIP/2.0 200 ").unwrap()..];
    let to = ok.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
    let ack = request("ACK", 1, &to[to.find(";tag").unwrap()..], "");
    phone.write_all(ack.as_bytes()).await.unwrap();
    assert!(matches!(within(events.recv()).await, Some(Event::Established { .. })));
    phone.write_all(b"\r\n\r\n").await.unwrap();
    assert_eq!(read_some(&mut phone).await, "\r\n", "a ping is answered (RFC 5626 §4.4.1)");
    handle.hang_up(incoming.call, 16, "the end").await.unwrap();
    let bye = read_some(&mut phone).await;
    assert!(bye.starts_with("BYE ") && bye.contains("\r\nVia: SIP/2.0/TLS "), "{bye}");
}

#[tokio::test]
async fn who_comes_in_is_decided_by_address_and_by_the_name_of_the_certificate() {
    let authority = Authority::new();
    authority.issue("door", &[OURS]);
    authority.issue("anywhere", &["Sbc.example.net"]);
    authority.issue("domain", &["sip:example.com", "host.example.com"]);
    authority.issue("both", &["edge.example.org"]);
    authority.issue("other", &["*.example.net", "net", "sbc.example.net.evil.example"]);
    let elsewhere = Authority::new();
    elsewhere.issue("anywhere", &["sbc.example.net"]);
    let trunks = vec![
        trunk("anywhere", &[], &["sbc.example.net", "sip:example.com"]),
        trunk("both", &["127.0.0.2"], &["edge.example.org"]),
        trunk("plain", &["127.0.0.3"], &[]),
    ];
    let (handle, mut events) = start(Limits::default(), authority.tls("door"), trunks).await;
    let cases: [(&str, &str, Option<&str>, Option<&str>); 9] = [
        ("its name, from anywhere", "127.0.0.9", Some("anywhere"), Some("anywhere")),
        ("its domain as a URI", "127.0.0.9", Some("domain"), Some("anywhere")),
        ("no certificate", "127.0.0.9", None, None),
        ("names that are nearly its own", "127.0.0.9", Some("other"), None),
        ("its name and its address", "127.0.0.2", Some("both"), Some("both")),
        ("its name from elsewhere", "127.0.0.9", Some("both"), None),
        ("its address without a name", "127.0.0.2", None, None),
        ("an address that needs no name", "127.0.0.3", None, Some("plain")),
        ("a name goes before an address", "127.0.0.3", Some("anywhere"), Some("anywhere")),
    ];
    for (number, (what, from, certificate, expected)) in cases.into_iter().enumerate() {
        let mut phone = secured(from, tls(&handle), authority.client(certificate)).await.unwrap();
        let number = u32::try_from(number).unwrap() + 1;
        let _ = phone.write_all(request("INVITE", number, "", "v=0\r\n").as_bytes()).await;
        let heard = read_some(&mut phone).await;
        match expected {
            None => assert_eq!(heard, "", "{what}: closed without a word"),
            Some(trunk) => {
                assert!(heard.starts_with("SIP/2.0 100 "), "{what}: {heard}");
                let Some(Event::Incoming(incoming)) = within(events.recv()).await else { panic!("{what}") };
                assert_eq!(incoming.trunk, trunk, "{what}");
                handle.refuse(incoming.call, 486, None, None).await.unwrap();
                within(events.recv()).await;
            }
        }
    }
    // What another authority says counts for nothing.
    let mut other = authority.client(None);
    let shown = elsewhere.client(Some("anywhere"));
    Arc::get_mut(&mut other).unwrap().client_auth_cert_resolver = shown.client_auth_cert_resolver.clone();
    let refused = match secured("127.0.0.9", tls(&handle), other).await {
        Err(_) => String::new(),
        // TLS 1.3: the client is done before it hears that its certificate is refused.
        Ok(mut phone) => options(&mut phone).await,
    };
    assert_eq!(refused, "");
    // Without TLS only the plain trunk is there.
    for (from, known) in [("127.0.0.9", false), ("127.0.0.2", false), ("127.0.0.3", true)] {
        let heard = options(&mut tcp(from, at(&handle, Transport::Tcp)).await).await;
        assert_eq!(heard.starts_with("SIP/2.0 200 "), known, "{from}: {heard}");
    }
    assert!(events.try_recv().is_none(), "nobody else has called");
    assert_eq!(handle.counters().failed_handshakes, 1);
    assert_eq!(handle.counters().refused_sources, 6);
}

#[tokio::test]
async fn a_source_that_no_trunk_could_be_is_closed_before_a_byte_of_tls() {
    let authority = Authority::new();
    authority.issue("door", &[OURS]);
    let trunks = vec![trunk("both", &["127.0.0.2"], &["edge.example.org"])];
    let (handle, _events) = start(Limits::default(), authority.tls("door"), trunks).await;
    let mut stranger = tcp("127.0.0.9", tls(&handle)).await;
    assert_eq!(read_some(&mut stranger).await, "");
    assert!(secured("127.0.0.9", tls(&handle), authority.client(None)).await.is_err());
    handle.load().await.unwrap();
    assert_eq!(handle.counters().refused_sources, 2);
    assert_eq!(handle.counters().failed_handshakes, 0);
}

#[tokio::test]
async fn a_handshake_that_takes_its_time_is_closed_and_few_may_be_under_way() {
    let authority = Authority::new();
    authority.issue("door", &[OURS]);
    let limits = Limits {
        handshake: Duration::from_millis(400),
        handshakes: 4,
        handshakes_per_source: 3,
        ..Limits::default()
    };
    let trunks = vec![trunk("lab", &["127.0.0.1"], &[]), trunk("anywhere", &[], &["sbc.example.net"])];
    let (handle, _events) = start(limits, authority.tls("door"), trunks).await;
    // Three say nothing or a byte at a time; the fourth of the address finds no room.
    let begin = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..3 {
        slow.push(tcp("127.0.0.1", tls(&handle)).await);
    }
    slow[0].write_all(&[0x16]).await.unwrap();
    slow[0].write_all(&[0x03]).await.unwrap();
    assert_eq!(read_some(&mut tcp("127.0.0.1", tls(&handle)).await).await, "", "closed at accept");
    assert!(begin.elapsed() < Duration::from_millis(400), "at once: {:?}", begin.elapsed());
    // Strangers who may still prove a name share half of all.
    let _held = [tcp("127.0.0.7", tls(&handle)).await, tcp("127.0.0.8", tls(&handle)).await];
    assert_eq!(read_some(&mut tcp("127.0.0.9", tls(&handle)).await).await, "", "closed at accept");
    tokio::time::sleep(Duration::from_millis(100)).await;
    slow[0].write_all(&[0x01]).await.unwrap();
    for stream in &mut slow {
        assert_eq!(read_some(stream).await, "", "closed when its time is over");
    }
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(390) && took < Duration::from_secs(3), "{took:?}");
    // And there is room again.
    let mut good = secured("127.0.0.1", tls(&handle), authority.client(None)).await.unwrap();
    assert!(options(&mut good).await.starts_with("SIP/2.0 200 "));
    assert_eq!(handle.counters().refused_connections, 2);
    assert_eq!(handle.counters().failed_handshakes, 5);
}

#[tokio::test]
async fn limits_of_a_stream_hold_over_tls_too() {
    let authority = Authority::new();
    authority.issue("door", &[OURS]);
    let limits = Limits {
        first_message: Duration::from_millis(200),
        idle: Duration::from_millis(600),
        connections_per_source: 2,
        ..Limits::default()
    };
    let trunks = vec![trunk("lab", &["127.0.0.0/8"], &[])];
    let (handle, _events) = start(limits, authority.tls("door"), trunks).await;
    let client = || authority.client(None);
    // Secured, and then nothing, or no end of a message.
    let mut silent = secured("127.0.0.1", tls(&handle), client()).await.unwrap();
    assert_eq!(read_some(&mut silent).await, "");
    let mut endless = secured("127.0.0.1", tls(&handle), client()).await.unwrap();
    endless.write_all(b"OPTIONS sip:100@127.0.0.1 SIP/2.0\r\n").await.unwrap();
    assert_eq!(read_some(&mut endless).await, "");
    // Lost framing is answered, then closed.
    let mut broken = secured("127.0.0.1", tls(&handle), client()).await.unwrap();
    let text = request("OPTIONS", 1, "", "").replace("Content-Length: 0", "Content-Length: -1");
    broken.write_all(text.as_bytes()).await.unwrap();
    assert!(read_some(&mut broken).await.starts_with("SIP/2.0 400 "));
    assert_eq!(read_some(&mut broken).await, "");
    // Idle after a message.
    let mut idle = secured("127.0.0.1", tls(&handle), client()).await.unwrap();
    assert!(options(&mut idle).await.starts_with("SIP/2.0 200 "));
    let begin = Instant::now();
    assert_eq!(read_some(&mut idle).await, "");
    assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
    // Two of an address, and no more.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut one = secured("127.0.0.2", tls(&handle), client()).await.unwrap();
        assert!(options(&mut one).await.starts_with("SIP/2.0 200 "));
        held.push(one);
    }
    assert!(secured("127.0.0.2", tls(&handle), client()).await.is_err());
}

#[tokio::test]
async fn an_old_version_and_what_is_no_tls_are_refused() {
    let authority = Authority::new();
    authority.issue("door", &[OURS]);
    let trunks = vec![trunk("lab", &["127.0.0.0/8"], &[])];
    let (handle, _events) = start(Limits::default(), authority.tls("door"), trunks).await;
    // A ClientHello of TLS 1.1 (RFC 4346 §7.4.1.2) with one cipher suite.
    let mut hello = vec![0x16, 3, 1, 0, 0, 1, 0, 0, 0, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    // Named group secp256r1, uncompressed points, signatures with ECDSA on SHA-256.
    hello.extend([0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(hello.len() - 9).unwrap();
    (hello[4], hello[8]) = (length + 4, length);
    let mut old = tcp("127.0.0.1", tls(&handle)).await;
    old.write_all(&hello).await.unwrap();
    let mut alert = Vec::new();
    within(old.read_to_end(&mut alert)).await.unwrap();
    assert_eq!((alert[0], alert[5]), (21, 2), "a fatal alert (RFC 5246 §7.2.2)");
    let mut plain = tcp("127.0.0.1", tls(&handle)).await;
    let heard = options(&mut plain).await;
    assert!(!heard.contains("SIP/2.0 "), "{heard}");
    assert_eq!(handle.counters().failed_handshakes, 2);
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let authority = Authority::new();
    authority.issue("door", &[OURS]);
    authority.issue("next", &[OURS]);
    let trunks = vec![trunk("lab", &["127.0.0.0/8"], &[])];
    let (handle, _events) = start(Limits::default(), authority.tls("door"), trunks).await;
    let shown = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let mut before = secured("127.0.0.1", tls(&handle), authority.client(None)).await.unwrap();
    assert!(options(&mut before).await.starts_with("SIP/2.0 200 "));
    handle.set_tls(authority.tls("next")).await.unwrap();
    handle.load().await.unwrap();
    let mut after = secured("127.0.0.1", tls(&handle), authority.client(None)).await.unwrap();
    assert_ne!(shown(&before), shown(&after));
    for stream in [&mut before, &mut after] {
        assert!(options(stream).await.starts_with("SIP/2.0 200 "));
    }
}

#[test]
fn each_file_that_is_wrong_is_named_and_no_key_is_told() {
    let authority = Authority::new();
    authority.issue("door", &[OURS]);
    authority.issue("other", &[OURS]);
    authority.issue("open", &[OURS]);
    let open = authority.file("open.key");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(authority.file("empty.pem"), "").unwrap();
    std::fs::write(authority.file("text.pem"), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")
        .unwrap();
    let good = authority.files("door");
    assert!(Tls::load(&good).is_ok());
    let file = |name: &str| authority.file(name);
    let cases: [(&str, Files, &str, &str); 8] = [
        (
            "a key for all",
            Files { private_key_file: open.clone(), ..good.clone() },
            "private_key_file",
            "mode 0644 lets everybody read it, expected 0600 or 0640",
        ),
        (
            "another's key",
            Files { private_key_file: file("other.key"), ..good.clone() },
            "private_key_file",
            "not the key of the certificate",
        ),
        (
            "a key that is none",
            Files { private_key_file: file("no-key.pem"), ..good.clone() },
            "private_key_file",
            "No such file",
        ),
        (
            "a certificate as key",
            Files { certificate_file: file("door.key"), ..good.clone() },
            "certificate_file",
            "no certificate in it",
        ),
        (
            "nothing",
            Files { certificate_file: file("empty.pem"), ..good.clone() },
            "certificate_file",
            "no certificate in it, expected at least one in PEM",
        ),
        (
            "no base64",
            Files { certificate_file: file("text.pem"), ..good.clone() },
            "certificate_file",
            "expected certificates in PEM",
        ),
        (
            "no authority",
            Files { client_ca_file: Some(file("empty.pem")), ..good.clone() },
            "client_ca_file",
            "no certificate in it",
        ),
        ("not there", Files { ca_file: Some(file("none.pem")), ..good.clone() }, "ca_file", "No such file"),
    ];
    let key = std::fs::read_to_string(file("door.key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    for (name, files, at, what) in cases {
        let error = Tls::load(&files).unwrap_err();
        assert_eq!(error.key, at, "{name}: {error}");
        assert!(error.what.contains(what) && !error.what.contains(secret), "{name}: {error}");
    }
    let loaded = Tls::load(&good).unwrap();
    assert!(!format!("{loaded:?}").contains(secret));
    assert_eq!(loaded, Tls::load(&good).unwrap(), "the same files make the same");
    assert_ne!(loaded, authority.tls("other"));
    assert_eq!(loaded.certificate().names, [OURS.parse::<TlsName>().unwrap()]);
}

fn call_to(host: &str, local: SocketAddr, peer: SocketAddr) -> Outgoing {
    Outgoing {
        to: format!("sip:100@{host}:{};transport=tls", peer.port()).parse().unwrap(),
        flow: Flow { transport: Transport::Tls, local, peer },
        from: NameAddr::parse("<sip:+441@127.0.0.1>").unwrap(),
        headers: Vec::new(),
        sdp: Some(SDP.to_vec()),
    }
}

#[tokio::test]
async fn two_of_us_talk_over_tls_and_a_second_call_takes_the_same_connection() {
    let authority = Authority::new();
    authority.issue("caller", &["caller.example.org"]);
    authority.issue("called", &[OURS]);
    // Each knows the other by name: the caller shows its certificate when it is asked for one.
    let (caller, mut caller_events) =
        start(Limits::default(), authority.tls("caller"), vec![trunk("out", &["127.0.0.0/8"], &[OURS])])
            .await;
    let (called, mut called_events) =
        start(Limits::default(), authority.tls("called"), vec![trunk("in", &[], &["caller.example.org"])])
            .await;
    let mut flows = Vec::new();
    for _ in 0..2 {
        let outgoing = call_to(OURS, tls(&caller), tls(&called));
        let call = caller.invite(outgoing).await.unwrap().unwrap();
        let event = within(called_events.recv()).await;
        let Some(Event::Incoming(incoming)) = event else { panic!("no call but {event:?}") };
        assert_eq!(incoming.trunk, "in");
        flows.push(incoming.flow);
        called.answer(incoming.call, SDP.to_vec()).await.unwrap();
        let accepted = Event::Accepted { call, sdp: Some(SDP.to_vec()) };
        assert_eq!(within(caller_events.recv()).await, Some(accepted));
        assert!(matches!(within(called_events.recv()).await, Some(Event::Established { .. })));
        called.hang_up(incoming.call, 16, "done").await.unwrap();
        assert!(matches!(
            within(caller_events.recv()).await,
            Some(Event::Ended { call: ended, how: HowEnded::ByPeer, .. }) if ended == call
        ));
        assert!(matches!(within(called_events.recv()).await, Some(Event::Ended { how: HowEnded::ByUs, .. })));
    }
    assert_eq!(flows[0], flows[1], "one connection");
}

#[tokio::test]
async fn nothing_is_sent_to_a_server_that_is_not_who_it_should_be() {
    let authority = Authority::new();
    authority.issue("caller", &["caller.example.org"]);
    authority.issue("impostor", &["other.example.org", "127.0.0.1"]);
    let elsewhere = Authority::new();
    elsewhere.issue("called", &[OURS]);
    // Listens as `name` and counts what it hears.
    let server = async |from: &Authority, name: &str| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor: TlsAcceptor = Arc::new(server_config(from, name)).into();
        let heard = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            match acceptor.accept(stream).await {
                Ok(mut stream) => read_some(&mut stream).await,
                Err(_) => String::new(),
            }
        });
        (address, heard)
    };
    for (what, from, name, host, believed) in [
        ("another name", &authority, "impostor", OURS, false),
        ("another authority", &elsewhere, "called", OURS, false),
        ("its address", &authority, "impostor", "127.0.0.1", true),
        ("its name", &authority, "impostor", "other.example.org", true),
    ] {
        let (caller, mut events) =
            start(Limits::default(), authority.tls("caller"), vec![trunk("out", &["127.0.0.0/8"], &[])])
                .await;
        let (peer, heard) = server(from, name).await;
        let call = caller.invite(call_to(host, tls(&caller), peer)).await.unwrap().unwrap();
        let heard = within(heard).await.unwrap();
        assert_eq!(heard.starts_with("INVITE "), believed, "{what}: {heard}");
        let event = within(events.recv()).await;
        let rejected = matches!(event, Some(Event::Rejected { call: c, status: 503, .. }) if c == call);
        assert!(rejected, "{what}: {event:?}");
        assert_eq!(caller.counters().failed_handshakes, u64::from(!believed), "{what}");
    }
}

#[tokio::test]
async fn a_peer_is_pinged_over_tls_and_must_prove_the_name_it_was_looked_up_by() {
    let authority = Authority::new();
    authority.issue("pinging", &["pinging.example.org"]);
    authority.issue("carrier", &["carrier.test"]);
    authority.issue("impostor", &["other.test", "127.0.0.1"]);
    for (what, certificate, reach) in
        [("itself", "carrier", Reach::Up), ("somebody else", "impostor", Reach::Down)]
    {
        let everybody = vec![trunk("lab", &["127.0.0.0/8"], &[])];
        let (peer, _peer_events) = start(Limits::default(), authority.tls(certificate), everybody).await;
        let zone = format!(
            "_sips._tcp.carrier.test 60 SRV 10 0 {} edge.test\nedge.test 60 A 127.0.0.1",
            tls(&peer).port()
        );
        let dns = NameServer::start(&zone);
        let target = "sip:carrier.test;transport=tls".parse().unwrap();
        let ping = Ping { target, interval: Duration::from_secs(5) };
        // The peer's address is no source of this trunk: only its answers are read.
        let pinging = Trunk { ping: Some(ping), ..trunk("carrier", &["192.0.2.1"], &[]) };
        let (us, _events) =
            start_asking(vec![dns.address()], Limits::default(), authority.tls("pinging"), vec![pinging])
                .await;
        let becomes = async || {
            while us.trunks().first().is_none_or(|state| state.reach != reach) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(30), becomes())
            .await
            .unwrap_or_else(|_| panic!("{what}: {:?}", us.trunks()));
        let failed = us.counters().failed_handshakes;
        assert_eq!(failed > 0, reach == Reach::Down, "{what}: {failed} handshakes failed");
    }
}

fn server_config(authority: &Authority, name: &str) -> tokio_rustls::rustls::ServerConfig {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    let chain = vec![CertificateDer::from_pem_file(authority.file(&format!("{name}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(authority.file(&format!("{name}.key"))).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    tokio_rustls::rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}
