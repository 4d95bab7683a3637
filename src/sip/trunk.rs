//! Trunks: who may send us calls, and what we believe of them.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use crate::sip::bucket::Rate;
use crate::sip::digest::Guard;
use crate::sip::outside::Outside;
use crate::sip::ping::Ping;
use crate::sip::register::Account;
use crate::sip::tls_name::TlsName;
use crate::types::{Country, JitterBounds};

/// One SIP peer, as its file in the trunks folder describes it. By default it allows nobody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trunk {
    /// Letters, digits, `-` and `_`; unique.
    pub name: String,
    /// The carrier it belongs to: a number that was remembered over one of its trunks is good on all.
    /// A trunk that names none has its own name here.
    pub group: String,
    /// Source addresses whose calls are this trunk's; empty refuses all, unless `tls_names` has some.
    pub allow: Vec<Network>,
    /// If there are any, its calls come over TLS alone, from a peer whose verified certificate has one
    /// of these names, and from an address of `allow` if that is not empty.
    pub tls_names: Vec<TlsName>,
    /// What it says of callers.
    pub believe: Believe,
    /// Whether its own verification of signatures is believed.
    pub verstat: Verstats,
    /// Whether signatures that come over it are verified here (RFC 8224).
    pub stir: bool,
    /// What a national number on it means.
    pub country: Option<Country>,
    /// In the order we prefer.
    pub codecs: Vec<CodecName>,
    pub dtmf: DtmfMode,
    /// Silence is sent as comfort noise to phones that take it (RFC 3389).
    pub comfort_noise: bool,
    pub srtp: SrtpMode,
    /// SRTP keys are given and taken over UDP and TCP too, where anybody on the way can read them.
    pub srtp_over_plain_signalling: bool,
    /// Where a caller's sound may come from.
    pub media_source: MediaSource,
    /// How long its callers' packets may wait to be played in order.
    pub jitter: JitterBounds,
    /// What is done to its callers' sound.
    pub voice: Voice,
    /// Most calls at once; `None`: no limit of its own.
    pub calls_max: Option<usize>,
    /// When 180 must be acknowledged.
    pub reliable: Reliable,
    /// Most new calls in a time; `None`: no limit of its own.
    pub calls_rate: Option<Rate>,
    /// Its callers prove a password; `None`: their address is proof enough.
    pub guard: Option<Guard>,
    /// Our addresses as this peer sees them; without one: as all others do.
    pub external_address: Outside,
    /// Where we register for its calls. The registrar's addresses are its sources, beside `allow`.
    pub registration: Option<Account>,
    /// Where we ask whether it is there.
    pub ping: Option<Ping>,
}

/// What is done to callers' sound before others hear it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Voice {
    pub automatic_gain: bool,
    pub noise_suppression: bool,
    pub noise_gate: bool,
}

impl Default for Voice {
    fn default() -> Self {
        Self { automatic_gain: true, noise_suppression: false, noise_gate: false }
    }
}

impl Trunk {
    /// Anybody in the world may knock.
    #[must_use]
    pub fn takes_any_source(&self) -> bool {
        self.allow.iter().any(|block| block.is_everything())
    }
}

/// Which header of this trunk names the caller with the carrier's word (`caller_id.trust`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Believe {
    #[default]
    None,
    From,
    Pai,
}

/// What the verstat parameter of this trunk is good for (`caller_id.verstat`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verstats {
    #[default]
    Ignored,
    /// Believed, with the attestation that stands beside it.
    Stated,
    /// Believed, and A where no attestation stands beside it.
    AUnlessStated,
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
    /// Plain RTP alone.
    #[default]
    Off,
    /// Encrypted where the peer can, plain otherwise.
    Offer,
    /// Encrypted or not at all.
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

/// Whose provisional answers are sent until they are acknowledged (RFC 3262).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reliable {
    /// Of calls that require it.
    #[default]
    Required,
    /// Of calls that support it, too.
    Supported,
}

/// An address block in CIDR notation. An IPv4-mapped IPv6 source counts as IPv4.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Finds the trunk of a source: by the names that it has proved, else by its address. The narrowest
/// block wins; of equal blocks the first trunk.
///
/// An address costs one look-up per prefix length in use, however many trunks there are.
#[derive(Clone, Debug, Default)]
pub struct Trunks {
    /// Trunks that need a name, by each of their names, and each once.
    named: HashMap<TlsName, Vec<Arc<Trunk>>>,
    all_named: Vec<Arc<Trunk>>,
    all: Vec<Arc<Trunk>>,
    blocks: HashMap<Network, Arc<Trunk>>,
    /// Addresses that are a trunk's for another reason than its file.
    learned: HashMap<IpAddr, Arc<Trunk>>,
    /// Prefix lengths in use, longest first.
    prefixes_v4: Vec<u8>,
    prefixes_v6: Vec<u8>,
}

