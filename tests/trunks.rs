//! Trunks beyond source addresses, against real peers: Debian's Kamailio as a registrar and as a proxy
//! in front, and a name server of our own.

mod support;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use doorline::cli::phone::{Call, Plan};
use doorline::signalling::dns::Resolver;
use doorline::sip::Transport;
use serde_json::Value;
use support::certificates::Authority;
use support::{Doorline, Kamailio, NameServer, Options, eventually};

const SOON: Duration = Duration::from_secs(15);
const REGISTRAR: [u8; 4] = [127, 0, 7, 1];
const PROXY: [u8; 4] = [127, 0, 8, 1];

const ZONE: &str = "
    carrier.test 1 NAPTR 10 10 SIP+D2U _sip._udp.carrier.test
    carrier.test 1 NAPTR 10 20 SIP+D2T _sip._tcp.carrier.test
    _sip._udp.carrier.test 1 SRV 10 0 5070 one.carrier.test
    _sip._udp.carrier.test 1 SRV 20 0 5071 two.carrier.test
    _sip._tcp.carrier.test 1 SRV 10 0 5080 one.carrier.test
    one.carrier.test 1 A 127.0.7.1
    one.carrier.test 1 A ::1
    two.carrier.test 1 A 127.0.7.2
    plain.test 1 A 127.0.7.3";

#[tokio::test]
async fn names_lead_where_the_dns_says_and_are_asked_again_when_their_time_is_over() {
    let dns = NameServer::start(ZONE);
    let resolver = Resolver::new(&[dns.address()]);
    let both = [Transport::Udp, Transport::Tcp];
    let resolve = async |uri: &str| {
        let hops = resolver.resolve(&uri.parse().unwrap(), &both, 1).await;
        hops.map(|hops| {
            let shown = hops.iter().map(|hop| format!("{} {}", hop.transport.name(), hop.address));
            shown.collect::<Vec<_>>().join(", ")
        })
    };
    let expected =
        "udp 127.0.7.1:5070, udp [::1]:5070, udp 127.0.7.2:5071, tcp 127.0.7.1:5080, tcp [::1]:5080";
    assert_eq!(resolve("sip:carrier.test").await.as_deref(), Ok(expected));
    assert_eq!(resolve("sip:carrier.test").await.as_deref(), Ok(expected));
    assert_eq!(dns.asked("NAPTR carrier.test."), 1, "what is known is not asked again");
    assert_eq!(resolve("sip:plain.test").await.as_deref(), Ok("udp 127.0.7.3:5060"));
    assert_eq!(resolve("sip:127.0.0.5;transport=tcp").await.as_deref(), Ok("tcp 127.0.0.5:5060"));
    assert_eq!(
        resolve("sip:nobody.test").await,
        Err("nobody.test: the DNS has no address for it".to_owned())
    );
    // A second is too short to ask each time; five are believed.
    dns.set_zone("carrier.test 1 A 127.0.7.9");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(resolve("sip:carrier.test").await.as_deref(), Ok("udp 127.0.7.9:5060"));
}

#[tokio::test]
async fn a_name_server_that_is_silent_holds_nobody_up_for_long() {
    let dns = NameServer::start(ZONE);
    dns.fall_silent();
    let resolver = Resolver::new(&[dns.address()]);
    let begin = Instant::now();
    let hops = resolver.resolve(&"sip:carrier.test".parse().unwrap(), &[Transport::Udp], 1).await;
    assert!(hops.is_err(), "{hops:?}");
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
    // Addresses need no name server.
    let hops = resolver.resolve(&"sip:127.0.0.5".parse().unwrap(), &[Transport::Udp], 1).await;
    assert!(hops.is_ok());
}

/// A trunk as the API tells it.
fn trunk(door: &Doorline, name: &str) -> Value {
    let trunks = door.api().items("/trunks");
    trunks.into_iter().find(|trunk| trunk["name"] == name).unwrap_or_else(|| panic!("no trunk {name}"))
}

fn becomes(door: &Doorline, name: &str, state: &str) {
    let limit = Duration::from_secs(50);
    eventually(&format!("{name} is {state}"), limit, || (trunk(door, name)["state"] == state).then_some(()));
}

/// Calls, is answered, and hangs up; the record.
fn call(door: &Doorline, to: &str, from: [u8; 4], number: &str) -> Value {
    let plan = Plan { local: IpAddr::from(from), ..Plan::new(to, number).expect("the plan is good") };
    let call = Call::dial(plan).expect("the phone works");
    call.wait_for_answer(SOON).expect("it is answered");
    call.wait_for_keys(SOON).expect("it can be heard");
    call.hang_up();
    call.wait_for_end(SOON).expect("it ends");
    let number = number.strip_prefix('+').expect("an international number").to_owned();
    eventually("the record is there", SOON, || {
        let records = door.api().items(&format!("/calls?number=%2B{number}"));
        records.into_iter().find(|record| !record["ended_at"].is_null())
    })
}

/// A service with one access number for all, a name server, and a trunk file.
fn door(dns: &NameServer, trunk: &str) -> Doorline {
    door_with(dns, trunk, None)
}

