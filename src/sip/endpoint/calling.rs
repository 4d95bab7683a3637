//! Calls that we make, and the answers to all requests of ours (RFC 3261 §13.2, §17.1).

use std::time::Instant;

use super::body;
use super::send::{ACCEPT, ALLOW, SUPPORTED, client_key};
use super::{Client, ClientMachine, Endpoint, Event, HowEnded, Purpose};
use crate::sip::dialog::Dialog;
use crate::sip::flow::{Bytes, Flow, Transmit};
use crate::sip::session::{Calling, Cancel, Change, Session, State, TransactionId};
use crate::sip::session_id::SessionId;
use crate::sip::timer::{Timer, longer};
use crate::sip::transaction::Heard;
use crate::sip::uri::Uri;
use crate::sip::wire::{CSeq, Method, NameAddr, Request, Response, Via};
use crate::types::CallId;

/// A call to make.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub to: Uri,
    /// The way there; its peer must be an address of a trunk, or no answer would be read.
    pub flow: Flow,
    /// Who calls; the tag is added.
    pub from: NameAddr,
    /// More headers: P-Asserted-Identity, Privacy …
    pub headers: Vec<(String, String)>,
    /// Our offer; `None` lets the peer make it.
    pub sdp: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotCall {
    #[error("destination that no trunk allows")]
    NoTrunk,
    #[error("as many calls or transactions as the endpoint holds")]
    Full,
}

impl Endpoint {
    /// Sends an INVITE. What becomes of it comes as events.
    ///
    /// # Errors
    /// When nothing was sent.
    pub fn invite(&mut self, now: Instant, outgoing: Outgoing) -> Result<CallId, CannotCall> {
        let Outgoing { to, flow, from, headers, sdp } = outgoing;
        let trunk = self.trunk_to(&flow).cloned().ok_or(CannotCall::NoTrunk)?;
        self.expect_host_of(&flow, &to);
        if self.calls.len() >= self.settings.calls_max
            || self.servers.len() + self.clients.len() >= self.settings.transactions_max
        {
            return Err(CannotCall::Full);
        }
        let call = (self.new_call)();
        let from = from.with_tag(&self.tokens.tag());
        let call_id = self.tokens.next();
        let mut request = Request::new(Method::Invite, to.clone(), from, NameAddr::new(to), &call_id, 1);
        request.contact = vec![self.contact(&flow)];
        request.supported = SUPPORTED.map(str::to_owned).to_vec();
        request.headers.push("Allow", ALLOW);
        request.headers.push("Accept", ACCEPT);
        if let Some(seconds) = self.settings.session_interval {
            request.headers.push("Session-Expires", &seconds.to_string());
        }
        let session_id = SessionId::new(self.tokens.uuid(), None);
        request.headers.push("Session-ID", &session_id.to_string());
        for (name, value) in &headers {
            request.headers.push(name, value);
        }
        if let Some(sdp) = &sdp {
            request.headers.set("Content-Type", "application/sdp");
            request.body.clone_from(sdp);
        }
        let dialog = Dialog::calling(&request);
        self.count_call(&trunk);
        let invite = self.send(now, flow, request, Purpose::Invite(call));
        self.keep(Box::new(Session {
            call,
            trunk,
            flow,
            flow_broken: false,
            behind_nat: false,
            dialog,
            state: State::Calling(Calling::new(invite, sdp.is_some(), now + self.settings.ring_max)),
            change: Change::None,
            provisional: None,
            expiry: None,
            interval_min: 0,
            we_called: true,
            takes_update: false,
            ours: sdp,
            theirs: None,
            session_id: Some(session_id),
            scheduled: None,
        }));
        Ok(call)
    }

    /// Acknowledges the answer to an INVITE without an offer, with our answer to the peer's offer: by
    /// ACK, or by PRACK when the offer came before the answer ([`Event::Progress`]).
    pub fn ack(&mut self, now: Instant, call: CallId, sdp: Option<Vec<u8>>) {
        let Some(mut session) = self.take(call) else { return };
        if matches!(session.state, State::Calling(_)) {
            self.answer_provisional(now, &mut session, sdp);
        } else {
            self.acknowledge(now, &mut session, sdp);
        }
        self.keep(session);
    }

    pub(super) fn acknowledge(&mut self, now: Instant, session: &mut Session, sdp: Option<Vec<u8>>) {
        if let State::Accepted { invite, cseq, .. } = session.state {
            session.state = State::Established;
            session.ours.clone_from(&sdp);
            self.send_ack(now, session, invite, cseq, sdp);
        }
    }

