//! Telephone events: key presses sent as RTP packets (RFC 4733).
//!
//! A phone repeats one press in many packets, all stamped with the time it began, and sends the
//! last one three times (§2.5.1.4), so that a lost packet is not a lost digit. [`Receiver`] turns
//! that stream back into exactly one [`Digit`] per press: whatever packet of a press comes first
//! is the press. The marker bit is not asked; carriers lose it.

use crate::types::Digit;

/// The four bytes of §2.3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    /// 0–15 are keys ([`Digit::from_event`]); others are tones and signals.
    pub code: u8,
    /// The key has been released.
    pub end: bool,
    /// In -dBm0, 0–63.
    pub volume: u8,
    /// How long it has been pressed so far, in ticks of the RTP clock.
    pub duration: u16,
}

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("telephone event of {0} bytes, expected 4")]
    Truncated(usize),
}

impl Event {
    /// Reads the first event of a payload; more may follow (§2.5.1.5 lets several be packed).
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let &[code, flags, high, low, ..] = payload else { return Err(Error::Truncated(payload.len())) };
        Ok(Self {
            code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([high, low]),
        })
    }

    #[must_use]
    pub fn bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }
}

/// Turns the packets of one source into presses. Start a new one when the SSRC changes.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    /// The presses and segments seen last, the newest at `next - 1`. A packet of an older one is
    /// late, not new.
    seen: [Option<Segment>; MEMORY],
    next: usize,
    /// Ticks of the newest press that lie in segments before its last, and all of them once it is released.
    held: u32,
    lasted: Option<u32>,
}

/// Presses remembered: at ten keys a second more than a second, and packets of one press are
/// never that late.
const MEMORY: usize = 16;

/// What is known of one timestamp.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Segment {
    code: u8,
    begin: u32,
    /// The longest duration told so far.
    duration: u16,
    released: bool,
    /// Of its packet that came last.
    sequence: u16,
}

impl Receiver {
    /// One packet: its sequence number, its timestamp and its event. The digit, if this is the first
    /// packet of a press.
    pub fn receive(&mut self, sequence: u16, timestamp: u32, event: Event) -> Option<Digit> {
        let digit = Digit::from_event(event.code)?;
        let has = |segment: &Option<Segment>| {
            segment.is_some_and(|segment| segment.has(sequence, timestamp, event.code))
        };
        let known = self.seen.iter().position(has);
        if let Some((place, segment)) = known.and_then(|place| Some((place, self.seen[place].as_mut()?))) {
            segment.duration = segment.duration.max(event.duration);
            let ends = event.end && !segment.released;
            segment.released |= event.end;
            segment.sequence = sequence;
            if ends && (place + 1) % MEMORY == self.next {
                self.lasted = Some(self.held.saturating_add(segment.duration.into()));
            }
            return None;
        }
        let segment = Segment {
            code: event.code,
            begin: timestamp,
            duration: event.duration,
            released: event.end,
            sequence,
        };
        let before = self.newest().filter(|newest| segment.continues(newest)).map(|before| before.duration);
        self.held = before.map_or(0, |duration| self.held.saturating_add(duration.into()));
        if event.end {
            self.lasted = Some(self.held.saturating_add(event.duration.into()));
        }
        self.seen[self.next] = Some(segment);
        self.next = (self.next + 1) % MEMORY;
        before.is_none().then_some(digit)
    }

    /// How long the press lasted that has just been released, in ticks of the RTP clock; once for each whose
    /// end came.
    pub fn take_lasted(&mut self) -> Option<u32> {
        self.lasted.take()
    }

    /// Whether a key is down, as far as packets tell; a lost end leaves it down until the next press.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.newest().is_some_and(|segment| !segment.released)
    }

    fn newest(&self) -> Option<&Segment> {
        self.seen[(self.next + MEMORY - 1) % MEMORY].as_ref()
    }
}

