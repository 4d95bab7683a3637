//! One caller's sound, frame by frame: jitter buffer, decoder and concealment together.

use super::conceal::Concealer;
use super::jitter_buffer::{Insert, JitterBuffer, Piece};
use super::{Codec, FRAME, Frame, SILENCE};

#[derive(Clone, Debug, Default)]
pub struct Playout {
    buffer: JitterBuffer,
    concealer: Concealer,
    /// Frames played, and those of them that were made up, at least in part.
    pub frames: u64,
    pub concealed: u64,
}

impl Playout {
    pub fn insert(&mut self, timestamp: u32, payload: &[u8]) -> Insert {
        self.buffer.insert(timestamp, payload)
    }

    /// Forgets what waits; for a new source or codec.
    pub fn restart(&mut self) {
        self.buffer.restart();
    }

    /// The delay aimed at, in samples.
    #[must_use]
    pub fn delay(&self) -> usize {
        self.buffer.delay()
    }

    /// Packets that came too late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.buffer.late
    }

    /// The next 20 ms. False when there was nothing, not even to make up.
    pub fn frame(&mut self, codec: Codec, out: &mut Frame) -> bool {
        if self.buffer.should_shrink() {
            // Leave one frame out: cross over from the one left out to the one after it.
            let mut left_out = SILENCE;
            self.fill(codec, &mut left_out);
            let any = self.fill(codec, out);
            for (n, (sample, &before)) in out.iter_mut().zip(&left_out).enumerate() {
                let share = n as i32 + 1;
                let crossed = i32::from(*sample) * share + i32::from(before) * (FRAME as i32 - share);
                *sample = (crossed / FRAME as i32) as i16;
            }
            return any;
        }
        self.fill(codec, out)
    }

    fn fill(&mut self, codec: Codec, out: &mut Frame) -> bool {
        let mut at = 0;
        let (mut any, mut made_up) = (false, false);
        while at < FRAME {
            match self.buffer.take(FRAME - at) {
                Piece::Sound { payload, from, count } => {
                    let sound = &mut out[at..at + count];
                    codec.decode(&payload[from..from + count], sound);
                    self.concealer.real(sound);
                    any = true;
                    at += count;
                }
                Piece::Gap(count) => {
                    made_up |= self.concealer.fill(&mut out[at..at + count]);
                    at += count;
                }
            }
        }
        self.frames += u64::from(any || made_up);
        self.concealed += u64::from(made_up);
        any || made_up
    }
}
