//! How a leg's sound is coded, whatever the codec.
//!
//! All are 64 kbit/s and have an RTP clock of 8,000, so that for each a byte is one tick and 20 ms
//! are [`FRAME`](super::FRAME) bytes; how many samples those are is the codec's [`Rate`].

use super::{FRAME, dtmf, g711, g722, resample};
use g711::Law;

#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    #[default]
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// G.722, static payload type 9.
    G722,
}

/// Samples a second.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Rate {
    /// 8,000.
    #[default]
    Narrow,
    /// 16,000.
    Wide,
}

impl Codec {
    pub const ALL: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::G722];

    /// RFC 3551 §6.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
        }
    }

    /// Its name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
        }
    }

    #[must_use]
    pub const fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => Rate::Narrow,
            Self::G722 => Rate::Wide,
        }
    }

    /// Its G.711 table; `None`: it has a memory, and each stream an [`Encoder`] and a [`Decoder`].
    #[must_use]
    pub const fn law(self) -> Option<Law> {
        match self {
            Self::Pcmu => Some(Law::Mu),
            Self::Pcma => Some(Law::A),
            Self::G722 => None,
        }
    }

    /// Makes all tables now, so that the first frame does not have to.
    pub fn prepare() {
        g711::prepare();
        resample::prepare();
        dtmf::prepare();
    }
}

impl Rate {
    /// Samples a second.
    #[must_use]
    pub const fn hz(self) -> usize {
        self.per_tick() * super::RATE
    }

    /// Samples per tick of the 8 kHz clock.
    #[must_use]
    pub const fn per_tick(self) -> usize {
        match self {
            Self::Narrow => 1,
            Self::Wide => 2,
        }
    }

    /// Samples in 20 ms.
    #[must_use]
    pub const fn frame(self) -> usize {
        FRAME * self.per_tick()
    }

    /// Samples of a short fade, 5 ms.
    #[must_use]
    pub const fn fade(self) -> usize {
        super::FADE * self.per_tick()
    }
}

/// A stream of ours, of any codec. The wide codec's memory is there all the same: 400 bytes.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    codec: Codec,
    pub(super) g722: g722::Encoder,
}

impl Encoder {
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self { codec, ..Self::default() }
    }

    /// Fills `codes` from samples at the codec's rate.
    pub fn encode(&mut self, samples: &[i16], codes: &mut [u8]) {
        match self.codec.law() {
            Some(law) => law.encode(samples, codes),
            None => self.g722.encode(samples, codes),
        }
    }
}

/// A stream of the peer's.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    codec: Codec,
    g722: g722::Decoder,
}

impl Decoder {
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self { codec, ..Self::default() }
    }

    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Fills `samples`, at the codec's rate, from `codes`: one after the other as they were coded.
    pub fn decode(&mut self, codes: &[u8], samples: &mut [i16]) {
        match self.codec.law() {
            Some(law) => law.decode(codes, samples),
            None => self.g722.decode(codes, samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::tone_at;

    /// Signal to noise in dB of a tone after the codec, its delay taken out.
    fn signal_to_noise(codec: Codec, frequency: f64) -> f64 {
        let rate = codec.rate().hz();
        let sound: Vec<i16> = tone_at(rate, frequency, 12_000.0, 0, rate).collect();
        let mut codes = vec![0; 8_000];
        let mut heard = vec![0; rate];
        Encoder::new(codec).encode(&sound, &mut codes);
        Decoder::new(codec).decode(&codes, &mut heard);
        // The mirror filters of G.722 delay by 22 samples, both ways together.
        let delay = if codec == Codec::G722 { 22 } else { 0 };
        let settled = rate / 10..rate - delay;
        let signal: f64 = sound[settled.clone()].iter().map(|&s| f64::from(s).powi(2)).sum();
        let noise: f64 = settled.map(|n| (f64::from(sound[n]) - f64::from(heard[n + delay])).powi(2)).sum();
        10.0 * (signal / noise).log10()
    }

    #[test]
    fn each_codec_is_as_good_as_its_standard() {
        let cases = [
            (Codec::Pcmu, 1_020.0, 36.0),
            (Codec::Pcma, 1_020.0, 36.0),
            (Codec::G722, 300.0, 38.0),
            (Codec::G722, 1_020.0, 38.0),
            (Codec::G722, 3_000.0, 32.0),
            (Codec::G722, 6_000.0, 14.0),
        ];
        for (codec, frequency, least) in cases {
            let got = signal_to_noise(codec, frequency);
            println!("{codec:?} at {frequency} Hz: {got:.1} dB");
            assert!(got > least, "{codec:?} at {frequency} Hz: {got:.1} dB");
        }
    }
}
