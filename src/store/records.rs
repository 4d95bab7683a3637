//! Call records: written behind the calls' backs in batches, spilled rather than lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::database::{Pool, Query, query};
use super::hooks::{HookEvent, Hooks};
use super::page::{Cursor, Page, Range};
use super::row::{Columns, Row, millis};
use super::spill::Spill;
use super::words::Word;
use super::{Error, Store};
use crate::bridge::input::{DigitSource, Quality};
use crate::bridge::record::{Act, Key, Signalled};
use crate::bridge::snapshot::Entered;
use crate::bridge::{CallRecord, Ending};
use crate::types::{CallId, HostId, MeetingId, PhoneNumber, Suite, Trust};

/// A finished call, read back.
#[derive(Clone, Debug, PartialEq)]
pub struct PastCall {
    pub call: CallId,
    pub sip_call_id: String,
    pub trunk: String,
    pub access_number: Option<String>,
    pub number: Option<PhoneNumber>,
    pub withheld: bool,
    pub trust: Trust,
    /// Empty in records of versions before there was one.
    pub trust_reason: String,
    pub started_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub joined_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub host: Option<HostId>,
    pub meeting: Option<MeetingId>,
    pub entered: Option<Entered>,
    pub ending: Ending,
    pub explanation: String,
    pub path: Vec<PastStep>,
    pub keys: Vec<PastKey>,
    pub remembered: bool,
    pub acts: Vec<Act>,
    pub quality: Option<Quality>,
    pub signalled: Signalled,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PastStep {
    pub at: Timestamp,
    pub what: String,
}

/// When a key was pressed and where it was heard, never which.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PastKey {
    pub at: Timestamp,
    pub source: DigitSource,
    /// How long it was down; `None`: unknown.
    pub length_ms: Option<u32>,
    /// How often another source told of the same press.
    pub merged: u8,
}

/// All that are given must be met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallFilter {
    pub host: Option<HostId>,
    pub meeting: Option<MeetingId>,
    pub trunk: Option<String>,
    pub number: Option<PhoneNumber>,
    pub ending: Option<Ending>,
    /// Started at this time or later.
    pub from: Option<Timestamp>,
    /// Started before this time.
    pub until: Option<Timestamp>,
}

impl Store {
    /// Queues a record and returns at once. Full queue or broken database: it goes to the spill
    /// file, from which it is replayed.
    pub fn save_record(&self, record: CallRecord) {
        let call = record.call;
        match self.to_stored(record) {
            Ok(row) => self.inner.records.write(row),
            Err(cause) => error!(%call, %cause, "call record lost"),
        }
    }

    /// Waits until every record saved before is in the database or the spill file.
    pub async fn flush_records(&self) {
        self.inner.records.flush().await;
    }

    /// The same, with what was put aside: then every record is in the database, or this fails.
    pub(super) async fn settle_records(&self) -> Result<(), Error> {
        if self.inner.records.settle().await { Ok(()) } else { Err(Error::RecordsAside) }
    }

    pub async fn call(&self, call: CallId) -> Result<Option<PastCall>, Error> {
        let row = query("SELECT * FROM call_records WHERE id = $1")
            .bind(call.to_string())
            .fetch_optional(self.reader())
            .await?;
        row.map(|row| self.read_call(&row)).transpose()
    }

