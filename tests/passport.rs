//! Signed callers, from bytes to verdict, with certificates of an authority made here: each way in which
//! a signature can be wrong has its line.

#[path = "support/stir.rs"]
mod stir;

use doorline::sip::passport::{Call, Chain, Failure, Passports, Roots};
use doorline::types::{Attestation, PhoneNumber};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use serde_json::json;
use stir::{Authority, Carrier, Passport, one_number, spc};

const URL: &str = "https://certs.example.com/709J.pem";
const ADA: &str = "442079460001";
const DOOR: &str = "442079460000";

/// As the service goes about it. `A by service provider 709J`, `diverted`, `nothing`, or the name of
/// what is wrong.
fn verdict(headers: &[String], pem: &str, roots: &Roots, now: Timestamp) -> Result<String, Failure> {
    let number = |digits: &str| format!("+{digits}").parse::<PhoneNumber>().unwrap();
    let (caller, called) = (number(ADA), [number(DOOR)]);
    let found = Passports::read(headers)?;
    let mut last = "nothing".to_owned();
    for passport in &found.shaken {
        match passport.concerns(Call { caller: &caller, called: &called }, now) {
            Err(Failure::WrongCalled) if found.diverted => return Ok("diverted".to_owned()),
            concerns => concerns?,
        }
        let signed = passport.judge(&Chain::from_pem(pem.as_bytes())?, roots, now)?;
        last = format!("{} by {}", signed.attestation.as_str(), signed.signer);
    }
    Ok(last)
}

struct House {
    authority: Authority,
    carrier: Carrier,
    roots: Roots,
    now: Timestamp,
}

impl House {
    fn new() -> Self {
        let authority = Authority::new();
        let carrier = authority.carrier();
        let roots = Roots::from_pem(authority.root_pem().as_bytes()).unwrap();
        Self { authority, carrier, roots, now: Timestamp::now() }
    }

    fn passport(&self) -> Passport {
        Passport::new(URL, ADA, DOOR, self.now)
    }

    fn told(&self, headers: &[String], pem: &str) -> String {
        match verdict(headers, pem, &self.roots, self.now) {
            Ok(good) => good,
            Err(failure) => failure.name().to_owned(),
        }
    }
}

const GOOD: &str = "A by service provider 709J";

