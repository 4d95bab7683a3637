//! One media thread: its legs, its rooms, its clock.
//!
//! Every 20 ms each leg is served once: sockets are drained, the room is mixed, packets go out.
//! The tick is cut into four phases of 5 ms and rooms are spread over them, so that packets leave
//! in small bursts. Inside a phase nothing allocates, locks, waits or logs: whatever must be freed
//! goes back over a ring to somebody who may free.

use std::net::{SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};

use super::engine::EVENTS_MAX;
use super::events::{Bell, Event, Returned};
use super::figures::{Counters, add, take_one};
use super::recording::Tape;
use super::socket::{self, Inbox};
use crate::audio::{Conference, FRAME, Leg, LegSettings, Playback, Take};
use crate::rtp::Moment;
use crate::rtp::rtcp::REPORT_MAX;
use crate::types::{CallId, Digit};

/// Phases of a tick.
pub const PHASES: usize = 4;
const PHASE: Duration = Duration::from_millis(20 / PHASES as u64);
/// Further behind than this the thread gives up what it missed: one hole is better than a rush.
const BEHIND_MAX: Duration = Duration::from_millis(100);
/// Ticks between two looks at a leg's RTCP socket and timers: half a second.
const SELDOM: u64 = 25;
/// Room in the event ring that only key presses may use.
const RESERVED_FOR_KEYS: usize = 1_024;

/// One leg with its sockets; moves between threads as a whole.
pub struct Line {
    pub call: CallId,
    /// The even port.
    pub port: u16,
    pub leg: Leg,
    rtp: UdpSocket,
    control: UdpSocket,
    /// What `rtp` is connected to.
    connected: Option<SocketAddr>,
    /// Which phase it is served in, which room it is in, and its place in that list.
    phase: usize,
    room: Option<u32>,
    place: usize,
    /// Keys for which the event ring had no room, in order.
    keys: Keys,
    /// Serving it failed once; it waits for its end.
    broken: bool,
}

/// A key, and whether it was a tone in the sound.
type Key = (Digit, bool);

/// A few keys that wait; nobody types more in the second that the ring may be full.
#[derive(Default)]
struct Keys {
    keys: [Option<Key>; 16],
    count: usize,
}

impl Line {
    #[must_use]
    pub fn new(call: CallId, port: u16, leg: Leg, rtp: UdpSocket, control: UdpSocket) -> Self {
        Self {
            call,
            port,
            leg,
            rtp,
            control,
            connected: None,
            phase: 0,
            room: None,
            place: 0,
            keys: Keys::default(),
            broken: false,
        }
    }
}

impl AsMut<Leg> for Line {
    fn as_mut(&mut self) -> &mut Leg {
        &mut self.leg
    }
}

struct Room {
    conference: Conference,
    members: Vec<u32>,
    phase: usize,
    /// Its place in the list of its phase.
    place: usize,
    /// Mixing it failed once; it waits for its end.
    broken: bool,
    tape: Option<Box<Tape>>,
}

/// What the control side asks of a worker. Places of lines and rooms are given out by it, so the
/// worker searches nothing.
pub enum Order {
    Open {
        line: u32,
        phase: usize,
        leg: Box<Line>,
    },
    Configure {
        line: u32,
        settings: LegSettings,
    },
    Play {
        line: u32,
        playback: Playback,
    },
    PlayLoop {
        line: u32,
        playback: Playback,
    },
    StopPlaying {
        line: u32,
    },
    /// `members`: a longer list for a room that has grown full.
    Join {
        line: u32,
        room: u32,
        members: Option<Vec<u32>>,
    },
    Leave {
        line: u32,
        phase: usize,
    },
    Mute {
        line: u32,
        muted: bool,
    },
    BeginName {
        line: u32,
        take: Take,
    },
    EndName {
        line: u32,
    },
    Close {
        line: u32,
    },
    OpenRoom {
        room: u32,
        phase: usize,
        shell: Box<RoomShell>,
    },
    PlayToRoom {
        room: u32,
        playback: Playback,
    },
    /// Record into this tape from now on; what was recorded into another before ends.
    Record {
        room: u32,
        tape: Option<Box<Tape>>,
    },
    CloseRoom {
        room: u32,
    },
    /// Send the line to another worker; it leaves its room.
    HandOver {
        line: u32,
        to: usize,
    },
    /// Take the line that `from` sends. Orders behind this one wait until it is there: it was
    /// sent on its way before.
    Receive {
        line: u32,
        phase: usize,
        from: usize,
    },
}

