//! Traces of the real program: a caller who enters PIN and code by SIP INFO, seen as a ladder, as a
//! capture file, and by a small reader of what Homer would get.

mod support;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use doorline::cli::phone::{Call, DigitsBy, Plan};
use serde_json::json;
use support::api::text;
use support::untold::{self, Looked};
use support::{Doorline, Options, eventually};

const NUMBER: &str = "+15550140001";

#[test]
fn a_call_is_traced_for_the_operator_and_for_homer_and_its_secrets_are_not() {
    let homer = UdpSocket::bind("127.0.0.1:0").unwrap();
    homer.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let section = format!(
        "\n[hep]\nserver = \"{}\"\ncapture_id = 77\npassword_file = \"secrets/hep\"\n",
        homer.local_addr().unwrap()
    );
    let files = vec![("secrets/hep", "homer's own word\n".to_owned())];
    let door = Doorline::start(Options { config: section, files, ..Options::default() });
    let api = door.api();
    let host = api.new_host("ada");
    let meeting = api.new_one_time_meeting(&host);
    let plan = Plan {
        keys: format!("{}#{}#", host.pin, meeting.code()).parse().unwrap(),
        digits_by: DigitsBy::Info,
        ..Plan::new(&door.uri(), NUMBER).unwrap()
    };
    let call = Call::dial(plan).expect("the phone works");
    call.wait_for_answer(Duration::from_secs(5)).expect("it is answered");
    eventually("the caller is in", Duration::from_secs(20), || {
        (!api.roster(&meeting).is_empty()).then_some(())
    });
    let live = text(&api.items("/calls?live=true")[0], "id");
    let trace = api.get(&format!("/calls/{live}/ladder")).good();
    let summaries = |trace: &serde_json::Value| -> Vec<String> {
        trace["messages"].as_array().unwrap().iter().map(|message| text(message, "summary")).collect()
    };
    let seen = summaries(&trace);
    assert_eq!(seen[0], "INVITE (sdp)", "{seen:?}");
    assert!(seen.iter().any(|summary| summary == "200 OK (INVITE, sdp)"), "{seen:?}");
    let keys = seen.iter().filter(|summary| *summary == "INFO").count();
    assert!(keys >= host.pin.len() + 4, "{keys} key presses in {seen:?}");

    call.hang_up();
    call.wait_for_end(Duration::from_secs(5)).expect("it ends");
    let sip_call_id = text(&trace, "sip_call_id");
    let record = api.record(&sip_call_id);
    assert_eq!(text(&record, "id"), live);
    let past = api.get(&format!("/calls/{live}/ladder")).good();
    let seen = summaries(&past);
    assert_eq!(seen.last().map(String::as_str), Some("200 OK (BYE)"), "{seen:?}");
    println!("{}", text(&past, "ladder"));

    let capture = door.other(&["calls", "ladder", &live, "--pcap", "call.pcap"]);
    assert!(capture.status.success(), "{}", String::from_utf8_lossy(&capture.stderr));
    let capture = std::fs::read(door.config_file().with_file_name("call.pcap")).unwrap();
    assert!(capture.len() > 2_000 && capture.starts_with(&[0xd4, 0xc3, 0xb2, 0xa1]));
    let drawn = door.other(&["calls", "ladder", &live]);
    assert!(String::from_utf8_lossy(&drawn.stdout).contains("INVITE (sdp)"));

    let packets = packets(&homer);
    println!("{} messages traced, {} came to Homer", seen.len(), packets.len());
    assert!(packets.len() >= seen.len(), "{} of {}", packets.len(), seen.len());
    let mut payloads = Vec::new();
    for packet in &packets {
        assert_eq!(packet[&12], 77_u32.to_be_bytes(), "the capture id");
        assert_eq!(packet[&14], b"homer's own word", "the password");
        assert_eq!((packet[&1][0], packet[&2][0], packet[&11][0]), (2, 17, 1), "IPv4, UDP, SIP");
        let ports = [&packet[&7], &packet[&8]].map(|port| u16::from_be_bytes([port[0], port[1]]));
        assert!(ports.contains(&door.sip().port()), "{ports:?}");
        Looked::default().through("a packet to Homer", &packet[&15], untold::LONG);
        payloads.extend_from_slice(&packet[&15]);
    }
    let of_call = packets.iter().filter(|packet| packet[&17] == sip_call_id.as_bytes()).count();
    assert_eq!(of_call, seen.len());

    let host_token =
        text(&api.post(&format!("/hosts/{}/tokens", host.id), &json!({"name": "x"})).made(), "token");
    assert_eq!(door.api_with(&host_token).get(&format!("/calls/{live}/ladder")).status, 403);

    // The keys went by one at a time, and each is gone; the number is masked.
    for (place, bytes) in
        [("Homer", &payloads), ("the capture", &capture), ("the API", &past.to_string().into())]
    {
        let shown = String::from_utf8_lossy(bytes);
        assert!(!shown.contains("Signal=") && !shown.contains("Signal ="), "a key in {place}");
        assert!(!shown.contains(NUMBER.trim_start_matches('+')), "the number in {place}");
        assert!(shown.contains("application/dtmf-relay"), "no key presses at all in {place}");
        assert!(shown.contains("1555xxx0001"), "no number at all in {place}");
    }
}

/// Every HEP packet that has come, as its chunks by type.
fn packets(homer: &UdpSocket) -> Vec<BTreeMap<u16, Vec<u8>>> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 65_535];
    let until = Instant::now() + Duration::from_secs(10);
    while let Ok(length) = homer.recv(&mut buffer) {
        let packet = &buffer[..length];
        assert_eq!(&packet[..4], b"HEP3");
        assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])), length);
        let mut chunks = BTreeMap::new();
        let mut rest = &packet[6..];
        while let [0, 0, a, b, c, d, ..] = rest {
            let chunk = usize::from(u16::from_be_bytes([*c, *d]));
            chunks.insert(u16::from_be_bytes([*a, *b]), rest[6..chunk].to_vec());
            rest = &rest[chunk..];
        }
        assert!(rest.is_empty(), "{} bytes that are no chunk", rest.len());
        all.push(chunks);
        assert!(Instant::now() < until, "it does not stop");
    }
    all
}
