//! From ticks of 20 ms to packets of the length that the peer asked for.

use std::time::Duration;

use super::FRAME;

/// Bytes of the longest packet: 60 ms.
pub const PACKET_MAX: usize = 3 * FRAME;

/// Bytes that wait for their packet to be full.
#[derive(Clone, Debug)]
pub struct Packetizer {
    bytes: [u8; PACKET_MAX + FRAME],
    held: usize,
    /// Bytes in a packet.
    length: usize,
}

impl Default for Packetizer {
    fn default() -> Self {
        Self { bytes: [0; PACKET_MAX + FRAME], held: 0, length: FRAME }
    }
}

impl Packetizer {
    /// Packets of `ptime`, or the next shorter of 10, 20, 30, 40 and 60 ms that we send. Those that
    /// are not an even share of a tick leave one tick in two or three with none.
    pub fn set(&mut self, ptime: Duration) {
        let milliseconds = match ptime.as_millis() {
            0..20 => 10,
            20..30 => 20,
            30..40 => 30,
            40..60 => 40,
            _ => 60,
        };
        self.length = milliseconds * FRAME / 20;
    }

    /// Forgets what waits; how many bytes that was.
    pub fn clear(&mut self) -> usize {
        std::mem::take(&mut self.held)
    }

    /// Takes the bytes of one tick and hands on each packet that is full.
    pub fn push(&mut self, tick: &[u8; FRAME], mut packet: impl FnMut(&[u8])) {
        if self.held == 0 && self.length == FRAME {
            return packet(tick);
        }
        self.bytes[self.held..self.held + FRAME].copy_from_slice(tick);
        self.held += FRAME;
        let mut from = 0;
        while self.held - from >= self.length {
            packet(&self.bytes[from..from + self.length]);
            from += self.length;
        }
        self.bytes.copy_within(from..self.held, 0);
        self.held -= from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_the_length_asked_for_and_nothing_is_lost() {
        // What the peer asked for; packets in each of six ticks; milliseconds in each.
        let cases: &[(u64, [usize; 6], usize)] = &[
            (0, [2, 2, 2, 2, 2, 2], 10),
            (10, [2, 2, 2, 2, 2, 2], 10),
            (20, [1, 1, 1, 1, 1, 1], 20),
            (30, [0, 1, 1, 0, 1, 1], 30),
            (40, [0, 1, 0, 1, 0, 1], 40),
            (50, [0, 1, 0, 1, 0, 1], 40),
            (60, [0, 0, 1, 0, 0, 1], 60),
            (200, [0, 0, 1, 0, 0, 1], 60),
        ];
        for (ptime, expected, length) in cases {
            let mut packetizer = Packetizer::default();
            packetizer.set(Duration::from_millis(*ptime));
            let mut sent = Vec::new();
            let counts = [0_u8, 1, 2, 3, 4, 5].map(|tick| {
                let mut count = 0;
                packetizer.push(&[tick; FRAME], |packet| {
                    assert_eq!(packet.len(), length * 8, "{ptime} ms");
                    sent.extend_from_slice(packet);
                    count += 1;
                });
                count
            });
            assert_eq!(counts, *expected, "{ptime} ms");
            assert!(sent.iter().enumerate().all(|(n, &byte)| usize::from(byte) == n / FRAME), "{ptime} ms");
        }
    }
}
