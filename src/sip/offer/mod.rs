//! SDP offer and answer (RFC 3264, 8866): which codec, which keys, which way, to where.
//!
//! [`Offer::parse`] reads what a peer offers, [`answer`] answers it, [`offer`] makes one of ours and
//! [`accept_answer`] reads what came back. Both ends of that give a [`Negotiated`]: all that media
//! needs to know. One audio stream is taken; other streams are refused with port 0 (RFC 3264 §6).

mod codec;
mod crypto;
mod description;
mod direction;
mod negotiate;

use std::net::SocketAddr;
use std::time::Duration;

pub use description::Offer;
pub use direction::Direction;
pub use negotiate::{accept_answer, answer, offer};

pub use super::trunk::CodecName;
use super::warning::Warning;
use crate::types::{MediaKey, MediaKeys, OpusWishes};

/// Our side of a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Local {
    /// Where we receive RTP.
    pub rtp: SocketAddr,
    /// Where we receive RTCP unless it is multiplexed; the port after RTP when they are neighbours.
    pub rtcp_port: u16,
    /// In the order we prefer. Only what media can do.
    pub codecs: Vec<CodecName>,
    /// Samples a second of Opus that we play, and that we send: 8,000, 16,000 or 48,000.
    pub opus_rate: u32,
    /// Offer and send comfort noise (RFC 3389). We always accept it.
    pub noise: bool,
    /// Offer or accept telephone events (RFC 4733).
    pub events: bool,
    /// Accept, or in an offer propose, RTCP on the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// Whether sound is encrypted.
    pub srtp: Srtp,
    /// Names the session in `o=`, the same for all its life. Random, or two calls look like one.
    pub session_id: u64,
}

/// What we do about encryption (SDES, RFC 4568). The default: nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Srtp {
    /// Our key for each suite that we take, in the order that we offer; the same for all of a session's
    /// life. Empty: SRTP is refused. Else offers of ours are of SRTP alone, and of theirs we take what is
    /// encrypted before what is not.
    pub keys: Vec<MediaKey>,
    /// Sound that is not encrypted is refused.
    pub required: bool,
}

/// What both sides agreed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Negotiated {
    /// Where the peer receives; `None` while it holds with the address 0.0.0.0 (RFC 3264 §8.4).
    pub remote_rtp: Option<SocketAddr>,
    /// `remote_rtp` when multiplexed, else as `a=rtcp` says (RFC 3605), else the next port.
    pub remote_rtcp: Option<SocketAddr>,
    pub codec: CodecName,
    /// Both ways.
    pub payload_type: u8,
    /// Both ways; `None`: no telephone events.
    pub event_payload_type: Option<u8>,
    /// Its clock, in ticks a second; without telephone events the codec's.
    pub event_clock: u32,
    /// Both want silence to be sent as comfort noise, payload type 13.
    pub noise: bool,
    /// The packet time the peer would like to receive, 20 ms when it does not say or says nonsense.
    pub ptime: Duration,
    /// What the *peer* may do: see [`Direction::sends`] and [`Direction::receives`].
    pub direction: Direction,
    pub rtcp_mux: bool,
    /// How the peer would like Opus, where that is the codec.
    pub opus: OpusWishes,
    /// `None`: sound is not encrypted.
    pub srtp: Option<MediaKeys>,
}

/// Why no session can come of a description. Not for lack of trying: each has its own words.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unusable {
    #[error("body that is no SDP: {0}")]
    NotSdp(&'static str),
    #[error("SDP with more than 4 media lines")]
    TooManyMedia,
    #[error("SDP without an audio stream")]
    NoAudio,
    #[error("audio only over {0}, expected RTP/AVP or RTP/AVPF")]
    Transport(&'static str),
    /// SRTP with no key that we take, and why not the first of them.
    #[error("SRTP with no key that we take: {0}")]
    Keys(&'static str),
    #[error("audio without SRTP, which is required here")]
    Plain,
    #[error("audio with none of our codecs")]
    NoCodec,
    #[error("audio at no address that we can send to")]
    Address,
    /// `IPv4` or `IPv6`.
    #[error("audio over {0}, of which we have no address")]
    Family(&'static str),
    #[error("answer that refuses our stream or is not one to our offer")]
    Refused,
}

impl Unusable {
    /// What an INVITE with it is answered.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotSdp(_) => 400,
            _ => 488,
        }
    }

    /// It is about whether and how sound is encrypted.
    #[must_use]
    pub fn is_about_encryption(&self) -> bool {
        matches!(self, Self::Transport("SRTP" | "DTLS") | Self::Keys(_) | Self::Plain)
    }

    /// It is about where the peer receives.
    #[must_use]
    pub const fn is_about_addresses(&self) -> bool {
        matches!(self, Self::Address | Self::Family(_))
    }

    /// What a refusal tells the peer to change (RFC 3261 §20.43).
    #[must_use]
    pub fn warning(&self) -> Warning {
        let code = match self {
            Self::NotSdp(_) | Self::TooManyMedia | Self::Refused | Self::Keys(_) => 399,
            Self::NoAudio => 304,
            Self::Transport(_) | Self::Plain => 302,
            Self::NoCodec => 305,
            Self::Address | Self::Family(_) => 301,
        };
        Warning { code, text: self.to_string() }
    }
}
