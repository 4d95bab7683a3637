//! What wrong entries cost: the ladder in the database, step by step the same as the pure one, and
//! what an attacker gets out of a year.

use std::time::Duration;

use doorline::bridge::guess::{Aim, Attempt, Counter, Ladder, Limits, Proved, Spent, Tried};
use doorline::bridge::view::MeetingKind;
use doorline::bridge::{Answer, Question};
use doorline::store::{Host, Meeting, NewHost, NewMeeting, Settings, Store};
use doorline::types::{Code, HostId, HostPin, MeetingId, Pin};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

struct House {
    folder: TempDir,
    store: Store,
    now: Timestamp,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Self::open(&folder).await;
        Self { folder, store, now: "2026-03-02T10:00:00Z".parse().unwrap() }
    }

    async fn open(folder: &TempDir) -> Store {
        let url = format!("sqlite:{}", folder.path().join("doorline.db").display());
        Store::open(&Settings { url, key_file: folder.path().join("key") }).await.unwrap()
    }

    async fn reopened(self) -> Self {
        self.store.close().await;
        let store = Self::open(&self.folder).await;
        Self { store, ..self }
    }

    async fn host(&self) -> (Host, HostPin) {
        let new = NewHost { name: "Ada".into(), email: "ada@example.com".into(), ..NewHost::default() };
        self.store.add_host(&new, 9, self.now).await.unwrap()
    }

    async fn one_time(&self, host: HostId) -> Meeting {
        let new = NewMeeting {
            kind: MeetingKind::OneTime,
            title: "Budget".to_owned(),
            starts_at: self.now,
            ends_at: self.now + SignedDuration::from_hours(1),
            time_zone: None,
            recurrence: None,
            invitees: vec![],
            known_callers: None,
            wait_for_moderator: false,
        };
        self.store.add_meeting(host, &new, self.now).await.unwrap()
    }

    async fn code(
        &self,
        host: HostId,
        meetings: &[MeetingId],
        code: &Code,
        by: &Attempt,
    ) -> (Option<MeetingId>, Tried) {
        let (meetings, code, by) = (meetings.to_vec(), code.clone(), by.clone());
        match self.store.answer(Question::Code { host: Some(host), meetings, code, by }, self.now).await {
            Answer::Code { proved, tried } => (proved, tried),
            other => panic!("{other:?}"),
        }
    }

    async fn pin(&self, pin: &Pin, by: &Attempt) -> (Option<HostId>, Tried) {
        match self.store.answer(Question::Host { pin: pin.clone(), by: by.clone() }, self.now).await {
            Answer::Pin { host, tried } => (host.map(|host| host.id), tried),
            other => panic!("{other:?}"),
        }
    }

    async fn host_pin(&self, host: HostId, pin: &HostPin, by: &Attempt) -> (bool, Tried) {
        match self.store.answer(Question::HostPin { host, pin: pin.clone(), by: by.clone() }, self.now).await
        {
            Answer::HostPin { right, tried } => (right, tried),
            other => panic!("{other:?}"),
        }
    }

    async fn give_back(&self, wrong: Vec<Spent>, proved: Proved) {
        let answer = self.store.answer(Question::GiveBack { wrong, proved }, self.now).await;
        assert_eq!(answer, Answer::Done);
    }
}

/// Over a trunk that vouches for nobody, or from a number that its carrier vouches for.
fn from(number: Option<&str>, trunk: &str) -> Attempt {
    Attempt { number: number.map(|number| number.parse().unwrap()), trunk: trunk.to_owned() }
}

