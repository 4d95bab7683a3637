//! Speaks a catalogue with the engine that it names, and writes one WAV per prompt.
//!
//! The whole voice gets one gain, so that its active speech is at [`SPEECH_DBOV`] and no prompt stands
//! out. Silence around speech is cut, and long pauses in it are shortened. Tones and music are not
//! spoken: `prompts/sounds.py` makes those of the English pack, and all others take them from there.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::path::Path;
use std::process::{Command, Stdio};

use hound::{SampleFormat, WavSpec, WavWriter};

use super::catalogue::{self, Catalogue, Engine};
use super::judge::{PEAK, SPEECH_DBOV};
use super::{RATE, level, wav};

/// Below this, before the first and after the last sound, is silence.
const QUIET_DBOV: f64 = -55.0;
/// Longest silence between two sentences: 250 ms.
const PAUSE: usize = RATE as usize / 4;
/// Silence kept at both ends, and how much of an end is faded: 20 and 10 ms.
const KEEP: usize = RATE as usize / 50;
const FADE: usize = RATE as usize / 100;
/// The grain in which silence is looked for: 5 ms.
const GRAIN: usize = RATE as usize / 200;
/// A file whose samples differ by less than this share of its peak stays as it is: a gain that moves by a
/// tenth of a decibel because a word was added need not change every file.
const SAME: f64 = 0.012;
/// So far may the speech of one prompt be from the whole voice's level.
const STANDS_OUT_DB: f64 = 4.0;
/// Words a minute of espeak-ng at its own pace.
const ESPEAK_PACE: f64 = 175.0;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    #[error("{0}: {1}")]
    Catalogue(String, catalogue::Error),
    #[error("{engine} could not be run: {source}; on Debian: apt-get install {engine}")]
    Engine { engine: &'static str, source: std::io::Error },
    #[error("{prompt}: {engine} failed: {said}")]
    Spoken { prompt: String, engine: &'static str, said: String },
    #[error("{prompt}: {engine} gave {what}")]
    Sound { prompt: String, engine: &'static str, what: String },
    #[error("{prompt}: peak {peak:.0} after the gain, expected at most {PEAK}")]
    Peak { prompt: String, peak: f64 },
}

/// What was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    pub spoken: usize,
    pub written: usize,
    /// Files that the catalogue does not name any more.
    pub removed: Vec<String>,
    pub gain_db: f64,
}

/// Renders the pack in `folder`. `progress` hears of each prompt before it is spoken, and of how many there are.
///
/// # Errors
/// When the catalogue cannot be read, the engine is not there or says nothing, or a file cannot be written.
pub fn render(folder: &Path, mut progress: impl FnMut(&str, usize)) -> Result<Rendered, Error> {
    let file = folder.join("catalogue.toml");
    let text = std::fs::read(&file).map_err(|error| Error::File(file.display().to_string(), error))?;
    let catalogue =
        Catalogue::parse(&text).map_err(|error| Error::Catalogue(file.display().to_string(), error))?;
    let mut voice = BTreeMap::new();
    for (id, words) in &catalogue.speech {
        progress(id, catalogue.speech.len());
        voice.insert(id, trimmed(&spoken(id, words, &catalogue)?));
    }
    let whole = voice.values().flatten().map(|sample| sample.round() as i16);
    let Some(level) = level::active_speech_dbov(whole, RATE) else {
        let what = "silence alone".to_owned();
        let engine = catalogue.engine.program();
        return Err(Error::Sound { prompt: "the whole voice".to_owned(), engine, what });
    };
    let gain = 10_f64.powf((SPEECH_DBOV - level) / 20.0);
    let mut written = 0;
    for (id, samples) in &voice {
        let gain = gain * within(samples, gain);
        let peak = samples.iter().fold(0.0_f64, |peak, sample| peak.max(sample.abs())) * gain;
        if peak > f64::from(PEAK) {
            return Err(Error::Peak { prompt: (*id).clone(), peak });
        }
        let samples: Vec<i16> = samples.iter().map(|sample| (sample * gain).round() as i16).collect();
        let file = folder.join(format!("{id}.wav"));
        if !is_kept(&file, &samples) {
            write(&file, &samples)?;
            written += 1;
        }
    }
    let removed = remove_others(folder, &catalogue)?;
    Ok(Rendered { spoken: voice.len(), written, removed, gain_db: 20.0 * gain.log10() })
}

/// More gain or less for a prompt that would stand out from the others, such as one short word.
fn within(samples: &[f64], gain: f64) -> f64 {
    let loud = samples.iter().map(|sample| (sample * gain).round() as i16);
    let level = level::active_speech_dbov(loud, RATE).unwrap_or(SPEECH_DBOV);
    10_f64.powf((level.clamp(SPEECH_DBOV - STANDS_OUT_DB, SPEECH_DBOV + STANDS_OUT_DB) - level) / 20.0)
}

/// One prompt as the engine speaks it, at [`RATE`].
fn spoken(id: &str, words: &str, catalogue: &Catalogue) -> Result<Vec<f64>, Error> {
    let engine = catalogue.engine.program();
    let folder = tempfolder(id)?;
    let out = folder.0.join("spoken.wav");
    let mut command = Command::new(engine);
    match catalogue.engine {
        Engine::Flite => command
            .args(["-voice", &catalogue.voice, "--setf"])
            .arg(format!("duration_stretch={}", catalogue.pace))
            .args(["-t", words])
            .arg(&out),
        Engine::EspeakNg => command
            .args(["-v", &catalogue.voice, "-s"])
            .arg(format!("{:.0}", ESPEAK_PACE / catalogue.pace))
            .arg("-w")
            .arg(&out)
            .args(["--", words]),
    };
    let ran = command.stdin(Stdio::null()).output().map_err(|source| Error::Engine { engine, source })?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
        return Err(Error::Spoken { prompt: id.to_owned(), engine, said });
    }
    let bad = |what: String| Error::Sound { prompt: id.to_owned(), engine, what };
    let mut reader = hound::WavReader::open(&out).map_err(|error| bad(error.to_string()))?;
    let WavSpec { channels, sample_rate, bits_per_sample, .. } = reader.spec();
    if (channels, bits_per_sample) != (1, 16) || !(RATE..=48_000).contains(&sample_rate) {
        return Err(bad(format!("{channels} channel(s) of {bits_per_sample} bits at {sample_rate} Hz")));
    }
    let samples: Vec<f64> = reader.samples::<i16>().map_while(Result::ok).map(f64::from).collect();
    if samples.iter().all(|sample| *sample == 0.0) {
        return Err(bad("silence".to_owned()));
    }
    Ok(resampled(&samples, sample_rate))
}

