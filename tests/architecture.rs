//! The arrows between rooms, and that every file says what it is.
//!
//! A room may name the rooms listed here and no others. `crate::…` and `super::…` are followed
//! through braces and line breaks; comments and strings do not count. Unit tests do: one that
//! reaches into another room ties the rooms together as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("types", &[]),
    // Rooms that decide.
    ("bridge", &["types"]),
    ("sip", &["types"]),
    ("rtp", &["types"]),
    ("audio", &["types", "rtp"]),
    // Rooms that do.
    ("signalling", &["types", "sip"]),
    ("outbox", &[]),
    ("reach", &[]),
    ("stir", &["types", "sip", "reach"]),
    ("webhook", &["outbox", "reach"]),
    ("trace", &["types", "sip", "signalling"]),
    ("media", &["types", "rtp", "audio"]),
    ("prompt", &["types", "bridge", "audio"]),
    ("store", &["types", "bridge"]),
    ("mail", &["types", "bridge", "outbox"]),
    // A meeting's answer carries its invitation: the pure half of `mail` makes it.
    ("http", &["types", "bridge", "store", "mail"]),
    ("telemetry", &[]),
    // Rooms that know all others; nobody but them may name these.
    ("config", ALL),
    ("server", ALL),
    ("cli", ALL),
];

/// Every room but the binary's own.
const ALL: &[&str] = &[
    "types",
    "bridge",
    "sip",
    "rtp",
    "audio",
    "signalling",
    "outbox",
    "reach",
    "stir",
    "trace",
    "webhook",
    "media",
    "prompt",
    "store",
    "mail",
    "http",
    "telemetry",
    "config",
    "server",
    "cli",
];

/// Rooms that decide: what they must not reach for.
const PURE: &[&str] = &["types", "bridge", "sip", "rtp", "audio"];

/// Words of sockets, clocks, threads, files, SQL and randomness. `std::time` as a type is welcome.
const IMPURE: &[&str] = &[
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "tokio::",
    "sqlx::",
    "axum::",
    "getrandom::",
    "Uuid::now_v7",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "async fn",
    ".await",
];

/// Where `types` reads clock and randomness for the rooms that do: marked there as such.
const IMPURE_BUT_SAID: &[(&str, &str)] =
    &[("types/now.rs", "Instant::now"), ("types/now.rs", "Timestamp::now"), ("types/id.rs", "Uuid::now_v7")];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below `folder`, sorted.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A file's place below `src`, in parts: `["bridge", "call", "flow.rs"]`.
fn place(file: &Path) -> Vec<String> {
    let place = file.strip_prefix(source()).unwrap();
    place.components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect()
}

/// The room that a file belongs to; `None` for `lib.rs` and `main.rs`.
fn room(place: &[String]) -> Option<&str> {
    match place {
        [file] if file == "lib.rs" || file == "main.rs" => None,
        [file] => file.strip_suffix(".rs"),
        [room, ..] => Some(room),
        [] => None,
    }
}

/// The text without comments and without what strings hold.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if rest.starts_with("r#\"") => rest[3..].find("\"#").map_or(rest.len(), |end| end + 5),
            '"' => string_length(rest),
            // A quote as a character is no string's beginning.
            '\'' if rest.starts_with("'\"'") => 3,
            '\'' if rest.starts_with("'\\\"'") => 4,
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// Of a string literal at the beginning of `text`, in bytes.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The rooms that `code`, which stands in a module `depth` below the crate's root, names.
fn named(code: &str, depth: usize) -> BTreeSet<String> {
    let climb = "super::".repeat(depth);
    let mut rooms = BTreeSet::new();
    for root in ["crate::", "doorline::", climb.as_str()] {
        for (at, _) in code.match_indices(root) {
            // `xcrate::` is another word; a longer climb is not ours to count twice.
            let before = code[..at].chars().next_back();
            if root.is_empty() || before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            rooms.extend(first_names(&code[at + root.len()..]));
        }
    }
    rooms
}

