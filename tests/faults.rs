//! What must hold when something around the service fails: the database goes and comes back, the disk is
//! full, more calls come than are let in, the configuration is read again and again, the service is told to stop, and time passes.
//!
//! `make test` runs the short forms; `make faults` and `make soak` the long ones. Each prints its figures.
//! Kills, bad lines, clock steps and floods from strangers are in `kill`, `keys`, `flows`, `crowd` and `overload`.

mod support;

use std::time::{Duration, Instant};

use doorline::cli::phone::{Call, Happening, Keys, Plan, Voice, Who};
use serde_json::Value;
use support::flood;
use support::hear::prompt_in;
use support::postgres::Server;
use support::{Api, Doorline, Host, Meeting, Options, eventually};

const SOON: Duration = Duration::from_secs(10);
const JOINED: Duration = Duration::from_secs(25);

/// The long form of a figure where it is asked for.
fn long(short: usize, long: usize) -> usize {
    if std::env::var_os("DOORLINE_LONG").is_some() { long } else { short }
}

fn dial(door: &Doorline, keys: &str, number: &str, voice: Voice) -> Call {
    let keys = if keys.is_empty() { Keys::default() } else { keys.parse().expect("they are keys") };
    let plan = Plan { keys, voice, ..Plan::new(&door.uri(), number).expect("the plan is good") };
    let call = Call::dial(plan).expect("the phone works");
    call.wait_for_answer(SOON).expect("the service answers");
    call
}

fn entry(host: &Host, meeting: &Meeting) -> String {
    format!("{}#{}#", host.pin, meeting.code())
}

fn in_meeting(api: &Api, meeting: &Meeting, count: usize) {
    eventually(&format!("{count} in the meeting"), JOINED, || {
        (api.roster(meeting).len() == count).then_some(())
    });
}

fn number(n: usize) -> String {
    format!("+155501{n:05}")
}

/// Hears something new for as long as it is looked at: its call goes on, and its sound.
fn sound_goes_on(call: &Call) {
    let before = call.packets_heard();
    std::thread::sleep(Duration::from_millis(400));
    assert!(!call.is_over(), "a call was dropped");
    let heard = call.packets_heard() - before;
    assert!(heard >= 10, "{heard} packets in 400 ms");
}

/// F3: the database is a server that goes away and comes back.
#[test]
fn while_the_database_is_away_known_callers_come_in_and_nothing_is_lost() {
    let server = Server::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(server.create("door"));
    let door = Doorline::start(Options { store: server.url("door"), ..Options::default() });
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let stays = dial(&door, &entry(&host, &meeting), &number(1), Voice::tone(440.0));
    in_meeting(&api, &meeting, 1);
    let known = dial(&door, &entry(&host, &meeting), &number(2), Voice::default());
    in_meeting(&api, &meeting, 2);
    known.hang_up();
    known.wait_for_end(SOON).unwrap();
    api.record(known.call_id());
    in_meeting(&api, &meeting, 1);

    server.stop();
    let gone = Instant::now();
    eventually("/readyz says so", SOON, || (!api.is_ready()).then_some(()));
    // Who was remembered a moment ago goes straight in, without a database.
    let dialled = Instant::now();
    let known = dial(&door, "", &number(2), Voice::tone(800.0));
    eventually("the known caller hears the meeting", JOINED, || {
        known.wait_for_tone(440.0, support::hear::HEARD_DB, Duration::from_millis(200)).ok()
    });
    let known_in = dialled.elapsed();
    // Who proves a code for the first time is not let in unasked, and hears so.
    let first = dial(&door, &entry(&host, &meeting), &number(3), Voice::default());
    first.wait_for_end(Duration::from_secs(40)).expect("the service hangs up");
    assert!(prompt_in(&first.heard(), "try-later").is_some(), "nothing was said of it");
    let away = Duration::from_secs(long(8, 60) as u64);
    while gone.elapsed() < away {
        sound_goes_on(&stays);
    }
    assert!(!known.is_over(), "the known caller was dropped");

    server.start_again();
    let back = Instant::now();
    eventually("/readyz says yes again", SOON, || api.is_ready().then_some(()));
    let ready = back.elapsed();
    assert_eq!(api.record(first.call_id())["ending"], "store-unavailable");
    let consistent = back.elapsed();
    assert!(consistent <= Duration::from_secs(10), "consistent only after {consistent:?}");
    let first = dial(&door, &entry(&host, &meeting), &number(3), Voice::default());
    in_meeting(&api, &meeting, 3);
    sound_goes_on(&stays);
    let metrics = api.text("/metrics");
    assert!(metrics.contains("doorline_known_from_cache_total 1"), "{metrics}");
    println!(
        "F3: away {:.0} s; a known caller heard the meeting after {:.1} s; ready {:.1} s and the record of the \
         refused one there {:.1} s after it came back; 0 calls dropped",
        away.as_secs_f64(),
        known_in.as_secs_f64(),
        ready.as_secs_f64(),
        consistent.as_secs_f64(),
    );
    drop((stays, known, first));
}

