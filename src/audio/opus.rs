//! Opus (RFC 6716) over RTP (RFC 7587), mono, at the rate that a leg or a room has: 16 kHz, or 48.
//!
//! The codec is its authors' own, in memory of ours: it is made where allocating is allowed, never
//! allocates again, and is copied like any value, so that a listener can go on with a copy of the encoder
//! that all listeners share.
//!
//! A frame is 20 ms. Where bytes of one tick are passed on in a [`Payload`](super::conference::Payload),
//! the first byte says how many of the rest are the packet.

mod activity;

pub use activity::is_background;
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

/// A stream of theirs, and the sound of the packet that was opened last.
pub struct Decoder {
    memory: Memory,
    rate: Rate,
    /// 120 ms at the highest rate that it may have.
    sound: Box<[i16]>,
    /// As many samples of it as were made; the rest is silence.
    made: usize,
    /// When that packet begins.
    opened: Option<i64>,
    /// The last packet that came was passed over, and what it was, if that is no more than this.
    passed: bool,
    kept: Box<[u8]>,
    kept_bytes: usize,
    /// 20 ms that were made up since; whether the peer has said that it is silent.
    gap: u32,
    silent: bool,
}

/// The longest packet that is kept when it is passed over.
const KEPT_MAX: usize = 254;

/// Made-up sound ends after so many 20 ms: 0.5 s. A peer that is silent on purpose says so again by then.
const GAP_MAX: u32 = 25;

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

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("opus::Decoder")
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

impl Default for Decoder {
    fn default() -> Self {
        Self::for_rates_to(Rate::Wide)
    }
}

impl Decoder {
    /// One that may be begun at rates up to this; it has begun at it.
    #[must_use]
    pub fn for_rates_to(rate: Rate) -> Self {
        // SAFETY: asks for a number.
        let memory = Memory::of(unsafe { ffi::opus_decoder_get_size(1) });
        let sound = vec![0; FRAMES_MAX * rate.frame()].into_boxed_slice();
        let mut decoder = Self {
            memory,
            rate,
            sound,
            made: 0,
            opened: None,
            passed: false,
            kept: Box::new([0; KEPT_MAX]),
            kept_bytes: 0,
            gap: GAP_MAX,
            silent: false,
        };
        decoder.begin(rate);
        decoder
    }

    fn state(&mut self) -> *mut ffi::OpusDecoder {
        self.memory.0.as_mut_ptr().cast()
    }

    /// A new stream, as sound at this rate, in the memory that is there. Where that was made for lower rates more
    /// is allocated.
    pub fn begin(&mut self, rate: Rate) {
        self.rate = rate;
        let samples = FRAMES_MAX * rate.frame();
        if self.sound.len() < samples {
            self.sound = vec![0; samples].into_boxed_slice();
        }
        let state = self.state();
        // SAFETY: `state` is as large as libopus said. Whatever was stereo comes out as one channel.
        unsafe { ffi::opus_decoder_init(state, rate.hz() as i32, 1) };
        (self.opened, self.gap, self.silent) = (None, GAP_MAX, false);
        (self.passed, self.made) = (false, 0);
    }

    /// The sound of the packet that begins at `at`, from this tick of it on. It is decoded when it is
    /// first asked for.
    pub fn open(&mut self, at: i64, packet: &[u8], from: usize, out: &mut [i16]) {
        if self.opened != Some(at) {
            self.opened = Some(at);
            self.gap = 0;
            // Nothing but its head: the peer sends no sound for now (RFC 7587 §3.1.3).
            self.silent = packet.len() <= 2;
            self.come_back();
            self.made = self.run(packet, FRAMES_MAX * self.rate.frame(), false);
        }
        let from = (self.rate.per_tick() * from).min(self.made);
        let there = (self.made - from).min(out.len());
        out[..there].copy_from_slice(&self.sound[from..from + there]);
        out[there..].fill(0);
    }

    /// The same for a packet that nobody is to hear: nothing is decoded, and silence comes out.
    pub fn pass(&mut self, at: i64, packet: &[u8], out: &mut [i16]) {
        if self.opened != Some(at) {
            self.opened = Some(at);
            self.gap = 0;
            self.silent = packet.len() <= 2;
            self.passed = true;
            self.made = 0;
            self.kept_bytes = if packet.len() <= KEPT_MAX { packet.len() } else { 0 };
            self.kept[..self.kept_bytes].copy_from_slice(&packet[..self.kept_bytes]);
        }
        out.fill(0);
    }