/// An empty room, allocated where that is allowed.
pub struct RoomShell(Room);

impl RoomShell {
    #[must_use]
    pub fn with_room_for(members: usize) -> Self {
        Self(Room {
            conference: Conference::default(),
            members: Vec::with_capacity(members),
            phase: 0,
            place: 0,
            broken: false,
            tape: None,
        })
    }
}

/// The worker's ends of all rings.
pub struct Rings {
    pub orders: Consumer<Order>,
    pub events: Producer<Event>,
    pub returned: Producer<Returned>,
    /// To and from each other worker; its own place is unused.
    pub to: Vec<Producer<Box<Line>>>,
    pub from: Vec<Consumer<Box<Line>>>,
}

pub struct Worker {
    post: Post,
    stop: Arc<AtomicBool>,
    started: Instant,
    started_ntp: u64,
    lines: Vec<Option<Box<Line>>>,
    rooms: Vec<Option<Box<RoomShell>>>,
    /// Per phase: lines in no room, and rooms.
    alone: [Vec<u32>; PHASES],
    mixed: [Vec<u32>; PHASES],
    /// A `Receive` whose line is not there yet.
    awaited: Option<Order>,
}

/// What comes in and goes out of a worker: rings, sockets, counters.
struct Post {
    rings: Rings,
    bell: Arc<Bell>,
    counters: Arc<Counters>,
    inbox: Inbox,
    /// Something was put into a ring that somebody waits at.
    rang: bool,
}

impl Worker {
    /// For at most `lines` legs and as many rooms.
    pub(super) fn new(
        rings: Rings,
        bell: Arc<Bell>,
        counters: Arc<Counters>,
        stop: Arc<AtomicBool>,
        started: Instant,
        started_ntp: u64,
        lines: usize,
    ) -> Self {
        Self {
            post: Post { rings, bell, counters, inbox: Inbox::default(), rang: false },
            stop,
            started,
            started_ntp,
            lines: (0..lines).map(|_| None).collect(),
            rooms: (0..lines).map(|_| None).collect(),
            alone: std::array::from_fn(|_| Vec::with_capacity(lines)),
            mixed: std::array::from_fn(|_| Vec::with_capacity(lines)),
            awaited: None,
        }
    }

    /// The thread: one phase every 5 ms, on deadlines that do not drift, until told to stop.
    pub fn run(mut self) {
        precise_timer();
        before_others();
        let mut deadline = monotonic_now();
        let mut phase = 0;
        while !self.stop.load(Ordering::Relaxed) {
            deadline += PHASE;
            sleep_until(deadline);
            let begun = monotonic_now();
            let counters = &self.post.counters;
            counters.late_by(begun.saturating_sub(deadline));
            self.phase(phase);
            phase += 1;
            let ended = monotonic_now();
            let counters = &self.post.counters;
            add(&counters.busy_ns, (ended.saturating_sub(begun)).as_nanos() as u64);
            add(&counters.phases, 1);
            if ended.saturating_sub(deadline) > BEHIND_MAX {
                let missed = (ended - deadline).as_nanos() / PHASE.as_nanos();
                // Whole ticks, so that each leg keeps its turn.
                let missed = missed as u32 / PHASES as u32 * PHASES as u32;
                deadline += PHASE * missed;
                add(&counters.skipped, u64::from(missed));
            }
        }
    }

    /// One phase; `count` counts them from the start.
    fn phase(&mut self, count: u64) {
        let now = Moment::new(self.started_ntp, self.started.elapsed());
        self.obey(now);
        let phase = (count % PHASES as u64) as usize;
        let tick = count / PHASES as u64;
        for n in 0..self.alone[phase].len() {
            let place = self.alone[phase][n];
            let served = catch_unwind(AssertUnwindSafe(|| self.serve_alone(place, tick, now)));
            if served.is_err() {
                self.give_up(&[place]);
            }
        }
        for n in 0..self.mixed[phase].len() {
            let room = self.mixed[phase][n];
            let served = catch_unwind(AssertUnwindSafe(|| self.serve_room(room, tick, now)));
            if served.is_err()
                && let Some(mut shell) = self.rooms[room as usize].take()
            {
                self.give_up(&shell.0.members);
                shell.0.broken = true;
                self.rooms[room as usize] = Some(shell);
            }
        }
        if std::mem::take(&mut self.post.rang) {
            self.post.bell.ring();
        }
    }

