//! Between which two addresses a message goes, and the message on its way out.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::sip::Transport;

/// A printed message. Shared, so that what may have to be sent again is stored once.
pub type Bytes = Arc<[u8]>;

/// One path to one peer: a UDP socket and a far address, or one connection.
///
/// It names a path, it does not hold it: when a message is to go out on a stream flow that has no
/// connection, whoever moves the bytes opens one to `peer`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Flow {
    pub transport: Transport,
    /// Ours: the address a peer reaches us at, also on connections that we open.
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

/// One message to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    pub flow: Flow,
    pub bytes: Bytes,
}
