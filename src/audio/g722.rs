//! G.722 (ITU-T G.722, mode 1): 7 kHz of sound, 16,000 samples a second, in 64 kbit/s.
//!
//! Two bands of 4 kHz each, coded as differences from what both ends predict: six bits for the
//! lower, two for the upper, one byte for two samples. Its RTP clock says 8,000 by an old mistake
//! (RFC 3551 §4.5.2), so a byte is one tick, as in G.711.
//!
//! Ours and not a crate's, because a stream must be handed from one encoder to another without a
//! glitch, for which its memory has to be copied; tests hold it to `audio-codec`, byte by byte.

/// One way of one stream into bytes.
#[derive(Clone, Debug)]
pub struct Encoder {
    low: Band,
    high: Band,
    /// The last 24 samples, oldest first.
    history: [i32; TAPS],
}

/// One way of one stream into samples.
#[derive(Clone, Debug)]
pub struct Decoder {
    low: Band,
    high: Band,
    history: [i32; TAPS],
}

impl Default for Encoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), history: [0; TAPS] }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self { low: Band::new(32), high: Band::new(8), history: [0; TAPS] }
    }
}

impl Encoder {
    /// Fills `codes` from twice as many samples.
    pub fn encode(&mut self, samples: &[i16], codes: &mut [u8]) {
        for (pair, code) in samples.chunks_exact(2).zip(codes) {
            self.history.copy_within(2.., 0);
            self.history[TAPS - 2] = i32::from(pair[0]);
            self.history[TAPS - 1] = i32::from(pair[1]);
            let (odd, even) = quadrature(&self.history);
            let low = self.low.encode_low((even + odd) >> 14);
            let high = self.high.encode_high((even - odd) >> 14);
            *code = (high << 6) | low;
        }
    }
}

impl Encoder {
    /// Whether a decoder that has followed this stream until now would make of `codes`, which `other`
    /// is about to send, the same as other's own, within `most` in half samples.
    #[must_use]
    pub fn may_go_on_as(&self, other: &Self, codes: &[u8], most: i32) -> bool {
        let mut ours = [self.low.clone(), self.high.clone()];
        let mut theirs = [other.low.clone(), other.high.clone()];
        codes.iter().all(|code| {
            let low = [&mut ours[0], &mut theirs[0]].map(|band| band.decode_low(code & 0x3f));
            let high = [&mut ours[1], &mut theirs[1]].map(|band| band.decode_high(code >> 6));
            (low[0] - low[1]).abs() <= most && (high[0] - high[1]).abs() <= most
        })
    }
}

impl Decoder {
    /// Fills `samples` from half as many codes. Any bytes are codes.
    pub fn decode(&mut self, codes: &[u8], samples: &mut [i16]) {
        for (&code, pair) in codes.iter().zip(samples.chunks_exact_mut(2)) {
            let low = self.low.decode_low(code & 0x3f);
            let high = self.high.decode_high(code >> 6);
            self.history.copy_within(2.., 0);
            self.history[TAPS - 2] = low + high;
            self.history[TAPS - 1] = low - high;
            let (even, odd) = quadrature(&self.history);
            pair[0] = saturated(odd >> 11) as i16;
            pair[1] = saturated(even >> 11) as i16;
        }
    }
}

/// The two halves of the quadrature mirror filter (§3.1, §4.4) over samples at even and odd places.
fn quadrature(history: &[i32; TAPS]) -> (i32, i32) {
    let (mut even, mut odd) = (0, 0);
    for n in 0..TAPS / 2 {
        even += history[2 * n] * MIRROR[n];
        odd += history[2 * n + 1] * MIRROR[TAPS / 2 - 1 - n];
    }
    (even, odd)
}

/// The adaptive predictor and quantizer of one band (§3.2–3.6): what both ends keep alike.
#[derive(Clone, Debug)]
struct Band {
    /// What comes next, as predicted, and the part of it that the zeros give.
    predicted: i32,
    predicted_by_zeros: i32,
    /// Reconstructed samples, and the signs of the partly reconstructed ones, newest first.
    reconstructed: [i32; 2],
    partial: [i32; 2],
    poles: [i32; 2],
    differences: [i32; 6],
    zeros: [i32; 6],
    /// The quantizer's step: its logarithm, and itself.
    log_scale: i32,
    scale: i32,
}

impl Band {
    fn new(scale: i32) -> Self {
        Self {
            predicted: 0,
            predicted_by_zeros: 0,
            reconstructed: [0; 2],
            partial: [0; 2],
            poles: [0; 2],
            differences: [0; 6],
            zeros: [0; 6],
            log_scale: 0,
            scale,
        }
    }

