//! WAV files as prompts are kept: 16 kHz, mono, 16-bit PCM, nothing else.

use std::io::Cursor;

use hound::{SampleFormat, WavReader, WavSpec};

use super::RATE;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}, expected a WAV file")]
    NotWav(hound::Error),
    #[error("{}, expected 16000 Hz, 1 channel, 16-bit integers", shape(.0))]
    WrongShape(WavSpec),
    #[error("ends after {got} samples, expected {expected}")]
    Truncated { got: usize, expected: usize },
    #[error("no sound in it")]
    Empty,
}

/// All samples of the file in `bytes`. What its header claims is not believed: memory grows with the
/// bytes that are there.
pub fn samples(bytes: &[u8]) -> Result<Vec<i16>, Error> {
    let mut reader = WavReader::new(Cursor::new(bytes)).map_err(Error::NotWav)?;
    let spec = reader.spec();
    if (spec.sample_rate, spec.channels, spec.bits_per_sample, spec.sample_format)
        != (RATE, 1, 16, SampleFormat::Int)
    {
        return Err(Error::WrongShape(spec));
    }
    let expected = reader.len() as usize;
    let samples: Vec<i16> = reader.samples().map_while(Result::ok).collect();
    match samples.len() {
        got if got < expected => Err(Error::Truncated { got, expected }),
        0 => Err(Error::Empty),
        _ => Ok(samples),
    }
}

fn shape(spec: &WavSpec) -> String {
    format!(
        "{} Hz, {} channel(s), {}-bit {}",
        spec.sample_rate,
        spec.channels,
        spec.bits_per_sample,
        match spec.sample_format {
            SampleFormat::Int => "integers",
            SampleFormat::Float => "floats",
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(spec: WavSpec, samples: &[i16]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        for sample in samples {
            writer.write_sample(*sample).unwrap();
        }
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    const SPEC: WavSpec =
        WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: SampleFormat::Int };

    #[test]
    fn a_file_gives_the_samples_that_were_written() {
        assert_eq!(samples(&wav(SPEC, &[1, -2, i16::MAX, i16::MIN])).unwrap(), [1, -2, i16::MAX, i16::MIN]);
    }

    #[test]
    fn a_bad_file_says_what_it_is_and_what_was_expected() {
        let good = wav(SPEC, &[7; 100]);
        let mut boasting = good.clone();
        boasting[40..44].copy_from_slice(&0x7fff_fffe_u32.to_le_bytes());
        let cases: &[(&str, Vec<u8>, &str)] = &[
            ("nothing", vec![], "Failed to read enough bytes., expected a WAV file"),
            ("text", vec![b'x'; 300], "Ill-formed WAVE file: no RIFF tag found, expected a WAV file"),
            (
                "8 kHz",
                wav(WavSpec { sample_rate: 8_000, ..SPEC }, &[1]),
                "8000 Hz, 1 channel(s), 16-bit integers, expected 16000 Hz, 1 channel, 16-bit integers",
            ),
            (
                "stereo",
                wav(WavSpec { channels: 2, ..SPEC }, &[1, 2]),
                "16000 Hz, 2 channel(s), 16-bit integers, expected 16000 Hz, 1 channel, 16-bit integers",
            ),
            ("cut off", good[..144].to_vec(), "ends after 50 samples, expected 100"),
            ("a header that boasts", boasting, "ends after 100 samples, expected 1073741823"),
            ("no samples", wav(SPEC, &[]), "no sound in it"),
        ];
        for (name, bytes, expected) in cases {
            assert_eq!(samples(bytes).unwrap_err().to_string(), *expected, "{name}");
        }
    }

    #[test]
    fn no_damage_to_a_file_panics() {
        let good = wav(SPEC, &[7; 40]);
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let _ = samples(&bad);
            }
            let _ = samples(&good[..at]);
        }
    }
}
