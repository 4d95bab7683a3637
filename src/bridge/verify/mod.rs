//! What we believe of a calling number, and whether a remembered number may be used today.
//!
//! After the first call the number *is* the credential, so both questions are answered here, by pure
//! functions with one table each. Whether a signature holds is found out elsewhere; here it is one
//! piece of evidence among the others. Of two that disagree the one that says less is believed.

mod basis;
mod remembered;

pub use basis::Basis;
pub use remembered::{Unusable, may_be_remembered, usable};

use crate::bridge::input::Caller;
use crate::types::{Attestation, Country, PhoneNumber, Trust};

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
    /// The attestation that a carrier states beside its verstat.
    pub attestation: Option<Attestation>,
    /// What became of the Identity headers (RFC 8224).
    pub signature: Signature,
}

/// The user part of a sip: or sips: URI, or the number of a tel: URI, as text.
#[derive(Clone, PartialEq)]
pub struct Identity {
    pub scheme: Scheme,
    pub user: String,
    /// What the carrier found out about it, if it says so.
    pub verstat: Option<Verstat>,
}

/// Hides the user: it is somebody's number.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}({} characters, {:?})", self.scheme, self.user.chars().count(), self.verstat)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `sip:` and `sips:`.
    Sip,
    Tel,
}

/// The `verstat` parameter (ATIS-1000074, 3GPP TS 24.229 §7.2A.20).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verstat {
    /// `TN-Validation-Passed`, with the attestation if it is written behind it (`…-Passed-B`).
    Passed(Option<Attestation>),
    /// `TN-Validation-Failed`, whatever is written behind it.
    Failed,
}

/// What became of a call's Identity headers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Signature {
    /// There is none: normal, most calls have none.
    #[default]
    Absent,
    /// Nobody could say in time, and why: as if there were none.
    Unjudged(&'static str),
    /// It holds, for this calling number.
    Good { attestation: Attestation, number: PhoneNumber, signer: String },
    /// It does not hold, and why.
    Bad(&'static str),
}

/// What of a trunk's words about its callers we believe (`[caller_id]` of its file).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Believed {
    pub header: Believe,
    pub verstat: BelieveVerstat,
    /// Signatures that come over it are verified here.
    pub stir: bool,
    /// What a national number means.
    pub country: Option<Country>,
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

/// Whether the carrier's own verification is believed (`caller_id.verstat` of its file).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BelieveVerstat {
    #[default]
    None,
    /// An attestation must be stated.
    Stated,
    /// Where none is stated it is A: so it is with carriers that write B and C out.
    AUnlessStated,
}

/// Who calls, and how far we believe it.
///
/// A withheld number is never learnt from another header, signed or not. At most one sip: and one tel:
/// identity may be asserted (RFC 3325 §9.1), and both must name one number; anything else is believed
/// nothing at all, and no signature makes it better. Attestation B or C is a carrier's word that it
/// does *not* know whose number it is, so it counts against what the trunk asserts.
#[must_use]
pub fn caller(evidence: &Evidence, believed: &Believed) -> Caller {
    if withheld(evidence) {
        return Caller { withheld: true, basis: Basis::Withheld, ..Caller::default() };
    }
    let Named { number, trust, basis } = named(evidence, believed);
    let of = |number, trust, basis| Caller { number, trust, basis, withheld: false, unjudged: None };
    let (Some(number), Trust::Claimed | Trust::Network) = (number.clone(), trust) else {
        return of(number, trust, basis);
    };
    let signature = if believed.stir { &evidence.signature } else { &Signature::Absent };
    let verstat = verstat(evidence, believed, &number);
    let (trust, basis) = match (signature, verstat) {
        (Signature::Bad(why), _) => (Trust::None, Basis::SignatureFailed(why)),
        (Signature::Good { number: signed, .. }, _) if *signed != number => {
            (Trust::None, Basis::SignatureFailed("it was made for another calling number"))
        }
        (_, Some(Verstat::Failed)) => (Trust::None, Basis::VerstatFailed),
        (Signature::Good { attestation, signer, .. }, _) => {
            (vouched(*attestation), Basis::Signed { attestation: *attestation, signer: signer.clone() })
        }
        (_, Some(Verstat::Passed(Some(attestation)))) => (vouched(attestation), Basis::Verstat(attestation)),
        _ => (trust, basis),
    };
    let unjudged = match signature {
        Signature::Unjudged(why) => Some(*why),
        Signature::Absent | Signature::Good { .. } | Signature::Bad(_) => None,
    };
    Caller { unjudged, ..of(Some(number), trust, basis) }
}