/// The first part of each path behind `use crate::`: one, or one per branch of `{…}`.
fn first_names(text: &str) -> Vec<String> {
    let word =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('{') else { return vec![word(text)] };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(word(inner[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// How many `super::` lead from the file's module to the crate's root.
fn depth(place: &[String]) -> usize {
    let last = place.last().map(String::as_str);
    if last == Some("mod.rs") { place.len() - 1 } else { place.len() }
}

#[test]
fn no_room_names_a_room_it_must_not_know() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut broken = Vec::new();
    for file in rust_files(&source()) {
        let place = place(&file);
        let Some(room) = room(&place) else { continue };
        let shown = format!("src/{}", place.join("/"));
        let Some(allowed) = arrows.get(room) else {
            broken.push(format!("{shown}: room {room:?} has no arrows, expected one of ARROWS in this test"));
            continue;
        };
        let code = code(&fs::read_to_string(&file).unwrap());
        for name in named(&code, depth(&place)) {
            if name != room && arrows.contains_key(name.as_str()) && !allowed.contains(&name.as_str()) {
                broken.push(format!("{shown}: {room} → {name}, expected only: {}", allowed.join(", ")));
            }
        }
    }
    assert!(broken.is_empty(), "arrows that must not be:\n{}", broken.join("\n"));
}

#[test]
fn rooms_that_decide_do_no_io() {
    let mut broken = Vec::new();
    for file in rust_files(&source()) {
        let place = place(&file);
        if !room(&place).is_some_and(|room| PURE.contains(&room)) {
            continue;
        }
        let (shown, code) = (place.join("/"), code(&fs::read_to_string(&file).unwrap()));
        // Unit tests may read the clock for the moment they begin at.
        if shown.ends_with("tests.rs") || shown.contains("/tests/") {
            continue;
        }
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for word in IMPURE {
            if code.contains(word) && !IMPURE_BUT_SAID.contains(&(shown.as_str(), word)) {
                broken.push(format!("src/{shown}: {word}"));
            }
        }
    }
    assert!(broken.is_empty(), "rooms that decide and reach for the world:\n{}", broken.join("\n"));
}

#[test]
fn every_file_says_first_what_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut silent = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "fuzz/fuzz_targets"] {
        for file in rust_files(&root.join(folder)) {
            if !fs::read_to_string(&file).unwrap().starts_with("//! ") {
                silent.push(file.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    assert!(silent.is_empty(), "files that do not begin with `//! ` and their subject: {silent:#?}");
}

#[test]
fn the_architecture_is_told_in_150_lines() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    assert!(text.lines().count() <= 150, "{}", text.lines().count());
    // Every room that there is stands in it.
    for file in rust_files(&source()) {
        if let Some(room) = room(&place(&file)) {
            assert!(text.contains(&format!("`{room}`")), "room {room} is not in ARCHITECTURE.md");
        }
    }
}

#[test]
fn names_are_found_however_they_are_written() {
    let cases: &[(&str, usize, &str)] = &[
        ("use crate::types::Now;", 1, "types"),
        ("use crate::{bridge, types::{Now, Pin}, sip};", 1, "bridge sip types"),
        ("use crate::{\n    bridge::{self, a::{B, C}},\n    types,\n};", 1, "bridge types"),
        ("fn f(x: crate::store::Store) {}", 1, "store"),
        ("// use crate::store;\n/* crate::sip */ let s = \"crate::http\";", 1, ""),
        ("let s = r#\"crate::http\"#; let c = '\"'; use crate::rtp;", 1, "rtp"),
        ("let s = \"a \\\" crate::http\"; use crate::media;", 1, "media"),
        ("use super::super::store::Store;", 2, "store"),
        ("use super::words;", 2, ""),
        ("use super::mailbox;", 1, "mailbox"),
        ("use doorline::cli;", 1, "cli"),
        ("mycrate::store::x();", 1, ""),
    ];
    for (text, depth, expected) in cases {
        let found = named(&code(text), *depth).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(found, *expected, "{text}");
    }
}
