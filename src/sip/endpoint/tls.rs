//! Who is at the other end of a TLS connection: what it has proved, and what it must prove.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Endpoint;
use crate::sip::Transport;
use crate::sip::flow::Flow;
use crate::sip::tls_name::TlsName;
use crate::sip::trunk::Trunk;
use crate::sip::uri::{Host, Uri};

/// Far addresses whose names are remembered. Over it the addresses of trunks still have theirs.
const EXPECTED_MAX: usize = 1_024;

#[derive(Default)]
pub(super) struct Proofs {
    /// Names in the verified certificate of each connection that lives and has shown one.
    proved: HashMap<Flow, Arc<[TlsName]>>,
    /// The name that each far address was found under (RFC 3263): what it must prove to be.
    expected: HashMap<SocketAddr, TlsName>,
}

impl Proofs {
    pub(super) fn of(&self, flow: &Flow) -> &[TlsName] {
        if flow.transport != Transport::Tls {
            return &[];
        }
        self.proved.get(flow).map_or(&[], |names| names)
    }
}

impl Endpoint {
    /// A TLS connection from this address may turn out to be a trunk's.
    #[must_use]
    pub fn may_prove(&self, source: IpAddr) -> bool {
        self.trunks.by_proof(source).or_else(|| self.former.by_proof(source)).is_some()
    }

    /// The peer of a new TLS connection has shown a verified certificate with these names, or none.
    /// `false`: no trunk takes anything from it, and we have asked it nothing: it must be closed unread.
    pub fn prove(&mut self, flow: &Flow, names: Vec<TlsName>) -> bool {
        self.proofs.proved.remove(flow);
        let ip = flow.peer.ip();
        let known = self.trunks.of_peer(ip, &names).or_else(|| self.former_of(ip, &names)).is_some();
        if known && !names.is_empty() {
            self.proofs.proved.insert(*flow, names.into());
        }
        known || self.is_asked(ip)
    }

    /// The connection is closed: the next one of this flow proves anew.
    pub fn forget_proof(&mut self, flow: &Flow) {
        self.proofs.proved.remove(flow);
    }

    /// A TLS connection that we open to `peer` must be with this name. Say it before anything is sent
    /// there that was looked up by name (RFC 3263 §4).
    pub fn expect_name(&mut self, peer: SocketAddr, name: TlsName) {
        let expected = &mut self.proofs.expected;
        if expected.len() >= EXPECTED_MAX && !expected.contains_key(&peer) {
            expected.clear();
        }
        expected.insert(peer, name);
    }

    /// The name that the peer of a TLS connection of ours must prove; `None`: its address itself.
    #[must_use]
    pub fn expected_name(&self, flow: &Flow) -> Option<TlsName> {
        let of_trunk =
            |trunk: &Arc<Trunk>| trunk.tls_names.iter().find(|name| name.host().is_some()).cloned();
        let of_calls = || {
            let mut calls = self.calls.values().filter(|session| session.flow.peer.ip() == flow.peer.ip());
            calls.find_map(|session| of_trunk(&session.trunk))
        };
        let told = self.proofs.expected.get(&flow.peer).cloned();
        told.or_else(|| self.trunks.at(flow.peer.ip()).and_then(of_trunk)).or_else(of_calls)
    }

    /// The trunk that a call of ours on this flow belongs to.
    pub(super) fn trunk_to(&self, flow: &Flow) -> Option<&Arc<Trunk>> {
        let ip = flow.peer.ip();
        let at = || {
            self.trunks.at(ip).filter(|trunk| trunk.tls_names.is_empty() || flow.transport == Transport::Tls)
        };
        self.trunks.of_peer(ip, self.proofs.of(flow)).or_else(at)
    }

    /// The peer that was looked up as `target` must prove to be it (RFC 5922 §7.2: the domain that was
    /// asked for, not the one that the DNS leads to).
    pub(super) fn expect_target(&mut self, flow: &Flow, target: &Uri) {
        if flow.transport == Transport::Tls
            && let Some(Host::Name(name)) = target.host()
            && let Some(name) = TlsName::of_dns(name)
        {
            self.expect_name(flow.peer, name);
        }
    }

    /// A name in the URI of a call of ours is what the other end must prove, unless something else was
    /// said of it.
    pub(super) fn expect_host_of(&mut self, flow: &Flow, to: &Uri) {
        if !self.proofs.expected.contains_key(&flow.peer) {
            self.expect_target(flow, to);
        }
    }
}
