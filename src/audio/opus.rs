//! Opus (RFC 6716) over RTP (RFC 7587), mono, at the rate that a leg or a room has: 16 kHz, or 48.
//!
//! The codec is its authors' own, in memory of ours: it is made where allocating is allowed, never
//! allocates again, and is copied like any value, so that a listener can go on with a copy of the encoder
//! that all listeners share.
//!
//! A frame is 20 ms. Where bytes of one tick are passed on in a [`Payload`](super::conference::Payload),
//! the first byte says how many of the rest are the packet.

mod activity;
mod decoder;
mod joiner;

pub use activity::is_background;
pub use decoder::Decoder;
pub use joiner::Joiner;
use opusic_sys as ffi;

use super::Rate;
use crate::types::OpusWishes;

/// Frames in the longest packet of theirs: 120 ms.
const FRAMES_MAX: usize = 6;
/// Ticks of RTP's clock, 48 kHz, in one of the 8 kHz that all else here is counted in.
pub const CLOCK_RATIO: u32 = 6;
/// Most bytes of a frame of ours. Three of them and their lengths fit into a packet.
const FRAME_BYTES_MAX: usize = 150;
/// How hard the encoder tries, 0–10. Above 5 speech gains little.
const COMPLEXITY: i32 = 5;
/// Losses that the error correction reckons with, in percent. It is what makes it send any.
const EXPECTED_LOSS: i32 = 10;

/// Bits a second on average, error correction included; what we ask the peer for, too.
const fn bitrate(rate: Rate) -> i32 {
    match rate {
        Rate::Narrow | Rate::Wide => 32_000,
        Rate::Full => 48_000,
    }
}

/// A stream of ours.
pub struct Encoder {
    memory: Memory,
    rate: Rate,
}

/// A stream that is made once for all listeners: before a tick and after it.
pub type Turns = Box<[Encoder; 2]>;

/// Aligned as libopus needs it.
#[derive(Clone)]
struct Memory(Box<[u64]>);

impl Memory {
    fn of(bytes: i32) -> Self {
        Self(vec![0; (bytes.max(0) as usize).div_ceil(8)].into_boxed_slice())
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(Rate::Wide)
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Encoder")
    }
}