impl Segment {
    /// Whether a packet belongs to this press. One that comes long after the key was released is of a
    /// sender that began its clock anew (SIPp does for each `play_dtmf`): another press.
    fn has(&self, sequence: u16, timestamp: u32, code: u8) -> bool {
        let apart = sequence.wrapping_sub(self.sequence);
        let is_near = apart.min(apart.wrapping_neg()) <= LATE_MAX;
        self.begin == timestamp && self.code == code && (!self.released || is_near)
    }

    /// A key held for longer than a duration can say (8 s) goes on in a new segment, without a gap
    /// (§2.5.1.3). If the last packets of the long one are lost, the gap is as long as they were.
    fn continues(&self, last: &Self) -> bool {
        let gap = self.begin.wrapping_sub(last.begin.wrapping_add(u32::from(last.duration)));
        let was_long = last.duration >= LONG;
        self.code == last.code && !last.released && (gap == 0 || (was_long && gap <= LOST_MAX))
    }
}

/// Packets that one may be late by: 600 ms of a stream.
const LATE_MAX: u16 = 30;
/// Durations near the end of their 16 bits: 200 ms before it.
const LONG: u16 = u16::MAX - 1_600;
/// 200 ms.
const LOST_MAX: u32 = 1_600;

/// One press on its way out, as packets for every 20 ms.
#[derive(Clone, Debug)]
pub struct Sender {
    code: u8,
    begin: u32,
    /// Ticks until it is released, from `begin` of the segment now sent.
    left: u32,
    elapsed: u32,
    /// Of the final packet, sent three times (§2.5.1.4).
    ends_left: u8,
    first: bool,
}

/// One packet of a press.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outgoing {
    pub timestamp: u32,
    pub marker: bool,
    pub event: Event,
}

impl Sender {
    /// A press that begins at RTP time `timestamp` and lasts `ticks` of the RTP clock.
    #[must_use]
    pub fn new(digit: Digit, timestamp: u32, ticks: u32) -> Self {
        Self {
            code: digit.event(),
            begin: timestamp,
            left: ticks.max(1),
            elapsed: 0,
            ends_left: 3,
            first: true,
        }
    }
}

impl Iterator for Sender {
    type Item = Outgoing;

