//! Provisional answers that are acknowledged (RFC 3262): ours until their PRACK, theirs with ours.
//!
//! A 180 is lost like any datagram, and with it a description that it carries. Made reliable it has a
//! number (RSeq) and is sent again until a PRACK names that number (RAck). Then the session may be
//! changed before the call is answered (RFC 3311), and a 200 that would overtake waits.

use std::time::Instant;

use super::body::{self, Unsupported};
use super::receive::Refusal;
use super::{ClientMachine, Endpoint, Event, HowEnded, Purpose, Why};
use crate::sip::session::{
    Calling, Change, Early, FORKS_MAX, Provisional, Session, State, TransactionId, Unacknowledged,
};
use crate::sip::timer::Timer;
use crate::sip::transaction::Backoff;
use crate::sip::wire::{CSeq, Method, Request, Response};
use crate::types::CallId;

/// RSeq of a first answer: 1 to 2^31 - 1 (RFC 3262 §3).
const RSEQ_FIRST: u64 = (1 << 31) - 1;

impl Endpoint {
    /// 180, in the way that the caller wants it.
    pub(super) fn ring_session(&mut self, now: Instant, session: &mut Session, sdp: Option<Vec<u8>>) {
        let State::Ringing(ringing) = &mut session.state else { return };
        let invite = ringing.invite;
        if !ringing.reliable {
            if let Some(response) = self.draft_for(session, invite, 180) {
                let contact = self.contact(&session.flow);
                self.reply(
                    now,
                    invite,
                    &response.with_contact(contact).with_header("Allow", super::send::ALLOW),
                );
            }
            return;
        }
        // One at a time (§3), and the first one must carry the offer if nobody has made one (§5).
        let (first, offered) = (ringing.early == Early::Nothing, ringing.offered);
        let sdp = sdp.filter(|_| first);
        if session.provisional.is_some() || ringing.answer.is_some() || first && !offered && sdp.is_none() {
            return;
        }
        ringing.rseq = match ringing.rseq {
            0 => 1 + u32::try_from(self.tokens.roll(RSEQ_FIRST)).unwrap_or(0),
            last => last.wrapping_add(1),
        };
        let rseq = ringing.rseq;
        if sdp.is_some() {
            ringing.early = Early::Described { our_offer: !offered };
        }
        let Some(response) = self.draft_for(session, invite, 180) else { return };
        let cseq = response.cseq.number;
        let contact = self.contact(&session.flow);
        let mut response = response
            .with_contact(contact)
            .with_header("Allow", super::send::ALLOW)
            .with_header("RSeq", &rseq.to_string());
        response.require = vec!["100rel".to_owned()];
        let has_sdp = sdp.is_some();
        if let Some(sdp) = sdp {
            session.ours = Some(sdp.clone());
            response = response.with_body("application/sdp", sdp);
        }
        let Some((bytes, flow)) = self.reply(now, invite, &response) else { return };
        let timers = self.settings.timers;
        // The pauses double without a bound (§3).
        let resend = Some(Backoff::new(now, timers.t1, timers.patience()));
        let until = now + timers.patience();
        session.provisional = Some(Provisional { rseq, cseq, bytes, flow, resend, until, has_sdp });
    }

    /// The 200, unless a description waits for its PRACK, or a change for our decision.
    pub(super) fn answer_if_free(&mut self, now: Instant, session: &mut Session) {
        let State::Ringing(ringing) = &mut session.state else { return };
        let waits = session.provisional.as_ref().is_some_and(|provisional| provisional.has_sdp);
        if waits || !matches!(session.change, Change::None) {
            return;
        }
        let Some(sdp) = ringing.answer.take() else { return };
        let (invite, offered, early) = (ringing.invite, ringing.offered, ringing.early);
        let Some(request) = self.servers.get(&invite).and_then(|server| server.request.clone()) else {
            return;
        };
        // A description that was given reliably is not given again (RFC 3261 §13.2.1).
        let sdp = (early == Early::Nothing).then_some(sdp);
        let our_offer = sdp.is_some() && !offered;
        if let Some(sdp) = &sdp {
            session.ours = Some(sdp.clone());
        }
        let Some(response) = self.success(session, invite, sdp, &request) else { return };
        session.expiry = Timer::asked(&request).expiry(now);
        if let Some((bytes, flow)) = self.reply(now, invite, &response) {
            let timers = self.settings.timers;
            let cseq = request.cseq.number;
            session.state = State::Answered(Unacknowledged::new(now, timers, cseq, bytes, flow, our_offer));
            // A final answer ends the repetition; its PRACK may still come (RFC 3262 §3).
            if let Some(provisional) = &mut session.provisional {
                provisional.resend = None;
            }
        }
    }

