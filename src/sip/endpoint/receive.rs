//! Requests that come in: found to be new or not, inspected in the order of RFC 3261 §8.2, and
//! given to the call they belong to.

use std::sync::Arc;
use std::time::Instant;

use super::body::{self, Info, Unsupported};
use super::send::{ACCEPT, ALLOW, SUPPORTED};
use super::{Endpoint, Event, HowEnded, Incoming, Server, ServerMachine, TurnedAway, Why};
use crate::sip::dialog::{Dialog, DialogKey};
use crate::sip::flow::Flow;
use crate::sip::identity::{Evidence, dialled_user};
use crate::sip::reason::Reason;
use crate::sip::redirection::Redirection;
use crate::sip::session::{Change, Early, Ringing, Session, State, TransactionId};
use crate::sip::session_id::SessionId;
use crate::sip::timer::{MIN_SE, Timer, interval_min};
use crate::sip::transaction::{Ack, InviteServer, NonInviteServer};
use crate::sip::trunk::{Reliable, Trunk};
use crate::sip::wire::{Method, Request, Response};
use crate::types::CallId;

impl Endpoint {
    pub(super) fn receive_request(
        &mut self,
        now: Instant,
        source: &Flow,
        trunk: &Arc<Trunk>,
        mut request: Request,
    ) {
        let key = server_key(trunk, &request, &request.method);
        request.mark_received(source.peer);
        if let Some(&id) = self.server_keys.get(&key) {
            return self.again(now, source, trunk, id, &request);
        }
        match request.method {
            Method::Ack => self.receive_ack(now, source, trunk, &request),
            Method::Cancel => self.receive_cancel(now, source, trunk, key, request),
            _ => self.receive_new(now, source, trunk, key, request),
        }
    }

