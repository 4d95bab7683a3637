//! Our answers to a peer's challenges: to the registrar's 401, to a proxy's 407.
//!
//! Of several challenges the first one that we speak is answered, in the peer's order (RFC 8760
//! §2.4). A nonce is used again, counting, until the peer is tired of it.

use super::{Algorithm, Challenge, Credentials, Protection, Qop};
use crate::sip::wire::{Request, Response};
use crate::types::Password;

/// Who we are to one peer. `Debug` does not tell: the user is often a number.
#[derive(Clone, Eq, PartialEq)]
pub struct Login {
    pub user: String,
    pub password: Password,
    /// The realm that the password is for; `None`: whatever this peer says. Another one gets nothing.
    pub realm: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// What we remember of a peer's challenges.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Of the server itself (401), and of a proxy before it (407).
    asked: [Option<Asked>; 2],
}

#[derive(Clone, Debug)]
struct Asked {
    challenge: Challenge,
    /// How often the nonce was used.
    count: u32,
    /// An answer to it is on its way, and no other answer has come yet: asking again means that the
    /// password is wrong.
    untried: bool,
}

/// Why a challenge gets no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unanswerable {
    #[error("a challenge that we cannot read, or for an algorithm that we do not speak")]
    NoChallenge,
    #[error("a challenge for realm {0:?}, expected the realm of this trunk")]
    OtherRealm(String),
    #[error("user or password refused")]
    Rejected,
}

/// Header of the challenge, header of the answer.
const HEADERS: [(&str, &str); 2] =
    [("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization")];

impl Client {
    /// Takes up the challenge of a 401 or 407. [`Client::sign`] then answers it.
    ///
    /// # Errors
    /// When sending the request again makes no sense.
    pub fn challenged(&mut self, response: &Response, login: &Login) -> Result<(), Unanswerable> {
        let which = usize::from(response.status == 407);
        let mut readable = response.headers.get_all(HEADERS[which].0).filter_map(Challenge::parse).peekable();
        let Some(first) = readable.peek().cloned() else { return Err(Unanswerable::NoChallenge) };
        let ours = |challenge: &Challenge| login.realm.as_ref().is_none_or(|realm| challenge.realm == *realm);
        let Some(challenge) = readable.find(ours) else {
            return Err(Unanswerable::OtherRealm(first.realm.chars().take(60).collect()));
        };
        let before = self.asked[which].as_ref();
        let was_tried = before.is_some_and(|asked| asked.untried && asked.challenge.realm == challenge.realm);
        if was_tried && !challenge.stale {
            self.asked[which] = None;
            return Err(Unanswerable::Rejected);
        }
        self.asked[which] = Some(Asked { challenge, count: 0, untried: true });
        Ok(())
    }

    /// Another answer came than a challenge: what we sent was good enough.
    pub fn believed(&mut self) {
        for asked in self.asked.iter_mut().flatten() {
            asked.untried = false;
        }
    }

    /// Writes our credentials into a request, if we know what the peer asks. `client_nonce` must be
    /// a fresh random word.
    pub fn sign(&mut self, request: &mut Request, login: &Login, client_nonce: &str) {
        for ((_, header), asked) in HEADERS.iter().zip(&mut self.asked) {
            let Some(Asked { challenge, count, .. }) = asked else { continue };
            *count += 1;
            let protection = challenge.qop.map(|qop| Protection {
                qop,
                count: *count,
                client_nonce: client_nonce.to_owned(),
            });
            let mut credentials = Credentials {
                user: login.user.clone(),
                realm: challenge.realm.clone(),
                nonce: challenge.nonce.clone(),
                uri: request.uri.to_string(),
                response: String::new(),
                algorithm: challenge.algorithm,
                opaque: challenge.opaque.clone(),
                protection,
                names_algorithm: challenge.names_algorithm,
            };
            credentials.response =
                credentials.expected(login.password.reveal(), request.method.as_str(), &request.body);
            request.headers.set(header, &credentials.print());
        }
    }