impl Encoder {
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        // SAFETY: asks for a number.
        let mut encoder = Self { memory: Memory::of(unsafe { ffi::opus_encoder_get_size(1) }), rate };
        encoder.begin(rate);
        encoder
    }

    fn state(&mut self) -> *mut ffi::OpusEncoder {
        self.memory.0.as_mut_ptr().cast()
    }

    /// A new stream of sound at this rate, in the memory that is there.
    pub fn begin(&mut self, rate: Rate) {
        self.rate = rate;
        let state = self.state();
        let bandwidth = match rate {
            Rate::Narrow => ffi::OPUS_BANDWIDTH_NARROWBAND,
            Rate::Wide => ffi::OPUS_BANDWIDTH_WIDEBAND,
            Rate::Full => ffi::OPUS_BANDWIDTH_FULLBAND,
        };
        // SAFETY: `state` is as large as libopus said; each request takes an int.
        unsafe {
            ffi::opus_encoder_init(state, rate.hz() as i32, 1, ffi::OPUS_APPLICATION_VOIP);
            for (request, value) in [
                (ffi::OPUS_SET_BITRATE_REQUEST, bitrate(rate)),
                (ffi::OPUS_SET_COMPLEXITY_REQUEST, COMPLEXITY),
                (ffi::OPUS_SET_INBAND_FEC_REQUEST, 1),
                (ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST, EXPECTED_LOSS),
                (ffi::OPUS_SET_SIGNAL_REQUEST, ffi::OPUS_SIGNAL_VOICE),
                (ffi::OPUS_SET_MAX_BANDWIDTH_REQUEST, bandwidth),
            ] {
                ffi::opus_encoder_ctl(state, request, value);
            }
        }
    }

    /// Sends from now on what the peer would like to have.
    pub fn wish(&mut self, wishes: OpusWishes) {
        let state = self.state();
        let usual = bitrate(self.rate);
        let most = wishes.bitrate_max.map_or(usual, |most| usual.min(most as i32));
        // Half of what it can play.
        let bandwidth = match wishes.playback_rate.min(self.rate.hz() as u32) {
            ..12_000 => ffi::OPUS_BANDWIDTH_NARROWBAND,
            12_000..16_000 => ffi::OPUS_BANDWIDTH_MEDIUMBAND,
            16_000..24_000 => ffi::OPUS_BANDWIDTH_WIDEBAND,
            24_000..48_000 => ffi::OPUS_BANDWIDTH_SUPERWIDEBAND,
            48_000.. => ffi::OPUS_BANDWIDTH_FULLBAND,
        };
        // SAFETY: `state` is an encoder that has begun; each request takes an int.
        unsafe {
            for (request, value) in [
                (ffi::OPUS_SET_BITRATE_REQUEST, most),
                (ffi::OPUS_SET_INBAND_FEC_REQUEST, i32::from(wishes.repairs)),
                (ffi::OPUS_SET_DTX_REQUEST, i32::from(wishes.pauses)),
                (ffi::OPUS_SET_VBR_REQUEST, i32::from(!wishes.constant)),
                (ffi::OPUS_SET_MAX_BANDWIDTH_REQUEST, bandwidth),
            ] {
                ffi::opus_encoder_ctl(state, request, value);
            }
        }
    }

    /// Goes on where `other` is. libopus: the state is position independent and can be copied freely.
    pub fn go_on_as(&mut self, other: &Self) {
        self.rate = other.rate;
        self.memory.0.copy_from_slice(&other.memory.0);
    }

    /// Encodes 20 ms: a byte that says how long the packet is, and the packet.
    pub fn encode(&mut self, samples: &[i16], payload: &mut [u8]) {
        let room = FRAME_BYTES_MAX.min(payload.len() - 1);
        let (length, packet) = payload.split_first_mut().expect("room for a frame");
        debug_assert_eq!(samples.len(), self.rate.frame());
        // SAFETY: `samples` holds as many samples as are named, `packet` at least `room` bytes.
        let written = unsafe {
            ffi::opus_encode(
                self.state(),
                samples.as_ptr(),
                samples.len() as i32,
                packet.as_mut_ptr(),
                room as i32,
            )
        };
        // It can fail for wrong arguments alone; then nothing is sent.
        *length = written.clamp(0, room as i32) as u8;
    }
}

/// What the stream is like that is made once for all wide listeners.
pub const SHARED: OpusWishes = OpusWishes {
    playback_rate: 16_000,
    capture_rate: 16_000,
    bitrate_max: None,
    repairs: true,
    pauses: false,
    constant: false,
};

/// Whether the stream that is made once for all listeners of this rate is just what a peer would like.
#[must_use]
pub fn may_share(wishes: OpusWishes, rate: Rate) -> bool {
    let enough = wishes.bitrate_max.is_none_or(|most| most as i32 >= bitrate(rate))
        && wishes.playback_rate >= rate.hz() as u32;
    let OpusWishes { playback_rate, capture_rate, bitrate_max, .. } = SHARED;
    enough && OpusWishes { playback_rate, capture_rate, bitrate_max, ..wishes } == SHARED
}

/// The rate of a leg whose peer wishes that, where no room is mixed at more than `most`: high enough for both ways,
/// and wide at least, whatever the room is, as Opus for narrow sound makes too much of a pure tone.
#[must_use]
pub fn rate(wishes: OpusWishes, most: Rate) -> Rate {
    let needed = wishes.playback_rate.max(wishes.capture_rate);
    if needed > Rate::Wide.hz() as u32 { most.max(Rate::Wide) } else { Rate::Wide }
}

/// Whether a packet says nothing but that there is nothing to say: it need not be sent (RFC 7587 §3.1.3).
#[must_use]
pub fn is_pause(packet: &[u8]) -> bool {
    packet.len() <= 2
}

/// The packet in the bytes of a tick.
#[must_use]
pub fn packet(payload: &[u8]) -> &[u8] {
    match payload.split_first() {
        Some((&length, rest)) => &rest[..usize::from(length).min(rest.len())],
        None => &[],
    }
}

