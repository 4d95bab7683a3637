//! Every torture message of RFC 4475 and RFC 5118 at the running program: as a datagram, on a stream
//! at once, and on a stream byte by byte, over TCP and over TLS; each of them in three orders. Each
//! answer is one that its index allows, and the service answers OPTIONS after each.
//!
//! Each message comes from an address of its own, so that what is answered to one, or sent again, is
//! never taken for the answer to another. Answers to datagrams go to the port in Via (RFC 3261
//! §18.2.2), so every port that a message names is listened at.

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use socket2::{Domain, Socket, Type};
use support::certificates::Authority;
use support::torture::{self, Case};
use support::{Doorline, Options, lab};
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

/// Ports that the messages' Via headers name or imply.
const PORTS: [u16; 6] = [5060, 5061, 5050, 5070, 6050, 19823];

/// How long a final answer may take, and how long silence must last to be believed.
const ANSWER: Duration = Duration::from_millis(1_500);
const SILENCE: Duration = Duration::from_millis(400);

#[test]
fn as_datagrams() {
    check(|world, case, from| {
        let sockets: Vec<UdpSocket> = PORTS.iter().map(|&port| listening(from, port)).collect();
        sockets[0].send_to(&case.bytes, world.door.sip()).expect("a datagram can be sent");
        collect(case, || {
            let mut buffer = [0; 65_536];
            let mut answers = Vec::new();
            for socket in &sockets {
                while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                    answers.extend(statuses(&buffer[..length]));
                }
            }
            std::thread::sleep(Duration::from_millis(5));
            answers
        })
    });
}

#[test]
fn on_a_stream_at_once() {
    check(|world, case, from| streamed(case, connected(from, world.door.sip()), whole));
}

#[test]
fn on_a_stream_byte_by_byte() {
    check(|world, case, from| streamed(case, connected(from, world.door.sip()), byte_by_byte));
}

#[test]
fn over_tls_at_once() {
    check(|world, case, from| streamed(case, world.secured(from), whole));
}

/// Each byte in a record of its own, and each record in pieces as the network likes.
#[test]
fn over_tls_byte_by_byte() {
    check(|world, case, from| streamed(case, world.secured(from), byte_by_byte));
}

fn whole(stream: &mut dyn Write, bytes: &[u8]) {
    // The other end may have closed already: that is one of its right answers.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
}

fn byte_by_byte(stream: &mut dyn Write, bytes: &[u8]) {
    for byte in bytes {
        if stream.write_all(std::slice::from_ref(byte)).and_then(|()| stream.flush()).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// The service and who vouches for it.
struct World {
    door: Doorline,
    authority: Authority,
}

impl World {
    fn secured(&self, from: IpAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::from(self.door.sip_tls().ip());
        let session = ClientConnection::new(self.authority.client(None), name).expect("a good configuration");
        let mut stream = StreamOwned::new(session, connected(from, self.door.sip_tls()));
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("the service believes in TLS");
        }
        stream
    }
}

type Send = fn(&World, &Case, IpAddr) -> Vec<u16>;

type Order = (&'static str, fn(&mut Vec<Case>));

/// The order of the index, the other way round, and one that nobody would think of.
const ORDERS: [Order; 3] = [
    ("forward", |_| {}),
    ("reverse", |cases| cases.reverse()),
    ("shuffled", |cases| {
        // xorshift64*, always the same.
        let mut state = 0x4475_5118_u64;
        for last in (1..cases.len()).rev() {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
            cases.swap(last, usize::try_from(random).expect("31 bits") % (last + 1));
        }
    }),
];

/// Sends all messages in each order, some at a time, and judges what `send` saw.
fn check(send: Send) {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    let door = Doorline::start(Options { tls: Some(authority.section("door")), ..Options::default() });
    let mut world = World { door, authority };
    let mut wrong = Vec::new();
    for (n, (name, order)) in ORDERS.into_iter().enumerate() {
        let mut cases = torture::all();
        assert_eq!(cases.len(), 63);
        order(&mut cases);
        for (m, cases) in rounds(cases).iter().enumerate() {
            if n + m > 0 {
                world.door.restart();
            }
            let faults = round(&world, cases, send);
            wrong.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
            assert!(world.door.is_running());
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(!world.door.log().contains("panicked"), "{}", world.door.log_tail());
}

/// Some messages are one transaction by their Via (RFC 3261 §17.2.3), although they have nothing to do
/// with each other: the second would be answered as a copy of the first. Each round has no two of those.
fn rounds(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let mut rounds: Vec<(BTreeSet<String>, Vec<Case>)> = Vec::new();
    for case in cases {
        // Method, sent-by and branch, all of which stand in these two lines.
        let text = String::from_utf8_lossy(&case.bytes).to_ascii_lowercase();
        let via = text.lines().find(|line| line.starts_with("via") || line.starts_with('v'));
        let method = text.split_whitespace().next().unwrap_or_default();
        let branch = format!("{method} {}", via.unwrap_or_default());
        let free = rounds.iter().position(|(taken, _)| !taken.contains(&branch));
        let round = free.unwrap_or_else(|| {
            rounds.push(Default::default());
            rounds.len() - 1
        });
        rounds[round].0.insert(branch);
        rounds[round].1.push(case);
    }
    let rounds: Vec<Vec<Case>> = rounds.into_iter().map(|(_, cases)| cases).collect();
    assert_eq!(rounds.iter().map(Vec::len).sum::<usize>(), 63);
    rounds
}

/// What was wrong, one line each.
fn round(world: &World, cases: &[Case], send: Send) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(n) else { return };
                    let from = IpAddr::from(lab(n as u8 + 1));
                    let answers = send(world, case, from);
                    let mut faults = judged(case, &answers);
                    if !answers_options(world.door.sip(), from) {
                        faults.push("no answer to OPTIONS after it".to_owned());
                    }
                    let mut wrong = wrong.lock().expect("nobody panics with it");
                    wrong.extend(faults.into_iter().map(|fault| format!("{}: {fault}", case.file)));
                }
            });
        }
    });
    wrong.into_inner().expect("nobody panics with it")
}