    /// The algorithm and protection in use, for operators.
    #[must_use]
    pub fn in_use(&self) -> Option<(Algorithm, Option<Qop>)> {
        self.asked.iter().flatten().map(|asked| (asked.challenge.algorithm, asked.challenge.qop)).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::wire::{Method, NameAddr};

    fn login(realm: Option<&str>) -> Login {
        Login { user: "bob".to_owned(), password: Password::new("zanzibar"), realm: realm.map(str::to_owned) }
    }

    fn request() -> Request {
        let address = NameAddr::parse("<sip:bob@biloxi.com>").unwrap();
        Request::new(
            Method::Register,
            "sip:biloxi.com".parse().unwrap(),
            address.clone(),
            address,
            "call@us",
            1,
        )
    }

    fn challenge(status: u16, challenges: &[&str]) -> Response {
        let name = if status == 407 { "Proxy-Authenticate" } else { "WWW-Authenticate" };
        challenges
            .iter()
            .fold(Response::to(&request(), status), |response, text| response.with_header(name, text))
    }

    /// The credentials that a registrar would see next, if any, judged with the right password.
    fn answered(client: &mut Client, header: &str) -> Option<Credentials> {
        let mut request = request();
        client.sign(&mut request, &login(None), "cn");
        let credentials = Credentials::parse(request.headers.get(header)?).unwrap();
        assert_eq!(credentials.response, credentials.expected("zanzibar", "REGISTER", b""));
        Some(credentials)
    }

    #[test]
    fn the_first_challenge_that_we_speak_is_answered() {
        let cases: &[(&str, &[&str], Option<Algorithm>)] = &[
            (
                "the peer's order counts, not our liking",
                &[
                    r#"Digest realm="r", nonce="1", algorithm=MD5"#,
                    r#"Digest realm="r", nonce="2", algorithm=SHA-256"#,
                ],
                Some(Algorithm::Md5),
            ),
            (
                "strange ones are passed over",
                &[
                    r#"Bearer realm="r""#,
                    r#"Digest realm="r", nonce="1", algorithm=AKAv1-MD5"#,
                    r#"Digest realm="r", nonce="2", algorithm=SHA-512-256, qop="auth""#,
                    r#"Digest realm="r", nonce="3""#,
                ],
                Some(Algorithm::Sha512_256),
            ),
            ("none that we speak", &[r#"Digest realm="r", nonce="1", algorithm=XYZ"#], None),
            ("none at all", &[], None),
        ];
        for (name, challenges, expected) in cases {
            let mut client = Client::default();
            let taken = client.challenged(&challenge(401, challenges), &login(None));
            assert_eq!(taken.is_ok(), expected.is_some(), "{name}");
            assert_eq!(answered(&mut client, "Authorization").map(|c| c.algorithm), *expected, "{name}");
        }
    }

    #[test]
    fn a_nonce_is_counted_until_it_is_stale() {
        let mut client = Client::default();
        assert!(answered(&mut client, "Authorization").is_none());
        let first = r#"Digest realm="r", nonce="1", qop="auth", opaque="o", algorithm=SHA-256"#;
        client.challenged(&challenge(401, &[first]), &login(None)).unwrap();
        for count in 1..=3 {
            let credentials = answered(&mut client, "Authorization").unwrap();
            assert_eq!(credentials.protection.map(|p| p.count), Some(count));
            assert_eq!(credentials.opaque.as_deref(), Some("o"));
            client.believed();
        }
        let stale = r#"Digest realm="r", nonce="2", qop="auth", stale=true"#;
        client.challenged(&challenge(401, &[stale]), &login(None)).unwrap();
        let credentials = answered(&mut client, "Authorization").unwrap();
        assert_eq!((credentials.nonce.as_str(), credentials.protection.unwrap().count), ("2", 1));
    }

    #[test]
    fn a_wrong_password_is_not_sent_twice() {
        let mut client = Client::default();
        let asked = |nonce: &str| challenge(401, &[&format!(r#"Digest realm="r", nonce="{nonce}""#)]);
        client.challenged(&asked("1"), &login(None)).unwrap();
        answered(&mut client, "Authorization").unwrap();
        assert_eq!(client.challenged(&asked("2"), &login(None)), Err(Unanswerable::Rejected));
        // A new nonce after a success is not a refusal, whether the peer says "stale" or not.
        client.challenged(&asked("3"), &login(None)).unwrap();
        client.believed();
        assert_eq!(client.challenged(&asked("4"), &login(None)), Ok(()));
    }

    #[test]
    fn the_password_goes_to_its_own_realm_alone() {
        let theirs = r#"Digest realm="evil", nonce="1""#;
        let ours = r#"Digest realm="biloxi.com", nonce="2""#;
        let login = login(Some("biloxi.com"));
        let mut client = Client::default();
        let refused = client.challenged(&challenge(401, &[theirs]), &login);
        assert_eq!(refused, Err(Unanswerable::OtherRealm("evil".to_owned())));
        assert!(answered(&mut client, "Authorization").is_none());
        client.challenged(&challenge(401, &[theirs, ours]), &login).unwrap();
        assert_eq!(answered(&mut client, "Authorization").unwrap().nonce, "2");
    }

    #[test]
    fn a_proxy_and_its_registrar_are_answered_in_one_request() {
        let mut client = Client::default();
        client.challenged(&challenge(407, &[r#"Digest realm="p", nonce="1""#]), &login(None)).unwrap();
        client.challenged(&challenge(401, &[r#"Digest realm="r", nonce="2""#]), &login(None)).unwrap();
        assert_eq!(answered(&mut client, "Proxy-Authorization").unwrap().realm, "p");
        assert_eq!(answered(&mut client, "Authorization").unwrap().realm, "r");
    }
}
