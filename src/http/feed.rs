//! The feed: what happened lately, for readers who come, fall behind, and come again.
//!
//! One ring of events, as texts; it is every reader's queue, so a reader costs no memory and cannot
//! hold up whoever tells. A reader whom the ring has overtaken is cut off, and told so when it comes
//! again. Ids grow by one with each event, and across restarts: the first is the time in
//! microseconds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use super::events;
use crate::bridge::News;
use crate::types::{HostId, MeetingId};

/// Clones share one.
#[derive(Clone, Default)]
pub struct Feed(Arc<Inner>);

struct Inner {
    ring: Mutex<Ring>,
    state: watch::Sender<State>,
    readers: Mutex<HashMap<[u8; 32], usize>>,
}

/// What readers wait for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct State {
    newest: u64,
    closed: bool,
}

struct Ring {
    events: VecDeque<Told>,
    /// The id of the event before the oldest that is held.
    before: u64,
}

/// One event, as readers get it.
#[derive(Clone, Debug)]
struct Told {
    host: HostId,
    meeting: Option<MeetingId>,
    text: Arc<str>,
}

/// Which events a reader gets. `None`: all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scope {
    pub host: Option<HostId>,
    pub meeting: Option<MeetingId>,
}

/// What there is for a reader.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Up to this id; the text is empty when none of them is for this reader.
    Events { through: u64, text: String },
    /// What comes after the reader's last id is not held any more, or that id is none of ours. Events
    /// go on after this one.
    Lost { newest: u64 },
}

/// Why somebody cannot read along.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// This token reads along often enough.
    TooMany,
    /// All together do.
    Full,
}

impl Default for Inner {
    fn default() -> Self {
        let first = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
        Self {
            ring: Mutex::new(Ring { events: VecDeque::new(), before: first }),
            state: watch::Sender::new(State { newest: first, closed: false }),
            readers: Mutex::default(),
        }
    }
}

impl Feed {
    /// Keeps the event for readers; never waits for one.
    pub fn tell(&self, news: &News, at: Timestamp) {
        let mut ring = lock(&self.0.ring);
        let id = ring.newest() + 1;
        let told = Told { host: news.host, meeting: news.meeting, text: events::text(id, news, at).into() };
        ring.push(told);
        drop(ring);
        metrics::counter!("doorline_events_total").increment(1);
        self.0.state.send_modify(|state| state.newest = id);
    }

    /// Readers get no more. What they wait for ends.
    pub fn close(&self) {
        self.0.state.send_modify(|state| state.closed = true);
    }

    /// A place among the readers, for as long as it is kept. `token`: the hash of what says who reads.
    pub(super) fn reader(&self, token: [u8; 32], after: Option<u64>) -> Result<Reader, Refused> {
        let mut readers = lock(&self.0.readers);
        if readers.values().sum::<usize>() >= READERS_MAX {
            return Err(Refused::Full);
        }
        let of_token = readers.entry(token).or_default();
        if *of_token >= READERS_OF_TOKEN_MAX {
            return Err(Refused::TooMany);
        }
        *of_token += 1;
        drop(readers);
        metrics::gauge!("doorline_event_readers").increment(1);
        let changed = self.0.state.subscribe();
        let seen = after.unwrap_or_else(|| lock(&self.0.ring).newest());
        Ok(Reader { feed: self.clone(), token, seen, changed })
    }
}

impl Ring {
    fn newest(&self) -> u64 {
        self.before + self.events.len() as u64
    }

    fn push(&mut self, told: Told) {
        self.events.push_back(told);
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
            self.before += 1;
        }
    }

    fn after(&self, seen: u64, scope: Scope) -> Next {
        let newest = self.newest();
        let Some(skip) = seen.checked_sub(self.before).filter(|_| seen <= newest) else {
            return Next::Lost { newest };
        };
        let mut text = String::new();
        let mut through = seen;
        for told in self.events.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)) {
            if text.len() >= CHUNK {
                break;
            }
            through += 1;
            if scope.covers(told) {
                text.push_str(&told.text);
            }
        }
        Next::Events { through, text }
    }
}

impl Scope {
    fn covers(self, told: &Told) -> bool {
        self.host.is_none_or(|host| host == told.host)
            && self.meeting.is_none_or(|meeting| told.meeting.is_none_or(|of| of == meeting))
    }
}

/// Somebody who reads along.
pub struct Reader {
    feed: Feed,
    token: [u8; 32],
    seen: u64,
    changed: watch::Receiver<State>,
}

impl Reader {
    /// The id of the last event that was given, whether it was for this reader or not.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// What has come since.
    pub fn take(&mut self, scope: Scope) -> Next {
        let next = lock(&self.feed.0.ring).after(self.seen, scope);
        self.seen = match next {
            Next::Events { through, .. } => through,
            Next::Lost { newest } => newest,
        };
        next
    }

