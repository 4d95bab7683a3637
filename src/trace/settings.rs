//! What traces must know before they start.

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// Of the ring, about; 0: nothing is kept.
    pub bytes_max: usize,
    /// `None`: nothing is sent.
    pub hep: Option<HepSettings>,
}

/// Where copies go (HEP version 3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HepSettings {
    pub server: SocketAddr,
    /// Tells this service from others there.
    pub capture_id: u32,
    /// One line with the password that the server expects.
    pub password_file: Option<PathBuf>,
}
