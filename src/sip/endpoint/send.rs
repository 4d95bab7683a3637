//! Answers and requests on their way out: where they go, what every one of them carries.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Client, ClientMachine, Endpoint, Purpose, ServerMachine, Sleeper};
use crate::sip::Transport;
use crate::sip::flow::{Bytes, Flow};
use crate::sip::session::{Change, Session, TransactionId};
use crate::sip::transaction::{InviteClient, NonInviteClient};
use crate::sip::trunk::Trunk;
use crate::sip::uri::Uri;
use crate::sip::wire::{Fault, Method, NameAddr, Request, Response, Via};

/// What we act on; `Allow` of every answer that has one.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK";
/// Bodies we read; `Accept` of what makes a session, and of OPTIONS.
pub(super) const ACCEPT: &str = "application/sdp, application/dtmf-relay, application/dtmf";
/// Option tags we know (RFC 3262, RFC 4028).
pub(super) const SUPPORTED: [&str; 2] = ["100rel", "timer"];

impl Endpoint {
    /// Answers a request through its transaction. What was sent, or `None` when a final answer has
    /// gone out before.
    pub(super) fn reply(
        &mut self,
        now: Instant,
        id: TransactionId,
        response: &Response,
    ) -> Option<(Bytes, Flow)> {
        let server = self.servers.get_mut(&id)?;
        let bytes: Bytes = response.to_bytes().into();
        let is_open = match &mut server.machine {
            ServerMachine::Invite(machine) => {
                let is_open = machine.is_open();
                match response.status {
                    ..200 => machine.progress(bytes.clone()),
                    200..300 => machine.accept(now),
                    300.. => machine.refuse(now, bytes.clone()),
                }
                is_open
            }
            ServerMachine::NonInvite(machine) => {
                let is_open = machine.is_open();
                if response.is_final() {
                    machine.finish(now, bytes.clone());
                } else {
                    machine.hurried(bytes.clone());
                }
                is_open
            }
        };
        if !is_open {
            return None;
        }
        let request = server.request.as_deref();
        let begins_call = |request: &Request| request.method == Method::Invite && request.to.tag().is_none();
        let counts = response.status >= 400 && !request.is_some_and(begins_call);
        if response.is_final() {
            server.request = None;
        }
        let back = server.back;
        if counts {
            self.count_refusal(response.status);
        }
        self.schedule_server(id);
        self.transmit(back, bytes.clone());
        Some((bytes, back))
    }

    /// Answers with a status alone. The To tag is the call's where there is one, else a new one.
    pub(super) fn reply_status(&mut self, now: Instant, id: TransactionId, status: u16) {
        if let Some(response) = self.draft(id, status) {
            self.reply(now, id, &response);
        }
    }

    /// An answer to be completed; `None` when the transaction has its final one.
    pub(super) fn draft(&mut self, id: TransactionId, status: u16) -> Option<Response> {
        let server = self.servers.get(&id)?;
        let request = server.request.as_ref()?;
        let mut response = Response::to(request, status);
        if let Some(session_id) = &server.session_id {
            response.headers.push("Session-ID", session_id);
        }
        if status == 100 || response.to.tag().is_some() {
            return Some(response);
        }
        let call = server.call.and_then(|call| self.calls.get(&call));
        let tag = match call {
            Some(session) => session.dialog.local_tag().to_owned(),
            None => self.tokens.tag(),
        };
        Some(response.with_to_tag(&tag))
    }

    /// Answers and remembers nothing: for when there is no room to.
    pub(super) fn reply_stateless(&mut self, back: Flow, response: &Response) {
        self.transmit(back, response.to_bytes().into());
    }

    pub(super) fn answer_fault(&mut self, source: &Flow, fault: &Fault) {
        let Some(salvaged) = &fault.salvaged else { return };
        let tag = self.tokens.tag();
        let bytes = salvaged.answer(fault.wrong.status(), source.peer, &tag);
        let back = if source.transport.is_reliable() {
            *source
        } else {
            Flow { peer: salvaged.answer_address(source.peer), ..*source }
        };
        self.transmit(back, bytes.into());
    }

    /// Where answers to this request go (RFC 3261 §18.2.2, RFC 3581 §4): back on the connection, or
    /// to its source at the port it asks for. `maddr` is not followed: nothing goes to an address
    /// that has not sent.
    pub(super) fn back(source: &Flow, request: &Request) -> Flow {
        if source.transport.is_reliable() {
            return *source;
        }
        let peer = request.via.first().and_then(Via::answer_address).unwrap_or(source.peer);
        Flow { peer, ..*source }
    }

    pub(super) fn schedule_server(&mut self, id: TransactionId) {
        if let Some(server) = self.servers.get_mut(&id) {
            let deadline = match &server.machine {
                ServerMachine::Invite(machine) => machine.deadline(),
                ServerMachine::NonInvite(machine) => machine.deadline(),
            };
            self.deadlines.set(Sleeper::Server(id), &mut server.scheduled, deadline);
        }
    }

    pub(super) fn schedule_client(&mut self, id: TransactionId) {
        if let Some(client) = self.clients.get_mut(&id) {
            let deadline = match &client.machine {
                ClientMachine::Invite(machine) => machine.deadline(),
                ClientMachine::NonInvite(machine) => machine.deadline(),
            };
            self.deadlines.set(Sleeper::Client(id), &mut client.scheduled, deadline);
        }
    }

    pub(super) fn remove_server(&mut self, id: TransactionId) {
        let Some(mut server) = self.servers.remove(&id) else { return };
        self.deadlines.set(Sleeper::Server(id), &mut server.scheduled, None);
        self.server_keys.remove(&server.key);
        if let Some(merge) = server.merge {
            self.merges.remove(&merge);
        }
        // A change that nobody decided on in time: the peer has given it up (timer F).
        if let Some(session) = server.call.and_then(|call| self.calls.get_mut(&call))
            && matches!(session.change, Change::Theirs { transaction, .. } if transaction == id)
        {
            session.change = Change::None;
        }
    }