    /// After packets that were passed over: the last of them brings the decoder near to where it would be.
    fn come_back(&mut self) {
        if std::mem::take(&mut self.passed) {
            let kept = std::mem::take(&mut self.kept);
            if self.kept_bytes > 0 {
                self.run(&kept[..self.kept_bytes], FRAMES_MAX * self.rate.frame(), false);
            }
            self.kept = kept;
        }
    }

    /// The next packet is another one, wherever it begins.
    pub fn close(&mut self) {
        self.opened = None;
    }

    /// Sound where a packet is missing: out of what the next one repeats of it, or made up. False when
    /// there is none to be had. Silence when nobody is to hear the packets around it.
    pub fn fill(&mut self, next: Option<&[u8]>, unheard: bool, out: &mut [i16]) -> bool {
        // Whole 2.5 ms are all it makes up.
        let whole = out.len().is_multiple_of(20 * self.rate.per_tick());
        if self.gap >= GAP_MAX || !whole || out.len() > self.sound.len() {
            out.fill(0);
            return false;
        }
        self.gap += 1;
        self.opened = None;
        if self.passed && unheard {
            out.fill(0);
            return true;
        }
        self.come_back();
        self.made = 0;
        let wanted = out.len();
        let count = match next {
            Some(next) => self.run(next, wanted, true),
            None => self.run(&[], wanted, false),
        };
        self.sound[count.min(wanted)..wanted].fill(0);
        out.copy_from_slice(&self.sound[..wanted]);
        true
    }

    /// Whether what is missing now is so by the peer's will.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    fn run(&mut self, packet: &[u8], samples: usize, repair: bool) -> usize {
        let data = if packet.is_empty() { std::ptr::null() } else { packet.as_ptr() };
        let state = self.state();
        // SAFETY: reads the packet, writes at most `samples`, for which there is room.
        let count = unsafe {
            let (length, room) = (packet.len() as i32, samples as i32);
            ffi::opus_decode(state, data, length, self.sound.as_mut_ptr(), room, i32::from(repair))
        };
        usize::try_from(count).unwrap_or(0)
    }
}

/// Joins frames into packets of 40 or 60 ms (RFC 6716 §3.2.5).
#[derive(Clone, Debug)]
pub struct Joiner {
    /// Frames in a packet.
    wanted: usize,
    head: u8,
    lengths: [u8; 3],
    held: usize,
    bytes: [u8; 3 * FRAME_BYTES_MAX],
    used: usize,
}

impl Default for Joiner {
    fn default() -> Self {
        Self { wanted: 1, head: 0, lengths: [0; 3], held: 0, bytes: [0; 3 * FRAME_BYTES_MAX], used: 0 }
    }
}

impl Joiner {
    /// Packets of so many milliseconds or the next shorter of 20, 40 and 60. Ours are never shorter.
    pub fn set(&mut self, milliseconds: u128) {
        self.wanted = (milliseconds / 20).clamp(1, 3) as usize;
    }

    /// Forgets what waits; how many frames that was.
    pub fn clear(&mut self) -> usize {
        self.used = 0;
        std::mem::take(&mut self.held)
    }

    /// Takes a frame and hands on each packet that is full, with the number of its frames.
    pub fn push(&mut self, frame: &[u8], mut send: impl FnMut(&[u8], usize)) {
        let Some((&head, sound)) = frame.split_first() else { return };
        if self.held > 0 && self.head != head {
            // The encoder has changed its mind about how it codes: frames of two kinds do not mix.
            self.flush(&mut send);
        }
        if self.wanted == 1 || head & 3 != 0 || sound.len() > FRAME_BYTES_MAX {
            return send(frame, 1);
        }
        self.head = head;
        self.lengths[self.held] = sound.len() as u8;
        self.bytes[self.used..self.used + sound.len()].copy_from_slice(sound);
        self.used += sound.len();
        self.held += 1;
        if self.held == self.wanted {
            self.flush(&mut send);
        }
    }

    /// Hands on what waits, if anything does.
    pub fn end(&mut self, mut send: impl FnMut(&[u8], usize)) {
        if self.held > 0 {
            self.flush(&mut send);
        }
    }

    fn flush(&mut self, send: &mut impl FnMut(&[u8], usize)) {
        let mut packet = [0; 2 + 2 + 3 * FRAME_BYTES_MAX];
        let lengths = self.held - 1;
        // Code 3, frames of different lengths.
        packet[0] = self.head | 3;
        packet[1] = 0x80 | self.held as u8;
        packet[2..2 + lengths].copy_from_slice(&self.lengths[..lengths]);
        packet[2 + lengths..2 + lengths + self.used].copy_from_slice(&self.bytes[..self.used]);
        let length = 2 + lengths + self.used;
        let frames = self.clear();
        send(&packet[..length], frames);
    }
}

#[cfg(test)]
mod tests {
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
