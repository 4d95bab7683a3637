//! Start, drain, stop.
//!
//! Everything that can fail fails before the first socket listens. SIGTERM and SIGINT drain: new
//! calls get 503, those that are in go on until they end or the deadline comes; a second signal
//! stops at once. SIGHUP reads the configuration again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::{error, info};

use crate::bridge::{Answer, Bridge, By, Command, Question, Rejection, Reply, Snapshot};
use crate::config::Settings;
use crate::http::{self, ServiceFacts};
use crate::mail::{self, Mailer};
use crate::media::{self, Engine};
use crate::outbox::{self, Carrier, Outbox};
use crate::prompt;
use crate::reach;
use crate::server::clips::Packs;
use crate::server::door::Door;
use crate::server::figures::{self, Figures};
use crate::server::invitations::Invitations;
use crate::server::known;
use crate::server::lines::Lines;
use crate::server::notices::Notices;
use crate::server::operations::{Counts, Operations, Reread};
use crate::server::questions::Questions;
use crate::server::retention;
use crate::server::signatures::Signatures;
use crate::server::switchboard::{Onlookers, Sources, Switchboard};
use crate::server::systemd::Systemd;
use crate::server::webhooks::Webhooks;
use crate::signalling::{self, Signalling};
use crate::sip::endpoint;
use crate::stir::Verifier;
use crate::store::{self, Store, Windows};
use crate::telemetry;
use crate::trace::{self, Spans, Traces};
use crate::types::{HostId, MeetingId, Now};
use crate::webhook::Hook;

