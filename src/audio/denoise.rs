//! Noise is taken from a caller's sound: by RNNoise, a small recurrent network that tells speech from the
//! rest in 22 bands, as `nnnoiseless` has it.
//!
//! It hears 48 kHz in frames of 10 ms and answers one frame later; a narrow line is brought up to it and
//! back. So others hear the caller later: by 10 ms from a full line, by 12 from a wide one, by 15 from a narrow one.

use nnnoiseless::DenoiseState;

use super::{Converter, FRAME_MAX, Rate, level};

/// What one leg needs: 30 KiB, made where that may be.
pub struct Denoiser {
    network: Box<DenoiseState<'static>>,
    rate: Rate,
    up: Converter,
    down: Converter,
    /// Something is still to come out when nothing more goes in.
    sounds: bool,
}

impl Default for Denoiser {
    fn default() -> Self {
        Self {
            network: DenoiseState::new(),
            rate: Rate::default(),
            up: Converter::default(),
            down: Converter::default(),
            sounds: false,
        }
    }
}

impl std::fmt::Debug for Denoiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Denoiser")
    }
}

/// What it keeps per thread and for all is made now. To be called once on each thread that mixes.
pub fn prepare() {
    let mut denoiser = Denoiser::default();
    for frame in 0..10 {
        let mut samples = std::array::from_fn::<i16, FRAME_MAX, _>(|n| ((n * 97 + frame) % 4_000) as i16);
        denoiser.process(Rate::Full, &mut samples);
    }
}

impl Denoiser {
    /// Takes the noise out of 20 ms of sound.
    pub fn process(&mut self, rate: Rate, samples: &mut [i16]) {
        if rate != self.rate {
            (self.rate, self.up, self.down) = (rate, Default::default(), Default::default());
        }
        self.sounds = !level::is_silent(samples);
        let mut full = [0; Rate::Full.frame()];
        self.up.process(rate, Rate::Full, samples, &mut full);
        for piece in full.chunks_exact_mut(DenoiseState::FRAME_SIZE) {
            let mut noisy = [0.0; DenoiseState::FRAME_SIZE];
            let mut clean = [0.0; DenoiseState::FRAME_SIZE];
            for (to, from) in noisy.iter_mut().zip(piece.iter()) {
                *to = f32::from(*from);
            }
            self.network.process_frame(&mut clean, &noisy);
            for (to, from) in piece.iter_mut().zip(clean) {
                *to = from.clamp(-32_768.0, 32_767.0) as i16;
            }
        }
        self.down.process(Rate::Full, rate, &full, samples);
    }

    /// Whether something is still to come out when nothing more goes in.
    #[must_use]
    pub fn sounds(&self) -> bool {
        self.sounds
    }

