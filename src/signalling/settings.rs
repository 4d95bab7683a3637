//! What signalling must know before it starts.

use std::net::{IpAddr, SocketAddr};

use super::Tls;
use crate::sip::Transport;
use crate::sip::bucket::Rate;

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// At least one.
    pub listen: Vec<Listen>,
    /// Our address as peers see it, for Contact and SDP; `None`: the one a message came in on.
    pub external_address: Option<IpAddr>,
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
