//! Via: the way a request came, and the way its answers go back (RFC 3261 §18.2, §20.42, RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::grammar::{self, SPACE, is_token};
use super::params::Params;
use crate::sip::Transport;
use crate::sip::uri::{Host, parse_host_port};

/// One value. Its parameters keep their order, so that an answer carries it back as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Via {
    /// As written: `UDP`, `TCP`, `TLS`, or one we do not know.
    pub transport: String,
    /// `sent-by`.
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
}

/// Begins each branch of RFC 3261 §8.1.1.7.
const MAGIC_COOKIE: &str = "z9hG4bK";

impl Via {
    /// Of a request of ours. `branch` must begin with the magic cookie; `rport` asks for RFC 3581.
    #[must_use]
    pub fn new(transport: Transport, sent_by: SocketAddr, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("branch", Some(branch));
        params.set("rport", None);
        Self {
            transport: transport.via_name().to_owned(),
            host: Host::Ip(sent_by.ip()),
            port: Some(sent_by.port()),
            params,
        }
    }

    /// `SIP / 2.0 / UDP  host : port ; params`, white space wherever RFC 3261 §25.1 lets it stand.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (protocol, rest) = text.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let (protocol, version) = (protocol.trim_matches(SPACE), version.trim_matches(SPACE));
        if !protocol.eq_ignore_ascii_case("SIP") || version != "2.0" {
            return None;
        }
        let (transport, rest) = rest.trim_start_matches(SPACE).split_once(SPACE)?;
        if !is_token(transport) {
            return None;
        }
        let (sent_by, params) = match grammar::find(rest, b';') {
            Some(at) => (&rest[..at], Params::parse_header(&rest[at + 1..])?),
            None => (rest, Params::default()),
        };
        let (host, port) = parse_host_port(sent_by.trim_matches(SPACE)).ok()?;
        let via = Self { transport: transport.to_owned(), host, port, params };
        let received_is_address = via.params.value("received").is_none() || via.received().is_some();
        let rport_is_port = via.params.value("rport").is_none_or(|port| port.parse::<u16>().is_ok());
        (received_is_address && rport_is_port).then_some(via)
    }

    /// As written, also one of RFC 2543 without the magic cookie; see [`Via::transaction_branch`].
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// The branch when it identifies a transaction: the magic cookie and something after it
    /// (RFC 3261 §17.2.3, RFC 4475 §3.2.1). Otherwise the rules of RFC 2543 apply.
    #[must_use]
    pub fn transaction_branch(&self) -> Option<&str> {
        let branch = self.branch()?;
        let cookie = branch.get(..MAGIC_COOKIE.len())?;
        (cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && branch.len() > cookie.len()).then_some(branch)
    }

    /// With or without the brackets round an IPv6 address (RFC 5118 §4.5).
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        let text = self.params.value("received")?;
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse().ok()
    }

    /// `Some(None)`: asked for but not filled in.
    #[must_use]
    pub fn rport(&self) -> Option<Option<u16>> {
        let asked = self.params.has("rport");
        asked.then(|| self.params.value("rport").and_then(|port| port.parse().ok()))
    }

    #[must_use]
    pub fn known_transport(&self) -> Option<Transport> {
        [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .find(|transport| transport.via_name().eq_ignore_ascii_case(&self.transport))
    }

    /// 5060, or 5061 for TLS, when none is written.
    #[must_use]
    pub fn port_or_default(&self) -> u16 {
        let default = self.known_transport().map_or(5060, Transport::default_port);
        self.port.unwrap_or(default)
    }

    /// What a server writes into the top Via of a request it received (RFC 3261 §18.2.1, RFC 3581
    /// §4): `received` when the source is not the literal in `sent-by` or rport was asked for, and
    /// rport's value. What the sender claimed for either is overwritten.
    pub fn mark_received(&mut self, source: SocketAddr) {
        let ip = source.ip().to_canonical();
        let asks_rport = self.params.has("rport");
        if asks_rport {
            self.params.set("rport", Some(&source.port().to_string()));
        }
        if asks_rport || self.host.ip().map(|host| host.to_canonical()) != Some(ip) {
            self.params.set("received", Some(&ip.to_string()));
        } else {
            self.params.remove("received");
        }
    }

    /// Where an answer over UDP goes (RFC 3261 §18.2.2, RFC 3581 §4), once [`Via::mark_received`]
    /// has been there; `None` when only a name says so. `maddr` is not followed: it would let a
    /// request send our answers anywhere.
    #[must_use]
    pub fn answer_address(&self) -> Option<SocketAddr> {
        let ip = self.received().or_else(|| self.host.ip())?;
        let port = self.rport().flatten().unwrap_or_else(|| self.port_or_default());
        Some(SocketAddr::new(ip, port))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vias_read_and_print() {
        let cases = [
            (
                "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1",
                Some("SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1"),
            ),
            (
                "SIP  / 2.0  / TCP     spindle.example.com   ; branch  =   z9hG4bK9ikj8",
                Some("SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8"),
            ),
            ("sip/2.0/UNKNOWN t4.example.com : 7 ;x", Some("SIP/2.0/UNKNOWN t4.example.com:7;x")),
            (
                "SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111",
                Some("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111"),
            ),
            ("SIP/2.0/TLS [2001:db8::1]:5061;rport", Some("SIP/2.0/TLS [2001:db8::1]:5061;rport")),
            ("SIP/2.0/UDP 2001:db8::1", None),
            ("SIP/3.0/UDP h", None),
            ("HTTP/2.0/UDP h", None),
            ("SIP/2.0/UDP", None),
            ("SIP/2.0/UDP ", None),
            ("SIP/2.0/UDP h:99999", None),
            ("SIP/2.0/UDP h;;", None),
            ("SIP/2.0/UDP h;received=nobody", None),
            ("SIP/2.0/UDP h;rport=-1", None),
            ("SIP/2.0/UDP two words", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Via::parse(text).map(|via| via.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_answer_goes_back_where_the_request_came_from() {
        // sent by, source of the datagram, the Via we send back, where the answer goes
        let cases = [
            ("192.0.2.1:5070", "192.0.2.1:40000", "192.0.2.1:5070", "192.0.2.1:5070"),
            ("192.0.2.1", "192.0.2.1:40000", "192.0.2.1", "192.0.2.1:5060"),
            ("192.0.2.1", "198.51.100.7:4000", "192.0.2.1;received=198.51.100.7", "198.51.100.7:5060"),
            ("h.example", "198.51.100.7:4000", "h.example;received=198.51.100.7", "198.51.100.7:5060"),
            (
                "10.0.0.1;rport",
                "198.51.100.7:4000",
                "10.0.0.1;rport=4000;received=198.51.100.7",
                "198.51.100.7:4000",
            ),
            (
                "192.0.2.1;rport=1;received=203.0.113.9",
                "192.0.2.1:4000",
                "192.0.2.1;rport=4000;received=192.0.2.1",
                "192.0.2.1:4000",
            ),
            ("192.0.2.1;received=203.0.113.9", "192.0.2.1:4000", "192.0.2.1", "192.0.2.1:5060"),
            (
                "192.0.2.1;maddr=203.0.113.9",
                "192.0.2.1:4000",
                "192.0.2.1;maddr=203.0.113.9",
                "192.0.2.1:5060",
            ),
            (
                "[2001:db8::1]",
                "[2001:db8::2]:4000",
                "[2001:db8::1];received=2001:db8::2",
                "[2001:db8::2]:5060",
            ),
            ("192.0.2.1", "[::ffff:192.0.2.1]:4000", "192.0.2.1", "192.0.2.1:5060"),
        ];
        for (sent_by, source, expected, goes_to) in cases {
            let mut via = Via::parse(&format!("SIP/2.0/UDP {sent_by}")).unwrap();
            via.mark_received(source.parse().unwrap());
            assert_eq!(via.to_string(), format!("SIP/2.0/UDP {expected}"));
            assert_eq!(via.answer_address(), Some(goes_to.parse().unwrap()), "{sent_by}");
        }
    }

    #[test]
    fn only_a_branch_of_rfc_3261_names_a_transaction() {
        let cases =
            [("z9hG4bKabc", true), ("Z9HG4BKabc", true), ("z9hG4bK", false), ("abc", false), ("z9", false)];
        for (branch, names) in cases {
            let via = Via::parse(&format!("SIP/2.0/UDP h;branch={branch}")).unwrap();
            assert_eq!(via.transaction_branch().is_some(), names, "{branch}");
            assert_eq!(via.branch(), Some(branch));
        }
    }
}
