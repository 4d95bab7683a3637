//! The thread of one recording: from the ring to the disk.
//!
//! A file has one rate. A room that becomes wide goes on in a second file, at 16 kHz, and one that becomes full in
//! the next, at 48; one that becomes narrow again stays in it, brought up. Every five seconds the header is brought up to date, so
//! that a file whose writer died can be heard.

use std::io::{self, BufWriter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rtrb::Consumer;
use tracing::{info, warn};

use super::channels::Channels;
use super::folder::{Folder, Place, create_free};
use super::{Piece, RecordingEnd, Settings};
use crate::audio::{Converter, Rate, SILENCE};
use crate::types::MeetingId;

/// Between two looks into the ring.
const PAUSE: Duration = Duration::from_millis(40);
/// Ticks after which the header is written again.
const HEADER_EVERY: u32 = 250;

/// Writes until the tape is dropped or all must stop; says why it is over.
pub(super) fn write(
    meeting: MeetingId,
    settings: &Settings,
    pieces: Consumer<Piece>,
    stop: &AtomicBool,
) -> RecordingEnd {
    let begun = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let name = format!("{meeting}-{begun}");
    info!(%meeting, file = name, "recording begins");
    let written = Folder::open(&settings.folder).and_then(|folder| {
        write_to(folder, &name, settings, pieces, || {
            std::thread::sleep(PAUSE);
            stop.load(Ordering::Relaxed)
        })
    });
    match written {
        Ok((why, lost)) => {
            info!(%meeting, file = name, why = why.word(), lost, "recording written");
            why
        }
        Err(error) => {
            warn!(%meeting, file = name, %error, "recording failed");
            RecordingEnd::Failed(error.kind())
        }
    }
}

/// As [`write`], to any place; `pause` waits for more, and says whether there will be none. Also counts
/// ticks for which the ring had no room.
pub(super) fn write_to<P: Place>(
    mut place: P,
    name: &str,
    settings: &Settings,
    mut pieces: Consumer<Piece>,
    mut pause: impl FnMut() -> bool,
) -> io::Result<(RecordingEnd, u32)> {
    let most = u32::try_from(settings.longest.as_millis() / 20).unwrap_or(u32::MAX);
    let (mut part, mut finished, mut lost) = (None::<Part<P>>, Vec::new(), 0);
    let mut stop = false;
    let why = loop {
        // In this order: what was pushed before the end is still taken.
        let last_look = stop || pieces.is_abandoned();
        let mut too_long = false;
        while let Ok(piece) = pieces.pop() {
            too_long |= piece.tick >= most;
            if too_long {
                continue;
            }
            let current = match part.take() {
                Some(current) if piece.rate <= current.rate => current,
                before => {
                    let channels = settings.per_caller.then(|| Channels::new(piece.rate, most));
                    if let Some(before) = before {
                        finished.push(before.end_mix()?);
                    }
                    Part::begin(&mut place, name, piece.rate, piece.tick, channels)?
                }
            };
            lost += part.insert(current).write(&mut place, &piece)?;
        }
        if too_long {
            break RecordingEnd::TooLong;
        }
        if last_look {
            break RecordingEnd::Stopped;
        }
        stop = pause();
    };
    if let Some(part) = part {
        finished.push(part.end_mix()?);
    }
    for (channels, ticks) in finished {
        if let Some(channels) = channels {
            channels.finish(&mut place, name, ticks)?;
        }
    }
    Ok((why, lost))
}

/// One file of what all hear, and the callers' channels of the same time.
struct Part<P: Place> {
    wav: hound::WavWriter<BufWriter<P::File>>,
    rate: Rate,
    /// The tick of the recording that it begins with, and how many it holds.
    first: u32,
    ticks: u32,
    converter: Converter,
    channels: Option<Channels<P>>,
}

impl<P: Place> Part<P> {
    fn begin(
        place: &mut P,
        name: &str,
        rate: Rate,
        first: u32,
        channels: Option<Channels<P>>,
    ) -> io::Result<Self> {
        let file = create_free(place, name, ".wav")?;
        let wav = hound::WavWriter::new(BufWriter::new(file), spec(rate, 1)).map_err(wav_error)?;
        Ok(Self { wav, rate, first, ticks: 0, converter: Converter::default(), channels })
    }

    /// How many ticks were missing before this one.
    fn write(&mut self, place: &mut P, piece: &Piece) -> io::Result<u32> {
        let tick = piece.tick - self.first;
        if let Some(call) = piece.whose {
            if let Some(channels) = &mut self.channels {
                channels.write(place, call, tick, piece)?;
            }
            return Ok(0);
        }
        let missing = tick.saturating_sub(self.ticks);
        for _ in 0..missing {
            self.samples(&SILENCE[..self.rate.frame()])?;
            self.end_tick()?;
        }
        let mut higher = SILENCE;
        if piece.rate == self.rate {
            self.samples(piece.samples())?;
        } else {
            let higher = &mut higher[..self.rate.frame()];
            self.converter.process(piece.rate, self.rate, piece.samples(), higher);
            self.samples(higher)?;
        }
        if piece.is_last() {
            self.end_tick()?;
        }
        Ok(missing)
    }

    fn samples(&mut self, samples: &[i16]) -> io::Result<()> {
        let mut fast = self.wav.get_i16_writer(samples.len() as u32);
        for &sample in samples {
            fast.write_sample(sample);
        }
        fast.flush().map_err(wav_error)
    }

    fn end_tick(&mut self) -> io::Result<()> {
        self.ticks += 1;
        if self.ticks.is_multiple_of(HEADER_EVERY) {
            self.wav.flush().map_err(wav_error)?;
        }
        Ok(())
    }

    fn end_mix(self) -> io::Result<(Option<Channels<P>>, u32)> {
        self.wav.finalize().map_err(wav_error)?;
        Ok((self.channels, self.ticks))
    }
}

pub(super) fn spec(rate: Rate, channels: u16) -> hound::WavSpec {
    hound::WavSpec {
        channels,
        sample_rate: rate.hz() as u32,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    }
}

pub(super) fn wav_error(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::folder::small::Disk;
    use super::super::{TICKS_HELD, Tape};
    use super::*;
    use crate::audio::FRAME;
    use crate::audio::goertzel::{amplitude_at, tone_at};
    use crate::types::CallId;

    fn settings(per_caller: bool) -> Settings {
        Settings { folder: "x".into(), per_caller, longest: Duration::from_secs(20) }
    }

    /// A tone of so many Hz, tick by tick; `whose` is its caller, 0 for what all hear.
    fn piece(tick: u32, whose: u128, rate: Rate, frequency: f64) -> Vec<Piece> {
        let frame = rate.frame();
        let sound: Vec<i16> = tone_at(rate.hz(), frequency, 8_000.0, tick as usize * frame, frame).collect();
        Piece::of(tick, (whose > 0).then(|| CallId::numbered(whose)), rate, &sound).collect()
    }

    /// What the thread would write of these, a ring full at a time.
    fn record(
        disk: &Disk,
        per_caller: bool,
        pieces: impl Iterator<Item = Vec<Piece>>,
    ) -> io::Result<(RecordingEnd, u32)> {
        let (tape, out) = Tape::new(per_caller);
        let mut tape = Some(tape);
        let mut pieces = pieces.flatten().peekable();
        write_to(disk.clone(), "m", &settings(per_caller), out, || {
            let Some(open) = &mut tape else { return false };
            while open.pieces.slots() > 0
                && let Some(piece) = pieces.next()
            {
                open.pieces.push(piece).unwrap();
            }
            if pieces.peek().is_none() {
                tape = None;
            }
            false
        })
    }

    fn wav(disk: &Disk, end: &str) -> (hound::WavSpec, Vec<i16>) {
        let reader = hound::WavReader::new(Cursor::new(disk.read(end))).expect(end);
        (reader.spec(), reader.into_samples().map(Result::unwrap).collect())
    }

    #[test]
    fn what_all_hear_is_in_the_file_and_what_was_lost_is_silence_at_its_place() {
        let disk = Disk::with_room_for(1_000_000);
        let ticks = (0..400).filter(|tick| !(100..150).contains(tick));
        let ended = record(&disk, false, ticks.map(|tick| piece(tick, 0, Rate::Narrow, 700.0)));
        assert_eq!(ended.unwrap(), (RecordingEnd::Stopped, 50));
        let (spec, sound) = wav(&disk, "m.wav");
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 8_000, 16));
        assert_eq!(sound.len(), 400 * FRAME);
        assert!((amplitude_at(8_000, &sound[..100 * FRAME], 700.0) - 8_000.0).abs() < 10.0);
        assert!(sound[100 * FRAME..150 * FRAME].iter().all(|&sample| sample == 0));
        assert!((amplitude_at(8_000, &sound[150 * FRAME..], 700.0) - 8_000.0).abs() < 10.0);
    }

    #[test]
    fn a_room_that_becomes_wide_goes_on_in_a_file_that_has_it_all() {
        let disk = Disk::with_room_for(10_000_000);
        let rates = [Rate::Narrow, Rate::Wide, Rate::Narrow, Rate::Full, Rate::Wide, Rate::Narrow];
        let pieces = (0..300).flat_map(|tick| {
            let rate = rates[tick as usize / 50];
            [piece(tick, 0, rate, 700.0), piece(tick, 1, rate, 700.0)]
        });
        record(&disk, true, pieces).unwrap();
        let parts = [
            (["m.wav", "m-callers.wav"], 8_000, 50),
            (["m-2.wav", "m-2-callers.wav"], 16_000, 100),
            (["m-3.wav", "m-3-callers.wav"], 48_000, 150),
        ];
        for (ends, rate, ticks) in parts {
            for end in ends {
                let (spec, sound) = wav(&disk, end);
                assert_eq!((spec.sample_rate, sound.len()), (rate, ticks * rate as usize / 50), "{end}");
                // Each rate that the room had.
                for half in sound.chunks(50 * rate as usize / 50) {
                    let heard = amplitude_at(rate as usize, &half[half.len() / 4..], 700.0);
                    assert!((heard - 8_000.0).abs() < 100.0, "{end}: {heard}");
                }
            }
        }
    }

    #[test]
    fn each_caller_is_alone_on_a_channel_at_the_time_they_spoke() {
        let disk = Disk::with_room_for(10_000_000);
        // The second comes later, the third says a word in between and leaves.
        let pieces = (0..300).flat_map(|tick| {
            let voices = [(1, 0..300), (2, 100..300), (3, 150..160)];
            let voices = voices.into_iter().filter(move |(_, when)| when.contains(&tick));
            std::iter::once(piece(tick, 0, Rate::Narrow, 400.0))
                .chain(voices.map(move |(who, _)| piece(tick, who, Rate::Narrow, 500.0 * who as f64)))
        });
        record(&disk, true, pieces).unwrap();
        let (spec, sound) = wav(&disk, "m-callers.wav");
        assert_eq!((spec.channels, sound.len()), (3, 3 * 300 * FRAME));
        for (channel, when) in [(0, 0..300), (1, 100..300), (2, 150..160)] {
            let alone: Vec<i16> = sound.iter().skip(channel).step_by(3).copied().collect();
            for who in 1..=3 {
                let heard =
                    amplitude_at(8_000, &alone[when.start * FRAME..when.end * FRAME], 500.0 * who as f64);
                let expected = if who == channel + 1 { 8_000.0 } else { 0.0 };
                assert!((heard - expected).abs() < 20.0, "{who} on channel {channel}: {heard}");
            }
            let silent = alone.iter().enumerate().filter(|(n, _)| !when.contains(&(n / FRAME)));
            assert!(silent.into_iter().all(|(_, &sample)| sample == 0), "channel {channel}");
        }
        let table = String::from_utf8(disk.read("m-callers.csv")).unwrap();
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows[0], "channel,call,first_heard_seconds,last_heard_seconds");
        assert_eq!(rows[3], format!("3,{},3.00,3.20", CallId::numbered(3)));
    }

    #[test]
    fn a_full_disk_ends_the_recording_and_what_fitted_can_be_heard() {
        let disk = Disk::with_room_for(300_000);
        let ended = record(&disk, false, (0..1_000).map(|tick| piece(tick, 0, Rate::Narrow, 700.0)));
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::StorageFull);
        let (_, sound) = wav(&disk, "m.wav");
        assert!(sound.len() >= 750 * FRAME, "{} samples", sound.len());
        assert!((amplitude_at(8_000, &sound[..750 * FRAME], 700.0) - 8_000.0).abs() < 10.0);
        assert_eq!(RecordingEnd::Failed(io::ErrorKind::StorageFull).word(), "disk-full");
    }

    #[test]
    fn a_recording_ends_by_itself_when_it_has_lasted_too_long() {
        let disk = Disk::with_room_for(10_000_000);
        let ended = record(&disk, true, (0..1_100).map(|tick| piece(tick, 0, Rate::Narrow, 700.0)));
        assert_eq!(ended.unwrap().0, RecordingEnd::TooLong);
        assert_eq!(wav(&disk, "m.wav").1.len(), 1_000 * FRAME);
    }

    #[test]
    fn a_tape_nobody_reads_loses_sound_and_waits_for_nobody() {
        let (mut tape, out) = Tape::new(false);
        let conference = crate::audio::Conference::default();
        (0..TICKS_HELD + 10).for_each(|_| tape.record(&conference, std::iter::empty()));
        assert_eq!(out.slots(), TICKS_HELD);
        drop(out);
        tape.record(&conference, std::iter::empty());
    }
}
