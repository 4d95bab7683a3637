//! What operators do to the running service: read its configuration again, look at its trunks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

use crate::bridge::{CallRecord, Snapshot};
use crate::config::{self, Settings};
use crate::http::{self, Reloaded, Reloading, TrunkFacts, Verdict};
use crate::server::clips::Packs;
use crate::server::figures;
use crate::server::reload::{Tables, difference, new_tls};
use crate::server::trunks::{self, Load, believes, judge};
use crate::signalling;
use crate::stir::Verifier;
use crate::telemetry;
use crate::types::Now;

/// Reads the configuration once more. It may take its time: it is given a thread of its own.
pub type Reread = Arc<dyn Fn() -> Result<Settings, Vec<config::Fault>> + Send + Sync>;

/// To the switchboard, beside what operators want of calls.
pub(super) enum Order {
    /// Use these from the next call on.
    Swap(Box<Tables>, oneshot::Sender<()>),
    /// Does the loop turn?
    Alive(oneshot::Sender<()>),
}

/// How long the switchboard may take to carry out an order.
const CARRIED_OUT: Duration = Duration::from_secs(5);

pub(super) struct Operations {
    reread: Reread,
    /// What runs. Held while a reload is under way: they take turns.
    running: tokio::sync::Mutex<Running>,
    tables: watch::Sender<Arc<Tables>>,
    orders: mpsc::Sender<Order>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    counts: Counts,
    signalling: signalling::Handle,
}

struct Running {
    settings: Settings,
    packs: Packs,
}

/// Calls of each trunk since the start. Clones share one.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(Arc<Mutex<HashMap<String, Count>>>);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// Answered, and refused or given up before that. Calls are counted when they are over.
    pub answered: u64,
    pub unanswered: u64,
}

impl Counts {
    pub(super) fn count(&self, record: &CallRecord) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_trunk = all.entry(record.trunk.clone()).or_default();
        match record.answered_at {
            Some(_) => of_trunk.answered += 1,
            None => of_trunk.unanswered += 1,
        }
    }

    pub(super) fn of(&self, trunk: &str) -> Count {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(trunk).copied().unwrap_or_default()
    }
}

impl Operations {
    pub(super) fn new(
        settings: &Settings,
        packs: Packs,
        reread: Reread,
        orders: mpsc::Sender<Order>,
        snapshot: watch::Receiver<Arc<Snapshot>>,
        counts: Counts,
        signalling: signalling::Handle,
    ) -> Self {
        Self {
            reread,
            running: tokio::sync::Mutex::new(Running { settings: settings.clone(), packs }),
            tables: watch::Sender::new(Arc::new(Tables::of(settings))),
            orders,
            snapshot,
            counts,
            signalling,
        }
    }

    pub(super) fn tables(&self) -> Arc<Tables> {
        self.tables.borrow().clone()
    }

    /// Takes over what can change while calls go on; a faulty configuration changes nothing.
    pub(super) async fn reload_now(&self) -> Result<Reloaded, Vec<config::Fault>> {
        let result = self.take_over().await;
        let word = if result.is_ok() { "done" } else { "refused" };
        metrics::counter!("doorline_reloads_total", "result" => word).increment(1);
        match &result {
            Ok(Reloaded { changes, needs_restart }) => {
                for change in changes {
                    info!("{change}");
                }
                for part in needs_restart {
                    warn!(part, "changed in the file, needs a restart");
                }
                info!(changes = changes.len(), "configuration read again");
            }
            Err(faults) => {
                for fault in faults {
                    error!(%fault, "configuration");
                }
                error!(faults = faults.len(), "configuration not taken over: everything stays as it was");
            }
        }
        result
    }