    /// The ACK of a 2xx, kept with the INVITE's transaction for copies of the 2xx.
    pub(super) fn send_ack(
        &mut self,
        now: Instant,
        session: &Session,
        invite: TransactionId,
        cseq: u32,
        sdp: Option<Vec<u8>>,
    ) {
        let flow = self.way_out(session);
        let mut ack = session.dialog.ack(cseq);
        ack.via.push(self.via(&flow));
        if let Some(session_id) = &session.session_id {
            ack.headers.push("Session-ID", &session_id.to_string());
        }
        if let Some(sdp) = sdp {
            ack.headers.push("Content-Type", "application/sdp");
            ack.body = sdp;
        }
        let (flow, bytes, fallback) = self.fit(now, flow, &mut ack);
        let transmit = Transmit { flow, bytes };
        if let Some(client) = self.clients.get_mut(&invite) {
            client.ack_fallback = fallback.map(Box::new);
            client.acknowledged = Some((session.dialog.remote_tag().into(), transmit.clone()));
        }
        self.transmits.push_back(transmit);
    }

    /// Sends the CANCEL of an INVITE that has a first answer (§9.1). `false`: not yet or too late.
    pub(super) fn send_cancel(&mut self, now: Instant, invite: TransactionId) -> bool {
        let Some(client) = self.clients.get_mut(&invite) else { return false };
        let ClientMachine::Invite(machine) = &mut client.machine else { return false };
        let Some(request) = client.request.as_ref().filter(|_| machine.is_proceeding()) else { return false };
        machine.cancelled(now);
        let cancel = follow_up(request, Method::Cancel, &request.to);
        let flow = client.flow;
        self.schedule_client(invite);
        self.send(now, flow, cancel, Purpose::Cancel);
        true
    }

    pub(super) fn receive_response(&mut self, now: Instant, source: &Flow, response: Response) {
        // One Via, ours, or it is not for us (§8.1.3.3).
        let id = match response.via.as_slice() {
            [via] => {
                self.client_keys.get(&client_key(via.branch().unwrap_or_default(), &response.cseq.method))
            }
            _ => None,
        };
        let Some(&id) = id else {
            self.counters.stray_responses += 1;
            return;
        };
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.fallback = None;
        let heard = match &mut client.machine {
            ClientMachine::Invite(machine) => machine.hear(now, response.status),
            ClientMachine::NonInvite(machine) => machine.hear(now, response.status),
        };
        let (purpose, flow) = (client.purpose, client.flow);
        match heard {
            Heard::Again => {}
            Heard::AckAgain(bytes) => self.transmit(flow, bytes),
            Heard::New => {
                let is_invite = matches!(client.machine, ClientMachine::Invite(_));
                let refused = match is_invite && response.status >= 300 {
                    true => self.acknowledge_refusal(id, &response),
                    false => None,
                };
                self.schedule_client(id);
                self.concern(now, source, id, purpose, response, refused);
            }
        }
    }

    /// The ACK of a refusal is part of the INVITE's transaction: same branch, same way (§17.1.1.3).
    /// Gives back the INVITE that was refused.
    fn acknowledge_refusal(&mut self, id: TransactionId, response: &Response) -> Option<Box<Request>> {
        let Client { request, machine, flow, .. } = self.clients.get_mut(&id)?;
        let request = request.take()?;
        let ack: Bytes = follow_up(&request, Method::Ack, &response.to).to_bytes().into();
        if let ClientMachine::Invite(machine) = machine {
            machine.acknowledged(ack.clone());
        }
        let flow = *flow;
        self.transmit(flow, ack);
        Some(request)
    }

    /// Gives an answer to the call that it concerns.
    fn concern(
        &mut self,
        now: Instant,
        source: &Flow,
        id: TransactionId,
        purpose: Purpose,
        response: Response,
        refused: Option<Box<Request>>,
    ) {
        let status = response.status;
        match purpose {
            Purpose::Invite(call) => match status {
                ..200 => self.progress(now, id, call, &response),
                200..300 => self.accepted(now, source, id, call, &response),
                422 if self.ask_longer(now, call, &response, refused) => {}
                300.. => self.rejected(call, status, response.reason),
            },
            Purpose::Change(call) if status >= 200 => self.change_answered(now, id, call, &response),
            Purpose::Refresh(call) if status >= 200 => self.refreshed(now, call, &response),
            Purpose::Prack(call) if (200..300).contains(&status) => self.pracked(call),
            Purpose::Info(call) if matches!(status, 408 | 481) => self.gone(now, call, status == 408),
            Purpose::Bye(Some(call)) if status >= 200 => self.left(call),
            Purpose::Keep(keeper) if status >= 200 => self.keeper_answered(now, keeper, id, &response),
            Purpose::Change(_)
            | Purpose::Refresh(_)
            | Purpose::Info(_)
            | Purpose::Prack(_)
            | Purpose::Bye(_)
            | Purpose::Keep(_)
            | Purpose::Cancel => {}
        }
    }

