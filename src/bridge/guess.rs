//! Guessing: what a wrong entry costs. First the rounds of one call, then the ladder of limits
//! across calls, as pure code in virtual time.
//!
//! A code has 10,000 values, so limits per call alone are no defence. A try is *spent before it is
//! compared* and given back when the call succeeds; what stays spent moves the callers of a
//! meeting to the lobby, and a believed number out for a day. A number that nobody vouches for has no
//! counter of its own, or a forger would lock its owner out: those share one bucket per trunk.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;

use crate::types::{HostId, MeetingId, PhoneNumber};

/// Rounds that a call has left for its entries. A wrong entry and a silent prompt cost one each;
/// `*` is free, because the time of a call that is not admitted is bounded as well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Rounds {
    left: u8,
}

/// Rounds of one call.
const ROUNDS: u8 = 3;

impl Rounds {
    pub(crate) const fn new() -> Self {
        Self { left: ROUNDS }
    }

    /// Takes one; whether there is another.
    pub(crate) fn spend(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}

/// The figures of the ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Wrong tries against one code in its life; after them its callers go to the lobby.
    pub code_tries: usize,
    /// Wrong tries against one host's codes within `host_period`, since the last new PIN.
    pub host_tries: usize,
    pub host_period: Duration,
    /// Wrong tries from one believed number within `number_period`; then it is kept out as long.
    pub number_tries: usize,
    pub number_period: Duration,
    /// Wrong tries of all other callers of a trunk, refilled evenly over `trunk_period`.
    pub trunk_tries: u32,
    pub trunk_period: Duration,
    /// More delay for such a caller with each wrong try on this trunk, up to the most.
    pub delay_step: Duration,
    pub delay_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            code_tries: 5,
            host_tries: 9,
            host_period: DAY.saturating_mul(365),
            number_tries: 9,
            number_period: DAY,
            trunk_tries: 200,
            trunk_period: DAY,
            delay_step: Duration::from_secs(2),
            delay_max: Duration::from_secs(15),
        }
    }
}

/// One try, before it is compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Try {
    /// Whose PIN it was, and which codes it is compared with; no host for an unknown PIN.
    pub host: Option<HostId>,
    pub codes: Vec<MeetingId>,
    /// A number at trust `network` or better.
    pub number: Option<PhoneNumber>,
    pub trunk: String,
}

/// What a caller may expect who tries now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Compared, after this much more delay than usual.
    Compared { delay: Duration },
    /// Not even compared: told the one sentence, and the good-bye.
    KeptOut,
}

/// A spent try, to be given back if the call succeeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Spent {
    what: Try,
    at: Timestamp,
}

/// All counters. Bounded: what has left its period is dropped when it is looked at or pruned.
#[derive(Clone, Debug)]
pub struct Ladder {
    limits: Limits,
    codes: BTreeMap<MeetingId, usize>,
    hosts: BTreeMap<HostId, VecDeque<Timestamp>>,
    numbers: BTreeMap<PhoneNumber, VecDeque<Timestamp>>,
    trunks: BTreeMap<String, Bucket>,
}

/// A leaky bucket of wrong tries: how full it was when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: Timestamp,
}