#[test]
fn a_passport_is_believed_as_this_table_says() {
    let house = House::new();
    let change = |change: &dyn Fn(&mut Passport)| {
        let mut passport = house.passport();
        change(&mut passport);
        house.carrier.sign(&passport)
    };
    let aged = |seconds| {
        let at = house.now - SignedDuration::from_secs(seconds);
        house.carrier.sign(&Passport::new(URL, ADA, DOOR, at))
    };
    let good = house.carrier.sign(&house.passport());
    let (token, rest) = good.split_once(';').unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    // The last letter of a signature of 64 bytes carries bits that are not signed; the first does not.
    let flipped = if parts[2].starts_with('A') { "B" } else { "A" };
    let forged = Passport { claims: json!({"attest": "A"}), ..house.passport() };
    let cases: &[(&str, String, &str)] = &[
        ("as RFC 8588 has it", good.clone(), GOOD),
        ("attestation B", change(&|p| p.claims["attest"] = json!("B")), "B by service provider 709J"),
        ("attestation C", change(&|p| p.claims["attest"] = json!("C")), "C by service provider 709J"),
        ("numbers with a plus", change(&|p| p.claims["orig"]["tn"] = json!(format!("+{ADA}"))), GOOD),
        (
            "one of several destinations",
            change(&|p| p.claims["dest"]["tn"] = json!(["15550100", DOOR])),
            GOOD,
        ),
        ("more claims", change(&|p| p.claims["mky"] = json!([{"alg": "sha-256"}])), GOOD),
        ("without alg and ppt in SIP", change(&|p| p.params.clear()), GOOD),
        // Time.
        ("60 s old", aged(60), GOOD),
        ("61 s old: replayed", aged(61), "expired"),
        ("a year old", aged(365 * 24 * 60 * 60), "expired"),
        ("5 s ahead", aged(-5), GOOD),
        ("6 s ahead", aged(-6), "from-the-future"),
        ("ahead without end", change(&|p| p.claims["iat"] = json!(i64::MAX)), "from-the-future"),
        // Numbers.
        ("another caller", change(&|p| p.claims["orig"]["tn"] = json!("442079460002")), "wrong-caller"),
        (
            "a caller who is no number",
            change(&|p| p.claims["orig"]["tn"] = json!("anonymous")),
            "wrong-caller",
        ),
        ("for somebody else", change(&|p| p.claims["dest"]["tn"] = json!(["442079460009"])), "wrong-called"),
        // Form.
        ("compact", format!("..{};{rest}", parts[2]), "compact"),
        (
            "no extension: not SHAKEN's",
            change(&|p| {
                p.params.clear();
                p.header.as_object_mut().unwrap().remove("ppt");
            }),
            "nothing",
        ),
        ("says shaken outside, div inside", change(&|p| p.header["ppt"] = json!("div")), "wrong-type"),
        (
            "another x5u than info",
            change(&|p| p.info = "https://evil.example/709J.pem".to_owned()),
            "info-mismatch",
        ),
        (
            "fetched by http",
            change(&|p| {
                p.info = "http://certs.example.com/709J.pem".to_owned();
                p.header["x5u"] = json!(p.info);
            }),
            "bad-url",
        ),
        ("no origid", change(&|p| p.claims["origid"] = json!(null)), "claims"),
        // Algorithms: what stands there is compared and never followed.
        ("alg none", change(&|p| p.header["alg"] = json!("none")), "wrong-algorithm"),
        ("alg HS256", change(&|p| p.header["alg"] = json!("HS256")), "wrong-algorithm"),
        ("alg ES384", change(&|p| p.header["alg"] = json!("ES384")), "wrong-algorithm"),
        (
            "alg HS256 in SIP alone",
            change(&|p| p.params = ";alg=HS256;ppt=shaken".to_owned()),
            "wrong-algorithm",
        ),
        // The signature.
        (
            "one bit of it",
            format!("{}.{}.{flipped}{};{rest}", parts[0], parts[1], &parts[2][1..]),
            "wrong-signature",
        ),
        ("none", format!("{}.{}.;{rest}", parts[0], parts[1]), "unreadable"),
        ("of zeros", format!("{}.{}.{};{rest}", parts[0], parts[1], "A".repeat(86)), "wrong-signature"),
        ("cut short", format!("{}.{}.{};{rest}", parts[0], parts[1], &parts[2][..40]), "wrong-signature"),
        (
            "of another PASSporT",
            {
                let other = change(&|p| p.claims["attest"] = json!("C"));
                format!("{}.{};{rest}", parts[..2].join("."), other.split([';', '.']).nth(2).unwrap())
            },
            "wrong-signature",
        ),
        ("of another carrier", house.authority.carrier().sign(&house.passport()), "wrong-signature"),
        ("claims that are missing", house.carrier.sign(&forged), "claims"),
    ];
    for (name, header, expected) in cases {
        let told = house.told(std::slice::from_ref(header), &house.carrier.pem);
        assert_eq!(told, *expected, "{name}");
    }
}

/// The public key as the secret of an HMAC is how tokens were forged where `alg` was followed.
#[test]
fn the_public_key_is_no_secret_to_sign_with() {
    use hmac::{Hmac, KeyInit, Mac};

    let house = House::new();
    let chain = Chain::from_pem(house.carrier.pem.as_bytes()).unwrap();
    for alg in ["HS256", "ES256"] {
        let mut passport = house.passport();
        passport.header["alg"] = json!(alg);
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(chain.key()).unwrap();
        mac.update(passport.signed().as_bytes());
        use base64::Engine;
        let forged = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        let header = format!("{}.{forged};info=<{URL}>;ppt=shaken", passport.signed());
        let expected = if alg == "HS256" { "wrong-algorithm" } else { "wrong-signature" };
        assert_eq!(house.told(&[header], &house.carrier.pem), expected, "{alg}");
    }
}