/// Commands from operators that may wait at once.
const REQUESTS_MAX: usize = 256;
/// Orders to the switchboard that may wait at once.
const ORDERS_MAX: usize = 8;
/// How often histograms are tidied up.
const TIDY_EVERY: Duration = Duration::from_secs(5);
/// From where a drain ends calls to where they are over: the longest farewell.
const FAREWELL: Duration = Duration::from_secs(15);
/// How long writing the last records may take.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Why the service did not start. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("data folder {0}: {1}")]
    DataDir(PathBuf, std::io::Error),
    #[error("store: {0}")]
    Store(#[from] store::Error),
    #[error("prompts: {0}")]
    Prompts(#[from] prompt::Error),
    #[error("mail: {0}")]
    Mail(#[from] mail::Error),
    #[error("https: {0}")]
    Https(#[from] reach::Error),
    #[error("media: {0}")]
    Media(#[from] media::Error),
    #[error("{0}")]
    Trace(#[from] trace::Error),
    #[error("signalling: {0}")]
    Signalling(#[from] signalling::Error),
    #[error("http: {0}")]
    Http(#[from] http::Error),
    #[error("no random bytes from the system: {0}")]
    Random(getrandom::Error),
}

/// A service that runs.
pub struct Service {
    store: Store,
    door: Door,
    signalling: signalling::Handle,
    http_address: SocketAddr,
    http: JoinHandle<()>,
    stop_http: oneshot::Sender<()>,
    switchboard: JoinHandle<()>,
    operations: Arc<Operations>,
    tidy: JoinHandle<()>,
    sweep: JoinHandle<()>,
    /// Each sends what one receiver waits for: invitations, if mail is configured, and webhooks.
    senders: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
    /// How long a drain waits for calls to end by themselves.
    drain: Duration,
    /// Sends spans until the switchboard is gone.
    spans: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts every room, or none. `reread` reads the configuration again, when told to.
    pub async fn start(settings: Settings, reread: Reread) -> Result<Self, StartError> {
        std::fs::create_dir_all(&settings.data_dir)
            .map_err(|error| StartError::DataDir(settings.data_dir.clone(), error))?;
        let packs = Packs::load(&settings)?;
        let mailer = settings.mail.as_ref().map(Mailer::new).transpose()?;
        let verifier = settings.stir.clone().map(Verifier::new).transpose()?;
        let store = Store::open(&settings.store).await?;
        store.set_windows(Windows {
            early_join: settings.bridge.early_join,
            overrun: settings.bridge.overrun,
        });
        let hooks = settings.webhooks.iter().map(|hook| Hook::new(hook.settings.clone()));
        let hooks = hooks.collect::<Result<Vec<_>, _>>()?;
        store.attend_hooks(settings.webhooks.iter().map(|hook| hook.subscription.clone()).collect());
        store.set_limits(settings.bridge.guessing.clone());
        let put_back = store.after_crash(Now::read().date, settings.bridge.overrun).await?;
        if put_back > 0 {
            info!(meetings = put_back, "meetings left open by an earlier run are closed or scheduled again");
        }
        let traces = Traces::start(&settings.trace)?;
        let (media, media_events) = Engine::start(&settings.media)?;
        media.set_recording(settings.recording.clone());
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(StartError::Random)?;
        let (signalling, signalling_events) = Signalling::start(
            &settings.signalling,
            endpoint::Settings::default(),
            signalling::Limits::default(),
            settings.trunks.clone(),
            seed,
        )
        .await?;

        // Signalling that is gone is watched by nobody.
        let _ = signalling.set_tap(traces.tap()).await;
        let (signatures, verdicts) = Signatures::new(verifier);
        let lines = Lines::new(
            signalling.clone(),
            media.clone(),
            packs.clone(),
            signatures,
            traces.clone(),
            &settings,
        );
        let (questions, answers) = Questions::new(store.clone());
        let (requests, request_queue) = mpsc::channel(REQUESTS_MAX);
        let (orders, order_queue) = mpsc::channel(ORDERS_MAX);
        let (publish, snapshot) = watch::channel(Arc::new(Snapshot::default()));
        let counts = Counts::default();
        let operations = Arc::new(Operations::new(
            &settings,
            packs,
            reread,
            orders,
            snapshot.clone(),
            counts.clone(),
            signalling.clone(),
        ));
        figures::begin();
        if let Some(tls) = &settings.signalling.tls {
            figures::tell_certificate(tls);
        }
        let figures = Figures {
            media,
            signalling: signalling.clone(),
            operations: operations.clone(),
            snapshot: snapshot.clone(),
        };
        let door = Door { requests, snapshot };
        let sweep = retention::run(store.clone(), settings.retention, settings.recording.folder.clone());
        let rules = settings.bridge.clone();
        let feed = http::Feed::default();
        let (tell_spans, spans) = settings.otlp.clone().map(Spans::start).unzip();
        let switchboard = Switchboard::new(
            Bridge::new(settings.bridge),
            lines,
            questions,
            store.clone(),
            counts,
            Onlookers { feed: feed.clone(), spans: tell_spans },
            publish,
        );
        let sources = Sources {
            signalling: signalling_events,
            media: media_events,
            answers,
            verdicts,
            requests: request_queue,
            orders: order_queue,
        };
        let switchboard = tokio::spawn(switchboard.run(sources));

        let (stop_http, stopped) = oneshot::channel::<()>();
        let facts = ServiceFacts {
            operations: operations.clone(),
            traces: Arc::new(traces),
            rules,
            version: env!("CARGO_PKG_VERSION"),
            metrics: Arc::new(move || figures.text()),
            feed,
        };
        let (http_address, http) =
            http::serve(settings.http, store.clone(), Arc::new(door.clone()), facts, async {
                // Stopped, or the service is gone: either way there is nobody left to serve for.
                let _ = stopped.await;
            })
            .await?;
        let mut senders = Vec::with_capacity(1 + hooks.len());
        if let Some(mailer) = mailer {
            let operations = operations.clone();
            let numbers = Arc::new(move || http::Operations::access_numbers(&*operations));
            let invitations = Invitations::new(store.clone(), numbers, mailer.from());
            senders.push(sender(Notices::new(store.clone(), mailer.from()), mailer.clone()));
            senders.push(sender(invitations, mailer));
        }
        for hook in hooks {
            senders.push(sender(Webhooks::new(store.clone(), hook.name()), hook));
        }
        for listen in signalling.local_addresses() {
            info!(transport = listen.transport.name(), address = %listen.address, "SIP");
        }
        info!(address = %http_address, "HTTP");
        let tidy = tokio::spawn(tidy());
        let known = known::keep(store.clone());
        let sweep = tokio::spawn(async { tokio::join!(sweep, known) }.map(drop));
        Ok(Self {
            store,
            door,
            signalling,
            http_address,
            http,
            stop_http,
            switchboard,
            senders,
            drain: settings.drain,
            spans,
            operations,
            tidy,
            sweep,
        })
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// The addresses that SIP is listened for on, in the order of the settings.
    #[must_use]
    pub fn sip_addresses(&self) -> &[signalling::Listen] {
        self.signalling.local_addresses()
    }

    /// Opens a meeting as its moderator would by the API.
    pub async fn open_meeting(&self, host: HostId, meeting: MeetingId) -> Result<(), Rejection> {
        let answer = self.store.answer(Question::HostById { host }, Now::read().date).await;
        let Answer::Host(Some(host)) = answer else { return Err(Rejection::StoreUnavailable) };
        self.door
            .ask(By::Operator, Command::Open { host: Box::new(host), meeting })
            .await
            .map(|Reply::Done| ())
    }

    /// Serves until SIGTERM or SIGINT, then drains and stops. SIGHUP reads the configuration again.
    pub async fn run_until_told_to_stop(mut self) {
        let mut signals = Signals::listen();
        let systemd = Arc::new(Systemd::from_environment());
        let watchdog = self.watchdog(systemd.clone());
        systemd.ready();
        while signals.next_or_hang_up().await == Told::Reload {
            systemd.reloading();
            // What is wrong with it stands in the log.
            let _ = self.operations.reload_now().await;
            systemd.ready();
        }
        systemd.draining(self.door.snapshot.borrow().calls.len());
        self.drain(&mut signals).await;
        watchdog.abort();
        self.stop().await;
    }

    /// Signs of life for as long as the switchboard turns.
    fn watchdog(&self, systemd: Arc<Systemd>) -> JoinHandle<()> {
        let operations = self.operations.clone();
        tokio::spawn(async move {
            let Some(every) = systemd.sign_of_life_every() else { return };
            loop {
                if operations.is_alive().await {
                    systemd.alive();
                } else {
                    error!("the switchboard does not answer");
                }
                tokio::time::sleep(every).await;
            }
        })
    }

    /// Refuses new calls and waits until the last one is over and written down, or a second signal. At the
    /// deadline calls are ended, so that nobody is cut off without a word.
    async fn drain(&mut self, signals: &mut Signals) {
        let live = self.door.snapshot.borrow().calls.len();
        info!(calls = live, "draining: new calls are refused; a second signal stops at once");
        // Signalling that is gone takes no calls either.
        let _ = self.signalling.set_draining(true).await;
        // The reply says that the bridge has heard; nothing hangs on it.
        let _ = self.door.ask(By::Operator, Command::Drain).await;
        let in_time = async {
            if tokio::time::timeout(self.drain, self.all_over()).await.is_err() {
                info!("calls have not ended in time and are ended");
                let _ = self.door.ask(By::Operator, Command::EndCalls).await;
                let _ = tokio::time::timeout(FAREWELL, self.all_over()).await;
            }
        };
        tokio::select! {
            () = in_time => {}
            () = signals.next() => info!("stopping at once"),
        }
    }

    /// Ends when no call is left and each has its record.
    async fn all_over(&self) {
        let mut snapshot = self.door.snapshot.clone();
        // Without a switchboard there are no calls.
        let _ = snapshot.wait_for(|now| now.calls.is_empty() && now.unwritten == 0).await;
    }

    /// Stops at once, whatever is under way; the database is closed when it is done.
    pub async fn stop(self) {
        let Self {
            store, door, signalling, http, stop_http, switchboard, senders, spans, tidy, sweep, ..
        } = self;
        tidy.abort();
        sweep.abort();
        // HTTP holds a clone of the door; the switchboard ends when the last one is gone.
        let _ = stop_http.send(());
        let _ = http.await;
        drop(door);
        let _ = switchboard.await;
        signalling.stop().await;
        let mut tasks: Vec<_> = senders
            .into_iter()
            .map(|(stop, task)| {
                let _ = stop.send(());
                task
            })
            .collect();
        tasks.extend(spans);
        // What is on its way is waited for, but not for ever.
        let until = tokio::time::Instant::now() + LAST_WRITES;
        for mut task in tasks {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                task.abort();
            }
        }
        if tokio::time::timeout(LAST_WRITES, store.close()).await.is_err() {
            error!("the database did not close in time; what was queued is written at the next start");
        }
        info!("stopped");
    }
}

/// A task that empties an outbox until it is told to stop.
fn sender<O: Outbox>(outbox: O, carrier: impl Carrier<O::Item>) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(outbox::run(outbox, carrier, async {
        let _ = stopped.await;
    }));
    (stop, task)
}

/// Now and then tidies histograms up.
async fn tidy() {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        telemetry::tidy_metrics();
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Told {
    Stop,
    Reload,
}

/// SIGTERM and SIGINT, either of them, and SIGHUP.
struct Signals {
    hang_up: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> Self {
        let listen = |kind| signal(kind).expect("handlers of these signals can always be set");
        Self {
            hang_up: listen(SignalKind::hangup()),
            terminate: listen(SignalKind::terminate()),
            interrupt: listen(SignalKind::interrupt()),
        }
    }

    async fn next_or_hang_up(&mut self) -> Told {
        tokio::select! {
            _ = self.hang_up.recv() => Told::Reload,
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
        }
    }

    /// To stop.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
