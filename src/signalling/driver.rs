//! The task that owns the endpoint: it reads, calls, sends, and sleeps until the next deadline.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, info, warn};

use super::connection::{Connection, News, Origin, What};
use super::dns::{Found, Resolver};
use super::handle::{Command, Counters, Counts, Events, Handle, Probe};
use super::udp::{self, Socket};
use super::{Limits, Listen, Seen, Tap, Tls};
use crate::sip::endpoint::{Endpoint, Event, Lookup, Notice, Probed, Reach, TrunkState};
use crate::sip::resolve::Hop;
use crate::sip::{Flow, TlsName, Transmit, Transport};
use crate::types::CallId;

/// Datagrams, messages or commands taken in a row before anything else gets its turn.
const BATCH: usize = 64;
/// Messages of all connections together that wait for the endpoint.
const NEWS_MAX: usize = 256;
/// Events beyond the queue before sockets are read no further.
const OVERFLOW_MAX: usize = 1_024;
/// When the process is out of file descriptors, accepting is tried again after this.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Retry-After of an INVITE that the service has no time for, in seconds.
const RETRY_AFTER: u32 = 5;
/// Answers of the DNS that wait for the endpoint.
const FOUND_MAX: usize = 64;
/// How trunks stand is told at most this often.
const PUBLISH_EVERY: Duration = Duration::from_millis(200);
/// How long stopping waits for registrations to be given back.
const GIVING_BACK_MAX: Duration = Duration::from_secs(2);
/// An idle endpoint still wakes up now and then.
const LONGEST_SLEEP: Duration = Duration::from_secs(3_600);

/// A socket that takes connections.
pub(super) struct Listener {
    pub socket: TcpListener,
    pub transport: Transport,
    pub address: SocketAddr,
}

pub(super) fn start(
    endpoint: Endpoint,
    sockets: Vec<Socket>,
    listeners: Vec<Listener>,
    local: Vec<Listen>,
    tls: Option<Tls>,
    limits: Limits,
    resolver: Resolver,
) -> (Handle, Events) {
    let (commands, command_queue) = mpsc::channel(limits.commands);
    let (events, event_queue) = mpsc::channel(limits.events);
    let (news_sender, news) = mpsc::channel(NEWS_MAX);
    let counts = Arc::new(Counts::default());
    let (found_sender, found) = mpsc::channel(FOUND_MAX);
    let (states, trunks) = watch::channel(Arc::default());
    let handle = Handle { commands, local: local.into(), counters: counts.clone(), trunks };
    let driver = Driver {
        endpoint,
        sockets,
        listeners,
        tls,
        limits,
        connections: HashMap::new(),
        of_source: HashMap::new(),
        last_connection: 0,
        events,
        overflow: VecDeque::new(),
        unannounced: HashSet::new(),
        news_sender,
        accept_after: None,
        first_socket: 0,
        buffer: vec![0; 65_535],
        counters: Counters::default(),
        counts,
        resolver: Arc::new(resolver),
        found_sender,
        lots: 0,
        probes: HashMap::new(),
        states,
        published: None,
        publish_at: Instant::now(),
        tap: None,
        stopping: None,
    };
    tokio::spawn(driver.run(command_queue, news, found));
    (handle, Events(event_queue))
}

struct Driver {
    endpoint: Endpoint,
    sockets: Vec<Socket>,
    listeners: Vec<Listener>,
    /// For connections that begin now.
    tls: Option<Tls>,
    limits: Limits,
    connections: HashMap<Flow, Connection>,
    /// Inbound connections of each address.
    of_source: HashMap<IpAddr, usize>,
    last_connection: u64,
    events: mpsc::Sender<Event>,
    /// Events of known calls that found the queue full.
    overflow: VecDeque<Event>,
    /// Calls refused because the queue was full: nobody has heard of them, nobody hears of their end.
    unannounced: HashSet<CallId>,
    news_sender: mpsc::Sender<News>,
    accept_after: Option<Instant>,
    /// Where looking for a readable socket begins, so that no socket starves another.
    first_socket: usize,
    buffer: Vec<u8>,
    counters: Counters,
    counts: Arc<Counts>,
    resolver: Arc<Resolver>,
    found_sender: mpsc::Sender<Found>,
    /// Look-ups so far: each draws its own lots.
    lots: u64,
    /// Who waits for a probe.
    probes: HashMap<u64, oneshot::Sender<Probe>>,
    states: watch::Sender<Arc<Vec<TrunkState>>>,
    /// The revision of the states that are published, and when the next may be.
    published: Option<u64>,
    publish_at: Instant,
    /// Who watches.
    tap: Option<Tap>,
    /// Whom to tell that all is closed, and when at the latest: registrations are given back first.
    stopping: Option<(oneshot::Sender<()>, Instant)>,
}

