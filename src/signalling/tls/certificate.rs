//! What a certificate says: whose it is, and from when to when.

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::sip::TlsName;

/// Names taken from one certificate; more are passed over.
const NAMES_MAX: usize = 100;

/// The facts of one certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    /// From its subjectAltName. The subject's common name is none: nobody looks there any more
    /// (RFC 9525 §6.3).
    pub names: Vec<TlsName>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
}

/// How a certificate stands at a moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Validity {
    NotYet,
    /// For so long.
    Left(Duration),
    Expired,
}

impl Certificate {
    /// # Errors
    /// When it is none, in words.
    pub fn read(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der.as_ref())
            .map_err(|error| format!("a certificate that cannot be read: {error}"))?;
        let mut names = Vec::new();
        if let Ok(Some(extension)) = certificate.subject_alternative_name() {
            for name in &extension.value.general_names {
                match name {
                    GeneralName::DNSName(dns) => names.extend(TlsName::of_dns(dns)),
                    GeneralName::URI(uri) => names.extend(TlsName::of_uri(uri)),
                    _ => {}
                }
            }
        }
        names.truncate(NAMES_MAX);
        let validity = certificate.validity();
        let at = |time: x509_parser::time::ASN1Time| {
            let seconds = time.timestamp();
            let apart = Duration::from_secs(seconds.unsigned_abs());
            let epoch = SystemTime::UNIX_EPOCH;
            let at = if seconds < 0 { epoch.checked_sub(apart) } else { epoch.checked_add(apart) };
            at.ok_or_else(|| "dates that no clock tells".to_owned())
        };
        Ok(Self { names, not_before: at(validity.not_before)?, not_after: at(validity.not_after)? })
    }

    #[must_use]
    pub fn validity(&self, now: SystemTime) -> Validity {
        if now < self.not_before {
            return Validity::NotYet;
        }
        self.not_after.duration_since(now).map_or(Validity::Expired, Validity::Left)
    }

    /// Its first name, or a word for none.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.names.first().map_or("no name", TlsName::as_str)
    }
}

/// What a peer has proved, from the chain that it showed and that was verified; nothing without one.
pub(in crate::signalling) fn names_of(chain: Option<&[CertificateDer<'_>]>) -> Vec<TlsName> {
    let own = chain.and_then(<[_]>::first);
    own.and_then(|own| Certificate::read(own).ok()).map(|read| read.names).unwrap_or_default()
}
