//! The task that empties the outbox: takes what is due, hands it over, writes down what became of it.
//!
//! A letter leaves the outbox only after the server has taken it. If the process dies between these
//! two, it is handed over once more after the next start, with the same Message-ID, UID and SEQUENCE, by
//! which servers and calendars know it: at least once, and one entry in the guest's calendar.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::letter::Letter;
use super::mailer::Mailer;
use super::retry::{self, Outcome};

/// Where letters wait. One task at a time empties it.
pub trait Outbox: Send + Sync + 'static {
    type Error: std::fmt::Display + Send;

    /// At most `most` letters whose time has come.
    fn due(
        &self,
        now: Timestamp,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Letter>, Self::Error>> + Send;

    /// What became of a letter. Durable before it returns.
    fn settle(
        &self,
        letter: i64,
        outcome: &Outcome,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Ends when something new may be due. May end early.
    fn filled(&self) -> impl Future<Output = ()> + Send;
}

/// Sends until `shutdown`; letters that are being handed over are finished first.
pub async fn run(outbox: impl Outbox, mailer: Mailer, shutdown: impl Future<Output = ()> + Send) {
    let mailer = Arc::new(mailer);
    let mut shutdown = pin!(shutdown);
    // What the outbox could not write down yet. Such a letter is not sent again by us.
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
        due.retain(|letter| !unsettled.contains_key(&letter.id));
        due.truncate(AT_ONCE);
        let idle = due.is_empty();
        let mut sending = JoinSet::new();
        for letter in due {
            let mailer = Arc::clone(&mailer);
            sending.spawn(async move {
                let result = mailer.send(&letter).await;
                (letter.id, retry::outcome(result, letter.attempts, Timestamp::now()))
            });
        }
        while let Some(done) = sending.join_next().await {
            let Ok((letter, outcome)) = done else { continue };
            match &outcome {
                Outcome::Sent => info!(letter, "invitation sent"),
                Outcome::Later { at, why } => warn!(letter, %at, why, "invitation not sent, tried again"),
                Outcome::Failed { why } => warn!(letter, why, "invitation not sent, given up"),
            }
            unsettled.insert(letter, outcome);
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
    for (letter, outcome) in std::mem::take(unsettled) {
        if let Err(cause) = outbox.settle(letter, &outcome, Timestamp::now()).await {
            warn!(letter, %cause, "outbox not written");
            left.insert(letter, outcome);
        }
    }
    *unsettled = left;
}

/// Connections to the server at once.
const AT_ONCE: usize = 4;

/// Letters that are to be tried again come due by themselves.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