    /// Latest start first.
    pub async fn calls(&self, filter: &CallFilter, range: Range) -> Result<Page<PastCall>, Error> {
        let mut wanted = query("SELECT * FROM call_records WHERE 1 = 1");
        if let Some(host) = filter.host {
            wanted = wanted.push(" AND host = ").push_bind(host.to_string());
        }
        if let Some(meeting) = filter.meeting {
            wanted = wanted.push(" AND meeting = ").push_bind(meeting.to_string());
        }
        if let Some(trunk) = &filter.trunk {
            wanted = wanted.push(" AND trunk = ").push_bind(trunk.clone());
        }
        if let Some(number) = &filter.number {
            wanted = wanted.push(" AND number_mac = ").push_bind(self.keys().number(number).to_vec());
        }
        if let Some(ending) = filter.ending {
            wanted = wanted.push(" AND ending = ").push_bind(ending.name());
        }
        if let Some(from) = filter.from {
            wanted = wanted.push(" AND started_at >= ").push_bind(millis(from));
        }
        if let Some(until) = filter.until {
            wanted = wanted.push(" AND started_at < ").push_bind(millis(until));
        }
        if let Some(after) = range.after {
            wanted = wanted.push(" AND (started_at, id) < (").push_bind(after.time);
            wanted = wanted.push(", ").push_bind(after.id.to_string()).push(")");
        }
        wanted =
            wanted.push(" ORDER BY started_at DESC, id DESC LIMIT ").push_bind(i64::from(range.limit) + 1);
        let rows = wanted.fetch_all(self.reader()).await?;
        let found = rows.iter().map(|row| self.read_call(row)).collect::<Result<_, _>>()?;
        Ok(Page::of(found, range.limit, |call: &PastCall| Cursor {
            time: millis(call.started_at),
            id: call.call.0,
        }))
    }

    fn to_stored(&self, record: CallRecord) -> Result<Stored, Error> {
        let number = record.number.as_ref();
        let sealed = number.map(|number| self.keys().seal_number(record.call.0.as_bytes(), number));
        let detail = Detail {
            sip_call_id: record.sip_call_id,
            access_number: record.access_number,
            withheld: record.withheld,
            trust_reason: record.trust_reason,
            answered_at: record.answered_at,
            joined_at: record.joined_at,
            entered: record.entered.map(|entered| entered.word().to_owned()),
            explanation: record.explanation,
            path: record.path.into_iter().map(|s| PastStep { at: s.at, what: s.what.to_owned() }).collect(),
            keys: record.keys.iter().map(KeyDetail::of).collect(),
            remembered: record.remembered,
            acts: record.acts,
            quality: record.quality.map(StoredQuality::from),
            signalled: record.signalled,
        };
        Ok(Stored {
            id: record.call,
            started_at: millis(record.started_at),
            ended_at: millis(record.ended_at),
            host: record.host,
            meeting: record.meeting,
            trunk: record.trunk,
            trust: record.trust,
            ending: record.ending.name().to_owned(),
            number_mac: number.map(|number| URL_SAFE_NO_PAD.encode(self.keys().number(number))),
            number_sealed: sealed.transpose()?.map(|sealed| URL_SAFE_NO_PAD.encode(sealed)),
            number_masked: number.map(PhoneNumber::masked),
            detail: serde_json::to_string(&detail).map_err(|_| Error::Unreadable("detail"))?,
        })
    }

    fn read_call(&self, row: &Row) -> Result<PastCall, Error> {
        let call = CallId(row.uuid("id")?);
        let detail: Detail =
            serde_json::from_str(&row.text("detail")?).map_err(|_| Error::Unreadable("detail"))?;
        let id = |column| -> Result<Option<uuid::Uuid>, Error> {
            row.text_or_null(column)?
                .map(|text| text.parse().map_err(|_| Error::Unreadable(column)))
                .transpose()
        };
        let number = row.bytes_or_null("number_sealed")?;
        let keys = detail.keys.into_iter().map(|key| {
            Some(PastKey {
                at: Timestamp::from_millisecond(key.at).ok()?,
                source: DigitSource::from_word(&key.source)?,
                length_ms: key.length_ms,
                merged: key.merged,
            })
        });
        Ok(PastCall {
            call,
            sip_call_id: detail.sip_call_id,
            trunk: row.text("trunk")?,
            access_number: detail.access_number,
            number: number.map(|sealed| self.keys().unseal_number(call.0.as_bytes(), &sealed)).transpose()?,
            withheld: detail.withheld,
            trust: Trust::from_name(&row.text("trust")?).ok_or(Error::Unreadable("trust"))?,
            trust_reason: detail.trust_reason,
            started_at: row.time("started_at")?,
            answered_at: detail.answered_at,
            joined_at: detail.joined_at,
            ended_at: row.time("ended_at")?,
            host: id("host")?.map(HostId),
            meeting: id("meeting")?.map(MeetingId),
            entered: detail.entered.as_deref().and_then(Entered::from_word),
            ending: Ending::from_name(&row.text("ending")?).ok_or(Error::Unreadable("ending"))?,
            explanation: detail.explanation,
            path: detail.path,
            keys: keys.collect::<Option<_>>().ok_or(Error::Unreadable("keys"))?,
            remembered: detail.remembered,
            acts: detail.acts,
            quality: detail.quality.map(Quality::from),
            signalled: detail.signalled,
        })
    }
}

