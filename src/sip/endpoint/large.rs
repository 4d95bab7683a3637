//! Requests of ours that are too large for a datagram: by TCP to the same address (RFC 3261 §18.1.1).
//!
//! A datagram above the path's MTU goes out in fragments, which firewalls drop and which are lost as a
//! whole with any of them. When the connection cannot be had, the request goes as a datagram after all,
//! and so do the next ones to that address for a while.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{ClientMachine, Endpoint};
use crate::sip::Transport;
use crate::sip::flow::{Bytes, Flow, Transmit};
use crate::sip::session::TransactionId;
use crate::sip::transaction::{InviteClient, NonInviteClient};
use crate::sip::wire::{Method, Request, Via};

/// The most that goes as a datagram, in bytes, when nobody knows the path's MTU.
const DATAGRAM_MAX: usize = 1_300;
/// After a connection that could not be had, large requests go as datagrams for so long.
const DATAGRAMS_FOR: Duration = Duration::from_secs(600);
/// Addresses of which that is remembered.
const PEERS_MAX: usize = 1_024;

/// Peers that take no TCP, and until when we believe that.
#[derive(Default)]
pub(super) struct WithoutTcp(HashMap<SocketAddr, Instant>);

impl WithoutTcp {
    fn add(&mut self, now: Instant, peer: SocketAddr) {
        self.0.retain(|_, until| *until > now);
        if self.0.len() >= PEERS_MAX {
            self.0.clear();
        }
        self.0.insert(peer, now + DATAGRAMS_FOR);
    }

    fn has(&self, now: Instant, peer: &SocketAddr) -> bool {
        self.0.get(peer).is_some_and(|until| *until > now)
    }
}

/// A request that went by TCP for its size, as it would be a datagram.
pub(super) struct Fallback {
    flow: Flow,
    request: Request,
}

impl Endpoint {
    /// Gives a request of ours with our Via another way if it is too large for its own.
    pub(super) fn fit(
        &self,
        now: Instant,
        flow: Flow,
        request: &mut Request,
    ) -> (Flow, Bytes, Option<Fallback>) {
        let bytes = request.to_bytes();
        if flow.transport != Transport::Udp
            || bytes.len() <= DATAGRAM_MAX
            || self.without_tcp.has(now, &flow.peer)
        {
            return (flow, bytes.into(), None);
        }
        let Some(by_tcp) = self.by_tcp(&flow) else { return (flow, bytes.into(), None) };
        let fallback = Fallback { flow, request: request.clone() };
        self.set_via(request, &by_tcp);
        (by_tcp, request.to_bytes().into(), Some(fallback))
    }

    /// The same peer over TCP; `None` where we have none of this family.
    fn by_tcp(&self, flow: &Flow) -> Option<Flow> {
        let fits = |address: &&SocketAddr| address.is_ipv4() == flow.local.is_ipv4();
        let all = || self.settings.tcp.iter().filter(fits);
        let ours = all().find(|address| address.ip() == flow.local.ip()).or_else(|| all().next())?;
        let ip = if ours.ip().is_unspecified() { flow.local.ip() } else { ours.ip() };
        let local = SocketAddr::new(ip, ours.port());
        Some(Flow { transport: Transport::Tcp, local, peer: flow.peer })
    }

    /// Our Via names the way that the request takes; its branch stays.
    fn set_via(&self, request: &mut Request, flow: &Flow) {
        if let Some(via) = request.via.first_mut() {
            let branch = via.branch().unwrap_or_default().to_owned();
            *via = Via::new(flow.transport, self.our_address(flow), &branch);
        }
    }

    /// The connection that this request went to cannot be had: as a datagram, then. `false`: it did not
    /// go by TCP for its size, or somebody has heard it.
    pub(super) fn fall_back(&mut self, now: Instant, id: TransactionId) -> bool {
        let Some(client) = self.clients.get_mut(&id) else { return false };
        let Some(fallback) = client.fallback.take() else { return false };
        let Fallback { flow, request } = *fallback;
        let bytes: Bytes = request.to_bytes().into();
        let timers = self.settings.timers;
        client.machine = if request.method == Method::Invite {
            let longest = self.settings.ring_max + timers.patience();
            ClientMachine::Invite(InviteClient::new(now, bytes.clone(), timers, false, longest))
        } else {
            ClientMachine::NonInvite(NonInviteClient::new(now, bytes.clone(), timers, false))
        };
        client.flow = flow;
        client.request = client.request.is_some().then(|| Box::new(request));
        self.schedule_client(id);
        self.transmit(flow, bytes);
        self.without_tcp.add(now, flow.peer);
        true
    }

    /// ACKs of answers that went to a connection which cannot be had: as datagrams, now and with each
    /// copy of the answer.
    pub(super) fn acknowledge_by_datagram(&mut self, now: Instant, failed: &Flow) {
        let mut again = Vec::new();
        for client in self.clients.values_mut() {
            let Some((_, ack)) = client.acknowledged.as_mut().filter(|(_, ack)| ack.flow == *failed) else {
                continue;
            };
            let Some(fallback) = client.ack_fallback.take() else { continue };
            *ack = Transmit { flow: fallback.flow, bytes: fallback.request.to_bytes().into() };
            again.push(ack.clone());
        }
        for transmit in again {
            self.without_tcp.add(now, transmit.flow.peer);
            self.transmits.push_back(transmit);
        }
    }
}
