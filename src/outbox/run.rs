//! The task that empties the outbox: takes what is due, hands it over, writes down what became of it.
//!
//! An item leaves the outbox only after the other side has taken it. If the process dies between these
//! two, it is handed over once more after the next start, under the same id (of mail: Message-ID, UID and
//! SEQUENCE), by which the other side knows it: at least once.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::retry::{self, Fault, Outcome};

/// Something that waits to be handed over.
pub trait Item: Clone + Send + Sync + 'static {
    /// In the log.
    const WHAT: &'static str;
    /// Of its row in the outbox.
    fn id(&self) -> i64;
    /// Attempts so far.
    fn attempts(&self) -> u32;
}

/// Where items wait. One task at a time empties it.
pub trait Outbox: Send + Sync + 'static {
    type Item: Item;
    type Error: std::fmt::Display + Send;

    /// At most `most` items whose time has come.
    fn due(
        &self,
        now: Timestamp,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Self::Item>, Self::Error>> + Send;

    /// What became of an item. Durable before it returns.
    fn settle(
        &self,
        item: i64,
        outcome: &Outcome,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Ends when something new may be due. May end early.
    fn filled(&self) -> impl Future<Output = ()> + Send;
}

/// Who hands items over.
pub trait Carrier<T>: Send + Sync + 'static {
    /// One attempt.
    fn carry(&self, item: &T) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Sends until `shutdown`; what is being handed over is finished first.
pub async fn run<O: Outbox>(
    outbox: O,
    carrier: impl Carrier<O::Item>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (carrier, what) = (Arc::new(carrier), O::Item::WHAT);
    let mut shutdown = pin!(shutdown);
    // What the outbox could not write down yet. Such an item is not sent again by us.
    let mut unsettled: BTreeMap<i64, Outcome> = BTreeMap::new();
    loop {
        settle(&outbox, &mut unsettled).await;
        let busy = unsettled.len();
        let mut due = match outbox.due(Timestamp::now(), AT_ONCE + busy).await {
            Ok(due) => due,
            Err(cause) => {
                warn!(%cause, "outbox not read");
                Vec::new()
            }
        };
        due.retain(|item| !unsettled.contains_key(&item.id()));
        due.truncate(AT_ONCE);
        let idle = due.is_empty();
        let mut sending = JoinSet::new();
        for item in due {
            let carrier = Arc::clone(&carrier);
            sending.spawn(async move {
                let result = carrier.carry(&item).await;
                (item.id(), retry::outcome(result, item.attempts(), Timestamp::now()))
            });
        }
        while let Some(done) = sending.join_next().await {
            let Ok((item, outcome)) = done else { continue };
            match &outcome {
                Outcome::Sent => info!(id = item, "{what} sent"),
                Outcome::Later { at, why } => warn!(id = item, %at, why, "{what} not sent, tried again"),
                Outcome::Failed { why } => warn!(id = item, why, "{what} not sent, given up"),
            }
            unsettled.insert(item, outcome);
            settle(&outbox, &mut unsettled).await;
        }
        let pause = async {
            if idle {
                tokio::select! {
                    () = outbox.filled() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = pause => {}
        }
    }
    settle(&outbox, &mut unsettled).await;
}

async fn settle(outbox: &impl Outbox, unsettled: &mut BTreeMap<i64, Outcome>) {
    let mut left = BTreeMap::new();
    for (item, outcome) in std::mem::take(unsettled) {
        if let Err(cause) = outbox.settle(item, &outcome, Timestamp::now()).await {
            warn!(id = item, %cause, "outbox not written");
            left.insert(item, outcome);
        }
    }
    *unsettled = left;
}

/// Attempts at once.
const AT_ONCE: usize = 4;

/// What is to be tried again comes due by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
