//! Signalling as state machines (RFC 3261): bytes and time in, bytes and events out.

pub mod transport;
pub mod trunk;

pub use transport::Transport;