    async fn take_over(&self) -> Result<Reloaded, Vec<config::Fault>> {
        let mut held = self.running.lock().await;
        let reread = self.reread.clone();
        let failed = |what: &str| vec![config::Fault::of_all(what)];
        let before = held.packs.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = reread()?;
            match before.again(&read) {
                Ok(packs) => Ok((read, packs)),
                Err(error) => Err(vec![config::Fault::of_all(&format!("prompts: {error}"))]),
            }
        });
        let (read, packs) = read.await.map_err(|_| failed("reading it failed"))??;
        let Running { settings: running, packs: heard } = &mut *held;
        let mut difference = difference(running, &read);
        let other_prompts = heard.changes(&packs);
        let verifier = (running.stir != read.stir)
            .then(|| read.stir.clone().map(Verifier::new).transpose())
            .transpose()
            .map_err(|error| failed(&format!("stir: {error}")))?;
        let tls = new_tls(running, &read).cloned();
        let new_packs = (!other_prompts.is_empty()).then(|| packs.clone());
        let tables = Tables { tls, verifier, packs: new_packs, ..Tables::of(&read) };
        self.order(|done| Order::Swap(Box::new(tables), done))
            .await
            .ok_or_else(|| failed("the service is too busy to take it over, please try again"))?;
        self.tables.send_replace(Arc::new(Tables::of(&read)));
        if running.log_level != read.log_level {
            telemetry::set_log_level(&read.log_level);
        }
        if let Some(tls) = new_tls(running, &read) {
            figures::tell_certificate(tls);
            running.signalling.tls = Some(tls.clone());
        }
        difference.changes.extend(other_prompts);
        *heard = packs;
        running.bridge = running.bridge.with_room_of(&read.bridge);
        running.signalling.calls_rate = read.signalling.calls_rate;
        running.prompts = read.prompts;
        running.trunks = read.trunks;
        running.access_numbers = read.access_numbers;
        running.log_level = read.log_level;
        running.stir = read.stir;
        Ok(Reloaded {
            changes: difference.changes,
            needs_restart: difference.needs_restart.into_iter().map(str::to_owned).collect(),
        })
    }

    /// Whether the loop around the bridge turns.
    pub(super) async fn is_alive(&self) -> bool {
        self.order(Order::Alive).await.is_some()
    }

    /// `None` when it is not carried out in time.
    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) -> Option<()> {
        let (sender, done) = oneshot::channel();
        let carried_out = async {
            self.orders.send(order(sender)).await.ok()?;
            done.await.ok()
        };
        tokio::time::timeout(CARRIED_OUT, carried_out).await.ok()?
    }
}

impl http::Operations for Operations {
    fn reload(&self) -> Reloading<'_> {
        let told = |fault: config::Fault| http::ConfigFault {
            file: fault.file.display().to_string(),
            key: fault.key,
            what: fault.what,
        };
        Box::pin(
            async move { self.reload_now().await.map_err(|faults| faults.into_iter().map(told).collect()) },
        )
    }

    fn access_numbers(&self) -> Vec<http::AccessNumber> {
        let numbers = &self.tables().access_numbers;
        numbers
            .iter()
            .map(|number| http::AccessNumber {
                number: number.number.clone(),
                language: number.language.clone(),
                country: number.country,
            })
            .collect()
    }

    fn trunks(&self) -> Vec<TrunkFacts> {
        let (states, now) = (self.signalling.trunks(), Now::read());
        let facts = |trunk: &crate::sip::trunk::Trunk| {
            let count = self.counts.of(&trunk.name);
            let state = states.iter().find(|state| state.name == trunk.name);
            TrunkFacts {
                name: trunk.name.clone(),
                allow: trunk.allow.iter().map(ToString::to_string).collect(),
                tls_names: trunk.tls_names.iter().map(ToString::to_string).collect(),
                believes: believes(trunk),
                country: trunk.country.map(|country| country.as_str().to_owned()),
                calls_max: trunk.calls_max,
                answered: count.answered,
                unanswered: count.unanswered,
                recognised_by: trunks::recognised_by(trunk),
                state: state.map(|state| state.reach).unwrap_or_default().name(),
                learned: state
                    .map(|state| state.learned.iter().map(ToString::to_string).collect())
                    .unwrap_or_default(),
                registration: state
                    .and_then(|state| state.registration.as_ref())
                    .map(|state| trunks::registration(state, now)),
                ping: state.and_then(|state| state.ping.as_ref()).map(trunks::ping),
                refused: state.map(|state| trunks::refused(&state.admitted)).unwrap_or_default(),
            }
        };
        self.tables().trunks.iter().map(facts).collect()
    }

    fn judge(&self, trunk: &str, from: IpAddr) -> Option<Verdict> {
        let snapshot = self.snapshot.borrow().clone();
        let load = Load {
            draining: snapshot.draining,
            trunk_calls: snapshot.calls.iter().filter(|call| call.trunk == trunk).count(),
            calls: snapshot.calls.len(),
            calls_max: self.tables().room.calls_max,
        };
        let states = self.signalling.trunks();
        let learned: Vec<(String, Vec<IpAddr>)> =
            states.iter().map(|state| (state.name.clone(), state.learned.clone())).collect();
        judge(&self.tables().trunks, &learned, trunk, from, load)
    }

    fn probe(&self, trunk: String) -> http::Probing<'_> {
        Box::pin(async move {
            // Signalling that is gone asks nobody.
            self.signalling.probe(&trunk).await.ok().flatten().map(trunks::probe)
        })
    }
}
