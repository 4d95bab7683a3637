//! The endpoint: datagrams and commands in; datagrams and events out. It owns every transaction,
//! dialog and call, and has no socket, no clock and no randomness of its own.
//!
//! ```text
//! receive ─> source of a trunk? ─> message ─> transaction ─> dialog ─> call ─> poll_event
//! answer, hang_up, invite … ─────────────────────────────────> call ─> transaction ─> poll_transmit
//! poll_timeout ─> wait ─> handle_timeout
//! ```
//! After every call to it, empty [`Endpoint::poll_transmit`], [`Endpoint::poll_event`],
//! [`Endpoint::poll_notice`], [`Endpoint::poll_lookup`] and [`Endpoint::poll_probed`].
//!
//! Nothing is searched: transactions, dialogs and calls are found by hashed keys, deadlines stand in
//! one ordered set. A source that no trunk allows is dropped before a byte of it is read.

mod admit;
mod body;
mod calling;
mod changes;
mod commands;
mod deadlines;
mod event;
mod expire;
mod large;
mod notice;
mod ours;
mod receive;
mod reliable;
mod send;
mod settings;
mod tls;
mod tokens;
mod upkeep;

pub use admit::Admitted;
pub use calling::{CannotCall, Outgoing};
pub use event::{Event, HowEnded, Incoming, TurnedAway, Why};
pub use notice::Notice;
pub use settings::Settings;
pub use upkeep::{Lookup, PingState, Probed, Reach, TrunkState};

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::sip::bucket::Rate;
use crate::sip::dialog::DialogKey;
use crate::sip::flow::{Bytes, Flow, Transmit};
use crate::sip::reason::Reason;
use crate::sip::session::{Session, TransactionId};
use crate::sip::tls_name::TlsName;
use crate::sip::transaction::{InviteClient, InviteServer, NonInviteClient, NonInviteServer};
use crate::sip::trunk::{Trunk, Trunks};
use crate::sip::wire::{Fault, Framing, Message, Request, parse};
use crate::types::CallId;

use admit::Admission;
use deadlines::{Deadlines, Sleeper};
use large::{Fallback, WithoutTcp};
use tokens::Tokens;
use upkeep::Upkeep;

pub struct Endpoint {
    settings: Settings,
    trunks: Trunks,
    /// Trunks of live calls as they were before the last change: their sources may end what they began.
    former: Trunks,
    /// What the peers of TLS connections have proved.
    proofs: tls::Proofs,
    tokens: Tokens,
    admission: Admission,
    without_tcp: WithoutTcp,
    upkeep: Upkeep,
    new_call: Box<dyn FnMut() -> CallId + Send>,
    draining: bool,
    last_transaction: TransactionId,
    servers: HashMap<TransactionId, Server>,
    server_keys: HashMap<Box<str>, TransactionId>,
    /// Requests outside dialogs that are being answered, to tell a copy that took another way (§8.2.2.2).
    merges: HashMap<Box<str>, TransactionId>,
    clients: HashMap<TransactionId, Client>,
    client_keys: HashMap<Box<str>, TransactionId>,
    calls: HashMap<CallId, Box<Session>>,
    dialogs: HashMap<DialogKey, CallId>,
    calls_of_trunk: HashMap<String, usize>,
    deadlines: Deadlines,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    notices: VecDeque<Notice>,
    counters: Counters,
}

/// Since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Messages from addresses that no trunk allows; dropped unread.
    pub refused_sources: u64,
    /// Messages that could not be read, answered or not.
    pub malformed: u64,
    /// Requests refused because the endpoint was full.
    pub overloaded: u64,
    /// INVITEs refused because new calls of all trunks together came too fast.
    pub too_fast: u64,
    /// Responses that belong to nothing of ours.
    pub stray_responses: u64,
    /// Requests refused, by [`REFUSALS`].
    pub refused: [u64; REFUSALS.len()],
}

/// Why a request is refused that is no call's first INVITE, with the statuses that say so.
pub const REFUSALS: [(&str, &[u16]); 7] = [
    ("method", &[405, 501]),
    ("extension", &[420]),
    ("body", &[406, 415, 469, 489]),
    ("no-call", &[481]),
    ("out-of-order", &[400, 482, 500]),
    ("glare", &[491]),
    ("other", &[]),
];

/// What the endpoint holds now.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    pub calls: usize,
    pub dialogs: usize,
    pub server_transactions: usize,
    pub client_transactions: usize,
    pub deadlines: usize,
}

/// A request that came, while it is answered.
struct Server {
    key: Box<str>,
    merge: Option<Box<str>>,
    /// Where the answers go.
    back: Flow,
    /// Until the final answer.
    request: Option<Box<Request>>,
    machine: ServerMachine,
    call: Option<CallId>,
    /// Session-ID of all its answers.
    session_id: Option<Box<str>>,
    scheduled: Option<Instant>,
}

