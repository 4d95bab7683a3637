//! One caller's sound: packets come in and become frames, frames become packets and go out.
//!
//! A leg decides everything about its stream and does nothing: it is handed datagrams and says
//! which to believe; it fills in the packet that somebody else sends.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::conceal;
use super::conference::Shared;
use super::dtmf::Listener;
use super::echo::Echo;
use super::packetizer::{PACKET_MAX, Packetizer};
use super::player::{Filled, Player};
use super::playout::Playout;
use super::ramp::{Ramp, UNITY};
use super::resample::{Down, Up};
use super::voice::{self, Voice};
use super::{Codec, Encoder, FADE_MAX, FRAME, Frame, Rate, SILENCE, Take, level, mixer};
use crate::rtp::packet::{Header, is_control};
use crate::rtp::rtcp::{self, REPORT_MAX, Report, SenderInfo};
use crate::rtp::telephone_event::{Event, Receiver};
use crate::rtp::{Latch, Moment, Packet, Reception, Verdict};
use crate::types::Digit;

/// What offer and answer agreed on, and where the peer is. Given again at each re-INVITE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LegSettings {
    /// From SDP; `None` or an unspecified address: the peer named none.
    pub remote_rtp: Option<SocketAddr>,
    /// From SDP's `a=rtcp`; `None`: the port after RTP's.
    pub remote_rtcp: Option<SocketAddr>,
    /// Where the INVITE came from.
    pub signalling_ip: IpAddr,
    /// Learn the address from packets ([`Latch`]); false: SDP's alone.
    pub latch: bool,
    pub codec: Codec,
    /// The codec's number, as agreed.
    pub payload_type: u8,
    /// Telephone-event's number; `None`: not agreed, no keys in RTP.
    pub event_payload_type: Option<u8>,
    /// How long the packets are that the peer wants; see [`Packetizer::set`].
    pub ptime: Duration,
    /// The direction attributes: false while we are on hold, or hold them.
    pub they_send: bool,
    pub they_receive: bool,
    pub sound: SoundSettings,
}

/// What is done to a caller's sound.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SoundSettings {
    /// Keys are listened for in the sound, and others hear the caller 20 ms later so that they never hear a
    /// key.
    pub tones_are_keys: bool,
    pub voice: voice::Wishes,
}

/// Numbers nobody may guess (RFC 3550 §5.1), from the system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seed {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    /// Spreads the reports of legs over time (§6.3.1).
    pub spread: u32,
}

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
}

/// Nothing from the peer for this long, neither RTP nor RTCP: it is gone.
pub const MEDIA_LOST: Duration = Duration::from_secs(60);
/// Between reports (RFC 3550 §6.2), before they are spread.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// So long the first prompt waits for a peer that must prove its address; nobody would hear it.
const PEER_WAIT: Duration = Duration::from_secs(1);
/// While a key is down and for this long after its last packet others do not hear the leg.
const KEY_ECHO: Duration = Duration::from_millis(60);
/// Comfort noise (RFC 3389): the peer is silent and alive.
const COMFORT_NOISE: u8 = 13;
/// What a prompt leaves of the room's sound: -12 dB.
const DUCKED: i32 = UNITY / 4;
/// A codec or a filter with a memory must hear what the room's listeners hear for this many ticks
/// before the leg may take their stream: see [`Conference`](super::Conference).
const SETTLING: u8 = 5;
/// Our name in reports. It says nothing about the machine or the caller (RFC 7022 §4.1).
const NAME: &str = "doorline";

#[derive(Debug)]
pub struct Leg {
    settings: Option<LegSettings>,
    latch: Latch,
    spread: u32,

    // -- from the peer --
    reception: Reception,
    playout: Playout,
    keys: Receiver,
    /// Others do not hear the leg before this: a key is down.
    key_until: Duration,
    tones: Tones,
    voice: Voice,
    echo: Echo,
    /// How loud the last frame was that came from it, in dBov.
    came: f32,
    last_heard: Duration,
    /// The loss has been told and nothing has come since.
    lost_told: bool,
    refused: u64,
    /// NTP middle bits of the peer's last sender report, and when it came.
    sender_report: Option<(u32, Duration)>,
    peer_lost: Option<f32>,
    round_trip_ms: Option<f32>,
    /// Where the peer's RTCP comes from, if not from where SDP says.
    control_from: Option<SocketAddr>,

