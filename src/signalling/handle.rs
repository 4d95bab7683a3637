//! What the service holds of signalling: a handle for commands, a queue of events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::{Listen, Tap, Tls};
use crate::sip::bucket::Rate;
use crate::sip::endpoint::{CannotCall, Event, Load, Outgoing, REFUSALS, TrunkState};
use crate::sip::trunk::Trunk;
use crate::sip::{Farewell, Flow, TlsName, Warning};
use crate::types::CallId;

/// Cheap to clone. Signalling stops when the last one is dropped, or by [`Handle::stop`].
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) local: Arc<[Listen]>,
    pub(super) counters: Arc<Counts>,
    pub(super) trunks: watch::Receiver<Arc<Vec<TrunkState>>>,
}

/// Who answered a probe with which status, and after how long; or why nobody did.
pub type Probe = Result<(Flow, u16, Duration), String>;

/// Brings events in order. Whoever reads it slowly delays calls, never loses one that was announced.
#[derive(Debug)]
pub struct Events(pub(super) mpsc::Receiver<Event>);

impl Events {
    /// `None` when signalling has stopped.
    pub async fn recv(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// One that is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

/// Signalling has stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("signalling has stopped")]
pub struct Gone;

#[derive(Debug)]
pub(super) enum Command {
    Ring(CallId, Option<Vec<u8>>),
    Answer(CallId, Vec<u8>),
    Refuse { call: CallId, status: u16, warning: Option<Warning>, retry_after: Option<u32> },
    HangUp(CallId, Farewell),
    AcceptOffer(CallId, Vec<u8>),
    RefuseOffer(CallId, u16, Option<Warning>),
    Reinvite(CallId, Vec<u8>),
    SendInfo(CallId, String, Vec<u8>),
    Invite(Box<Outgoing>, oneshot::Sender<Result<CallId, CannotCall>>),
    Ack(CallId, Option<Vec<u8>>),
    Cancel(CallId),
    SetDraining(bool),
    SetTrunks(Vec<Trunk>),
    SetCallsRate(Option<Rate>),
    SetTls(Tls),
    SetTap(Tap),
    ExpectName(SocketAddr, TlsName),
    Probe(String, oneshot::Sender<Probe>),
    Load(oneshot::Sender<Load>),
    Stop(oneshot::Sender<()>),
}

/// Since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Messages and connections from addresses that no trunk allows.
    pub refused_sources: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Requests refused because the endpoint was full.
    pub overloaded: u64,
    /// INVITEs refused because new calls came faster than the service takes them.
    pub too_fast: u64,
    /// INVITEs refused because the service did not keep up with events.
    pub refused_busy: u64,
    /// Connections closed because there were too many.
    pub refused_connections: u64,
    /// TLS handshakes that failed or were not done in time.
    pub failed_handshakes: u64,
    /// Errors of sockets, each of which cost at most one message or one connection.
    pub socket_errors: u64,
    /// Refusals at the door that found no room in the queue of events; they have no record.
    pub events_lost: u64,
    /// Requests that begin no call and were refused, by [`REFUSALS`].
    pub refused: [u64; REFUSALS.len()],
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    refused_sources: AtomicU64,
    malformed: AtomicU64,
    overloaded: AtomicU64,
    too_fast: AtomicU64,
    refused_busy: AtomicU64,
    refused_connections: AtomicU64,
    failed_handshakes: AtomicU64,
    socket_errors: AtomicU64,
    events_lost: AtomicU64,
    refused: [AtomicU64; REFUSALS.len()],
}

impl Counts {
    pub(super) fn publish(&self, counters: &Counters) {
        let Counters {
            refused_sources,
            malformed,
            overloaded,
            too_fast,
            refused_busy,
            refused_connections,
            failed_handshakes,
            socket_errors,
            events_lost,
            refused,
        } = *counters;
        for (cell, value) in self.refused.iter().zip(refused) {
            cell.store(value, Ordering::Relaxed);
        }
        let pairs = [
            (&self.refused_sources, refused_sources),
            (&self.malformed, malformed),
            (&self.overloaded, overloaded),
            (&self.too_fast, too_fast),
            (&self.refused_busy, refused_busy),
            (&self.refused_connections, refused_connections),
            (&self.failed_handshakes, failed_handshakes),
            (&self.socket_errors, socket_errors),
            (&self.events_lost, events_lost),
        ];
        for (cell, value) in pairs {
            cell.store(value, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Counters {
        let get = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Counters {
            refused_sources: get(&self.refused_sources),
            malformed: get(&self.malformed),
            overloaded: get(&self.overloaded),
            too_fast: get(&self.too_fast),
            refused_busy: get(&self.refused_busy),
            refused_connections: get(&self.refused_connections),
            failed_handshakes: get(&self.failed_handshakes),
            socket_errors: get(&self.socket_errors),
            events_lost: get(&self.events_lost),
            refused: std::array::from_fn(|row| get(&self.refused[row])),
        }
    }
}

/// Commands wait when 1,024 are queued. What each does stands at the endpoint's method of that name.
impl Handle {
    /// The addresses that are bound, in the order of the settings.
    #[must_use]
    pub fn local_addresses(&self) -> &[Listen] {
        &self.local
    }

    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.read()
    }

    /// 180; a caller who acknowledges it needs our description in it.
    pub async fn ring(&self, call: CallId, sdp: Option<Vec<u8>>) -> Result<(), Gone> {
        self.send(Command::Ring(call, sdp)).await
    }

    /// 200 with our answer, or our offer when the INVITE had none.
    pub async fn answer(&self, call: CallId, sdp: Vec<u8>) -> Result<(), Gone> {
        self.send(Command::Answer(call, sdp)).await
    }

    /// A final refusal before the answer; `retry_after` in seconds.
    pub async fn refuse(
        &self,
        call: CallId,
        status: u16,
        warning: Option<Warning>,
        retry_after: Option<u32>,
    ) -> Result<(), Gone> {
        self.send(Command::Refuse { call, status, warning, retry_after }).await
    }

    /// BYE with a Reason; before the answer 480, of a call of ours CANCEL.
    pub async fn hang_up(&self, call: CallId, q850_cause: u8, text: &str) -> Result<(), Gone> {
        self.send(Command::HangUp(call, Farewell { cause: q850_cause, text: text.to_owned() })).await
    }

    /// 200 to a re-INVITE or UPDATE.
    pub async fn accept_offer(&self, call: CallId, sdp: Vec<u8>) -> Result<(), Gone> {
        self.send(Command::AcceptOffer(call, sdp)).await
    }

    /// Usually 488.
    pub async fn refuse_offer(
        &self,
        call: CallId,
        status: u16,
        warning: Option<Warning>,
    ) -> Result<(), Gone> {
        self.send(Command::RefuseOffer(call, status, warning)).await
    }

    pub async fn reinvite(&self, call: CallId, sdp: Vec<u8>) -> Result<(), Gone> {
        self.send(Command::Reinvite(call, sdp)).await
    }

    pub async fn send_info(&self, call: CallId, content_type: &str, body: Vec<u8>) -> Result<(), Gone> {
        self.send(Command::SendInfo(call, content_type.to_owned(), body)).await
    }

    /// Makes a call. Over TCP and TLS a connection to `flow.peer` is opened if there is none; `flow.local`
    /// is one of [`Handle::local_addresses`].
    pub async fn invite(&self, outgoing: Outgoing) -> Result<Result<CallId, CannotCall>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Invite(Box::new(outgoing), reply)).await?;
        answer.await.map_err(|_| Gone)
    }

