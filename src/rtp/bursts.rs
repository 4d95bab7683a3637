//! Whether losses come alone or in bursts (RFC 3611 §4.7.2, Appendix A.2).
//!
//! A packet that never came, or came too late to be played, is a loss. Losses with fewer than [`GMIN`]
//! good packets between them are one burst; what lies outside of bursts is the gap. Packets are judged
//! in the order of their numbers, once so many later ones have come that nobody waits for them any more.

/// Good packets in a row that end a burst (§4.7.2 recommends it).
pub const GMIN: u8 = 16;

/// Packets that may still come.
const PENDING: u32 = 32;

/// Counts one stream; a new source begins a new one in the same place, the counts go on.
#[derive(Clone, Debug)]
pub struct Bursts {
    /// The highest number, and one bit for each of the last ones: it was good. The newest is the lowest bit.
    highest: Option<u16>,
    good: u32,
    /// How many of those bits mean something.
    known: u32,
    /// Good packets since the last loss, and losses in the burst that may be under way.
    run: u64,
    burst: u64,
    /// Transitions as the appendix names them: state 1 is a good packet in the gap, 2 a good one in a
    /// burst, 3 a loss in a burst, 4 a loss in the gap.
    c11: u64,
    c13: u64,
    c14: u64,
    c22: u64,
    c23: u64,
    c33: u64,
}

impl Default for Bursts {
    fn default() -> Self {
        Self {
            highest: None,
            good: 0,
            known: 0,
            run: 0,
            burst: 1,
            c11: 0,
            c13: 0,
            c14: 0,
            c22: 0,
            c23: 0,
            c33: 0,
        }
    }
}

/// What the packets so far say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BurstFigures {
    /// Shares of losses, 0–1, within bursts and outside.
    pub burst_density: f32,
    pub gap_density: f32,
    /// How long bursts and gaps are on average; 0: there was none.
    pub burst_ms: f32,
    pub gap_ms: f32,
}

impl Bursts {
    /// A packet has come. `in_time`: it can be played.
    pub fn note(&mut self, sequence: u16, in_time: bool) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            self.good = u32::from(in_time);
            self.known = 1;
            return;
        };
        let ahead = sequence.wrapping_sub(highest);
        if ahead == 0 {
            self.good |= u32::from(in_time);
        } else if ahead <= u16::MAX / 2 {
            if u32::from(ahead) > JUMP_MAX {
                // It counts anew: what lies between was never sent.
                return self.restart(sequence, in_time);
            }
            for _ in 0..ahead {
                self.advance();
            }
            self.good |= u32::from(in_time);
            self.highest = Some(sequence);
        } else {
            let behind = u32::from(highest.wrapping_sub(sequence));
            if behind < self.known {
                self.good |= u32::from(in_time) << behind;
            } else if behind > JUMP_MAX {
                self.restart(sequence, in_time);
            }
        }
    }

    /// Another source; what waits is judged as it is.
    pub fn new_source(&mut self) {
        while self.known > 0 {
            self.known -= 1;
            self.judge(self.good >> self.known & 1 == 1);
        }
        self.highest = None;
    }

    fn restart(&mut self, sequence: u16, in_time: bool) {
        self.new_source();
        self.note(sequence, in_time);
    }

    fn advance(&mut self) {
        if self.known == PENDING {
            self.judge(self.good >> (PENDING - 1) & 1 == 1);
        } else {
            self.known += 1;
        }
        self.good <<= 1;
    }

    fn judge(&mut self, good: bool) {
        if good {
            self.run += 1;
            return;
        }
        if self.run >= u64::from(GMIN) {
            if self.burst == 1 {
                self.c14 += 1;
            } else {
                self.c13 += 1;
            }
            self.burst = 1;
            self.c11 += self.run;
        } else {
            self.burst += 1;
            if self.run == 0 {
                self.c33 += 1;
            } else {
                self.c23 += 1;
                self.c22 += self.run - 1;
            }
        }
        self.run = 0;
    }

    /// `packet_ms`: how long a packet sounds. Packets that may still come are not in it.
    #[must_use]
    pub fn figures(&self, packet_ms: f32) -> BurstFigures {
        // A burst that has not ended yet counts, and so do the good packets after the last loss.
        let open = u64::from(self.burst > 1);
        let bursts = self.c13 + open;
        let gap_good = self.c11 + if self.run >= u64::from(GMIN) { self.run } else { 0 };
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f32 / of as f32 };
        let gap_packets = gap_good + self.c14 + bursts;
        if bursts == 0 {
            return BurstFigures {
                gap_density: share(self.c14, gap_good + self.c14),
                gap_ms: gap_packets as f32 * packet_ms,
                ..BurstFigures::default()
            };
        }
        let p32 = share(self.c23, bursts + self.c23 + self.c33);
        let p23 = if self.c22 + self.c23 == 0 { 1.0 } else { 1.0 - share(self.c22, self.c22 + self.c23) };
        let total = gap_packets + self.c22 + 2 * self.c23 + self.c33 + bursts;
        let gap_ms = gap_packets as f32 * packet_ms / bursts as f32;
        BurstFigures {
            burst_density: p23 / (p23 + p32),
            gap_density: share(self.c14, gap_good + self.c14),
            burst_ms: total as f32 * packet_ms / bursts as f32 - gap_ms,
            gap_ms,
        }
    }
}

