//! Callers in virtual time, and what they hear.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;

pub(super) struct Room {
    pub(super) conference: Conference,
    pub(super) legs: Vec<Option<Box<Leg>>>,
    pub(super) members: Vec<u32>,
    pub(super) callers: Vec<Caller>,
    pub(super) rate_max: Rate,
    /// Amplitude of each caller's tone.
    pub(super) loudness: f64,
    pub(super) ticks: usize,
    /// Another meeting, and who is in it.
    pub(super) second: (Conference, Vec<u32>),
    pub(super) together: Together,
}

/// The other end of a leg.
pub(super) struct Caller {
    pub(super) codec: Codec,
    /// Of what it says and hears: of Opus any.
    pub(super) rate: Rate,
    pub(super) frequency: f64,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
    /// Milliseconds in a packet of theirs, and in one of ours to them.
    pub(super) says: usize,
    pub(super) wants: u64,
    /// Keys are tones in its sound.
    pub(super) dials_in_sound: bool,
    pub(super) suppresses_noise: bool,
    pub(super) takes_comfort_noise: bool,
    pub(super) wishes: OpusWishes,
    /// What it says in place of its tone.
    pub(super) script: Vec<i16>,
    pub(super) joiner: opus::Joiner,
    pub(super) unsent: Vec<u8>,
    /// Frames said, and by how much its clock is faster than ours; whether its timestamps stand still.
    pub(super) said: usize,
    pub(super) drift_ppm: i64,
    pub(super) clock_stands: bool,
    /// Its direction attributes.
    pub(super) sends: bool,
    pub(super) receives: bool,
    pub(super) ssrc: u32,
    pub(super) clock: u32,
    pub(super) sequence: u16,
    /// Samples at the codec's rate, and the ticks of 8 kHz that the packets say they take.
    pub(super) heard: Vec<i16>,
    pub(super) next: Option<u32>,
    /// When silence was described to it, in ticks of its clock, and how loud it is in -dBov; none since sound came.
    pub(super) noise: Vec<(u32, u8)>,
}

impl Caller {
    pub(super) fn new(number: usize, codec: Codec) -> Self {
        Self {
            codec,
            rate: codec.rate(),
            frequency: 400.0 + 200.0 * number as f64,
            encoder: Encoder::new(codec),
            decoder: Decoder::new(codec),
            says: 20,
            wants: 20,
            dials_in_sound: false,
            suppresses_noise: false,
            takes_comfort_noise: false,
            wishes: opus::SHARED,
            script: Vec::new(),
            joiner: opus::Joiner::default(),
            unsent: Vec::new(),
            said: 0,
            drift_ppm: 0,
            clock_stands: false,
            sends: true,
            receives: true,
            ssrc: 1,
            clock: 0,
            sequence: 0,
            heard: Vec::new(),
            next: None,
            noise: Vec::new(),
        }
    }

    /// One with Opus that says and plays all that can be heard.
    pub(super) fn full(number: usize) -> Self {
        let mut caller = Self::new(number, Codec::Opus);
        caller.rate = Rate::Full;
        caller.wishes = OpusWishes { playback_rate: 48_000, capture_rate: 48_000, ..opus::SHARED };
        caller.encoder.begin_at(Codec::Opus, Rate::Full);
        caller.decoder.begin_at(Codec::Opus, Rate::Full);
        caller
    }

    /// Says 20 ms; the packets that are full now.
    pub(super) fn say(&mut self, loudness: f64) -> Vec<Vec<u8>> {
        let (rate, tick) = (self.rate, self.said);
        self.said += 1;
        let sound: Vec<i16> = match self.script.len() {
            0 => tone_at(rate.hz(), self.frequency, loudness, tick * rate.frame(), rate.frame()).collect(),
            said => self.script.drain(..said.min(rate.frame())).collect(),
        };
        let mut codes = [0; FRAME];
        self.encoder.encode(&sound, &mut codes);
        let mut packets = Vec::new();
        if self.codec == Codec::Opus {
            self.joiner.set(self.says as u128);
            let Self { joiner, sequence, clock, codec, clock_stands, ssrc, .. } = self;
            joiner.push(opus::packet(&codes), |payload, frames| {
                let mut packet = vec![0; 12];
                packet.extend(payload);
                let (payload_type, timestamp) = (codec.payload_type(), *clock);
                Header { payload_type, marker: false, sequence: *sequence, timestamp, ssrc: *ssrc }
                    .write(&mut packet);
                *sequence = sequence.wrapping_add(1);
                if !*clock_stands {
                    *clock = clock.wrapping_add(frames as u32 * 960);
                }
                packets.push(packet);
            });
            return packets;
        }
        self.unsent.extend(codes);
        while self.unsent.len() >= 8 * self.says {
            let mut packet = vec![0; 12];
            packet.extend(self.unsent.drain(..8 * self.says));
            Header {
                payload_type: self.codec.payload_type(),
                marker: false,
                sequence: self.sequence,
                timestamp: self.clock,
                ssrc: self.ssrc,
            }
            .write(&mut packet);
            self.sequence = self.sequence.wrapping_add(1);
            if !self.clock_stands {
                self.clock = self.clock.wrapping_add(8 * self.says as u32);
            }
            packets.push(packet);
        }
        packets
    }