impl Trunks {
    #[must_use]
    pub fn new(trunks: Vec<Trunk>) -> Self {
        let mut all = Self::default();
        for trunk in trunks {
            let trunk = Arc::new(trunk);
            all.all.push(trunk.clone());
            if !trunk.tls_names.is_empty() {
                for name in &trunk.tls_names {
                    all.named.entry(name.clone()).or_default().push(trunk.clone());
                }
                all.all_named.push(trunk);
                continue;
            }
            for network in &trunk.allow {
                let network = network.canonical();
                all.blocks.entry(network).or_insert_with(|| trunk.clone());
                let prefixes =
                    if network.address.is_ipv4() { &mut all.prefixes_v4 } else { &mut all.prefixes_v6 };
                prefixes.push(network.prefix);
            }
        }
        for prefixes in [&mut all.prefixes_v4, &mut all.prefixes_v6] {
            prefixes.sort_unstable_by(|a, b| b.cmp(a));
            prefixes.dedup();
        }
        all
    }

    /// The trunk of a peer at `source` that has proved to bear `names`.
    #[must_use]
    pub fn of_peer(&self, source: IpAddr, names: &[TlsName]) -> Option<&Arc<Trunk>> {
        let mut named = names.iter().filter_map(|name| self.named.get(name)).flatten();
        named.find(|trunk| trunk.may_come_from(source)).or_else(|| self.of(source))
    }

    /// A trunk that `source` would belong to if it proved the right name.
    #[must_use]
    pub fn by_proof(&self, source: IpAddr) -> Option<&Arc<Trunk>> {
        self.all_named.iter().find(|trunk| trunk.may_come_from(source))
    }

    /// The trunk that has this address in `allow`, whatever else it asks for: where calls of ours go.
    #[must_use]
    pub fn at(&self, address: IpAddr) -> Option<&Arc<Trunk>> {
        let holds = |trunk: &&Arc<Trunk>| trunk.allow.iter().any(|block| block.contains(address));
        self.of(address).or_else(|| self.all_named.iter().find(holds))
    }

    /// The trunk whose calls come from `source`, whoever is there.
    #[must_use]
    pub fn of(&self, source: IpAddr) -> Option<&Arc<Trunk>> {
        let source = source.to_canonical();
        let prefixes = if source.is_ipv4() { &self.prefixes_v4 } else { &self.prefixes_v6 };
        let block = |&prefix: &u8| self.blocks.get(&Network { address: source, prefix }.canonical());
        // What is written of this very address goes before what was learned of it.
        let whole = if source.is_ipv4() { 32 } else { 128 };
        let written = prefixes.first().filter(|prefix| **prefix == whole).and_then(block);
        written.or_else(|| self.learned.get(&source)).or_else(|| prefixes.iter().find_map(block))
    }

    #[must_use]
    pub fn all(&self) -> &[Arc<Trunk>] {
        &self.all
    }

    /// These addresses are these trunks', and no others beside the files'.
    pub fn learn(&mut self, addresses: &[(String, Vec<IpAddr>)]) {
        self.learned = self.learning(addresses);
    }

    /// [`Trunks::learn`] would change nothing.
    #[must_use]
    pub fn knows(&self, addresses: &[(String, Vec<IpAddr>)]) -> bool {
        let learned = self.learning(addresses);
        learned.len() == self.learned.len()
            && learned.iter().all(|(ip, trunk)| self.learned.get(ip).is_some_and(|is| is.name == trunk.name))
    }

    fn learning(&self, addresses: &[(String, Vec<IpAddr>)]) -> HashMap<IpAddr, Arc<Trunk>> {
        let mut learned = HashMap::new();
        for (name, addresses) in addresses {
            let Some(trunk) = self.all.iter().find(|trunk| trunk.name == *name) else { continue };
            // Where names are asked for, an address alone proves nothing.
            if !trunk.tls_names.is_empty() {
                continue;
            }
            for address in addresses {
                learned.entry(address.to_canonical()).or_insert_with(|| trunk.clone());
            }
        }
        learned
    }
}

impl Trunk {
    /// Whether a peer at this address may be this trunk's: `allow` holds it, or a name alone decides.
    fn may_come_from(&self, source: IpAddr) -> bool {
        self.allow.iter().any(|block| block.contains(source))
            || self.allow.is_empty() && !self.tls_names.is_empty()
    }

