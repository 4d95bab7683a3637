//! Signed callers over real sockets: carriers' certificates are fetched from an https server on loopback,
//! by the verifier alone and by the whole service while a call rings.

#[path = "support/stir.rs"]
mod signing;
mod support;

use std::time::{Duration, Instant};

use doorline::cli::phone::{Call, Plan, Presentation};
use doorline::sip::passport::{Failure, Roots};
use doorline::stir::{Asked, NotFetched, PATIENCE, Settings, Unjudged, Verdict, Verifier};
use serde_json::Value;
use signing::{Authority, Carrier, Page, Repository};
use support::{Api, Doorline, Options, eventually};

const ADA: &str = "442079460001";
const DOOR: &str = "442079460000";

/// A carrier, its authority, and the repository where its certificate is at `/709J.pem`.
struct Carriers {
    authority: Authority,
    carrier: Carrier,
    repository: Repository,
}

impl Carriers {
    fn new() -> Self {
        let authority = Authority::new();
        let carrier = authority.carrier();
        let repository = Repository::start();
        repository.put("/709J.pem", Page::of(&carrier.pem));
        Self { authority, carrier, repository }
    }

    fn settings(&self) -> Settings {
        Settings {
            roots: Roots::from_pem(self.authority.root_pem().as_bytes()).unwrap(),
            ports: vec![self.repository.port()],
            authorities: vec![self.repository.authority_der.clone()],
            allow_private: true,
        }
    }

    /// A call signed by this carrier, with its certificate at `path`.
    fn asked(&self, path: &str, call: &str) -> Asked {
        Asked {
            headers: vec![self.carrier.identity(&self.repository.url(path), ADA, DOOR)],
            caller: format!("+{ADA}").parse().unwrap(),
            called: vec![format!("+{DOOR}").parse().unwrap()],
            sip_call_id: call.to_owned(),
        }
    }
}

fn not_fetched(why: NotFetched) -> Verdict {
    Verdict::Unjudged(Unjudged::NotFetched(why))
}

#[tokio::test]
async fn a_certificate_is_fetched_once_and_kept() {
    let carriers = Carriers::new();
    let verifier = Verifier::new(carriers.settings()).unwrap();
    // Ten calls at once need it: one fetch.
    let asked: Vec<_> = (0..10).map(|n| carriers.asked("/709J.pem", &format!("call-{n}"))).collect();
    let verdicts = futures_util::future::join_all(asked.iter().map(|asked| verifier.verify(asked))).await;
    for verdict in verdicts {
        let Verdict::Good(signed) = verdict else { panic!("{verdict:?}") };
        assert_eq!(signed.signer, "service provider 709J");
    }
    assert_eq!(carriers.repository.requests(), 1);
    assert!(matches!(verifier.verify(&carriers.asked("/709J.pem", "later")).await, Verdict::Good(_)));
    assert_eq!(carriers.repository.requests(), 1);
}

#[tokio::test]
async fn a_passport_that_comes_in_a_second_call_was_copied() {
    let carriers = Carriers::new();
    let verifier = Verifier::new(carriers.settings()).unwrap();
    let asked = carriers.asked("/709J.pem", "first");
    assert!(matches!(verifier.verify(&asked).await, Verdict::Good(_)));
    assert!(matches!(verifier.verify(&asked).await, Verdict::Good(_)), "the same call");
    let copied = Asked { sip_call_id: "second".to_owned(), ..asked };
    assert_eq!(verifier.verify(&copied).await, Verdict::Unjudged(Unjudged::SeenBefore));
}

#[tokio::test]
async fn what_cannot_be_fetched_is_as_if_there_were_no_signature() {
    let carriers = Carriers::new();
    let page = Page::of(&carriers.carrier.pem);
    let repository = &carriers.repository;
    repository
        .put("/moved", Page { status: "302 Found", headers: "Location: /709J.pem\r\n", ..page.clone() });
    repository.put("/large", Page::of(&carriers.carrier.pem.repeat(100)));
    repository.put("/page", Page::of("<html>sign in</html>"));
    repository.put("/slow", Page { delay: PATIENCE * 3, ..page });
    let verifier = Verifier::new(carriers.settings()).unwrap();
    let cases = [
        ("/nothing", NotFetched::Refused),
        ("/moved", NotFetched::Redirected),
        ("/large", NotFetched::TooLarge),
        ("/page", NotFetched::NotPem),
        ("/slow", NotFetched::InTime),
    ];
    for (path, why) in cases {
        let began = Instant::now();
        assert_eq!(verifier.verify(&carriers.asked(path, path)).await, not_fetched(why), "{path}");
        assert!(began.elapsed() < PATIENCE + Duration::from_millis(500), "{path}: {:?}", began.elapsed());
    }
    // A server that failed is left alone for a while: no second call waits for it.
    let (requests, began) = (repository.requests(), Instant::now());
    assert_eq!(verifier.verify(&carriers.asked("/slow", "again")).await, not_fetched(NotFetched::InTime));
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    assert_eq!(repository.requests(), requests);
}

