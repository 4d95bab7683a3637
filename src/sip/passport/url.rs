//! Where a certificate lies: the `x5u` of a PASSporT (RFC 8225 §4.3), under rules of its own.
//!
//! Whoever calls writes this address, so it is the one thing of a call that makes us connect somewhere.
//! It is https, names nobody and carries no query: there is nothing in it but a place.

use std::fmt;

use super::failure::Failure;

/// Bytes of the whole address.
const URL_BYTES: usize = 512;

#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Url {
    text: String,
    host: String,
    port: u16,
    path_at: usize,
}

impl Url {
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let good = text.len() <= URL_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        let scheme = text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
        if !good || !scheme || text.contains(['?', '#', '\\', '@', '"', '<', '>']) {
            return Err(Failure::BadUrl);
        }
        let path_at = text[8..].find('/').map_or(text.len(), |at| at + 8);
        let authority = &text[8..path_at];
        // An IPv6 address has colons of its own, between brackets (RFC 3986 §3.2.2).
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(Failure::BadUrl)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| Failure::BadUrl)?;
                (
                    host,
                    if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(Failure::BadUrl)?) },
                )
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(of_a_name) {
            return Err(Failure::BadUrl);
        }
        let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port {
            None => 443,
            Some(port) if digits(port) => port.parse().map_err(|_| Failure::BadUrl)?,
            Some(_) => return Err(Failure::BadUrl),
        };
        Ok(Self { text: text.to_owned(), host: host.to_ascii_lowercase(), port, path_at })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// A name, or an address without brackets; lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The host as it goes into the `Host` header (RFC 9110 §7.2).
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.text[8..self.path_at]
    }

    /// Begins with `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        match &self.text[self.path_at..] {
            "" => "/",
            path => path,
        }
    }
}

/// The host alone: a path may say for whom the certificate is.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}/…", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_https_address_is_taken() {
        let cases = [
            ("https://certs.example.com/sp/1.pem", Some("certs.example.com 443 /sp/1.pem")),
            ("HTTPS://Certs.example.com:8443/1", Some("certs.example.com 8443 /1")),
            ("https://certs.example.com", Some("certs.example.com 443 /")),
            ("https://192.0.2.1/1.pem", Some("192.0.2.1 443 /1.pem")),
            ("https://[2001:db8::1]:8443/1.pem", Some("2001:db8::1 8443 /1.pem")),
            ("http://certs.example.com/1.pem", None),
            ("ftp://certs.example.com/1.pem", None),
            ("file:///etc/passwd", None),
            ("https://", None),
            ("https:///1.pem", None),
            ("https://user@certs.example.com/1.pem", None),
            ("https://certs.example.com/1.pem?x=1", None),
            ("https://certs.example.com/1.pem#x", None),
            ("https://certs.example.com:65536/1", None),
            ("https://certs.example.com:/1", None),
            ("https://certs.example.com:+1/1", None),
            ("https://[::1/1.pem", None),
            ("https://[nobody]/1.pem", None),
            ("https://certs example.com/1", None),
            ("https://certs.example.com/1\r\nX: y", None),
            ("https://c\\@d/1", None),
        ];
        for (text, expected) in cases {
            let read = Url::parse(text).map(|url| format!("{} {} {}", url.host(), url.port(), url.path()));
            assert_eq!(read.ok().as_deref(), expected, "{text}");
        }
        assert_eq!(Url::parse(&format!("https://h/{}", "a".repeat(URL_BYTES))), Err(Failure::BadUrl));
    }
}
