//! Request methods and the CSeq that carries them (RFC 3261 §7.1, §8.1.1.5).

use std::fmt;
use std::str::FromStr;

use super::grammar::{self, SPACE, is_token};

/// Case-sensitive: `invite` is not INVITE but an unknown method (RFC 3261 §7.1). rsip's own type
/// has no unknown methods and knows no case, so it serves for printing only.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    Ack,
    Bye,
    Cancel,
    Info,
    Invite,
    Message,
    Notify,
    Options,
    Prack,
    Publish,
    Refer,
    Register,
    Subscribe,
    Update,
    Other(String),
}

const KNOWN: [(Method, &str); 14] = [
    (Method::Ack, "ACK"),
    (Method::Bye, "BYE"),
    (Method::Cancel, "CANCEL"),
    (Method::Info, "INFO"),
    (Method::Invite, "INVITE"),
    (Method::Message, "MESSAGE"),
    (Method::Notify, "NOTIFY"),
    (Method::Options, "OPTIONS"),
    (Method::Prack, "PRACK"),
    (Method::Publish, "PUBLISH"),
    (Method::Refer, "REFER"),
    (Method::Register, "REGISTER"),
    (Method::Subscribe, "SUBSCRIBE"),
    (Method::Update, "UPDATE"),
];

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("method that is no token, expected a word such as INVITE")]
pub struct NotAMethod;

impl Method {
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => KNOWN.iter().find(|(method, _)| method == known).map_or("", |(_, name)| name),
        }
    }

    /// Its success or early answers make a dialog, which copies Record-Route (RFC 3261 §12.1.1, RFC 6665, RFC 3515).
    #[must_use]
    pub const fn makes_dialog(&self) -> bool {
        matches!(self, Self::Invite | Self::Subscribe | Self::Refer)
    }
}

impl FromStr for Method {
    type Err = NotAMethod;

    fn from_str(text: &str) -> Result<Self, NotAMethod> {
        if let Some((known, _)) = KNOWN.iter().find(|(_, name)| *name == text) {
            return Ok(known.clone());
        }
        if is_token(text) { Ok(Self::Other(text.to_owned())) } else { Err(NotAMethod) }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Number below 2^31 (RFC 3261 §8.1.1.5) and method.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, method) = text.split_once(SPACE)?;
        let number = grammar::number(number, (1 << 31) - 1)?;
        let method = method.trim_start_matches(SPACE).parse().ok()?;
        Some(Self { number: u32::try_from(number).ok()?, method })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_know_case_and_survive_printing() {
        for (method, name) in KNOWN {
            assert_eq!(name.parse::<Method>().unwrap(), method);
            assert_eq!(method.to_string(), name);
        }
        for other in ["invite", "RE%47IST%45R", "!interesting-Method0123456789_*+`.%indeed'~"] {
            assert_eq!(other.parse::<Method>().unwrap(), Method::Other(other.to_owned()));
        }
        for wrong in ["", "IN VITE", "INVITE:", "Ω"] {
            assert!(wrong.parse::<Method>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cseq_is_a_number_below_two_to_the_31_and_a_method() {
        let cases = [
            ("0009   INVITE", Some("9 INVITE")),
            ("2147483647\tBYE", Some("2147483647 BYE")),
            ("2147483648 BYE", None),
            ("36893488147419103232 REGISTER", None),
            ("-1 BYE", None),
            ("1", None),
            ("1 ", None),
            ("BYE 1", None),
            ("1 BYE now", None),
        ];
        for (text, expected) in cases {
            assert_eq!(CSeq::parse(text).map(|cseq| cseq.to_string()).as_deref(), expected, "{text}");
        }
    }
}
