//! More calls than the service takes: calls answered against calls offered, from half to four times
//! the limit, with the real program over UDP, and its memory meanwhile. `cargo bench --bench overload`.
//!
//! Calls hold for a second; beside them twenty stand and ask something all the time. The
//! limit is `OVERLOAD_LIMIT` calls a second (40), each step lasts `OVERLOAD_SECONDS` (15).

#[path = "../support/mod.rs"]
mod support;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::flood::{self, Plan};
use support::{Doorline, LAB, Options};

/// Longer than ports rest, and than transactions last over UDP.
const SETTLE: Duration = Duration::from_secs(8);

fn main() {
    let (limit, seconds) = (variable("OVERLOAD_LIMIT", 40), variable("OVERLOAD_SECONDS", 15));
    let door = Doorline::start(Options {
        config: format!(
            "[limits]\ncalls_per_second = {limit}\ncalls_burst = {limit}\ncalls_max = 3000\ncalls_entering_max = 3000\n"
        ),
        legs: 3_000,
        log: "warn",
        ..Options::default()
    });
    println!("limit {limit} calls a second, {seconds} s a step, after a burst of {limit}");
    println!("offered/limit  offered/s  served/s  503/s  served/limit  others  copies  standing  memory MiB");
    let mut flat = Vec::new();
    for quarters in [2, 4, 6, 8, 12, 16] {
        let per_second = limit * quarters / 4;
        let stop = AtomicBool::new(false);
        let (told, stood) = std::thread::scope(|scope| {
            let (from, to) = (IpAddr::from(LAB), door.sip());
            let (up, is_up) = std::sync::mpsc::channel();
            let every = Duration::from_millis(20);
            let up = move || up.send(()).expect("somebody waits");
            let stop = &stop;
            let standing = scope.spawn(move || flood::stand(from, to, 20, every, up, stop));
            is_up.recv().expect("the standing calls come up");
            let lasts = Duration::from_secs(seconds.into());
            let told = flood::calls(Plan { from, to, per_second, lasts, hold: Duration::from_secs(1) });
            stop.store(true, Ordering::Relaxed);
            (told, standing.join().expect("the standing calls end"))
        });
        let each_second = |count: u64| count as f64 / told.began_within.as_secs_f64();
        // The bucket is full when a step begins: what it held is no rate.
        let served = told.answered.saturating_sub(if quarters > 4 { limit.into() } else { 0 });
        let memory = resident_mib(door.pid());
        flat.push(memory);
        println!(
            "{:13.1} {:10.1} {:9.1} {:6.1} {:13.2} {:7} {:7} {:>9} {memory:11.1}",
            f64::from(quarters) / 4.0,
            each_second(told.offered),
            each_second(served),
            each_second(told.refused),
            each_second(served) / f64::from(limit),
            told.unanswered + told.otherwise.values().sum::<u64>(),
            told.copies,
            format!("{}/{}", stood.answered, stood.asked),
        );
        std::thread::sleep(SETTLE);
    }
    let growth = flat.last().copied().unwrap_or_default() - flat[1];
    println!("memory from 1.0 to 4.0 times the limit: {growth:+.1} MiB");
}

fn variable(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Memory that a process holds now.
fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1_024.0
}
