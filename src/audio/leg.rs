//! One caller's sound: packets come in and become frames, frames become packets and go out.
//!
//! A leg decides everything about its stream and does nothing: it is handed datagrams and says
//! which to believe; it fills in the packet that somebody else sends.

mod clock;
mod in_room;
mod reports;
mod settings;
mod silence;
#[cfg(test)]
mod tests;
mod tones;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::conceal;
use super::echo::Echo;
use super::jitter_buffer::Insert;
use super::packetizer::{PACKET_MAX, Packetizer};
use super::player::{Filled, Player};
use super::playout::Playout;
use super::ramp::Ramp;
use super::voice::Voice;
use super::{Codec, Converter, Denoiser, Encoder, FADE_MAX, FRAME, Frame, Rate, SILENCE, Take, level, opus};
use crate::rtp::packet::{Header, is_control};
use crate::rtp::srtp::TRAILER_MAX;
use crate::rtp::telephone_event::{Event, Receiver};
use crate::rtp::{Bursts, DATAGRAM_MAX, Latch, Moment, Packet, Reception, Srtp, Verdict};
use crate::types::{Digit, OpusWishes};
use clock::{Clock, Steady};
pub use reports::Quality;
use reports::REPORT_EVERY;
pub use settings::{LegSettings, SoundSettings};
use silence::{Sends, Silence};
use tones::Tones;

/// Numbers nobody may guess (RFC 3550 §5.1), from the system's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seed {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    /// Spreads the reports of legs over time (§6.3.1).
    pub spread: u32,
}

/// A leg is served so often, and a tick that comes so much later than the one before should make it is late.
const TICK: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_millis(5);
/// Nothing from the peer for this long, neither RTP nor RTCP: it is gone.
pub const MEDIA_LOST: Duration = Duration::from_secs(60);
/// So long the first prompt waits for a peer that must prove its address; nobody would hear it.
const PEER_WAIT: Duration = Duration::from_secs(1);
/// While a key is down and for this long after its last packet others do not hear the leg.
const KEY_ECHO: Duration = Duration::from_millis(60);
/// Comfort noise (RFC 3389): the peer is silent and alive.
const COMFORT_NOISE: u8 = 13;
#[derive(Debug)]
pub struct Leg {
    settings: Option<LegSettings>,
    latch: Latch,
    srtp: Option<Box<Srtp>>,
    spread: u32,

    // -- from the peer --
    reception: Reception,
    /// Whether what was lost came in bursts, and how long the last packet sounds, in ticks.
    bursts: Bursts,
    packet_ticks: usize,
    steady: Steady,
    clock: Clock,
    playout: Playout,
    keys: Receiver,
    /// How long the key was down that was released last.
    key_lasted: Option<Duration>,
    /// Others do not hear the leg before this: a key is down.
    key_until: Duration,
    tones: Tones,
    /// Once it has been needed it stays.
    denoiser: Option<Box<Denoiser>>,
    voice: Voice,
    echo: Echo,
    /// How loud the last frame was that came from it, in dBov.
    came: f32,
    /// When it was served last; ticks that came late since it is there, and by how much the worst.
    served: Option<Duration>,
    ticks_late: u64,
    late_most: Duration,
    last_heard: Duration,
    /// The loss has been told and nothing has come since.
    lost_told: bool,
    refused: u64,
    rejected: u64,
    /// NTP middle bits of the peer's last sender report, and when it came.
    sender_report: Option<(u32, Duration)>,
    peer_lost: Option<f32>,
    peer_opinion: Option<f32>,
    round_trip_ms: Option<f32>,
    /// Where the peer's RTCP comes from, if not from where SDP says.
    control_from: Option<SocketAddr>,

