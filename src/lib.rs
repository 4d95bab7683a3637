//! Doorline: the phone door to One Time Meetings. This file is the map; `ARCHITECTURE.md` says why.

pub mod types;

// Rooms that decide: no socket, clock, SQL, thread, randomness.
pub mod audio;
pub mod bridge;
pub mod rtp;
pub mod sip;

// Rooms that do: they move bytes and ask a room that decides.
pub mod http;
pub mod mail;
pub mod media;
pub mod outbox;
pub mod prompt;
pub mod reach;
pub mod signalling;
pub mod stir;
pub mod store;
pub mod trace;
pub mod webhook;

// The rooms that know all others.
pub mod cli;
pub mod config;
pub mod server;
pub mod telemetry;
