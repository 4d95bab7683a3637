//! How many legs one core carries, beside what the same core can do with the same packets and no
//! sound at all (a bare UDP echo), in the same run.
//!
//!     cargo bench --bench legs                # two to four minutes
//!     cargo bench --bench legs -- --full      # windows of 20 s
//!     cargo bench --bench legs -- --cost      # processor time alone, on a machine that is not idle
//!     cargo bench --bench legs -- --delay     # from packet in to packet out, at 10, 50 and 80 % of full load
//!
//! The service has core 0, the callers have core 1. "Legs per core" is the most legs at which every
//! leg still gets at least 99.5 % of its 50 packets a second, everybody talks (G.711, rooms of
//! three), and everybody hears the two others and not themselves.

mod callers;
mod stages;

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use callers::{Callers, Probe, Says, Talk};
use doorline::audio::{Codec, Rate};
use doorline::media::socket::{self, Inbox};
use doorline::media::{Engine, Error, LegSettings, Settings, SoundSettings};
use doorline::rtp::Srtp;
use doorline::types::{CallId, MediaKey, MediaKeys, MeetingId, OpusWishes, Suite};

/// The cores of the service and of the callers.
const SERVICE: usize = 0;
const CALLERS: usize = 1;
/// What every leg must get at least.
const SHARE: f64 = 0.995;

fn main() {
    let full = std::env::args().any(|argument| argument == "--full");
    let cost_alone = std::env::args().any(|argument| argument == "--cost");
    let delay_alone = std::env::args().any(|argument| argument == "--delay");
    let window = Duration::from_secs(if full { 20 } else { 4 });
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    if cores < 2 {
        println!("needs two cores: one for the service, one for its callers");
        return;
    }
    raise_descriptor_limit();
    pin(SERVICE);

    if delay_alone {
        return delay(window);
    }
    println!("stages, µs per leg and tick (rooms of 3, everybody talks, 900 legs, one core)");
    stages::print();
    memory();
    println!();
    if !cost_alone {
        legs_per_core(window);
    }
    cost(window);
    kinds(window);
    delay(window);
}

fn legs_per_core(window: Duration) {
    println!("{:<34} {:>6} {:>8} {:>12} {:>9}", "", "legs", "least", "per packet", "hear all");
    println!("(late: what 99.9 % of the phases, set-up included, were not later than)");
    let echo = most(&|legs| run_echo(legs, window), 12_000, "bare UDP echo");
    let talking = Scene { room: 3, ..Scene::default() };
    let mixed = most(&|legs| run_engine(legs, talking, window), 12_000, "rooms of 3, all talk");
    println!();
    println!("legs per core, bare echo             {:>6}", echo.legs);
    println!("legs per core, rooms of 3, all talk  {:>6}", mixed.legs);
    println!(
        "share of the bare limit              {:>5.0} %   (target: 45 %)",
        100.0 * mixed.legs as f64 / echo.legs as f64
    );

    println!();
}

/// Processor time is less disturbed by neighbours than deadlines are.
fn cost(window: Duration) {
    println!("processor time of the service per leg and tick, µs (one packet in, one out)");
    for legs in [150, 600, 1_500] {
        let echo = run_echo(legs, window);
        println!("{legs:>5} legs  {:<28} {:>6.2}", "bare UDP echo", echo.cost_us);
        for (name, scene) in [
            ("rooms of 3, all talk", Scene { room: 3, ..Scene::default() }),
            ("one room, 3 talk", Scene { room: legs, talkers: 3, ..Scene::default() }),
            ("one room, all talk", Scene { room: legs, ..Scene::default() }),
        ] {
            let trial = run_engine(legs, scene, window);
            let share = 100.0 * echo.cost_us / trial.cost_us;
            println!("{legs:>5} legs  {name:<28} {:>6.2}   echo is {share:.0} % of it", trial.cost_us);
        }
    }
}

