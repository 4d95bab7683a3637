//! `kill -9` amid first-time calls: what a caller was told is true afterwards.
//!
//! In each round 200 phones call for the first time, and some enter a wrong code; at a random moment the
//! process is killed. What each phone heard until then is known from its sound. Then the service starts
//! again on the same file, and the phones that were told "next time you go straight in" call without a
//! key. `DOORLINE_KILL_ROUNDS` and `DOORLINE_KILL_CALLS` make it longer.

mod support;

use std::time::{Duration, Instant};

use doorline::cli::phone::{Call, Plan, Presentation};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use support::hear::prompt_in;
use support::scene::{ANSWER, JOINED, KEYS, dial, entry};
use support::{Api, Doorline, Host, Meeting, Options, eventually, lab};

/// Hosts with a One Time Meeting that stays for all rounds.
const HOSTS: usize = 4;

/// Between two calls that are dialled.
const STAGGER: Duration = Duration::from_millis(25);

/// Wrong tries that a code bears, and those of a round.
const CODE_TRIES: usize = 5;
const GUESSES: usize = CODE_TRIES + 1;

/// From a call's first packet until it is told that it is remembered, on a machine that is not busy.
const FIRST_TOLD: Duration = Duration::from_secs(8);

/// A whole round may be late on a loaded machine; a service that does not come back is later than this.
const BACK: Duration = Duration::from_secs(15);

struct Room {
    host: Host,
    meeting: Meeting,
}

impl Room {
    fn new(api: &Api, name: &str) -> Self {
        let host = api.new_host(name);
        let meeting = api.new_one_time_meeting(&host);
        Self { host, meeting }
    }
}

/// A call, whose it is, and for which room.
struct Caller {
    number: String,
    room: usize,
    call: Call,
}

/// What a round showed, for the line that it prints.
#[derive(Default)]
struct Seen {
    told: usize,
    durable: usize,
    wrong_told: usize,
    spent: usize,
    ready: Duration,
    back: Duration,
}

#[test]
fn what_callers_were_told_survives_a_kill_amid_first_time_calls() {
    let long = std::env::var_os("DOORLINE_LONG").is_some();
    let (rounds, calls) =
        (wanted("DOORLINE_KILL_ROUNDS", if long { 50 } else { 3 }), wanted("DOORLINE_KILL_CALLS", 200));
    let config = "\n[limits]\ncalls_max = 300\ncalls_entering_max = 300\n".to_owned();
    let mut door = Doorline::start(Options { config, legs: 300, ..Options::default() });
    let rooms: Vec<Room> = (0..HOSTS).map(|n| Room::new(&door.api(), &format!("Host{n}"))).collect();
    let (mut told_in_all, mut wrong_told) = (0, 0);
    let (mut ready, mut back) = (Duration::ZERO, Duration::ZERO);
    for round in 0..rounds {
        let seen = one_round(&mut door, &rooms, round, calls, wrong_told);
        println!(
            "round {}: {} told that they are remembered, {} on the disk; {} told that their entry was wrong, {} \
             tries spent; ready after {:.2} s, the last one back in after {:.2} s",
            round + 1,
            seen.told,
            seen.durable,
            seen.wrong_told,
            seen.spent,
            seen.ready.as_secs_f64(),
            seen.back.as_secs_f64()
        );
        told_in_all += seen.told;
        wrong_told += seen.wrong_told;
        (ready, back) = (ready.max(seen.ready), back.max(seen.back));
    }
    println!(
        "F2: {rounds} kills amid {calls} first-time calls each: {told_in_all} were told that they are remembered, 0 of \
         them forgotten; {wrong_told} were told that their entry was wrong, 0 tries came back; ready after {:.1} s, all \
         in again without a code after {:.1} s, at worst",
        ready.as_secs_f64(),
        back.as_secs_f64()
    );
    assert!(told_in_all >= rounds, "no kill came after callers were told, so nothing was tested");
}