    /// A request of a transaction that we know: a copy, or the ACK of a refusal.
    fn again(
        &mut self,
        now: Instant,
        source: &Flow,
        trunk: &Arc<Trunk>,
        id: TransactionId,
        request: &Request,
    ) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let repeated = match &mut server.machine {
            ServerMachine::Invite(machine) if request.method == Method::Ack => {
                match machine.acknowledge(now) {
                    Ack::OfRefusal => self.schedule_server(id),
                    Ack::OfSuccess => self.receive_ack(now, source, trunk, request),
                    Ack::Stray => {}
                }
                return;
            }
            ServerMachine::Invite(machine) => machine.repeated(),
            ServerMachine::NonInvite(machine) => machine.repeated(),
        };
        let back = server.back;
        if let Some(bytes) = repeated {
            self.transmit(back, bytes);
        }
    }

    /// The ACK of a 2xx belongs to the dialog, not to a transaction.
    fn receive_ack(&mut self, now: Instant, source: &Flow, trunk: &Arc<Trunk>, request: &Request) {
        if let Some(mut session) = self.session_of(source, trunk, request) {
            self.acknowledged(now, &mut session, request);
            self.keep(session);
        }
    }

    /// §9.2. The CANCEL is answered whatever becomes of its INVITE.
    fn receive_cancel(
        &mut self,
        now: Instant,
        source: &Flow,
        trunk: &Arc<Trunk>,
        key: Box<str>,
        request: Request,
    ) {
        let invite = self.server_keys.get(&server_key(trunk, &request, &Method::Invite)).copied();
        let invite_state = invite.and_then(|invite| {
            let server = self.servers.get(&invite)?;
            let open = matches!(&server.machine, ServerMachine::Invite(machine) if machine.is_open());
            Some((invite, server.call, open))
        });
        let reason = Reason::of(&request.headers);
        let Some(id) = self.open(now, source, key, request) else { return };
        let Some((invite, call, open)) = invite_state else { return self.reply_status(now, id, 481) };
        if let Some(server) = self.servers.get_mut(&id) {
            server.call = call;
        }
        self.reply_status(now, id, 200);
        if !open {
            return;
        }
        self.reply_status(now, invite, 487);
        let Some(mut session) = call.and_then(|call| self.take(call)) else { return };
        match &session.state {
            State::Ringing(ringing) if ringing.invite == invite => {
                self.end_saying(session, HowEnded::Cancelled, reason);
            }
            _ => {
                if matches!(&session.change, Change::Theirs { transaction, .. } if *transaction == invite) {
                    session.change = Change::None;
                }
                self.keep(session);
            }
        }
    }

    /// Makes the transaction of a new request, or refuses it when there is no room.
    fn open(
        &mut self,
        now: Instant,
        source: &Flow,
        key: Box<str>,
        request: Request,
    ) -> Option<TransactionId> {
        let back = Self::back(source, &request);
        if self.servers.len() + self.clients.len() >= self.settings.transactions_max {
            self.refuse_overloaded(back, &request);
            return None;
        }
        let (timers, reliable) = (self.settings.timers, source.transport.is_reliable());
        let machine = if request.method == Method::Invite {
            ServerMachine::Invite(InviteServer::new(timers, reliable))
        } else {
            ServerMachine::NonInvite(NonInviteServer::new(now, timers, reliable))
        };
        self.last_transaction += 1;
        let id = self.last_transaction;
        self.server_keys.insert(key.clone(), id);
        // Within a call it is the call's own, set when that is found.
        let theirs = request.headers.get("Session-ID").and_then(SessionId::read);
        let session_id = theirs
            .map(|theirs| SessionId::new(self.tokens.uuid(), Some(&theirs)).to_string().into_boxed_str());
        let request = Some(Box::new(request));
        let server =
            Server { key, merge: None, back, request, machine, call: None, session_id, scheduled: None };
        self.servers.insert(id, server);
        self.schedule_server(id);
        Some(id)
    }

    fn refuse_overloaded(&mut self, back: Flow, request: &Request) {
        self.counters.overloaded += 1;
        let tag = self.tokens.tag();
        let retry_after = self.settings.retry_after.to_string();
        let response = Response::to(request, 503).with_to_tag(&tag).with_header("Retry-After", &retry_after);
        self.reply_stateless(back, &response);
    }

    fn receive_new(
        &mut self,
        now: Instant,
        source: &Flow,
        trunk: &Arc<Trunk>,
        key: Box<str>,
        request: Request,
    ) {
        // A re-INVITE of a dialog that an earlier life of the service had: taken as a new call, the
        // caller need not dial again (§12.2.2 leaves it to us). One of this life is over: 481.
        let dialog = DialogKey::of_request(&request);
        let is_in_call = dialog.as_ref().is_some_and(|key| self.dialogs.contains_key(key));
        if !is_in_call && self.trunks.of_peer(source.peer.ip(), self.proofs.of(source)).is_none() {
            // Its trunk is gone: only what belongs to its live calls is heard.
            self.counters.refused_sources += 1;
            return;
        }
        let is_revived = request.method == Method::Invite
            && dialog.as_ref().is_some_and(|key| !self.dialogs.contains_key(key))
            && request.to.tag().is_some_and(|tag| !self.tokens.is_ours(tag));
        let is_new_call = request.method == Method::Invite && (dialog.is_none() || is_revived);
        if is_new_call && self.calls.len() >= self.settings.calls_max {
            let back = Self::back(source, &request);
            return self.refuse_overloaded(back, &request);
        }
        if !is_in_call && !self.admit(now, source, trunk, &request, is_new_call) {
            return;
        }
        let merge = dialog.is_none().then(|| merge_key(trunk, &request));
        let facts = Facts::of(&request);
        let is_loop = is_new_call && request.from.tag().is_some_and(|tag| self.tokens.is_ours(tag));
        let Some(id) = self.open(now, source, key, request) else { return };
        if is_loop {
            return self.turn_away(now, source, trunk, id, Why::Loop);
        }
        if let Some(refusal) = facts.refusal {
            if let Some(why) = refusal.why.filter(|_| is_new_call) {
                self.tell_turned_away(source, trunk, id, refusal.status, why);
            } else if let Some(&call) = dialog.as_ref().and_then(|key| self.dialogs.get(key))
                && self.calls.get(&call).is_some_and(|session| session.trunk.name == trunk.name)
            {
                let (method, status) = (facts.method, refusal.status);
                self.events.push_back(Event::NotDone { call, method, status });
            }
            return self.refuse_new(now, id, &refusal);
        }
        if is_revived {
            return self.receive_invite(now, source, trunk, id);
        }
        if let Some(merge) = merge {
            // Pingers send the same OPTIONS over and over; answering two copies does no harm.
            if self.merges.contains_key(&merge) && facts.method != Method::Options {
                return self.reply_status(now, id, 482);
            }
            if let Some(server) = self.servers.get_mut(&id) {
                server.merge = Some(merge.clone());
            }
            self.merges.insert(merge, id);
            match facts.method {
                Method::Invite => self.receive_invite(now, source, trunk, id),
                Method::Options => self.answer_options(now, id),
                _ => self.reply_status(now, id, 481),
            }
            return;
        }
        let Some(request) = self.servers.get(&id).and_then(|server| server.request.clone()) else { return };
        match self.session_of(source, trunk, &request) {
            Some(session) => self.receive_in_dialog(now, session, id, &request),
            None => self.reply_status(now, id, 481),
        }
    }

    /// Refuses a call before anybody is asked, and says so.
    fn turn_away(&mut self, now: Instant, source: &Flow, trunk: &Arc<Trunk>, id: TransactionId, why: Why) {
        let refusal = Refusal::of(why);
        self.tell_turned_away(source, trunk, id, refusal.status, why);
        self.refuse_new(now, id, &refusal);
    }

    fn tell_turned_away(
        &mut self,
        source: &Flow,
        trunk: &Arc<Trunk>,
        id: TransactionId,
        status: u16,
        why: Why,
    ) {
        let Some(request) = self.servers.get(&id).and_then(|server| server.request.as_deref()) else {
            return;
        };
        let trunk_calls = self.calls_of_trunk.get(&trunk.name).copied().unwrap_or(0);
        let incoming = incoming((self.new_call)(), trunk, trunk_calls, source, request);
        self.events.push_back(Event::TurnedAway(Box::new(TurnedAway { incoming, status, why })));
    }

    fn refuse_new(&mut self, now: Instant, id: TransactionId, refusal: &Refusal) {
        let Some(mut response) = self.draft(id, refusal.status) else { return };
        for (name, value) in &refusal.headers {
            response = response.with_header(name, value);
        }
        self.reply(now, id, &response);
    }

    /// The call that a request from the peer belongs to, taken out. It must come from the call's
    /// trunk; where it comes from is where the peer is now.
    fn session_of(&mut self, source: &Flow, trunk: &Arc<Trunk>, request: &Request) -> Option<Box<Session>> {
        let call = *self.dialogs.get(&DialogKey::of_request(request)?)?;
        let name = &self.calls.get(&call)?.trunk.name;
        // The source may have been given to another trunk meanwhile.
        let names = self.proofs.of(source);
        let former = self.former.of_peer(source.peer.ip(), names);
        let was_its = || former.is_some_and(|former| former.name == *name);
        if *name != trunk.name && !was_its() {
            return None;
        }
        let mut session = self.take(call)?;
        session.flow = *source;
        session.flow_broken = false;
        Some(session)
    }

    fn receive_invite(&mut self, now: Instant, source: &Flow, trunk: &Arc<Trunk>, id: TransactionId) {
        let Some(request) = self.servers.get(&id).and_then(|server| server.request.clone()) else { return };
        let offer = match body::sdp(&request) {
            Ok(offer) => offer,
            Err(Unsupported) => return self.turn_away(now, source, trunk, id, Why::Body),
        };
        if Timer::asked(&request) == Timer::TooSmall {
            return self.turn_away(now, source, trunk, id, Why::Interval);
        }
        let call = (self.new_call)();
        let tag = request.to.tag().map_or_else(|| self.tokens.tag(), str::to_owned);
        let dialog = Dialog::answering(&request, &tag);
        if let Some(server) = self.servers.get_mut(&id) {
            server.call = Some(call);
        }
        self.dialogs.insert(dialog.key(), call);
        let trunk_calls = self.count_call(trunk);
        let source_is_sender = request.via.first().is_none_or(|via| via.received().is_none());
        let session_id = self.servers.get(&id).and_then(|server| server.session_id.as_deref()).map(|pair| {
            let theirs = request.headers.get("Session-ID").and_then(SessionId::read);
            SessionId::new(pair.split(';').next().unwrap_or_default().to_owned(), theirs.as_deref())
        });
        let mut told = incoming(call, trunk, trunk_calls, source, &request);
        told.offer.clone_from(&offer);
        self.keep(Box::new(Session {
            call,
            trunk: trunk.clone(),
            flow: *source,
            flow_broken: false,
            behind_nat: !source_is_sender,
            dialog,
            state: State::Ringing(Ringing {
                invite: id,
                offered: offer.is_some(),
                until: now + self.settings.ring_max,
                reliable: told.reliable,
                rseq: 0,
                early: Early::Nothing,
                answer: None,
            }),
            change: Change::None,
            provisional: None,
            expiry: None,
            interval_min: interval_min(&request),
            we_called: false,
            takes_update: request.allows(&Method::Update),
            ours: None,
            theirs: offer,
            session_id,
            scheduled: None,
        }));
        self.reply_status(now, id, 100);
        self.events.push_back(Event::Incoming(Box::new(told)));
    }

    fn answer_options(&mut self, now: Instant, id: TransactionId) {
        let status = if self.draining { 503 } else { 200 };
        let Some(mut response) = self.draft(id, status) else { return };
        response = if self.draining {
            response.with_header("Retry-After", &self.settings.retry_after.to_string())
        } else {
            response.supported = SUPPORTED.map(str::to_owned).to_vec();
            response.with_header("Allow", ALLOW).with_header("Accept", ACCEPT)
        };
        self.reply(now, id, &response);
    }

    /// §12.2.2.
    fn receive_in_dialog(
        &mut self,
        now: Instant,
        mut session: Box<Session>,
        id: TransactionId,
        request: &Request,
    ) {
        if let Some(session_id) = &mut session.session_id {
            session_id.hear(request.headers.get("Session-ID"));
        }
        if let Some(server) = self.servers.get_mut(&id) {
            server.call = Some(session.call);
            server.session_id = session.session_id.as_ref().map(|id| id.to_string().into_boxed_str());
        }
        let in_order = session.dialog.take_cseq(request.cseq.number);
        if !in_order {
            self.reply_status(now, id, 500);
            return self.keep(session);
        }
        match request.method {
            Method::Bye => {
                self.reply_status(now, id, 200);
                self.drop_pending(now, &mut session);
                let how =
                    if matches!(session.state, State::Leaving) { HowEnded::ByUs } else { HowEnded::ByPeer };
                return self.end_saying(session, how, Reason::of(&request.headers));
            }
            _ if matches!(session.state, State::Leaving) => self.reply_status(now, id, 481),
            Method::Prack => self.receive_prack(now, &mut session, id, request),
            Method::Options => self.answer_options(now, id),
            Method::Info => self.receive_info(now, session.call, id, request),
            Method::Invite | Method::Update => self.receive_change(now, &mut session, id, request),
            _ => self.reply_status(now, id, 405),
        }
        self.keep(session);
    }

    fn receive_info(&mut self, now: Instant, call: CallId, id: TransactionId, request: &Request) {
        // We have told nobody of an Info Package that we take (RFC 6086 §4.2.2).
        if request.headers.get("Info-Package").is_some() {
            return self.reply_status(now, id, 469);
        }
        match body::info(request) {
            Info::Key(digit, duration_ms) => {
                self.reply_status(now, id, 200);
                self.events.push_back(Event::Digit { call, digit, duration_ms });
            }
            Info::Nothing => self.reply_status(now, id, 200),
            Info::Malformed => self.reply_status(now, id, 400),
            Info::Unsupported => {
                let accept = ("Accept", "application/dtmf-relay, application/dtmf".to_owned());
                self.refuse_new(now, id, &Refusal { status: 415, headers: vec![accept], why: None });
            }
        }
    }
}

