//! RTCP (RFC 3550 §6): sender and receiver reports, the name that must go with them, good-bye.
//!
//! A leg reports every five seconds from inside the tick, where nothing may allocate. So compound
//! packets are walked and written here, in place; only the report blocks are the `rtcp` crate's,
//! and tests hold ours against its own reader and writer.

use rtcp::reception_report::ReceptionReport;

use super::bursts::{BurstFigures, GMIN};
use super::{DATAGRAM_MAX, Moment, srtp};

/// One thing a compound packet told us.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Its sender is alive and sent this at the NTP time whose middle 32 bits these are.
    SenderReport { ssrc: u32, ntp_middle: u32 },
    /// What its sender received from `report.ssrc`.
    Report(ReceptionReport),
    /// How it hears `ssrc`, in its own estimate (RFC 3611 §4.7).
    Voice { ssrc: u32, metrics: VoipMetrics },
    /// Never ends a call: anyone can forge it.
    Goodbye { ssrc: u32 },
}

/// What a VoIP metrics block says of a stream, as far as we use it (RFC 3611 §4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VoipMetrics {
    /// Shares of packets, 0–1: never came, and came too late.
    pub lost: f32,
    pub discarded: f32,
    /// Whether losses came in bursts (§4.7.2).
    pub bursts: BurstFigures,
    pub round_trip_ms: u16,
    /// What the receiver adds: jitter buffer and playing.
    pub end_system_ms: u16,
    /// The E-model's rating and opinions, for listening and for conversation; `None`: not known.
    pub rating: Option<u8>,
    pub listening: Option<f32>,
    pub conversation: Option<f32>,
    /// The jitter buffer: now, and the most it may become.
    pub buffer_ms: u16,
    pub buffer_max_ms: u16,
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
const EXTENDED: u8 = 207;
const REPORT_BLOCK: usize = 24;
/// Block type, and bytes behind its head.
const VOIP_METRICS: u8 = 7;
const VOIP_METRICS_BYTES: usize = 32;
/// In place of a figure that is not known (§4.7.5).
const UNKNOWN: u8 = 127;
/// Losses are concealed by the standard means, the jitter buffer adapts (§4.7.6).
const RECEIVER: u8 = 0b1011_0000;

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
            EXTENDED => {
                read_extended(body, &mut found);
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

/// The blocks of an extended report. One that reaches beyond its end ends it.
fn read_extended(body: &[u8], found: &mut impl FnMut(Item)) {
    let mut rest = body.get(4..).unwrap_or_default();
    while let &[kind, _, high, low, ..] = rest {
        let length = 4 * usize::from(u16::from_be_bytes([high, low]));
        let Some(block) = rest.get(4..4 + length) else { return };
        if kind == VOIP_METRICS && block.len() == VOIP_METRICS_BYTES {
            let share = |at: usize| f32::from(block[at]) / 256.0;
            let ms = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
            let known = |at: usize| Some(block[at]).filter(|&figure| figure != UNKNOWN);
            let opinion = |at: usize| known(at).map(|figure| f32::from(figure) / 10.0);
            let metrics = VoipMetrics {
                lost: share(4),
                discarded: share(5),
                bursts: BurstFigures {
                    burst_density: share(6),
                    gap_density: share(7),
                    burst_ms: f32::from(ms(8)),
                    gap_ms: f32::from(ms(10)),
                },
                round_trip_ms: ms(12),
                end_system_ms: ms(14),
                rating: known(20),
                listening: opinion(22),
                conversation: opinion(23),
                buffer_ms: ms(26),
                buffer_max_ms: ms(28),
            };
            found(Item::Voice { ssrc: word(block, 0), metrics });
        }
        rest = &rest[4 + length..];
    }
}

/// What we say of ourselves and of the peer, once every five seconds.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    pub ssrc: u32,
    /// `None` when we sent nothing since the last report: then it is a receiver report.
    pub sender: Option<SenderInfo>,
    pub about: Option<ReceptionReport>,
    /// How we hear the source of `about`.
    pub voice: Option<VoipMetrics>,
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
pub const REPORT_MAX: usize =
    28 + REPORT_BLOCK + 8 + 260 + 12 + VOIP_METRICS_BYTES + 8 + srtp::CONTROL_TRAILER_MAX;

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

        if let (Some(voice), Some(about)) = (&self.voice, &self.about) {
            let start = writer.begin(0, EXTENDED);
            writer.word(self.ssrc);
            writer.voice(about.ssrc, voice);
            writer.end(start);
        }

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

    fn voice(&mut self, ssrc: u32, voice: &VoipMetrics) {
        let share = |share: f32| (share * 256.0).clamp(0.0, 255.0) as u8;
        let opinion =
            |opinion: Option<f32>| opinion.map_or(UNKNOWN, |opinion| (opinion * 10.0).round() as u8);
        self.bytes(&[VOIP_METRICS, 0, 0, (VOIP_METRICS_BYTES / 4) as u8]);
        self.word(ssrc);
        let BurstFigures { burst_density, gap_density, burst_ms, gap_ms } = voice.bursts;
        self.bytes(&[voice.lost, voice.discarded, burst_density, gap_density].map(share));
        // What does not fit in is as long as can be said.
        self.bytes(&(burst_ms.round() as u16).to_be_bytes());
        self.bytes(&(gap_ms.round() as u16).to_be_bytes());
        self.bytes(&voice.round_trip_ms.to_be_bytes());
        self.bytes(&voice.end_system_ms.to_be_bytes());
        self.bytes(&[UNKNOWN, UNKNOWN, UNKNOWN, GMIN]);
        self.bytes(&[voice.rating.unwrap_or(UNKNOWN), UNKNOWN]);
        self.bytes(&[opinion(voice.listening), opinion(voice.conversation)]);
        self.bytes(&[RECEIVER, 0]);
        self.bytes(&voice.buffer_ms.to_be_bytes());
        self.bytes(&voice.buffer_max_ms.to_be_bytes());
        self.bytes(&voice.buffer_max_ms.to_be_bytes());
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
                let report = Report { ssrc: 42, sender, about: about.clone(), voice: None, cname, goodbye };
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
    fn how_a_voice_is_heard_comes_through_as_the_crate_reads_it() {
        let metrics = VoipMetrics {
            lost: 0.25,
            discarded: 0.125,
            bursts: BurstFigures {
                burst_density: 0.75,
                gap_density: 0.0625,
                burst_ms: 180.0,
                gap_ms: 4_000.0,
            },
            round_trip_ms: 80,
            end_system_ms: 60,
            rating: Some(82),
            listening: Some(4.1),
            conversation: None,
            buffer_ms: 40,
            buffer_max_ms: 120,
        };
        let report = Report {
            ssrc: 42,
            sender: None,
            about: Some(about()),
            voice: Some(metrics),
            cname: "x",
            goodbye: true,
        };
        let mut buffer = [0; REPORT_MAX];
        let length = report.write(&mut buffer);
        let packets = rtcp::packet::unmarshal(&mut &buffer[..length]).unwrap();
        let theirs = format!("{:?}", packets[2]);
        assert!(theirs.contains("VoIPMetrics") || theirs.contains("r_factor: 82"), "{theirs}");
        assert!(items(&buffer[..length]).contains(&Item::Voice { ssrc: about().ssrc, metrics }));
        // Cut short anywhere, it is refused or passed over.
        for cut in 0..length {
            let _ = read(&buffer[..cut], |_| ());
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
            bytes[1] = 200 + bytes[1] % 8;
            bytes[2] = 0;
            bytes[3] %= 50;
            let _ = read(&bytes, |_| ());
        }
    }
}
