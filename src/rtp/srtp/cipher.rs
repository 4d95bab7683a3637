//! The transforms of SRTP: AES in counter mode with HMAC-SHA1 (RFC 3711 §4), AES-GCM (RFC 7714).
//!
//! Each works in place on a buffer that has room for the tag, and allocates nothing: it runs inside
//! the media tick. One [`Cipher`] has the session keys of one direction of RTP or of RTCP.

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Aes256Enc};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use subtle::ConstantTimeEq;

use super::mac::{HmacSha1, TAG};
use crate::types::{MediaKey, Suite};

/// Bytes of the longest tag.
pub const TAG_MAX: usize = 16;
/// Bytes of the word that ends an SRTCP packet: E bit and index.
pub const WORD: usize = 4;
/// The tag of SRTCP by HMAC-SHA1 is long with either suite (RFC 4568 §6.2.2).
const CONTROL_TAG: usize = 10;
/// The 16-byte blocks that are encrypted at once: an RTP payload of 20 ms G.711 is ten.
const BLOCKS: usize = 12;

/// Which packets a session key is for: its label in the key derivation (RFC 3711 §4.3.1) begins there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Rtp = 0,
    Control = 3,
}

#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "a call's ciphers lie in one box, beside what else a packet needs"
)]
pub enum Cipher {
    CounterMode(CounterMode),
    Gcm(Gcm),
}

/// One packet's place in its stream.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    pub ssrc: u32,
    /// RTP: rollover counter and sequence number, 48 bits. RTCP: the index, 31 bits.
    pub index: u64,
}

#[derive(Clone)]
pub struct CounterMode {
    aes: Aes128Enc,
    mac: HmacSha1,
    salt: [u8; 14],
    /// Bytes of the tag.
    tag: usize,
}

