//! The small words of RFC 3261 §25.1: tokens, quoted strings, lists.
//!
//! All work on text that is unfolded already, so white space is SP and HTAB.

use std::borrow::Cow;

/// White space inside an unfolded header.
pub(super) const SPACE: [char; 2] = [' ', '\t'];

/// `token`: what methods, header names and most parameters are made of.
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(super) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Splits at `separator` where it stands outside quoted strings and `<…>`. `None` when a quoted
/// string or a bracket is left open. Text without the separator is one piece; pieces are trimmed.
pub(in crate::sip) fn split(text: &str, separator: u8) -> Option<Vec<&str>> {
    let mut pieces = Vec::with_capacity(1);
    let mut from = 0;
    let mut scan = Scan::default();
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        if scan.outside(byte) && byte == separator {
            pieces.push(text[from..at].trim_matches(SPACE));
            from = at + 1;
        }
    }
    pieces.push(text[from..].trim_matches(SPACE));
    scan.is_closed().then_some(pieces)
}

/// Where `wanted` first stands outside quoted strings and `<…>`.
pub(super) fn find(text: &str, wanted: u8) -> Option<usize> {
    let mut scan = Scan::default();
    text.bytes().position(|byte| scan.outside(byte) && byte == wanted)
}

/// Remembers, byte by byte, whether we are inside `"…"` or `<…>`.
#[derive(Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    bracketed: bool,
}

impl Scan {
    /// Takes one byte; true when it stands outside. The opening quote or bracket counts as outside.
    fn outside(&mut self, byte: u8) -> bool {
        if self.escaped {
            self.escaped = false;
            return false;
        }
        if self.quoted {
            match byte {
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
            return false;
        }
        if self.bracketed {
            self.bracketed = byte != b'>';
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'<' => self.bracketed = true,
            _ => {}
        }
        true
    }

    const fn is_closed(&self) -> bool {
        !self.quoted && !self.bracketed
    }
}

/// The text of a quoted string, escapes resolved; text without quotes comes back as it is.
#[must_use]
pub fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(plain)
}

/// A quoted string that reads back as `text`. Line breaks, which no quoted string can carry, become spaces.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\r' | '\n' => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// One whole quoted string: the closing quote is the last character and is not escaped.
pub(super) fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut escaped = false;
    for byte in inner.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return false,
            _ => {}
        }
    }
    !escaped
}

/// Digits only, leading zeros allowed, at most `most`; nothing that overflows gets through.
pub(super) fn number(text: &str, most: u64) -> Option<u64> {
    if text.is_empty() || text.len() > 64 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value =
        text.bytes().try_fold(0_u64, |sum, byte| sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')))?;
    (value <= most).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_only_where_its_comma_means_it() {
        let cases: &[(&str, Option<&[&str]>)] = &[
            ("a, b ,c", Some(&["a", "b", "c"])),
            (r#""a, b" <sip:x,y@z>, c"#, Some(&[r#""a, b" <sip:x,y@z>"#, "c"])),
            (r#""a \", b", c"#, Some(&[r#""a \", b""#, "c"])),
            ("a,,b", Some(&["a", "", "b"])),
            ("", Some(&[""])),
            (r#""open, a"#, None),
            ("<sip:a, b", None),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text, b',').as_deref(), *expected, "{text}");
        }
    }

    #[test]
    fn quoting_and_unquoting_are_inverse() {
        for text in ["", "plain", r#"a"b\c"#, "<>;,", "\u{7}\0\u{7f}", "Ωé"] {
            let quoted = quote(text);
            assert!(is_quoted_string(&quoted), "{quoted}");
            assert_eq!(unquote(&quoted), text);
        }
        for wrong in ["", "\"", r#""a\""#, r#""a"b""#, "a"] {
            assert!(!is_quoted_string(wrong), "{wrong}");
        }
    }

    #[test]
    fn numbers_keep_within_their_bound() {
        let cases =
            [("0068", 255, Some(68)), ("256", 255, None), ("", 9, None), ("-1", 9, None), ("+1", 9, None)];
        for (text, most, expected) in cases {
            assert_eq!(number(text, most), expected, "{text}");
        }
        assert_eq!(number("36893488147419103232", u64::MAX), None);
    }
}