/// What can be said of a request before anything is looked up.
struct Facts {
    method: Method,
    refusal: Option<Refusal>,
}

pub(super) struct Refusal {
    status: u16,
    headers: Vec<(&'static str, String)>,
    /// What an INVITE's record says.
    why: Option<Why>,
}

impl Refusal {
    /// For a reason that says all; [`Why::Extension`] has the names of the options to add.
    pub(super) fn of(why: Why) -> Self {
        let sdp = || ("Accept", "application/sdp".to_owned());
        let (status, headers) = match why {
            Why::Extension => (420, Vec::new()),
            Why::Accept => (406, vec![sdp()]),
            Why::Body => (415, vec![sdp(), ("Accept-Encoding", "identity".to_owned())]),
            // We let no call take another's place; to us none matches (RFC 3891 §3, RFC 3911 §4).
            Why::Replaces => (481, Vec::new()),
            Why::Interval => (422, vec![("Min-SE", MIN_SE.to_string())]),
            Why::Loop => (482, Vec::new()),
        };
        Self { status, headers, why: Some(why) }
    }
}

impl Endpoint {
    /// Refuses a request for a change likewise.
    pub(super) fn refuse_change(&mut self, now: Instant, id: TransactionId, refusal: &Refusal) {
        self.refuse_new(now, id, refusal);
    }
}

impl Facts {
    /// Method (§8.2.1), extensions (§8.2.2.3), what the caller accepts (§20.1).
    fn of(request: &Request) -> Self {
        let method = request.method.clone();
        let refusal = match method {
            Method::Invite
            | Method::Bye
            | Method::Options
            | Method::Info
            | Method::Update
            | Method::Prack => None,
            // Nothing that we have subscribed to (RFC 6665 §4.1.3).
            Method::Notify if request.headers.get("Event").is_some() => Some(489),
            // Not even recognised (§21.5.2); the others are known and not for us. REFER among them: a
            // call must not make another one (toll fraud).
            Method::Other(_) => Some(501),
            _ => Some(405),
        };
        if let Some(status) = refusal {
            let refusal = Refusal { status, headers: vec![("Allow", ALLOW.to_owned())], why: None };
            return Self { method, refusal: Some(refusal) };
        }
        let known = |tag: &String| SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(tag));
        let unknown: Vec<&str> =
            request.require.iter().filter(|tag| !known(tag)).map(String::as_str).collect();
        let refusal = if !unknown.is_empty() {
            let headers = vec![("Unsupported", unknown.join(", "))];
            Some(Refusal { headers, ..Refusal::of(Why::Extension) })
        } else if method == Method::Invite && !accepts_sdp(request) {
            Some(Refusal::of(Why::Accept))
        } else if method == Method::Invite && replaces(request) {
            Some(Refusal::of(Why::Replaces))
        } else {
            None
        };
        Self { method, refusal }
    }
}