/// One row of `call_records`, which is also one line of the spill file.
#[derive(Clone, Deserialize, Serialize)]
struct Stored {
    id: CallId,
    started_at: i64,
    ended_at: i64,
    host: Option<HostId>,
    meeting: Option<MeetingId>,
    trunk: String,
    trust: Trust,
    ending: String,
    /// In base64url.
    number_mac: Option<String>,
    number_sealed: Option<String>,
    /// Masked; records of before have none.
    #[serde(default)]
    number_masked: Option<String>,
    detail: String,
}

impl Stored {
    /// For webhooks: that the call is over, as its record says in short.
    fn told(&self, hooks: &Hooks, mac: Option<Vec<u8>>) -> Vec<Query> {
        let date = |millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
        let data = serde_json::json!({
            "call_id": self.id,
            "started_at": date(self.started_at),
            "ended_at": date(self.ended_at),
            "host_id": self.host,
            "meeting_id": self.meeting,
            "trunk": self.trunk,
            "trust": self.trust,
            "number": self.number_masked,
            "ending": self.ending,
        });
        let id = self.id.to_string();
        hooks.rows(&id, HookEvent::CallEnded, &id, mac, date(self.ended_at), data)
    }
}

/// What is shown and never searched for.
#[derive(Deserialize, Serialize)]
struct Detail {
    sip_call_id: String,
    access_number: Option<String>,
    withheld: bool,
    #[serde(default)]
    trust_reason: String,
    answered_at: Option<Timestamp>,
    joined_at: Option<Timestamp>,
    entered: Option<String>,
    explanation: String,
    path: Vec<PastStep>,
    keys: Vec<KeyDetail>,
    remembered: bool,
    quality: Option<StoredQuality>,
    /// Records of before have none.
    #[serde(default)]
    acts: Vec<Act>,
    #[serde(default)]
    signalled: Signalled,
}

/// Records of an earlier version have the first two in a list.
#[derive(Deserialize, Serialize)]
struct KeyDetail {
    /// Time in milliseconds.
    at: i64,
    source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length_ms: Option<u32>,
    #[serde(default)]
    merged: u8,
}

impl KeyDetail {
    fn of(key: &Key) -> Self {
        Self {
            at: millis(key.at),
            source: key.source.word().to_owned(),
            length_ms: key.lasted.map(|lasted| lasted.as_millis().try_into().unwrap_or(u32::MAX)),
            merged: key.merged,
        }
    }
}

#[derive(Deserialize, Serialize)]
struct StoredQuality {
    packets_received: u64,
    packets_late: u64,
    packets_lost: u64,
    packets_sent: u64,
    jitter_ms: f32,
    concealed: f32,
    peer_lost: Option<f32>,
    round_trip_ms: Option<f32>,
    // Records of an earlier version do not have these.
    #[serde(default)]
    reordered: u64,
    #[serde(default)]
    buffer_ms: f32,
    opinion: Option<f32>,
    peer_opinion: Option<f32>,
    #[serde(default)]
    packets_rejected: u64,
    #[serde(default)]
    srtp: Option<String>,
    #[serde(default)]
    ticks_late: u64,
    #[serde(default)]
    tick_late_max_ms: f32,
}