/// How long a packet sounds, in ticks of 8 kHz; `None` for what is no Opus.
#[must_use]
pub fn duration(packet: &[u8]) -> Option<usize> {
    // SAFETY: reads at most as many bytes as are named.
    let ticks = unsafe { ffi::opus_packet_get_nb_samples(packet.as_ptr(), packet.len() as i32, 8_000) };
    usize::try_from(ticks).ok().filter(|&ticks| ticks > 0 && ticks <= FRAMES_MAX * Rate::Narrow.frame())
}

#[cfg(test)]
mod tests {
    use super::decoder::GAP_MAX;
    use super::*;
    use crate::audio::FRAME;
    use crate::audio::goertzel::{amplitude_at, tone_at};

    const SAMPLES: usize = Rate::Wide.frame();

    fn said(frequency: f64, frame: usize) -> Vec<i16> {
        tone_at(16_000, frequency, 8_000.0, frame * SAMPLES, SAMPLES).collect()
    }

    #[test]
    fn sound_comes_through_in_packets_of_any_length() {
        for (milliseconds, frames) in [(10, 1), (20, 1), (30, 1), (40, 2), (60, 3), (200, 3)] {
            let (mut encoder, mut decoder, mut joiner) =
                (Encoder::default(), Decoder::default(), Joiner::default());
            joiner.set(milliseconds);
            let (mut heard, mut at) = (Vec::new(), 0);
            for frame in 0..60 {
                let mut payload = [0; FRAME];
                encoder.encode(&said(700.0, frame), &mut payload);
                joiner.push(packet(&payload), |bytes, count| {
                    let ticks = duration(bytes).unwrap();
                    assert_eq!(ticks, count * FRAME);
                    let mut sound = vec![0; 2 * ticks];
                    for half in 0..2 {
                        decoder.open(
                            at,
                            bytes,
                            half * ticks / 2,
                            &mut sound[half * ticks..(half + 1) * ticks],
                        );
                    }
                    heard.extend(sound);
                    at += ticks as i64;
                });
            }
            assert_eq!(heard.len(), 60 * SAMPLES);
            let loudness = amplitude_at(16_000, &heard[20 * SAMPLES..50 * SAMPLES], 700.0);
            assert!((loudness - 8_000.0).abs() < 400.0, "{milliseconds} ms, {frames}: {loudness}");
        }
    }

    #[test]
    fn a_lost_packet_comes_back_out_of_the_next_one() {
        // Half a second of a tone that changes, every fourth packet lost.
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let packets: Vec<Vec<u8>> = (0..100)
            .map(|frame| {
                let mut payload = [0; FRAME];
                encoder.encode(&said(300.0 + 100.0 * (frame / 10) as f64, frame), &mut payload);
                packet(&payload).to_vec()
            })
            .collect();
        let mut lost = 0;
        for n in 1..99 {
            let mut sound = [0; SAMPLES];
            if n % 4 == 0 {
                assert!(decoder.fill(Some(&packets[n + 1]), false, &mut sound));
                let loudness = amplitude_at(16_000, &sound, 300.0 + 100.0 * (n / 10) as f64);
                lost += usize::from(n > 10 && n % 10 > 1 && loudness < 3_000.0);
            } else {
                decoder.open(n as i64, &packets[n], 0, &mut sound);
            }
        }
        assert!(lost <= 2, "{lost} packets were not repaired");
    }