/// The number that a signature must be for, if one is to count: `None` when nobody is named.
#[must_use]
pub fn presented(evidence: &Evidence, believed: &Believed) -> Option<PhoneNumber> {
    if withheld(evidence) {
        return None;
    }
    let Named { number, trust, .. } = named(evidence, believed);
    number.filter(|_| trust > Trust::None)
}

const fn vouched(attestation: Attestation) -> Trust {
    match attestation {
        Attestation::A => Trust::Signed,
        Attestation::B | Attestation::C => Trust::Claimed,
    }
}

/// Whom the headers name, and how far we believe them without any signature.
struct Named {
    number: Option<PhoneNumber>,
    trust: Trust,
    basis: Basis,
}

fn named(evidence: &Evidence, believed: &Believed) -> Named {
    let claimed = evidence.from.as_ref().and_then(|from| number(from, believed.country));
    let of = |number: Option<PhoneNumber>, trust, basis| match number {
        Some(_) => Named { number, trust, basis },
        None => Named { number, trust: Trust::None, basis: Basis::NotANumber },
    };
    match believed.header {
        Believe::None => of(claimed, Trust::Claimed, Basis::NotVouched),
        Believe::From => of(claimed, Trust::Network, Basis::From),
        Believe::Pai if evidence.asserted.is_empty() => of(claimed, Trust::Claimed, Basis::NothingAsserted),
        Believe::Pai => match asserted(&evidence.asserted, believed.country) {
            Some(number) => of(Some(number), Trust::Network, Basis::Asserted),
            None => of(claimed, Trust::None, Basis::AmbiguousAssertion),
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

/// What the carrier found out, if it is believed in that. One failure anywhere is a failure; it passed
/// only where it stands beside the very number, and with an attestation.
fn verstat(evidence: &Evidence, believed: &Believed, caller: &PhoneNumber) -> Option<Verstat> {
    let unsaid = match believed.verstat {
        BelieveVerstat::None => return None,
        BelieveVerstat::Stated => None,
        BelieveVerstat::AUnlessStated => Some(Attestation::A),
    };
    let identities = || evidence.asserted.iter().chain(&evidence.from);
    if identities().any(|identity| identity.verstat == Some(Verstat::Failed)) {
        return Some(Verstat::Failed);
    }
    let passed = identities().filter(|identity| number(identity, believed.country).as_ref() == Some(caller));
    let attested = passed.filter_map(|identity| match identity.verstat {
        Some(Verstat::Passed(behind)) => Some(behind.or(evidence.attestation).or(unsaid)),
        Some(Verstat::Failed) | None => None,
    });
    let weakest = attested.flatten().reduce(Attestation::weaker)?;
    // Stated behind the verstat and in a header of its own: both must mean A for it to be one.
    Some(Verstat::Passed(Some(evidence.attestation.map_or(weakest, |stated| stated.weaker(weakest)))))
}

/// The number in a user part; parameters such as `;phone-context=` and `;npdi` are passed over.
fn number(identity: &Identity, country: Option<Country>) -> Option<PhoneNumber> {
    let user = identity.user.split(';').next().unwrap_or_default();
    PhoneNumber::parse(user, country).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "+442079460001";
    const BOB: &str = "+442079460002";

    fn sip(user: &str) -> Identity {
        Identity { scheme: Scheme::Sip, user: user.to_owned(), verstat: None }
    }

    fn tel(user: &str) -> Identity {
        Identity { scheme: Scheme::Tel, ..sip(user) }
    }

    fn from(user: &str) -> Evidence {
        Evidence { from: Some(sip(user)), ..Evidence::default() }
    }

    fn with(user: &str, asserted: &[Identity]) -> Evidence {
        Evidence { asserted: asserted.to_vec(), ..from(user) }
    }

    fn believing(header: Believe) -> Believed {
        Believed { header, country: Country::try_from("GB".to_owned()).ok(), ..Believed::default() }
    }

    /// `number trust`, or `withheld`.
    fn believed(evidence: &Evidence, believed: &Believed) -> String {
        let caller = caller(evidence, believed);
        // What a signature is compared with is what is believed with it.
        let presented = presented(evidence, believed);
        assert!(presented.is_none() || presented == caller.number);
        if caller.withheld {
            assert_eq!((caller.number, caller.trust), (None, Trust::None));
            return "withheld".to_owned();
        }
        let number = caller.number.as_ref().map_or("nobody", PhoneNumber::reveal);
        format!("{number} {}", caller.trust.as_str())
    }

    #[test]
    fn headers_earn_trust_as_this_table_says() {
        use Believe::{From, None, Pai};
        let private = |value: &str| Evidence { privacy: vec![value.to_owned()], ..with(ADA, &[sip(ADA)]) };
        let cases: &[(&str, Evidence, Believe, &str)] = &[
            ("From, nobody believed", from(ADA), None, "+442079460001 claimed"),
            ("From, From believed", from(ADA), From, "+442079460001 network"),
            ("From, PAI believed but not there", from(ADA), Pai, "+442079460001 claimed"),
            ("a national From", from("020 7946 0001"), From, "+442079460001 network"),
            ("From is no number", from("alice"), From, "nobody none"),
            ("From with parameters", from("+442079460001;npdi"), From, "+442079460001 network"),
            ("PAI believed", with(BOB, &[sip(ADA)]), Pai, "+442079460001 network"),
            ("a tel PAI", with(BOB, &[tel(ADA)]), Pai, "+442079460001 network"),
            ("one sip and one tel PAI", with(BOB, &[sip(ADA), tel(ADA)]), Pai, "+442079460001 network"),
            ("they disagree", with(ADA, &[sip(ADA), tel(BOB)]), Pai, "+442079460001 none"),
            ("two sip PAIs", with(ADA, &[sip(ADA), sip(ADA)]), Pai, "+442079460001 none"),
            ("two tel PAIs", with(ADA, &[tel(ADA), tel(ADA)]), Pai, "+442079460001 none"),
            ("a PAI that is no number", with(ADA, &[sip("alice")]), Pai, "+442079460001 none"),
            ("PAI on a trunk we do not believe", with(BOB, &[sip(ADA)]), None, "+442079460002 claimed"),
            ("PAI on a trunk that screens From", with(BOB, &[sip(ADA)]), From, "+442079460002 network"),
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
        for (name, evidence, header, expected) in cases {
            assert_eq!(believed(evidence, &believing(*header)), *expected, "{name}");
        }
    }

    fn good(attestation: Attestation, number: &str) -> Signature {
        Signature::Good { attestation, number: number.parse().unwrap(), signer: "x".to_owned() }
    }

    /// Ada, asserted with `verstat`.
    fn verified(verstat: Verstat) -> Evidence {
        with(ADA, &[Identity { verstat: Some(verstat), ..sip(ADA) }])
    }

    #[test]
    fn signatures_and_verstat_earn_trust_as_this_table_says() {
        use Attestation::{A, B, C};
        use Believe::{From, None, Pai};
        use BelieveVerstat::{AUnlessStated, Stated};
        use Verstat::{Failed, Passed};
        let stir = |header| Believed { stir: true, ..believing(header) };
        let verstat = |header| Believed { verstat: Stated, ..believing(header) };
        let either = |header| Believed { stir: true, ..verstat(header) };
        let signed = |evidence, signature| Evidence { signature, ..evidence };
        let stated = |evidence, attestation| Evidence { attestation: Some(attestation), ..evidence };
        let private = |evidence| Evidence { privacy: vec!["id".to_owned()], ..evidence };
        let asserted = || with(ADA, &[sip(ADA)]);
        let mixed = || with(BOB, &[sip(ADA)]);
        let nobody = Option::<Attestation>::None;
        let (ada, bob) = ("+442079460001", "+442079460002");
        let cases: &[(&str, Evidence, Believed, &str, &str)] = &[
            // Our own verification.
            ("A", signed(from(ADA), good(A, ADA)), stir(None), ada, "signed"),
            ("A beside PAI", signed(asserted(), good(A, ADA)), stir(Pai), ada, "signed"),
            ("A for PAI's number, not From's", signed(mixed(), good(A, ADA)), stir(Pai), ada, "signed"),
            ("A for From's number, PAI believed", signed(mixed(), good(A, BOB)), stir(Pai), ada, "none"),
            ("A for PAI's number, PAI not believed", signed(mixed(), good(A, ADA)), stir(None), bob, "none"),
            ("B", signed(from(ADA), good(B, ADA)), stir(None), ada, "claimed"),
            ("B against PAI", signed(asserted(), good(B, ADA)), stir(Pai), ada, "claimed"),
            ("C against From", signed(from(ADA), good(C, ADA)), stir(From), ada, "claimed"),
            ("it fails", signed(from(ADA), Signature::Bad("x")), stir(None), ada, "none"),
            ("it fails beside PAI", signed(asserted(), Signature::Bad("x")), stir(Pai), ada, "none"),
            ("it is missing", asserted(), stir(Pai), ada, "network"),
            ("not judged", signed(asserted(), Signature::Unjudged("x")), stir(Pai), ada, "network"),
            (
                "not judged, From alone",
                signed(from(ADA), Signature::Unjudged("x")),
                stir(None),
                ada,
                "claimed",
            ),
            ("A, signatures not looked at", signed(from(ADA), good(A, ADA)), believing(None), ada, "claimed"),
            (
                "failed, not looked at",
                signed(asserted(), Signature::Bad("x")),
                believing(Pai),
                ada,
                "network",
            ),
            ("A, two PAIs", signed(with(ADA, &[sip(ADA), sip(ADA)]), good(A, ADA)), stir(Pai), ada, "none"),
            ("A, withheld", private(signed(asserted(), good(A, ADA))), stir(Pai), "withheld", ""),
            // The carrier's.
            ("passed, A stated behind it", verified(Passed(Some(A))), verstat(Pai), ada, "signed"),
            ("passed, A in a header", stated(verified(Passed(nobody)), A), verstat(Pai), ada, "signed"),
            ("passed, B in a header", stated(verified(Passed(nobody)), B), verstat(Pai), ada, "claimed"),
            (
                "passed, A behind, C in a header",
                stated(verified(Passed(Some(A))), C),
                verstat(Pai),
                ada,
                "claimed",
            ),
            ("passed, B behind it", verified(Passed(Some(B))), verstat(Pai), ada, "claimed"),
            ("passed, nothing stated", verified(Passed(nobody)), verstat(Pai), ada, "network"),
            (
                "passed, nothing stated where that is A",
                verified(Passed(nobody)),
                Believed { verstat: AUnlessStated, ..believing(Pai) },
                ada,
                "signed",
            ),
            (
                "passed, B stated where nothing is A",
                verified(Passed(Some(B))),
                Believed { verstat: AUnlessStated, ..believing(Pai) },
                ada,
                "claimed",
            ),
            ("a header alone", stated(asserted(), A), verstat(Pai), ada, "network"),
            ("failed", verified(Failed), verstat(Pai), ada, "none"),
            ("failed, A in a header", stated(verified(Failed), A), verstat(Pai), ada, "none"),
            (
                "failed in From, passed in PAI",
                Evidence {
                    from: Some(Identity { verstat: Some(Failed), ..sip(ADA) }),
                    ..verified(Passed(Some(A)))
                },
                verstat(Pai),
                ada,
                "none",
            ),
            (
                "passed for another number than the believed one",
                with(BOB, &[Identity { verstat: Some(Passed(Some(A))), ..sip(ADA) }]),
                verstat(None),
                bob,
                "claimed",
            ),
            ("passed for From's number", verified(Passed(Some(A))), verstat(None), ada, "signed"),
            ("passed, verstat not believed", verified(Passed(Some(A))), believing(Pai), ada, "network"),
            ("failed, verstat not believed", verified(Failed), believing(Pai), ada, "network"),
            ("passed, withheld", private(verified(Passed(Some(A)))), verstat(Pai), "withheld", ""),
            // Both.
            (
                "ours fails, theirs passed",
                signed(verified(Passed(Some(A))), Signature::Bad("x")),
                either(Pai),
                ada,
                "none",
            ),
            ("ours holds, theirs failed", signed(verified(Failed), good(A, ADA)), either(Pai), ada, "none"),
            (
                "ours is B, theirs A",
                signed(verified(Passed(Some(A))), good(B, ADA)),
                either(Pai),
                ada,
                "claimed",
            ),
            (
                "ours not judged, theirs A",
                signed(verified(Passed(Some(A))), Signature::Unjudged("x")),
                either(Pai),
                ada,
                "signed",
            ),
        ];
        for (name, evidence, trunk, number, trust) in cases {
            let expected = format!("{number} {trust}");
            assert_eq!(believed(evidence, trunk), expected.trim_end(), "{name}");
        }
    }

    #[test]
    fn why_a_number_is_believed_is_said_without_the_number() {
        let stir = Believed { stir: true, ..believing(Believe::Pai) };
        let why = |signature| {
            let evidence = Evidence { signature, ..with(ADA, &[sip(ADA)]) };
            caller(&evidence, &stir).why("lab")
        };
        let signer = "service provider 709J".to_owned();
        let number = ADA.parse().unwrap();
        let cases = [
            (Signature::Absent, "network: P-Asserted-Identity on trunk lab"),
            (
                Signature::Good { attestation: Attestation::A, number, signer },
                "signed: attestation A by service provider 709J",
            ),
            (
                Signature::Bad("it is more than 60 s old"),
                "none: the number's signature failed: it is more than 60 s old",
            ),
            (
                Signature::Unjudged("no certificate in time"),
                "network: P-Asserted-Identity on trunk lab; the signature was not judged: no certificate in time",
            ),
        ];
        for (signature, expected) in cases {
            assert_eq!(why(signature), expected);
        }
        let nobody = caller(&from(ADA), &believing(Believe::None)).why("lab");
        assert_eq!(nobody, "claimed: the number came over trunk lab, which does not vouch for it");
    }
}