    /// Six bits.
    fn encode_low(&mut self, sample: i32) -> u8 {
        let difference = saturated(sample - self.predicted);
        let magnitude = if difference < 0 { -(difference + 1) } else { difference };
        // The intervals are few and mostly the small ones: look through them in order.
        let mut interval = 1;
        while interval < 30 && magnitude >= (DECISIONS[interval] * self.scale) >> 12 {
            interval += 1;
        }
        let code = if difference < 0 { NEGATIVE[interval] } else { POSITIVE[interval] };
        self.adapt_low(code);
        code
    }

    fn decode_low(&mut self, code: u8) -> i32 {
        let difference = (self.scale * INVERSE_6[usize::from(code)]) >> 15;
        let sample = (self.predicted + difference).clamp(-16_384, 16_383);
        self.adapt_low(code);
        sample
    }

    /// Both ends adapt by the upper four bits alone, so that the lower two may be lost (§1.4).
    fn adapt_low(&mut self, code: u8) {
        let upper = usize::from(code >> 2);
        let difference = (self.scale * INVERSE_4[upper]) >> 15;
        self.log_scale = (((self.log_scale * 127) >> 7) + LOG_STEP_4[upper]).clamp(0, 18_432);
        self.scale = linear(self.log_scale, 8);
        self.predict(difference);
    }

    /// Two bits.
    fn encode_high(&mut self, sample: i32) -> u8 {
        let difference = saturated(sample - self.predicted);
        let magnitude = if difference < 0 { -(difference + 1) } else { difference };
        let far = magnitude >= (564 * self.scale) >> 12;
        let code = match (difference < 0, far) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.adapt_high(code);
        code
    }

    fn decode_high(&mut self, code: u8) -> i32 {
        let difference = (self.scale * INVERSE_2[usize::from(code)]) >> 15;
        let sample = (self.predicted + difference).clamp(-16_384, 16_383);
        self.adapt_high(code);
        sample
    }

    fn adapt_high(&mut self, code: u8) {
        let difference = (self.scale * INVERSE_2[usize::from(code)]) >> 15;
        let step = if code & 1 == 0 { 798 } else { -214 };
        self.log_scale = (((self.log_scale * 127) >> 7) + step).clamp(0, 22_528);
        self.scale = linear(self.log_scale, 10);
        self.predict(difference);
    }

    /// Takes in one quantized difference and predicts the next sample with two poles and six zeros,
    /// which follow the signs of what was seen (§3.6).
    fn predict(&mut self, difference: i32) {
        let reconstructed = saturated(self.predicted + difference);
        let partial = saturated(self.predicted_by_zeros + difference);

        let alike = |n: usize| (partial < 0) == (self.partial[n] < 0);
        let [first, second] = self.poles;
        let turn = saturated(first << 2);
        let turn = if alike(0) { (-turn).min(32_767) } else { turn };
        let second = (turn >> 7) + if alike(1) { 128 } else { -128 } + ((second * 32_512) >> 15);
        let second = second.clamp(-12_288, 12_288);
        let limit = 15_360 - second;
        let first = (if alike(0) { 192 } else { -192 }) + ((first * 32_640) >> 15);
        self.poles = [first.clamp(-limit, limit), second];

        let step = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(self.differences) {
            let step = if (before < 0) == (difference < 0) { step } else { -step };
            *zero = saturated(step + ((*zero * 32_640) >> 15));
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];

        let by_poles = ((self.poles[0] * saturated(reconstructed << 1)) >> 15)
            + ((self.poles[1] * saturated(self.reconstructed[1] << 1)) >> 15);
        let by_zeros: i32 = self
            .zeros
            .iter()
            .zip(self.differences)
            .map(|(zero, difference)| (zero * saturated(difference << 1)) >> 15)
            .sum();
        self.predicted_by_zeros = saturated(by_zeros);
        self.predicted = saturated(saturated(by_poles) + self.predicted_by_zeros);
    }
}

/// The step whose logarithm is `log_scale` (§3.5).
fn linear(log_scale: i32, shift: i32) -> i32 {
    let mantissa = LINEAR[(log_scale >> 6 & 31) as usize];
    let shift = shift - (log_scale >> 11);
    (if shift < 0 { mantissa << -shift } else { mantissa >> shift }) << 2
}

