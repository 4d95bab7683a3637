//! The HTTP API: hosts, meetings, verified numbers, calls, what is live.

pub mod settings;

pub use settings::Settings;
