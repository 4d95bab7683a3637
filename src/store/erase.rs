//! Erasing a person: everything that is kept about one telephone number.
//!
//! A call's record stays, because it tells of the service; whose call it was is gone from it. Counters of
//! wrong entries stay too: they hold a MAC that nobody can turn back, without them a guesser would erase
//! themselves a clean sheet, and they go by themselves within days.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::database::{Transaction, query};
use super::row::Columns;
use super::{Error, Store};
use crate::types::PhoneNumber;

/// How much there is of a number, or was until it was erased.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traces {
    /// Hosts that it goes straight in to.
    pub verified_numbers: u64,
    /// Records of its calls.
    pub calls: u64,
    pub notices: u64,
    /// Hosts who call it a phone of their own.
    pub host_numbers: u64,
    /// Events for webhooks that name it, masked, sent or not.
    pub told: u64,
    /// Counters of its wrong entries, which are kept.
    pub guess_counters: u64,
}

/// Records that lose their number in one statement.
const LOT: u64 = 500;

impl Store {
    /// What there is, without touching it. Records that wait to be written are counted.
    pub async fn traces_of(&self, number: &PhoneNumber) -> Result<Traces, Error> {
        self.settle_records().await?;
        let mac = self.keys().number(number).to_vec();
        let count = |table: &'static str| {
            let counted = query(table).bind(mac.clone());
            async move {
                let row = counted.fetch_optional(&self.inner.writer).await?;
                row.map_or(Ok(0), |row| row.number("amount")).map(i64::unsigned_abs)
            }
        };
        Ok(Traces {
            verified_numbers: count("SELECT count(*) AS amount FROM verified_numbers WHERE number_mac = $1")
                .await?,
            calls: count("SELECT count(*) AS amount FROM call_records WHERE number_mac = $1").await?,
            notices: count("SELECT count(*) AS amount FROM notices WHERE number_mac = $1").await?,
            host_numbers: count("SELECT count(*) AS amount FROM host_numbers WHERE number_mac = $1").await?,
            told: count("SELECT count(*) AS amount FROM webhook_outbox WHERE number_mac = $1").await?,
            guess_counters: self.counters_of(&mac).await?,
        })
    }

    /// Erases it; on the disk when this returns. What its way in hangs on goes first and at once; the
    /// records follow in small lots. After a fault, ask again.
    pub async fn erase(&self, number: &PhoneNumber) -> Result<Traces, Error> {
        self.settle_records().await?;
        let mac = self.keys().number(number).to_vec();
        let guess_counters = self.counters_of(&mac).await?;
        let theirs = mac.clone();
        let mut traces = self
            .job(move |transaction| {
                Box::pin(async move {
                    Ok(Traces {
                        verified_numbers: delete(
                            transaction,
                            "DELETE FROM verified_numbers WHERE number_mac = $1",
                            &theirs,
                        )
                        .await?,
                        notices: delete(transaction, "DELETE FROM notices WHERE number_mac = $1", &theirs)
                            .await?,
                        host_numbers: delete(
                            transaction,
                            "DELETE FROM host_numbers WHERE number_mac = $1",
                            &theirs,
                        )
                        .await?,
                        calls: 0,
                        told: delete(
                            transaction,
                            "DELETE FROM webhook_outbox WHERE number_mac = $1",
                            &theirs,
                        )
                        .await?,
                        guess_counters,
                    })
                })
            })
            .await?;
        self.known_no_more(number);
        loop {
            let statement = query(
                "UPDATE call_records SET number_mac = NULL, number_sealed = NULL WHERE id IN (
                     SELECT id FROM call_records WHERE number_mac = $1 LIMIT $2)",
            );
            let lot = self.write(statement.bind(mac.clone()).bind(LOT as i64)).await?;
            traces.calls += lot;
            if lot < LOT {
                return Ok(traces);
            }
        }
    }

    async fn counters_of(&self, mac: &[u8]) -> Result<u64, Error> {
        let row = query("SELECT count(*) AS amount FROM guesses WHERE counter = 'number' AND subject = $1")
            .bind(URL_SAFE_NO_PAD.encode(mac))
            .fetch_optional(&self.inner.writer)
            .await?;
        row.map_or(Ok(0), |row| row.number("amount")).map(i64::unsigned_abs)
    }
}

async fn delete(transaction: &mut Transaction, sql: &'static str, mac: &[u8]) -> Result<u64, Error> {
    Ok(query(sql).bind(mac.to_vec()).execute(&mut *transaction).await?.rows_affected())
}
