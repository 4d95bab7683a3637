//! Two endpoints, one calling the other, over a network that loses, doubles and reorders. Both must
//! say how each call ended, agree on it as far as anyone can, and hold nothing afterwards.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::script::trunk;
use crate::sip::endpoint::{Endpoint, Event, HowEnded, Outgoing, Settings};
use crate::sip::reason::Farewell;
use crate::sip::wire::NameAddr;
use crate::sip::{Flow, Transport};
use crate::types::CallId;

/// xorshift64*: a small seeded generator, good enough to lose packets.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

#[derive(Clone, Copy)]
struct Network {
    loss_percent: u64,
    double_percent: u64,
    delay_ms: u64,
}

struct World {
    now: Instant,
    dice: Dice,
    network: Network,
    /// Caller first.
    ends: [Endpoint; 2],
    flows: [Flow; 2],
    on_the_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sent: u64,
    /// How each call ended, by its Call-ID, at the caller and at the called.
    ended: [HashMap<String, String>; 2],
    names: [HashMap<CallId, String>; 2],
    plans: BTreeMap<(Instant, u64), (usize, CallId)>,
    established: [usize; 2],
}

fn end(seed: u8) -> Endpoint {
    let mut last = 0;
    let new_call = move || {
        last += 1;
        CallId::numbered(last)
    };
    Endpoint::new(Settings::default(), vec![trunk("lab", "127.0.0.0/8")], [seed; 32], Box::new(new_call))
}

impl World {
    fn new(seed: u64, network: Network) -> Self {
        let addresses = ["127.0.0.1:5060", "127.0.0.2:5060"].map(|address| address.parse().unwrap());
        let flow = |local, peer| Flow { transport: Transport::Udp, local, peer };
        Self {
            now: Instant::now(),
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            network,
            ends: [end(1), end(2)],
            flows: [flow(addresses[0], addresses[1]), flow(addresses[1], addresses[0])],
            on_the_way: BTreeMap::new(),
            sent: 0,
            ended: [HashMap::new(), HashMap::new()],
            names: [HashMap::new(), HashMap::new()],
            plans: BTreeMap::new(),
            established: [0; 2],
        }
    }

    fn call(&mut self) {
        let to = "sip:100@127.0.0.2".parse().unwrap();
        let from = NameAddr::parse("<sip:+441@127.0.0.1>").unwrap();
        let outgoing =
            Outgoing { to, flow: self.flows[0], from, headers: Vec::new(), sdp: Some(b"v=0\r\n".to_vec()) };
        let call = self.ends[0].invite(self.now, outgoing).unwrap();
        // The Call-ID pairs both ends; it stands in the INVITE.
        let transmit = self.ends[0].poll_transmit().unwrap();
        let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
        let id = text.lines().find_map(|line| line.strip_prefix("Call-ID: ")).unwrap().to_owned();
        self.names[0].insert(call, id);
        self.post(0, transmit.bytes.to_vec());
        // Some callers give up early.
        if self.dice.roll(4) == 0 {
            let after = self.dice.roll(3_000);
            self.plan(0, call, after);
        }
    }

    fn plan(&mut self, who: usize, call: CallId, after_ms: u64) {
        self.sent += 1;
        self.plans.insert((self.now + Duration::from_millis(after_ms), self.sent), (who, call));
    }

    fn post(&mut self, from: usize, bytes: Vec<u8>) {
        let copies = if self.dice.roll(100) < self.network.double_percent { 2 } else { 1 };
        for _ in 0..copies {
            if self.dice.roll(100) < self.network.loss_percent {
                continue;
            }
            let delay = Duration::from_millis(1 + self.dice.roll(self.network.delay_ms));
            self.sent += 1;
            self.on_the_way.insert((self.now + delay, self.sent), (1 - from, bytes.clone()));
        }
    }

    fn settle(&mut self) {
        for who in 0..2 {
            while let Some(event) = self.ends[who].poll_event() {
                self.heard(who, event);
            }
            while let Some(transmit) = self.ends[who].poll_transmit() {
                assert_eq!(transmit.flow.peer, self.flows[who].peer, "nothing goes anywhere else");
                self.post(who, transmit.bytes.to_vec());
            }
        }
    }

    fn heard(&mut self, who: usize, event: Event) {
        let call = event.call();
        match event {
            Event::Incoming(incoming) => {
                self.names[who].insert(call, incoming.sip_call_id.clone());
                match self.dice.roll(5) {
                    0 => self.ends[who].refuse(self.now, call, 486, None, None),
                    1 => self.plan(who, call, 2_000),
                    _ => {
                        self.ends[who].ring(self.now, call, None);
                        self.ends[who].answer(self.now, call, b"v=0\r\n".to_vec());
                    }
                }
            }
            Event::Established { .. } | Event::Accepted { .. } => {
                self.established[who] += 1;
                // Sometimes one hangs up, sometimes the other, sometimes both at once.
                if self.dice.roll(2) == 0 {
                    let after = self.dice.roll(4_000);
                    self.plan(who, call, after);
                } else if who == 0 {
                    self.plan(who, call, 5_000);
                }
                if self.dice.roll(3) == 0 {
                    self.ends[who].reinvite(self.now, call, b"v=0\r\n".to_vec());
                }
                self.ends[who].send_info(self.now, call, "application/dtmf", b"5".to_vec());
            }
            Event::Offered { .. } => self.ends[who].accept_offer(self.now, call, b"v=0\r\n".to_vec()),
            Event::Ended { how, .. } => self.over(who, call, format!("{how:?}")),
            Event::Rejected { status, .. } => self.over(who, call, format!("rejected {status}")),
            Event::Progress { .. }
            | Event::TurnedAway(_)
            | Event::NotDone { .. }
            | Event::Modified { .. }
            | Event::ChangeRefused { .. }
            | Event::Digit { .. } => {
                assert!(self.names[who].contains_key(&call));
            }
        }
    }