/// Lets no file of that process grow beyond so many bytes; `None`: as large as they like.
fn limit_files(pid: u32, bytes: Option<u64>) {
    let limit =
        libc::rlimit { rlim_cur: bytes.unwrap_or(libc::RLIM_INFINITY), rlim_max: libc::RLIM_INFINITY };
    let pid = libc::pid_t::try_from(pid).unwrap();
    // SAFETY: the structure is whole and outlives the call; the process is our child.
    let done = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// F4: no file takes another byte.
#[test]
fn with_a_full_disk_calls_go_on_and_nobody_is_told_what_is_not_kept() {
    let mut door = Doorline::start(Options::default());
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let stays = dial(&door, &entry(&host, &meeting), &number(1), Voice::tone(440.0));
    in_meeting(&api, &meeting, 1);
    assert_eq!(api.verified_numbers(&host).len(), 1);

    limit_files(door.pid(), Some(1));
    let full = Instant::now();
    let refused = dial(&door, &entry(&host, &meeting), &number(2), Voice::default());
    refused.wait_for_end(Duration::from_secs(40)).expect("who cannot be judged is told so");
    assert!(prompt_in(&refused.heard(), "try-later").is_some(), "nothing was said of it");
    let known = dial(&door, "", &number(1), Voice::default());
    let away = Duration::from_secs(long(4, 30) as u64);
    while full.elapsed() < away {
        sound_goes_on(&stays);
    }
    assert!(door.is_running(), "it crashed\n{}", door.log_tail());
    assert_eq!(api.verified_numbers(&host).len(), 1, "nobody was remembered who could not be kept");
    known.hang_up();
    known.wait_for_end(SOON).expect("its call ends as calls do");

    limit_files(door.pid(), None);
    let away = full.elapsed();
    let freed = Instant::now();
    let healed = eventually("a first-time caller is let in again", Duration::from_secs(30), || {
        let call = dial(&door, &entry(&host, &meeting), &number(2), Voice::default());
        let until = Instant::now() + Duration::from_secs(12);
        while Instant::now() < until && !call.is_over() {
            if api.roster(&meeting).len() == 2 {
                return Some((call, freed.elapsed()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        None
    });
    eventually("that caller is remembered", SOON, || (api.verified_numbers(&host).len() == 2).then_some(()));
    sound_goes_on(&stays);
    println!(
        "F4: full for {:.0} s; 0 calls dropped; a first-time caller in {:.1} s after there was room again \
         (of which PIN and code took their time)",
        away.as_secs_f64(),
        healed.1.as_secs_f64()
    );
    drop((stays, healed));
    door.stop();
}

/// What callers heard from one moment to another, by their RTP.
struct Watch {
    began: Instant,
    /// Packets, gaps in their numbers and samples of each call at that moment.
    before: Vec<(u64, u64, usize)>,
}

/// Of all calls that were watched together.
struct Heard {
    lasted: Duration,
    packets: u64,
    lost: u64,
    /// Of the caller with the fewest packets: 1 is one every 20 ms.
    least_share: f64,
    /// The longest time in which some caller heard no packet.
    longest_gap: Duration,
}

impl Watch {
    fn begin(calls: &[Call]) -> Self {
        let now = |call: &Call| (call.packets_heard(), call.packets_lost(), call.heard_so_far());
        Self { began: Instant::now(), before: calls.iter().map(now).collect() }
    }

    /// # Panics
    /// When a call is over, or somebody missed a tenth of the sound or a second in a row.
    fn end(self, calls: &[Call]) -> Heard {
        let lasted = self.began.elapsed();
        let due = lasted.as_secs_f64() / 0.02;
        let mut all = Heard { lasted, packets: 0, lost: 0, least_share: 1.0, longest_gap: Duration::ZERO };
        for (call, (packets, lost, samples)) in calls.iter().zip(self.before) {
            assert!(!call.is_over(), "a call was dropped: {:?}", call.happenings().last());
            let heard = call.packets_heard() - packets;
            all.packets += heard;
            all.lost += call.packets_lost() - lost;
            all.least_share = all.least_share.min(heard as f64 / due);
            let times: Vec<Instant> =
                (samples..call.heard_so_far()).step_by(160).filter_map(|at| call.arrived_at(at)).collect();
            let gap = times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).max();
            all.longest_gap = all.longest_gap.max(gap.unwrap_or(lasted));
        }
        assert!(all.least_share >= 0.9, "a caller heard {:.2} of the packets", all.least_share);
        assert!(all.longest_gap < Duration::from_secs(1), "a caller heard nothing for {:?}", all.longest_gap);
        all
    }
}

impl std::fmt::Display for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lasted, packets, lost, least_share, longest_gap } = self;
        let (seconds, gap) = (lasted.as_secs_f64(), longest_gap.as_millis());
        write!(
            f,
            "{lost} of {packets} packets lost in {seconds:.0} s (who heard fewest {:.1} %, longest gap {gap} ms)",
            100.0 * least_share
        )
    }
}

/// Everybody calls, a little apart, and is in the meeting of their room; `keys` as each room needs them.
fn all_call(door: &Doorline, rooms: &[(Host, Meeting)], callers: usize, keys: bool) -> Vec<Call> {
    let calls: Vec<Call> = (0..callers)
        .map(|n| {
            let (host, meeting) = &rooms[n % rooms.len()];
            let keys =
                if keys { entry(host, meeting).parse().expect("they are keys") } else { Keys::default() };
            // The first two of a room speak.
            let place = n / rooms.len();
            let voice = if place < 2 { Voice::tone(440.0 + 360.0 * place as f64) } else { Voice::default() };
            let plan = Plan { keys, voice, ..Plan::new(&door.uri(), &number(n)).expect("the plan is good") };
            let call = Call::dial(plan).expect("the phone works");
            std::thread::sleep(Duration::from_millis(25));
            call
        })
        .collect();
    for call in &calls {
        call.wait_for_answer(SOON).expect("the service answers");
    }
    let api = door.api();
    for (n, (_, meeting)) in rooms.iter().enumerate() {
        in_meeting(&api, meeting, (n..callers).step_by(rooms.len()).count());
    }
    calls
}

/// A request of the lab's from nowhere in particular, and what it is answered at last.
fn answer_to(door: &Doorline, method: &str) -> String {
    let socket = std::net::UdpSocket::bind((std::net::Ipv4Addr::from(support::LAB), 0)).expect("a socket");
    socket.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    let (local, to) = (socket.local_addr().expect("it is bound"), door.uri());
    let body =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";
    let request = format!(
        "{method} {to} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{method}{port}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@{local}>;tag=1\r\nTo: <{to}>\r\nCall-ID: {method}{port}@test\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:a@{local}>\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}",
        port = local.port(),
        length = body.len(),
    );
    socket.send_to(request.as_bytes(), door.sip()).expect("it goes out");
    let mut buffer = [0; 4_096];
    loop {
        let length = socket.recv(&mut buffer).expect("it is answered");
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if !text.starts_with("SIP/2.0 1") {
            return text;
        }
    }
}

/// Reads the configuration again and again under calls; every fifth time it is a faulty one.
fn reload_again_and_again(door: &Doorline, times: usize) -> usize {
    const FAULTY: [&str; 4] = [
        "name = 5",
        "name = \"lab\"\nallow = [\"everybody\"]\n",
        "name = \"lab\"\nallow = [\"127.0.0.1\"]\nbelief = 1\n",
        "name = \"lab\"\nallow = [",
    ];
    let api = door.api();
    let trunk = || {
        let lab = api.items("/trunks").into_iter().find(|trunk| trunk["name"] == "lab").expect("it is there");
        (lab["allow"].clone(), lab["believes"].clone(), lab["calls_max"].clone())
    };
    let mut faulty = 0;
    for round in 1..=times {
        let (name, before) = ("trunks.d/lab.toml", trunk());
        if round % 5 == 4 {
            door.write(name, FAULTY[faulty % FAULTY.len()]);
            assert_eq!(api.order("/reload").status, 422);
            assert_eq!(trunk(), before, "a bad file changes nothing");
            faulty += 1;
        } else {
            let good = format!(
                "name = \"lab\"\nallow = [\"127.0.0.1\", \"127.0.5.0/24\"]\n[caller_id]\ntrust = \"pai\"\n\
                 country = \"GB\"\n[limits]\ncalls_max = {}\n",
                1_000 + round
            );
            door.write(name, &good);
            assert_eq!(api.order("/reload").done()["changes"][0], "trunk changed lab");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    faulty
}

/// The calls end a few at a time while the service drains; how long after the last it was gone.
fn all_leave(door: &mut Doorline, mut calls: Vec<Call>) -> Duration {
    let wave = calls.len().div_ceil(10);
    while !calls.is_empty() {
        let leave = calls.split_off(calls.len().saturating_sub(wave));
        for call in &leave {
            call.hang_up();
        }
        for call in &leave {
            let end = call.wait_for_end(SOON).expect("it ends when its caller wants");
            assert!(matches!(end, Happening::Ended { by: Who::Us, .. }), "{end:?}");
        }
        if !calls.is_empty() {
            assert!(door.is_running(), "it left before its last call");
        }
    }
    let last = Instant::now();
    eventually("it exits", SOON, || (!door.is_running()).then_some(()));
    last.elapsed()
}

/// F1: four times the calls that are let in, beside callers in a meeting, judged by the packets that those heard.
#[test]
fn a_flood_of_calls_costs_those_in_a_meeting_nothing() {
    let config = "\n[limits]\ncalls_per_second = 6\ncalls_burst = 10\n".to_owned();
    let door = Doorline::start(Options { config, ..Options::default() });
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let calls = all_call(&door, &[(host, meeting)], 4, true);
    let watch = Watch::begin(&calls);
    let told = flood::calls(flood::Plan {
        from: support::LAB.into(),
        to: door.sip(),
        per_second: 24,
        lasts: Duration::from_secs(long(6, 600) as u64),
        hold: Duration::from_millis(500),
    });
    println!(
        "F1: {} calls at four times the limit beside a meeting of {}: {} answered, {} refused with 503 and Retry-After; \
         in the meeting 0 dropped, {}",
        told.offered,
        calls.len(),
        told.answered,
        told.refused,
        watch.end(&calls)
    );
    assert_eq!((told.unanswered, told.answered + told.refused), (0, told.offered), "{:?}", told.otherwise);
    assert!(told.refused > told.answered, "that was no flood");
}

/// F6: reloads under live calls and two restarts with drain, judged by the packets that callers heard.
#[test]
fn reloads_and_restarts_cost_no_call_and_no_packet() {
    let (callers, reloads) = (long(4, 200), long(10, 100));
    let legs = callers.max(40) * 3 / 2;
    let config = format!("\n[limits]\ncalls_max = {legs}\ncalls_entering_max = {legs}\n");
    let mut door = Doorline::start(Options { config, legs, ..Options::default() });
    let api = door.api();
    let rooms: Vec<(Host, Meeting)> = (0..callers.div_ceil(10))
        .map(|n| {
            let host = api.new_host(&format!("Ada{n}"));
            let meeting = api.new_one_time_meeting(&host);
            (host, meeting)
        })
        .collect();
    let mut calls = all_call(&door, &rooms, callers, true);
    let watch = Watch::begin(&calls);
    let faulty = reload_again_and_again(&door, reloads);
    println!(
        "F6: {callers} calls, {reloads} reloads, {faulty} of them faulty: 0 dropped, {}",
        watch.end(&calls)
    );

    for restart in 1..=2 {
        let watch = Watch::begin(&calls);
        door.tell_to_stop();
        eventually("it drains", SOON, || (!api.is_ready()).then_some(()));
        for method in ["INVITE", "OPTIONS"] {
            let answer = answer_to(&door, method);
            assert!(answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
        }
        std::thread::sleep(Duration::from_secs(long(1, 20) as u64));
        let heard = watch.end(&calls);
        let exit = all_leave(&mut door, calls);
        let stopped = Instant::now();
        door.start_again();
        let ready = stopped.elapsed();
        // Who was let in before is known to the new process: nobody keys anything.
        calls = all_call(&door, &rooms, callers, false);
        println!(
            "F6: restart {restart} under {callers} calls: 0 dropped, {heard}; exit {:.2} s after the last call, \
             ready {:.2} s after that, all in again without a key",
            exit.as_secs_f64(),
            ready.as_secs_f64()
        );
        assert!(exit <= Duration::from_secs(1), "exit only {exit:?} after the last call");
    }
    for call in &calls {
        call.hang_up();
    }
    for call in &calls {
        call.wait_for_end(SOON).expect("it ends");
    }
    // And as the service wrote it down: nobody was cut off, and the two who came too late were told so.
    let records = eventually("every call has its record", SOON, || {
        let records = all_records(&api);
        (records.len() == 3 * callers + 2).then_some(records)
    });
    let ended = |ending: &str| records.iter().filter(|record| record["ending"] == ending).count();
    assert_eq!((ended("hung-up"), ended("draining")), (3 * callers, 2));
}

/// The calls that are over, from every page.
fn all_records(api: &Api) -> Vec<Value> {
    let (mut records, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/calls?live=false&limit=200{cursor}")).good();
        records.extend(page["items"].as_array().expect("a list has items").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return records,
        }
    }
}

/// What a process holds: open files, threads, and memory in KiB.
fn holds(pid: u32) -> (usize, usize, f64) {
    let entries = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = line.split_whitespace().next().unwrap().parse().unwrap();
    (entries("fd"), entries("task"), kib)
}

/// Slope of a line through points, least squares, with the upper end of its 95 % interval.
fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let xx: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let xy: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let slope = xy / xx;
    let rest: f64 = points.iter().map(|point| (point.1 - y - slope * (point.0 - x)).powi(2)).sum();
    let error = (rest / (n - 2.0).max(1.0) / xx).sqrt();
    (slope, slope + 1.96 * error)
}

/// F7: callers come and go; sockets and threads are back to what they were, memory does not grow.
#[test]
fn callers_who_come_and_go_leave_nothing_behind() {
    // Traces fill their memory first, and then give it back call by call: little of it is soon full.
    let config =
        "\n[trace]\nmemory_mib = 1\n[limits]\ncalls_max = 200\ncalls_entering_max = 200\ncalls_per_second = 100\ncalls_burst = 200\n".to_owned();
    let mut door = Doorline::start(Options { log: "warn", config, legs: 1_500, ..Options::default() });
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let stays = dial(&door, &entry(&host, &meeting), &number(0), Voice::tone(440.0));
    in_meeting(&api, &meeting, 1);
    let minutes = std::env::var("DOORLINE_SOAK_MINUTES").ok().and_then(|text| text.parse::<f64>().ok());
    let lasts = Duration::from_secs_f64(60.0 * minutes.unwrap_or(0.4));
    // Many, so that what fills once is full before the last third.
    let at_once = if minutes.is_some() { 40 } else { 5 };
    let round = |first: usize| {
        let calls: Vec<Call> = (0..at_once)
            .map(|n| dial(&door, &entry(&host, &meeting), &number(1 + first + n), Voice::default()))
            .collect();
        in_meeting(&api, &meeting, 1 + at_once);
        for call in &calls {
            call.hang_up();
        }
        for call in &calls {
            call.wait_for_end(SOON).expect("it ends");
        }
        in_meeting(&api, &meeting, 1);
    };
    // Once to fill what is filled once: pools, caches, buffers.
    round(0);
    round(0);
    let pid = door.pid();
    let settled = || {
        std::thread::sleep(Duration::from_millis(300));
        holds(pid)
    };
    let (files, threads, _) = settled();
    let began = Instant::now();
    let mut points = Vec::new();
    let mut rounds = 0;
    while began.elapsed() < lasts || rounds < 3 {
        rounds += 1;
        // The same numbers again: records grow on the disk, what is known does not.
        round(0);
        let (_, _, kib) = settled();
        points.push((began.elapsed().as_secs_f64() / 3_600.0, kib));
    }
    let (files_after, threads_after, kib) = settled();
    sound_goes_on(&stays);
    // The first two thirds are warming up: until about 14,000 calls memory still fills, ever more slowly, with what is
    // kept of what has been (events for those who ask, traces, the database's caches, pools of threads).
    let (per_hour, upper) = slope(&points[2 * points.len() / 3..]);
    println!(
        "F7: {} calls in {:.1} min: {files} → {files_after} open files, {threads} → {threads_after} threads, \
         {:.1} MiB, slope {:.2} MiB/h (95 % below {:.2}; × 72 h = {:.0} MiB)",
        rounds * at_once,
        began.elapsed().as_secs_f64() / 60.0,
        kib / 1_024.0,
        per_hour / 1_024.0,
        upper / 1_024.0,
        72.0 * upper / 1_024.0,
    );
    // The database's readers may have become a few more, of three files and a thread each. A call that left
    // its sockets behind would have left more.
    assert!(files_after <= files + 12, "{files} → {files_after} open files");
    assert!(threads_after <= threads + 4, "{threads} → {threads_after} threads");
    // Over less than half an hour it is that of warming up.
    if lasts >= Duration::from_secs(30 * 60) {
        assert!(72.0 * upper / 1_024.0 <= 64.0, "memory grows");
    }
    stays.hang_up();
    stays.wait_for_end(SOON).unwrap();
    door.stop();
}
