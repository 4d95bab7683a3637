//! Our registration with a carrier (RFC 3261 §10): kept alive, found again after failures, given back.
//!
//! A carrier that does not know our address sends calls to where we registered from. Each input gives
//! at most one [`Want`]; time and random words come from outside. A failure is tried at the next
//! address, then again after pauses that double (RFC 5626 §4.5).

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Transport;
use super::digest::{Client, Login, Unanswerable};
use super::flow::Flow;
use super::uri::Uri;
use super::wire::{Method, NameAddr, Request, Response};

/// An account with a registrar.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The Request-URI of REGISTER: the carrier's domain, without a user.
    pub registrar: Uri,
    /// How the registrar is reached, when not as DNS says.
    pub transport: Option<Transport>,
    /// Our address of record.
    pub address: Uri,
    pub login: Login,
    /// What we ask for; the registrar decides.
    pub expires: Duration,
    /// Everything goes there first; `None`: to the registrar.
    pub outbound_proxy: Option<Uri>,
    /// The user of our Contact, which calls then come for.
    pub contact_user: String,
}

impl Account {
    /// Where a REGISTER goes: the proxy, else the registrar by the transport that was set.
    #[must_use]
    pub fn first_hop(&self) -> Uri {
        let mut target = self.registrar.clone();
        if let (Some(transport), Some(params)) = (self.transport, target.params_mut()) {
            params.set("transport", Some(transport.name()));
        }
        self.outbound_proxy.clone().unwrap_or(target)
    }
}

/// What the machine wants done.
#[derive(Debug)]
pub enum Want {
    /// Look up where this URI leads, then [`Registration::looked_up`].
    LookUp(Uri),
    /// Send this, with our Contact added.
    Send(Box<Request>, Flow),
}

/// Since when and until when, for operators.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The registrar sends us calls until then.
    pub registered_until: Option<Instant>,
    /// What went wrong last, since it last went right.
    pub failure: Option<Failure>,
    /// The next try, after a failure.
    pub next_try: Option<Instant>,
    /// The address that registered us, or that is being asked.
    pub at: Option<SocketAddr>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The registrar's last answer; `None`: there was none.
    pub status: Option<u16>,
    /// Never a secret.
    pub why: String,
}