    // -- to the peer --
    sending: Header,
    packetizer: Packetizer,
    encoder: Encoder,
    packets_sent: u32,
    bytes_sent: u32,
    sent_reported: u32,
    /// The next packet is the first after a pause.
    begins: bool,
    /// Prompts wait until then for the peer to be proved.
    wait_until: Duration,
    report_at: Duration,
    pub player: Player,

    /// The name that is being said.
    take: Option<Take>,

    // -- in a room --
    in_room: bool,
    muted: bool,
    /// What others hear of it this tick, at the room's rate; exactly what was added to the sum.
    spoken: Frame,
    spoken_rate: Rate,
    speaks: bool,
    spoken_gain: Ramp,
    heard_gain: Ramp,
    /// What breaks off of its voice, to be heard by others under its next frame.
    spoken_tail: Option<[i16; FADE_MAX]>,
    /// Between its codec's rate and the room's, where they differ.
    up: Up,
    down: Down,
    /// Ticks for which it has heard just what the room's listeners hear.
    settled: u8,
    /// It takes their stream; its own encoder and filter have stopped.
    on_shared: bool,
}

impl Leg {
    #[must_use]
    pub fn new(seed: Seed, now: Moment) -> Self {
        let sending = Header {
            ssrc: seed.ssrc,
            sequence: seed.sequence,
            timestamp: seed.timestamp,
            ..Header::default()
        };
        Self {
            settings: None,
            latch: Latch::new(None, IpAddr::from([0, 0, 0, 0]), false),
            spread: seed.spread | 1,
            reception: Reception::default(),
            playout: Playout::default(),
            keys: Receiver::default(),
            key_until: Duration::ZERO,
            tones: Tones::default(),
            voice: Voice::default(),
            echo: Echo::default(),
            came: level::NOTHING,
            last_heard: now.elapsed,
            lost_told: false,
            refused: 0,
            sender_report: None,
            peer_lost: None,
            round_trip_ms: None,
            control_from: None,
            sending,
            packetizer: Packetizer::default(),
            encoder: Encoder::default(),
            packets_sent: 0,
            bytes_sent: 0,
            sent_reported: 0,
            begins: true,
            wait_until: now.elapsed + PEER_WAIT,
            report_at: now.elapsed + REPORT_EVERY / 2,
            player: Player::default(),
            take: None,
            in_room: false,
            muted: false,
            spoken: SILENCE,
            spoken_rate: Rate::default(),
            speaks: false,
            spoken_gain: Ramp::at(0),
            heard_gain: Ramp::at(0),
            spoken_tail: None,
            up: Up::default(),
            down: Down::default(),
            settled: 0,
            on_shared: false,
        }
    }

    /// The first answer, or a later one. Sequence numbers, SSRC and statistics go on.
    pub fn configure(&mut self, settings: LegSettings, now: Moment) {
        self.latch.renegotiate(settings.remote_rtp, settings.signalling_ip, settings.latch);
        if self.codec() != settings.codec {
            self.change_codec(settings.codec);
        }
        self.packetizer.set(settings.ptime);
        self.voice.wish(settings.sound.voice);
        self.control_from = None;
        // What was silent because of a hold has a minute from now.
        self.last_heard = now.elapsed;
        self.lost_told = false;
        if self.settings.is_none() {
            self.wait_until = now.elapsed + PEER_WAIT;
        }
        self.sending.payload_type = settings.payload_type & 0x7f;
        self.settings = Some(settings);
    }

    /// Both streams begin anew, as the peer's do. What was heard of the leg fades out, and what it
    /// hears fades in.
    fn change_codec(&mut self, codec: Codec) {
        self.playout.begin(codec);
        self.tones = Tones::new(codec.rate());
        self.encoder = Encoder::new(codec);
        let unsent = self.packetizer.clear();
        self.sending.timestamp = self.sending.timestamp.wrapping_add(unsent as u32);
        if self.speaks {
            self.spoken_tail =
                Some(conceal::tail(&self.spoken[..self.spoken_rate.frame()], self.spoken_rate));
        }
        self.spoken_gain = Ramp::at(0);
        self.heard_gain = Ramp::at(0);
        self.up = Up::default();
        self.down = Down::default();
        self.settled = 0;
        self.on_shared = false;
    }