fn door_with(dns: &NameServer, trunk: &str, tls: Option<String>) -> Doorline {
    let door = Doorline::start(Options { one_access_number: false, tls, ..Options::default() });
    let config = std::fs::read_to_string(door.config_file()).expect("the configuration is there");
    let servers = format!("[sip]\nname_servers = [\"{}\"]\n", dns.address());
    door.write("doorline.toml", &config.replacen("[sip]\n", &servers, 1));
    door.write_secret("trunks.d/carrier-password", "secret\n");
    door.write("trunks.d/carrier.toml", trunk);
    door
}

#[test]
fn we_register_with_a_carrier_and_its_calls_come_in_until_we_go() {
    let environment = [("ACCOUNT", "4420"), ("PASSWORD", "secret"), ("REALM", "carrier.test")];
    let kamailio = Kamailio::start("registrar", REGISTRAR, &environment);
    let port = kamailio.address().port();
    let dns = NameServer::start(&format!(
        "_sip._udp.carrier.test 60 SRV 10 0 {port} edge.carrier.test\nedge.carrier.test 60 A 127.0.7.1"
    ));
    let file = "name = \"carrier\"\n[caller_id]\ntrust = \"pai\"\n[register]\nregistrar = \"carrier.test\"\n\
                user = \"4420\"\npassword_file = \"carrier-password\"\nrealm = \"carrier.test\"\n";
    let mut door = door(&dns, file);
    door.restart();
    becomes(&door, "carrier", "registered");
    let told = trunk(&door, "carrier");
    assert_eq!(told["learned"], serde_json::json!(["127.0.7.1"]), "{told}");
    assert_eq!(told["registration"]["address"], kamailio.address().to_string(), "{told}");
    assert!(told["registration"]["registered_until"].is_string(), "{told}");

    let uri = format!("sip:4420@{}", kamailio.address());
    let record = call(&door, &uri, [127, 0, 7, 2], "+15550160001");
    assert_eq!((&record["trunk"], &record["ending"]), (&"carrier".into(), &"hung-up".into()), "{record}");
    // Straight to us from elsewhere: nobody answers.
    let plan =
        Plan { local: IpAddr::from([127, 0, 7, 9]), ..Plan::new(&door.uri(), "+15550160002").unwrap() };
    let stranger = Call::dial(plan).expect("the phone works");
    assert!(stranger.wait_for_answer(Duration::from_secs(2)).is_err());
    stranger.hang_up();

    let terminal = |arguments: &[&str]| {
        let told = door.other(arguments);
        (told.status.code(), String::from_utf8_lossy(&told.stdout).into_owned())
    };
    let (code, text) = terminal(&["trunk", "test", "carrier", "--from", "127.0.7.1"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.starts_with("accepted by registration: 127.0.7.1 is where carrier is registered\nanswers: "),
        "{text}"
    );
    assert!(text.contains(" ms from udp:127.0.7.1:") && text.contains("registered at 127.0.7.1:"), "{text}");
    let (code, text) = terminal(&["trunk", "list"]);
    assert!(code == Some(0) && text.contains("registered at 127.0.7.1:"), "{text}");
    let metrics = door.api().text("/metrics");
    assert!(metrics.contains("doorline_trunk_registered{trunk=\"carrier\"} 1"));
    assert!(metrics.contains("doorline_trunk_up{trunk=\"carrier\"} 1"));

    // An unchanged file keeps the registration, a wrong password loses it, and the right one brings it back.
    door.write("trunks.d/carrier.toml", &format!("{file}[limits]\ncalls_max = 5\n"));
    door.api().order("/reload").good();
    assert_eq!(trunk(&door, "carrier")["state"], "registered");
    assert!(!door.log().contains("registration given back"), "{}", door.log_tail());
    door.write_secret("trunks.d/carrier-password", "wrong\n");
    door.api().order("/reload").good();
    becomes(&door, "carrier", "down");
    let told = trunk(&door, "carrier")["registration"].clone();
    assert_eq!((&told["state"], &told["last_status"]), (&"failing".into(), &401.into()), "{told}");
    assert!(told["next_try_at"].is_string() && told["why"] == "user or password refused", "{told}");
    door.write_secret("trunks.d/carrier-password", "secret\n");
    door.api().order("/reload").good();
    becomes(&door, "carrier", "registered");

    door.stop();
    assert!(door.log().contains("registration given back"), "{}", door.log_tail());
    let plan = Plan { local: IpAddr::from([127, 0, 7, 2]), ..Plan::new(&uri, "+15550160003").unwrap() };
    let late = Call::dial(plan).expect("the phone works");
    let refused = late.wait_for_answer(SOON).expect_err("we have gone").to_string();
    assert!(refused.contains("404"), "{refused}");
    for secret in ["secret", "4420@"] {
        assert!(!door.log().contains(secret), "{secret} is in the log");
    }
}

#[test]
fn we_register_over_tls_with_the_carrier_that_its_name_belongs_to_and_with_no_other() {
    let authority = Authority::new();
    authority.issue("door", &["127.0.0.1"]);
    authority.issue("carrier", &["carrier.test"]);
    authority.issue("other", &["other.test", "127.0.7.1"]);
    for (certificate, state) in [("carrier", "registered"), ("other", "down")] {
        let [pem, key] = ["pem", "key"].map(|end| authority.file(&format!("{certificate}.{end}")));
        let (pem, key) = (pem.display().to_string(), key.display().to_string());
        let environment = [
            ("ACCOUNT", "4420"),
            ("PASSWORD", "secret"),
            ("REALM", "carrier.test"),
            ("TLS_CERTIFICATE", &pem),
            ("TLS_KEY", &key),
        ];
        let kamailio = Kamailio::start("registrar", REGISTRAR, &environment);
        let dns = NameServer::start(&format!(
            "_sips._tcp.carrier.test 60 SRV 10 0 {} edge.carrier.test\nedge.carrier.test 60 A 127.0.7.1",
            kamailio.tls().port()
        ));
        let file = "name = \"carrier\"\n[caller_id]\ntrust = \"pai\"\n[register]\n\
                    registrar = \"sip:carrier.test;transport=tls\"\nuser = \"4420\"\n\
                    password_file = \"carrier-password\"\nrealm = \"carrier.test\"\n";
        let mut door = door_with(&dns, file, Some(authority.section("door")));
        door.restart();
        becomes(&door, "carrier", state);
        let told = trunk(&door, "carrier");
        if state != "registered" {
            assert_eq!(told["registration"]["state"], "failing", "{told}");
            continue;
        }
        assert_eq!(told["registration"]["address"], kamailio.tls().to_string(), "{told}");
        // The phone speaks UDP with the carrier, and the carrier TLS with us.
        let uri = format!("sip:4420@{}", kamailio.address());
        let record = call(&door, &uri, [127, 0, 7, 2], "+15550160011");
        assert_eq!((&record["trunk"], &record["ending"]), (&"carrier".into(), &"hung-up".into()), "{record}");
        let id = record["id"].as_str().expect("a record has an id");
        let trace = door.api().get(&format!("/calls/{id}/ladder")).good();
        assert!(trace["messages"].to_string().contains("tls"), "{trace}");
    }
}

#[test]
fn callers_packets_wait_as_long_as_their_trunk_says() {
    let door = Doorline::start(Options::default());
    let waited = |number: &str| {
        let host = door.api().new_host("Ada");
        let meeting = door.api().new_one_time_meeting(&host);
        let keys = format!("{}#{}#", host.pin, meeting.code()).parse().expect("they are keys");
        let plan = Plan { keys, ..Plan::new(&door.uri(), number).expect("the plan is good") };
        let call = Call::dial(plan).expect("the phone works");
        eventually("it is in", SOON * 2, || (door.api().roster(&meeting).len() == 1).then_some(()));
        call.hang_up();
        call.wait_for_end(SOON).expect("it ends");
        door.api().record(call.call_id())["quality"]["buffer_ms"].as_f64().expect("it is a number")
    };
    assert!(waited("+15550180001") < 60.0, "by itself it aims at 20");
    door.write(
        "trunks.d/lab.toml",
        "name = \"lab\"\nallow = [\"127.0.0.1\"]\n[caller_id]\ntrust = \"pai\"\n[media]\n\
         jitter_target_ms = \"80-160\"\njitter_cap_ms = 200\n",
    );
    door.api().order("/reload").good();
    let wait = waited("+15550180002");
    assert!((80.0..=160.0).contains(&wait), "{wait} ms");
}

#[test]
fn a_proxy_in_front_stays_in_the_way_and_is_seen_to_go_and_come_back() {
    let door = Doorline::start(Options { one_access_number: false, ..Options::default() });
    let kamailio = Kamailio::start("proxy", PROXY, &[("DOORLINE", &door.sip().to_string())]);
    let target = format!("sip:{}", kamailio.address());
    door.write(
        "trunks.d/front.toml",
        &format!(
            "name = \"front\"\nallow = [\"127.0.8.1\"]\n[ping]\ntarget = \"{target}\"\ninterval_seconds = 5\n"
        ),
    );
    door.api().order("/reload").good();
    becomes(&door, "front", "up");
    let uri = format!("sip:+442079460000@{}", kamailio.address());
    let record = call(&door, &uri, [127, 0, 8, 2], "+15550170001");
    assert_eq!((&record["trunk"], &record["ending"]), (&"front".into(), &"hung-up".into()), "{record}");

    kamailio.freeze(true);
    let gone = Instant::now();
    becomes(&door, "front", "down");
    assert!(gone.elapsed() < Duration::from_secs(45), "{:?}", gone.elapsed());
    assert!(door.log().contains("trunk trunk=\"front\" state=\"down\""), "{}", door.log_tail());
    let told = door.other(&["trunk", "test", "front"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&told.stdout).starts_with("does not answer: no answer"), "{told:?}");
    kamailio.freeze(false);
    let back = Instant::now();
    becomes(&door, "front", "up");
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
}
