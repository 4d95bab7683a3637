//! What verifying signatures needs to know.

use rustls_pki_types::CertificateDer;

use crate::sip::passport::Roots;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Authorities whose certificates sign calls.
    pub roots: Roots,
    /// Ports that certificates may be fetched from.
    pub ports: Vec<u16>,
    /// Trusted beside the system's when we fetch by https.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Addresses of this machine and of private networks may be connected to. Only for a laboratory:
    /// whoever calls decides where we connect.
    pub allow_private: bool,
}