    /// Says that the peer has our provisional answer, and may bring a description (RFC 3262 §3, §5).
    pub(super) fn receive_prack(
        &mut self,
        now: Instant,
        session: &mut Session,
        id: TransactionId,
        request: &Request,
    ) {
        let Some((rseq, cseq)) = request.headers.get("RAck").and_then(rack) else {
            return self.reply_status(now, id, 400);
        };
        let sdp = match body::sdp(request) {
            Ok(sdp) => sdp,
            Err(Unsupported) => return self.refuse_change(now, id, &Refusal::of(Why::Body)),
        };
        let is_it = |sent: &Provisional| {
            sent.rseq == rseq && sent.cseq == cseq.number && cseq.method == Method::Invite
        };
        if !session.provisional.as_ref().is_some_and(is_it) {
            return self.reply_status(now, id, 481);
        }
        session.provisional = None;
        let call = session.call;
        let early = match &mut session.state {
            State::Ringing(ringing) => {
                let before = ringing.early;
                if matches!(before, Early::Described { .. }) {
                    ringing.early = Early::Agreed;
                }
                before
            }
            _ => Early::Nothing,
        };
        match (early, sdp) {
            (Early::Described { our_offer: true }, sdp) => {
                self.reply_status(now, id, 200);
                session.theirs.clone_from(&sdp);
                self.events.push_back(Event::Modified { call, answer: Some(sdp.unwrap_or_default()) });
            }
            (_, None) => self.reply_status(now, id, 200),
            // An offer on top of an answered one. Its answer goes into the 200 (§5).
            (Early::Described { .. } | Early::Agreed, Some(offer))
                if matches!(session.change, Change::None) =>
            {
                let offered = Some(offer.clone());
                session.change =
                    Change::Theirs { transaction: id, method: Method::Prack, offer: Some(offer) };
                self.events.push_back(Event::Offered { call, sdp: offered });
            }
            // The INVITE's own is not answered yet, or a change is on its way.
            (Early::Nothing | Early::Described { .. } | Early::Agreed, Some(_)) => {
                self.reply_status(now, id, 488);
            }
        }
        self.answer_if_free(now, session);
    }

    /// The deadline of a provisional answer has come. `true`: nobody acknowledged it, and the INVITE
    /// is refused (§3).
    pub(super) fn repeat_provisional(&mut self, now: Instant, session: &mut Session) -> bool {
        let Some(provisional) = &mut session.provisional else { return false };
        if now >= provisional.until {
            session.provisional = None;
            return matches!(session.state, State::Ringing(_));
        }
        if let Some(resend) = &mut provisional.resend
            && resend.is_due(now)
        {
            let (flow, bytes) = (provisional.flow, provisional.bytes.clone());
            self.transmit(flow, bytes);
        }
        false
    }

    pub(super) fn refuse_unheard(&mut self, now: Instant, session: Box<Session>) {
        if let State::Ringing(ringing) = &session.state {
            let invite = ringing.invite;
            self.reply_for(now, &session, invite, 504);
        }
        self.end(session, HowEnded::NoPrack);
    }

    // -- of calls that we make --

    /// A provisional answer of the peer, 101–199. `false`: it is a copy, or comes too early, and is to
    /// be dropped (§4).
    pub(super) fn hear_provisional(
        &mut self,
        now: Instant,
        session: &mut Session,
        response: &Response,
        sdp: Option<&Vec<u8>>,
    ) -> bool {
        let State::Calling(calling) = &mut session.state else { return false };
        let tag = response.to.tag().unwrap_or_default();
        let is_reliable = response.require.iter().any(|option| option.eq_ignore_ascii_case("100rel"));
        let rseq = response.headers.get("RSeq").and_then(|value| value.trim().parse::<u32>().ok());
        let Some(rseq) = rseq.filter(|_| is_reliable && !tag.is_empty()) else { return true };
        let forks = calling.heard.len();
        match calling.heard.iter_mut().find(|(known, _)| **known == *tag) {
            Some((_, last)) if rseq == last.wrapping_add(1) => *last = rseq,
            None if forks < FORKS_MAX => calling.heard.push((tag.into(), rseq)),
            Some(_) | None => return false,
        }
        let is_ours = session.dialog.remote_tag() == tag;
        match sdp {
            // Their offer; our answer goes into the PRACK.
            Some(offer) if is_ours && !calling.offered && calling.owed.is_none() => {
                calling.owed = Some(rseq);
                session.theirs = Some(offer.clone());
                return true;
            }
            Some(answer) if is_ours && calling.offered && !calling.agreed => {
                calling.agreed = true;
                session.theirs = Some(answer.clone());
            }
            Some(_) | None => {}
        }
        self.send_prack(now, session, response, rseq, None);
        true
    }

