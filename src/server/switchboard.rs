//! The loop around the bridge: every event of the service in one order, which is also the log.
//!
//! One task owns the [`Bridge`]; there are no locks around it. An input comes from signalling,
//! media, the store, an operator or the clock; its outputs are carried out before the next input is
//! looked at. Readers get a published [`Snapshot`].

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

use crate::bridge::news::{News, What};
use crate::bridge::{Bridge, By, CallRecord, Command, Input, Output, Rejection, Reply, RequestId, Snapshot};
use crate::http::Feed;
use crate::media;
use crate::server::figures;
use crate::server::lines::Lines;
use crate::server::operations::{Counts, Order};
use crate::server::questions::Questions;
use crate::server::signatures::Verdicts;
use crate::server::traces;
use crate::signalling;
use crate::sip::Event;
use crate::store::Store;
use crate::trace::Spans;
use crate::types::Now;

/// Who is told of what happens, and answers nothing.
pub(super) struct Onlookers {
    pub feed: Feed,
    /// `None`: no spans are sent.
    pub spans: Option<Spans>,
}

/// A command and where its reply goes.
pub(super) type Request = (By, Command, oneshot::Sender<Result<Reply, Rejection>>);

/// Where inputs come from.
pub(super) struct Sources {
    pub signalling: signalling::Events,
    pub media: media::Events,
    pub answers: mpsc::Receiver<Input>,
    pub verdicts: Verdicts,
    pub requests: mpsc::Receiver<Request>,
    pub orders: mpsc::Receiver<Order>,
}

pub(super) struct Switchboard {
    bridge: Bridge,
    lines: Lines,
    questions: Questions,
    store: Store,
    counts: Counts,
    onlookers: Onlookers,
    /// Replies that are owed, by request.
    owed: HashMap<RequestId, oneshot::Sender<Result<Reply, Rejection>>>,
    requests: u64,
    /// Inputs that carrying out an output gave rise to.
    pending: VecDeque<Input>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    /// What of the bridge is published, and when the next one may be.
    published: (u64, u64),
    publish_at: Instant,
}

/// Building a snapshot walks over all calls: readers see what is alive at most this late. Whoever
/// gave a command sees it at once.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);

impl Switchboard {
    pub(super) fn new(
        bridge: Bridge,
        lines: Lines,
        questions: Questions,
        store: Store,
        counts: Counts,
        onlookers: Onlookers,
        snapshot: watch::Sender<Arc<Snapshot>>,
    ) -> Self {
        Self {
            bridge,
            lines,
            questions,
            store,
            counts,
            onlookers,
            owed: HashMap::new(),
            requests: 0,
            pending: VecDeque::new(),
            snapshot,
            published: (0, 0),
            publish_at: Instant::now(),
        }
    }

    /// Runs until every door is gone.
    pub(super) async fn run(mut self, mut sources: Sources) {
        loop {
            let deadline = self.bridge.deadline();
            let publish_at = (self.published != self.revision()).then_some(self.publish_at);
            tokio::select! {
                // Keys and hang-ups of calls that are in come before new calls.
                biased;
                event = sources.media.next() => self.lines.on_media(event, &mut self.pending).await,
                Some(answer) = sources.answers.recv() => self.pending.push_back(answer),
                Some((call, verdict)) = sources.verdicts.recv() => {
                    self.lines.on_verdict(call, verdict, &mut self.pending);
                }
                request = sources.requests.recv() => match request {
                    Some(request) => self.command(request),
                    None => break,
                },
                Some(order) = sources.orders.recv() => self.order(order).await,
                event = sources.signalling.recv() => match event {
                    Some(event) => self.on_signalling(event).await,
                    None => break,
                },
                () = sleep_until(deadline) => self.pending.push_back(Input::Tick),
                () = sleep_until(publish_at) => {}
            }
            let began = Instant::now();
            self.work_off().await;
            metrics::histogram!("doorline_switchboard_seconds").record(began.elapsed().as_secs_f64());
        }
    }

    async fn order(&mut self, order: Order) {
        let done = match order {
            Order::Swap(tables, done) => {
                self.bridge.set_room(&tables.room);
                self.lines.swap(*tables).await;
                done
            }
            Order::Alive(done) => done,
        };
        // Whoever asked may have gone.
        let _ = done.send(());
    }