    fn serve_alone(&mut self, place: u32, tick: u64, now: Moment) {
        let Some(line) = self.lines[place as usize].as_deref_mut() else { return };
        if line.broken {
            return;
        }
        self.post.listen(line, now);
        if let Some(take) = line.leg.say_name(now) {
            self.post.free(Returned::Name(line.call, take));
        }
        if line.leg.waits_for_peer(now) {
            line.leg.pause();
        } else {
            let mut payload = [0; FRAME];
            line.leg.idle(&mut payload);
            if line.leg.send_to().is_some() {
                line.send(&payload, &self.post.counters);
            } else {
                line.leg.pause();
            }
        }
        self.post.care(line, place, tick, now);
    }

    fn serve_room(&mut self, room: u32, tick: u64, now: Moment) {
        let Some(RoomShell(room)) = self.rooms[room as usize].as_deref_mut() else { return };
        if room.broken {
            return;
        }
        for &place in &room.members {
            if let Some(line) = self.lines[place as usize].as_deref_mut() {
                self.post.listen(line, now);
            }
        }
        let counters = &self.post.counters;
        room.conference.tick(&room.members, &mut self.lines, now, |line: &mut Line, payload| {
            line.send(payload, counters);
        });
        if let Some(tape) = &mut room.tape {
            let lines = room.members.iter().filter_map(|&place| self.lines[place as usize].as_deref());
            tape.record(&room.conference, lines.map(|line| (line.call, &line.leg)));
        }
        while let Some(playback) = room.conference.player.finished().pop_front() {
            self.post.free(Returned::Playback(playback));
        }
        for &place in &room.members {
            if let Some(line) = self.lines[place as usize].as_deref_mut() {
                self.post.care(line, place, tick, now);
            }
        }
    }

    /// A fault of ours while serving these: their calls end, all others go on.
    fn give_up(&mut self, places: &[u32]) {
        add(&self.post.counters.faults, 1);
        for &place in places {
            if let Some(Some(line)) = self.lines.get_mut(place as usize) {
                line.broken = true;
                let call = line.call;
                self.post.tell(Event::Overload { call });
            }
        }
    }

    // -- orders --

    fn obey(&mut self, now: Moment) {
        while let Some(order) = self.awaited.take().or_else(|| self.post.rings.orders.pop().ok()) {
            if let Order::Receive { line, phase, from } = order {
                let Ok(arrived) = self.post.rings.from[from].pop() else {
                    self.awaited = Some(order);
                    return;
                };
                self.settle(line, phase, arrived);
                continue;
            }
            self.carry_out(order, now);
        }
    }

    fn carry_out(&mut self, order: Order, now: Moment) {
        match order {
            Order::Open { line, phase, leg } => self.settle(line, phase, leg),
            Order::Configure { line, settings } => {
                if let Some(line) = self.line(line) {
                    line.leg.configure(settings, now);
                    line.follow_latch();
                }
            }
            Order::Play { line, playback } => {
                let result = match self.line(line) {
                    Some(line) => line.leg.player.play(playback),
                    None => Err(playback),
                };
                self.refuse(line, result);
            }
            Order::PlayLoop { line, playback } => {
                let result = match self.line(line) {
                    Some(line) => line.leg.player.play_loop(playback),
                    None => Err(playback),
                };
                self.refuse(line, result);
            }
            Order::StopPlaying { line } => {
                if let Some(line) = self.line(line) {
                    line.leg.player.stop();
                }
            }
            Order::Join { line, room, members } => self.join(line, room, members),
            Order::Leave { line, phase } => {
                if let Some(leg) = self.take_out(line) {
                    self.settle(line, phase, leg);
                }
            }
            Order::Mute { line, muted } => {
                if let Some(line) = self.line(line) {
                    line.leg.mute(muted);
                }
            }
            Order::BeginName { line, take } => {
                // A line has its place before it has orders.
                let Some(line) = self.lines[line as usize].as_deref_mut() else { return };
                if let Some(before) = line.leg.begin_name(take) {
                    self.post.free(Returned::Name(line.call, before));
                }
            }
            Order::EndName { line } => self.end_name(line),
            Order::Close { line } => self.close(line, now),
            Order::OpenRoom { room, phase, mut shell } => {
                shell.0.phase = phase;
                shell.0.place = self.mixed[phase].len();
                self.mixed[phase].push(room);
                self.rooms[room as usize] = Some(shell);
                add(&self.post.counters.rooms, 1);
            }
            Order::PlayToRoom { room, playback } => {
                let refused = match &mut self.rooms[room as usize] {
                    Some(shell) => shell.0.conference.player.play(playback),
                    None => Err(playback),
                };
                if let Err(playback) = refused {
                    self.post.free(Returned::Playback(playback));
                }
            }
            Order::Record { room, tape } => {
                let before = match &mut self.rooms[room as usize] {
                    Some(shell) => std::mem::replace(&mut shell.0.tape, tape),
                    None => tape,
                };
                if let Some(over) = before {
                    self.post.free(Returned::Tape(over));
                }
            }
            Order::CloseRoom { room } => self.close_room(room),
            Order::HandOver { line, to } => {
                if let Some(leg) = self.take_out(line) {
                    // Never full: every line in it has an order `Receive` in a ring of that size.
                    if let Err(rtrb::PushError::Full(leg)) = self.post.rings.to[to].push(leg) {
                        self.post.free(Returned::Line(leg));
                    }
                }
            }
            // Carried out where it may wait.
            Order::Receive { .. } => {}
        }
    }

