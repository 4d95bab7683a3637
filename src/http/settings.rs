//! What the HTTP server must know before it starts.

use std::net::SocketAddr;

use crate::types::Token;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Port 0 takes a free one (tests).
    pub listen: SocketAddr,
    pub operator_token: Token,
}