    /// One datagram from the RTP port. The digit, if it is the first packet of a key press.
    pub fn receive(&mut self, datagram: &[u8], from: SocketAddr, now: Moment) -> Option<Digit> {
        if is_control(datagram) {
            self.receive_control(datagram, from, now);
            return None;
        }
        let (Ok(packet), Some(settings)) = (Packet::parse(datagram), &self.settings) else {
            self.refused += 1;
            return None;
        };
        let header = packet.header;
        let is_event = settings.event_payload_type == Some(header.payload_type);
        let is_sound = header.payload_type == settings.payload_type && !is_event;
        let negotiated = is_event || is_sound || header.payload_type == COMFORT_NOISE;
        if self.latch.judge(from, &header, negotiated) != Verdict::Accept {
            self.refused += 1;
            return None;
        }
        self.last_heard = now.elapsed;
        self.lost_told = false;
        let timestamp = is_sound.then_some(header.timestamp);
        if self.reception.note(header.ssrc, header.sequence, timestamp, now.rtp_units()) {
            self.playout.restart();
            self.keys = Receiver::default();
        }
        if is_event {
            let event = Event::parse(packet.payload).ok()?;
            self.key_until = now.elapsed + KEY_ECHO + samples_as_time(self.playout.delay());
            return self.keys.receive(header.sequence, header.timestamp, event);
        }
        let wanted = self.in_room || self.take.is_some() || settings.sound.tones_are_keys;
        if wanted && settings.they_send {
            if is_sound {
                self.playout.insert(header.timestamp, packet.payload);
            } else {
                self.playout.be_silent(header.timestamp, packet.payload);
            }
        }
        None
    }