    /// Acknowledges the answer to an INVITE without an offer.
    pub async fn ack(&self, call: CallId, sdp: Option<Vec<u8>>) -> Result<(), Gone> {
        self.send(Command::Ack(call, sdp)).await
    }

    pub async fn cancel(&self, call: CallId) -> Result<(), Gone> {
        self.send(Command::Cancel(call)).await
    }

    /// OPTIONS is answered 503 while draining.
    pub async fn set_draining(&self, draining: bool) -> Result<(), Gone> {
        self.send(Command::SetDraining(draining)).await
    }

    pub async fn set_trunks(&self, trunks: Vec<Trunk>) -> Result<(), Gone> {
        self.send(Command::SetTrunks(trunks)).await
    }

    /// How many new calls all trunks together may begin.
    pub async fn set_calls_rate(&self, rate: Option<Rate>) -> Result<(), Gone> {
        self.send(Command::SetCallsRate(rate)).await
    }

    /// How the trunks stand, by name: at most 200 ms old.
    #[must_use]
    pub fn trunks(&self) -> Arc<Vec<TrunkState>> {
        self.trunks.borrow().clone()
    }

    /// Asks a trunk's peer whether it is there (OPTIONS). `None`: nothing says where it is.
    pub async fn probe(&self, trunk: &str) -> Result<Option<Probe>, Gone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Probe(trunk.to_owned(), reply)).await?;
        Ok(answer.await.ok())
    }

    /// Another certificate, for connections from now on.
    pub async fn set_tls(&self, tls: Tls) -> Result<(), Gone> {
        self.send(Command::SetTls(tls)).await
    }

    /// Who is told of each message of a known peer from now on.
    pub async fn set_tap(&self, tap: Tap) -> Result<(), Gone> {
        self.send(Command::SetTap(tap)).await
    }

    /// A TLS connection that we open to `peer` must be with this name. Say it before anything is sent
    /// to an address that was found by name.
    pub async fn expect_name(&self, peer: SocketAddr, name: TlsName) -> Result<(), Gone> {
        self.send(Command::ExpectName(peer, name)).await
    }

    /// Calls, dialogs and transactions held now.
    pub async fn load(&self) -> Result<Load, Gone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Load(reply)).await?;
        answer.await.map_err(|_| Gone)
    }

    /// Gives registrations back, then closes all sockets; what is queued to UDP has gone out. Hang up
    /// and wait for the ends first.
    pub async fn stop(&self) {
        let (reply, done) = oneshot::channel();
        if self.send(Command::Stop(reply)).await.is_ok() {
            let _ = done.await;
        }
    }

    async fn send(&self, command: Command) -> Result<(), Gone> {
        self.commands.send(command).await.map_err(|_| Gone)
    }
}