/// The same by codec, and with encryption. "A core carries" is the processor time of a tick by the cost of a
/// leg, less the part (8 %) that is left free where legs are counted; it is not counted. As many legs as a core
/// can surely serve: one that leaves ticks out does other work.
fn kinds(window: Duration) {
    const LEGS: usize = 600;
    /// Where each of them is encoded for alone.
    const ALONE: [(Codec, usize); 2] = [(Codec::G722, 300), (Codec::Opus, 60)];
    const MIXED: [Codec; 4] = [Codec::Pcmu, Codec::G722, Codec::Opus, Codec::Pcma];
    let echo = run_echo(LEGS, window).cost_us;
    println!();
    println!("by codec, µs of processor per leg and tick; bare UDP echo of {LEGS} {echo:.2}");
    println!(
        "{:<14} {:<22} {:>6} {:>8} {:>14} {:>14}",
        "", "", "legs", "µs", "a core carries", "echo is of it"
    );
    let rows: [(&str, &[Codec], Option<Suite>); 7] = [
        ("PCMU", &[Codec::Pcmu], None),
        ("PCMU, SRTP", &[Codec::Pcmu], Some(Suite::AesCm128HmacSha1_80)),
        ("PCMU, SRTP GCM", &[Codec::Pcmu], Some(Suite::AeadAes128Gcm)),
        ("G.722", &[Codec::G722], None),
        ("Opus", &[Codec::Opus], None),
        ("all four", &MIXED, None),
        ("all four, SRTP", &MIXED, Some(Suite::AesCm128HmacSha1_80)),
    ];
    for (name, codecs, suite) in rows {
        let alone = ALONE.into_iter().filter(|(codec, _)| codecs.contains(codec)).map(|(_, legs)| legs);
        let alone = alone.min().map_or(LEGS, |legs| legs * codecs.len());
        for (what, legs, room, talkers) in
            [("rooms of 3, all talk", alone, 3, usize::MAX), ("one room, 3 talk", LEGS, LEGS, 3)]
        {
            let trial = run_engine(legs, Scene { room, talkers, codecs, suite }, window);
            let (carries, share) = (20_000.0 * 0.92 / trial.cost_us, 100.0 * echo / trial.cost_us);
            let short = if trial.least < SHARE { "   packets were missing" } else { "" };
            println!(
                "{name:<14} {what:<22} {legs:>6} {:>8.2} {carries:>14.0} {share:>12.0} %{short}",
                trial.cost_us
            );
        }
    }
}

/// From a packet that comes in to the first packet that goes out with it, at parts of what one core carries.
/// The jitter buffer's delay is in it, and told apart.
fn delay(window: Duration) {
    const PROBES: usize = 24;
    let small = run_engine(600, Scene { room: 3, ..Scene::default() }, window);
    let full = 20_000.0 * 0.92 / small.cost_us;
    println!();
    println!(
        "delay from packet in to packet out, ms (PCMU, rooms of 3, all talk; {full:.0} legs are full load)"
    );
    println!(
        "(buffer: the most that a jitter buffer added; late: how much too late 99 % of the callers' milliseconds were)"
    );
    println!(
        "{:>6} {:>6} {:>7} {:>8} {:>8} {:>8} {:>8}",
        "load", "legs", "probes", "buffer", "late", "p50", "p99"
    );
    for percent in [10, 50, 80] {
        let legs = (full as usize * percent / 100).max(2 * PROBES + 3) / 3 * 3;
        let callers = Callers::new(CALLERS);
        let (engine, mut events) = start();
        let scene = Scene { room: 3, ..Scene::default() };
        let mut says = scene.says(legs);
        let mut addresses = fill(&engine, &callers, &says, scene, 0);
        // Pairs in rooms of their own, behind the others.
        let quiet = Scene { room: 2, talkers: 0, ..scene };
        let probes: Vec<Probe> =
            (0..PROBES).map(|pair| Probe { from: legs + 2 * pair, to: legs + 2 * pair + 1 }).collect();
        let silent = quiet.says(2 * PROBES);
        addresses.extend(fill(&engine, &callers, &silent, quiet, legs));
        says.extend(silent);
        let talk =
            callers.talk(&addresses, &mut says, &probes, window.max(Duration::from_secs(8)), "media-0");
        probes.iter().for_each(|probe| engine.close(CallId::numbered(probe.from as u128 + 1)));
        std::thread::sleep(Duration::from_millis(100));
        let mut buffer = 0.0_f32;
        while let Some(event) = events.try_next() {
            if let doorline::media::Event::Closed { quality, .. } = event {
                buffer = buffer.max(quality.buffer_ms);
            }
        }
        let at = |delays: &[Duration], share: f64| {
            let place = ((delays.len() as f64 * share) as usize).min(delays.len().saturating_sub(1));
            delays.get(place).map_or(f64::NAN, |delay| delay.as_secs_f64() * 1e3)
        };
        let count = talk.delays.len();
        let [late, p50, p99] =
            [(&talk.late, 0.99), (&talk.delays, 0.5), (&talk.delays, 0.99)].map(|(of, share)| at(of, share));
        println!("{percent:>4} % {legs:>6} {count:>7} {buffer:>8.0} {late:>8.1} {p50:>8.1} {p99:>8.1}");
        drop((engine, events));
    }
}

