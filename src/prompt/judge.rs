//! Judges a pack as callers hear it: level, length, silence and clicks, prompt by prompt.

use std::fmt;
use std::ops::RangeInclusive;

use super::{Pack, RATE, is_speech, level};
use crate::bridge::Prompt;

/// Active speech of the whole voice: -16 dBm0 (ITU-T P.56; 0 dBm0 is -6.15 dBov).
pub const SPEECH_DBOV: f64 = -22.15;
/// Tones and music: -26 dBm0, below the voice.
pub const SOUND_DBOV: f64 = -32.15;
/// How far from its level a whole voice, or a sound, may be.
const LEVEL_OFF_DB: f64 = 0.5;
/// Speech of one prompt: a listener need not reach for the volume.
const PROMPT_DBOV: RangeInclusive<f64> = -26.5..=-17.5;
/// From the answer to the end of the PIN question, in seconds.
pub const PIN_QUESTION_MOST: f64 = 5.0;
/// No sample is beyond, so that no codec clips.
pub const PEAK: u16 = 32_000;
/// The first and last 2 ms stay below this, so that neither a start nor an end is heard.
const EDGE_DBOV: f64 = -60.0;
/// Something is audible within this from either end, in samples (40 ms): the rest is trimmed.
const SILENCE_MOST: usize = RATE as usize * 40 / 1000;
/// Audible, of 16 bits.
const AUDIBLE: u16 = 16;

/// What is wrong, and with which prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// `None`: the whole pack.
    pub prompt: Option<Prompt>,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prompt {
            Some(prompt) => write!(f, "{}: {}", prompt.id(), self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Everything that is wrong with a pack that loads.
#[must_use]
pub fn judge(pack: &Pack) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |prompt: Option<Prompt>, what: String| faults.push(Fault { prompt, what });
    match pack.voice_level_dbov() {
        Some(level) if (level - SPEECH_DBOV).abs() <= LEVEL_OFF_DB => {}
        Some(level) => {
            fault(None, format!("the voice is at {level:.2} dBov, expected {SPEECH_DBOV} ± {LEVEL_OFF_DB}"));
        }
        None => fault(None, "the voice is silent".to_owned()),
    }
    let question = pin_question_seconds(pack);
    if question > PIN_QUESTION_MOST {
        fault(None, format!("welcome and PIN question take {question:.2} s, at most {PIN_QUESTION_MOST}"));
    }
    for (prompt, samples) in pack.iter() {
        let mut fault = |what| fault(Some(prompt), what);
        let seconds = seconds(samples);
        let lengths = lengths(prompt);
        if !lengths.contains(&seconds) {
            fault(format!("{seconds:.2} s, expected {:.1} to {:.1}", lengths.start(), lengths.end()));
        }
        if is_speech(prompt) {
            match level::active_speech_dbov(samples.iter().copied(), RATE) {
                Some(level) if PROMPT_DBOV.contains(&level) => {}
                Some(level) => fault(format!("{level:.1} dBov, expected {PROMPT_DBOV:?}")),
                None => fault("silent".to_owned()),
            }
        } else {
            let level = mean_dbov(samples);
            if (level - SOUND_DBOV).abs() > LEVEL_OFF_DB {
                fault(format!("{level:.2} dBov, expected {SOUND_DBOV} ± {LEVEL_OFF_DB}"));
            }
        }
        let peak = peak(samples);
        if peak > PEAK {
            fault(format!("peak {peak}, expected at most {PEAK}"));
        }
        // Music goes round without a beginning.
        let edge = (RATE as usize / 500).min(samples.len());
        let near = SILENCE_MOST.min(samples.len());
        for (end, edge, near) in [
            ("begins", &samples[..edge], &samples[..near]),
            ("ends", &samples[samples.len() - edge..], &samples[samples.len() - near..]),
        ] {
            let level = mean_dbov(edge);
            if prompt != Prompt::Music && level >= EDGE_DBOV {
                fault(format!("{end} with a click, at {level:.1} dBov"));
            }
            if self::peak(near) <= AUDIBLE {
                fault(format!("{end} with silence"));
            }
        }
    }
    faults
}

#[must_use]
pub fn pin_question_seconds(pack: &Pack) -> f64 {
    seconds(pack.samples(Prompt::Welcome)) + seconds(pack.samples(Prompt::EnterPin))
}

#[must_use]
pub fn seconds(samples: &[i16]) -> f64 {
    samples.len() as f64 / f64::from(RATE)
}

/// Mean power, in dB of a square wave at full scale.
#[must_use]
pub fn mean_dbov(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|sample| (f64::from(*sample) / 32_768.0).powi(2)).sum();
    10.0 * (energy / samples.len() as f64).log10()
}

fn peak(samples: &[i16]) -> u16 {
    samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or_default()
}

/// As long as its kind may be.
fn lengths(prompt: Prompt) -> RangeInclusive<f64> {
    match prompt {
        Prompt::Number(_) | Prompt::OneAfter => 0.2..=1.2,
        Prompt::There(_) | Prompt::Others(_) => 0.2..=2.0,
        Prompt::JoinTone
        | Prompt::LeaveTone
        | Prompt::NameTone
        | Prompt::HandTone
        | Prompt::JoinedWithoutCodeTone => 0.1..=0.4,
        Prompt::Music => 30.0..=60.0,
        Prompt::HelpGuest => 3.0..=12.0,
        Prompt::HelpModerator => 3.0..=20.0,
        _ => 0.3..=5.0,
    }
}
