//! What we believe of a calling number, and whether a remembered number may be used today.
//!
//! After the first call the number *is* the credential, so both questions are answered here, by
//! pure functions with one table each. SHAKEN signatures (RFC 8224) are not judged yet: nothing
//! here gives [`Trust::Signed`].

use std::time::Duration;

use jiff::Timestamp;

use crate::bridge::Settings;
use crate::bridge::input::Caller;
use crate::bridge::view::Known;
use crate::types::{Country, PhoneNumber, Trust};

/// What an INVITE says of its caller, taken apart but not judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The From header.
    pub from: Option<Identity>,
    /// From says that it is nobody: host `anonymous.invalid` or display name `Anonymous`
    /// (RFC 3323 §4.1.1.3).
    pub from_anonymous: bool,
    /// Every P-Asserted-Identity, in order (RFC 3325 §9.1).
    pub asserted: Vec<Identity>,
    /// The values of Privacy, such as `id` (RFC 3323 §4.2, RFC 3325 §9.3).
    pub privacy: Vec<String>,
}

/// The user part of a sip: or sips: URI, or the number of a tel: URI, as text.
#[derive(Clone, PartialEq)]
pub struct Identity {
    pub scheme: Scheme,
    pub user: String,
}

/// Hides the user: it is somebody's number.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}({} characters)", self.scheme, self.user.chars().count())
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `sip:` and `sips:`.
    Sip,
    Tel,
}

/// Which header of the trunk we believe (`caller_id.trust` of its file).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Believe {
    #[default]
    None,
    /// Its carrier screens From.
    From,
    /// Its carrier asserts P-Asserted-Identity.
    Pai,
}

/// Who calls, and how far we believe it.
///
/// A withheld number is never learnt from another header. At most one sip: and one tel: identity
/// may be asserted (RFC 3325 §9.1), and both must name one number; anything else is believed
/// nothing at all.
#[must_use]
pub fn caller(evidence: &Evidence, believe: Believe, country: Option<Country>) -> Caller {
    if withheld(evidence) {
        return Caller { number: None, trust: Trust::None, withheld: true };
    }
    let claimed = evidence.from.as_ref().and_then(|from| number(from, country));
    let of = |number: Option<PhoneNumber>, trust| {
        let trust = if number.is_some() { trust } else { Trust::None };
        Caller { number, trust, withheld: false }
    };
    match believe {
        Believe::None => of(claimed, Trust::Claimed),
        Believe::From => of(claimed, Trust::Network),
        Believe::Pai if evidence.asserted.is_empty() => of(claimed, Trust::Claimed),
        Believe::Pai => match asserted(&evidence.asserted, country) {
            Some(number) => of(Some(number), Trust::Network),
            None => of(claimed, Trust::None),
        },
    }
}

/// Privacy asks for it (`none` and `critical` alone do not), or From is nobody.
fn withheld(evidence: &Evidence) -> bool {
    let asked = evidence.privacy.iter().any(|value| {
        ["id", "user", "header", "session"].iter().any(|wanted| value.trim().eq_ignore_ascii_case(wanted))
    });
    let nobody = |user: &str| {
        let user = user.trim();
        user.is_empty()
            || ["anonymous", "unavailable", "restricted", "private", "unknown"]
                .iter()
                .any(|name| user.eq_ignore_ascii_case(name))
    };
    asked || evidence.from_anonymous || evidence.from.as_ref().is_none_or(|from| nobody(&from.user))
}

/// The one number that all asserted identities name.
fn asserted(identities: &[Identity], country: Option<Country>) -> Option<PhoneNumber> {
    let of = |scheme| identities.iter().filter(move |identity| identity.scheme == scheme);
    if of(Scheme::Sip).count() > 1 || of(Scheme::Tel).count() > 1 {
        return None;
    }
    let mut numbers = identities.iter().map(|identity| number(identity, country));
    let first = numbers.next()??;
    numbers.all(|number| number.as_ref() == Some(&first)).then_some(first)
}

/// The number in a user part; parameters such as `;phone-context=` and `;npdi` are passed over.
fn number(identity: &Identity, country: Option<Country>) -> Option<PhoneNumber> {
    let user = identity.user.split(';').next().unwrap_or_default();
    PhoneNumber::parse(user, country).ok()
}

/// Why a remembered number is not used on this call. The caller is not told (R6).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unusable {
    /// Withheld or not a number.
    NoNumber,
    /// Less than `use_min`.
    TrustTooLow,
    /// Less than when it was verified.
    TrustLowerThanThen,
    /// It was verified over another trunk.
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
            Self::OtherTrunk => "it was verified over another trunk",
            Self::Unused => "it was not used for too long",
            Self::TooOld => "it was verified too long ago",
        }
    }
}

