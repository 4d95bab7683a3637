//! What comes in and goes out of a worker: orders, events, memory to be freed, packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtrb::{Consumer, Producer};

use super::clock::Clocks;
use super::engine::EVENTS_MAX;
use super::events::{Bell, Event, Returned};
use super::figures::{Counters, add};
use super::line::{Key, Line};
use super::order::Order;
use super::room::Freight;
use super::socket::Inbox;
use crate::rtp::rtcp::REPORT_MAX;

/// Ticks between two looks at a leg's RTCP socket and timers: half a second.
const SELDOM: u64 = 25;
/// Ticks between two looks at how a leg sounds: three seconds.
const MEASURED: u64 = 6 * SELDOM;
/// Room in the event ring that only key presses may use.
pub(super) const RESERVED_FOR_KEYS: usize = 1_024;

/// The worker's ends of all rings.
pub struct Rings {
    pub orders: Consumer<Order>,
    /// Each with the time from the start of the engine: a line that moves tells things on two rings.
    pub events: Producer<(Duration, Event)>,
    pub returned: Producer<Returned>,
    /// To and from each other worker; its own place is unused.
    pub to: Vec<Producer<Freight>>,
    pub from: Vec<Consumer<Freight>>,
}

/// What comes in and goes out of a worker: rings, sockets, counters.
pub(super) struct Post {
    pub(super) rings: Rings,
    pub(super) bell: Arc<Bell>,
    pub(super) counters: Arc<Counters>,
    pub(super) started: Instant,
    pub(super) inbox: Inbox,
    /// Of this phase.
    pub(super) clocks: Clocks,
    /// Something was put into a ring that somebody waits at.
    pub(super) rang: bool,
}

impl Post {
    /// Takes in what has arrived for a line.
    pub(super) fn listen(&mut self, line: &mut Line) {
        let clocks = self.clocks;
        let Line { leg, keys, rtp, connected, .. } = line;
        let came = self.inbox.drain(rtp, *connected, |datagram, from, stamp| {
            if let Some(digit) = leg.receive(datagram, from, clocks.moment_of(stamp)) {
                keys.push(Key::Down { digit, tone: false });
            }
            if let Some(lasted) = leg.take_key_lasted() {
                keys.push(Key::Up { lasted, tone: false });
            }
        });
        if came > 0 {
            add(&self.counters.packets_in, came as u64);
            line.follow_latch();
        }
        self.tell_keys(line);
    }

    pub(super) fn tell_keys(&mut self, line: &mut Line) {
        let call = line.call;
        while let Some(key) = line.keys.first() {
            let event = match key {
                Key::Down { digit, tone: false } => Event::Digit { call, digit },
                Key::Down { digit, tone: true } => Event::Tone { call, digit },
                Key::Up { lasted, tone } => Event::KeyUp { call, lasted, tone },
            };
            if self.rings.events.push((self.started.elapsed(), event)).is_err() {
                break;
            }
            line.keys.pop();
            self.rang = true;
        }
    }

    /// What is not sound: keys and ended playbacks every tick, RTCP and timers every half second.
    pub(super) fn care(&mut self, line: &mut Line, place: u32, tick: u64) {
        // The one before is up before the next is down.
        if let Some(lasted) = line.leg.take_tone_lasted() {
            line.keys.push(Key::Up { lasted, tone: true });
        }
        if let Some(digit) = line.leg.take_tone() {
            line.keys.push(Key::Down { digit, tone: true });
        }
        self.tell_keys(line);
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
        let (leg, clocks) = (&mut line.leg, self.clocks);
        let now = clocks.now;
        self.inbox.drain(&line.control, None, |datagram, from, stamp| {
            leg.receive_control(datagram, from, clocks.moment_of(stamp));
        });
        let mut report = [0; REPORT_MAX];
        if let Some(length) = leg.report(now, &mut report) {
            line.send_control(&report[..length]);
        }
        if let Some(on) = line.leg.take_echo()
            && !self.tell(Event::Echo { call: line.call, on })
        {
            add(&self.counters.events_lost, 1);
        }
        if line.room.is_some()
            && (tick + u64::from(place)).is_multiple_of(MEASURED)
            && !self.tell(Event::Measured { call: line.call, quality: line.leg.quality() })
        {
            add(&self.counters.events_lost, 1);
        }
        if line.leg.media_lost(now) && !self.tell(Event::MediaLost { call: line.call }) {
            add(&self.counters.events_lost, 1);
        }
    }

    /// Tells something that is no key, unless only the room for keys is left.
    pub(super) fn tell(&mut self, event: Event) -> bool {
        let told = self.rings.events.slots() > RESERVED_FOR_KEYS
            && self.rings.events.push((self.started.elapsed(), event)).is_ok();
        self.rang |= told;
        told
    }

    /// To another worker. Never full: for everything in it there is an order to receive it, in a ring of
    /// that size.
    pub(super) fn send_on(&mut self, to: usize, freight: Freight) {
        if let Err(rtrb::PushError::Full(Freight::Line(line))) = self.rings.to[to].push(freight) {
            self.free(Returned::Line(line));
        }
    }

    /// Sends something back to be freed. The ring has room for every line there can be and more;
    /// when nobody reads it, what is not a line is freed here.
    pub(super) fn free(&mut self, what: Returned) {
        let is_line = what.is_line();
        let ring = &mut self.rings.returned;
        let reserved_for_lines = ring.buffer().capacity() - EVENTS_MAX;
        if (!is_line && ring.slots() <= reserved_for_lines) || ring.push(what).is_err() {
            add(&self.counters.freed_in_tick, 1);
        }
        self.rang |= is_line;
    }
}