impl From<Quality> for StoredQuality {
    fn from(quality: Quality) -> Self {
        // JSON has no NaN and no infinity; a figure that is none was not measured.
        let finite = |figure: f32| if figure.is_finite() { figure } else { 0.0 };
        Self {
            packets_received: quality.packets_received,
            packets_late: quality.packets_late,
            packets_lost: quality.packets_lost,
            packets_sent: quality.packets_sent,
            jitter_ms: finite(quality.jitter_ms),
            concealed: finite(quality.concealed),
            peer_lost: quality.peer_lost.filter(|figure| figure.is_finite()),
            round_trip_ms: quality.round_trip_ms.filter(|figure| figure.is_finite()),
            reordered: quality.reordered,
            buffer_ms: finite(quality.buffer_ms),
            opinion: quality.opinion.filter(|figure| figure.is_finite()),
            peer_opinion: quality.peer_opinion.filter(|figure| figure.is_finite()),
            packets_rejected: quality.packets_rejected,
            srtp: quality.srtp.map(|suite| suite.name().to_owned()),
            ticks_late: quality.ticks_late,
            tick_late_max_ms: finite(quality.tick_late_max_ms),
        }
    }
}

impl From<StoredQuality> for Quality {
    fn from(stored: StoredQuality) -> Self {
        Self {
            packets_received: stored.packets_received,
            packets_late: stored.packets_late,
            packets_lost: stored.packets_lost,
            packets_sent: stored.packets_sent,
            jitter_ms: stored.jitter_ms,
            concealed: stored.concealed,
            peer_lost: stored.peer_lost,
            round_trip_ms: stored.round_trip_ms,
            reordered: stored.reordered,
            buffer_ms: stored.buffer_ms,
            opinion: stored.opinion,
            peer_opinion: stored.peer_opinion,
            packets_rejected: stored.packets_rejected,
            srtp: stored.srtp.as_deref().and_then(Suite::named),
            ticks_late: stored.ticks_late,
            tick_late_max_ms: stored.tick_late_max_ms,
        }
    }
}

/// The queue in front of the table, and the task behind it.
pub(super) struct Writer {
    queue: mpsc::Sender<Job>,
    spill: Arc<Spill>,
}

enum Job {
    Write(Box<Stored>),
    Flush(oneshot::Sender<()>),
    /// Write what was put aside too. Is all written?
    Settle(oneshot::Sender<bool>),
}

impl Writer {
    /// Replays what was spilled before, then takes records.
    pub async fn start(pool: Pool, spill: Spill, hooks: Hooks) -> Self {
        let spill = Arc::new(spill);
        replay(&pool, &spill, &hooks).await;
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(run(pool, Arc::clone(&spill), hooks, jobs));
        Self { queue, spill }
    }

    fn write(&self, row: Stored) {
        if let Err(full) = self.queue.try_send(Job::Write(Box::new(row)))
            && let Job::Write(row) = full.into_inner()
        {
            put_aside(&self.spill, &[*row]);
        }
    }

    pub async fn flush(&self) {
        let (done, waiting) = oneshot::channel();
        if self.queue.send(Job::Flush(done)).await.is_ok() {
            let _ = waiting.await;
        }
    }

    pub async fn settle(&self) -> bool {
        let (done, waiting) = oneshot::channel();
        self.queue.send(Job::Settle(done)).await.is_ok() && waiting.await.unwrap_or(false)
    }
}

async fn run(pool: Pool, spill: Arc<Spill>, hooks: Hooks, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    // What neither the database nor the disk takes.
    let mut held: VecDeque<Stored> = VecDeque::new();
    let mut retry = tokio::time::interval(REPLAY_EVERY);
    retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            count = jobs.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
                let mut rows = Vec::with_capacity(count);
                let (mut flushed, mut settled) = (Vec::new(), Vec::new());
                for job in batch.drain(..) {
                    match job {
                        Job::Write(row) => rows.push(*row),
                        Job::Flush(done) => flushed.push(done),
                        Job::Settle(done) => settled.push(done),
                    }
                }
                if let Err(cause) = insert(&pool, &rows, &hooks).await {
                    warn!(count = rows.len(), %cause, "call records not written, put aside");
                    if let Err(cause) = spill.add(&rows) {
                        error!(count = rows.len(), %cause, "nor in the spill file, held in memory");
                        held.extend(rows);
                        let lost = held.len().saturating_sub(QUEUE);
                        if lost > 0 {
                            error!(lost, "the oldest call records held in memory are lost");
                            held.drain(..lost);
                        }
                    }
                }
                for done in flushed {
                    let _ = done.send(());
                }
                if !settled.is_empty() {
                    write_held(&pool, &mut held, &hooks).await;
                    replay(&pool, &spill, &hooks).await;
                }
                for done in settled {
                    let _ = done.send(spill.is_empty() && held.is_empty());
                }
            }
            _ = retry.tick() => {
                write_held(&pool, &mut held, &hooks).await;
                if !spill.is_empty() {
                    replay(&pool, &spill, &hooks).await;
                }
            }
        }
    }
}