fn one_round(
    door: &mut Doorline,
    rooms: &[Room],
    round: usize,
    calls: usize,
    wrong_told_before: usize,
) -> Seen {
    let api = door.api();
    let mut seen = Seen::default();
    let before: Vec<usize> = rooms.iter().map(|room| api_verified(&api, &room.host).len()).collect();
    // Its code is guessed at in this round alone.
    let guarded = Room::new(&api, &format!("Guarded{round}"));

    // All call, and at a moment between the first one's good news and the last one's it is over.
    let begin = Instant::now();
    let mut callers = Vec::new();
    let mut guessers = Vec::new();
    let spread = STAGGER * u32::try_from(calls).expect("a test has few calls");
    let killed_at = begin + FIRST_TOLD + spread.mul_f64(random());
    for n in 0..calls {
        if n % 10 == 0 && guessers.len() < GUESSES {
            guessers.push(guess(door, &guarded, round, guessers.len()));
        }
        let room = n % rooms.len();
        let number = format!("+1555{:07}", 100_000 + round * 10_000 + n);
        let keys = entry(&rooms[room].host, &rooms[room].meeting);
        let call = Call::dial(Plan { keys, ..plan(door, &number) }).expect("the phone works");
        callers.push(Caller { number, room, call });
        let next = begin + STAGGER * u32::try_from(n + 1).expect("a test has few calls");
        std::thread::sleep(next.min(killed_at).saturating_duration_since(Instant::now()));
        if Instant::now() >= killed_at {
            break;
        }
    }
    std::thread::sleep(killed_at.saturating_duration_since(Instant::now()));
    door.kill();
    for call in callers.iter().map(|caller| &caller.call).chain(&guessers) {
        call.vanish();
    }

    // What was told, by what was heard: four fifths of a second of the sentence.
    seen.wrong_told =
        guessers.iter().filter(|call| prompt_in(&call.heard(), "do-not-match").is_some()).count();
    let (told, others): (Vec<Caller>, Vec<Caller>) =
        callers.into_iter().partition(|caller| prompt_in(&caller.call.heard(), "remembered").is_some());
    drop(others);
    seen.told = told.len();
    // A code that has borne its last try is not charged any more; who tried is.
    let (of_code, of_numbers) = tries_on_disk(door, &guarded.meeting);
    let told_before = wrong_told_before + seen.wrong_told;
    assert!(
        of_code >= seen.wrong_told.min(CODE_TRIES),
        "{} heard it, {of_code} tries on the disk",
        seen.wrong_told
    );
    assert!(of_numbers >= told_before, "{told_before} heard it by now, {of_numbers} tries on the disk");
    seen.spent = of_code;

    let killed = Instant::now();
    door.start_again();
    seen.ready = killed.elapsed();
    let live = api.items("/live");
    assert!(live.is_empty(), "nobody is in a meeting, and one is open: {live:?}");
    for room in rooms.iter().chain([&guarded]) {
        assert_ne!(api.state_of(&room.meeting), "open", "nobody is in it");
    }
    assert_eq!(tries_on_disk(door, &guarded.meeting), (of_code, of_numbers), "a start gives no try back");
    for (room, before) in rooms.iter().zip(before) {
        seen.durable += api_verified(&api, &room.host).len() - before;
    }
    for caller in &told {
        let remembered = api_verified(&api, &rooms[caller.room].host);
        assert!(remembered.contains(&caller.number), "a number that was told so is not remembered");
    }

    // They call again and press nothing.
    let redialled = Instant::now();
    let again: Vec<Call> =
        told.iter().map(|caller| Call::dial(plan(door, &caller.number)).expect("the phone works")).collect();
    for call in &again {
        call.wait_for_answer(BACK).expect("the service answers");
    }
    for (n, room) in rooms.iter().enumerate() {
        let count = told.iter().filter(|caller| caller.room == n).count();
        let roster = eventually(&format!("{count} are back without a code"), BACK, || {
            let roster = api.roster(&room.meeting);
            (roster.len() == count).then_some(roster)
        });
        assert!(roster.iter().all(|one| one["entered"] == "remembered"), "{roster:?}");
    }
    seen.back = redialled.elapsed();

    // A code at which so many guessed before the kill lets nobody in by itself after it.
    if seen.spent >= CODE_TRIES {
        let keys = entry(&guarded.host, &guarded.meeting);
        let _right = dial(Plan { keys, ..plan(door, &format!("+1555{:07}", 900_000 + round)) });
        eventually("the right code leads to the lobby alone", ANSWER + KEYS + JOINED, || {
            let roster = api.get(&format!("/meetings/{}/roster", guarded.meeting.id)).good();
            assert_eq!(roster["items"].as_array().map(Vec::len), Some(0), "the budget of the code is back");
            let waits = api.items("/calls?live=true&limit=200");
            waits.iter().any(|call| call["state"] == "lobby").then_some(())
        });
    }
    drop((told, again));
    // The ports of this round's calls rest before they are taken again.
    eventually("all calls are over", BACK, || api.items("/calls?live=true").is_empty().then_some(()));
    seen
}

/// Dials with the wrong code of a meeting, from a number of its own that nobody vouches for less.
fn guess(door: &Doorline, room: &Room, round: usize, n: usize) -> Call {
    let code: usize = room.meeting.code().parse().expect("a code is a number");
    let wrong = (code + 1 + n) % 10_000;
    let keys = format!("{}#{wrong:04}#", room.host.pin).parse().expect("they are keys");
    let number = format!("+1555{:07}", 800_000 + round * 100 + n);
    Call::dial(Plan { keys, ..plan(door, &number) }).expect("the phone works")
}

fn plan(door: &Doorline, number: &str) -> Plan {
    let plan = Plan::new(&door.uri(), number).expect("the plan is good");
    Plan { local: lab(1).into(), presentation: Presentation::Asserted, ..plan }
}

/// All remembered numbers of a host, from every page.
fn api_verified(api: &Api, host: &Host) -> Vec<String> {
    let (mut numbers, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/hosts/{}/verified-numbers?limit=200{cursor}", host.id)).good();
        let items = page["items"].as_array().expect("a list has items");
        numbers.extend(items.iter().filter_map(|item| item["number"].as_str().map(str::to_owned)));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return numbers,
        }
    }
}

/// How many tries the database file holds as spent: at a meeting's code, and by all numbers.
fn tries_on_disk(door: &Doorline, meeting: &Meeting) -> (usize, usize) {
    let file = door.data_dir().join("doorline.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio starts");
    let tries = runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(file);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
        let query = "SELECT tries FROM guesses WHERE counter = ?1 AND (?2 IS NULL OR subject = ?2)";
        let of = async |counter: &'static str, subject: Option<&str>| {
            sqlx::query_scalar::<_, String>(query).bind(counter).bind(subject).fetch_all(&pool).await
        };
        let rows = (of("code", Some(&meeting.id)).await?, of("number", None).await?);
        pool.close().await;
        Ok::<_, sqlx::Error>(rows)
    });
    let (code, numbers) = tries.expect("the database file can be read");
    let count = |rows: Vec<String>| {
        let times = |row: String| serde_json::from_str::<Vec<i64>>(&row).expect("tries are a list of times");
        rows.into_iter().map(|row| times(row).len()).sum()
    };
    (count(code), count(numbers))
}

/// A figure from the environment.
fn wanted(name: &str, otherwise: usize) -> usize {
    std::env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
}

/// From 0 to 1.
fn random() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).expect("the system's random source works");
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}