    fn line(&mut self, place: u32) -> Option<&mut Line> {
        self.lines[place as usize].as_deref_mut()
    }

    /// Puts a line into its place, in no room.
    fn settle(&mut self, place: u32, phase: usize, mut line: Box<Line>) {
        line.phase = phase;
        line.room = None;
        line.place = self.alone[phase].len();
        self.alone[phase].push(place);
        self.lines[place as usize] = Some(line);
        add(&self.post.counters.legs, 1);
    }

    /// Takes a line out of its place and out of its room, if it is in one.
    fn take_out(&mut self, place: u32) -> Option<Box<Line>> {
        let mut line = self.lines[place as usize].take()?;
        let list = match line.room.take() {
            None => &mut self.alone[line.phase],
            Some(room) => {
                let room = &mut self.rooms[room as usize].as_mut()?.0;
                room.conference.leave(&mut line.leg);
                &mut room.members
            }
        };
        list.swap_remove(line.place);
        if let Some(&moved) = list.get(line.place)
            && let Some(moved) = self.lines[moved as usize].as_deref_mut()
        {
            moved.place = line.place;
        }
        take_one(&self.post.counters.legs);
        Some(line)
    }

    /// What has been said of a name so far goes back, if one is being said.
    fn end_name(&mut self, place: u32) {
        if let Some(line) = self.lines[place as usize].as_deref_mut()
            && let Some(take) = line.leg.end_name()
        {
            self.post.free(Returned::Name(line.call, take));
        }
    }

    fn join(&mut self, place: u32, room: u32, members: Option<Vec<u32>>) {
        self.end_name(place);
        let Some(mut line) = self.take_out(place) else { return };
        let Some(shell) = self.rooms[room as usize].as_mut() else {
            let phase = line.phase;
            self.settle(place, phase, line);
            return;
        };
        let room_state = &mut shell.0;
        let mut outgrown = None;
        if let Some(mut longer) = members {
            longer.extend_from_slice(&room_state.members);
            outgrown = Some(std::mem::replace(&mut room_state.members, longer));
        }
        line.room = Some(room);
        line.phase = room_state.phase;
        line.place = room_state.members.len();
        room_state.members.push(place);
        room_state.conference.enter(&mut line.leg);
        self.lines[place as usize] = Some(line);
        add(&self.post.counters.legs, 1);
        if let Some(outgrown) = outgrown {
            self.post.free(Returned::Members(outgrown));
        }
    }

    fn close(&mut self, place: u32, now: Moment) {
        let Some(mut line) = self.take_out(place) else { return };
        // What has arrived since the last tick still counts.
        if !line.broken {
            self.post.listen(&mut line, now);
        }
        let mut report = [0; REPORT_MAX];
        let length = line.leg.last_report(now, &mut report);
        line.send_control(&report[..length]);
        // Playbacks that were under way end with the leg and are still reported.
        line.leg.player.stop();
        self.post.free(Returned::Line(line));
    }

    fn close_room(&mut self, room: u32) {
        let Some(shell) = self.rooms[room as usize].take() else { return };
        let list = &mut self.mixed[shell.0.phase];
        list.swap_remove(shell.0.place);
        if let Some(&moved) = list.get(shell.0.place)
            && let Some(moved) = self.rooms[moved as usize].as_mut()
        {
            moved.0.place = shell.0.place;
        }
        take_one(&self.post.counters.rooms);
        self.post.free(Returned::Room(shell));
    }

