//! Is the peer there? OPTIONS now and then (RFC 3261 §11), as carriers do it to us.
//!
//! Any final answer is a sign of life, but 503 says that calls should not go there. Two missed in a
//! row are a peer that is down; while it is, it is asked more often, to see it come back.

use std::time::{Duration, Instant};

use super::flow::Flow;
use super::register::part;
use super::uri::Uri;

/// Whom to ask, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Ping {
    pub target: Uri,
    pub interval: Duration,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Health {
    /// Not known yet.
    #[default]
    Unknown,
    Up,
    Down,
}

/// What the machine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    LookUp(Uri),
    /// Send OPTIONS to the target over this flow; the one before is given up.
    Send(Flow),
}

/// An answer later than this is missed.
const PATIENCE: Duration = Duration::from_secs(4);
/// How soon after a miss a peer that is down is asked again, and how long it is waited for.
const WHILE_DOWN: Duration = Duration::from_secs(2);
/// Missed in a row until it is down.
const MISSED_MAX: u8 = 2;
/// A name is not looked up more often than this.
const LOOK_UP_EVERY: Duration = Duration::from_secs(15);
const LOOK_UP_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Pinger {
    ping: Ping,
    health: Health,
    missed: u8,
    flows: Vec<Flow>,
    /// Which of them is asked.
    at: usize,
    looked_up: Option<Instant>,
    /// When the OPTIONS went out that has no answer yet. A late answer is a sign of life too.
    asked: Option<Instant>,
    phase: Phase,
    /// Of the last answer.
    pub round_trip: Option<Duration>,
    pub status: Option<u16>,
}

#[derive(Debug)]
enum Phase {
    Resting { until: Instant },
    LookingUp { until: Instant },
    Waiting { since: Instant },
}

impl Pinger {
    #[must_use]
    pub fn new(ping: Ping, now: Instant) -> Self {
        Self {
            ping,
            health: Health::Unknown,
            missed: 0,
            flows: Vec::new(),
            at: 0,
            looked_up: None,
            asked: None,
            phase: Phase::Resting { until: now },
            round_trip: None,
            status: None,
        }
    }

    #[must_use]
    pub const fn ping(&self) -> &Ping {
        &self.ping
    }

    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// The address that is asked.
    #[must_use]
    pub fn flow(&self) -> Option<Flow> {
        self.flows.get(self.at).copied()
    }

    #[must_use]
    pub fn deadline(&self) -> Instant {
        match self.phase {
            Phase::Resting { until } | Phase::LookingUp { until } => until,
            Phase::Waiting { since } => since + self.patience(),
        }
    }

    /// Its time has come.
    pub fn due(&mut self, now: Instant) -> Option<Want> {
        match self.phase {
            Phase::Resting { until } if now >= until => {
                let is_old = self.looked_up.is_none_or(|at| now >= at + LOOK_UP_EVERY);
                if is_old || self.flows.is_empty() {
                    self.phase = Phase::LookingUp { until: now + LOOK_UP_MAX };
                    return Some(Want::LookUp(self.ping.target.clone()));
                }
                self.ask(now)
            }
            Phase::LookingUp { until } if now >= until => self.looked_up(now, Vec::new()),
            Phase::Waiting { since } if now >= since + self.patience() => {
                self.miss(now);
                None
            }
            Phase::Resting { .. } | Phase::LookingUp { .. } | Phase::Waiting { .. } => None,
        }
    }

    /// Where the target leads; none at all: the old addresses stay.
    pub fn looked_up(&mut self, now: Instant, flows: Vec<Flow>) -> Option<Want> {
        if !matches!(self.phase, Phase::LookingUp { .. }) {
            return None;
        }
        self.looked_up = Some(now);
        if !flows.is_empty() {
            let used = self.flow();
            self.at = used.and_then(|used| flows.iter().position(|flow| *flow == used)).unwrap_or(0);
            self.flows = flows;
        }
        if self.flows.is_empty() {
            self.miss(now);
            return None;
        }
        self.ask(now)
    }

    /// A final answer to the last OPTIONS. `word` must be random.
    pub fn answered(&mut self, now: Instant, status: u16, word: &str) {
        let Some(since) = self.asked.take() else { return };
        self.round_trip = Some(now.saturating_duration_since(since));
        self.status = Some(status);
        self.missed = 0;
        self.health = if status == 503 { Health::Down } else { Health::Up };
        let pause = match self.health {
            Health::Down => WHILE_DOWN,
            // Not all trunks at once.
            Health::Up | Health::Unknown => part(self.ping.interval, word, 90),
        };
        self.phase = Phase::Resting { until: now + pause };
    }

