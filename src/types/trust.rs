//! How far we believe the calling number on one call.

use serde::{Deserialize, Serialize};

/// Ordered: a later one is believed more. What earns which stands in `bridge::verify`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Withheld, unparseable, or proved false.
    #[default]
    None,
    /// Whoever calls says so, and nobody vouches for it.
    Claimed,
    /// The carrier of a trunk that we chose to believe says so (RFC 3325).
    Network,
    /// Signed by the originating carrier with attestation A, and verified by us (RFC 8224, RFC 8588).
    Signed,
}

impl Trust {
    /// The lower-case name, as in tables, records and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Claimed => "claimed",
            Self::Network => "network",
            Self::Signed => "signed",
        }
    }

    /// The trust of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::None, Self::Claimed, Self::Network, Self::Signed]
            .into_iter()
            .find(|trust| trust.as_str() == name)
    }
}
