//! The bridge's words as they stand in JSON and in the OpenAPI document.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bridge::view;
use crate::store;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident = $of:path { $($variant:ident),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($variant),* }

        impl From<$of> for $name {
            fn from(word: $of) -> Self {
                use $of as Of;
                match word { $(Of::$variant => Self::$variant),* }
            }
        }

        impl From<$name> for $of {
            fn from(word: $name) -> Self {
                use $of as Of;
                match word { $($name::$variant => Of::$variant),* }
            }
        }
    };
}

words!(
    /// With a one-time code, or by the PIN alone.
    MeetingKind = view::MeetingKind { OneTime, Standard }
);
words!(
    /// `superseded`: a newer version was queued before this one was sent.
    DeliveryState = store::DeliveryState { Queued, Sent, Failed, Superseded }
);
words!(
    /// Whether the host is told of phones that are remembered, and of those that come in without a code.
    Notices = store::Notices { Off, List }
);
words!(
    /// `remembered`: a new phone proved PIN and code. `came-without-code`: a remembered phone came into this
    /// meeting without its code.
    NoticeKind = store::NoticeKind { Remembered, CameWithoutCode }
);
words!(MeetingState = view::MeetingState { Scheduled, Open, Closed, Cancelled });
words!(
    /// What a remembered phone is still asked: nothing, this meeting's code once, or always the code.
    KnownCallers = view::KnownCallers { StraightThrough, CodeOnce, AlwaysCode }
);

#[cfg(test)]
mod tests {
    use crate::store::words::Word;

    use super::*;

    #[test]
    fn the_api_and_the_tables_use_the_same_words() {
        fn same<T: Word, W: From<T> + Serialize>() {
            for (value, word) in T::ALL {
                assert_eq!(serde_json::to_value(W::from(*value)).unwrap(), *word);
            }
        }
        same::<view::MeetingKind, MeetingKind>();
        same::<view::MeetingState, MeetingState>();
        same::<store::DeliveryState, DeliveryState>();
        same::<view::KnownCallers, KnownCallers>();
        same::<store::Notices, Notices>();
        same::<store::NoticeKind, NoticeKind>();
    }
}
