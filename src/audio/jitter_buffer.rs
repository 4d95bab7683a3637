//! The jitter buffer: packets come in any order and at any time, sound leaves every 20 ms.
//!
//! Packets wait sorted by timestamp; a play-out point moves over them by one frame a tick. How
//! early packets come, in front of that point, is the delay we add: it grows at once when one
//! comes too late, and shrinks by a frame when none has come close for four seconds. Sequence
//! numbers are not asked, so their jumps do no harm.

use std::ops::Range;
use std::time::Duration;

use super::FRAME;
use crate::types::JitterBounds;

/// Payload bytes of the longest packet taken: 60 ms of G.711 are 480, 20 ms of Opus at 256 kbit/s 640.
pub const PAYLOAD_MAX: usize = 640;

/// What the delay may be, in samples; see [`JitterBounds`].
#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: i64,
    most: i64,
    cap: i64,
}

impl From<JitterBounds> for Bounds {
    fn from(bounds: JitterBounds) -> Self {
        let samples = |time: Duration| time.as_millis() as i64 * (super::RATE / 1_000) as i64;
        let cap = samples(bounds.cap.min(JitterBounds::CAP_MAX));
        let most = samples(bounds.most).min(cap);
        Self { least: samples(bounds.least).min(most), most, cap }
    }
}

#[derive(Clone, Debug)]
pub struct JitterBuffer {
    slots: [Slot; SLOTS],
    /// The payloads of held packets, in no order; from `end` on all is free.
    bytes: Box<[u8; BYTES]>,
    end: usize,
    /// Numbers of slots: the first `held` in use, sorted by timestamp, the others free.
    order: [u8; SLOTS],
    held: usize,
    /// The newest timestamp, and what it is without wrapping.
    newest: Option<(u32, i64)>,
    /// The timestamp of the next sample to play; `None` before the first packet.
    playout: Option<i64>,
    /// The end of the last packet played, and where the last ones began, to know them again.
    played: i64,
    begun: [i64; REMEMBERED],
    bounds: Bounds,
    /// The delay aimed at, in samples.
    delay: i64,
    /// How early the latest packet of this window was, and how many frames it has run for.
    least_early: i64,
    window: u32,
    /// Packets in a row that came hopelessly late: the peer's clock has leapt.
    late_in_row: u8,
    /// Frames in a row without a packet.
    dry: u32,
    /// Packets that came too late to be played, and that came again.
    pub late: u64,
    pub duplicates: u64,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    timestamp: i64,
    /// How long it sounds, in ticks.
    samples: u16,
    /// Where its payload is.
    from: u16,
    length: u16,
}

impl Slot {
    fn range(self) -> Range<usize> {
        usize::from(self.from)..usize::from(self.from) + usize::from(self.length)
    }
}

/// The longest packet taken: 120 ms.
const LASTING_MAX: usize = 960;
/// Packets held at most: 120 ms in packets of 10 ms, and as many again in a burst or when more is allowed.
/// When more come, the oldest goes.
const SLOTS: usize = 24;
/// Bytes of payload held at most, likewise: half a second of 64 kbit/s, 120 ms of 256.
const BYTES: usize = 4_096;
/// Packets played last whose duplicates are known as such.
const REMEMBERED: usize = 8;
/// Frames without a close call before the delay shrinks: 4 s.
const WINDOW: u32 = 200;
/// A packet further away than this, 1 s, is on another clock.
const LEAP: i64 = 8_000;

/// What happened to a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Insert {
    Held,
    Duplicate,
    Late,
    /// Empty or too long.
    Refused,
}

/// The next piece to play.
#[derive(Debug, Eq, PartialEq)]
pub enum Piece<'a> {
    /// Samples `from..from + count` of this packet. A codec with a memory decodes the packet when
    /// `from` is 0, or when it has not seen one that begins there.
    Sound { payload: &'a [u8], begin: i64, from: usize, count: usize },
    /// Nothing for this many samples.
    Gap(usize),
}

impl Default for JitterBuffer {
    fn default() -> Self {
        let bounds = Bounds::from(JitterBounds::default());
        Self {
            slots: [Slot { timestamp: 0, samples: 0, from: 0, length: 0 }; SLOTS],
            bytes: Box::new([0; BYTES]),
            end: 0,
            order: std::array::from_fn(|n| n as u8),
            held: 0,
            newest: None,
            playout: None,
            played: i64::MIN,
            begun: [i64::MIN; REMEMBERED],
            bounds,
            delay: bounds.least,
            least_early: i64::MAX,
            window: 0,
            late_in_row: 0,
            dry: 0,
            late: 0,
            duplicates: 0,
        }
    }
}

