//! Where every leg and room is: which worker has it, and in which place. Orders begin here.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use rtrb::Producer;

use super::balance;
use super::engine::ORDERS_RESERVED;
use super::figures::Figures;
use super::load::Load;
use super::order::Order;
use super::ports::Ports;
use super::recording::{self, RecordingEnd};
use super::room::{self, Parcel};
use super::worker::PHASES;
use crate::audio::{Clip, LegSettings, Rate, opus};
use crate::types::{CallId, MeetingId};

pub(super) struct Control {
    pub(super) workers: Vec<Hand>,
    pub(super) calls: HashMap<CallId, Call>,
    pub(super) rooms: HashMap<MeetingId, Room>,
    pub(super) ports: Ports,
    /// Calls whose orders found no room.
    pub(super) refused: VecDeque<CallId>,
    /// Orders that must not be lost, while a ring is full.
    pub(super) put_off: VecDeque<(usize, Order)>,
    pub(super) phase: usize,
    /// `None`: nothing is recorded.
    pub(super) recording: Option<recording::Settings>,
    pub(super) load: Load,
    /// Recordings that are over, to be told.
    pub(super) recorded: Vec<(MeetingId, RecordingEnd)>,
}

/// One worker, as the control side sees it.
pub(super) struct Hand {
    pub(super) orders: Producer<Order>,
    pub(super) free_lines: Vec<u32>,
    pub(super) free_rooms: Vec<u32>,
    pub(super) legs: usize,
}

pub(super) struct Call {
    pub(super) worker: usize,
    pub(super) line: u32,
    pub(super) room: Option<MeetingId>,
    pub(super) closing: bool,
    pub(super) overloaded: bool,
    /// It has what Opus needs; the rate at which it had that last.
    pub(super) opus: Option<Rate>,
    pub(super) has_denoiser: bool,
    pub(super) name: Name,
}

/// What its caller said at the door. It goes with the call.
#[derive(Debug)]
pub(super) enum Name {
    None,
    /// On its way.
    Said,
    Kept(Arc<Clip>),
}

impl Call {
    pub(super) fn new(worker: usize, line: u32) -> Self {
        Self {
            worker,
            line,
            room: None,
            closing: false,
            overloaded: false,
            opus: None,
            has_denoiser: false,
            name: Name::None,
        }
    }
}

pub(super) struct Room {
    pub(super) worker: usize,
    pub(super) room: u32,
    /// Of the tick, on every worker.
    pub(super) phase: usize,
    pub(super) members: usize,
    pub(super) capacity: usize,
    /// Its recording has begun and nobody has asked for its end.
    pub(super) recorded: bool,
    /// By rate, whether it has what Opus needs.
    pub(super) equipped: [bool; Rate::ALL.len()],
}

impl Control {
    pub(super) fn least_loaded(&self) -> usize {
        let loads = self.workers.iter().map(|hand| hand.legs).enumerate();
        loads.min_by_key(|&(_, legs)| legs).map_or(0, |(worker, _)| worker)
    }

    pub(super) fn next_phase(&mut self) -> usize {
        self.phase = (self.phase + 1) % PHASES;
        self.phase
    }

    /// An order that may be refused: then the call is told, once.
    pub(super) fn ask(&mut self, call: CallId, order: impl FnOnce(u32) -> Order) {
        let Some(known) = self.calls.get_mut(&call) else { return };
        if known.closing || known.overloaded {
            return;
        }
        let (worker, line) = (known.worker, known.line);
        if !self.has_room(&[worker]) {
            self.refuse(call);
            return;
        }
        self.must(worker, order(line));
    }

    /// What Opus needs is made here, where that may take memory: for any rate that the leg may have later, too.
    pub(super) fn equip(&mut self, call: CallId, settings: &LegSettings) {
        let Some(known) = self.calls.get_mut(&call) else { return };
        let (before, room) = (known.opus.replace(settings.rate()), known.room);
        if before.is_none() {
            let encoder = opus::Encoder::default();
            let decoder = opus::Decoder::for_rates_to(settings.sound.rate_max.max(Rate::Wide));
            self.ask(call, |line| Order::Equip { line, encoder, decoder });
        }
        if let Some(room) = room {
            self.equip_room(room, settings.rate());
        }
    }

