//! The phone's one SIP socket: a UDP socket, or one connection over TCP or TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use rustls_pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use super::plan::Plan;
use crate::signalling::tls;
use crate::sip::wire::{Fault, Frame, Framer, Framing, Message, parse};
use crate::sip::{Flow, Host, Transport};

/// Largest message that a datagram may hold (SECURITY: 64 KiB).
const DATAGRAM: usize = 65_536;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

pub enum Wire {
    Udp { socket: UdpSocket, local: SocketAddr },
    Tcp { stream: TcpStream, framer: Framer, local: SocketAddr },
    Tls { stream: Box<StreamOwned<ClientConnection, TcpStream>>, framer: Framer, local: SocketAddr },
}

impl Wire {
    /// A socket at the plan's own address that speaks to its peer.
    pub fn open(plan: &Plan) -> std::io::Result<Self> {
        let (local, peer) = (plan.local, plan.peer);
        let connect = || {
            let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
            socket.bind(&SocketAddr::new(local, 0).into())?;
            socket.connect_timeout(&peer.into(), CONNECT)?;
            let stream: TcpStream = socket.into();
            stream.set_nodelay(true)?;
            let local = stream.local_addr()?;
            Ok::<_, std::io::Error>((stream, local))
        };
        match plan.transport {
            Transport::Udp => {
                let socket = UdpSocket::bind((local, 0))?;
                socket.set_nonblocking(true)?;
                let local = socket.local_addr()?;
                Ok(Self::Udp { socket, local })
            }
            Transport::Tcp => {
                let (stream, local) = connect()?;
                stream.set_nonblocking(true)?;
                Ok(Self::Tcp { stream, framer: Framer::new(), local })
            }
            Transport::Tls => {
                let own = plan.certificates.own.as_ref().map(|(certificate, key)| (&**certificate, &**key));
                let client =
                    tls::client(plan.certificates.ca.as_deref(), own).map_err(std::io::Error::other)?;
                let name = match plan.to.host() {
                    Some(Host::Name(name)) => {
                        ServerName::try_from(name.clone()).map_err(std::io::Error::other)?
                    }
                    Some(Host::Ip(_)) | None => ServerName::from(peer.ip()),
                };
                let mut session = ClientConnection::new(client, name).map_err(std::io::Error::other)?;
                let (mut stream, local) = connect()?;
                stream.set_read_timeout(Some(CONNECT))?;
                while session.is_handshaking() {
                    session.complete_io(&mut stream)?;
                }
                stream.set_nonblocking(true)?;
                let stream = Box::new(StreamOwned::new(session, stream));
                Ok(Self::Tls { stream, framer: Framer::new(), local })
            }
        }
    }

    pub fn flow(&self, peer: SocketAddr) -> Flow {
        match self {
            Self::Udp { local, .. } => Flow { transport: Transport::Udp, local: *local, peer },
            Self::Tcp { local, .. } => Flow { transport: Transport::Tcp, local: *local, peer },
            Self::Tls { local, .. } => Flow { transport: Transport::Tls, local: *local, peer },
        }
    }

    pub fn fd(&self) -> RawFd {
        match self {
            Self::Udp { socket, .. } => socket.as_raw_fd(),
            Self::Tcp { stream, .. } => stream.as_raw_fd(),
            Self::Tls { stream, .. } => stream.sock.as_raw_fd(),
        }
    }

    pub fn send(&mut self, bytes: &[u8], peer: SocketAddr) -> std::io::Result<()> {
        match self {
            Self::Udp { socket, .. } => socket.send_to(bytes, peer).map(|_| ()),
            Self::Tcp { stream, .. } => {
                // A phone's few messages fit the socket's buffer; writing may wait for a moment.
                stream.set_nonblocking(false)?;
                let written = stream.write_all(bytes);
                stream.set_nonblocking(true)?;
                written
            }
            Self::Tls { stream, .. } => {
                stream.sock.set_nonblocking(false)?;
                let written = stream.write_all(bytes).and_then(|()| stream.flush());
                stream.sock.set_nonblocking(true)?;
                written
            }
        }
    }

    /// Everything that has come. An error: the connection is gone.
    pub fn receive(&mut self) -> std::io::Result<Vec<Result<Message, Fault>>> {
        match self {
            Self::Udp { socket, .. } => {
                let mut messages = Vec::new();
                let mut buffer = [0; DATAGRAM];
                // "Connection refused" tells of an earlier datagram; time-outs judge that.
                while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                    messages.push(parse(&buffer[..length], Framing::Datagram));
                }
                Ok(messages)
            }
            Self::Tcp { stream, framer, .. } => read_stream(stream, framer),
            Self::Tls { stream, framer, .. } => read_stream(stream, framer),
        }
    }
}

/// Everything that has come on a connection that does not block.
fn read_stream(stream: &mut impl Read, framer: &mut Framer) -> std::io::Result<Vec<Result<Message, Fault>>> {
    let mut messages = Vec::new();
    let mut buffer = [0; DATAGRAM];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) if messages.is_empty() => return Err(ErrorKind::ConnectionReset.into()),
            Ok(0) => return Ok(messages),
            Ok(length) => framer.push(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(messages),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        while let Some(frame) = framer.next_frame() {
            match frame {
                Frame::Message(message) => messages.push(Ok(message)),
                Frame::Fault(fault) | Frame::Broken(fault) => messages.push(Err(fault)),
                Frame::Ping => {}
            }
        }
    }
}
