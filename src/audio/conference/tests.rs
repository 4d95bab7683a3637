//! Rooms in virtual time: each caller says a tone of their own and writes down what they hear.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::audio::dtmf;
use crate::audio::goertzel::{amplitude, amplitude_at, tone, tone_at};
use crate::audio::{Clip, Decoder, Encoder, LegSettings, Playback, Seed, SoundSettings};
use crate::rtp::packet::{Header, Packet};
use crate::types::Digit;

struct Room {
    conference: Conference,
    legs: Vec<Option<Box<Leg>>>,
    members: Vec<u32>,
    callers: Vec<Caller>,
    /// Amplitude of each caller's tone.
    loudness: f64,
    ticks: usize,
}

/// The other end of a leg.
struct Caller {
    codec: Codec,
    frequency: f64,
    encoder: Encoder,
    decoder: Decoder,
    /// Milliseconds in a packet of theirs, and in one of ours to them.
    says: usize,
    wants: u64,
    /// Keys are tones in its sound.
    dials_in_sound: bool,
    /// What it says in place of its tone.
    script: Vec<i16>,
    unsent: Vec<u8>,
    clock: u32,
    sequence: u16,
    /// Samples at the codec's rate, and the ticks of 8 kHz that the packets say they take.
    heard: Vec<i16>,
    next: Option<u32>,
}

impl Caller {
    fn new(number: usize, codec: Codec) -> Self {
        Self {
            codec,
            frequency: 400.0 + 200.0 * number as f64,
            encoder: Encoder::new(codec),
            decoder: Decoder::new(codec),
            says: 20,
            wants: 20,
            dials_in_sound: false,
            script: Vec::new(),
            unsent: Vec::new(),
            clock: 0,
            sequence: 0,
            heard: Vec::new(),
            next: None,
        }
    }

    /// Says 20 ms; the packets that are full now.
    fn say(&mut self, loudness: f64, tick: usize) -> Vec<Vec<u8>> {
        let rate = self.codec.rate();
        let sound: Vec<i16> = match self.script.len() {
            0 => tone_at(rate.hz(), self.frequency, loudness, tick * rate.frame(), rate.frame()).collect(),
            said => self.script.drain(..said.min(rate.frame())).collect(),
        };
        let mut codes = [0; FRAME];
        self.encoder.encode(&sound, &mut codes);
        self.unsent.extend(codes);
        let mut packets = Vec::new();
        while self.unsent.len() >= 8 * self.says {
            let mut packet = vec![0; 12];
            packet.extend(self.unsent.drain(..8 * self.says));
            Header {
                payload_type: self.codec.payload_type(),
                marker: false,
                sequence: self.sequence,
                timestamp: self.clock,
                ssrc: 1,
            }
            .write(&mut packet);
            self.sequence = self.sequence.wrapping_add(1);
            self.clock = self.clock.wrapping_add(8 * self.says as u32);
            packets.push(packet);
        }
        packets
    }

    fn hear(&mut self, packet: Packet<'_>) {
        assert_eq!(packet.header.payload_type, self.codec.payload_type());
        let next = self.next.unwrap_or(packet.header.timestamp);
        assert_eq!(packet.header.timestamp, next, "packets follow each other");
        assert_eq!(packet.payload.len() as u64, 8 * self.wants);
        self.next = Some(next.wrapping_add(packet.payload.len() as u32));
        let at = self.heard.len();
        self.heard.resize(at + packet.payload.len() * self.codec.rate().per_tick(), 0);
        self.decoder.decode(packet.payload, &mut self.heard[at..]);
    }

    /// The last so many ticks of 20 ms.
    fn last(&self, ticks: usize) -> &[i16] {
        &self.heard[self.heard.len() - ticks * self.codec.rate().frame()..]
    }

    fn hears(&self, frequency: f64, ticks: usize) -> f64 {
        amplitude_at(self.codec.rate().hz(), self.last(ticks), frequency)
    }
}

impl Room {
    fn of(callers: usize) -> Self {
        Self::with((0..callers).map(|n| [Codec::Pcmu, Codec::Pcma][n % 2]))
    }

    fn with(codecs: impl IntoIterator<Item = Codec>) -> Self {
        let callers: Vec<Caller> =
            codecs.into_iter().enumerate().map(|(number, codec)| Caller::new(number, codec)).collect();
        let mut room = Self {
            conference: Conference::default(),
            legs: callers.iter().enumerate().map(|(n, _)| Some(Box::new(leg(n)))).collect(),
            members: Vec::new(),
            callers,
            loudness: 3_000.0,
            ticks: 0,
        };
        for caller in 0..room.callers.len() {
            room.configure(caller);
            room.join(caller);
        }
        room
    }