#[derive(Clone)]
pub struct Gcm {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Cipher {
    /// Derives the session keys of a master key for one kind of packets (RFC 3711 §4.3, RFC 7714 §11).
    pub fn new(master: &MediaKey, kind: Kind) -> Self {
        let suite = master.suite();
        let (key, salt) = master.reveal().split_at(suite.key_length());
        let label = kind as u8;
        let mut session_key = [0; 32];
        let session_key = &mut session_key[..suite.key_length()];
        derive(key, salt, label, session_key);
        match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let (mut mac_key, mut session_salt) = ([0; 20], [0; 14]);
                derive(key, salt, label + 1, &mut mac_key);
                derive(key, salt, label + 2, &mut session_salt);
                let short = suite == Suite::AesCm128HmacSha1_32 && kind == Kind::Rtp;
                let tag = if short { 4 } else { CONTROL_TAG };
                Self::CounterMode(CounterMode::new(session_key, &mac_key, session_salt, tag))
            }
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => {
                let mut session_salt = [0; 12];
                derive(key, salt, label + 2, &mut session_salt);
                Self::Gcm(Gcm::new(session_key, session_salt))
            }
        }
    }

    /// Bytes of its tag.
    pub const fn tag(&self) -> usize {
        match self {
            Self::CounterMode(cipher) => cipher.tag,
            Self::Gcm(_) => TAG_MAX,
        }
    }

    /// Encrypts `packet[clear..length]` and puts the tag behind it; the new length. `packet` has room.
    pub fn seal(&self, packet: &mut [u8], clear: usize, length: usize, at: Position) -> usize {
        let (body, tail) = packet.split_at_mut(length);
        let end = length + self.tag();
        match self {
            Self::CounterMode(cipher) => {
                cipher.crypt(&mut body[clear..], at);
                let tag = cipher.authenticate(body, Some(rollover(at)));
                tail[..cipher.tag].copy_from_slice(&tag[..cipher.tag]);
            }
            Self::Gcm(cipher) => {
                let (head, body) = body.split_at_mut(clear);
                tail[..TAG_MAX].copy_from_slice(&cipher.seal(at, head, body));
            }
        }
        end
    }

    /// Whether a packet of RTP is authentic, and its length in clear, decrypted into `out`.
    pub fn open(&self, packet: &[u8], clear: usize, at: Position, out: &mut [u8]) -> Option<usize> {
        let length = packet.len().checked_sub(self.tag()).filter(|length| *length >= clear)?;
        let (body, tag) = packet.split_at(length);
        let out = &mut out[..length];
        match self {
            Self::CounterMode(cipher) => {
                let expected = cipher.authenticate(body, Some(rollover(at)));
                if !bool::from(expected[..cipher.tag].ct_eq(tag)) {
                    return None;
                }
                out.copy_from_slice(body);
                cipher.crypt(&mut out[clear..], at);
            }
            Self::Gcm(cipher) => {
                out.copy_from_slice(body);
                let (head, body) = out.split_at_mut(clear);
                cipher.open(at, head, body, tag)?;
            }
        }
        Some(length)
    }

    /// The same for RTCP, whose packets carry `word`; of it GCM's tag stands before and HMAC's behind.
    pub fn seal_control(
        &self,
        packet: &mut [u8],
        clear: usize,
        length: usize,
        at: Position,
        word: u32,
    ) -> usize {
        let word = word.to_be_bytes();
        let end = length + WORD + self.tag();
        match self {
            Self::CounterMode(cipher) => {
                cipher.crypt(&mut packet[clear..length], at);
                packet[length..length + WORD].copy_from_slice(&word);
                let tag = cipher.authenticate(&packet[..length + WORD], None);
                packet[length + WORD..end].copy_from_slice(&tag[..cipher.tag]);
            }
            Self::Gcm(cipher) => {
                let head = head_and_word(&packet[..clear], word);
                let tag = cipher.seal(at, &head, &mut packet[clear..length]);
                packet[length..length + TAG_MAX].copy_from_slice(&tag);
                packet[length + TAG_MAX..end].copy_from_slice(&word);
            }
        }
        end
    }

    /// The word of an SRTCP packet, if it is long enough to have one.
    pub fn word(&self, packet: &[u8]) -> Option<u32> {
        let behind = match self {
            Self::CounterMode(cipher) => cipher.tag,
            Self::Gcm(_) => 0,
        };
        let at = packet.len().checked_sub(behind + WORD)?;
        Some(u32::from_be_bytes(packet[at..at + WORD].try_into().ok()?))
    }

    /// Likewise for RTCP; `word` is the packet's own.
    pub fn open_control(
        &self,
        packet: &[u8],
        clear: usize,
        at: Position,
        word: u32,
        out: &mut [u8],
    ) -> Option<usize> {
        let length = packet.len().checked_sub(WORD + self.tag()).filter(|length| *length >= clear)?;
        let out = &mut out[..length];
        out.copy_from_slice(&packet[..length]);
        match self {
            Self::CounterMode(cipher) => {
                let (signed, tag) = packet.split_at(length + WORD);
                let expected = cipher.authenticate(signed, None);
                if !bool::from(expected[..cipher.tag].ct_eq(tag)) {
                    return None;
                }
                cipher.crypt(&mut out[clear..], at);
            }
            Self::Gcm(cipher) => {
                let tag = &packet[length..length + TAG_MAX];
                let head = head_and_word(&packet[..clear], word.to_be_bytes());
                cipher.open(at, &head, &mut out[clear..], tag)?;
            }
        }
        Some(length)
    }
}

impl CounterMode {
    fn new(key: &[u8], mac_key: &[u8], salt: [u8; 14], tag: usize) -> Self {
        let aes = Aes128Enc::new_from_slice(key).expect("this suite's keys have 16 bytes");
        Self { aes, mac: HmacSha1::new(mac_key), salt, tag }
    }

    /// Encrypts or decrypts (RFC 3711 §4.1.1).
    fn crypt(&self, bytes: &mut [u8], at: Position) {
        let mut vector = [0; 16];
        vector[..14].copy_from_slice(&self.salt);
        xor(&mut vector[4..8], &at.ssrc.to_be_bytes());
        xor(&mut vector[8..14], &at.index.to_be_bytes()[2..]);
        counter_mode(&self.aes, vector, bytes);
    }

