//! Whether a remembered number may be used today, and whether a new one may be remembered.

use std::time::Duration;

use jiff::Timestamp;

use crate::bridge::Settings;
use crate::bridge::input::Caller;
use crate::bridge::view::Known;
use crate::types::PhoneNumber;

/// Why a remembered number is not used on this call. The caller is not told (R6).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unusable {
    /// Withheld or not a number.
    NoNumber,
    /// Less than `use_min`.
    TrustTooLow,
    /// Less than when it was verified.
    TrustLowerThanThen,
    /// It was verified over another carrier's trunk.
    OtherTrunk,
    /// Not used for too long.
    Unused,
    /// Verified too long ago.
    TooOld,
}

impl Unusable {
    /// For the call record: completes "the phone is remembered but …".
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoNumber => "its number is withheld",
            Self::TrustTooLow => "its number is not vouched for on this call",
            Self::TrustLowerThanThen => "its number is vouched for less than when it was verified",
            Self::OtherTrunk => "it was verified over another carrier's trunk",
            Self::Unused => "it was not used for too long",
            Self::TooOld => "it was verified too long ago",
        }
    }
}

/// Whether this remembered number opens the door on this call, which came over a trunk of this group
/// (R6).
pub fn usable(
    known: &Known,
    caller: &Caller,
    trunk_group: &str,
    settings: &Settings,
    date: Timestamp,
) -> Result<(), Unusable> {
    let over = |since: Timestamp, limit: Duration| since.checked_add(limit).is_ok_and(|end| end < date);
    if caller.withheld || caller.number.as_ref() != Some(&known.number) {
        Err(Unusable::NoNumber)
    } else if caller.trust < settings.use_min {
        Err(Unusable::TrustTooLow)
    } else if caller.trust < known.trust {
        Err(Unusable::TrustLowerThanThen)
    } else if trunk_group != known.trunk {
        Err(Unusable::OtherTrunk)
    } else if over(known.last_used_at.max(known.verified_at), settings.verified_unused) {
        Err(Unusable::Unused)
    } else if over(known.verified_at, settings.verified_in_all) {
        Err(Unusable::TooOld)
    } else {
        Ok(())
    }
}

/// Whether a phone that proves PIN and code now may be remembered (R5).
#[must_use]
pub fn may_be_remembered<'a>(caller: &'a Caller, settings: &Settings) -> Option<&'a PhoneNumber> {
    caller.number.as_ref().filter(|_| !caller.withheld && caller.trust >= settings.grant_min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::view::{HostView, KnownCallers};
    use crate::types::{HostId, MeetingId, Trust, VerifiedId};

    const ADA: &str = "+442079460001";

    #[test]
    fn a_remembered_number_opens_the_door_as_this_table_says() {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let date: Timestamp = "2026-06-01T09:00:00Z".parse().unwrap();
        let ago = |days: u32| date.checked_sub(DAY * days).unwrap();
        let known = |trust, trunk: &str, verified: u32, used: u32| Known {
            verified: VerifiedId::numbered(1),
            host: HostView {
                id: HostId::numbered(1),
                name: "Ada".to_owned(),
                language: Option::None,
                known_callers: KnownCallers::StraightThrough,
                numbers: vec![],
                standard_meeting: MeetingId::numbered(1),
                meetings: vec![],
            },
            number: ADA.parse().unwrap(),
            meeting: Option::None,
            trust,
            trunk: trunk.to_owned(),
            verified_at: ago(verified),
            last_used_at: ago(used),
        };
        let from = |trust| Caller { number: ADA.parse().ok(), trust, ..Caller::default() };
        use Trust::{Claimed, Network, None, Signed};
        let cases = [
            ("as it was", known(Network, "lab", 10, 1), from(Network), Ok(())),
            ("better than it was", known(Network, "lab", 10, 1), from(Signed), Ok(())),
            ("only claimed", known(Network, "lab", 10, 1), from(Claimed), Err(Unusable::TrustTooLow)),
            ("proved false", known(Network, "lab", 10, 1), from(None), Err(Unusable::TrustTooLow)),
            ("less than then", known(Signed, "lab", 9, 1), from(Network), Err(Unusable::TrustLowerThanThen)),
            ("another trunk", known(Network, "other", 10, 1), from(Network), Err(Unusable::OtherTrunk)),
            ("90 days unused", known(Network, "lab", 100, 90), from(Network), Ok(())),
            ("91 days unused", known(Network, "lab", 100, 91), from(Network), Err(Unusable::Unused)),
            ("365 days old", known(Network, "lab", 365, 1), from(Network), Ok(())),
            ("366 days old", known(Network, "lab", 366, 1), from(Network), Err(Unusable::TooOld)),
            (
                "withheld",
                known(Network, "lab", 10, 1),
                Caller { withheld: true, ..Caller::default() },
                Err(Unusable::NoNumber),
            ),
        ];
        for (name, known, caller, expected) in cases {
            assert_eq!(usable(&known, &caller, "lab", &Settings::default(), date), expected, "{name}");
        }
    }
}
