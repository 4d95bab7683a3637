//! One caller's sound, frame by frame: jitter buffer, decoder and concealment together.

use super::conceal::Concealer;
use super::jitter_buffer::{Insert, JitterBuffer, Piece};
use super::{Codec, Decoder, FRAME, Rate, SILENCE, g722, opus};
use crate::types::JitterBounds;

#[derive(Debug, Default)]
pub struct Playout {
    buffer: JitterBuffer,
    decoder: Decoder,
    concealer: Concealer,
    noise: Option<Noise>,
    random: u32,
    /// Frames played, and those of them that were made up, at least in part.
    pub frames: u64,
    pub concealed: u64,
    /// The last frame is all as the peer sent it: nothing made up, nothing left out.
    whole: bool,
    /// The next frame, where it has been decoded with those of others.
    ahead: Option<g722::Sound>,
    /// What of this frame nobody is to hear.
    unheard: Unheard,
    /// The last frame, or a part of it, was not decoded.
    passed: bool,
}

/// What of the peer's sound nobody is to hear. It need not be decoded where the next can be without it: Opus.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unheard {
    #[default]
    Nothing,
    /// Where the peer's encoder heard nobody speak.
    Background,
    All,
}

impl Unheard {
    fn has(self, packet: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Background => opus::is_background(packet),
            Self::All => true,
        }
    }
}

/// What the peer says its silence sounds like (RFC 3389).
#[derive(Clone, Copy, Debug)]
struct Noise {
    /// When it began.
    timestamp: u32,
    /// The largest sample.
    peak: i32,
    /// Sound that is younger has come: its next gap is none of the peer's making.
    ends: bool,
}

impl Playout {
    /// Sound of this codec from now on, decoded at this rate; what waits is of the one before.
    pub fn begin(&mut self, codec: Codec, rate: Rate) {
        self.restart();
        self.decoder.begin_at(codec, rate);
        self.concealer = Concealer::new(codec.rate());
    }

    /// Gives it what Opus needs; where that was not done, the first such stream allocates.
    pub fn equip(&mut self, opus: opus::Decoder) {
        self.decoder.equip(opus);
    }

    #[must_use]
    pub fn rate(&self) -> Rate {
        self.decoder.rate()
    }

    pub fn insert(&mut self, timestamp: u32, payload: &[u8]) -> Insert {
        if let Some(noise) = &mut self.noise {
            noise.ends |= (timestamp.wrapping_sub(noise.timestamp) as i32) > 0;
        }
        let ticks = self.decoder.codec().duration(payload).unwrap_or(0);
        self.buffer.insert_lasting(timestamp, payload, ticks)
    }

    /// A comfort noise packet: until sound comes again, gaps are filled with noise of this level. The
    /// rest of the packet tells its colour; ours is white.
    pub fn be_silent(&mut self, timestamp: u32, payload: &[u8]) {
        // -dBov in seven bits (§3.1). Noise is not so loud; nobody's silence may drown the room.
        let Some(level) = payload.first().map(|&byte| (byte & 0x7f).max(NOISE_LOUDEST)) else { return };
        // Evenly spread samples are 4.8 dB below their peak.
        let peak = 32_767.0 * 10_f32.powf(-f32::from(level) / 20.0) * 3_f32.sqrt();
        self.noise = Some(Noise { timestamp, peak: peak as i32, ends: false });
    }

    /// Forgets what waits; for a new source or codec.
    pub fn restart(&mut self) {
        self.buffer.restart();
        self.ahead = None;
        if let Some(opus) = &mut self.decoder.opus {
            opus.close();
        }
        self.noise = None;
    }

    /// Whether the last frame is all as the peer sent it, silence that it announced included.
    #[must_use]
    pub fn was_whole(&self) -> bool {
        self.whole
    }

    /// Whether the last frame was left out for that reason, or a part of it: how loud it was is not known.
    #[must_use]
    pub fn was_left_out(&self) -> bool {
        self.passed
    }

    /// The delay aimed at, in ticks of 8 kHz.
    #[must_use]
    pub fn delay(&self) -> usize {
        self.buffer.delay()
    }

    /// How long packets may wait, from now on.
    pub fn keep_within(&mut self, bounds: JitterBounds) {
        self.buffer.keep_within(bounds);
    }