#[test]
fn a_certificate_is_believed_as_this_table_says() {
    let house = House::new();
    let authority = &house.authority;
    let spc_list = || Some(spc("709J"));
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let other = Authority::new();
    let usual = authority.carrier();
    let cases: Vec<(&str, Carrier, &str)> = vec![
        ("a provider's", authority.carrier(), GOOD),
        (
            "the number's",
            authority.carrier_for(Some(one_number(ADA)), |_| {}),
            "A by the holder of the number",
        ),
        (
            "another number's",
            authority.carrier_for(Some(one_number("442079460002")), |_| {}),
            "number-not-covered",
        ),
        ("without a list", authority.carrier_for(None, |_| {}), "no-authority-list"),
        ("with a list that is none", authority.carrier_for(Some(vec![0x30, 0]), |_| {}), "no-authority-list"),
        (
            "expired",
            authority.carrier_for(spc_list(), |p| (p.not_before, p.not_after) = (year(2000), year(2001))),
            "certificate-expired",
        ),
        (
            "not valid yet",
            authority.carrier_for(spc_list(), |p| (p.not_before, p.not_after) = (year(4000), year(4001))),
            "certificate-expired",
        ),
        ("of an authority that we do not know", other.carrier(), "unknown-issuer"),
        (
            "an authority's own",
            authority.carrier_for(spc_list(), |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
            "bad-certificate",
        ),
        (
            "for web servers",
            authority.carrier_for(spc_list(), |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]
            }),
            "bad-certificate",
        ),
        (
            "for key agreement alone",
            authority.carrier_for(spc_list(), |p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
            "bad-certificate",
        ),
        ("without its intermediate", Carrier { pem: usual.leaf.clone(), ..usual }, "unknown-issuer"),
    ];
    for (name, carrier, expected) in cases {
        let header = carrier.sign(&house.passport());
        assert_eq!(house.told(&[header], &carrier.pem), expected, "{name}");
    }

    let on_p384 = authority.carrier_with_key(spc_list(), &rcgen::PKCS_ECDSA_P384_SHA384, |_| {});
    let edwards = authority.carrier_with_key(spc_list(), &rcgen::PKCS_ED25519, |_| {});
    for (name, carrier) in [("P-384", on_p384), ("Ed25519", edwards)] {
        assert_eq!(Chain::from_pem(carrier.pem.as_bytes()).err(), Some(Failure::WrongKey), "{name}");
    }
    for (name, pem) in [
        ("nothing", String::new()),
        ("no PEM", "<html>".to_owned()),
        (
            "PEM of no certificate",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
        ),
        ("too many", authority.carrier().pem.repeat(4)),
    ] {
        assert_eq!(Chain::from_pem(pem.as_bytes()).err(), Some(Failure::BadCertificate), "{name}");
    }
}

#[test]
fn several_headers_are_judged_together() {
    let house = House::new();
    let good = house.carrier.sign(&house.passport());
    let with = |name: &str, value: serde_json::Value| {
        let mut passport = house.passport();
        passport.claims[name] = value;
        house.carrier.sign(&passport)
    };
    let elsewhere = with("dest", json!({"tn": ["442079460009"]}));
    let gateway = with("attest", json!("C"));
    let diverted = good.replace("ppt=shaken", "ppt=div");
    let other = good.replace("ppt=shaken", "ppt=rph");
    let cases: &[(&str, Vec<String>, &str)] = &[
        ("none", vec![], "nothing"),
        ("another kind alone", vec![other.clone()], "nothing"),
        ("another kind too", vec![other.clone(), good.clone()], GOOD),
        ("two of SHAKEN", vec![good.clone(), gateway.clone()], "C by service provider 709J"),
        ("three of SHAKEN", vec![good.clone(), gateway, good.clone()], "too-many"),
        ("one of two is wrong", vec![good.clone(), elsewhere.clone()], "wrong-called"),
        ("diverted to us", vec![elsewhere, diverted.clone()], "diverted"),
        ("diverted, yet for us", vec![good.clone(), diverted], GOOD),
        ("one that cannot be read", vec![good.clone(), "x".to_owned()], "unreadable"),
        ("nine", vec![other; 9], "too-many"),
    ];
    for (name, headers, expected) in cases {
        assert_eq!(house.told(headers, &house.carrier.pem), *expected, "{name}");
    }
}