impl Ladder {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            codes: BTreeMap::new(),
            hosts: BTreeMap::new(),
            numbers: BTreeMap::new(),
            trunks: BTreeMap::new(),
        }
    }

    /// Spends a try, unless its caller is kept out: then nothing is spent and nothing compared.
    pub fn spend(&mut self, what: Try, date: Timestamp) -> (Standing, Option<Spent>) {
        let delay = match &what.number {
            Some(number) => {
                let tries = self.numbers.entry(number.clone()).or_default();
                forget_old(tries, self.limits.number_period, date);
                if tries.len() >= self.limits.number_tries {
                    return (Standing::KeptOut, None);
                }
                tries.push_back(date);
                Duration::ZERO
            }
            None => {
                let most = f64::from(self.limits.trunk_tries);
                let level = self.level(&what.trunk, date);
                if level + 1.0 > most {
                    return (Standing::KeptOut, None);
                }
                self.trunks.insert(what.trunk.clone(), Bucket { level: level + 1.0, at: date });
                self.limits.delay_step.mul_f64(level.floor()).min(self.limits.delay_max)
            }
        };
        for code in &what.codes {
            *self.codes.entry(*code).or_default() += 1;
        }
        if let Some(host) = what.host
            && !what.codes.is_empty()
        {
            self.hosts.entry(host).or_default().push_back(date);
        }
        (Standing::Compared { delay }, Some(Spent { what, at: date }))
    }

    /// The call succeeded: the try is given back.
    pub fn give_back(&mut self, spent: &Spent, date: Timestamp) {
        let Spent { what, at } = spent;
        for code in &what.codes {
            if let Some(tries) = self.codes.get_mut(code) {
                *tries = tries.saturating_sub(1);
            }
        }
        let take_back = |tries: Option<&mut VecDeque<Timestamp>>| {
            if let Some(tries) = tries
                && let Some(place) = tries.iter().position(|date| date == at)
            {
                tries.remove(place);
            }
        };
        take_back(what.host.and_then(|host| self.hosts.get_mut(&host)));
        match &what.number {
            Some(number) => take_back(self.numbers.get_mut(number)),
            None => {
                let level = (self.level(&what.trunk, date) - 1.0).max(0.0);
                self.trunks.insert(what.trunk.clone(), Bucket { level, at: date });
            }
        }
    }

    /// Callers who are not verified go to the lobby even with the right code: too many wrong ones
    /// were tried against this code, or against this host.
    pub fn sends_to_lobby(&mut self, host: HostId, code: MeetingId, date: Timestamp) -> bool {
        let tries = self.hosts.entry(host).or_default();
        forget_old(tries, self.limits.host_period, date);
        tries.len() >= self.limits.host_tries
            || self.codes.get(&code).is_some_and(|tries| *tries >= self.limits.code_tries)
    }

    /// A new PIN: an attacker must learn it first.
    pub fn new_pin(&mut self, host: HostId) {
        self.hosts.remove(&host);
    }

    /// A new code, or the meeting is over.
    pub fn new_code(&mut self, meeting: MeetingId) {
        self.codes.remove(&meeting);
    }

    /// Drops what has no effect any more.
    pub fn prune(&mut self, date: Timestamp) {
        self.hosts.retain(|_, tries| {
            forget_old(tries, self.limits.host_period, date);
            !tries.is_empty()
        });
        self.numbers.retain(|_, tries| {
            forget_old(tries, self.limits.number_period, date);
            !tries.is_empty()
        });
        self.codes.retain(|_, tries| *tries > 0);
        let trunks: Vec<String> = self.trunks.keys().cloned().collect();
        self.trunks = trunks
            .into_iter()
            .map(|trunk| (self.level(&trunk, date), trunk))
            .filter(|(level, _)| *level > 0.0)
            .map(|(level, trunk)| (trunk, Bucket { level, at: date }))
            .collect();
    }

    /// How full a trunk's bucket is now. A clock that is set back refills nothing.
    fn level(&self, trunk: &str, date: Timestamp) -> f64 {
        let Some(bucket) = self.trunks.get(trunk) else { return 0.0 };
        let passed = date.duration_since(bucket.at).as_secs_f64().max(0.0);
        let refilled = passed * f64::from(self.limits.trunk_tries) / self.limits.trunk_period.as_secs_f64();
        (bucket.level - refilled).max(0.0)
    }
}

