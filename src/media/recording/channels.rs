//! One channel per caller: each voice goes to a file of its own, and at the end all become one WAV.
//!
//! How many channels a WAV has stands at its beginning, and who will come is not known then. A voice's
//! file is written at the place of its tick; what lies between is a hole, which is silence and takes
//! no room on the disk.

use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use super::Piece;
use super::folder::{Place, create_free};
use super::writer::{spec, wav_error};
use crate::audio::{Converter, Rate, SILENCE};
use crate::types::CallId;

/// Most bytes of sound in one WAV file: its lengths are 32-bit numbers.
pub(super) const WAV_BYTES_MAX: u64 = u32::MAX as u64 - 65_536;
/// Samples of each channel that are interleaved at a time.
const BLOCK: usize = 4_096;

pub(super) struct Channels<P: Place> {
    rate: Rate,
    most: usize,
    voices: Vec<Voice<P::File>>,
}

struct Voice<F> {
    call: CallId,
    file: F,
    /// Where the file stands, in ticks.
    at: u32,
    /// The ticks in which it was first and last heard.
    first: u32,
    last: u32,
    converter: Converter,
}

impl<P: Place> Channels<P> {
    /// At this rate, of at most so many ticks: so many voices as then fit into a WAV.
    pub(super) fn new(rate: Rate, ticks: u32) -> Self {
        let bytes = u64::from(ticks.max(1)) * rate.frame() as u64 * 2;
        Self { rate, most: (WAV_BYTES_MAX / bytes).clamp(1, 1_000) as usize, voices: Vec::new() }
    }

    /// One tick of one voice, or a third, `tick` ticks after the beginning. Voices beyond those that fit are only
    /// in what all hear.
    pub(super) fn write(&mut self, place: &mut P, call: CallId, tick: u32, piece: &Piece) -> io::Result<()> {
        let voice = match self.voices.iter().position(|voice| voice.call == call) {
            Some(known) => &mut self.voices[known],
            None if self.voices.len() == self.most => return Ok(()),
            None => {
                let file = place.scratch()?;
                let converter = Converter::default();
                self.voices.push(Voice { call, file, at: 0, first: tick, last: tick, converter });
                self.voices.last_mut().expect("just pushed")
            }
        };
        let frame = self.rate.frame();
        let mut higher = SILENCE;
        let sound = if piece.rate == self.rate {
            piece.samples()
        } else {
            voice.converter.process(piece.rate, self.rate, piece.samples(), &mut higher[..frame]);
            &higher[..frame]
        };
        let mut bytes = [0; SILENCE.len() * 2];
        for (bytes, sample) in bytes.chunks_exact_mut(2).zip(sound) {
            bytes.copy_from_slice(&sample.to_le_bytes());
        }
        if piece.third == 0 && voice.at != tick {
            voice.file.seek(SeekFrom::Start(u64::from(tick) * frame as u64 * 2))?;
        }
        voice.file.write_all(&bytes[..sound.len() * 2])?;
        voice.at = tick + u32::from(piece.is_last());
        voice.last = tick;
        Ok(())
    }

    /// Writes the WAV, `ticks` long, and beside it a table that says whose channel is whose.
    pub(super) fn finish(mut self, place: &mut P, name: &str, ticks: u32) -> io::Result<()> {
        if self.voices.is_empty() {
            return Ok(());
        }
        let mut table = String::from("channel,call,first_heard_seconds,last_heard_seconds\n");
        for (channel, voice) in self.voices.iter_mut().enumerate() {
            let seconds = |tick: u32| f64::from(tick) / 50.0;
            let (first, last) = (seconds(voice.first), seconds(voice.last + 1));
            table.push_str(&format!("{},{},{first:.2},{last:.2}\n", channel + 1, voice.call));
            voice.file.rewind()?;
        }
        create_free(place, name, "-callers.csv")?.write_all(table.as_bytes())?;

        let file = create_free(place, name, "-callers.wav")?;
        let channels = self.voices.len();
        let mut wav = hound::WavWriter::new(BufWriter::new(file), spec(self.rate, channels as u16))
            .map_err(wav_error)?;
        let mut left = ticks as usize * self.rate.frame();
        let mut apart = vec![0; channels * BLOCK];
        let mut bytes = vec![0; 2 * BLOCK];
        while left > 0 {
            let count = left.min(BLOCK);
            let apart = &mut apart[..channels * count];
            for (voice, samples) in self.voices.iter_mut().zip(apart.chunks_exact_mut(count)) {
                read_or_silence(&mut voice.file, &mut bytes[..2 * count])?;
                for (sample, bytes) in samples.iter_mut().zip(bytes.chunks_exact(2)) {
                    *sample = i16::from_le_bytes([bytes[0], bytes[1]]);
                }
            }
            for sample in interleaved(apart, channels) {
                wav.write_sample(sample).map_err(wav_error)?;
            }
            left -= count;
        }
        wav.finalize().map_err(wav_error)
    }
}

/// One after the other becomes one beside the other.
fn interleaved(apart: &[i16], channels: usize) -> impl Iterator<Item = i16> {
    let frames = apart.len() / channels;
    (0..frames).flat_map(move |frame| (0..channels).map(move |channel| apart[channel * frames + frame]))
}

/// Fills `bytes`; what lies beyond the file's end is silence.
fn read_or_silence(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes[filled..].fill(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use webrtc_media::audio::buffer::Buffer;
    use webrtc_media::audio::buffer::layout::{Deinterleaved, Interleaved};

    use super::*;

    #[test]
    fn channels_are_laid_out_as_webrtc_media_lays_them_out() {
        let apart: Vec<i16> = (0..5 * 320).collect();
        for channels in [1, 2, 5] {
            let theirs = Buffer::<i16, Deinterleaved>::new(apart.clone(), channels);
            let ours = Buffer::<i16, Interleaved>::new(interleaved(&apart, channels).collect(), channels);
            assert_eq!(ours, Buffer::<i16, Interleaved>::from(theirs));
        }
    }
}
