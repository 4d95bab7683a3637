//! What a leg is told of its peer, and of what is to be done to the sound.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::audio::{Codec, Rate, opus, voice};
use crate::rtp::Srtp;
use crate::types::{JitterBounds, OpusWishes};

/// What offer and answer agreed on, and where the peer is. Given again at each re-INVITE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LegSettings {
    /// From SDP; `None` or an unspecified address: the peer named none.
    pub remote_rtp: Option<SocketAddr>,
    /// From SDP's `a=rtcp`; `None`: the port after RTP's.
    pub remote_rtcp: Option<SocketAddr>,
    /// Where the INVITE came from.
    pub signalling_ip: IpAddr,
    /// Learn the address from packets ([`Latch`](crate::rtp::Latch)); false: SDP's alone.
    pub latch: bool,
    pub codec: Codec,
    /// The codec's number, as agreed.
    pub payload_type: u8,
    /// Telephone-event's number; `None`: not agreed, no keys in RTP.
    pub event_payload_type: Option<u8>,
    /// Ticks a second by which it tells how long keys were down.
    pub event_clock: u32,
    /// How long the packets are that the peer wants; see
    /// [`Packetizer::set`](crate::audio::packetizer::Packetizer::set).
    pub ptime: Duration,
    /// The direction attributes: false while we are on hold, or hold them.
    pub they_send: bool,
    pub they_receive: bool,
    /// RTCP goes and comes on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Packets are encrypted, both ways.
    pub srtp: Option<Box<Srtp>>,
    pub sound: SoundSettings,
}

/// What is done to a caller's sound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SoundSettings {
    /// No room is mixed at a higher rate because of it.
    pub rate_max: Rate,
    /// How long its packets may wait to be played in order.
    pub jitter: JitterBounds,
    /// Keys are listened for in the sound, and others hear the caller 20 ms later so that they never hear a
    /// key.
    pub tones_are_keys: bool,
    /// Silence is sent as comfort noise (RFC 3389), in few packets. For G.711 and G.722; Opus has a way of its own.
    pub comfort_noise: bool,
    /// Others hear the caller without the noise; see [`Denoiser`](crate::audio::Denoiser).
    pub noise_suppression: bool,
    /// How the peer would like Opus, where that is the codec.
    pub opus: OpusWishes,
    pub voice: voice::Wishes,
}

impl Default for SoundSettings {
    fn default() -> Self {
        Self {
            rate_max: Rate::Wide,
            jitter: JitterBounds::default(),
            tones_are_keys: false,
            comfort_noise: false,
            noise_suppression: false,
            opus: OpusWishes::default(),
            voice: voice::Wishes::default(),
        }
    }
}

impl LegSettings {
    /// The simplest leg: packets of 20 ms both ways, keys by RTP as payload type 101, nothing encrypted, the peer where
    /// it says.
    #[must_use]
    pub fn plain(codec: Codec, peer: SocketAddr) -> Self {
        Self {
            remote_rtp: Some(peer),
            remote_rtcp: None,
            signalling_ip: peer.ip(),
            latch: false,
            codec,
            payload_type: codec.payload_type(),
            event_payload_type: Some(101),
            event_clock: 8_000,
            ptime: Duration::from_millis(20),
            they_send: true,
            they_receive: true,
            rtcp_mux: false,
            srtp: None,
            sound: SoundSettings::default(),
        }
    }

    /// What the leg's sound is decoded and encoded at.
    #[must_use]
    pub fn rate(&self) -> Rate {
        match self.codec {
            Codec::Opus => opus::rate(self.sound.opus, self.sound.rate_max),
            codec => codec.rate(),
        }
    }
}