fn saturated(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// Of the mirror filter, which is symmetric: tables 11, 18.
const TAPS: usize = 24;
const MIRROR: [i32; TAPS / 2] = [3, -11, 12, 32, -210, 951, 3_876, -805, 362, -156, 53, -11];

/// Where one interval of the lower band ends and the next begins, and their codes.
const DECISIONS: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1_023, 1_121,
    1_219, 1_339, 1_458, 1_612, 1_765, 1_980, 2_195, 2_557, 2_919,
];
const NEGATIVE: [u8; 31] = [
    0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8,
    7, 6, 5, 4,
];
const POSITIVE: [u8; 31] = [
    0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37,
    36, 35, 34, 33, 32,
];

/// Codes of six, four and two bits back into differences, in units of the step.
const INVERSE_6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192, -10_232,
    -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008, -3_576, -3_168, -2_776,
    -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280,
    11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000, 5_456, 4_944, 4_464, 4_008, 3_576, 3_168,
    2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432, 136, -432, -136,
];
const INVERSE_4: [i32; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584,
    1_200, 0,
];
const INVERSE_2: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];

/// How the logarithm of the lower band's step moves by each code of four bits.
const LOG_STEP_4: [i32; 16] =
    [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];

const LINEAR: [i32; 32] = [
    2_048, 2_093, 2_139, 2_186, 2_233, 2_282, 2_332, 2_383, 2_435, 2_489, 2_543, 2_599, 2_656, 2_714, 2_774,
    2_834, 2_896, 2_960, 3_025, 3_091, 3_158, 3_228, 3_298, 3_371, 3_444, 3_520, 3_597, 3_676, 3_756, 3_838,
    3_922, 4_008,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::tone_at;

    fn noise(seed: u32, loudness: i64, count: usize) -> Vec<i16> {
        let mut random = seed;
        (0..count)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (i64::from(random >> 16) * loudness / 65_536 - loudness / 2) as i16
            })
            .collect()
    }

    fn sounds() -> Vec<(&'static str, Vec<i16>)> {
        let long = |sound: Vec<i16>| [vec![0; 64], sound, vec![0; 320]].concat();
        vec![
            ("a tone", long(tone_at(16_000, 1_000.0, 12_000.0, 0, 16_000).collect())),
            ("a high tone", long(tone_at(16_000, 6_500.0, 20_000.0, 0, 16_000).collect())),
            ("noise", long(noise(7, 20_000, 16_000))),
            ("loud noise", long(noise(9, 65_535, 16_000))),
            ("full scale", long((0..8_000).map(|n| if n / 9 % 2 == 0 { 32_767 } else { -32_768 }).collect())),
            ("nothing", long(vec![])),
        ]
    }

    /// They begin with other steps than the standard's 32 and 8; a decoder follows either at once.
    fn begun_as_theirs() -> (Encoder, Decoder) {
        let encoder = Encoder { low: Band::new(128), high: Band::new(32), ..Encoder::default() };
        (encoder, Decoder { low: Band::new(0), high: Band::new(0), ..Decoder::default() })
    }

    #[test]
    fn every_byte_and_sample_is_that_of_another_implementation() {
        use audio_codec::{Decoder as _, Encoder as _};
        for (name, sound) in sounds() {
            let mut ours = vec![0; sound.len() / 2];
            begun_as_theirs().0.encode(&sound, &mut ours);
            let mut theirs = vec![0; sound.len() / 2 + 1];
            let length = audio_codec::g722::G722Encoder::new().encode_into(&sound, &mut theirs).unwrap();
            assert!(ours == theirs[..length], "{name}, coded");
            let (mut decoded, mut reference) = (vec![0; sound.len()], vec![0; sound.len()]);
            begun_as_theirs().1.decode(&ours, &mut decoded);
            audio_codec::g722::G722Decoder::new().decode_into(&ours, &mut reference).unwrap();
            let first = decoded.iter().zip(&reference).position(|(a, b)| (a - b).abs() > 0);
            assert_eq!(first, None, "{name}, decoded");
        }
    }

    #[test]
    fn pieces_of_any_size_are_the_whole() {
        let sound = noise(3, 10_000, 3_200);
        let (mut whole, mut pieces) = (vec![0; 1_600], vec![0; 1_600]);
        Encoder::default().encode(&sound, &mut whole);
        let mut encoder = Encoder::default();
        for (sound, codes) in sound.chunks(94).zip(pieces.chunks_mut(47)) {
            encoder.encode(sound, codes);
        }
        assert_eq!(whole, pieces);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(codes: Vec<u8>) {
            let mut samples = vec![0; 2 * codes.len()];
            Decoder::default().decode(&codes, &mut samples);
        }

        #[test]
        fn no_samples_panic(samples: Vec<i16>) {
            let mut codes = vec![0; samples.len() / 2];
            Encoder::default().encode(&samples, &mut codes);
        }
    }
}
