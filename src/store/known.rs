//! Known callers, remembered for as long as the database is away.
//!
//! What was last read about a number is kept for at most a day, so that a caller who goes straight in does
//! so while nobody can be asked. Nothing is ever let in by it that the database did not say; whatever takes
//! a way in away (a new PIN, a phone forgotten, a host changed) takes it away here first. Time is the
//! monotonic clock's: a clock that is set makes nothing younger.

use std::collections::{HashMap, VecDeque};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tracing::{error, warn};

use super::answer::{ANSWER_WITHIN, REMEMBERED_AT_MOST};
use super::database::query;
use super::key::MacBytes;
use super::row::{Columns, millis};
use super::{Error, Store};
use crate::bridge::Answer;
use crate::bridge::view::Known;
use crate::types::{HostId, PhoneNumber};

/// How old what is kept may be.
pub(super) const AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Numbers that are kept, some kilobytes each.
pub(super) const NUMBERS_MAX: usize = 10_000;

/// Places in the order that mean nothing any more, beside as many as mean something, before they are cleared away.
const STALE: usize = 64;

#[derive(Default)]
pub(super) struct Cache {
    kept: HashMap<MacBytes, Kept>,
    /// Who was put in first goes first; a number that is put in again stands here twice.
    order: VecDeque<(MacBytes, u64)>,
    puts: u64,
    /// Grows with everything that is taken away: what was read before that is not put in.
    revision: u64,
}

struct Kept {
    known: Vec<Known>,
    at: Instant,
    put: u64,
}

impl Cache {
    /// To be asked for before the database is, and given back with what it said.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What the database has just said of a number; nothing, if anything was taken away since `revision`.
    pub fn put(&mut self, number: MacBytes, known: &[Known], revision: u64, now: Instant) {
        if revision != self.revision {
            return;
        }
        // Nobody knows the number: that is not worth a place, and what was known is known no more.
        if known.is_empty() {
            self.kept.remove(&number);
            return;
        }
        self.puts += 1;
        let put = self.puts;
        self.kept.insert(number, Kept { known: known.to_vec(), at: now, put });
        self.order.push_back((number, put));
        let kept = &self.kept;
        // A few numbers that call again and again: where they stood before means nothing now.
        if self.order.len() > 2 * kept.len() + STALE {
            self.order.retain(|(number, put)| kept.get(number).is_some_and(|kept| kept.put == *put));
        }
        while self.kept.len() > NUMBERS_MAX {
            let Some((oldest, put)) = self.order.pop_front() else { return };
            if self.kept.get(&oldest).is_some_and(|kept| kept.put == put) {
                self.kept.remove(&oldest);
            }
        }
    }

    /// What is known of a number, when nobody can be asked; at most a day old.
    pub fn get(&self, number: &MacBytes, now: Instant) -> Option<Vec<Known>> {
        let kept = self.kept.get(number)?;
        (now.saturating_duration_since(kept.at) <= AGE_MAX).then(|| kept.known.clone())
    }

    /// A host changed: everybody who is known there is to be read anew. Whose numbers they are.
    pub fn forget_host(&mut self, host: HostId) -> Vec<MacBytes> {
        self.revision += 1;
        let theirs = |kept: &Kept| kept.known.iter().any(|known| known.host.id == host);
        let numbers: Vec<MacBytes> =
            self.kept.iter().filter(|(_, kept)| theirs(kept)).map(|(number, _)| *number).collect();
        for number in &numbers {
            self.kept.remove(number);
        }
        numbers
    }

    /// Whether there is something younger than that.
    fn is_fresh(&self, number: &MacBytes, age: Duration, now: Instant) -> bool {
        self.kept.get(number).is_some_and(|kept| now.saturating_duration_since(kept.at) < age)
    }

    /// This number is known no more, or differently.
    pub fn forget(&mut self, number: &MacBytes) {
        self.revision += 1;
        self.kept.remove(number);
    }

    /// Something changed that may concern any number.
    pub fn forget_all(&mut self) {
        self.revision += 1;
        self.kept.clear();
        self.order.clear();
    }
}

/// How long the database may take over a caller of whom something is kept: the call rings meanwhile.
const KNOWN_WITHIN: Duration = Duration::from_millis(1_000);

/// Numbers of a host that are read anew at once after it changed; the others with the next call or day.
const ANEW_MAX: usize = 200;

/// What was read in this time is not read anew by [`Store::keep_known`].
const FRESH: Duration = Duration::from_secs(11 * 60 * 60);

/// Between two numbers that are read ahead: others are asked for meanwhile.
const PAUSE: Duration = Duration::from_millis(5);

