//! Two endpoints, one calling the other, over a network that loses, doubles and reorders. Both must
//! say how each call ended, agree on it and on what was last agreed, as far as anyone can, and hold
//! nothing afterwards.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::script::trunk;
use crate::sip::endpoint::{Endpoint, Event, HowEnded, Outgoing, Settings};
use crate::sip::reason::Farewell;
use crate::sip::session::{Change, State};
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

    /// One time in so many.
    fn one_in(&mut self, times: u64) -> bool {
        self.roll(times) == 0
    }
}

#[derive(Clone, Copy)]
struct Network {
    loss_percent: u64,
    double_percent: u64,
    delay_ms: u64,
}

/// What somebody does at its time.
#[derive(Clone, Copy, Debug)]
enum Act {
    Answer,
    HangUp,
    Reinvite,
    Update,
    Info,
    /// Both sides must tell the same of the session now; then the call ends.
    Compare,
}

/// What one side was told of a call.
#[derive(Default)]
struct View {
    /// Call-ID: the same at both sides.
    id: String,
    ours: Option<Vec<u8>>,
    theirs: Option<Vec<u8>>,
    /// A change of ours that is not answered.
    wanted: Option<Vec<u8>>,
    reliable: bool,
    /// Nobody hangs up before [`Act::Compare`].
    calm: bool,
}

struct World {
    now: Instant,
    dice: Dice,
    network: Network,
    /// Caller first.
    ends: [Endpoint; 2],
    flows: [Flow; 2],
    on_the_way: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    plans: BTreeMap<(Instant, u64), (usize, CallId, Act)>,
    last: u64,
    /// How each call ended, by its Call-ID, at the caller and at the called.
    ended: [HashMap<String, String>; 2],
    views: [HashMap<CallId, View>; 2],
    figures: Figures,
}

