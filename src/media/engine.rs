//! The handle to the media threads: legs are opened, told what to do, and closed.
//!
//! Which worker and which place in it a leg or a room has is known here and nowhere else. The
//! lock is held only by those who give orders, for a few microseconds; the ticks never see it.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rtrb::{Producer, RingBuffer};

use super::control::{Call, Control, Hand, Name, Room};
use super::events::{Bell, Event, Events};
use super::figures::{Counters, Figures};
use super::line::Line;
use super::load::Load;
use super::order::Order;
use super::ports::Ports;
use super::post::Rings;
use super::recording::{self, RecordingEnd};
use super::room::Freight;
use super::worker::Worker;
use super::{Settings, socket};
use crate::audio::{Clip, Codec, Leg, LegSettings, Playback, Seed, Take};
use crate::rtp::Moment;
use crate::types::{CallId, MeetingId};

/// Orders under way to one worker, at most; one more and the call gets [`Event::Overload`].
pub const ORDERS_MAX: usize = 1_024;
/// Of these, kept free for orders that must not be refused: closing, and what goes with it.
pub(super) const ORDERS_RESERVED: usize = 128;
/// Names kept at once, at most: each takes up to 260 kB.
const NAMES_MAX: usize = 200;
/// Events under way from one worker, at most.
pub const EVENTS_MAX: usize = 4_096;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("RTP ports {0}–{1}, expected at least one even port with the next one free for RTCP")]
    NoPorts(u16, u16),
    #[error("no RTP port is free: all are in use or rest after a call")]
    PortsUsedUp,
    #[error("call {0} has a leg already")]
    OpenAlready(CallId),
    #[error("the media engine takes no more orders now")]
    Overload,
    #[error("the media threads are as busy as they may be: no new call is taken")]
    Full,
    #[error("media: {what}: {source}")]
    System { what: &'static str, source: io::Error },
}

/// All of the engine. Clones are the same engine; when the last one and [`Events`] are gone, the
/// threads end.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    threads: Arc<Threads>,
}

/// What both [`Engine`] and [`Events`] hold.
pub struct Shared {
    control: Mutex<Control>,
    bell: Arc<Bell>,
    counters: Vec<Arc<Counters>>,
    settings: Settings,
    started: Instant,
    started_ntp: u64,
}