    fn tones_are_keys(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.sound.tones_are_keys)
    }

    /// Whether they have begun or ceased to talk since it was last asked. Others hear them.
    pub fn take_talking(&mut self) -> Option<bool> {
        self.voice.take_change()
    }

    /// Whether it has begun or ceased to send back what it hears, since it was last asked.
    pub fn take_echo(&mut self) -> Option<bool> {
        self.echo.take_change()
    }

    /// A key that was heard as a tone this tick.
    pub fn take_tone(&mut self) -> Option<Digit> {
        self.tones.key.take()
    }

    /// One datagram from the RTCP port.
    pub fn receive_control(&mut self, datagram: &[u8], from: SocketAddr, now: Moment) {
        if !self.latch.may_be_peer(from.ip()) {
            self.refused += 1;
            return;
        }
        let ours = self.sending.ssrc;
        let (mut sender_report, mut about_us) = (None, None);
        let read = rtcp::read(datagram, |item| match item {
            rtcp::Item::SenderReport { ntp_middle, .. } => sender_report = Some(ntp_middle),
            rtcp::Item::Report(report) if report.ssrc == ours => about_us = Some(report),
            rtcp::Item::Report(_) | rtcp::Item::Goodbye { .. } => {}
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
        if let Some(report) = about_us {
            self.peer_lost = Some(f32::from(report.fraction_lost) / 256.0);
            self.round_trip_ms = rtcp::round_trip_ms(&report, now).or(self.round_trip_ms);
        }
    }

    /// The address that the RTP socket may be connected to, so that the kernel drops all others.
    #[must_use]
    pub fn only_source(&self) -> Option<SocketAddr> {
        self.latch.only_source()
    }

    /// Where RTP goes now; `None`: nowhere, by latching or on hold.
    #[must_use]
    pub fn send_to(&self) -> Option<SocketAddr> {
        let settings = self.settings.as_ref()?;
        if settings.they_receive { self.latch.send_to() } else { None }
    }

    /// Whether prompts should wait a moment, because the peer has yet to prove where it is.
    #[must_use]
    pub fn waits_for_peer(&self, now: Moment) -> bool {
        let Some(settings) = &self.settings else { return true };
        settings.they_receive && self.latch.send_to().is_none() && now.elapsed < self.wait_until
    }

    /// Where RTCP goes: to where it comes from, else where SDP says, always at the proved IP.
    #[must_use]
    pub fn send_control_to(&self) -> Option<SocketAddr> {
        let rtp = self.latch.send_to()?;
        let settings = self.settings.as_ref()?;
        let known = self.control_from.or(settings.remote_rtcp).filter(|address| address.ip() == rtp.ip());
        known.or_else(|| Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)))
    }

    /// Whether the peer has been silent for too long just now; told once per loss. Never on hold.
    pub fn media_lost(&mut self, now: Moment) -> bool {
        let expected = self.settings.as_ref().is_some_and(|settings| settings.they_send);
        if !expected {
            self.last_heard = now.elapsed;
        }
        let lost = now.elapsed.saturating_sub(self.last_heard) >= MEDIA_LOST && !self.lost_told;
        self.lost_told |= lost;
        lost
    }

    // -- saying a name --

    /// Keeps what the peer says from now on, while in no room. The take before, if any, comes back.
    pub fn begin_name(&mut self, take: Take) -> Option<Take> {
        if self.in_room {
            return Some(take);
        }
        self.playout.restart();
        self.take.replace(take)
    }

    /// Once a tick in no room: listens for keys, if it must. The take when it is complete. Keys are not
    /// part of a name.
    pub fn say_name(&mut self, now: Moment) -> Option<Take> {
        let tones_are_keys = self.tones_are_keys();
        if self.take.is_none() && !tones_are_keys {
            return None;
        }
        let rate = self.playout.rate();
        let mut frame = SILENCE;
        let frame = &mut frame[..rate.frame()];
        let mut any = self.playout.frame(frame);
        if tones_are_keys {
            any &= !self.tones.listen(frame, self.playout.was_whole());
        }
        if !any || now.elapsed < self.key_until {
            frame.fill(0);
        }
        let take = self.take.as_mut()?;
        if take.push(frame, rate) { self.take.take() } else { None }
    }

    /// The take as far as it is.
    pub fn end_name(&mut self) -> Option<Take> {
        self.take.take()
    }

    // -- in a room --

    pub fn enter_room(&mut self) {
        self.in_room = true;
        self.playout.restart();
        self.begin_hearing();
    }

    /// Fades in what it hears and what others hear of it.
    fn begin_hearing(&mut self) {
        self.spoken = SILENCE;
        self.speaks = false;
        self.spoken_gain = Ramp::at(0);
        self.heard_gain = Ramp::at(0);
        self.spoken_tail = None;
        self.up = Up::default();
        self.down = Down::default();
        self.settled = 0;
        self.on_shared = false;
    }

    /// Goes out of the room. `sum` is what the room last sounded like. What this leg last said
    /// comes back as a fade-out for those who stay; what it last heard fades out for itself.
    pub(super) fn leave_room(&mut self, sum: &[i32], rate: Rate, shared: &Shared) -> [i16; FADE_MAX] {
        self.voice.rest();
        let tail = conceal::tail(&self.spoken[..rate.frame()], rate);
        self.break_off(sum, rate, shared);
        self.in_room = false;
        tail
    }

    /// What it heard until now fades out, and what it hears next fades in: the room's rate changes, or
    /// it leaves.
    pub(super) fn break_off(&mut self, sum: &[i32], rate: Rate, shared: &Shared) {
        self.take_own_stream(shared);
        let mut heard = SILENCE;
        let heard = &mut heard[..rate.frame()];
        mixer::heard_without(sum, &self.spoken, heard);
        let own = self.rate();
        let tail = if own < rate {
            let mut narrow = [0; FRAME];
            // The end of a frame owes nothing to the frame before.
            Down::default().process(heard, &mut narrow);
            conceal::tail(&narrow, own)
        } else {
            // A wide leg in what was a narrow room until now has only just changed: its gain is 0.
            conceal::tail(heard, own)
        };
        let gain = self.heard_gain.gain();
        self.player.add_tail(tail.map(|sample| (i32::from(sample) * gain / UNITY) as i16));
        self.begin_hearing();
    }

    pub fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Makes this tick's frame at the room's rate, which is no lower than the leg's own; then
    /// [`Leg::spoken`] has it. False: others hear nothing of it.
    pub fn speak(&mut self, rate: Rate, now: Moment) -> bool {
        let settings = self.settings.as_ref();
        let heard = !self.muted && settings.is_some_and(|settings| settings.they_send);
        let target = if heard && now.elapsed >= self.key_until { UNITY } else { 0 };
        self.spoken_gain.go_to(target);
        self.spoken_rate = rate;
        let own = self.playout.rate();
        let mut narrow = [0; FRAME];
        let samples = if own == rate { &mut self.spoken[..rate.frame()] } else { &mut narrow[..] };
        let mut any = self.playout.frame(samples);
        let mut key = false;
        if self.settings.as_ref().is_some_and(|settings| settings.sound.tones_are_keys) {
            let whole = self.playout.was_whole();
            key = self.tones.listen(samples, whole);
            any = self.tones.delay(samples, any);
        }
        // An idle line is passed by: it is neither loud nor made louder.
        let sounds = any && !level::is_silent(samples);
        self.came = if sounds { level::dbov(samples) } else { level::NOTHING };
        match sounds {
            _ if key || !heard => self.voice.unheard(),
            true => self.voice.hear(samples),
            false => self.voice.silent(),
        }
        if key {
            // At once, not within a frame: what is heard now is what came before the key.
            if any && self.spoken_gain.gain() > 0 {
                level::fade_out(samples, own.fade());
                self.speaks = !level::is_silent(samples);
            } else {
                self.speaks = false;
            }
            self.spoken_gain = Ramp::at(0);
        } else if !any || self.spoken_gain.is_closed() {
            // The gain may move while there is nothing to hear.
            self.spoken_gain = Ramp::at(target);
            self.speaks = false;
        } else {
            self.spoken_gain.apply(samples);
            self.speaks = !level::is_silent(samples);
        }
        if !self.speaks {
            samples.fill(0);
        }
        if own != rate {
            if self.speaks || self.up.sounds() {
                self.speaks = true;
                self.up.process(&narrow, &mut self.spoken);
            } else {
                self.spoken.fill(0);
            }
        }
        if let Some(tail) = self.spoken_tail.take() {
            self.speaks = true;
            for (sample, tail) in self.spoken[..rate.fade()].iter_mut().zip(tail) {
                *sample = sample.saturating_add(tail);
            }
        }
        self.speaks
    }

    /// What others hear of it this tick, at the room's rate.
    #[must_use]
    pub fn spoken(&self) -> &Frame {
        &self.spoken
    }

    #[must_use]
    pub fn speaks(&self) -> bool {
        self.speaks
    }

    /// Whether it hears exactly what every silent listener hears, and may be sent the same bytes.
    #[must_use]
    pub fn hears_the_room(&self) -> bool {
        !self.speaks && self.heard_gain.is_unity() && self.player.is_idle()
    }

    /// Once a tick in a room of this rate: whether it takes the stream that is made once for all
    /// listeners.
    pub(super) fn takes_shared(&mut self, rate: Rate, shared: &mut Shared, sum: &[i32]) -> bool {
        let hears = self.hears_the_room();
        if self.codec().law().is_some() && rate == Rate::Narrow {
            return hears;
        }
        if !hears {
            self.settled = 0;
            self.take_own_stream(shared);
            return false;
        }
        if !self.on_shared {
            // The shared stream runs for those who are on their way to it, too.
            self.settled = self.settled.saturating_add(1).min(SETTLING);
            let codec = self.codec();
            let codes = *shared.payload(codec, rate, sum);
            self.on_shared = self.settled == SETTLING
                && (codec.law().is_some()
                    || self.encoder.g722.may_go_on_as(shared.g722(), &codes, shared.noise(rate)));
        }
        self.on_shared
    }

    #[cfg(test)]
    pub(super) fn takes_shared_stream(&self) -> bool {
        self.on_shared
    }

    /// Goes on by itself where the shared stream is.
    pub(super) fn take_own_stream(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.on_shared) {
            self.encoder.g722.clone_from(shared.g722());
            self.down.clone_from(shared.down());
        }
    }

    /// Brings the room's sound for this leg to its own rate.
    pub(super) fn lower(&mut self, wide: &[i16], narrow: &mut [i16]) {
        self.down.process(wide, narrow);
    }

    /// The level of the room's sound for this leg this tick, in dBov.
    pub(super) fn note_sent(&mut self, level: f32) {
        self.echo.note(level, self.came);
    }

    /// Turns the room's sound for this leg, at its own rate, into what it really hears: fading in
    /// after joining, softer under its own prompts.
    pub fn hear(&mut self, heard: &mut [i16]) {
        let mut prompt = SILENCE;
        let prompt = &mut prompt[..heard.len()];
        let told = !matches!(self.player.fill(self.codec().rate(), prompt), Filled::Nothing);
        self.heard_gain.go_to(if told { DUCKED } else { UNITY });
        self.heard_gain.apply(heard);
        if told {
            for (heard, prompt) in heard.iter_mut().zip(prompt) {
                *heard = heard.saturating_add(*prompt);
            }
        }
    }

    // -- packets to the peer --

    /// Alone: what its player has, or silence, encoded into `payload`.
    pub fn idle(&mut self, payload: &mut [u8; FRAME]) {
        let codec = self.codec();
        let mut frame = SILENCE;
        let frame = &mut frame[..codec.rate().frame()];
        let filled = self.player.fill(codec.rate(), frame);
        match (filled, codec.law()) {
            (Filled::Nothing, Some(law)) => payload.fill(law.silence()),
            (Filled::Clip(clip, at), Some(law)) => {
                payload.copy_from_slice(&clip.encoded(law)[at..at + FRAME]);
            }
            _ => self.encoder.encode(frame, payload),
        }
    }

    /// Encodes what it alone hears, at its own rate.
    pub fn encode(&mut self, heard: &[i16], payload: &mut [u8; FRAME]) {
        self.encoder.encode(heard, payload);
    }

    #[must_use]
    pub fn codec(&self) -> Codec {
        self.settings.as_ref().map_or(Codec::default(), |settings| settings.codec)
    }

    /// Of its codec.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.codec().rate()
    }

    /// Takes the bytes of one tick; `send` is handed each packet that is full now, header and all:
    /// none to two, as the peer asked for long or short ones.
    pub fn packets(&mut self, payload: &[u8; FRAME], mut send: impl FnMut(&[u8])) {
        let Self { sending, packetizer, begins, packets_sent, bytes_sent, .. } = self;
        packetizer.push(payload, |payload| {
            let mut packet = [0; Header::LENGTH + PACKET_MAX];
            let packet = &mut packet[..Header::LENGTH + payload.len()];
            packet[Header::LENGTH..].copy_from_slice(payload);
            sending.marker = std::mem::take(begins);
            sending.write(packet);
            sending.sequence = sending.sequence.wrapping_add(1);
            sending.timestamp = sending.timestamp.wrapping_add(payload.len() as u32);
            *packets_sent = packets_sent.wrapping_add(1);
            *bytes_sent = bytes_sent.wrapping_add(payload.len() as u32);
            send(packet);
        });
    }

    /// This tick sends nothing; time passes all the same.
    pub fn pause(&mut self) {
        self.begins = true;
        let unsent = self.packetizer.clear();
        self.sending.timestamp = self.sending.timestamp.wrapping_add((unsent + FRAME) as u32);
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
        let about = self.reception.report().map(|mut about| {
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
        Report { ssrc: self.sending.ssrc, sender, about, cname: NAME, goodbye }.write(out)
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
        }
    }
}

