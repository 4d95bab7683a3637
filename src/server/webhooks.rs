//! The webhooks' outbox in the store, as [`outbox`](crate::outbox) wants it: one for each hook, so that one
//! that does not answer keeps no other waiting.

use jiff::Timestamp;

use crate::outbox::{Outbox, Outcome};
use crate::store::{Error, Settled, Store};
use crate::webhook::Event;

pub struct Webhooks {
    store: Store,
    hook: String,
}

impl Webhooks {
    #[must_use]
    pub fn new(store: Store, hook: &str) -> Self {
        Self { store, hook: hook.to_owned() }
    }
}

impl Outbox for Webhooks {
    type Item = Event;
    type Error = Error;

    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<Event>, Error> {
        let due = self.store.due_hooks(&self.hook, now, most).await?;
        let event = |due: crate::store::HookDelivery| Event {
            id: due.id,
            attempts: due.attempts,
            event: due.event,
            body: due.body,
        };
        Ok(due.into_iter().map(event).collect())
    }

    async fn settle(&self, item: i64, outcome: &Outcome, now: Timestamp) -> Result<(), Error> {
        let settled = match outcome {
            Outcome::Sent => Settled::Sent,
            Outcome::Later { at, why } => Settled::Later(*at, why),
            Outcome::Failed { why } => Settled::Failed(why),
        };
        self.store.settle_hook(item, settled, now).await
    }

    async fn filled(&self) {
        self.store.hook_filled(&self.hook).await;
    }
}
