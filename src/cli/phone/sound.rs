//! The RTP side of one call: every 20 ms a packet out, and whatever has come in, laid out in time.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::fingers::{Fingers, Now, PRESS_FRAMES};
use super::heard::{Arrived, Heard};
use super::reports::{self, Reports};
use super::tone::{SILENT_DB, loudness};
use super::voice::{FRAME, Frame, Voice};
use crate::audio::resample::{Down, Up};
use crate::audio::{Codec, Decoder, Encoder, Rate, opus};
use crate::rtp::packet::{Header, Packet, is_control};
use crate::rtp::rtcp::REPORT_MAX;
use crate::rtp::srtp::TRAILER_MAX;
use crate::rtp::{DATAGRAM_MAX, Srtp, telephone_event};
use crate::sip::offer::Negotiated;
use crate::types::Digit;

const FRAME_TIME: Duration = Duration::from_millis(20);

/// Samples of a wide codec in a frame.
const WIDE: usize = Rate::Wide.frame();

/// Datagrams are at most this long; longer ones are cut and then refused as no RTP.
const DATAGRAM: usize = 2_048;

pub struct Sound {
    socket: UdpSocket,
    codec: Codec,
    encoder: Encoder,
    /// The phone is narrow inside; a wide codec's sound is brought up before and down after.
    up: Up,
    agreed: Option<Negotiated>,
    /// We hold: nothing is sent.
    pub holding: bool,
    pub voice: Voice,
    pub fingers: Fingers,
    pub heard: Heard,
    /// What went out, on the same clock.
    pub spoken: Vec<i16>,
    srtp: Option<Box<Srtp>>,
    /// Packets that were not authentic, or came again.
    pub rejected: u64,
    reports: Reports,
    ticks: u32,
    header: Header,
    key: Option<telephone_event::Sender>,
    next: Option<Instant>,
    judged: usize,
    /// When the first packet of each key went.
    pub pressed_at: Vec<Instant>,
}

/// What a tick asks the signalling side to do.
#[derive(Debug, Eq, PartialEq)]
pub enum Wish {
    Info(Digit),
    /// A key by RTP, but the other side takes no telephone events.
    NoEvents,
}

