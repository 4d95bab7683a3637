//! Reads ahead who goes straight in, for the time when the database is away.

use std::time::Duration;

use tracing::{info, warn};

use crate::store::Store;
use crate::types::Now;

/// What is kept is good for a day: so it never grows old while the database is there.
const EVERY: Duration = Duration::from_secs(12 * 60 * 60);
const AGAIN: Duration = Duration::from_secs(60);

/// Until it is dropped.
pub(super) async fn keep(store: Store) {
    loop {
        let wait = match store.keep_known(Now::read().date).await {
            Ok(numbers) => {
                info!(numbers, "known callers read ahead");
                EVERY
            }
            Err(cause) => {
                warn!(%cause, "known callers not read ahead");
                AGAIN
            }
        };
        tokio::time::sleep(wait).await;
    }
}