    fn authenticate(&self, packet: &[u8], and: Option<[u8; 4]>) -> [u8; TAG] {
        self.mac.tag(packet, and)
    }
}

impl Gcm {
    fn new(key: &[u8], salt: [u8; 12]) -> Self {
        let algorithm = if key.len() == 32 { &AES_256_GCM } else { &AES_128_GCM };
        let key = UnboundKey::new(algorithm, key).expect("the key's length chose the algorithm");
        Self { key: LessSafeKey::new(key), salt }
    }

    /// RFC 7714 §8.1, §9.1: the same shape for both kinds.
    fn nonce(&self, at: Position) -> Nonce {
        let mut vector = self.salt;
        xor(&mut vector[2..6], &at.ssrc.to_be_bytes());
        xor(&mut vector[6..12], &at.index.to_be_bytes()[2..]);
        Nonce::assume_unique_for_key(vector)
    }

    fn seal(&self, at: Position, head: &[u8], body: &mut [u8]) -> [u8; TAG_MAX] {
        let tag = self
            .key
            .seal_in_place_separate_tag(self.nonce(at), Aad::from(head), body)
            .expect("a datagram is shorter than what GCM takes");
        tag.as_ref().try_into().expect("GCM's tags have 16 bytes")
    }

    fn open(&self, at: Position, head: &[u8], body: &mut [u8], tag: &[u8]) -> Option<()> {
        let tag = Tag::try_from(tag).ok()?;
        let opened = self.key.open_in_place_separate_tag(self.nonce(at), Aad::from(head), tag, body, 0..);
        opened.ok().map(|_| ())
    }
}

/// The rollover counter that is authenticated with an RTP packet and not sent (RFC 3711 §4.2).
fn rollover(at: Position) -> [u8; 4] {
    ((at.index >> 16) as u32).to_be_bytes()
}

/// What GCM authenticates of RTCP beside the report (RFC 7714 §9.2). An RTCP header has 8 bytes.
fn head_and_word(head: &[u8], word: [u8; WORD]) -> [u8; 12] {
    let mut both = [0; 12];
    both[..8].copy_from_slice(head);
    both[8..].copy_from_slice(&word);
    both
}

/// RFC 3711 §4.3.1 and §4.3.3 with a key derivation rate of 0.
fn derive(master_key: &[u8], master_salt: &[u8], label: u8, out: &mut [u8]) {
    let mut vector = [0; 16];
    // A salt of GCM's 12 bytes counts as one of 14 with zeros behind (RFC 7714 §11).
    vector[..master_salt.len()].copy_from_slice(master_salt);
    vector[7] ^= label;
    out.fill(0);
    if let Ok(aes) = Aes256Enc::new_from_slice(master_key) {
        counter_mode(&aes, vector, out);
    } else {
        let aes = Aes128Enc::new_from_slice(master_key).expect("master keys have 16 or 32 bytes");
        counter_mode(&aes, vector, out);
    }
}

/// Adds the key stream that begins at `vector`, whose last two bytes count.
fn counter_mode<C: BlockCipherEncrypt<BlockSize = aes::cipher::consts::U16>>(
    aes: &C,
    mut vector: [u8; 16],
    bytes: &mut [u8],
) {
    let mut counter = u16::from_be_bytes([vector[14], vector[15]]);
    for chunk in bytes.chunks_mut(16 * BLOCKS) {
        let mut stream = [Block::<C>::default(); BLOCKS];
        let stream = &mut stream[..chunk.len().div_ceil(16)];
        for block in stream.iter_mut() {
            vector[14..].copy_from_slice(&counter.to_be_bytes());
            block.copy_from_slice(&vector);
            counter = counter.wrapping_add(1);
        }
        aes.encrypt_blocks(stream);
        for (bytes, block) in chunk.chunks_mut(16).zip(stream) {
            xor(bytes, block);
        }
    }
}

