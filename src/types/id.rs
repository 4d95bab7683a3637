//! Identifiers. Each is a UUID version 7 (RFC 9562 §5.7): unique across nodes, sorted by birth.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one, from the clock and the system's random source: for rooms that do, never
            /// for rooms that decide.
            #[must_use]
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }

            /// A small made-up one, for tests and scripts.
            #[must_use]
            pub const fn numbered(number: u128) -> Self {
                Self(Uuid::from_u128(number))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A host: an account with a PIN and meetings.
    HostId
);
id!(
    /// A meeting, one-time or standard; also the name of its audio room.
    MeetingId
);
id!(
    /// One phone call, from INVITE to its record; also its leg and, once mixed, its participant.
    CallId
);
id!(
    /// One remembered (host, phone number).
    VerifiedId
);
id!(
    /// Something that a host is told of.
    NoticeId
);
id!(
    /// An API token, never the token itself.
    TokenId
);