/// What woke the driver.
enum Wake {
    Command(Option<Command>),
    News(Option<News>),
    /// Where a name leads.
    Found(Option<Found>),
    Readable(usize),
    Accepted(usize, std::io::Result<(TcpStream, SocketAddr)>),
    /// There is room for an event again.
    Room,
    Time,
}

impl Driver {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut news: mpsc::Receiver<News>,
        mut found: mpsc::Receiver<Found>,
    ) {
        self.endpoint.begin(Instant::now());
        loop {
            self.flush();
            let now = Instant::now();
            let publish_at = self.publish(now);
            let stop_at = self.stopping.as_ref().map(|(_, until)| *until);
            if let Some((done, _)) =
                self.stopping.take_if(|(_, until)| now >= *until || !self.endpoint.is_leaving())
            {
                let _ = done.send(());
                return;
            }
            self.accept_after = self.accept_after.filter(|after| *after > now);
            let wake_at = [self.endpoint.poll_timeout(), self.accept_after, publish_at, stop_at];
            let wake_at = wake_at.into_iter().flatten().min();
            let wake_at = wake_at.unwrap_or(now + LONGEST_SLEEP);
            let is_reading = self.overflow.len() < OVERFLOW_MAX;
            let wake = tokio::select! {
                command = commands.recv() => Wake::Command(command),
                some = news.recv(), if is_reading => Wake::News(some),
                some = found.recv() => Wake::Found(some),
                socket = readable(&self.sockets, self.first_socket), if is_reading => Wake::Readable(socket),
                (listener, accepted) = accept(&self.listeners), if self.accept_after.is_none() => {
                    Wake::Accepted(listener, accepted)
                }
                permit = self.events.reserve(), if !self.overflow.is_empty() => match permit {
                    Ok(_) => Wake::Room,
                    // Nobody listens any more.
                    Err(_) => return,
                },
                () = tokio::time::sleep_until(wake_at.into()) => Wake::Time,
            };
            match wake {
                Wake::Command(None) => return,
                Wake::Command(Some(first)) => {
                    self.command(first);
                    // As many as datagrams have a turn: what the service has decided must not wait behind
                    // those whom it has yet to decide on.
                    for _ in 1..BATCH {
                        let Ok(next) = commands.try_recv() else { break };
                        self.command(next);
                    }
                }
                Wake::News(None) | Wake::Found(None) | Wake::Room => {}
                Wake::Found(Some(Found { id, hops })) => {
                    let flows = hops.map(|hops| hops.iter().filter_map(|hop| self.flow_to(hop)).collect());
                    self.endpoint.looked_up(Instant::now(), id, flows);
                }
                Wake::News(Some(first)) => {
                    self.news(first);
                    for _ in 1..BATCH {
                        let Ok(next) = news.try_recv() else { break };
                        self.news(next);
                    }
                }
                Wake::Readable(socket) => self.read(socket),
                Wake::Accepted(listener, accepted) => self.accepted(listener, accepted),
                Wake::Time => {}
            }
            // Timers wait for nothing, however busy the sockets are.
            self.endpoint.handle_timeout(Instant::now());
        }
    }

    /// Tells readers how trunks stand, when that has changed; when to look again.
    fn publish(&mut self, now: Instant) -> Option<Instant> {
        let revision = self.endpoint.trunks_revision();
        if self.published == Some(revision) {
            return None;
        }
        if now < self.publish_at {
            return Some(self.publish_at);
        }
        self.published = Some(revision);
        self.publish_at = now + PUBLISH_EVERY;
        self.states.send_replace(Arc::new(self.endpoint.trunk_states(now)));
        None
    }

    /// Looks a name up, in a task of its own.
    fn look_up(&mut self, Lookup { id, target }: Lookup) {
        // What we listen on is what we can send over: a flow begins at an address of ours.
        let listens = |transport| self.listeners.iter().any(|listener| listener.transport == transport);
        let supported = [
            (Transport::Udp, !self.sockets.is_empty()),
            (Transport::Tcp, listens(Transport::Tcp)),
            (Transport::Tls, listens(Transport::Tls)),
        ];
        let supported: Vec<Transport> =
            supported.into_iter().filter_map(|(transport, can)| can.then_some(transport)).collect();
        self.lots += 1;
        let (resolver, sender, lot) = (self.resolver.clone(), self.found_sender.clone(), self.lots);
        tokio::spawn(async move {
            let hops = resolver.resolve(&target, &supported, lot).await;
            // Signalling that has stopped needs no answer.
            let _ = sender.send(Found { id, hops }).await;
        });
    }

    /// The way to a hop from the socket of ours that fits; `None`: there is none of its family.
    fn flow_to(&mut self, hop: &Hop) -> Option<Flow> {
        let peer = hop.address;
        let fits = |address: SocketAddr| address.is_ipv4() == peer.is_ipv4();
        let is_near = |address: SocketAddr| address.ip().is_loopback() == peer.ip().is_loopback();
        let local = match hop.transport {
            Transport::Udp => {
                let mut sockets: Vec<&mut Socket> =
                    self.sockets.iter_mut().filter(|socket| fits(socket.address())).collect();
                let at = sockets.iter().position(|socket| is_near(socket.address())).unwrap_or(0);
                sockets.get_mut(at)?.local_for(peer)
            }
            Transport::Tcp | Transport::Tls => {
                let same = self.listeners.iter().filter(|listener| listener.transport == hop.transport);
                let mut all: Vec<SocketAddr> = same.map(|listener| listener.address).collect();
                all.retain(|address| fits(*address));
                let address =
                    all.iter().copied().find(|address| is_near(*address)).or(all.first().copied())?;
                if address.ip().is_unspecified() { udp::local_towards(address, peer) } else { address }
            }
        };
        Some(Flow { transport: hop.transport, local, peer })
    }

    /// Takes what there is from one UDP socket, up to a batch.
    fn read(&mut self, index: usize) {
        self.first_socket = (index + 1) % self.sockets.len();
        for _ in 0..BATCH {
            let socket = &mut self.sockets[index];
            match socket.inner().try_recv_from(&mut self.buffer) {
                Ok((length, peer)) => {
                    let flow = Flow { transport: Transport::Udp, local: socket.local_for(peer), peer };
                    // Strangers are many, and not worth a copy.
                    if let Some(tap) = &self.tap
                        && self.endpoint.is_known(peer.ip())
                    {
                        tap.tell(Seen::came(flow, &self.buffer[..length]));
                    }
                    self.endpoint.receive(Instant::now(), &flow, &self.buffer[..length]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // An ICMP error of a datagram sent before, or a shortage: the next one may be good.
                Err(error) => {
                    self.counters.socket_errors += 1;
                    debug!(%error, "UDP receive");
                    break;
                }
            }
        }
    }

    fn accepted(&mut self, listener: usize, accepted: std::io::Result<(TcpStream, SocketAddr)>) {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                self.counters.socket_errors += 1;
                warn!(%error, "accept");
                self.accept_after = Some(Instant::now() + ACCEPT_PAUSE);
                return;
            }
        };
        let Listener { transport, address, .. } = self.listeners[listener];
        let is_known = self.endpoint.is_known(peer.ip());
        let is_candidate = is_known || transport == Transport::Tls && self.endpoint.may_prove(peer.ip());
        if !is_candidate {
            self.counters.refused_sources += 1;
            return;
        }
        let local = stream.local_addr().unwrap_or(address);
        let inbound = self.of_source.values().sum::<usize>();
        let of_source = self.of_source.get(&peer.ip()).copied().unwrap_or(0);
        if inbound >= self.limits.connections
            || of_source >= self.limits.connections_per_source
            || transport == Transport::Tls && !self.may_handshake(peer.ip(), is_known)
        {
            self.counters.refused_connections += 1;
            return;
        }
        let origin = match (transport, &self.tls) {
            (Transport::Tls, Some(tls)) => Origin::AcceptedTls(stream, tls.acceptor()),
            (Transport::Tls, None) => return,
            (Transport::Udp | Transport::Tcp, _) => Origin::Accepted(stream),
        };
        let flow = Flow { transport, local, peer };
        self.last_connection += 1;
        let news = self.news_sender.clone();
        let connection = Connection::start(origin, flow, self.last_connection, &self.limits, news);
        self.close(&flow);
        *self.of_source.entry(peer.ip()).or_insert(0) += 1;
        self.connections.insert(flow, connection);
    }

    /// Whether there is room for one more TLS handshake with this peer.
    fn may_handshake(&self, peer: IpAddr, is_known: bool) -> bool {
        let securing = || self.connections.iter().filter(|(_, one)| one.inbound && one.securing);
        let of_source = securing().filter(|(flow, _)| flow.peer.ip() == peer).count();
        let (all, most) = if is_known {
            (securing().count(), self.limits.handshakes)
        } else {
            let strangers = securing().filter(|(flow, _)| !self.endpoint.is_known(flow.peer.ip()));
            (strangers.count(), self.limits.handshakes / 2)
        };
        all < most && of_source < self.limits.handshakes_per_source
    }

    fn news(&mut self, News { flow, number, what }: News) {
        // A connection that has been replaced has nothing to say.
        if self.connections.get(&flow).is_none_or(|connection| connection.number != number) {
            return;
        }
        let now = Instant::now();
        match what {
            What::Secured { names, go } => {
                if self.endpoint.prove(&flow, names) {
                    if let Some(connection) = self.connections.get_mut(&flow) {
                        connection.securing = false;
                    }
                    // Its reader waits for this, unless it has given up meanwhile.
                    let _ = go.send(());
                } else {
                    info!(peer = %flow.peer, "TLS peer that proves no name of a trunk");
                    self.counters.refused_sources += 1;
                    self.close(&flow);
                    self.endpoint.transport_failed(now, &flow);
                }
            }
            What::Unsecured(why) => {
                self.counters.failed_handshakes += 1;
                // Strangers try doors all day; a trunk that fails is somebody's evening.
                if self.endpoint.is_known(flow.peer.ip()) {
                    info!(peer = %flow.peer, why, "TLS handshake failed");
                } else {
                    debug!(peer = %flow.peer, why, "TLS handshake failed");
                }
                self.close(&flow);
                self.endpoint.transport_failed(now, &flow);
            }
            What::Message(message) => {
                if let Some(tap) = &self.tap {
                    tap.tell(Seen::read(flow, &message));
                }
                self.endpoint.receive_message(now, &flow, Ok(*message));
            }
            What::Fault(fault) => self.endpoint.receive_message(now, &flow, Err(fault)),
            What::Broken(fault) => {
                self.endpoint.receive_message(now, &flow, Err(fault));
                self.flush_transmits();
                self.close(&flow);
                self.endpoint.transport_failed(now, &flow);
            }
            What::Closed => {
                self.close(&flow);
                self.endpoint.transport_failed(now, &flow);
            }
        }
    }

    fn close(&mut self, flow: &Flow) {
        let Some(connection) = self.connections.remove(flow) else { return };
        self.endpoint.forget_proof(flow);
        if connection.inbound
            && let Some(count) = self.of_source.get_mut(&flow.peer.ip())
        {
            *count -= 1;
            if *count == 0 {
                self.of_source.remove(&flow.peer.ip());
            }
        }
    }

    /// Sends what the endpoint has to say, to peers and to the service.
    fn flush(&mut self) {
        loop {
            self.flush_transmits();
            if !self.flush_events() {
                break;
            }
        }
        while let Some(notice) = self.endpoint.poll_notice() {
            tell(&notice);
        }
        while let Some(lookup) = self.endpoint.poll_lookup() {
            self.look_up(lookup);
        }
        while let Some(Probed { id, answer }) = self.endpoint.poll_probed() {
            if let Some(sender) = self.probes.remove(&id) {
                // Whoever asked may have gone.
                let _ = sender.send(answer);
            }
        }
        let counters = self.endpoint.counters();
        self.counts.publish(&Counters {
            refused_sources: self.counters.refused_sources + counters.refused_sources,
            malformed: counters.malformed,
            overloaded: counters.overloaded,
            too_fast: counters.too_fast,
            refused: counters.refused,
            ..self.counters
        });
    }

    fn flush_transmits(&mut self) {
        while let Some(Transmit { flow, bytes }) = self.endpoint.poll_transmit() {
            if let Some(tap) = &self.tap {
                tap.tell(Seen::goes(flow, &bytes));
            }
            if flow.transport == Transport::Udp {
                let Some(socket) = self.sockets.iter().find(|socket| socket.owns(flow.local)) else {
                    self.counters.socket_errors += 1;
                    continue;
                };
                // What does not go out is lost as on the wire, and sent again as from there.
                if let Err(error) = socket.inner().try_send_to(&bytes, flow.peer) {
                    self.counters.socket_errors += 1;
                    debug!(%error, "UDP send");
                }
                continue;
            }
            let sent =
                self.connection(flow).is_some_and(|connection| connection.writes.try_send(bytes).is_ok());
            if !sent {
                // The peer does not read, the connection is gone, or there can be none.
                self.counters.socket_errors += 1;
                self.close(&flow);
                self.endpoint.transport_failed(Instant::now(), &flow);
            }
        }
    }

    /// The connection of this flow; one is opened if there is none.
    fn connection(&mut self, flow: Flow) -> Option<&Connection> {
        if !self.connections.contains_key(&flow) {
            let origin = if flow.transport == Transport::Tls {
                let tls = self.tls.as_ref()?;
                let expected = self.endpoint.expected_name(&flow);
                let name = match expected.as_ref().and_then(TlsName::host) {
                    Some(host) => ServerName::try_from(host.to_owned()).ok()?,
                    None => ServerName::IpAddress(flow.peer.ip().to_canonical().into()),
                };
                Origin::OpenTls(tls.connector(), name)
            } else {
                Origin::Open
            };
            self.last_connection += 1;
            let news = self.news_sender.clone();
            let connection = Connection::start(origin, flow, self.last_connection, &self.limits, news);
            self.connections.insert(flow, connection);
        }
        self.connections.get(&flow)
    }

    /// `true` when a refusal has given the endpoint more to say.
    fn flush_events(&mut self) -> bool {
        let mut refused = false;
        while let Some(event) = self.overflow.pop_front() {
            if let Err(TrySendError::Full(event)) = self.events.try_send(event) {
                self.overflow.push_front(event);
                break;
            }
        }
        while let Some(event) = self.endpoint.poll_event() {
            let call = event.call();
            if self.unannounced.contains(&call) {
                if matches!(event, Event::Ended { .. }) {
                    self.unannounced.remove(&call);
                }
                continue;
            }
            let event = if self.overflow.is_empty() {
                match self.events.try_send(event) {
                    Ok(()) | Err(TrySendError::Closed(_)) => continue,
                    Err(TrySendError::Full(event)) => event,
                }
            } else {
                event
            };
            if matches!(event, Event::TurnedAway(_) | Event::NotDone { .. }) {
                // Nobody waits for it; a flood of them must not push calls out.
                self.counters.events_lost += 1;
            } else if matches!(event, Event::Incoming(_)) {
                self.counters.refused_busy += 1;
                self.unannounced.insert(call);
                self.endpoint.refuse(Instant::now(), call, 503, None, Some(RETRY_AFTER));
                refused = true;
            } else {
                self.overflow.push_back(event);
            }
        }
        refused
    }

    fn command(&mut self, command: Command) {
        let now = Instant::now();
        let endpoint = &mut self.endpoint;
        match command {
            Command::Ring(call, sdp) => endpoint.ring(now, call, sdp),
            Command::Answer(call, sdp) => endpoint.answer(now, call, sdp),
            Command::Refuse { call, status, warning, retry_after } => {
                endpoint.refuse(now, call, status, warning.as_ref(), retry_after);
            }
            Command::HangUp(call, farewell) => endpoint.hang_up(now, call, farewell),
            Command::AcceptOffer(call, sdp) => endpoint.accept_offer(now, call, sdp),
            Command::RefuseOffer(call, status, warning) => {
                endpoint.refuse_offer(now, call, status, warning.as_ref());
            }
            Command::Reinvite(call, sdp) => endpoint.reinvite(now, call, sdp),
            Command::SendInfo(call, kind, body) => endpoint.send_info(now, call, &kind, body),
            Command::Invite(mut outgoing, reply) => {
                if outgoing.flow.local.ip().is_unspecified() {
                    outgoing.flow.local = udp::local_towards(outgoing.flow.local, outgoing.flow.peer);
                }
                let _ = reply.send(endpoint.invite(now, *outgoing));
            }
            Command::Ack(call, sdp) => endpoint.ack(now, call, sdp),
            Command::Cancel(call) => endpoint.cancel(now, call),
            Command::SetDraining(draining) => endpoint.set_draining(now, draining),
            Command::SetTrunks(trunks) => endpoint.set_trunks(now, trunks),
            Command::SetCallsRate(rate) => endpoint.set_calls_rate(rate),
            Command::Probe(trunk, reply) => {
                // Without a probe the sender is dropped, which says that there is nothing to ask.
                if let Some(id) = endpoint.probe(now, &trunk) {
                    self.probes.insert(id, reply);
                }
            }
            Command::SetTls(tls) => self.tls = Some(tls),
            Command::SetTap(tap) => self.tap = Some(tap),
            Command::ExpectName(peer, name) => endpoint.expect_name(peer, name),
            Command::Load(reply) => {
                let _ = reply.send(endpoint.load());
            }
            Command::Stop(done) => {
                endpoint.set_draining(now, true);
                self.stopping = Some((done, now + GIVING_BACK_MAX));
            }
        }
    }
}