    /// No answer came to a request of ours, or it could not be sent (`status` 503).
    pub(super) fn unanswered(&mut self, now: Instant, purpose: Purpose, status: u16) {
        match purpose {
            Purpose::Invite(call) => {
                let status = match self.calls.get(&call).map(|session| &session.state) {
                    Some(State::Calling(Calling { cancel: Cancel::No, .. })) => status,
                    _ => 487,
                };
                self.rejected(call, status, crate::sip::wire::reason_phrase(status).to_owned());
            }
            Purpose::Change(call) | Purpose::Refresh(call) | Purpose::Info(call) => {
                self.gone(now, call, true)
            }
            Purpose::Bye(Some(call)) => self.left(call),
            Purpose::Keep(keeper) => self.keeper_unanswered(now, keeper, status),
            Purpose::Bye(None) | Purpose::Cancel | Purpose::Prack(_) => {}
        }
    }

    fn progress(&mut self, now: Instant, id: TransactionId, call: CallId, response: &Response) {
        let Some(mut session) = self.take(call) else { return };
        if let State::Calling(calling) = &mut session.state {
            if calling.cancel == Cancel::Wanted && self.send_cancel(now, id) {
                calling.cancel = Cancel::Sent;
            }
            if response.status > 100 {
                self.early(call, &mut session, response);
                let sdp = body::sdp_of(response);
                if self.hear_provisional(now, &mut session, response, sdp.as_ref()) {
                    // An offer counts only in a reliable answer; in another it is a preview.
                    let is_due = |calling: &Calling| calling.offered || calling.owed.is_some();
                    let sdp = sdp.filter(|_| matches!(&session.state, State::Calling(c) if is_due(c)));
                    self.events.push_back(Event::Progress { call, status: response.status, sdp });
                }
            }
        }
        self.keep(session);
    }

    /// The first phone that rings makes the early dialog (§12.1.2), so that its requests find the call.
    fn early(&mut self, call: CallId, session: &mut Session, response: &Response) {
        if session.dialog.remote_tag().is_empty() && response.to.tag().is_some() {
            session.dialog.confirm(response);
            self.dialogs.insert(session.dialog.key(), call);
        }
        self.learn_peer(session, response);
    }

    fn learn_peer(&mut self, session: &mut Session, response: &Response) {
        if response.headers.get("Allow").is_some() {
            session.takes_update = response.allows(&Method::Update);
        }
        if let Some(session_id) = &mut session.session_id {
            session_id.hear(response.headers.get("Session-ID"));
        }
    }

    /// 422 to a call of ours: once more, with the interval that it asks for (RFC 4028 §7.1). The
    /// call keeps its Call-ID and From tag; only its CSeq and branch are new.
    fn ask_longer(
        &mut self,
        now: Instant,
        call: CallId,
        response: &Response,
        refused: Option<Box<Request>>,
    ) -> bool {
        let (Some(seconds), Some(mut request)) = (longer(response), refused) else { return false };
        let Some(mut session) = self.take(call) else { return false };
        let asks = matches!(&session.state, State::Calling(calling)
            if calling.cancel == Cancel::No && calling.retries < 4);
        if asks && seconds > session.interval_min {
            self.dialogs.remove(&session.dialog.key());
            request.cseq.number = session.dialog.next_cseq();
            request.via.clear();
            request.headers.set("Session-Expires", &seconds.to_string());
            request.headers.set("Min-SE", &seconds.to_string());
            session.dialog = Dialog::calling(&request);
            session.interval_min = seconds;
            let flow = session.flow;
            let invite = self.send(now, flow, *request, Purpose::Invite(call));
            if let State::Calling(calling) = &mut session.state {
                calling.invite = invite;
                calling.retries += 1;
                calling.heard.clear();
            }
            self.keep(session);
            return true;
        }
        self.keep(session);
        false
    }

