//! Codecs as SDP names them (RFC 3551 §6, RFC 7587, RFC 4733).

use super::CodecName;

/// How a codec stands in `a=rtpmap`.
pub(super) struct Encoding {
    pub name: &'static str,
    /// Of RTP timestamps, Hz. G.722 says 8000 though it samples at 16000 (RFC 3551 §4.5.2).
    pub clock: u32,
    /// Opus is always announced with two.
    pub channels: u32,
    /// What we call it in our offers: its static payload type where it has one.
    pub payload_type: u8,
}

pub(super) const fn encoding(codec: CodecName) -> Encoding {
    match codec {
        CodecName::Pcmu => Encoding { name: "PCMU", clock: 8_000, channels: 1, payload_type: 0 },
        CodecName::Pcma => Encoding { name: "PCMA", clock: 8_000, channels: 1, payload_type: 8 },
        CodecName::G722 => Encoding { name: "G722", clock: 8_000, channels: 1, payload_type: 9 },
        CodecName::Opus => Encoding { name: "opus", clock: 48_000, channels: 2, payload_type: 96 },
    }
}

pub(super) const EVENTS: &str = "telephone-event";
/// What most phones use for events at 8 kHz.
pub(super) const EVENT_PAYLOAD_TYPE: u8 = 101;

/// Comfort noise at 8 kHz (RFC 3389 §4): how a peer that falls silent says what its silence is like.
pub(super) const NOISE: &str = "CN";
pub(super) const NOISE_PAYLOAD_TYPE: u8 = 13;

/// What a payload type means without `a=rtpmap`.
pub(super) fn statically(payload_type: u8) -> Option<Mapping> {
    if payload_type == NOISE_PAYLOAD_TYPE {
        return Some(Mapping { payload_type, name: NOISE.to_owned(), clock: 8_000, channels: 1 });
    }
    let codec = [CodecName::Pcmu, CodecName::Pcma, CodecName::G722]
        .into_iter()
        .map(encoding)
        .find(|encoding| encoding.payload_type == payload_type)?;
    Some(Mapping { payload_type, name: codec.name.to_owned(), clock: codec.clock, channels: codec.channels })
}

/// One payload type of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mapping {
    pub payload_type: u8,
    pub name: String,
    pub clock: u32,
    pub channels: u32,
}

impl Mapping {
    pub(super) fn is(&self, codec: CodecName) -> bool {
        let codec = encoding(codec);
        self.name.eq_ignore_ascii_case(codec.name)
            && self.clock == codec.clock
            && self.channels == codec.channels
    }

    /// At its static number alone: that is the one that media knows.
    pub(super) fn is_noise(&self, clock: u32) -> bool {
        self.name.eq_ignore_ascii_case(NOISE)
            && self.clock == clock
            && self.payload_type == NOISE_PAYLOAD_TYPE
    }
}
