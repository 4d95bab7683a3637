//! Sockets that carry SIP: bytes in and out of a [`sip`](crate::sip) endpoint, nothing decided.
//!
//! One task ([`driver`]) owns the endpoint, the UDP sockets and the listeners; each connection has two
//! small tasks of its own ([`connection`]), over TLS as over TCP. [`Tls`] holds certificates. [`Handle`] sends commands, [`Events`] brings
//! what happened. An error on one socket is counted and concerns that socket alone.
//!
//! | queue | bound | when full |
//! |---|---|---|
//! | commands → endpoint | 1,024 | the sender waits |
//! | endpoint → events | 1,024 | a new INVITE: 503 + Retry-After; anything of a call waits, and sockets are read no further |
//! | connections → endpoint | 256 messages | the connection is read no further |
//! | endpoint → one connection | 256 messages | the connection is closed |

mod connection;
pub mod dns;
mod driver;
mod handle;
mod limits;
pub mod settings;
mod tap;
pub mod tls;
mod udp;

pub use handle::{Counters, Events, Gone, Handle, Probe};
pub use limits::Limits;
pub use settings::{Listen, Settings};
pub use tap::{Seen, Tap};
pub use tls::Tls;

use driver::Listener;

use crate::sip::Transport;
use crate::sip::endpoint::Endpoint;
use crate::sip::trunk::Trunk;
use crate::types::CallId;

/// Why signalling cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no listen address, expected at least one such as \"udp:0.0.0.0:5060\"")]
    NoAddress,
    #[error("listen address {transport}:{address}: {error}", transport = .0.transport.name(), address = .0.address, error = .1)]
    Bind(Listen, #[source] std::io::Error),
    #[error("listen address tls:{address} without a certificate", address = .0.address)]
    NoCertificate(Listen),
}

/// Opens the sockets and starts.
pub struct Signalling;

impl Signalling {
    /// `endpoint` is completed with the outside address and the rate of `settings`. `seed` must be random: tags,
    /// branches and Call-IDs are drawn from it.
    ///
    /// # Errors
    /// When an address cannot be had; then nothing is open.
    pub async fn start(
        settings: &Settings,
        mut endpoint: crate::sip::endpoint::Settings,
        limits: Limits,
        trunks: Vec<Trunk>,
        seed: [u8; 32],
    ) -> Result<(Handle, Events), Error> {
        if settings.listen.is_empty() {
            return Err(Error::NoAddress);
        }
        endpoint.external_address = settings.external_address.or(endpoint.external_address);
        endpoint.calls_rate = settings.calls_rate.or(endpoint.calls_rate);
        let (mut sockets, mut listeners, mut local) = (Vec::new(), Vec::new(), Vec::new());
        for listen in &settings.listen {
            let failed = |error| Error::Bind(*listen, error);
            let address = match listen.transport {
                Transport::Udp => {
                    let socket = udp::Socket::bind(listen.address).map_err(failed)?;
                    let address = socket.address();
                    sockets.push(socket);
                    address
                }
                Transport::Tls if settings.tls.is_none() => return Err(Error::NoCertificate(*listen)),
                Transport::Tcp | Transport::Tls => {
                    let socket = tokio::net::TcpListener::bind(listen.address).await.map_err(failed)?;
                    let address = socket.local_addr().map_err(failed)?;
                    listeners.push(Listener { socket, transport: listen.transport, address });
                    address
                }
            };
            local.push(Listen { transport: listen.transport, address });
        }
        let endpoint = Endpoint::new(endpoint, trunks, seed, Box::new(CallId::fresh));
        let resolver = dns::Resolver::new(&settings.name_servers);
        Ok(driver::start(endpoint, sockets, listeners, local, settings.tls.clone(), limits, resolver))
    }
}

#[cfg(test)]
mod tests;
