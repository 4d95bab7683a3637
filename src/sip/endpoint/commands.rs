//! What the service tells the endpoint to do with a call. A command for a call that is gone or in
//! another state does nothing: its end has been told, or is about to be.

use std::time::Instant;

use super::send::{ALLOW, SUPPORTED};
use super::{Endpoint, Event, HowEnded, Purpose};
use crate::sip::session::{Cancel, Change, Farewell, Session, State, Timer, TransactionId, Unacknowledged};
use crate::sip::wire::{Method, Request, Response};
use crate::types::CallId;

impl Endpoint {
    /// 180 to an INVITE.
    pub fn ring(&mut self, now: Instant, call: CallId) {
        let Some(session) = self.take(call) else { return };
        if let State::Ringing { invite, .. } = session.state
            && let Some(response) = self.draft_for(&session, invite, 180)
        {
            let contact = self.contact(&session.flow);
            self.reply(now, invite, &response.with_contact(contact).with_header("Allow", ALLOW));
        }
        self.keep(session);
    }

    /// 200 to an INVITE, with our answer, or our offer when it had none.
    pub fn answer(&mut self, now: Instant, call: CallId, sdp: Vec<u8>) {
        let Some(mut session) = self.take(call) else { return };
        if let State::Ringing { invite, offered, .. } = session.state
            && let Some(request) = self.servers.get(&invite).and_then(|server| server.request.clone())
            && let Some(response) = self.success(&session, invite, Some(sdp), &request)
        {
            session.expiry = Timer::asked(&request).expiry(now);
            if let Some((bytes, flow)) = self.reply(now, invite, &response) {
                let timers = self.settings.timers;
                let cseq = request.cseq.number;
                session.state =
                    State::Answered(Unacknowledged::new(now, timers, cseq, bytes, flow, !offered));
            }
        }
        self.keep(session);
    }

    /// A final refusal of an INVITE, 300–699. `reason` takes the place of the standard phrase.
    /// The call is over at once; its refusal is repeated until the ACK by itself.
    pub fn refuse(
        &mut self,
        now: Instant,
        call: CallId,
        status: u16,
        reason: Option<&str>,
        retry_after: Option<u32>,
    ) {
        self.refuse_with(now, call, status, reason, |response| match retry_after {
            Some(seconds) => response.with_header("Retry-After", &seconds.to_string()),
            None => response,
        });
    }

    /// Ends a call: BYE with the reason when it is answered (after the ACK), 480 or CANCEL before.
    pub fn hang_up(&mut self, now: Instant, call: CallId, farewell: Farewell) {
        let Some(mut session) = self.take(call) else { return };
        match &mut session.state {
            State::Ringing { .. } => {
                self.keep(session);
                return self.refuse_with(now, call, 480, None, |response| {
                    response.with_header("Reason", &farewell.header())
                });
            }
            State::Answered(ok) => ok.leave = Some(farewell),
            State::Calling { .. } => {
                self.keep(session);
                return self.cancel(now, call);
            }
            State::Accepted { .. } => {
                self.acknowledge(now, &mut session, None);
                self.leave(now, &mut session, Some(&farewell));
            }
            State::Established => {
                self.drop_pending(now, &mut session);
                self.leave(now, &mut session, Some(&farewell));
            }
            State::Leaving => {}
        }
        self.keep(session);
    }

    /// 200 to a re-INVITE or UPDATE, with our answer, or our offer when it had none.
    pub fn accept_offer(&mut self, now: Instant, call: CallId, sdp: Vec<u8>) {
        let Some(mut session) = self.take(call) else { return };
        if let Change::Theirs { transaction, method, offered } =
            std::mem::replace(&mut session.change, Change::None)
            && let Some((bytes, flow, cseq)) = self.accept_change(now, &mut session, transaction, Some(sdp))
        {
            if method == Method::Invite {
                let timers = self.settings.timers;
                session.change =
                    Change::Unacknowledged(Unacknowledged::new(now, timers, cseq, bytes, flow, !offered));
            } else {
                self.events.push_back(Event::Modified { call, answer: None });
            }
        }
        self.keep(session);
    }

    /// Refuses a re-INVITE or UPDATE, usually with 488; the session stays as it was.
    pub fn refuse_offer(&mut self, now: Instant, call: CallId, status: u16) {
        let Some(mut session) = self.take(call) else { return };
        if let Change::Theirs { transaction, .. } = session.change {
            session.change = Change::None;
            self.reply_status(now, transaction, status);
        }
        self.keep(session);
    }

