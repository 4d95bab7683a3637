//! Trunks: who may send us calls, and what we believe of them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::types::Country;

/// One SIP peer, as its file in the trunks folder describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trunk {
    /// Letters, digits, `-` and `_`; unique.
    pub name: String,
    /// Source addresses whose calls are this trunk's; empty refuses all.
    pub allow: Vec<Network>,
    /// What it says of callers.
    pub believe: Believe,
    /// What a national number on it means.
    pub country: Option<Country>,
    /// In the order we prefer.
    pub codecs: Vec<CodecName>,
    pub dtmf: DtmfMode,
    pub srtp: SrtpMode,
    /// Where a caller's sound may come from.
    pub media_source: MediaSource,
    /// Most calls at once; `None`: no limit of its own.
    pub calls_max: Option<usize>,
}

/// Which header of this trunk names the caller with the carrier's word (`caller_id.trust`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Believe {
    #[default]
    None,
    From,
    Pai,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CodecName {
    Opus,
    G722,
    Pcma,
    Pcmu,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum DtmfMode {
    /// RFC 4733 when negotiated, in-band tones only otherwise; INFO always.
    #[default]
    Auto,
    Rfc4733,
    Inband,
    Info,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SrtpMode {
    #[default]
    Off,
    Offer,
    Require,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MediaSource {
    /// Exactly the address and port of the SDP.
    Sdp,
    /// Symmetric RTP: proved by packets, see `rtp::latch`.
    #[default]
    Latch,
}

/// An address block in CIDR notation. An IPv4-mapped IPv6 source counts as IPv4.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("network {0:?}, expected an address or a block such as \"192.0.2.0/24\"")]
pub struct NotANetwork(String);

impl Network {
    #[must_use]
    pub fn contains(&self, source: IpAddr) -> bool {
        match (self.address, source.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(source)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (net.to_bits() ^ source.to_bits()) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(source)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (net.to_bits() ^ source.to_bits()) & mask == 0
            }
            _ => false,
        }
    }

    /// Whether any address is in both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        // Of two blocks that share an address, one holds the other whole.
        let (wide, narrow) = if self.prefix <= other.prefix { (self, other) } else { (other, self) };
        wide.contains(narrow.address)
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.chars().take(60).collect());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if prefix <= most { Ok(Self { address, prefix }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_overlap_when_one_holds_the_other() {
        let cases = [
            ("10.0.0.0/8", "10.1.2.0/24", true),
            ("10.1.2.3", "10.1.2.3/32", true),
            ("10.1.2.99/24", "10.1.2.0/25", true),
            ("10.1.2.0/25", "10.1.2.128/25", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::/32", false),
            ("2001:db8::/32", "2001:db8:1::/48", true),
        ];
        for (a, b, overlap) in cases {
            let (a, b): (Network, Network) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((a.overlaps(&b), b.overlaps(&a)), (overlap, overlap), "{a} {b}");
        }
    }

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        let cases = [
            ("127.0.0.0/8", "127.1.2.3", true),
            ("127.0.0.0/8", "128.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("::/0", "192.0.2.1", false),
        ];
        for (block, source, inside) in cases {
            let block: Network = block.parse().unwrap();
            assert_eq!(block.contains(source.parse().unwrap()), inside, "{block} {source}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "::/129", "x/8", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
