//! Fetching a certificate from where a caller says it is.
//!
//! Resolve, look at the address, connect to that very address; one request, no redirect, a bounded
//! answer. Nothing that is there is trusted for having been fetched: the chain must lead to a root.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONNECTION, HOST, HeaderMap};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::is_public;
use super::settings::Settings;
use crate::sip::passport::Url;

/// Bytes of an answer's body. A chain has about 3,000.
const BODY_BYTES: usize = 64 * 1024;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 2;
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

/// The way to servers that keep certificates.
pub struct Fetcher {
    resolver: TokioResolver,
    tls: TlsConnector,
    ports: Vec<u16>,
    allow_private: bool,
}

/// PEM, and how long it may be kept.
pub type Fetched = (Bytes, Duration);

impl Fetcher {
    pub fn new(settings: &Settings) -> Result<Self, super::Error> {
        let resolver = TokioResolver::builder_tokio()
            .and_then(|builder| builder.build())
            .map_err(|error| super::Error::Resolver(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        // A certificate of the system that cannot be read proves nobody's name; the others do.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(settings.authorities.iter().cloned());
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| super::Error::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            resolver,
            tls: TlsConnector::from(Arc::new(tls)),
            ports: settings.ports.clone(),
            allow_private: settings.allow_private,
        })
    }

    /// Whether it may be asked for at all.
    pub fn may(&self, url: &Url) -> bool {
        self.ports.contains(&url.port())
    }

    /// As long as it takes: whoever asks sets the limit.
    pub async fn fetch(&self, url: &Url) -> Result<Fetched, NotFetched> {
        let stream = self.connect(url).await?;
        let name = ServerName::try_from(url.host().to_owned()).map_err(|_| NotFetched::NoTls)?;
        let stream = self.tls.connect(name, stream).await.map_err(|_| NotFetched::NoTls)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| NotFetched::NoAnswer)?;
        let exchange = async {
            let request = Request::get(url.path())
                .header(HOST, url.authority())
                .header(ACCEPT, "application/pem-certificate-chain, */*;q=0.1")
                .header(CONNECTION, "close")
                .body(Empty::<Bytes>::new())
                .map_err(|_| NotFetched::NoAnswer)?;
            let answer = sender.send_request(request).await.map_err(|_| NotFetched::NoAnswer)?;
            match answer.status().as_u16() {
                200 => {}
                300..=399 => return Err(NotFetched::Redirected),
                _ => return Err(NotFetched::Refused),
            }
            let keep = keep(answer.headers());
            let body = Limited::new(answer.into_body(), BODY_BYTES).collect().await;
            Ok((body.map_err(|_| NotFetched::TooLarge)?.to_bytes(), keep))
        };
        // The connection moves the bytes and ends with the exchange, or with whoever stops waiting.
        tokio::pin!(exchange, connection);
        let fetched = tokio::select! {
            fetched = &mut exchange => fetched,
            _ = &mut connection => exchange.await,
        }?;
        if is_pem(&fetched.0) { Ok(fetched) } else { Err(NotFetched::NotPem) }
    }

    /// To an address that has been looked at: the name is not asked a second time.
    async fn connect(&self, url: &Url) -> Result<TcpStream, NotFetched> {
        let addresses: Vec<IpAddr> = match url.host().parse() {
            Ok(address) => vec![address],
            Err(_) => {
                // With a dot at its end it is the whole name: no search list is tried.
                let name = format!("{}.", url.host().trim_end_matches('.'));
                let found = self.resolver.lookup_ip(name).await.map_err(|_| NotFetched::NoAddress)?;
                found.iter().collect()
            }
        };
        if addresses.is_empty() {
            return Err(NotFetched::NoAddress);
        }
        let may = |address: &IpAddr| self.allow_private || is_public(*address);
        let mut result = Err(NotFetched::PrivateAddress);
        for address in addresses.into_iter().filter(may).take(ADDRESSES_MAX) {
            result = TcpStream::connect(SocketAddr::new(address, url.port()))
                .await
                .map_err(|_| NotFetched::NoConnection);
            if result.is_ok() {
                break;
            }
        }
        result
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
