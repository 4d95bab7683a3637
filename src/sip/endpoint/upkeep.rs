//! What the endpoint does for its trunks by itself: registrations and pings, and a probe when an
//! operator asks.
//!
//! Each is a *keeper*: a machine of [`register`](crate::sip::register) or [`ping`](crate::sip::ping), its
//! transaction and its deadline. Names are looked up by whoever has a network: [`Endpoint::poll_lookup`]
//! asks, [`Endpoint::looked_up`] takes the answer.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Admitted, Endpoint, Notice, Purpose, Sleeper};
use crate::sip::flow::Flow;
use crate::sip::ping::{self, Health, Pinger};
use crate::sip::register::{self, Registration};
use crate::sip::session::TransactionId;
use crate::sip::trunk::Trunk;
use crate::sip::uri::Uri;
use crate::sip::wire::{Method, NameAddr, Request, Response};

/// Where does this URI lead? Answer with [`Endpoint::looked_up`].
#[derive(Clone, Debug, PartialEq)]
pub struct Lookup {
    pub id: u64,
    pub target: Uri,
}

/// What came of [`Endpoint::probe`].
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    pub id: u64,
    /// Who answered with which status, and after how long.
    pub answer: Result<(Flow, u16, Duration), String>,
}

/// One trunk as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TrunkState {
    pub name: String,
    pub reach: Reach,
    pub registration: Option<register::State>,
    pub ping: Option<PingState>,
    /// Sources that are its because we are registered there.
    pub learned: Vec<IpAddr>,
    pub admitted: Admitted,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PingState {
    pub health: Health,
    pub to: Option<Flow>,
    /// Of the last answer; `None` after a missed one.
    pub round_trip: Option<Duration>,
    pub status: Option<u16>,
}

/// What we know of the way to a trunk's peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reach {
    /// Nobody asks: neither registration nor ping, or no answer yet.
    #[default]
    Unknown,
    /// It answers our pings.
    Up,
    /// It does not, or our registration fails.
    Down,
    /// The registrar sends us calls.
    Registered,
}

impl Reach {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Registered => "registered",
        }
    }
}

/// Addresses asked before those that nothing is awaited of are forgotten.
const ASKED_MAX: usize = 4_096;
/// An operator does not wait longer.
const PROBE_MAX: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Upkeep {
    last: u64,
    keepers: BTreeMap<u64, Keeper>,
    lookups: VecDeque<Lookup>,
    probed: VecDeque<Probed>,
    /// Addresses that we have asked something: their answers are read, whosever they are.
    asked: HashSet<IpAddr>,
    /// As they were told last.
    reach: HashMap<String, Reach>,
    failures: HashMap<String, Told>,
    revision: u64,
}

/// A failure, and when the next try was to be.
type Told = (register::Failure, Instant);

struct Keeper {
    trunk: Arc<Trunk>,
    work: Work,
    /// The request that is under way.
    request: Option<TransactionId>,
    scheduled: Option<Instant>,
}

enum Work {
    Register(Box<Registration>),
    Ping(Box<Pinger>),
    Probe(Box<Probe>),
}

impl Work {
    /// What is looked up, to send to it.
    fn target(&self) -> Uri {
        match self {
            Self::Register(machine) => machine.account().first_hop(),
            Self::Ping(machine) => machine.ping().target.clone(),
            Self::Probe(probe) => probe.target.clone(),
        }
    }
}

/// One question of an operator's.
struct Probe {
    target: Uri,
    /// When it went out, and where to.
    sent: Option<(Instant, Flow)>,
    until: Instant,
}

impl Upkeep {
    /// Something that is told of a trunk has changed.
    pub(super) const fn touch(&mut self) {
        self.revision += 1;
    }
}

impl Endpoint {
    /// Registers and pings as the trunks say, from now on.
    pub fn begin(&mut self, now: Instant) {
        self.keep_trunks(now);
    }

    /// What must be looked up.
    pub fn poll_lookup(&mut self) -> Option<Lookup> {
        self.upkeep.lookups.pop_front()
    }

    pub fn poll_probed(&mut self) -> Option<Probed> {
        self.upkeep.probed.pop_front()
    }

