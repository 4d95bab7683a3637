//! Signatures of calls, verified while the call rings (RFC 8224).
//!
//! `sip::passport` decides; this room fetches what it needs to decide on: the certificate, from where
//! the caller says it is. It has one second for that. What did not come in that time is as if the call
//! had no signature; what was fetched is kept, so that a carrier's next call need not wait.

mod cache;
mod fetch;
mod settings;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use ring::digest;
use tokio::sync::Semaphore;

pub use fetch::NotFetched;
pub use settings::Settings;

use crate::sip::passport::{Call, Chain, Failure, Passports, Signed, Url};
use crate::types::{Now, PhoneNumber};
use cache::Cache;
use fetch::Fetcher;

/// How long a call waits for its verdict.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Certificates that are kept: there are some thousand carriers that sign, and a trunk hears of few.
const CHAINS_KEPT: usize = 512;
/// Certificates that are fetched at once.
const FETCHES_MAX: usize = 64;
/// How long a server that gave no certificate is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// PASSporTs that are remembered for as long as one may be fresh: a call a millisecond for a minute.
const SEEN_MAX: usize = 60_000;
const SEEN_FOR: Duration = Duration::from_secs(70);

/// Why nothing can be verified.
pub use crate::reach::Error;

/// What became of a call's Identity headers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    Good(Signed),
    Bad(Failure),
    /// As if there were none.
    Unjudged(Unjudged),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unjudged {
    /// PASSporTs of other kinds.
    NotShaken,
    /// Signed for the number that was dialled before the call was diverted to us (RFC 8946).
    Diverted,
    /// Another call came with the very same PASSporT: one of the two was overheard.
    SeenBefore,
    NotFetched(NotFetched),
}

impl Unjudged {
    /// Kebab-case: metric label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotShaken => "not-shaken",
            Self::Diverted => "diverted",
            Self::SeenBefore => "seen-before",
            Self::NotFetched(why) => why.name(),
        }
    }

    /// Completes "the signature was not judged: …".
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotShaken => "it is not one of SHAKEN",
            Self::Diverted => "the call was diverted to us, and it names who was dialled first",
            Self::SeenBefore => "another call came with the same one",
            Self::NotFetched(why) => why.text(),
        }
    }
}

/// A call whose signature is asked about.
#[derive(Clone)]
pub struct Asked {
    /// The Identity headers.
    pub headers: Vec<String>,
    pub caller: PhoneNumber,
    /// What the dialled number may be written as.
    pub called: Vec<PhoneNumber>,
    pub sip_call_id: String,
}

/// Verifies signatures. Clones share what was fetched.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    settings: Settings,
    fetcher: Fetcher,
    fetches: Arc<Semaphore>,
    known: Mutex<Known>,
}

struct Known {
    chains: Cache<String, Outcome>,
    /// Fetches under way: calls that need the same certificate wait for the same fetch.
    under_way: HashMap<String, Shared<BoxFuture<'static, Outcome>>>,
    /// The Call-ID that each PASSporT came with, by what it says.
    seen: Cache<[u8; 32], String>,
}

/// A chain, or what is wrong with it, or why there is none.
type Outcome = Result<Result<Arc<Chain>, Failure>, NotFetched>;