/// Into the log.
fn tell(notice: &Notice) {
    match notice {
        Notice::Unproved { trunk, source, why } => {
            warn!(trunk, %source, why = why.name(), "password not proved");
        }
        Notice::Flooded { refused } => warn!(refused, "more calls a second than the service takes"),
        Notice::TooFast { trunk } => warn!(trunk, "more calls a second than the trunk may make"),
        Notice::Reach { trunk, reach: reach @ Reach::Down } => warn!(trunk, state = reach.name(), "trunk"),
        Notice::Reach { trunk, reach } => info!(trunk, state = reach.name(), "trunk"),
        Notice::NotRegistered { trunk, failure, next_try } => {
            let seconds = next_try.as_secs();
            warn!(
                trunk,
                status = failure.status,
                why = failure.why,
                next_try_seconds = seconds,
                "not registered"
            );
        }
        Notice::Unregistered { trunk } => info!(trunk, "registration given back"),
    }
}

/// The first UDP socket with something to read; never when there is none.
async fn readable(sockets: &[Socket], first: usize) -> usize {
    poll_fn(|context| {
        for offset in 0..sockets.len() {
            let index = (first + offset) % sockets.len();
            // An error is read, counted and gone with the next receive.
            if sockets[index].inner().poll_recv_ready(context).is_ready() {
                return Poll::Ready(index);
            }
        }
        Poll::Pending
    })
    .await
}

async fn accept(listeners: &[Listener]) -> (usize, std::io::Result<(TcpStream, SocketAddr)>) {
    poll_fn(|context| {
        for (index, listener) in listeners.iter().enumerate() {
            if let Poll::Ready(accepted) = listener.socket.poll_accept(context) {
                return Poll::Ready((index, accepted));
            }
        }
        Poll::Pending
    })
    .await
}