/// Who is in a room, how many of them talk, and how.
#[derive(Clone, Copy)]
struct Scene {
    room: usize,
    talkers: usize,
    /// The legs have them in turn.
    codecs: &'static [Codec],
    suite: Option<Suite>,
}

impl Default for Scene {
    fn default() -> Self {
        Self { room: 3, talkers: usize::MAX, codecs: &[Codec::Pcmu], suite: None }
    }
}

impl Scene {
    fn talks(&self, leg: usize) -> bool {
        leg % self.room < self.talkers
    }

    fn says(&self, legs: usize) -> Vec<Says> {
        let srtp = |leg| self.suite.map(|suite| Box::new(Srtp::new(&keys(suite, leg, false))));
        let codec = |leg: usize| self.codecs[leg % self.codecs.len()];
        (0..legs).map(|leg| Says::new(codec(leg), leg, self.talks(leg), srtp(leg))).collect()
    }
}

/// One key for each way of each leg.
fn keys(suite: Suite, leg: usize, service: bool) -> MediaKeys {
    let key = |way: u8| {
        MediaKey::from_random(suite, std::array::from_fn(|n| (leg >> (8 * (n % 4))) as u8 ^ n as u8 ^ way))
    };
    let (ours, theirs) = if service { (1, 2) } else { (2, 1) };
    MediaKeys { ours: key(ours), theirs: key(theirs) }
}

struct Trial {
    legs: usize,
    /// The share of its packets that the worst-served leg got.
    least: f64,
    /// Processor time of the service per packet that went out.
    cost_us: f64,
    /// Legs that hear whom they should, and nobody else; `None`: an echo.
    hear_all: Option<usize>,
    /// What 99.9 % of the phases were not later than, set-up included.
    late: Option<Duration>,
}

impl Trial {
    fn is_good(&self) -> bool {
        self.least >= SHARE && self.hear_all.is_none_or(|hear| hear == self.legs)
    }
}

