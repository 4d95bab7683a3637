//! The HTTP API, as an operator's or host's program would use it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::eventually;

/// A client with the operator's token.
#[derive(Clone)]
pub struct Api {
    agent: ureq::Agent,
    base: String,
    token: String,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// A host that a test made.
#[derive(Clone, Debug)]
pub struct Host {
    pub id: String,
    pub pin: String,
    pub host_pin: String,
}

/// A meeting that a test made. A standard one has no code.
#[derive(Clone, Debug)]
pub struct Meeting {
    pub id: String,
    pub code: Option<String>,
}

impl Meeting {
    /// The code of a One Time Meeting.
    pub fn code(&self) -> &str {
        self.code.as_deref().expect("a One Time Meeting has a code")
    }
}

impl Api {
    pub fn new(base: &str, token: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(10)))
            .build();
        Self { agent: config.into(), base: base.to_owned(), token: token.to_owned() }
    }

    /// Whether `/readyz` says 200.
    pub fn is_ready(&self) -> bool {
        self.agent.get(format!("{}/readyz", self.base)).call().is_ok_and(|answer| answer.status() == 200)
    }

    /// The text behind a path without prefix, such as `/metrics`.
    pub fn text(&self, path: &str) -> String {
        let mut answer = self.agent.get(format!("{}{path}", self.base)).call().expect("HTTP works");
        answer.body_mut().read_to_string().expect("an answer is text")
    }

    pub fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(self.url(path)).header("Authorization", self.bearer());
        Answer::of(request.call())
    }

    pub fn delete(&self, path: &str) -> Answer {
        let request = self.agent.delete(self.url(path)).header("Authorization", self.bearer());
        Answer::of(request.call())
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        Answer::of(request.send_json(body))
    }

    /// A POST that has nothing to say but its path.
    pub fn order(&self, path: &str) -> Answer {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        Answer::of(request.send_empty())
    }

    // -- what tests make --

    pub fn new_host(&self, name: &str) -> Host {
        let body = self.post("/hosts", &json!({"name": name, "email": format!("{name}@example.com")})).made();
        Host { id: text(&body, "id"), pin: text(&body, "pin"), host_pin: text(&body, "host_pin") }
    }

    /// A One Time Meeting whose window is open: it began a minute ago and lasts an hour.
    pub fn new_one_time_meeting(&self, host: &Host) -> Meeting {
        self.new_meeting(host, "one-time", "Budget")
    }

    pub fn new_standard_meeting(&self, host: &Host) -> Meeting {
        self.new_meeting(host, "standard", "Open door")
    }

    /// A One Time Meeting with a rule of its own for remembered phones.
    pub fn new_meeting_for_known(&self, host: &Host, known_callers: &str) -> Meeting {
        self.new_meeting_with(host, "one-time", "Plans", &json!({"known_callers": known_callers}))
    }

    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        let request = self.agent.patch(self.url(path)).header("Authorization", self.bearer());
        Answer::of(request.send_json(body))
    }

    fn new_meeting(&self, host: &Host, kind: &str, title: &str) -> Meeting {
        self.new_meeting_with(host, kind, title, &json!({}))
    }

    pub fn new_meeting_with(&self, host: &Host, kind: &str, title: &str, more: &Value) -> Meeting {
        let now = Timestamp::now();
        let starts_at = now - SignedDuration::from_mins(1);
        let ends_at = now + SignedDuration::from_hours(1);
        let mut wish = json!({
            "kind": kind, "title": title,
            "starts_at": starts_at.to_string(), "ends_at": ends_at.to_string(),
        });
        for (name, value) in more.as_object().expect("wishes have names") {
            wish[name] = value.clone();
        }
        let body = self.post(&format!("/hosts/{}/meetings", host.id), &wish).made();
        Meeting { id: text(&body, "id"), code: body["code"].as_str().map(str::to_owned) }
    }

    // -- what tests ask --

    /// The items of a list, all of its first page.
    pub fn items(&self, path: &str) -> Vec<Value> {
        let body = self.get(path).good();
        body["items"].as_array().unwrap_or_else(|| panic!("{path} is no list: {body}")).clone()
    }

    pub fn verified_numbers(&self, host: &Host) -> Vec<Value> {
        self.items(&format!("/hosts/{}/verified-numbers", host.id))
    }

    pub fn state_of(&self, meeting: &Meeting) -> String {
        text(&self.get(&format!("/meetings/{}", meeting.id)).good(), "state")
    }

    /// The participants of a meeting; none when it is not live.
    pub fn roster(&self, meeting: &Meeting) -> Vec<Value> {
        let answer = self.get(&format!("/meetings/{}/roster", meeting.id));
        let body = answer.good();
        body["items"].as_array().unwrap_or_else(|| panic!("a roster is no list: {body}")).clone()
    }

    /// The record of the call with that SIP `Call-ID`, once it is written.
    pub fn record(&self, sip_call_id: &str) -> Value {
        let what = format!("the record of call {sip_call_id}");
        let mut others = BTreeSet::new();
        eventually(&what, Duration::from_secs(10), || {
            // The list does not tell the Call-ID; each record does.
            self.items("/calls?live=false&limit=200").iter().find_map(|call| {
                let id = text(call, "id");
                if others.contains(&id) {
                    return None;
                }
                let record = self.get(&format!("/calls/{id}")).good();
                if record["sip_call_id"] == sip_call_id {
                    return Some(record);
                }
                // One that has just ended may still be shown as it was when it was alive.
                if record["live"] == false {
                    others.insert(id);
                }
                None
            })
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.base)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

impl Answer {
    fn of(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Self {
        let mut answer = answer.expect("HTTP works");
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().expect("an answer is text");
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        super::untold::learn(&body);
        Self { status, body }
    }

    /// The body of a 200.
    pub fn good(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// The body of a 201.
    pub fn made(self) -> Value {
        assert_eq!(self.status, 201, "{}", self.body);
        self.body
    }

    /// Any 2xx.
    pub fn done(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.body
    }
}

/// A field that must be text.
pub fn text(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap_or_else(|| panic!("no text {field:?} in {body}")).to_owned()
}