    fn configure(&mut self, number: usize) {
        let Caller { codec, wants, .. } = self.callers[number];
        let settings = LegSettings {
            remote_rtp: Some(peer()),
            remote_rtcp: None,
            signalling_ip: peer().ip(),
            latch: false,
            codec,
            payload_type: codec.payload_type(),
            event_payload_type: Some(101),
            ptime: Duration::from_millis(wants),
            they_send: true,
            they_receive: true,
            sound: SoundSettings {
                tones_are_keys: self.callers[number].dials_in_sound,
                ..Default::default()
            },
        };
        let now = self.now();
        self.leg(number).configure(settings, now);
    }

    /// A re-INVITE: both ends begin anew with another codec.
    fn change_codec(&mut self, number: usize, codec: Codec) {
        let Caller { frequency, clock, sequence, .. } = self.callers[number];
        self.callers[number] = Caller { frequency, clock, sequence, ..Caller::new(number, codec) };
        self.configure(number);
    }

    fn now(&self) -> Moment {
        Moment::new(0, Duration::from_millis(20 * self.ticks as u64))
    }

    fn leg(&mut self, caller: usize) -> &mut Leg {
        self.legs[caller].as_mut().unwrap()
    }

    fn join(&mut self, caller: usize) {
        self.conference.enter(self.legs[caller].as_mut().unwrap());
        self.members.push(caller as u32);
    }

