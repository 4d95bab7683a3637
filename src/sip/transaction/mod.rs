//! Transactions: one request and its answers, made reliable over datagrams (RFC 3261 §17).
//!
//! Four machines, one file each: INVITE and the rest, server and client side, with the corrections
//! of RFC 6026 (Accepted state, timers L and M) and RFC 4320 (no late 408, no early 100). A machine
//! knows printed messages and the time, nothing of headers. Each says its next [`deadline`], and
//! what to do when that has come ([`Due`]).
//!
//! [`deadline`]: InviteServer::deadline

mod backoff;
mod invite_client;
mod invite_server;
mod non_invite_client;
mod non_invite_server;
mod timers;

pub use backoff::Backoff;
pub use invite_client::InviteClient;
pub use invite_server::{Ack, InviteServer};
pub use non_invite_client::NonInviteClient;
pub use non_invite_server::NonInviteServer;
pub use timers::Timers;

use crate::sip::flow::Bytes;

/// What a deadline that has come asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Due {
    /// The deadline moved; nothing to do.
    Nothing,
    /// Send this again.
    Resend(Bytes),
    /// Tell the peer that its request is being worked on (RFC 4320 §4.1): 100.
    Hurry,
    /// The peer stayed silent for 64·T1 (timers B, F, H); the transaction is gone.
    TimedOut,
    /// It did its work and is gone.
    Over,
}

/// What a response means to a client transaction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Heard {
    /// Not seen yet: it concerns the call.
    New,
    /// Seen before; nothing to do.
    Again,
    /// A repeated refusal: send the same ACK again.
    AckAgain(Bytes),
}

#[cfg(test)]
mod tests;
