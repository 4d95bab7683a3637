//! Changes of a call while it lasts: ACK, re-INVITE and UPDATE from the peer (RFC 3261 §14, RFC 3311).

use std::time::Instant;

use super::body::{self, Unsupported};
use super::receive::Refusal;
use super::{Endpoint, Event, Purpose};
use crate::sip::session::{Change, Glare, Session, State, Timer, TransactionId};
use crate::sip::wire::{Method, Request};

/// Seconds in the Retry-After of a 500 (§14.2: 0 to 10).
const BUSY_RETRY_AFTER: &str = "2";

impl Endpoint {
    /// An ACK of a 2xx of ours, the INVITE's or a re-INVITE's. Any other is a copy.
    pub(super) fn acknowledged(&mut self, now: Instant, session: &mut Session, ack: &Request) {
        let call = session.call;
        let number = ack.cseq.number;
        let answer_in = |our_offer: bool| if our_offer { body::sdp(ack).ok().flatten() } else { None };
        if let State::Answered(ok) = &mut session.state
            && ok.cseq == number
        {
            let (answer, leave) = (answer_in(ok.our_offer), ok.leave.take());
            session.state = State::Established;
            match leave {
                None => self.events.push_back(Event::Established { call, answer }),
                Some(farewell) => self.leave(now, session, Some(&farewell)),
            }
        } else if let Change::Unacknowledged(ok) = &session.change
            && ok.cseq == number
        {
            let answer = answer_in(ok.our_offer);
            session.change = Change::None;
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
            Err(Unsupported) => return self.refuse_change(now, id, &Refusal::unsupported_body()),
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
            return self.refuse_change(now, id, &Refusal::interval_too_small());
        }
        if request.method == Method::Update && sdp.is_none() {
            self.accept_change(now, session, id, None);
            return;
        }
        if request.method == Method::Invite {
            self.reply_status(now, id, 100);
        }
        session.change =
            Change::Theirs { transaction: id, method: request.method.clone(), offered: sdp.is_some() };
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
        session.dialog.refresh_target(&request.contact);
        let response = self.success(session, id, sdp, &request)?;
        session.expiry = Timer::asked(&request).expiry(now);
        let (bytes, flow) = self.reply(now, id, &response)?;
        Some((bytes, flow, request.cseq.number))
    }

    /// What waits for our decision will not get one: 487 (§15.1.2).
    pub(super) fn drop_pending(&mut self, now: Instant, session: &mut Session) {
        if let State::Ringing { invite, .. } = session.state {
            self.reply_for(now, session, invite, 487);
        }
        if let Change::Theirs { transaction, .. } = session.change {
            self.reply_status(now, transaction, 487);
            session.change = Change::None;
        }
    }

    /// Keeps the session timer going (RFC 4028 §7.4). An UPDATE without SDP changes nothing else.
    pub(super) fn refresh(&mut self, now: Instant, session: &mut Session) {
        let Some(expiry) = &mut session.expiry else { return };
        expiry.refresh = None;
        let seconds = expiry.interval.as_secs();
        let mut request = session.dialog.request(Method::Update);
        request.supported = vec!["timer".to_owned()];
        request.headers.push("Session-Expires", &format!("{seconds};refresher=uac"));
        let purpose = Purpose::Refresh(session.call);
        self.send_in_dialog(now, session, request, purpose);
    }
}