    /// Offers the peer a change. The answer is [`Event::Modified`] or [`Event::ChangeRefused`]; 491
    /// also when another change is under way.
    pub fn reinvite(&mut self, now: Instant, call: CallId, sdp: Vec<u8>) {
        let Some(mut session) = self.take(call) else { return };
        if matches!((&session.state, &session.change), (State::Established, Change::None)) {
            let mut request = session.dialog.request(Method::Invite);
            request.headers.push("Allow", ALLOW);
            request.headers.push("Content-Type", "application/sdp");
            request.body = sdp;
            session.change = Change::Ours;
            self.send_in_dialog(now, &mut session, request, Purpose::Reinvite(call));
        } else {
            self.events.push_back(Event::ChangeRefused { call, status: 491 });
        }
        self.keep(session);
    }

    /// INFO in an established call. Its answer matters only if it says that the call is gone.
    pub fn send_info(&mut self, now: Instant, call: CallId, content_type: &str, body: Vec<u8>) {
        let Some(mut session) = self.take(call) else { return };
        if matches!(session.state, State::Established | State::Answered(_)) {
            let mut request = session.dialog.request(Method::Info);
            request.headers.push("Content-Type", content_type);
            request.body = body;
            self.send_in_dialog(now, &mut session, request, Purpose::Info(call));
        }
        self.keep(session);
    }

    /// Gives up a call of ours that is not answered. [`Event::Rejected`] follows (487), or, if the
    /// peer answered at the same moment, [`Event::Ended`].
    pub fn cancel(&mut self, now: Instant, call: CallId) {
        let Some(mut session) = self.take(call) else { return };
        self.give_up(now, &mut session);
        self.keep(session);
    }

    pub(super) fn give_up(&mut self, now: Instant, session: &mut Session) {
        if let State::Calling { invite, cancel, .. } = &mut session.state
            && *cancel != Cancel::Sent
        {
            *cancel = Cancel::Wanted;
            let invite = *invite;
            if self.send_cancel(now, invite)
                && let State::Calling { cancel, .. } = &mut session.state
            {
                *cancel = Cancel::Sent;
            }
        }
    }

    fn refuse_with(
        &mut self,
        now: Instant,
        call: CallId,
        status: u16,
        reason: Option<&str>,
        complete: impl FnOnce(Response) -> Response,
    ) {
        let Some(session) = self.take(call) else { return };
        let State::Ringing { invite, .. } = session.state else { return self.keep(session) };
        if let Some(mut response) = self.draft_for(&session, invite, status.clamp(300, 699)) {
            if let Some(reason) = reason {
                reason.clone_into(&mut response.reason);
            }
            self.reply(now, invite, &complete(response));
        }
        self.end(session, HowEnded::ByUs);
    }

    /// Our BYE. The call is over with its answer.
    pub(super) fn leave(&mut self, now: Instant, session: &mut Session, farewell: Option<&Farewell>) {
        session.state = State::Leaving;
        session.change = Change::None;
        session.expiry = None;
        let purpose = Purpose::Bye(Some(session.call));
        self.bye(now, session, farewell, purpose);
    }

    pub(super) fn bye(
        &mut self,
        now: Instant,
        session: &mut Session,
        farewell: Option<&Farewell>,
        purpose: Purpose,
    ) {
        let mut request = session.dialog.request(Method::Bye);
        if let Some(farewell) = farewell {
            request.headers.push("Reason", &farewell.header());
        }
        self.send_in_dialog(now, session, request, purpose);
    }

    /// [`Endpoint::draft`] for a call that is taken out.
    pub(super) fn draft_for(
        &mut self,
        session: &Session,
        id: TransactionId,
        status: u16,
    ) -> Option<Response> {
        let request = self.servers.get(&id)?.request.as_ref()?;
        Some(Response::to(request, status).with_to_tag(session.dialog.local_tag()))
    }

    pub(super) fn reply_for(&mut self, now: Instant, session: &Session, id: TransactionId, status: u16) {
        if let Some(response) = self.draft_for(session, id, status) {
            self.reply(now, id, &response);
        }
    }

    /// A 200 with all that belongs into one that makes or changes a session.
    pub(super) fn success(
        &mut self,
        session: &Session,
        id: TransactionId,
        sdp: Option<Vec<u8>>,
        request: &Request,
    ) -> Option<Response> {
        let mut response = self
            .draft_for(session, id, 200)?
            .with_contact(self.contact(&session.flow))
            .with_header("Allow", ALLOW);
        response.supported = SUPPORTED.map(str::to_owned).to_vec();
        let timer = Timer::asked(request);
        if let Some(value) = timer.header() {
            response.headers.push("Session-Expires", &value);
            if matches!(timer, Timer::Agreed { we_refresh: false, .. }) {
                response.require = vec!["timer".to_owned()];
            }
        }
        Some(match sdp {
            Some(sdp) => response.with_body("application/sdp", sdp),
            None => response,
        })
    }
}
