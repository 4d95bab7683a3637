//! Who sent a call on to us: Diversion (RFC 5806) and History-Info (RFC 7044).
//!
//! Both are claims of networks on the way. They are for the record, never for trust.

use std::fmt;

use super::identity::dialled_user;
use super::uri::Uri;
use super::wire::{NameAddr, Request};

/// The last diversion before us. `Debug` shows no number.
#[derive(Clone, Eq, PartialEq)]
pub struct Redirection {
    /// Whose phone sent the call on: the user of the address, as it stands there. `None` when it
    /// wishes not to be named, or is no address.
    pub party: Option<String>,
    /// Why: `unconditional`, `user-busy`, `no-answer`, … (RFC 5806 §4), or a SIP status.
    pub why: Option<String>,
}

/// Entries of a header that are read.
const ENTRIES_MAX: usize = 16;
/// Characters of `why` that are kept.
const WHY_MAX: usize = 40;

impl Redirection {
    #[must_use]
    pub fn of(request: &Request) -> Option<Self> {
        Self::by_diversion(request).or_else(|| Self::by_history(request))
    }

    /// The topmost one is the last (RFC 5806 §5.1).
    fn by_diversion(request: &Request) -> Option<Self> {
        let value = request.headers.get("Diversion")?;
        let last = NameAddr::parse_list(value, ENTRIES_MAX)?.into_iter().next()?;
        let private = last
            .params
            .value("privacy")
            .is_some_and(|asked| !asked.trim_matches('"').eq_ignore_ascii_case("off"));
        Some(Self {
            party: dialled_user(&last.uri).filter(|_| !private),
            why: last.params.value("reason").and_then(word),
        })
    }

    /// The entry before the last one is where the call was sent on (RFC 7044 §5): the one whose index
    /// `mp` or `rc` of the last names, or else the one before it.
    fn by_history(request: &Request) -> Option<Self> {
        let mut entries: Vec<NameAddr> = Vec::new();
        for value in request.headers.get_all("History-Info") {
            entries.extend(NameAddr::parse_list(value, ENTRIES_MAX)?);
        }
        let last = entries.get(1..)?.last()?;
        let parent = ["mp", "rc", "np"].iter().find_map(|name| last.params.value(name));
        let by_index = parent.and_then(|index| {
            entries.iter().find(|entry| entry.params.value("index").is_some_and(|own| own == index))
        });
        let from = by_index.unwrap_or(&entries[entries.len() - 2]);
        let embedded = match &from.uri {
            Uri::Sip(sip) => sip.headers.as_deref().unwrap_or_default().to_ascii_lowercase(),
            Uri::Tel(_) | Uri::Other { .. } => String::new(),
        };
        let asks = |header: &str| header.strip_prefix("privacy=").is_some_and(|value| value != "none");
        let private = embedded.split('&').any(asks);
        let why = embedded.split('&').find_map(|header| {
            let value = header.strip_prefix("reason=")?.replace("%3b", ";").replace("%3d", "=");
            value.split(';').find_map(|part| part.trim().strip_prefix("cause=").and_then(word))
        });
        // `cause` of RFC 4458 stands in the address that the call was sent on to.
        let cause = || last.uri.params().and_then(|params| params.value("cause")).and_then(word);
        Some(Self { party: dialled_user(&from.uri).filter(|_| !private), why: why.or_else(cause) })
    }
}

/// A short token, in lower case; nothing else gets into a record.
fn word(text: &str) -> Option<String> {
    let text = text.trim_matches('"');
    let good = !text.is_empty()
        && text.len() <= WHY_MAX
        && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
        || text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.to_ascii_lowercase())
}

impl fmt::Debug for Redirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redirection")
            .field("party", &self.party.as_ref().map(|_| "…"))
            .field("why", &self.why)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::wire::{Framing, Message, parse};

    fn told(headers: &str) -> Option<String> {
        let text = format!(
            "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:1@h>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{headers}\r\n"
        );
        let Ok(Message::Request(request)) = parse(text.as_bytes(), Framing::Datagram) else {
            panic!("unreadable: {text}")
        };
        let found = Redirection::of(&request)?;
        assert!(!format!("{found:?}").contains("7946"));
        Some(format!("{} {}", found.party.as_deref().unwrap_or("-"), found.why.as_deref().unwrap_or("-")))
    }

    #[test]
    fn the_last_party_that_sent_the_call_on_is_found() {
        let cases = [
            ("", None),
            (
                "Diversion: <sip:+442079460002@h>;reason=no-answer;counter=1\r\n",
                Some("+442079460002 no-answer"),
            ),
            (
                "Diversion: <tel:+442079460002>;reason=\"User-Busy\", <sip:first@h>;reason=unconditional\r\n",
                Some("+442079460002 user-busy"),
            ),
            (
                "Diversion: <sip:+442079460002@h>;reason=unconditional;privacy=full\r\n",
                Some("- unconditional"),
            ),
            (
                "Diversion: <sip:+442079460002@h>;privacy=off;reason=+442079460002\r\n",
                Some("+442079460002 -"),
            ),
            ("Diversion: nonsense\r\n", None),
            ("History-Info: <sip:1@h>;index=1\r\n", None),
            (
                "History-Info: <sip:+442079460002@h?Reason=SIP%3Bcause%3D486>;index=1, <sip:1@h>;index=1.1;mp=1\r\n",
                Some("+442079460002 486"),
            ),
            (
                "History-Info: <sip:+442079460002@h>;index=1\r\nHistory-Info: <sip:x@h>;index=1.1;mp=1\r\n\
                 History-Info: <sip:1@h;cause=302>;index=1.2;mp=1\r\n",
                Some("+442079460002 302"),
            ),
            (
                "History-Info: <sip:+442079460002@h?Privacy=history>;index=1, <sip:1@h>;index=1.1\r\n",
                Some("- -"),
            ),
        ];
        for (headers, expected) in cases {
            assert_eq!(told(headers).as_deref(), expected, "{headers}");
        }
    }
}
