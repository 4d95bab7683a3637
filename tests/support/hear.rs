//! Judges what a phone heard: which tones, and which of the service's prompts.

use std::path::Path;

use doorline::cli::phone::{tone, wav};

/// A tone that a phone speaks (at -20 dB) is heard at least this loud; no prompt has so much of one.
pub const HEARD_DB: f64 = -24.0;

/// What nobody speaks stays below this.
pub const UNHEARD_DB: f64 = -60.0;

/// The second that every judgement needs, in samples.
pub const SECOND: usize = tone::RATE as usize;

/// A prompt of the English pack at the phone's rate.
pub fn prompt(id: &str) -> Vec<i16> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("prompts/en-GB/{id}.wav"));
    wav::read(&file).unwrap_or_else(|error| panic!("{error}"))
}

/// Where, in samples, a prompt of the English pack begins in `heard`.
///
/// A matched filter over the prompt's first 0.8 s, both brought to 4 kHz: 1 would be the prompt alone,
/// other prompts stay below 0.4.
pub fn prompt_in(heard: &[i16], id: &str) -> Option<usize> {
    let pattern = prompt(id);
    let pattern = halved(&pattern[..pattern.len().min(SECOND * 8 / 10)]);
    let heard = halved(heard);
    let own: f64 = energy(&pattern);
    let (mut best, mut at) = (0.0, 0);
    let mut around: f64 = energy(heard.get(..pattern.len())?);
    for start in 0..heard.len() - pattern.len() {
        let dot: f64 = pattern.iter().zip(&heard[start..]).map(|(a, b)| f64::from(a * b)).sum();
        let likeness = dot / (own * around).sqrt().max(1.0);
        if likeness > best {
            (best, at) = (likeness, start);
        }
        around += square(heard[start + pattern.len()]) - square(heard[start]);
    }
    (best > 0.7).then_some(at * 2)
}

fn halved(samples: &[i16]) -> Vec<f32> {
    samples.chunks_exact(2).map(|pair| (f32::from(pair[0]) + f32::from(pair[1])) / 2.0).collect()
}

fn energy(samples: &[f32]) -> f64 {
    samples.iter().map(|&s| square(s)).sum()
}

fn square(sample: f32) -> f64 {
    f64::from(sample) * f64::from(sample)
}
