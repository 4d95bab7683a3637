//! One room on a worker: who is in it, what it keeps between two ticks, and how it moves.

use std::time::Duration;

use super::line::Line;
use super::recording::Tape;
use crate::audio::Conference;

/// A room and its members' places, in no order that means anything.
pub struct Room {
    pub(super) conference: Conference,
    pub(super) members: Vec<u32>,
    pub(super) phase: usize,
    /// Its place in the list of its phase.
    pub(super) place: usize,
    /// Mixing it failed once; it waits for its end.
    pub(super) broken: bool,
    pub(super) tape: Option<Box<Tape>>,
    /// When it was mixed last, from the start of the engine.
    pub(super) mixed: Duration,
}

impl Room {
    /// An empty one; allocated where that is allowed.
    #[must_use]
    pub fn with_room_for(members: usize) -> Self {
        Self {
            conference: Conference::default(),
            members: Vec::with_capacity(members),
            phase: 0,
            place: 0,
            broken: false,
            tape: None,
            mixed: Duration::ZERO,
        }
    }
}

/// A room on its way from one worker to another, with all its lines. Made empty where memory may be
/// taken, filled by the one, emptied by the other, and given back to be freed.
pub struct Parcel {
    pub(super) room: Option<Box<Room>>,
    /// By the place that a line leaves.
    pub(super) lines: Vec<Moving>,
}

/// A line's place before and after, and the line between them.
pub struct Moving {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) line: Option<Box<Line>>,
}

impl Parcel {
    /// For lines that leave these places for those.
    #[must_use]
    pub fn new(mut places: Vec<(u32, u32)>) -> Self {
        places.sort_unstable();
        let lines = places.into_iter().map(|(from, to)| Moving { from, to, line: None }).collect();
        Self { room: None, lines }
    }

    /// The line that leaves this place.
    pub(super) fn of(&mut self, from: u32) -> Option<&mut Moving> {
        let at = self.lines.binary_search_by_key(&from, |moving| moving.from).ok()?;
        self.lines.get_mut(at)
    }
}

/// What goes straight from worker to worker.
pub enum Freight {
    Line(Box<Line>),
    Room(Box<Parcel>),
}
