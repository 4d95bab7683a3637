//! What a PASSporT says: its header and its claims (RFC 8225 §4 and §5, RFC 8588 §3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::failure::Failure;
use crate::types::{Attestation, PhoneNumber};

/// The JOSE header (RFC 8225 §4).
#[derive(Deserialize)]
pub struct Jose {
    alg: String,
    ppt: Option<String>,
    typ: Option<String>,
    x5u: Option<String>,
    /// Extensions that must be understood (RFC 7515 §4.1.11). We know none.
    crit: Option<IgnoredAny>,
}

impl Jose {
    /// From base64url.
    pub fn read(text: &str) -> Result<Self, Failure> {
        json(text).ok_or(Failure::Unreadable)
    }

    #[must_use]
    pub fn ppt(&self) -> Option<&str> {
        self.ppt.as_deref()
    }

    /// That it is SHAKEN's, signed in the one way that we verify; its `x5u`. An algorithm is never
    /// taken from here: ES256 is what is verified, whatever stands there (RFC 8725 §3.1).
    pub fn judge(&self) -> Result<&str, Failure> {
        if self.alg != "ES256" {
            return Err(Failure::WrongAlgorithm);
        }
        if self.ppt.as_deref() != Some("shaken")
            || !self.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case("passport"))
        {
            return Err(Failure::WrongType);
        }
        if self.crit.is_some() {
            return Err(Failure::Critical);
        }
        self.x5u.as_deref().ok_or(Failure::NoInfo)
    }
}

/// The claims of SHAKEN (RFC 8588 §3 to §6).
#[derive(Clone, Eq, PartialEq)]
pub struct Claims {
    pub attestation: Attestation,
    /// `None`: not a number in E.164, so nobody's that we could compare.
    pub orig: Option<PhoneNumber>,
    /// Those that are numbers.
    pub dest: Vec<PhoneNumber>,
    /// Seconds since 1970.
    pub issued_at: i64,
}

impl Claims {
    /// From base64url.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let raw: Raw = json(text).ok_or(Failure::Claims)?;
        // It names the call for those who trace it; a UUID (RFC 8588 §5).
        let traceable = raw.origid.len() <= 64 && uuid::Uuid::try_parse(&raw.origid).is_ok();
        if !traceable || raw.dest.tn.is_empty() {
            return Err(Failure::Claims);
        }
        Ok(Self {
            attestation: match raw.attest.as_str() {
                "A" => Attestation::A,
                "B" => Attestation::B,
                "C" => Attestation::C,
                _ => return Err(Failure::Claims),
            },
            orig: number(&raw.orig.tn),
            dest: raw.dest.tn.iter().filter_map(|tn| number(tn)).collect(),
            issued_at: i64::try_from(raw.iat).map_err(|_| Failure::Claims)?,
        })
    }
}

#[derive(Deserialize)]
struct Raw {
    attest: String,
    dest: Dest,
    iat: u64,
    orig: Orig,
    origid: String,
}

/// The number that calls. `uri` in its place is for names, which nobody dials us from.
#[derive(Deserialize)]
struct Orig {
    tn: String,
}

#[derive(Deserialize)]
struct Dest {
    tn: Vec<String>,
}

/// Canonical form has no `+` and no separators (RFC 8224 §8.3); what has them is the same number.
fn number(tn: &str) -> Option<PhoneNumber> {
    let digits = tn.strip_prefix('+').unwrap_or(tn);
    PhoneNumber::parse(&format!("+{digits}"), None).ok()
}

/// JSON in base64url. Its size is bounded by the header's, its depth by the reader (128).
fn json<T: DeserializeOwned>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_header_that_is_not_shakens_is_refused_with_its_reason() {
        let good = r#"{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://c.example/a"}"#;
        let with = |from: &str, to: &str| good.replace(from, to);
        let cases = [
            ("as it should be", good.to_owned(), Ok("https://c.example/a")),
            ("another algorithm", with("ES256", "HS256"), Err(Failure::WrongAlgorithm)),
            ("no algorithm", with("ES256", "none"), Err(Failure::WrongAlgorithm)),
            ("in lower case", with("ES256", "es256"), Err(Failure::WrongAlgorithm)),
            ("another extension", with("shaken", "div"), Err(Failure::WrongType)),
            ("no passport", with("passport", "JWT"), Err(Failure::WrongType)),
            ("a demand", with("\"ppt\"", "\"crit\":[\"b64\"],\"ppt\""), Err(Failure::Critical)),
            ("no x5u", with("x5u", "x5c"), Err(Failure::NoInfo)),
            ("alg twice", with("{", "{\"alg\":\"ES256\","), Err(Failure::Unreadable)),
            ("no JSON", "passport".to_owned(), Err(Failure::Unreadable)),
            ("deep", format!("{{\"x\":{}", "[".repeat(1_000)), Err(Failure::Unreadable)),
        ];
        for (name, json, expected) in cases {
            let read = Jose::read(&encoded(&json));
            let judged = read.as_ref().map_err(|failure| *failure).and_then(Jose::judge);
            assert_eq!(judged, expected, "{name}");
        }
    }

    #[test]
    fn claims_that_are_not_shakens_are_refused() {
        let good = r#"{"attest":"A","dest":{"tn":["442079460000"]},"iat":1780304400,
            "orig":{"tn":"442079460001"},"origid":"123e4567-e89b-12d3-a456-426655440000"}"#;
        let with = |from: &str, to: &str| good.replace(from, to);
        let cases = [
            ("as they should be", good.to_owned(), Some("A +442079460001 [+442079460000]")),
            (
                "with a plus",
                with("\"442079460001", "\"+442079460001"),
                Some("A +442079460001 [+442079460000]"),
            ),
            ("B", with("\"A\"", "\"B\""), Some("B +442079460001 [+442079460000]")),
            ("a short number calls", with("442079460001", "911"), Some("A - [+442079460000]")),
            (
                "several destinations",
                with("[\"", "[\"*67\",\"442079460009\",\""),
                Some("A +442079460001 [+442079460009 +442079460000]"),
            ),
            ("an attestation that is none", with("\"A\"", "\"a\""), None),
            ("dest not in a list", with("[\"442079460000\"]", "\"442079460000\""), None),
            ("dest empty", with("[\"442079460000\"]", "[]"), None),
            ("iat as text", with("1780304400", "\"1780304400\""), None),
            ("iat below 1970", with("1780304400", "-1"), None),
            ("iat without end", with("1780304400", "18446744073709551615"), None),
            ("orig a URI", with("\"orig\":{\"tn\"", "\"orig\":{\"uri\""), None),
            ("no origid", with("origid", "origin"), None),
            ("origid no UUID", with("123e4567-e89b-12d3-a456-426655440000", "1"), None),
            ("orig twice", with("\"orig\":", "\"orig\":{\"tn\":\"1\"},\"orig\":"), None),
        ];
        for (name, json, expected) in cases {
            let read = Claims::read(&encoded(&json)).ok().map(|claims| {
                let dest: Vec<_> = claims.dest.iter().map(PhoneNumber::reveal).collect();
                let orig = claims.orig.as_ref().map_or("-", PhoneNumber::reveal);
                format!("{} {orig} [{}]", claims.attestation.as_str(), dest.join(" "))
            });
            assert_eq!(read.as_deref(), expected, "{name}");
        }
    }
}