/// Whether this remembered number opens the door on this call (R6).
pub fn usable(
    known: &Known,
    caller: &Caller,
    trunk: &str,
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
    } else if trunk != known.trunk {
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
    use crate::types::{HostId, MeetingId, VerifiedId};

    const ADA: &str = "+442079460001";

    fn sip(user: &str) -> Identity {
        Identity { scheme: Scheme::Sip, user: user.to_owned() }
    }

    fn tel(user: &str) -> Identity {
        Identity { scheme: Scheme::Tel, user: user.to_owned() }
    }

    /// `number trust`, or `withheld`.
    fn believed(evidence: &Evidence, believe: Believe) -> String {
        let country = Country::try_from("GB".to_owned()).ok();
        let caller = caller(evidence, believe, country);
        if caller.withheld {
            assert_eq!((caller.number, caller.trust), (None, Trust::None));
            return "withheld".to_owned();
        }
        let number = caller.number.as_ref().map_or("nobody", PhoneNumber::reveal);
        format!("{number} {}", caller.trust.as_str())
    }

    #[test]
    fn evidence_earns_trust_as_this_table_says() {
        use Believe::{From, None, Pai};
        let from = |user: &str| Evidence { from: Some(sip(user)), ..Evidence::default() };
        let with = |user: &str, asserted: &[Identity]| Evidence { asserted: asserted.to_vec(), ..from(user) };
        let private = |value: &str| Evidence { privacy: vec![value.to_owned()], ..with(ADA, &[sip(ADA)]) };
        let other = "+442079460002";
        let cases: &[(&str, Evidence, Believe, &str)] = &[
            ("From, nobody believed", from(ADA), None, "+442079460001 claimed"),
            ("From, From believed", from(ADA), From, "+442079460001 network"),
            ("From, PAI believed but not there", from(ADA), Pai, "+442079460001 claimed"),
            ("a national From", from("020 7946 0001"), From, "+442079460001 network"),
            ("From is no number", from("alice"), From, "nobody none"),
            ("From with parameters", from("+442079460001;npdi"), From, "+442079460001 network"),
            ("PAI believed", with(other, &[sip(ADA)]), Pai, "+442079460001 network"),
            ("a tel PAI", with(other, &[tel(ADA)]), Pai, "+442079460001 network"),
            ("one sip and one tel PAI", with(other, &[sip(ADA), tel(ADA)]), Pai, "+442079460001 network"),
            ("they disagree", with(ADA, &[sip(ADA), tel(other)]), Pai, "+442079460001 none"),
            ("two sip PAIs", with(ADA, &[sip(ADA), sip(ADA)]), Pai, "+442079460001 none"),
            ("two tel PAIs", with(ADA, &[tel(ADA), tel(ADA)]), Pai, "+442079460001 none"),
            ("a PAI that is no number", with(ADA, &[sip("alice")]), Pai, "+442079460001 none"),
            ("PAI on a trunk we do not believe", with(other, &[sip(ADA)]), None, "+442079460002 claimed"),
            ("PAI on a trunk that screens From", with(other, &[sip(ADA)]), From, "+442079460002 network"),
            ("Privacy: id", private("id"), Pai, "withheld"),
            ("Privacy: user", private("user"), Pai, "withheld"),
            ("Privacy: header", private("HEADER"), Pai, "withheld"),
            ("Privacy: session", private("session"), From, "withheld"),
            ("Privacy: none", private("none"), Pai, "+442079460001 network"),
            ("Privacy: critical alone", private("critical"), Pai, "+442079460001 network"),
            ("anonymous From, yet asserted", with("anonymous", &[sip(ADA)]), Pai, "withheld"),
            (
                "anonymous.invalid",
                Evidence { from_anonymous: true, ..with(ADA, &[sip(ADA)]) },
                Pai,
                "withheld",
            ),
            ("empty From user, yet asserted", with("", &[sip(ADA)]), Pai, "withheld"),
            ("no From at all", Evidence { asserted: vec![sip(ADA)], ..Evidence::default() }, Pai, "withheld"),
        ];
        for (name, evidence, believe, expected) in cases {
            assert_eq!(believed(evidence, *believe), *expected, "{name}");
        }
    }

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
            trust,
            trunk: trunk.to_owned(),
            verified_at: ago(verified),
            last_used_at: ago(used),
        };
        let from = |trust| Caller { number: ADA.parse().ok(), trust, withheld: false };
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
                Caller { number: Option::None, trust: None, withheld: true },
                Err(Unusable::NoNumber),
            ),
        ];
        for (name, known, caller, expected) in cases {
            assert_eq!(usable(&known, &caller, "lab", &Settings::default(), date), expected, "{name}");
        }
    }
}