/// Keys heard as tones, and the caller's sound as long as it takes to hear them: a frame.
#[derive(Debug)]
struct Tones {
    listener: Listener,
    key: Option<Digit>,
    /// Whether the last frame was a key's, and what it was.
    tone: bool,
    last: Frame,
    any: bool,
}

impl Default for Tones {
    fn default() -> Self {
        Self::new(Rate::Narrow)
    }
}

impl Tones {
    fn new(rate: Rate) -> Self {
        Self { listener: Listener::new(rate), key: None, tone: false, last: SILENCE, any: false }
    }

    /// Whether this frame or the one before belong to a key, or may.
    fn listen(&mut self, frame: &[i16], whole: bool) -> bool {
        let heard = if whole { self.listener.hear(frame) } else { self.listener.miss() };
        self.key = heard.key.or(self.key);
        std::mem::replace(&mut self.tone, heard.tone) || heard.tone
    }

    /// Keeps this frame and gives the one before, as `any` says whether there is one.
    fn delay(&mut self, frame: &mut [i16], any: bool) -> bool {
        self.last[..frame.len()].swap_with_slice(frame);
        std::mem::replace(&mut self.any, any)
    }
}

impl AsMut<Leg> for Leg {
    fn as_mut(&mut self) -> &mut Leg {
        self
    }
}

