//! A piece of recorded sound, ready to be played to any leg.
//!
//! Made once at start: brought to both mixing rates through a proper low-pass, and encoded in
//! G.711, so that a caller who hears only a prompt costs a copy. G.722 has a memory: how a prompt is
//! coded depends on what was said before it, so each leg codes its own.

use std::io::Cursor;

use super::g711::Law;
use super::resample::Up;
use super::{FRAME, RATE, Rate};

/// The same sound at each mixing rate.
#[derive(Debug)]
pub struct Clip {
    narrow: Box<[i16]>,
    /// Twice as many.
    wide: Box<[i16]>,
    pcmu: Box<[u8]>,
    pcma: Box<[u8]>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not a WAV file: {0}")]
    Wav(#[from] hound::Error),
    #[error(
        "WAV with {channels} channels of {bits} bits at {rate} Hz, expected one of 16 bits at 8000 or 16000 Hz"
    )]
    Format { channels: u16, bits: u16, rate: u32 },
    #[error("WAV of {0} samples, expected at most {SAMPLES_MAX}")]
    TooLong(u32),
}

/// Ten minutes at 16 kHz.
const SAMPLES_MAX: u32 = 10 * 60 * 16_000;

impl Clip {
    /// From a WAV file: 16-bit PCM, mono, 8 or 16 kHz.
    pub fn from_wav(file: &[u8]) -> Result<Self, Error> {
        let reader = hound::WavReader::new(Cursor::new(file))?;
        let spec = reader.spec();
        let pcm = spec.sample_format == hound::SampleFormat::Int && spec.bits_per_sample == 16;
        if !pcm || spec.channels != 1 || !matches!(spec.sample_rate, 8_000 | 16_000) {
            return Err(Error::Format {
                channels: spec.channels,
                bits: spec.bits_per_sample,
                rate: spec.sample_rate,
            });
        }
        if reader.len() > SAMPLES_MAX {
            return Err(Error::TooLong(reader.len()));
        }
        let samples = reader.into_samples().collect::<Result<Vec<i16>, _>>()?;
        Ok(if spec.sample_rate == 16_000 { Self::from_16_khz(&samples) } else { Self::new(samples) })
    }

    /// From samples at 16 kHz.
    #[must_use]
    pub fn from_16_khz(samples: &[i16]) -> Self {
        let mut wide = samples.to_vec();
        wide.resize(samples.len().next_multiple_of(2), 0);
        Self::of(halved(samples), wide)
    }

    /// From samples at [`RATE`].
    #[must_use]
    pub fn new(samples: Vec<i16>) -> Self {
        let wide = doubled(&samples);
        Self::of(samples, wide)
    }

    fn of(narrow: Vec<i16>, wide: Vec<i16>) -> Self {
        let encoded = |law: Law| {
            let mut codes = vec![0; narrow.len()];
            law.encode(&narrow, &mut codes);
            codes.into_boxed_slice()
        };
        Self { pcmu: encoded(Law::Mu), pcma: encoded(Law::A), narrow: narrow.into(), wide: wide.into() }
    }

    /// Ticks of 8 kHz.
    #[must_use]
    pub fn length(&self) -> usize {
        self.narrow.len()
    }

    /// For [`Rate::Full`] those at 16 kHz: there is nothing above 8 kHz in a prompt.
    #[must_use]
    pub fn samples(&self, rate: Rate) -> &[i16] {
        match rate {
            Rate::Narrow => &self.narrow,
            Rate::Wide | Rate::Full => &self.wide,
        }
    }

    /// One byte per tick.
    #[must_use]
    pub fn encoded(&self, law: Law) -> &[u8] {
        match law {
            Law::Mu => &self.pcmu,
            Law::A => &self.pcma,
        }
    }

    #[must_use]
    pub fn seconds(&self) -> f32 {
        self.length() as f32 / RATE as f32
    }
}

/// As in the tick, but in its place: the filter's delay is taken out.
fn doubled(samples: &[i16]) -> Vec<i16> {
    let mut filter = Up::default();
    let mut out = vec![0; 2 * (samples.len() + Up::DELAY)];
    let padded: Vec<i16> = samples.iter().copied().chain([0; Up::DELAY]).collect();
    for (samples, out) in padded.chunks(FRAME).zip(out.chunks_mut(2 * FRAME)) {
        filter.process(samples, out);
    }
    out.split_off(2 * Up::DELAY)
}

