//! The keys in a meeting: `*`, then one more. One table says which key does what for whom.
//!
//! No command is a prefix of another, and a key without `*` does nothing: a caller whose phone
//! still sends PIN and code from a link is not answered with "that key does nothing".

use crate::bridge::snapshot::Role::{self, Guest, Moderator};
use crate::types::Digit;

/// What a key asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Help,
    ToggleRecording,
    WhoIsHere,
    ToggleMuteAll,
    ToggleHand,
    ToggleMute,
    ToggleLock,
    AdmitNext,
    ForgetPhone,
    BecomeModerator,
    EndForAll,
    DropLast,
}

const ALL: &[Role] = &[Guest, Moderator];

#[rustfmt::skip]
const KEYS: [(char, &[Role], Action); 12] = [
    ('1', ALL, Action::Help),
    ('2', &[Moderator], Action::ToggleRecording),
    ('3', ALL, Action::WhoIsHere),
    ('4', &[Moderator], Action::ToggleMuteAll),
    ('5', ALL, Action::ToggleHand),
    ('6', ALL, Action::ToggleMute),
    ('7', &[Moderator], Action::ToggleLock),
    ('8', &[Moderator], Action::AdmitNext),
    ('9', ALL, Action::ForgetPhone),
    ('0', &[Guest], Action::BecomeModerator),
    ('0', &[Moderator], Action::EndForAll),
    ('#', &[Moderator], Action::DropLast),
];

/// What `*` and this key do for somebody of this role; `None`: nothing, and they are told so.
pub(crate) fn action(key: Digit, role: Role) -> Option<Action> {
    KEYS.iter()
        .find(|(name, who, _)| *name == key.as_char() && who.contains(&role))
        .map(|(_, _, action)| *action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_one_meaning_for_a_role() {
        for key in "0123456789*#ABCD".chars() {
            for role in ALL {
                let meanings =
                    KEYS.iter().filter(|(name, who, _)| *name == key && who.contains(role)).count();
                assert!(meanings <= 1, "*{key} for {role:?}");
                assert_eq!(action(Digit::from_char(key).unwrap(), *role).is_some(), meanings == 1);
            }
        }
    }
}
