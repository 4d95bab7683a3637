//! What a call says of its caller: From, P-Asserted-Identity and Privacy (RFC 3261 §20.20, RFC 3325,
//! RFC 3323). What of it is believed is decided elsewhere.
//!
//! Remote-Party-ID is not read: it is no standard and anyone may write it.

use std::fmt;

use super::passport::HEADERS_MAX;
use super::uri::Uri;
use super::wire::{NameAddr, Request};
use crate::types::Attestation;

/// P-Asserted-Identity values beyond this make the header unreadable; one SIP and one tel are allowed.
const ASSERTED_MAX: usize = 8;

#[derive(Clone, Eq, PartialEq)]
pub struct Evidence {
    pub from: Party,
    /// In the order they came; empty when there is none or the header cannot be read.
    pub asserted: Vec<Party>,
    /// P-Asserted-Identity is there but not to be understood.
    pub asserted_unreadable: bool,
    /// Lower case: `id`, `user`, `header`, `session`, `none`, `critical`, …
    pub privacy: Vec<String>,
    /// Every Identity header (RFC 8224), as it came; one more than may be at most.
    pub signed: Vec<String>,
    /// What the carrier says the attestation was, beside its verstat.
    pub attestation: Option<Attestation>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    Other,
}

/// One address of a caller. `Debug` shows neither number nor name.
#[derive(Clone, Eq, PartialEq)]
pub struct Party {
    pub scheme: Scheme,
    /// User or telephone number, escapes resolved, without what follows a `;`. `None` also when empty.
    pub user: Option<String>,
    /// Lower case; `None` for tel.
    pub host: Option<String>,
    pub display: Option<String>,
    /// The `verstat` parameter as written (ATIS-1000074), wherever it stands.
    pub verstat: Option<String>,
}

impl Evidence {
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let mut asserted = Vec::new();
        let mut asserted_unreadable = false;
        for value in request.headers.get_all("P-Asserted-Identity") {
            match NameAddr::parse_list(value, ASSERTED_MAX) {
                Some(list) if asserted.len() + list.len() <= ASSERTED_MAX => {
                    asserted.extend(list.iter().map(Party::of));
                }
                Some(_) | None => asserted_unreadable = true,
            }
        }
        if asserted_unreadable {
            asserted.clear();
        }
        let privacy = request
            .headers
            .get_all("Privacy")
            .flat_map(|value| value.split([';', ',']))
            .map(|word| word.trim().to_ascii_lowercase())
            .filter(|word| !word.is_empty())
            .take(16)
            .collect();
        // The first is in use with carriers, the second is 3GPP's (TS 24.229 §7.2.18). Quotes and what
        // follows a `;` are not looked at.
        let attestation = ["P-Attestation-Indicator", "Attestation-Info"]
            .iter()
            .flat_map(|name| request.headers.get_all(name))
            .filter_map(|value| Attestation::from_name(value.split(';').next()?.trim().trim_matches('"')))
            .reduce(Attestation::weaker);
        let signed = request.headers.get_all("Identity").take(HEADERS_MAX + 1).map(str::to_owned).collect();
        Self { from: Party::of(&request.from), asserted, asserted_unreadable, privacy, signed, attestation }
    }

    /// The caller asked not to be named: by Privacy (RFC 3323 §4.2, RFC 3325 §9.3) or by an
    /// anonymous From (RFC 3323 §4.1.1.3).
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        let asks = |word: &String| matches!(word.as_str(), "id" | "user" | "header" | "session");
        self.privacy.iter().any(asks) || self.from.is_anonymous()
    }
}

/// How much evidence there is, and nobody's number or name.
impl fmt::Debug for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence")
            .field("from", &self.from)
            .field("asserted", &self.asserted)
            .field("asserted_unreadable", &self.asserted_unreadable)
            .field("privacy", &self.privacy)
            .field("signed", &self.signed.len())
            .field("attestation", &self.attestation)
            .finish()
    }
}

impl Party {
    fn of(address: &NameAddr) -> Self {
        let uri = &address.uri;
        let user = uri.user().map(|user| match uri {
            // Parameters inside the user part, `+44…;phone-context=…`, are no part of the number.
            Uri::Sip(_) => user.split(';').next().unwrap_or_default().to_owned(),
            Uri::Tel(_) | Uri::Other { .. } => user.into_owned(),
        });
        let scheme = match uri {
            Uri::Sip(_) if uri.is_secure() => Scheme::Sips,
            Uri::Sip(_) => Scheme::Sip,
            Uri::Tel(_) => Scheme::Tel,
            Uri::Other { .. } => Scheme::Other,
        };
        let in_user = || {
            let Uri::Sip(sip) = uri else { return None };
            let mut params = sip.user.as_deref()?.split(';').skip(1);
            params.find_map(|param| param.strip_prefix("verstat=")).map(str::to_owned)
        };
        let verstat = uri
            .params()
            .and_then(|params| params.value("verstat"))
            .or_else(|| address.params.value("verstat"))
            .map(str::to_owned)
            .or_else(in_user);
        Self {
            scheme,
            user: user.filter(|user| !user.is_empty()),
            host: uri.host().map(|host| host.to_string().to_ascii_lowercase()),
            display: address.display.clone(),
            verstat,
        }
    }