#[tokio::test]
async fn a_call_cannot_make_us_connect_where_it_likes() {
    let carriers = Carriers::new();
    let asked = carriers.asked("/709J.pem", "1");
    // As it is outside a laboratory: this machine is not the public Internet.
    let strict = Verifier::new(Settings { allow_private: false, ..carriers.settings() }).unwrap();
    assert_eq!(strict.verify(&asked).await, not_fetched(NotFetched::PrivateAddress));
    let other_port = Verifier::new(Settings { ports: vec![443, 8443], ..carriers.settings() }).unwrap();
    assert_eq!(other_port.verify(&asked).await, Verdict::Bad(Failure::BadUrl));
    let unknown = Verifier::new(Settings { authorities: vec![], ..carriers.settings() }).unwrap();
    assert_eq!(unknown.verify(&asked).await, not_fetched(NotFetched::NoTls));
    assert_eq!(carriers.repository.requests(), 0);
    // A PASSporT that is wrong by itself fetches nothing.
    let verifier = Verifier::new(carriers.settings()).unwrap();
    let for_another = Asked { called: vec!["+442079460009".parse().unwrap()], ..asked };
    assert_eq!(verifier.verify(&for_another).await, Verdict::Bad(Failure::WrongCalled));
    assert_eq!(carriers.repository.requests(), 0);
}

#[tokio::test]
async fn a_certificate_that_came_and_is_wrong_fails_the_call() {
    let carriers = Carriers::new();
    let verifier = Verifier::new(carriers.settings()).unwrap();
    let other = Authority::new().carrier();
    carriers.repository.put("/other.pem", Page::of(&other.pem));
    assert_eq!(
        verifier.verify(&carriers.asked("/other.pem", "1")).await,
        Verdict::Bad(Failure::UnknownIssuer)
    );
    let html = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    carriers.repository.put("/broken.pem", Page::of(html));
    assert_eq!(
        verifier.verify(&carriers.asked("/broken.pem", "2")).await,
        Verdict::Bad(Failure::BadCertificate)
    );
}

// -- the whole service --

const ANSWER: Duration = Duration::from_secs(5);
const END: Duration = Duration::from_secs(15);

fn service(carriers: &Carriers) -> Doorline {
    Doorline::start(Options {
        config: format!(
            "\n[stir]\nroots_file = \"roots.pem\"\nca_file = \"web-ca.pem\"\nports = [{}]\nallow_private = true\n",
            carriers.repository.port()
        ),
        files: vec![
            ("roots.pem", carriers.authority.root_pem()),
            ("web-ca.pem", carriers.repository.authority.clone()),
        ],
        lab_caller_id: "stir = true".to_owned(),
        ..Options::default()
    })
}

/// Calls, is answered, hangs up. How long the answer took, and the record.
fn call(
    door: &Doorline,
    api: &Api,
    presentation: Presentation,
    identity: Option<String>,
) -> (Duration, Value) {
    let plan = Plan {
        presentation,
        more_headers: identity.map(|header| ("Identity".to_owned(), header)).into_iter().collect(),
        ..Plan::new(&door.uri(), &format!("+{ADA}")).expect("the plan is good")
    };
    let began = Instant::now();
    let call = Call::dial(plan).expect("the phone works");
    call.wait_for_answer(ANSWER).expect("the service answers");
    let took = began.elapsed();
    call.hang_up();
    call.wait_for_end(END).expect("the call ends");
    (took, api.record(call.call_id()))
}

