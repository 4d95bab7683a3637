//! More calls than are let in: the rate of those that are stays, the rest is told to come again, and
//! calls that stand notice nothing.

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorline::signalling::{self, Listen, Signalling};
use doorline::sip::Transport;
use doorline::sip::bucket::Rate;
use doorline::sip::endpoint::{self, Event};
use doorline::sip::trunk::Trunk;
use support::flood::{self, Plan, Stood, Told};
use support::{Doorline, LAB, NOBODY, Options, eventually};

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

/// As many calls as the rate lets in were let in, no more, and each of the others was told when to
/// come again. Calls that stand came in before, on the same account.
fn holds(told: &Told, rate: Rate, standing: u32) {
    // The last one may be let in after its first copy was lost: later than the last INVITE began.
    let seconds = told.began_within.as_secs_f64() + if told.copies > 0 { 4.0 } else { 0.1 };
    let per_second = 1.0 / rate.every.as_secs_f64();
    let least = 0.95 * (f64::from(rate.burst - standing) + per_second * told.began_within.as_secs_f64());
    let most = f64::from(rate.burst) + per_second * seconds + 1.0;
    let answered = told.answered as f64;
    assert!(answered >= least, "{answered} calls, at least {least:.0} should have come in: {told:?}");
    assert!(answered <= most, "{answered} calls, at most {most:.0} should have come in: {told:?}");
    assert!(told.otherwise.is_empty() && told.unanswered == 0, "{told:?}");
    assert_eq!(told.answered + told.refused, told.offered, "{told:?}");
    assert_eq!(told.ended, told.answered, "{told:?}");
}

fn noticed_nothing(stood: &Stood) {
    println!("{stood:?}");
    assert!(stood.asked > 2 * stood.calls as u64, "{stood:?}");
    assert_eq!((stood.answered, stood.surprises), (stood.asked, 0), "{stood:?}");
}

/// A flood beside calls that stand.
fn flood_beside(plan: Plan, standing: usize) -> (Told, Stood) {
    let stop = AtomicBool::new(false);
    let (up, is_up) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let every = Duration::from_millis(20);
        let up = move || up.send(()).expect("somebody waits");
        let stop = &stop;
        let stand = scope.spawn(move || flood::stand(plan.from, plan.to, standing, every, up, stop));
        is_up.recv_timeout(Duration::from_secs(20)).expect("the standing calls come up");
        let told = flood::calls(plan);
        stop.store(true, Ordering::Relaxed);
        (told, stand.join().expect("the standing calls end"))
    })
}

#[test]
fn at_four_times_the_rate_as_many_calls_are_answered_and_standing_ones_notice_nothing() {
    let rate = Rate::per_second(200, 200);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let listen = Listen { transport: Transport::Udp, address: SocketAddr::from((LAB, 0)) };
    let settings = signalling::Settings {
        listen: vec![listen],
        calls_rate: Some(rate),
        ..signalling::Settings::default()
    };
    let lab = Trunk {
        name: "lab".to_owned(),
        allow: vec!["127.0.0.1".parse().expect("an address")],
        ..Trunk::default()
    };
    let started = Signalling::start(
        &settings,
        endpoint::Settings::default(),
        signalling::Limits::default(),
        vec![lab],
        [7; 32],
    );
    let (handle, mut events) = runtime.block_on(started).expect("it starts");
    let commands = handle.clone();
    // Whoever comes is answered; every offer has the same answer.
    runtime.spawn(async move {
        while let Some(event) = events.recv().await {
            let sdp = SDP.as_bytes().to_vec();
            let sent = match event {
                Event::Incoming(incoming) => commands.answer(incoming.call, sdp).await,
                Event::Offered { call, .. } => commands.accept_offer(call, sdp).await,
                _ => Ok(()),
            };
            if sent.is_err() {
                break;
            }
        }
    });
    let plan = Plan {
        from: LAB.into(),
        to: handle.local_addresses()[0].address,
        per_second: 800,
        lasts: Duration::from_secs(5),
        hold: Duration::from_millis(300),
    };
    let (told, stood) = flood_beside(plan, 20);
    holds(&told, rate, 20);
    noticed_nothing(&stood);
    assert!(handle.counters().too_fast >= told.refused, "{:?}", handle.counters());
    let load = runtime.block_on(handle.load()).expect("it runs");
    assert_eq!((load.calls, load.dialogs), (0, 0), "{load:?}");
}

