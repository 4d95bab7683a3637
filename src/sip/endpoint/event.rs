//! What the endpoint tells the service, in order.

use crate::sip::flow::Flow;
use crate::sip::identity::Evidence;
use crate::sip::reason::Reason;
use crate::sip::redirection::Redirection;
use crate::sip::wire::Method;
use crate::types::{CallId, Digit};

/// Every call ends with exactly one [`Event::Ended`] or [`Event::Rejected`], and nothing follows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    // -- calls that come in --
    /// An INVITE from a trunk; 100 has gone out. Ring, answer, refuse or hang up.
    Incoming(Box<Incoming>),
    /// An INVITE that the endpoint itself refused, and all there is to say of it.
    TurnedAway(Box<TurnedAway>),
    /// The ACK of our answer came. `answer`: its SDP when the offer was ours (late offer), empty if
    /// the peer gave none.
    Established { call: CallId, answer: Option<Vec<u8>> },

    // -- calls that we make --
    /// An answer below 200, 100 excepted. When we made no offer and `sdp` is there, it is the peer's,
    /// and `ack` must follow.
    Progress { call: CallId, status: u16, sdp: Option<Vec<u8>> },
    /// 2xx. When we made no offer and have not answered one, `sdp` is the peer's and `ack` must follow.
    Accepted { call: CallId, sdp: Option<Vec<u8>> },
    /// The call never came about. 408 also when nobody answered, 503 when the transport failed.
    Rejected { call: CallId, status: u16, reason: String },

    // -- any call, while it lasts --
    /// The peer wants to change the session (re-INVITE, UPDATE, PRACK). `None`: it asks for our offer.
    /// Accept or refuse it.
    Offered { call: CallId, sdp: Option<Vec<u8>> },
    /// A change is done, or the first description is settled before the 200. `answer`: the peer's SDP
    /// when the offer was ours, empty if it gave none.
    Modified { call: CallId, answer: Option<Vec<u8>> },
    /// The peer refused our re-INVITE; the session is as before.
    ChangeRefused { call: CallId, status: u16 },
    /// A key by SIP INFO. `duration_ms` is 0 when not told.
    Digit { call: CallId, digit: Digit, duration_ms: u16 },
    /// A request within the call that we do not do, such as REFER; the call goes on.
    NotDone { call: CallId, method: Method, status: u16 },
    Ended {
        call: CallId,
        how: HowEnded,
        /// What the peer said of it.
        reason: Option<Reason>,
    },
}

impl Event {
    #[must_use]
    pub fn call(&self) -> CallId {
        match self {
            Self::Incoming(incoming) => incoming.call,
            Self::TurnedAway(away) => away.incoming.call,
            Self::Established { call, .. }
            | Self::Progress { call, .. }
            | Self::Accepted { call, .. }
            | Self::Rejected { call, .. }
            | Self::Offered { call, .. }
            | Self::Modified { call, .. }
            | Self::ChangeRefused { call, .. }
            | Self::Digit { call, .. }
            | Self::NotDone { call, .. }
            | Self::Ended { call, .. } => *call,
        }
    }
}

/// A call that asks to come in.
#[derive(Clone, Eq, PartialEq)]
pub struct Incoming {
    pub call: CallId,
    /// The trunk's name.
    pub trunk: String,
    /// Calls of this trunk, this one included.
    pub trunk_calls: usize,
    pub flow: Flow,
    /// What was dialled: the user of the Request-URI, escapes resolved, without `;parameters`.
    pub request_user: Option<String>,
    /// What was dialled before any forwarding, likewise from To.
    pub to_user: Option<String>,
    pub evidence: Evidence,
    /// `None`: late offer, ours goes into the answer.
    pub offer: Option<Vec<u8>>,
    /// Call-ID, for those who compare with their trunk's logs.
    pub sip_call_id: String,
    /// `ring` needs our description: the caller acknowledges provisional answers (RFC 3262).
    pub reliable: bool,
    /// Who sent the call on to us, as networks on the way say.
    pub redirection: Option<Redirection>,
    /// The peer's half of Session-ID (RFC 7989).
    pub session_id: Option<String>,
}

/// A call that the endpoint refused before anybody was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TurnedAway {
    /// Without its offer.
    pub incoming: Incoming,
    pub status: u16,
    pub why: Why,
}

/// Why an INVITE is refused at once.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Why {
    /// It requires an option that we do not have: 420.
    Extension,
    /// It does not accept SDP: 406.
    Accept,
    /// Its body is none that we read: 415.
    Body,
    /// It wants to take another call's place: 481 (RFC 3891).
    Replaces,
    /// Its session would expire sooner than we let it: 422.
    Interval,
    /// We sent it ourselves: 482.
    Loop,
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming")
            .field("call", &self.call)
            .field("trunk", &self.trunk)
            .field("flow", &self.flow)
            .field("evidence", &self.evidence)
            .field("offer", &self.offer.as_ref().map(Vec::len))
            .finish_non_exhaustive()
    }
}

/// How a call ended on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HowEnded {
    /// BYE from the peer.
    ByPeer,
    /// CANCEL before our answer.
    Cancelled,
    /// No ACK within 64·T1; a BYE has gone out (RFC 3261 §13.3.1.4).
    NoAck,
    /// Our provisional answer was never acknowledged (RFC 3262 §3); 504 has gone out.
    NoPrack,
    /// No refresh came (RFC 4028 §10); a BYE has gone out.
    SessionExpired,
    /// Our BYE is answered or given up, or our refusal has gone out.
    ByUs,
    /// It rang too long without anyone's decision; 480 has gone out.
    Unanswered,
    /// The connection broke before the call was answered.
    Transport,
    /// The peer does not know the call any more (481) or does not answer (408).
    Gone,
}
