//! The bridge's questions on their way to the store and back.
//!
//! At most 256 wait at once; one more is answered `Unavailable` on the spot, which the flow turns
//! into "please try again later". Writes that say which meeting is live go one after another in the
//! order they were asked, so that a close never overtakes the open behind it; the rest run side by side.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::bridge::{Answer, Input, Question, QuestionId};
use crate::store::Store;
use crate::types::Now;

/// Questions under way at once.
const QUESTIONS_MAX: usize = 256;

pub(super) struct Questions {
    store: Store,
    places: Arc<Semaphore>,
    /// To the task that writes meetings' states in order.
    ordered: mpsc::Sender<(QuestionId, Question, tokio::sync::OwnedSemaphorePermit)>,
    answers: mpsc::Sender<Input>,
}

impl Questions {
    /// Answers come out of the receiver, one per question that `ask` took.
    pub(super) fn new(store: Store) -> (Self, mpsc::Receiver<Input>) {
        let (answers, receiver) = mpsc::channel(QUESTIONS_MAX);
        let (ordered, mut queue) = mpsc::channel(QUESTIONS_MAX);
        let places = Arc::new(Semaphore::new(QUESTIONS_MAX));
        tokio::spawn({
            let (store, answers) = (store.clone(), answers.clone());
            async move {
                while let Some((question, ask, place)) = queue.recv().await {
                    let answer = store.answer(ask, Now::read().date).await;
                    drop(place);
                    if answers.send(Input::Answer { question, answer }).await.is_err() {
                        return;
                    }
                }
            }
        });
        (Self { store, places, ordered, answers }, receiver)
    }

    /// Sends a question on its way, or says at once that it cannot be asked.
    pub(super) fn ask(&self, question: QuestionId, ask: Question) -> Result<(), Input> {
        let full = || Input::Answer { question, answer: Answer::Unavailable };
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            metrics::counter!("doorline_overload_total", "queue" => "store").increment(1);
            return Err(full());
        };
        if matches!(ask, Question::Open { .. } | Question::Close { .. }) {
            return self.ordered.try_send((question, ask, place)).map_err(|_| full());
        }
        let (store, answers) = (self.store.clone(), self.answers.clone());
        tokio::spawn(async move {
            let started = std::time::Instant::now();
            let answer = store.answer(ask, Now::read().date).await;
            metrics::histogram!("doorline_store_seconds").record(started.elapsed().as_secs_f64());
            drop(place);
            // A closed channel means that the service is gone, and with it whoever asked.
            let _ = answers.send(Input::Answer { question, answer }).await;
        });
        Ok(())
    }
}
