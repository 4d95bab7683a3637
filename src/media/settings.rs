//! What the media engine must know before it starts.

use std::net::IpAddr;
use std::ops::RangeInclusive;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Where legs' sockets are bound.
    pub address: IpAddr,
    /// One UDP port per leg for RTP (even), the next for RTCP.
    pub ports: RangeInclusive<u16>,
    /// Media threads; `None`: one per core.
    pub threads: Option<usize>,
    /// How many percent of their time all media threads may work before new calls are turned away; 100: they never
    /// are.
    pub busy_max: u8,
}