/// What happened, to be printed: a test in which nothing happens proves nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Figures {
    calls: usize,
    established: usize,
    early: usize,
    changed: usize,
    refused_changes: usize,
    compared: usize,
    differently: usize,
    packets: u64,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.established += other.established;
        self.early += other.early;
        self.changed += other.changed;
        self.refused_changes += other.refused_changes;
        self.compared += other.compared;
        self.differently += other.differently;
        self.packets += other.packets;
    }
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
            plans: BTreeMap::new(),
            last: 0,
            ended: [HashMap::new(), HashMap::new()],
            views: [HashMap::new(), HashMap::new()],
            figures: Figures::default(),
        }
    }

    /// A description that nobody else has.
    fn description(&mut self) -> Vec<u8> {
        self.last += 1;
        format!("v=0\r\ns={}\r\n", self.last).into_bytes()
    }

    fn call(&mut self) {
        self.figures.calls += 1;
        let to = "sip:100@127.0.0.2".parse().unwrap();
        let from = NameAddr::parse("<sip:+441@127.0.0.1>").unwrap();
        let offer = (!self.dice.one_in(4)).then(|| self.description());
        let mut headers = Vec::new();
        let mut say = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        if self.dice.one_in(3) {
            say("Require", "100rel");
        }
        match self.dice.roll(6) {
            0 => say("Session-Expires", "90;refresher=uas"),
            1 => say("Session-Expires", "90;refresher=uac"),
            // Refused with 422, and tried again with what that asks for.
            2 => say("Session-Expires", "60"),
            _ => {}
        }
        let outgoing = Outgoing { to, flow: self.flows[0], from, headers, sdp: offer.clone() };
        let call = self.ends[0].invite(self.now, outgoing).unwrap();
        // The Call-ID pairs both ends; it stands in the INVITE.
        let transmit = self.ends[0].poll_transmit().unwrap();
        let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
        let id = text.lines().find_map(|line| line.strip_prefix("Call-ID: ")).unwrap().to_owned();
        let calm = self.dice.one_in(2);
        self.views[0].insert(call, View { id, ours: offer, calm, ..View::default() });
        self.post(0, transmit.bytes.to_vec());
        // Some callers give up early.
        if !calm && self.dice.one_in(3) {
            let after = self.dice.roll(3_000);
            self.plan(0, call, after, Act::HangUp);
        }
    }

    fn plan(&mut self, who: usize, call: CallId, after_ms: u64, act: Act) {
        self.last += 1;
        self.plans.insert((self.now + Duration::from_millis(after_ms), self.last), (who, call, act));
    }

    fn post(&mut self, from: usize, bytes: Vec<u8>) {
        self.figures.packets += 1;
        let copies = if self.dice.roll(100) < self.network.double_percent { 2 } else { 1 };
        for _ in 0..copies {
            if self.dice.roll(100) < self.network.loss_percent {
                continue;
            }
            let delay = Duration::from_millis(1 + self.dice.roll(self.network.delay_ms));
            self.last += 1;
            self.on_the_way.insert((self.now + delay, self.last), (1 - from, bytes.clone()));
        }
    }

    fn settle(&mut self) {
        let mut busy = true;
        while busy {
            busy = false;
            for who in 0..2 {
                while let Some(event) = self.ends[who].poll_event() {
                    busy = true;
                    self.heard(who, event);
                }
                while let Some(transmit) = self.ends[who].poll_transmit() {
                    assert_eq!(transmit.flow.peer, self.flows[who].peer, "nothing goes anywhere else");
                    self.post(who, transmit.bytes.to_vec());
                }
            }
        }
    }

    fn view(&mut self, who: usize, call: CallId) -> &mut View {
        self.views[who].get_mut(&call).expect("nothing is told of a call before its beginning")
    }

    fn heard(&mut self, who: usize, event: Event) {
        let call = event.call();
        match event {
            Event::Incoming(incoming) => {
                let calm = self.views[0].values().any(|view| view.id == incoming.sip_call_id && view.calm);
                let view = View {
                    id: incoming.sip_call_id.clone(),
                    theirs: incoming.offer.clone(),
                    reliable: incoming.reliable,
                    calm,
                    ..View::default()
                };
                self.views[who].insert(call, view);
                self.decide(who, call);
            }
            // The caller says why it is refused and comes again; its life here begins then.
            Event::TurnedAway(away) => assert_eq!(away.status, 422),
            Event::Progress { sdp: Some(sdp), .. } => {
                self.figures.early += 1;
                let late_offer = self.view(who, call).ours.is_none();
                self.view(who, call).theirs = Some(sdp);
                if late_offer {
                    let ours = self.description();
                    self.view(who, call).ours = Some(ours.clone());
                    self.ends[who].ack(self.now, call, Some(ours));
                }
                if self.dice.one_in(2) {
                    let after = self.dice.roll(1_500);
                    self.plan(who, call, after, Act::Update);
                }
            }
            Event::Progress { sdp: None, .. } => {}
            Event::Accepted { sdp, .. } => {
                if let Some(sdp) = sdp {
                    self.view(who, call).theirs = Some(sdp);
                }
                if self.view(who, call).ours.is_none() {
                    let ours = self.description();
                    self.view(who, call).ours = Some(ours.clone());
                    self.ends[who].ack(self.now, call, Some(ours));
                }
                self.established(who, call);
            }
            Event::Established { answer, .. } => {
                if let Some(answer) = answer {
                    self.view(who, call).theirs = Some(answer);
                }
                self.figures.established += 1;
                self.established(who, call);
            }
            Event::Offered { sdp, .. } => {
                let sdp = sdp.expect("nobody asks for an offer");
                let same = self.view(who, call).theirs.as_ref() == Some(&sdp);
                if !same && self.dice.one_in(5) {
                    return self.ends[who].refuse_offer(self.now, call, 488, None);
                }
                let ours = match self.view(who, call).ours.clone() {
                    Some(ours) if same => ours,
                    _ => self.description(),
                };
                let view = self.view(who, call);
                (view.theirs, view.ours) = (Some(sdp), Some(ours.clone()));
                self.ends[who].accept_offer(self.now, call, ours);
            }
            Event::Modified { answer, .. } => {
                self.figures.changed += 1;
                if let Some(answer) = answer {
                    let view = self.view(who, call);
                    view.theirs = Some(answer);
                    view.ours = view.wanted.take().or(view.ours.take());
                }
            }
            Event::ChangeRefused { .. } => {
                self.figures.refused_changes += 1;
                self.view(who, call).wanted = None;
            }
            Event::Digit { .. } => {
                self.view(who, call);
            }
            Event::NotDone { .. } => panic!("nobody asks for what we do not do"),
            Event::Ended { how, .. } => self.over(who, call, format!("{how:?}")),
            Event::Rejected { status, .. } => self.over(who, call, format!("rejected {status}")),
        }
    }

    /// The called side makes up its mind.
    fn decide(&mut self, who: usize, call: CallId) {
        let calm = self.view(who, call).calm;
        if !calm && self.dice.one_in(5) {
            return self.ends[who].refuse(self.now, call, 486, None, None);
        }
        let (reliable, ours) = (self.view(who, call).reliable, self.description());
        if !self.dice.one_in(5) {
            self.ends[who].ring(self.now, call, Some(ours.clone()));
            if reliable {
                self.view(who, call).ours = Some(ours);
            }
        }
        let after = if self.dice.one_in(2) { 0 } else { self.dice.roll(3_000) };
        self.plan(who, call, after, Act::Answer);
    }

    fn established(&mut self, who: usize, call: CallId) {
        for _ in 0..self.dice.roll(4) {
            let act = [Act::Reinvite, Act::Update, Act::Info, Act::Reinvite][self.dice.roll(4) as usize];
            // Often at the same moment as the other side.
            let after = if self.dice.one_in(2) { 0 } else { self.dice.roll(20_000) };
            self.plan(who, call, after, act);
        }
        // A peer that is gone without a word sends no sound either: the service notices.
        self.plan(who, call, 200_000, Act::HangUp);
        if self.view(who, call).calm {
            if who == 0 {
                self.plan(who, call, 100_000, Act::Compare);
            }
        } else if self.dice.one_in(2) {
            // Sometimes one hangs up, sometimes the other, sometimes both at once.
            let after = self.dice.roll(100_000);
            self.plan(who, call, after, Act::HangUp);
        } else if who == 0 {
            self.plan(who, call, 110_000, Act::HangUp);
        }
    }

    fn act(&mut self, who: usize, call: CallId, act: Act) {
        let now = self.now;
        match act {
            Act::Answer => {
                let ours = match self.view(who, call).ours.clone() {
                    Some(ours) => ours,
                    None => self.description(),
                };
                self.view(who, call).ours.get_or_insert(ours.clone());
                self.ends[who].answer(now, call, ours);
            }
            Act::Reinvite | Act::Update => {
                // One at a time, as a service has it that waits for the answer.
                if self.view(who, call).wanted.is_some() || !self.ends[who].calls.contains_key(&call) {
                    return;
                }
                let ours = self.description();
                self.view(who, call).wanted = Some(ours.clone());
                match act {
                    Act::Update => self.ends[who].update(now, call, ours),
                    _ => self.ends[who].reinvite(now, call, ours),
                }
            }
            Act::Info => self.ends[who].send_info(now, call, "application/dtmf", b"5".to_vec()),
            Act::Compare => {
                self.compare(call);
                self.ends[who].hang_up(now, call, Farewell::new(16, "bye"));
            }
            Act::HangUp => self.ends[who].hang_up(now, call, Farewell::new(16, "bye")),
        }
    }

    /// What one side sent last is what the other has heard last. Unless something is under way, which
    /// after such a time only a hopeless network brings about.
    fn compare(&mut self, call: CallId) {
        let id = &self.views[0][&call].id;
        let Some((&called, theirs)) = self.views[1].iter().find(|(_, view)| view.id == *id) else { return };
        let is_quiet = |who: usize, call: CallId| {
            let session = self.ends[who].calls.get(&call);
            session.is_some_and(|session| {
                matches!((&session.state, &session.change), (State::Established, Change::None))
            })
        };
        if !is_quiet(0, call) || !is_quiet(1, called) {
            return;
        }
        let ours = &self.views[0][&call];
        let text =
            |sdp: &Option<Vec<u8>>| sdp.as_deref().map(|sdp| String::from_utf8_lossy(sdp).into_owned());
        assert_eq!(text(&ours.ours), text(&theirs.theirs), "what the caller described, in {id}");
        assert_eq!(text(&ours.theirs), text(&theirs.ours), "what the called described, in {id}");
        self.figures.compared += 1;
    }

    fn over(&mut self, who: usize, call: CallId, how: String) {
        let id = self.view(who, call).id.clone();
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
                let (who, call, act) = entry.remove();
                self.act(who, call, act);
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
        ("rejected 504", Some("NoPrack")) => true,
        // Nobody heard it, or nobody heard that it was given up.
        ("rejected 408" | "rejected 487", None) => true,
        // Given up before it could come again with a longer interval.
        ("rejected 422", None) => true,
        _ => false,
    }
}