    /// Whether there is a peer that both would take calls from.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let common_name = || self.tls_names.iter().any(|name| other.tls_names.contains(name));
        let common_address = || {
            self.allow.is_empty()
                || other.allow.is_empty()
                || self.allow.iter().any(|block| other.allow.iter().any(|theirs| block.overlaps(theirs)))
        };
        !self.tls_names.is_empty() && !other.tls_names.is_empty() && common_name() && common_address()
    }
}

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("network {0:?}, expected an address or a block such as \"192.0.2.0/24\"")]
pub struct NotANetwork(String);

impl Network {
    /// The same block with the address bits outside its prefix cleared.
    fn canonical(self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        };
        Self { address, prefix: self.prefix }
    }

    /// Every IPv4 or every IPv6 address.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.prefix == 0
    }

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

    #[test]
    fn a_source_belongs_to_the_trunk_with_the_narrowest_block() {
        let trunks = Trunks::new(vec![
            trunk("wide", &["10.9.9.9/8", "::/0"], &[]),
            trunk("narrow", &["10.1.0.0/16", "192.0.2.7"], &[]),
            trunk("late", &["10.1.0.0/16"], &[]),
            trunk("nobody", &[], &[]),
        ]);
        let cases = [
            ("10.2.0.1", Some("wide")),
            ("10.1.0.1", Some("narrow")),
            ("::ffff:10.1.0.1", Some("narrow")),
            ("192.0.2.7", Some("narrow")),
            ("192.0.2.8", None),
            ("2001:db8::1", Some("wide")),
        ];
        for (source, expected) in cases {
            let found = trunks.of(source.parse().unwrap()).map(|trunk| trunk.name.as_str());
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn a_name_decides_where_a_trunk_asks_for_one_and_an_address_no_longer_does() {
        let mut trunks = Trunks::new(vec![
            trunk("anywhere", &[], &["sbc.example.net", "sip:example.net"]),
            trunk("both", &["192.0.2.0/24"], &["edge.example.org"]),
            trunk("plain", &["198.51.100.0/24"], &[]),
        ]);
        let cases: [(&str, &[&str], Option<&str>); 8] = [
            ("203.0.113.1", &["sbc.example.net"], Some("anywhere")),
            ("203.0.113.1", &["other.example.net", "sip:example.net"], Some("anywhere")),
            ("203.0.113.1", &["net"], None),
            ("192.0.2.1", &["edge.example.org"], Some("both")),
            ("203.0.113.1", &["edge.example.org"], None),
            ("192.0.2.1", &[], None),
            ("198.51.100.1", &[], Some("plain")),
            ("198.51.100.1", &["sbc.example.net"], Some("anywhere")),
        ];
        for (source, names, expected) in cases {
            let names: Vec<TlsName> = names.iter().map(|name| name.parse().unwrap()).collect();
            let found = trunks.of_peer(source.parse().unwrap(), &names).map(|trunk| trunk.name.as_str());
            assert_eq!(found, expected, "{source} {names:?}");
        }
        let registered = [("anywhere", "203.0.113.50"), ("plain", "203.0.113.51")];
        trunks.learn(&registered.map(|(name, address)| (name.to_owned(), vec![address.parse().unwrap()])));
        let of = |source: &str| trunks.of(source.parse().unwrap()).is_some();
        assert!(!of("203.0.113.50") && of("203.0.113.51"), "a registration alone proves no name");
        assert!(!of("192.0.2.1") && of("198.51.100.1"), "without TLS only where no name is asked for");
        let only_both = Trunks::new(vec![trunk("both", &["192.0.2.0/24"], &["edge.example.org"])]);
        let may = |source: &str| only_both.by_proof(source.parse().unwrap()).is_some();
        assert!(may("192.0.2.9") && !may("203.0.113.1"), "nobody else need try");
    }

    fn trunk(name: &str, allow: &[&str], tls_names: &[&str]) -> Trunk {
        Trunk {
            name: name.to_owned(),
            allow: allow.iter().map(|block| block.parse().unwrap()).collect(),
            tls_names: tls_names.iter().map(|name| name.parse().unwrap()).collect(),
            believe: Believe::None,
            country: None,
            codecs: Vec::new(),
            dtmf: DtmfMode::Auto,
            srtp: SrtpMode::Off,
            media_source: MediaSource::Latch,
            calls_max: None,
            ..Trunk::default()
        }
    }
}
