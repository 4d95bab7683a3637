//! Signalling as state machines (RFC 3261): bytes and time in, bytes and events out.

pub mod flow;
pub mod offer;
pub mod transaction;
pub mod transport;
pub mod trunk;
pub mod uri;
pub mod wire;

pub use flow::{Bytes, Flow, Transmit};
pub use transport::Transport;
pub use uri::{Host, Uri};
