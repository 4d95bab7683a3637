//! What an originating carrier says of a caller's right to a number (RFC 8588 §4).

/// The `attest` claim of SHAKEN. Only [`Attestation::A`] vouches for the number.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Attestation {
    /// Full: the carrier knows the customer, and that the number is theirs.
    A,
    /// Partial: it knows the customer, not whose number it is.
    B,
    /// Gateway: it knows only where the call came in.
    C,
}

impl Attestation {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }

    /// The attestation of that letter, without regard to case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::A, Self::B, Self::C].into_iter().find(|one| one.as_str().eq_ignore_ascii_case(name))
    }

    /// The one that promises less.
    #[must_use]
    pub const fn weaker(self, other: Self) -> Self {
        match (self, other) {
            (Self::C, _) | (_, Self::C) => Self::C,
            (Self::B, _) | (_, Self::B) => Self::B,
            (Self::A, Self::A) => Self::A,
        }
    }
}