    /// Packets that came too late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.buffer.late
    }

    /// The memory of the stream and the codes of the next frame, where it may be decoded with those of others:
    /// G.722, and all of it there.
    #[must_use]
    pub fn next_codes(&self) -> Option<(&g722::Decoder, &g722::Codes)> {
        if self.decoder.codec() != Codec::G722 {
            return None;
        }
        Some((&self.decoder.g722, self.buffer.ahead(FRAME)?.try_into().ok()?))
    }

    /// They have been decoded, and nothing comes in until the frame is asked for.
    pub fn take_decoded(&mut self, stream: &g722::Decoder, sound: &g722::Sound) {
        self.decoder.g722 = *stream;
        self.ahead = Some(*sound);
    }

    /// The next 20 ms at the codec's rate. False when there was nothing, not even to make up.
    pub fn frame(&mut self, out: &mut [i16]) -> bool {
        self.frame_without(Unheard::Nothing, out)
    }

    /// The same, silent where it is what nobody is to hear.
    pub fn frame_without(&mut self, unheard: Unheard, out: &mut [i16]) -> bool {
        self.unheard = unheard;
        self.whole = true;
        self.passed = false;
        if self.buffer.should_shrink() {
            self.whole = false;
            // Leave one frame out: cross over from the one left out to the one after it.
            let mut left_out = SILENCE;
            self.fill(&mut left_out[..out.len()]);
            let any = self.fill(out);
            let count = out.len() as i32;
            for (n, (sample, &before)) in out.iter_mut().zip(&left_out).enumerate() {
                let share = n as i32 + 1;
                let crossed = i32::from(*sample) * share + i32::from(before) * (count - share);
                *sample = (crossed / count) as i16;
            }
            return any;
        }
        self.fill(out)
    }

    fn fill(&mut self, out: &mut [i16]) -> bool {
        let per_tick = self.rate().per_tick();
        let mut at = 0;
        let (mut any, mut made_up) = (false, false);
        while at < out.len() {
            match self.buffer.take((out.len() - at) / per_tick) {
                Piece::Sound { payload, begin, from, count } => {
                    let sound = &mut out[at..at + count * per_tick];
                    if let (Codec::Opus, Some(opus)) = (self.decoder.codec(), &mut self.decoder.opus) {
                        if self.unheard.has(payload) {
                            self.passed = true;
                            opus.pass(begin, payload, sound);
                        } else {
                            opus.open(begin, payload, from, sound);
                        }
                    } else {
                        match self.ahead.take() {
                            Some(decoded) => sound.copy_from_slice(&decoded),
                            None => self.decoder.decode(&payload[from..from + count], sound),
                        }
                        self.concealer.real(sound);
                    }
                    if self.noise.is_some_and(|noise| noise.ends) {
                        self.noise = None;
                    }
                    any = true;
                    at += count * per_tick;
                }
                Piece::Gap(count) if self.decoder.codec() == Codec::Opus => {
                    let gap = &mut out[at..at + count * per_tick];
                    if let Some(opus) = &mut self.decoder.opus {
                        let next = self.buffer.next();
                        let unheard =
                            next.map_or(self.unheard != Unheard::Nothing, |next| self.unheard.has(next));
                        let sounds = opus.fill(next, unheard, gap);
                        any |= sounds;
                        made_up |= sounds && !opus.is_silent();
                        self.whole &= opus.is_silent();
                    }
                    at += count * per_tick;
                }
                Piece::Gap(count) => {
                    let gap = &mut out[at..at + count * per_tick];
                    let faded = self.concealer.fill(gap);
                    match self.noise {
                        None => {
                            made_up |= faded;
                            self.whole = false;
                        }
                        Some(noise) => {
                            any = true;
                            self.random = noise.add_to(gap, self.random);
                        }
                    }
                    at += count * per_tick;
                }
            }
        }
        self.frames += u64::from(any || made_up);
        self.concealed += u64::from(made_up);
        any || made_up
    }
}

/// The loudest comfort noise we make, -30 dBov.
const NOISE_LOUDEST: u8 = 30;

impl Noise {
    fn add_to(self, samples: &mut [i16], mut random: u32) -> u32 {
        for sample in samples {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = ((random as i32 >> 16) * self.peak) >> 15;
            *sample = sample.saturating_add(noise as i16);
        }
        random
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::{amplitude, tone};
    use crate::audio::{Encoder, level};

    #[test]
    fn a_silent_peer_sounds_as_it_says_until_it_speaks_again() {
        for codec in Codec::BYTEWISE {
            let mut playout = Playout::default();
            playout.begin(codec, codec.rate());
            let mut encoder = Encoder::new(codec);
            let mut heard = Vec::new();
            for tick in 0..150_u32 {
                let timestamp = tick * FRAME as u32;
                if tick == 50 {
                    playout.be_silent(timestamp, &[55, 1, 2, 3]);
                } else if !(50..100).contains(&tick) {
                    let frame = codec.rate().frame();
                    let sound: Vec<i16> = tone(
                        1_000.0 * 8_000.0 / codec.rate().hz() as f64,
                        8_000.0,
                        tick as usize * frame,
                        frame,
                    )
                    .collect();
                    let mut codes = [0; FRAME];
                    encoder.encode(&sound, &mut codes);
                    playout.insert(timestamp, &codes);
                }
                let mut frame = SILENCE;
                playout.frame(&mut frame[..codec.rate().frame()]);
                heard.push(frame[..codec.rate().frame()].to_vec());
            }
            let noise = level::dbov(&heard[56..100].concat());
            assert!((noise + 55.0).abs() < 1.0, "{codec:?}: {noise:.1} dBov");
            let speech = heard[110..150].concat();
            let frequency = 1_000.0 * 8_000.0 / codec.rate().hz() as f64;
            assert!(amplitude(&speech, frequency) > 7_700.0, "{codec:?}");
            // A gap after the noise is concealed and falls silent, as any.
            let mut frame = SILENCE;
            for _ in 0..8 {
                playout.frame(&mut frame[..codec.rate().frame()]);
            }
            assert!(level::is_silent(&frame), "{codec:?}");
        }
    }
}
