//! Copies of messages to Homer, as HEP version 3 (Homer Encapsulation Protocol) over UDP.
//!
//! A packet is `HEP3`, its length, and chunks: vendor, type, length (each 16 bits), value. Nothing of it
//! is encrypted, the password neither: it belongs into a network of one's own. What goes is masked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::{Error, HepSettings, Message};
use crate::sip::Transport;

/// A datagram carries no more than this.
const PACKET_MAX: usize = 65_000;

pub(super) struct Homer {
    socket: UdpSocket,
    capture_id: u32,
    password: Option<String>,
}

impl Homer {
    pub fn connect(settings: &HepSettings) -> Result<Self, Error> {
        let password = settings.password_file.as_ref().map(|file| {
            let text = std::fs::read_to_string(file).map_err(|error| Error::Password(file.clone(), error))?;
            Ok(text.trim_end_matches(['\r', '\n']).to_owned())
        });
        let socket = || {
            let any: IpAddr = match settings.server {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0))?;
            socket.set_nonblocking(true)?;
            socket.connect(settings.server)?;
            Ok(socket)
        };
        let socket = socket().map_err(|error| Error::Socket(settings.server, error))?;
        Ok(Self { socket, capture_id: settings.capture_id, password: password.transpose()? })
    }

    /// Without waiting; what the socket does not take is lost.
    pub fn send(&self, message: &Message, sip_call_id: &str) -> io::Result<()> {
        let packet = self.encode(message, sip_call_id);
        match self.socket.send(&packet) {
            Ok(_) => Ok(()),
            // The error is that of a packet before (ICMP): this one may still go.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.socket.send(&packet).map(|_| ())
            }
            Err(error) => Err(error),
        }
    }

    fn encode(&self, message: &Message, sip_call_id: &str) -> Vec<u8> {
        let mut packet = Packet(b"HEP3\0\0".to_vec());
        let (from, to) = (message.from.ip().to_canonical(), message.to.ip().to_canonical());
        match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                packet.chunk(FAMILY, &[2]);
                packet.chunk(IPV4_FROM, &from.octets());
                packet.chunk(IPV4_TO, &to.octets());
            }
            (from, to) => {
                let octets = |ip: IpAddr| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                packet.chunk(FAMILY, &[10]);
                packet.chunk(IPV6_FROM, &octets(from));
                packet.chunk(IPV6_TO, &octets(to));
            }
        }
        // IANA's numbers of UDP and TCP.
        packet.chunk(PROTOCOL, &[if message.transport == Transport::Udp { 17 } else { 6 }]);
        packet.chunk(PORT_FROM, &message.from.port().to_be_bytes());
        packet.chunk(PORT_TO, &message.to.port().to_be_bytes());
        let micros = message.at.as_microsecond().max(0);
        packet.chunk(SECONDS, &((micros / 1_000_000) as u32).to_be_bytes());
        packet.chunk(MICROSECONDS, &((micros % 1_000_000) as u32).to_be_bytes());
        packet.chunk(KIND, &[SIP]);
        packet.chunk(CAPTURE_ID, &self.capture_id.to_be_bytes());
        if let Some(password) = &self.password {
            packet.chunk(PASSWORD, password.as_bytes());
        }
        packet.chunk(CORRELATION, sip_call_id.as_bytes());
        let room = PACKET_MAX.saturating_sub(packet.0.len() + 6);
        packet.chunk(PAYLOAD, &message.text[..message.text.len().min(room)]);
        let length = (packet.0.len() as u16).to_be_bytes();
        packet.0[4..6].copy_from_slice(&length);
        packet.0
    }
}

struct Packet(Vec<u8>);

impl Packet {
    fn chunk(&mut self, kind: u16, value: &[u8]) {
        self.0.extend([0, 0]);
        self.0.extend(kind.to_be_bytes());
        self.0.extend((6 + value.len() as u16).to_be_bytes());
        self.0.extend(value);
    }
}

// Types of chunks, vendor 0.
const FAMILY: u16 = 1;
const PROTOCOL: u16 = 2;
const IPV4_FROM: u16 = 3;
const IPV4_TO: u16 = 4;
const IPV6_FROM: u16 = 5;
const IPV6_TO: u16 = 6;
const PORT_FROM: u16 = 7;
const PORT_TO: u16 = 8;
const SECONDS: u16 = 9;
const MICROSECONDS: u16 = 10;
const KIND: u16 = 11;
const CAPTURE_ID: u16 = 12;
const PASSWORD: u16 = 14;
const PAYLOAD: u16 = 15;
const CORRELATION: u16 = 17;

/// The kind of protocol that is captured.
const SIP: u8 = 1;
