//! The moderator's page, as far as it can be judged without a browser: what it may load and run, and that
//! all it asks of the API is there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::*;

fn inside<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

#[test]
fn the_page_runs_its_own_script_and_loads_nothing() {
    let service = Service::start();
    let page = service.ask("GET", "/moderate", None, None);
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    let rules: Vec<(&str, &str)> =
        policy.split("; ").map(|rule| rule.split_once(' ').expect("a rule has a value")).collect();
    let hash = |name| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inside(&page.text, name))));
    let (script, style) = (hash("script"), hash("style"));
    assert_eq!(
        rules,
        [
            ("default-src", "'none'"),
            ("script-src", script.as_str()),
            ("style-src", style.as_str()),
            ("connect-src", "'self'"),
            ("base-uri", "'none'"),
            ("form-action", "'none'"),
            ("frame-ancestors", "'none'"),
        ]
    );
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(page.headers[name], value, "{name}");
    }
    // Nothing from elsewhere, and nothing that the policy would not run.
    for word in
        ["http:", "https:", "src=", "href=", "style=", "innerHTML", "eval(", "onclick=\"", "@import", "url("]
    {
        assert!(!page.text.contains(word), "{word}");
    }
    for name in ["<script", "<style"] {
        assert_eq!(page.text.matches(name).count(), 1, "{name}");
    }
    // Other answers keep theirs.
    let other = service.get("/hosts");
    assert_eq!(other.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
}

#[test]
fn all_that_the_page_asks_for_is_there_and_open_to_its_link() {
    let service = Service::start();
    let page = service.ask("GET", "/moderate", None, None).text;
    let script = inside(&page, "script");
    let document = serde_json::to_value(http::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    // Every path in it is `${HERE}/ACT` of the meeting or `${path}/ACT` of a participant.
    let acts = |before: &str| -> BTreeSet<String> {
        let parts = script.split(before).skip(1);
        parts.map(|part| part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect()).collect()
    };
    let (meeting, participant) = (acts("{HERE}/"), acts("{path}/"));
    let known = |folder: &str, act: &str| &paths[&format!("/api/v1/{folder}/{{id}}/{act}")];
    for act in &meeting {
        let method = if act == "roster" { "get" } else { "post" };
        assert!(known("meetings", act)[method].is_object(), "{act}");
    }
    for act in &participant {
        assert!(known("participants", act)["post"].is_object(), "{act}");
    }
    assert!(paths["/api/v1/events"]["get"].is_object() && script.contains("${API}/events"));
    let expected =
        ["close", "lock", "mute-all", "open", "record", "roster", "stop-recording", "unlock", "unmute-all"];
    assert_eq!(meeting.iter().collect::<Vec<_>>(), expected);
    let expected =
        ["admit", "lower-hand", "mute", "promote", "refuse", "remove", "remove-and-forget", "unmute"];
    assert_eq!(participant.iter().collect::<Vec<_>>(), expected);

    let host = service.host("Ada");
    let made = service.meeting(&host, "one-time");
    let links = format!("/meetings/{}/moderator-links", made["id"].as_str().unwrap());
    let link = service.ask("POST", &links, Some(&host.token), Some(&json!({}))).json;
    let token = link["token"].as_str().unwrap();
    let whole = format!("/moderate#meeting={}&token={token}", made["id"].as_str().unwrap());
    assert_eq!(link["page"], whole.as_str());
    service.now_live(Snapshot {
        unwritten: 0,
        calls: vec![live_call(7, Some(&host)), live_call(9, Some(&host))],
        meetings: vec![live_meeting(&host, id(&made), 7)],
        lobby: vec![in_lobby(&host, id(&made), 9)],
        draining: false,
    });
    for act in &meeting {
        let method = if act == "roster" { "GET" } else { "POST" };
        let path = format!("/meetings/{}/{act}", made["id"].as_str().unwrap());
        let done = service.ask(method, &path, Some(token), None);
        assert!([200, 204].contains(&done.status), "{act}: {}", done.text);
    }
    for act in &participant {
        let who = CallId::numbered(if ["admit", "refuse"].contains(&act.as_str()) { 9 } else { 7 });
        let done = service.ask("POST", &format!("/participants/{who}/{act}"), Some(token), None);
        assert_eq!(done.status, 204, "{act}: {}", done.text);
    }
}

#[test]
fn the_page_says_everything_in_each_of_its_languages() {
    let service = Service::start();
    let page = service.ask("GET", "/moderate", None, None).text;
    let (_, words) = page.split_once("const WORDS = {").unwrap();
    let (words, script) = words.split_once("\n};").unwrap();
    let names = |language: &str| -> BTreeSet<String> {
        let (_, rest) = words.split_once(&format!("\n  {language}: {{")).unwrap();
        let mut names = BTreeSet::new();
        // Outside of texts, a name stands before each colon.
        let (mut text, mut name) = (false, String::new());
        for c in rest.split_once("\n  },").unwrap().0.chars() {
            match c {
                '"' => {
                    text = !text;
                    if text {
                        name.clear();
                    }
                }
                ':' if !text => {
                    names.insert(std::mem::take(&mut name));
                }
                ',' | ' ' | '\n' if !text => {
                    if c == ',' {
                        name.clear();
                    }
                }
                c => name.push(c),
            }
        }
        names
    };
    let english = names("en");
    assert!(english.len() > 40, "{english:?}");
    assert_eq!(names("pl"), english);
    // What is said by its name in the script.
    for part in script.split("say(\"").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(english.contains(name), "{name}");
    }
}
