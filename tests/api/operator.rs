//! What is the operator's alone: trunks and reloads.

use super::*;

#[test]
fn trunks_are_the_operators_alone_to_see_and_to_test() {
    let service = Service::start();
    let host = service.host("Ada");
    service.now_live(Snapshot { calls: vec![live_call(1, None), live_call(2, None)], ..Snapshot::default() });
    let trunks = service.get("/trunks");
    let trunk = &trunks.items()[1];
    assert_eq!(
        (&trunk["name"], &trunk["calls_live"], &trunk["answered"]),
        (&json!("lab"), &json!(2), &json!(7))
    );
    assert_eq!((&trunk["state"], &trunk["refused"]["too_fast"]), (&json!("unknown"), &json!(3)));
    let carrier = &trunks.items()[0];
    assert_eq!(carrier["recognised_by"], json!(["registration", "password"]));
    assert_eq!(carrier["registration"]["last_status"], 403);

    let probe = |trunk: &str| service.ask("POST", &format!("/trunks/{trunk}/probe"), Some(OPERATOR), None);
    assert_eq!(probe("carrier").json["round_trip_ms"], 12.5);
    probe("lab").is_problem(409, None);
    probe("other").is_problem(404, None);

    let verdict = |from: &str| service.get(&format!("/trunks/lab/test?from={from}"));
    assert_eq!(verdict("192.0.2.7").json["accepted"], true);
    // An IPv4 address in IPv6's clothes is the same one.
    assert_eq!(verdict("::ffff:192.0.2.7").json["accepted"], true);
    let refused = verdict("192.0.2.8").json;
    assert_eq!((&refused["accepted"], &refused["paste"]), (&json!(false), &json!("allow = [\"192.0.2.8\"]")));
    verdict("nowhere").is_problem(400, Some("from"));
    service.get("/trunks/other/test?from=192.0.2.7").is_problem(404, None);
    for (method, path) in [
        ("GET", "/trunks"),
        ("GET", "/trunks/lab/test?from=::1"),
        ("POST", "/trunks/carrier/probe"),
        ("POST", "/reload"),
    ] {
        service.ask(method, path, Some(&host.token), None).is_problem(403, None);
        service.ask(method, path, None, None).is_problem(401, None);
    }
}

#[test]
fn a_reload_tells_what_it_changed_or_everything_that_is_wrong() {
    let service = Service::start();
    let reload = || service.ask("POST", "/reload", Some(OPERATOR), None);
    assert_eq!(reload().json, json!({"changes": ["trunk added b"], "needs_restart": ["[sip]"]}));
    let fault = |key: &str| ConfigFault {
        file: "trunks.d/b.toml".to_owned(),
        key: key.to_owned(),
        what: "nonsense".to_owned(),
    };
    *service.fake.faults.lock().unwrap() = vec![fault("allow"), fault("")];
    let refused = reload();
    refused.is_problem(422, None);
    assert_eq!(refused.json["faults"].as_array().unwrap().len(), 2);
    assert_eq!(refused.json["faults"][0]["key"], "allow");
    assert_eq!(
        service.terminal("reload").unwrap_err(),
        "the configuration has faults, nothing was changed:\ntrunks.d/b.toml: allow: nonsense\n\
         trunks.d/b.toml: nonsense"
    );
}
