//! From bytes to named, unfolded header fields: the part of reading that trusts nothing.
//!
//! One pass, no recursion, bounded by [`limits`]. It does not stop at a fault but remembers the
//! first one, so that the headers an answer needs can still be found behind it.

use std::borrow::Cow;

use super::fault::Wrong;
use super::grammar::is_token_byte;
use super::limits;

/// The start line and the headers of one message.
pub(super) struct Head<'a> {
    pub start: Cow<'a, str>,
    pub fields: Vec<Field<'a>>,
    /// The first thing wrong, if any.
    pub wrong: Option<Wrong>,
    /// Where the body begins, behind the empty line.
    pub body_at: usize,
}

pub(super) struct Field<'a> {
    /// Canonical: full names for compact ones, the registered spelling for known ones.
    pub name: Cow<'a, str>,
    /// Unfolded and trimmed.
    pub value: Cow<'a, str>,
}

/// Reads up to the empty line. Lines end with CRLF or, from peers that are careless, LF; a line
/// that begins with white space continues the one before (RFC 3261 §7.3.1).
pub(super) fn read(bytes: &[u8]) -> Head<'_> {
    let mut at = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let mut head =
        Head { start: Cow::Borrowed(""), fields: Vec::with_capacity(24), wrong: None, body_at: bytes.len() };
    if at == bytes.len() {
        head.wrong = Some(Wrong::Empty);
        return head;
    }
    let mut lines = 0_usize;
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            head.note(Wrong::Unfinished);
            if !rest.is_empty() {
                head.line(rest, lines);
            }
            return head;
        };
        let line = &rest[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at += end + 1;
        if line.is_empty() {
            head.body_at = at;
            return head;
        }
        if line.contains(&b'\r') {
            head.note(Wrong::BareReturn);
        }
        head.line(line, lines);
        lines += 1;
    }
}

impl<'a> Head<'a> {
    fn note(&mut self, wrong: Wrong) {
        self.wrong.get_or_insert(wrong);
    }

    fn line(&mut self, line: &'a [u8], number: usize) {
        if line.len() > limits::HEADER_BYTES {
            return self.note(Wrong::HeaderTooLong);
        }
        if number == 0 {
            self.start = text(line);
        } else if matches!(line[0], b' ' | b'\t') {
            self.fold(line);
        } else {
            self.field(line);
        }
    }

    fn fold(&mut self, line: &'a [u8]) {
        // A fold of nothing: the line before was refused, or there was none.
        let Some(last) = self.fields.last_mut() else { return self.note(Wrong::HeaderName) };
        let more = trim(line);
        if last.value.len() + 1 + more.len() > limits::HEADER_BYTES {
            return self.note(Wrong::HeaderTooLong);
        }
        if !more.is_empty() {
            let value = last.value.to_mut();
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(&text(more));
        }
    }

    fn field(&mut self, line: &'a [u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return self.note(Wrong::HeaderName);
        };
        let name = trim(&line[..colon]);
        if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) {
            return self.note(Wrong::HeaderName);
        }
        if self.fields.len() == limits::HEADERS {
            return self.note(Wrong::TooManyHeaders);
        }
        self.fields.push(Field { name: canonical(text(name)), value: text(trim(&line[colon + 1..])) });
    }
}

/// UTF-8 as it is; anything else byte by byte as Latin-1, which older phones put into display names.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

fn trim(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let from = bytes.iter().take_while(|byte| is_space(byte)).count();
    let to = bytes.len() - bytes[from..].iter().rev().take_while(|byte| is_space(byte)).count();
    &bytes[from..to]
}

