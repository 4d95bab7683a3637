//! What operators should read in the log: not about one call, but about a trunk.

use std::net::IpAddr;
use std::time::Duration;

use super::Reach;
use crate::sip::digest::Refused;
use crate::sip::register::Failure;

/// Told now and then, not for every packet of a flood; the counters count all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// Credentials that do not prove the trunk's password.
    Unproved { trunk: String, source: IpAddr, why: Refused },
    /// More new calls in a second than the trunk may make.
    TooFast { trunk: String },
    /// More new calls in a second than the service takes, of all trunks together; so many were refused
    /// since this was last told.
    Flooded { refused: u64 },
    /// The way to a trunk's peer is another than before.
    Reach { trunk: String, reach: Reach },
    /// A registration failed.
    NotRegistered { trunk: String, failure: Failure, next_try: Duration },
    /// A registration is being given back: its trunk is gone or changed, or the service stops.
    Unregistered { trunk: String },
}
