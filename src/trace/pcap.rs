//! Messages as a capture file (libpcap's format, raw IP), for Wireshark and its like.
//!
//! Each message is one UDP datagram between its two addresses, also where TCP or TLS carried it: what is
//! traced is messages, not packets.

use std::net::{IpAddr, SocketAddr};

use super::Message;

/// `LINKTYPE_RAW`: a packet begins with its IP header.
const RAW_IP: u32 = 101;
const UDP: u8 = 17;
const SNAP: u32 = 65_535;

pub(super) fn write(messages: &[Message]) -> Vec<u8> {
    let mut file = Vec::with_capacity(24 + messages.iter().map(|m| m.text.len() + 64).sum::<usize>());
    for word in [0xa1b2_c3d4_u32, 2 | 4 << 16, 0, 0, SNAP, RAW_IP] {
        file.extend(word.to_le_bytes());
    }
    for message in messages {
        let packet = packet(message.from, message.to, &message.text);
        let micros = message.at.as_microsecond().max(0);
        let length = packet.len() as u32;
        for word in [(micros / 1_000_000) as u32, (micros % 1_000_000) as u32, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// IP and UDP headers before the text, which is cut where a datagram could not carry it.
fn packet(from: SocketAddr, to: SocketAddr, text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(65_000)];
    let length = (8 + text.len()) as u16;
    let mut udp = Vec::with_capacity(8 + text.len());
    for word in [from.port(), to.port(), length, 0] {
        udp.extend(word.to_be_bytes());
    }
    udp.extend(text);
    match (from.ip().to_canonical(), to.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            // RFC 791; a UDP checksum of 0 says that there is none (RFC 768).
            let mut ip = vec![0x45, 0];
            ip.extend((20 + length).to_be_bytes());
            ip.extend([0, 0, 0, 0, 64, UDP, 0, 0]);
            ip.extend(from.octets());
            ip.extend(to.octets());
            let sum = checksum(&ip);
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            ip.extend(udp);
            ip
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let (from, to) = (octets(from), octets(to));
            // RFC 8200 §8.1: UDP needs its checksum here, over a pseudo-header too.
            let mut pseudo =
                [from.as_slice(), &to, &u32::from(length).to_be_bytes(), &[0, 0, 0, UDP]].concat();
            pseudo.extend(&udp);
            let sum = match checksum(&pseudo) {
                0 => 0xffff,
                sum => sum,
            };
            udp[6..8].copy_from_slice(&sum.to_be_bytes());
            let mut ip = vec![0x60, 0, 0, 0];
            ip.extend(length.to_be_bytes());
            ip.extend([UDP, 64]);
            ip.extend(from);
            ip.extend(to);
            ip.extend(udp);
            ip
        }
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u64 = words.map(u64::from).sum();
    let folded = (0..4).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
    !(folded as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Transport;

    #[test]
    fn a_capture_file_reads_back_byte_by_byte() {
        let message = |from: &str, to: &str, text: &str| Message {
            at: "2026-03-02T10:00:00.25Z".parse().unwrap(),
            transport: Transport::Tcp,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            outgoing: false,
            summary: String::new(),
            text: text.into(),
        };
        let messages = [
            message("192.0.2.7:5060", "192.0.2.1:5062", "odd"),
            message("[2001:db8::1]:5060", "[::1]:9", "even"),
        ];
        let file = write(&messages);
        assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
        assert_eq!((file[4], file[6], file[20]), (2, 4, 101));
        let first = &file[24..];
        assert_eq!(first[4..8], 250_000_u32.to_le_bytes());
        assert_eq!(first[8..12], 31_u32.to_le_bytes());
        let ip = &first[16..47];
        assert_eq!(checksum(&ip[..20]), 0, "a right header sums up to nothing");
        assert_eq!((&ip[12..16], &ip[16..20]), (&[192, 0, 2, 7][..], &[192, 0, 2, 1][..]));
        assert_eq!((&ip[20..24], &ip[28..]), (&[0x13, 0xc4, 0x13, 0xc6][..], &b"odd"[..]));
        let second = &first[47 + 16..];
        assert_eq!((second[0], second[6]), (0x60, UDP));
        assert_eq!(&second[48..], b"even");
        let pseudo = [&second[8..40], &12_u32.to_be_bytes(), &[0, 0, 0, UDP], &second[40..]].concat();
        assert_eq!(checksum(&pseudo), 0);
        assert_eq!(file.len(), 24 + 16 + 31 + 16 + 52);
    }
}
