//! Whether a request that begins something comes in: the trunk's password, its rate of calls, and the
//! rate of all trunks together.
//!
//! Judged before anything is remembered of the request: whoever sends a flood costs the time of
//! reading it and one small answer, never a transaction.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Endpoint, Notice};
use crate::sip::bucket::{Bucket, Rate};
use crate::sip::digest::{Guard, Nonces, Refused, Verdict};
use crate::sip::flow::Flow;
use crate::sip::trunk::Trunk;
use crate::sip::wire::{Method, Request, Response};

/// Challenges to one trunk's sources; more are not answered.
const CHALLENGES: Rate = Rate { every: Duration::from_millis(10), burst: 400 };
/// Wrong credentials from one address; then none is looked at for a while.
const WRONG: Rate = Rate { every: Duration::from_secs(5), burst: 10 };
/// Addresses whose wrong credentials are remembered.
const WRONG_MAX: usize = 10_000;
/// Lines about one trunk's refusals; more are only counted.
const NOTICES: Rate = Rate { every: Duration::from_secs(2), burst: 10 };

/// Lines about refusals for the rate of all trunks.
const FLOOD_NOTICES: Rate = Rate { every: Duration::from_secs(10), burst: 1 };

/// What has been judged so far.
pub(super) struct Admission {
    /// New calls of all trunks.
    calls: Bucket,
    flood: Flood,
    nonces: Nonces,
    of_trunk: HashMap<String, OfTrunk>,
    wrong: HashMap<IpAddr, Bucket>,
}

/// Refusals for the rate of all trunks that no line tells of yet.
#[derive(Default)]
struct Flood {
    untold: u64,
    notices: Bucket,
}

#[derive(Default)]
struct OfTrunk {
    calls: Bucket,
    challenges: Bucket,
    notices: Bucket,
    counts: Admitted,
}

/// Of one trunk, since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Admitted {
    /// INVITEs refused because they came too fast.
    pub too_fast: u64,
    /// Requests whose sender was asked to prove the password.
    pub challenged: u64,
    /// Requests that proved it.
    pub proved: u64,
    /// Wrong ones, as in [`Refused::ALL`].
    pub refused: [u64; Refused::ALL.len()],
    /// Not looked at or not answered, because too many came before.
    pub limited: u64,
}

impl Admission {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self {
            calls: Bucket::default(),
            flood: Flood::default(),
            nonces: Nonces::new(seed),
            of_trunk: HashMap::new(),
            wrong: HashMap::new(),
        }
    }

    fn of(&mut self, trunk: &Trunk) -> &mut OfTrunk {
        // Twice, because `entry` wants a name of its own for each request.
        if !self.of_trunk.contains_key(&trunk.name) {
            self.of_trunk.insert(trunk.name.clone(), OfTrunk::default());
        }
        self.of_trunk.get_mut(&trunk.name).expect("it has just been put there")
    }

    /// May another line be written about this trunk's refusals?
    fn tells(&mut self, now: Instant, trunk: &Trunk) -> bool {
        self.of(trunk).notices.take(now, NOTICES).is_ok()
    }

    /// Counts wrong credentials against their source.
    fn is_wrong(&mut self, now: Instant, source: IpAddr) {
        if self.wrong.len() >= WRONG_MAX {
            self.wrong.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.wrong.len() >= WRONG_MAX {
            self.wrong.clear();
        }
        // An empty one stays empty: that is what it is for.
        let _ = self.wrong.entry(source).or_default().take(now, WRONG);
    }
}

impl Endpoint {
    /// What was judged of a trunk's requests.
    #[must_use]
    pub fn admitted(&self, trunk: &str) -> Admitted {
        self.admission.of_trunk.get(trunk).map(|of| of.counts).unwrap_or_default()
    }

