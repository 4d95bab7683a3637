//! Digest authentication: who knows a password, without it being sent (RFC 7616, in SIP RFC 3261 §22
//! and RFC 8760; without `qop` as in RFC 2617).
//!
//! Here are the challenge, the credentials and the arithmetic between them. [`Login`] and [`Client`]
//! answer a peer's challenges, [`Guard`] and [`Nonces`] judge a peer's credentials.

mod client;
mod guard;

pub use client::{Client, Login, Unanswerable};
pub use guard::{Guard, Nonces, Refused, Verdict};

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};

use super::wire::{is_token, quote, split, unquote};

/// The session variants (`-sess`) are not spoken: SIP peers do not ask for them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Algorithm {
    Md5,
    Sha256,
    Sha512_256,
}

/// Quality of protection: what of the request the response covers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Qop {
    /// Method and URI.
    Auth,
    /// The body too.
    AuthInt,
}

/// One `WWW-Authenticate` or `Proxy-Authenticate` that we can answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub algorithm: Algorithm,
    /// The algorithm was written; a peer that wrote none may not know the word in our answer.
    pub names_algorithm: bool,
    /// `None`: the peer is of RFC 2069 and knows of no qop.
    pub qop: Option<Qop>,
    /// The nonce was too old, the password right.
    pub stale: bool,
}

/// One `Authorization` or `Proxy-Authorization`.
#[derive(Clone, Eq, PartialEq)]
pub struct Credentials {
    pub user: String,
    pub realm: String,
    pub nonce: String,
    pub uri: String,
    pub response: String,
    pub algorithm: Algorithm,
    pub opaque: Option<String>,
    pub protection: Option<Protection>,
    names_algorithm: bool,
}

/// What comes with a qop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Protection {
    pub qop: Qop,
    /// How often the nonce was used, from 1 on.
    pub count: u32,
    pub client_nonce: String,
}

/// Why an `Authorization` header is no credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreadable {
    /// Not the scheme Digest.
    OtherScheme,
    Malformed,
    UnknownAlgorithm,
}

/// Longest header that is looked at, and most parameters in it.
const LENGTH_MAX: usize = 4_096;
/// Longest challenge that is answered: the answer repeats it, quoted anew, and must fit into a header too.
const CHALLENGE_MAX: usize = 1_536;
const PARAMS_MAX: usize = 32;

impl Algorithm {
    pub const ALL: [Self; 3] = [Self::Md5, Self::Sha256, Self::Sha512_256];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Algorithms have no case (they are tokens, RFC 3261 §7.3.1).
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(text))
    }

    /// In lower case hexadecimal.
    fn hash(self, bytes: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(bytes)),
            Self::Sha256 => hex(&Sha256::digest(bytes)),
            Self::Sha512_256 => hex(&Sha512_256::digest(bytes)),
        }
    }
}

impl Qop {
    const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }

    fn named(text: &str) -> Option<Self> {
        [Self::Auth, Self::AuthInt].into_iter().find(|qop| qop.name().eq_ignore_ascii_case(text))
    }
}

impl Challenge {
    /// `None`: another scheme, an algorithm or a qop that we do not speak, malformed, or longer than any
    /// that can be answered.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > CHALLENGE_MAX {
            return None;
        }
        let params = params(text).ok()?;
        let value = |name| find(&params, name);
        let algorithm = match value("algorithm") {
            Some(name) => Algorithm::named(name)?,
            None => Algorithm::Md5,
        };
        let qop = match value("qop") {
            None => None,
            Some(list) => {
                let offered: Vec<Qop> = list.split(',').filter_map(|word| Qop::named(word.trim())).collect();
                // The lighter one is enough where the peer leaves us the choice.
                Some(if offered.contains(&Qop::Auth) { Qop::Auth } else { *offered.first()? })
            }
        };
        Some(Self {
            realm: value("realm")?.to_owned(),
            nonce: value("nonce")?.to_owned(),
            opaque: value("opaque").map(str::to_owned),
            algorithm,
            names_algorithm: value("algorithm").is_some(),
            qop,
            stale: value("stale").is_some_and(|word| word.eq_ignore_ascii_case("true")),
        })
    }
}