#[test]
fn roots_are_certificates_and_end_with_their_date() {
    let house = House::new();
    assert!(Roots::from_pem(b"").is_err());
    assert!(Roots::from_pem(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_err());
    // rcgen's certificates end in 4096; its roots too.
    let chain = Chain::from_pem(house.carrier.pem.as_bytes()).unwrap();
    assert_eq!(chain.judge(&house.roots, house.now), Ok(()));
    assert_eq!(chain.judge(&Roots::default(), house.now), Err(Failure::UnknownIssuer));
}

#[test]
fn printing_what_was_signed_shows_no_number() {
    let house = House::new();
    let header = house.carrier.sign(&house.passport());
    let text = format!("{:?}", Passports::read(&[header]).unwrap());
    assert!(text.contains("certs.example.com") && !text.contains("7946") && !text.contains("709J"), "{text}");
    assert_eq!(Attestation::A.as_str(), "A");
    let text = format!("{:?}", Chain::from_pem(house.carrier.pem.as_bytes()).unwrap());
    assert!(text.contains("709J") && !text.contains("BEGIN"), "{text}");
}

/// A header or a certificate with some bytes changed, cut out or doubled.
fn mutated(original: &str, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = original.as_bytes().to_vec();
    for (at, kind, byte) in changes {
        let at = at % bytes.len().max(1);
        match kind % 4 {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 if at < bytes.len() => drop(bytes.drain(at..(at + usize::from(*byte)).min(bytes.len()))),
            2 => bytes.insert(at, *byte),
            _ => {
                let copy = bytes[at.min(bytes.len())..].to_vec();
                bytes.extend(copy.into_iter().take(usize::from(*byte)));
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever is done to a header, it is judged, and believed only if what was signed is untouched.
    #[test]
    fn a_header_that_was_tampered_with_is_never_believed_and_never_a_panic(
        changes in prop::collection::vec((0..4_000_usize, any::<u8>(), any::<u8>()), 1..6),
    ) {
        let (house, good) = tampering();
        let header = String::from_utf8_lossy(&mutated(good, &changes)).into_owned();
        let told = house.told(std::slice::from_ref(&header), &house.carrier.pem);
        let signed = |header: &str| header.split(';').next().map(|token| token.trim().to_owned());
        if told == GOOD {
            prop_assert_eq!(signed(&header), signed(good), "changed and believed");
        }
    }

    #[test]
    fn a_certificate_that_was_tampered_with_is_never_a_panic(
        changes in prop::collection::vec((0..2_000_usize, any::<u8>(), any::<u8>()), 1..6),
    ) {
        let (house, good) = tampering();
        let pem = String::from_utf8_lossy(&mutated(&house.carrier.pem, &changes)).into_owned();
        let _ = house.told(std::slice::from_ref(good), &pem);
    }

    #[test]
    fn any_text_is_a_header_that_is_judged(text in "\\PC{0,200}") {
        let (house, _) = tampering();
        let told = house.told(&[text], &house.carrier.pem);
        prop_assert_ne!(told.as_str(), GOOD);
    }
}

/// Made once: keys cost time.
fn tampering() -> &'static (House, String) {
    static MADE: std::sync::OnceLock<(House, String)> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let house = House::new();
        let good = house.carrier.sign(&house.passport());
        (house, good)
    })
}
