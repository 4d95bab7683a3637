//! A bad line in virtual time: packets are lost, come late, in another order, and twice. The same seed is
//! the same line.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How bad.
#[derive(Clone, Copy, Debug)]
pub struct Impairment {
    /// Share of packets that are lost, 0–1, and how many in a row are lost at a time, at least 1.
    pub loss: f64,
    pub burst: f64,
    /// A packet comes 0 to so many milliseconds late, each as likely: beyond 20 they overtake each other.
    pub jitter_ms: f64,
    /// Share of packets that come twice.
    pub duplicates: f64,
}

pub const NONE: Impairment = Impairment { loss: 0.0, burst: 1.0, jitter_ms: 0.0, duplicates: 0.0 };

pub struct Line {
    impairment: Impairment,
    random: u64,
    losing: bool,
    /// Microseconds when it arrives, a number that keeps the order, the packet.
    under_way: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    count: u64,
}

impl Line {
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { impairment, random, losing: false, under_way: BinaryHeap::new(), count: 0 }
    }

    /// Evenly from 0 to 1.
    pub fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Sends a packet at this time.
    pub fn send(&mut self, now_ms: f64, packet: &[u8]) {
        let Impairment { loss, burst, jitter_ms, duplicates } = self.impairment;
        // Two states (Gilbert): it goes on losing for `burst` packets on average.
        let begins = loss / burst / (1.0 - loss).max(1e-9);
        let draw = self.random();
        self.losing = if self.losing { draw < 1.0 - 1.0 / burst } else { draw < begins };
        if self.losing {
            return;
        }
        let copies = 1 + u64::from(self.random() < duplicates);
        for _ in 0..copies {
            let arrives = now_ms + self.random() * jitter_ms;
            self.count += 1;
            self.under_way.push(Reverse(((arrives * 1_000.0) as u64, self.count, packet.to_vec())));
        }
    }

    /// What has arrived by now.
    pub fn arrived(&mut self, now_ms: f64) -> Vec<Vec<u8>> {
        let now = (now_ms * 1_000.0) as u64;
        let mut packets = Vec::new();
        while self.under_way.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            packets.extend(self.under_way.pop().map(|Reverse((_, _, packet))| packet));
        }
        packets
    }
}
