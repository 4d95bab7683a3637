//! What operators should read in the log: not about one call, but about a trunk.

use std::net::IpAddr;

use crate::sip::digest::Refused;

/// Told now and then, not for every packet of a flood; the counters count all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// Credentials that do not prove the trunk's password.
    Unproved { trunk: String, source: IpAddr, why: Refused },
    /// More new calls in a second than the trunk may make.
    TooFast { trunk: String },
}
