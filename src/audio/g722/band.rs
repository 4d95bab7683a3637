//! The adaptive predictor and quantizer of one band (G.722 §3.2–3.6): what both ends keep alike.
//!
//! No step branches by what the sound is, so that many streams can take it together.

use std::array::from_fn;

use super::lanes::{Lanes, One};
use super::tables::{DECISIONS, INVERSE_4, INVERSE_6, LINEAR, LOG_STEP_4};

#[derive(Clone, Copy, Debug)]
pub struct Band<V> {
    /// What comes next, as predicted, and the part of it that the zeros give.
    predicted: V,
    predicted_by_zeros: V,
    /// The last reconstructed sample; the signs of the partly reconstructed ones, newest first.
    reconstructed: V,
    partial: [V; 2],
    poles: [V; 2],
    differences: [V; 6],
    zeros: [V; 6],
    /// The quantizer's step: its logarithm, and itself.
    log_scale: V,
    scale: V,
}

impl<V: Lanes> Band<V> {
    pub fn new(scale: i32) -> Self {
        let none = V::all(0);
        Self {
            predicted: none,
            predicted_by_zeros: none,
            reconstructed: none,
            partial: [none; 2],
            poles: [none; 2],
            differences: [none; 6],
            zeros: [none; 6],
            log_scale: none,
            scale: V::all(scale),
        }
    }