/// At [`RATE`], by a windowed sinc. Rates from [`RATE`] up.
fn resampled(samples: &[f64], rate: u32) -> Vec<f64> {
    if rate == RATE {
        return samples.to_vec();
    }
    // Flat to 7 kHz, gone from 8.
    const REACH: f64 = 32.0;
    let step = f64::from(rate) / f64::from(RATE);
    let cut = 0.94 / step;
    let reach = REACH * step;
    let count = (samples.len() as f64 / step) as usize;
    let at = |n: usize| {
        let centre = n as f64 * step;
        let first = (centre - reach).ceil().max(0.0) as usize;
        let last = ((centre + reach) as usize).min(samples.len() - 1);
        let tap = |(index, sample): (usize, &f64)| {
            let distance = (first + index) as f64 - centre;
            let x = PI * distance * cut;
            let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
            sample * sinc * cut * (0.5 + 0.5 * (PI * distance / reach).cos())
        };
        samples[first..=last].iter().enumerate().map(tap).sum()
    };
    (0..count).map(at).collect()
}

/// Without the silence around it, but for [`KEEP`], both ends faded so that nothing clicks; longer pauses
/// inside are cut down to [`PAUSE`], in their middle.
fn trimmed(samples: &[f64]) -> Vec<f64> {
    // An engine may begin at once; then there is nothing to fade.
    let samples = [&[0.0; KEEP], samples, &[0.0; KEEP]].concat();
    let limit = (32_768.0 * 10_f64.powf(QUIET_DBOV / 20.0)).powi(2);
    let power = |grain: &[f64]| grain.iter().map(|sample| sample * sample).sum::<f64>();
    let loud: Vec<usize> = (samples.chunks(GRAIN).enumerate())
        .filter(|(_, grain)| power(grain) > limit * GRAIN as f64)
        .map(|(n, _)| n * GRAIN)
        .collect();
    let (Some(begin), Some(end)) = (loud.first(), loud.last()) else { return Vec::new() };
    let mut first = begin.saturating_sub(KEEP);
    let mut cut = Vec::new();
    for pair in loud.windows(2) {
        let after = pair[0] + GRAIN;
        if pair[1] - after > PAUSE {
            cut.extend_from_slice(&samples[first..after + PAUSE / 2]);
            first = pair[1] - PAUSE / 2;
        }
    }
    cut.extend_from_slice(&samples[first..(end + GRAIN + KEEP).min(samples.len())]);
    let count = cut.len();
    for n in 0..FADE.min(count / 2) {
        let part = 0.5 - 0.5 * (PI * n as f64 / FADE as f64).cos();
        cut[n] *= part;
        cut[count - 1 - n] *= part;
    }
    cut
}

