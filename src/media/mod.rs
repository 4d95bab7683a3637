//! Real-time threads around [`audio`](crate::audio): sockets, the 20 ms clock, rooms.
//!
//! [`Engine`] is the handle that the rest of the service holds. Behind it one [`worker`] per core
//! owns whole rooms with all their legs and sockets, so that a tick needs no lock. Orders go to a
//! worker over a bounded ring, what happened comes back over another ([`Events`]).

mod balance;
mod clock;
mod control;
mod engine;
mod events;
pub mod figures;
mod line;
mod load;
mod order;
mod ports;
mod post;
pub mod recording;
mod room;
pub mod settings;
pub mod socket;
mod worker;

pub use crate::audio::leg::{LegSettings, Quality, SoundSettings};
pub use crate::audio::voice::Wishes;
pub use crate::audio::{Clip, Codec, Rate};
pub use engine::{Engine, Error};
pub use events::{Event, Events};
pub use figures::Figures;
pub use recording::RecordingEnd;
pub use settings::Settings;
pub use worker::PHASES;