    fn over(&mut self, who: usize, call: CallId, how: String) {
        let id = self.names[who][&call].clone();
        let before = self.ended[who].insert(id, how);
        assert_eq!(before, None, "a call ends once");
    }

    /// Until nothing happens any more.
    fn run(&mut self) {
        loop {
            self.settle();
            let next_packet = self.on_the_way.keys().next().map(|(at, _)| *at);
            let next_plan = self.plans.keys().next().map(|(at, _)| *at);
            let timers = self.ends.iter().filter_map(Endpoint::poll_timeout);
            let Some(next) = timers.chain(next_packet).chain(next_plan).min() else { return };
            self.now = self.now.max(next);
            while let Some(entry) = self.on_the_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to, bytes) = entry.remove();
                self.ends[to].receive(self.now, &self.flows[to], &bytes);
                self.settle();
            }
            while let Some(entry) = self.plans.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (who, call) = entry.remove();
                self.ends[who].hang_up(self.now, call, Farewell { cause: 16, text: "bye".to_owned() });
                self.settle();
            }
            for who in 0..2 {
                self.ends[who].handle_timeout(self.now);
            }
        }
    }
}

/// Which pairs of endings are the same story, told from both sides.
fn agree(caller: &str, called: Option<&str>) -> bool {
    match (caller, called) {
        // The call came about.
        ("ByUs", Some("ByPeer" | "ByUs")) | ("ByPeer", Some("ByUs")) => true,
        // A request crossed the other side's BYE on the way, and its 481 came before that BYE (RFC 5407 §3.2).
        ("ByUs", Some("Gone")) | ("Gone", Some("ByUs")) => true,
        // It did not, and both know.
        ("rejected 486", Some("ByUs")) | ("rejected 480", Some("ByUs")) => true,
        ("rejected 487", Some("Cancelled")) => true,
        // Nobody heard it, or nobody heard that it was given up.
        ("rejected 408" | "rejected 487", None) => true,
        _ => false,
    }
}

/// What only a network that loses everything for half a minute brings about.
fn is_despair(caller: &str, called: Option<&str>) -> bool {
    let lost = ["NoAck", "Gone", "Unanswered"];
    caller == "rejected 408"
        || caller == "rejected 487"
        || lost.contains(&caller)
        || called.is_some_and(|called| lost.contains(&called))
}

fn play(seed: u64, calls: usize, network: Network) -> (usize, usize, [usize; 2]) {
    let mut world = World::new(seed, network);
    for _ in 0..calls {
        world.call();
    }
    world.run();
    let [callers, called] = &world.ended;
    assert_eq!(callers.len(), calls, "seed {seed}: every call ends at the caller");
    assert_eq!(called.len(), world.names[1].len(), "seed {seed}: every call that came ends at the called");
    for end in &world.ends {
        assert_eq!(end.load(), Default::default(), "seed {seed}: nothing is left");
    }
    let mut despair = 0;
    for (id, caller) in callers {
        let called = called.get(id).map(String::as_str);
        if !agree(caller, called) {
            assert!(is_despair(caller, called), "seed {seed}: {caller} against {called:?}");
            despair += 1;
            println!("seed {seed}: {caller} against {called:?}");
        }
    }
    (calls, despair, world.established)
}

#[test]
fn both_sides_agree_how_each_call_ended_whatever_the_network_does() {
    let networks = [
        ("good", Network { loss_percent: 0, double_percent: 0, delay_ms: 1 }, 0),
        ("slow and doubling", Network { loss_percent: 0, double_percent: 30, delay_ms: 400 }, 0),
        ("losing a tenth", Network { loss_percent: 10, double_percent: 5, delay_ms: 100 }, 0),
        ("losing a third", Network { loss_percent: 33, double_percent: 10, delay_ms: 300 }, 3),
        ("hardly there", Network { loss_percent: 75, double_percent: 0, delay_ms: 300 }, 100),
    ];
    for (name, network, despair_percent_max) in networks {
        let (mut all, mut despair, mut established) = (0, 0, 0);
        for seed in 1..=20 {
            let (calls, lost, [_, answered]) = play(seed, 40, network);
            all += calls;
            despair += lost;
            established += answered;
        }
        println!("{name}: {all} calls, {established} established, {despair} ended differently at both sides");
        assert!(despair * 100 <= all * despair_percent_max, "{name}: {despair} of {all}");
        assert!(established > 0, "{name}");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let network = Network { loss_percent: 20, double_percent: 20, delay_ms: 200 };
    assert_eq!(play(7, 50, network), play(7, 50, network));
    // Names of ways to end are printed above; this keeps them the ones that the table knows.
    assert_eq!(format!("{:?} {:?}", HowEnded::ByUs, HowEnded::ByPeer), "ByUs ByPeer");
}
