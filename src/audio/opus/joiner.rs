//! Packets of ours that are longer than a frame.

use super::FRAME_BYTES_MAX;

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
