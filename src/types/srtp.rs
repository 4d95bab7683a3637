//! What encrypts a call's sound: the suite and the master keys of SRTP (RFC 3711, RFC 4568, RFC 7714).
//!
//! Signalling agrees on them and media uses them; neither needs to know how the other does. Whoever
//! has a key hears the call, so `Debug` hides it.

use std::fmt;

/// How packets are encrypted and authenticated, named as in `a=crypto`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Suite {
    /// RFC 7714 §14.1.
    AeadAes256Gcm,
    AeadAes128Gcm,
    /// RFC 4568 §6.2.
    AesCm128HmacSha1_80,
    /// Short tags on RTP, long ones on RTCP.
    AesCm128HmacSha1_32,
}

impl Suite {
    /// In the order that we offer them.
    pub const ALL: [Self; 4] =
        [Self::AeadAes256Gcm, Self::AeadAes128Gcm, Self::AesCm128HmacSha1_80, Self::AesCm128HmacSha1_32];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// The suite of that name, in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of a master key.
    #[must_use]
    pub const fn key_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16,
        }
    }

    /// Bytes of a master salt.
    #[must_use]
    pub const fn salt_length(self) -> usize {
        match self {
            Self::AeadAes256Gcm | Self::AeadAes128Gcm => 12,
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
        }
    }
}

/// One direction's master key and salt.
#[derive(Clone, Eq, PartialEq)]
pub struct MediaKey {
    suite: Suite,
    bytes: [u8; Self::LENGTH_MAX],
}

impl MediaKey {
    /// Bytes of the longest key and its salt.
    pub const LENGTH_MAX: usize = 44;

    /// A key from as many random bytes as any suite needs.
    #[must_use]
    pub fn from_random(suite: Suite, random: [u8; Self::LENGTH_MAX]) -> Self {
        let mut bytes = random;
        bytes[suite.key_length() + suite.salt_length()..].fill(0);
        Self { suite, bytes }
    }

    /// From key and salt as they stand one after the other in `inline:`; `None`: not as many bytes as
    /// the suite has.
    #[must_use]
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::LENGTH_MAX];
        let place = &mut bytes[..suite.key_length() + suite.salt_length()];
        if place.len() != key_and_salt.len() {
            return None;
        }
        place.copy_from_slice(key_and_salt);
        Some(Self { suite, bytes })
    }

    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt, one after the other: for the peer's description and for the transform.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.bytes[..self.suite.key_length() + self.suite.salt_length()]
    }
}

impl fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaKey({}, hidden)", self.suite.name())
    }
}

/// Both directions of a call, of one suite.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaKeys {
    /// What we send is encrypted with it.
    pub ours: MediaKey,
    /// What the peer sends.
    pub theirs: MediaKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_suites_length_and_is_not_printed() {
        for suite in Suite::ALL {
            assert_eq!(Suite::named(&suite.name().to_lowercase()), Some(suite));
            let key = MediaKey::from_random(suite, [0xab; 44]);
            assert_eq!(MediaKey::new(suite, key.reveal()), Some(key.clone()));
            assert_eq!(MediaKey::new(suite, &key.reveal()[1..]), None);
            let shown = format!("{key:?}");
            assert!(!shown.to_lowercase().contains("ab") && !shown.contains("171"), "{shown}");
        }
        let length = |suite| MediaKey::from_random(suite, [1; 44]).reveal().len();
        assert_eq!(Suite::ALL.map(length), [44, 28, 30, 30]);
    }
}
