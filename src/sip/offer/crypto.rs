//! Keys of SRTP in a description: `a=crypto` (SDES, RFC 4568).
//!
//! ```text
//! a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:BASE64OFKEYANDSALT|2^31|1:4 WSH=64
//!          tag suite                 method:key               lifetime MKI parameters
//! ```
//! A line is taken only as a whole: what it asks of us beside the key must be what we do. So we take no
//! master key identifier, which every packet would have to carry, and nothing that leaves packets
//! unencrypted or unauthenticated. A line that we cannot take is passed over; the peer may offer others.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::types::{MediaKey, Suite};

/// Lines of a stream that are looked at. Peers send one for each suite.
pub(super) const LINES: usize = 16;
/// Packets that a key must serve for at least: no call of ours is re-keyed for its age, and at 100 packets a
/// second this is three hours.
const LIFETIME_MIN: u64 = 1 << 20;

/// One line that we can take.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Crypto {
    /// Names it in the answer, 1 to 9 digits as written.
    pub tag: String,
    pub key: MediaKey,
}

impl Crypto {
    /// What stands behind `a=crypto:`.
    ///
    /// # Errors
    /// Why the line is not for us. The words never repeat its key.
    pub fn parse(value: &str) -> Result<Self, &'static str> {
        let mut fields = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(keys)) = (fields.next(), fields.next(), fields.next()) else {
            return Err("a line without tag, suite and key");
        };
        if !(1..=9).contains(&tag.len()) || !tag.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("a tag that is no number");
        }
        let suite = Suite::named(suite).ok_or("a suite that is none of ours")?;
        fields.try_for_each(parameter)?;
        let key = key(suite, keys)?;
        Ok(Self { tag: tag.to_owned(), key })
    }

    /// The line for a key of ours, without `a=crypto:`.
    pub fn print(tag: &str, key: &MediaKey) -> String {
        format!("{tag} {} inline:{}", key.suite().name(), STANDARD.encode(key.reveal()))
    }
}

/// §6.1: `inline:` key, then lifetime and MKI, of which either may be missing.
fn key(suite: Suite, keys: &str) -> Result<MediaKey, &'static str> {
    if keys.contains(';') {
        return Err("several keys, which need a master key identifier (MKI)");
    }
    let inline = keys
        .split_at_checked(7)
        .and_then(|(method, rest)| method.eq_ignore_ascii_case("inline:").then_some(rest))
        .ok_or("a key method other than \"inline:\"")?;
    let mut parts = inline.split('|');
    // Some peers leave the padding out.
    let text = parts.next().unwrap_or_default().trim_end_matches('=');
    for part in parts {
        match part.split_once(':') {
            Some(_) => return Err("a master key identifier (MKI)"),
            None if lifetime(part).is_some_and(|packets| packets >= LIFETIME_MIN) => {}
            None => return Err("a key for less than 2^20 packets"),
        }
    }
    let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| "a key that is no base64")?;
    MediaKey::new(suite, &bytes).ok_or("a key of another length than its suite's")
}

/// `2^n` or a number; beyond 64 bits it is as good as endless.
fn lifetime(text: &str) -> Option<u64> {
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match text.strip_prefix("2^") {
        Some(power) => {
            let power = u32::try_from(number(power)?).unwrap_or(u32::MAX);
            Some(1_u64.checked_shl(power).unwrap_or(u64::MAX))
        }
        None => number(text),
    }
}

/// §6.3: session parameters. One that begins with `-` may be passed over by who does not know it.
fn parameter(text: &str) -> Result<(), &'static str> {
    let name = text.split('=').next().unwrap_or_default();
    match name.to_ascii_uppercase().as_str() {
        // A hint how late packets may be; our window is wider than what it may ask for at least.
        "WSH" => Ok(()),
        "UNENCRYPTED_SRTP" | "UNENCRYPTED_SRTCP" => Err("packets without encryption"),
        "UNAUTHENTICATED_SRTP" => Err("packets without authentication"),
        "KDR" => Err("a key derivation rate"),
        "FEC_ORDER" | "FEC_KEY" => Err("error correction"),
        name if name.starts_with('-') => Ok(()),
        _ => Err("a parameter that we do not know"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_as_a_whole_or_not_at_all() {
        let key = STANDARD.encode([7; 30]);
        let bare = key.trim_end_matches('=');
        let long = STANDARD.encode([7; 44]);
        let cases = [
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY", "1 AES_CM_128_HMAC_SHA1_80"),
            ("999999999 aes_cm_128_hmac_sha1_32 INLINE:BARE", "999999999 AES_CM_128_HMAC_SHA1_32"),
            ("2  AEAD_AES_256_GCM   inline:LONG", "2 AEAD_AES_256_GCM"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^48 WSH=128 -X=1", "1 AES_CM_128_HMAC_SHA1_80"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|1048576", "1 AES_CM_128_HMAC_SHA1_80"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^99", "1 AES_CM_128_HMAC_SHA1_80"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^19", "a key for less than 2^20 packets"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|soon", "a key for less than 2^20 packets"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|2^31|1:4", "a master key identifier (MKI)"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY|1:1", "a master key identifier (MKI)"),
            (
                "1 AES_CM_128_HMAC_SHA1_80 inline:KEY;inline:KEY",
                "several keys, which need a master key identifier (MKI)",
            ),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY UNENCRYPTED_SRTP", "packets without encryption"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY unencrypted_srtcp", "packets without encryption"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY UNAUTHENTICATED_SRTP", "packets without authentication"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY KDR=1", "a key derivation rate"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY FEC_ORDER=FEC_SRTP", "error correction"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:KEY NEW=1", "a parameter that we do not know"),
            ("1 F8_128_HMAC_SHA1_80 inline:KEY", "a suite that is none of ours"),
            ("1 AEAD_AES_128_GCM inline:KEY", "a key of another length than its suite's"),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:!!", "a key that is no base64"),
            ("1 AES_CM_128_HMAC_SHA1_80 uri:KEY", "a key method other than \"inline:\""),
            ("1 AES_CM_128_HMAC_SHA1_80 é", "a key method other than \"inline:\""),
            ("x AES_CM_128_HMAC_SHA1_80 inline:KEY", "a tag that is no number"),
            ("1234567890 AES_CM_128_HMAC_SHA1_80 inline:KEY", "a tag that is no number"),
            ("1 AES_CM_128_HMAC_SHA1_80", "a line without tag, suite and key"),
            ("", "a line without tag, suite and key"),
        ];
        for (line, expected) in cases {
            let line = line.replace("KEY", &key).replace("BARE", bare).replace("LONG", &long);
            let told = match Crypto::parse(&line) {
                Ok(crypto) => format!("{} {}", crypto.tag, crypto.key.suite().name()),
                Err(why) => why.to_owned(),
            };
            assert_eq!(told, expected, "{line}");
        }
    }

    #[test]
    fn what_we_print_we_read() {
        for suite in Suite::ALL {
            let key = MediaKey::from_random(suite, std::array::from_fn(|n| n as u8 * 5));
            let line = Crypto::print("7", &key);
            assert_eq!(Crypto::parse(&line), Ok(Crypto { tag: "7".to_owned(), key }), "{line}");
        }
    }
}
