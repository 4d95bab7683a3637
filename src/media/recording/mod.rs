//! Recording a room: what all hear as a WAV file and, if asked for, every caller on a channel alone.
//!
//! The tick only copies frames into a bounded ring ([`Tape`]). A thread of the recording's own takes
//! them out and writes ([`writer`]): whatever happens to the disk, no call hears of it. A frame for
//! which the ring has no room is silence in the file, at its place.

mod channels;
mod folder;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};

use super::engine::Shared;
use crate::audio::{Conference, Leg, Rate, SILENCE};
use crate::types::{CallId, MeetingId};

/// Where and what is recorded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Made with the first recording, for the service's user alone, as are the files.
    pub folder: PathBuf,
    /// Beside what all hear, a file with a channel for each caller.
    pub per_caller: bool,
    /// A recording ends after so long.
    pub longest: Duration,
}

/// Why a recording is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecordingEnd {
    /// As asked, or because the last caller has left.
    Stopped,
    /// It has lasted for [`Settings::longest`].
    TooLong,
    /// There is nobody to record, or no folder to record into was set.
    NothingToRecord,
    /// The disk is full, or the file could not be written for another reason. What was written before
    /// is there.
    Failed(std::io::ErrorKind),
}

impl RecordingEnd {
    /// Its name in logs and events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::TooLong => "too-long",
            Self::NothingToRecord => "nothing-to-record",
            Self::Failed(std::io::ErrorKind::StorageFull) => "disk-full",
            Self::Failed(_) => "failed",
        }
    }
}

/// One tick of one voice, or of all together; at 48 kHz a third of one, so that the ring needs no more memory
/// because there is such a rate.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Counted from the recording's first.
    tick: u32,
    /// `None`: what all hear.
    whose: Option<CallId>,
    /// How much of `sound` counts, and which third of the tick it is: the first, where there are none.
    rate: Rate,
    third: usize,
    sound: [i16; PIECE],
}

const PIECE: usize = Rate::Wide.frame();

impl Piece {
    /// All of one tick, in order.
    fn of(tick: u32, whose: Option<CallId>, rate: Rate, sound: &[i16]) -> impl Iterator<Item = Self> {
        sound[..rate.frame()].chunks(PIECE).enumerate().map(move |(third, part)| {
            let mut sound = [0; PIECE];
            sound[..part.len()].copy_from_slice(part);
            Self { tick, whose, rate, third, sound }
        })
    }

    fn samples(&self) -> &[i16] {
        &self.sound[..self.rate.frame().min(PIECE)]
    }

    /// Whether its tick is whole with it.
    fn is_last(&self) -> bool {
        (self.third + 1) * PIECE >= self.rate.frame()
    }
}

/// Ticks that the ring holds of what all hear: five seconds, for a disk that hesitates; two at 48 kHz.
const TICKS_HELD: usize = 256;
/// Pieces beyond those, for the voices of callers: 16 who speak at once, for as long, 2.7 MB.
const VOICES_HELD: usize = 16 * TICKS_HELD;

/// The end of a recording that the tick holds.
#[derive(Debug)]
pub struct Tape {
    pieces: Producer<Piece>,
    tick: u32,
    per_caller: bool,
}

impl Tape {
    fn new(per_caller: bool) -> (Self, Consumer<Piece>) {
        let held = if per_caller { TICKS_HELD + VOICES_HELD } else { TICKS_HELD };
        let (pieces, out) = RingBuffer::new(held);
        (Self { pieces, tick: 0, per_caller }, out)
    }

    /// Takes down the tick that `conference` has just made; `voices` are its members.
    pub fn record<'a>(&mut self, conference: &Conference, voices: impl Iterator<Item = (CallId, &'a Leg)>) {
        let tick = self.tick;
        self.tick = self.tick.wrapping_add(1);
        let rate = conference.rate();
        let mut sound = SILENCE;
        conference.heard_by_all(&mut sound[..rate.frame()]);
        self.push(tick, None, rate, &sound, 0);
        if !self.per_caller {
            return;
        }
        for (call, leg) in voices.filter(|(_, leg)| leg.speaks()) {
            self.push(tick, Some(call), rate, leg.spoken(), TICKS_HELD);
        }
    }

    /// Without room for all of it beside what is kept free, or when the writer has given up: silence at this place.
    fn push(&mut self, tick: u32, whose: Option<CallId>, rate: Rate, sound: &[i16], kept_free: usize) {
        if self.pieces.slots() < kept_free + rate.frame().div_ceil(PIECE) {
            return;
        }
        for piece in Piece::of(tick, whose, rate, sound) {
            let _ = self.pieces.push(piece);
        }
    }
}

/// Begins a recording: its thread runs until the tape is dropped or all must stop, and then tells
/// `shared` why it is over, in any case once.
pub(super) fn begin(
    meeting: MeetingId,
    settings: Settings,
    shared: &Arc<Shared>,
    stop: &Arc<AtomicBool>,
) -> std::io::Result<(Tape, JoinHandle<()>)> {
    let (tape, pieces) = Tape::new(settings.per_caller);
    let (shared, stop) = (shared.clone(), stop.clone());
    let thread = std::thread::Builder::new().name("recording".to_owned()).spawn(move || {
        let why = writer::write(meeting, &settings, pieces, &stop);
        shared.recording_ended(meeting, why);
    })?;
    Ok((tape, thread))
}
