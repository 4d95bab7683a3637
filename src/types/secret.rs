//! What must never be printed: PINs, one-time codes, host PINs, tokens, passwords.
//!
//! Their `Debug` shows the length alone and there is no `Display`. Whoever needs the text calls
//! `reveal`, so that every place where a secret leaves its type is found by that word.

use std::fmt;

use crate::types::Digit;

macro_rules! digits {
    ($(#[$doc:meta])* $name:ident, $range:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// How many digits one may have.
            pub const LENGTH: std::ops::RangeInclusive<usize> = $range;

            /// From decimal digits, with spaces and hyphens between them passed over.
            pub fn parse(text: &str) -> Result<Self, NotDigits> {
                let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
                let decimal = digits.bytes().all(|b| b.is_ascii_digit());
                if decimal && Self::LENGTH.contains(&digits.len()) {
                    Ok(Self(digits))
                } else {
                    Err(NotDigits { what: $what, got: digits.chars().count(), decimal, expected: Self::LENGTH })
                }
            }

            /// From keys pressed.
            pub fn from_keys(keys: &[Digit]) -> Result<Self, NotDigits> {
                Self::parse(&keys.iter().map(|key| key.as_char()).collect::<String>())
            }

            /// The digits themselves, for their owner and for matching.
            #[must_use]
            pub fn reveal(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} digits)"), self.0.len())
            }
        }
    };
}

digits!(
    /// Names a host's meeting room; the same for moderator and guests.
    Pin, 4..=12, "PIN"
);
digits!(
    /// The one-time code of a One Time Meeting.
    Code, 4..=4, "one-time code"
);
digits!(
    /// Private to the host: proves the moderator by phone.
    HostPin, 6..=12, "host PIN"
);

/// Not the digits we expected. Tells lengths, never the digits.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} of {got} characters{}, expected {} to {} decimal digits",
    if *.decimal { "" } else { " that are not all digits" }, .expected.start(), .expected.end())]
pub struct NotDigits {
    what: &'static str,
    got: usize,
    decimal: bool,
    expected: std::ops::RangeInclusive<usize>,
}

/// A bearer token of the HTTP API: 256 random bits, printed as 43 characters of base64url after a
/// prefix that says whose it is (`dlo_` operator, `dlh_` host).
#[derive(Clone, Eq, PartialEq)]
pub struct Token(String);

impl Token {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// What a trunk and we know of each other to prove who calls or registers (SIP digest).
#[derive(Clone, Eq, PartialEq)]
pub struct Password(String);

impl Password {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_show_their_length_alone() {
        assert_eq!(format!("{:?}", Pin::parse("123 456-789").unwrap()), "Pin(9 digits)");
        let error = Code::parse("12x4").unwrap_err().to_string();
        assert_eq!(
            error,
            "one-time code of 4 characters that are not all digits, expected 4 to 4 decimal digits"
        );
    }
}