impl Store {
    /// Who is known by this number: as the database says, or while it does not answer as it last said,
    /// at most a day ago.
    pub(super) async fn answer_caller(&self, number: &PhoneNumber, now: Timestamp) -> Answer {
        let mac = self.keys().number(number);
        let (revision, kept) = {
            let cache = self.known_cache();
            (cache.revision(), cache.get(&mac, Instant::now()))
        };
        let limit = if kept.is_some() { KNOWN_WITHIN } else { ANSWER_WITHIN };
        let cause = match tokio::time::timeout(limit, self.known(mac, now)).await {
            Ok(Ok(known)) => {
                self.known_cache().put(mac, &known, revision, Instant::now());
                return Answer::Known(known);
            }
            Ok(Err(cause)) => cause.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        match kept {
            Some(known) => {
                warn!(asked = "caller", cause, "the database was not asked: a caller is known from before");
                metrics::counter!("doorline_known_from_cache_total").increment(1);
                Answer::Known(known)
            }
            None => {
                error!(asked = "caller", cause, "question not answered");
                Answer::Unavailable
            }
        }
    }

    /// Reads ahead who is known, the most recently used first, so that they go in while the database is
    /// away: how many numbers. To be called twice a day.
    pub async fn keep_known(&self, now: Timestamp) -> Result<usize, Error> {
        let oldest = now.checked_sub(REMEMBERED_AT_MOST).unwrap_or(Timestamp::MIN);
        let rows = query(
            "SELECT number_mac, max(last_used_at) AS used FROM verified_numbers WHERE verified_at > $1
             GROUP BY number_mac ORDER BY used DESC LIMIT $2",
        )
        .bind(millis(oldest))
        .bind(NUMBERS_MAX as i64)
        .fetch_all(self.reader())
        .await?;
        let mut count = 0;
        for row in &rows {
            let mac = row.bytes("number_mac")?.try_into().map_err(|_| Error::Unreadable("number_mac"))?;
            if self.known_cache().is_fresh(&mac, FRESH, Instant::now()) {
                continue;
            }
            self.read_known(mac, now).await?;
            count += 1;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(count)
    }

    /// A number was forgotten or remembered: what is kept of it is not true any more.
    pub(super) fn known_no_more(&self, number: &PhoneNumber) {
        self.known_cache().forget(&self.keys().number(number));
    }

    /// Phones were forgotten, and nobody says whose.
    pub(super) fn all_known_no_more(&self) {
        self.known_cache().forget_all();
    }

    /// A host changed, or one of its meetings. Its callers are read anew behind our back.
    pub(super) fn known_changed(&self, host: HostId, now: Timestamp) {
        let numbers = self.known_cache().forget_host(host);
        if numbers.is_empty() {
            return;
        }
        let store = self.clone();
        tokio::spawn(async move {
            for number in numbers.into_iter().take(ANEW_MAX) {
                // Who cannot be read is not kept.
                if store.read_known(number, now).await.is_err() {
                    return;
                }
            }
        });
    }

    /// A number was remembered: its caller goes in from now on, also without a database.
    pub(super) fn known_anew(&self, number: &PhoneNumber, now: Timestamp) {
        self.known_no_more(number);
        let (store, mac) = (self.clone(), self.keys().number(number));
        tokio::spawn(async move {
            if let Err(cause) = store.read_known(mac, now).await {
                warn!(%cause, "a caller who was remembered is not kept for when the database is away");
            }
        });
    }

    async fn read_known(&self, mac: MacBytes, now: Timestamp) -> Result<(), Error> {
        let revision = self.known_cache().revision();
        let known = self.known(mac, now).await?;
        self.known_cache().put(mac, &known, revision, Instant::now());
        Ok(())
    }

    /// All hosts that remember this number, most recently used first.
    pub(super) async fn known(&self, number: MacBytes, now: Timestamp) -> Result<Vec<Known>, Error> {
        let oldest = now.checked_sub(REMEMBERED_AT_MOST).unwrap_or(Timestamp::MIN);
        let rows = query(
            "SELECT * FROM verified_numbers WHERE number_mac = $1 AND verified_at > $2
             ORDER BY last_used_at DESC, id LIMIT 50",
        )
        .bind(number.to_vec())
        .bind(millis(oldest))
        .fetch_all(self.reader())
        .await?;
        let mut known = Vec::with_capacity(rows.len());
        for row in &rows {
            let verified = self.read_verified(row)?;
            // Deleted between the two statements: then nobody remembers the number there any more.
            let Some(host) = self.host_view(verified.host, None, now).await? else { continue };
            known.push(Known {
                verified: verified.id,
                host,
                number: verified.number,
                meeting: Some(verified.meeting),
                trust: verified.trust,
                trunk: verified.trunk,
                verified_at: verified.verified_at,
                last_used_at: verified.last_used_at,
            });
        }
        Ok(known)
    }

    fn known_cache(&self) -> MutexGuard<'_, Cache> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::bridge::HostView;
    use crate::bridge::view::KnownCallers;
    use crate::types::{HostId, MeetingId, Trust, VerifiedId};

    fn known(host: u128) -> Vec<Known> {
        let at = Timestamp::UNIX_EPOCH;
        let host = HostView {
            id: HostId::numbered(host),
            name: "Ada".to_owned(),
            language: None,
            known_callers: KnownCallers::StraightThrough,
            numbers: Vec::new(),
            standard_meeting: MeetingId::numbered(1),
            meetings: Vec::new(),
        };
        vec![Known {
            verified: VerifiedId::numbered(1),
            host,
            number: "+447700900123".parse().unwrap(),
            meeting: Some(MeetingId::numbered(1)),
            trust: Trust::Network,
            trunk: "lab".to_owned(),
            verified_at: at,
            last_used_at: at,
        }]
    }

    fn number(n: usize) -> MacBytes {
        let mut mac = [0; 32];
        mac[..8].copy_from_slice(&n.to_be_bytes());
        mac
    }

    #[test]
    fn what_is_kept_is_a_day_old_at_most_and_newest_wins() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.put(number(1), &known(1), cache.revision(), start);
        assert!(cache.get(&number(1), start + AGE_MAX).is_some());
        assert!(cache.get(&number(1), start + AGE_MAX + Duration::from_millis(1)).is_none());
        cache.put(number(1), &known(2), cache.revision(), start + AGE_MAX);
        let found = cache.get(&number(1), start + AGE_MAX * 2).unwrap();
        assert_eq!(found[0].host.id, HostId::numbered(2));
        cache.put(number(1), &[], cache.revision(), start + AGE_MAX);
        assert!(cache.get(&number(1), start + AGE_MAX).is_none(), "the database knows it no more");
        assert!(cache.get(&number(2), start).is_none());
    }

    #[test]
    fn few_numbers_that_call_for_months_take_no_more_room_than_at_first() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for call in 0..50_000 {
            cache.put(number(call % 40), &known(1), cache.revision(), now);
            assert!(cache.order.len() <= 2 * 40 + STALE + 1, "{} after {call} calls", cache.order.len());
        }
        assert_eq!(cache.kept.len(), 40, "and all are known");
        // Nor do those who are forgotten leave anything behind.
        for call in 0..5_000 {
            cache.put(number(call), &known(1), cache.revision(), now);
            cache.forget(&number(call));
        }
        assert!(cache.order.len() <= 2 * 40 + STALE + 1, "{}", cache.order.len());
    }

