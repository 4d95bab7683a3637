//! What the mail room must know before it starts.

use std::path::PathBuf;

/// The server that takes our mail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// A name or an address; the certificate must be for it.
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// User name, and the file with the password: one line. Read for each connection's settings at start.
    pub login: Option<(String, PathBuf)>,
    /// The address that mail comes from, such as `doorline@example.com`.
    pub from: String,
    /// Certificates (PEM) that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Security {
    /// Plain until the server has agreed to TLS, which it must (RFC 3207). Port 587.
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314 §3.3). Port 465.
    Tls,
    /// None: only to this machine.
    None,
}

impl Security {
    /// The usual port.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}
