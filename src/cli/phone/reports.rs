//! RTCP of the phone, on its RTP port (RFC 5761): what it says of what it heard, and what it is told.

use std::time::Instant;

use crate::rtp::rtcp::{Item, REPORT_MAX, Report, SenderInfo, read};
use crate::rtp::{Header, Moment, Reception};

/// Sends reports more often than a telephone does, so that short tests have some.
pub const EVERY_TICKS: u32 = 50;

pub struct Reports {
    began: Instant,
    ssrc: u32,
    reception: Reception,
    packets_sent: u32,
    bytes_sent: u32,
    /// Of the service's last sender report: NTP middle bits, and when it came.
    sender_report: Option<(u32, Instant)>,
    /// Reports of the service about our packets.
    pub heard: u64,
}

impl Reports {
    pub fn new(ssrc: u32) -> Self {
        Self {
            began: Instant::now(),
            ssrc,
            reception: Reception::default(),
            packets_sent: 0,
            bytes_sent: 0,
            sender_report: None,
            heard: 0,
        }
    }

    pub fn note_heard(&mut self, header: &Header) {
        let arrival = self.now().rtp_units();
        self.reception.note(header.ssrc, header.sequence, Some(header.timestamp), arrival);
    }

    /// Packets that should have come by their sequence numbers, and did not.
    pub fn lost(&self) -> u64 {
        self.reception.lost()
    }

    pub fn note_sent(&mut self, payload: usize) {
        self.packets_sent += 1;
        self.bytes_sent += payload as u32;
    }

    /// One RTCP datagram, in clear.
    pub fn receive(&mut self, datagram: &[u8]) {
        let ours = self.ssrc;
        let (mut about_us, mut sender_report) = (0, None);
        // What is no RTCP tells nothing.
        let _ = read(datagram, |item| match item {
            Item::SenderReport { ntp_middle, .. } => sender_report = Some((ntp_middle, Instant::now())),
            Item::Report(report) if report.ssrc == ours => about_us += 1,
            Item::Report(_) | Item::Voice { .. } | Item::Goodbye { .. } => {}
        });
        self.heard += about_us;
        self.sender_report = sender_report.or(self.sender_report);
    }

    /// Writes a report; its length.
    pub fn write(&mut self, timestamp: u32, out: &mut [u8; REPORT_MAX]) -> usize {
        let about = self.reception.report().map(|mut about| {
            if let Some((ntp_middle, came)) = self.sender_report {
                about.last_sender_report = ntp_middle;
                about.delay = (came.elapsed().as_micros() * 65_536 / 1_000_000) as u32;
            }
            about
        });
        let (packets, bytes) = (self.packets_sent, self.bytes_sent);
        let sender = (packets > 0).then(|| SenderInfo { ntp: self.now().ntp, timestamp, packets, bytes });
        Report { ssrc: self.ssrc, sender, about, voice: None, cname: "phone", goodbye: false }.write(out)
    }

    fn now(&self) -> Moment {
        Moment::new(1 << 40, self.began.elapsed())
    }
}