    /// A playback for which a leg has no room: the call cannot be served as asked.
    fn refuse(&mut self, place: u32, result: Result<(), Playback>) {
        let Err(playback) = result else { return };
        if let Some(call) = self.line(place).map(|line| line.call) {
            self.post.tell(Event::Overload { call });
        }
        self.post.free(Returned::Playback(playback));
    }
}

impl Post {
    /// Takes in what has arrived for a line.
    fn listen(&mut self, line: &mut Line, now: Moment) {
        let Line { leg, keys, rtp, connected, .. } = line;
        let came = self.inbox.drain(rtp, *connected, |datagram, from| {
            if let Some(digit) = leg.receive(datagram, from, now) {
                keys.push((digit, false));
            }
        });
        if came > 0 {
            add(&self.counters.packets_in, came as u64);
            line.follow_latch();
        }
        self.tell_keys(line);
    }

    fn tell_keys(&mut self, line: &mut Line) {
        let call = line.call;
        while let Some((digit, tone)) = line.keys.first() {
            let event = if tone { Event::Tone { call, digit } } else { Event::Digit { call, digit } };
            if self.rings.events.push(event).is_err() {
                break;
            }
            line.keys.pop();
            self.rang = true;
        }
    }

    /// What is not sound: keys and ended playbacks every tick, RTCP and timers every half second.
    fn care(&mut self, line: &mut Line, place: u32, tick: u64, now: Moment) {
        if let Some(digit) = line.leg.take_tone() {
            line.keys.push((digit, true));
            self.tell_keys(line);
        }
        if let Some(on) = line.leg.take_talking()
            && !self.tell(Event::Talking { call: line.call, on })
        {
            add(&self.counters.events_lost, 1);
        }
        while let Some(playback) = line.leg.player.finished().front() {
            if let Some(id) = playback.id
                && !self.tell(Event::Played { call: line.call, playback: id })
            {
                // Told in a later tick.
                break;
            }
            if let Some(playback) = line.leg.player.finished().pop_front() {
                self.free(Returned::Playback(playback));
            }
        }
        if !(tick + u64::from(place)).is_multiple_of(SELDOM) {
            return;
        }
        let leg = &mut line.leg;
        self.inbox.drain(&line.control, None, |datagram, from| leg.receive_control(datagram, from, now));
        let mut report = [0; REPORT_MAX];
        if let Some(length) = leg.report(now, &mut report) {
            line.send_control(&report[..length]);
        }
        if let Some(on) = line.leg.take_echo()
            && !self.tell(Event::Echo { call: line.call, on })
        {
            add(&self.counters.events_lost, 1);
        }
        if line.leg.media_lost(now) && !self.tell(Event::MediaLost { call: line.call }) {
            add(&self.counters.events_lost, 1);
        }
    }

    /// Tells something that is no key, unless only the room for keys is left.
    fn tell(&mut self, event: Event) -> bool {
        let told = self.rings.events.slots() > RESERVED_FOR_KEYS && self.rings.events.push(event).is_ok();
        self.rang |= told;
        told
    }

    /// Sends something back to be freed. The ring has room for every line there can be and more;
    /// when nobody reads it, what is not a line is freed here.
    fn free(&mut self, what: Returned) {
        let is_line = what.is_line();
        let ring = &mut self.rings.returned;
        let reserved_for_lines = ring.buffer().capacity() - EVENTS_MAX;
        if (!is_line && ring.slots() <= reserved_for_lines) || ring.push(what).is_err() {
            add(&self.counters.freed_in_tick, 1);
        }
        self.rang |= is_line;
    }
}

impl Line {
    /// Connects the socket to the peer once it is known, and lets it go when it may change: the
    /// kernel then drops strangers, and sending costs a tenth less.
    fn follow_latch(&mut self) {
        let wanted = self.leg.only_source();
        if wanted == self.connected {
            return;
        }
        let done = match wanted {
            Some(peer) => self.rtp.connect(peer),
            None => socket::disconnect(&self.rtp),
        };
        // If the kernel refuses, the latch still judges each packet.
        self.connected = if done.is_ok() { wanted } else { None };
    }

    fn send(&mut self, payload: &[u8; FRAME], counters: &Counters) {
        let to = self.leg.send_to();
        let Self { leg, rtp, connected, .. } = self;
        leg.packets(payload, |packet| {
            let Some(to) = to else { return };
            let sent = if *connected == Some(to) { rtp.send(packet) } else { rtp.send_to(packet, to) };
            let counter = if sent.is_ok() { &counters.packets_out } else { &counters.send_failures };
            add(counter, 1);
        });
    }