    /// Our answer to an offer that came in a provisional one.
    pub(super) fn answer_provisional(&mut self, now: Instant, session: &mut Session, sdp: Option<Vec<u8>>) {
        let State::Calling(calling) = &mut session.state else { return };
        let Some(rseq) = calling.owed.take() else { return };
        calling.offered = true;
        calling.agreed = true;
        let invite = calling.invite;
        session.ours.clone_from(&sdp);
        let cseq = self.client_cseq(invite);
        let request = session.dialog.request(Method::Prack);
        self.prack(now, session, request, rseq, cseq, sdp);
    }

    fn send_prack(
        &mut self,
        now: Instant,
        session: &mut Session,
        response: &Response,
        rseq: u32,
        sdp: Option<Vec<u8>>,
    ) {
        let cseq = response.cseq.number;
        let request = if Some(session.dialog.remote_tag()) == response.to.tag() {
            session.dialog.request(Method::Prack)
        } else {
            // Another phone that rings: it gets its PRACK in its own early dialog.
            let number = session.dialog.next_cseq();
            let mut fork = session.dialog.clone();
            fork.confirm(response);
            fork.request_numbered(Method::Prack, number)
        };
        self.prack(now, session, request, rseq, cseq, sdp);
    }

    fn prack(
        &mut self,
        now: Instant,
        session: &mut Session,
        mut request: Request,
        rseq: u32,
        cseq: u32,
        sdp: Option<Vec<u8>>,
    ) {
        request.headers.push("RAck", &format!("{rseq} {cseq} INVITE"));
        if let Some(sdp) = sdp {
            request.headers.push("Content-Type", "application/sdp");
            request.body = sdp;
        }
        let purpose = Purpose::Prack(session.call);
        self.send_in_dialog(now, session, request, purpose);
    }

    /// A PRACK of ours is answered 2xx.
    pub(super) fn pracked(&mut self, call: CallId) {
        if let Some(session) = self.calls.get_mut(&call)
            && let State::Calling(calling) = &mut session.state
        {
            calling.changeable = calling.agreed;
        }
    }

    /// The number of an INVITE of ours.
    fn client_cseq(&self, invite: TransactionId) -> u32 {
        let client =
            self.clients.get(&invite).filter(|client| matches!(client.machine, ClientMachine::Invite(_)));
        client.and_then(|client| client.request.as_ref()).map_or(0, |request| request.cseq.number)
    }
}

impl Calling {
    pub(super) const fn new(invite: TransactionId, offered: bool, until: Instant) -> Self {
        Self {
            invite,
            offered,
            cancel: crate::sip::session::Cancel::No,
            until,
            agreed: false,
            changeable: false,
            heard: Vec::new(),
            owed: None,
            retries: 0,
        }
    }
}

/// RAck: the number of the answer, and the CSeq of its INVITE (RFC 3262 §7.2).
fn rack(value: &str) -> Option<(u32, CSeq)> {
    let (rseq, cseq) = value.trim().split_once([' ', '\t'])?;
    Some((rseq.parse().ok().filter(|rseq| *rseq > 0)?, CSeq::parse(cseq.trim_start())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_names_an_answer_and_its_request() {
        let cases = [
            ("776656 1 INVITE", Some((776_656, "1 INVITE"))),
            ("776656\t 1  INVITE", Some((776_656, "1 INVITE"))),
            ("0 1 INVITE", None),
            ("4294967296 1 INVITE", None),
            ("-1 1 INVITE", None),
            ("1 INVITE", None),
            ("1", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let found = rack(value).map(|(rseq, cseq)| (rseq, cseq.to_string()));
            assert_eq!(found, expected.map(|(rseq, cseq)| (rseq, cseq.to_owned())), "{value}");
        }
    }
}
