//! Changes of a call while it lasts: ACK, re-INVITE and UPDATE from the peer (RFC 3261 §14, RFC 3311).

use std::time::Instant;

use super::body::{self, Unsupported};
use super::receive::Refusal;
use super::{Endpoint, Event, Why};
use crate::sip::session::{Change, Glare, Ringing, Session, State, TransactionId};
use crate::sip::timer::{Timer, interval_min};
use crate::sip::wire::{Method, Request};

/// Seconds in the Retry-After of a 500 (§14.2: 0 to 10).
const BUSY_RETRY_AFTER: &str = "2";

impl Endpoint {
    /// An ACK of a 2xx of ours, the INVITE's or a re-INVITE's. Any other is a copy.
    pub(super) fn acknowledged(&mut self, now: Instant, session: &mut Session, ack: &Request) {
        let call = session.call;
        let number = ack.cseq.number;
        let answer_in =
            |our_offer: bool| our_offer.then(|| body::sdp(ack).ok().flatten().unwrap_or_default());
        if let State::Answered(ok) = &mut session.state
            && ok.cseq == number
        {
            let (answer, leave) = (answer_in(ok.our_offer), ok.leave.take());
            session.state = State::Established;
            session.theirs = answer.clone().or(session.theirs.take());
            match leave {
                None => self.events.push_back(Event::Established { call, answer }),
                Some(farewell) => self.leave(now, session, Some(&farewell)),
            }
        } else if let Change::Unacknowledged(ok) = &session.change
            && ok.cseq == number
        {
            let answer = answer_in(ok.our_offer);
            session.change = Change::None;
            session.theirs = answer.clone().or(session.theirs.take());
            self.events.push_back(Event::Modified { call, answer });
        }
    }

    pub(super) fn receive_change(
        &mut self,
        now: Instant,
        session: &mut Session,
        id: TransactionId,
        request: &Request,
    ) {
        let sdp = match body::sdp(request) {
            Ok(sdp) => sdp,
            Err(Unsupported) => return self.refuse_change(now, id, &Refusal::of(Why::Body)),
        };
        match session.glare(&request.method, sdp.is_some()) {
            Some(Glare::Pending491) => return self.reply_status(now, id, 491),
            Some(Glare::Busy500) => {
                if let Some(response) = self.draft_for(session, id, 500) {
                    self.reply(now, id, &response.with_header("Retry-After", BUSY_RETRY_AFTER));
                }
                return;
            }
            None => {}
        }
        if Timer::asked(request) == Timer::TooSmall {
            return self.refuse_change(now, id, &Refusal::of(Why::Interval));
        }
        if request.method == Method::Update && sdp.is_none() {
            self.accept_change(now, session, id, None);
            return;
        }
        if request.method == Method::Invite {
            self.reply_status(now, id, 100);
        }
        self.forget_ours(session);
        session.change =
            Change::Theirs { transaction: id, method: request.method.clone(), offer: sdp.clone() };
        self.events.push_back(Event::Offered { call: session.call, sdp });
    }

    /// 200 to a re-INVITE or UPDATE: the peer's Contact and the session timer hold from now on.
    /// What went out and the CSeq it answers.
    pub(super) fn accept_change(
        &mut self,
        now: Instant,
        session: &mut Session,
        id: TransactionId,
        sdp: Option<Vec<u8>>,
    ) -> Option<(crate::sip::Bytes, crate::sip::Flow, u32)> {
        let request = self.servers.get(&id)?.request.clone()?;
        if request.method == Method::Prack {
            let response = self.draft_for(session, id, 200)?;
            let response = response.with_body("application/sdp", sdp.unwrap_or_default());
            let (bytes, flow) = self.reply(now, id, &response)?;
            return Some((bytes, flow, request.cseq.number));
        }
        session.dialog.refresh_target(&request.contact);
        if request.headers.get("Allow").is_some() {
            session.takes_update = request.allows(&Method::Update);
        }
        session.interval_min = session.interval_min.max(interval_min(&request));
        let response = self.success(session, id, sdp, &request)?;
        if !matches!(session.state, State::Ringing(_) | State::Calling(_)) {
            session.expiry = Timer::asked(&request).expiry(now);
        }
        let (bytes, flow) = self.reply(now, id, &response)?;
        Some((bytes, flow, request.cseq.number))
    }

    /// What waits for our decision will not get one: 487 (§15.1.2).
    pub(super) fn drop_pending(&mut self, now: Instant, session: &mut Session) {
        session.provisional = None;
        if let State::Ringing(Ringing { invite, .. }) = session.state {
            self.reply_for(now, session, invite, 487);
        }
        if let Change::Theirs { transaction, .. } = session.change {
            self.reply_status(now, transaction, 487);
            session.change = Change::None;
        }
    }
}
