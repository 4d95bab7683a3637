//! A name server on loopback that knows one zone, and counts what it is asked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Ends with this value.
pub struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    zone: Mutex<Vec<(Name, u32, RData)>>,
    /// How often each question was asked, as `SRV _sip._udp.carrier.test.`.
    asked: Mutex<HashMap<String, usize>>,
    silent: AtomicBool,
    stop: AtomicBool,
}

impl NameServer {
    /// A zone of lines: `NAME TTL A ADDRESS`, `NAME TTL SRV PRIORITY WEIGHT PORT TARGET`,
    /// `NAME TTL NAPTR ORDER PREFERENCE SERVICE REPLACEMENT`.
    pub fn start(zone: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("sockets have time limits");
        let address = socket.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let task = std::thread::spawn({
            let shared = shared.clone();
            move || serve(&socket, &shared)
        });
        let this = Self { address, shared, task: Some(task) };
        this.set_zone(zone);
        this
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set_zone(&self, zone: &str) {
        *self.shared.zone.lock().expect("nobody panics with it") =
            zone.lines().filter(|line| !line.trim().is_empty()).map(record).collect();
    }

    /// From now on nothing is answered.
    pub fn fall_silent(&self) {
        self.shared.silent.store(true, Ordering::Relaxed);
    }

    pub fn asked(&self, question: &str) -> usize {
        self.shared.asked.lock().expect("nobody panics with it").get(question).copied().unwrap_or(0)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            let _ = task.join();
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut buffer = [0; 1_500];
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let Ok(asked) = Message::from_vec(&buffer[..length]) else { continue };
        let Some(query) = asked.queries.first().cloned() else { continue };
        let name = query.name().to_lowercase();
        let line = format!("{} {name}", query.query_type());
        *shared.asked.lock().expect("nobody panics with it").entry(line).or_insert(0) += 1;
        if shared.silent.load(Ordering::Relaxed) {
            continue;
        }
        let zone = shared.zone.lock().expect("nobody panics with it");
        let of_name = || zone.iter().filter(|(own, _, _)| own.to_lowercase() == name);
        let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.authoritative = true;
        answer.metadata.recursion_desired = asked.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        if of_name().next().is_none() {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        // As it was asked: resolvers mix the case of letters and look whether it comes back.
        let own = query.name().clone();
        for (_, ttl, data) in of_name().filter(|(_, _, data)| data.record_type() == query.query_type()) {
            answer.add_answer(Record::from_rdata(own.clone(), *ttl, data.clone()));
        }
        answer.add_query(query);
        if let Ok(bytes) = answer.to_vec() {
            let _ = socket.send_to(&bytes, from);
        }
    }
}

fn record(line: &str) -> (Name, u32, RData) {
    let name = |text: &str| Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).expect("a name");
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<u16>().expect("a number");
    let data = match words[2] {
        "A" => match words[3].parse().expect("an address") {
            IpAddr::V4(ip) => RData::A(A(ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
        },
        "SRV" => RData::SRV(SRV::new(number(3), number(4), number(5), name(words[6]))),
        "NAPTR" => {
            let (flags, service): (Box<[u8]>, Box<[u8]>) = (b"S"[..].into(), words[5].as_bytes().into());
            RData::NAPTR(NAPTR::new(number(3), number(4), flags, service, Box::default(), name(words[6])))
        }
        other => panic!("no such record: {other}"),
    };
    let _: RecordType = data.record_type();
    (name(words[0]), words[1].parse().expect("a time to live"), data)
}
