//! Session-ID (RFC 7989): one name for a call at all its ends, whatever stands between them.
//!
//! Each end makes a UUID of its own and repeats the other's: `Session-ID: ours;remote=theirs`. What
//! RFC 7329 gave the header, one value for both, is read as the peer's own.

use std::fmt;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SessionId {
    /// 32 lower-case hexadecimal digits.
    pub ours: Box<str>,
    /// Likewise; zeros while it is not known (§5).
    pub theirs: Box<str>,
}

/// "Not known yet" (§5).
const NIL: &str = "00000000000000000000000000000000";

impl SessionId {
    pub fn new(ours: String, theirs: Option<&str>) -> Self {
        let theirs = theirs.unwrap_or(NIL).into();
        Self { ours: ours.into_boxed_str(), theirs }
    }

    /// The sender's own UUID in a header; `None` for what is none, and for zeros.
    pub fn read(value: &str) -> Option<Box<str>> {
        let uuid = value.split(';').next()?.trim();
        let is_uuid = uuid.len() == 32 && uuid.bytes().all(|byte| byte.is_ascii_hexdigit()) && uuid != NIL;
        is_uuid.then(|| uuid.to_ascii_lowercase().into_boxed_str())
    }

    /// A later message of the peer: another party may stand behind it now (§7).
    pub fn hear(&mut self, value: Option<&str>) {
        if let Some(theirs) = value.and_then(Self::read) {
            self.theirs = theirs;
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};remote={}", self.ours, self.theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_named_by_a_uuid_and_nothing_else() {
        let cases = [
            ("ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2", true),
            ("AB30317F1A784DC48FF824D0D3715D86", true),
            ("ab30317f1a784dc48ff824d0d3715d86 ; x=y", true),
            ("00000000000000000000000000000000;remote=47755a9de7794ba387653f2099600ef2", false),
            ("ab30317f-1a78-4dc4-8ff8-24d0d3715d86", false),
            ("ab30317f1a784dc48ff824d0d3715d8", false),
            ("", false),
        ];
        for (value, is_one) in cases {
            let read = SessionId::read(value);
            assert_eq!(read.as_deref(), is_one.then_some("ab30317f1a784dc48ff824d0d3715d86"), "{value}");
        }
        let mut id = SessionId::new("1".repeat(32), None);
        assert_eq!(id.to_string(), format!("{};remote={NIL}", "1".repeat(32)));
        id.hear(Some("nonsense"));
        id.hear(Some(cases[1].0));
        assert_eq!(id.to_string(), format!("{};remote=ab30317f1a784dc48ff824d0d3715d86", "1".repeat(32)));
    }
}