impl Credentials {
    /// # Errors
    /// When the header is not ours to judge.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let params = params(text)?;
        let value = |name| find(&params, name);
        let owned = |name| value(name).map(str::to_owned).ok_or(Unreadable::Malformed);
        let algorithm = match value("algorithm") {
            Some(name) => Algorithm::named(name).ok_or(Unreadable::UnknownAlgorithm)?,
            None => Algorithm::Md5,
        };
        let protection = match value("qop") {
            None => None,
            Some(qop) => {
                let count = value("nc").filter(|count| count.len() == 8);
                Some(Protection {
                    qop: Qop::named(qop).ok_or(Unreadable::Malformed)?,
                    count: count
                        .and_then(|count| u32::from_str_radix(count, 16).ok())
                        .filter(|count| *count > 0)
                        .ok_or(Unreadable::Malformed)?,
                    client_nonce: owned("cnonce")?,
                })
            }
        };
        Ok(Self {
            user: owned("username")?,
            realm: owned("realm")?,
            nonce: owned("nonce")?,
            uri: owned("uri")?,
            response: owned("response")?,
            algorithm,
            opaque: value("opaque").map(str::to_owned),
            protection,
            names_algorithm: value("algorithm").is_some(),
        })
    }

    /// As a header's value. Which values are quoted is fixed (RFC 7616 §3.4).
    #[must_use]
    pub fn print(&self) -> String {
        let mut text = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response={}",
            quote(&self.user),
            quote(&self.realm),
            quote(&self.nonce),
            quote(&self.uri),
            quote(&self.response)
        );
        if self.names_algorithm {
            text.push_str(&format!(", algorithm={}", self.algorithm.name()));
        }
        if let Some(opaque) = &self.opaque {
            text.push_str(&format!(", opaque={}", quote(opaque)));
        }
        if let Some(Protection { qop, count, client_nonce }) = &self.protection {
            text.push_str(&format!(", qop={}, nc={count:08x}, cnonce={}", qop.name(), quote(client_nonce)));
        }
        text
    }

    /// What `response` must be for this password (RFC 7616 §3.4.1).
    #[must_use]
    pub fn expected(&self, password: &str, method: &str, body: &[u8]) -> String {
        let hash = |text: String| self.algorithm.hash(text.as_bytes());
        let secret = hash(format!("{}:{}:{password}", self.user, self.realm));
        match &self.protection {
            // RFC 2069, as RFC 2617 §3.2.2.1 keeps it.
            None => {
                let request = hash(format!("{method}:{}", self.uri));
                hash(format!("{secret}:{}:{request}", self.nonce))
            }
            Some(Protection { qop, count, client_nonce }) => {
                let request = match qop {
                    Qop::Auth => hash(format!("{method}:{}", self.uri)),
                    Qop::AuthInt => {
                        let body = self.algorithm.hash(body);
                        hash(format!("{method}:{}:{body}", self.uri))
                    }
                };
                let (nonce, qop) = (&self.nonce, qop.name());
                hash(format!("{secret}:{nonce}:{count:08x}:{client_nonce}:{qop}:{request}"))
            }
        }
    }
}

/// Neither user nor response: both are somebody's.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("realm", &self.realm)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The parameters behind the word `Digest`, unquoted. Of two with one name the header is malformed:
/// whoever reads the other one would judge something else.
fn params(text: &str) -> Result<Vec<(String, String)>, Unreadable> {
    if text.len() > LENGTH_MAX {
        return Err(Unreadable::Malformed);
    }
    let (scheme, rest) = text.trim().split_once([' ', '\t']).ok_or(Unreadable::OtherScheme)?;
    if !scheme.eq_ignore_ascii_case("Digest") {
        return Err(Unreadable::OtherScheme);
    }
    let pieces = split(rest, b',').ok_or(Unreadable::Malformed)?;
    if pieces.len() > PARAMS_MAX {
        return Err(Unreadable::Malformed);
    }
    let mut params: Vec<(String, String)> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let (name, value) = piece.split_once('=').ok_or(Unreadable::Malformed)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), unquote(value.trim()).into_owned());
        if !is_token(&name) || params.iter().any(|(other, _)| *other == name) {
            return Err(Unreadable::Malformed);
        }
        params.push((name, value));
    }
    Ok(params)
}

