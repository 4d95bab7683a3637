//! RTCP (RFC 3550 §6): sender and receiver reports, the name that must go with them, good-bye.
//!
//! A leg reports every five seconds from inside the tick, where nothing may allocate. So compound
//! packets are walked and written here, in place; only the report blocks are the `rtcp` crate's,
//! and tests hold ours against its own reader and writer.

use rtcp::reception_report::ReceptionReport;

use super::{DATAGRAM_MAX, Moment, srtp};

/// One thing a compound packet told us.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Its sender is alive and sent this at the NTP time whose middle 32 bits these are.
    SenderReport { ssrc: u32, ntp_middle: u32 },
    /// What its sender received from `report.ssrc`.
    Report(ReceptionReport),
    /// Never ends a call: anyone can forge it.
    Goodbye { ssrc: u32 },
}

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("RTCP datagram of {0} bytes, expected 8 to {DATAGRAM_MAX}")]
    Length(usize),
    #[error("RTCP version {0}, expected 2")]
    Version(u8),
    /// A packet's own length reaches beyond the datagram, or beyond its report blocks.
    #[error("RTCP packet that promises {promised} bytes where {got} are left")]
    Overrun { promised: usize, got: usize },
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const REPORT_BLOCK: usize = 24;

/// Walks a compound packet and hands each item on, in order. Kinds we do not know are passed over;
/// what comes before a fault has been handed on already.
pub fn read(datagram: &[u8], mut found: impl FnMut(Item)) -> Result<(), Error> {
    if !(8..=DATAGRAM_MAX).contains(&datagram.len()) {
        return Err(Error::Length(datagram.len()));
    }
    let mut rest = datagram;
    while !rest.is_empty() {
        let got = rest.len();
        let &[first, kind, high, low, ..] = rest else { return Err(Error::Overrun { promised: 4, got }) };
        if first >> 6 != 2 {
            return Err(Error::Version(first >> 6));
        }
        let length = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
        if length > got {
            return Err(Error::Overrun { promised: length, got });
        }
        let (packet, after) = rest.split_at(length);
        rest = after;
        let body = &packet[4..];
        let count = usize::from(first & 0x1f);
        let before_blocks = match kind {
            SENDER_REPORT => 24,
            RECEIVER_REPORT => 4,
            GOODBYE => {
                for ssrc in body.chunks_exact(4).take(count) {
                    found(Item::Goodbye { ssrc: word(ssrc, 0) });
                }
                continue;
            }
            _ => continue,
        };
        let promised = before_blocks + count * REPORT_BLOCK;
        if promised > body.len() {
            return Err(Error::Overrun { promised, got: body.len() });
        }
        if kind == SENDER_REPORT {
            let ntp_middle = word(body, 4) << 16 | word(body, 8) >> 16;
            found(Item::SenderReport { ssrc: word(body, 0), ntp_middle });
        }
        for block in body[before_blocks..promised].chunks_exact(REPORT_BLOCK) {
            found(Item::Report(ReceptionReport {
                ssrc: word(block, 0),
                fraction_lost: block[4],
                total_lost: word(block, 4) & 0xff_ffff,
                last_sequence_number: word(block, 8),
                jitter: word(block, 12),
                last_sender_report: word(block, 16),
                delay: word(block, 20),
            }));
        }
    }
    Ok(())
}

/// What we say of ourselves and of the peer, once every five seconds.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    pub ssrc: u32,
    /// `None` when we sent nothing since the last report: then it is a receiver report.
    pub sender: Option<SenderInfo>,
    pub about: Option<ReceptionReport>,
    /// Our name in SDES (§6.5.1), at most 255 bytes; the rest is cut off.
    pub cname: &'a str,
    /// The leg ends.
    pub goodbye: bool,
}

/// §6.4.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SenderInfo {
    /// Now, and the RTP timestamp that now would have.
    pub ntp: u64,
    pub timestamp: u32,
    /// Since the beginning; payload bytes without headers.
    pub packets: u32,
    pub bytes: u32,
}

/// Enough for [`Report::write`] with the longest name, and for its protection.
pub const REPORT_MAX: usize = 28 + REPORT_BLOCK + 8 + 260 + 8 + srtp::CONTROL_TRAILER_MAX;

impl Report<'_> {
    /// Writes the compound packet: report, description and, if told so, good-bye. Returns its length.
    #[must_use]
    pub fn write(&self, out: &mut [u8; REPORT_MAX]) -> usize {
        let mut writer = Writer { out, at: 0 };
        let kind = if self.sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
        let start = writer.begin(u8::from(self.about.is_some()), kind);
        writer.word(self.ssrc);
        if let Some(sender) = &self.sender {
            writer.word((sender.ntp >> 32) as u32);
            writer.word(sender.ntp as u32);
            writer.word(sender.timestamp);
            writer.word(sender.packets);
            writer.word(sender.bytes);
        }
        if let Some(about) = &self.about {
            writer.block(about);
        }
        writer.end(start);

        let start = writer.begin(1, DESCRIPTION);
        writer.word(self.ssrc);
        let name = &self.cname.as_bytes()[..self.cname.len().min(255)];
        writer.bytes(&[1, name.len() as u8]);
        writer.bytes(name);
        // At least one zero ends the list, and the chunk ends on a word (§6.5).
        writer.bytes(&[0]);
        while !writer.at.is_multiple_of(4) {
            writer.bytes(&[0]);
        }
        writer.end(start);

        if self.goodbye {
            let start = writer.begin(1, GOODBYE);
            writer.word(self.ssrc);
            writer.end(start);
        }
        writer.at
    }
}

