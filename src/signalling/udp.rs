//! One UDP socket: large buffers, many datagrams a wake-up, and our address as a peer sees it.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Type};
use tokio::net::UdpSocket;

/// Asked of the kernel; it may give less. At 1 KB a message, 4 MiB hold half a second of 8,000 messages a second.
const BUFFER_BYTES: usize = 4 << 20;
/// Peers whose view of our address is remembered, when we listen on all addresses.
const VIEWS_MAX: usize = 1_024;

pub(super) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    /// Our address towards each peer; used only when `address` is unspecified.
    views: HashMap<IpAddr, IpAddr>,
}

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Best effort: a small buffer loses datagrams in bursts, and they are sent again.
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        let _ = socket.set_send_buffer_size(BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(socket.into())?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, views: HashMap::new() })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) const fn inner(&self) -> &UdpSocket {
        &self.socket
    }

    /// A flow with this local address leaves through this socket.
    pub(super) fn owns(&self, local: SocketAddr) -> bool {
        self.address == local
            || self.address.ip().is_unspecified()
                && self.address.port() == local.port()
                && self.address.is_ipv4() == local.is_ipv4()
    }

    /// Our address as `peer` sees it.
    pub(super) fn local_for(&mut self, peer: SocketAddr) -> SocketAddr {
        if !self.address.ip().is_unspecified() {
            return self.address;
        }
        if self.views.len() >= VIEWS_MAX {
            self.views.clear();
        }
        let address = self.address;
        let view = *self.views.entry(peer.ip()).or_insert_with(|| local_towards(address, peer).ip());
        SocketAddr::new(view, self.address.port())
    }
}

/// `any`, an unspecified address, as `peer` sees it; as it is when nobody can say.
pub(super) fn local_towards(any: SocketAddr, peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(route_source(any.ip(), peer).unwrap_or(any.ip()), any.port())
}

/// The address that the kernel sends from towards `peer`. Connecting a UDP socket sends nothing.
fn route_source(any: IpAddr, peer: SocketAddr) -> io::Result<IpAddr> {
    let probe = std::net::UdpSocket::bind(SocketAddr::new(any, 0))?;
    probe.connect(peer)?;
    Ok(probe.local_addr()?.ip())
}
