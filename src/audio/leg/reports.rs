//! What a leg and its peer tell each other about how they hear, and how it sounded in the end.

use std::net::SocketAddr;
use std::time::Duration;

use super::Leg;
use crate::audio::Codec;
use crate::rtp::e_model::{self, Met};
use crate::rtp::rtcp::{self, REPORT_MAX, Report, SenderInfo, VoipMetrics};
use crate::rtp::{DATAGRAM_MAX, Moment};
use crate::types::Suite;

/// Between reports (RFC 3550 §6.2), before they are spread.
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Our name in reports. It says nothing about the machine or the caller (RFC 7022 §4.1).
const NAME: &str = "doorline";

/// How a leg sounded, over its whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    pub packets_received: u64,
    /// Received too late to be played, and never received.
    pub packets_late: u64,
    pub packets_lost: u64,
    pub packets_sent: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1) at the end.
    pub jitter_ms: f32,
    /// Share of played frames that had to be made up, 0–1.
    pub concealed: f32,
    /// What the peer reported last: share lost 0–1, round trip.
    pub peer_lost: Option<f32>,
    pub round_trip_ms: Option<f32>,
    /// Datagrams from strangers, and such that were no RTP.
    pub refused: u64,
    /// Received after one that was sent later.
    pub reordered: u64,
    /// What the jitter buffer adds, at the end.
    pub buffer_ms: f32,
    /// How we hear the peer, and how it says that it hears us: mean opinion, 1–4.5, by the E-model.
    pub opinion: Option<f32>,
    pub peer_opinion: Option<f32>,
    /// SRTP and SRTCP packets that were not authentic, or came again.
    pub packets_rejected: u64,
    /// What encrypted the sound at the end; `None`: it was plain.
    pub srtp: Option<Suite>,
    /// Ticks of ours that came more than 5 ms late for it, or not at all, and by how much the worst of them.
    pub ticks_late: u64,
    pub tick_late_max_ms: f32,
}

impl Leg {
    /// One datagram from the RTCP port.
    pub fn receive_control(&mut self, datagram: &[u8], from: SocketAddr, now: Moment) {
        if !self.latch.may_be_peer(from.ip()) {
            self.refused += 1;
            return;
        }
        let Some(mut srtp) = self.srtp.take() else { return self.receive_clear_control(datagram, from, now) };
        match srtp.open_control(datagram, &mut [0; DATAGRAM_MAX]) {
            Ok(clear) => self.receive_clear_control(clear, from, now),
            Err(_) => self.rejected += 1,
        }
        self.srtp = Some(srtp);
    }

    fn receive_clear_control(&mut self, datagram: &[u8], from: SocketAddr, now: Moment) {
        let ours = self.sending.ssrc;
        let (mut sender_report, mut about_us, mut heard_us) = (None, None, None);
        let read = rtcp::read(datagram, |item| match item {
            rtcp::Item::SenderReport { ntp_middle, .. } => sender_report = Some(ntp_middle),
            rtcp::Item::Report(report) if report.ssrc == ours => about_us = Some(report),
            rtcp::Item::Voice { ssrc, metrics } if ssrc == ours => heard_us = Some(metrics),
            rtcp::Item::Report(_) | rtcp::Item::Voice { .. } | rtcp::Item::Goodbye { .. } => {}
        });
        if read.is_err() {
            self.refused += 1;
            return;
        }
        self.last_heard = now.elapsed;
        self.lost_told = false;
        self.control_from = Some(from);
        if let Some(ntp_middle) = sender_report {
            self.sender_report = Some((ntp_middle, now.elapsed));
        }
        if let Some(metrics) = heard_us {
            self.peer_opinion =
                metrics.conversation.or(metrics.listening).filter(|mos| (1.0..=5.0).contains(mos));
        }
        if let Some(report) = about_us {
            self.peer_lost = Some(f32::from(report.fraction_lost) / 256.0);
            self.round_trip_ms = rtcp::round_trip_ms(&report, now).or(self.round_trip_ms);
        }
    }

    /// When a report is due, writes it and says how long it is.
    pub fn report(&mut self, now: Moment, out: &mut [u8; REPORT_MAX]) -> Option<usize> {
        if now.elapsed < self.report_at || self.settings.is_none() {
            return None;
        }
        // Half to one and a half of the interval (RFC 3550 §6.3.1), by a small generator of its own.
        self.spread = self.spread.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let share = 0.5 + f64::from(self.spread >> 8) / f64::from(1 << 24);
        self.report_at = now.elapsed + REPORT_EVERY.mul_f64(share);
        Some(self.write_report(now, false, out))
    }

