//! Changes that we begin: re-INVITE and UPDATE, what they are answered, and the session timer
//! (RFC 3261 §14.1, RFC 3311 §5.1, RFC 4028 §7).

use std::time::{Duration, Instant};

use super::body;
use super::send::{ACCEPT, ALLOW, SUPPORTED};
use super::{Endpoint, Event, Purpose};
use crate::sip::session::{Change, Ours, Session, State, TransactionId};
use crate::sip::timer::{Timer, longer};
use crate::sip::wire::{Method, Request, Response};
use crate::types::CallId;

/// How often one change is sent when it is answered 491 or 422 each time.
const TRIES_MAX: u8 = 8;
/// When a refresh cannot go out now, because another change is under way.
const REFRESH_LATER: Duration = Duration::from_secs(2);

impl Endpoint {
    /// Offers the peer a change by re-INVITE. The answer is [`Event::Modified`] or
    /// [`Event::ChangeRefused`]; 491 also when another change is under way.
    pub fn reinvite(&mut self, now: Instant, call: CallId, sdp: Vec<u8>) {
        self.offer_change(now, call, Method::Invite, sdp);
    }

    /// The same by UPDATE, which may go out before the call is answered, once both descriptions have
    /// been given reliably.
    pub fn update(&mut self, now: Instant, call: CallId, sdp: Vec<u8>) {
        self.offer_change(now, call, Method::Update, sdp);
    }

    fn offer_change(&mut self, now: Instant, call: CallId, method: Method, sdp: Vec<u8>) {
        let Some(mut session) = self.take(call) else { return };
        let is_free = match (&session.state, &session.change) {
            (State::Established, Change::None) => method == Method::Invite || session.takes_update,
            (State::Calling(calling), Change::None) => {
                method == Method::Update && calling.changeable && session.takes_update
            }
            _ => false,
        };
        if is_free {
            self.send_ours(now, &mut session, Ours { method, sdp, refresh: false, tries: 0 });
        } else {
            self.events.push_back(Event::ChangeRefused { call, status: 491 });
        }
        self.keep(session);
    }

    fn send_ours(&mut self, now: Instant, session: &mut Session, mut ours: Ours) {
        ours.tries += 1;
        let mut request = session.dialog.request(ours.method.clone());
        dress(&mut request, session);
        request.headers.push("Content-Type", "application/sdp");
        request.body.clone_from(&ours.sdp);
        session.change = Change::Ours(ours);
        let purpose = Purpose::Change(session.call);
        self.send_in_dialog(now, session, request, purpose);
    }

    /// The time after a glare is over.
    pub(super) fn try_again(&mut self, now: Instant, session: &mut Session) {
        match std::mem::replace(&mut session.change, Change::None) {
            Change::Again { ours, at } if now >= at => {
                if matches!(session.state, State::Established | State::Calling(_)) {
                    self.send_ours(now, session, ours);
                }
            }
            other => session.change = other,
        }
    }

    /// Another change of the peer comes while ours waits: ours was made for what is over now.
    pub(super) fn forget_ours(&mut self, session: &mut Session) {
        if let Change::Again { ours, .. } = &session.change {
            if !ours.refresh {
                let call = session.call;
                self.events.push_back(Event::ChangeRefused { call, status: 491 });
            }
            session.change = Change::None;
        }
    }

    /// How long to wait after 491 (§14.1): whoever made the call waits longer, so that both do not
    /// meet again.
    fn after_glare(&mut self, session: &Session) -> Duration {
        let (least, steps) = if session.we_called { (2_100, 191) } else { (0, 201) };
        Duration::from_millis(least + 10 * self.tokens.roll(steps))
    }

    pub(super) fn change_answered(
        &mut self,
        now: Instant,
        id: TransactionId,
        call: CallId,
        response: &Response,
    ) {
        let copy = self.clients.get(&id).and_then(|client| client.acknowledged.clone());
        if let (Some((_, transmit)), 200..300) = (copy, response.status) {
            return self.transmits.push_back(transmit);
        }
        if matches!(response.status, 408 | 481) {
            return self.gone(now, call, response.status == 408);
        }
        let Some(mut session) = self.take(call) else { return };
        if response.status < 300 {
            session.dialog.refresh_target(&response.contact);
            if response.cseq.method == Method::Invite {
                self.send_ack(now, &session, id, response.cseq.number, None);
            }
        }
        if !matches!(session.change, Change::Ours(_)) {
            return self.keep(session);
        }
        let Change::Ours(ours) = std::mem::replace(&mut session.change, Change::None) else { return };
        match response.status {
            ..300 => self.change_accepted(now, &mut session, ours, response),
            491 if ours.tries < TRIES_MAX => {
                let at = now + self.after_glare(&session);
                session.change = Change::Again { ours, at };
            }
            422 if ours.tries < TRIES_MAX && lengthen(&mut session, response) => {
                self.send_ours(now, &mut session, ours);
            }
            status if ours.refresh => self.refresh_refused(now, &mut session, status),
            status => self.events.push_back(Event::ChangeRefused { call, status }),
        }
        self.keep(session);
    }