    // -- to the peer --
    sending: Header,
    packetizer: Packetizer,
    joiner: opus::Joiner,
    encoder: Encoder,
    packets_sent: u32,
    bytes_sent: u32,
    sent_reported: u32,
    /// The next packet is the first after a pause.
    begins: bool,
    silence: Silence,
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
    into_room: Converter,
    out_of_room: Converter,
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
            srtp: None,
            spread: seed.spread | 1,
            reception: Reception::default(),
            bursts: Bursts::default(),
            packet_ticks: FRAME,
            steady: Steady::default(),
            clock: Clock::default(),
            playout: Playout::default(),
            keys: Receiver::default(),
            key_lasted: None,
            key_until: Duration::ZERO,
            tones: Tones::default(),
            denoiser: None,
            voice: Voice::default(),
            echo: Echo::default(),
            came: level::NOTHING,
            served: None,
            ticks_late: 0,
            late_most: Duration::ZERO,
            last_heard: now.elapsed,
            lost_told: false,
            refused: 0,
            rejected: 0,
            sender_report: None,
            peer_lost: None,
            peer_opinion: None,
            round_trip_ms: None,
            control_from: None,
            sending,
            packetizer: Packetizer::default(),
            joiner: opus::Joiner::default(),
            encoder: Encoder::default(),
            packets_sent: 0,
            bytes_sent: 0,
            sent_reported: 0,
            begins: true,
            silence: Silence::default(),
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
            into_room: Converter::default(),
            out_of_room: Converter::default(),
            settled: 0,
            on_shared: false,
        }
    }

    /// The first answer, or a later one. Sequence numbers, SSRC and statistics go on, and so does
    /// encryption with the same keys. What comes back is to be freed, where that is allowed.
    pub fn configure(&mut self, mut settings: LegSettings, now: Moment) -> Option<Box<Srtp>> {
        self.latch.renegotiate(settings.remote_rtp, settings.signalling_ip, settings.latch);
        if (self.codec(), self.rate()) != (settings.codec, settings.rate()) {
            self.change_codec(settings.codec, settings.rate());
        }
        if let (Codec::Opus, Some(opus)) = (settings.codec, &mut self.encoder.opus) {
            opus.wish(settings.sound.opus);
        }
        self.packetizer.set(settings.ptime);
        self.joiner.set(settings.ptime.as_millis());
        self.voice.wish(settings.sound.voice);
        self.playout.keep_within(settings.sound.jitter);
        self.control_from = None;
        // What was silent because of a hold has a minute from now.
        self.last_heard = now.elapsed;
        self.lost_told = false;
        if self.settings.is_none() {
            self.wait_until = now.elapsed + PEER_WAIT;
        }
        self.sending.payload_type = settings.payload_type & 0x7f;
        let before = std::mem::replace(&mut self.srtp, settings.srtp.take());
        self.settings = Some(settings);
        match (&mut self.srtp, before) {
            (Some(srtp), Some(before)) => srtp.continue_from(before),
            (_, before) => before,
        }
    }

    /// Both streams begin anew, as the peer's do. What was heard of the leg fades out, and what it
    /// hears fades in.
    fn change_codec(&mut self, codec: Codec, rate: Rate) {
        self.playout.begin(codec, rate);
        self.tones = Tones::new(rate);
        let unsent = self.unsent() * self.codec().clock_ratio();
        self.sending.timestamp = self.sending.timestamp.wrapping_add(unsent);
        self.encoder.begin_at(codec, rate);
        self.clock = Clock::default();
        self.steady = Steady::default();
        if self.speaks {
            self.spoken_tail =
                Some(conceal::tail(&self.spoken[..self.spoken_rate.frame()], self.spoken_rate));
        }
        self.spoken_gain = Ramp::at(0);
        self.heard_gain = Ramp::at(0);
        self.into_room = Converter::default();
        self.out_of_room = Converter::default();
        self.settled = 0;
        self.on_shared = false;
    }

    /// One datagram from the RTP port. The digit, if it is the first packet of a key press.
    pub fn receive(&mut self, datagram: &[u8], from: SocketAddr, now: Moment) -> Option<Digit> {
        if is_control(datagram) {
            self.receive_control(datagram, from, now);
            return None;
        }
        let Some(mut srtp) = self.srtp.take() else { return self.receive_clear(datagram, from, now) };
        let mut digit = None;
        if !self.latch.may_be_peer(from.ip()) {
            self.refused += 1;
        } else if let Ok(clear) = srtp.open(datagram, &mut [0; DATAGRAM_MAX]) {
            digit = self.receive_clear(clear, from, now);
        } else {
            self.rejected += 1;
        }
        self.srtp = Some(srtp);
        digit
    }

    fn receive_clear(&mut self, datagram: &[u8], from: SocketAddr, now: Moment) -> Option<Digit> {
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
        let mut at = header.timestamp;
        if self.reception.ssrc() != Some(header.ssrc) {
            self.steady = Steady::default();
        }
        if is_sound && let Some(lasts) = settings.codec.duration(packet.payload) {
            self.packet_ticks = lasts;
            at = self.steady.timestamp(header.sequence, at, lasts as u32 * settings.codec.clock_ratio());
        }
        let ticks = self.clock.ticks(settings.codec, at);
        let timestamp = is_sound.then_some(ticks);
        if self.reception.note(header.ssrc, header.sequence, timestamp, now.rtp_units()) {
            self.playout.restart();
            self.keys = Receiver::default();
            self.clock = Clock(Some((at, ticks)));
            self.bursts.new_source();
        }
        if is_event {
            self.bursts.note(header.sequence, true);
            let event = Event::parse(packet.payload).ok()?;
            self.key_until = now.elapsed + KEY_ECHO + samples_as_time(self.playout.delay());
            let digit = self.keys.receive(header.sequence, header.timestamp, event);
            if let Some(ticks) = self.keys.take_lasted() {
                let clock = u64::from(settings.event_clock.max(1));
                self.key_lasted = Some(Duration::from_micros(u64::from(ticks) * 1_000_000 / clock));
            }
            return digit;
        }
        let wanted = self.in_room || self.take.is_some() || settings.sound.tones_are_keys;
        let mut in_time = true;
        if wanted && settings.they_send {
            if is_sound {
                in_time = self.playout.insert(ticks, packet.payload) != Insert::Late;
            } else {
                self.playout.be_silent(ticks, packet.payload);
            }
        }
        self.bursts.note(header.sequence, in_time);
        None
    }

    /// Gives it what Opus needs, before [`Leg::configure`] first says that it is; where that was not done,
    /// configuring allocates.
    pub fn equip(&mut self, encoder: opus::Encoder, decoder: opus::Decoder) {
        self.encoder.equip(encoder);
        self.playout.equip(decoder);
    }

    /// Gives it what noise suppression needs; until then nothing is suppressed.
    pub fn equip_denoiser(&mut self, denoiser: Box<Denoiser>) {
        self.denoiser = Some(denoiser);
    }

    /// Forgets what waits to be sent; how many ticks that was.
    fn unsent(&mut self) -> u32 {
        (self.packetizer.clear() + self.joiner.clear() * FRAME) as u32
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

    /// How long the key was down that has just been released, of those that come as events.
    pub fn take_key_lasted(&mut self) -> Option<Duration> {
        self.key_lasted.take()
    }

    /// The same of those that are heard as tones.
    pub fn take_tone_lasted(&mut self) -> Option<Duration> {
        self.tones.lasted.take()
    }

    /// A key that was heard as a tone this tick.
    pub fn take_tone(&mut self) -> Option<Digit> {
        self.tones.key.take()
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
        if settings.rtcp_mux {
            return Some(rtp);
        }
        let known = self.control_from.or(settings.remote_rtcp).filter(|address| address.ip() == rtp.ip());
        known.or_else(|| Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)))
    }

    /// RTCP goes out of the RTP port.
    #[must_use]
    pub fn multiplexes(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.rtcp_mux)
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

    /// Once a tick: whether it comes late.
    fn note_served(&mut self, now: Moment) {
        let Some(before) = self.served.replace(now.elapsed) else { return };
        let late = now.elapsed.saturating_sub(before).saturating_sub(TICK);
        if late > LATE {
            // One, or as many as were left out.
            self.ticks_late += (late.as_millis() / TICK.as_millis()).max(1) as u64;
            self.late_most = self.late_most.max(late);
        }
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
        self.note_served(now);
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

    // -- packets to the peer --

    /// Alone: what its player has, or silence, encoded into `payload`.
    pub fn idle(&mut self, payload: &mut [u8; FRAME]) {
        let codec = self.codec();
        let mut frame = SILENCE;
        let rate = self.rate();
        let frame = &mut frame[..rate.frame()];
        let filled = self.player.fill(rate, frame);
        if matches!(filled, Filled::Nothing) {
            self.silence.note(level::NOTHING);
        }
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

    /// What its sound is decoded and encoded at.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.settings.as_ref().map_or(Rate::default(), LegSettings::rate)
    }

    /// What a room must be mixed at for it to lose nothing, as far as that is allowed.
    #[must_use]
    pub fn room_rate(&self) -> Rate {
        self.settings
            .as_ref()
            .map_or(Rate::default(), |settings| settings.rate().min(settings.sound.rate_max))
    }

    pub(super) fn opus_wishes(&self) -> OpusWishes {
        self.settings.as_ref().map(|settings| settings.sound.opus).unwrap_or_default()
    }

    /// Takes the bytes of one tick; `send` is handed each packet that is full now, header and all:
    /// none to two, as the peer asked for long or short ones. Of silence it may be one that tells of it, or none.
    pub fn packets(&mut self, payload: &[u8; FRAME], mut transmit: impl FnMut(&[u8])) {
        let codec = self.codec();
        let pauses = self.opus_wishes().pauses;
        let sends = self.sends();
        if sends != Sends::Sound {
            // What waits is silence too.
            let unsent = self.unsent();
            self.sending.timestamp = self.sending.timestamp.wrapping_add(unsent);
        }
        let Self { sending, srtp, packetizer, joiner, begins, packets_sent, bytes_sent, .. } = self;
        let mut send = |is_noise: bool, payload: &[u8], ticks: usize| {
            let mut packet = [0; Header::LENGTH + PACKET_MAX + TRAILER_MAX];
            let mut length = Header::LENGTH + payload.len();
            packet[Header::LENGTH..length].copy_from_slice(payload);
            // The marker is for the first sound after it (RFC 3551 §4.1).
            let marker = !is_noise && std::mem::take(begins);
            let payload_type = if is_noise { COMFORT_NOISE } else { sending.payload_type };
            Header { marker, payload_type, ..*sending }.write(&mut packet);
            if let Some(srtp) = srtp {
                length = srtp.sender.protect(&mut packet, length);
            }
            sending.sequence = sending.sequence.wrapping_add(1);
            sending.timestamp = sending.timestamp.wrapping_add(ticks as u32 * codec.clock_ratio());
            *packets_sent = packets_sent.wrapping_add(1);
            *bytes_sent = bytes_sent.wrapping_add(payload.len() as u32);
            transmit(&packet[..length]);
        };
        match sends {
            Sends::Noise(level) => {
                send(true, &[level], 0);
                return self.pause();
            }
            Sends::Nothing => return self.pause(),
            Sends::Sound => {}
        }
        if codec == Codec::Opus {
            let packet = opus::packet(payload);
            if pauses && opus::is_pause(packet) {
                joiner.end(|packet, frames| send(false, packet, frames * FRAME));
                return self.pause();
            }
            joiner.push(packet, |packet, frames| send(false, packet, frames * FRAME));
        } else {
            packetizer.push(payload, |bytes| send(false, bytes, bytes.len()));
        }
    }

    fn sends(&mut self) -> Sends {
        let sends = self.silence.next();
        let noise = self.settings.as_ref().is_some_and(|settings| settings.sound.comfort_noise);
        if noise && self.codec() != Codec::Opus { sends } else { Sends::Sound }
    }

    /// This tick sends nothing; time passes all the same.
    pub fn pause(&mut self) {
        self.begins = true;
        let unsent = (self.unsent() + FRAME as u32) * self.codec().clock_ratio();
        self.sending.timestamp = self.sending.timestamp.wrapping_add(unsent);
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