fn forget_old(tries: &mut VecDeque<Timestamp>, period: Duration, date: Timestamp) {
    while tries.front().is_some_and(|at| at.checked_add(period).is_ok_and(|end| end <= date)) {
        tries.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: HostId = HostId::numbered(1);
    const REVIEW: MeetingId = MeetingId::numbered(2);

    fn start() -> Timestamp {
        "2026-03-02T09:00:00Z".parse().unwrap()
    }

    fn after(date: Timestamp, seconds: u64) -> Timestamp {
        date.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn guess(code: u32, number: Option<&str>) -> Try {
        Try {
            host: Some(ADA),
            codes: vec![MeetingId::numbered(u128::from(code))],
            number: number.map(|number| number.parse().unwrap()),
            trunk: "lab".to_owned(),
        }
    }

    #[test]
    fn a_call_has_three_rounds() {
        let mut rounds = Rounds::new();
        assert_eq!(
            [rounds.spend(), rounds.spend(), rounds.spend(), rounds.spend()],
            [true, true, false, false]
        );
    }

    #[test]
    fn five_wrong_tries_at_a_code_send_its_callers_to_the_lobby() {
        let mut ladder = Ladder::new(Limits::default());
        for tries in 0..5 {
            assert!(!ladder.sends_to_lobby(ADA, REVIEW, start()), "after {tries}");
            let _ = ladder.spend(guess(2, None), start());
        }
        assert!(ladder.sends_to_lobby(ADA, REVIEW, start()));
        ladder.new_code(REVIEW);
        assert!(!ladder.sends_to_lobby(ADA, REVIEW, start()));
    }

    #[test]
    fn nine_wrong_tries_at_a_hosts_codes_in_a_year_do_so_for_all_of_them() {
        let mut ladder = Ladder::new(Limits::default());
        for code in 0..9 {
            let _ = ladder.spend(guess(100 + code, None), after(start(), u64::from(code)));
        }
        assert!(ladder.sends_to_lobby(ADA, REVIEW, start()));
        assert!(!ladder.sends_to_lobby(ADA, REVIEW, after(start(), 366 * 86_400)));
        let mut renewed = Ladder::new(Limits::default());
        for code in 0..9 {
            let _ = renewed.spend(guess(100 + code, None), start());
        }
        renewed.new_pin(ADA);
        assert!(!renewed.sends_to_lobby(ADA, REVIEW, start()));
    }

    #[test]
    fn tries_of_a_call_that_succeeds_are_given_back() {
        let mut ladder = Ladder::new(Limits::default());
        for _ in 0..100 {
            let (standing, spent) = ladder.spend(guess(2, Some("+442079460001")), start());
            assert_eq!(standing, Standing::Compared { delay: Duration::ZERO });
            ladder.give_back(&spent.unwrap(), start());
        }
        assert!(!ladder.sends_to_lobby(ADA, REVIEW, start()));
        ladder.prune(start());
        assert!(ladder.codes.is_empty() && ladder.hosts.is_empty() && ladder.numbers.is_empty());
    }

    #[test]
    fn a_believed_number_is_kept_out_for_a_day_after_nine_wrong_tries() {
        let mut ladder = Ladder::new(Limits::default());
        for _ in 0..9 {
            assert_ne!(ladder.spend(guess(2, Some("+442079460001")), start()).0, Standing::KeptOut);
        }
        assert_eq!(ladder.spend(guess(2, Some("+442079460001")), start()), (Standing::KeptOut, None));
        assert_ne!(ladder.spend(guess(2, Some("+442079460002")), start()).0, Standing::KeptOut);
        let tomorrow = after(start(), 86_400);
        assert_ne!(ladder.spend(guess(2, Some("+442079460001")), tomorrow).0, Standing::KeptOut);
    }

    #[test]
    fn numbers_that_nobody_vouches_for_share_their_trunks_bucket_and_wait_longer() {
        let mut ladder = Ladder::new(Limits::default());
        let mut delays = Vec::new();
        for _ in 0..200 {
            match ladder.spend(guess(2, None), start()).0 {
                Standing::Compared { delay } => delays.push(delay.as_secs()),
                Standing::KeptOut => panic!("kept out after {}", delays.len()),
            }
        }
        assert_eq!(delays[..10], [0, 2, 4, 6, 8, 10, 12, 14, 15, 15]);
        assert_eq!(ladder.spend(guess(2, None), start()).0, Standing::KeptOut);
        // 200 a day: one more every 432 seconds.
        assert_eq!(ladder.spend(guess(2, None), after(start(), 431)).0, Standing::KeptOut);
        assert_ne!(ladder.spend(guess(2, None), after(start(), 433)).0, Standing::KeptOut);
        // Another trunk is not touched, nor are numbers that are believed.
        let elsewhere = Try { trunk: "other".to_owned(), ..guess(2, None) };
        assert_ne!(ladder.spend(elsewhere, start()).0, Standing::KeptOut);
        assert_ne!(ladder.spend(guess(2, Some("+442079460001")), start()).0, Standing::KeptOut);
    }

    /// An attacker who knows the PIN and the time of every meeting, with as many numbers as they
    /// like, tries codes until all callers go to the lobby: nine tries at 10,000 codes a year.
    #[test]
    fn the_yearly_success_of_an_attacker_who_knows_the_pin_is_nine_in_ten_thousand() {
        let mut tries_before_the_lobby = 0;
        let mut ladder = Ladder::new(Limits::default());
        for week in 0..52_u32 {
            // A new meeting with a new code each week, five tries each at most.
            let date = after(start(), u64::from(week) * 7 * 86_400);
            let meeting = MeetingId::numbered(u128::from(1_000 + week));
            for attempt in 0..5 {
                if ladder.sends_to_lobby(ADA, meeting, date) {
                    break;
                }
                let number = format!("+4420794{week:02}{attempt:02}1");
                let (standing, _) = ladder.spend(guess(1_000 + week, Some(&number)), date);
                assert_ne!(standing, Standing::KeptOut);
                tries_before_the_lobby += 1;
            }
        }
        assert_eq!(tries_before_the_lobby, 9);
        let success = f64::from(tries_before_the_lobby) / 10_000.0;
        assert!(success <= 9.0e-4, "{success}");
    }
}
