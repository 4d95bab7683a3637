//! One call: the life of its INVITE, the changes asked for while it lasts, and its end.
//!
//! ```text
//! called   Ringing ─ answer ──> Answered ─ ACK ──> Established ─ hang up ──> Leaving ─> gone
//! calling  Calling ─ 2xx ─────> Accepted ─ our ACK ──┘
//! ```
//! A change (re-INVITE, UPDATE) lives beside the state: at most one at a time, whoever began it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dialog::Dialog;
use super::flow::{Bytes, Flow};
use super::transaction::{Backoff, Timers};
use super::trunk::Trunk;
use super::wire::{Method, Request};
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
    pub expiry: Option<Expiry>,
    /// What the deadlines hold for this call.
    pub scheduled: Option<Instant>,
}

pub(super) enum State {
    /// Theirs, and we have not answered. `offered`: the INVITE has SDP.
    Ringing {
        invite: TransactionId,
        offered: bool,
        until: Instant,
    },
    /// Our 200 is out, its ACK is not in.
    Answered(Unacknowledged),
    /// Ours, and the peer has not answered.
    Calling {
        invite: TransactionId,
        offered: bool,
        cancel: Cancel,
        until: Instant,
    },
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

/// Why we hang up, as the peer reads it (RFC 3326).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Farewell {
    /// Q.850 cause, 1–127.
    pub cause: u8,
    pub text: String,
}

impl Farewell {
    /// The value of a Reason header.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Q.850;cause={};text={}", self.cause, super::wire::quote(&self.text))
    }
}

pub(super) enum Change {
    None,
    /// Theirs, waiting for our decision. `offered`: it has SDP.
    Theirs {
        transaction: TransactionId,
        method: Method,
        offered: bool,
    },
    /// We accepted their re-INVITE; its ACK is not in.
    Unacknowledged(Unacknowledged),
    /// Ours, waiting for theirs.
    Ours,
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
            // The offer of the INVITE is not answered yet (RFC 3311 §5.2).
            (State::Ringing { .. }, _) => Some(Glare::Busy500),
            // With our 200 on its way the peer should not know the dialog yet (RFC 5407 §3.1).
            (State::Answered(_), _) if is_invite => Some(Glare::Pending491),
            (State::Answered(ok), _) if ok.our_offer => Some(Glare::Pending491),
            (State::Calling { .. } | State::Accepted { .. }, _) => Some(Glare::Pending491),
            (_, Change::Theirs { .. }) => Some(Glare::Busy500),
            (_, Change::Ours) => Some(Glare::Pending491),
            (_, Change::Unacknowledged(ok)) if is_invite || ok.our_offer => Some(Glare::Pending491),
            (
                State::Answered(_) | State::Established | State::Leaving,
                Change::None | Change::Unacknowledged(_),
            ) => None,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        let state = match &self.state {
            State::Ringing { until, .. } | State::Accepted { until, .. } => Some(*until),
            State::Calling { cancel: Cancel::No, until, .. } => Some(*until),
            State::Answered(ok) => Some(ok.deadline()),
            // The transaction of the INVITE or the BYE ends these.
            State::Calling { .. } | State::Leaving | State::Established => None,
        };
        let change = match &self.change {
            Change::Unacknowledged(ok) => Some(ok.deadline()),
            Change::None | Change::Theirs { .. } | Change::Ours => None,
        };
        let expiry = self.expiry.as_ref().map(Expiry::deadline);
        [state, change, expiry].into_iter().flatten().min()
    }
}

/// The session timer (RFC 4028): without a refresh in time, the call is presumed dead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Expiry {
    pub interval: Duration,
    /// `None`: the peer refreshes.
    pub refresh: Option<Instant>,
    pub until: Instant,
}

/// What a request says about the session timer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Timer {
    None,
    /// Refuse with 422 and our Min-SE.
    TooSmall,
    Agreed {
        seconds: u32,
        we_refresh: bool,
    },
}

/// RFC 4028 §5: no interval below 90 s.
pub(super) const MIN_SE: u32 = 90;
/// A day: longer than any call, and no overflow.
const MAX_SE: u32 = 86_400;

