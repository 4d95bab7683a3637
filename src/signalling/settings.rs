//! What signalling must know before it starts.

use std::net::SocketAddr;

use super::Tls;
use crate::sip::bucket::Rate;
use crate::sip::{Outside, Transport};

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// At least one.
    pub listen: Vec<Listen>,
    /// Our addresses as peers see them, for Contact and SDP, in place of the one a message came in on.
    pub external_address: Outside,
    /// New calls of all trunks together; `None`: as many as come.
    pub calls_rate: Option<Rate>,
    /// For addresses of TLS; `None`: there are none, and nothing is sent over it.
    pub tls: Option<Tls>,
    /// Whom to ask where names lead; none: the system's.
    pub name_servers: Vec<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listen {
    pub transport: Transport,
    /// Port 0 takes a free one (tests).
    pub address: SocketAddr,
}
