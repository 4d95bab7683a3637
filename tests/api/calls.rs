//! Calls, live and past, and their signalling.

use super::*;

#[test]
fn calls_are_listed_live_ones_first_and_paged_without_gap_or_doublet() {
    let service = Service::start();
    let host = service.host("Ada");
    service.save((1..=7).map(|call| record(call, (call % 2 == 0).then_some(&host))));
    let calls = vec![live_call(21, None), live_call(23, Some(&host)), live_call(22, None)];
    service.now_live(Snapshot { calls, ..Snapshot::default() });
    let all = |query: &str, token: &str| -> Vec<u128> {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        for _ in 0..30 {
            let page = service.ask("GET", &format!("/calls?{query}{cursor}"), Some(token), None);
            assert_eq!(page.status, 200, "{}", page.text);
            seen.extend(
                page.items()
                    .iter()
                    .map(|call| call["id"].as_str().unwrap().parse::<CallId>().unwrap().0.as_u128()),
            );
            match page.json["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return seen,
            }
        }
        panic!("the pages do not end");
    };
    let everything = [23, 22, 21, 7, 6, 5, 4, 3, 2, 1];
    for limit in [1, 2, 3, 4, 7, 10, 200] {
        assert_eq!(all(&format!("limit={limit}"), OPERATOR), everything, "limit {limit}");
    }
    let cases: [(&str, &[u128]); 10] = [
        ("live=true", &[23, 22, 21]),
        ("live=false", &[7, 6, 5, 4, 3, 2, 1]),
        ("live=true&limit=2", &[23, 22, 21]),
        ("ending=nothing-entered", &[3]),
        ("number=%2B447700900123&live=false&limit=3", &[7, 6, 5, 4, 3, 2, 1]),
        ("number=+447700900999", &[]),
        ("trunk=other", &[]),
        ("live=false&from=2026-03-02T10:00:03Z&until=2026-03-02T10:00:05Z", &[4, 3]),
        (&format!("host_id={}", host.id), &[23, 6, 4, 2]),
        ("meeting_id=00000000-0000-0000-0000-000000000001", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(all(query, OPERATOR), expected, "{query}");
    }
    assert_eq!(all("limit=2", &host.token), [23, 6, 4, 2], "a host sees those that reached it");
    let other = format!("host_id={}", HostId::numbered(5));
    assert_eq!(all(&other, &host.token), [0; 0]);
}

#[test]
fn a_call_tells_its_way_but_no_number_and_no_key() {
    let service = Service::start();
    let host = service.host("Ada");
    service.save([record(3, Some(&host))]);
    service.now_live(Snapshot { calls: vec![live_call(9, Some(&host))], ..Snapshot::default() });
    let call = service.ask("GET", &format!("/calls/{}", CallId::numbered(3)), Some(&host.token), None);
    let json = &call.json;
    assert_eq!(
        (&json["live"], &json["state"], &json["ending"]),
        (&json!(false), &json!("over"), &json!("nothing-entered"))
    );
    assert_eq!(json["number"], "+4477…0123");
    assert_eq!(
        (&json["path"][0]["what"], &json["keys"][0]["source"]),
        (&json!("asking-pin"), &json!("info"))
    );
    assert_eq!(json["keys"][0]["merged"], 2);
    assert!(json["keys"][0].get("digit").is_none());
    let act = json!({
        "at": json["started_at"], "what": "muted", "by": "phone", "by_call_id": CallId::numbered(99).to_string(),
    });
    assert_eq!(json["moderated"], json!([act]));
    assert!(!call.text.contains("447700900123"), "{}", call.text);
    let live = service.ask("GET", &format!("/calls/{}", CallId::numbered(9)), Some(&host.token), None);
    assert_eq!(
        (&live.json["live"], &live.json["state"], &live.json["ended_at"]),
        (&json!(true), &json!("asking-pin"), &Value::Null)
    );
    service.get(&format!("/calls/{}", CallId::numbered(1))).is_problem(404, None);
}

#[test]
fn the_signalling_of_a_call_is_the_operators_alone_to_see() {
    let service = Service::start();
    let ada = service.host("Ada");
    service.save([record(1, Some(&ada))]);
    let call = CallId::numbered(1);
    let path = format!("/calls/{call}/ladder");
    let trace = service.get(&path).json;
    assert_eq!(trace["sip_call_id"], "a84b4c76e66710", "by what its record says");
    assert_eq!(trace["messages"][0]["summary"], "INVITE (sdp)");
    assert_eq!(trace["pcap"], Value::Null);
    let text = service.get(&format!("{path}?format=text"));
    assert_eq!(
        (text.text.as_str(), &text.headers["content-type"]),
        ("|---INVITE (sdp)-->|\n", &"text/plain; charset=utf-8".parse().unwrap())
    );
    service.get(&format!("{path}?format=xml")).is_problem(400, Some("format"));
    let capture = service.get(&format!("/calls/{call}/sip.pcap"));
    assert_eq!(capture.headers["content-type"], "application/vnd.tcpdump.pcap");
    for what in ["ladder", "sip.pcap"] {
        service.ask("GET", &format!("/calls/{call}/{what}"), Some(&ada.token), None).is_problem(403, None);
        service.get(&format!("/calls/{}/{what}", CallId::numbered(2))).is_problem(404, None);
    }

    let drawn = service.terminal(&format!("calls ladder {call}")).unwrap();
    assert_eq!(drawn, "|---INVITE (sdp)-->|\n");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("call.pcap");
    let line = format!("calls ladder {call} --pcap {}", file.display());
    service.terminal(&line).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), [0xd4, 0xc3]);
    assert!(service.terminal(&line).unwrap_err().contains("call.pcap"), "no file is overwritten");
}
