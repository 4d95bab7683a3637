//! Wrong entries, counted durably: the bridge's ladder, kept in a table.
//!
//! A try is one transaction: the rows of its budgets are taken, the ladder spends the try, the entry
//! is compared, and a right one takes its try back. So no two calls share a last try, a verdict is
//! never spoken before its try is on the disk, and a restart gives none back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use super::database::{Transaction, query};
use super::row::{Columns, millis};
use super::{Error, Store};
use crate::bridge::guess::{Aim, Attempt, Counter, Ladder, Proved, Spent, Tally, Tried};
use crate::types::{Code, HostId, HostPin, MeetingId, Pin};

/// What of a host's budgets is used up, for its owner.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct UsedUp {
    /// Callers who are not verified go to the lobby for every meeting: time for a new PIN.
    pub codes: bool,
    /// The host PIN opens nothing: time for a new one.
    pub host_pin: bool,
}

impl Store {
    /// Whose PIN it is. Nobody's when the caller has no try left.
    pub(super) async fn try_pin(
        &self,
        pin: Pin,
        by: Attempt,
        now: Timestamp,
    ) -> Result<(Option<HostId>, Tried), Error> {
        let store = self.clone();
        self.job(move |transaction| {
            Box::pin(async move {
                let mut step = Step::begin(&store, transaction, &by, &Aim::Pin, now).await?;
                let row = query("SELECT id FROM hosts WHERE pin_mac = $1")
                    .bind(store.keys().pin(pin.reveal()).to_vec())
                    .fetch_optional(&mut *transaction)
                    .await?;
                let host = row.map(|row| row.uuid("id").map(HostId)).transpose()?;
                let host = host.filter(|_| step.tried.compared);
                let tried = step.end(&store, transaction, host.is_some()).await?;
                Ok((host, tried))
            })
        })
        .await
    }

    /// The meeting whose code it is. None when the caller has no try left.
    pub(super) async fn try_code(
        &self,
        host: Option<HostId>,
        meetings: Vec<MeetingId>,
        code: Code,
        by: Attempt,
        now: Timestamp,
    ) -> Result<(Option<MeetingId>, Tried), Error> {
        let store = self.clone();
        self.job(move |transaction| {
            Box::pin(async move {
                let aim = Aim::Codes { host, meetings: meetings.clone() };
                let mut step = Step::begin(&store, transaction, &by, &aim, now).await?;
                let found = store.meeting_with_code(transaction, host, &meetings, &code).await?;
                let found = found.filter(|_| step.tried.compared);
                let tried = step.end(&store, transaction, found.is_some()).await?;
                Ok((found, tried))
            })
        })
        .await
    }

    /// Whether it is the host's private PIN; `false` when the caller or the host PIN has no try left.
    pub(super) async fn try_host_pin(
        &self,
        host: HostId,
        pin: HostPin,
        by: Attempt,
        now: Timestamp,
    ) -> Result<(bool, Tried), Error> {
        let store = self.clone();
        self.job(move |transaction| {
            Box::pin(async move {
                let mut step = Step::begin(&store, transaction, &by, &Aim::HostPin { host }, now).await?;
                let equal = store.is_host_pin(transaction, host, &pin).await?;
                let right = equal && step.tried.compared && !step.tried.exhausted;
                let tried = step.end(&store, transaction, right).await?;
                Ok((right, tried))
            })
        })
        .await
    }

    /// The call succeeded: what it had tried before is given back, as far as the ladder allows.
    pub(super) async fn give_back(
        &self,
        wrong: Vec<Spent>,
        proved: Proved,
        now: Timestamp,
    ) -> Result<(), Error> {
        let store = self.clone();
        self.job(move |transaction| {
            Box::pin(async move {
                let mut counters: Vec<Counter> =
                    wrong.iter().flat_map(|spent| spent.counters.iter().cloned()).collect();
                let mut ladder = store.load(transaction, &mut counters).await?;
                ladder.give_back(&wrong, proved, now);
                store.keep(transaction, &ladder, &counters).await
            })
        })
        .await
    }

    /// Whether a host's budgets are used up.
    pub async fn used_up(&self, host: HostId, now: Timestamp) -> Result<UsedUp, Error> {
        let full = |counters: Vec<Counter>| async move {
            let mut ladder = self.look(&counters).await?;
            Ok::<_, Error>(counters.iter().any(|counter| ladder.is_used_up(counter, now)))
        };
        Ok(UsedUp {
            codes: full(vec![Counter::CodesOf(host)]).await?,
            host_pin: full(vec![Counter::HostPin(host), Counter::HostPinsOf(host)]).await?,
        })
    }

    /// Whether the budget of this meeting's code is used up.
    pub async fn code_used_up(&self, meeting: MeetingId, now: Timestamp) -> Result<bool, Error> {
        let counter = Counter::Code(meeting);
        let mut ladder = self.look(std::slice::from_ref(&counter)).await?;
        Ok(ladder.is_used_up(&counter, now))
    }

    /// Takes rows away that have no effect any more. Tells how many.
    pub async fn prune_guesses(&self, now: Timestamp) -> Result<u64, Error> {
        let statement = query(
            "DELETE FROM guesses WHERE void_at <= $1
                OR (counter = 'code' AND subject NOT IN (SELECT id FROM meetings))
                OR (counter IN ('codes-of-host', 'host-pin', 'host-pins-of-host')
                    AND subject NOT IN (SELECT id FROM hosts))",
        )
        .bind(millis(now));
        self.write(statement).await
    }