    fn send_control(&self, report: &[u8]) {
        if let Some(to) = self.leg.send_control_to() {
            // Lost like any datagram.
            let _ = self.control.send_to(report, to);
        }
    }
}

impl Keys {
    fn push(&mut self, key: Key) {
        if self.count < self.keys.len() {
            self.keys[self.count] = Some(key);
            self.count += 1;
        }
    }

    fn first(&self) -> Option<Key> {
        self.keys[0]
    }

    fn pop(&mut self) {
        self.keys.rotate_left(1);
        self.count -= 1;
        self.keys[self.count] = None;
    }
}

/// `CLOCK_MONOTONIC`.
fn monotonic_now() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a timespec to be written to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn sleep_until(deadline: Duration) {
    let until = libc::timespec { tv_sec: deadline.as_secs() as _, tv_nsec: deadline.subsec_nanos() as _ };
    // SAFETY: `until` is a valid timespec; the remainder is not asked for. Interrupted, it tries
    // again until the deadline.
    unsafe {
        while libc::clock_nanosleep(
            libc::CLOCK_MONOTONIC,
            libc::TIMER_ABSTIME,
            &raw const until,
            std::ptr::null_mut(),
        ) == libc::EINTR
        {}
    }
}

/// Sound first: whatever else runs on this machine, signalling included, can wait some
/// milliseconds. A matter of weight, not of real-time scheduling: a fault here must not freeze the
/// machine. Refused without the right to it (`CAP_SYS_NICE`), and then all goes on as usual.
fn before_others() {
    // SAFETY: sets a number of the calling thread, which is what Linux takes 0 for.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, -10) };
}

/// Linux lets a normal thread sleep 50 µs longer than asked; ask for 1 µs.
fn precise_timer() {
    // SAFETY: sets a number of the calling thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000, 0, 0, 0) };
}

#[cfg(test)]
mod tests {
    use rtrb::RingBuffer;

    use super::*;
    use crate::audio::{Codec, Seed, SoundSettings};

    #[test]
    fn a_fault_in_serving_one_ends_its_call_and_no_other() {
        let (mut orders, orders_out) = RingBuffer::new(64);
        let (events, mut events_out) = RingBuffer::new(RESERVED_FOR_KEYS + 16);
        let (returned, _returned_out) = RingBuffer::new(EVENTS_MAX + 8);
        let rings = Rings { orders: orders_out, events, returned, to: vec![], from: vec![] };
        let counters = Arc::new(Counters::default());
        let bell = Arc::new(Bell::new().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let mut worker = Worker::new(rings, bell, counters.clone(), stop, Instant::now(), 0, 8);
        for place in 0..2 {
            let [rtp, control] = [0, 1].map(|_| socket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
            let leg = Leg::new(Seed::default(), Moment::default());
            let call = CallId::numbered(u128::from(place));
            let leg = Box::new(Line::new(call, 0, leg, rtp, control));
            orders.push(Order::Open { line: place, phase: 0, leg }).unwrap();
            let settings = LegSettings {
                remote_rtp: Some("127.0.0.1:9".parse().unwrap()),
                remote_rtcp: None,
                signalling_ip: [127, 0, 0, 1].into(),
                latch: false,
                codec: Codec::Pcmu,
                payload_type: 0,
                event_payload_type: None,
                ptime: Duration::from_millis(20),
                they_send: true,
                they_receive: true,
                sound: SoundSettings::default(),
            };
            orders.push(Order::Configure { line: place, settings }).unwrap();
            let playback = Playback::new(Some(7), vec![]);
            orders.push(Order::Play { line: place, playback }).unwrap();
        }
        worker.obey(Moment::default());
        // A room whose member stands nowhere: serving it is out of bounds.
        let shell = Box::new(RoomShell::with_room_for(2));
        orders.push(Order::OpenRoom { room: 3, phase: 0, shell }).unwrap();
        orders.push(Order::Join { line: 0, room: 3, members: None }).unwrap();
        worker.obey(Moment::default());
        worker.rooms[3].as_mut().unwrap().0.members.push(99);
        for phase in 0..12 {
            worker.phase(phase);
        }
        assert_eq!(counters.read().faults, 1);
        let mut told: Vec<_> = std::iter::from_fn(|| events_out.pop().ok()).collect();
        told.sort_by_key(|event| format!("{event:?}"));
        let (broken, sound) = (CallId::numbered(0), CallId::numbered(1));
        assert_eq!(told, [Event::Overload { call: broken }, Event::Played { call: sound, playback: 7 }]);
    }
}
