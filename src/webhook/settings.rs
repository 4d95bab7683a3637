//! What one webhook needs to know.

use rustls_pki_types::CertificateDer;

use super::sign::Secret;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Its name in the outbox, the API and metrics.
    pub name: String,
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// The host as it goes into the `Host` header.
    pub authority: String,
    /// Path and query.
    pub path: String,
    pub secret: Secret,
    /// Trusted beside the system's.
    pub authorities: Vec<CertificateDer<'static>>,
    /// It may be on this machine or in a private network.
    pub allow_private: bool,
}