fn judged(case: &Case, answers: &[u16]) -> Vec<String> {
    if answers.is_empty() && !case.allows(None) {
        return vec![format!("silence, expected one of {:?}", case.codes)];
    }
    // On a stream the bytes behind the first message are a message too: an INVITE to nobody here.
    let of_the_second = |status: u16| case.file == "dblreq.dat" && matches!(status, 100 | 404);
    let wrong = answers.iter().filter(|&&status| !case.allows(Some(status)) && !of_the_second(status));
    wrong.map(|status| format!("answered {status}, expected one of {:?}", case.codes)).collect()
}

/// Polls until a final answer is there or the time for one is over.
fn collect(case: &Case, mut poll: impl FnMut() -> Vec<u16>) -> Vec<u16> {
    let limit = if case.silent_ok { SILENCE } else { ANSWER };
    let (began, mut answers) = (Instant::now(), Vec::new());
    while began.elapsed() < limit {
        answers.extend(poll());
        if answers.iter().any(|&status| status >= 200) {
            // Whatever else belongs to it comes at once.
            std::thread::sleep(Duration::from_millis(30));
            answers.extend(poll());
            break;
        }
    }
    answers
}

fn streamed(case: &Case, mut stream: impl Write + Receive, write: fn(&mut dyn Write, &[u8])) -> Vec<u16> {
    write(&mut stream, &case.bytes);
    stream.sock().set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out can be set");
    let (mut all, mut told) = (Vec::new(), 0);
    collect(case, || {
        let mut buffer = [0; 65_536];
        if let Ok(length) = stream.receive(&mut buffer) {
            all.extend_from_slice(&buffer[..length]);
        }
        let statuses = statuses(&all);
        let new = statuses[told..].to_vec();
        told = statuses.len();
        new
    })
}

/// A stream that can be read although the other end takes nothing more.
trait Receive {
    fn sock(&self) -> &TcpStream;
    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize>;
}

impl Receive for TcpStream {
    fn sock(&self) -> &TcpStream {
        self
    }

    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.read(buffer)
    }
}

impl Receive for StreamOwned<ClientConnection, TcpStream> {
    fn sock(&self) -> &TcpStream {
        &self.sock
    }

    /// Its own `read` would first write what could not be written.
    fn receive(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.conn.read_tls(&mut self.sock)?;
        self.conn.process_new_packets().map_err(std::io::Error::other)?;
        self.conn.reader().read(buffer)
    }
}

/// A connection that comes from `from`.
fn connected(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    socket.bind(&SocketAddr::new(from, 0).into()).expect("loopback addresses can be bound");
    socket.connect(&to.into()).expect("the service takes connections");
    let stream: TcpStream = socket.into();
    stream.set_nodelay(true).expect("the option is known");
    stream
}

fn listening(at: IpAddr, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((at, port)).expect("each message has its own address");
    socket.set_nonblocking(true).expect("the option is known");
    socket
}

/// The status of every response that begins in `bytes`.
fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    text.lines().filter_map(|line| line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()).collect()
}

fn answers_options(door: SocketAddr, from: IpAddr) -> bool {
    let socket = UdpSocket::bind((from, 0)).expect("a port can be bound");
    socket.set_read_timeout(Some(Duration::from_millis(700))).expect("a time-out can be set");
    let here = socket.local_addr().expect("a bound socket has an address");
    let port = here.port();
    let request = format!(
        "OPTIONS sip:{door} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {here};branch=z9hG4bK-{port};rport\r\n\
         From: <sip:tester@{here}>;tag={port}\r\n\
         To: <sip:{door}>\r\n\
         Call-ID: {port}-options@{from}\r\n\
         CSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n"
    );
    let mut buffer = [0; 4_096];
    // UDP: ask again, as a phone does.
    (0..4).any(|_| {
        socket.send_to(request.as_bytes(), door).expect("a datagram can be sent");
        socket.recv(&mut buffer).is_ok_and(|length| statuses(&buffer[..length]).contains(&200))
    })
}