/// The most legs for which a trial is good, to 4 %: by halving, from the outside in. A trial fails
/// when it fails three times: a neighbour on the machine may spoil one.
fn most(once: &dyn Fn(usize) -> Trial, ceiling: usize, name: &str) -> Trial {
    let print = |trial: &Trial| {
        println!(
            "{name:<34} {:>6} {:>6.1} % {:>9.2} µs {:>9} {:>12}{}",
            trial.legs,
            100.0 * trial.least,
            trial.cost_us,
            trial.hear_all.map_or("-".to_owned(), |hear| format!("{hear}")),
            trial.late.map_or(String::new(), |late| format!("late {late:?}")),
            if trial.is_good() { "" } else { "   too many" },
        );
    };
    let (mut good, mut bad) = (0, ceiling);
    let mut best = Trial { legs: 0, least: 0.0, cost_us: 0.0, hear_all: None, late: None };
    // The processor time of a small trial tells where to begin.
    let mut next = 600;
    while bad - good > (good / 25).max(30) {
        let try_it = || {
            let trial = once(next / 3 * 3);
            print(&trial);
            trial
        };
        let mut trial = try_it();
        for _ in 0..2 {
            if !trial.is_good() {
                trial = try_it();
            }
        }
        let guess = (20_000.0 / trial.cost_us.max(0.1) * 0.92) as usize;
        if trial.is_good() {
            good = trial.legs;
            best = trial;
        } else {
            bad = trial.legs;
        }
        next = if best.legs == 600 && bad == ceiling { guess.clamp(700, ceiling) } else { (good + bad) / 2 };
    }
    best
}

fn run_echo(legs: usize, window: Duration) -> Trial {
    let callers = Callers::new(CALLERS);
    let sockets: Vec<(UdpSocket, SocketAddr)> = (0..legs)
        .map(|leg| {
            let socket = socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let peer = callers.address_for(leg);
            socket.connect(peer).unwrap();
            (socket, peer)
        })
        .collect();
    let addresses: Vec<SocketAddr> = sockets.iter().map(|(socket, _)| socket.local_addr().unwrap()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let server = {
        let stop = stop.clone();
        std::thread::Builder::new().name("echo".to_owned()).spawn(move || echo(&sockets, &stop)).unwrap()
    };
    let mut says = Scene::default().says(legs);
    let talk = callers.talk(&addresses, &mut says, &[], window, "echo");
    stop.store(true, Relaxed);
    server.join().unwrap();
    trial(&talk, None, None)
}

/// The tick of the media threads with nothing in it: the same four phases, the same system calls.
fn echo(sockets: &[(UdpSocket, SocketAddr)], stop: &AtomicBool) {
    before_others();
    let mut inbox = Inbox::default();
    let mut deadline = Instant::now();
    let quarter = sockets.len().div_ceil(4);
    for phase in (0..4).cycle() {
        deadline += Duration::from_millis(5);
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        if deadline.elapsed() > Duration::from_millis(100) {
            deadline = Instant::now();
        }
        if stop.load(Relaxed) {
            return;
        }
        for (socket, peer) in sockets.iter().skip(phase * quarter).take(quarter) {
            inbox.drain(socket, Some(*peer), |packet, _, _| {
                let _ = socket.send(packet);
            });
        }
    }
}

fn run_engine(legs: usize, scene: Scene, window: Duration) -> Trial {
    let callers = Callers::new(CALLERS);
    let (engine, events) = start();
    let mut says = scene.says(legs);
    let addresses = fill(&engine, &callers, &says, scene, 0);
    let talk = callers.talk(&addresses, &mut says, &[], window, "media-0");
    // What is encrypted, or comes from an encoder that remembers, is counted and not listened to.
    let is_read = scene.suite.is_none() && scene.codecs == [Codec::Pcmu];
    let hear_all = is_read.then(|| who_hears_all(&talk, scene));
    let late = engine.figures()[0].lateness_quantile(0.999);
    drop((engine, events));
    trial(&talk, hear_all, late)
}

/// How many hear whom they should, and nobody else.
fn who_hears_all(talk: &Talk, scene: Scene) -> usize {
    let talks = |leg: usize| scene.talks(leg);
    talk.heard
        .iter()
        .enumerate()
        .filter(|(leg, heard)| {
            let room = leg - leg % scene.room;
            // Larger rooms than the tones can tell apart: only that somebody is heard.
            if scene.room > 3 && scene.talkers > 3 {
                return heard.loudest() > 3_000;
            }
            (room..room + 3.min(scene.room))
                .all(|other| heard.hears(other) == (other != *leg && talks(other)))
        })
        .count()
}

fn trial(talk: &Talk, hear_all: Option<usize>, late: Option<Duration>) -> Trial {
    let Talk { heard, took, busy, .. } = talk;
    let due = took.as_secs_f64() * 50.0;
    let least = heard.iter().map(|heard| heard.packets).min().unwrap_or(0);
    // A packet more or less may fall to either side of the window's edges.
    let least = ((f64::from(least) + 1.0) / due).min(1.0);
    let packets: u32 = heard.iter().map(|heard| heard.packets).sum();
    let cost_us = busy.as_secs_f64() * 1e6 / f64::from(packets.max(1));
    Trial { legs: heard.len(), least, cost_us, hear_all, late }
}

fn start() -> (Engine, doorline::media::Events) {
    Engine::start(&Settings {
        address: [127, 0, 0, 1].into(),
        ports: 10_000..=31_999,
        threads: Some(1),
        address_v6: None,
        busy_max: 100,
        rate_max: Rate::Wide,
    })
    .unwrap()
}

/// Opens and joins legs from number `first` on, slowly enough for the order ring.
fn fill(engine: &Engine, callers: &Callers, says: &[Says], scene: Scene, first: usize) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for (place, says) in says.iter().enumerate() {
        let (leg, codec) = (first + place, says.codec());
        let call = CallId::numbered(leg as u128 + 1);
        let address = loop {
            match engine.open(call) {
                Ok(address) => break address,
                Err(Error::Overload) => std::thread::sleep(Duration::from_millis(6)),
                Err(error) => panic!("leg {leg}: {error}"),
            }
        };
        engine.configure(
            call,
            LegSettings {
                srtp: scene.suite.map(|suite| Box::new(Srtp::new(&keys(suite, place, true)))),
                // As most phones have it: listeners share one stream.
                sound: SoundSettings {
                    opus: OpusWishes { repairs: true, ..OpusWishes::default() },
                    ..SoundSettings::default()
                },
                ..LegSettings::plain(codec, callers.address_for(leg))
            },
        );
        // Ids as real ones are: random below.
        let id = (first + place / scene.room + 1) as u128;
        engine.join(call, MeetingId::numbered(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)));
        addresses.push(address);
        if leg % 200 == 199 {
            std::thread::sleep(Duration::from_millis(12));
        }
    }
    std::thread::sleep(Duration::from_millis(50));
    addresses
}