impl Timer {
    /// From a request that may set or refresh it (INVITE, UPDATE), as the one who answers (§9).
    pub fn asked(request: &Request) -> Self {
        let Some(value) = request.headers.get("Session-Expires") else {
            return Self::None;
        };
        if !request.supports("timer") {
            return Self::None;
        }
        let mut parts = value.split(';').map(str::trim);
        let Some(seconds) = parts.next().and_then(|text| text.parse::<u32>().ok()) else { return Self::None };
        if seconds < MIN_SE {
            return Self::TooSmall;
        }
        let refresher = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("refresher").then(|| value.trim().to_ascii_lowercase())
        });
        let we_refresh = refresher.as_deref() == Some("uas");
        // We refresh by UPDATE alone. A peer that leaves it to us and cannot take one gets no timer,
        // as from a peer that does not know timers.
        if we_refresh && !request.allows(&Method::Update) {
            return Self::None;
        }
        Self::Agreed { seconds: seconds.min(MAX_SE), we_refresh }
    }

    /// From the 2xx to an UPDATE of ours, as the one who asked (§7.2). `None` keeps what was.
    pub fn header(self) -> Option<String> {
        match self {
            Self::Agreed { seconds, we_refresh } => {
                Some(format!("{seconds};refresher={}", if we_refresh { "uas" } else { "uac" }))
            }
            Self::None | Self::TooSmall => None,
        }
    }

    pub fn expiry(self, now: Instant) -> Option<Expiry> {
        match self {
            Self::Agreed { seconds, we_refresh } => Some(Expiry::new(now, seconds, we_refresh)),
            Self::None | Self::TooSmall => None,
        }
    }
}

impl Expiry {
    /// The refresher acts at half time; the other gives up min(32 s, a third) before the end (§10).
    pub fn new(now: Instant, seconds: u32, we_refresh: bool) -> Self {
        let interval = Duration::from_secs(seconds.into());
        Self {
            interval,
            refresh: we_refresh.then(|| now + interval / 2),
            until: now + interval - (interval / 3).min(Duration::from_secs(32)),
        }
    }

    fn deadline(&self) -> Instant {
        self.refresh.map_or(self.until, |refresh| refresh.min(self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::wire::{Framing, Message, parse};

    #[test]
    fn the_session_timer_is_what_both_sides_can_do() {
        let cases = [
            ("", Timer::None),
            ("Session-Expires: 1800\r\n", Timer::None),
            ("Supported: timer\r\n", Timer::None),
            (
                "Supported: timer\r\nSession-Expires: 1800\r\n",
                Timer::Agreed { seconds: 1800, we_refresh: false },
            ),
            (
                "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n",
                Timer::Agreed { seconds: 1800, we_refresh: false },
            ),
            (
                "Supported: timer\r\nAllow: INVITE, UPDATE\r\nSession-Expires: 1800;Refresher=UAS\r\n",
                Timer::Agreed { seconds: 1800, we_refresh: true },
            ),
            ("Supported: timer\r\nAllow: INVITE\r\nSession-Expires: 1800;refresher=uas\r\n", Timer::None),
            ("Supported: timer\r\nSession-Expires: 89\r\n", Timer::TooSmall),
            ("Supported: timer\r\nSession-Expires: soon\r\n", Timer::None),
            (
                "Require: timer\r\nSession-Expires: 4294967295\r\n",
                Timer::Agreed { seconds: 86_400, we_refresh: false },
            ),
        ];
        for (headers, expected) in cases {
            let text = format!(
                "UPDATE sip:1@us SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                 To: <sip:1@us>\r\nCall-ID: c\r\nCSeq: 7 UPDATE\r\n{headers}\r\n"
            );
            let Ok(Message::Request(request)) = parse(text.as_bytes(), Framing::Datagram) else {
                panic!("{text}")
            };
            assert_eq!(Timer::asked(&request), expected, "{headers}");
        }
    }

    #[test]
    fn an_expired_session_is_given_up_a_little_before_its_end() {
        let now = Instant::now();
        let after = |expiry: Expiry| (expiry.until - now, expiry.refresh.map(|at| at - now));
        let seconds = Duration::from_secs;
        assert_eq!(after(Expiry::new(now, 1800, false)), (seconds(1768), None));
        assert_eq!(after(Expiry::new(now, 90, true)), (seconds(60), Some(seconds(45))));
    }

    #[test]
    fn a_reason_is_quoted() {
        let farewell = Farewell { cause: 16, text: "the \"end\"".to_owned() };
        assert_eq!(farewell.header(), r#"Q.850;cause=16;text="the \"end\"""#);
    }
}