    /// It could not even be sent.
    pub fn unanswered(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.miss(now);
        }
    }

    const fn patience(&self) -> Duration {
        if matches!(self.health, Health::Down) { WHILE_DOWN } else { PATIENCE }
    }

    fn ask(&mut self, now: Instant) -> Option<Want> {
        let flow = self.flow()?;
        self.asked = Some(now);
        self.phase = Phase::Waiting { since: now };
        Some(Want::Send(flow))
    }

    fn miss(&mut self, now: Instant) {
        self.missed = self.missed.saturating_add(1);
        self.round_trip = None;
        self.status = None;
        if self.missed >= MISSED_MAX {
            self.health = Health::Down;
        }
        // Another address of the same name may answer.
        self.at = (self.at + 1) % self.flows.len().max(1);
        // The first one missed is asked after at once.
        let pause = if self.missed < MISSED_MAX { Duration::from_millis(500) } else { WHILE_DOWN };
        self.phase = Phase::Resting { until: now + pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    fn flow(n: u8) -> Flow {
        Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            peer: format!("198.51.100.{n}:5060").parse().unwrap(),
        }
    }

    /// Runs a pinger for so many seconds against a peer that answers as `answer` says of the second
    /// since the beginning; gives each change of health with its second.
    fn run(seconds: u64, addresses: u8, answer: impl Fn(f64, &Flow) -> Option<u16>) -> Vec<(u64, Health)> {
        let begin = Instant::now();
        let ping = Ping { target: "sip:peer.example".parse().unwrap(), interval: Duration::from_secs(20) };
        let mut pinger = Pinger::new(ping, begin);
        let mut changes = vec![(0, Health::Unknown)];
        loop {
            let now = pinger.deadline();
            if now >= begin + Duration::from_secs(seconds) {
                return changes;
            }
            let mut want = pinger.due(now);
            if let Some(Want::LookUp(_)) = want {
                want = pinger.looked_up(now, (1..=addresses).map(flow).collect());
            }
            if let Some(Want::Send(flow)) = want
                && let Some(status) = answer((now - begin).as_secs_f64(), &flow)
            {
                let later = now + Duration::from_millis(30);
                pinger.answered(later, status, "ffff");
                assert_eq!(pinger.round_trip, Some(Duration::from_millis(30)));
            }
            if changes.last().is_none_or(|(_, health)| *health != pinger.health()) {
                changes.push(((now - begin).as_secs(), pinger.health()));
            }
        }
    }

    #[test]
    fn a_peer_that_stops_answering_is_down_within_45_s_and_up_within_5_s_of_its_return() {
        use Health::{Down, Unknown, Up};
        for gone in (100..125).map(f64::from) {
            let back = gone + 100.5;
            let changes = run(400, 1, |at, _| if (gone..back).contains(&at) { None } else { Some(200) });
            let [(_, Unknown), (0, Up), (down, Down), (up, Up)] = changes.as_slice() else {
                panic!("{changes:?}")
            };
            assert!((*down as f64) < gone + 45.0, "gone at {gone}, down at {down}");
            // What was sent while it was away is never answered: the next one is.
            assert!((*up as f64) < back + 5.0, "back at {back}, up at {up}");
        }
    }

    #[test]
    fn any_answer_is_a_sign_of_life_but_503_is_none() {
        use Health::{Down, Unknown, Up};
        for status in [200, 404, 405, 407, 481, 500] {
            assert_eq!(run(100, 1, |_, _| Some(status)), [(0, Unknown), (0, Up)], "{status}");
        }
        let drains = run(100, 1, |at, _| Some(if at < 50.0 { 503 } else { 200 }));
        assert_eq!(drains, [(0, Unknown), (0, Down), (50, Up)]);
    }

    #[test]
    fn one_that_is_lost_changes_nothing_and_another_address_may_answer() {
        use Health::{Unknown, Up};
        let lost = run(100, 1, |at, _| if (20.0..21.0).contains(&at) { None } else { Some(200) });
        assert_eq!(lost, [(0, Unknown), (0, Up)]);
        let second = run(100, 2, |_, to| (*to == flow(2)).then_some(200));
        assert_eq!(second, [(0, Unknown), (4, Up)]);
    }

    #[test]
    fn a_name_that_leads_nowhere_is_down() {
        let changes = run(60, 0, |_, _| None);
        assert!(matches!(changes.as_slice(), [_, (0..=15, Health::Down)]), "{changes:?}");
    }
}
