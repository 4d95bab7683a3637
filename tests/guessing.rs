//! What an attacker gets out of a year of guessing, by the ladder's defaults.
//!
//! The ladder that is asked here is the one that the database keeps: tests/store holds the two
//! together, step by step.

use std::time::Duration;

use doorline::bridge::guess::{Aim, Attempt, Ladder, Limits, Proved};
use doorline::types::{HostId, MeetingId};
use jiff::Timestamp;

/// Over a trunk that vouches for nobody, or from a number that its carrier vouches for.
fn from(number: Option<&str>, trunk: &str) -> Attempt {
    Attempt { number: number.map(|number| number.parse().unwrap()), trunk: trunk.to_owned() }
}

const ADA: HostId = HostId::numbered(1);
const YEAR: u64 = 365;
const CODES: f64 = 10_000.0;
const HOST_PINS: f64 = 1_000_000.0;
const PINS: f64 = 1_000_000_000.0;
/// What an account may be worth to an attacker in a year, at most.
const SUCCESS_MAX: f64 = 1.0e-3;

fn morning(day: u64) -> Timestamp {
    let start: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
    start + Duration::from_secs(day * 86_400)
}

/// How many tries of a year could have opened something: those that were compared while a right code
/// would not have gone to the lobby. `tries` are made against each day's meeting.
fn a_year(tries: u64, mut by: impl FnMut(u64, u64) -> Attempt) -> f64 {
    let mut ladder = Ladder::new(Limits::default());
    let mut chances = 0.0;
    for day in 0..YEAR {
        let aim = Aim::Codes { host: Some(ADA), meetings: vec![MeetingId::numbered(u128::from(100 + day))] };
        for attempt in 0..tries {
            let tried = ladder.spend(&by(day, attempt), &aim, morning(day));
            chances += f64::from(u8::from(tried.compared && !tried.exhausted));
        }
    }
    chances / CODES
}

fn number(n: u64) -> String {
    format!("+4420{:08}", 10_000_000 + n)
}

/// Every attacker of whom we thought, with the success of one year against one account.
fn attackers() -> Vec<(&'static str, f64)> {
    let mut attackers = vec![
        (
            "knows PIN and times, one number that a carrier vouches for",
            a_year(1_000, |_, _| from(Some(&number(0)), "lab")),
        ),
        (
            "knows PIN and times, a new number for each try",
            a_year(1_000, |day, attempt| from(Some(&number(day * 1_000 + attempt)), "lab")),
        ),
        ("knows PIN and times, claims numbers over one trunk", a_year(1_000, |_, _| from(None, "lab"))),
        (
            "knows PIN and times, claims numbers over fifty trunks",
            a_year(1_000, |_, attempt| from(None, &format!("trunk-{}", attempt % 50))),
        ),
    ];

    // A guest of the weekly meeting: two wrong tries at the one beside it, then the right code.
    let mut ladder = Ladder::new(Limits::default());
    let mut chances = 0.0;
    let weekly = MeetingId::numbered(1);
    for day in (0..YEAR).step_by(7) {
        let other = MeetingId::numbered(u128::from(100 + day));
        for call in 0..200 {
            let by = from(Some(&number(call)), "lab");
            let mut wrong = Vec::new();
            for _ in 0..2 {
                let aim = Aim::Codes { host: Some(ADA), meetings: vec![weekly, other] };
                let useful = !ladder.sends_to_lobby(ADA, other, morning(day));
                let tried = ladder.spend(&by, &aim, morning(day));
                chances += f64::from(u8::from(tried.compared && useful));
                wrong.extend(tried.spent);
            }
            ladder.give_back(&wrong, Proved::Code(weekly), morning(day));
        }
    }
    attackers.push(("is a guest of the weekly meeting, tries those beside it", chances / CODES));

    // The host PIN: in meetings, by `*0`, from new numbers.
    let mut ladder = Ladder::new(Limits::default());
    let mut chances = 0.0;
    for day in 0..YEAR {
        for attempt in 0..1_000 {
            let by = from(Some(&number(day * 1_000 + attempt)), "lab");
            let tried = ladder.spend(&by, &Aim::HostPin { host: ADA }, morning(day));
            chances += f64::from(u8::from(tried.compared && !tried.exhausted));
        }
    }
    attackers.push(("guesses the host PIN", chances / HOST_PINS));

    // PINs at random, at all hours, for a standard meeting; a try hits one given account with 1e-9.
    for (name, numbers, given_back) in [
        ("guesses nine-digit PINs, 1 believed number", 1, false),
        ("guesses nine-digit PINs, 100 believed numbers", 100, false),
        ("has a PIN of their own and 100 believed numbers", 100, true),
    ] {
        let mut ladder = Ladder::new(Limits::default());
        let mut chances = 0.0;
        for day in 0..YEAR {
            let date = morning(day);
            for line in 0..numbers {
                let by = from(Some(&number(line)), "lab");
                for _ in 0..40 {
                    let tried = ladder.spend(&by, &Aim::Pin, date);
                    chances += f64::from(u8::from(tried.compared));
                    if given_back {
                        ladder.give_back(&tried.spent.into_iter().collect::<Vec<_>>(), Proved::Pin, date);
                    }
                }
            }
        }
        attackers.push((name, chances / PINS));
    }
    let mut ladder = Ladder::new(Limits::default());
    let mut chances = 0.0;
    for day in 0..YEAR {
        for minute in 0..1_440 {
            let date = morning(day) + Duration::from_secs(minute * 60);
            for trunk in 0..10 {
                let tried = ladder.spend(&from(None, &format!("trunk-{trunk}")), &Aim::Pin, date);
                chances += f64::from(u8::from(tried.compared));
            }
        }
    }
    attackers.push(("guesses nine-digit PINs, claims numbers over ten trunks", chances / PINS));
    attackers
}

#[test]
fn no_attacker_of_a_year_opens_an_account_with_more_than_one_in_a_thousand() {
    let attackers = attackers();
    println!("{:<62} {:>10}", "who", "a year");
    for (who, success) in &attackers {
        println!("{who:<62} {success:>10.1e}");
    }
    for (who, success) in &attackers {
        assert!(*success <= SUCCESS_MAX, "{who}: {success:.1e}");
    }
    // The figure that we promise, neither more nor less: nine tries at 10,000 codes.
    assert!((attackers[1].1 - 9.0e-4).abs() < 1.0e-9, "{:?}", attackers[1]);
    assert!((attackers[5].1 - 5.0e-6).abs() < 1.0e-9, "{:?}", attackers[5]);
}