/// What an INVITE says of itself, without its offer.
fn incoming(call: CallId, trunk: &Trunk, trunk_calls: usize, source: &Flow, request: &Request) -> Incoming {
    let is_100rel = |tag: &String| tag.eq_ignore_ascii_case("100rel");
    let reliable = request.require.iter().any(is_100rel)
        || trunk.reliable == Reliable::Supported && request.supported.iter().any(is_100rel);
    Incoming {
        call,
        trunk: trunk.name.clone(),
        trunk_calls,
        flow: *source,
        request_user: dialled_user(&request.uri),
        to_user: dialled_user(&request.to.uri),
        evidence: Evidence::of(request),
        offer: None,
        sip_call_id: request.call_id.clone(),
        reliable,
        redirection: Redirection::of(request),
        session_id: request.headers.get("Session-ID").and_then(SessionId::read).map(String::from),
    }
}

/// Without Accept, SDP it is (§20.1).
fn accepts_sdp(request: &Request) -> bool {
    let mut kinds = request.headers.get_all("Accept").flat_map(|value| value.split(',')).peekable();
    kinds.peek().is_none()
        || kinds.any(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            matches!(kind.as_str(), "application/sdp" | "application/*" | "*/*" | "*")
                || kind.starts_with("multipart/")
        })
}

