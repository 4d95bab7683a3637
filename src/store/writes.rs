//! Short writes of many calls at once, committed together.
//!
//! A commit waits for the disk, a statement does not. Whatever has queued while one batch was
//! written is the next batch, so a lone write waits for nobody, and a thousand calls that are
//! remembered in one second cost a few dozen commits.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::database::{Pool, Query};

struct Write {
    statement: Query,
    done: oneshot::Sender<Result<u64, Error>>,
}

/// The queue in front of the batches.
pub(super) struct Writes {
    queue: mpsc::Sender<Write>,
}

impl Writes {
    pub fn start(pool: Pool) -> Self {
        let (queue, writes) = mpsc::channel(QUEUE);
        tokio::spawn(run(pool, writes));
        Self { queue }
    }

    /// Rows touched; on the disk when this returns. A write whose asker went away before its batch
    /// began is not made.
    pub async fn write(&self, statement: Query) -> Result<u64, Error> {
        let (done, waiting) = oneshot::channel();
        let closed = |()| Error::Database(sqlx::Error::PoolClosed);
        self.queue.send(Write { statement, done }).await.map_err(|_| closed(()))?;
        waiting.await.unwrap_or_else(|_| Err(closed(())))
    }
}

async fn run(pool: Pool, mut writes: mpsc::Receiver<Write>) {
    let mut batch = Vec::with_capacity(BATCH);
    while writes.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(|write| !write.done.is_closed());
        if !batch.is_empty() {
            commit(&pool, &mut batch).await;
        }
        batch.clear();
    }
}

/// A row that breaks a constraint fails alone. Any other fault (disk full, file locked) may have
/// taken the transaction with it, so it fails the whole batch.
async fn commit(pool: &Pool, batch: &mut Vec<Write>) {
    let mut asked = Vec::with_capacity(batch.len());
    let written: Result<Vec<_>, sqlx::Error> = async {
        let mut results = Vec::with_capacity(batch.len());
        let mut transaction = pool.begin().await?;
        for write in batch.drain(..) {
            asked.push(write.done);
            match transaction.execute_alone(write.statement).await {
                Ok(done) => results.push(Ok(done.rows_affected())),
                Err(error) if is_constraint(&error) => results.push(Err(error)),
                Err(error) => return Err(error),
            }
        }
        transaction.commit().await?;
        Ok(results)
    }
    .await;
    asked.extend(batch.drain(..).map(|write| write.done));
    match written {
        Ok(results) => {
            for (asked, result) in asked.into_iter().zip(results) {
                let _ = asked.send(result.map_err(Error::from));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for asked in asked {
                let _ = asked.send(Err(Error::Batch(Arc::clone(&error))));
            }
        }
    }
}

fn is_constraint(error: &sqlx::Error) -> bool {
    use sqlx::error::ErrorKind;
    error.as_database_error().is_some_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::UniqueViolation
                | ErrorKind::ForeignKeyViolation
                | ErrorKind::NotNullViolation
                | ErrorKind::CheckViolation
        )
    })
}

/// Writes that may wait; more wait in front of the queue, at most as long as their asker does.
const QUEUE: usize = 256;

/// Most statements of one commit: some milliseconds of work.
const BATCH: usize = 256;