/// The file holds these samples, but for a gain that nobody hears.
fn is_kept(file: &Path, samples: &[i16]) -> bool {
    let Some(kept) = std::fs::read(file).ok().and_then(|bytes| wav::samples(&bytes).ok()) else {
        return false;
    };
    let peak = f64::from(kept.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or_default());
    let close = |(a, b): (&i16, &i16)| f64::from(i32::from(*a) - i32::from(*b)).abs() <= peak * SAME;
    kept.len() == samples.len() && kept.iter().zip(samples).all(close)
}

/// Writes samples as prompts are kept.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, samples: &[i16]) -> Result<(), Error> {
    let spec =
        WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let done = || -> Result<(), hound::Error> {
        let mut writer = WavWriter::create(file, spec)?;
        let mut samples_out = writer.get_i16_writer(samples.len() as u32);
        samples.iter().for_each(|sample| samples_out.write_sample(*sample));
        samples_out.flush()?;
        writer.finalize()
    };
    done().map_err(|error| Error::File(file.display().to_string(), std::io::Error::other(error)))
}

fn remove_others(folder: &Path, catalogue: &Catalogue) -> Result<Vec<String>, Error> {
    let failed = |error| Error::File(folder.display().to_string(), error);
    let mut removed = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let id = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let is_wav = path.extension().is_some_and(|extension| extension == "wav");
        if is_wav && !catalogue.speech.contains_key(&id) && !catalogue.sounds.contains_key(&id) {
            std::fs::remove_file(&path).map_err(failed)?;
            removed.push(id);
        }
    }
    removed.sort();
    Ok(removed)
}

/// A folder of our own that goes with the value.
struct Scratch(std::path::PathBuf);

fn tempfolder(id: &str) -> Result<Scratch, Error> {
    let folder = std::env::temp_dir().join(format!("doorline-prompts-{}-{id}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Error::File(folder.display().to_string(), error))?;
    Ok(Scratch(folder))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that stays in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, hz: f64, peak: f64, seconds: f64) -> Vec<f64> {
        let count = (f64::from(rate) * seconds) as usize;
        (0..count).map(|n| peak * (2.0 * PI * hz * n as f64 / f64::from(rate)).sin()).collect()
    }

    fn peak(samples: &[f64]) -> f64 {
        samples.iter().fold(0.0, |peak, sample| f64::max(peak, sample.abs()))
    }

    #[test]
    fn another_rate_keeps_what_fits_and_loses_what_does_not() {
        let kept = resampled(&tone(22_050, 1_000.0, 8_000.0, 0.5), 22_050);
        assert_eq!(kept.len(), 8_000);
        let expected = tone(RATE, 1_000.0, 8_000.0, 0.5);
        for (n, (got, expected)) in kept.iter().zip(&expected).enumerate().skip(100).take(7_700) {
            assert!((got - expected).abs() < 80.0, "{n}: {got} instead of {expected}");
        }
        let lost = resampled(&tone(22_050, 9_500.0, 8_000.0, 0.5), 22_050);
        assert!(peak(&lost[100..7_900]) < 80.0, "{}", peak(&lost[100..7_900]));
    }

    #[test]
    fn silence_is_cut_and_pauses_are_shortened() {
        let silence = |seconds: f64| vec![0.0; (f64::from(RATE) * seconds) as usize];
        let word = tone(RATE, 500.0, 8_000.0, 0.5);
        let sentence =
            [silence(1.0), word.clone(), silence(0.1), word.clone(), silence(2.0), word, silence(1.0)];
        let cut = trimmed(&sentence.concat());
        let seconds = cut.len() as f64 / f64::from(RATE);
        assert!((seconds - 1.89).abs() < 0.02, "{seconds}");
        assert!(cut[0].abs() < 1.0 && cut[cut.len() - 1].abs() < 1.0, "both ends are faded");
        assert!(trimmed(&silence(1.0)).is_empty());
    }
}
