//! What the endpoint must know before it starts.

use std::net::SocketAddr;
use std::time::Duration;

use crate::sip::bucket::Rate;
use crate::sip::outside::Outside;
use crate::sip::transaction::Timers;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Our addresses as peers see them, for Contact and Via, in place of the flow's.
    pub external_address: Outside,
    /// Where we listen over TCP: from there requests go that are too large for a datagram. None: they
    /// are datagrams all the same.
    pub tcp: Vec<SocketAddr>,
    pub timers: Timers,
    /// Transactions at once, both sides. Over it a request is answered 503 and leaves no state.
    pub transactions_max: usize,
    /// Calls at once. Over it an INVITE is answered 503 and leaves no state.
    pub calls_max: usize,
    /// New calls of all trunks together. Over it an INVITE is answered 503 and leaves no state; `None`: as
    /// many as come.
    pub calls_rate: Option<Rate>,
    /// Seconds in the Retry-After of those 503s, except those for the rate, which know better.
    pub retry_after: u32,
    /// A call that rings longer than this, either way, is given up (RFC 3261 §16.6 timer C: over 3 min).
    pub ring_max: Duration,
    /// `;isfocus` in our Contact: this is a conference (RFC 4579 §4.1).
    pub is_focus: bool,
    /// The user part of our Contact.
    pub contact_user: String,
    /// Seconds after which calls that we make expire without a refresh (RFC 4028), 90 or more;
    /// `None`: we do not ask for it.
    pub session_interval: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            external_address: Outside::default(),
            tcp: Vec::new(),
            timers: Timers::default(),
            transactions_max: 200_000,
            // Each has two of the 65,536 ports.
            calls_max: 32_768,
            calls_rate: None,
            retry_after: 10,
            ring_max: Duration::from_secs(185),
            is_focus: true,
            contact_user: "doorline".to_owned(),
            session_interval: None,
        }
    }
}
