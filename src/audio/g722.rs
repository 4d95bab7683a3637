//! G.722 (ITU-T G.722, mode 1): 7 kHz of sound, 16,000 samples a second, in 64 kbit/s.
//!
//! Two bands of 4 kHz each, coded as differences from what both ends predict: six bits for the
//! lower, two for the upper, one byte for two samples. Its RTP clock says 8,000 by an old mistake
//! (RFC 3551 §4.5.2), so a byte is one tick, as in G.711.
//!
//! Ours and not a crate's, because a stream must be handed from one encoder to another without a
//! glitch, for which its memory has to be copied, and because eight streams are coded at once, by the same text as
//! one; tests hold it to `audio-codec`, byte by byte.

mod band;
mod batch;
mod lanes;
mod tables;

use band::{Band, saturated};
pub use batch::{BATCH, Codes, Decodings, Encodings, Sound};
use lanes::{Lanes, One};
use tables::{MIRROR, TAPS};

use super::FRAME;

/// One way of one stream into bytes, or of several side by side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Encoder<V: Lanes = One>(Memory<V>);

/// One way of one stream into samples, or of several side by side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder<V: Lanes = One>(Memory<V>);

/// What either has of the sound before.
#[derive(Clone, Copy, Debug)]
struct Memory<V> {
    low: Band<V>,
    high: Band<V>,
    /// The last samples, oldest first.
    samples: [V; BEFORE],
}

/// As many as the mirror filter needs.
const BEFORE: usize = TAPS - 2;
/// They, and 20 ms.
const LINE: usize = BEFORE + 2 * FRAME;

impl<V: Lanes> Default for Memory<V> {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), samples: [V::all(0); BEFORE] }
    }
}

impl<V: Lanes> Memory<V> {
    /// Many streams as one: `stream` says which stands at a place.
    #[inline(always)]
    fn each<'a>(stream: impl Fn(usize) -> &'a Memory<One>) -> Self {
        Self {
            low: Band::each(|n| &stream(n).low),
            high: Band::each(|n| &stream(n).high),
            samples: std::array::from_fn(|at| V::each(|n| stream(n).samples[at][0])),
        }
    }

    /// One of its streams.
    #[inline(always)]
    fn stream(&self, place: usize) -> Memory<One> {
        Memory {
            low: self.low.stream(place),
            high: self.high.stream(place),
            samples: self.samples.map(|sample| sample.only(place)),
        }
    }

    /// The samples before, and room for more.
    #[inline(always)]
    fn line(&self) -> [V; LINE] {
        let mut line = [V::all(0); LINE];
        line[..BEFORE].copy_from_slice(&self.samples);
        line
    }

    /// Goes on behind so many codes.
    #[inline(always)]
    fn keep(&mut self, low: Band<V>, high: Band<V>, line: &[V; LINE], count: usize) {
        self.samples.copy_from_slice(&line[2 * count..2 * count + BEFORE]);
        (self.low, self.high) = (low, high);
    }
}

impl Encoder {
    /// Fills `codes` from twice as many samples.
    pub fn encode(&mut self, samples: &[i16], codes: &mut [u8]) {
        for (samples, codes) in samples.chunks(2 * FRAME).zip(codes.chunks_mut(FRAME)) {
            let count = codes.len().min(samples.len() / 2);
            self.run(count, |_, n| samples[n], |_, n, code| codes[n] = code);
        }
    }

    /// Whether a decoder that has followed this stream until now would make of `codes`, which `other`
    /// is about to send, the same as other's own, within `most` in half samples.
    #[must_use]
    pub fn may_go_on_as(&self, other: &Self, codes: &[u8], most: i32) -> bool {
        let [mut ours, mut theirs] = [self, other].map(|encoder| (encoder.0.low, encoder.0.high));
        codes.iter().all(|code| {
            let [low, high] = [code & 0x3f, code >> 6].map(|code| One::all(i32::from(code)));
            let [ours, theirs] = [&mut ours, &mut theirs]
                .map(|bands| (bands.0.decode_low(low)[0], bands.1.decode_high(high)[0]));
            (ours.0 - theirs.0).abs() <= most && (ours.1 - theirs.1).abs() <= most
        })
    }
}