/// What only a network that loses everything for half a minute brings about.
fn is_despair(caller: &str, called: Option<&str>) -> bool {
    let lost = ["NoAck", "Gone", "Unanswered", "NoPrack", "SessionExpired"];
    let rejected = ["rejected 408", "rejected 487", "rejected 422"];
    rejected.contains(&caller)
        || lost.contains(&caller)
        || called.is_some_and(|called| lost.contains(&called))
}

fn play(seed: u64, calls: usize, network: Network) -> Figures {
    let mut world = World::new(seed, network);
    for _ in 0..calls {
        world.call();
    }
    world.run();
    let [callers, called] = &world.ended;
    assert_eq!(callers.len(), calls, "seed {seed}: every call ends at the caller");
    assert_eq!(called.len(), world.views[1].len(), "seed {seed}: every call that came ends at the called");
    for end in &world.ends {
        assert_eq!(end.load(), Default::default(), "seed {seed}: nothing is left");
    }
    for (id, caller) in callers {
        let called = called.get(id).map(String::as_str);
        if !agree(caller, called) {
            assert!(is_despair(caller, called), "seed {seed}: {caller} against {called:?}");
            world.figures.differently += 1;
            println!("seed {seed}: {caller} against {called:?}");
        }
    }
    world.figures
}

