//! How many legs one core carries, beside what the same core can do with the same packets and no
//! sound at all (a bare UDP echo), in the same run.
//!
//!     cargo bench --bench legs                # a quarter of an hour
//!     cargo bench --bench legs -- --full      # windows of 20 s
//!     cargo bench --bench legs -- --cost      # processor time alone, on a machine that is not idle
//!     cargo bench --bench legs -- --delay     # from packet in to packet out, at 10, 50 and 80 % of full load
//!     cargo bench --bench legs -- --kinds     # by codec, and with encryption
//!     cargo bench --bench legs -- --growth    # among more legs and in larger rooms; not part of the whole
//!
//! The service has core 0, the callers have core 1. "Legs per core" is the most legs at which every
//! leg still gets at least 99.5 % of its 50 packets a second, everybody talks (G.711, rooms of
//! three), and everybody hears the two others and not themselves.

mod callers;
mod delay;
mod growth;
mod kinds;
mod scene;
mod stages;

use std::collections::HashMap;
use std::time::Duration;

use callers::{Callers, SETTLE};
use doorline::audio::Rate;
use scene::{Scene, Trial, fill, run_echo, run_engine, start};

/// The cores of the service and of the callers.
const SERVICE: usize = 0;
const CALLERS: usize = 1;
/// What every leg must get at least.
const SHARE: f64 = 0.995;

fn main() {
    let full = std::env::args().any(|argument| argument == "--full");
    let cost_alone = std::env::args().any(|argument| argument == "--cost");
    let delay_alone = std::env::args().any(|argument| argument == "--delay");
    let growth_alone = std::env::args().any(|argument| argument == "--growth");
    let kinds_alone = std::env::args().any(|argument| argument == "--kinds");
    let window = Duration::from_secs(if full { 20 } else { 4 });
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    if cores < 2 {
        println!("needs two cores: one for the service, one for its callers");
        return;
    }
    raise_descriptor_limit();
    pin(SERVICE);

    if delay_alone {
        return delay::print(window);
    }
    if kinds_alone {
        return kinds::print(window);
    }
    if growth_alone {
        let small = run_engine(600, Scene::default(), window);
        return growth::print(window, (20_000.0 * 0.92 / small.cost_us) as usize);
    }
    println!("stages, µs per leg and tick (rooms of 3, everybody talks, 900 legs, one core)");
    stages::print();
    memory();
    println!();
    if !cost_alone {
        legs_per_core(window);
    }
    cost(window);
    kinds::print(window);
    delay::print(window);
}

fn legs_per_core(window: Duration) {
    println!("{:<34} {:>6} {:>8} {:>12} {:>9}", "", "legs", "least", "per packet", "hear all");
    println!("(late: what 99.9 % of the ticks' phases were not later than)");
    let echo = most(&|legs| run_echo(legs, window), 12_000, "bare UDP echo");
    let talking = Scene { room: 3, ..Scene::default() };
    let mixed = most(&|legs| run_engine(legs, talking, window), 12_000, "rooms of 3, all talk");
    let listening = |legs| Scene { room: legs, talkers: 3, ..Scene::default() };
    let one_room = most(&|legs| run_engine(legs, listening(legs), window), 12_000, "one room, 3 talk");
    println!();
    for (name, trial) in
        [("bare echo", &echo), ("rooms of 3, all talk", &mixed), ("one room, 3 talk", &one_room)]
    {
        let share = 100.0 * trial.legs as f64 / echo.legs as f64;
        println!(
            "legs per core, {name:<22} {:>6}   {share:>3.0} % of the bare limit (target: 45 %)",
            trial.legs
        );
    }

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

/// Resident memory of 1,500 legs in rooms of three, their threads and rooms included.
fn memory() {
    const LEGS: usize = 1_500;
    let callers = Callers::new(CALLERS);
    let (engine, events) = start(Rate::Wide);
    std::thread::sleep(Duration::from_millis(50));
    let before = resident_kib();
    let mut says = Scene::default().says(LEGS);
    let addresses = fill(&engine, &callers, &says, Scene::default(), 0);
    callers.talk(&addresses, &mut says, &[], SETTLE, Duration::from_secs(1), "media-0");
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
