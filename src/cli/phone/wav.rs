//! WAV files: what the phone says, and what it heard.

use std::path::{Path, PathBuf};

use webrtc_media::audio::Sample;

use super::tone::RATE;

/// Longest file that is spoken, in samples of one channel: ten minutes at 48 kHz.
const SAMPLES_MAX: u32 = 48_000 * 600;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{file}: {source}")]
    Wav { file: PathBuf, source: hound::Error },
    #[error("{file}: sampled at {rate} Hz, expected a multiple of 8000 Hz up to 48000 Hz")]
    Rate { file: PathBuf, rate: u32 },
    #[error("{file}: {samples} samples, expected 1 to {SAMPLES_MAX}")]
    Length { file: PathBuf, samples: u32 },
}

/// Reads a file as the phone speaks it: one channel at 8 kHz. Of several channels the first is taken;
/// higher rates are averaged down, which is enough for a test caller's voice.
pub fn read(file: &Path) -> Result<Vec<i16>, Error> {
    let wav = |source| Error::Wav { file: file.to_owned(), source };
    let mut reader = hound::WavReader::open(file).map_err(wav)?;
    let spec = reader.spec();
    if spec.sample_rate == 0 || spec.sample_rate % RATE != 0 || spec.sample_rate > 48_000 {
        return Err(Error::Rate { file: file.to_owned(), rate: spec.sample_rate });
    }
    let samples = reader.duration();
    if samples == 0 || samples > SAMPLES_MAX {
        return Err(Error::Length { file: file.to_owned(), samples });
    }
    let channels = usize::from(spec.channels);
    let first_channel: Vec<i16> = match spec.sample_format {
        // `Sample` clips and scales to 16 bit, the same way for every float file.
        hound::SampleFormat::Float => reader
            .samples::<f32>()
            .step_by(channels)
            .map(|sample| Ok(Sample::<i16>::from(Sample::<f32>::from(sample?)).into()))
            .collect::<Result<_, hound::Error>>(),
        hound::SampleFormat::Int => {
            let bits = u32::from(spec.bits_per_sample);
            let to_16 = move |sample: i32| {
                let shifted = if bits > 16 { sample >> (bits - 16) } else { sample << (16 - bits) };
                shifted.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
            };
            reader.samples::<i32>().step_by(channels).map(|sample| Ok(to_16(sample?))).collect()
        }
    }
    .map_err(wav)?;
    let ratio = (spec.sample_rate / RATE) as usize;
    let mean = |group: &[i16]| {
        let sum: i32 = group.iter().map(|&s| i32::from(s)).sum();
        (sum / group.len() as i32) as i16
    };
    Ok(first_channel.chunks(ratio).map(mean).collect())
}

/// Writes one channel: what was heard.
pub fn write(file: &Path, heard: &[i16]) -> Result<(), Error> {
    write_channels(file, heard, 1)
}

/// Writes two channels: heard left, spoken right. The shorter one ends in silence.
pub fn write_both(file: &Path, heard: &[i16], spoken: &[i16]) -> Result<(), Error> {
    write_channels(file, &interleaved(heard, spoken), 2)
}

fn interleaved(left: &[i16], right: &[i16]) -> Vec<i16> {
    let frames = left.len().max(right.len());
    (0..frames)
        .flat_map(|i| [left.get(i).copied().unwrap_or(0), right.get(i).copied().unwrap_or(0)])
        .collect()
}

fn write_channels(file: &Path, samples: &[i16], channels: u16) -> Result<(), Error> {
    let wav = |source| Error::Wav { file: file.to_owned(), source };
    let spec = hound::WavSpec {
        channels,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(file, spec).map_err(wav)?;
    // A bounded piece at a time: hound keeps a buffer as large as what it is promised.
    for piece in samples.chunks(usize::from(channels) * RATE as usize) {
        let mut quick = writer.get_i16_writer(piece.len() as u32);
        for &sample in piece {
            quick.write_sample(sample);
        }
        quick.flush().map_err(wav)?;
    }
    writer.finalize().map_err(wav)
}

#[cfg(test)]
mod tests {
    use webrtc_media::audio::buffer::Buffer;
    use webrtc_media::audio::buffer::layout::{Deinterleaved, Interleaved};

    use super::*;

    fn sine() -> Vec<i16> {
        let mut tone = super::super::tone::Tone::new(440.0, -10.0);
        (0..1_600).map(|_| tone.next_sample()).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("heard.wav");
        write(&file, &sine()).unwrap();
        assert_eq!(read(&file).unwrap(), sine());
    }

    #[test]
    fn two_channels_are_laid_out_as_webrtc_media_lays_them_out() {
        let (heard, spoken) = (sine(), sine().into_iter().rev().collect::<Vec<_>>());
        let theirs = Buffer::<i16, Deinterleaved>::new([heard.clone(), spoken.clone()].concat(), 2);
        let ours = Buffer::<i16, Interleaved>::new(interleaved(&heard, &spoken), 2);
        assert_eq!(ours, Buffer::<i16, Interleaved>::from(theirs));
        assert_eq!(interleaved(&[1, 2, 3], &[9]), [1, 9, 2, 0, 3, 0]);
    }

    #[test]
    fn the_left_channel_of_a_recording_is_what_was_heard() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("both.wav");
        write_both(&file, &sine(), &[7; 2_000]).unwrap();
        let reader = hound::WavReader::open(&file).unwrap();
        assert_eq!((reader.spec().channels, reader.duration()), (2, 2_000));
        assert_eq!(read(&file).unwrap()[..1_600], sine());
    }

    #[test]
    fn other_formats_are_spoken_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("float.wav");
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 16_000,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(&file, spec).unwrap();
        for value in [0.5f32, 0.5, -2.0, -2.0] {
            writer.write_sample(value).unwrap();
        }
        writer.finalize().unwrap();
        assert_eq!(read(&file).unwrap(), [16_383, i16::MIN]);
    }

    #[test]
    fn what_cannot_be_spoken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("none.wav");
        assert!(read(&file).unwrap_err().to_string().contains("none.wav"));
        std::fs::write(&file, b"RIFF, but no more").unwrap();
        assert!(matches!(read(&file), Err(Error::Wav { .. })));
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 11_025,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&file, spec).unwrap();
        writer.write_sample(1i16).unwrap();
        writer.finalize().unwrap();
        assert!(matches!(read(&file), Err(Error::Rate { rate: 11_025, .. })));
    }
}
