//! What may watch signalling: each message of a known peer, as it comes and goes.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::sip::wire::Message;
use crate::sip::{Bytes, Flow};

/// A message that came in or goes out.
#[derive(Debug)]
pub struct Seen {
    pub at: Timestamp,
    pub flow: Flow,
    /// To the peer, not from it.
    pub outgoing: bool,
    what: What,
}

#[derive(Debug)]
enum What {
    Came(Vec<u8>),
    /// Over a stream, where it was read before it got here.
    Read(Box<Message>),
    Goes(Bytes),
}

impl Seen {
    pub(super) fn came(flow: Flow, bytes: &[u8]) -> Self {
        Self { at: Timestamp::now(), flow, outgoing: false, what: What::Came(bytes.to_vec()) }
    }

    pub(super) fn read(flow: Flow, message: &Message) -> Self {
        Self { at: Timestamp::now(), flow, outgoing: false, what: What::Read(Box::new(message.clone())) }
    }

    pub(super) fn goes(flow: Flow, bytes: &Bytes) -> Self {
        Self { at: Timestamp::now(), flow, outgoing: true, what: What::Goes(bytes.clone()) }
    }

    /// As it was on the wire; one that came over a stream as it was understood.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match &self.what {
            What::Came(bytes) => bytes.clone(),
            What::Read(message) => message.to_bytes(),
            What::Goes(bytes) => bytes.to_vec(),
        }
    }
}

/// Told of each message. It is called between two messages and must not wait.
#[derive(Clone)]
pub struct Tap(Arc<dyn Fn(Seen) + Send + Sync>);

impl Tap {
    #[must_use]
    pub fn new(tell: impl Fn(Seen) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(super) fn tell(&self, seen: Seen) {
        (self.0)(seen);
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}