    #[test]
    fn what_was_read_before_something_was_taken_away_is_not_put_in() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let before = cache.revision();
        cache.forget(&number(1));
        cache.put(number(1), &known(1), before, now);
        assert!(cache.get(&number(1), now).is_none());
        cache.put(number(1), &known(1), cache.revision(), now);
        cache.put(number(2), &known(1), cache.revision(), now);
        cache.forget(&number(1));
        assert!(cache.get(&number(1), now).is_none() && cache.get(&number(2), now).is_some());
        cache.forget_all();
        assert!(cache.get(&number(2), now).is_none());
    }

    #[test]
    fn a_host_that_changed_takes_its_own_callers_with_it() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let before = cache.revision();
        for (n, host) in [(1, 1), (2, 2), (3, 1)] {
            cache.put(number(n), &known(host), before, now);
        }
        let mut gone = cache.forget_host(HostId::numbered(1));
        gone.sort_unstable();
        assert_eq!(gone, [number(1), number(3)]);
        assert!(cache.get(&number(1), now).is_none() && cache.get(&number(2), now).is_some());
        cache.put(number(1), &known(1), before, now);
        assert!(cache.get(&number(1), now).is_none(), "it was read before the change");
    }

    #[test]
    fn it_never_holds_more_than_its_bound() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let one = known(1);
        for n in 0..NUMBERS_MAX + 500 {
            cache.put(number(n), &one, cache.revision(), now);
            // One that calls all day takes one place.
            cache.put(number(usize::MAX), &one, cache.revision(), now);
        }
        assert!(cache.kept.len() <= NUMBERS_MAX && cache.order.len() <= 2 * NUMBERS_MAX);
        assert!(cache.get(&number(0), now).is_none(), "the first is gone");
        assert!(cache.get(&number(NUMBERS_MAX + 499), now).is_some());
        assert!(cache.get(&number(usize::MAX), now).is_some());
    }
}