impl<V: Lanes> Encoder<V> {
    /// `count` codes of each stream, at most [`FRAME`]: `sample` says which sample a stream has at a place, `put`
    /// takes its codes.
    #[inline(always)]
    fn run(
        &mut self,
        count: usize,
        sample: impl Fn(usize, usize) -> i16,
        mut put: impl FnMut(usize, usize, u8),
    ) {
        let mut line = self.0.line();
        for (n, samples) in line[BEFORE..BEFORE + 2 * count].iter_mut().enumerate() {
            *samples = V::each(|stream| i32::from(sample(stream, n)));
        }
        let [even, odd] = quadrature(&line, count);
        // Copies may live in registers.
        let Memory { mut low, mut high, .. } = self.0;
        for (n, (even, odd)) in even[..count].iter().zip(&odd).enumerate() {
            let lower = low.encode_low(V::each(|stream| (odd[stream] + even[stream]) >> 14));
            let upper = high.encode_high(V::each(|stream| (odd[stream] - even[stream]) >> 14));
            for stream in 0..V::COUNT {
                put(stream, n, ((upper[stream] << 6) | lower[stream]) as u8);
            }
        }
        self.0.keep(low, high, &line, count);
    }
}

impl Decoder {
    /// Fills `samples` from half as many codes. Any bytes are codes.
    pub fn decode(&mut self, codes: &[u8], samples: &mut [i16]) {
        for (codes, samples) in codes.chunks(FRAME).zip(samples.chunks_mut(2 * FRAME)) {
            let count = codes.len().min(samples.len() / 2);
            self.run(count, |_, n| codes[n], |_, n, sample| samples[n] = sample);
        }
    }
}

impl<V: Lanes> Decoder<V> {
    /// As [`Encoder::run`].
    #[inline(always)]
    fn run(
        &mut self,
        count: usize,
        code: impl Fn(usize, usize) -> u8,
        mut put: impl FnMut(usize, usize, i16),
    ) {
        let mut line = self.0.line();
        let Memory { mut low, mut high, .. } = self.0;
        for n in 0..count {
            let code = V::each(|stream| i32::from(code(stream, n)));
            let lower = low.decode_low(V::each(|stream| code[stream] & 0x3f));
            let upper = high.decode_high(V::each(|stream| code[stream] >> 6));
            line[BEFORE + 2 * n] = V::each(|stream| lower[stream] + upper[stream]);
            line[BEFORE + 2 * n + 1] = V::each(|stream| lower[stream] - upper[stream]);
        }
        let [even, odd] = quadrature(&line, count);
        for (n, (even, odd)) in even[..count].iter().zip(&odd).enumerate() {
            for stream in 0..V::COUNT {
                put(stream, 2 * n, saturated(odd[stream] >> 11) as i16);
                put(stream, 2 * n + 1, saturated(even[stream] >> 11) as i16);
            }
        }
        self.0.keep(low, high, &line, count);
    }
}