impl Sound {
    /// Opens a socket at `local`.
    pub fn open(
        local: IpAddr,
        codec: Codec,
        voice: Voice,
        fingers: Fingers,
        ssrc: u32,
    ) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((local, 0))?;
        socket.set_nonblocking(true)?;
        let header = Header {
            ssrc,
            sequence: ssrc as u16 >> 1,
            timestamp: ssrc.rotate_left(16),
            marker: true,
            ..Header::default()
        };
        Ok(Self {
            socket,
            codec,
            encoder: Encoder::new(codec),
            up: Up::default(),
            agreed: None,
            holding: false,
            voice,
            fingers,
            heard: Heard::new(codec, decoder(codec)),
            spoken: Vec::new(),
            srtp: None,
            rejected: 0,
            reports: Reports::new(ssrc),
            ticks: 0,
            header,
            key: None,
            next: None,
            judged: 0,
            pressed_at: Vec::new(),
        })
    }

    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// What both sides agreed on, from now on.
    pub fn agree(&mut self, agreed: Negotiated) {
        let before = self.srtp.take();
        self.srtp = agreed.srtp.as_ref().map(|keys| Box::new(Srtp::new(keys)));
        if let (Some(srtp), Some(before)) = (&mut self.srtp, before) {
            drop(srtp.continue_from(before));
        }
        self.agreed = Some(agreed);
    }

    pub fn packets_lost(&self) -> u64 {
        self.reports.lost()
    }

    pub fn reports_heard(&self) -> u64 {
        self.reports.heard
    }

    /// The clock begins, or goes on.
    pub fn start(&mut self, now: Instant) {
        self.next.get_or_insert(now);
    }

    /// When [`Sound::tick`] wants to be called; `None` before [`Sound::start`].
    pub fn next_tick(&self) -> Option<Instant> {
        self.next
    }

    /// Takes in what has arrived.
    pub fn receive(&mut self) {
        let (mut datagram, mut room) = ([0; DATAGRAM], [0; DATAGRAM_MAX]);
        while let Ok((length, _)) = self.socket.recv_from(&mut datagram) {
            let is_control = is_control(&datagram[..length]);
            let clear = match &mut self.srtp {
                None => &datagram[..length],
                Some(srtp) => {
                    let datagram = &datagram[..length];
                    let opened = if is_control {
                        srtp.open_control(datagram, &mut room)
                    } else {
                        srtp.open(datagram, &mut room)
                    };
                    let Ok(clear) = opened else {
                        self.rejected += 1;
                        continue;
                    };
                    clear
                }
            };
            if is_control {
                self.reports.receive(clear);
                continue;
            }
            let Ok(packet) = Packet::parse(clear) else { continue };
            self.reports.note_heard(&packet.header);
            if self.agreed.as_ref().is_some_and(|agreed| agreed.payload_type == packet.header.payload_type) {
                let Header { sequence, timestamp, ssrc, marker, .. } = packet.header;
                self.heard.push(Arrived { sequence, timestamp, ssrc, marker, payload: packet.payload });
            }
        }
    }

    /// Sends what one frame's time asks for.
    pub fn tick(&mut self) -> Option<Wish> {
        self.next = self.next.map(|next| next + FRAME_TIME);
        self.ticks += 1;
        if self.ticks.is_multiple_of(reports::EVERY_TICKS) {
            self.report();
        }
        let new = &self.heard.samples()[self.judged..];
        let heard_db = if new.is_empty() { SILENT_DB } else { loudness(new) };
        self.judged = self.heard.samples().len();
        let voice = self.voice.next_frame();
        let mut wish = None;
        let frame = match self.fingers.next(heard_db) {
            Now::Voice => Some(voice),
            Now::Sound(frame) => Some(*frame),
            Now::Info(digit) => {
                self.pressed_at.push(Instant::now());
                wish = Some(Wish::Info(digit));
                Some(voice)
            }
            Now::Press(digit) => {
                let ticks = PRESS_FRAMES * FRAME as u32;
                self.key = Some(telephone_event::Sender::new(digit, self.header.timestamp, ticks));
                self.pressed_at.push(Instant::now());
                self.send_key(&mut wish);
                None
            }
            Now::Held => {
                self.send_key(&mut wish);
                None
            }
        };
        match frame {
            Some(frame) => {
                self.send_sound(&frame);
                self.spoken.extend(frame);
            }
            None => self.spoken.extend([0; FRAME]),
        }
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME as u32);
        wish
    }

    fn send_sound(&mut self, frame: &Frame) {
        let Some(payload_type) = self.agreed.as_ref().map(|agreed| agreed.payload_type) else { return };
        let mut codes = [0; FRAME];
        match self.codec.rate() {
            Rate::Narrow => self.encoder.encode(frame, &mut codes),
            Rate::Wide | Rate::Full => {
                let mut wide = [0; WIDE];
                self.up.process(frame, &mut wide);
                self.encoder.encode(&wide, &mut codes);
            }
        }
        let payload = if self.codec == Codec::Opus { opus::packet(&codes) } else { &codes };
        self.send(payload_type, self.header.timestamp, payload);
    }

    fn send_key(&mut self, wish: &mut Option<Wish>) {
        let Some(packet) = self.key.as_mut().and_then(Iterator::next) else { return };
        match self.agreed.as_ref().and_then(|agreed| agreed.event_payload_type) {
            Some(payload_type) => {
                self.header.marker = packet.marker;
                self.send(payload_type, packet.timestamp, &packet.event.bytes());
            }
            None => {
                self.key = None;
                *wish = Some(Wish::NoEvents);
            }
        }
    }

    fn send(&mut self, payload_type: u8, timestamp: u32, payload: &[u8]) {
        let Some(to) = self.agreed.as_ref().and_then(|agreed| agreed.remote_rtp) else { return };
        if self.holding {
            return;
        }
        let mut length = Header::LENGTH + payload.len();
        let mut packet = vec![0; length + TRAILER_MAX];
        packet[Header::LENGTH..length].copy_from_slice(payload);
        let timestamp = timestamp.wrapping_mul(self.codec.clock_ratio());
        Header { payload_type, timestamp, ..self.header }.write(&mut packet);
        if let Some(srtp) = &mut self.srtp {
            length = srtp.sender.protect(&mut packet, length);
        }
        self.reports.note_sent(payload.len());
        // A packet that does not go is a lost packet; the call's other side decides what that means.
        let _ = self.socket.send_to(&packet[..length], to);
        self.header.marker = false;
        self.header.sequence = self.header.sequence.wrapping_add(1);
    }
}

impl Sound {
    /// Where reports have the port of the sound; the phone has no other.
    fn report(&mut self) {
        let muxed = self.agreed.as_ref().filter(|agreed| agreed.rtcp_mux);
        let Some(to) = muxed.and_then(|agreed| agreed.remote_rtcp) else { return };
        let mut report = [0; REPORT_MAX];
        let timestamp = self.header.timestamp.wrapping_mul(self.codec.clock_ratio());
        let mut length = self.reports.write(timestamp, &mut report);
        if let Some(srtp) = &mut self.srtp {
            length = srtp.sender.protect_control(&mut report, length);
        }
        // Lost like any datagram.
        let _ = self.socket.send_to(&report[..length], to);
    }
}

/// From bytes to samples at 8 kHz, one each.
fn decoder(codec: Codec) -> super::heard::Decode {
    let (mut decoder, mut down) = (Decoder::new(codec), Down::default());
    Box::new(move |bytes, samples| match codec.rate() {
        Rate::Narrow => decoder.decode(bytes, samples),
        Rate::Wide | Rate::Full if codec == Codec::Opus => {
            let mut wide = vec![0; 2 * samples.len()];
            decoder.decode(bytes, &mut wide);
            for (wide, samples) in wide.chunks(WIDE).zip(samples.chunks_mut(FRAME)) {
                down.process(wide, samples);
            }
        }
        Rate::Wide | Rate::Full => {
            for (bytes, samples) in bytes.chunks(FRAME).zip(samples.chunks_mut(FRAME)) {
                let mut wide = [0; WIDE];
                let wide = &mut wide[..2 * bytes.len()];
                decoder.decode(bytes, wide);
                down.process(wide, samples);
            }
        }
    })
}
