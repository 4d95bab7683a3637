//! Caller identity that is signed: PASSporT and SHAKEN (RFC 8224, RFC 8225, RFC 8226, RFC 8588).
//!
//! The carrier where a call begins signs who calls whom, when, and how well it knows that. Between
//! reading what was signed and judging it, somebody must fetch the certificate; so it goes in steps:
//!
//! ```text
//! Identity headers ─> Passports::read ─> Passport::concerns(call, now) ─> its url()   ... fetch ...
//!                                              Chain::from_pem ─> Passport::judge(chain, roots, now)
//! ```
//!
//! All of it is a question of bytes, a date and roots. What follows from the verdict is decided
//! elsewhere.

mod authority;
mod certificate;
mod claims;
mod failure;
mod header;
mod url;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

pub use certificate::{Chain, NotRoots, Roots};
pub use failure::Failure;
pub use url::Url;

use crate::types::{Attestation, PhoneNumber};
use claims::{Claims, Jose};
use header::Header;

/// Identity headers of one call, of any kind.
pub const HEADERS_MAX: usize = 8;
/// Of those, SHAKEN's: the originating carrier's, and perhaps one of a gateway on the way.
const SHAKEN_MAX: usize = 2;
/// A PASSporT older than this is stale (RFC 8224 §12.1), in seconds.
const AGE_MAX: i64 = 60;
/// So much may the signer's clock be before ours, in seconds.
const AHEAD_MAX: i64 = 5;

/// What the Identity headers of a call come to.
#[derive(Debug)]
pub struct Passports {
    /// SHAKEN's, in their order.
    pub shaken: Vec<Passport>,
    /// There is one that says that the call was diverted (RFC 8946): then SHAKEN's names the number
    /// that was dialled first.
    pub diverted: bool,
}

impl Passports {
    /// Reads all. Those of other kinds are passed over; one of SHAKEN that cannot be read fails all.
    pub fn read<T: AsRef<str>>(headers: &[T]) -> Result<Self, Failure> {
        if headers.len() > HEADERS_MAX {
            return Err(Failure::TooMany);
        }
        let mut found = Self { shaken: Vec::new(), diverted: false };
        for value in headers {
            let header = Header::read(value.as_ref())?;
            let kind = match header.ppt {
                Some(kind) => kind.to_owned(),
                None if header.is_compact() => String::new(),
                // The parameter repeats what is signed (RFC 8224 §4.1): without it that is asked.
                None => Jose::read(header.header)?.ppt().unwrap_or_default().to_owned(),
            };
            match kind.as_str() {
                "shaken" if found.shaken.len() == SHAKEN_MAX => return Err(Failure::TooMany),
                "shaken" => found.shaken.push(Passport::of(&header)?),
                "div" | "div-o" => found.diverted = true,
                _ => {}
            }
        }
        Ok(found)
    }
}

/// A PASSporT of SHAKEN, well-formed and not yet believed.
#[derive(Clone)]
pub struct Passport {
    /// Header and payload as they were signed.
    signed: String,
    signature: Vec<u8>,
    url: Url,
    claims: Claims,
}

/// Who calls whom.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The number that we would believe.
    pub caller: &'a PhoneNumber,
    /// What the dialled number may be written as.
    pub called: &'a [PhoneNumber],
}

/// A signature that holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signed {
    pub attestation: Attestation,
    /// Who signed, for operators: a service provider's code, never a number.
    pub signer: String,
}

impl Passport {
    fn of(header: &Header<'_>) -> Result<Self, Failure> {
        if header.is_compact() {
            return Err(Failure::Compact);
        }
        if header.alg.is_some_and(|alg| alg != "ES256") {
            return Err(Failure::WrongAlgorithm);
        }
        let jose = Jose::read(header.header)?;
        if jose.judge()? != header.info {
            return Err(Failure::InfoMismatch);
        }
        let signature = URL_SAFE_NO_PAD.decode(header.signature).map_err(|_| Failure::Unreadable)?;
        Ok(Self {
            signed: format!("{}.{}", header.header, header.payload),
            signature,
            url: Url::parse(header.info)?,
            claims: Claims::read(header.payload)?,
        })
    }

    /// Where its certificate is.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// What tells this PASSporT from all others: what was signed. Not the signature, of which anyone can
    /// make a second one that holds (ECDSA's `s` and its negative).
    #[must_use]
    pub fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// That it is about this call, and fresh. Costs nothing: ask before anything is fetched.
    pub fn concerns(&self, call: Call<'_>, now: Timestamp) -> Result<(), Failure> {
        let age = now.as_second().saturating_sub(self.claims.issued_at);
        if age > AGE_MAX {
            return Err(Failure::Expired);
        }
        if age < -AHEAD_MAX {
            return Err(Failure::FromTheFuture);
        }
        if self.claims.orig.as_ref() != Some(call.caller) {
            return Err(Failure::WrongCaller);
        }
        // Without this, a PASSporT that was overheard on its way to somebody else opens our door.
        if !self.claims.dest.iter().any(|dest| call.called.contains(dest)) {
            return Err(Failure::WrongCalled);
        }
        Ok(())
    }

    /// That the chain leads to a root, is for the calling number, and made this signature.
    pub fn judge(&self, chain: &Chain, roots: &Roots, now: Timestamp) -> Result<Signed, Failure> {
        chain.judge(roots, now)?;
        let caller = self.claims.orig.as_ref().ok_or(Failure::WrongCaller)?;
        if !chain.authority().covers(caller) {
            return Err(Failure::NumberNotCovered);
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, chain.key())
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| Failure::WrongSignature)?;
        Ok(Signed { attestation: self.claims.attestation, signer: chain.authority().holder() })
    }
}

/// Neither numbers nor the token.
impl fmt::Debug for Passport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passport({}, {:?})", self.claims.attestation.as_str(), self.url)
    }
}
