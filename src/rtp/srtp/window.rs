//! Which packets of a stream have come: no packet is taken twice (RFC 3711 §3.3.2).

/// Packets behind the newest that may still come. RFC 3711 asks for 64 at least; more of them than any
/// jitter buffer waits for.
const BEHIND: u64 = 128;

/// One source's packets. It changes only when a packet has proved to be authentic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    pub ssrc: u32,
    /// The highest index so far.
    pub newest: u64,
    /// Bit n: the packet n before the newest has come.
    came: u128,
    /// Packets since the last authentic one that were none.
    pub failures: u32,
}

impl Window {
    pub const fn new(ssrc: u32, index: u64) -> Self {
        Self { ssrc, newest: index, came: 1, failures: 0 }
    }

    /// Came before, or too long ago to say.
    pub const fn is_replay(&self, index: u64) -> bool {
        if index > self.newest {
            return false;
        }
        let behind = self.newest - index;
        behind >= BEHIND || self.came & (1 << behind) != 0
    }

    pub const fn take(&mut self, index: u64) {
        self.failures = 0;
        if index > self.newest {
            let ahead = index - self.newest;
            self.came = if ahead >= BEHIND { 1 } else { self.came << ahead | 1 };
            self.newest = index;
        } else if self.newest - index < BEHIND {
            self.came |= 1 << (self.newest - index);
        }
    }

    /// The index of a sequence number: the one nearest to the newest (RFC 3711 §3.3.1).
    pub const fn index_of(&self, sequence: u16) -> u64 {
        let rollover = self.newest >> 16;
        let newest = (self.newest & 0xffff) as u16;
        let rollover = if newest < 0x8000 {
            // Half a turn before the newest, or more, is of the turn before; there is none before the first.
            if sequence > newest && sequence - newest > 0x8000 {
                rollover.saturating_sub(1)
            } else {
                rollover
            }
        } else if sequence < newest - 0x8000 {
            rollover + 1
        } else {
            rollover
        };
        rollover << 16 | sequence as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_taken_once_and_not_too_late() {
        let mut window = Window::new(7, 1_000);
        let story = [
            (1_000, false),
            (1_002, true),
            (1_001, true),
            (1_001, false),
            (1_002, false),
            (999, true),
            (1_100, true),
            (1_003, true),
            (1_100 - 127, true),
            (1_100 - 128, false),
            (5_000, true),
            (4_873, true),
            (4_872, false),
            (1_100, false),
        ];
        for (index, fresh) in story {
            assert_eq!(!window.is_replay(index), fresh, "{index}");
            if fresh {
                window.take(index);
            }
        }
    }

    #[test]
    fn the_rollover_counter_is_the_one_that_brings_a_packet_nearest() {
        let cases: &[(u64, u16, u64)] = &[
            (0, 1, 1),
            (0, 0x8000, 0x8000),
            (0xffff, 0, 0x1_0000),
            (0xfff0, 0x7fef, 0x1_7fef),
            (0xfff0, 0x7ff0, 0x7ff0),
            (0x1_0002, 0xffff, 0xffff),
            (0x1_0002, 0x8002, 0x1_8002),
            (0x1_0002, 0x8003, 0x8003),
            (0x3_8000, 0x0000, 0x3_0000),
            (0x3_8001, 0x0000, 0x4_0000),
            // Before the first turn there is none.
            (0x0_0002, 0xffff, 0xffff),
        ];
        for (newest, sequence, expected) in cases {
            let index = Window::new(0, *newest).index_of(*sequence);
            assert_eq!(index, *expected, "{newest:x} {sequence:x}");
        }
    }
}