fn xor(bytes: &mut [u8], with: &[u8]) {
    for (byte, with) in bytes.iter_mut().zip(with) {
        *byte ^= with;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn the_key_stream_is_that_of_rfc_3711() {
        // Appendix B.2: SSRC, rollover counter and sequence number are 0.
        let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
        let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
        let cipher = CounterMode::new(&key, &[0; 20], salt.try_into().unwrap(), 10);
        let mut stream = vec![0; 0xff02 * 16];
        cipher.crypt(&mut stream, Position { ssrc: 0, index: 0 });
        let blocks = [
            (0, "E03EAD0935C95E80E166B16DD92B4EB4"),
            (1, "D23513162B02D0F72A43A2FE4A5F97AB"),
            (2, "41E95B3BB0A2E8DD477901E4FCA894C0"),
            (0xfeff, "EC8CDF7398607CB0F2D21675EA9EA1E4"),
            (0xff00, "362B7C3C6773516318A077D7FC5073AE"),
            (0xff01, "6A2CC3787889374FBEB4C81B17BA6C44"),
        ];
        for (block, expected) in blocks {
            assert_eq!(stream[16 * block..][..16], hex(expected), "block {block:x}");
        }
    }

    #[test]
    fn session_keys_are_those_of_rfc_3711() {
        // Appendix B.3.
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let cases = [
            (0, "C61E7A93744F39EE10734AFE3FF7A087"),
            (
                1,
                "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE E049646C43D9327AD175578EF7227098 \
                 6371C10C9A369AC2F94A8C5FBCDDDC25 6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2",
            ),
            (2, "30CBBC08863D8C85D49DB34A9AE1"),
        ];
        for (label, expected) in cases {
            let expected = hex(expected);
            let mut out = vec![0; expected.len()];
            derive(&key, &salt, label, &mut out);
            assert_eq!(out, expected, "label {label}");
        }
    }

    #[test]
    fn gcm_packets_are_those_of_rfc_7714() {
        // §16.1.1 and §16.2.1: session keys, no derivation.
        let salt = || -> [u8; 12] { hex("51756964 2070726f 2071756f").try_into().unwrap() };
        let plain =
            hex("8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 \
             61727465 73207472 6573");
        let cases = [
            (
                16,
                "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a \
                 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
            ),
            (
                32,
                "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 \
                 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
            ),
        ];
        let at = Position { ssrc: 0x5501_a0b2, index: 0xf17b };
        for (key_length, expected) in cases {
            let key: Vec<u8> = (0..key_length).collect();
            let cipher = Cipher::Gcm(Gcm::new(&key, salt()));
            let mut packet = plain.clone();
            packet.resize(plain.len() + TAG_MAX, 0);
            assert_eq!(cipher.seal(&mut packet, 12, plain.len(), at), packet.len());
            assert_eq!(packet, hex(expected), "{key_length}");
            let mut out = [0; 100];
            assert_eq!(cipher.open(&packet, 12, at, &mut out), Some(plain.len()));
            assert_eq!(out[..plain.len()], plain);
            packet[20] ^= 1;
            assert_eq!(cipher.open(&packet, 12, at, &mut out), None);
        }
    }

    #[test]
    fn gcm_reports_are_those_of_rfc_7714() {
        // §17.1.
        let plain =
            hex("81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef \
             deadbeef deadbeef deadbeef");
        let expected =
            hex("81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda \
             4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4");
        let key: Vec<u8> = (0..16).collect();
        let salt = hex("51756964 2070726f 2071756f").try_into().unwrap();
        let cipher = Cipher::Gcm(Gcm::new(&key, salt));
        let at = Position { ssrc: 0x4d61_7273, index: 0x5d4 };
        let mut packet = plain.clone();
        packet.resize(plain.len() + TAG_MAX + WORD, 0);
        assert_eq!(cipher.seal_control(&mut packet, 8, plain.len(), at, 0x8000_05d4), packet.len());
        assert_eq!(packet, expected);
        assert_eq!(cipher.word(&packet), Some(0x8000_05d4));
        let mut out = [0; 100];
        assert_eq!(cipher.open_control(&packet, 8, at, 0x8000_05d4, &mut out), Some(plain.len()));
        assert_eq!(out[..plain.len()], plain);
    }
}
