//! Calls of the real program as OpenTelemetry spans: what a small collector gets, and that one which is away, or
//! takes its time, costs a counter and no call.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use doorline::cli::phone::{Call, Plan};
use serde_json::Value;
use support::api::text;
use support::untold::{self, Looked};
use support::{Api, Doorline, Options, eventually};

const SOON: Duration = Duration::from_secs(10);

/// Takes requests and answers 200 with `{}`, as collectors do. It ends with the process.
fn collector() -> (SocketAddr, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
            let (head, body) = loop {
                let count = stream.read(&mut buffer).unwrap_or(0);
                bytes.extend(&buffer[..count]);
                let all = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = all.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
                });
                if body.len() >= length.unwrap_or(0) {
                    break (head.to_owned(), body.to_owned());
                }
            };
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            );
            let _ = sender.send((head, serde_json::from_str(&body).unwrap()));
        }
    });
    (address, requests)
}

fn with_collector(url: &str) -> Doorline {
    Doorline::start(Options { config: format!("\n[otlp]\nurl = \"{url}\"\n"), ..Options::default() })
}

fn counter(api: &Api, name: &str) -> u64 {
    let metrics = api.text("/metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.map_or(0, |value| value.parse().unwrap())
}

/// A caller who comes in, stays a moment, and hangs up; the call's record.
fn calls_once(door: &Doorline, number: &str) -> Value {
    let api = door.api();
    let host = api.new_host("Ada");
    let meeting = api.new_one_time_meeting(&host);
    let keys = format!("{}#{}#", host.pin, meeting.code()).parse().unwrap();
    let call = Call::dial(Plan { keys, ..Plan::new(&door.uri(), number).unwrap() }).unwrap();
    call.wait_for_answer(SOON).unwrap();
    eventually("the caller is in", 2 * SOON, || (!api.roster(&meeting).is_empty()).then_some(()));
    call.hang_up();
    call.wait_for_end(SOON).unwrap();
    api.record(call.call_id())
}

#[test]
fn a_collector_gets_a_span_for_the_call_and_one_for_each_phase() {
    let (address, requests) = collector();
    let mut door = with_collector(&format!("http://{address}"));
    let record = calls_once(&door, "+15550140001");
    let (head, body) = requests.recv_timeout(SOON).expect("the collector is told");
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
    Looked::default().through("spans", body.to_string().as_bytes(), untold::ALL);
    let resource = &body["resourceSpans"][0];
    assert_eq!(resource["resource"]["attributes"][0]["value"]["stringValue"], "doorline");
    let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap();
    let names: Vec<String> = spans.iter().map(|span| text(span, "name")).collect();
    assert_eq!(names, ["call", "set-up", "verification", "conference"]);
    let id = text(&record, "id").replace('-', "");
    for span in spans {
        assert_eq!(text(span, "traceId"), id);
        let time = |name: &str| text(span, name).parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span}");
    }
    let events = spans[2]["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["name"] == "asking-pin"), "{events:?}");
    let attributes = spans[0]["attributes"].as_array().unwrap();
    let said = |name: &str| {
        attributes.iter().find(|one| one["key"] == name).map(|one| text(&one["value"], "stringValue"))
    };
    assert_eq!(said("doorline.ending").as_deref(), Some("hung-up"));
    assert_eq!(said("doorline.entered").as_deref(), Some("proved-code"));
    assert_eq!(said("doorline.trunk").as_deref(), Some("lab"));
    eventually("four are counted", SOON, || {
        (counter(&door.api(), "doorline_spans_sent_total") == 4).then_some(())
    });

    // A call that ends with the service is told too.
    let call = Call::dial(Plan::new(&door.uri(), "+15550140002").unwrap()).unwrap();
    call.wait_for_answer(SOON).unwrap();
    door.tell_to_stop();
    eventually("it drains", SOON, || (!door.api().is_ready()).then_some(()));
    call.hang_up();
    call.wait_for_end(SOON).unwrap();
    let (_, body) = requests.recv_timeout(SOON).expect("the collector is told");
    assert_eq!(body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 3);
    eventually("it exits", SOON, || (!door.is_running()).then_some(()));
}

#[test]
fn a_collector_that_is_away_or_never_answers_costs_a_counter_and_no_call() {
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let door = with_collector(&format!("http://{gone}/v1/traces"));
    assert_eq!(calls_once(&door, "+15550140001")["ending"], "hung-up");
    let api = door.api();
    eventually("they are lost", SOON, || (counter(&api, "doorline_spans_lost_total") == 4).then_some(()));
    assert_eq!(calls_once(&door, "+15550140002")["ending"], "hung-up");
    eventually("and the next", SOON, || (counter(&api, "doorline_spans_lost_total") == 8).then_some(()));
    assert_eq!(counter(&api, "doorline_spans_sent_total"), 0);
    assert_eq!(door.log().matches("the collector takes no spans").count(), 1, "it is said once");

    // It takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut door = with_collector(&format!("http://{}/v1/traces", silent.local_addr().unwrap()));
    for number in ["+15550140003", "+15550140004"] {
        assert_eq!(calls_once(&door, number)["ending"], "hung-up");
    }
    let stopped = Instant::now();
    door.stop();
    assert!(stopped.elapsed() < Duration::from_secs(8), "it waits for the collector without end");
}
