//! Short writes of many calls at once, committed together.
//!
//! A commit waits for the disk, a statement does not. Whatever has queued while one batch was
//! written is the next batch, so a lone write waits for nobody, and a thousand calls that are
//! remembered in one second cost a few dozen commits.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::database::{Pool, Query, Transaction, query};

/// Something that is done in the batch's transaction, and told when that is committed.
trait Write: Send {
    /// Nobody waits for it any more.
    fn is_given_up(&self) -> bool;
    /// Done at most once. What it may not do, it alone does not do.
    fn make<'c>(&'c mut self, transaction: &'c mut Transaction) -> BoxFuture<'c, Result<(), Error>>;
    fn tell(self: Box<Self>, outcome: Result<(), Error>);
}

struct Statement {
    query: Option<Query>,
    made: Option<u64>,
    done: oneshot::Sender<Result<u64, Error>>,
}

impl Write for Statement {
    fn is_given_up(&self) -> bool {
        self.done.is_closed()
    }

    fn make<'c>(&'c mut self, transaction: &'c mut Transaction) -> BoxFuture<'c, Result<(), Error>> {
        Box::pin(async move {
            if let Some(query) = self.query.take() {
                self.made = Some(transaction.execute_alone(query).await?.rows_affected());
            }
            Ok(())
        })
    }

    fn tell(self: Box<Self>, outcome: Result<(), Error>) {
        tell(self.done, self.made, outcome);
    }
}

struct Job<T, F> {
    work: Option<F>,
    made: Option<T>,
    done: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Write for Job<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut Transaction) -> BoxFuture<'c, Result<T, Error>> + Send,
{
    fn is_given_up(&self) -> bool {
        self.done.is_closed()
    }

    fn make<'c>(&'c mut self, transaction: &'c mut Transaction) -> BoxFuture<'c, Result<(), Error>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return Ok(()) };
            query("SAVEPOINT job").execute(&mut *transaction).await?;
            match work(&mut *transaction).await {
                Ok(made) => {
                    query("RELEASE SAVEPOINT job").execute(&mut *transaction).await?;
                    self.made = Some(made);
                    Ok(())
                }
                Err(error) => {
                    query("ROLLBACK TO SAVEPOINT job").execute(&mut *transaction).await?;
                    Err(error)
                }
            }
        })
    }

    fn tell(self: Box<Self>, outcome: Result<(), Error>) {
        let Self { done, made, .. } = *self;
        tell(done, made, outcome);
    }
}

fn tell<T>(done: oneshot::Sender<Result<T, Error>>, made: Option<T>, outcome: Result<(), Error>) {
    // Whoever asked may have gone meanwhile.
    let _ = done.send(outcome.and_then(|()| made.ok_or_else(closed)));
}

/// The queue in front of the batches.
pub(super) struct Writes {
    queue: mpsc::Sender<Box<dyn Write>>,
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
        let write = Box::new(Statement { query: Some(statement), made: None, done });
        self.queue.send(write).await.map_err(|_| closed())?;
        waiting.await.unwrap_or_else(|_| Err(closed()))
    }

    /// The same for several statements: all of them or none.
    pub async fn job<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Transaction) -> BoxFuture<'c, Result<T, Error>> + Send + 'static,
    {
        let (done, waiting) = oneshot::channel();
        let job = Box::new(Job { work: Some(work), made: None, done });
        self.queue.send(job).await.map_err(|_| closed())?;
        waiting.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn closed() -> Error {
    Error::Database(sqlx::Error::PoolClosed)
}

async fn run(pool: Pool, mut writes: mpsc::Receiver<Box<dyn Write>>) {
    let mut batch = Vec::with_capacity(BATCH);
    while writes.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(|write| !write.is_given_up());
        if !batch.is_empty() {
            commit(&pool, std::mem::take(&mut batch)).await;
        }
    }
}

/// A write that breaks a constraint, or finds what it cannot read, fails alone. Any other fault (disk
/// full, file locked) may have taken the transaction with it, so it fails the whole batch.
async fn commit(pool: &Pool, mut batch: Vec<Box<dyn Write>>) {
    let written: Result<Vec<_>, sqlx::Error> = async {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut transaction = pool.begin().await?;
        for write in &mut batch {
            match write.make(&mut transaction).await {
                Err(Error::Database(error)) if !is_constraint(&error) => return Err(error),
                outcome => outcomes.push(outcome),
            }
        }
        transaction.commit().await?;
        Ok(outcomes)
    }
    .await;
    match written {
        Ok(outcomes) => {
            for (write, outcome) in batch.into_iter().zip(outcomes) {
                write.tell(outcome);
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for write in batch {
                write.tell(Err(Error::Batch(Arc::clone(&error))));
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
