//! How much one peer may take.

use std::time::Duration;

/// Defaults are for production; tests shrink them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections at once; more are closed at accept.
    pub connections: usize,
    /// Of one address.
    pub connections_per_source: usize,
    /// TLS handshakes at once; more are closed at accept. Peers that no trunk knows by address, who may
    /// still prove a name, take half of them at most.
    pub handshakes: usize,
    /// Of one address.
    pub handshakes_per_source: usize,
    /// From accept (or connect) to the end of a TLS handshake.
    pub handshake: Duration,
    /// From accept (over TLS: from the handshake) to the end of the first message, and from the first to the last byte of any.
    pub first_message: Duration,
    /// Without a message or a keep-alive a connection is closed.
    pub idle: Duration,
    /// To open a connection of ours, and to write one message.
    pub write: Duration,
    /// Events that wait for the service.
    pub events: usize,
    /// Commands that wait for the endpoint.
    pub commands: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_source: 64,
            handshakes: 64,
            handshakes_per_source: 16,
            handshake: Duration::from_secs(5),
            first_message: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            write: Duration::from_secs(10),
            events: 1_024,
            commands: 1_024,
        }
    }
}