/// Resident memory of 1,500 legs in rooms of three, their threads and rooms included.
fn memory() {
    const LEGS: usize = 1_500;
    let callers = Callers::new(CALLERS);
    let (engine, events) = start();
    std::thread::sleep(Duration::from_millis(50));
    let before = resident_kib();
    let mut says = Scene::default().says(LEGS);
    let addresses = fill(&engine, &callers, &says, Scene::default(), 0);
    callers.talk(&addresses, &mut says, &[], Duration::from_secs(1), "media-0");
    let after = resident_kib();
    println!(
        "memory per leg                       {:>6.1} KiB (target: 100)",
        (after - before) as f64 / LEGS as f64
    );
    drop((engine, events));
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Processor time each thread of this process has used so far, by name.
fn processor_time() -> HashMap<String, Duration> {
    let mut times = HashMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let ns = read("schedstat").split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        times.insert(read("comm").trim().to_owned(), Duration::from_nanos(ns));
    }
    times
}

fn pin(core: usize) {
    // SAFETY: a zeroed set is an empty one; the macro's bound is kept by a small `core`.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}

/// The weight that the media threads ask for, for all who are compared with them.
fn before_others() {
    // SAFETY: sets a number of the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}

fn raise_descriptor_limit() {
    // SAFETY: both calls are given a valid struct.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
}
