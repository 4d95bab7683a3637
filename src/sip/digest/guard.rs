//! Whether a peer's request proves that its sender knows a password: our own challenges (407).
//!
//! A nonce is a moment and its MAC, so that a challenge leaves nothing behind. Only a nonce that has
//! proved a password is remembered, with how often it was used: the same credentials are not taken
//! twice, and nobody without a password can fill the memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Algorithm, Credentials, Unreadable, hex};
use crate::sip::uri::Uri;
use crate::sip::wire::{Request, quote};
use crate::types::Password;

/// Who may call over a trunk, and how they prove it.
#[derive(Clone, Eq, PartialEq)]
pub struct Guard {
    pub realm: String,
    /// At least one; the peer takes the first that it speaks.
    pub algorithms: Vec<Algorithm>,
    pub users: Vec<(String, Password)>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("realm", &self.realm)
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

/// How long a nonce is good for.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// Nonces remembered at once.
const REMEMBERED_MAX: usize = 20_000;

/// The memory behind every guard.
pub struct Nonces {
    key: [u8; 32],
    /// Moments in nonces count from here.
    begin: Option<Instant>,
    given: u32,
    /// When it was given, and the highest count it was used with.
    used: HashMap<Box<str>, (u64, u32)>,
    /// Nonces given before this, in milliseconds, are taken for stale: they may have been forgotten.
    floor: u64,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// This user knows the password.
    Known(String),
    /// Nothing was proved yet. `stale`: the password is right, the nonce was too old or used before.
    Ask {
        stale: bool,
    },
    Refused(Refused),
}

/// What is wrong with credentials. The peer is not told.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Refused {
    Malformed,
    /// An algorithm that we did not ask for.
    OtherAlgorithm,
    UnknownUser,
    WrongPassword,
    /// Made for another request.
    OtherRequest,
}

impl Refused {
    pub const ALL: [Self; 5] =
        [Self::Malformed, Self::OtherAlgorithm, Self::UnknownUser, Self::WrongPassword, Self::OtherRequest];

    /// In logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::OtherAlgorithm => "other-algorithm",
            Self::UnknownUser => "unknown-user",
            Self::WrongPassword => "wrong-password",
            Self::OtherRequest => "other-request",
        }
    }
}

impl Guard {
    /// The values of the challenge's headers, best first (RFC 8760 §2.3).
    #[must_use]
    pub fn challenges(&self, nonce: &str, stale: bool) -> Vec<String> {
        let print = |algorithm: &Algorithm| {
            let stale = if stale { ", stale=true" } else { "" };
            let (realm, name) = (quote(&self.realm), algorithm.name());
            format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={name}, qop=\"auth,auth-int\"{stale}")
        };
        self.algorithms.iter().map(print).collect()
    }
}

