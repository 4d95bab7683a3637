//! Secrets of a test, and that they stand in nothing that its services leave behind: logs, data, records,
//! traces, metrics, and what is sent to others.
//!
//! Every answer of the API is listened to, so that what it hands out is known here without a word from
//! the test. A full number is known by its shape: all callers of the tests are +1555 and seven digits.
//! Who fails names the place and the kind, never the secret.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::Api;

/// What a secret is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    Pin,
    HostPin,
    Code,
    Token,
    /// A caller's, in full.
    Number,
}

use Kind::{Code, HostPin, Number, Pin, Token};

/// Of logs, records and metrics: nothing may stand there.
pub const ALL: &[Kind] = &[Pin, HostPin, Code, Token, Number];
/// Of bytes: four digits are in any.
pub const LONG: &[Kind] = &[Pin, HostPin, Token, Number];
/// Of invitations: PIN and code are what they are for.
pub const NOT_FOR_GUESTS: &[Kind] = &[HostPin, Token, Number];

static SECRETS: Mutex<BTreeSet<(Kind, String)>> = Mutex::new(BTreeSet::new());

/// Calls of a service that are looked at one by one.
const CALLS_MAX: usize = 16;

/// A secret of this test from now on.
pub fn keep(kind: Kind, secret: &str) {
    let mut secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    secrets.insert((kind, secret.to_owned()));
}

/// What an answer of the API hands out.
pub fn learn(answer: &Value) {
    match answer {
        Value::Array(items) => items.iter().for_each(learn),
        Value::Object(fields) => {
            for (name, value) in fields {
                let kind = match name.as_str() {
                    "pin" => Pin,
                    "host_pin" => HostPin,
                    "code" => Code,
                    "token" => Token,
                    _ => {
                        learn(value);
                        continue;
                    }
                };
                let secret = value.as_str().unwrap_or_default();
                let digits = secret.len() >= 4 && secret.bytes().all(|byte| byte.is_ascii_digit());
                if digits || (kind == Token && !secret.is_empty()) {
                    keep(kind, secret);
                }
            }
        }
        _ => {}
    }
}

/// What has been looked through.
#[derive(Default)]
pub struct Looked {
    places: usize,
    bytes: usize,
}

impl Looked {
    /// # Panics
    /// When a secret of one of these kinds stands there.
    pub fn through(&mut self, place: &str, bytes: &[u8], kinds: &[Kind]) {
        self.places += 1;
        self.bytes += bytes.len();
        let text = String::from_utf8_lossy(bytes);
        if let Some(kind) = told_in(&text, kinds) {
            panic!("a secret stands in {place}: {kind:?}");
        }
    }

    /// Every file below a folder but the key, which is one itself.
    pub fn through_files(&mut self, folder: &Path, kinds: &[Kind]) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                self.through_files(&path, kinds);
            } else if !name.ends_with(".key") && !name.ends_with(".wav") {
                // A file that went meanwhile tells nobody anything.
                self.through(&name, &fs::read(&path).unwrap_or_default(), kinds);
            }
        }
    }

    /// What a service shows that runs: metrics, records, and its latest calls one by one with their traces.
    pub fn through_service(&mut self, api: &Api) {
        self.through("the metrics", api.text("/metrics").as_bytes(), ALL);
        let calls = api.get("/calls?limit=200");
        self.through("the list of calls", calls.body.to_string().as_bytes(), ALL);
        for call in calls.body["items"].as_array().into_iter().flatten().take(CALLS_MAX) {
            let id = call["id"].as_str().unwrap_or_default();
            let record = api.get(&format!("/calls/{id}")).body.to_string();
            self.through("the record of a call", record.as_bytes(), ALL);
            // Ports, lengths and numbers of requests have four digits too.
            let trace = api.get(&format!("/calls/{id}/ladder")).body.to_string();
            self.through("the trace of a call", trace.as_bytes(), LONG);
        }
    }

    /// For the figures of `make faults`.
    pub fn print(&self) {
        let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner).len();
        let Self { places, bytes } = self;
        println!(
            "F10: {places} places, {} KiB, looked through for {secrets} secrets and all full numbers: 0 found",
            bytes / 1_024
        );
    }
}

/// The kind of a secret that stands in the text.
pub fn told_in(text: &str, kinds: &[Kind]) -> Option<Kind> {
    if kinds.contains(&Number) && text.match_indices("1555").any(|(at, _)| is_number(text, at)) {
        return Some(Number);
    }
    let secrets = SECRETS.lock().unwrap_or_else(PoisonError::into_inner);
    let told = |(kind, secret): &&(Kind, String)| {
        kinds.contains(kind) && text.match_indices(secret.as_str()).any(|(at, _)| stands(text, at, secret))
    };
    secrets.iter().find(told).map(|(kind, _)| *kind)
}

/// Whether eleven digits begin there, and no more.
fn is_number(text: &str, at: usize) -> bool {
    let digits = text.as_bytes()[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let before = text[..at].bytes().next_back();
    digits == 11 && !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

/// Whether the secret stands there by itself: six digits also occur in times and ids, more hardly do. Of a masked number
/// the last four are shown, behind an ellipsis: that a code is the same is chance.
fn stands(text: &str, at: usize, secret: &str) -> bool {
    let joins = |c: char| {
        c.is_ascii_alphanumeric() || (secret.len() < 8 && matches!(c, '.' | '-' | '_' | ':' | '+' | '…'))
    };
    let before = text[..at].chars().next_back().is_some_and(joins);
    let after = text[at + secret.len()..].chars().next().is_some_and(joins);
    !before && !after
}
