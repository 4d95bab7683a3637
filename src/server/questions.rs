//! The bridge's questions on their way to the store and back.
//!
//! At most 256 wait at once; one more is answered `Unavailable` on the spot, which the flow turns
//! into "please try again later". One task asks them all side by side, and each for the first time
//! in the order they came: the store writes in that order, so that a close never overtakes the open
//! behind it.

use std::sync::Arc;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::bridge::{Answer, Input, Question, QuestionId};
use crate::store::Store;
use crate::types::Now;

/// Questions under way at once.
const QUESTIONS_MAX: usize = 256;

type Asked = (QuestionId, Question, OwnedSemaphorePermit);

pub(super) struct Questions {
    places: Arc<Semaphore>,
    queue: mpsc::Sender<Asked>,
}

impl Questions {
    /// Answers come out of the receiver, one per question that `ask` took.
    pub(super) fn new(store: Store) -> (Self, mpsc::Receiver<Input>) {
        let (answers, receiver) = mpsc::channel(QUESTIONS_MAX);
        let (queue, questions) = mpsc::channel(QUESTIONS_MAX);
        tokio::spawn(answer(store, questions, answers));
        (Self { places: Arc::new(Semaphore::new(QUESTIONS_MAX)), queue }, receiver)
    }

    /// Sends a question on its way. The answer is here already when it cannot be asked.
    pub(super) fn ask(&self, question: QuestionId, ask: Question) -> Option<Input> {
        let place = self.places.clone().try_acquire_owned().ok();
        let sent = place.and_then(|place| self.queue.try_send((question, ask, place)).ok());
        if sent.is_some() {
            return None;
        }
        metrics::counter!("doorline_overload_total", "queue" => "store").increment(1);
        Some(Input::Answer { question, answer: Answer::Unavailable })
    }
}

/// Asks until nobody sends questions or nobody wants answers any more.
async fn answer(store: Store, mut questions: mpsc::Receiver<Asked>, answers: mpsc::Sender<Input>) {
    let mut waiting = FuturesUnordered::new();
    loop {
        tokio::select! {
            asked = questions.recv() => {
                let Some((question, ask, place)) = asked else { return };
                let store = &store;
                waiting.push(async move {
                    let began = Instant::now();
                    let answer = store.answer(ask, Now::read().date).await;
                    metrics::histogram!("doorline_store_seconds").record(began.elapsed().as_secs_f64());
                    drop(place);
                    Input::Answer { question, answer }
                });
            }
            Some(answer) = waiting.next() => {
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
        }
    }
}