    pub(super) fn hear(&mut self, packet: Packet<'_>) {
        let Header { payload_type, marker, timestamp, .. } = packet.header;
        if payload_type == 13 {
            assert!(self.takes_comfort_noise && !marker && packet.payload.len() == 1);
            self.noise.push((timestamp, packet.payload[0]));
            return;
        }
        if let Some((last, _)) = self.noise.last() {
            let silent = timestamp.wrapping_sub(*last);
            assert!(
                marker && silent > 0 && silent.is_multiple_of(160),
                "sound after {silent} of noise, {marker}"
            );
            self.noise.clear();
        }
        assert_eq!(packet.header.payload_type, self.codec.payload_type());
        // After a pause the first one says so.
        let next = self.next.filter(|_| !packet.header.marker).unwrap_or(packet.header.timestamp);
        assert_eq!(packet.header.timestamp, next, "packets follow each other");
        let ticks = self.codec.duration(packet.payload).unwrap();
        let longest = if self.codec == Codec::Opus { self.wants.max(20) / 20 * 20 } else { self.wants };
        assert!(ticks as u64 <= 8 * longest);
        assert!(self.codec == Codec::Opus || ticks as u64 == 8 * longest);
        self.next = Some(next.wrapping_add(ticks as u32 * self.codec.clock_ratio()));
        let at = self.heard.len();
        self.heard.resize(at + ticks * self.rate.per_tick(), 0);
        self.decoder.decode(packet.payload, &mut self.heard[at..]);
    }

    /// The last so many ticks of 20 ms.
    pub(super) fn last(&self, ticks: usize) -> &[i16] {
        &self.heard[self.heard.len() - ticks * self.rate.frame()..]
    }

    pub(super) fn hears(&self, frequency: f64, ticks: usize) -> f64 {
        amplitude_at(self.rate.hz(), self.last(ticks), frequency)
    }
}

impl Room {
    pub(super) fn of(callers: usize) -> Self {
        Self::with((0..callers).map(|n| [Codec::Pcmu, Codec::Pcma][n % 2]))
    }

    pub(super) fn with(codecs: impl IntoIterator<Item = Codec>) -> Self {
        let callers = codecs.into_iter().enumerate().map(|(number, codec)| Caller::new(number, codec));
        Self::with_callers(callers.collect(), Rate::Wide)
    }

    /// In a room that is mixed at no higher rate than this.
    pub(super) fn with_callers(callers: Vec<Caller>, rate_max: Rate) -> Self {
        let mut room = Self {
            conference: Conference::default(),
            legs: callers.iter().enumerate().map(|(n, _)| Some(Box::new(leg(n)))).collect(),
            members: Vec::new(),
            callers,
            rate_max,
            loudness: 3_000.0,
            ticks: 0,
            second: Default::default(),
            together: Together::default(),
        };
        for caller in 0..room.callers.len() {
            room.configure(caller);
            room.join(caller);
        }
        room
    }

    pub(super) fn configure(&mut self, number: usize) {
        let Caller { codec, wants, sends, receives, .. } = self.callers[number];
        let settings = LegSettings {
            ptime: Duration::from_millis(wants),
            they_send: sends,
            they_receive: receives,
            sound: SoundSettings {
                rate_max: self.rate_max,
                tones_are_keys: self.callers[number].dials_in_sound,
                comfort_noise: self.callers[number].takes_comfort_noise,
                noise_suppression: self.callers[number].suppresses_noise,
                opus: self.callers[number].wishes,
                ..Default::default()
            },
            ..LegSettings::plain(codec, peer())
        };
        let now = self.now();
        let rate = settings.rate();
        if codec == Codec::Opus && self.conference.shared.opus(rate).is_none() {
            let turns = || Box::new([opus::Encoder::new(rate), opus::Encoder::new(rate)]);
            self.conference.equip(rate, turns());
            self.second.0.equip(rate, turns());
        }
        if settings.sound.noise_suppression {
            self.leg(number).equip_denoiser(Box::default());
        }
        self.leg(number).configure(settings, now);
    }

    /// A re-INVITE: both ends begin anew with another codec.
    pub(super) fn change_codec(&mut self, number: usize, codec: Codec) {
        self.become_another(number, Caller::new(number, codec));
    }

    pub(super) fn become_another(&mut self, number: usize, other: Caller) {
        let Caller { frequency, clock, sequence, said, .. } = self.callers[number];
        self.callers[number] = Caller { frequency, clock, sequence, said, ..other };
        self.configure(number);
    }

    pub(super) fn now(&self) -> Moment {
        Moment::new(0, Duration::from_millis(20 * self.ticks as u64))
    }

    pub(super) fn leg(&mut self, caller: usize) -> &mut Leg {
        self.legs[caller].as_mut().unwrap()
    }

    pub(super) fn join(&mut self, caller: usize) {
        self.conference.enter(self.legs[caller].as_mut().unwrap());
        self.members.push(caller as u32);
    }