/// What waits in memory, if there is somebody who takes it now.
async fn write_held(pool: &Pool, held: &mut VecDeque<Stored>, hooks: &Hooks) {
    while !held.is_empty() {
        let batch: Vec<Stored> = held.iter().take(BATCH).cloned().collect();
        if insert(pool, &batch, hooks).await.is_err() {
            return;
        }
        held.drain(..batch.len());
        info!(count = batch.len(), "call records held in memory written");
    }
}

async fn insert(pool: &Pool, rows: &[Stored], hooks: &Hooks) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let decode = |text: &Option<String>| {
        let text = text.as_ref();
        text.map(|text| URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Unreadable("number"))).transpose()
    };
    let mut transaction = pool.begin().await?;
    for row in rows {
        let added = query(
            "INSERT INTO call_records (id, started_at, ended_at, host, meeting, trunk, trust, ending,
                                       number_mac, number_sealed, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING",
        )
        .bind(row.id.to_string())
        .bind(row.started_at)
        .bind(row.ended_at)
        .bind(row.host.map(|host| host.to_string()))
        .bind(row.meeting.map(|meeting| meeting.to_string()))
        .bind(&row.trunk)
        .bind(row.trust.as_str())
        .bind(&row.ending)
        .bind(decode(&row.number_mac)?)
        .bind(decode(&row.number_sealed)?)
        .bind(&row.detail)
        .execute(&mut transaction)
        .await?;
        // A record that is replayed twice was told once.
        if added.rows_affected() > 0 {
            for told in row.told(hooks, decode(&row.number_mac)?) {
                told.execute(&mut transaction).await?;
            }
        }
    }
    transaction.commit().await?;
    hooks.ring();
    Ok(())
}

fn put_aside(spill: &Spill, rows: &[Stored]) {
    if let Err(cause) = spill.add(rows) {
        error!(count = rows.len(), %cause, "call records lost: neither database nor spill file takes them");
    }
}

/// As many files as there are (an interrupted one, and the one since). A fault leaves the rest for
/// the next time; what was written twice counts once.
async fn replay(pool: &Pool, spill: &Spill, hooks: &Hooks) {
    loop {
        let mut file = match spill.take::<Stored>() {
            Ok(Some(file)) => file,
            Ok(None) => return,
            Err(cause) => return warn!(%cause, "spilled call records not read"),
        };
        let mut count = 0;
        loop {
            match file.next(BATCH) {
                Ok(rows) if rows.is_empty() => break,
                Ok(rows) => {
                    if let Err(cause) = insert(pool, &rows, hooks).await {
                        return warn!(%cause, "spilled call records not replayed");
                    }
                    count += rows.len();
                }
                Err(cause) => return warn!(%cause, "spilled call records not read"),
            }
        }
        match file.finish() {
            Ok(()) => info!(count, "spilled call records replayed"),
            Err(cause) => return warn!(%cause, "spilled call records replayed but not removed"),
        }
    }
}

/// Records that may wait; more go to the spill file.
const QUEUE: usize = 10_000;

/// Records written in one transaction: one write to the disk for many calls that end together.
const BATCH: usize = 256;

/// How often spilled records are tried again.
const REPLAY_EVERY: Duration = Duration::from_secs(5);