impl JitterBuffer {
    /// Forgets all packets, as at a change of SSRC or of codec. The delay found good stays.
    pub fn restart(&mut self) {
        self.held = 0;
        self.newest = None;
        self.playout = None;
        self.played = i64::MIN;
        self.begun = [i64::MIN; REMEMBERED];
        self.late_in_row = 0;
        self.least_early = i64::MAX;
        self.window = 0;
    }

    /// How long packets may wait from now on.
    pub fn keep_within(&mut self, bounds: JitterBounds) {
        self.bounds = bounds.into();
        self.delay = self.delay.clamp(self.bounds.least, self.bounds.most);
    }

    /// The delay aimed at, in samples.
    #[must_use]
    pub fn delay(&self) -> usize {
        self.delay as usize
    }

    /// A packet of which each byte is a tick.
    pub fn insert(&mut self, timestamp: u32, payload: &[u8]) -> Insert {
        self.insert_lasting(timestamp, payload, payload.len())
    }

    /// A packet that sounds for so many ticks.
    pub fn insert_lasting(&mut self, timestamp: u32, payload: &[u8], ticks: usize) -> Insert {
        if payload.is_empty() || payload.len() > PAYLOAD_MAX || ticks == 0 || ticks > LASTING_MAX {
            return Insert::Refused;
        }
        let samples = ticks as i64;
        let mut at = self.unwrapped(timestamp);
        let leapt = self.playout.is_some_and(|playout| (at - playout).abs() > LEAP);
        if leapt || self.late_in_row >= 5 {
            self.restart();
            at = self.unwrapped(timestamp);
        }
        let playout = *self.playout.get_or_insert(at - self.delay);
        if (0..self.held).any(|n| self.slot(n).timestamp == at) || self.begun.contains(&at) {
            self.duplicates += 1;
            return Insert::Duplicate;
        }
        let early = at - playout;
        let Bounds { most, cap, .. } = self.bounds;
        if early < 0 {
            if at + samples <= self.played {
                return self.too_late(early);
            }
            if early <= -samples && -early + self.delay > most {
                return self.too_late(early);
            }
            // Nothing later has been played: go back and play it now. What was made up in its
            // place becomes delay.
            self.delay = (self.delay - early).min(most);
            self.playout = Some(at.max(self.played));
        } else if early > cap {
            // Far too much is waiting, as after a stall of the line: jump forward.
            self.playout = Some(at - self.delay);
        }
        self.late_in_row = 0;
        self.least_early = self.least_early.min(early.max(0));
        self.hold(at, payload, ticks);
        Insert::Held
    }

    /// The packet that begins exactly where the sound is now; after a gap, the one that ends it.
    #[must_use]
    pub fn next(&self) -> Option<&[u8]> {
        let slot = (self.held > 0).then(|| self.slot(0))?;
        (Some(slot.timestamp) == self.playout).then(|| &self.bytes[slot.range()])
    }

    /// What [`JitterBuffer::take`] will give of packets of which each byte is a tick, if that is all of one packet
    /// and no frame may be left out before.
    #[must_use]
    pub fn ahead(&self, wanted: usize) -> Option<&[u8]> {
        let playout = self.playout.filter(|_| self.window + 1 < WINDOW)?;
        let slot = (0..self.held)
            .map(|place| self.slot(place))
            .find(|slot| slot.timestamp + i64::from(slot.samples) > playout)?;
        let from = usize::try_from(playout - slot.timestamp).ok()?;
        self.bytes[slot.range()].get(from..from + wanted)
    }

    /// To be asked once per tick: whether packets have been coming so early that one frame should
    /// be left out, to win back delay.
    pub fn should_shrink(&mut self) -> bool {
        if self.playout.is_none() {
            return false;
        }
        self.window += 1;
        if self.window < WINDOW {
            return false;
        }
        let least = self.bounds.least;
        let shrink = self.least_early != i64::MAX && self.least_early >= least + FRAME as i64;
        self.window = 0;
        self.least_early = i64::MAX;
        if shrink {
            self.delay = (self.delay - FRAME as i64).max(least);
        }
        shrink
    }