    /// Waits until there is more than was taken; `false`: there will be nothing more.
    pub async fn wait(&mut self) -> bool {
        let seen = self.seen;
        // The sender lives as long as the feed, which this reader holds.
        let state = self.changed.wait_for(|state| state.closed || state.newest > seen).await;
        state.is_ok_and(|state| !state.closed)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        metrics::gauge!("doorline_event_readers").decrement(1);
        let mut readers = lock(&self.feed.0.readers);
        if let Some(count) = readers.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                readers.remove(&self.token);
            }
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held for readers who come again. At some 350 bytes each, 3 MiB.
const EVENTS_MAX: usize = 8_192;

/// About as much text as a reader gets in one piece.
const CHUNK: usize = 16 * 1024;

/// At once: of one token (one host's page in a few windows, and its plugins), and in all. Each holds
/// one of the server's connections.
const READERS_OF_TOKEN_MAX: usize = 16;
const READERS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::news::What;

    fn tell(feed: &Feed, host: u128, meeting: Option<u128>) {
        let news = News {
            host: HostId::numbered(host),
            meeting: meeting.map(MeetingId::numbered),
            what: What::Locked(true),
        };
        feed.tell(&news, Timestamp::UNIX_EPOCH);
    }

    fn ids(next: Next) -> Vec<u64> {
        let Next::Events { text, .. } = next else { panic!("{next:?}") };
        text.lines().filter_map(|line| line.strip_prefix("id: ")).map(|id| id.parse().unwrap()).collect()
    }

    #[test]
    fn each_reader_gets_its_own_and_in_order() {
        let feed = Feed::default();
        let mut all = feed.reader([0; 32], None).unwrap();
        let first = all.seen();
        for (host, meeting) in [(1, Some(1)), (2, Some(2)), (1, None), (1, Some(3))] {
            tell(&feed, host, meeting);
        }
        let scope = |host: Option<u128>, meeting: Option<u128>| Scope {
            host: host.map(HostId::numbered),
            meeting: meeting.map(MeetingId::numbered),
        };
        let cases = [
            ("the operator", scope(None, None), vec![1, 2, 3, 4]),
            ("a host", scope(Some(1), None), vec![1, 3, 4]),
            ("another", scope(Some(2), None), vec![2]),
            ("one meeting", scope(Some(1), Some(1)), vec![1, 3]),
            ("a third", scope(Some(3), None), vec![]),
        ];
        for (name, scope, expected) in cases {
            let mut reader = feed.reader([0; 32], Some(first)).unwrap();
            let got: Vec<u64> = ids(reader.take(scope)).iter().map(|id| id - first).collect();
            assert_eq!(got, expected, "{name}");
            assert_eq!(reader.seen(), first + 4, "{name}");
            assert_eq!(ids(reader.take(scope)), [] as [u64; 0], "{name}: nothing twice");
        }
        assert_eq!(ids(all.take(Scope::default())).len(), 4);
    }

    #[test]
    fn what_is_not_held_any_more_is_lost_and_said_to_be() {
        let feed = Feed::default();
        let mut reader = feed.reader([0; 32], None).unwrap();
        let first = reader.seen();
        for _ in 0..EVENTS_MAX {
            tell(&feed, 1, None);
        }
        let newest = first + EVENTS_MAX as u64;
        let mut again = feed.reader([0; 32], Some(first)).unwrap();
        assert_eq!(ids(again.take(Scope::default()))[0], first + 1, "the whole ring is held");
        tell(&feed, 1, None);
        for (name, after) in [("overtaken", first), ("of another time", newest + 2), ("none of ours", 0)] {
            let mut reader = feed.reader([0; 32], Some(after)).unwrap();
            assert_eq!(reader.take(Scope::default()), Next::Lost { newest: newest + 1 }, "{name}");
            assert_eq!(ids(reader.take(Scope::default())), [] as [u64; 0], "{name}: it goes on");
        }
        assert_eq!(reader.take(Scope::default()), Next::Lost { newest: newest + 1 }, "a slow reader");
        assert_eq!(lock(&feed.0.ring).events.len(), EVENTS_MAX);
    }

    #[test]
    fn there_are_so_many_readers_and_no_more() {
        let feed = Feed::default();
        let of_one: Vec<_> = (0..READERS_OF_TOKEN_MAX).map(|_| feed.reader([1; 32], None).unwrap()).collect();
        assert_eq!(feed.reader([1; 32], None).err(), Some(Refused::TooMany));
        let token = |n: usize| [u8::try_from(n % 200).unwrap() + 2; 32];
        let others: Vec<_> =
            (of_one.len()..READERS_MAX).map(|n| feed.reader(token(n), None).unwrap()).collect();
        assert_eq!(feed.reader([2; 32], None).err(), Some(Refused::Full));
        drop(of_one);
        assert!(feed.reader([1; 32], None).is_ok(), "places become free");
        drop(others);
        assert!(lock(&feed.0.readers).is_empty());
    }
}