impl Verifier {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let known =
            Known { chains: Cache::new(CHAINS_KEPT), under_way: HashMap::new(), seen: Cache::new(SEEN_MAX) };
        Ok(Self(Arc::new(Inner {
            fetcher: Fetcher::new(&settings)?,
            settings,
            fetches: Arc::new(Semaphore::new(FETCHES_MAX)),
            known: Mutex::new(known),
        })))
    }

    /// The verdict, after [`PATIENCE`] at most.
    pub async fn verify(&self, asked: &Asked) -> Verdict {
        let late = Verdict::Unjudged(Unjudged::NotFetched(NotFetched::InTime));
        tokio::time::timeout(PATIENCE, self.judge(asked)).await.unwrap_or(late)
    }

    async fn judge(&self, asked: &Asked) -> Verdict {
        let unjudged = |why| Verdict::Unjudged(why);
        let passports = match Passports::read(&asked.headers) {
            Ok(passports) => passports,
            Err(failure) => return Verdict::Bad(failure),
        };
        let now = Now::read().date;
        let call = Call { caller: &asked.caller, called: &asked.called };
        for passport in &passports.shaken {
            match passport.concerns(call, now) {
                Ok(()) => {}
                Err(Failure::WrongCalled) if passports.diverted => return unjudged(Unjudged::Diverted),
                Err(failure) => return Verdict::Bad(failure),
            }
            if !self.0.fetcher.may(passport.url()) {
                return Verdict::Bad(Failure::BadUrl);
            }
        }
        let mut verdict: Option<Signed> = None;
        for passport in &passports.shaken {
            let chain = match self.chain(passport.url()).await {
                Ok(Ok(chain)) => chain,
                Ok(Err(failure)) => return Verdict::Bad(failure),
                Err(why) => return unjudged(Unjudged::NotFetched(why)),
            };
            match passport.judge(&chain, &self.0.settings.roots, now) {
                Err(failure) => return Verdict::Bad(failure),
                Ok(_) if self.seen_before(passport.signed(), asked) => {
                    return unjudged(Unjudged::SeenBefore);
                }
                Ok(signed) => verdict = Some(weaker(verdict, signed)),
            }
        }
        verdict.map_or(unjudged(Unjudged::NotShaken), Verdict::Good)
    }

    /// A PASSporT belongs to one call (RFC 8224 §12.1). One that comes in another was copied, or its
    /// carrier tries another way to us; which of both calls is the caller's nobody knows.
    fn seen_before(&self, signed: &[u8], asked: &Asked) -> bool {
        let digest = digest::digest(&digest::SHA256, signed);
        let Ok(key) = <[u8; 32]>::try_from(digest.as_ref()) else { return true };
        let now = Instant::now();
        let mut known = self.known();
        match known.seen.get(&key, now) {
            Some(call) => call != asked.sip_call_id,
            None => {
                known.seen.put(key, asked.sip_call_id.clone(), SEEN_FOR, now);
                false
            }
        }
    }

    async fn chain(&self, url: &Url) -> Outcome {
        let fetch = {
            let mut known = self.known();
            let key = url.as_str();
            if let Some(outcome) = known.chains.get(&key.to_owned(), Instant::now()) {
                return outcome;
            }
            match known.under_way.get(key) {
                Some(fetch) => fetch.clone(),
                None => {
                    let Ok(permit) = self.0.fetches.clone().try_acquire_owned() else {
                        return Err(NotFetched::Busy);
                    };
                    // A task of its own: a call that gives up does not take it from the others.
                    let (verifier, url) = (self.clone(), url.clone());
                    let task = tokio::spawn(async move {
                        let outcome = verifier.fetch(&url).await;
                        drop(permit);
                        outcome
                    });
                    let fetch = task.map(|done| done.unwrap_or(Err(NotFetched::NoAnswer))).boxed().shared();
                    known.under_way.insert(key.to_owned(), fetch.clone());
                    fetch
                }
            }
        };
        fetch.await
    }

    /// Fetches and keeps what came of it.
    async fn fetch(&self, url: &Url) -> Outcome {
        let fetched = tokio::time::timeout(PATIENCE, self.0.fetcher.fetch(url)).await;
        let (outcome, keep) = match fetched.unwrap_or(Err(NotFetched::InTime)) {
            Ok((pem, keep)) => (Ok(Chain::from_pem(&pem).map(Arc::new)), keep),
            Err(why) => (Err(why), LEFT_ALONE),
        };
        let mut known = self.known();
        known.under_way.remove(url.as_str());
        known.chains.put(url.as_str().to_owned(), outcome.clone(), keep, Instant::now());
        outcome
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a gateway signed beside the originating carrier, the one that promises less counts.
fn weaker(one: Option<Signed>, other: Signed) -> Signed {
    match one {
        Some(one) if one.attestation.weaker(other.attestation) == one.attestation => one,
        _ => other,
    }
}
