//! How a leg's sound is coded, whatever the codec.
//!
//! Time is counted in ticks of 8 kHz, whatever the codec; how many samples those are is its [`Rate`].
//! Three codecs are 64 kbit/s with an RTP clock of 8,000, so that a byte is one tick and 20 ms are
//! [`FRAME`](super::FRAME) bytes. Opus has packets of any size and a clock of 48,000.

use super::{FRAME, dtmf, g711, g722, opus, resample, triple};
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
    /// Opus, a dynamic payload type.
    Opus,
}

/// Samples a second.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Rate {
    /// 8,000.
    #[default]
    Narrow,
    /// 16,000.
    Wide,
    /// 48,000: all that can be heard.
    Full,
}

impl Codec {
    pub const ALL: [Self; 4] = [Self::Pcmu, Self::Pcma, Self::G722, Self::Opus];
    /// Those of which a byte is a tick.
    pub const BYTEWISE: [Self; 3] = [Self::Pcmu, Self::Pcma, Self::G722];

    /// RFC 3551 §6; for Opus, what we call it in our own offers.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
            Self::G722 => 9,
            Self::Opus => 96,
        }
    }

    /// Its name in SDP.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// What its sound is decoded at; of Opus, where nothing else was agreed.
    #[must_use]
    pub const fn rate(self) -> Rate {
        match self {
            Self::Pcmu | Self::Pcma => Rate::Narrow,
            Self::G722 | Self::Opus => Rate::Wide,
        }
    }

    /// Ticks of its RTP clock in one of 8 kHz.
    #[must_use]
    pub const fn clock_ratio(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => 1,
            Self::Opus => opus::CLOCK_RATIO,
        }
    }

    /// How long a payload of it sounds, in ticks; `None` for what is none.
    #[must_use]
    pub fn duration(self, payload: &[u8]) -> Option<usize> {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => Some(payload.len()).filter(|&ticks| ticks > 0),
            Self::Opus => opus::duration(payload),
        }
    }

    /// Its G.711 table; `None`: it has a memory, and each stream an [`Encoder`] and a [`Decoder`].
    #[must_use]
    pub const fn law(self) -> Option<Law> {
        match self {
            Self::Pcmu => Some(Law::Mu),
            Self::Pcma => Some(Law::A),
            Self::G722 | Self::Opus => None,
        }
    }

    /// Makes all tables now, so that the first frame does not have to.
    pub fn prepare() {
        g711::prepare();
        resample::prepare();
        triple::prepare();
        dtmf::prepare();
    }
}

impl Rate {
    pub const ALL: [Self; 3] = [Self::Narrow, Self::Wide, Self::Full];

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
            Self::Full => 6,
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

/// A stream of ours, of any codec. G.722's memory is there all the same: 400 bytes.
#[derive(Debug, Default)]
pub struct Encoder {
    codec: Codec,
    pub(super) g722: g722::Encoder,
    /// Once it has been needed it stays.
    pub(super) opus: Option<opus::Encoder>,
}

impl Encoder {
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let mut encoder = Self::default();
        encoder.begin(codec);
        encoder
    }

    /// A new stream. Allocates when it is Opus for the first time and [`Encoder::equip`] was not called.
    pub fn begin(&mut self, codec: Codec) {
        self.begin_at(codec, codec.rate());
    }

    /// The same, of sound at this rate, where the codec is Opus, which has no rate of its own.
    pub fn begin_at(&mut self, codec: Codec, rate: Rate) {
        self.codec = codec;
        self.g722 = g722::Encoder::default();
        if codec == Codec::Opus {
            self.opus.get_or_insert_default().begin(rate);
        }
    }

    /// Gives it what Opus needs.
    pub fn equip(&mut self, opus: opus::Encoder) {
        self.opus = Some(opus);
    }

    /// Fills `codes` from samples at the codec's rate; of Opus see [`opus::packet`].
    pub fn encode(&mut self, samples: &[i16], codes: &mut [u8]) {
        match self.codec {
            Codec::Pcmu => Law::Mu.encode(samples, codes),
            Codec::Pcma => Law::A.encode(samples, codes),
            Codec::G722 => self.g722.encode(samples, codes),
            Codec::Opus => match &mut self.opus {
                Some(opus) => opus.encode(samples, codes),
                None => codes[0] = 0,
            },
        }
    }
}

/// A stream of the peer's.
#[derive(Debug, Default)]
pub struct Decoder {
    codec: Codec,
    rate: Rate,
    pub(super) g722: g722::Decoder,
    /// Once it has been needed it stays.
    pub(super) opus: Option<opus::Decoder>,
}

impl Decoder {
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let mut decoder = Self::default();
        decoder.begin(codec);
        decoder
    }

    /// A new stream. Allocates when it is Opus for the first time and [`Decoder::equip`] was not called.
    pub fn begin(&mut self, codec: Codec) {
        self.begin_at(codec, codec.rate());
    }

    /// The same, into sound at this rate, where the codec is Opus, which has no rate of its own.
    pub fn begin_at(&mut self, codec: Codec, rate: Rate) {
        (self.codec, self.rate) = (codec, rate);
        self.g722 = g722::Decoder::default();
        if codec == Codec::Opus {
            self.opus.get_or_insert_with(|| opus::Decoder::for_rates_to(rate)).begin(rate);
        }
    }

    /// Gives it what Opus needs.
    pub fn equip(&mut self, opus: opus::Decoder) {
        self.opus = Some(opus);
    }

    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Of the samples that it makes.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Fills `samples`, at the codec's rate, from `codes`: one after the other as they were coded. Of Opus
    /// `codes` are a whole packet.
    pub fn decode(&mut self, codes: &[u8], samples: &mut [i16]) {
        match self.codec {
            Codec::Pcmu => Law::Mu.decode(codes, samples),
            Codec::Pcma => Law::A.decode(codes, samples),
            Codec::G722 => self.g722.decode(codes, samples),
            Codec::Opus => match &mut self.opus {
                Some(opus) => {
                    opus.close();
                    opus.open(0, codes, 0, samples);
                }
                None => samples.fill(0),
            },
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