/// Longest pause after failures, and the first one.
const PAUSE_MAX: Duration = Duration::from_secs(1_800);
const PAUSE: Duration = Duration::from_secs(30);
/// Challenges and corrections in one attempt; more is a registrar that never has enough.
const ANSWERS_MAX: u8 = 5;
/// A look-up that never comes back is a failure.
const LOOK_UP_MAX: Duration = Duration::from_secs(30);
/// How long giving back may take.
const LEAVE_MAX: Duration = Duration::from_secs(4);
const EXPIRES_MAX: Duration = Duration::from_secs(86_400);
/// A registrar that grants less would be asked without end.
const GRANTED_MIN: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Registration {
    account: Account,
    call_id: String,
    tag: String,
    /// Of the last REGISTER.
    sequence: u32,
    client: Client,
    /// What we ask for now: 423 raises it.
    expires: Duration,
    flows: Vec<Flow>,
    at: usize,
    phase: Phase,
    registered_until: Option<Instant>,
    /// In a row.
    failures: u32,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Phase {
    /// Nothing to do until then: a refresh, or the next try.
    Resting {
        until: Instant,
    },
    LookingUp {
        until: Instant,
    },
    /// A REGISTER is out. `answers`: how many we have had to it already.
    Asking {
        answers: u8,
    },
    /// Giving back, `until` then at the latest.
    Leaving {
        until: Instant,
        answers: u8,
    },
    Gone,
}

impl Registration {
    /// To be begun with [`Registration::due`]. `word` must be random: it makes Call-ID and tag.
    #[must_use]
    pub fn new(account: Account, now: Instant, word: &str) -> Self {
        Self {
            expires: account.expires,
            account,
            call_id: format!("register-{word}"),
            tag: word.to_owned(),
            sequence: 0,
            client: Client::default(),
            flows: Vec::new(),
            at: 0,
            phase: Phase::Resting { until: now },
            registered_until: None,
            failures: 0,
            failure: None,
        }
    }

    /// Where the registrar is, or the proxy before it: calls come from there.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.flows.iter().map(|flow| flow.peer.ip()).collect()
    }

    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// It has given back what it had, or had nothing.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        matches!(self.phase, Phase::Leaving { .. } | Phase::Gone)
    }

    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        let next_try = match self.phase {
            Phase::Resting { until } if self.failure.is_some() => Some(until),
            _ => None,
        };
        State {
            registered_until: self.registered_until.filter(|until| *until > now),
            failure: self.failure.clone(),
            next_try,
            at: self.flow().map(|flow| flow.peer),
        }
    }

    /// When [`Registration::due`] wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Resting { until } | Phase::LookingUp { until } | Phase::Leaving { until, .. } => {
                Some(until)
            }
            Phase::Asking { .. } | Phase::Gone => None,
        }
    }

    /// Its time has come.
    pub fn due(&mut self, now: Instant, word: &str) -> Option<Want> {
        match self.phase {
            Phase::Resting { until } if now >= until => {
                self.phase = Phase::LookingUp { until: now + LOOK_UP_MAX };
                Some(Want::LookUp(self.account.first_hop()))
            }
            Phase::LookingUp { until } if now >= until => {
                self.looked_up(now, Err("no answer from the DNS".to_owned()), word)
            }
            Phase::Leaving { until, .. } if now >= until => {
                self.leave_for_good();
                None
            }
            Phase::Resting { .. }
            | Phase::LookingUp { .. }
            | Phase::Leaving { .. }
            | Phase::Asking { .. }
            | Phase::Gone => None,
        }
    }

    /// Where the look-up leads, in the order to try.
    pub fn looked_up(&mut self, now: Instant, found: Result<Vec<Flow>, String>, word: &str) -> Option<Want> {
        if !matches!(self.phase, Phase::LookingUp { .. }) {
            return None;
        }
        let used = self.flow();
        match found {
            Ok(flows) if !flows.is_empty() => self.flows = flows,
            // What was good before may be good still.
            Ok(_) | Err(_) if !self.flows.is_empty() => {}
            Ok(_) => return self.fail(now, None, "no address to send to".to_owned(), None, word),
            Err(why) => return self.fail(now, None, why, None, word),
        }
        // Where we are registered we stay, as long as the name leads there.
        let registered = used.filter(|_| self.registered_until.is_some_and(|until| until > now));
        self.at = registered.and_then(|used| self.flows.iter().position(|flow| *flow == used)).unwrap_or(0);
        self.phase = Phase::Asking { answers: 0 };
        self.register(self.expires, word)
    }

    /// The answer to the REGISTER with this CSeq number; an older one changes nothing.
    pub fn answered(&mut self, now: Instant, response: &Response, word: &str) -> Option<Want> {
        if response.status < 200 || response.cseq.number != self.sequence {
            return None;
        }
        match self.phase {
            Phase::Asking { answers } => self.asked(now, response, answers + 1, word),
            Phase::Leaving { until, answers } => {
                let again = matches!(response.status, 401 | 407)
                    && answers < ANSWERS_MAX
                    && self.client.challenged(response, &self.account.login).is_ok();
                if again {
                    self.phase = Phase::Leaving { until, answers: answers + 1 };
                    return self.register(Duration::ZERO, word);
                }
                self.leave_for_good();
                None
            }
            Phase::Resting { .. } | Phase::LookingUp { .. } | Phase::Gone => None,
        }
    }

    fn asked(&mut self, now: Instant, response: &Response, answers: u8, word: &str) -> Option<Want> {
        let status = response.status;
        if !matches!(status, 401 | 407) {
            self.client.believed();
        }
        if answers < ANSWERS_MAX {
            match status {
                401 | 407 => match self.client.challenged(response, &self.account.login) {
                    Ok(()) => {
                        self.phase = Phase::Asking { answers };
                        return self.register(self.expires, word);
                    }
                    Err(
                        why @ (Unanswerable::NoChallenge
                        | Unanswerable::OtherRealm(_)
                        | Unanswerable::Rejected),
                    ) => {
                        return self.fail(now, Some(status), why.to_string(), None, word);
                    }
                },
                423 => {
                    let least = response.headers.get("Min-Expires").and_then(|text| text.trim().parse().ok());
                    let least = least.map(Duration::from_secs).filter(|least| *least > self.expires);
                    if let Some(least) = least.filter(|least| *least <= EXPIRES_MAX) {
                        self.expires = least;
                        self.phase = Phase::Asking { answers };
                        return self.register(least, word);
                    }
                }
                _ => {}
            }
        }
        if (200..300).contains(&status) {
            self.granted(now, response, word);
            return None;
        }
        let why: String = response.reason.chars().filter(|c| !c.is_control()).take(60).collect();
        let later = response.headers.get("Retry-After").and_then(retry_after);
        // What one server cannot do, the next one may; what it will not do, none of them will (RFC 3263 §4.3).
        if status == 408 || (500..600).contains(&status) {
            return self.next_address(now, Some(status), why, later, word);
        }
        self.fail(now, Some(status), why, later, word)
    }

    /// No answer came, or it could not be sent.
    pub fn unanswered(&mut self, now: Instant, why: &str, word: &str) -> Option<Want> {
        match self.phase {
            Phase::Asking { .. } => self.next_address(now, None, why.to_owned(), None, word),
            Phase::Leaving { .. } => {
                self.leave_for_good();
                None
            }
            Phase::Resting { .. } | Phase::LookingUp { .. } | Phase::Gone => None,
        }
    }

    /// The connection that we registered over is gone, and with it the way of calls to us (RFC 5626
    /// §4.4): registered again soon.
    pub fn connection_lost(&mut self, now: Instant, flow: &Flow, word: &str) {
        let is_registered = self.registered_until.is_some_and(|until| until > now);
        if let Phase::Resting { until } = &mut self.phase
            && is_registered
            && self.flows.get(self.at) == Some(flow)
        {
            self.registered_until = None;
            self.failure = Some(Failure { status: None, why: "the connection was closed".to_owned() });
            *until = now + part(Duration::from_secs(2), word, 50);
        }
    }

    /// Gives the registration back. Then it is gone, soon.
    pub fn leave(&mut self, now: Instant, word: &str) -> Option<Want> {
        if self.is_leaving() {
            return None;
        }
        let may_be_known = self.registered_until.is_some_and(|until| until > now)
            || matches!(self.phase, Phase::Asking { .. });
        if !may_be_known || self.flow().is_none() {
            self.leave_for_good();
            return None;
        }
        self.phase = Phase::Leaving { until: now + LEAVE_MAX, answers: 0 };
        self.register(Duration::ZERO, word)
    }

    fn leave_for_good(&mut self) {
        self.phase = Phase::Gone;
        self.registered_until = None;
    }

    fn granted(&mut self, now: Instant, response: &Response, word: &str) {
        let granted = self.expiry_in(response);
        if granted < GRANTED_MIN {
            let why = format!("granted for {} s only", granted.as_secs());
            self.fail(now, Some(response.status), why, None, word);
            return;
        }
        self.failures = 0;
        self.failure = None;
        self.registered_until = Some(now + granted);
        // At 75 to 90 % of the time, so that a thousand of us do not come at once.
        let refresh = part(granted, word, 75).min(granted * 9 / 10);
        self.phase = Phase::Resting { until: now + refresh };
    }

    /// Of our Contact among those registered, else of the answer, else what we asked for (§10.2.4).
    fn expiry_in(&self, response: &Response) -> Duration {
        let ours = response.contact.iter().filter(|contact| {
            contact.uri.user().is_some_and(|user| user == self.account.contact_user.as_str())
        });
        let seconds = |contact: &NameAddr| contact.params.value("expires")?.trim().parse::<u32>().ok();
        // An earlier life of ours may have left one behind; the newest runs longest.
        let longest = ours.filter_map(seconds).max();
        let seconds = longest.or_else(|| response.expires());
        seconds.map_or(self.expires, |seconds| Duration::from_secs(u64::from(seconds)).min(EXPIRES_MAX))
    }

    fn next_address(
        &mut self,
        now: Instant,
        status: Option<u16>,
        why: String,
        later: Option<Duration>,
        word: &str,
    ) -> Option<Want> {
        if self.at + 1 < self.flows.len() {
            self.at += 1;
            self.failure = Some(Failure { status, why });
            self.phase = Phase::Asking { answers: 0 };
            return self.register(self.expires, word);
        }
        self.fail(now, status, why, later, word)
    }

    fn fail(
        &mut self,
        now: Instant,
        status: Option<u16>,
        why: String,
        later: Option<Duration>,
        word: &str,
    ) -> Option<Want> {
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(Failure { status, why });
        self.at = 0;
        let longest = PAUSE.saturating_mul(1 << (self.failures - 1).min(10)).min(PAUSE_MAX);
        let pause = part(longest, word, 50).max(later.unwrap_or_default().min(PAUSE_MAX));
        self.phase = Phase::Resting { until: now + pause };
        None
    }

    /// A REGISTER to the address whose turn it is.
    fn register(&mut self, expires: Duration, word: &str) -> Option<Want> {
        let flow = self.flow()?;
        self.sequence += 1;
        let Account { registrar, address, login, .. } = &self.account;
        let address = NameAddr::new(address.clone());
        let from = address.clone().with_tag(&self.tag);
        let mut request =
            Request::new(Method::Register, registrar.clone(), from, address, &self.call_id, self.sequence);
        request.headers.push("Expires", &expires.as_secs().to_string());
        request.supported = vec!["path".to_owned()];
        if let Some(proxy) = &self.account.outbound_proxy {
            let mut route = proxy.clone();
            if let Some(params) = route.params_mut() {
                params.set("lr", None);
            }
            request.route = vec![NameAddr::new(route)];
        }
        self.client.sign(&mut request, login, word);
        Some(Want::Send(Box::new(request), flow))
    }

    fn flow(&self) -> Option<Flow> {
        self.flows.get(self.at).copied()
    }
}

/// Of `whole` at least `percent`, the rest by lot.
pub(super) fn part(whole: Duration, word: &str, percent: u32) -> Duration {
    let least = whole * percent / 100;
    let lot = u32::from_str_radix(word.get(..4).unwrap_or("0"), 16).unwrap_or_default();
    least + (whole - least) * lot / 0xffff
}

/// Seconds; a comment or parameters may follow (RFC 3261 §20.33).
fn retry_after(text: &str) -> Option<Duration> {
    let seconds = text.split([';', '(']).next()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
