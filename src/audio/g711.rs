//! G.711 (ITU-T G.711): 8,000 samples a second, one byte each, µ-law or A-law.
//!
//! Both ways are table look-ups. The tables are made once from `audio-codec-algorithms`: 256
//! samples for decoding, 65,536 bytes for encoding, of which speech touches a few kilobytes.

use std::sync::LazyLock;

/// Which of the two tables.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Law {
    /// µ-law, PCMU.
    Mu,
    /// A-law, PCMA.
    A,
}

impl Law {
    pub const ALL: [Self; 2] = [Self::Mu, Self::A];

    /// The code of a silent sample.
    #[must_use]
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xff,
            Self::A => 0xd5,
        }
    }

    /// Fills `samples` from as many codes.
    pub fn decode(self, codes: &[u8], samples: &mut [i16]) {
        let table = &self.tables().decode;
        for (sample, &code) in samples.iter_mut().zip(codes) {
            *sample = table[usize::from(code)];
        }
    }

    /// Fills `codes` from as many samples.
    pub fn encode(self, samples: &[i16], codes: &mut [u8]) {
        let table = &self.tables().encode;
        for (code, &sample) in codes.iter_mut().zip(samples) {
            *code = table[usize::from(sample as u16)];
        }
    }

    fn tables(self) -> &'static Tables {
        match self {
            Self::Mu => &PCMU,
            Self::A => &PCMA,
        }
    }
}

/// Makes the tables now, so that the first frame does not have to.
pub fn prepare() {
    for law in Law::ALL {
        law.tables();
    }
}

struct Tables {
    decode: [i16; 256],
    encode: Box<[u8; 65_536]>,
}

impl Tables {
    fn new(decode: fn(u8) -> i16, encode: fn(i16) -> u8) -> Self {
        let codes: Vec<u8> = (0..=u16::MAX).map(|sample| encode(sample as i16)).collect();
        Self {
            decode: std::array::from_fn(|code| decode(code as u8)),
            encode: codes.try_into().expect("there are 65,536 values of 16 bits"),
        }
    }
}

static PCMU: LazyLock<Tables> =
    LazyLock::new(|| Tables::new(audio_codec_algorithms::decode_ulaw, audio_codec_algorithms::encode_ulaw));
static PCMA: LazyLock<Tables> =
    LazyLock::new(|| Tables::new(audio_codec_algorithms::decode_alaw, audio_codec_algorithms::encode_alaw));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_survives_the_way_through_its_sample() {
        for law in Law::ALL {
            for code in 0..=255 {
                let (mut sample, mut again) = ([0], [0]);
                law.decode(&[code], &mut sample);
                law.encode(&sample, &mut again);
                // µ-law has two zeros; both are silence.
                assert!(again[0] == code || sample[0] == 0, "{law:?} {code:#04x}");
            }
        }
    }

    #[test]
    fn reference_values_of_the_standard() {
        let decoded = |law: Law, code| {
            let mut sample = [0];
            law.decode(&[code], &mut sample);
            sample[0]
        };
        assert_eq!(decoded(Law::Mu, 0x80), 32_124);
        assert_eq!(decoded(Law::Mu, 0x00), -32_124);
        assert_eq!(decoded(Law::Mu, Law::Mu.silence()), 0);
        assert_eq!(decoded(Law::A, 0xaa), 32_256);
        assert_eq!(decoded(Law::A, Law::A.silence()), 8);
    }

    #[test]
    fn the_error_stays_below_one_step_of_its_segment() {
        for law in Law::ALL {
            for sample in (-32_000..=32_000_i16).step_by(7) {
                let (mut code, mut back) = ([0], [0]);
                law.encode(&[sample], &mut code);
                law.decode(&code, &mut back);
                let error = (i32::from(back[0]) - i32::from(sample)).abs();
                let allowed = (i32::from(sample).abs() / 16).max(16);
                assert!(error <= allowed, "{law:?} {sample} came back as {}", back[0]);
            }
        }
    }
}
