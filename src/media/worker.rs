//! One media thread: its legs, its rooms, its clock.
//!
//! Every 20 ms each leg is served once: sockets are drained, the room is mixed, packets go out.
//! The tick is cut into four phases of 5 ms and rooms are spread over them, so that packets leave
//! in small bursts and none waits long for the rooms before its own. Inside a phase nothing allocates,
//! locks, waits or logs: whatever must be freed goes back over a ring to somebody who may free.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::clock::{Clocks, before_others, monotonic_now, precise_timer, sleep_until, wall_now};
use super::events::{Bell, Event, Returned};
use super::figures::{Counters, add, take_one};
use super::line::Line;
use super::order::Order;
use super::post::{Post, Rings};
use super::room::{Freight, Parcel, Room};
use super::socket::Inbox;
use crate::audio::{FRAME, Playback, Together, denoise, g722};
use crate::rtp::Moment;
use crate::rtp::rtcp::REPORT_MAX;

/// Phases of a tick.
pub const PHASES: usize = 4;
const PHASE: Duration = Duration::from_micros(20_000 / PHASES as u64);
/// Further behind than this the thread gives up what it missed: one hole is better than a rush.
const BEHIND_MAX: Duration = Duration::from_millis(100);
/// Members of the rooms that are served together, if one alone has no more: what is kept of them stays in the nearer
/// caches, and there are two batches of whatever they have done together.
const TOGETHER: usize = 2 * g722::BATCH;

