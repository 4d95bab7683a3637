//! Why a call ended, as the Reason header says it (RFC 3326): ours to the peer, and the peer's to us.

use super::wire::{Headers, quote, split, unquote};

/// Why we hang up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Farewell {
    /// Q.850 cause, 1–127.
    pub cause: u8,
    pub text: String,
}

impl Farewell {
    #[must_use]
    pub fn new(cause: u8, text: &str) -> Self {
        Self { cause, text: text.to_owned() }
    }

    /// The value of a Reason header.
    #[must_use]
    pub fn header(&self) -> String {
        format!("Q.850;cause={};text={}", self.cause, quote(&self.text))
    }
}

/// What the peer said in its BYE or CANCEL.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reason {
    /// Q.850 cause, 1–127: what the telephone network says.
    pub q850: Option<u8>,
    /// SIP status, 100–699: what became of the call elsewhere.
    pub sip: Option<u16>,
    /// Free words, at most [`TEXT_MAX`] characters; a run of five digits or more is left out, for it
    /// may be somebody's number.
    pub text: Option<String>,
}

/// Characters of a text that are kept.
const TEXT_MAX: usize = 80;
/// Values of Reason that are looked at.
const VALUES_MAX: usize = 8;

impl Reason {
    /// `None` when there is no header, or nothing in it that we can read.
    #[must_use]
    pub fn of(headers: &Headers) -> Option<Self> {
        let mut found = Self::default();
        let values = headers.get_all("Reason").filter_map(|line| split(line, b',')).flatten();
        for value in values.take(VALUES_MAX) {
            let Some(parts) = split(value, b';') else { continue };
            let mut parts = parts.into_iter().map(str::trim);
            let protocol = parts.next().unwrap_or_default();
            for part in parts {
                let Some((name, value)) = part.split_once('=') else { continue };
                let value = value.trim();
                match name.trim().to_ascii_lowercase().as_str() {
                    "cause" if protocol.eq_ignore_ascii_case("q.850") => {
                        found.q850 =
                            found.q850.or(value.parse().ok().filter(|cause| (1..=127).contains(cause)));
                    }
                    "cause" if protocol.eq_ignore_ascii_case("sip") => {
                        found.sip = found.sip.or(value.parse().ok().filter(|s| (100..=699).contains(s)));
                    }
                    "text" if found.text.is_none() => found.text = Some(clean(&unquote(value))),
                    _ => {}
                }
            }
        }
        found.text = found.text.filter(|text| !text.is_empty());
        (found != Self::default()).then_some(found)
    }
}

/// Printable, short, and without what may be a number.
fn clean(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
    let mut out = String::with_capacity(text.len());
    let mut digits = String::new();
    let flush = |out: &mut String, digits: &mut String| {
        out.push_str(if digits.len() < 5 { digits } else { "…" });
        digits.clear();
    };
    for character in text.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
        } else {
            flush(&mut out, &mut digits);
            out.push(character);
        }
    }
    flush(&mut out, &mut digits);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_quoted() {
        let farewell = Farewell::new(16, "the \"end\"");
        assert_eq!(farewell.header(), r#"Q.850;cause=16;text="the \"end\"""#);
    }

    #[test]
    fn what_the_peer_says_is_read_and_no_number_kept() {
        type Said<'a> = Option<(Option<u8>, Option<u16>, Option<&'a str>)>;
        let cases: &[(&[&str], Said)] = &[
            (&[], None),
            (&["nonsense"], None),
            (
                &["Q.850;cause=16;text=\"Normal, call; clearing\""],
                Some((Some(16), None, Some("Normal, call; clearing"))),
            ),
            (
                &["SIP ;cause=200 ;text=\"Call completed elsewhere\", q.850;Cause=26"],
                Some((Some(26), Some(200), Some("Call completed elsewhere"))),
            ),
            (&["Q.850;cause=31", "SIP;cause=480"], Some((Some(31), Some(480), None))),
            (&["Q.850;cause=0", "Q.850;cause=128", "SIP;cause=99", "Q.850;cause=x"], None),
            (
                &["Q.850;cause=1;text=\"no +442079460001 here, cause 404\""],
                Some((Some(1), None, Some("no +… here, cause 404"))),
            ),
            (&["SIP;text=bye\\;cause=486"], Some((None, Some(486), Some("bye\\")))),
        ];
        for (values, expected) in cases {
            let mut headers = Headers::default();
            values.iter().for_each(|value| headers.push("Reason", value));
            let found = Reason::of(&headers);
            let found = found.as_ref().map(|found| (found.q850, found.sip, found.text.as_deref()));
            assert_eq!(found, *expected, "{values:?}");
        }
    }
}
