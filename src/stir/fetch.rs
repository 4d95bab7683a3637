//! Fetching a certificate from where a caller says it is.
//!
//! As [`reach`](crate::reach) reaches whatever others name: one request, no redirect, a bounded answer. Nothing that is there is trusted for having been fetched: the chain must lead to a root.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONNECTION, HOST, HeaderMap};

use super::settings::Settings;
use crate::reach::{Https, NotReached};
use crate::sip::passport::Url;

/// Bytes of an answer's body. A chain has about 3,000.
const BODY_BYTES: usize = 64 * 1024;
/// How long a certificate is kept: at least, at most, and when its server does not say.
const KEEP_LEAST: Duration = Duration::from_secs(60);
const KEEP_MOST: Duration = Duration::from_secs(24 * 60 * 60);
const KEEP_UNSAID: Duration = Duration::from_secs(10 * 60);

/// Why there is no certificate.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NotFetched {
    NoAddress,
    PrivateAddress,
    NoConnection,
    NoTls,
    NoAnswer,
    Redirected,
    Refused,
    TooLarge,
    NotPem,
    InTime,
    Busy,
}

impl NotFetched {
    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::NoAddress => ("no-address", "its certificate's server has no address"),
            Self::PrivateAddress => {
                ("private-address", "its certificate's server is not on the public Internet")
            }
            Self::NoConnection => ("no-connection", "its certificate's server takes no connection"),
            Self::NoTls => ("no-tls", "its certificate's server could not prove its name"),
            Self::NoAnswer => ("no-answer", "its certificate's server gave no answer"),
            Self::Redirected => ("redirected", "its certificate's server points elsewhere"),
            Self::Refused => ("refused", "its certificate's server has none"),
            Self::TooLarge => ("too-large", "what its certificate's server sends is too large"),
            Self::NotPem => ("not-pem", "what its certificate's server sends is no certificate"),
            Self::InTime => ("in-time", "its certificate did not come in time"),
            Self::Busy => ("busy", "too many certificates were being fetched"),
        }
    }

    /// Kebab-case: metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Completes "the signature was not judged: …".
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.row().1
    }
}

impl From<NotReached> for NotFetched {
    fn from(why: NotReached) -> Self {
        match why {
            NotReached::NoAddress => Self::NoAddress,
            NotReached::PrivateAddress => Self::PrivateAddress,
            NotReached::NoConnection => Self::NoConnection,
            NotReached::NoTls => Self::NoTls,
            NotReached::NoAnswer => Self::NoAnswer,
            NotReached::TooLarge => Self::TooLarge,
        }
    }
}

/// The way to servers that keep certificates.
pub struct Fetcher {
    https: Https,
    ports: Vec<u16>,
}

/// PEM, and how long it may be kept.
pub type Fetched = (Bytes, Duration);

impl Fetcher {
    pub fn new(settings: &Settings) -> Result<Self, super::Error> {
        let https = Https::new(&settings.authorities, settings.allow_private)?;
        Ok(Self { https, ports: settings.ports.clone() })
    }

    /// Whether it may be asked for at all.
    pub fn may(&self, url: &Url) -> bool {
        self.ports.contains(&url.port())
    }

    /// As long as it takes: whoever asks sets the limit.
    pub async fn fetch(&self, url: &Url) -> Result<Fetched, NotFetched> {
        let request = Request::get(url.path())
            .header(HOST, url.authority())
            .header(ACCEPT, "application/pem-certificate-chain, */*;q=0.1")
            .header(CONNECTION, "close")
            .body(Full::<Bytes>::default())
            .map_err(|_| NotFetched::NoAnswer)?;
        let (status, headers, body) = self.https.ask(url.host(), url.port(), request, BODY_BYTES).await?;
        match status {
            200 if is_pem(&body) => Ok((body, keep(&headers))),
            200 => Err(NotFetched::NotPem),
            300..=399 => Err(NotFetched::Redirected),
            _ => Err(NotFetched::Refused),
        }
    }
}

fn is_pem(body: &[u8]) -> bool {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    body.windows(BEGIN.len()).any(|window| window == BEGIN)
}

/// `Cache-Control: max-age=SECONDS` (RFC 9111 §5.2.2.1), within our bounds.
fn keep(headers: &HeaderMap) -> Duration {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = directives.flat_map(|value| value.split(',')).map(str::trim);
    let told = directives.find_map(|directive| match directive.split_once('=') {
        Some((name, seconds)) if name.eq_ignore_ascii_case("max-age") => {
            seconds.trim_matches('"').parse().ok()
        }
        None if ["no-store", "no-cache"].iter().any(|never| directive.eq_ignore_ascii_case(never)) => Some(0),
        _ => None,
    });
    told.map_or(KEEP_UNSAID, Duration::from_secs).clamp(KEEP_LEAST, KEEP_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_kept_as_long_as_its_server_says_within_bounds() {
        let cases = [
            ("max-age=3600", 3_600),
            ("public, max-age=\"7200\"", 7_200),
            ("Max-Age=1", 60),
            ("max-age=99999999", 86_400),
            ("no-store", 60),
            ("private", 600),
            ("max-age=soon", 600),
            ("", 600),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, value.parse().unwrap());
            assert_eq!(keep(&headers), Duration::from_secs(expected), "{value}");
        }
    }
}