/// A number further away than this is of another count (RFC 3550 A.1).
const JUMP_MAX: u32 = 3_000;

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` is a good packet, `-` one that never came, `x` one that came too late; a number before one
    /// says how many. Enough good ones follow for all of them to be judged, and no more.
    fn after(pattern: &str, first: u16) -> Bursts {
        let mut bursts = Bursts::default();
        let mut sequence = first;
        let mut times = 0;
        let mut note = |kind: char, times: usize| {
            for _ in 0..times.max(1) {
                if kind != '-' {
                    bursts.note(sequence, kind == '+');
                }
                sequence = sequence.wrapping_add(1);
            }
        };
        for kind in pattern.chars() {
            if let Some(digit) = kind.to_digit(10) {
                times = 10 * times + digit as usize;
            } else if kind != ' ' {
                note(kind, std::mem::take(&mut times));
            }
        }
        note('+', PENDING as usize);
        bursts
    }

    #[test]
    fn losses_are_bursts_or_gaps_as_the_appendix_counts_them() {
        // Burst density, gap density, burst and gap in packets.
        let cases: &[(&str, &str, [f32; 4])] = &[
            ("nothing is lost", "100+", [0.0, 0.0, 0.0, 100.0]),
            ("one alone", "50+ - 49+", [0.0, 0.01, 0.0, 100.0]),
            ("late is lost", "50+ x 49+", [0.0, 0.01, 0.0, 100.0]),
            ("far apart", "20+ - 16+ - 20+", [0.0, 2.0 / 58.0, 0.0, 58.0]),
            ("near each other", "20+ - 15+ - 20+", [2.0 / 17.0, 0.0, 17.0, 40.0]),
            ("three in a row", "20+ 3- 20+", [1.0, 0.0, 3.0, 40.0]),
            // Of the first burst: losses, 2 good ones, a loss; then one alone.
            ("a burst that ended", "20+ - 30+ 3- 2+ - 20+ - 1+", [2.0 / 3.0, 2.0 / 72.0, 6.0, 73.0]),
            ("two bursts", "40+ 2- 40+ 4- 40+", [1.0, 0.0, 3.0, 60.0]),
        ];
        for (name, pattern, expected) in cases {
            for first in [0, 65_500] {
                let got = after(pattern, first).figures(20.0);
                let got = [got.burst_density, got.gap_density, got.burst_ms / 20.0, got.gap_ms / 20.0];
                println!("{name}: {got:?}");
                for (got, expected) in got.iter().zip(expected) {
                    // The loss that begins a burst is counted as one of the gap.
                    assert!((got - expected).abs() <= 0.03 + expected * 0.06, "{name}: {got} for {expected}");
                }
            }
        }
    }

    #[test]
    fn a_packet_that_was_overtaken_is_no_loss_and_one_that_comes_twice_is_one() {
        let mut bursts = Bursts::default();
        for n in 0..200_u16 {
            let swapped = if n % 10 == 3 {
                n + 1
            } else if n % 10 == 4 {
                n - 1
            } else {
                n
            };
            bursts.note(swapped, true);
            bursts.note(swapped.saturating_sub(5), false);
        }
        let figures = bursts.figures(20.0);
        assert_eq!((figures.burst_density, figures.gap_density), (0.0, 0.0));
        assert_eq!(figures.gap_ms, 20.0 * f32::from(200 - PENDING as u16));
    }

    #[test]
    fn a_peer_that_counts_anew_has_lost_nothing() {
        let mut bursts = after("100+", 0);
        bursts.note(40_000, true);
        (40_001..40_100).for_each(|n| bursts.note(n, true));
        bursts.new_source();
        (7..100).for_each(|n| bursts.note(n, true));
        assert_eq!((bursts.figures(20.0).burst_density, bursts.figures(20.0).gap_density), (0.0, 0.0));
    }

    proptest::proptest! {
        #[test]
        fn no_numbers_panic(packets: Vec<(u16, bool)>) {
            let mut bursts = Bursts::default();
            packets.iter().for_each(|&(sequence, in_time)| bursts.note(sequence, in_time));
            let figures = bursts.figures(20.0);
            proptest::prop_assert!((0.0..=1.0).contains(&figures.burst_density), "{:?}", figures);
            proptest::prop_assert!((0.0..=1.0).contains(&figures.gap_density), "{:?}", figures);
            proptest::prop_assert!(figures.burst_ms >= -0.01, "{:?}", figures);
        }
    }
}