    async fn on_signalling(&mut self, event: Event) {
        if let Some(record) = self.lines.on_signalling(event, &mut self.pending).await {
            self.save(record);
        }
    }

    /// Logs and counts the call's end, and hands its record to the store, which never makes us wait.
    fn save(&self, record: CallRecord) {
        let ending = record.ending.name();
        figures::count_call(&record);
        self.counts.count(&record);
        if let Some(spans) = &self.onlookers.spans {
            spans.tell(traces::past_call(&record));
        }
        let (call, status) = (record.call, record.signalled.refused_with);
        info!(%call, trunk = record.trunk, ending, status, why = record.explanation, "call over");
        self.store.save_record(record);
    }

    fn command(&mut self, (by, command, reply): Request) {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.owed.insert(request, reply);
        self.pending.push_back(Input::Command { request, by, command });
    }

    async fn work_off(&mut self) {
        let mut outputs = Vec::new();
        while let Some(input) = self.pending.pop_front() {
            self.decide(input, &mut outputs);
            for output in outputs.drain(..) {
                self.carry_out(output).await;
            }
        }
        self.tell_talk();
        if Instant::now() >= self.publish_at && self.published != self.revision() {
            self.publish();
        }
    }

    /// Asks the bridge. Should it panic, the call that was decided about ends and is counted; the
    /// others live.
    fn decide(&mut self, input: Input, outputs: &mut Vec<Output>) {
        let now = Now::read();
        let bridge = &mut self.bridge;
        if catch_unwind(AssertUnwindSafe(|| bridge.handle(input, now, outputs))).is_ok() {
            return;
        }
        metrics::counter!("doorline_decision_faults_total").increment(1);
        let call = self.bridge.after_panic(outputs);
        error!(call = call.map(tracing::field::display), "a decision failed; its call is ended");
    }

    async fn carry_out(&mut self, output: Output) {
        match output {
            Output::Ask { question, ask } => {
                self.pending.extend(self.questions.ask(question, ask));
            }
            Output::Save { mut record } => {
                self.lines.complete(&mut record);
                self.save(*record);
            }
            Output::Reply { request, reply } => {
                if let Some(sender) = self.owed.remove(&request) {
                    self.publish();
                    // Whoever asked may have gone; then nobody needs the reply.
                    let _ = sender.send(reply);
                }
            }
            Output::News { news } => {
                let mut news = *news;
                // They may have begun to talk before they joined.
                if let What::Joined(participant) = &mut news.what {
                    participant.talking = self.lines.talks(participant.participant);
                }
                self.onlookers.feed.tell(&news, Now::read().date);
            }
            to_a_line => self.lines.carry_out(to_a_line, &mut self.pending).await,
        }
    }

    /// Who talks is known to the legs alone.
    fn tell_talk(&mut self) {
        for (call, on) in self.lines.take_talk() {
            if let Some((host, meeting)) = self.bridge.place_of(call) {
                let news = News { host, meeting: Some(meeting), what: What::Talking(call, on) };
                self.onlookers.feed.tell(&news, Now::read().date);
            }
        }
    }

    /// Of what is published: the bridge's, and of who talks.
    fn revision(&self) -> (u64, u64) {
        (self.bridge.revision(), self.lines.heard())
    }

    fn publish(&mut self) {
        self.published = self.revision();
        self.publish_at = Instant::now() + PUBLISH_EVERY;
        let mut snapshot = self.bridge.snapshot();
        self.lines.mark(&mut snapshot);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        metrics::gauge!("doorline_snapshot_timestamp_seconds").set(now.as_secs_f64());
        metrics::gauge!("doorline_calls_live").set(snapshot.calls.len() as f64);
        metrics::gauge!("doorline_meetings_live").set(snapshot.meetings.len() as f64);
        let participants: usize = snapshot.meetings.iter().map(|meeting| meeting.roster.len()).sum();
        metrics::gauge!("doorline_participants_live").set(participants as f64);
        self.snapshot.send_replace(Arc::new(snapshot));
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