    pub(super) fn leave(&mut self, caller: usize) {
        self.conference.leave(self.legs[caller].as_mut().unwrap());
        self.members.retain(|&member| member != caller as u32);
    }

    pub(super) fn over_to_second(&mut self, caller: usize) {
        self.leave(caller);
        self.second.0.enter(self.legs[caller].as_mut().unwrap());
        self.second.1.push(caller as u32);
    }

    pub(super) fn back_to_first(&mut self, caller: usize) {
        self.second.0.leave(self.legs[caller].as_mut().unwrap());
        self.second.1.retain(|&member| member != caller as u32);
        self.join(caller);
    }

    pub(super) fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            let now = self.now();
            for number in 0..self.legs.len() {
                let caller = &mut self.callers[number];
                let due = (self.ticks as i64 + 1) * (1_000_000 + caller.drift_ppm) / 1_000_000;
                let mut packets = Vec::new();
                while (caller.said as i64) < due {
                    packets.extend(caller.say(self.loudness));
                }
                for packet in packets {
                    self.leg(number).receive(&packet, peer(), now);
                }
            }
            let mut sent = vec![0; self.legs.len()];
            let callers = &mut self.callers;
            let mut send = |leg: &mut Leg, payload: &Payload| {
                let mut number = None;
                leg.packets(payload, |bytes| {
                    let packet = Packet::parse(bytes).unwrap();
                    callers[packet.header.ssrc as usize].hear(packet);
                    number = Some(packet.header.ssrc as usize);
                });
                if let Some(number) = number {
                    sent[number] += 1;
                    assert_eq!(sent[number], 1, "caller {number} was sent two payloads");
                }
            };
            let (second, others) = &mut self.second;
            for members in [&self.members, &*others] {
                self.together.decode(members, &mut self.legs);
            }
            self.together.decode_rest(&mut self.legs);
            let together = &mut self.together;
            self.conference.tick(&self.members, &mut self.legs, now, together, &mut send);
            second.tick(others, &mut self.legs, now, together, &mut send);
            together.send_rest(&mut self.legs, &mut send);
            for number in 0..self.legs.len() {
                let place = number as u32;
                if !self.members.contains(&place) && !self.second.1.contains(&place) {
                    let leg = self.legs[number].as_mut().unwrap();
                    let mut payload = [0; FRAME];
                    leg.idle(&mut payload);
                    send(leg, &payload);
                }
            }
            self.ticks += 1;
        }
    }

    /// How loud `caller` hears each tone in the last `ticks`, in units of what was said.
    pub(super) fn matrix_row(&self, caller: usize, ticks: usize) -> Vec<f64> {
        let row = self.callers.iter().map(|other| self.callers[caller].hears(other.frequency, ticks));
        row.map(|amplitude| amplitude / self.loudness).collect()
    }

    pub(super) fn assert_hears(&self, caller: usize, others: &[usize]) {
        for (other, loudness) in self.matrix_row(caller, 50).into_iter().enumerate() {
            let expected = if others.contains(&other) { 1.0 } else { 0.0 };
            let codecs: Vec<Codec> = self.callers.iter().map(|caller| caller.codec).collect();
            // Opus is not made for chords.
            let opus = [caller, other].iter().any(|&caller| codecs[caller] == Codec::Opus);
            assert!(
                (loudness - expected).abs() < if opus { 0.25 } else { 0.05 },
                "{caller} hears {other} at {loudness:.3}, codecs {codecs:?}"
            );
        }
    }

    pub(super) fn assert_all_hear_all_others(&self) {
        self.assert_all_hear_all_others_of(&(0..self.callers.len()).collect::<Vec<_>>());
    }

    /// The others are silent.
    pub(super) fn assert_all_hear_all_others_of(&self, speakers: &[usize]) {
        for caller in 0..self.callers.len() {
            let others: Vec<_> = speakers.iter().copied().filter(|&other| other != caller).collect();
            self.assert_hears(caller, &others);
        }
    }

    /// The largest step between two samples anyone heard, since a tick.
    pub(super) fn largest_step(&self, caller: usize, since: usize) -> i32 {
        let caller = &self.callers[caller];
        let heard = &caller.heard[since * caller.rate.frame()..];
        heard.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    /// The largest difference between two periods of a 1 kHz tone, after the first `since` ticks.
    pub(super) fn largest_break(&self, caller: usize, since: usize) -> i32 {
        let Caller { rate, heard, .. } = &self.callers[caller];
        let period = rate.hz() / 1_000;
        let heard = &heard[since * rate.frame()..];
        let breaks = heard.windows(period + 1);
        breaks.map(|window| (i32::from(window[period]) - i32::from(window[0])).abs()).max().unwrap()
    }
}

pub(super) fn peer() -> SocketAddr {
    "192.0.2.1:4000".parse().unwrap()
}

/// Its SSRC is its place, so that tests know whose packet they see.
pub(super) fn leg(place: usize) -> Leg {
    Leg::new(Seed { ssrc: place as u32, ..Seed::default() }, Moment::default())
}