impl Nonces {
    /// `seed` must be random and stay in this process.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let mac = Hmac::<Sha256>::new_from_slice(&seed).expect("HMAC takes a key of any length");
        let key = mac.chain_update(b"nonces").finalize().into_bytes().into();
        Self { key, begin: None, given: 0, used: HashMap::new(), floor: 0 }
    }

    /// A new nonce for this realm.
    pub fn give(&mut self, now: Instant, realm: &str) -> String {
        let moment = self.moment(now);
        self.given = self.given.wrapping_add(1);
        let word = format!("{moment:012x}{:08x}", self.given);
        let mac = self.mac(&word, realm);
        word + &mac
    }

    /// Judges the credentials of a request that wants in.
    pub fn judge(&mut self, now: Instant, guard: &Guard, request: &Request) -> Verdict {
        let mut verdict = Verdict::Ask { stale: false };
        let headers = ["Proxy-Authorization", "Authorization"];
        for text in headers.iter().flat_map(|name| request.headers.get_all(name)) {
            match Credentials::parse(text) {
                // Those for other realms are for others.
                Ok(credentials) if credentials.realm == guard.realm => {
                    return self.judge_one(now, guard, request, &credentials);
                }
                Err(Unreadable::Malformed) => verdict = Verdict::Refused(Refused::Malformed),
                Err(Unreadable::UnknownAlgorithm) => verdict = Verdict::Refused(Refused::OtherAlgorithm),
                Ok(_) | Err(Unreadable::OtherScheme) => {}
            }
        }
        verdict
    }

    fn judge_one(&mut self, now: Instant, guard: &Guard, request: &Request, given: &Credentials) -> Verdict {
        let refused = Verdict::Refused;
        if !guard.algorithms.contains(&given.algorithm) {
            return refused(Refused::OtherAlgorithm);
        }
        if !same_target(&given.uri, &request.uri) {
            return refused(Refused::OtherRequest);
        }
        let user = guard.users.iter().find(|(name, _)| *name == given.user);
        // Reckoned for strangers as well: how long it takes says nothing of which users there are.
        let password = user.map_or("", |(_, password)| password.reveal());
        let expected = given.expected(password, request.method.as_str(), &request.body);
        let response = given.response.to_ascii_lowercase();
        let is_right = bool::from(expected.as_bytes().ct_eq(response.as_bytes()));
        let Some((name, _)) = user else { return refused(Refused::UnknownUser) };
        if !is_right {
            return refused(Refused::WrongPassword);
        }
        // One that we did not give may be of an earlier life of the service.
        let Some(moment) = self.given_at(&given.nonce, &guard.realm) else {
            return Verdict::Ask { stale: true };
        };
        let age = self.moment(now).saturating_sub(moment);
        // Without a count a nonce is good for one request.
        let count = given.protection.as_ref().map_or(u32::MAX, |protection| protection.count);
        let is_fresh = u128::from(age) < GOOD_FOR.as_millis() && moment >= self.floor;
        if !is_fresh || !self.use_up(now, given, moment, count) {
            return Verdict::Ask { stale: true };
        }
        Verdict::Known(name.clone())
    }

    /// `false`: that count, or a higher one, has been used.
    fn use_up(&mut self, now: Instant, given: &Credentials, moment: u64, count: u32) -> bool {
        if let Some((_, used)) = self.used.get_mut(given.nonce.as_str()) {
            let is_new = count > *used;
            *used = count.max(*used);
            return is_new;
        }
        if self.used.len() >= REMEMBERED_MAX {
            self.forget(now);
        }
        self.used.insert(given.nonce.as_str().into(), (moment, count));
        true
    }

    /// Makes room: what is stale anyway, and if that is not enough, the older half, which counts as
    /// stale from now on.
    fn forget(&mut self, now: Instant) {
        let good_for = u64::try_from(GOOD_FOR.as_millis()).unwrap_or(u64::MAX);
        let stale = self.moment(now).saturating_sub(good_for);
        self.used.retain(|_, (moment, _)| *moment > stale);
        if self.used.len() >= REMEMBERED_MAX {
            let mut moments: Vec<u64> = self.used.values().map(|(moment, _)| *moment).collect();
            moments.sort_unstable();
            self.floor = moments[moments.len() / 2] + 1;
            let floor = self.floor;
            self.used.retain(|_, (moment, _)| *moment >= floor);
        }
    }

    /// When we gave this nonce; `None`: we did not.
    fn given_at(&self, nonce: &str, realm: &str) -> Option<u64> {
        let (word, mac) = nonce.split_at_checked(20)?;
        let is_ours = bool::from(self.mac(word, realm).as_bytes().ct_eq(mac.as_bytes()));
        if is_ours { u64::from_str_radix(word.get(..12)?, 16).ok() } else { None }
    }

    fn mac(&self, word: &str, realm: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        let mac = mac.chain_update(word).chain_update(realm).finalize().into_bytes();
        hex(&mac[..12])
    }

    /// Milliseconds since the first use.
    fn moment(&mut self, now: Instant) -> u64 {
        let begin = *self.begin.get_or_insert(now);
        // From 1 on, so that the floor at the beginning is below all.
        u64::try_from(now.saturating_duration_since(begin).as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// The `uri` of credentials names the request's own target. A proxy may have added a port or a
/// parameter on the way; user and host must be the same (RFC 7616 §3.4.6).
fn same_target(written: &str, uri: &Uri) -> bool {
    let Ok(written) = written.parse::<Uri>() else { return false };
    let host = |uri: &Uri| uri.host().map(|host| host.to_string().to_ascii_lowercase());
    written == *uri || written.user() == uri.user() && host(&written) == host(uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::digest::{Client, Login};
    use crate::sip::wire::{Method, NameAddr, Response};

    const TARGET: &str = "sip:+442079460000@192.0.2.1";

    fn guard() -> Guard {
        Guard {
            realm: "doorline".to_owned(),
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            users: vec![
                ("alice".to_owned(), Password::new("open sesame")),
                ("bob".to_owned(), Password::new("zanzibar")),
            ],
        }
    }

    fn invite(to: &str, body: &[u8]) -> Request {
        let from = NameAddr::parse("<sip:+441@198.51.100.7>;tag=a").unwrap();
        let to: Uri = to.parse().unwrap();
        let mut request = Request::new(Method::Invite, to.clone(), from, NameAddr::new(to), "one@peer", 1);
        request.body = body.to_vec();
        request
    }

    /// A peer that has been asked with a nonce, and knows a password.
    fn peer(nonces: &mut Nonces, now: Instant, user: &str, password: &str) -> (Client, Login) {
        let nonce = nonces.give(now, &guard().realm);
        let asked = guard()
            .challenges(&nonce, false)
            .iter()
            .fold(Response::to(&invite(TARGET, b""), 407), |response, challenge| {
                response.with_header("Proxy-Authenticate", challenge)
            });
        let login = Login { user: user.to_owned(), password: Password::new(password), realm: None };
        let mut client = Client::default();
        client.challenged(&asked, &login).unwrap();
        (client, login)
    }

    fn signed((client, login): &mut (Client, Login), to: &str, body: &[u8]) -> Request {
        let mut request = invite(to, body);
        client.sign(&mut request, login, "0123456789abcdef");
        request
    }

    #[test]
    fn who_knows_the_password_comes_in_and_nobody_else() {
        let now = Instant::now();
        let mut nonces = Nonces::new([7; 32]);
        let known = |user: &str| Verdict::Known(user.to_owned());
        let cases = [
            ("alice", "open sesame", known("alice")),
            ("bob", "zanzibar", known("bob")),
            ("bob", "open sesame", Verdict::Refused(Refused::WrongPassword)),
            ("bob", "", Verdict::Refused(Refused::WrongPassword)),
            ("mallory", "", Verdict::Refused(Refused::UnknownUser)),
        ];
        for (user, password, expected) in cases {
            let mut peer = peer(&mut nonces, now, user, password);
            let request = signed(&mut peer, TARGET, b"v=0\r\n");
            assert_eq!(nonces.judge(now, &guard(), &request), expected, "{user} {password}");
        }
        assert_eq!(nonces.judge(now, &guard(), &invite(TARGET, b"")), Verdict::Ask { stale: false });
        assert_eq!(nonces.used.len(), 2, "only nonces that proved a password are remembered");
    }

    #[test]
    fn credentials_are_good_once_and_for_their_request() {
        let now = Instant::now();
        let mut nonces = Nonces::new([7; 32]);
        let mut bob = peer(&mut nonces, now, "bob", "zanzibar");
        let first = signed(&mut bob, TARGET, b"");
        let second = signed(&mut bob, TARGET, b"");
        let third = signed(&mut bob, TARGET, b"");
        assert!(matches!(nonces.judge(now, &guard(), &first), Verdict::Known(_)));
        assert_eq!(nonces.judge(now, &guard(), &first), Verdict::Ask { stale: true }, "again");
        assert!(matches!(nonces.judge(now, &guard(), &third), Verdict::Known(_)), "one was lost");
        assert_eq!(nonces.judge(now, &guard(), &second), Verdict::Ask { stale: true }, "overtaken");

        let mut bob = peer(&mut nonces, now, "bob", "zanzibar");
        let mut moved = signed(&mut bob, TARGET, b"");
        moved.uri = "sip:900@192.0.2.1".parse().unwrap();
        assert_eq!(nonces.judge(now, &guard(), &moved), Verdict::Refused(Refused::OtherRequest));
        let mut moved = signed(&mut bob, TARGET, b"");
        moved.uri = "sip:+442079460000@192.0.2.1:5060;transport=udp".parse().unwrap();
        assert!(matches!(nonces.judge(now, &guard(), &moved), Verdict::Known(_)), "a proxy added a port");
        let mut bye = signed(&mut bob, TARGET, b"");
        bye.method = Method::Message;
        assert_eq!(nonces.judge(now, &guard(), &bye), Verdict::Refused(Refused::WrongPassword));
    }

    #[test]
    fn a_nonce_is_good_for_five_minutes_of_this_life_and_realm() {
        let now = Instant::now();
        let mut nonces = Nonces::new([7; 32]);
        let mut bob = peer(&mut nonces, now, "bob", "zanzibar");
        let later = |seconds| now + Duration::from_secs(seconds);
        let request = signed(&mut bob, TARGET, b"");
        assert!(matches!(nonces.judge(later(299), &guard(), &request), Verdict::Known(_)));
        let request = signed(&mut bob, TARGET, b"");
        assert_eq!(nonces.judge(later(300), &guard(), &request), Verdict::Ask { stale: true });
        // A wrong password is not told from an old nonce by asking with stale.
        let mut wrong = peer(&mut nonces, now, "bob", "x");
        let request = signed(&mut wrong, TARGET, b"");
        assert_eq!(nonces.judge(later(400), &guard(), &request), Verdict::Refused(Refused::WrongPassword));

        let mut earlier = Nonces::new([8; 32]);
        let mut bob = peer(&mut earlier, now, "bob", "zanzibar");
        let of_earlier_life = nonces.judge(now, &guard(), &signed(&mut bob, TARGET, b""));
        assert_eq!(of_earlier_life, Verdict::Ask { stale: true });
        let mut wrong = peer(&mut earlier, now, "bob", "x");
        let request = signed(&mut wrong, TARGET, b"");
        assert_eq!(nonces.judge(now, &guard(), &request), Verdict::Refused(Refused::WrongPassword));
        let nonce = nonces.give(now, "another trunk");
        assert_eq!(nonces.given_at(&nonce, "doorline"), None);
        for odd in ["", "x", "ééééééééééééé", &"0".repeat(44)] {
            assert_eq!(nonces.given_at(odd, "doorline"), None, "{odd}");
        }
    }

    #[test]
    fn a_peer_of_the_old_kind_uses_each_nonce_once() {
        let now = Instant::now();
        let mut nonces = Nonces::new([7; 32]);
        let nonce = nonces.give(now, "doorline");
        let mut credentials = Credentials::parse(&format!(
            "Digest username=\"bob\", realm=\"doorline\", nonce=\"{nonce}\", uri=\"{TARGET}\", response=\"x\""
        ))
        .unwrap();
        credentials.response = credentials.expected("zanzibar", "INVITE", b"");
        let mut request = invite(TARGET, b"");
        request.headers.push("Authorization", &credentials.print());
        assert!(matches!(nonces.judge(now, &guard(), &request), Verdict::Known(_)));
        assert_eq!(nonces.judge(now, &guard(), &request), Verdict::Ask { stale: true });
    }

    #[test]
    fn algorithms_that_we_did_not_ask_for_and_nonsense_are_refused() {
        let now = Instant::now();
        let mut nonces = Nonces::new([7; 32]);
        let strict = Guard { algorithms: vec![Algorithm::Sha256], ..guard() };
        let nonce = nonces.give(now, "doorline");
        let head = "Digest username=\"bob\", realm=\"doorline\"";
        let cases = [
            (
                format!("{head}, nonce=\"{nonce}\", uri=\"{TARGET}\", response=\"x\""),
                Verdict::Refused(Refused::OtherAlgorithm),
            ),
            (format!("{head}, nonce=\"{nonce}\""), Verdict::Refused(Refused::Malformed)),
            (
                format!("{head}, nonce=\"{nonce}\", uri=\"{TARGET}\", response=\"x\", algorithm=MD9"),
                Verdict::Refused(Refused::OtherAlgorithm),
            ),
            (
                "Digest username=\"bob\", realm=\"elsewhere\", nonce=\"1\", uri=\"sip:x\", response=\"x\""
                    .to_owned(),
                Verdict::Ask { stale: false },
            ),
            ("Basic Ym9iOng=".to_owned(), Verdict::Ask { stale: false }),
        ];
        for (text, expected) in cases {
            let mut request = invite(TARGET, b"");
            request.headers.push("Proxy-Authorization", &text);
            assert_eq!(nonces.judge(now, &strict, &request), expected, "{text}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_forgets_towards_safety() {
        let now = Instant::now();
        let mut nonces = Nonces::new([7; 32]);
        let mut first = peer(&mut nonces, now, "bob", "zanzibar");
        let old = signed(&mut first, TARGET, b"");
        assert!(matches!(nonces.judge(now, &guard(), &old), Verdict::Known(_)));
        for n in 0..REMEMBERED_MAX as u64 {
            nonces.used.insert(format!("nonce {n}").into(), (n / 100, 1));
        }
        let now = now + Duration::from_secs(1);
        let mut second = peer(&mut nonces, now, "bob", "zanzibar");
        let request = signed(&mut second, TARGET, b"");
        assert!(matches!(nonces.judge(now, &guard(), &request), Verdict::Known(_)));
        assert!(nonces.used.len() <= REMEMBERED_MAX);
        assert_eq!(
            nonces.judge(now, &guard(), &old),
            Verdict::Ask { stale: true },
            "forgotten, not replayed"
        );
    }
}