    pub(super) fn remove_client(&mut self, id: TransactionId) -> Option<Client> {
        let mut client = self.clients.remove(&id)?;
        self.deadlines.set(Sleeper::Client(id), &mut client.scheduled, None);
        self.client_keys.remove(&client.key);
        Some(client)
    }

    /// Sends a request of ours in a transaction of its own. A Via is added unless it has one (CANCEL).
    pub(super) fn send(
        &mut self,
        now: Instant,
        flow: Flow,
        mut request: Request,
        purpose: Purpose,
    ) -> TransactionId {
        // A CANCEL has its INVITE's Via, and its way.
        let is_new = request.via.is_empty();
        if is_new {
            let via = self.via(&flow);
            request.via.push(via);
        }
        let (flow, bytes, fallback) = match is_new {
            true => self.fit(now, flow, &mut request),
            false => (flow, request.to_bytes().into(), None),
        };
        let fallback = fallback.map(Box::new);
        let branch = request.via.first().and_then(Via::branch).unwrap_or_default();
        let key = client_key(branch, &request.method);
        let (timers, reliable) = (self.settings.timers, flow.transport.is_reliable());
        let is_invite = request.method == Method::Invite;
        let machine = if is_invite {
            let longest = self.settings.ring_max + timers.patience();
            ClientMachine::Invite(InviteClient::new(now, bytes.clone(), timers, reliable, longest))
        } else {
            ClientMachine::NonInvite(NonInviteClient::new(now, bytes.clone(), timers, reliable))
        };
        self.last_transaction += 1;
        let id = self.last_transaction;
        self.client_keys.insert(key.clone(), id);
        let request = is_invite.then(|| Box::new(request));
        let client = Client {
            key,
            flow,
            machine,
            purpose,
            fallback,
            request,
            acknowledged: None,
            ack_fallback: None,
            scheduled: None,
        };
        self.clients.insert(id, client);
        self.schedule_client(id);
        self.transmit(flow, bytes);
        id
    }

    /// A request in the dialog, in a transaction of its own.
    pub(super) fn send_in_dialog(
        &mut self,
        now: Instant,
        session: &mut Session,
        mut request: Request,
        purpose: Purpose,
    ) -> TransactionId {
        let flow = self.way_out(session);
        session.flow_broken &= flow == session.flow;
        if let Some(session_id) = &session.session_id {
            request.headers.push("Session-ID", &session_id.to_string());
        }
        if matches!(request.method, Method::Invite | Method::Update) {
            request.contact = vec![self.contact(&flow)];
        }
        self.send(now, flow, request, purpose)
    }

    pub(super) fn via(&mut self, flow: &Flow) -> Via {
        let branch = self.tokens.branch();
        Via::new(flow.transport, self.our_address(flow), &branch)
    }

    /// Where requests of this call go: on its connection while it is there, else to the next hop if
    /// that is an address of the same trunk, else to where the peer was last heard. Names are not
    /// looked up: nothing goes to an address that the trunk does not own. A trunk that is known by name
    /// alone owns the address it was heard from; whoever is there must prove the name again.
    pub(super) fn way_out(&self, session: &Session) -> Flow {
        if session.flow.transport.is_reliable() && !session.flow_broken || session.behind_nat {
            return session.flow;
        }
        let next_hop = session.dialog.next_hop().socket_address().filter(|address| {
            let owner = self.trunks.at(address.ip());
            let is_its = owner.is_some_and(|trunk| trunk.name == session.trunk.name)
                || !session.trunk.tls_names.is_empty() && address.ip() == session.flow.peer.ip();
            is_its && address.port() != 0 && address.is_ipv4() == session.flow.local.is_ipv4()
        });
        Flow { peer: next_hop.unwrap_or(session.flow.peer), ..session.flow }
    }

    /// Our Contact: the outside address where there is one, else ours of this flow.
    pub(super) fn contact(&self, flow: &Flow) -> NameAddr {
        let trunk = self.peer_trunk(flow);
        let mut contact =
            NameAddr::new(self.contact_uri(flow, &self.settings.contact_user, trunk.map(|trunk| &**trunk)));
        if self.settings.is_focus {
            contact.params.set("isfocus", None);
        }
        contact
    }

    /// Where `trunk` reaches us, when it asks for `user`.
    pub(super) fn contact_uri(&self, flow: &Flow, user: &str, trunk: Option<&Trunk>) -> Uri {
        let address = self.outside(flow.local, trunk);
        let mut uri = Uri::sip(Some(user), address.ip(), Some(address.port()));
        let transport = match flow.transport {
            Transport::Udp => None,
            Transport::Tcp | Transport::Tls => Some(flow.transport.name()),
        };
        if let (Some(transport), Some(params)) = (transport, uri.params_mut()) {
            params.set("transport", Some(transport));
        }
        uri
    }

    /// As the trunk sees it.
    pub(super) fn our_address(&self, flow: &Flow) -> SocketAddr {
        self.outside(flow.local, self.peer_trunk(flow).map(|trunk| &**trunk))
    }

    fn outside(&self, local: SocketAddr, trunk: Option<&Trunk>) -> SocketAddr {
        let all = &self.settings.external_address;
        let outside = trunk.map_or(*all, |trunk| trunk.external_address.or(all));
        SocketAddr::new(outside.of(local.ip()).unwrap_or(local.ip()), local.port())
    }
}

pub(super) fn client_key(branch: &str, method: &Method) -> Box<str> {
    format!("{branch}\n{method}").into_boxed_str()
}
