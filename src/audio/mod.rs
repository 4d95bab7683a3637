//! Sound as numbers: packets become frames, frames become a conference, frames become packets.
//!
//! No socket, clock or thread. Nothing here allocates once a leg and a conference exist, because
//! all of it runs inside the 20 ms tick.

pub mod clip;
pub mod conceal;
pub mod conference;
pub mod g711;
pub mod goertzel;
pub mod jitter_buffer;
pub mod leg;
pub mod level;
pub mod mixer;
pub mod player;
pub mod playout;
pub mod ramp;

pub use clip::Clip;
pub use conference::Conference;
pub use g711::Codec;
pub use leg::{Leg, LegSettings, Quality, Seed};
pub use player::{Playback, Player};

/// Samples a second that we mix at. Everything that counts samples says so in terms of this and
/// [`FRAME`], so that rooms with wider legs can be mixed at a higher rate one day.
pub const RATE: usize = 8_000;

/// Samples in one tick of 20 ms.
pub const FRAME: usize = RATE / 50;

/// 20 ms of sound: 16-bit linear samples, full scale ±32,767.
pub type Frame = [i16; FRAME];

/// Nothing to hear.
pub const SILENCE: Frame = [0; FRAME];

/// Samples of a fade that is too short to be heard as one and too long to click: 5 ms.
pub const FADE: usize = RATE / 200;
