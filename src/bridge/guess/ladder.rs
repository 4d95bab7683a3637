//! The ladder: all counters, and what a try does to them. Pure, in virtual time.
//!
//! The store keeps the same tallies in a table: for each try it loads those that matter into a small
//! ladder, asks it, and writes them back, all in one transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Aim, Attempt, Counter, Limits, Spent, Tally, Tried};
use crate::types::{HostId, MeetingId};

/// All counters, or those that one try needs.
#[derive(Clone, Debug)]
pub struct Ladder {
    limits: Limits,
    tallies: BTreeMap<Counter, Tally>,
}

/// What a call that succeeded had shown in the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proved {
    /// The PIN alone, or a phone that was remembered.
    Pin,
    Code(MeetingId),
    HostPin,
}

impl Ladder {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, tallies: BTreeMap::new() }
    }

    /// Puts a tally in that was kept elsewhere.
    pub fn load(&mut self, counter: Counter, tally: Tally) {
        self.tallies.insert(counter, tally);
    }

    /// As it stands now; `None` when it is empty.
    #[must_use]
    pub fn tally(&self, counter: &Counter) -> Option<&Tally> {
        self.tallies.get(counter)
    }

    /// Spends a try, before anything is compared. A caller whose own budget is used up spends nothing.
    pub fn spend(&mut self, by: &Attempt, aim: &Aim, date: Timestamp) -> Tried {
        let now = date.as_millisecond();
        let caller = by.counter();
        let mut counters = aim.counters();
        let (tally, limits) = self.settled(&caller, now);
        let level = tally.level(limits, now);
        let mut tried = Tried {
            compared: true,
            delay: self.limits.delay_step.saturating_mul(level).min(self.limits.delay_max),
            exhausted: false,
            spent: None,
            used_up: Vec::new(),
        };
        if !aim.costs_the_caller() {
            return tried;
        }
        if self.is_full(&caller, now) {
            return Tried { compared: false, ..tried };
        }
        // A budget that is used up needs no more counting, and what is tried against none but such
        // costs the host nothing: it opens nothing.
        let before = counters.len();
        counters.retain(|counter| !self.is_full(counter, now));
        tried.exhausted = counters.len() < before;
        if !counters.iter().any(|counter| matches!(counter, Counter::Code(_) | Counter::HostPin(_))) {
            counters.clear();
        }
        let targets = counters.clone();
        counters.push(caller);
        for counter in &counters {
            let (tally, limits) = self.settled(counter, now);
            tally.spend(limits, now);
        }
        tried.used_up = targets.into_iter().filter(|counter| self.is_full(counter, now)).collect();
        tried.spent = Some(Spent { counters, at: now });
        tried
    }

    /// It was right: it never was a wrong try. Those who come at the same time as many others, all with
    /// the right code, do not use it up for each other.
    pub fn was_right(&mut self, tried: &mut Tried) {
        tried.used_up.clear();
        let Some(spent) = tried.spent.take() else { return };
        for counter in &spent.counters {
            if let Some(tally) = self.tallies.get_mut(counter) {
                tally.take_back(&self.limits, spent.at);
            }
        }
    }

    /// The call succeeded: its wrong tries are given back, as far as they were about what it proved
    /// then. Who knows the code of one meeting shall not try another meeting's for nothing.
    pub fn give_back(&mut self, wrong: &[Spent], proved: Proved, date: Timestamp) {
        let now = date.as_millisecond();
        for spent in wrong {
            let of_this = |counter: &Counter| match (counter, proved) {
                (Counter::Code(meeting), Proved::Code(proved)) => *meeting == proved,
                (Counter::HostPin(_), Proved::HostPin) => true,
                (Counter::Code(_) | Counter::HostPin(_), _) => false,
                (
                    Counter::CodesOf(_) | Counter::HostPinsOf(_) | Counter::Number(_) | Counter::Trunk(_),
                    _,
                ) => true,
            };
            let all_of_this = spent.counters.iter().all(of_this);
            for counter in &spent.counters {
                let callers = matches!(counter, Counter::Number(_) | Counter::Trunk(_));
                let all_codes = matches!(counter, Counter::CodesOf(_) | Counter::HostPinsOf(_));
                if callers || (of_this(counter) && (!all_codes || all_of_this)) {
                    let (tally, limits) = self.settled(counter, now);
                    tally.give_back(counter, limits, spent.at, now);
                }
            }
        }
    }

    /// Callers who are not verified go to the lobby even with the right code: too many wrong ones
    /// were tried against this code, or against this host.
    pub fn sends_to_lobby(&mut self, host: HostId, code: MeetingId, date: Timestamp) -> bool {
        let now = date.as_millisecond();
        self.is_full(&Counter::Code(code), now) || self.is_full(&Counter::CodesOf(host), now)
    }

    /// No try is left.
    pub fn is_used_up(&mut self, counter: &Counter, date: Timestamp) -> bool {
        self.is_full(counter, date.as_millisecond())
    }

    /// A new PIN: an attacker must learn it first.
    pub fn new_pin(&mut self, host: HostId) {
        self.tallies.remove(&Counter::CodesOf(host));
        self.tallies.remove(&Counter::HostPinsOf(host));
    }

    pub fn new_code(&mut self, meeting: MeetingId) {
        self.tallies.remove(&Counter::Code(meeting));
    }

    pub fn new_host_pin(&mut self, host: HostId) {
        self.tallies.remove(&Counter::HostPin(host));
    }

    /// Drops what has no effect any more.
    pub fn prune(&mut self, date: Timestamp) {
        let now = date.as_millisecond();
        let limits = &self.limits;
        self.tallies.retain(|counter, tally| {
            tally.settle(counter, limits, now);
            tally.void_at(counter, limits).is_none_or(|at| at > now)
        });
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tallies.is_empty()
    }

    fn is_full(&mut self, counter: &Counter, now: i64) -> bool {
        let (tally, limits) = self.settled(counter, now);
        tally.is_full(counter, limits, now)
    }

    /// A counter without what does not count any more, and the figures to judge it by.
    fn settled(&mut self, counter: &Counter, now: i64) -> (&mut Tally, &Limits) {
        let tally = self.tallies.entry(counter.clone()).or_insert_with(|| Tally::empty(counter));
        tally.settle(counter, &self.limits, now);
        (tally, &self.limits)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ADA: HostId = HostId::numbered(1);
    const REVIEW: MeetingId = MeetingId::numbered(2);
    const ANNA: Option<&str> = Some("+442079460001");
    const BERT: Option<&str> = Some("+442079460002");

    fn start() -> Timestamp {
        "2026-03-02T09:00:00Z".parse().unwrap()
    }

    fn after(seconds: u64) -> Timestamp {
        start().checked_add(Duration::from_secs(seconds)).unwrap()
    }

    fn from(number: Option<&str>) -> Attempt {
        Attempt { number: number.map(|number| number.parse().unwrap()), trunk: "lab".to_owned() }
    }

    fn codes(meetings: &[MeetingId]) -> Aim {
        Aim::Codes { host: Some(ADA), meetings: meetings.to_vec() }
    }

    fn wrong(ladder: &mut Ladder, number: Option<&str>, meetings: &[MeetingId], date: Timestamp) -> Tried {
        ladder.spend(&from(number), &codes(meetings), date)
    }

    #[test]
    fn five_wrong_tries_at_a_code_send_its_callers_to_the_lobby() {
        let mut ladder = Ladder::new(Limits::default());
        for tries in 0..5 {
            assert!(!ladder.sends_to_lobby(ADA, REVIEW, start()), "after {tries}");
            let tried = wrong(&mut ladder, None, &[REVIEW], start());
            assert!(!tried.exhausted, "after {tries}");
            let last = if tries == 4 { vec![Counter::Code(REVIEW)] } else { vec![] };
            assert_eq!(tried.used_up, last, "after {tries}");
        }
        assert!(ladder.sends_to_lobby(ADA, REVIEW, start()));
        assert!(wrong(&mut ladder, None, &[REVIEW], start()).exhausted);
        ladder.new_code(REVIEW);
        assert!(!ladder.sends_to_lobby(ADA, REVIEW, start()));
    }

    #[test]
    fn nine_wrong_tries_at_a_hosts_codes_in_a_year_do_so_for_all_of_them() {
        let tried = || {
            let mut ladder = Ladder::new(Limits::default());
            for code in 0..9 {
                let _ = wrong(&mut ladder, None, &[MeetingId::numbered(100 + code)], start());
            }
            ladder
        };
        let mut ladder = tried();
        assert!(ladder.sends_to_lobby(ADA, REVIEW, start()));
        assert!(!ladder.sends_to_lobby(ADA, REVIEW, after(366 * 86_400)));
        let mut renewed = tried();
        renewed.new_pin(ADA);
        assert!(!renewed.sends_to_lobby(ADA, REVIEW, start()));
    }

    #[test]
    fn many_who_come_at_once_with_the_right_code_use_nothing_up() {
        let mut ladder = Ladder::new(Limits::default());
        for caller in 0..1_000 {
            let mut tried = wrong(&mut ladder, ANNA, &[REVIEW], start());
            assert!(tried.compared && !tried.exhausted, "caller {caller}");
            ladder.was_right(&mut tried);
            assert_eq!((tried.spent, tried.used_up), (None, vec![]));
        }
        ladder.prune(start());
        assert!(ladder.is_empty());
    }

    #[test]
    fn wrong_tries_of_a_call_that_succeeds_are_given_back() {
        let mut ladder = Ladder::new(Limits::default());
        for day in 0..50 {
            let date = after(day * 86_400);
            let spent = wrong(&mut ladder, ANNA, &[REVIEW], date).spent.unwrap();
            ladder.give_back(&[spent], Proved::Code(REVIEW), date);
            assert!(!ladder.sends_to_lobby(ADA, REVIEW, date), "day {day}");
        }
        ladder.prune(after(60 * 86_400));
        assert!(ladder.is_empty());
    }

    #[test]
    fn who_knows_one_code_does_not_try_another_for_nothing() {
        let other = MeetingId::numbered(3);
        let mut ladder = Ladder::new(Limits::default());
        let mut tries = 0;
        while !ladder.sends_to_lobby(ADA, other, start()) {
            let spent = wrong(&mut ladder, ANNA, &[REVIEW, other], start()).spent.unwrap();
            ladder.give_back(&[spent], Proved::Code(REVIEW), start());
            tries += 1;
        }
        assert_eq!(tries, 5);
        assert!(!ladder.sends_to_lobby(ADA, REVIEW, start()), "the one that is known stays open");
    }

    #[test]
    fn who_knows_one_pin_tries_others_at_most_twice_as_often() {
        let mut ladder = Ladder::new(Limits::default());
        let mut tries = 0;
        loop {
            let tried = ladder.spend(&from(ANNA), &Aim::Pin, start());
            let Some(spent) = tried.spent else { break };
            tries += 1;
            ladder.give_back(&[spent], Proved::Pin, start());
        }
        assert_eq!(tries, 18);
    }

    #[test]
    fn a_believed_number_is_kept_out_for_a_day_after_nine_wrong_tries() {
        let mut ladder = Ladder::new(Limits::default());
        for hour in 0..9 {
            assert!(wrong(&mut ladder, ANNA, &[], after(hour * 3_600)).compared);
        }
        let eight = 8 * 3_600;
        for (name, seconds, compared) in [
            ("at once", eight, false),
            ("a day after the first", 86_400, false),
            ("nearly a day after the last", eight + 86_399, false),
            ("a day after the last", eight + 86_400, true),
        ] {
            assert_eq!(wrong(&mut ladder, ANNA, &[], after(seconds)).compared, compared, "{name}");
        }
        assert!(wrong(&mut ladder, BERT, &[], after(eight)).compared);
    }

    #[test]
    fn numbers_that_nobody_vouches_for_share_their_trunks_bucket_and_wait_longer() {
        let mut ladder = Ladder::new(Limits::default());
        let mut delays = Vec::new();
        for number in 0..200 {
            let tried = wrong(&mut ladder, None, &[], start());
            assert!(tried.compared, "kept out after {number}");
            delays.push(tried.delay.as_secs());
        }
        assert_eq!(delays[..10], [0, 2, 4, 6, 8, 10, 12, 14, 15, 15]);
        let refused = wrong(&mut ladder, None, &[], start());
        assert_eq!((refused.compared, refused.spent), (false, None));
        // 200 a day: one more every 432 seconds.
        assert!(!wrong(&mut ladder, None, &[], after(431)).compared);
        assert!(wrong(&mut ladder, None, &[], after(432)).compared);
        // Another trunk is not touched, nor are numbers that are believed.
        let elsewhere = Attempt { trunk: "other".to_owned(), ..from(None) };
        assert!(ladder.spend(&elsewhere, &Aim::Pin, start()).compared);
        assert!(wrong(&mut ladder, ANNA, &[], start()).compared);
    }

    #[test]
    fn a_pin_that_is_nobodys_is_paid_for_once() {
        let mut ladder = Ladder::new(Limits::default());
        let nobody = Aim::Codes { host: None, meetings: vec![] };
        for _ in 0..9 {
            assert!(ladder.spend(&from(ANNA), &Aim::Pin, start()).spent.is_some());
            assert_eq!(ladder.spend(&from(ANNA), &nobody, start()).spent, None);
        }
        assert!(!ladder.spend(&from(ANNA), &Aim::Pin, start()).compared);
    }

    #[test]
    fn host_pins_have_counters_of_their_own() {
        let mut ladder = Ladder::new(Limits::default());
        let aim = Aim::HostPin { host: ADA };
        for _ in 0..5 {
            assert!(!ladder.spend(&from(None), &aim, start()).exhausted);
        }
        assert!(ladder.spend(&from(None), &aim, start()).exhausted);
        assert!(!ladder.sends_to_lobby(ADA, REVIEW, start()));
        ladder.new_host_pin(ADA);
        for tries in 0..4 {
            assert!(!ladder.spend(&from(None), &aim, start()).exhausted, "after {tries}");
        }
        assert!(ladder.spend(&from(None), &aim, start()).exhausted, "nine in all");
    }

    #[test]
    fn a_clock_that_is_set_back_gives_no_tries() {
        let mut ladder = Ladder::new(Limits::default());
        for _ in 0..200 {
            let _ = wrong(&mut ladder, None, &[], after(3_600));
        }
        for _ in 0..9 {
            let _ = wrong(&mut ladder, ANNA, &[], after(3_600));
        }
        for number in [None, ANNA] {
            assert!(!wrong(&mut ladder, number, &[], start()).compared, "{number:?}");
        }
    }
}
