//! The database: hosts, meetings, verified numbers, call records.

pub mod settings;

pub use settings::Settings;