    /// Takes the next piece, at most `wanted` samples; the play-out point moves on by as much as
    /// the piece is long.
    pub fn take(&mut self, wanted: usize) -> Piece<'_> {
        let Some(playout) = self.playout else { return Piece::Gap(wanted) };
        while self.held > 0 {
            let slot = self.slot(0);
            let (begin, samples) = (slot.timestamp, i64::from(slot.samples));
            if begin + samples <= playout {
                self.release_first();
                continue;
            }
            let count = if begin > playout {
                (begin - playout).min(wanted as i64)
            } else {
                (begin + samples - playout).min(wanted as i64)
            };
            self.playout = Some(playout + count);
            if begin > playout {
                return Piece::Gap(count as usize);
            }
            self.dry = 0;
            let number = usize::from(self.order[0]);
            if playout + count == begin + samples {
                self.played = begin + samples;
                self.begun.rotate_right(1);
                self.begun[0] = begin;
                self.release_first();
            }
            return Piece::Sound {
                payload: &self.bytes[self.slots[number].range()],
                begin,
                from: (playout - begin) as usize,
                count: count as usize,
            };
        }
        self.dry = self.dry.saturating_add(1);
        self.playout = Some(playout + wanted as i64);
        Piece::Gap(wanted)
    }

    fn too_late(&mut self, early: i64) -> Insert {
        self.late += 1;
        self.late_in_row += 1;
        // After a pause of the sender its clock may have stood still: do not throw away the first
        // words only because they seem old.
        if self.dry > 10 {
            self.late_in_row = 5;
        }
        // A later packet has been played already. One frame of delay more, from now on.
        let most = self.bounds.most;
        if early >= -most && self.delay + FRAME as i64 <= most {
            self.delay += FRAME as i64;
            self.playout = self.playout.map(|playout| playout - FRAME as i64);
        }
        Insert::Late
    }

    fn unwrapped(&mut self, timestamp: u32) -> i64 {
        let (last, unwrapped) = self.newest.unwrap_or((timestamp, i64::from(timestamp)));
        let at = unwrapped + i64::from(timestamp.wrapping_sub(last) as i32);
        if self.newest.is_none() || at > unwrapped {
            self.newest = Some((timestamp, at));
        }
        at
    }

    fn slot(&self, place: usize) -> &Slot {
        &self.slots[usize::from(self.order[place])]
    }

    fn release_first(&mut self) {
        self.order[..self.held].rotate_left(1);
        self.held -= 1;
    }

    fn hold(&mut self, at: i64, payload: &[u8], ticks: usize) {
        while self.held == SLOTS || self.bytes_held() + payload.len() > BYTES {
            self.release_first();
        }
        // Long before the end: a leg that holds little goes over little memory again and again.
        if self.end + payload.len() > BYTES.min(2 * (self.bytes_held() + payload.len())) {
            self.close_up();
        }
        let place = (0..self.held).rev().find(|&n| self.slot(n).timestamp < at).map_or(0, |n| n + 1);
        // The first free slot moves to its place in the order.
        self.order[place..=self.held].rotate_right(1);
        let slot = &mut self.slots[usize::from(self.order[place])];
        slot.timestamp = at;
        slot.samples = ticks as u16;
        (slot.from, slot.length) = (self.end as u16, payload.len() as u16);
        self.bytes[slot.range()].copy_from_slice(payload);
        self.end += payload.len();
        self.held += 1;
    }

    fn bytes_held(&self) -> usize {
        (0..self.held).map(|n| usize::from(self.slot(n).length)).sum()
    }

    /// Moves all payloads to the front.
    fn close_up(&mut self) {
        let mut held = self.order;
        let held = &mut held[..self.held];
        held.sort_unstable_by_key(|&number| self.slots[usize::from(number)].from);
        self.end = 0;
        for &number in &*held {
            let slot = &mut self.slots[usize::from(number)];
            self.bytes.copy_within(slot.range(), self.end);
            slot.from = self.end as u16;
            self.end += usize::from(slot.length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays one tick and names what was heard: the first byte of each packet, or `.` for a gap.
    fn tick(buffer: &mut JitterBuffer) -> String {
        let mut heard = String::new();
        let mut left = FRAME;
        while left > 0 {
            match buffer.take(left) {
                Piece::Sound { payload, count, .. } => {
                    heard.push(char::from(payload[0]));
                    left -= count;
                }
                Piece::Gap(count) => {
                    heard.push('.');
                    left -= count;
                }
            }
        }
        heard
    }

    fn packet(name: char, samples: usize) -> Vec<u8> {
        vec![name as u8; samples]
    }

    /// One line per case: what arrives before each tick, as letters; letter n is the packet that
    /// began n ticks after `a`.
    fn heard(arrivals: &str, first: u32) -> String {
        let mut buffer = JitterBuffer::default();
        let mut heard = String::new();
        for batch in arrivals.split(' ') {
            for name in batch.chars().filter(|c| *c != '-') {
                let n = u32::from(name) - u32::from('a');
                buffer.insert(first.wrapping_add(n * 160), &packet(name, 160));
            }
            heard.push_str(&tick(&mut buffer));
        }
        heard
    }

    #[test]
    fn packets_leave_in_order_and_once() {
        let cases: &[(&str, &str, &str)] = &[
            ("in order", "a b c d e", ".abcd"),
            ("two change places", "a c b d e", ".abcd"),
            ("one comes twice", "a bb b c d", ".abcd"),
            ("a duplicate after it was played", "a b ca d e", ".abcd"),
            ("one is lost", "a b - d e", ".ab.d"),
            ("one comes just in time", "a - b c d", ".abcd"),
            ("one comes too late and all wait for it", "a - - bcd e f", ".a.bcd"),
            ("all come at once", "abcd e f g", ".abc"),
        ];
        for (name, arrivals, expected) in cases {
            for first in [1_000, u32::MAX - 300, u32::MAX] {
                assert_eq!(heard(arrivals, first), *expected, "{name}, clock from {first}");
            }
        }
    }

    #[test]
    fn packets_of_any_length_fill_frames_without_a_gap() {
        for samples in [80, 160, 240, 320, 480] {
            let mut buffer = JitterBuffer::default();
            let mut gaps = 0;
            let mut sent = 0;
            for now in 0..500_usize {
                while sent + samples <= (now + 1) * FRAME {
                    assert_eq!(buffer.insert(sent as u32, &packet('x', samples)), Insert::Held);
                    sent += samples;
                }
                if now > 20 && tick(&mut buffer).contains('.') {
                    gaps += 1;
                }
            }
            assert_eq!(gaps, 0, "{} ms", samples / 8);
        }
    }

    #[test]
    fn payloads_of_any_length_stay_whole_in_any_order_and_the_oldest_makes_room() {
        let content =
            |at: i64, length: usize| (0..length).map(|n| (at as usize * 7 + n) as u8).collect::<Vec<_>>();
        let mut random = 1_u32;
        let mut below = |most: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as usize % most
        };
        let (mut buffer, mut pieces) = (JitterBuffer::default(), 0);
        for n in 0..20_000_i64 {
            // Five packets, in any order, of which one is often lost; taken now and then a bit late.
            let mut at: Vec<i64> = (0..5).map(|k| (5 * n + k) * 160).collect();
            (1..5).for_each(|k| at.swap(k, below(k + 1)));
            for &at in &at[..4 + below(2)] {
                // Its length follows from when it begins, so that it is known again.
                let length = 1 + (at as usize / 160 * 7_919) % PAYLOAD_MAX;
                buffer.insert_lasting(at as u32, &content(at, length), 160);
            }
            for _ in 0..4 + below(3) {
                if let Piece::Sound { payload, begin, .. } = buffer.take(160) {
                    let length = 1 + (begin as usize / 160 * 7_919) % PAYLOAD_MAX;
                    assert!(payload == content(begin, length), "packet at {begin}");
                    pieces += 1;
                }
            }
        }
        assert!(pieces > 60_000, "{pieces}");
        let mut buffer = JitterBuffer::default();
        for n in 0..7_u32 {
            assert_eq!(
                buffer.insert_lasting(n * 160, &content(i64::from(n), PAYLOAD_MAX), 160),
                Insert::Held
            );
        }
        assert_eq!(buffer.held, BYTES / PAYLOAD_MAX);
        assert_eq!(buffer.slot(0).timestamp, 160);
    }

    #[test]
    fn the_delay_grows_when_packets_are_late_and_shrinks_when_they_are_not() {
        let mut buffer = JitterBuffer::default();
        let mut gaps = [0; 3];
        let mut dropped = 0;
        for n in 0..3_000_u32 {
            // Packets of the middle third come up to 80 ms late.
            let lag = |n: u32| if (1_000..2_000).contains(&n) { n * 7 % 5 } else { 0 };
            for sent in n.saturating_sub(5)..=n {
                if sent + lag(sent) == n {
                    buffer.insert(sent * 160, &packet('x', 160));
                }
            }
            if buffer.should_shrink() {
                dropped += 1;
                tick(&mut buffer);
            }
            if tick(&mut buffer).contains('.') {
                gaps[(n / 1_000) as usize] += 1;
            }
            if n == 1_900 {
                assert!((4 * 160..=6 * 160).contains(&buffer.delay()), "{}", buffer.delay());
            }
        }
        assert_eq!(gaps[0], 1, "only before the first packet");
        assert!(gaps[1] <= 6, "{} gaps while growing", gaps[1]);
        assert!(gaps[2] <= 1, "{} gaps while shrinking", gaps[2]);
        assert!(dropped >= 3, "{dropped} frames won back");
        assert_eq!(buffer.delay(), 160);
    }

    #[test]
    fn the_delay_stays_within_its_bounds_and_nothing_waits_beyond_the_cap() {
        let ms = Duration::from_millis;
        // Least, most and cap; how late packets come at worst, in ticks; the delay in ms that is found.
        let cases = [
            ((20, 120, 120), 0, 20..=20),
            ((60, 120, 120), 0, 60..=60),
            ((20, 60, 120), 5, 60..=60),
            ((20, 200, 200), 7, 140..=200),
            // A cap that allows less than is aimed at counts.
            ((20, 120, 40), 5, 40..=40),
        ];
        for ((least, most, cap), lag, expected) in cases {
            let mut buffer = JitterBuffer::default();
            buffer.keep_within(JitterBounds { least: ms(least), most: ms(most), cap: ms(cap) });
            for n in 0..600_u32 {
                for sent in n.saturating_sub(lag)..=n {
                    if sent + sent * 7 % (lag + 1) == n {
                        buffer.insert(sent * 160, &packet('x', 160));
                    }
                }
                tick(&mut buffer);
            }
            let found = buffer.delay() as u64 / 8;
            assert!(expected.contains(&found), "{least}-{most}, cap {cap}, {lag} ticks late: {found} ms");
            // A line that had stalled brings half a second at once: what waits then is no longer than that.
            for n in 600..625_u32 {
                buffer.insert(n * 160, &packet('y', 160));
            }
            let waits =
                (0..buffer.held).map(|n| buffer.slot(n).timestamp).max().unwrap() - buffer.playout.unwrap();
            assert!(waits <= cap as i64 * 8, "{least}-{most}, cap {cap}: {} ms wait", waits / 8);
        }
    }

    #[test]
    fn a_peer_whose_clock_leaps_is_heard_again_at_once() {
        for leap in [-1_000_000_i64, -4_000, -2_000, 2_000, 4_000, 1_000_000, i64::from(u32::MAX / 2)] {
            let mut buffer = JitterBuffer::default();
            let mut clock = 500_000_u32;
            for _ in 0..50 {
                buffer.insert(clock, &packet('x', 160));
                tick(&mut buffer);
                clock = clock.wrapping_add(160);
            }
            clock = clock.wrapping_add(leap as u32);
            let mut gaps = 0;
            for _ in 0..50 {
                buffer.insert(clock, &packet('x', 160));
                gaps += usize::from(tick(&mut buffer).contains('.'));
                clock = clock.wrapping_add(160);
            }
            assert!(gaps <= 13, "{gaps} gaps after a leap of {leap}");
            assert_eq!(tick(&mut buffer), "x", "after a leap of {leap}");
        }
    }

    #[test]
    fn a_stall_of_the_line_ends_with_no_more_delay_than_the_most() {
        let mut buffer = JitterBuffer::default();
        for n in 0..100_u32 {
            buffer.insert(n * 160, &packet('x', 160));
            tick(&mut buffer);
        }
        for _ in 0..40 {
            tick(&mut buffer);
        }
        for n in 100..140_u32 {
            buffer.insert(n * 160, &packet('x', 160));
        }
        let mut gaps = 0;
        for n in 140..200_u32 {
            buffer.insert(n * 160, &packet('x', 160));
            gaps += usize::from(tick(&mut buffer).contains('.'));
        }
        assert!(gaps <= 1, "{gaps}");
        assert!(buffer.held <= 8, "{} packets wait", buffer.held);
    }

    #[test]
    fn under_loss_reordering_and_duplication_each_packet_that_came_in_time_is_heard_once() {
        for seed in 1..50_u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut chance = move |share: f64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                ((random >> 40) as f64 / (1 << 24) as f64) < share
            };
            let mut buffer = JitterBuffer::default();
            let mut heard = Vec::new();
            let mut waiting: Vec<(u32, u32)> = Vec::new();
            let mut lost = 0;
            for n in 0..2_000_u32 {
                if chance(0.05) {
                    lost += 1;
                } else {
                    let lag = u32::from(chance(0.3)) + u32::from(chance(0.1));
                    waiting.push((n + lag, n));
                    if chance(0.01) {
                        waiting.push((n + lag + 1, n));
                    }
                }
                waiting.retain(|&(due, number)| {
                    if due <= n {
                        let mut payload = packet('x', 160);
                        payload[..4].copy_from_slice(&number.to_be_bytes());
                        buffer.insert(number.wrapping_mul(160).wrapping_add(u32::MAX - 9_999), &payload);
                    }
                    due > n
                });
                let mut left = FRAME;
                while left > 0 {
                    left -= match buffer.take(left) {
                        Piece::Sound { payload, count, from, .. } => {
                            if from == 0 {
                                heard.push(u32::from_be_bytes(payload[..4].try_into().unwrap()));
                            }
                            count
                        }
                        Piece::Gap(count) => count,
                    };
                }
            }
            assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: out of order or twice");
            let missing = 2_000 - lost - heard.len();
            assert!(missing <= 20, "seed {seed}: {missing} came and were not heard");
        }
    }

    /// Packets of any length, lost, late, twice and in any order: what is decoded ahead is what is then played.
    #[test]
    fn what_is_known_ahead_is_what_is_taken() {
        let mut random = 1_u32;
        let mut below = |most: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % most
        };
        for samples in [80, 160, 240, 320] {
            let mut buffer = JitterBuffer::default();
            let (mut known, mut waiting) = (0, Vec::new());
            for tick in 0..3_000_usize {
                if (tick * FRAME).is_multiple_of(samples) || samples < FRAME {
                    for n in 0..FRAME.div_ceil(samples) {
                        let bytes: Vec<u8> = (0..samples).map(|_| below(256) as u8).collect();
                        waiting.push((tick + below(3) as usize, (tick * FRAME + n * samples) as u32, bytes));
                    }
                }
                for (due, timestamp, bytes) in &waiting {
                    if *due == tick && below(20) != 0 {
                        buffer.insert(*timestamp, bytes);
                        if below(10) == 0 {
                            buffer.insert(*timestamp, bytes);
                        }
                    }
                }
                waiting.retain(|(due, ..)| *due > tick);
                let ahead = buffer.ahead(FRAME).map(<[u8]>::to_vec);
                let shrinks = buffer.should_shrink();
                let taken = match buffer.take(FRAME) {
                    Piece::Sound { payload, from, count, .. } if count == FRAME => {
                        Some(payload[from..from + count].to_vec())
                    }
                    _ => None,
                };
                if let Some(ahead) = ahead {
                    assert!(!shrinks && Some(ahead) == taken, "tick {tick}, packets of {samples}");
                    known += 1;
                }
            }
            // Those of 10 ms never hold a frame, those of 30 hold one at times.
            let expected = match samples {
                80 => 0..1,
                240 => 500..2_000,
                _ => 2_000..3_000,
            };
            assert!(expected.contains(&known), "{known} frames of packets of {samples}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_arrivals_panic_or_hold_a_tick(packets: Vec<(u32, u16, bool)>) {
            let mut buffer = JitterBuffer::default();
            for (timestamp, length, tick_now) in packets {
                buffer.insert(timestamp, &vec![b'x'; usize::from(length % 600)]);
                if tick_now {
                    tick(&mut buffer);
                    buffer.should_shrink();
                }
            }
        }
    }
}