    /// What a room needs that has a member with Opus at this rate.
    fn equip_room(&mut self, room: MeetingId, rate: Rate) {
        if let Some(there) = self.rooms.get_mut(&room)
            && !std::mem::replace(&mut there.equipped[rate as usize], true)
        {
            let (worker, room) = (there.worker, there.room);
            let opus = Box::new([opus::Encoder::new(rate), opus::Encoder::new(rate)]);
            self.must(worker, Order::EquipRoom { room, rate, opus });
        }
    }

    /// The same for noise suppression.
    pub(super) fn equip_denoiser(&mut self, call: CallId) {
        if self.calls.get(&call).is_some_and(|known| !known.has_denoiser) {
            let denoiser = Box::default();
            self.ask(call, |line| Order::EquipDenoiser { line, denoiser });
            if let Some(known) = self.calls.get_mut(&call) {
                known.has_denoiser = true;
            }
        }
    }

    /// An order that is never refused; while there is no room it is put off, in order.
    pub(super) fn must(&mut self, worker: usize, order: Order) {
        let waits = self.put_off.iter().any(|(other, _)| *other == worker);
        if waits {
            self.put_off.push_back((worker, order));
        } else if let Err(rtrb::PushError::Full(order)) = self.workers[worker].orders.push(order) {
            self.put_off.push_back((worker, order));
        }
    }

    pub(super) fn try_put_off(&mut self) {
        if self.put_off.is_empty() {
            return;
        }
        let mut blocked = vec![false; self.workers.len()];
        for (worker, order) in std::mem::take(&mut self.put_off) {
            if blocked[worker] {
                self.put_off.push_back((worker, order));
            } else if let Err(rtrb::PushError::Full(order)) = self.workers[worker].orders.push(order) {
                blocked[worker] = true;
                self.put_off.push_back((worker, order));
            }
        }
    }

    pub(super) fn has_room(&self, workers: &[usize]) -> bool {
        self.put_off.is_empty()
            && workers.iter().all(|&worker| self.workers[worker].orders.slots() > ORDERS_RESERVED)
    }

    pub(super) fn refuse(&mut self, call: CallId) {
        if let Some(known) = self.calls.get_mut(&call)
            && !std::mem::replace(&mut known.overloaded, true)
        {
            self.refused.push_back(call);
        }
    }

    pub(super) fn join(&mut self, call: CallId, room: MeetingId) {
        let Some(known) = self.calls.get(&call) else { return };
        if known.closing || known.overloaded || known.room == Some(room) {
            return;
        }
        let (from, before) = (known.worker, known.room);
        let to = match self.rooms.get(&room) {
            Some(there) => there.worker,
            // A new room goes where there is least to do; if this leg is there already, so much
            // the better.
            None => {
                let least = self.least_loaded();
                if self.workers[least].legs + 1 >= self.workers[from].legs { from } else { least }
            }
        };
        if !self.has_room(&[from, to]) || (from != to && self.workers[to].free_lines.is_empty()) {
            self.refuse(call);
            return;
        }
        if from != to {
            self.hand_over(call, from, to);
        }
        if !self.rooms.contains_key(&room) {
            let place = self.workers[to].free_rooms.pop().expect("there are as many rooms as lines");
            let others = self.rooms.values().filter(|room| room.worker == to);
            let phase = balance::lightest_phase::<PHASES>(others.map(|room| (room.phase, room.members)));
            let capacity = 8;
            let empty = Box::new(room::Room::with_room_for(capacity));
            self.must(to, Order::OpenRoom { room: place, phase, empty });
            let new = Room {
                worker: to,
                room: place,
                phase,
                members: 0,
                capacity,
                recorded: false,
                equipped: Default::default(),
            };
            self.rooms.insert(room, new);
        }
        let there = self.rooms.get_mut(&room).expect("made above");
        let mut members = None;
        if there.members == there.capacity {
            there.capacity *= 2;
            members = Some(Vec::with_capacity(there.capacity));
        }
        there.members += 1;
        let place = there.room;
        let known = self.calls.get_mut(&call).expect("looked up above");
        known.room = Some(room);
        let (line, opus) = (known.line, known.opus);
        if let Some(rate) = opus {
            self.equip_room(room, rate);
        }
        self.must(to, Order::Join { line, room: place, members });
        if let Some(before) = before {
            self.left(before);
        }
    }

