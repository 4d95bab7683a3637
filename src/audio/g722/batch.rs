//! Frames of several streams, coded together: eight take about as long as two one after the other.
//!
//! Who has one hands it in with the memory of its stream, by value, and takes both back when the batch is run.

use super::lanes::{Eight, Lanes};
use super::{Decoder, Encoder, Memory};
use crate::audio::{FRAME, Rate};

/// Frames in a full batch.
pub const BATCH: usize = Eight::COUNT;

/// 20 ms, as bytes and as samples.
pub type Codes = [u8; FRAME];
pub type Sound = [i16; Rate::Wide.frame()];

/// Frames that wait to be encoded, and to be decoded.
pub type Encodings = Batch<Encoder>;
pub type Decodings = Batch<Decoder>;

#[derive(Debug)]
pub struct Batch<S: Stream> {
    held: usize,
    owners: [u32; BATCH],
    streams: [S; BATCH],
    given: [S::Given; BATCH],
    made: [S::Made; BATCH],
}

/// One way of one stream.
pub trait Stream: Copy + Default {
    type Given: Copy + std::fmt::Debug;
    type Made: Copy + std::fmt::Debug;
    const NOTHING: (Self::Given, Self::Made);

    fn alone(&mut self, given: &Self::Given, made: &mut Self::Made);
    /// At most [`BATCH`] of them.
    fn together(streams: &mut [Self], given: &[Self::Given; BATCH], made: &mut [Self::Made; BATCH]);
}

impl<S: Stream> Default for Batch<S> {
    fn default() -> Self {
        Self {
            held: 0,
            owners: [0; BATCH],
            streams: [S::default(); BATCH],
            given: [S::NOTHING.0; BATCH],
            made: [S::NOTHING.1; BATCH],
        }
    }
}

impl<S: Stream> Batch<S> {
    /// Takes a frame in. True when the batch is full: then it is to be run before the next.
    #[must_use]
    pub fn add(&mut self, owner: u32, stream: &S, given: &S::Given) -> bool {
        self.owners[self.held] = owner;
        self.streams[self.held] = *stream;
        self.given[self.held] = *given;
        self.held += 1;
        self.held == BATCH
    }

    /// Codes what it holds; `done` takes each in the order in which they came.
    pub fn run(&mut self, mut done: impl FnMut(u32, &S, &S::Made)) {
        let held = std::mem::take(&mut self.held);
        match held {
            0 => {}
            1 => self.streams[0].alone(&self.given[0], &mut self.made[0]),
            _ => S::together(&mut self.streams[..held], &self.given, &mut self.made),
        }
        for n in 0..held {
            done(self.owners[n], &self.streams[n], &self.made[n]);
        }
    }
}

impl Stream for Encoder {
    type Given = Sound;
    type Made = Codes;
    const NOTHING: (Sound, Codes) = ([0; Rate::Wide.frame()], [0; FRAME]);

    fn alone(&mut self, given: &Sound, made: &mut Codes) {
        self.encode(given, made);
    }

    fn together(streams: &mut [Self], given: &[Sound; BATCH], made: &mut [Codes; BATCH]) {
        encode(streams, given, made);
    }
}

impl Stream for Decoder {
    type Given = Codes;
    type Made = Sound;
    const NOTHING: (Codes, Sound) = ([0; FRAME], [0; Rate::Wide.frame()]);

    fn alone(&mut self, given: &Codes, made: &mut Sound) {
        self.decode(given, made);
    }

    fn together(streams: &mut [Self], given: &[Codes; BATCH], made: &mut [Sound; BATCH]) {
        decode(streams, given, made);
    }
}

/// One function twice: as `$any` for any machine, and as `$name`, which takes vectors as long as [`Eight`] where the
/// machine has them.
macro_rules! vectorised {
    (fn $name:ident, $any:ident($($value:ident: $type:ty),*) $body:block) => {
        #[inline(always)]
        fn $any($($value: $type),*) $body

        fn $name($($value: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($value: $type),*) {
                    $any($($value),*);
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: this machine has what the function needs.
                    return unsafe { wide($($value),*) };
                }
            }
            $any($($value),*);
        }
    };
}

vectorised! {
    fn encode, encode_anywhere(streams: &mut [Encoder], given: &[Sound; BATCH], made: &mut [Codes; BATCH]) {
        let mut all = Encoder::<Eight>(Memory::each(|n| &streams.get(n).unwrap_or(&streams[0]).0));
        all.run(FRAME, |stream, n| given[stream][n], |stream, n, code| made[stream][n] = code);
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.0 = all.0.stream(n);
        }
    }
}

vectorised! {
    fn decode, decode_anywhere(streams: &mut [Decoder], given: &[Codes; BATCH], made: &mut [Sound; BATCH]) {
        let mut all = Decoder::<Eight>(Memory::each(|n| &streams.get(n).unwrap_or(&streams[0]).0));
        all.run(FRAME, |stream, n| given[stream][n], |stream, n, sample| made[stream][n] = sample);
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.0 = all.0.stream(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_long_vectors_codes_the_same() {
        let mut random = 1_u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random
        };
        let (mut encoders, mut decoders) = ([Encoder::default(); BATCH], [Decoder::default(); BATCH]);
        let (mut others, mut other_decoders) = (encoders, decoders);
        for frame in 0..50 {
            let sounds: [Sound; BATCH] =
                std::array::from_fn(|n| std::array::from_fn(|_| (next() >> 16) as i16 >> (2 * n)));
            let (mut codes, mut heard) = ([Encoder::NOTHING.1; BATCH], [Decoder::NOTHING.1; BATCH]);
            let (mut other_codes, mut other_heard) = (codes, heard);
            encode(&mut encoders, &sounds, &mut codes);
            encode_anywhere(&mut others, &sounds, &mut other_codes);
            assert!(codes == other_codes, "frame {frame}");
            decode(&mut decoders, &codes, &mut heard);
            decode_anywhere(&mut other_decoders, &codes, &mut other_heard);
            assert!(heard == other_heard && heard[0] != heard[1], "frame {frame}");
        }
    }
}