pub struct Worker {
    post: Post,
    stop: Arc<AtomicBool>,
    started: Instant,
    started_ntp: u64,
    lines: Vec<Option<Box<Line>>>,
    rooms: Vec<Option<Box<Room>>>,
    /// Per phase: lines in no room, and rooms.
    alone: [Vec<u32>; PHASES],
    mixed: [Vec<u32>; PHASES],
    together: Together,
    /// A `Receive` whose line is not there yet.
    awaited: Option<Order>,
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
            post: Post {
                rings,
                bell,
                counters,
                started,
                inbox: Inbox::default(),
                clocks: Clocks::default(),
                rang: false,
            },
            stop,
            started,
            started_ntp,
            lines: (0..lines).map(|_| None).collect(),
            rooms: (0..lines).map(|_| None).collect(),
            alone: std::array::from_fn(|_| Vec::with_capacity(lines)),
            mixed: std::array::from_fn(|_| Vec::with_capacity(lines)),
            together: Together::default(),
            awaited: None,
        }
    }

    /// The thread: one phase every 5 ms, on deadlines that do not drift, until told to stop.
    pub fn run(mut self) {
        precise_timer();
        denoise::prepare();
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
        self.post.clocks = Clocks { now, wall: wall_now() };
        self.obey(count, now);
        let phase = (count % PHASES as u64) as usize;
        let tick = count / PHASES as u64;
        for n in 0..self.alone[phase].len() {
            let place = self.alone[phase][n];
            let served = catch_unwind(AssertUnwindSafe(|| self.serve_alone(place, tick, now)));
            if served.is_err() {
                self.give_up(&[place]);
            }
        }
        let mut rooms = 0..0;
        while rooms.end < self.mixed[phase].len() {
            rooms = self.group(phase, rooms.end);
            self.serve_rooms(phase, rooms.clone(), tick, now);
        }
        if std::mem::take(&mut self.post.rang) {
            self.post.bell.ring();
        }
    }

    /// Places in the list of a phase from this one on: rooms that are served together.
    fn group(&self, phase: usize, from: usize) -> Range<usize> {
        let mut members = 0;
        let fit = self.mixed[phase][from..].iter().take(TOGETHER).take_while(|&&room| {
            members += self.rooms[room as usize].as_ref().map_or(0, |room| room.members.len());
            members <= TOGETHER
        });
        from..from + fit.count().max(1)
    }

    /// Legs of several rooms have a part of it done together. What is done for one room alone can fail for it alone.
    fn serve_rooms(&mut self, phase: usize, rooms: Range<usize>, tick: u64, now: Moment) {
        for n in rooms.clone() {
            self.safely(phase, n..n + 1, |worker, room| worker.listen_to_room(room, now));
        }
        self.safely(phase, rooms.clone(), |worker, _| worker.together.decode_rest(&mut worker.lines));
        for n in rooms.clone() {
            self.safely(phase, n..n + 1, |worker, room| worker.mix_room(room, now));
        }
        self.safely(phase, rooms.clone(), |worker, _| {
            let counters = &worker.post.counters;
            worker
                .together
                .send_rest(&mut worker.lines, |line: &mut Line, payload| line.send(payload, counters));
        });
        for n in rooms {
            self.safely(phase, n..n + 1, |worker, room| worker.care_for_room(room, tick));
        }
    }

    /// Does something for these rooms of a phase; `what` is told the first. If it fails they are given up, and no others.
    fn safely(&mut self, phase: usize, rooms: Range<usize>, what: impl FnOnce(&mut Self, u32)) {
        let Some(&first) = self.mixed[phase].get(rooms.start) else { return };
        if catch_unwind(AssertUnwindSafe(|| what(self, first))).is_ok() {
            return;
        }
        for n in rooms {
            let place = self.mixed[phase][n] as usize;
            if let Some(mut room) = self.rooms[place].take() {
                self.give_up(&room.members);
                room.broken = true;
                self.rooms[place] = Some(room);
            }
        }
    }

    fn serve_alone(&mut self, place: u32, tick: u64, now: Moment) {
        let Some(line) = self.lines[place as usize].as_deref_mut() else { return };
        if line.broken {
            return;
        }
        self.post.listen(line);
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
        self.post.care(line, place, tick);
    }

    /// Takes in what has come for its members.
    fn listen_to_room(&mut self, room: u32, now: Moment) {
        let Some(room) = self.rooms[room as usize].as_deref_mut().filter(|room| !room.broken) else { return };
        room.mixed = now.elapsed;
        for &place in &room.members {
            if let Some(line) = self.lines[place as usize].as_deref_mut() {
                self.post.listen(line);
            }
        }
        self.together.decode(&room.members, &mut self.lines);
    }

    fn mix_room(&mut self, room: u32, now: Moment) {
        let Some(room) = self.rooms[room as usize].as_deref_mut().filter(|room| !room.broken) else { return };
        let counters = &self.post.counters;
        let together = &mut self.together;
        room.conference.tick(&room.members, &mut self.lines, now, together, |line: &mut Line, payload| {
            line.send(payload, counters);
        });
        if let Some(tape) = &mut room.tape {
            let lines = room.members.iter().filter_map(|&place| self.lines[place as usize].as_deref());
            tape.record(&room.conference, lines.map(|line| (line.call, &line.leg)));
        }
        while let Some(playback) = room.conference.player.finished().pop_front() {
            self.post.free(Returned::Playback(playback));
        }
    }

    fn care_for_room(&mut self, room: u32, tick: u64) {
        let Some(room) = self.rooms[room as usize].as_deref_mut().filter(|room| !room.broken) else { return };
        for &place in &room.members {
            if let Some(line) = self.lines[place as usize].as_deref_mut() {
                self.post.care(line, place, tick);
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

    /// Before phase number `count`.
    fn obey(&mut self, count: u64, now: Moment) {
        while let Some(order) = self.awaited.take().or_else(|| self.post.rings.orders.pop().ok()) {
            let (Order::Receive { from, .. } | Order::ReceiveRoom { from, .. }) = order else {
                self.carry_out(order, now);
                continue;
            };
            let Ok(arrived) = self.post.rings.from[from].pop() else {
                self.awaited = Some(order);
                return;
            };
            match (order, arrived) {
                (Order::Receive { line, phase, .. }, Freight::Line(leg)) => self.settle(line, phase, leg),
                (Order::ReceiveRoom { room, .. }, Freight::Room(parcel)) => {
                    self.unpack(room, parcel, count, now);
                }
                // Freight comes in the order of the orders for it.
                _ => unreachable!("an order for one thing and another came"),
            }
        }
    }

    fn carry_out(&mut self, order: Order, now: Moment) {
        match order {
            Order::Open { line, phase, leg } => self.settle(line, phase, leg),
            Order::Configure { line, mut settings } => {
                let before = match self.line(line) {
                    Some(line) => {
                        let before = line.leg.configure(settings, now);
                        line.follow_latch();
                        before
                    }
                    None => settings.srtp.take(),
                };
                if let Some(before) = before {
                    self.post.free(Returned::Srtp(before));
                }
            }
            Order::Equip { line, encoder, decoder } => match self.line(line) {
                Some(line) => line.leg.equip(encoder, decoder),
                None => self.post.free(Returned::Opus(encoder, decoder)),
            },
            Order::EquipRoom { room, rate, opus } => {
                let over = match &mut self.rooms[room as usize] {
                    Some(room) => room.conference.equip(rate, opus),
                    None => Some(opus),
                };
                if let Some(over) = over {
                    self.post.free(Returned::Turns(over));
                }
            }
            Order::EquipDenoiser { line, denoiser } => match self.line(line) {
                Some(line) => line.leg.equip_denoiser(denoiser),
                None => self.post.free(Returned::Denoiser(denoiser)),
            },
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
            Order::OpenRoom { room, phase, mut empty } => {
                empty.phase = phase;
                self.house(room, empty);
            }
            Order::PlayToRoom { room, playback } => {
                let refused = match &mut self.rooms[room as usize] {
                    Some(room) => room.conference.player.play(playback),
                    None => Err(playback),
                };
                if let Err(playback) = refused {
                    self.post.free(Returned::Playback(playback));
                }
            }
            Order::Record { room, tape } => {
                let before = match &mut self.rooms[room as usize] {
                    Some(room) => std::mem::replace(&mut room.tape, tape),
                    None => tape,
                };
                if let Some(over) = before {
                    self.post.free(Returned::Tape(over));
                }
            }
            Order::CloseRoom { room } => self.close_room(room),
            Order::HandOver { line, to } => {
                if let Some(leg) = self.take_out(line) {
                    self.post.send_on(to, Freight::Line(leg));
                }
            }
            Order::HandOverRoom { room, to, parcel } => {
                let parcel = self.pack(room, parcel);
                self.post.send_on(to, Freight::Room(parcel));
            }
            // Carried out where they may wait.
            Order::Receive { .. } | Order::ReceiveRoom { .. } => {}
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
                let room = self.rooms[room as usize].as_deref_mut()?;
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
        let Some(there) = self.rooms[room as usize].as_deref_mut() else {
            let phase = line.phase;
            self.settle(place, phase, line);
            return;
        };
        let mut outgrown = None;
        if let Some(mut longer) = members {
            longer.extend_from_slice(&there.members);
            outgrown = Some(std::mem::replace(&mut there.members, longer));
        }
        line.room = Some(room);
        line.phase = there.phase;
        line.place = there.members.len();
        there.members.push(place);
        there.conference.enter(&mut line.leg);
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
            self.post.listen(&mut line);
        }
        let mut report = [0; REPORT_MAX];
        let length = line.leg.last_report(now, &mut report);
        line.send_control(&report[..length]);
        // Playbacks that were under way end with the leg and are still reported.
        line.leg.player.stop();
        self.post.free(Returned::Line(line));
    }

    fn close_room(&mut self, room: u32) {
        if let Some(room) = self.clear_out(room) {
            self.post.free(Returned::Room(room));
        }
    }

    /// Puts a room into its place and into the list of its phase.
    fn house(&mut self, place: u32, mut room: Box<Room>) {
        room.place = self.mixed[room.phase].len();
        self.mixed[room.phase].push(place);
        self.rooms[place as usize] = Some(room);
        add(&self.post.counters.rooms, 1);
    }

    /// Takes a room out of its place and out of that list.
    fn clear_out(&mut self, place: u32) -> Option<Box<Room>> {
        let room = self.rooms[place as usize].take()?;
        let list = &mut self.mixed[room.phase];
        list.swap_remove(room.place);
        if let Some(&moved) = list.get(room.place)
            && let Some(moved) = self.rooms[moved as usize].as_deref_mut()
        {
            moved.place = room.place;
        }
        take_one(&self.post.counters.rooms);
        Some(room)
    }

    // -- rooms that move --

    /// All of a room goes into the parcel: members, sockets, what its mix remembers.
    fn pack(&mut self, place: u32, mut parcel: Box<Parcel>) -> Box<Parcel> {
        let Some(mut room) = self.clear_out(place) else { return parcel };
        // Who is in the room is known to the side that made the parcel.
        for member in &mut room.members {
            let moving = parcel.of(*member).expect("a place for each member");
            moving.line = self.lines[*member as usize].take();
            *member = moving.to;
            take_one(&self.post.counters.legs);
        }
        parcel.room = Some(room);
        add(&self.post.counters.rooms_moved, 1);
        parcel
    }

    /// The room goes on here in its own phase, so its tick is where it was. If it would come too late
    /// for that, it is mixed at once: a packet 5 ms early or late is nothing, a missing one is heard.
    fn unpack(&mut self, place: u32, mut parcel: Box<Parcel>, count: u64, now: Moment) {
        for moving in &mut parcel.lines {
            let Some(mut line) = moving.line.take() else { continue };
            line.room = Some(place);
            self.lines[moving.to as usize] = Some(line);
            add(&self.post.counters.legs, 1);
        }
        if let Some(room) = parcel.room.take() {
            let until = (room.phase + PHASES - (count % PHASES as u64) as usize) % PHASES;
            let next = now.elapsed + PHASE * until as u32;
            let is_late = next.saturating_sub(room.mixed) > PHASE * PHASES as u32 + PHASE;
            let phase = room.phase;
            self.house(place, room);
            if is_late {
                let last = self.mixed[phase].len() - 1;
                self.serve_rooms(phase, last..last + 1, count / PHASES as u64, now);
            }
        }
        self.post.free(Returned::Parcel(parcel));
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

#[cfg(test)]
mod tests {
    use rtrb::RingBuffer;

    use super::*;
    use crate::audio::{Codec, Leg, LegSettings, Seed};
    use crate::media::engine::EVENTS_MAX;
    use crate::media::post::RESERVED_FOR_KEYS;
    use crate::media::socket;
    use crate::types::CallId;

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
        for place in 0..3 {
            let [rtp, control] = [0, 1].map(|_| socket::bind("127.0.0.1:0".parse().unwrap()).unwrap());
            let leg = Leg::new(Seed::default(), Moment::default());
            let call = CallId::numbered(u128::from(place));
            let leg = Box::new(Line::new(call, 0, leg, rtp, control));
            orders.push(Order::Open { line: place, phase: 0, leg }).unwrap();
            let settings = LegSettings::plain(Codec::Pcmu, ([127, 0, 0, 1], 9).into());
            orders.push(Order::Configure { line: place, settings }).unwrap();
            let playback = Playback::new(Some(7), vec![]);
            orders.push(Order::Play { line: place, playback }).unwrap();
        }
        worker.obey(0, Moment::default());
        // A room whose member stands nowhere: serving it is out of bounds. Another one is served with it.
        for (line, room) in [(0, 3), (2, 4)] {
            let empty = Box::new(Room::with_room_for(2));
            orders.push(Order::OpenRoom { room, phase: 0, empty }).unwrap();
            orders.push(Order::Join { line, room, members: None }).unwrap();
        }
        worker.obey(0, Moment::default());
        assert_eq!(worker.group(0, 0), 0..2);
        worker.rooms[3].as_mut().unwrap().members.push(99);
        for phase in 0..12 {
            worker.phase(phase);
        }
        assert_eq!(counters.read().faults, 1);
        let mut told: Vec<_> = std::iter::from_fn(|| events_out.pop().ok()).map(|(_, event)| event).collect();
        told.sort_by_key(|event| format!("{event:?}"));
        let [broken, alone, beside] = [0, 1, 2].map(CallId::numbered);
        let played = |call| Event::Played { call, playback: 7 };
        assert_eq!(told, [Event::Overload { call: broken }, played(alone), played(beside)]);
    }
}
