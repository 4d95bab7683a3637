//! `doorline load` against the real service: two meetings of three, and what it refuses to do.

mod support;

use serde_json::Value;
use support::{Doorline, Options};

#[test]
fn callers_of_two_meetings_hear_their_own_and_nobody_else_and_leave_nothing_behind() {
    let door = Doorline::start(Options::default());
    let uri = door.uri();
    let done = door.other(&[
        "load",
        "--to",
        &uri,
        "--rooms",
        "2",
        "--callers",
        "3",
        "--rate",
        "4",
        "--hold",
        "6",
        "--json",
    ]);
    let errors = String::from_utf8_lossy(&done.stderr).into_owned();
    let report: Value =
        serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("no report: {errors}"));
    println!("{report:#}");
    assert_eq!(
        (&report["callers"], &report["answered"], &report["dropped"]),
        (&6.into(), &6.into(), &0.into())
    );
    assert_eq!((&report["pairs"], &report["heard_share"]), (&12.into(), &1.0.into()), "{report:#}");
    assert_eq!(report["strangers_heard"], 0, "somebody of the other meeting was heard");
    assert_eq!(report["good"], true);
    assert!(done.status.success());
    assert!(report["set_up_ms"]["p50"].as_u64().unwrap() <= report["set_up_ms"]["p99"].as_u64().unwrap());
    assert!(report["own"]["peak_mib"].as_f64().unwrap() > 1.0);
    assert_eq!(door.api().items("/hosts").len(), 0, "the hosts of the test are gone");

    // Full: one call at once is not enough for three.
    let small =
        Doorline::start(Options { config: "\n[limits]\ncalls_max = 1\n".to_owned(), ..Options::default() });
    let uri = small.uri();
    let refused =
        small.other(&["load", "--to", &uri, "--callers", "3", "--rate", "10", "--hold", "3", "--json"]);
    let report: Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!((&report["answered"], &report["refused"]["503"]), (&1.into(), &2.into()), "{report:#}");
    assert!(!refused.status.success());

    let elsewhere = door.other(&["load", "--to", "sip:+442079460000@192.0.2.1"]);
    assert!(!elsewhere.status.success());
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("--yes-not-loopback"));
}
