//! Wrong entries in the database: step by step as the pure ladder has them, shared by no two calls, given
//! back by no restart.

use std::time::Duration;

use doorline::bridge::guess::{Aim, Attempt, Counter, Ladder, Limits, Proved, Spent, Tried};
use doorline::bridge::{Answer, Question};
use doorline::types::{Code, HostId, HostPin, MeetingId, Pin};

use super::{House, wrong};

async fn try_code(
    house: &House,
    host: HostId,
    meetings: &[MeetingId],
    code: &Code,
    by: &Attempt,
) -> (Option<MeetingId>, Tried) {
    let (meetings, code, by) = (meetings.to_vec(), code.clone(), by.clone());
    match house.ask(Question::Code { host: Some(host), meetings, code, by }).await {
        Answer::Code { proved, tried } => (proved, tried),
        other => panic!("{other:?}"),
    }
}

async fn try_pin(house: &House, pin: &Pin, by: &Attempt) -> (Option<HostId>, Tried) {
    match house.ask(Question::Host { pin: pin.clone(), by: by.clone() }).await {
        Answer::Pin { host, tried } => (host.map(|host| host.id), tried),
        other => panic!("{other:?}"),
    }
}

async fn try_host_pin(house: &House, host: HostId, pin: &HostPin, by: &Attempt) -> (bool, Tried) {
    match house.ask(Question::HostPin { host, pin: pin.clone(), by: by.clone() }).await {
        Answer::HostPin { right, tried } => (right, tried),
        other => panic!("{other:?}"),
    }
}

async fn give_back(house: &House, wrong: Vec<Spent>, proved: Proved) {
    assert_eq!(house.ask(Question::GiveBack { wrong, proved }).await, Answer::Done);
}

/// Over a trunk that vouches for nobody, or from a number that its carrier vouches for.
fn from(number: Option<&str>, trunk: &str) -> Attempt {
    Attempt { number: number.map(|number| number.parse().unwrap()), trunk: trunk.to_owned() }
}

fn wrong_host_pin(right: &HostPin) -> HostPin {
    HostPin::parse(if right.reveal() == "482615" { "482616" } else { "482615" }).unwrap()
}

/// xorshift64*: good enough to be unkind.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }
}

/// The same random story for both: PINs, codes and host PINs, right and wrong, from believed numbers
/// and others; tries given back; renewed secrets; days that pass; restarts.
pub async fn the_database_counts_as_the_pure_ladder_does() {
    for seed in 1..=3 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut house = House::new().await;
        let limits = Limits { trunk_tries: 12, ..Limits::default() };
        house.store.set_limits(limits.clone());
        let mut ladder = Ladder::new(limits.clone());
        let mut hosts = vec![house.host_and_pin().await, house.host_and_pin().await];
        let mut meetings = Vec::new();
        for (host, _) in &hosts {
            meetings.push([house.one_time(host.id, 0).await, house.one_time(host.id, 0).await]);
        }
        let nobodys = Pin::parse("000000001").unwrap();
        let callers = [
            from(Some("+442079460001"), "lab"),
            from(Some("+442079460002"), "lab"),
            from(None, "lab"),
            from(None, "other"),
        ];
        let mut spent: Vec<Spent> = Vec::new();
        for step in 0..400 {
            let what = format!("seed {seed}, step {step}");
            let by = &callers[dice.roll(4) as usize];
            let which = dice.roll(2) as usize;
            let right = dice.roll(4) == 0;
            let (host, host_pin) = &hosts[which];
            let both = [meetings[which][0].id, meetings[which][1].id];
            match dice.roll(16) {
                0..=3 => {
                    let pin = if right { &host.pin } else { &nobodys };
                    let (found, tried) = try_pin(&house, pin, by).await;
                    let mut expected = ladder.spend(by, &Aim::Pin, house.now);
                    if right && expected.compared {
                        ladder.was_right(&mut expected);
                    }
                    assert_eq!(found.is_some(), right && expected.compared, "{what}");
                    assert_eq!(tried, expected, "{what}");
                    spent.extend(tried.spent);
                }
                4..=9 => {
                    let asked = if dice.roll(2) == 0 { &both[..1] } else { &both[..] };
                    let code = meetings[which][0].code.clone().unwrap();
                    let code = if right { code } else { Code::parse("1234").unwrap() };
                    let (proved, tried) = try_code(&house, host.id, asked, &code, by).await;
                    let aim = Aim::Codes { host: Some(host.id), meetings: asked.to_vec() };
                    let mut expected = ladder.spend(by, &aim, house.now);
                    if right && expected.compared {
                        ladder.was_right(&mut expected);
                    }
                    assert_eq!(proved.is_some(), right && expected.compared, "{what}");
                    assert_eq!(tried, expected, "{what}");
                    spent.extend(tried.spent);
                }
                10 | 11 => {
                    let pin = if right { host_pin.clone() } else { HostPin::parse("123456").unwrap() };
                    let (good, tried) = try_host_pin(&house, host.id, &pin, by).await;
                    let mut expected = ladder.spend(by, &Aim::HostPin { host: host.id }, house.now);
                    let good_there = right && expected.compared && !expected.exhausted;
                    if good_there {
                        ladder.was_right(&mut expected);
                    }
                    assert_eq!((good, tried.clone()), (good_there, expected), "{what}");
                    spent.extend(tried.spent);
                }
                12 => {
                    let keep = spent.len() - spent.len().min(dice.roll(3) as usize);
                    let wrong = spent.split_off(keep);
                    let proved = [Proved::Pin, Proved::Code(both[0]), Proved::HostPin][dice.roll(3) as usize];
                    give_back(&house, wrong.clone(), proved).await;
                    ladder.give_back(&wrong, proved, house.now);
                }
                13 => match dice.roll(12) {
                    0 => {
                        house.store.new_pin(host.id, 9, house.now).await.unwrap();
                        ladder.new_pin(host.id);
                        hosts[which].0 = house.store.host(hosts[which].0.id).await.unwrap().unwrap();
                    }
                    1 => {
                        let changed = house.store.new_code(both[0], house.now).await.unwrap();
                        ladder.new_code(both[0]);
                        meetings[which][0] = changed;
                    }
                    2 => {
                        let renewed = house.store.new_host_pin(host.id).await.unwrap().unwrap();
                        ladder.new_host_pin(host.id);
                        hosts[which].1 = renewed;
                    }
                    3 => {
                        house = house.reopened().await;
                        house.store.set_limits(limits.clone());
                    }
                    4 => {
                        house.store.prune_guesses(house.now).await.unwrap();
                        ladder.prune(house.now);
                    }
                    _ => {}
                },
                _ => {
                    let ahead = [60, 3_600, 36_000, 90_000, 4_000_000][dice.roll(5) as usize];
                    house.now += Duration::from_secs(dice.roll(ahead));
                }
            }
        }
        let used_up = house.store.used_up(hosts[0].0.id, house.now).await.unwrap();
        assert_eq!(used_up.codes, ladder.is_used_up(&Counter::CodesOf(hosts[0].0.id), house.now));
    }
}