    fn accepted(
        &mut self,
        now: Instant,
        source: &Flow,
        id: TransactionId,
        call: CallId,
        response: &Response,
    ) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let tag = response.to.tag().unwrap_or_default();
        if let Some((acknowledged, transmit)) = &client.acknowledged
            && **acknowledged == *tag
        {
            let transmit = transmit.clone();
            return self.transmits.push_back(transmit);
        }
        // Over already, by a BYE that overtook this: whoever answered must hear of it.
        let Some(mut session) = self.take(call) else { return self.refuse_fork(now, id, response) };
        match &session.state {
            State::Calling(calling) => {
                let (invite, offered, cancel) = (calling.invite, calling.offered, calling.cancel);
                let settled = calling.agreed;
                if let Some(client) = self.clients.get_mut(&id) {
                    client.request = None;
                }
                session.flow = *source;
                self.dialogs.remove(&session.dialog.key());
                session.dialog.confirm(response);
                self.dialogs.insert(session.dialog.key(), call);
                self.learn_peer(&mut session, response);
                session.expiry = Timer::answered(response).expiry(now);
                let cseq = response.cseq.number;
                let sdp = body::sdp_of(response).filter(|_| !settled);
                session.theirs = sdp.clone().or(session.theirs.take());
                if offered || cancel != Cancel::No {
                    session.state = State::Established;
                    self.send_ack(now, &session, invite, cseq, None);
                } else {
                    session.state =
                        State::Accepted { invite, cseq, until: now + self.settings.timers.patience() };
                }
                if cancel == Cancel::No {
                    self.events.push_back(Event::Accepted { call, sdp });
                } else {
                    self.leave(now, &mut session, None);
                }
                self.keep(session);
            }
            _ if session.dialog.remote_tag() != tag => {
                self.keep(session);
                self.refuse_fork(now, id, response);
            }
            _ => self.keep(session),
        }
    }

    /// A second phone answered the same INVITE: acknowledged and hung up at once (§13.2.2.4).
    fn refuse_fork(&mut self, now: Instant, id: TransactionId, response: &Response) {
        let Some(flow) = self.clients.get(&id).map(|client| client.flow) else { return };
        let uri =
            response.contact.first().map_or_else(|| response.to.uri.clone(), |contact| contact.uri.clone());
        let cseq = response.cseq.number;
        let request = |method, number| {
            let (from, to) = (response.from.clone(), response.to.clone());
            let mut request = Request::new(method, uri.clone(), from, to, &response.call_id, number);
            request.route = response.record_route.iter().rev().cloned().collect();
            request
        };
        let mut ack = request(Method::Ack, cseq);
        ack.via.push(self.via(&flow));
        self.transmit(flow, ack.to_bytes().into());
        self.send(now, flow, request(Method::Bye, cseq + 1), Purpose::Bye(None));
    }

    fn rejected(&mut self, call: CallId, status: u16, reason: String) {
        let Some(session) = self.take(call) else { return };
        if matches!(session.state, State::Calling(_)) {
            self.forget(session);
            self.events.push_back(Event::Rejected { call, status, reason });
        } else {
            self.keep(session);
        }
    }

    /// The peer does not know the call (481), or says nothing: then a BYE, in case it still hears (§12.2.1.2).
    pub(super) fn gone(&mut self, now: Instant, call: CallId, say_bye: bool) {
        let Some(mut session) = self.take(call) else { return };
        if matches!(session.state, State::Leaving) {
            return self.keep(session);
        }
        self.drop_pending(now, &mut session);
        if say_bye {
            self.bye(now, &mut session, None, Purpose::Bye(None));
        }
        self.end(session, HowEnded::Gone);
    }

    fn left(&mut self, call: CallId) {
        if let Some(session) = self.take(call) {
            self.end(session, HowEnded::ByUs);
        }
    }
}

/// ACK of a refusal and CANCEL repeat the INVITE's line, way and number (§9.1, §17.1.1.3).
fn follow_up(invite: &Request, method: Method, to: &NameAddr) -> Request {
    let number = invite.cseq.number;
    let mut request = Request::new(
        method.clone(),
        invite.uri.clone(),
        invite.from.clone(),
        to.clone(),
        &invite.call_id,
        number,
    );
    request.cseq = CSeq { number, method };
    let top: Option<&Via> = invite.via.first();
    request.via = top.cloned().into_iter().collect();
    request.route = invite.route.clone();
    request
}