#[test]
fn a_signed_call_is_believed_and_no_call_waits_longer_than_a_second() {
    let carriers = Carriers::new();
    let door = service(&carriers);
    let api = door.api();
    let sign = |path: &str| carriers.carrier.identity(&carriers.repository.url(path), ADA, DOOR);
    let slow = Page { delay: PATIENCE * 4, ..Page::of(&carriers.carrier.pem) };
    carriers.repository.put("/slow", slow);

    let signed = "signed: attestation A by service provider 709J";
    let (_, record) = call(&door, &api, Presentation::Plain, Some(sign("/709J.pem")));
    assert_eq!((&record["trust"], &record["trust_reason"]), (&"signed".into(), &signed.into()), "{record}");

    let (took, record) = call(&door, &api, Presentation::Asserted, None);
    assert_eq!(record["trust_reason"], "network: P-Asserted-Identity on trunk lab", "{record}");
    assert!(took < PATIENCE / 2, "a call without a signature waited {took:?}");

    let wrong = carriers.carrier.identity(&carriers.repository.url("/709J.pem"), ADA, "442079460009");
    let (_, record) = call(&door, &api, Presentation::Asserted, Some(wrong));
    assert_eq!(
        record["trust_reason"], "none: the number's signature failed: it was made for another dialled number",
        "{record}"
    );

    let (took, record) = call(&door, &api, Presentation::Asserted, Some(sign("/slow")));
    assert_eq!(
        record["trust_reason"],
        "network: P-Asserted-Identity on trunk lab; the signature was not judged: its certificate did not come in time",
        "{record}"
    );
    assert!(took > PATIENCE / 2, "it cannot have waited for the certificate: {took:?}");
    assert!(took < PATIENCE + Duration::from_millis(500), "the call waited {took:?}");

    let metrics = api.text("/metrics");
    for line in [
        "doorline_signatures_total{verdict=\"good\"} 1",
        "doorline_signatures_total{verdict=\"wrong-called\"} 1",
        "doorline_signatures_total{verdict=\"in-time\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    let log = door.log();
    assert!(!log.contains(ADA) && !log.contains("709J.pem"), "{log}");
}

#[test]
fn other_roots_are_taken_over_while_the_service_runs() {
    let carriers = Carriers::new();
    let door = service(&carriers);
    let api = door.api();
    let sign = || carriers.carrier.identity(&carriers.repository.url("/709J.pem"), ADA, DOOR);
    let overheard = sign();
    let (_, record) = call(&door, &api, Presentation::Plain, Some(overheard.clone()));
    assert_eq!(record["trust"], "signed", "{record}");

    let root = carriers.authority.root_pem();
    door.write("roots.pem", &format!("{}{root}", Authority::new().root_pem()));
    assert_eq!(api.order("/reload").good()["changes"], serde_json::json!(["stir changed"]));
    let (_, record) = call(&door, &api, Presentation::Plain, Some(sign()));
    assert_eq!(record["trust"], "signed", "with one more beside it: {record}");
    let (_, record) = call(&door, &api, Presentation::Plain, Some(overheard));
    assert_ne!(record["trust"], "signed", "what was heard before the change is not taken again: {record}");

    door.write("roots.pem", &Authority::new().root_pem());
    assert_eq!(api.order("/reload").good()["needs_restart"], serde_json::json!([]));
    let (_, record) = call(&door, &api, Presentation::Plain, Some(sign()));
    assert_eq!(record["trust"], "none", "its authority is gone: {record}");
    door.write("roots.pem", "no certificate");
    assert_eq!(api.order("/reload").status, 422);
}

#[test]
fn a_caller_who_gives_up_before_the_verdict_has_a_record() {
    let carriers = Carriers::new();
    let door = service(&carriers);
    let api = door.api();
    carriers.repository.put("/slow", Page { delay: PATIENCE * 4, ..Page::of("") });
    let identity = carriers.carrier.identity(&carriers.repository.url("/slow"), ADA, DOOR);
    let plan = Plan {
        more_headers: vec![("Identity".to_owned(), identity)],
        ..Plan::new(&door.uri(), &format!("+{ADA}")).expect("the plan is good")
    };
    let call = Call::dial(plan).expect("the phone works");
    std::thread::sleep(PATIENCE / 3);
    call.hang_up();
    call.wait_for_end(END).expect("the call ends");
    let record = api.record(call.call_id());
    assert_eq!(record["ending"], "cancelled", "{record}");
    assert_eq!(record["trust"], "network", "{record}");
    eventually("no call is live", END, || api.items("/calls?live=true").is_empty().then_some(()));
}