pub async fn a_hundred_calls_at_once_share_no_last_try() {
    let house = House::new().await;
    let (host, _) = house.host_and_pin().await;
    let meeting = house.one_time(host.id, 0).await;
    let wrong = wrong(meeting.code.as_ref().unwrap());
    let tries = (0..100).map(|call| {
        let (house, wrong, number) = (&house, &wrong, format!("+44207946{call:04}"));
        async move { try_code(house, host.id, &[meeting.id], wrong, &from(Some(&number), "lab")).await.1 }
    });
    let tried = futures_util::future::join_all(tries).await;
    assert_eq!(tried.iter().filter(|tried| !tried.exhausted).count(), 5);
    let last: Vec<_> = tried.iter().flat_map(|tried| &tried.used_up).collect();
    assert_eq!(last, [&Counter::Code(meeting.id)], "one call is told that it was the last");
    assert!(house.store.code_used_up(meeting.id, house.now).await.unwrap());
    // Even with the right one now.
    let right = meeting.code.unwrap();
    let (proved, tried) = try_code(&house, host.id, &[meeting.id], &right, &from(None, "lab")).await;
    assert_eq!((proved, tried.exhausted), (Some(meeting.id), true));
}

pub async fn hundreds_who_come_at_once_with_the_right_code_use_nothing_up() {
    let house = House::new().await;
    let (host, _) = house.host_and_pin().await;
    let meeting = house.one_time(host.id, 0).await;
    let code = meeting.code.clone().unwrap();
    let one_office = from(Some("+442079460001"), "lab");
    let meetings = [meeting.id];
    let tries = (0..200).map(|_| try_code(&house, host.id, &meetings, &code, &one_office));
    for (proved, tried) in futures_util::future::join_all(tries).await {
        assert_eq!((proved, tried.compared, tried.exhausted), (Some(meeting.id), true, false));
    }
}

pub async fn a_restart_gives_no_try_back() {
    let mut house = House::new().await;
    let (host, host_pin) = house.host_and_pin().await;
    let meeting = house.one_time(host.id, 0).await;
    let (right, number) = (meeting.code.clone().unwrap(), from(Some("+442079460001"), "lab"));
    let (wrong, wrong_pin) = (wrong(&right), wrong_host_pin(&host_pin));
    for _ in 0..5 {
        assert_eq!(try_code(&house, host.id, &[meeting.id], &wrong, &number).await.0, None);
        assert!(!try_host_pin(&house, host.id, &wrong_pin, &from(None, "lab")).await.0);
        house = house.reopened().await;
    }
    assert!(try_code(&house, host.id, &[meeting.id], &right, &from(None, "lab")).await.1.exhausted);
    let (opens, tried) = try_host_pin(&house, host.id, &host_pin, &from(None, "lab")).await;
    assert_eq!((opens, tried.exhausted), (false, true), "a host PIN that is used up opens nothing");
    for _ in 0..4 {
        assert!(try_pin(&house, &Pin::parse("000000001").unwrap(), &number).await.1.compared);
        house = house.reopened().await;
    }
    assert!(!try_pin(&house, &host.pin, &number).await.1.compared);
    let used_up = house.store.used_up(host.id, house.now).await.unwrap();
    assert!(used_up.host_pin && !used_up.codes);
}

pub async fn rows_that_have_no_effect_any_more_are_pruned() {
    let mut house = House::new().await;
    let (host, _) = house.host_and_pin().await;
    let meeting = house.one_time(host.id, 0).await;
    let wrong = wrong(meeting.code.as_ref().unwrap());
    for caller in [from(Some("+442079460001"), "lab"), from(None, "lab")] {
        try_code(&house, host.id, &[meeting.id], &wrong, &caller).await;
    }
    // The code, the host, the number and the trunk.
    house.now += Duration::from_secs(25 * 3_600);
    assert_eq!(house.store.prune_guesses(house.now).await.unwrap(), 2, "number and trunk");
    house.store.remove_host(host.id, house.now).await.unwrap();
    assert_eq!(house.store.prune_guesses(house.now).await.unwrap(), 2, "code and host");
}