    /// Many streams as one: `stream` says which stands at a place.
    #[inline(always)]
    pub fn each<'a>(stream: impl Fn(usize) -> &'a Band<One>) -> Self {
        Self {
            predicted: V::each(|n| stream(n).predicted[0]),
            predicted_by_zeros: V::each(|n| stream(n).predicted_by_zeros[0]),
            reconstructed: V::each(|n| stream(n).reconstructed[0]),
            partial: from_fn(|at| V::each(|n| stream(n).partial[at][0])),
            poles: from_fn(|at| V::each(|n| stream(n).poles[at][0])),
            differences: from_fn(|at| V::each(|n| stream(n).differences[at][0])),
            zeros: from_fn(|at| V::each(|n| stream(n).zeros[at][0])),
            log_scale: V::each(|n| stream(n).log_scale[0]),
            scale: V::each(|n| stream(n).scale[0]),
        }
    }

    /// One of its streams.
    #[inline(always)]
    pub fn stream(&self, place: usize) -> Band<One> {
        let only = |values: &V| values.only(place);
        Band {
            predicted: only(&self.predicted),
            predicted_by_zeros: only(&self.predicted_by_zeros),
            reconstructed: only(&self.reconstructed),
            partial: self.partial.each_ref().map(only),
            poles: self.poles.each_ref().map(only),
            differences: self.differences.each_ref().map(only),
            zeros: self.zeros.each_ref().map(only),
            log_scale: only(&self.log_scale),
            scale: only(&self.scale),
        }
    }

    /// Six bits of each.
    #[inline(always)]
    pub fn encode_low(&mut self, sample: V) -> V {
        let (difference, magnitude) = self.difference(sample);
        // The interval that it lies in, 1 to 30: in 12 bits after the point, magnitude >= decision * scale.
        let scale = self.scale;
        let above = V::each(|n| (magnitude[n] + 1) << 12);
        let mut interval = V::all(1);
        for decision in &DECISIONS[1..] {
            interval = V::each(|n| interval[n] + i32::from(decision * scale[n] < above[n]));
        }
        let code = V::each(|n| match (difference[n] < 0, interval[n] < 3) {
            (false, _) => 62 - interval[n],
            (true, true) => 64 - interval[n],
            (true, false) => 34 - interval[n],
        });
        self.adapt_low(code);
        code
    }

    #[inline(always)]
    pub fn decode_low(&mut self, code: V) -> V {
        let sample = self.sample(V::each(|n| INVERSE_6[(code[n] & 63) as usize]));
        self.adapt_low(code);
        sample
    }

    /// Both ends adapt by the upper four bits alone, so that the lower two may be lost (§1.4).
    #[inline(always)]
    fn adapt_low(&mut self, code: V) {
        let upper = V::each(|n| code[n] >> 2 & 15);
        let inverse = V::each(|n| INVERSE_4[upper[n] as usize]);
        let step = V::each(|n| LOG_STEP_4[upper[n] as usize]);
        self.adapt::<8, 18_432>(inverse, step);
    }

    /// Two bits of each.
    #[inline(always)]
    pub fn encode_high(&mut self, sample: V) -> V {
        let (difference, magnitude) = self.difference(sample);
        let code = V::each(|n| {
            let far = i32::from(magnitude[n] >= (564 * self.scale[n]) >> 12);
            (if difference[n] < 0 { 1 } else { 3 }) - far
        });
        self.adapt_high(code);
        code
    }

    #[inline(always)]
    pub fn decode_high(&mut self, code: V) -> V {
        let sample = self.sample(V::each(|n| inverse_2(code[n])));
        self.adapt_high(code);
        sample
    }

    #[inline(always)]
    fn adapt_high(&mut self, code: V) {
        let step = V::each(|n| if code[n] & 1 == 0 { 798 } else { -214 });
        self.adapt::<10, 22_528>(V::each(|n| inverse_2(code[n])), step);
    }

    /// From what was predicted to what came, and how far that is.
    #[inline(always)]
    fn difference(&self, sample: V) -> (V, V) {
        let difference = V::each(|n| saturated(sample[n] - self.predicted[n]));
        (difference, V::each(|n| difference[n] ^ (difference[n] >> 31)))
    }

    /// What a code stands for: `inverse` is its difference, in units of the step.
    #[inline(always)]
    fn sample(&self, inverse: V) -> V {
        V::each(|n| (self.predicted[n] + ((self.scale[n] * inverse[n]) >> 15)).clamp(-16_384, 16_383))
    }

    /// Takes in one quantized difference; the step's logarithm moves by `step` and is at most `MOST`.
    #[inline(always)]
    fn adapt<const SHIFT: i32, const MOST: i32>(&mut self, inverse: V, step: V) {
        let difference = V::each(|n| (self.scale[n] * inverse[n]) >> 15);
        self.log_scale = V::each(|n| (((self.log_scale[n] * 127) >> 7) + step[n]).clamp(0, MOST));
        self.scale = linear(self.log_scale, SHIFT);
        self.predict(difference);
    }

    /// Predicts the next sample with two poles and six zeros, which follow the signs of what was seen (§3.6).
    #[inline(always)]
    fn predict(&mut self, difference: V) {
        let reconstructed = V::each(|n| saturated(self.predicted[n] + difference[n]));
        let partial = V::each(|n| saturated(self.predicted_by_zeros[n] + difference[n]));

        let turned = |before: V| V::each(|n| unlike(partial[n], before[n]));
        let turned = [turned(self.partial[0]), turned(self.partial[1])];
        let [first, second] = self.poles;
        let second = V::each(|n| {
            let turn = saturated(first[n] << 2);
            let turn = if turned[0][n] == 0 { (-turn).min(32_767) } else { turn };
            let second = (turn >> 7) + signed(128, turned[1][n]) + ((second[n] * 32_512) >> 15);
            second.clamp(-12_288, 12_288)
        });
        let first = V::each(|n| {
            let limit = 15_360 - second[n];
            (signed(192, turned[0][n]) + ((first[n] * 32_640) >> 15)).clamp(-limit, limit)
        });

        let step = V::each(|n| if difference[n] == 0 { 0 } else { 128 });
        for (zero, before) in self.zeros.iter_mut().zip(&self.differences) {
            *zero = V::each(|n| {
                let step = signed(step[n], unlike(before[n], difference[n]));
                saturated(step + ((zero[n] * 32_640) >> 15))
            });
        }
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;

        let by_poles = V::each(|n| {
            ((first[n] * saturated(reconstructed[n] << 1)) >> 15)
                + ((second[n] * saturated(self.reconstructed[n] << 1)) >> 15)
        });
        let mut by_zeros = V::all(0);
        for (zero, difference) in self.zeros.iter().zip(&self.differences) {
            by_zeros = V::each(|n| by_zeros[n] + ((zero[n] * saturated(difference[n] << 1)) >> 15));
        }
        self.poles = [first, second];
        self.reconstructed = reconstructed;
        self.partial = [partial, self.partial[0]];
        self.predicted_by_zeros = V::each(|n| saturated(by_zeros[n]));
        self.predicted = V::each(|n| saturated(saturated(by_poles[n]) + self.predicted_by_zeros[n]));
    }
}

/// -1 where one is negative and the other is not, else 0.
#[inline(always)]
fn unlike(one: i32, other: i32) -> i32 {
    (one ^ other) >> 31
}

/// `value`, or what it is with the other sign where `negative` is -1.
#[inline(always)]
fn signed(value: i32, negative: i32) -> i32 {
    (value ^ negative) - negative
}

/// A code of two bits back into a difference, in units of the step.
#[inline(always)]
fn inverse_2(code: i32) -> i32 {
    let far = if code & 1 == 0 { 7_408 } else { 1_616 };
    if code & 2 == 0 { -far } else { far }
}

/// The step whose logarithm is `log_scale` (§3.5).
#[inline(always)]
fn linear<V: Lanes>(log_scale: V, shift: i32) -> V {
    let mantissa = V::each(|n| LINEAR[(log_scale[n] >> 6 & 31) as usize]);
    V::each(|n| {
        let shift = shift - (log_scale[n] >> 11);
        (mantissa[n] >> shift.max(0) << (-shift).max(0)) << 2
    })
}

#[inline(always)]
pub fn saturated(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}