    fn change_accepted(&mut self, now: Instant, session: &mut Session, ours: Ours, response: &Response) {
        learn(now, session, response);
        session.ours = Some(ours.sdp);
        let answer = body::sdp_of(response);
        let same = answer.is_none() || answer == session.theirs;
        if let Some(answer) = &answer {
            session.theirs = Some(answer.clone());
        }
        if !(ours.refresh && same) {
            let call = session.call;
            self.events.push_back(Event::Modified { call, answer: Some(answer.unwrap_or_default()) });
        }
    }

    // -- the session timer --

    /// Keeps the session timer going (RFC 4028 §7.4): by UPDATE without SDP, which changes nothing
    /// else, or by re-INVITE with the description that holds, when the peer takes no UPDATE.
    pub(super) fn refresh(&mut self, now: Instant, session: &mut Session) {
        let Some(expiry) = &mut session.expiry else { return };
        if session.takes_update {
            expiry.refresh = None;
            let mut request = session.dialog.request(Method::Update);
            dress(&mut request, session);
            let purpose = Purpose::Refresh(session.call);
            self.send_in_dialog(now, session, request, purpose);
            return;
        }
        match (&session.state, &session.change, &session.ours) {
            (State::Established, Change::None, Some(sdp)) => {
                expiry.refresh = None;
                let sdp = sdp.clone();
                self.send_ours(now, session, Ours { method: Method::Invite, sdp, refresh: true, tries: 0 });
            }
            _ => expiry.refresh = Some(now + REFRESH_LATER),
        }
    }

    /// The answer to a refresh by UPDATE.
    pub(super) fn refreshed(&mut self, now: Instant, call: CallId, response: &Response) {
        if matches!(response.status, 408 | 481) {
            return self.gone(now, call, response.status == 408);
        }
        let Some(mut session) = self.take(call) else { return };
        match response.status {
            ..300 => {
                session.dialog.refresh_target(&response.contact);
                learn(now, &mut session, response);
            }
            422 if lengthen(&mut session, response) => self.refresh(now, &mut session),
            491 => {
                let wait = self.after_glare(&session);
                if let Some(expiry) = &mut session.expiry {
                    expiry.refresh = Some(now + wait);
                }
            }
            405 | 501 => {
                // It said that it takes one, and does not.
                session.takes_update = false;
                self.refresh(now, &mut session);
            }
            status => self.refresh_refused(now, &mut session, status),
        }
        self.keep(session);
    }

    /// Once more at half of what is left; the session runs out by itself if the peer means it.
    fn refresh_refused(&mut self, now: Instant, session: &mut Session, _status: u16) {
        if let Some(expiry) = &mut session.expiry {
            let left = expiry.until.saturating_duration_since(now);
            expiry.refresh = (left >= 2 * REFRESH_LATER).then(|| now + left / 2);
        }
    }
}

/// What every request that settles a session carries.
fn dress(request: &mut Request, session: &Session) {
    request.supported = SUPPORTED.map(str::to_owned).to_vec();
    request.headers.push("Allow", ALLOW);
    request.headers.push("Accept", ACCEPT);
    if let Some(expiry) = &session.expiry {
        request.headers.push("Session-Expires", &expiry.header());
        if session.interval_min > 0 {
            request.headers.push("Min-SE", &session.interval_min.to_string());
        }
    }
}

/// What a 2xx to such a request settles: the session timer (RFC 4028 §7.2), and what the peer takes.
fn learn(now: Instant, session: &mut Session, response: &Response) {
    if !matches!(session.state, State::Calling(_)) {
        session.expiry = Timer::answered(response).expiry(now);
    }
    if response.headers.get("Allow").is_some() {
        session.takes_update = response.allows(&Method::Update);
    }
}

/// A 422 asks for a longer interval: `true` when it is longer, and the next request has it.
fn lengthen(session: &mut Session, response: &Response) -> bool {
    let Some(seconds) = longer(response) else { return false };
    let Some(expiry) = &mut session.expiry else { return false };
    let longer = Duration::from_secs(seconds.into());
    let is_longer = longer > expiry.interval;
    if is_longer {
        expiry.interval = longer;
        session.interval_min = session.interval_min.max(seconds);
    }
    is_longer
}
