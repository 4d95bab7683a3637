//! What is asked of a worker.

use super::line::Line;
use super::recording::Tape;
use super::room::{Parcel, Room};
use crate::audio::{Denoiser, LegSettings, Playback, Rate, Take, opus};

/// What the control side asks of a worker. Places of lines and rooms are given out by it, so the
/// worker searches nothing.
pub enum Order {
    Open {
        line: u32,
        phase: usize,
        leg: Box<Line>,
    },
    Configure {
        line: u32,
        settings: LegSettings,
    },
    /// Memory for Opus, once in a leg's life.
    Equip {
        line: u32,
        encoder: opus::Encoder,
        decoder: opus::Decoder,
    },
    /// Memory for the stream of Opus that a room's listeners of this rate share, once in a room's life.
    EquipRoom {
        room: u32,
        rate: Rate,
        opus: opus::Turns,
    },
    /// Memory for noise suppression, likewise.
    EquipDenoiser {
        line: u32,
        denoiser: Box<Denoiser>,
    },
    Play {
        line: u32,
        playback: Playback,
    },
    PlayLoop {
        line: u32,
        playback: Playback,
    },
    StopPlaying {
        line: u32,
    },
    /// `members`: a longer list for a room that has grown full.
    Join {
        line: u32,
        room: u32,
        members: Option<Vec<u32>>,
    },
    Leave {
        line: u32,
        phase: usize,
    },
    Mute {
        line: u32,
        muted: bool,
    },
    BeginName {
        line: u32,
        take: Take,
    },
    EndName {
        line: u32,
    },
    Close {
        line: u32,
    },
    OpenRoom {
        room: u32,
        phase: usize,
        empty: Box<Room>,
    },
    PlayToRoom {
        room: u32,
        playback: Playback,
    },
    /// Record into this tape from now on; what was recorded into another before ends.
    Record {
        room: u32,
        tape: Option<Box<Tape>>,
    },
    CloseRoom {
        room: u32,
    },
    /// Send the room with all its members to another worker, in this parcel.
    HandOverRoom {
        room: u32,
        to: usize,
        parcel: Box<Parcel>,
    },
    /// Take the room that `from` sends into this place, as with [`Order::Receive`].
    ReceiveRoom {
        room: u32,
        from: usize,
    },
    /// Send the line to another worker; it leaves its room.
    HandOver {
        line: u32,
        to: usize,
    },
    /// Take the line that `from` sends. Orders behind this one wait until it is there: it was
    /// sent on its way before.
    Receive {
        line: u32,
        phase: usize,
        from: usize,
    },
}