    /// The budgets of these start anew.
    pub(super) async fn renew(
        &self,
        transaction: &mut Transaction,
        counters: &[Counter],
    ) -> Result<(), Error> {
        for counter in counters {
            let (kind, subject) = self.place(counter);
            query("DELETE FROM guesses WHERE counter = $1 AND subject = $2")
                .bind(kind)
                .bind(subject)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(())
    }

    /// The rows of these counters, for this transaction alone: each is written before it is read, which
    /// on a server keeps others away from it. In one order, so that two never wait for each other.
    async fn load(
        &self,
        transaction: &mut Transaction,
        counters: &mut Vec<Counter>,
    ) -> Result<Ladder, Error> {
        counters.sort();
        counters.dedup();
        let mut ladder = Ladder::new(self.limits());
        for counter in counters.iter() {
            let (kind, subject) = self.place(counter);
            let row = query(
                "INSERT INTO guesses (counter, subject, tries, given_back, void_at) VALUES ($1, $2, '[]', '[]', 0)
                 ON CONFLICT (counter, subject) DO UPDATE SET void_at = guesses.void_at
                 RETURNING tries, given_back",
            )
            .bind(kind)
            .bind(subject)
            .fetch_optional(&mut *transaction)
            .await?
            .ok_or(Error::Unreadable("tries"))?;
            ladder.load(counter.clone(), read(counter, &row.text("tries")?, &row.text("given_back")?)?);
        }
        Ok(ladder)
    }

    /// The same, to look at.
    async fn look(&self, counters: &[Counter]) -> Result<Ladder, Error> {
        let mut ladder = Ladder::new(self.limits());
        for counter in counters {
            let (kind, subject) = self.place(counter);
            let row = query("SELECT tries, given_back FROM guesses WHERE counter = $1 AND subject = $2")
                .bind(kind)
                .bind(subject)
                .fetch_optional(self.reader())
                .await?;
            if let Some(row) = row {
                ladder.load(counter.clone(), read(counter, &row.text("tries")?, &row.text("given_back")?)?);
            }
        }
        Ok(ladder)
    }

    async fn keep(
        &self,
        transaction: &mut Transaction,
        ladder: &Ladder,
        counters: &[Counter],
    ) -> Result<(), Error> {
        for counter in counters {
            let Some(tally) = ladder.tally(counter) else { continue };
            let (kind, subject) = self.place(counter);
            let (tries, given_back) = match tally {
                Tally::Dates { tries, given_back } => (list(tries), list(given_back)),
                Tally::Bucket { empty_at, given_back_empty_at } => {
                    (list(&[*empty_at]), list(&[*given_back_empty_at]))
                }
            };
            query(
                "UPDATE guesses SET tries = $3, given_back = $4, void_at = $5
                 WHERE counter = $1 AND subject = $2",
            )
            .bind(kind)
            .bind(subject)
            .bind(tries)
            .bind(given_back)
            .bind(tally.void_at(counter, &self.limits()))
            .execute(&mut *transaction)
            .await?;
        }
        Ok(())
    }

    /// Where a counter's row is.
    fn place(&self, counter: &Counter) -> (&'static str, String) {
        match counter {
            Counter::Code(meeting) => ("code", meeting.to_string()),
            Counter::CodesOf(host) => ("codes-of-host", host.to_string()),
            Counter::HostPin(host) => ("host-pin", host.to_string()),
            Counter::HostPinsOf(host) => ("host-pins-of-host", host.to_string()),
            Counter::Number(number) => ("number", URL_SAFE_NO_PAD.encode(self.keys().number(number))),
            Counter::Trunk(trunk) => ("trunk", trunk.clone()),
        }
    }
}

/// One try, between spending and the verdict.
struct Step {
    ladder: Ladder,
    counters: Vec<Counter>,
    tried: Tried,
}

impl Step {
    async fn begin(
        store: &Store,
        transaction: &mut Transaction,
        by: &Attempt,
        aim: &Aim,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut counters = aim.counters();
        counters.push(by.counter());
        let mut ladder = store.load(transaction, &mut counters).await?;
        let tried = ladder.spend(by, aim, now);
        Ok(Self { ladder, counters, tried })
    }

    /// Right and wrong write the same rows.
    async fn end(
        &mut self,
        store: &Store,
        transaction: &mut Transaction,
        right: bool,
    ) -> Result<Tried, Error> {
        if right {
            self.ladder.was_right(&mut self.tried);
        }
        store.keep(transaction, &self.ladder, &self.counters).await?;
        Ok(self.tried.clone())
    }
}

fn list(times: &[i64]) -> String {
    serde_json::to_string(times).expect("a list of numbers is JSON")
}

fn read(counter: &Counter, tries: &str, given_back: &str) -> Result<Tally, Error> {
    let times = |text| serde_json::from_str::<Vec<i64>>(text).map_err(|_| Error::Unreadable("tries"));
    let (tries, given_back) = (times(tries)?, times(given_back)?);
    let first = |times: &[i64]| times.first().copied().unwrap_or(i64::MIN);
    Ok(match Tally::empty(counter) {
        Tally::Dates { .. } => Tally::Dates { tries, given_back },
        Tally::Bucket { .. } => {
            Tally::Bucket { empty_at: first(&tries), given_back_empty_at: first(&given_back) }
        }
    })
}
