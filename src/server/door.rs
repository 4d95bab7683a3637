//! The way in for operators' commands: from any task to the switchboard and back.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::bridge::{By, Command, Rejection, Reply, Snapshot};
use crate::http;
use crate::server::switchboard::Request;

/// Sends commands and reads what is live. Clones reach the same switchboard.
#[derive(Clone)]
pub(super) struct Door {
    pub requests: mpsc::Sender<Request>,
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
}

impl Door {
    /// The bridge's reply. A switchboard that is gone can write nothing: `StoreUnavailable`.
    pub(super) async fn ask(&self, by: By, command: Command) -> Result<Reply, Rejection> {
        let (sender, reply) = oneshot::channel();
        self.requests.send((by, command, sender)).await.map_err(|_| Rejection::StoreUnavailable)?;
        reply.await.map_err(|_| Rejection::StoreUnavailable)?
    }
}

impl http::Switchboard for Door {
    fn command(&self, by: By, command: Command) -> http::Answered<'_> {
        Box::pin(self.ask(by, command))
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }
}
