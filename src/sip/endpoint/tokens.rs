//! Words nobody can guess: tags, branches, Call-IDs, drawn from one seed.
//!
//! SHA-256 of the seed and a counter: the same seed gives the same words, so a call replays; without
//! it a word tells nothing of the next.

use sha2::{Digest, Sha256};

pub(super) struct Tokens {
    seed: [u8; 32],
    count: u64,
}

impl Tokens {
    pub(super) const fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// 16 hexadecimal digits: 64 bits.
    pub(super) fn next(&mut self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.count.to_be_bytes());
        self.count += 1;
        hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A branch with the magic cookie of RFC 3261 §8.1.1.7.
    pub(super) fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.next())
    }
}