    /// Forgets what was still to come out: nobody may hear it.
    pub fn rest(&mut self) {
        if self.sounds {
            let mut silence = [0; FRAME_MAX];
            self.process(self.rate, &mut silence[..self.rate.frame()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::Clip;

    /// A prompt: speech with pauses.
    fn speech(rate: Rate) -> Vec<i16> {
        let file = include_bytes!("../../prompts/en-GB/help-guest.wav");
        let clip = Clip::from_wav(file).unwrap();
        let of = rate.min(Rate::Wide);
        let mut converter = Converter::default();
        let mut speech = Vec::new();
        for frame in clip.samples(of).chunks_exact(of.frame()) {
            let mut out = [0; FRAME_MAX];
            converter.process(of, rate, frame, &mut out[..rate.frame()]);
            speech.extend_from_slice(&out[..rate.frame()]);
        }
        speech
    }

    fn noise(count: usize, loudness: f64) -> Vec<i16> {
        let mut random = 7_u32;
        (0..count)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (f64::from(random as i32 >> 16) / 32_768.0 * loudness) as i16
            })
            .collect()
    }

    fn through(denoiser: &mut Denoiser, rate: Rate, sound: &[i16]) -> Vec<i16> {
        let mut out = sound.to_vec();
        out.chunks_exact_mut(rate.frame()).for_each(|frame| denoiser.process(rate, frame));
        out
    }

    #[test]
    fn noise_goes_and_speech_stays() {
        for rate in Rate::ALL {
            let clean = speech(rate);
            let lead = rate.hz();
            let mut said = vec![0; lead];
            said.extend(&clean);
            said.resize(said.len().next_multiple_of(rate.frame()) + 2 * rate.hz(), 0);
            let noisy: Vec<i16> = said
                .iter()
                .zip(noise(said.len(), 350.0))
                .map(|(&speech, noise)| speech.saturating_add(noise))
                .collect();
            let out = through(&mut Denoiser::default(), rate, &noisy);
            let frames =
                |sound: &[i16]| -> Vec<f32> { sound.chunks(rate.frame()).map(level::dbov).collect() };
            let (said, noisy, out) = (frames(&said), frames(&noisy), frames(&out));
            let mean = |of: &[f32], wanted: &dyn Fn(usize) -> bool| {
                let powers: Vec<f32> =
                    (0..of.len()).filter(|&n| wanted(n)).map(|n| 10_f32.powf(of[n] / 10.0)).collect();
                assert!(powers.len() > 20);
                10.0 * (powers.iter().sum::<f32>() / powers.len() as f32).log10()
            };
            let loudest = said.iter().copied().fold(f32::MIN, f32::max);
            // Frames of speech, and such with none for a while before and after.
            let speaks = |n: usize| said[n] > loudest - 15.0;
            let pauses = |n: usize| {
                n > 25
                    && said[n.saturating_sub(15)..(n + 3).min(said.len())].iter().all(|&level| level < -70.0)
            };
            let (before, after) = (mean(&noisy, &pauses), mean(&out, &pauses));
            let (spoke, speaks) = (mean(&said, &speaks), mean(&out, &speaks));
            println!(
                "{rate:?}: pauses {before:.1} to {after:.1} dBov, speech {spoke:.1} to {speaks:.1} dBov"
            );
            // Far above speech less of it is known for noise.
            let least = if rate == Rate::Full { 8.0 } else { 10.0 };
            assert!(after < before - least, "{rate:?}: pauses {before:.1} to {after:.1} dBov");
            assert!((speaks - spoke).abs() < 2.0, "{rate:?}: speech {spoke:.1} to {speaks:.1} dBov");
        }
    }

    #[test]
    fn what_comes_out_is_late_by_what_is_said_above() {
        for (rate, milliseconds) in [(Rate::Full, 10.0), (Rate::Wide, 12.0), (Rate::Narrow, 15.0)] {
            let mut clean = speech(rate);
            clean.truncate(clean.len() / rate.frame() * rate.frame());
            let out = through(&mut Denoiser::default(), rate, &clean);
            let alike = |lag: usize| -> f64 {
                clean.iter().zip(&out[lag..]).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let lag = (0..rate.frame()).max_by(|&a, &b| alike(a).total_cmp(&alike(b))).unwrap();
            let late = lag as f64 * 1_000.0 / rate.hz() as f64;
            println!("{rate:?}: {late:.2} ms");
            assert!((late - milliseconds).abs() < 0.8, "{rate:?}: {late:.2} ms");
        }
    }

    #[test]
    fn nothing_is_left_after_one_frame_of_silence() {
        for rate in Rate::ALL {
            let mut denoiser = Denoiser::default();
            let sound = speech(rate);
            let whole = sound.len() / 2 / rate.frame() * rate.frame();
            through(&mut denoiser, rate, &sound[..whole]);
            denoiser.rest();
            assert!(!denoiser.sounds());
            let mut silence = vec![0; rate.frame()];
            denoiser.process(rate, &mut silence);
            assert!(level::is_silent(&silence), "{rate:?}: {}", level::peak(&silence));
        }
    }
}
