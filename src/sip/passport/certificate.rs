//! The certificate a PASSporT was signed with (RFC 8226), and whether it leads to a root we trust.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::Authority;
use super::failure::Failure;

/// Certificates of one chain, the leaf included.
const CHAIN_MAX: usize = 6;
/// Certificates of a file of roots.
const ROOTS_MAX: usize = 500;

/// id-pe-TNAuthList (RFC 8226 §9).
const TN_AUTH_LIST: &str = "1.3.6.1.5.5.7.1.26";
/// An elliptic curve key (RFC 5480 §2.1.1), and the curve P-256.
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const P_256: &str = "1.2.840.10045.3.1.7";

/// SHAKEN certificates are signed by ECDSA; others are nobody's whom we could trust.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
];

/// A leaf and what came with it, read but not believed. Keep it: reading is most of the work.
#[derive(Clone)]
pub struct Chain {
    leaf: CertificateDer<'static>,
    others: Vec<CertificateDer<'static>>,
    /// The leaf's point on P-256, uncompressed.
    key: Vec<u8>,
    authority: Authority,
}

impl Chain {
    /// From PEM, the leaf first (RFC 8555 §9.1).
    pub fn from_pem(pem: &[u8]) -> Result<Self, Failure> {
        let mut certificates = certificates(pem, CHAIN_MAX).ok_or(Failure::BadCertificate)?.into_iter();
        let leaf = certificates.next().ok_or(Failure::BadCertificate)?;
        let (rest, parsed) = X509Certificate::from_der(&leaf).map_err(|_| Failure::BadCertificate)?;
        if !rest.is_empty() {
            return Err(Failure::BadCertificate);
        }
        let key = key(&parsed)?;
        // A key for something else, such as issuing, signs no calls (RFC 5280 §4.2.1.3).
        let usage = parsed.key_usage().map_err(|_| Failure::BadCertificate)?;
        if usage.is_some_and(|usage| !usage.value.digital_signature()) {
            return Err(Failure::BadCertificate);
        }
        let mut lists =
            parsed.extensions().iter().filter(|extension| extension.oid.to_id_string() == TN_AUTH_LIST);
        let (Some(list), None) = (lists.next(), lists.next()) else { return Err(Failure::NoAuthorityList) };
        let authority = Authority::read(list.value)?;
        Ok(Self { others: certificates.collect(), key, authority, leaf })
    }

    /// That it leads to one of `roots` and every certificate on the way is valid at `now`.
    pub fn judge(&self, roots: &Roots, now: Timestamp) -> Result<(), Failure> {
        let seconds = u64::try_from(now.as_second()).map_err(|_| Failure::CertificateExpired)?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let valid = |root: &&Root| (root.from..=root.until).contains(&now.as_second());
        let anchors: Vec<TrustAnchor<'_>> =
            roots.0.iter().filter(valid).map(|root| root.anchor.clone()).collect();
        let leaf = EndEntityCert::try_from(&self.leaf).map_err(|_| Failure::BadCertificate)?;
        // Certificates for calls have no extended usage; one that has some is for something else.
        let usage = KeyUsage::required_if_present(NO_USAGE);
        leaf.verify_for_usage(ALGORITHMS, &anchors, &self.others, time, usage, None, None)
            .map(|_| ())
            .map_err(|error| failure(&error))
    }

    /// The leaf's key, as ring takes it.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chain({}, {} certificates)", self.authority.holder(), self.others.len() + 1)
    }
}

/// An object identifier that no purpose has: in an arc of examples (2.999).
const NO_USAGE: &[u8] = &[0x88, 0x37];

/// The point, if it is one on P-256.
fn key(certificate: &X509Certificate<'_>) -> Result<Vec<u8>, Failure> {
    let info = certificate.public_key();
    let curve = info.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let point = &info.subject_public_key.data;
    let good = info.algorithm.algorithm.to_id_string() == EC_PUBLIC_KEY
        && curve.is_some_and(|curve| curve.to_id_string() == P_256)
        && point.len() == 65
        && point.first() == Some(&4);
    if good { Ok(point.to_vec()) } else { Err(Failure::WrongKey) }
}

fn failure(error: &webpki::Error) -> Failure {
    match error {
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
            Failure::CertificateExpired
        }
        webpki::Error::UnknownIssuer
        | webpki::Error::InvalidSignatureForPublicKey
        | webpki::Error::UnsupportedSignatureAlgorithmContext(_)
        | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => Failure::UnknownIssuer,
        _ => Failure::BadCertificate,
    }
}

/// The certificates in a PEM file; other things in it are passed over. `None`: one cannot be read, or
/// there are more than `most`.
fn certificates(pem: &[u8], most: usize) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).take(most + 1).collect::<Result<_, _>>().ok()?;
    (found.len() <= most).then_some(found)
}

/// The authorities whose certificates we believe.
#[derive(Clone, Default, PartialEq)]
pub struct Roots(Vec<Root>);

#[derive(Clone, PartialEq)]
struct Root {
    anchor: TrustAnchor<'static>,
    /// When it is valid, both included, in seconds since 1970. An anchor alone would be for ever.
    from: i64,
    until: i64,
}

/// Why a file of roots is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotRoots {
    #[error("no certificate in it, expected PEM with one or more")]
    Empty,
    #[error("not PEM, or more than {ROOTS_MAX} certificates")]
    Unreadable,
    #[error("certificate {0} cannot be read")]
    Certificate(usize),
}

impl Roots {
    pub fn from_pem(pem: &[u8]) -> Result<Self, NotRoots> {
        let found = certificates(pem, ROOTS_MAX).ok_or(NotRoots::Unreadable)?;
        let mut roots = Vec::new();
        for (at, der) in found.iter().enumerate() {
            let wrong = || NotRoots::Certificate(at + 1);
            let anchor = webpki::anchor_from_trusted_cert(der).map_err(|_| wrong())?.to_owned();
            let (_, parsed) = X509Certificate::from_der(der).map_err(|_| wrong())?;
            let validity = parsed.validity();
            let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
            roots.push(Root { anchor, from, until });
        }
        if roots.is_empty() { Err(NotRoots::Empty) } else { Ok(Self(roots)) }
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}
