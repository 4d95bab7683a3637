//! Whom to call, as whom, and how.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

use super::fingers::DigitsBy;
use super::keys::Keys;
use super::voice::Voice;
use crate::audio::Codec;
use crate::sip::offer::CodecName;
use crate::sip::wire::NameAddr;
use crate::sip::{Transport, Uri};

/// One call to make.
#[derive(Clone, Debug)]
pub struct Plan {
    pub to: Uri,
    pub peer: SocketAddr,
    /// Where we call from, which is how the service finds our trunk.
    pub local: IpAddr,
    /// Who calls: the user part of From.
    pub number: String,
    pub presentation: Presentation,
    /// More headers of the INVITE, such as Identity.
    pub more_headers: Vec<(String, String)>,
    pub transport: Transport,
    pub codec: Codec,
    /// Let the other side make the offer.
    pub late_offer: bool,
    pub digits_by: DigitsBy,
    /// Pressed from the answer on.
    pub keys: Keys,
    pub voice: Voice,
}

/// What is said of who calls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Presentation {
    /// From alone.
    #[default]
    Plain,
    /// P-Asserted-Identity too, as a carrier adds it (RFC 3325).
    Asserted,
    /// An anonymous From and `Privacy: id`; the number stands in P-Asserted-Identity, for the carrier.
    Withheld,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} to call, expected a URI such as sip:+442079460000@127.0.0.1:5060")]
    Target(String),
    #[error("no address of {0:?}: {1}")]
    Resolve(String, std::io::Error),
    #[error("caller {0:?}, expected a number or a name of letters and digits")]
    Caller(String),
}

impl Plan {
    /// A call with the carrier's word for who calls, and nothing else special. `to` may say
    /// `;transport=tcp`.
    pub fn new(to: &str, number: &str) -> Result<Self, Error> {
        let target = || Error::Target(to.chars().take(80).collect());
        let uri: Uri = to.parse().map_err(|_| target())?;
        let host = uri.host().ok_or_else(target)?.to_string();
        let peer = match uri.socket_address() {
            Some(address) => address,
            None => (host.as_str(), uri.port_or_default())
                .to_socket_addrs()
                .and_then(|mut found| found.next().ok_or_else(|| std::io::ErrorKind::NotFound.into()))
                .map_err(|error| Error::Resolve(host.clone(), error))?,
        };
        let local = way_to(peer).map_err(|error| Error::Resolve(host, error))?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b)) {
            return Err(Error::Caller(number.chars().take(40).collect()));
        }
        let transport = match uri.transport() {
            Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
            _ => Transport::Udp,
        };
        Ok(Self {
            to: uri,
            peer,
            local,
            number: number.to_owned(),
            presentation: Presentation::Asserted,
            more_headers: Vec::new(),
            transport,
            codec: Codec::default(),
            late_offer: false,
            digits_by: DigitsBy::default(),
            keys: Keys::default(),
            voice: Voice::default(),
        })
    }

    pub(super) fn codec_name(&self) -> CodecName {
        match self.codec {
            Codec::Pcmu => CodecName::Pcmu,
            Codec::Pcma => CodecName::Pcma,
            Codec::G722 => CodecName::G722,
        }
    }

    pub(super) fn from(&self) -> NameAddr {
        match self.presentation {
            Presentation::Withheld => NameAddr::parse("\"Anonymous\" <sip:anonymous@anonymous.invalid>")
                .expect("the anonymous address of RFC 3323 is one"),
            Presentation::Plain | Presentation::Asserted => NameAddr::new(self.identity()),
        }
    }

    /// The headers that a carrier adds.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let asserted = ("P-Asserted-Identity".to_owned(), NameAddr::new(self.identity()).to_string());
        let mut headers = match self.presentation {
            Presentation::Plain => vec![],
            Presentation::Asserted => vec![asserted],
            Presentation::Withheld => vec![asserted, ("Privacy".to_owned(), "id".to_owned())],
        };
        headers.extend(self.more_headers.iter().cloned());
        headers
    }

    fn identity(&self) -> Uri {
        Uri::sip(Some(&self.number), self.local, None)
    }
}

/// The address that packets to `peer` leave from. Nothing is sent.
fn way_to(peer: SocketAddr) -> std::io::Result<IpAddr> {
    let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_who_calls_as_a_carrier_would() {
        let plan = Plan::new("sip:+442079460000@127.0.0.1:5080;transport=tcp", "+15550100001").unwrap();
        assert_eq!((plan.peer.to_string().as_str(), plan.transport), ("127.0.0.1:5080", Transport::Tcp));
        assert_eq!(plan.local.to_string(), "127.0.0.1");
        let asserted = "<sip:+15550100001@127.0.0.1>";
        assert_eq!(plan.headers(), [("P-Asserted-Identity".to_owned(), asserted.to_owned())]);
        assert_eq!(plan.from().to_string(), asserted);
        let plan = Plan { presentation: Presentation::Withheld, ..plan };
        assert!(!plan.from().to_string().contains("1555"), "{}", plan.from());
        assert_eq!(plan.headers()[1], ("Privacy".to_owned(), "id".to_owned()));
        let plan = Plan { presentation: Presentation::Plain, ..plan };
        assert_eq!(plan.headers(), []);
    }

    #[test]
    fn what_cannot_be_called_is_said() {
        for wrong in ["", "+442079460000", "mailto:x@example.com", "sip:"] {
            assert!(matches!(Plan::new(wrong, "1"), Err(Error::Target(_))), "{wrong}");
        }
        for wrong in ["", "1>", "a b", "a\r\nb"] {
            assert!(matches!(Plan::new("sip:1@127.0.0.1", wrong), Err(Error::Caller(_))), "{wrong:?}");
        }
    }
}
