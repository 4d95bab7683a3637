//! What the service tells the endpoint to do with a call. A command for a call that is gone or in
//! another state does nothing: its end has been told, or is about to be.

use std::time::Instant;

use super::send::{ACCEPT, ALLOW, SUPPORTED};
use super::{Endpoint, Event, HowEnded, Purpose};
use crate::sip::reason::Farewell;
use crate::sip::session::{Cancel, Change, Ringing, Session, State, TransactionId, Unacknowledged};
use crate::sip::timer::Timer;
use crate::sip::warning::Warning;
use crate::sip::wire::{Method, Request, Response};
use crate::types::CallId;

impl Endpoint {
    /// 180 to an INVITE. When the caller wants it reliable ([`Incoming::reliable`]) it carries `sdp`: our
    /// answer, or our offer when the INVITE had none, without which it is not sent. [`Endpoint::answer`]
    /// then waits for its PRACK, and sends no description again.
    ///
    /// [`Incoming::reliable`]: super::Incoming::reliable
    pub fn ring(&mut self, now: Instant, call: CallId, sdp: Option<Vec<u8>>) {
        let Some(mut session) = self.take(call) else { return };
        self.ring_session(now, &mut session, sdp);
        self.keep(session);
    }

    /// 200 to an INVITE, with our answer, or our offer when it had none.
    pub fn answer(&mut self, now: Instant, call: CallId, sdp: Vec<u8>) {
        let Some(mut session) = self.take(call) else { return };
        if let State::Ringing(ringing) = &mut session.state {
            ringing.answer = Some(sdp);
            self.answer_if_free(now, &mut session);
        }
        self.keep(session);
    }

    /// A final refusal of an INVITE, 300–699; `warning` says what is wrong with its description. The call is over at once; its refusal is repeated until the ACK by itself.
    pub fn refuse(
        &mut self,
        now: Instant,
        call: CallId,
        status: u16,
        warning: Option<&Warning>,
        retry_after: Option<u32>,
    ) {
        let agent = self.settings.contact_user.clone();
        self.refuse_with(now, call, status, |mut response| {
            if let Some(warning) = warning {
                response.headers.push("Warning", &warning.header(&agent));
            }
            if let Some(seconds) = retry_after {
                response.headers.push("Retry-After", &seconds.to_string());
            }
            response
        });
    }

    /// Ends a call: BYE with the reason when it is answered (after the ACK), 480 or CANCEL before.
    pub fn hang_up(&mut self, now: Instant, call: CallId, farewell: Farewell) {
        let Some(mut session) = self.take(call) else { return };
        match &mut session.state {
            State::Ringing(_) => {
                self.keep(session);
                return self.refuse_with(now, call, 480, |response| {
                    response.with_header("Reason", &farewell.header())
                });
            }
            State::Answered(ok) => ok.leave = Some(farewell),
            State::Calling(_) => {
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

    /// 200 to a re-INVITE, UPDATE or PRACK, with our answer, or our offer when it had none.
    pub fn accept_offer(&mut self, now: Instant, call: CallId, sdp: Vec<u8>) {
        let Some(mut session) = self.take(call) else { return };
        if matches!(session.change, Change::Theirs { .. })
            && let Change::Theirs { transaction, method, offer } =
                std::mem::replace(&mut session.change, Change::None)
        {
            let described = Some(sdp.clone());
            if let Some((bytes, flow, cseq)) = self.accept_change(now, &mut session, transaction, described) {
                session.ours = Some(sdp);
                let our_offer = offer.is_none();
                session.theirs = offer.or(session.theirs.take());
                if method == Method::Invite {
                    let timers = self.settings.timers;
                    session.change = Change::Unacknowledged(Unacknowledged::new(
                        now, timers, cseq, bytes, flow, our_offer,
                    ));
                } else {
                    self.events.push_back(Event::Modified { call, answer: None });
                }
            }
            self.answer_if_free(now, &mut session);
        }
        self.keep(session);
    }

    /// Refuses a re-INVITE or UPDATE, usually with 488; the session stays as it was.
    pub fn refuse_offer(&mut self, now: Instant, call: CallId, status: u16, warning: Option<&Warning>) {
        let Some(mut session) = self.take(call) else { return };
        if let Change::Theirs { transaction, .. } = session.change {
            session.change = Change::None;
            if let Some(mut response) = self.draft_for(&session, transaction, status) {
                if let Some(warning) = warning {
                    response.headers.push("Warning", &warning.header(&self.settings.contact_user));
                }
                self.reply(now, transaction, &response);
            }
            self.answer_if_free(now, &mut session);
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
        if let State::Calling(calling) = &mut session.state
            && calling.cancel != Cancel::Sent
        {
            let sent = self.send_cancel(now, calling.invite);
            calling.cancel = if sent { Cancel::Sent } else { Cancel::Wanted };
        }
    }

    fn refuse_with(
        &mut self,
        now: Instant,
        call: CallId,
        status: u16,
        complete: impl FnOnce(Response) -> Response,
    ) {
        let Some(session) = self.take(call) else { return };
        let State::Ringing(Ringing { invite, .. }) = session.state else { return self.keep(session) };
        if let Some(response) = self.draft_for(&session, invite, status.clamp(300, 699)) {
            self.reply(now, invite, &complete(response));
        }
        self.end(session, HowEnded::ByUs);
    }

    /// Our BYE. The call is over with its answer.
    pub(super) fn leave(&mut self, now: Instant, session: &mut Session, farewell: Option<&Farewell>) {
        session.state = State::Leaving;
        session.change = Change::None;
        session.provisional = None;
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
        let server = self.servers.get(&id)?;
        let mut response =
            Response::to(server.request.as_ref()?, status).with_to_tag(session.dialog.local_tag());
        if let Some(session_id) = &server.session_id {
            response.headers.push("Session-ID", session_id);
        }
        Some(response)
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
            .with_header("Allow", ALLOW)
            .with_header("Accept", ACCEPT);
        response.supported = SUPPORTED.map(str::to_owned).to_vec();
        let timer = Timer::asked(request);
        if let Some(value) = timer.header() {
            response.headers.push("Session-Expires", &value);
            // Only the one who refreshes must know that it does (RFC 4028 §9).
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