    /// Rises with every change of [`Endpoint::trunk_states`].
    #[must_use]
    pub const fn trunks_revision(&self) -> u64 {
        self.upkeep.revision
    }

    /// A registration is being given back.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.upkeep
            .keepers
            .values()
            .any(|keeper| matches!(&keeper.work, Work::Register(registration) if registration.is_leaving()))
    }

    /// By name.
    #[must_use]
    pub fn trunk_states(&self, now: Instant) -> Vec<TrunkState> {
        let mut states: Vec<TrunkState> =
            self.trunks.all().iter().map(|trunk| self.trunk_state(now, &trunk.name)).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    fn trunk_state(&self, now: Instant, name: &str) -> TrunkState {
        let (mut registration, mut ping, mut learned) = (None, None, Vec::new());
        for keeper in self.upkeep.keepers.values().filter(|keeper| keeper.trunk.name == name) {
            match &keeper.work {
                Work::Register(machine) if !machine.is_leaving() => {
                    registration = Some(machine.state(now));
                    learned = machine.addresses();
                }
                Work::Ping(machine) => {
                    ping = Some(PingState {
                        health: machine.health(),
                        to: machine.flow(),
                        round_trip: machine.round_trip,
                        status: machine.status,
                    });
                }
                Work::Register(_) | Work::Probe(_) => {}
            }
        }
        let health = ping.as_ref().map_or(Health::Unknown, |ping| ping.health);
        let reach = match (health, &registration) {
            (Health::Down, _) => Reach::Down,
            (_, Some(register::State { registered_until: Some(_), .. })) => Reach::Registered,
            (_, Some(register::State { failure: Some(_), .. })) => Reach::Down,
            (Health::Up, _) => Reach::Up,
            (Health::Unknown, _) => Reach::Unknown,
        };
        TrunkState {
            name: name.to_owned(),
            reach,
            registration,
            ping,
            learned,
            admitted: self.admitted(name),
        }
    }

    /// Sends OPTIONS to where the trunk is pinged or registered. `None`: there is no such trunk, or
    /// nothing says where it is.
    pub fn probe(&mut self, now: Instant, trunk: &str) -> Option<u64> {
        let trunk = self.trunks.all().iter().find(|one| one.name == trunk)?.clone();
        let pinged = trunk.ping.as_ref().map(|ping| ping.target.clone());
        let target = pinged.or_else(|| trunk.registration.as_ref().map(register::Account::first_hop))?;
        let probe = Probe { target: target.clone(), sent: None, until: now + PROBE_MAX };
        let work = Work::Probe(Box::new(probe));
        let id = self.hire(trunk, work);
        self.upkeep.lookups.push_back(Lookup { id, target });
        Some(id)
    }

    /// The answer to a [`Lookup`]: ways to go, best first.
    pub fn looked_up(&mut self, now: Instant, id: u64, found: Result<Vec<Flow>, String>) {
        let word = self.tokens.next();
        let Some(mut keeper) = self.upkeep.keepers.remove(&id) else { return };
        if let Ok(flows) = &found {
            let target = keeper.work.target();
            flows.iter().for_each(|flow| self.expect_target(flow, &target));
        }
        match &mut keeper.work {
            Work::Register(machine) => {
                let want = machine.looked_up(now, found, &word);
                self.register(now, id, &mut keeper, want);
            }
            Work::Ping(machine) => {
                let want = machine.looked_up(now, found.unwrap_or_default());
                self.ping(now, id, &mut keeper, want);
            }
            Work::Probe(probe) => match found.map(|flows| flows.first().copied()) {
                Ok(Some(flow)) => {
                    probe.sent = Some((now, flow));
                    let target = probe.target.clone();
                    keeper.request = Some(self.send_options(now, id, flow, &target));
                }
                Ok(None) => return self.tell_probe(id, keeper, Err("no address to send to".to_owned())),
                Err(why) => return self.tell_probe(id, keeper, Err(why)),
            },
        }
        self.rehire(now, id, keeper);
    }

    pub(super) fn keeper_due(&mut self, now: Instant, id: u64) {
        let word = self.tokens.next();
        let Some(mut keeper) = self.upkeep.keepers.remove(&id) else { return };
        match &mut keeper.work {
            Work::Register(machine) => {
                let want = machine.due(now, &word);
                self.register(now, id, &mut keeper, want);
            }
            Work::Ping(machine) => {
                let want = machine.due(now);
                self.ping(now, id, &mut keeper, want);
            }
            Work::Probe(probe) if now >= probe.until => {
                return self.tell_probe(id, keeper, Err("no answer".to_owned()));
            }
            Work::Probe(_) => {}
        }
        self.rehire(now, id, keeper);
    }

    /// A final answer to a keeper's request.
    pub(super) fn keeper_answered(
        &mut self,
        now: Instant,
        id: u64,
        from: TransactionId,
        response: &Response,
    ) {
        let word = self.tokens.next();
        let Some(mut keeper) = self.upkeep.keepers.remove(&id) else { return };
        if keeper.request != Some(from) {
            self.upkeep.keepers.insert(id, keeper);
            return;
        }
        match &mut keeper.work {
            Work::Register(machine) => {
                let want = machine.answered(now, response, &word);
                self.register(now, id, &mut keeper, want);
            }
            Work::Ping(machine) => machine.answered(now, response.status, &word),
            Work::Probe(probe) => {
                let answer = match probe.sent {
                    Some((since, flow)) => Ok((flow, response.status, now - since)),
                    None => Err("an answer to nothing".to_owned()),
                };
                return self.tell_probe(id, keeper, answer);
            }
        }
        self.rehire(now, id, keeper);
    }

    /// No answer to a keeper's request, or it could not be sent (503).
    pub(super) fn keeper_unanswered(&mut self, now: Instant, id: u64, status: u16) {
        let word = self.tokens.next();
        let Some(mut keeper) = self.upkeep.keepers.remove(&id) else { return };
        keeper.request = None;
        let why = if status == 408 { "no answer" } else { "no connection" };
        match &mut keeper.work {
            Work::Register(machine) => {
                let want = machine.unanswered(now, why, &word);
                self.register(now, id, &mut keeper, want);
            }
            Work::Ping(machine) => machine.unanswered(now),
            Work::Probe(_) => return self.tell_probe(id, keeper, Err(why.to_owned())),
        }
        self.rehire(now, id, keeper);
    }

    /// The connection of this flow is closed.
    pub(super) fn keepers_lost(&mut self, now: Instant, flow: &Flow) {
        if !flow.transport.is_reliable() {
            return;
        }
        let ids: Vec<u64> = self.upkeep.keepers.keys().copied().collect();
        for id in ids {
            let word = self.tokens.next();
            let Some(mut keeper) = self.upkeep.keepers.remove(&id) else { continue };
            if let Work::Register(machine) = &mut keeper.work {
                machine.connection_lost(now, flow, &word);
            }
            self.rehire(now, id, keeper);
        }
    }

    /// Answers from this address are awaited, though it is no trunk's.
    pub(super) fn is_asked(&self, source: IpAddr) -> bool {
        self.upkeep.asked.contains(&source.to_canonical())
    }

    /// Brings keepers in line with the trunks: what is new begins, what is gone or changed is given
    /// back, what is the same goes on as it was.
    pub(super) fn keep_trunks(&mut self, now: Instant) {
        let ids: Vec<u64> = self.upkeep.keepers.keys().copied().collect();
        for id in ids {
            let word = self.tokens.next();
            let Some(mut keeper) = self.upkeep.keepers.remove(&id) else { continue };
            let trunk = self.trunks.all().iter().find(|trunk| trunk.name == keeper.trunk.name).cloned();
            // A changed address is a changed Contact.
            let same_address =
                trunk.as_ref().is_some_and(|trunk| trunk.external_address == keeper.trunk.external_address);
            match &mut keeper.work {
                Work::Register(machine) if machine.is_leaving() => {}
                Work::Register(machine) => {
                    let wanted = trunk.as_ref().and_then(|trunk| trunk.registration.as_ref());
                    let stays = !self.draining && same_address && wanted == Some(machine.account());
                    if let Some(trunk) = trunk.filter(|_| stays) {
                        keeper.trunk = trunk;
                    } else {
                        let want = machine.leave(now, &word);
                        self.notices.push_back(Notice::Unregistered { trunk: keeper.trunk.name.clone() });
                        self.register(now, id, &mut keeper, want);
                    }
                }
                Work::Ping(machine) => {
                    let wanted = trunk.as_ref().and_then(|trunk| trunk.ping.as_ref());
                    let stays = wanted == Some(machine.ping());
                    let Some(trunk) = trunk.filter(|_| stays) else {
                        self.dismiss(id, keeper);
                        continue;
                    };
                    keeper.trunk = trunk;
                }
                Work::Probe(_) => {}
            }
            self.put_back(id, keeper);
        }
        let trunks: Vec<Arc<Trunk>> = self.trunks.all().to_vec();
        for trunk in trunks {
            let kept = |wanted: fn(&Work) -> bool| {
                let mut keepers = self.upkeep.keepers.values();
                keepers.any(|keeper| keeper.trunk.name == trunk.name && wanted(&keeper.work))
            };
            // While one is given back no other begins: the registrar must not hear them in the wrong order.
            let (registers, pings) =
                (kept(|work| matches!(work, Work::Register(_))), kept(|work| matches!(work, Work::Ping(_))));
            if let Some(account) = trunk.registration.clone().filter(|_| !registers && !self.draining) {
                let registration = Registration::new(account, now, &self.tokens.next());
                let id = self.hire(trunk.clone(), Work::Register(Box::new(registration)));
                self.schedule_keeper(id);
            }
            if let Some(ping) = trunk.ping.clone().filter(|_| !pings) {
                let id = self.hire(trunk.clone(), Work::Ping(Box::new(Pinger::new(ping, now))));
                self.schedule_keeper(id);
            }
        }
        self.learn();
        let names: HashSet<&str> = self.trunks.all().iter().map(|trunk| trunk.name.as_str()).collect();
        self.upkeep.reach.retain(|name, _| names.contains(name.as_str()));
        self.upkeep.failures.retain(|name, _| names.contains(name.as_str()));
        self.upkeep.revision += 1;
    }

    /// Sources of calls that follow from where we are registered.
    fn learn(&mut self) {
        let mut learned: Vec<(String, Vec<IpAddr>)> = Vec::new();
        for keeper in self.upkeep.keepers.values() {
            // Until it is given back, calls may still be on their way.
            if let Work::Register(machine) = &keeper.work {
                learned.push((keeper.trunk.name.clone(), machine.addresses()));
            }
        }
        if !self.trunks.knows(&learned) {
            self.remember_former();
            self.trunks.learn(&learned);
        }
    }

    fn register(&mut self, now: Instant, id: u64, keeper: &mut Keeper, want: Option<register::Want>) {
        match want {
            None => {}
            Some(register::Want::LookUp(target)) => self.upkeep.lookups.push_back(Lookup { id, target }),
            Some(register::Want::Send(mut request, flow)) => {
                // First of all: the answer must be read, and a call may come on its heels.
                self.expect_answer_of(&flow);
                let Work::Register(machine) = &keeper.work else { return };
                let contact = self.contact_uri(&flow, &machine.account().contact_user, Some(&keeper.trunk));
                request.contact = vec![NameAddr::new(contact)];
                keeper.request = Some(self.send(now, flow, *request, Purpose::Keep(id)));
            }
        }
    }

    fn ping(&mut self, now: Instant, id: u64, keeper: &mut Keeper, want: Option<ping::Want>) {
        match want {
            None => {}
            Some(ping::Want::LookUp(target)) => self.upkeep.lookups.push_back(Lookup { id, target }),
            Some(ping::Want::Send(flow)) => {
                if let Some(before) = keeper.request.take() {
                    self.remove_client(before);
                }
                let Work::Ping(machine) = &keeper.work else { return };
                let target = machine.ping().target.clone();
                keeper.request = Some(self.send_options(now, id, flow, &target));
            }
        }
    }

    fn send_options(&mut self, now: Instant, id: u64, flow: Flow, target: &Uri) -> TransactionId {
        self.expect_answer_of(&flow);
        let trunk = self.trunks.of(flow.peer.ip()).cloned();
        let user = self.settings.contact_user.clone();
        let us = self.contact_uri(&flow, &user, trunk.as_deref());
        let from = NameAddr::new(us.clone()).with_tag(&self.tokens.tag());
        let call_id = self.tokens.next();
        let mut request =
            Request::new(Method::Options, target.clone(), from, NameAddr::new(target.clone()), &call_id, 1);
        request.contact = vec![NameAddr::new(us)];
        request.headers.push("Accept", "application/sdp");
        self.send(now, flow, request, Purpose::Keep(id))
    }

    fn tell_probe(&mut self, id: u64, keeper: Keeper, answer: Result<(Flow, u16, Duration), String>) {
        self.upkeep.probed.push_back(Probed { id, answer });
        self.dismiss(id, keeper);
    }

    fn hire(&mut self, trunk: Arc<Trunk>, work: Work) -> u64 {
        self.upkeep.last += 1;
        let id = self.upkeep.last;
        self.upkeep.keepers.insert(id, Keeper { trunk, work, request: None, scheduled: None });
        self.schedule_keeper(id);
        id
    }

    /// Puts a keeper back that was taken out to work on it.
    fn rehire(&mut self, now: Instant, id: u64, keeper: Keeper) {
        if matches!(&keeper.work, Work::Register(machine) if machine.is_gone()) {
            self.put_back(id, keeper);
            // A changed registration waits for the old one to be given back.
            return self.keep_trunks(now);
        }
        let name = keeper.trunk.name.clone();
        self.put_back(id, keeper);
        self.learn();
        self.tell_change(now, &name);
    }

    fn put_back(&mut self, id: u64, keeper: Keeper) {
        if matches!(&keeper.work, Work::Register(machine) if machine.is_gone()) {
            return self.dismiss(id, keeper);
        }
        self.upkeep.keepers.insert(id, keeper);
        self.schedule_keeper(id);
    }

    fn dismiss(&mut self, id: u64, mut keeper: Keeper) {
        self.deadlines.set(Sleeper::Keeper(id), &mut keeper.scheduled, None);
        if let Some(request) = keeper.request {
            self.remove_client(request);
        }
        self.upkeep.revision += 1;
    }

    fn expect_answer_of(&mut self, flow: &Flow) {
        if self.upkeep.asked.len() >= ASKED_MAX {
            let asked = self.clients.values().filter(|client| matches!(client.purpose, Purpose::Keep(_)));
            self.upkeep.asked = asked.map(|client| client.flow.peer.ip().to_canonical()).collect();
        }
        self.upkeep.asked.insert(flow.peer.ip().to_canonical());
    }

    fn schedule_keeper(&mut self, id: u64) {
        let Some(keeper) = self.upkeep.keepers.get_mut(&id) else { return };
        let deadline = match &keeper.work {
            Work::Register(machine) => machine.deadline(),
            Work::Ping(machine) => Some(machine.deadline()),
            Work::Probe(probe) => Some(probe.until),
        };
        self.deadlines.set(Sleeper::Keeper(id), &mut keeper.scheduled, deadline);
    }

    /// Into the log, when a trunk stands otherwise than before.
    fn tell_change(&mut self, now: Instant, name: &str) {
        self.upkeep.revision += 1;
        let state = self.trunk_state(now, name);
        let before = self.upkeep.reach.get(name).copied().unwrap_or_default();
        let is_trunk = self.trunks.all().iter().any(|trunk| trunk.name == name);
        if state.reach != before && is_trunk {
            self.upkeep.reach.insert(name.to_owned(), state.reach);
            let trunk = name.to_owned();
            self.notices.push_back(Notice::Reach { trunk, reach: state.reach });
        }
        let failure = match state.registration {
            Some(register::State { failure: Some(failure), next_try: Some(at), .. }) => (failure, at),
            // Under way: what becomes of it is told then.
            Some(register::State { failure: Some(_), next_try: None, .. }) => return,
            Some(register::State { failure: None, .. }) | None => {
                self.upkeep.failures.remove(name);
                return;
            }
        };
        if self.upkeep.failures.get(name) != Some(&failure) {
            self.upkeep.failures.insert(name.to_owned(), failure.clone());
            let (failure, at) = failure;
            let next_try = at.saturating_duration_since(now);
            self.notices.push_back(Notice::NotRegistered { trunk: name.to_owned(), failure, next_try });
        }
    }
}