fn canonical(name: Cow<'_, str>) -> Cow<'_, str> {
    let known = match name.as_bytes() {
        [letter] => {
            COMPACT.iter().find(|(compact, _)| compact.eq_ignore_ascii_case(letter)).map(|(_, full)| *full)
        }
        _ => KNOWN.iter().find(|known| known.eq_ignore_ascii_case(&name)).copied(),
    };
    known.map_or(name, Cow::Borrowed)
}

/// RFC 3261 §7.3.3 and the IANA registry.
const COMPACT: [(u8, &str); 20] = [
    (b'a', "Accept-Contact"),
    (b'b', "Referred-By"),
    (b'c', "Content-Type"),
    (b'd', "Request-Disposition"),
    (b'e', "Content-Encoding"),
    (b'f', "From"),
    (b'i', "Call-ID"),
    (b'j', "Reject-Contact"),
    (b'k', "Supported"),
    (b'l', "Content-Length"),
    (b'm', "Contact"),
    (b'n', "Identity-Info"),
    (b'o', "Event"),
    (b'r', "Refer-To"),
    (b's', "Subject"),
    (b't', "To"),
    (b'u', "Allow-Events"),
    (b'v', "Via"),
    (b'x', "Session-Expires"),
    (b'y', "Identity"),
];

/// Those that become fields of a message, and so must have one spelling.
const KNOWN: [&str; 13] = [
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Content-Length",
    "Content-Type",
    "Max-Forwards",
    "Route",
    "Record-Route",
    "Require",
    "Supported",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> (Option<Wrong>, Vec<(String, String)>) {
        let head = read(bytes);
        (head.wrong, head.fields.iter().map(|f| (f.name.to_string(), f.value.to_string())).collect())
    }

    #[test]
    fn one_header_in_every_dress_is_one_header() {
        for dress in [
            "Subject: a b",
            "subject:a b",
            "s: a b",
            "S : a b",
            "SUBJECT \t:\t a b\t ",
            "s:\r\n a b",
            "Subject: a\r\n\tb",
            "Subject: a\r\n \r\n b",
            "Subject: a\n b",
        ] {
            let (wrong, fields) = fields(format!("X y SIP/2.0\r\n{dress}\r\n\r\n").as_bytes());
            assert_eq!(wrong, None, "{dress:?}");
            assert_eq!(fields.len(), 1);
            assert!(
                fields[0].0.eq_ignore_ascii_case("subject") && fields[0].1 == "a b",
                "{dress:?} {fields:?}"
            );
        }
    }

    #[test]
    fn every_fault_has_its_name() {
        let long = "x".repeat(40 * 1024);
        let folded = " x".repeat(10) + &"\r\n xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".repeat(400);
        let cases: &[(String, Option<Wrong>)] = &[
            ("\r\n\r\n\r\n".into(), Some(Wrong::Empty)),
            (String::new(), Some(Wrong::Empty)),
            ("\r\n\nX\r\nA: b\r\n\r\n".into(), None),
            ("X\nA: b\n\n".into(), None),
            ("X\r\nA: b\r\n".into(), Some(Wrong::Unfinished)),
            ("X\r\nA: b".into(), Some(Wrong::Unfinished)),
            ("X\r\nA: b\rc\r\n\r\n".into(), Some(Wrong::BareReturn)),
            ("X\r\nA: b\r\r\n\r\n".into(), Some(Wrong::BareReturn)),
            ("X\r\n folded\r\n\r\n".into(), Some(Wrong::HeaderName)),
            ("X\r\nno colon\r\n\r\n".into(), Some(Wrong::HeaderName)),
            ("X\r\nbad name: x\r\n\r\n".into(), Some(Wrong::HeaderName)),
            ("X\r\n: x\r\n\r\n".into(), Some(Wrong::HeaderName)),
            (format!("X\r\nA: {long}\r\n\r\n"), Some(Wrong::HeaderTooLong)),
            (format!("{long}\r\nA: b\r\n\r\n"), Some(Wrong::HeaderTooLong)),
            (format!("X\r\nA:{folded}\r\n\r\n"), Some(Wrong::HeaderTooLong)),
            (format!("X\r\n{}\r\n", "A: b\r\n".repeat(128)), None),
            (format!("X\r\n{}\r\n", "A: b\r\n".repeat(129)), Some(Wrong::TooManyHeaders)),
        ];
        for (text, expected) in cases {
            assert_eq!(fields(text.as_bytes()).0, *expected, "{:?}", &text[..text.len().min(60)]);
        }
    }

    #[test]
    fn what_follows_a_fault_is_still_read() {
        let (wrong, fields) = fields(b"X\r\nno colon\r\nt: b\r\n\r\n");
        assert_eq!((wrong, fields), (Some(Wrong::HeaderName), vec![("To".into(), "b".into())]));
    }

    #[test]
    fn bytes_that_are_no_utf8_are_latin_1_and_nul_is_a_character() {
        let (_, fields) = fields(b"X\r\nX-A: Andr\xe9\0\x7f\r\nX-B: \xc3\xa9\r\n\r\n");
        assert_eq!(fields, [("X-A".into(), "André\0\u{7f}".into()), ("X-B".into(), "é".into())]);
    }
}
