//! Doorline: the phone door to One Time Meetings. This file is the map; `ARCHITECTURE.md` says why.

pub mod types;

// Rooms that decide: no socket, clock, SQL, thread, randomness.
pub mod bridge;
