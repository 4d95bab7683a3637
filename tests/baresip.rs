//! Calls of a phone that is not ours, with TLS, SRTP, passwords and every codec: baresip against the real program.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use support::baresip::{Baresip, Setup};
use support::certificates::Authority;
use support::hear::{HEARD_DB, UNHEARD_DB};
use support::{ACCESS_NUMBER, Doorline, Host, Meeting, Options, eventually};

const SOON: Duration = Duration::from_secs(10);
/// From dialling into the meeting, with all that is said on the way.
const JOINED: Duration = Duration::from_secs(30);

/// Calls, keys PIN and code, and is in the meeting as the `nth`.
fn joins(
    door: &Doorline,
    host: &Host,
    meeting: &Meeting,
    phone: &mut Baresip,
    uri: &str,
    nth: usize,
) -> String {
    phone.dial(uri);
    let call_id =
        phone.wait_for("CALL_ESTABLISHED", SOON)["id"].as_str().expect("a call has an id").to_owned();
    phone.press(&format!("{}#{}#", host.pin, meeting.code()));
    eventually(&format!("phone {nth} is in"), JOINED, || {
        (door.api().roster(meeting).len() == nth).then_some(())
    });
    call_id
}

fn hangs_up(door: &Doorline, phone: &mut Baresip, call_id: &str) -> Value {
    phone.order("hangup", "");
    phone.wait_for("CALL_CLOSED", SOON);
    door.api().record(call_id)
}

/// Each hears every other and not itself.
#[track_caller]
fn all_hear_each_other(phones: &[(Baresip, f64, String)]) {
    for (listener, own, _) in phones {
        for (_, hz, _) in phones.iter().filter(|(_, hz, _)| hz != own) {
            eventually(&format!("{own} Hz hears {hz} Hz"), SOON, || {
                (listener.level(*hz) > HEARD_DB).then_some(())
            });
        }
        let level = listener.level(*own);
        assert!(level < UNHEARD_DB, "{own} Hz hears itself at {level:.0} dB");
    }
}

#[test]
fn phones_with_tls_srtp_and_every_codec_hear_each_other_through_a_hold() {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    let door = Doorline::start(Options {
        tls: Some(authority.section("door")),
        // Its connections come from the machine's own address, the lab's.
        trunks: vec![(
            "lab",
            "name = \"lab\"\nallow = [\"127.0.0.1\"]\n[media]\nsrtp = \"require\"\nautomatic_gain = false\n\
             codecs = [\"opus\", \"g722\", \"pcma\", \"pcmu\"]\n"
                .to_owned(),
        )],
        log: "info",
        ..Options::default()
    });
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let uri = format!("sip:{ACCESS_NUMBER}@{};transport=tls", door.sip_tls());
    let mut phones: Vec<(Baresip, f64, String)> = Vec::new();
    let codecs =
        [("opus/48000/2", 1_150.0), ("PCMU/8000/1", 440.0), ("PCMA/8000/1", 620.0), ("G722/16000/1", 860.0)];
    for (n, (codec, tone)) in (1..).zip(codecs) {
        let number = format!("+1555018000{n}");
        let mut phone = Baresip::start(&Setup {
            number: &number,
            transport: "tls",
            ca_file: Some(authority.ca_file()),
            encryption: "srtp-mand",
            codec,
            tone,
            ..Setup::default()
        });
        let call_id = joins(&door, &host, &meeting, &mut phone, &uri, n);
        phones.push((phone, tone, call_id));
    }
    all_hear_each_other(&phones);

    phones[1].0.order("hold", "");
    let (on_hold, others) = (phones[1].1, &phones[2].0);
    eventually("nobody hears who is on hold", SOON, || (others.level(on_hold) < UNHEARD_DB).then_some(()));
    phones[1].0.order("resume", "");
    all_hear_each_other(&phones);

    for (mut phone, _, call_id) in phones {
        let record = hangs_up(&door, &mut phone, &call_id);
        assert_eq!((&record["trunk"], &record["ending"]), (&json!("lab"), &json!("hung-up")), "{record}");
        assert_eq!(record["entered"], "proved-code", "{record}");
        assert!(record["quality"]["srtp"].is_string(), "{record}");
        // Its RTCP begins with a packet in the clear, and again after each re-INVITE.
        let rejected = record["quality"]["packets_rejected"].as_u64();
        assert!(rejected.is_some_and(|rejected| rejected <= 3), "{record}");
    }
}

#[test]
fn a_phone_that_no_address_vouches_for_calls_with_a_password_or_a_certificate_and_not_without() {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    authority.issue("phone", &["phone.example.net"]);
    let own = ["pem", "key"].map(|end| std::fs::read_to_string(authority.file(&format!("phone.{end}"))));
    let own_file = authority.file("both.pem");
    std::fs::write(&own_file, own.map(|text| text.expect("it was issued")).concat())
        .expect("it can be written");
    let door = Doorline::start(Options {
        tls: Some(authority.section("door")),
        trunks: vec![
            ("lab", "name = \"lab\"\nallow = [\"127.0.6.9\"]\n".to_owned()),
            ("named", "name = \"named\"\ntls_names = [\"phone.example.net\"]\n".to_owned()),
            // It fails at a challenge of an algorithm that it does not know, MD5 beside it or not.
            (
                "password",
                "name = \"password\"\nallow = [\"127.0.6.1\"]\n[auth]\nusers = [\"ada\"]\nalgorithms = [\"MD5\"]\npassword_file = \"../secrets/phone-password\"\n"
                    .to_owned(),
            ),
        ],
        files: vec![("secrets/phone-password", "lovelace\n".to_owned())],
        ..Options::default()
    });
    let api = door.api();
    let tls = format!("sip:{ACCESS_NUMBER}@{};transport=tls", door.sip_tls());
    let by_password = |password: &'static str| Setup {
        local: [127, 0, 6, 1],
        login: ("ada", password),
        ..Setup::default()
    };
    let by_certificate = |own_file: Option<PathBuf>| Setup {
        transport: "tls",
        ca_file: Some(authority.ca_file()),
        own_file,
        ..Setup::default()
    };
    for (name, setup, uri, trunk) in [
        ("the password", by_password("lovelace"), door.uri(), Some("password")),
        ("another password", by_password("byron"), door.uri(), None),
        ("the certificate", by_certificate(Some(own_file)), tls.clone(), Some("named")),
        ("no certificate", by_certificate(None), tls, None),
    ] {
        let mut phone = Baresip::start(&setup);
        phone.dial(&uri);
        match trunk {
            None => {
                eventually(&format!("{name} does not do"), SOON, || {
                    (phone.has("CALL_CLOSED") || door.log().contains("TLS peer that proves no name"))
                        .then_some(())
                });
                assert!(!phone.has("CALL_ESTABLISHED"), "{name}");
            }
            Some(trunk) => {
                let id = phone.wait_for("CALL_ESTABLISHED", SOON)["id"].clone();
                let record = hangs_up(&door, &mut phone, id.as_str().expect("a call has an id"));
                assert_eq!(record["trunk"], trunk, "{name}: {record}");
            }
        }
    }
    assert!(!door.log().contains("lovelace"));
    let _ = api;
}
