//! Calls at a rate, and calls that stand meanwhile: raw SIP over UDP, as a carrier's switch would send it.
//!
//! Requests are sent again until they are answered (timer A or E of RFC 3261), so that a datagram
//! lost under load is a delay and not a lost call.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The first copy of a request that nobody answered; doubled each time.
const T1: Duration = Duration::from_millis(500);
/// Copies of one request.
const COPIES_MAX: u32 = 6;
/// Answers read in a row, so that sending is not late.
const TURN: usize = 32;
/// How long is waited for the last answers.
const LAST: Duration = Duration::from_secs(12);
/// What the datagrams of a second take in the kernel must fit.
const BUFFER_BYTES: usize = 4 << 20;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whose calls they are.
    pub from: IpAddr,
    pub to: SocketAddr,
    /// New calls in a second.
    pub per_second: u32,
    /// For how long new ones are begun.
    pub lasts: Duration,
    /// From the answer to our BYE.
    pub hold: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub offered: u64,
    /// 200.
    pub answered: u64,
    /// 503 with a Retry-After.
    pub refused: u64,
    /// Any other final answer.
    pub otherwise: BTreeMap<u16, u64>,
    /// No final answer at all.
    pub unanswered: u64,
    /// Our BYE was answered 200.
    pub ended: u64,
    /// Requests that had to be sent again.
    pub copies: u64,
    /// From the first INVITE to the last.
    pub began_within: Duration,
    /// From the INVITE to its 503, each.
    pub refused_after: Vec<Duration>,
}

impl Told {
    /// How long all but one in a hundred of the refused waited.
    pub fn refused_after_p99(&self) -> Duration {
        let mut times = self.refused_after.clone();
        times.sort_unstable();
        times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
    }
}

/// Sends the calls and ends them; comes back when all is over.
pub fn calls(plan: Plan) -> Told {
    let mut phone = Phone::new(plan.from, plan.to, "flood");
    let mut told = Told::default();
    // Calls that hold, in the order of their BYE.
    let mut holding: VecDeque<(Instant, usize)> = VecDeque::new();
    let begin = Instant::now();
    let every = Duration::from_secs(1) / plan.per_second;
    let mut end = None;
    loop {
        let now = Instant::now();
        if now < begin + plan.lasts {
            while begin + every * u32::try_from(told.offered).expect("some thousands") <= now {
                phone.invite(now);
                told.offered += 1;
                told.began_within = now - begin;
            }
        } else if phone.is_quiet() && holding.is_empty() || now > *end.get_or_insert(now + LAST) {
            break;
        }
        while holding.front().is_some_and(|(at, _)| *at <= now) {
            let (_, call) = holding.pop_front().expect("it is there");
            phone.request(now, "BYE", call);
        }
        phone.send_again(now);
        for _ in 0..TURN {
            let Some((call, method, status, text)) = phone.hear() else { break };
            match (&*method, status) {
                ("INVITE", 503) if header(&text, "Retry-After").is_some() => {
                    told.refused += 1;
                    told.refused_after.push(phone.answered_after);
                }
                (_, ..200) => {}
                ("BYE", 200) => told.ended += 1,
                ("INVITE", 200) => {
                    told.answered += 1;
                    holding.push_back((Instant::now() + plan.hold, call));
                }
                _ => *told.otherwise.entry(status).or_default() += 1,
            }
        }
    }
    told.unanswered = told.offered - told.answered - told.refused - told.otherwise.values().sum::<u64>();
    told.copies = phone.copies;
    told
}

/// What calls noticed that stood all the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stood {
    pub calls: usize,
    /// OPTIONS, UPDATE, re-INVITE and at last BYE.
    pub asked: u64,
    /// 200, each once.
    pub answered: u64,
    /// That came from the service of itself, such as BYE.
    pub surprises: u64,
    pub copies: u64,
}