    /// The packet for the next 20 ms (160 ticks); `None` when the third end has been sent.
    fn next(&mut self) -> Option<Outgoing> {
        const STEP: u32 = 160;
        if self.ends_left == 0 {
            return None;
        }
        if self.elapsed < self.left {
            if self.elapsed + STEP > u32::from(u16::MAX) {
                // Full: a new segment where this one ends.
                self.begin = self.begin.wrapping_add(self.elapsed);
                self.left -= self.elapsed;
                self.elapsed = 0;
            }
            self.elapsed = (self.elapsed + STEP).min(self.left);
        }
        let end = self.elapsed >= self.left;
        if end {
            self.ends_left -= 1;
        }
        let event = Event { code: self.code, end, volume: 10, duration: self.elapsed as u16 };
        let marker = std::mem::take(&mut self.first);
        Some(Outgoing { timestamp: self.begin, marker, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Packet = (u32, [u8; 4]);

    fn dialled(packets: &[Packet]) -> String {
        let mut receiver = Receiver::default();
        packets
            .iter()
            .enumerate()
            .filter_map(|(n, (timestamp, bytes))| {
                let sequence = 65_530u16.wrapping_add(n as u16);
                receiver.receive(sequence, *timestamp, Event::parse(bytes).unwrap())
            })
            .map(Digit::as_char)
            .collect()
    }

    #[test]
    fn a_sender_that_begins_its_clock_anew_presses_again() {
        let mut receiver = Receiver::default();
        let mut heard = String::new();
        // "15", and a second later "15" again with the same timestamps, as SIPp does.
        for start in [65_500u16, 65_500u16.wrapping_add(65)] {
            for (n, code, end) in
                [(0, 1, false), (1, 1, true), (2, 1, true), (3, 5, false), (4, 5, true), (5, 1, true)]
            {
                let timestamp = if code == 1 { 24_400 } else { 24_800 };
                let event = Event { code, end, volume: 10, duration: 160 };
                heard.extend(receiver.receive(start.wrapping_add(n), timestamp, event).map(Digit::as_char));
            }
        }
        assert_eq!(heard, "1515");
    }

    #[test]
    fn how_long_a_key_was_down_is_told_once_when_its_end_comes() {
        let lasted = |packets: &mut dyn Iterator<Item = Outgoing>| -> Vec<u32> {
            let mut receiver = Receiver::default();
            let told = packets.enumerate().filter_map(|(n, packet)| {
                receiver.receive(n as u16, packet.timestamp, packet.event);
                receiver.take_lasted()
            });
            told.collect()
        };
        let press = |begin, ticks| Sender::new(Digit::from_char('5').unwrap(), begin, ticks);
        assert_eq!(lasted(&mut press(1_000, 800)), [800]);
        assert_eq!(lasted(&mut press(u32::MAX - 100, 800).skip(3)), [800], "its beginning is lost");
        assert!(lasted(&mut press(0, 800).take(4)).is_empty(), "its ends are lost");
        assert_eq!(lasted(&mut press(0, 800).skip(6)), [800], "all but one end is lost");
        assert_eq!(lasted(&mut press(0, 100_000)), [100_000], "longer than one duration can say");
        assert_eq!(lasted(&mut press(0, 800).chain(press(2_000, 480))), [800, 480]);
        // A key that somebody holds for a day and more: no end of segments, each as long as it can be.
        let segments = (0..70_000_u32).map(|n| {
            let event = Event { code: 5, end: n == 69_999, volume: 10, duration: u16::MAX };
            Outgoing { timestamp: n.wrapping_mul(u16::MAX.into()), marker: false, event }
        });
        assert_eq!(lasted(&mut segments.into_iter()), [u32::MAX]);
        // The first end comes after the next key.
        let late = press(0, 800).take(4).chain(press(2_000, 480)).chain(press(0, 800).skip(6));
        assert_eq!(lasted(&mut late.into_iter()), [480]);
    }

    #[test]
    fn a_press_is_one_digit_however_its_packets_arrive() {
        let five = |duration| (1_000, [5, 10, 0, duration]);
        let end = (1_000, [5, 0x8a, 0, 150]);
        let six = (2_000, [6, 10, 0, 50]);
        let held = (1_000, [5, 10, 0xff, 0xa0]);
        let cases: &[(&str, &[Packet], &str)] = &[
            ("a press", &[five(50), five(100), end, end, end], "5"),
            ("its beginning is lost", &[end, end, end], "5"),
            ("its ends are lost", &[five(50), five(100)], "5"),
            ("its packets change places", &[five(100), five(50), end, five(120)], "5"),
            ("a packet comes twice", &[five(50), five(50), end], "5"),
            ("its end arrives after the next key", &[five(50), six, end], "56"),
            ("the next key's end too", &[five(50), six, end, (2_000, [6, 0x8a, 0, 90]), end], "56"),
            ("the same key twice", &[end, (2_000, [5, 10, 0, 50])], "55"),
            ("the same key twice, the first end lost", &[five(50), (2_000, [5, 10, 0, 50])], "55"),
            (
                "a late packet of the one before the last",
                &[five(50), end, six, (3_000, [7, 10, 0, 50]), end],
                "567",
            ),
            ("the clock wraps around", &[(u32::MAX, [5, 10, 0, 9]), (900, [6, 10, 0, 9])], "56"),
            (
                "the end comes after the wrap",
                &[(u32::MAX - 50, [5, 10, 0, 9]), (u32::MAX - 50, [5, 0x8a, 1, 0])],
                "5",
            ),
            (
                "held for ten seconds",
                &[five(50), held, (1_000 + 0xffa0, [5, 10, 0, 160]), (1_000 + 0xffa0, [5, 0x8a, 0x20, 0])],
                "5",
            ),
            (
                "held, with packets lost around the new segment",
                &[held, (1_000 + 0xffa0 + 480, [5, 10, 1, 0])],
                "5",
            ),
            ("held over the wrap", &[(u32::MAX, [5, 10, 0xff, 0xff]), (0xfffe, [5, 10, 0, 160])], "5"),
            (
                "let go and pressed again at once",
                &[(1_000, [5, 0x8a, 0, 160]), (1_160, [5, 10, 0, 160])],
                "55",
            ),
            (
                "a timestamp that grows with each packet (seen on gateways)",
                &[(1_000, [5, 10, 0, 160]), (1_160, [5, 10, 0, 160]), (1_320, [5, 0x8a, 0, 160])],
                "5",
            ),
            ("an event that is no key", &[(1_000, [16, 10, 0, 50]), (2_000, [36, 0x8a, 0, 50])], ""),
            (
                "all keys",
                &[
                    (0, [0, 0x8a, 0, 9]),
                    (1_000, [9, 0x8a, 0, 9]),
                    (2_000, [10, 0x8a, 0, 9]),
                    (3_000, [11, 0x8a, 0, 9]),
                    (4_000, [15, 0x8a, 0, 9]),
                ],
                "09*#D",
            ),
        ];
        for (name, packets, expected) in cases {
            assert_eq!(dialled(packets), *expected, "{name}");
        }
    }

    #[test]
    fn short_payloads_are_named() {
        for length in 0..4 {
            assert_eq!(Event::parse(&[5, 10, 0, 9][..length]), Err(Error::Truncated(length)));
        }
    }

    #[test]
    fn what_the_sender_sends_the_receiver_hears_once() {
        for (name, ticks, packets) in [
            ("a short press", 400, 3 + 2),
            ("a press shorter than a packet", 10, 1 + 2),
            ("a press of exactly two packets", 320, 2 + 2),
            ("twenty seconds", 160_000, 1_000 + 2),
        ] {
            let sent: Vec<_> = Sender::new(Digit::POUND, u32::MAX - 500, ticks).collect();
            assert_eq!(sent.len(), packets, "{name}");
            assert_eq!(sent.iter().filter(|packet| packet.event.end).count(), 3, "{name}");
            assert!(sent[0].marker && !sent[1].marker, "{name}");
            let all: Vec<_> = sent.iter().map(|packet| (packet.timestamp, packet.event.bytes())).collect();
            assert_eq!(dialled(&all), "#", "{name}");
        }
    }

    #[test]
    fn twelve_keys_under_five_percent_loss_are_right_each_time() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut chance = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 40) as f64 / (1 << 24) as f64
        };
        let keys = "471100473658";
        for entry in 0..2_000 {
            let mut packets = Vec::new();
            let mut clock = 0xffff_0000_u32.wrapping_add(entry * 7_919);
            for key in keys.chars() {
                for packet in Sender::new(Digit::from_char(key).unwrap(), clock, 800) {
                    if chance() < 0.05 {
                        continue;
                    }
                    packets.push((packet.timestamp, packet.event.bytes()));
                    if chance() < 0.01 {
                        packets.push((packet.timestamp, packet.event.bytes()));
                    }
                    // 2 % change places with the one before.
                    let last = packets.len() - 1;
                    if last > 0 && chance() < 0.02 {
                        packets.swap(last, last - 1);
                    }
                }
                clock = clock.wrapping_add(1_600);
            }
            assert_eq!(dialled(&packets), keys, "entry {entry}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_stream_of_events_panics(packets: Vec<(u32, [u8; 4])>) {
            let _ = dialled(&packets);
        }
    }
}
