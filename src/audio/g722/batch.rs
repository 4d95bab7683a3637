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

/// One function twice: for any machine, and for those that have vectors as long as [`Eight`].
macro_rules! vectorised {
    (fn $name:ident($($value:ident: $type:ty),*) $body:block) => {
        fn $name($($value: $type),*) {
            #[inline(always)]
            fn any($($value: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($value: $type),*) {
                    any($($value),*);
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: this machine has what the function needs.
                    return unsafe { wide($($value),*) };
                }
            }
            any($($value),*);
        }
    };
}

vectorised! {
    fn encode(streams: &mut [Encoder], given: &[Sound; BATCH], made: &mut [Codes; BATCH]) {
        let mut all = Encoder::<Eight>(Memory::each(|n| &streams.get(n).unwrap_or(&streams[0]).0));
        all.run(FRAME, |stream, n| given[stream][n], |stream, n, code| made[stream][n] = code);
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.0 = all.0.stream(n);
        }
    }
}

vectorised! {
    fn decode(streams: &mut [Decoder], given: &[Codes; BATCH], made: &mut [Sound; BATCH]) {
        let mut all = Decoder::<Eight>(Memory::each(|n| &streams.get(n).unwrap_or(&streams[0]).0));
        all.run(FRAME, |stream, n| given[stream][n], |stream, n, sample| made[stream][n] = sample);
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.0 = all.0.stream(n);
        }
    }
}