fn wrong_code(right: &Code) -> Code {
    Code::parse(if right.reveal() == "4827" { "4828" } else { "4827" }).unwrap()
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

// -- the table and the ladder --

/// The same random story for both: PINs, codes and host PINs, right and wrong, from believed numbers
/// and others; tries given back; renewed secrets; days that pass; restarts.
#[tokio::test]
async fn the_database_counts_as_the_pure_ladder_does() {
    for seed in 1..=3 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut house = House::new().await;
        let limits = Limits { trunk_tries: 12, ..Limits::default() };
        house.store.set_limits(limits.clone());
        let mut ladder = Ladder::new(limits.clone());
        let mut hosts = vec![house.host().await, house.host().await];
        let mut meetings = Vec::new();
        for (host, _) in &hosts {
            meetings.push([house.one_time(host.id).await, house.one_time(host.id).await]);
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
                    let (found, tried) = house.pin(pin, by).await;
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
                    let (proved, tried) = house.code(host.id, asked, &code, by).await;
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
                    let (good, tried) = house.host_pin(host.id, &pin, by).await;
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
                    house.give_back(wrong.clone(), proved).await;
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

#[tokio::test]
async fn a_hundred_calls_at_once_share_no_last_try() {
    let house = House::new().await;
    let (host, _) = house.host().await;
    let meeting = house.one_time(host.id).await;
    let wrong = wrong_code(meeting.code.as_ref().unwrap());
    let tries = (0..100).map(|call| {
        let (house, wrong, number) = (&house, &wrong, format!("+44207946{call:04}"));
        async move { house.code(host.id, &[meeting.id], wrong, &from(Some(&number), "lab")).await.1 }
    });
    let tried = futures_util::future::join_all(tries).await;
    assert_eq!(tried.iter().filter(|tried| !tried.exhausted).count(), 5);
    let last: Vec<_> = tried.iter().flat_map(|tried| &tried.used_up).collect();
    assert_eq!(last, [&Counter::Code(meeting.id)], "one call is told that it was the last");
    assert!(house.store.code_used_up(meeting.id, house.now).await.unwrap());
    // Even with the right one now.
    let right = meeting.code.unwrap();
    let (proved, tried) = house.code(host.id, &[meeting.id], &right, &from(None, "lab")).await;
    assert_eq!((proved, tried.exhausted), (Some(meeting.id), true));
}

#[tokio::test]
async fn hundreds_who_come_at_once_with_the_right_code_use_nothing_up() {
    let house = House::new().await;
    let (host, _) = house.host().await;
    let meeting = house.one_time(host.id).await;
    let code = meeting.code.clone().unwrap();
    let one_office = from(Some("+442079460001"), "lab");
    let meetings = [meeting.id];
    let tries = (0..200).map(|_| house.code(host.id, &meetings, &code, &one_office));
    for (proved, tried) in futures_util::future::join_all(tries).await {
        assert_eq!((proved, tried.compared, tried.exhausted), (Some(meeting.id), true, false));
    }
}

#[tokio::test]
async fn a_restart_gives_no_try_back() {
    let mut house = House::new().await;
    let (host, host_pin) = house.host().await;
    let meeting = house.one_time(host.id).await;
    let (right, number) = (meeting.code.clone().unwrap(), from(Some("+442079460001"), "lab"));
    let (wrong, wrong_pin) = (wrong_code(&right), wrong_host_pin(&host_pin));
    for _ in 0..5 {
        assert_eq!(house.code(host.id, &[meeting.id], &wrong, &number).await.0, None);
        assert!(!house.host_pin(host.id, &wrong_pin, &from(None, "lab")).await.0);
        house = house.reopened().await;
    }
    assert!(house.code(host.id, &[meeting.id], &right, &from(None, "lab")).await.1.exhausted);
    let (opens, tried) = house.host_pin(host.id, &host_pin, &from(None, "lab")).await;
    assert_eq!((opens, tried.exhausted), (false, true), "a host PIN that is used up opens nothing");
    for _ in 0..4 {
        assert!(house.pin(&Pin::parse("000000001").unwrap(), &number).await.1.compared);
        house = house.reopened().await;
    }
    assert!(!house.pin(&host.pin, &number).await.1.compared);
    let used_up = house.store.used_up(host.id, house.now).await.unwrap();
    assert!(used_up.host_pin && !used_up.codes);
}

#[tokio::test]
async fn rows_that_have_no_effect_any_more_are_pruned() {
    let mut house = House::new().await;
    let (host, _) = house.host().await;
    let meeting = house.one_time(host.id).await;
    let wrong = wrong_code(meeting.code.as_ref().unwrap());
    for caller in [from(Some("+442079460001"), "lab"), from(None, "lab")] {
        house.code(host.id, &[meeting.id], &wrong, &caller).await;
    }
    // The code, the host, the number and the trunk.
    house.now += Duration::from_secs(25 * 3_600);
    assert_eq!(house.store.prune_guesses(house.now).await.unwrap(), 2, "number and trunk");
    house.store.remove_host(host.id, house.now).await.unwrap();
    assert_eq!(house.store.prune_guesses(house.now).await.unwrap(), 2, "code and host");
}

// -- a year of attacks --

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