fn find<'a>(params: &'a [(String, String)], name: &str) -> Option<&'a str> {
    params.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, parameters, password, method, body, response.
    type Case<'a> = (&'a str, String, &'a str, &'a str, &'a [u8], &'a str);

    /// RFC 7616 §3.9.1 for MD5 and SHA-256, RFC 2617 §3.5, and others made by another program.
    #[test]
    fn responses_are_those_of_the_standards() {
        let http = "realm=\"http-auth@example.org\", uri=\"/dir/index.html\", nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
                    nc=00000001, cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, username=\"Mufasa\"";
        let old = "username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\"";
        let bob = "username=\"bob\", realm=\"biloxi.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"sip:bob@biloxi.com\"";
        let count = "nc=00000001, cnonce=\"0a4f113b\"";
        let cases: &[Case] = &[
            (
                "RFC 7616 MD5",
                format!("{http}, algorithm=MD5"),
                "Circle of Life",
                "GET",
                b"",
                "8ca523f5e9506fed4657c9700eebdbec",
            ),
            (
                "RFC 7616 SHA-256",
                format!("{http}, algorithm=SHA-256"),
                "Circle of Life",
                "GET",
                b"",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
            (
                "SHA-512-256",
                format!("{http}, algorithm=sha-512-256"),
                "Circle of Life",
                "GET",
                b"",
                "430d05014cecc49cab6fbe03176d41a1da86cbfe24a16580e22aaad928d960d0",
            ),
            (
                "RFC 2617 §3.5",
                format!("{old}, qop=\"auth\", {count}"),
                "Circle Of Life",
                "GET",
                b"",
                "6629fae49393a05397450978507c4ef1",
            ),
            ("without qop", old.to_owned(), "Circle Of Life", "GET", b"", "670fd8c2df070c60b045671b8b24ff02"),
            (
                "SIP without qop",
                bob.to_owned(),
                "zanzibar",
                "INVITE",
                b"",
                "bf57e4e0d0bffc0fbaedce64d59add5e",
            ),
            (
                "the body too",
                format!("{bob}, qop=auth-int, {count}, algorithm=SHA-256"),
                "zanzibar",
                "INVITE",
                b"v=0\r\n",
                "554a9ffe79ce71c3cb6c9630deddd2787d8033f895e5cdef6a73c8e84ed4c979",
            ),
        ];
        for (name, text, password, method, body, expected) in cases {
            let text = format!("Digest {text}, response=\"x\"");
            let credentials = Credentials::parse(&text).unwrap();
            assert_eq!(credentials.expected(password, method, body), *expected, "{name}");
            assert_eq!(Credentials::parse(&credentials.print()).unwrap(), credentials, "{name}");
        }
    }

    #[test]
    fn a_challenge_is_read_as_peers_write_it() {
        let whole = r#"digest Realm = "a \"b\", c" ,nonce="n=,",  qop="auth-int , auth",opaque="", algorithm=sha-256, stale=TRUE, domain="sip:x""#;
        let challenge = Challenge::parse(whole).unwrap();
        assert_eq!((challenge.realm.as_str(), challenge.nonce.as_str()), (r#"a "b", c"#, "n=,"));
        assert_eq!(
            (challenge.qop, challenge.algorithm, challenge.stale),
            (Some(Qop::Auth), Algorithm::Sha256, true)
        );
        assert_eq!(challenge.opaque.as_deref(), Some(""));
        let bare = Challenge::parse(r#"Digest realm="r", nonce="n""#).unwrap();
        assert_eq!((bare.qop, bare.algorithm, bare.names_algorithm), (None, Algorithm::Md5, false));
        let int = Challenge::parse(r#"Digest realm="r", nonce="n", qop="auth-int""#).unwrap();
        assert_eq!(int.qop, Some(Qop::AuthInt));
        let wrong = [
            "",
            "Digest",
            "Basic realm=\"r\"",
            r#"Digest realm="r""#,
            r#"Digest nonce="n""#,
            r#"Digest realm="r", nonce="n", algorithm=MD5-sess"#,
            r#"Digest realm="r", nonce="n", qop="token""#,
            r#"Digest realm="r", nonce="n", realm="s""#,
            r#"Digest realm="r, nonce="n"#,
            r#"Digest realm="r", nonce"#,
        ];
        for wrong in wrong {
            assert_eq!(Challenge::parse(wrong), None, "{wrong}");
        }
        let nonce = |length| format!("Digest realm=\"r\", nonce=\"{}\"", "n".repeat(length));
        assert!(Challenge::parse(&nonce(1_000)).is_some());
        assert_eq!(Challenge::parse(&nonce(CHALLENGE_MAX)), None, "its answer would fit into no header");
    }

    #[test]
    fn credentials_that_cannot_be_judged_say_why() {
        let good = r#"username="u", realm="r", nonce="n", uri="sip:x", response="y""#;
        let cases = [
            (format!("Digest {good}"), None),
            (format!("Digest {good}, qop=auth, nc=0000000a, cnonce=\"c\""), None),
            (format!("Basic {good}"), Some(Unreadable::OtherScheme)),
            (format!("Digest {good}, algorithm=MD4"), Some(Unreadable::UnknownAlgorithm)),
            (format!("Digest {good}, qop=auth, nc=00000000, cnonce=\"c\""), Some(Unreadable::Malformed)),
            (format!("Digest {good}, qop=auth, nc=1, cnonce=\"c\""), Some(Unreadable::Malformed)),
            (format!("Digest {good}, qop=auth, nc=00000001"), Some(Unreadable::Malformed)),
            (format!("Digest {good}, x=\"{}\"", "x".repeat(5_000)), Some(Unreadable::Malformed)),
            (r#"Digest username="u""#.to_owned(), Some(Unreadable::Malformed)),
        ];
        for (text, expected) in cases {
            assert_eq!(Credentials::parse(&text).err(), expected, "{}", &text[..60.min(text.len())]);
        }
    }

    #[test]
    fn what_is_quoted_reads_back() {
        let text = r#"Digest username="a \"b\\ c", realm="r", nonce="n", uri="sip:x;y=\"z\"", response="y""#;
        let credentials = Credentials::parse(text).unwrap();
        assert_eq!((credentials.user.as_str(), credentials.uri.as_str()), (r#"a "b\ c"#, r#"sip:x;y="z""#));
        assert_eq!(credentials.print(), text);
        assert!(!format!("{credentials:?}").contains("a \"b"));
    }
}
