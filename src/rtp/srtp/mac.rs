//! HMAC-SHA1 (RFC 2104) of one packet after the other under one key.
//!
//! Ours, over the hash's own rounds, and not a crate's: for packets as short as 20 ms, the state of a general
//! MAC (buffers, counters, a copy for each packet) takes longer than the hash. Of a key 40 bytes are kept.

use sha1::block_api::compress;

/// Bytes of the whole tag.
pub const TAG: usize = 20;
/// Bytes that the hash takes in at once.
const BLOCK: usize = 64;
/// What SHA-1 begins with (FIPS 180-4 §5.3.1).
const BEGIN: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

type State = [u32; 5];

/// The states after the key's two blocks.
#[derive(Clone)]
pub struct HmacSha1 {
    inner: State,
    outer: State,
}

impl HmacSha1 {
    /// Keys of at most 64 bytes; SRTP's have 20.
    pub fn new(key: &[u8]) -> Self {
        let keyed = |with: u8| {
            let mut block = [with; BLOCK];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = BEGIN;
            compress(&mut state, &[block]);
            state
        };
        debug_assert!(key.len() <= BLOCK);
        Self { inner: keyed(0x36), outer: keyed(0x5c) }
    }

    /// Of a packet and what is authenticated with it, four bytes or none.
    pub fn tag(&self, packet: &[u8], and: Option<[u8; 4]>) -> [u8; TAG] {
        let mut state = self.inner;
        let (whole, rest) = packet.as_chunks::<BLOCK>();
        compress(&mut state, whole);
        let mut last = [[0; BLOCK]; 2];
        let bytes = last.as_flattened_mut();
        bytes[..rest.len()].copy_from_slice(rest);
        let mut end = rest.len();
        if let Some(and) = and {
            bytes[end..end + and.len()].copy_from_slice(&and);
            end += and.len();
        }
        let hashed = BLOCK + packet.len() + and.map_or(0, |and| and.len());
        finish(&mut state, &mut last, end, hashed);

        let mut last = [[0; BLOCK]; 2];
        last[0][..TAG].copy_from_slice(&bytes_of(&state));
        let mut state = self.outer;
        finish(&mut state, &mut last, TAG, BLOCK + TAG);
        bytes_of(&state)
    }
}

/// Pads what is left (FIPS 180-4 §5.1.1), `end` bytes in `last`, and takes it in; `hashed` bytes in all.
fn finish(state: &mut State, last: &mut [[u8; BLOCK]; 2], end: usize, hashed: usize) {
    let blocks = if end < BLOCK - 8 { 1 } else { 2 };
    let bytes = last.as_flattened_mut();
    bytes[end] = 0x80;
    bytes[blocks * BLOCK - 8..blocks * BLOCK].copy_from_slice(&(8 * hashed as u64).to_be_bytes());
    compress(state, &last[..blocks]);
}

fn bytes_of(state: &State) -> [u8; TAG] {
    let mut bytes = [0; TAG];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit, Mac};
    use sha1::Sha1;

    use super::*;

    #[test]
    fn tags_are_those_of_the_standard() {
        // RFC 2202 §3, cases 1, 2 and 4.
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
            (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (
                &std::array::from_fn::<u8, 25, _>(|n| n as u8 + 1),
                &[0xcd; 50],
                "4c9007f4026250c6bc8414f9bf50c86c2d7235da",
            ),
        ];
        for (key, data, expected) in cases {
            let tag = HmacSha1::new(key).tag(data, None);
            assert_eq!(tag.map(|byte| format!("{byte:02x}")).concat(), expected);
        }
    }

    #[test]
    fn packets_of_all_lengths_have_the_tags_that_another_implementation_gives() {
        let key: [u8; 20] = std::array::from_fn(|n| 7 * n as u8);
        let packet: Vec<u8> = (0..400_usize).map(|n| (n * n) as u8).collect();
        let mac = HmacSha1::new(&key);
        for length in 0..packet.len() {
            for and in [None, Some([1, 2, 3, 4])] {
                let mut other = <Hmac<Sha1> as KeyInit>::new_from_slice(&key).unwrap();
                other.update(&packet[..length]);
                other.update(and.as_ref().map_or(&[], |and| &and[..]));
                let expected: [u8; TAG] = other.finalize().into_bytes().into();
                assert_eq!(mac.tag(&packet[..length], and), expected, "{length}, {and:?}");
            }
        }
    }
}
