//! What the media engine must know before it starts.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::audio::Rate;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Where legs' sockets are bound.
    pub address: IpAddr,
    /// Where those are bound whose peers' sound is IPv6, when `address` is not; `None`: nowhere.
    pub address_v6: Option<Ipv6Addr>,
    /// One UDP port per leg for RTP (even), the next for RTCP.
    pub ports: RangeInclusive<u16>,
    /// Media threads; `None`: one per core.
    pub threads: Option<usize>,
    /// How many percent of their time all media threads may work before new calls are turned away; 100: they never
    /// are.
    pub busy_max: u8,
    /// The highest rate that a room is mixed at.
    pub rate_max: Rate,
}

impl Settings {
    /// All addresses that legs may be bound to: one, or one of each family.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(self.address).chain(self.address_v6.map(IpAddr::from))
    }
}