    fn leave(&mut self, caller: usize) {
        self.conference.leave(self.legs[caller].as_mut().unwrap());
        self.members.retain(|&member| member != caller as u32);
    }

    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            let now = self.now();
            for number in 0..self.legs.len() {
                for packet in self.callers[number].say(self.loudness, self.ticks) {
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
            self.conference.tick(&self.members, &mut self.legs, now, &mut send);
            for number in 0..self.legs.len() {
                if !self.members.contains(&(number as u32)) {
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
    fn matrix_row(&self, caller: usize, ticks: usize) -> Vec<f64> {
        let row = self.callers.iter().map(|other| self.callers[caller].hears(other.frequency, ticks));
        row.map(|amplitude| amplitude / self.loudness).collect()
    }

    fn assert_hears(&self, caller: usize, others: &[usize]) {
        for (other, loudness) in self.matrix_row(caller, 50).into_iter().enumerate() {
            let expected = if others.contains(&other) { 1.0 } else { 0.0 };
            let codecs: Vec<Codec> = self.callers.iter().map(|caller| caller.codec).collect();
            assert!(
                (loudness - expected).abs() < 0.05,
                "{caller} hears {other} at {loudness:.3}, codecs {codecs:?}"
            );
        }
    }

    fn assert_all_hear_all_others(&self) {
        for caller in 0..self.callers.len() {
            let others: Vec<_> = (0..self.callers.len()).filter(|&other| other != caller).collect();
            self.assert_hears(caller, &others);
        }
    }

    /// The largest step between two samples anyone heard, since a tick.
    fn largest_step(&self, caller: usize, since: usize) -> i32 {
        let caller = &self.callers[caller];
        let heard = &caller.heard[since * caller.codec.rate().frame()..];
        heard.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    /// The largest difference between two periods of a 1 kHz tone, after the first `since` ticks.
    fn largest_break(&self, caller: usize, since: usize) -> i32 {
        let Caller { codec, heard, .. } = &self.callers[caller];
        let period = codec.rate().hz() / 1_000;
        let heard = &heard[since * codec.rate().frame()..];
        let breaks = heard.windows(period + 1);
        breaks.map(|window| (i32::from(window[period]) - i32::from(window[0])).abs()).max().unwrap()
    }
}

fn peer() -> SocketAddr {
    "192.0.2.1:4000".parse().unwrap()
}

/// Its SSRC is its place, so that tests know whose packet they see.
fn leg(place: usize) -> Leg {
    Leg::new(Seed { ssrc: place as u32, ..Seed::default() }, Moment::default())
}

#[test]
fn everybody_hears_all_others_and_not_themselves() {
    for callers in [1, 2, 3, 5, 12] {
        let mut room = Room::of(callers);
        if callers > 5 {
            room.loudness = 1_500.0;
        }
        room.run(100);
        room.assert_all_hear_all_others();
    }
}

#[test]
fn joins_leaves_mutes_and_holds_change_who_is_heard_and_never_click() {
    let mut room = Room::of(4);
    room.run(100);
    let quiet = (0..4).map(|caller| room.largest_step(caller, 20)).max().unwrap();

    room.leg(1).mute(true);
    room.run(100);
    room.assert_hears(0, &[2, 3]);
    room.assert_hears(1, &[0, 2, 3]);
    room.leg(1).mute(false);
    room.run(100);
    room.assert_hears(0, &[1, 2, 3]);

    room.leave(2);
    room.run(100);
    room.assert_hears(0, &[1, 3]);
    room.assert_hears(2, &[]);
    room.join(2);
    room.run(100);
    room.assert_hears(0, &[1, 2, 3]);
    room.assert_hears(2, &[0, 1, 3]);

    for caller in 0..4 {
        let step = room.largest_step(caller, 20);
        assert!(step <= quiet + quiet / 8, "{caller} heard a step of {step}, {quiet} while nothing changed");
    }
}

#[test]
fn a_minute_of_a_1_khz_tone_comes_through_without_a_break() {
    let mut room = Room::of(4);
    // 1 kHz is caller 3's; the others keep silent.
    for caller in 0..3 {
        room.leg(caller).mute(true);
    }
    room.loudness = 8_000.0;
    room.run(3_000);
    for caller in 0..3 {
        // Only the codec may make a difference.
        assert!(room.largest_break(caller, 20) <= 520, "{caller}: {}", room.largest_break(caller, 20));
    }
    assert!(room.matrix_row(3, 50).iter().all(|&loudness| loudness < 0.01));
}

#[test]
fn a_prompt_is_heard_by_its_leg_alone_and_stops_nobody() {
    let mut room = Room::of(3);
    room.run(50);
    let prompt = Arc::new(Clip::new(tone(2_500.0, 5_000.0, 0, 16_000).collect()));
    room.leg(0).player.play(Playback::new(Some(1), vec![prompt])).unwrap();
    room.run(100);
    room.assert_hears(1, &[0, 2]);
    room.assert_hears(2, &[0, 1]);
    assert!((room.callers[0].hears(2_500.0, 25) - 5_000.0).abs() < 200.0);
    assert!(room.matrix_row(0, 50)[1] > 0.2, "the room goes on softly underneath");
    for caller in [1, 2] {
        assert!(room.callers[caller].hears(2_500.0, 25) < 50.0);
    }
    room.run(100);
    room.assert_hears(0, &[1, 2]);
    assert_eq!(room.leg(0).player.finished().pop_front().unwrap().id, Some(1));
}

#[test]
fn a_tone_for_the_room_is_heard_by_all() {
    let mut room = Room::of(3);
    for caller in 0..3 {
        room.leg(caller).mute(caller > 0);
    }
    let chime = Arc::new(Clip::new(tone(2_500.0, 5_000.0, 0, 8_000).collect()));
    room.run(50);
    room.conference.player.play(Playback::new(None, vec![chime])).unwrap();
    room.run(50);
    for caller in &room.callers {
        assert!((caller.hears(2_500.0, 25) - 5_000.0).abs() < 200.0);
    }
}

#[test]
fn five_hundred_who_shout_do_not_wrap_around() {
    let mut room = Room::of(500);
    room.loudness = 30_000.0;
    room.run(20);
    for caller in [0, 499] {
        let loudest = room.callers[caller].heard.iter().map(|sample| i32::from(*sample).abs()).max().unwrap();
        assert!((30_000..=32_767).contains(&loudest), "{loudest}");
    }
}

#[test]
fn every_pair_of_codecs_hears_each_other_and_not_itself() {
    for one in Codec::ALL {
        for other in Codec::ALL {
            let mut room = Room::with([one, other, other]);
            room.run(100);
            room.assert_all_hear_all_others();
            // Two listen: one to a private mix, two to what is made once for all.
            room.leg(1).mute(true);
            room.leg(2).mute(true);
            room.run(150);
            room.assert_hears(0, &[]);
            room.assert_hears(1, &[0]);
            room.assert_hears(2, &[0]);
        }
    }
    let mut room = Room::with(Codec::ALL.into_iter().cycle().take(9));
    room.loudness = 1_500.0;
    room.run(100);
    room.assert_all_hear_all_others();
}

#[test]
fn packets_of_any_length_carry_the_sound_both_ways_without_a_break() {
    for codec in Codec::ALL {
        for says in [10, 20, 30, 40, 60] {
            for wants in [10, 20, 30, 40, 60] {
                let mut room = Room::with([codec, Codec::Pcmu]);
                room.callers[0].says = says;
                room.callers[0].wants = wants;
                room.callers[0].frequency = 1_000.0;
                room.configure(0);
                room.run(120);
                room.assert_all_hear_all_others();
                let breaks = room.largest_break(1, 20);
                assert!(breaks < 250, "{codec:?} in packets of {says} ms: a break of {breaks}");
                let gap = room.leg(0).quality().concealed;
                assert!(gap < 0.05, "{codec:?} in packets of {says} ms: {gap}");
            }
        }
    }
}

#[test]
fn a_minute_of_1_khz_has_no_break_with_any_pair_of_codecs() {
    for speaker in Codec::ALL {
        let mut room = Room::with([speaker, Codec::Pcmu, Codec::Pcma, Codec::G722]);
        room.callers[0].frequency = 1_000.0;
        (1..4).for_each(|caller| room.leg(caller).mute(true));
        room.loudness = 8_000.0;
        room.run(3_000);
        for caller in 1..4 {
            let breaks = room.largest_break(caller, 60);
            println!("{speaker:?} to {:?}: {breaks}", room.callers[caller].codec);
            assert!(breaks <= 560, "{speaker:?} to {:?}: {breaks}", room.callers[caller].codec);
        }
    }
}

#[test]
fn what_is_above_4_khz_passes_between_wide_legs_and_reaches_no_narrow_one() {
    let mut room = Room::with([Codec::G722, Codec::G722, Codec::Pcmu]);
    (1..3).for_each(|caller| room.leg(caller).mute(true));
    room.loudness = 6_000.0;
    for (frequency, share) in [(5_000.0, 0.9), (6_500.0, 0.9), (7_000.0, 0.7)] {
        room.callers[0].frequency = frequency;
        room.run(100);
        let heard = room.matrix_row(1, 50)[0];
        assert!((share..1.1).contains(&heard), "{frequency} Hz: {heard:.3}");
        let folded = room.callers[2].hears(8_000.0 - frequency, 50);
        assert!(folded < 40.0, "{frequency} Hz comes to the narrow leg as {folded}");
    }
}

#[test]
fn who_begins_and_ceases_to_speak_hears_the_others_without_a_glitch() {
    for listener in Codec::ALL {
        let mut room = Room::with([Codec::G722, listener, listener]);
        room.callers[0].frequency = 1_000.0;
        room.loudness = 8_000.0;
        room.leg(1).mute(true);
        room.leg(2).mute(true);
        room.run(200);
        // Caller 2 listens all the time: what the codec alone makes of the tone.
        let before = room.ticks;
        for muted in [false, true, false, true, false, true, false, true] {
            room.leg(1).mute(muted);
            room.run(60);
        }
        let [speaks, listens] = [1, 2].map(|caller| room.largest_break(caller, before - 50));
        println!("{listener:?}: {speaks} for who speaks now and then, {listens} for who does not");
        // Caller 2 hears caller 1 now and then, caller 1 hears always the same.
        assert!(speaks <= 560, "{listener:?}: a break of {speaks}");
    }
}

#[test]
fn who_has_spoken_is_back_with_the_other_listeners_after_the_next_pause() {
    let mut room = Room::with([Codec::G722, Codec::G722, Codec::Pcma]);
    for speaker in [1, 2] {
        room.run(30);
        assert!((1..3).all(|caller| !room.leg(caller).takes_shared_stream()));
        (0..3).for_each(|caller| room.leg(caller).mute(caller != speaker));
        room.run(30);
        // The room is silent for half a second.
        room.leg(speaker).mute(true);
        room.run(25);
        room.leg(0).mute(false);
        room.run(20);
        for caller in 1..3 {
            assert!(room.leg(caller).takes_shared_stream(), "{caller} after {speaker} spoke");
        }
        (0..3).for_each(|caller| room.leg(caller).mute(false));
    }
}

#[test]
fn a_wide_caller_comes_and_goes_and_nobody_hears_a_click() {
    let mut room = Room::with([Codec::Pcmu, Codec::Pcma, Codec::Pcmu, Codec::G722]);
    room.leave(3);
    room.leg(2).mute(true);
    room.run(100);
    room.assert_hears(0, &[1]);
    let quiet = (0..3).map(|caller| room.largest_step(caller, 20)).max().unwrap();
    for _ in 0..3 {
        room.join(3);
        room.run(100);
        room.assert_hears(0, &[1, 3]);
        room.assert_hears(2, &[0, 1, 3]);
        room.assert_hears(3, &[0, 1]);
        room.leave(3);
        room.run(100);
        room.assert_hears(0, &[1]);
        room.assert_hears(2, &[0, 1]);
        room.assert_hears(3, &[]);
    }
    // One voice more than in the quiet room.
    let most = (0..4).map(|caller| room.largest_step(caller, 20)).max().unwrap();
    assert!(most <= quiet * 5 / 2, "a step of {most}, {quiet} before");
}

#[test]
fn a_codec_changes_in_the_middle_of_a_call_and_all_go_on_hearing() {
    for others in [[Codec::Pcma, Codec::G722], [Codec::Pcmu, Codec::Pcmu]] {
        let mut room = Room::with([Codec::Pcmu, others[0], others[1]]);
        room.run(100);
        for codec in [Codec::G722, Codec::Pcma, Codec::G722, Codec::Pcmu, Codec::Pcma] {
            room.change_codec(0, codec);
            room.run(60);
            room.assert_all_hear_all_others();
            for listener in [1, 2] {
                let step = room.largest_step(listener, 20);
                assert!(step < 4_000, "{others:?}, to {codec:?}: {listener} heard a step of {step}");
            }
        }
    }
}

#[test]
fn noise_of_a_silent_peer_is_heard_and_speech_comes_back() {
    let mut room = Room::with([Codec::G722, Codec::Pcma]);
    room.run(50);
    let header = Header { payload_type: 13, marker: false, sequence: 9_000, timestamp: 8_000, ssrc: 1 };
    let mut packet = vec![0; 12];
    packet.push(50);
    header.write(&mut packet);
    let now = room.now();
    room.leg(0).receive(&packet, peer(), now);
    // What it says does not arrive.
    room.callers[0].says = 1_000_000;
    room.run(50);
    let level = crate::audio::level::dbov(room.callers[1].last(20));
    assert!((-54.5..-49.0).contains(&level), "{level:.1} dBov");
}

/// A key as a phone without telephone-events sends it.
fn key_tone(rate: Rate, key: usize, milliseconds: usize) -> Vec<i16> {
    let count = rate.hz() * milliseconds / 1_000;
    let [low, high] = [dtmf::LOW[key / 4], dtmf::HIGH[key % 4]]
        .map(|frequency| tone_at(rate.hz(), frequency, 5_000.0, 0, count).collect::<Vec<_>>());
    low.iter().zip(high).map(|(low, high)| low + high).collect()
}

#[test]
fn a_key_in_the_sound_is_told_once_and_nobody_hears_it() {
    for codec in Codec::ALL {
        for begins_at in [0, 3, 8, 13, 19] {
            let mut room = Room::with([codec, Codec::Pcma]);
            room.callers[0].dials_in_sound = true;
            room.configure(0);
            room.run(50);
            room.assert_hears(1, &[0]);
            for key in 0..16 {
                let rate = codec.rate();
                let mut script = vec![0; 4 * rate.frame() + rate.hz() * begins_at / 1_000];
                script.extend(key_tone(rate, key, 60));
                script.resize(20 * rate.frame(), 0);
                room.callers[0].script = script;
                let mut keys = Vec::new();
                for _ in 0..16 {
                    room.run(1);
                    keys.extend(room.leg(0).take_tone().map(Digit::as_char));
                }
                let pressed = "123A456B789C*0#D".chars().nth(key).unwrap();
                assert_eq!(keys, [pressed], "{codec:?}, {begins_at} ms into a frame");
                for frequency in [dtmf::LOW[key / 4], dtmf::HIGH[key % 4]] {
                    let windows = room.callers[1].last(10).chunks(80);
                    let loudest = windows.map(|window| amplitude(window, frequency)).fold(0.0, f64::max);
                    assert!(loudest < 50.0, "{codec:?} {pressed}: others hear {loudest:.0} of {frequency}");
                }
                room.run(10);
            }
            room.run(50);
            room.assert_hears(1, &[0]);
        }
    }
}

#[test]
fn keys_are_heard_in_the_sound_before_there_is_a_room() {
    let mut room = Room::with([Codec::G722]);
    room.leave(0);
    room.callers[0].dials_in_sound = true;
    room.configure(0);
    let mut keys = String::new();
    for key in [0, 5, 10, 15, 15] {
        room.callers[0].script = key_tone(Rate::Wide, key, 60);
        room.callers[0].script.resize(8 * Rate::Wide.frame(), 0);
        for _ in 0..12 {
            room.run(1);
            let now = room.now();
            assert!(room.leg(0).say_name(now).is_none());
            keys.extend(room.leg(0).take_tone().map(Digit::as_char));
        }
    }
    assert_eq!(keys, "159DD");
}
