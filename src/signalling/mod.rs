//! Sockets that carry SIP: bytes in and out of a [`sip`](crate::sip) endpoint, nothing decided.

pub mod settings;

pub use settings::{Listen, Settings};
