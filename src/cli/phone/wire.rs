//! The phone's one SIP socket: a UDP socket, or one TCP connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::sip::wire::{Fault, Frame, Framer, Framing, Message, parse};
use crate::sip::{Flow, Transport};

/// Largest message that a datagram may hold (SECURITY: 64 KiB).
const DATAGRAM: usize = 65_536;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

pub enum Wire {
    Udp { socket: UdpSocket, local: SocketAddr },
    Tcp { stream: TcpStream, framer: Framer, local: SocketAddr },
}

impl Wire {
    /// A socket at `local` that speaks to `peer`.
    pub fn open(transport: Transport, local: IpAddr, peer: SocketAddr) -> std::io::Result<Self> {
        match transport {
            Transport::Udp => {
                let socket = UdpSocket::bind((local, 0))?;
                socket.set_nonblocking(true)?;
                let local = socket.local_addr()?;
                Ok(Self::Udp { socket, local })
            }
            Transport::Tcp => {
                let socket = Socket::new(Domain::for_address(peer), Type::STREAM, Some(Protocol::TCP))?;
                socket.bind(&SocketAddr::new(local, 0).into())?;
                socket.connect_timeout(&peer.into(), CONNECT)?;
                let stream: TcpStream = socket.into();
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let local = stream.local_addr()?;
                Ok(Self::Tcp { stream, framer: Framer::new(), local })
            }
            Transport::Tls => Err(ErrorKind::Unsupported.into()),
        }
    }

    pub fn flow(&self, peer: SocketAddr) -> Flow {
        match self {
            Self::Udp { local, .. } => Flow { transport: Transport::Udp, local: *local, peer },
            Self::Tcp { local, .. } => Flow { transport: Transport::Tcp, local: *local, peer },
        }
    }

    pub fn fd(&self) -> RawFd {
        match self {
            Self::Udp { socket, .. } => socket.as_raw_fd(),
            Self::Tcp { stream, .. } => stream.as_raw_fd(),
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
        }
    }

    /// Everything that has come. An error: the connection is gone.
    pub fn receive(&mut self) -> std::io::Result<Vec<Result<Message, Fault>>> {
        let mut messages = Vec::new();
        let mut buffer = [0; DATAGRAM];
        match self {
            Self::Udp { socket, .. } => {
                // "Connection refused" tells of an earlier datagram; time-outs judge that.
                while let Ok((length, _)) = socket.recv_from(&mut buffer) {
                    messages.push(parse(&buffer[..length], Framing::Datagram));
                }
                Ok(messages)
            }
            Self::Tcp { stream, framer, .. } => loop {
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
            },
        }
    }
}