enum ServerMachine {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
}

/// A request of ours, while it waits for its answer.
struct Client {
    key: Box<str>,
    flow: Flow,
    machine: ClientMachine,
    purpose: Purpose,
    /// Went by TCP for its size, and nobody has answered yet.
    fallback: Option<Box<Fallback>>,
    /// Of an INVITE, until its final answer: its ACK and CANCEL are made from it.
    request: Option<Box<Request>>,
    /// The ACK of a 2xx and the To tag it is for; sent again with each copy of that 2xx.
    acknowledged: Option<(Box<str>, Transmit)>,
    /// That ACK went by TCP for its size.
    ack_fallback: Option<Box<Fallback>>,
    scheduled: Option<Instant>,
}

enum ClientMachine {
    Invite(InviteClient),
    NonInvite(NonInviteClient),
}

/// Whom the answer concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    Invite(CallId),
    /// re-INVITE or UPDATE with an offer.
    Change(CallId),
    Info(CallId),
    /// Without a 2xx to it nothing changes before the answer; else the INVITE's says what matters.
    Prack(CallId),
    /// UPDATE without an offer that keeps the session timer going.
    Refresh(CallId),
    /// `None`: the call is over already, whatever the answer.
    Bye(Option<CallId>),
    Cancel,
    /// REGISTER or OPTIONS of a keeper.
    Keep(u64),
}

impl Endpoint {
    /// `seed` is all the randomness there is: tags, branches and Call-IDs come from it. `new_call`
    /// names calls that come in.
    #[must_use]
    pub fn new(
        settings: Settings,
        trunks: Vec<Trunk>,
        seed: [u8; 32],
        new_call: Box<dyn FnMut() -> CallId + Send>,
    ) -> Self {
        Self {
            settings,
            trunks: Trunks::new(trunks),
            former: Trunks::default(),
            proofs: tls::Proofs::default(),
            tokens: Tokens::new(seed),
            admission: Admission::new(seed),
            without_tcp: WithoutTcp::default(),
            upkeep: Upkeep::default(),
            new_call,
            draining: false,
            last_transaction: 0,
            servers: HashMap::new(),
            server_keys: HashMap::new(),
            merges: HashMap::new(),
            clients: HashMap::new(),
            client_keys: HashMap::new(),
            calls: HashMap::new(),
            dialogs: HashMap::new(),
            calls_of_trunk: HashMap::new(),
            deadlines: Deadlines::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            notices: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// New trunks. Calls go on as they began: a source that no trunk allows any more is still heard
    /// within its live calls, and nowhere else.
    /// Registrations that are gone are given back, new ones made, the others stay as they are.
    pub fn set_trunks(&mut self, now: Instant, trunks: Vec<Trunk>) {
        self.remember_former();
        self.trunks = Trunks::new(trunks);
        self.keep_trunks(now);
    }

    /// Another rate for new calls of all trunks together, from the next INVITE on.
    pub fn set_calls_rate(&mut self, rate: Option<Rate>) {
        self.settings.calls_rate = rate;
    }

    /// Before the sources of trunks change.
    fn remember_former(&mut self) {
        let mut former: Vec<&Arc<Trunk>> = self.calls.values().map(|session| &session.trunk).collect();
        former.sort_unstable_by_key(|trunk| Arc::as_ptr(trunk));
        former.dedup_by_key(|trunk| Arc::as_ptr(trunk));
        let mut all = Trunks::new(former.into_iter().map(|trunk| Trunk::clone(trunk)).collect());
        // Where each call came from, whatever let it in.
        let mut sources: HashMap<&str, Vec<std::net::IpAddr>> = HashMap::new();
        for session in self.calls.values() {
            sources.entry(&session.trunk.name).or_default().push(session.flow.peer.ip());
        }
        let sources: Vec<(String, Vec<std::net::IpAddr>)> =
            sources.into_iter().map(|(name, sources)| (name.to_owned(), sources)).collect();
        all.learn(&sources);
        self.former = all;
    }

    /// OPTIONS is answered 503 from now on, so that a trunk sends its calls elsewhere. New calls
    /// still come as events: whoever decides refuses them, and has their record.
    /// Registrations are given back.
    pub fn set_draining(&mut self, now: Instant, draining: bool) {
        self.draining = draining;
        self.keep_trunks(now);
    }

    /// A message from this address would be read, whoever is there.
    #[must_use]
    pub fn is_known(&self, source: std::net::IpAddr) -> bool {
        self.trunks.of(source).or_else(|| self.former_of(source, &[])).is_some()
    }

    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    #[must_use]
    pub const fn refused_sources(&self) -> u64 {
        self.counters.refused_sources
    }

    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            calls: self.calls.len(),
            dialogs: self.dialogs.len(),
            server_transactions: self.servers.len(),
            client_transactions: self.clients.len(),
            deadlines: self.deadlines.len(),
        }
    }

