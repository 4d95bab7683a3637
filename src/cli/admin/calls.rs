//! `doorline calls`: what callers do now and did before, as a table, as records to export, or one in full.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;

use super::client::Client;
use super::table::{Column, facts};
use super::{Connection, list, watch};
use crate::types::text::printable;
use crate::types::{CallId, HostId, MeetingId};

#[derive(Args, Debug)]
pub struct CallsArguments {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: Option<CallsCommand>,
    /// One call in full: its way, its keys' sources, its sound, and why it was let in or not.
    #[arg(conflicts_with_all = ["live", "past", "watch", "csv", "lines"])]
    pub call: Option<CallId>,
    /// Live calls alone.
    #[arg(long, conflicts_with = "past")]
    pub live: bool,
    /// Past calls alone.
    #[arg(long)]
    pub past: bool,
    /// Live calls, shown anew every two seconds until Ctrl-C.
    #[arg(long, conflicts_with_all = ["past", "csv", "lines", "json"])]
    pub watch: bool,
    /// One line of comma-separated values per call, after a line of headings (RFC 4180).
    #[arg(long, conflicts_with = "lines")]
    pub csv: bool,
    /// One line of JSON per call.
    #[arg(long)]
    pub lines: bool,
    #[arg(long)]
    pub host: Option<HostId>,
    #[arg(long)]
    pub meeting: Option<MeetingId>,
    #[arg(long)]
    pub trunk: Option<String>,
    /// Such as hung-up or too-many-wrong-entries.
    #[arg(long)]
    pub ending: Option<String>,
    /// Started at this time or later (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// Started before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    pub most: usize,
}

#[derive(Debug, Subcommand)]
pub enum CallsCommand {
    /// The signalling of a call as arrows between addresses; with --json every message too. Kept for the
    /// latest calls.
    Ladder {
        call: CallId,
        /// Write a capture file for Wireshark there instead.
        #[arg(long, value_name = "FILE")]
        pcap: Option<std::path::PathBuf>,
    },
}

