//! One call: the life of its INVITE, the changes asked for while it lasts, and its end.
//!
//! ```text
//! called   Ringing ─ answer ──> Answered ─ ACK ──> Established ─ hang up ──> Leaving ─> gone
//! calling  Calling ─ 2xx ─────> Accepted ─ our ACK ──┘
//! ```
//! A change (re-INVITE, UPDATE, an offer in PRACK) lives beside the state: at most one at a time,
//! whoever began it. The session timer stands in [`timer`](super::timer).

use std::sync::Arc;
use std::time::Instant;

use super::dialog::Dialog;
use super::flow::{Bytes, Flow};
use super::reason::Farewell;
use super::session_id::SessionId;
use super::timer::Expiry;
use super::transaction::{Backoff, Timers};
use super::trunk::Trunk;
use super::wire::Method;
use crate::types::CallId;

/// Names a transaction of the endpoint.
pub(super) type TransactionId = u64;

pub(super) struct Session {
    pub call: CallId,
    pub trunk: Arc<Trunk>,
    /// Where the peer was last heard.
    pub flow: Flow,
    /// That connection is gone; the next request needs another.
    pub flow_broken: bool,
    /// The peer's own idea of its address is not where it sends from, so its Contact leads nowhere.
    pub behind_nat: bool,
    pub dialog: Dialog,
    pub state: State,
    pub change: Change,
    /// A reliable provisional answer of ours whose PRACK is not in.
    pub provisional: Option<Provisional>,
    pub expiry: Option<Expiry>,
    /// Shortest session interval that anybody on the way wants, seconds; 0 when nobody said.
    pub interval_min: u32,
    /// We made the call: ours is the Call-ID, which decides who waits longer after glare (§14.1).
    pub we_called: bool,
    /// The peer's last Allow has UPDATE.
    pub takes_update: bool,
    /// The descriptions that both sides sent last.
    pub ours: Option<Vec<u8>>,
    pub theirs: Option<Vec<u8>>,
    pub session_id: Option<SessionId>,
    /// What the deadlines hold for this call.
    pub scheduled: Option<Instant>,
}

pub(super) enum State {
    /// Theirs, and we have not answered.
    Ringing(Ringing),
    /// Our 200 is out, its ACK is not in.
    Answered(Unacknowledged),
    /// Ours, and the peer has not answered.
    Calling(Calling),
    /// The peer's 2xx to an INVITE without an offer: the ACK waits for our answer.
    Accepted {
        invite: TransactionId,
        cseq: u32,
        until: Instant,
    },
    Established,
    /// Our BYE is out.
    Leaving,
}

pub(super) struct Ringing {
    pub invite: TransactionId,
    /// The INVITE has SDP.
    pub offered: bool,
    pub until: Instant,
    /// The caller wants provisional answers that it acknowledges (RFC 3262).
    pub reliable: bool,
    /// RSeq of the last one; 0 before the first.
    pub rseq: u32,
    pub early: Early,
    /// Our 200, held back until the PRACK of a description is in (RFC 3262 §3).
    pub answer: Option<Vec<u8>>,
}

/// How far offer and answer have come before the 200.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Early {
    /// Nothing has gone out reliably.
    Nothing,
    /// Our description is out. `our_offer`: the PRACK brings the answer.
    Described { our_offer: bool },
    /// Both sides have said theirs.
    Agreed,
}

/// A provisional answer that is sent again until its PRACK comes, over streams too (RFC 3262 §3).
pub(super) struct Provisional {
    pub rseq: u32,
    /// Of the INVITE.
    pub cseq: u32,
    pub bytes: Bytes,
    pub flow: Flow,
    /// `None` once a final answer is out: its PRACK is still taken, it is not sent again.
    pub resend: Option<Backoff>,
    pub until: Instant,
    pub has_sdp: bool,
}

pub(super) struct Calling {
    pub invite: TransactionId,
    /// Our INVITE had an offer, or a PRACK of ours the answer: the ACK has no description.
    pub offered: bool,
    pub cancel: Cancel,
    pub until: Instant,
    /// Both sides have said theirs, reliably.
    pub agreed: bool,
    /// And the peer has answered the PRACK: an UPDATE of ours cannot overtake it now.
    pub changeable: bool,
    /// RSeq of the last reliable answer of each phone that rings, by its To tag; at most
    /// [`FORKS_MAX`].
    pub heard: Vec<(Box<str>, u32)>,
    /// RSeq of one that brought an offer: its PRACK waits for our answer.
    pub owed: Option<u32>,
    /// Longer intervals that were asked of us by 422.
    pub retries: u8,
}

/// Phones of one INVITE whose reliable answers are acknowledged.
pub(super) const FORKS_MAX: usize = 8;

/// How far we are in giving up a call of ours (§9.1: no CANCEL before a first answer).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cancel {
    No,
    Wanted,
    Sent,
}