    /// One datagram, or one message cut from a stream.
    pub fn receive(&mut self, now: Instant, source: &Flow, bytes: &[u8]) {
        let framing = if source.transport.is_reliable() { Framing::Stream } else { Framing::Datagram };
        match self.trunk_of(source) {
            Some(trunk) => self.read(now, source, &trunk, parse(bytes, framing)),
            None if self.is_asked(source.peer.ip()) => self.read_answer(now, source, parse(bytes, framing)),
            None => self.counters.refused_sources += 1,
        }
    }

    /// The same for a message that a [`Framer`](crate::sip::wire::Framer) has cut and read.
    pub fn receive_message(&mut self, now: Instant, source: &Flow, message: Result<Message, Fault>) {
        match self.trunk_of(source) {
            Some(trunk) => self.read(now, source, &trunk, message),
            None if self.is_asked(source.peer.ip()) => self.read_answer(now, source, message),
            None => self.counters.refused_sources += 1,
        }
    }

    /// When [`Endpoint::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// For the log.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    fn trunk_of(&self, source: &Flow) -> Option<Arc<Trunk>> {
        self.peer_trunk(source).cloned()
    }

    /// From an address that is no trunk's, and that we have asked something: its answer, nothing else.
    fn read_answer(&mut self, now: Instant, source: &Flow, message: Result<Message, Fault>) {
        match message {
            Ok(Message::Response(response)) => self.receive_response(now, source, response),
            Ok(Message::Request(_)) | Err(_) => self.counters.refused_sources += 1,
        }
    }

    /// The trunk of a source, as it is now or was when live calls of it began.
    fn peer_trunk(&self, source: &Flow) -> Option<&Arc<Trunk>> {
        let names = self.proofs.of(source);
        let ip = source.peer.ip();
        self.trunks.of_peer(ip, names).or_else(|| self.former_of(ip, names))
    }

    /// The trunk that a source had when calls began that still live.
    fn former_of(&self, source: std::net::IpAddr, names: &[TlsName]) -> Option<&Arc<Trunk>> {
        self.former.of_peer(source, names).filter(|trunk| self.calls_of_trunk.contains_key(&trunk.name))
    }

    fn read(&mut self, now: Instant, source: &Flow, trunk: &Arc<Trunk>, message: Result<Message, Fault>) {
        match message {
            Ok(Message::Request(request)) => self.receive_request(now, source, trunk, request),
            Ok(Message::Response(response)) => self.receive_response(now, source, response),
            Err(fault) => {
                self.counters.malformed += 1;
                self.answer_fault(source, &fault);
            }
        }
    }

    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.transmits.push_back(Transmit { flow, bytes });
    }

    /// Takes a call out to work on it; [`Endpoint::keep`] or [`Endpoint::end`] follows.
    fn take(&mut self, call: CallId) -> Option<Box<Session>> {
        self.calls.remove(&call)
    }

    fn keep(&mut self, mut session: Box<Session>) {
        let (sleeper, deadline) = (Sleeper::Call(session.call), session.deadline());
        self.deadlines.set(sleeper, &mut session.scheduled, deadline);
        self.calls.insert(session.call, session);
    }

    /// Forgets a call that was taken out, and says how it ended.
    fn end(&mut self, session: Box<Session>, how: HowEnded) {
        self.end_saying(session, how, None);
    }

    /// The same, with what the peer said.
    fn end_saying(&mut self, session: Box<Session>, how: HowEnded, reason: Option<Reason>) {
        let call = session.call;
        self.forget(session);
        self.events.push_back(Event::Ended { call, how, reason });
    }

    /// Counts a request that is refused and has no record of its own.
    fn count_refusal(&mut self, status: u16) {
        let row = REFUSALS.iter().position(|(_, statuses)| statuses.contains(&status));
        self.counters.refused[row.unwrap_or(REFUSALS.len() - 1)] += 1;
    }

    fn forget(&mut self, mut session: Box<Session>) {
        self.deadlines.set(Sleeper::Call(session.call), &mut session.scheduled, None);
        let key = session.dialog.key();
        if self.dialogs.get(&key) == Some(&session.call) {
            self.dialogs.remove(&key);
        }
        if let Some(count) = self.calls_of_trunk.get_mut(&session.trunk.name) {
            *count -= 1;
            if *count == 0 {
                self.calls_of_trunk.remove(&session.trunk.name);
            }
        }
    }

    /// Counts a call of this trunk in, and says how many there are.
    fn count_call(&mut self, trunk: &Trunk) -> usize {
        let count = self.calls_of_trunk.entry(trunk.name.clone()).or_insert(0);
        *count += 1;
        *count
    }
}

#[cfg(test)]
mod tests;
