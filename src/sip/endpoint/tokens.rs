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

    /// A tag: a word, and eight digits that prove to us that we made it.
    pub(super) fn tag(&mut self) -> String {
        let word = self.next();
        let proof = self.proof(&word);
        word + &proof
    }

    /// We gave this tag, in this life of the service.
    pub(super) fn is_ours(&self, tag: &str) -> bool {
        tag.split_at_checked(16).is_some_and(|(word, proof)| self.proof(word) == proof)
    }

    fn proof(&self, word: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(word);
        hash.finalize()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// One of `sides` numbers from 0 on.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        u64::from_str_radix(&self.next(), 16).unwrap_or(0) % sides.max(1)
    }

    /// 128 bits in 32 hexadecimal digits: a UUID as Session-ID has it (RFC 7989 §4.1), version 4.
    pub(super) fn uuid(&mut self) -> String {
        let mut word = self.next() + &self.next();
        word.replace_range(12..13, "4");
        word.replace_range(16..17, "8");
        word
    }

    /// A branch with the magic cookie of RFC 3261 §8.1.1.7.
    pub(super) fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_tags_are_told_from_others() {
        let mut tokens = Tokens::new([1; 32]);
        let tag = tokens.tag();
        assert!(tokens.is_ours(&tag));
        assert!(!Tokens::new([2; 32]).is_ours(&tag), "another life of the service");
        for other in ["", "1918181833n", "0123456789abcdef", &tag[1..], &format!("{tag}0")] {
            assert!(!tokens.is_ours(other), "{other}");
        }
        assert_ne!(tokens.next(), tokens.next());
    }
}