#[test]
fn the_service_lets_in_what_its_limit_says_and_records_that_alone() {
    let door = Doorline::start(Options {
        config: "[limits]\ncalls_per_second = 6\ncalls_burst = 10\ncalls_entering_max = 60\n".to_owned(),
        ..Options::default()
    });
    let (from, to) = (IpAddr::from(LAB), door.sip());
    // Who stands there keys nothing, and is asked three times: no longer than that.
    let long = std::env::var_os("DOORLINE_LONG").is_some();
    let lasts = Duration::from_secs(if long { 25 } else { 8 });
    let plan = Plan { from, to, per_second: 24, lasts, hold: Duration::from_millis(500) };
    let (told, stood, shouted) = std::thread::scope(|scope| {
        // Beside it, a flood from where nobody is known.
        let shout = move || flood::shout(NOBODY.into(), to, 4_000, Duration::from_millis(1));
        let shouting = scope.spawn(shout);
        let (told, stood) = flood_beside(plan, 5);
        (told, stood, shouting.join().expect("it ends"))
    });
    holds(&told, Rate::per_second(6, 10), 5);
    noticed_nothing(&stood);

    let (sent, answers) = shouted;
    assert_eq!(answers, 0, "nobody's calls get no answer");
    let over = Instant::now();
    let one = flood::calls(Plan { per_second: 1, lasts: Duration::from_millis(100), ..plan });
    assert_eq!((one.offered, one.answered), (1, 1), "{one:?}");
    let normal = over.elapsed().saturating_sub(plan.hold);
    let api = door.api();
    let clock = lateness_p99_ms(&api.text("/metrics"));
    println!(
        "F1: {} calls at four times the limit in {:.0} s: {} answered, {} refused with 503 and Retry-After, 99 % of \
         them within {} ms; {} standing calls, 0 dropped; clock p99 below {clock} ms; normal {:.1} s after",
        told.offered,
        told.began_within.as_secs_f64(),
        told.answered,
        told.refused,
        told.refused_after_p99().as_millis(),
        stood.calls,
        normal.as_secs_f64()
    );
    assert!(clock <= 25.0, "media threads are late by {clock} ms");
    assert!(told.refused_after_p99() <= Duration::from_millis(200), "{:?}", told.refused_after_p99());
    assert!(normal <= Duration::from_secs(5), "a call after the flood took {normal:?}");
    let metric = |name: &str| -> u64 {
        let text = api.text("/metrics");
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in\n{text}"))
    };
    assert_eq!(metric("doorline_refused_sources_total"), u64::from(sent));
    let refused = metric("doorline_overload_total{queue=\"admission\"}");
    assert!((told.refused..=told.refused + told.copies).contains(&refused), "{refused}: {told:?}");
    // A record for each call that came in, and for nobody else.
    let came_in = told.answered as usize + stood.calls + 1;
    let mut records = 0;
    let mut path = "/calls?limit=100".to_owned();
    eventually("all calls are over", Duration::from_secs(10), || {
        let live = metric("doorline_trunk_calls_live{trunk=\"lab\"}");
        (live == 0).then_some(())
    });
    loop {
        let page = api.get(&path).good();
        records += page["items"].as_array().expect("a list").len();
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/calls?limit=100&cursor={next}");
    }
    assert_eq!(records, came_in);
    let log = door.log();
    let most_lines = lasts.as_secs() as usize / 2;
    let lines =
        log.lines().filter(|line| line.contains("more calls a second than the service takes")).count();
    assert!((1..=most_lines).contains(&lines), "{lines} lines for {refused} refusals");
}

/// The bound of lateness that 99 of 100 turns of the media threads keep, in milliseconds.
fn lateness_p99_ms(metrics: &str) -> f64 {
    let mut buckets: BTreeMap<u64, u64> = BTreeMap::new();
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("doorline_media_lateness_seconds_bucket{") else { continue };
        let (labels, count) = rest.rsplit_once(' ').expect("a sample has a value");
        let bound = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a bound");
        let micros = bound.parse::<f64>().map_or(u64::MAX, |seconds| (seconds * 1e6).round() as u64);
        *buckets.entry(micros).or_default() += count.parse::<u64>().expect("a count");
    }
    let all = *buckets.last_key_value().expect("there are media threads").1;
    let within = buckets.iter().find(|(_, count)| **count * 100 >= all * 99).expect("the last one holds all");
    *within.0 as f64 / 1e3
}
