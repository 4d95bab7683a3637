//! The API against its own document: Schemathesis (Python) makes up requests, good and bad, and the
//! running service must answer none of them with a 5xx or with an answer that is not documented.

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::Doorline;

const PACKAGE: &str = "schemathesis==4.32.5";

/// The program in an environment of its own under `target/`, made when it is not there.
fn schemathesis() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let folder = target.join("schemathesis-venv");
    std::fs::create_dir_all(&target).unwrap();
    let lock = File::create(target.join("schemathesis-venv.lock")).unwrap();
    lock.lock().unwrap();
    let program = folder.join("bin/schemathesis");
    let is_there = || {
        let asked =
            Command::new(&program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if !is_there() {
        let run = |command: &mut Command| {
            let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
            assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        };
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let pip = ["-m", "pip", "install", "--quiet", "--timeout", "60", PACKAGE];
        run(Command::new(folder.join("bin/python")).args(pip));
        assert!(is_there(), "it is installed and does not run");
    }
    program
}

/// A phase of the tests; `config` names ids that are there.
fn check(door: &Doorline, token: &str, config: &str, more: &[&str]) {
    door.write("schemathesis.toml", config);
    let folder = door.config_file();
    let base = format!("http://{}", door.http());
    let done = Command::new(schemathesis())
        .current_dir(folder.parent().expect("a file is in a folder"))
        .args(["run", &format!("{base}/api/v1/openapi.json"), "--url", &base])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "20"])
        .args(["--seed", "5", "--request-timeout", "10", "--suppress-health-check", "all"])
        .args(["--warnings", "off", "--no-color", "--continue-on-failure", "--no-shrink"])
        // An answer that never ends; it has tests of its own.
        .args(["--exclude-path", "/api/v1/events"])
        .args(more)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout);
    let said: String = said.lines().filter(|line| !line.contains("Bearer")).collect::<Vec<_>>().join("\n");
    assert!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    // It must have asked, or its silence says nothing.
    assert!(said.contains("Test cases:") || said.contains("generated"), "{said}");
    println!("{said}");
}

#[test]
fn no_request_gets_an_answer_that_is_not_documented() {
    let door = Doorline::plain();
    let api = door.api();
    let ada = api.new_host("Ada");
    let (meeting, other) = (api.new_one_time_meeting(&ada), api.new_standard_meeting(&ada));
    api.order(&format!("/meetings/{}/open", other.id)).done();
    let ids = |path: &str, id: &str| {
        format!(
            "[[operations]]\ninclude-path-regex = \"{path}\"\nparameters = {{ \"path.id\" = \"{id}\" }}\n\n"
        )
    };
    let config = ids("^/api/v1/hosts/", &ada.id) + &ids("^/api/v1/meetings/", &meeting.id);
    // What is there, by those who may: nothing is taken away, or all that follows would be 404.
    check(&door, door.operator_token(), &config, &["--exclude-method", "DELETE"]);
    // What is not there, and everything else.
    check(&door, door.operator_token(), "", &[]);
    let link = api.post(&format!("/meetings/{}/moderator-links", meeting.id), &serde_json::json!({})).made();
    let link = support::api::text(&link, "token");
    check(&door, &link, &config, &["--max-examples", "5", "--phases", "fuzzing"]);
}
