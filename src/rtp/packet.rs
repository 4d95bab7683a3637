//! RTP packets (RFC 3550 §5.1): reading other people's, writing ours.
//!
//! Reading is `rtp-rs`, with a bound. Ours have no padding, extension or contributing sources, so
//! their header is twelve bytes that we write where the payload already stands.

use rtp_rs::{RtpReader, RtpReaderError};

use super::DATAGRAM_MAX;

/// What we read of a header, and what we write into one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// 0–127.
    pub payload_type: u8,
    /// First packet after a silence. A hint: nothing of ours depends on it.
    pub marker: bool,
    pub sequence: u16,
    /// In ticks of the payload's clock.
    pub timestamp: u32,
    pub ssrc: u32,
}

/// A packet inside somebody else's buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet<'a> {
    pub header: Header,
    /// Without padding; may be empty.
    pub payload: &'a [u8],
}

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("datagram of {0} bytes, expected at most {DATAGRAM_MAX}")]
    TooLong(usize),
    #[error("RTP packet of {0} bytes, expected at least 12")]
    Truncated(usize),
    #[error("RTP version {0}, expected 2")]
    Version(u8),
    /// Contributing sources, extension or padding reach beyond the datagram.
    #[error("RTP header that promises {promised} bytes in a datagram of {got}")]
    Overrun { promised: usize, got: usize },
    /// An RTCP packet on the RTP port (RFC 5761 §4 tells them apart).
    #[error("RTCP packet type {0} on the RTP port")]
    Control(u8),
}

impl<'a> Packet<'a> {
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        if datagram.len() > DATAGRAM_MAX {
            return Err(Error::TooLong(datagram.len()));
        }
        let reader = RtpReader::new(datagram).map_err(|error| match error {
            RtpReaderError::BufferTooShort(got) => Error::Truncated(got),
            RtpReaderError::UnsupportedVersion(version) => Error::Version(version),
            RtpReaderError::HeadersTruncated { header_len, buffer_len } => {
                Error::Overrun { promised: header_len, got: buffer_len }
            }
            RtpReaderError::PaddingLengthInvalid(padding) => {
                Error::Overrun { promised: usize::from(padding), got: datagram.len() }
            }
        })?;
        if is_control(datagram) {
            return Err(Error::Control(datagram[1]));
        }
        let header = Header {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
        };
        Ok(Self { header, payload: reader.payload() })
    }
}

/// Whether a datagram is RTCP: its second byte is 192–223, where no RTP payload type may be (RFC
/// 5761 §4).
#[must_use]
pub fn is_control(datagram: &[u8]) -> bool {
    datagram.len() >= 2 && datagram[0] >> 6 == 2 && (192..=223).contains(&datagram[1])
}

impl Header {
    /// Bytes of a header without contributing sources and extension.
    pub const LENGTH: usize = 12;

    /// Writes the header in front of a payload that begins at `packet[12]`.
    ///
    /// # Panics
    /// If `packet` is shorter than 12 bytes.
    pub fn write(self, packet: &mut [u8]) {
        packet[0] = 2 << 6;
        packet[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_is_what_others_read() {
        let header =
            Header { payload_type: 101, marker: true, sequence: 65_535, timestamp: 0xfedc_ba98, ssrc: 7 };
        let mut bytes = [0; 16];
        bytes[12..].copy_from_slice(b"snd!");
        header.write(&mut bytes);
        assert_eq!(Packet::parse(&bytes), Ok(Packet { header, payload: b"snd!" }));
    }

    #[test]
    fn packets_that_are_none_are_named() {
        let good = [0x80, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1];
        let with = |change: &[(usize, u8)], tail: &[u8]| {
            let mut bytes = good.to_vec();
            bytes.extend_from_slice(tail);
            for &(at, value) in change {
                bytes[at] = value;
            }
            bytes
        };
        let cases: &[(&str, Vec<u8>, Error)] = &[
            ("nothing", vec![], Error::Truncated(0)),
            ("eleven bytes", good[..11].to_vec(), Error::Truncated(11)),
            ("version 1", with(&[(0, 0x40)], &[]), Error::Version(1)),
            ("sources that are not there", with(&[(0, 0x8f)], &[]), Error::Overrun { promised: 72, got: 12 }),
            (
                "an extension that is not there",
                with(&[(0, 0x90)], &[0, 0, 0xff, 0xff]),
                Error::Overrun { promised: 16 + 4 * 65_535, got: 16 },
            ),
            (
                "more padding than packet",
                with(&[(0, 0xa0)], &[200]),
                Error::Overrun { promised: 200, got: 13 },
            ),
            (
                "no padding although promised",
                with(&[(0, 0xa0)], &[0]),
                Error::Overrun { promised: 0, got: 13 },
            ),
            ("a sender report", with(&[(1, 200)], &[]), Error::Control(200)),
            ("a jumbo", vec![0x80; 1_501], Error::TooLong(1_501)),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(Packet::parse(bytes).as_ref(), Err(expected), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Packet::parse(&bytes);
        }

        #[test]
        fn no_bytes_that_look_like_rtp_panic(mut bytes in proptest::collection::vec(0u8.., 2..80)) {
            bytes[0] = bytes[0] & 0x3f | 0x80;
            if let Ok(packet) = Packet::parse(&bytes) {
                assert!(packet.payload.len() <= bytes.len() - 12);
            }
        }
    }
}