    #[test]
    fn made_up_sound_ends_and_silence_by_will_is_known() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let mut sound = [0; SAMPLES];
        assert!(!decoder.fill(None, false, &mut sound), "before the first packet there is nothing");
        let mut payload = [0; FRAME];
        for frame in 0..20 {
            encoder.encode(&said(500.0, frame), &mut payload);
            decoder.open(frame as i64, packet(&payload), 0, &mut sound);
        }
        let filled = (0..100).take_while(|_| decoder.fill(None, false, &mut sound)).count();
        assert_eq!(filled, GAP_MAX as usize);
        decoder.open(200, &[packet(&payload)[0]], 0, &mut sound);
        assert!(decoder.is_silent());
    }

    #[test]
    fn after_packets_that_nobody_heard_the_next_sounds_as_if_all_had_been() {
        for rate in [Rate::Wide, Rate::Full] {
            let mut encoder = Encoder::new(rate);
            let (mut all, mut some) = (Decoder::for_rates_to(rate), Decoder::for_rates_to(rate));
            let (mut off, mut loud) = (0.0, 0.0);
            for frame in 0..120 {
                let time = |n| (frame * rate.frame() + n) as f64 / rate.hz() as f64;
                let loudness = if frame % 40 < 30 { 60.0 } else { 900.0 };
                let voice = |time: f64| {
                    (1..12).map(move |h| (130.0 * std::f64::consts::TAU * f64::from(h) * time).sin())
                };
                let said: Vec<i16> =
                    (0..rate.frame()).map(|n| (loudness * voice(time(n)).sum::<f64>()) as i16).collect();
                let mut payload = [0; FRAME];
                encoder.encode(&said, &mut payload);
                let (mut expected, mut heard) = (vec![0; rate.frame()], vec![0; rate.frame()]);
                all.open(frame as i64, packet(&payload), 0, &mut expected);
                match frame % 40 {
                    10 => assert!(some.fill(Some(packet(&payload)), true, &mut heard)),
                    2..30 => some.pass(frame as i64, packet(&payload), &mut heard),
                    _ => some.open(frame as i64, packet(&payload), 0, &mut heard),
                }
                match frame % 40 {
                    2..30 => assert!(heard.iter().all(|&sample| sample == 0)),
                    30..33 => {
                        off +=
                            expected.iter().zip(&heard).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
                        loud += expected.iter().map(|&a| f64::from(a).powi(2)).sum::<f64>();
                    }
                    _ => {}
                }
            }
            let below = 10.0 * (loud / off).log10();
            println!("{rate:?}: what differs is {below:.1} dB below the sound");
            assert!(below > 15.0, "{rate:?}: {below:.1} dB");
        }
    }

    #[test]
    fn a_peer_is_sent_what_it_wishes() {
        let none = OpusWishes { repairs: true, ..OpusWishes::default() };
        let sent = |wishes: OpusWishes, loudness: i32| -> Vec<Vec<u8>> {
            let mut encoder = Encoder::default();
            encoder.wish(wishes);
            let mut payload = [0; FRAME];
            let mut random = 1_u32;
            (0..150)
                .map(|frame| {
                    let mut sound = said(400.0 + frame as f64, frame);
                    for sample in &mut sound {
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        *sample = ((i32::from(*sample) + (random as i32 >> 20)) * loudness / 8) as i16;
                    }
                    encoder.encode(&sound, &mut payload);
                    packet(&payload).to_vec()
                })
                .collect()
        };
        let rate = |packets: &[Vec<u8>]| packets[50..].iter().map(Vec::len).sum::<usize>() * 8 * 50 / 100;
        // The configuration in the first byte says which bandwidth (RFC 6716 §3.1).
        let wide = |packets: &[Vec<u8>]| packets[50..].iter().any(|packet| packet[0] >> 3 >= 8);
        let usual = sent(none, 8);
        assert!((24_000..34_000).contains(&rate(&usual)) && wide(&usual), "{}", rate(&usual));
        let slow = sent(OpusWishes { bitrate_max: Some(12_000), ..none }, 8);
        assert!((8_000..14_000).contains(&rate(&slow)), "{}", rate(&slow));
        assert!(!wide(&sent(OpusWishes { playback_rate: 8_000, ..none }, 8)));
        let constant = sent(OpusWishes { constant: true, ..none }, 8);
        assert!(constant[50..].iter().all(|packet| packet.len() == constant[50].len()));
        let is_pause = |packets: &[Vec<u8>]| packets.iter().filter(|packet| super::is_pause(packet)).count();
        // A tone is no voice to it now and then.
        assert!(is_pause(&sent(OpusWishes { pauses: true, ..none }, 8)) < 40);
        let paused = is_pause(&sent(OpusWishes { pauses: true, ..none }, 0));
        assert!((100..148).contains(&paused), "{paused}");
        for (rate, playback_rate) in [(Rate::Wide, 16_000), (Rate::Full, 48_000)] {
            assert!(may_share(none, rate));
            assert!(may_share(OpusWishes { bitrate_max: Some(64_000), playback_rate, ..none }, rate));
            assert!(!may_share(OpusWishes { playback_rate: playback_rate - 1, ..none }, rate));
            assert!(!may_share(OpusWishes::default(), rate));
            assert!(!may_share(OpusWishes { pauses: true, ..none }, rate));
        }
    }

    #[test]
    fn a_leg_has_the_rate_that_its_peer_can_make_use_of_and_no_higher_one_than_is_allowed() {
        let peer = |playback_rate, capture_rate| OpusWishes { playback_rate, capture_rate, ..SHARED };
        let cases = [
            (peer(48_000, 48_000), Rate::Full),
            (peer(24_000, 16_000), Rate::Full),
            (peer(16_000, 48_000), Rate::Full),
            (peer(16_000, 16_000), Rate::Wide),
            (peer(8_000, 8_000), Rate::Wide),
        ];
        for (wishes, expected) in cases {
            for most in Rate::ALL {
                let expected = expected.min(most).max(Rate::Wide);
                assert_eq!(rate(wishes, most), expected, "{wishes:?}, at most {most:?}");
            }
        }
    }

    #[test]
    fn full_sound_comes_through_and_what_a_peer_cannot_play_is_not_sent() {
        let full = Rate::Full;
        for (playback_rate, heard) in [(48_000, true), (24_000, true), (16_000, false)] {
            let (mut encoder, mut decoder) = (Encoder::new(full), Decoder::for_rates_to(full));
            encoder.wish(OpusWishes { playback_rate, ..SHARED });
            let mut sound = Vec::new();
            for frame in 0..60 {
                // Of a voice there is more below.
                let [low, high] = [(700.0, 6_000.0), (10_000.0, 3_000.0)]
                    .map(|(hz, loud)| tone_at(full.hz(), hz, loud, frame * full.frame(), full.frame()));
                let said: Vec<i16> = low.zip(high).map(|(low, high)| low + high).collect();
                let mut payload = [0; FRAME];
                encoder.encode(&said, &mut payload);
                let mut out = [0; Rate::Full.frame()];
                decoder.open(frame as i64, packet(&payload), 0, &mut out);
                sound.extend(out);
            }
            let last = &sound[30 * full.frame()..];
            let (low, high) = (amplitude_at(48_000, last, 700.0), amplitude_at(48_000, last, 10_000.0));
            assert!((low - 6_000.0).abs() < 600.0, "{low}");
            assert_eq!(high > 1_500.0, heard, "{playback_rate}: {high}");
            assert!(heard || high < 100.0, "{playback_rate}: {high}");
        }
    }

    #[test]
    fn a_copy_of_an_encoder_goes_on_as_the_first_would_have() {
        let (mut one, mut other) = (Encoder::default(), Encoder::default());
        let mut payloads = [[0; FRAME]; 2];
        for frame in 0..40 {
            one.encode(&said(400.0, frame), &mut payloads[0]);
        }
        other.go_on_as(&one);
        for frame in 40..60 {
            one.encode(&said(400.0, frame), &mut payloads[0]);
            other.encode(&said(400.0, frame), &mut payloads[1]);
            assert!(payloads[0] == payloads[1], "frame {frame}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_packets_panic(packets: Vec<Vec<u8>>) {
            let mut decoder = Decoder::default();
            let mut sound = [0; SAMPLES];
            for (n, packet) in packets.iter().enumerate() {
                if duration(packet).is_some() {
                    decoder.open(n as i64, packet, n % 300, &mut sound);
                    decoder.fill(Some(packet), n % 2 == 0, &mut sound);
                    decoder.pass(n as i64 + 1_000, packet, &mut sound);
                }
                decoder.fill(None, false, &mut sound);
            }
        }
    }
}