/// Every second sample, after a low-pass that keeps what lies above 4 kHz from folding back: a
/// windowed sinc (Blackman), -6 dB at 3.7 kHz, more than 60 dB down from 4.2 kHz.
fn halved(samples: &[i16]) -> Vec<i16> {
    const HALF: i64 = 90;
    const CUT: f64 = 3_700.0 / 16_000.0;
    let taps: Vec<f64> = (-HALF..=HALF)
        .map(|n| {
            let x = std::f64::consts::TAU * CUT * n as f64;
            let sinc = if n == 0 { 1.0 } else { x.sin() / x };
            let phase = std::f64::consts::PI * n as f64 / (HALF + 1) as f64;
            2.0 * CUT * sinc * (0.42 + 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos())
        })
        .collect();
    let gain: f64 = taps.iter().sum();
    (0..samples.len().div_ceil(2))
        .map(|out| {
            let centre = 2 * out as i64;
            let total: f64 = (-HALF..=HALF)
                .zip(&taps)
                .filter_map(|(n, tap)| {
                    let at = usize::try_from(centre + n).ok()?;
                    Some(tap * f64::from(*samples.get(at)?))
                })
                .sum();
            (total / gain).round().clamp(-32_768.0, 32_767.0) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::goertzel::amplitude;

    fn sine_16_khz(frequency: f64) -> Vec<i16> {
        (0..16_000)
            .map(|n| (10_000.0 * (std::f64::consts::TAU * frequency * f64::from(n) / 16_000.0).sin()) as i16)
            .collect()
    }

    #[test]
    fn speech_passes_and_what_is_above_does_not_fold_back() {
        for frequency in [200.0, 1_000.0, 3_000.0, 3_400.0] {
            let clip = Clip::from_16_khz(&sine_16_khz(frequency));
            assert_eq!(clip.samples(Rate::Narrow).len(), 8_000);
            let got = amplitude(&clip.samples(Rate::Narrow)[400..7_600], frequency);
            assert!((got - 10_000.0).abs() < 150.0, "{frequency} Hz: {got}");
        }
        for frequency in [4_200.0, 5_000.0, 7_000.0] {
            let clip = Clip::from_16_khz(&sine_16_khz(frequency));
            let got = amplitude(&clip.samples(Rate::Narrow)[400..7_600], 8_000.0 - frequency);
            assert!(got < 10.0, "{frequency} Hz comes back with {got}");
        }
    }

    #[test]
    fn both_rates_say_the_same_at_the_same_time() {
        let wide = sine_16_khz(1_000.0);
        let narrow: Vec<i16> = wide.iter().copied().step_by(2).collect();
        for clip in [Clip::from_16_khz(&wide), Clip::new(narrow.clone())] {
            assert_eq!(clip.samples(Rate::Wide).len(), 2 * clip.length());
            for n in 100..7_900 {
                let [narrow_got, wide_got] = [clip.samples(Rate::Narrow)[n], clip.samples(Rate::Wide)[2 * n]];
                assert!((narrow_got - narrow[n]).abs() < 60 && (wide_got - wide[2 * n]).abs() < 60, "at {n}");
                assert!((clip.samples(Rate::Wide)[2 * n + 1] - wide[2 * n + 1]).abs() < 60, "at {n}");
            }
        }
    }

    #[test]
    fn a_wav_is_read_and_a_wrong_one_is_named() {
        let wav = |channels, sample_rate| {
            let spec = hound::WavSpec {
                channels,
                sample_rate,
                bits_per_sample: 16,
                sample_format: hound::SampleFormat::Int,
            };
            let mut file = Cursor::new(Vec::new());
            let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
            (0..320).for_each(|n| writer.write_sample(n as i16).unwrap());
            writer.finalize().unwrap();
            file.into_inner()
        };
        assert_eq!(Clip::from_wav(&wav(1, 16_000)).unwrap().length(), 160);
        assert_eq!(Clip::from_wav(&wav(1, 8_000)).unwrap().encoded(Law::A).len(), 320);
        let error = Clip::from_wav(&wav(2, 44_100)).unwrap_err().to_string();
        assert!(error.contains("2 channels") && error.contains("44100"), "{error}");
        assert!(Clip::from_wav(b"RIFF, but no wave").is_err());
    }
}
