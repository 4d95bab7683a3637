//! Short writes of many calls at once, committed together.
//!
//! A commit waits for the disk, a statement does not. Whatever has queued while one batch was
//! written is the next batch, so a lone write waits for nobody, and a thousand calls that are
//! remembered in one second cost a few dozen commits. Each write has a savepoint of its own: what
//! one of them may not do, it alone does not.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::query::Query;
use sqlx::{Connection as _, Database};
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::row::Db;

/// One statement with all its parameters.
pub(super) type Statement = Query<'static, Db, <Db as Database>::Arguments>;

pub(super) type Connection = <Db as Database>::Connection;

/// Something that is done in the batch's transaction, and told when that is committed.
trait Write: Send {
    /// Nobody waits for it any more.
    fn is_given_up(&self) -> bool;
    fn make<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, Result<(), Error>>;
    fn tell(self: Box<Self>, outcome: Result<(), Error>);
}

struct Job<T, F> {
    work: Option<F>,
    made: Option<T>,
    done: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Write for Job<T, F>
where
    T: Send,
    F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, Error>> + Send,
{
    fn is_given_up(&self) -> bool {
        self.done.is_closed()
    }

    fn make<'c>(&'c mut self, connection: &'c mut Connection) -> BoxFuture<'c, Result<(), Error>> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.made = Some(work(connection).await?);
            }
            Ok(())
        })
    }

    fn tell(self: Box<Self>, outcome: Result<(), Error>) {
        let Self { made, done, .. } = *self;
        // Whoever asked may have gone meanwhile.
        let _ = done.send(outcome.and_then(|()| made.ok_or(Error::Database(sqlx::Error::PoolClosed))));
    }
}

/// The queue in front of the batches.
pub(super) struct Writes {
    queue: mpsc::Sender<Box<dyn Write>>,
}

impl Writes {
    pub fn start(pool: sqlx::Pool<Db>) -> Self {
        let (queue, writes) = mpsc::channel(QUEUE);
        tokio::spawn(run(pool, writes));
        Self { queue }
    }

    /// Rows touched; on the disk when this returns. A write whose asker went away before its batch
    /// began is not made.
    pub async fn write(&self, statement: Statement) -> Result<u64, Error> {
        self.job(|connection| {
            Box::pin(async move { Ok(statement.execute(connection).await?.rows_affected()) })
        })
        .await
    }

    /// The same for several statements: all of them or none.
    pub async fn job<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, Error>> + Send + 'static,
    {
        let (done, waiting) = oneshot::channel();
        let closed = |()| Error::Database(sqlx::Error::PoolClosed);
        let job = Box::new(Job { work: Some(work), made: None, done });
        self.queue.send(job).await.map_err(|_| closed(()))?;
        waiting.await.unwrap_or_else(|_| Err(closed(())))
    }
}

async fn run(pool: sqlx::Pool<Db>, mut writes: mpsc::Receiver<Box<dyn Write>>) {
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
async fn commit(pool: &sqlx::Pool<Db>, mut batch: Vec<Box<dyn Write>>) {
    let written: Result<Vec<_>, sqlx::Error> = async {
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        for write in &mut batch {
            let mut savepoint = transaction.begin().await?;
            match write.make(&mut savepoint).await {
                Ok(()) => {
                    savepoint.commit().await?;
                    outcomes.push(Ok(()));
                }
                Err(Error::Database(error)) if !is_constraint(&error) => return Err(error),
                Err(error) => {
                    savepoint.rollback().await?;
                    outcomes.push(Err(error));
                }
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
