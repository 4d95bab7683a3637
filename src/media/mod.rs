//! Real-time threads around [`audio`](crate::audio): sockets, the 20 ms clock, rooms.

pub mod settings;

pub use settings::Settings;