#[test]
fn both_sides_agree_what_became_of_ten_thousand_calls_whatever_the_network_does() {
    let networks = [
        ("good", Network { loss_percent: 0, double_percent: 0, delay_ms: 1 }, 0),
        ("slow and doubling", Network { loss_percent: 0, double_percent: 30, delay_ms: 400 }, 0),
        ("losing a tenth", Network { loss_percent: 10, double_percent: 5, delay_ms: 100 }, 0),
        ("losing a third", Network { loss_percent: 33, double_percent: 10, delay_ms: 300 }, 3),
        ("hardly there", Network { loss_percent: 75, double_percent: 0, delay_ms: 300 }, 100),
    ];
    let mut lives = 0;
    for (name, network, differently_percent_max) in networks {
        let mut all = Figures::default();
        for seed in 1..=50 {
            all.add(play(seed, 40, network));
        }
        let Figures { calls, established, early, changed, refused_changes, compared, differently, packets } =
            all;
        println!(
            "{name}: {calls} calls, {packets} messages: {established} established, {early} described before the \
             answer, {changed} changes made and {refused_changes} refused, {compared} sessions compared after all \
             of it, {differently} ended differently at both sides"
        );
        assert!(differently * 100 <= calls * differently_percent_max, "{name}: {differently} of {calls}");
        assert!(established > 0 && early > 0 && changed > 0 && refused_changes > 0, "{name}");
        assert!(compared > 0 || network.loss_percent > 50, "{name}");
        lives += calls;
    }
    assert_eq!(lives, 10_000);
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let network = Network { loss_percent: 20, double_percent: 20, delay_ms: 200 };
    assert_eq!(play(7, 50, network), play(7, 50, network));
    // Names of ways to end are printed above; this keeps them the ones that the table knows.
    assert_eq!(format!("{:?} {:?}", HowEnded::ByUs, HowEnded::ByPeer), "ByUs ByPeer");
}