/// Brings `count` calls up, says so, and asks something in one after another every `every` until `stop`.
///
/// # Panics
/// When they do not come up.
pub fn stand(
    from: IpAddr,
    to: SocketAddr,
    count: usize,
    every: Duration,
    up: impl FnOnce(),
    stop: &AtomicBool,
) -> Stood {
    let mut phone = Phone::new(from, to, "stand");
    let mut stood = Stood { calls: count, ..Stood::default() };
    let end = Instant::now() + LAST;
    let mut brought_up = 0;
    for _ in 0..count {
        phone.invite(Instant::now());
    }
    while brought_up < count {
        let now = Instant::now();
        assert!(now < end, "{brought_up} of {count} calls came up");
        phone.send_again(now);
        while let Some((_, method, status, text)) = phone.hear() {
            assert!(status <= 200, "{method}: {text}");
            brought_up += usize::from(method == "INVITE" && status == 200);
        }
    }
    up();
    let kinds = ["OPTIONS", "UPDATE", "INVITE"];
    let mut next = Instant::now();
    let mut is_ending = None;
    loop {
        let now = Instant::now();
        match is_ending {
            None if stop.load(Ordering::Relaxed) => {
                is_ending = Some(now + LAST);
            }
            None if next <= now => {
                next += every;
                let turn = usize::try_from(stood.asked).expect("some thousands");
                let call = turn % count;
                if phone.waits_for[call].is_none() {
                    phone.request(now, kinds[turn / count % kinds.len()], call);
                    stood.asked += 1;
                }
            }
            Some(until) if phone.is_quiet() || now > until => break,
            None | Some(_) => {}
        }
        phone.send_again(now);
        while let Some((_, _, status, _)) = phone.hear() {
            stood.answered += u64::from(status == 200);
        }
    }
    for call in 0..count {
        phone.request(Instant::now(), "BYE", call);
        stood.asked += 1;
    }
    let end = Instant::now() + LAST;
    while !phone.is_quiet() && Instant::now() < end {
        phone.send_again(Instant::now());
        while let Some((_, _, status, _)) = phone.hear() {
            stood.answered += u64::from(status == 200);
        }
    }
    stood.surprises = phone.surprises;
    stood.copies = phone.copies;
    stood
}

/// INVITEs alone, from an address that gets no answer: how many went out, and how many answers came.
pub fn shout(from: IpAddr, to: SocketAddr, count: u32, pause: Duration) -> (u32, u32) {
    let mut phone = Phone::new(from, to, "shout");
    for _ in 0..count {
        phone.invite(Instant::now());
        std::thread::sleep(pause);
    }
    let mut answers = 0;
    while phone.hear().is_some() {
        answers += 1;
    }
    (count, answers)
}

/// One socket and its calls, by number.
struct Phone {
    socket: UdpSocket,
    to: SocketAddr,
    name: &'static str,
    /// To tag and CSeq of each call.
    calls: Vec<(Option<String>, u32)>,
    /// The request of each call that has no final answer yet.
    waits_for: Vec<Option<Waiting>>,
    /// When to look at a call's request again.
    again: VecDeque<(Instant, usize, u32)>,
    waiting: usize,
    /// How long the last request with a final answer waited for it.
    answered_after: Duration,
    surprises: u64,
    copies: u64,
    buffer: Vec<u8>,
}

struct Waiting {
    since: Instant,
    method: String,
    number: u32,
    text: String,
    copies: u32,
}