fn replaces(request: &Request) -> bool {
    request.headers.get("Replaces").or_else(|| request.headers.get("Join")).is_some()
}

/// §17.2.3. An ACK matches its INVITE. The trunk is part of it: nobody meets another's transactions.
fn server_key(trunk: &Trunk, request: &Request, method: &Method) -> Box<str> {
    let method = if *method == Method::Ack { &Method::Invite } else { method };
    let name = &trunk.name;
    let Some(via) = request.via.first() else { return format!("{name}\n{method}").into_boxed_str() };
    match via.transaction_branch() {
        Some(branch) => {
            let (host, port) = (&via.host, via.port.unwrap_or(0));
            format!("{name}\n{method}\n{branch}\n{host}\n{port}")
        }
        // A peer of RFC 2543, or one whose branch says nothing: everything that makes a request itself.
        None => {
            let (uri, from, call_id, cseq) =
                (&request.uri, request.from.tag().unwrap_or_default(), &request.call_id, request.cseq.number);
            format!("{name}\n{method}\n{uri}\n{from}\n{call_id}\n{cseq}\n{via}")
        }
    }
    .into_boxed_str()
}

fn merge_key(trunk: &Trunk, request: &Request) -> Box<str> {
    let (from, call_id, cseq) = (request.from.tag().unwrap_or_default(), &request.call_id, &request.cseq);
    format!("{}\n{call_id}\n{from}\n{cseq}", trunk.name).into_boxed_str()
}
