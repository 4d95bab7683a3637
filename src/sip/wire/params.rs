//! Parameters, `;name=value`, of URIs, Via and addresses: in order, names without regard to case.

use std::borrow::Cow;
use std::fmt;

use super::grammar::{self, SPACE, is_quoted_string, is_token};
use super::limits;

/// One parameter. The value is as written, quotes and escapes included; `lr` has none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Param {
    pub name: String,
    pub value: Option<String>,
}

/// At most [`limits::PARAMS`] when they came from the wire.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Params(Vec<Param>);

impl Params {
    /// Of a Via or an address: what follows the first `;`. `None` when malformed or too many.
    pub(crate) fn parse_header(text: &str) -> Option<Self> {
        Self::parse(&grammar::split(text, b';')?, is_token, |value| {
            is_quoted_string(value) || (!value.is_empty() && value.chars().all(is_value_char))
        })
    }

    /// Of a URI: no quotes, no spaces, escapes instead.
    pub(crate) fn parse_uri(text: &str) -> Option<Self> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_uri_param_byte);
        let pieces: Vec<&str> = text.split(';').take(limits::PARAMS + 1).collect();
        Self::parse(&pieces, is_word, is_word)
    }

    fn parse(
        pieces: &[&str],
        is_name: impl Fn(&str) -> bool,
        is_value: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        if pieces.len() > limits::PARAMS {
            return None;
        }
        let mut params = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let (name, value) = match piece.split_once('=') {
                Some((name, value)) => (name.trim_end_matches(SPACE), Some(value.trim_start_matches(SPACE))),
                None => (*piece, None),
            };
            if !is_name(name) || !value.is_none_or(&is_value) {
                return None;
            }
            params.push(Param { name: name.to_owned(), value: value.map(str::to_owned) });
        }
        Some(Self(params))
    }

    /// There, with or without a value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// As written; `None` also for a parameter without a value (see [`Params::has`]).
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.find(name)?.value.as_deref()
    }

    /// The value with quotes and escapes of a quoted string resolved.
    #[must_use]
    pub fn unquoted(&self, name: &str) -> Option<Cow<'_, str>> {
        self.value(name).map(grammar::unquote)
    }

    /// Replaces the first of that name, or adds it at the end.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|param| param.name.eq_ignore_ascii_case(name)) {
            Some(param) => param.value = value,
            None => self.0.push(Param { name: name.to_owned(), value }),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|param| !param.name.eq_ignore_ascii_case(name));
    }

    pub fn iter(&self) -> impl Iterator<Item = &Param> {
        self.0.iter()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, name: &str) -> Option<&Param> {
        self.0.iter().find(|param| param.name.eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Param { name, value } in &self.0 {
            f.write_str(";")?;
            f.write_str(name)?;
            if let Some(value) = value {
                f.write_str("=")?;
                f.write_str(value)?;
            }
        }
        Ok(())
    }
}

/// `gen-value` is a token, a host or a quoted string; phones also send `/`, `?`, `@` and the like bare.
fn is_value_char(c: char) -> bool {
    !c.is_control() && !matches!(c, ' ' | '"' | '<' | '>' | ',' | ';' | '\\')
}

/// `paramchar` of a SIP URI and of a tel URI (RFC 3966), and `%` of escapes.
const fn is_uri_param_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_'
                | b'.'
                | b'!'
                | b'~'
                | b'*'
                | b'\''
                | b'('
                | b')'
                | b'%'
                | b'['
                | b']'
                | b'/'
                | b':'
                | b'&'
                | b'+'
                | b'$'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_headers_and_uris_read_and_print() {
        let cases: &[(&str, bool, bool)] = &[
            ("branch=z9hG4bK1", true, true),
            ("lr", true, true),
            (r#"a="x;y";b"#, true, false),
            ("received=[2001:db8::9:255]", true, true),
            ("x=a:b;lr", true, true),
            ("", false, false),
            (";", false, false),
            ("a;;b", false, false),
            ("=x", false, false),
            ("a=", false, false),
            (r#"a="open"#, false, false),
            ("a=b c", false, false),
        ];
        for (text, header, uri) in cases {
            let [as_header, as_uri] = [Params::parse_header(text), Params::parse_uri(text)];
            assert_eq!((as_header.is_some(), as_uri.is_some()), (*header, *uri), "{text}");
            if let Some(params) = as_header.or(as_uri) {
                assert_eq!(params.to_string(), format!(";{text}"));
            }
        }
    }

    #[test]
    fn names_know_no_case_and_spaces_round_signs_mean_nothing() {
        let params = Params::parse_header("Branch  =   z9 ; LR ; q = 0.33").unwrap();
        assert_eq!(params.value("bRANCH"), Some("z9"));
        assert!(params.has("lr") && params.value("lr").is_none());
        assert_eq!(params.to_string(), ";Branch=z9;LR;q=0.33");
    }

    #[test]
    fn the_sixty_fifth_parameter_is_refused() {
        let many = |n: usize| vec!["a"; n].join(";");
        assert!(Params::parse_header(&many(64)).is_some() && Params::parse_uri(&many(64)).is_some());
        assert!(Params::parse_header(&many(65)).is_none() && Params::parse_uri(&many(65)).is_none());
    }
}