impl Phone {
    fn new(from: IpAddr, to: SocketAddr, name: &'static str) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::for_address(to), socket2::Type::DGRAM, None)
            .expect("a socket can be made");
        socket.set_recv_buffer_size(BUFFER_BYTES).expect("a buffer can be asked for");
        socket.bind(&SocketAddr::new(from, 0).into()).expect("an address of this machine");
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(Duration::from_millis(1))).expect("1 ms");
        Self {
            socket,
            to,
            name,
            calls: Vec::new(),
            waits_for: Vec::new(),
            again: VecDeque::new(),
            waiting: 0,
            answered_after: Duration::ZERO,
            surprises: 0,
            copies: 0,
            buffer: vec![0; 8_192],
        }
    }

    fn is_quiet(&self) -> bool {
        self.waiting == 0
    }

    fn invite(&mut self, now: Instant) {
        self.calls.push((None, 0));
        self.waits_for.push(None);
        self.request(now, "INVITE", self.calls.len() - 1);
    }

    fn request(&mut self, now: Instant, method: &str, call: usize) {
        self.calls[call].1 += 1;
        let number = self.calls[call].1;
        let text = self.text(method, call, number);
        self.send(&text);
        self.waiting += usize::from(self.waits_for[call].is_none());
        self.waits_for[call] =
            Some(Waiting { since: now, method: method.to_owned(), number, text, copies: 0 });
        self.again.push_back((now + T1, call, number));
    }

    fn text(&self, method: &str, call: usize, number: u32) -> String {
        let (name, to) = (self.name, self.to);
        let us = self.socket.local_addr().expect("it is bound");
        let tag = self.calls[call].0.as_deref().unwrap_or_default();
        let user = crate::support::ACCESS_NUMBER;
        let (kind, body) = if method == "INVITE" {
            let ip = us.ip();
            let body = format!(
                "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0 101\r\n\
                 a=rtpmap:101 telephone-event/8000\r\n"
            );
            ("Content-Type: application/sdp\r\n", body)
        } else {
            ("", String::new())
        };
        // The ACK of a 2xx is a transaction of its own; of a refusal it is the INVITE's.
        let branch = if method == "ACK" && !tag.is_empty() { "ack" } else { "" };
        format!(
            "{method} sip:{user}@{to} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {us};rport;branch=z9hG4bK{name}{call}.{number}{branch}\r\n\
             From: <sip:+1555016{call:04}@{us}>;tag={name}{call}\r\nTo: <sip:{user}@{to}>{tag}\r\n\
             Call-ID: {call}@{us}\r\nCSeq: {number} {method}\r\nContact: <sip:{name}@{us}>\r\n\
             Max-Forwards: 70\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn send(&self, text: &str) {
        // A full buffer or an ICMP error of before: as lost as on the wire.
        let _ = self.socket.send_to(text.as_bytes(), self.to);
    }

    /// Copies of what nobody answered.
    fn send_again(&mut self, now: Instant) {
        let mut later = Vec::new();
        while self.again.front().is_some_and(|(at, _, _)| *at <= now) {
            let (_, call, number) = self.again.pop_front().expect("it is there");
            let Some(waiting) = self.waits_for[call].as_mut().filter(|waiting| waiting.number == number)
            else {
                continue;
            };
            waiting.copies += 1;
            if waiting.copies > COPIES_MAX {
                continue;
            }
            later.push((now + T1 * 2_u32.pow(waiting.copies.min(3)), call, number));
            self.copies += 1;
            let text = waiting.text.clone();
            self.send(&text);
        }
        if !later.is_empty() {
            self.again.extend(later);
            self.again.make_contiguous().sort_unstable();
        }
    }

    /// The next final or provisional answer to a request that waits: call, method, status, text.
    fn hear(&mut self) -> Option<(usize, String, u16, String)> {
        loop {
            let length = match self.socket.recv(&mut self.buffer) {
                Ok(length) => length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return None;
                }
                Err(_) => continue,
            };
            let text = String::from_utf8_lossy(&self.buffer[..length]).into_owned();
            let Some(status) = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest[..3].parse::<u16>().ok())
            else {
                self.surprises += 1;
                let answer = echo(&text);
                self.send(&answer);
                continue;
            };
            let call: usize = header(&text, "Call-ID")
                .and_then(|id| id.split('@').next()?.parse().ok())
                .expect("an answer of ours");
            let (number, method) = header(&text, "CSeq").and_then(|cseq| cseq.split_once(' ')).expect("CSeq");
            let (number, method): (u32, String) = (number.parse().expect("a number"), method.to_owned());
            if method == "INVITE" && status >= 200 {
                let to = header(&text, "To").unwrap_or_default();
                let tag = to.find(";tag=").map(|at| to[at..].to_owned());
                let before = self.calls[call].0.clone();
                if status < 300 || before.is_none() {
                    let is_refusal = status >= 300;
                    let mut ack = {
                        self.calls[call].0.clone_from(&tag);
                        self.text("ACK", call, number)
                    };
                    if is_refusal {
                        ack = ack.replacen(&format!("{number}ack"), &number.to_string(), 1);
                        self.calls[call].0 = None;
                    }
                    self.send(&ack);
                }
            }
            let is_it = self.waits_for[call]
                .as_ref()
                .is_some_and(|waiting| waiting.method == method && waiting.number == number);
            if !is_it {
                continue;
            }
            if status >= 200 {
                let since = self.waits_for[call].take().map(|waiting| waiting.since.elapsed());
                self.answered_after = since.unwrap_or_default();
                self.waiting -= 1;
            }
            return Some((call, method, status, text));
        }
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// 200 to a request.
fn echo(request: &str) -> String {
    let kept = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
    let lines = request.lines().take_while(|line| !line.is_empty());
    let lines: Vec<&str> = lines.filter(|line| kept.iter().any(|name| line.starts_with(name))).collect();
    format!("SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n", lines.join("\r\n"))
}