struct Threads {
    stop: Arc<AtomicBool>,
    handles: Vec<JoinHandle<()>>,
    /// One for each recording under way, and some that are over.
    recordings: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the threads. Binds nothing yet.
    pub fn start(settings: &Settings) -> Result<(Self, Events), Error> {
        let system = |what| move |source| Error::System { what, source };
        let mut state = u64::from(random()?) << 32 | u64::from(random()?) | 1;
        let ports = Ports::new(&settings.ports, || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u32
        });
        if ports.is_empty() {
            return Err(Error::NoPorts(*settings.ports.start(), *settings.ports.end()));
        }
        Codec::prepare();
        let count = settings
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get));
        let count = count.max(1);
        let places = ports.len();
        let bell = Arc::new(Bell::new().map_err(system("eventfd"))?);
        let stop = Arc::new(AtomicBool::new(false));
        let (started, started_ntp) = (Instant::now(), ntp_now());

        let (mut hands, mut readers, mut counters, mut workers) = (vec![], vec![], vec![], vec![]);
        for rings in lines_between(count) {
            let (orders_in, orders) = RingBuffer::new(ORDERS_MAX);
            let (events, events_out) = RingBuffer::new(EVENTS_MAX);
            // Every line may come back at once, beside what else is freed meanwhile.
            let (returned, returned_out) = RingBuffer::new(places + EVENTS_MAX);
            let places_free = || (0..places as u32).rev().collect::<Vec<_>>();
            hands.push(Hand {
                orders: orders_in,
                free_lines: places_free(),
                free_rooms: places_free(),
                legs: 0,
            });
            readers.push((events_out, returned_out));
            let own = Arc::new(Counters::default());
            counters.push(own.clone());
            let rings = Rings { orders, events, returned, to: rings.0, from: rings.1 };
            workers.push(Worker::new(rings, bell.clone(), own, stop.clone(), started, started_ntp, places));
        }
        let mut threads = Threads { stop, handles: Vec::new(), recordings: Mutex::default() };
        for (n, worker) in workers.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("media-{n}"));
            threads.handles.push(thread.spawn(move || worker.run()).map_err(system("thread"))?);
        }
        let control = Control {
            workers: hands,
            calls: HashMap::new(),
            rooms: HashMap::new(),
            ports,
            refused: VecDeque::new(),
            put_off: VecDeque::new(),
            phase: 0,
            recording: None,
            load: Load::new(settings.busy_max, count, started),
            recorded: Vec::new(),
        };
        let shared = Arc::new(Shared {
            control: Mutex::new(control),
            bell: bell.clone(),
            counters,
            settings: settings.clone(),
            started,
            started_ntp,
        });
        let events = Events::new(readers, &bell, shared.clone()).map_err(system("eventfd"))?;
        Ok((Self { shared, threads: Arc::new(threads) }, events))
    }

    /// Opens a leg: binds its ports and listens. Nothing is sent before [`Engine::configure`].
    /// Returns the RTP address; RTCP is on the next port.
    pub fn open(&self, call: CallId) -> Result<SocketAddr, Error> {
        self.open_at(call, self.shared.settings.address)
    }

    /// The same at another address of this machine: its family is the one of the leg's packets.
    pub fn open_at(&self, call: CallId, ip: IpAddr) -> Result<SocketAddr, Error> {
        let mut control = self.shared.lock();
        if control.calls.contains_key(&call) {
            return Err(Error::OpenAlready(call));
        }
        if control.load.is_full() {
            return Err(Error::Full);
        }
        let worker = control.least_loaded();
        if control.workers[worker].orders.slots() <= ORDERS_RESERVED {
            return Err(Error::Overload);
        }
        let seed =
            // A sequence number in the lower half: a peer that misses our first packets should not miss the
            // first turn of SRTP's rollover counter with them (RFC 4568 §6.4).
            Seed { ssrc: random()?, sequence: random()? as u16 >> 1, timestamp: random()?, spread: random()? };
        let (port, rtp, rtcp) = Self::bind(&mut control, ip)?;
        let now = Moment::new(self.shared.started_ntp, self.shared.started.elapsed());
        let leg = Box::new(Line::new(call, port, Leg::new(seed, now), rtp, rtcp));
        let phase = control.next_phase();
        let hand = &mut control.workers[worker];
        let line = hand.free_lines.pop().expect("there are as many places as ports");
        hand.legs += 1;
        control.calls.insert(call, Call::new(worker, line));
        control.must(worker, Order::Open { line, phase, leg });
        Ok(SocketAddr::new(ip, port))
    }

    /// What offer and answer agreed on; again at each re-INVITE. Unknown calls are passed over, here
    /// and below: they may just have closed.
    pub fn configure(&self, call: CallId, settings: LegSettings) {
        if settings.codec == Codec::Opus {
            self.control(|control| control.equip(call, &settings));
        }
        if settings.sound.noise_suppression {
            self.control(|control| control.equip_denoiser(call));
        }
        self.order(call, |line| Order::Configure { line, settings });
    }

    /// Queues clips to one leg, behind those that wait. [`Event::Played`] comes once, at their end.
    pub fn play(&self, call: CallId, playback: u64, clips: Vec<Arc<Clip>>) {
        self.order(call, |line| Order::Play { line, playback: Playback::new(Some(playback), clips) });
    }

    /// Plays a clip over and over until stopped. Clips queued with [`Engine::play`] are heard in
    /// its place, and then it goes on.
    pub fn play_loop(&self, call: CallId, clip: Arc<Clip>) {
        self.order(call, |line| Order::PlayLoop { line, playback: Playback::new(None, vec![clip]) });
    }

    /// Stops what this leg is played, at once; every `Played` still comes.
    pub fn stop_playing(&self, call: CallId) {
        self.order(call, |line| Order::StopPlaying { line });
    }

    /// Mixes a leg into a room from now on; out of the one it was in. The first to join makes the
    /// room.
    pub fn join(&self, call: CallId, room: MeetingId) {
        self.control(|control| control.join(call, room));
    }

    /// Takes a leg out of its room. The last to leave ends the room.
    pub fn leave(&self, call: CallId) {
        self.control(|control| control.leave(call));
    }

    /// Others stop or start hearing this leg.
    pub fn mute(&self, call: CallId, muted: bool) {
        self.order(call, |line| Order::Mute { line, muted });
    }

    /// Keeps what this leg says from now on, for `most` and until it joins a room: a caller's name,
    /// in memory and for this call alone. With [`NAMES_MAX`] of them it is not kept.
    pub fn record_name(&self, call: CallId, most: Duration) {
        self.control(|control| {
            let names = control.calls.values().filter(|call| !matches!(call.name, Name::None)).count();
            let Some(known) = control.calls.get_mut(&call) else { return };
            if names >= NAMES_MAX && matches!(known.name, Name::None) {
                return;
            }
            known.name = Name::Said;
            let take = Take::with_room_for((most.as_millis() / 20) as usize);
            control.ask(call, |line| Order::BeginName { line, take });
        });
    }

    /// Queues the name that was said on another call, as [`Engine::play`] does; `otherwise`, if there
    /// is none.
    pub fn play_name(&self, to: CallId, playback: u64, of: CallId, otherwise: Vec<Arc<Clip>>) {
        let kept = match self.shared.lock().calls.get(&of).map(|call| &call.name) {
            Some(Name::Kept(clip)) => vec![clip.clone()],
            _ => otherwise,
        };
        self.play(to, playback, kept);
    }

    /// Forgets the name that was said on this call.
    pub fn drop_name(&self, call: CallId) {
        self.control(|control| {
            let Some(known) = control.calls.get_mut(&call) else { return };
            if matches!(std::mem::replace(&mut known.name, Name::None), Name::Said) {
                control.ask(call, |line| Order::EndName { line });
            }
        });
    }

    /// Mixes clips over what everyone in the room hears. An empty room hears nothing.
    pub fn play_to_room(&self, room: MeetingId, clips: Vec<Arc<Clip>>) {
        let mut control = self.shared.lock();
        let Some(&Room { worker, room, .. }) = control.rooms.get(&room) else { return };
        if control.workers[worker].orders.slots() > ORDERS_RESERVED {
            let playback = Playback::new(None, clips);
            control.must(worker, Order::PlayToRoom { room, playback });
        }
    }

    /// Where and how rooms are recorded from now on. Before this, none is.
    pub fn set_recording(&self, settings: recording::Settings) {
        self.shared.lock().recording = Some(settings);
    }

    /// Begins or ends the recording of a room; what is so already stays so. [`Event::RecordingEnded`]
    /// comes once for each that began, whatever ends it, and at once for one that cannot begin.
    pub fn record(&self, meeting: MeetingId, on: bool) {
        let mut control = self.shared.lock();
        let settings = control.recording.clone();
        let (place, worker) = match control.rooms.get_mut(&meeting) {
            Some(room) if room.recorded == on => return,
            Some(room) => (room.room, room.worker),
            None if on => {
                control.recorded.push((meeting, RecordingEnd::NothingToRecord));
                drop(control);
                return self.shared.bell.ring();
            }
            None => return,
        };
        let tape = match settings.filter(|_| on) {
            None if on => Err(RecordingEnd::NothingToRecord),
            None => Ok(None),
            Some(settings) => recording::begin(meeting, settings, &self.shared, &self.threads.stop)
                .map(|(tape, thread)| {
                    let mut all = self.threads.recordings.lock().unwrap_or_else(PoisonError::into_inner);
                    all.retain(|recording| !recording.is_finished());
                    all.push(thread);
                    Some(Box::new(tape))
                })
                .map_err(|error| RecordingEnd::Failed(error.kind())),
        };
        match tape {
            Ok(tape) => {
                if let Some(room) = control.rooms.get_mut(&meeting) {
                    room.recorded = on;
                }
                control.must(worker, Order::Record { room: place, tape });
            }
            Err(why) => control.recorded.push((meeting, why)),
        }
        drop(control);
        self.shared.bell.ring();
    }

    /// Ends a leg. [`Event::Closed`] comes once, with its figures; then its ports rest.
    pub fn close(&self, call: CallId) {
        self.control(|control| control.close(call));
    }

    /// The workers' own figures, one each.
    #[must_use]
    pub fn figures(&self) -> Vec<Figures> {
        self.shared.counters.iter().map(|counters| counters.read()).collect()
    }

    /// The media threads are as busy as they may be: [`Engine::open`] refuses until they are less so.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.lock().load.is_full()
    }

    /// Port pairs that are not in use; some of them may rest after a call.
    #[must_use]
    pub fn ports_free(&self) -> usize {
        self.shared.lock().ports.len()
    }

    fn order(&self, call: CallId, order: impl FnOnce(u32) -> Order) {
        self.control(|control| control.ask(call, order));
    }

    fn control(&self, change: impl FnOnce(&mut Control)) {
        let mut control = self.shared.lock();
        change(&mut control);
        let tell = !control.refused.is_empty();
        drop(control);
        if tell {
            self.shared.bell.ring();
        }
    }

    /// Ports that another program holds are put back and the next are tried.
    fn bind(
        control: &mut Control,
        ip: IpAddr,
    ) -> Result<(u16, std::net::UdpSocket, std::net::UdpSocket), Error> {
        let now = Instant::now();
        let mut last = None;
        for _ in 0..64 {
            let Some(port) = control.ports.take(now) else { break };
            let pair = socket::bind(SocketAddr::new(ip, port))
                .and_then(|rtp| Ok((rtp, socket::bind(SocketAddr::new(ip, port + 1))?)));
            match pair {
                Ok((rtp, rtcp)) => return Ok((port, rtp, rtcp)),
                Err(error) => {
                    control.ports.give_back(port, now);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(Error::System { what: "RTP socket", source: error });
                    }
                    last = Some(error);
                }
            }
        }
        Err(last.map_or(Error::PortsUsedUp, |source| Error::System { what: "RTP socket", source }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Control> {
        // Orders leave nothing half-done that the next one could not live with.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the reader of events: whether orders wait for room in a ring. Tries them again.
    pub(super) fn has_put_off(&self) -> bool {
        let mut control = self.lock();
        control.try_put_off();
        !control.put_off.is_empty()
    }

    pub(super) fn take_refused(&self, events: &mut VecDeque<Event>) {
        let mut control = self.lock();
        control.try_put_off();
        control.look(Instant::now(), self.counters.iter().map(|counters| counters.read()));
        events.extend(control.refused.drain(..).map(|call| Event::Overload { call }));
        let over = std::mem::take(&mut control.recorded);
        events.extend(over.into_iter().map(|(meeting, why)| Event::RecordingEnded { meeting, why }));
    }

    /// A recording's thread is done. The room may go on, and be recorded anew.
    pub(super) fn recording_ended(&self, meeting: MeetingId, why: RecordingEnd) {
        let mut control = self.lock();
        // One that was asked to end may have a follower already.
        if why != RecordingEnd::Stopped
            && let Some(room) = control.rooms.get_mut(&meeting)
            && std::mem::take(&mut room.recorded)
        {
            let (worker, place) = (room.worker, room.room);
            control.must(worker, Order::Record { room: place, tape: None });
        }
        control.recorded.push((meeting, why));
        drop(control);
        self.bell.ring();
    }

    /// A name has been said, or as much of it as there was time for.
    pub(super) fn name_said(&self, call: CallId, take: Take) {
        // Filtering takes milliseconds: not under the lock.
        let name = take.into_clip().map_or(Name::None, |clip| Name::Kept(Arc::new(clip)));
        if let Some(call) = self.lock().calls.get_mut(&call)
            && matches!(call.name, Name::Said)
        {
            call.name = name;
        }
    }

    /// A leg has come back: its playbacks end, its port rests, its place is free.
    pub(super) fn closed(&self, mut line: Box<Line>, events: &mut VecDeque<Event>) {
        let call = line.call;
        let over = line.leg.player.finished().drain(..);
        events.extend(over.filter_map(|over| over.id).map(|playback| Event::Played { call, playback }));
        events.push_back(Event::Closed { call, quality: line.leg.quality() });
        let port = line.port;
        // The sockets close before the port is free.
        drop(line);
        let mut control = self.lock();
        control.ports.give_back(port, Instant::now());
        if let Some(Call { worker, line, room, .. }) = control.calls.remove(&call) {
            if let Some(room) = room {
                control.left(room);
            }
            let hand = &mut control.workers[worker];
            hand.free_lines.push(line);
            hand.legs -= 1;
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for handle in self.handles.drain(..) {
            // One that has panicked has said so already.
            let _ = handle.join();
        }
        // So that every file is whole when the service ends.
        let recordings = self.recordings.get_mut().unwrap_or_else(PoisonError::into_inner);
        for recording in recordings.drain(..) {
            let _ = recording.join();
        }
    }
}

type Between = (Vec<Producer<Freight>>, Vec<rtrb::Consumer<Freight>>);

/// Rings from each worker to each other. As long as the order rings, so never full.
fn lines_between(count: usize) -> Vec<Between> {
    let mut between: Vec<Between> = (0..count).map(|_| (Vec::new(), Vec::new())).collect();
    for from in 0..count {
        for to in 0..count {
            let (producer, consumer) = RingBuffer::new(if from == to { 0 } else { ORDERS_MAX });
            between[from].0.push(producer);
            between[to].1.push(consumer);
        }
    }
    between
}

/// The date as an NTP timestamp: seconds since 1900.
fn ntp_now() -> u64 {
    const FROM_1900_TO_1970: u64 = 2_208_988_800;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::new(FROM_1900_TO_1970 << 32, since_1970).ntp
}

/// From the system's random source.
fn random() -> Result<u32, Error> {
    getrandom::u32().map_err(|error| Error::System { what: "random source", source: io::Error::other(error) })
}