    /// The line goes straight from worker to worker, with its sockets. Its order to leave goes
    /// out before the order to receive it, and orders to one worker keep their order, so nobody
    /// waits for ever.
    pub(super) fn hand_over(&mut self, call: CallId, from: usize, to: usize) {
        let phase = self.next_phase();
        let line = self.workers[to].free_lines.pop().expect("asked before");
        let known = self.calls.get_mut(&call).expect("asked before");
        let old = std::mem::replace(&mut known.line, line);
        known.worker = to;
        self.workers[from].free_lines.push(old);
        self.workers[from].legs -= 1;
        self.workers[to].legs += 1;
        self.must(from, Order::HandOver { line: old, to });
        self.must(to, Order::Receive { line, phase, from });
    }

    /// What is looked after from time to time: how full the threads are, and whether a room should move.
    pub(super) fn look(&mut self, now: Instant, figures: impl Iterator<Item = Figures>) {
        if !self.load.look(now, figures) {
            return;
        }
        let legs: Vec<usize> = self.workers.iter().map(|hand| hand.legs).collect();
        let rooms = self.rooms.iter().map(|(&name, room)| (name, room.worker, room.members));
        if let Some((room, to)) = balance::best_move(&legs, rooms) {
            self.move_room(room, to);
        }
    }

    /// All of a room goes to another worker, at once and whole. Its members hear nothing of it.
    fn move_room(&mut self, name: MeetingId, to: usize) {
        let Some(room) = self.rooms.get(&name) else { return };
        let (from, old, members) = (room.worker, room.room, room.members);
        if !self.has_room(&[from, to]) || self.workers[to].free_lines.len() < members {
            return;
        }
        let Some(new) = self.workers[to].free_rooms.pop() else { return };
        let mut places = Vec::with_capacity(members);
        for call in self.calls.values_mut().filter(|call| call.room == Some(name)) {
            let place = self.workers[to].free_lines.pop().expect("as many as there are members");
            places.push((call.line, place));
            self.workers[from].free_lines.push(call.line);
            (call.worker, call.line) = (to, place);
        }
        self.workers[from].legs -= places.len();
        self.workers[to].legs += places.len();
        self.workers[from].free_rooms.push(old);
        let room = self.rooms.get_mut(&name).expect("looked up above");
        (room.worker, room.room) = (to, new);
        let parcel = Box::new(Parcel::new(places));
        self.must(from, Order::HandOverRoom { room: old, to, parcel });
        self.must(to, Order::ReceiveRoom { room: new, from });
    }

    pub(super) fn leave(&mut self, call: CallId) {
        let phase = self.next_phase();
        let Some(known) = self.calls.get_mut(&call) else { return };
        if known.closing {
            return;
        }
        let Some(room) = known.room.take() else { return };
        let (worker, line) = (known.worker, known.line);
        self.must(worker, Order::Leave { line, phase });
        self.left(room);
    }

    pub(super) fn close(&mut self, call: CallId) {
        let Some(known) = self.calls.get_mut(&call) else { return };
        if std::mem::replace(&mut known.closing, true) {
            return;
        }
        let (worker, line, room) = (known.worker, known.line, known.room.take());
        self.must(worker, Order::Close { line });
        if let Some(room) = room {
            self.left(room);
        }
    }

    /// One member fewer; the order that takes it out has been given.
    pub(super) fn left(&mut self, room: MeetingId) {
        let Some(there) = self.rooms.get_mut(&room) else { return };
        there.members -= 1;
        if there.members == 0 {
            let (worker, place) = (there.worker, there.room);
            self.rooms.remove(&room);
            self.must(worker, Order::CloseRoom { room: place });
            self.workers[worker].free_rooms.push(place);
        }
    }
}