    /// The last report, with a good-bye.
    pub fn last_report(&mut self, now: Moment, out: &mut [u8; REPORT_MAX]) -> usize {
        self.write_report(now, true, out)
    }

    fn write_report(&mut self, now: Moment, goodbye: bool, out: &mut [u8; REPORT_MAX]) -> usize {
        let ratio = self.codec().clock_ratio();
        let about = self.reception.report().map(|mut about| {
            about.jitter = about.jitter.saturating_mul(ratio);
            if let Some((ntp_middle, came)) = self.sender_report {
                about.last_sender_report = ntp_middle;
                let lay = now.elapsed.saturating_sub(came);
                about.delay = (lay.as_micros() * 65_536 / 1_000_000) as u32;
            }
            about
        });
        let sent = self.packets_sent != self.sent_reported;
        self.sent_reported = self.packets_sent;
        let sender = sent.then_some(SenderInfo {
            ntp: now.ntp,
            timestamp: self.sending.timestamp,
            packets: self.packets_sent,
            bytes: self.bytes_sent,
        });
        let voice = about.is_some().then(|| self.voice_metrics());
        let length =
            Report { ssrc: self.sending.ssrc, sender, about, voice, cname: NAME, goodbye }.write(out);
        match &mut self.srtp {
            Some(srtp) => srtp.sender.protect_control(out, length),
            None => length,
        }
    }

    #[must_use]
    pub fn quality(&self) -> Quality {
        let frames = self.playout.frames;
        Quality {
            packets_received: self.reception.received,
            packets_late: self.playout.late(),
            packets_lost: self.reception.lost(),
            packets_sent: u64::from(self.packets_sent),
            jitter_ms: self.reception.jitter_ms(),
            concealed: if frames == 0 { 0.0 } else { self.playout.concealed as f32 / frames as f32 },
            peer_lost: self.peer_lost,
            round_trip_ms: self.round_trip_ms,
            refused: self.refused,
            packets_rejected: self.rejected,
            srtp: self.srtp.as_ref().map(|srtp| srtp.suite()),
            reordered: self.reception.reordered,
            buffer_ms: self.playout.delay() as f32 / 8.0,
            opinion: (self.reception.received > 0).then(|| e_model::opinion(self.met().rating())),
            peer_opinion: self.peer_opinion,
            ticks_late: self.ticks_late,
            tick_late_max_ms: self.late_most.as_secs_f32() * 1_000.0,
        }
    }

    /// What the peer's sound has met on its way to others' ears, over the whole life of the leg.
    fn met(&self) -> Met {
        let received = self.reception.received;
        let (lost, late) = (self.reception.lost(), self.playout.late());
        let there = self.round_trip_ms.unwrap_or(0.0) / 2.0;
        // Beside the network: a packet of theirs, the buffer, and the tick.
        let here = 40.0 + self.playout.delay() as f32 / 8.0;
        Met {
            lost: (lost + late) as f32 / (received + lost).max(1) as f32,
            delay: Duration::from_secs_f32((there + here) / 1_000.0),
            repairs: self.codec() == Codec::Opus,
        }
    }

    /// The same, for the peer to know.
    fn voice_metrics(&self) -> VoipMetrics {
        let (received, lost, met) = (self.reception.received, self.reception.lost(), self.met());
        let share = |count: u64| count as f32 / (received + lost).max(1) as f32;
        let listening = Met { delay: Duration::ZERO, ..met };
        VoipMetrics {
            lost: share(lost),
            discarded: share(self.playout.late()),
            bursts: self.bursts.figures(self.packet_ticks as f32 / 8.0),
            round_trip_ms: self.round_trip_ms.unwrap_or(0.0) as u16,
            end_system_ms: (self.playout.delay() / 8) as u16 + 40,
            rating: Some(met.rating() as u8),
            listening: Some(e_model::opinion(listening.rating())),
            conversation: Some(e_model::opinion(met.rating())),
            buffer_ms: (self.playout.delay() / 8) as u16,
            buffer_max_ms: self
                .settings
                .as_ref()
                .map_or(0, |settings| settings.sound.jitter.cap.as_millis() as u16),
        }
    }
}