/// `doorline calls …`, printed to `out`.
pub fn calls(arguments: &CallsArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.connection)?;
    if let Some(CallsCommand::Ladder { call, pcap }) = &arguments.command {
        return ladder(&client, *call, pcap.as_deref(), arguments.connection.json, out);
    }
    if let Some(call) = arguments.call {
        let answer = client.get(&format!("/calls/{call}"))?;
        if arguments.connection.json {
            writeln!(out, "{answer:#}")?;
        } else {
            show(out, &answer)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let path = arguments.path();
    watch(arguments.watch, out, |out| {
        let calls = client.up_to(&path, arguments.most)?;
        if arguments.watch {
            write!(out, "{} calls\n\n", calls.len())?;
        }
        if arguments.csv {
            write_csv(out, &calls)?;
        } else if arguments.lines {
            for call in &calls {
                writeln!(out, "{call}")?;
            }
        } else {
            list(out, arguments.connection.json, calls, CALLS)?;
        }
        Ok(())
    })
}

fn ladder(
    client: &Client,
    call: CallId,
    pcap: Option<&std::path::Path>,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    if let Some(file) = pcap {
        let capture = client.bytes(&format!("/calls/{call}/sip.pcap"))?;
        // It tells who called whom when: for its owner alone, and no file is overwritten.
        let mut options = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
        options
            .open(file)
            .and_then(|mut open| open.write_all(&capture))
            .with_context(|| file.display().to_string())?;
        writeln!(out, "{} written", file.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let trace = client.get(&format!("/calls/{call}/ladder"))?;
    if json {
        writeln!(out, "{trace:#}")?;
    } else {
        for line in trace["ladder"].as_str().unwrap_or_default().lines() {
            writeln!(out, "{}", printable(line))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl CallsArguments {
    fn path(&self) -> String {
        let live = match (self.live || self.watch, self.past) {
            (true, _) => Some("true".to_owned()),
            (_, true) => Some("false".to_owned()),
            _ => None,
        };
        let filters = [
            ("live", live),
            ("host_id", self.host.map(|host| host.to_string())),
            ("meeting_id", self.meeting.map(|meeting| meeting.to_string())),
            ("trunk", self.trunk.clone()),
            ("ending", self.ending.clone()),
            ("from", self.from.map(|at| at.to_string())),
            ("until", self.until.map(|at| at.to_string())),
        ];
        let given =
            filters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", escape(&value?))));
        let limit = format!("limit={}", self.most.clamp(1, PAGE_MAX));
        format!("/calls?{}", given.chain([limit]).collect::<Vec<_>>().join("&"))
    }
}

/// The most the API gives at once.
const PAGE_MAX: usize = 200;

/// Percent-encoding of what is not unreserved (RFC 3986 §2.3).
fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escaped).collect()
}

fn show(out: &mut impl Write, call: &Value) -> anyhow::Result<()> {
    write!(out, "{}", facts(call, CALL))?;
    let rows = |member: &str| call[member].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| printable(value.as_str().unwrap_or("-"));
    let began: Option<Timestamp> = call["started_at"].as_str().and_then(|text| text.parse().ok());
    let since = |at: &Value| {
        let then: Option<Timestamp> = at.as_str().and_then(|text| text.parse().ok());
        match began.zip(then) {
            Some((began, then)) => format!("{:8.1} s", then.duration_since(began).as_secs_f64()),
            None => text(at),
        }
    };
    for step in rows("path") {
        writeln!(out, "  {}  {}", since(&step["at"]), text(&step["what"]))?;
    }
    let keys = rows("keys");
    if !keys.is_empty() {
        let mut sources: Vec<String> = keys.iter().map(|key| text(&key["source"])).collect();
        let count = sources.len();
        sources.dedup();
        writeln!(out, "{count} keys, by {}", sources.join(", "))?;
    }
    if let Some(quality) = call["quality"].as_object() {
        for (figure, value) in quality.iter().filter(|(_, value)| !value.is_null()) {
            writeln!(out, "  {figure}  {value}")?;
        }
    }
    Ok(())
}

fn write_csv(out: &mut impl Write, calls: &[Value]) -> anyhow::Result<()> {
    let heading: Vec<&str> = CSV.to_vec();
    write!(out, "{}\r\n", heading.join(","))?;
    for call in calls {
        let fields = CSV.iter().map(|member| match &call[*member] {
            Value::Null => String::new(),
            Value::String(text) => field(text),
            other => other.to_string(),
        });
        write!(out, "{}\r\n", fields.collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}

/// Quoted where it must be (RFC 4180 §2). A spreadsheet would reckon with what begins like a formula.
fn field(text: &str) -> String {
    let text = match text.chars().next() {
        Some('=' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    };
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

const CALLS: &[Column] = &[
    ("id", "id"),
    ("started", "started_at"),
    ("state", "state"),
    ("trunk", "trunk"),
    ("number", "number"),
    ("trust", "trust"),
    ("entered", "entered"),
    ("ending", "ending"),
];
const CALL: &[Column] = &[
    ("id", "id"),
    ("state", "state"),
    ("trunk", "trunk"),
    ("access number", "access_number"),
    ("number", "number"),
    ("trust", "trust"),
    ("started", "started_at"),
    ("answered", "answered_at"),
    ("joined", "joined_at"),
    ("ended", "ended_at"),
    ("ending", "ending_text"),
    ("why", "explanation"),
    ("SIP Call-ID", "sip_call_id"),
];
const CSV: &[&str] = &[
    "id",
    "started_at",
    "answered_at",
    "joined_at",
    "ended_at",
    "trunk",
    "access_number",
    "number",
    "withheld",
    "trust",
    "host_id",
    "meeting_id",
    "entered",
    "remembered",
    "ending",
    "explanation",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn exported_values_are_quoted_where_they_must_be_and_reckon_nothing() {
        let call = json!({"id": "1", "trunk": "=cmd", "withheld": false, "explanation": "let in: \"x\", y"});
        let mut out = Vec::new();
        write_csv(&mut out, &[call]).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(lines[0].split(',').count(), CSV.len());
        assert_eq!(lines[1], "1,,,,,'=cmd,,,false,,,,,,,\"let in: \"\"x\"\", y\"");
    }

    #[test]
    fn a_filter_cannot_become_another() {
        assert_eq!(escape("a&live=true"), "a%26live%3Dtrue");
        assert_eq!(escape("lab-1_x"), "lab-1_x");
    }
}