fn samples_as_time(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 125)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.1:4000";

    fn settings() -> LegSettings {
        LegSettings {
            remote_rtp: Some(PEER.parse().unwrap()),
            remote_rtcp: None,
            signalling_ip: "192.0.2.1".parse().unwrap(),
            latch: false,
            codec: Codec::Pcmu,
            payload_type: 0,
            event_payload_type: Some(101),
            ptime: Duration::from_millis(20),
            they_send: true,
            they_receive: true,
            sound: SoundSettings::default(),
        }
    }

    fn at(ms: u64) -> Moment {
        Moment::new(1 << 60, Duration::from_millis(ms))
    }

    fn leg(settings: LegSettings) -> Leg {
        let mut leg =
            Leg::new(Seed { ssrc: 0xfeed, sequence: 65_535, timestamp: u32::MAX, spread: 3 }, at(0));
        leg.configure(settings, at(0));
        leg
    }

    fn packet(payload_type: u8, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 12];
        packet.extend_from_slice(payload);
        Header { payload_type, marker: false, sequence, timestamp, ssrc: 9 }.write(&mut packet);
        packet
    }

    #[test]
    fn keys_of_any_dynamic_number_are_heard_and_those_not_agreed_are_not() {
        for agreed in [96, 97, 101, 127] {
            let mut leg = leg(LegSettings { event_payload_type: Some(agreed), ..settings() });
            let from = PEER.parse().unwrap();
            let digit = leg.receive(&packet(agreed, 1, 0, &[7, 0x8a, 0, 160]), from, at(0));
            assert_eq!(digit.map(Digit::as_char), Some('7'));
            let other = leg.receive(&packet(agreed - 1, 2, 500, &[7, 0x8a, 0, 160]), from, at(0));
            assert_eq!(other, None);
        }
        let mut leg = leg(LegSettings { event_payload_type: None, ..settings() });
        assert_eq!(leg.receive(&packet(101, 1, 0, &[7, 0x8a, 0, 160]), PEER.parse().unwrap(), at(0)), None);
    }

    #[test]
    fn others_do_not_hear_the_leg_while_a_key_is_down() {
        let mut leg = leg(settings());
        leg.enter_room();
        let from = PEER.parse().unwrap();
        let mut spoke = Vec::new();
        for n in 0..100_u16 {
            let now = at(u64::from(n) * 20);
            leg.receive(&packet(0, 2 * n, u32::from(n) * 160, &[0x10; 160]), from, now);
            if (40..50).contains(&n) {
                leg.receive(&packet(101, 2 * n + 1, 6_400, &[7, 10, 0, 160]), from, now);
            }
            if leg.speak(Rate::Narrow, now) {
                spoke.push(n);
            }
        }
        assert!(spoke.contains(&39));
        assert!(!(42..=50).any(|n| spoke.contains(&n)), "{spoke:?}");
        assert!(spoke.contains(&56), "{spoke:?}");
    }

    #[test]
    fn a_silent_peer_is_lost_once_per_silence_and_never_on_hold() {
        let mut leg = leg(settings());
        assert!(!leg.media_lost(at(59_999)));
        assert!(leg.media_lost(at(60_000)));
        assert!(!leg.media_lost(at(90_000)));
        leg.receive(&packet(0, 1, 0, &[0xff; 160]), PEER.parse().unwrap(), at(100_000));
        assert!(!leg.media_lost(at(159_999)));
        assert!(leg.media_lost(at(160_000)));

        leg.configure(LegSettings { they_send: false, ..settings() }, at(160_001));
        assert!(!leg.media_lost(at(1_000_000)));
        leg.configure(settings(), at(1_000_001));
        assert!(!leg.media_lost(at(1_060_000)));
        assert!(leg.media_lost(at(1_060_001)));
    }

    #[test]
    fn reports_alone_keep_a_silent_peer() {
        let mut leg = leg(settings());
        let report = Report { ssrc: 9, sender: None, about: None, cname: "x", goodbye: true };
        let mut buffer = [0; REPORT_MAX];
        let length = report.write(&mut buffer);
        leg.receive_control(&buffer[..length], "192.0.2.1:4001".parse().unwrap(), at(50_000));
        assert!(!leg.media_lost(at(100_000)));
        leg.receive_control(&buffer[..length], "203.0.113.9:4001".parse().unwrap(), at(100_000));
        assert!(leg.media_lost(at(110_000)), "a stranger's report keeps nobody");
    }

    #[test]
    fn two_legs_tell_each_other_their_loss_and_round_trip() {
        let mut here = leg(settings());
        let mut there = leg(settings());
        let from: SocketAddr = PEER.parse().unwrap();
        there.sending.ssrc = 0xbeef;
        there.spread = 77;
        let mut buffer = [0; REPORT_MAX];
        for n in 0..1_500_u64 {
            let now = at(n * 20);
            let later = at(n * 20 + 30);
            let mut bytes = [0; 172];
            here.packets(&[0xff; FRAME], |packet| bytes.copy_from_slice(packet));
            if n % 10 != 0 {
                there.receive(&bytes, from, later);
            }
            there.packets(&[0xff; FRAME], |packet| bytes.copy_from_slice(packet));
            here.receive(&bytes, from, later);
            if let Some(length) = here.report(now, &mut buffer) {
                there.receive_control(&buffer[..length], from, later);
            }
            if let Some(length) = there.report(now, &mut buffer) {
                here.receive_control(&buffer[..length], from, later);
            }
        }
        let quality = here.quality();
        assert!((quality.peer_lost.unwrap() - 0.1).abs() < 0.02, "{quality:?}");
        assert!((quality.round_trip_ms.unwrap() - 60.0).abs() < 2.0, "{quality:?}");
        assert_eq!((quality.packets_lost, quality.packets_received), (0, 1_500));
        assert_eq!(there.quality().packets_lost, 149);
    }

    #[test]
    fn the_first_prompt_waits_a_second_for_a_peer_that_has_to_prove_itself() {
        let behind_nat =
            LegSettings { latch: true, signalling_ip: "198.51.100.7".parse().unwrap(), ..settings() };
        let nat: SocketAddr = "198.51.100.7:9".parse().unwrap();
        let mut waiting = leg(behind_nat.clone());
        assert!(waiting.waits_for_peer(at(999)));
        assert!(!waiting.waits_for_peer(at(1_000)), "the call's flow must go on");
        for sequence in 0..3 {
            waiting.receive(&packet(0, sequence, 0, &[0xff; 160]), nat, at(60));
        }
        assert!(waiting.waits_for_peer(at(60)));
        waiting.receive(&packet(0, 3, 0, &[0xff; 160]), nat, at(80));
        assert!(!waiting.waits_for_peer(at(80)));
        assert!(!leg(settings()).waits_for_peer(at(0)), "nothing to prove");
    }

    #[test]
    fn a_held_leg_is_sent_nothing_and_its_clock_goes_on() {
        let mut leg = leg(settings());
        assert_eq!(leg.send_to(), Some(PEER.parse().unwrap()));
        let mut bytes = [0; 172];
        leg.packets(&[0; FRAME], |packet| bytes.copy_from_slice(packet));
        let before = Packet::parse(&bytes).unwrap().header;
        leg.configure(LegSettings { they_receive: false, ..settings() }, at(0));
        assert_eq!(leg.send_to(), None);
        assert_eq!(leg.send_control_to(), Some("192.0.2.1:4001".parse().unwrap()));
        (0..50).for_each(|_| leg.pause());
        leg.packets(&[0; FRAME], |packet| bytes.copy_from_slice(packet));
        let after = Packet::parse(&bytes).unwrap().header;
        assert!(before.marker && after.marker);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(51 * 160));
    }

    proptest::proptest! {
        #[test]
        fn no_datagrams_panic(datagrams: Vec<(Vec<u8>, bool)>) {
            let mut leg = leg(settings());
            leg.enter_room();
            for (n, (mut datagram, control)) in datagrams.into_iter().enumerate() {
                if let Some(first) = datagram.first_mut() {
                    *first = *first & 0x1f | 0x80;
                }
                let now = at(n as u64 * 20);
                if control {
                    leg.receive_control(&datagram, PEER.parse().unwrap(), now);
                } else {
                    leg.receive(&datagram, PEER.parse().unwrap(), now);
                }
                leg.speak(Rate::Narrow, now);
            }
        }
    }
}
