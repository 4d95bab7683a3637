//! The whole service: starts every room, carries events between them, drains and stops.
//!
//! This is the room that knows all others. Nothing is decided here: what to do with a call is the
//! bridge's, what to do with a message is the endpoint's; [`switchboard`] is the loop between them
//! and [`translate`] the dictionary.

mod clips;
mod door;
mod figures;
pub mod invitations;
mod known;
mod lifecycle;
mod lines;
pub mod notices;
mod operations;
mod questions;
mod reload;
mod retention;
mod signatures;
mod switchboard;
mod systemd;
mod traces;
mod translate;
mod trunks;
pub mod webhooks;

pub use lifecycle::{Service, StartError};
pub use operations::Reread;
pub use retention::Retention;
