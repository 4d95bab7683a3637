//! Names by which a TLS peer says who it is: those of its certificate (RFC 5922).
//!
//! A certificate names a SIP domain as a DNS name or as a `sip:` URI (§7.1). Names are compared as a
//! whole and without regard to case; a wildcard stands for nothing (§7.2).

use std::fmt;
use std::str::FromStr;

/// One name, in the one spelling that is compared: a host in lower case, or a URI in lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TlsName(Box<str>);

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("name {0:?}, expected one as in the certificate, without a wildcard, such as \"sbc.example.net\"")]
pub struct NotATlsName(String);

/// Longest name: that of a domain is 253, a URI may have some characters before it.
const CHARACTERS_MAX: usize = 300;

impl TlsName {
    /// Of a dNSName; `None` for a wildcard and for what is no host name.
    #[must_use]
    pub fn of_dns(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let good = (1..=253).contains(&name.len())
            && name.split('.').all(|label| !label.is_empty())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        good.then(|| Self(name.to_ascii_lowercase().into()))
    }

    /// Of a uniformResourceIdentifier: itself, and the domain that a `sip:` URI without a user part
    /// names (§7.1).
    pub fn of_uri(uri: &str) -> impl Iterator<Item = Self> {
        let good = (1..=CHARACTERS_MAX).contains(&uri.len())
            && uri.contains(':')
            && uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
        let whole = good.then(|| Self(uri.to_ascii_lowercase().into()));
        let domain = whole.as_ref().and_then(|uri| Self::of_dns(uri.0.strip_prefix("sip:")?));
        whole.into_iter().chain(domain)
    }

    #[must_use]
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// The host that a connection to this peer must prove to be; `None`: a URI that names none.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        if self.0.contains(':') {
            self.0.strip_prefix("sip:").filter(|host| !host.contains('@'))
        } else {
            Some(&self.0)
        }
    }
}

impl FromStr for TlsName {
    type Err = NotATlsName;

    /// As an operator writes it: a host name, or a URI.
    fn from_str(text: &str) -> Result<Self, NotATlsName> {
        let name = if text.contains(':') { Self::of_uri(text).next() } else { Self::of_dns(text) };
        name.ok_or_else(|| NotATlsName(text.chars().take(60).collect()))
    }
}

impl fmt::Display for TlsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_hosts_and_domains_and_wildcards_name_nobody() {
        let told = |names: &mut dyn Iterator<Item = TlsName>| -> Vec<String> {
            names.map(|name| name.to_string()).collect()
        };
        let dns = [
            ("sbc.example.net", Some("sbc.example.net")),
            ("SBC.Example.NET.", Some("sbc.example.net")),
            ("*.example.net", None),
            ("s*.example.net", None),
            ("", None),
            ("a..b", None),
            ("a b", None),
        ];
        for (name, expected) in dns {
            assert_eq!(TlsName::of_dns(name).map(|name| name.to_string()).as_deref(), expected, "{name}");
        }
        let uris: [(&str, &[&str]); 5] = [
            ("sip:Example.net", &["sip:example.net", "example.net"]),
            ("sip:ada@example.net", &["sip:ada@example.net"]),
            ("sips:example.net", &["sips:example.net"]),
            ("sip:*.example.net", &[]),
            ("example.net", &[]),
        ];
        for (uri, expected) in uris {
            assert_eq!(told(&mut TlsName::of_uri(uri)), expected, "{uri}");
        }
    }

    #[test]
    fn an_operator_writes_it_as_the_certificate_does() {
        for good in ["sbc.example.net", "sip:example.net", "urn:service:x"] {
            assert_eq!(good.parse::<TlsName>().unwrap().as_str(), good);
        }
        for wrong in ["", "*.example.net", "two words", "sip:*", "a\nb"] {
            assert!(wrong.parse::<TlsName>().is_err(), "{wrong:?}");
        }
        let host = |text: &str| text.parse::<TlsName>().unwrap().host().map(str::to_owned);
        assert_eq!(host("sip:example.net").as_deref(), Some("example.net"));
        assert_eq!(host("a.example").as_deref(), Some("a.example"));
        assert_eq!((host("sip:a@b.example"), host("urn:x")), (None, None));
    }
}