/// A 2xx of ours that is sent again until its ACK comes, over streams too (§13.3.1.4).
pub(super) struct Unacknowledged {
    pub cseq: u32,
    pub bytes: Bytes,
    pub flow: Flow,
    pub resend: Backoff,
    pub until: Instant,
    /// Our SDP in it was an offer; the ACK brings the answer.
    pub our_offer: bool,
    /// Hang up when the ACK is here: a BYE before it may overtake the 200 (§15).
    pub leave: Option<Farewell>,
}

impl Unacknowledged {
    pub fn new(now: Instant, timers: Timers, cseq: u32, bytes: Bytes, flow: Flow, our_offer: bool) -> Self {
        let resend = Backoff::new(now, timers.t1, timers.t2);
        Self { cseq, bytes, flow, resend, until: now + timers.patience(), our_offer, leave: None }
    }

    fn deadline(&self) -> Instant {
        self.resend.at().min(self.until)
    }
}

pub(super) enum Change {
    None,
    /// Theirs, waiting for our decision. `offer`: its SDP.
    Theirs {
        transaction: TransactionId,
        method: Method,
        offer: Option<Vec<u8>>,
    },
    /// We accepted their re-INVITE; its ACK is not in.
    Unacknowledged(Unacknowledged),
    /// Ours, waiting for theirs.
    Ours(Ours),
    /// Ours met one of theirs: once more, then.
    Again {
        ours: Ours,
        at: Instant,
    },
}

/// A re-INVITE or UPDATE of ours with an offer.
#[derive(Clone)]
pub(super) struct Ours {
    pub method: Method,
    pub sdp: Vec<u8>,
    /// Nothing changes: it keeps the session timer going.
    pub refresh: bool,
    /// How often it was sent.
    pub tries: u8,
}

/// What a request for a change is answered when it comes at the wrong time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Glare {
    /// We are in a change ourselves: try again a little later (§14.2, RFC 3311 §5.2).
    Pending491,
    /// Theirs of before is not answered yet: 500 with Retry-After (likewise).
    Busy500,
}

impl Session {
    /// May the peer change the session now? `offered`: the request has SDP.
    pub fn glare(&self, method: &Method, offered: bool) -> Option<Glare> {
        let is_invite = *method == Method::Invite;
        match (&self.state, &self.change) {
            // An UPDATE without SDP changes nothing but the peer's Contact and the session timer.
            _ if !is_invite && !offered => None,
            // One INVITE after the other (§14.2).
            (State::Ringing(_), _) if is_invite => Some(Glare::Busy500),
            // Before the answer an offer may follow one that was answered reliably, and acknowledged
            // (RFC 3311 §5.1, §5.2).
            (State::Ringing(Ringing { early: Early::Described { our_offer: true }, .. }), _) => {
                Some(Glare::Pending491)
            }
            (State::Ringing(ringing), _) if ringing.early != Early::Agreed => Some(Glare::Busy500),
            (State::Calling(calling), _) if is_invite || !calling.agreed => Some(Glare::Pending491),
            // With our 200 on its way the peer should not know the dialog yet (RFC 5407 §3.1).
            (State::Answered(_), _) if is_invite => Some(Glare::Pending491),
            (State::Answered(ok), _) if ok.our_offer => Some(Glare::Pending491),
            (State::Accepted { .. }, _) => Some(Glare::Pending491),
            (_, Change::Theirs { .. }) => Some(Glare::Busy500),
            (_, Change::Ours(_)) => Some(Glare::Pending491),
            (_, Change::Unacknowledged(ok)) if is_invite || ok.our_offer => Some(Glare::Pending491),
            (
                State::Ringing(_)
                | State::Calling(_)
                | State::Answered(_)
                | State::Established
                | State::Leaving,
                Change::None | Change::Again { .. } | Change::Unacknowledged(_),
            ) => None,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Ringing(ringing) => Some(ringing.until),
            State::Accepted { until, .. } => Some(*until),
            State::Calling(Calling { cancel: Cancel::No, until, .. }) => Some(*until),
            State::Answered(ok) => Some(ok.deadline()),
            // The transaction of the INVITE or the BYE ends these.
            State::Calling(_) | State::Leaving | State::Established => None,
        };
        let change = match &self.change {
            Change::Unacknowledged(ok) => Some(ok.deadline()),
            Change::Again { at, .. } => Some(*at),
            Change::None | Change::Theirs { .. } | Change::Ours(_) => None,
        };
        let expiry = self.expiry.as_ref().map(Expiry::deadline);
        let provisional = self.provisional.as_ref().map(Provisional::deadline);
        [state, change, provisional, expiry].into_iter().flatten().min()
    }
}

impl Provisional {
    fn deadline(&self) -> Instant {
        self.resend.map_or(self.until, |resend| resend.at().min(self.until))
    }
}
