//! Sound as numbers: packets become frames, frames become a conference, frames become packets.
//!
//! No socket, clock or thread. Nothing here allocates once a leg and a conference exist, because
//! all of it runs inside the 20 ms tick.

pub mod clip;
pub mod codec;
pub mod conceal;
pub mod conference;
pub mod convert;
pub mod denoise;
pub mod dtmf;
pub mod echo;
pub mod g711;
pub mod g722;
pub mod goertzel;
pub mod jitter_buffer;
pub mod leg;
pub mod level;
pub mod mixer;
pub mod name;
pub mod opus;
pub mod packetizer;
pub mod player;
pub mod playout;
pub mod ramp;
pub mod resample;
pub mod together;
pub mod triple;
pub mod voice;

pub use clip::Clip;
pub use codec::{Codec, Decoder, Encoder, Rate};
pub use conference::Conference;
pub use convert::Converter;
pub use denoise::Denoiser;

pub use leg::{Leg, LegSettings, Quality, Seed, SoundSettings};
pub use name::Take;
pub use player::{Playback, Player};
pub use together::Together;

/// Samples a second of a narrow room, and the ticks that all time is counted in. Rooms with a wider leg are mixed
/// at [`Rate::Wide`] or, where that is allowed, [`Rate::Full`].
pub const RATE: usize = 8_000;

/// Samples of a narrow room in one tick of 20 ms; also RTP clock ticks and bytes, with every codec.
pub const FRAME: usize = RATE / 50;

/// Samples of a full room in one tick.
pub const FRAME_MAX: usize = Rate::Full.frame();

/// Room for 20 ms of sound at any rate: 16-bit linear samples, full scale ±32,767. How many of them
/// count is said beside it, or by the slice.
pub type Frame = [i16; FRAME_MAX];

/// Nothing to hear.
pub const SILENCE: Frame = [0; FRAME_MAX];

/// Samples at [`RATE`] of a fade that is too short to be heard as one and too long to click: 5 ms.
pub const FADE: usize = RATE / 200;

/// As many at the highest rate.
pub const FADE_MAX: usize = Rate::Full.fade();
