//! One meeting's sound: everybody hears all others, nobody hears themselves.
//!
//! Each tick every member's frame is added up once. Who said something gets the sum without
//! themselves; all who only listen get the same sum, encoded once per codec.

use super::mixer::{self, Sum};
use super::player::{Filled, Player};
use super::{Codec, FADE, FRAME, Frame, Leg, SILENCE};
use crate::rtp::Moment;

/// A room's sound between ticks. Its members stand elsewhere: it is told their places.
#[derive(Debug)]
pub struct Conference {
    /// Prompts for all, such as the tone for one who joins.
    pub player: Player,
    /// The sum of the last tick.
    sum: Sum,
    /// Fade-outs of those who left since.
    tail: [i32; FADE],
}

impl Default for Conference {
    fn default() -> Self {
        Self { player: Player::default(), sum: [0; FRAME], tail: [0; FADE] }
    }
}

/// A payload for whom it may concern.
pub type Payload = [u8; FRAME];

impl Conference {
    pub fn enter(&mut self, leg: &mut Leg) {
        leg.enter_room();
    }

    pub fn leave(&mut self, leg: &mut Leg) {
        for (sum, sample) in self.tail.iter_mut().zip(leg.leave_room(&self.sum)) {
            *sum += i32::from(sample);
        }
    }

    /// One tick: `members` are places in `legs`; each member that is to be sent something is
    /// handed to `send` once, with its payload.
    pub fn tick<L: AsMut<Leg>>(
        &mut self,
        members: &[u32],
        legs: &mut [Option<Box<L>>],
        now: Moment,
        mut send: impl FnMut(&mut L, &Payload),
    ) {
        self.sum = [0; FRAME];
        for (sum, tail) in self.sum.iter_mut().zip(std::mem::replace(&mut self.tail, [0; FADE])) {
            *sum = tail;
        }
        for &member in members {
            let Some(leg) = legs[member as usize].as_mut() else { continue };
            let leg = (**leg).as_mut();
            if leg.speak(now) {
                mixer::add(&mut self.sum, leg.spoken());
            }
        }
        let mut prompt = SILENCE;
        if !matches!(self.player.fill(&mut prompt), Filled::Nothing) {
            mixer::add(&mut self.sum, &prompt);
        }

        let mut shared = Shared::default();
        let mut private = SILENCE;
        let mut payload = [0; FRAME];
        for &member in members {
            let Some(line) = legs[member as usize].as_mut() else { continue };
            let leg = (**line).as_mut();
            if leg.send_to().is_none() {
                leg.pause();
                // Its prompts end when they would have ended.
                leg.hear(&mut private);
                continue;
            }
            let codec = leg.codec();
            if leg.hears_the_room() {
                send(line, shared.payload(codec, &self.sum));
                continue;
            }
            mixer::heard_without(&self.sum, leg.spoken(), &mut private);
            leg.hear(&mut private);
            codec.encode(&private, &mut payload);
            send(line, &payload);
        }
    }
}

/// What all silent listeners hear, made when the first of them needs it.
#[derive(Default)]
struct Shared {
    frame: Option<Frame>,
    encoded: [Option<Payload>; Codec::ALL.len()],
}