    /// `anonymous.invalid`, the user `anonymous` and their like, or no user at all.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        let hidden = ["anonymous", "unavailable", "restricted", "unknown", "private"];
        let user = self.user.as_deref().unwrap_or_default().to_ascii_lowercase();
        let host = self.host.as_deref().unwrap_or_default();
        user.is_empty() || hidden.contains(&user.as_str()) || host.ends_with("anonymous.invalid")
    }
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party")
            .field("scheme", &self.scheme)
            .field("user", &self.user.as_ref().map(|_| "…"))
            .field("verstat", &self.verstat)
            .finish_non_exhaustive()
    }
}

/// The user that a dialled URI names, as a telephone number is read: without `;parameters`.
#[must_use]
pub fn dialled_user(uri: &Uri) -> Option<String> {
    Party::of(&NameAddr::new(uri.clone())).user
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::wire::{Framing, Message, parse};

    fn evidence(from: &str, more: &str) -> Evidence {
        let text = format!(
            "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: {from};tag=1\r\n\
             To: <sip:1@h>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{more}\r\n"
        );
        let Ok(Message::Request(request)) = parse(text.as_bytes(), Framing::Datagram) else {
            panic!("unreadable: {text}")
        };
        Evidence::of(&request)
    }

    /// `user@scheme` of From, of each asserted identity, and whether it is withheld.
    fn summary(evidence: &Evidence) -> String {
        let party = |party: &Party| format!("{}@{:?}", party.user.as_deref().unwrap_or("-"), party.scheme);
        let asserted: Vec<_> = evidence.asserted.iter().map(party).collect();
        let withheld = if evidence.is_withheld() { " withheld" } else { "" };
        let broken = if evidence.asserted_unreadable { " unreadable" } else { "" };
        format!("{} [{}]{withheld}{broken}", party(&evidence.from), asserted.join(" "))
    }

    #[test]
    fn the_headers_that_name_a_caller_are_read_and_others_are_not() {
        let cases = [
            ("a number", "<sip:+442079460001@h>", "", "+442079460001@Sip []"),
            ("an escaped one", "<sip:%2B442079460001@h;user=phone>", "", "+442079460001@Sip []"),
            ("with a context", "<sip:02079460001;phone-context=+44@h>", "", "02079460001@Sip []"),
            ("tel", "<tel:+44-20-7946-0001>", "", "+44-20-7946-0001@Tel []"),
            (
                "asserted twice",
                "<sip:a@h>",
                "P-Asserted-Identity: \"Al, B\" <sip:+441@h>, <tel:+441>\r\n",
                "a@Sip [+441@Sip +441@Tel]",
            ),
            (
                "asserted in two lines",
                "<sip:a@h>",
                "P-Asserted-Identity: <sip:+441@h>\r\nP-Asserted-Identity: <tel:+441>\r\n",
                "a@Sip [+441@Sip +441@Tel]",
            ),
            ("asserted nonsense", "<sip:a@h>", "P-Asserted-Identity: <+441>\r\n", "a@Sip [] unreadable"),
            (
                "half nonsense is nonsense",
                "<sip:a@h>",
                "P-Asserted-Identity: <tel:+441>\r\nP-Asserted-Identity: ,\r\n",
                "a@Sip [] unreadable",
            ),
            ("privacy", "<sip:+441@h>", "Privacy: id;critical\r\n", "+441@Sip [] withheld"),
            ("no privacy", "<sip:+441@h>", "Privacy: none\r\n", "+441@Sip []"),
            ("anonymous", "\"Anonymous\" <sip:anonymous@anonymous.invalid>", "", "anonymous@Sip [] withheld"),
            ("no user", "<sip:h>", "", "-@Sip [] withheld"),
            ("RPID is not read", "<sip:a@h>", "Remote-Party-ID: <sip:+441@h>\r\n", "a@Sip []"),
        ];
        for (name, from, more, expected) in cases {
            assert_eq!(summary(&evidence(from, more)), expected, "{name}");
        }
    }

    #[test]
    fn the_verdict_of_a_carrier_is_found_wherever_it_stands() {
        for from in [
            "<sip:+441;verstat=TN-Validation-Passed@h>",
            "<sip:+441@h;verstat=TN-Validation-Passed>",
            "<tel:+441;verstat=TN-Validation-Passed>",
        ] {
            assert_eq!(evidence(from, "").from.verstat.as_deref(), Some("TN-Validation-Passed"), "{from}");
        }
        assert_eq!(evidence("<tel:+441>", "").from.verstat, None);
    }

    #[test]
    fn signatures_and_attestations_are_collected() {
        let read = |more: &str| evidence("<tel:+441>", more);
        assert_eq!(read("Identity: a;info=<b>\r\ny: c;info=<d>\r\n").signed, ["a;info=<b>", "c;info=<d>"]);
        assert_eq!(read(&"y: a\r\n".repeat(60)).signed.len(), HEADERS_MAX + 1);
        let cases = [
            ("", None),
            ("P-Attestation-Indicator: A\r\n", Some(Attestation::A)),
            ("P-Attestation-Indicator: A;\r\n", Some(Attestation::A)),
            ("Attestation-Info: \"B\"\r\n", Some(Attestation::B)),
            ("P-Attestation-Indicator: A\r\nAttestation-Info: C\r\n", Some(Attestation::C)),
            ("P-Attestation-Indicator: none\r\n", None),
        ];
        for (headers, expected) in cases {
            assert_eq!(read(headers).attestation, expected, "{headers}");
        }
    }

    #[test]
    fn printing_evidence_does_not_say_who_called() {
        let text = format!(
            "{:?}",
            evidence("\"Alice\" <sip:+442079460001@h>", "P-Asserted-Identity: <tel:+442079460001>\r\n")
        );
        assert!(!text.contains("7946") && !text.contains("Alice"), "{text}");
    }
}
