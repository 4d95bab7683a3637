//! Addresses with a display name: From, To, Contact, Route, P-Asserted-Identity (RFC 3261 §20.10).

use std::fmt;

use super::grammar::{self, SPACE, is_quoted_string, is_token, quote, unquote};
use super::params::Params;
use crate::sip::uri::Uri;

/// `"Display" <uri>;params`. `Debug` shows neither the display name nor the user of the URI.
#[derive(Clone, Eq, PartialEq)]
pub struct NameAddr {
    /// Without quotes and escapes.
    pub display: Option<String>,
    pub uri: Uri,
    /// Of the header, not of the URI.
    pub params: Params,
}

impl NameAddr {
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::default() }
    }

    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag));
        self
    }

    /// The dialog's half that this side gave (RFC 3261 §19.3). An empty one is none.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }

    /// One address. Without `<…>`, everything from the first `;` belongs to the header, and the URI
    /// may hold no comma and no question mark (§20.10).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains(['\r', '\n']) {
            return None;
        }
        let text = text.trim_matches(SPACE);
        let Some(open) = grammar::find(text, b'<') else {
            let (uri, params) = split_params(text)?;
            if uri.contains(['?', ',']) {
                return None;
            }
            return Some(Self { display: None, uri: uri.parse().ok()?, params });
        };
        let (uri, rest) = text[open + 1..].split_once('>')?;
        let display = match text[..open].trim_matches(SPACE) {
            "" => None,
            quoted if is_quoted_string(quoted) => Some(unquote(quoted).into_owned()),
            // Unquoted it is a row of tokens. Peers also write UTF-8 there; a comma, a quote or a
            // semicolon would make it two things, so those stay refused.
            words if words.split(SPACE).all(is_display_word) => Some(words.to_owned()),
            _ => return None,
        };
        let (nothing, params) = split_params(rest)?;
        let uri = uri.trim_matches(SPACE).parse().ok()?;
        nothing.is_empty().then_some(Self { display, uri, params })
    }

    /// A header with several, separated by commas. `None` when one of them is malformed or there
    /// are more than `most`.
    #[must_use]
    pub fn parse_list(text: &str, most: usize) -> Option<Vec<Self>> {
        let pieces = grammar::split(text, b',')?;
        if pieces.len() > most {
            return None;
        }
        pieces.into_iter().map(Self::parse).collect()
    }
}

/// What stands before the first `;`, and the parameters after it.
fn split_params(text: &str) -> Option<(&str, Params)> {
    Some(match grammar::find(text, b';') {
        Some(at) => (text[..at].trim_matches(SPACE), Params::parse_header(&text[at + 1..])?),
        None => (text.trim_matches(SPACE), Params::default()),
    })
}

fn is_display_word(word: &str) -> bool {
    word.is_empty() || word.chars().all(|c| !c.is_ascii() && !c.is_control()) || is_mixed_token(word)
}

fn is_mixed_token(word: &str) -> bool {
    is_token(word)
        || word
            .chars()
            .all(|c| if c.is_ascii() { is_token(c.encode_utf8(&mut [0])) } else { !c.is_control() })
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

impl fmt::Debug for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.display.is_some() {
            f.write_str("\"…\" ")?;
        }
        write!(f, "<{:?}>", self.uri)?;
        self.tag().iter().try_for_each(|tag| write!(f, ";tag={tag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_and_print() {
        let cases = [
            ("sip:a@b;tag=1", Some("<sip:a@b>;tag=1")),
            ("<sip:a@b;x>;tag=1", Some("<sip:a@b;x>;tag=1")),
            ("Watson Thomas<sip:t@e.org>", Some(r#""Watson Thomas" <sip:t@e.org>"#)),
            (
                r#""a <b>; , \" c" <sip:a@b> ; tag = 98asjd8"#,
                Some(r#""a <b>; , \" c" <sip:a@b>;tag=98asjd8"#),
            ),
            (r#""" <sip:a@b>"#, Some(r#""" <sip:a@b>"#)),
            (
                "\"Watson, Thomas\" < sip:t.watson@example.org >",
                Some("\"Watson, Thomas\" <sip:t.watson@example.org>"),
            ),
            (
                "Żółw caller <tel:+442079460001;x=1>;tag=a",
                Some("\"Żółw caller\" <tel:+442079460001;x=1>;tag=a"),
            ),
            (r#"<sip:a@b>;x="y;z,w";tag=1"#, Some(r#"<sip:a@b>;x="y;z,w";tag=1"#)),
            ("<nobody:x>", Some("<nobody:x>")),
            ("Bell, Alexander <sip:a@b>;tag=43", None),
            (r#""open <sip:a@b>"#, None),
            ("sip:a@b?Route=%3Csip:x%3E", None),
            ("<sip:a@b", None),
            ("<sip:a@b> x", None),
            ("<sip:a@b><sip:c@d>", None),
            (r#""a" b <sip:a@b>"#, None),
            ("<>", None),
            ("\"a\r\nb\" <sip:a@b>", None),
            ("", None),
            ("*", None),
        ];
        for (text, expected) in cases {
            assert_eq!(NameAddr::parse(text).map(|addr| addr.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_list_is_good_only_as_a_whole() {
        let list = NameAddr::parse_list(r#""a, b" <sip:a@b,c;lr>;q=1, <sip:c@d>"#, 2);
        assert!(list.is_none(), "a comma in a host");
        let list = NameAddr::parse_list(r#""a, b" <sip:a,x@b;lr>;q=1, <sip:c@d>"#, 2).unwrap();
        assert_eq!((list.len(), list[0].display.as_deref()), (2, Some("a, b")));
        assert!(NameAddr::parse_list("<sip:c@d>, <sip:c@d>, <sip:c@d>", 2).is_none());
        assert!(NameAddr::parse_list("<sip:c@d>,,<sip:c@d>", 9).is_none());
    }

    #[test]
    fn debug_does_not_say_who_called() {
        let addr = NameAddr::parse("\"Alice Smith\" <sip:+442079460123@h>;tag=7").unwrap();
        assert_eq!(format!("{addr:?}"), "\"…\" <sip:…23@h>;tag=7");
    }
}
