//! A connection by https to a server that somebody else names.
//!
//! Resolve, look at the address, connect to that very address, prove its name. Nothing is asked of a
//! resolver a second time, so an answer that changes in between changes nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::address::is_public;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 2;

/// Why nobody can be reached at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("names cannot be looked up: {0}")]
    Resolver(String),
    #[error("TLS: {0}")]
    Tls(String),
}

/// Why one server was not reached, or gave no answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum NotReached {
    NoAddress,
    PrivateAddress,
    NoConnection,
    NoTls,
    NoAnswer,
    TooLarge,
}

/// The way to servers.
pub struct Https {
    resolver: TokioResolver,
    tls: TlsConnector,
    allow_private: bool,
}

/// Status, headers and the whole body.
pub type Answer = (u16, HeaderMap, Bytes);

impl Https {
    /// `authorities` are trusted beside the system's. `allow_private`: addresses of this machine and of
    /// private networks may be connected to.
    pub fn new(authorities: &[CertificateDer<'static>], allow_private: bool) -> Result<Self, Error> {
        let resolver = TokioResolver::builder_tokio()
            .and_then(|builder| builder.build())
            .map_err(|error| Error::Resolver(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        // A certificate of the system that cannot be read proves nobody's name; the others do.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(authorities.iter().cloned());
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { resolver, tls: TlsConnector::from(Arc::new(tls)), allow_private })
    }

    /// One request on a connection of its own, and its answer of at most `body_max` bytes; a redirect is an
    /// answer like others. As long as it takes: whoever asks sets the limit. `host` is a name, or an
    /// address without brackets.
    pub async fn ask(
        &self,
        host: &str,
        port: u16,
        request: Request<Full<Bytes>>,
        body_max: usize,
    ) -> Result<Answer, NotReached> {
        let stream = self.connect(host, port).await?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| NotReached::NoTls)?;
        let stream = self.tls.connect(name, stream).await.map_err(|_| NotReached::NoTls)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| NotReached::NoAnswer)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(|_| NotReached::NoAnswer)?;
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let body = Limited::new(answer.into_body(), body_max).collect().await;
            Ok((status, headers, body.map_err(|_| NotReached::TooLarge)?.to_bytes()))
        };
        // The connection moves the bytes and ends with the exchange, or with whoever stops waiting.
        tokio::pin!(exchange, connection);
        tokio::select! {
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    /// To an address that has been looked at: the name is not asked a second time.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, NotReached> {
        let addresses: Vec<IpAddr> = match host.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                // With a dot at its end it is the whole name: no search list is tried.
                let name = format!("{}.", host.trim_end_matches('.'));
                let found = self.resolver.lookup_ip(name).await.map_err(|_| NotReached::NoAddress)?;
                found.iter().collect()
            }
        };
        if addresses.is_empty() {
            return Err(NotReached::NoAddress);
        }
        let may = |address: &IpAddr| self.allow_private || is_public(*address);
        let mut result = Err(NotReached::PrivateAddress);
        for address in addresses.into_iter().filter(may).take(ADDRESSES_MAX) {
            result = TcpStream::connect(SocketAddr::new(address, port))
                .await
                .map_err(|_| NotReached::NoConnection);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}