/// The two halves of the quadrature mirror filter (§3.1, §4.4) for so many pairs of samples, those at even places and
/// those at odd ones. Tap by tap over all of them, which vectors do well.
#[inline(always)]
fn quadrature<V: Lanes>(line: &[V; LINE], count: usize) -> [[V; FRAME]; 2] {
    let mut halves = [[V::all(0); FRAME]; 2];
    for (half, sums) in halves.iter_mut().enumerate() {
        for n in 0..TAPS / 2 {
            let tap = if half == 0 { MIRROR[n] } else { MIRROR[TAPS / 2 - 1 - n] };
            let samples = line[2 * n + half..].iter().step_by(2);
            for (sum, sample) in sums[..count].iter_mut().zip(samples) {
                *sum = V::each(|stream| sum[stream] + sample[stream] * tap);
            }
        }
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::tone_at;

    fn noise(seed: u32, loudness: i64, count: usize) -> Vec<i16> {
        let mut random = seed;
        (0..count)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (i64::from(random >> 16) * loudness / 65_536 - loudness / 2) as i16
            })
            .collect()
    }

    fn sounds() -> Vec<(&'static str, Vec<i16>)> {
        let long = |sound: Vec<i16>| [vec![0; 64], sound, vec![0; 320]].concat();
        vec![
            ("a tone", long(tone_at(16_000, 1_000.0, 12_000.0, 0, 16_000).collect())),
            ("a high tone", long(tone_at(16_000, 6_500.0, 20_000.0, 0, 16_000).collect())),
            ("noise", long(noise(7, 20_000, 16_000))),
            ("loud noise", long(noise(9, 65_535, 16_000))),
            ("full scale", long((0..8_000).map(|n| if n / 9 % 2 == 0 { 32_767 } else { -32_768 }).collect())),
            ("nothing", long(vec![])),
        ]
    }

    /// They begin with other steps than the standard's 32 and 8; a decoder follows either at once.
    fn begun_as_theirs() -> (Encoder, Decoder) {
        let begun = |low, high| Memory { low: Band::new(low), high: Band::new(high), ..Memory::default() };
        (Encoder(begun(128, 32)), Decoder(begun(0, 0)))
    }

    #[test]
    fn every_byte_and_sample_is_that_of_another_implementation() {
        use audio_codec::{Decoder as _, Encoder as _};
        for (name, sound) in sounds() {
            let mut ours = vec![0; sound.len() / 2];
            begun_as_theirs().0.encode(&sound, &mut ours);
            let mut theirs = vec![0; sound.len() / 2 + 1];
            let length = audio_codec::g722::G722Encoder::new().encode_into(&sound, &mut theirs).unwrap();
            assert!(ours == theirs[..length], "{name}, coded");
            let (mut decoded, mut reference) = (vec![0; sound.len()], vec![0; sound.len()]);
            begun_as_theirs().1.decode(&ours, &mut decoded);
            audio_codec::g722::G722Decoder::new().decode_into(&ours, &mut reference).unwrap();
            let first = decoded.iter().zip(&reference).position(|(a, b)| (a - b).abs() > 0);
            assert_eq!(first, None, "{name}, decoded");
        }
    }

    #[test]
    fn pieces_of_any_size_are_the_whole() {
        let sound = noise(3, 10_000, 3_200);
        let (mut whole, mut pieces) = (vec![0; 1_600], vec![0; 1_600]);
        Encoder::default().encode(&sound, &mut whole);
        let mut encoder = Encoder::default();
        for (sound, codes) in sound.chunks(94).zip(pieces.chunks_mut(47)) {
            encoder.encode(sound, codes);
        }
        assert_eq!(whole, pieces);
    }

    /// As many streams as there are, each with a past and sounds of its own, a frame in a batch and then one alone.
    #[test]
    fn a_batch_of_any_size_does_what_each_would_do_alone() {
        for size in 1..=BATCH {
            let sounds: Vec<Vec<i16>> =
                (0..size).map(|n| noise(n as u32, 3_000 << n, 20 * 2 * FRAME)).collect();
            let mut alone = vec![(Encoder::default(), Decoder::default()); size];
            let mut together = alone.clone();
            let (mut encodings, mut decodings) = (Encodings::default(), Decodings::default());
            for frame in 0..20 {
                let sound = |n: usize| -> &[i16; 2 * FRAME] {
                    sounds[n][frame * 2 * FRAME..][..2 * FRAME].try_into().unwrap()
                };
                let mut expected = vec![([0; FRAME], [0; 2 * FRAME]); size];
                for (n, (codes, heard)) in expected.iter_mut().enumerate() {
                    alone[n].0.encode(sound(n), codes);
                    alone[n].1.decode(codes, heard);
                }
                if frame % 3 == 2 {
                    for (n, (encoder, decoder)) in together.iter_mut().enumerate() {
                        let (mut codes, mut heard) = ([0; FRAME], [0; 2 * FRAME]);
                        encoder.encode(sound(n), &mut codes);
                        decoder.decode(&codes, &mut heard);
                        assert!((codes, heard) == expected[n], "{n} of {size}, frame {frame}");
                    }
                    continue;
                }
                for (n, (encoder, decoder)) in together.iter().enumerate() {
                    let full = encodings.add(n as u32, encoder, sound(n));
                    assert_eq!(full, n + 1 == BATCH);
                    assert_eq!(decodings.add(n as u32, decoder, &expected[n].0), full);
                }
                let mut done = 0;
                encodings.run(|owner, encoder, codes| {
                    assert_eq!(
                        (owner, *codes),
                        (done, expected[done as usize].0),
                        "of {size}, frame {frame}"
                    );
                    together[owner as usize].0 = *encoder;
                    done += 1;
                });
                decodings.run(|owner, decoder, heard| {
                    assert!(*heard == expected[owner as usize].1, "{owner} of {size}, frame {frame}");
                    together[owner as usize].1 = *decoder;
                    done += 1;
                });
                assert_eq!(done as usize, 2 * size);
                encodings.run(|_, _, _| panic!("one was done twice"));
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(codes: Vec<u8>) {
            let mut samples = vec![0; 2 * codes.len()];
            Decoder::default().decode(&codes, &mut samples);
        }

        #[test]
        fn no_samples_panic(samples: Vec<i16>) {
            let mut codes = vec![0; samples.len() / 2];
            Encoder::default().encode(&samples, &mut codes);
        }
    }
}