impl Shared {
    fn payload(&mut self, codec: Codec, sum: &Sum) -> &Payload {
        let frame = self.frame.get_or_insert_with(|| {
            let mut frame = SILENCE;
            mixer::heard(sum, &mut frame);
            frame
        });
        self.encoded[codec as usize].get_or_insert_with(|| {
            let mut payload = [0; FRAME];
            codec.encode(frame, &mut payload);
            payload
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::audio::goertzel::{amplitude, tone};
    use crate::audio::{Clip, LegSettings, Playback, Seed};
    use crate::rtp::packet::{Header, Packet};

    /// A room in virtual time: each caller says a tone of their own and writes down what they hear.
    struct Room {
        conference: Conference,
        legs: Vec<Option<Box<Leg>>>,
        members: Vec<u32>,
        heard: Vec<Vec<i16>>,
        codecs: Vec<Codec>,
        /// Amplitude of each caller's tone.
        loudness: f64,
        ticks: usize,
    }

    fn frequency(caller: usize) -> f64 {
        400.0 + 200.0 * caller as f64
    }

    impl Room {
        fn of(callers: usize) -> Self {
            let codecs: Vec<_> = (0..callers).map(|n| Codec::ALL[n % 2]).collect();
            let mut room = Self {
                conference: Conference::default(),
                legs: codecs.iter().map(|&codec| Some(Box::new(leg(codec)))).collect(),
                members: Vec::new(),
                heard: vec![Vec::new(); callers],
                codecs,
                loudness: 3_000.0,
                ticks: 0,
            };
            (0..callers).for_each(|caller| room.join(caller));
            room
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
                let now = Moment::new(0, Duration::from_millis(20 * self.ticks as u64));
                for caller in 0..self.legs.len() {
                    let sound: Vec<i16> =
                        tone(frequency(caller), self.loudness, self.ticks * FRAME, FRAME).collect();
                    let mut bytes = [0; 12 + FRAME];
                    let codec = self.codecs[caller];
                    codec.encode(&sound, &mut bytes[12..]);
                    Header {
                        payload_type: codec.payload_type(),
                        marker: false,
                        sequence: self.ticks as u16,
                        timestamp: (self.ticks * FRAME) as u32,
                        ssrc: 1,
                    }
                    .write(&mut bytes);
                    self.leg(caller).receive(&bytes, peer(), now);
                }
                let mut sent = vec![None; self.legs.len()];
                let mut send = |leg: &mut Leg, payload: &Payload| {
                    let mut bytes = [0; 12 + FRAME];
                    bytes[12..].copy_from_slice(payload);
                    leg.packet(&mut bytes);
                    let caller = Packet::parse(&bytes).unwrap().header.ssrc as usize;
                    assert!(sent[caller].replace(*payload).is_none(), "caller {caller} was sent two packets");
                };
                self.conference.tick(&self.members, &mut self.legs, now, &mut send);
                for (caller, sent) in sent.iter_mut().enumerate() {
                    if !self.members.contains(&(caller as u32)) {
                        let mut payload = [0; FRAME];
                        self.legs[caller].as_mut().unwrap().idle(&mut payload);
                        *sent = Some(payload);
                    }
                    let mut frame = SILENCE;
                    self.codecs[caller].decode(&sent.unwrap(), &mut frame);
                    self.heard[caller].extend(frame);
                }
                self.ticks += 1;
            }
        }

        /// How loud `caller` hears each tone in the last `ticks`, in units of what was said.
        fn matrix_row(&self, caller: usize, ticks: usize) -> Vec<f64> {
            let heard = &self.heard[caller];
            let last = &heard[heard.len() - ticks * FRAME..];
            (0..self.legs.len()).map(|other| amplitude(last, frequency(other)) / self.loudness).collect()
        }

        fn assert_hears(&self, caller: usize, others: &[usize]) {
            for (other, loudness) in self.matrix_row(caller, 50).into_iter().enumerate() {
                let expected = if others.contains(&other) { 1.0 } else { 0.0 };
                assert!((loudness - expected).abs() < 0.05, "{caller} hears {other} at {loudness:.3}");
            }
        }

        /// The largest step between two samples anyone heard, since a tick.
        fn largest_step(&self, caller: usize, since: usize) -> i32 {
            let heard = &self.heard[caller][since * FRAME..];
            heard.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
        }
    }

    fn peer() -> SocketAddr {
        "192.0.2.1:4000".parse().unwrap()
    }

    /// Its SSRC is its place, so that tests know whose packet they see.
    fn leg(codec: Codec) -> Leg {
        use std::cell::Cell;
        thread_local!(static PLACE: Cell<u32> = const { Cell::new(0) });
        let ssrc = PLACE.get();
        PLACE.set(ssrc + 1);
        let mut leg = Leg::new(Seed { ssrc, ..Seed::default() }, Moment::default());
        leg.configure(
            LegSettings {
                remote_rtp: Some(peer()),
                remote_rtcp: None,
                signalling_ip: peer().ip(),
                latch: false,
                codec,
                payload_type: codec.payload_type(),
                event_payload_type: Some(101),
                they_send: true,
                they_receive: true,
            },
            Moment::default(),
        );
        leg
    }

    #[test]
    fn everybody_hears_all_others_and_not_themselves() {
        for callers in [1, 2, 3, 5, 12] {
            std::thread::spawn(move || {
                let mut room = Room::of(callers);
                if callers > 5 {
                    room.loudness = 1_500.0;
                }
                room.run(100);
                for caller in 0..callers {
                    let others: Vec<_> = (0..callers).filter(|&other| other != caller).collect();
                    room.assert_hears(caller, &others);
                }
            })
            .join()
            .unwrap();
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
            assert!(
                step <= quiet + quiet / 8,
                "{caller} heard a step of {step}, {quiet} while nothing changed"
            );
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
            let heard = &room.heard[caller][20 * FRAME..];
            // A tone of 8 samples a period repeats itself; only the codec may make a difference.
            for (at, pair) in heard.windows(9).enumerate() {
                let difference = (i32::from(pair[8]) - i32::from(pair[0])).abs();
                assert!(difference <= 520, "{caller}: a break of {difference} at sample {at}");
            }
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
        let last =
            |room: &Room, caller: usize| room.heard[caller][room.heard[caller].len() - 4_000..].to_vec();
        assert!((amplitude(&last(&room, 0), 2_500.0) - 5_000.0).abs() < 200.0);
        assert!(room.matrix_row(0, 50)[1] > 0.2, "the room goes on softly underneath");
        for caller in [1, 2] {
            assert!(amplitude(&last(&room, caller), 2_500.0) < 50.0);
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
        for heard in &room.heard {
            assert!((amplitude(&heard[heard.len() - 4_000..], 2_500.0) - 5_000.0).abs() < 200.0);
        }
    }

    #[test]
    fn five_hundred_who_shout_do_not_wrap_around() {
        let mut room = Room::of(500);
        room.loudness = 30_000.0;
        room.run(20);
        for caller in [0, 499] {
            let loudest = room.heard[caller].iter().map(|sample| i32::from(*sample).abs()).max().unwrap();
            assert!((30_000..=32_767).contains(&loudest), "{loudest}");
        }
    }
}
