//! The Identity header (RFC 8224 §4): a PASSporT, then where its certificate is.
//!
//! ```text
//! Identity: HEADER.PAYLOAD.SIGNATURE;info=<https://…>;alg=ES256;ppt=shaken
//! ```
//!
//! In the compact form HEADER and PAYLOAD are empty, and the verifier is to write them itself. RFC 8588
//! §3 has no use for it, since its claims cannot be guessed.

use super::failure::Failure;

/// Bytes of a whole header value. A PASSporT with several destinations has about 1,000.
pub const HEADER_BYTES: usize = 4 * 1024;

/// One header value, taken apart and not judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header<'a> {
    /// In base64url, as it was signed.
    pub header: &'a str,
    pub payload: &'a str,
    pub signature: &'a str,
    /// The URI between `<` and `>`.
    pub info: &'a str,
    pub alg: Option<&'a str>,
    /// Without the quotes that RFC 8224 §4 allows around it.
    pub ppt: Option<&'a str>,
}

impl<'a> Header<'a> {
    pub fn read(value: &'a str) -> Result<Self, Failure> {
        if value.len() > HEADER_BYTES {
            return Err(Failure::TooLarge);
        }
        let (token, params) = value.split_once(';').unwrap_or((value, ""));
        let mut parts = token.trim().split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Failure::Unreadable);
        };
        let base64url = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        if signature.is_empty() || ![header, payload, signature].into_iter().all(base64url) {
            return Err(Failure::Unreadable);
        }
        if header.is_empty() != payload.is_empty() {
            return Err(Failure::Unreadable);
        }
        let (mut info, mut alg, mut ppt) = (None, None, None);
        let mut rest = params;
        while !rest.trim().is_empty() {
            let (name, value, more) = param(rest)?;
            rest = more;
            let known = [("info", &mut info), ("alg", &mut alg), ("ppt", &mut ppt)];
            if let Some((_, place)) = known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
                // Two of one name: it is anyone's guess which of them others read.
                if place.replace(value).is_some() {
                    return Err(Failure::Unreadable);
                }
            }
        }
        let info = info.ok_or(Failure::NoInfo)?;
        let info = info.strip_prefix('<').and_then(|info| info.strip_suffix('>'));
        let info = info.ok_or(Failure::Unreadable)?;
        let unquoted =
            |text: &'a str| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        Ok(Self { header, payload, signature, info, alg, ppt: ppt.map(unquoted) })
    }

    #[must_use]
    pub const fn is_compact(&self) -> bool {
        self.header.is_empty()
    }
}

/// The first parameter of `text`: its name, its value, and what follows. A `;` between `<` and `>` or
/// between quotes belongs to the value.
fn param(text: &str) -> Result<(&str, &str, &str), Failure> {
    let (name, rest) = text.split_once('=').ok_or(Failure::Unreadable)?;
    let name = name.trim().trim_start_matches(';').trim();
    let rest = rest.trim_start();
    let closing = match rest.as_bytes().first() {
        Some(b'<') => Some('>'),
        Some(b'"') => Some('"'),
        _ => None,
    };
    let value_end = match closing {
        Some(closing) => {
            rest.get(1..).and_then(|inside| inside.find(closing)).ok_or(Failure::Unreadable)? + 2
        }
        None => rest.find(';').unwrap_or(rest.len()),
    };
    let (value, more) = rest.split_at(value_end);
    let more = match more.trim_start() {
        "" => "",
        more => more.strip_prefix(';').ok_or(Failure::Unreadable)?,
    };
    if name.is_empty() { Err(Failure::Unreadable) } else { Ok((name, value.trim(), more)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_header_is_taken_apart() {
        let full = |more: &str| format!("aGk.eW8.c2ln{more}");
        let info = ";info=<https://c.example/a.pem>";
        let cases: &[(&str, String, Result<&str, Failure>)] = &[
            (
                "as in RFC 8588",
                full(&format!("{info};alg=ES256;ppt=shaken")),
                Ok("https://c.example/a.pem ES256 shaken"),
            ),
            (
                "with quotes",
                full(&format!("{info};alg=ES256;ppt=\"shaken\"")),
                Ok("https://c.example/a.pem ES256 shaken"),
            ),
            (
                "with spaces",
                full(" ; info = <https://c.example/a.pem> ; ALG=ES256"),
                Ok("https://c.example/a.pem ES256 -"),
            ),
            (
                "a semicolon in the URI",
                full(";info=<https://c.example/a;b>;ppt=shaken"),
                Ok("https://c.example/a;b - shaken"),
            ),
            ("an unknown parameter", full(&format!("{info};canon=x")), Ok("https://c.example/a.pem - -")),
            ("compact", format!("..c2ln{info}"), Ok("https://c.example/a.pem - -")),
            ("no info", full(";alg=ES256"), Err(Failure::NoInfo)),
            ("nothing behind the token", full(""), Err(Failure::NoInfo)),
            ("info without brackets", full(";info=https://c.example/a.pem"), Err(Failure::Unreadable)),
            ("an open bracket", full(";info=<https://c.example/a.pem"), Err(Failure::Unreadable)),
            ("info twice", full(&format!("{info}{info}")), Err(Failure::Unreadable)),
            ("two parts", format!("aGk.eW8{info}"), Err(Failure::Unreadable)),
            ("four parts", format!("aGk.eW8.c2ln.eA{info}"), Err(Failure::Unreadable)),
            ("half compact", format!(".eW8.c2ln{info}"), Err(Failure::Unreadable)),
            ("no signature", format!("aGk.eW8.{info}"), Err(Failure::Unreadable)),
            ("base64 with a plus", format!("aGk.e+8.c2ln{info}"), Err(Failure::Unreadable)),
            ("empty", String::new(), Err(Failure::Unreadable)),
            ("too large", full(&format!("{info};x={}", "y".repeat(HEADER_BYTES))), Err(Failure::TooLarge)),
        ];
        for (name, value, expected) in cases {
            let read = Header::read(value);
            let read = read.map(|h| format!("{} {} {}", h.info, h.alg.unwrap_or("-"), h.ppt.unwrap_or("-")));
            assert_eq!(read.as_deref(), expected.as_deref(), "{name}");
        }
    }
}