struct Writer<'a> {
    out: &'a mut [u8; REPORT_MAX],
    at: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn block(&mut self, block: &ReceptionReport) {
        let (from, to) = (self.at, self.at + REPORT_BLOCK);
        let block: &dyn rtcp::packet::Packet = block;
        debug_assert_eq!(block.raw_size(), REPORT_BLOCK);
        // Fails only without room or with a loss of more than 25 bits; we have and keep 23.
        if block.marshal_to(&mut self.out[from..to]).is_ok() {
            self.at = to;
        }
    }

    fn begin(&mut self, count: u8, kind: u8) -> usize {
        let start = self.at;
        self.bytes(&[2 << 6 | count, kind, 0, 0]);
        start
    }

    fn end(&mut self, start: usize) {
        let words = ((self.at - start) / 4 - 1) as u16;
        self.out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
    }
}

/// The round trip that a report about us tells (§6.4.1), in milliseconds; `None` when the peer has
/// had no report of ours yet, or the figures say a negative time.
#[must_use]
pub fn round_trip_ms(report: &ReceptionReport, now: Moment) -> Option<f32> {
    if report.last_sender_report == 0 {
        return None;
    }
    let units = now.ntp_middle().wrapping_sub(report.last_sender_report).wrapping_sub(report.delay) as i32;
    (0..60 << 16).contains(&units).then(|| units as f32 * 1_000.0 / 65_536.0)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn items(bytes: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        read(bytes, |item| items.push(item)).unwrap();
        items
    }

    fn about() -> ReceptionReport {
        ReceptionReport {
            ssrc: 0x1234_5678,
            fraction_lost: 12,
            total_lost: 345,
            last_sequence_number: 0x1_0002,
            jitter: 80,
            last_sender_report: 0x9abc_def0,
            delay: 65_536,
        }
    }

    #[test]
    fn what_we_write_the_crate_reads_and_so_do_we() {
        for (name, sender, about, goodbye) in [
            (
                "all of it",
                Some(SenderInfo { ntp: 5 << 32 | 6, timestamp: 7, packets: 8, bytes: 9 }),
                Some(about()),
                true,
            ),
            ("we send nothing", None, Some(about()), false),
            ("nothing came yet", None, None, false),
        ] {
            for cname in ["", "a", "doorline", &"x".repeat(300)] {
                let report = Report { ssrc: 42, sender, about: about.clone(), cname, goodbye };
                let mut buffer = [0xff; REPORT_MAX];
                let length = report.write(&mut buffer);
                let bytes = &buffer[..length];
                let packets =
                    rtcp::packet::unmarshal(&mut &bytes[..]).unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(packets.len(), 2 + usize::from(goodbye), "{name}");
                let kinds: Vec<u8> = packets.iter().map(|packet| packet.header().packet_type as u8).collect();
                assert_eq!(kinds[..2], [if sender.is_some() { 200 } else { 201 }, 202], "{name}");

                let found = items(bytes);
                assert_eq!(found.contains(&Item::Goodbye { ssrc: 42 }), goodbye, "{name}");
                assert_eq!(
                    found.contains(&Item::SenderReport { ssrc: 42, ntp_middle: 5 << 16 }),
                    sender.is_some(),
                    "{name}"
                );
                assert_eq!(found.contains(&Item::Report(self::about())), about.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn faults_are_named() {
        let cases: &[(&str, &[u8], Error)] = &[
            ("nothing", &[], Error::Length(0)),
            ("version 1", &[0x40, 200, 0, 1, 0, 0, 0, 0], Error::Version(1)),
            ("longer than it is", &[0x80, 200, 0, 9, 0, 0, 0, 0], Error::Overrun { promised: 40, got: 8 }),
            (
                "blocks that are not there",
                &[0x9f, 201, 0, 1, 0, 0, 0, 0],
                Error::Overrun { promised: 748, got: 4 },
            ),
            (
                "half a header behind a good one",
                &[0x80, 201, 0, 1, 0, 0, 0, 0, 0x80],
                Error::Overrun { promised: 4, got: 1 },
            ),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(read(bytes, |_| ()).as_ref(), Err(expected), "{name}");
        }
    }

    #[test]
    fn the_round_trip_is_now_less_the_report_less_the_time_it_lay_there() {
        let sent = Moment::new(1 << 40, Duration::from_secs(10));
        let now = Moment::new(1 << 40, Duration::from_millis(12_080));
        let mut report = about();
        report.last_sender_report = sent.ntp_middle();
        report.delay = 2 * 65_536;
        let ms = round_trip_ms(&report, now).unwrap();
        assert!((ms - 80.0).abs() < 0.1, "{ms}");
        report.last_sender_report = 0;
        assert_eq!(round_trip_ms(&report, now), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(0u8.., 8..200)) {
            let _ = read(&bytes, |_| ());
            bytes[0] = bytes[0] & 0x3f | 0x80;
            bytes[1] = 200 + bytes[1] % 4;
            bytes[2] = 0;
            bytes[3] %= 50;
            let _ = read(&bytes, |_| ());
        }
    }
}