    /// `false`: the request is answered, or deserves no answer.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        source: &Flow,
        trunk: &Arc<Trunk>,
        request: &Request,
        is_new_call: bool,
    ) -> bool {
        if trunk.guard.is_some() || trunk.calls_rate.is_some() {
            self.upkeep.touch();
        }
        if let Some(guard) = &trunk.guard
            && !self.proves(now, source, trunk, guard, request)
        {
            return false;
        }
        !is_new_call
            || self.is_in_time_of_trunk(now, source, trunk, request) && self.is_in_time(now, source, request)
    }

    /// Whether the trunk's rate of new calls leaves room for one more.
    fn is_in_time_of_trunk(
        &mut self,
        now: Instant,
        source: &Flow,
        trunk: &Arc<Trunk>,
        request: &Request,
    ) -> bool {
        let Some(rate) = trunk.calls_rate else { return true };
        let of = self.admission.of(trunk);
        let Err(wait) = of.calls.take(now, rate) else { return true };
        of.counts.too_fast += 1;
        if self.admission.tells(now, trunk) {
            self.notices.push_back(Notice::TooFast { trunk: trunk.name.clone() });
        }
        self.refuse_stateless(source, request, seconds(wait), Some(CONGESTION));
        false
    }

    /// The same for all trunks together. It is asked last: what a trunk may not send, or cannot prove,
    /// takes nothing from the others.
    fn is_in_time(&mut self, now: Instant, source: &Flow, request: &Request) -> bool {
        let Some(rate) = self.settings.calls_rate else { return true };
        let Err(wait) = self.admission.calls.take(now, rate) else { return true };
        self.counters.too_fast += 1;
        let flood = &mut self.admission.flood;
        flood.untold += 1;
        if flood.notices.take(now, FLOOD_NOTICES).is_ok() {
            self.notices.push_back(Notice::Flooded { refused: std::mem::take(&mut flood.untold) });
        }
        self.refuse_stateless(source, request, seconds(wait), Some(CONGESTION));
        false
    }

    fn proves(
        &mut self,
        now: Instant,
        source: &Flow,
        trunk: &Arc<Trunk>,
        guard: &Guard,
        request: &Request,
    ) -> bool {
        // Whoever only asks how we are starts nothing. From anywhere in the world it is asked first.
        if request.method == Method::Options && (self.draining || !trunk.takes_any_source()) {
            return true;
        }
        let ip = source.peer.ip();
        let has_credentials =
            ["Proxy-Authorization", "Authorization"].iter().any(|name| request.headers.get(name).is_some());
        if has_credentials && let Some(Err(wait)) = self.admission.wrong.get(&ip).map(|b| b.look(now, WRONG))
        {
            self.admission.of(trunk).counts.limited += 1;
            self.refuse_stateless(source, request, seconds(wait), None);
            return false;
        }
        let stale = match self.admission.nonces.judge(now, guard, request) {
            Verdict::Known(_) => {
                self.admission.of(trunk).counts.proved += 1;
                return true;
            }
            Verdict::Ask { stale } => stale,
            Verdict::Refused(why) => {
                self.admission.is_wrong(now, ip);
                let at = Refused::ALL.iter().position(|one| *one == why).expect("all are listed");
                self.admission.of(trunk).counts.refused[at] += 1;
                if self.admission.tells(now, trunk) {
                    let trunk = trunk.name.clone();
                    self.notices.push_back(Notice::Unproved { trunk, source: ip, why });
                }
                false
            }
        };
        let of = self.admission.of(trunk);
        if of.challenges.take(now, CHALLENGES).is_err() {
            of.counts.limited += 1;
            return false;
        }
        of.counts.challenged += 1;
        let nonce = self.admission.nonces.give(now, &guard.realm);
        let tag = self.tokens.tag();
        let mut response = Response::to(request, 407).with_to_tag(&tag);
        for challenge in guard.challenges(&nonce, stale) {
            response.headers.push("Proxy-Authenticate", &challenge);
        }
        self.reply_stateless(Self::back(source, request), &response);
        false
    }

    /// 503: come again after so many seconds. Leaves nothing behind.
    fn refuse_stateless(&mut self, source: &Flow, request: &Request, seconds: u64, reason: Option<&str>) {
        let tag = self.tokens.tag();
        let mut response =
            Response::to(request, 503).with_to_tag(&tag).with_header("Retry-After", &seconds.to_string());
        if let Some(reason) = reason {
            response.headers.push("Reason", reason);
        }
        self.reply_stateless(Self::back(source, request), &response);
    }
}

/// Q.850: switching equipment congestion.
const CONGESTION: &str = "Q.850;cause=42;text=\"too many calls a second\"";

/// Whole ones for Retry-After, at least 1.
const fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1)
}
