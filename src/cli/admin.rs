//! `doorline host`, `meeting`, `verified`, and below `calls`, `meetings` and `trunk`: the HTTP API from a terminal.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::types::{HostId, MeetingId, Token, TokenId, VerifiedId};

pub mod calls;
mod client;
pub mod erase;
pub mod meetings;
mod table;
pub mod trunk;

pub(super) use client::Client as Service;
use client::Client;
use table::{Column, facts, table};

/// Which service is meant, and who asks.
#[derive(Args, Clone, Debug)]
pub struct Connection {
    /// Where the service is. Otherwise $DOORLINE_URL, or http://127.0.0.1:8080.
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Token of the operator or a host. Others on this machine can see it while the command runs:
    /// better give --token-file, or $DOORLINE_OPERATOR_TOKEN.
    #[arg(long, global = true, value_name = "TOKEN", value_parser = token, conflicts_with = "token_file")]
    pub token: Option<Token>,
    /// File that holds the token alone.
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print what the service answered, as JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct HostArguments {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: HostCommand,
}

#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Make a host; prints its PIN and, this once, its host PIN.
    Add {
        #[arg(long)]
        name: String,
        #[arg(long)]
        email: String,
        /// A phone of the host's own, in E.164; may be repeated.
        #[arg(long = "number", value_name = "NUMBER")]
        numbers: Vec<String>,
        /// What its callers are spoken to in, such as en-GB.
        #[arg(long)]
        language: Option<String>,
        #[arg(long)]
        known_callers: Option<KnownCallers>,
    },
    /// All hosts.
    List,
    /// One host with its PIN.
    Show { host: HostId },
    /// Draw a new PIN. The old one is worth nothing at once, and every verified number is forgotten.
    NewPin { host: HostId },
    /// Draw a new host PIN, printed this once.
    NewHostPin { host: HostId },
    /// Remove a host and all that is its.
    Remove { host: HostId },
    /// Make a token for the host's own programs, printed this once.
    AddToken {
        host: HostId,
        /// What it is for, such as outlook.
        #[arg(long)]
        name: String,
    },
    /// The host's tokens.
    Tokens { host: HostId },
    /// Revoke a token.
    RevokeToken { token: TokenId },
}

#[derive(Args, Debug)]
pub struct MeetingArguments {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: MeetingCommand,
}

#[derive(Debug, Subcommand)]
pub enum MeetingCommand {
    /// Schedule a meeting; prints PIN, one-time code and numbers.
    Add {
        #[arg(long)]
        host: HostId,
        #[arg(long)]
        title: String,
        #[arg(long, value_enum, default_value_t = Kind::OneTime)]
        kind: Kind,
        /// RFC 3339, such as 2026-03-02T10:00:00Z. Absent: now.
        #[arg(long, value_name = "TIME")]
        starts_at: Option<Timestamp>,
        /// RFC 3339. Absent: --minutes after the start.
        #[arg(long, value_name = "TIME", conflicts_with = "minutes")]
        ends_at: Option<Timestamp>,
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=60 * 24 * 31))]
        minutes: u32,
        /// IANA name, such as Europe/London.
        #[arg(long)]
        time_zone: Option<String>,
        /// A guest's mail address; may be repeated.
        #[arg(long = "invitee", value_name = "ADDRESS")]
        invitees: Vec<String>,
        #[arg(long)]
        known_callers: Option<KnownCallers>,
        /// Callers hear music until the moderator is there.
        #[arg(long)]
        wait_for_moderator: bool,
    },
    /// The meetings of a host.
    List {
        #[arg(long)]
        host: HostId,
        /// scheduled, open, closed or cancelled.
        #[arg(long)]
        state: Option<MeetingState>,
    },
    /// One meeting with its invitation.
    Show { meeting: MeetingId },
    /// Open a meeting; a live one of the same host closes first.
    Open { meeting: MeetingId },
    /// End a live meeting for all.
    Close { meeting: MeetingId },
    /// Cancel a meeting.
    Cancel { meeting: MeetingId },
    /// Draw a new one-time code. The old one is worth nothing at once.
    NewCode { meeting: MeetingId },
}

#[derive(Args, Debug)]
pub struct VerifiedArguments {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: VerifiedCommand,
}

#[derive(Debug, Subcommand)]
pub enum VerifiedCommand {
    /// The phones that go straight in to a host.
    List {
        #[arg(long)]
        host: HostId,
    },
    /// Forget one phone, or with --host all phones of a host.
    Revoke {
        #[arg(required_unless_present = "host")]
        verified: Option<VerifiedId>,
        #[arg(long, conflicts_with = "verified")]
        host: Option<HostId>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    OneTime,
    Standard,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KnownCallers {
    StraightThrough,
    CodeOnce,
    AlwaysCode,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum MeetingState {
    Scheduled,
    Open,
    Closed,
    Cancelled,
}

/// `doorline host …`, printed to `out`.
pub fn host(arguments: &HostArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.connection)?;
    let json = arguments.connection.json;
    match &arguments.command {
        HostCommand::Add { name, email, numbers, language, known_callers } => {
            let mut body = json!({"name": name, "email": email, "numbers": numbers});
            set(&mut body, "language", language.as_deref());
            set(&mut body, "known_callers", known_callers.map(word));
            show(out, json, &client.post("/hosts", Some(&body))?, HOST)?;
        }
        HostCommand::List => list(out, json, client.all("/hosts")?, HOSTS)?,
        HostCommand::Show { host } => show(out, json, &client.get(&format!("/hosts/{host}"))?, HOST)?,
        HostCommand::NewPin { host } => {
            show(out, json, &client.post(&format!("/hosts/{host}/new-pin"), None)?, HOST)?;
        }
        HostCommand::NewHostPin { host } => {
            show(out, json, &client.post(&format!("/hosts/{host}/new-host-pin"), None)?, HOST)?;
        }
        HostCommand::Remove { host } => {
            client.delete(&format!("/hosts/{host}"))?;
            done(out, json, "removed")?;
        }
        HostCommand::AddToken { host, name } => {
            let body = json!({"name": name});
            show(out, json, &client.post(&format!("/hosts/{host}/tokens"), Some(&body))?, TOKEN)?;
        }
        HostCommand::Tokens { host } => {
            list(out, json, client.all(&format!("/hosts/{host}/tokens"))?, TOKENS)?;
        }
        HostCommand::RevokeToken { token } => {
            client.delete(&format!("/tokens/{token}"))?;
            done(out, json, "revoked")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `doorline meeting …`, printed to `out`.
pub fn meeting(arguments: &MeetingArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.connection)?;
    let json = arguments.connection.json;
    let post = |meeting: &MeetingId, what: &str| client.post(&format!("/meetings/{meeting}/{what}"), None);
    match &arguments.command {
        MeetingCommand::Add {
            host,
            title,
            kind,
            starts_at,
            ends_at,
            minutes,
            time_zone,
            invitees,
            known_callers,
            wait_for_moderator,
        } => {
            let starts_at = starts_at.unwrap_or_else(Timestamp::now);
            let lasts = SignedDuration::from_mins(i64::from(*minutes));
            let ends_at = match ends_at {
                Some(ends_at) => *ends_at,
                None => starts_at.checked_add(lasts).context("--starts-at is at the end of time")?,
            };
            let mut body = json!({
                "kind": word(*kind), "title": title, "starts_at": starts_at.to_string(),
                "ends_at": ends_at.to_string(), "invitees": invitees,
                "wait_for_moderator": wait_for_moderator,
            });
            set(&mut body, "time_zone", time_zone.as_deref());
            set(&mut body, "known_callers", known_callers.map(word));
            show_meeting(out, json, &client.post(&format!("/hosts/{host}/meetings"), Some(&body))?)?;
        }
        MeetingCommand::List { host, state } => {
            let filter = state.map(|state| format!("?state={}", word(state))).unwrap_or_default();
            list(out, json, client.all(&format!("/hosts/{host}/meetings{filter}"))?, MEETINGS)?;
        }
        MeetingCommand::Show { meeting } => {
            show_meeting(out, json, &client.get(&format!("/meetings/{meeting}"))?)?;
        }
        MeetingCommand::Open { meeting } => show_meeting(out, json, &post(meeting, "open")?)?,
        MeetingCommand::Close { meeting } => show_meeting(out, json, &post(meeting, "close")?)?,
        MeetingCommand::NewCode { meeting } => show_meeting(out, json, &post(meeting, "new-code")?)?,
        MeetingCommand::Cancel { meeting } => {
            client.delete(&format!("/meetings/{meeting}"))?;
            done(out, json, "cancelled")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `doorline verified …`, printed to `out`.
pub fn verified(arguments: &VerifiedArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.connection)?;
    let json = arguments.connection.json;
    match &arguments.command {
        VerifiedCommand::List { host } => {
            list(out, json, client.all(&format!("/hosts/{host}/verified-numbers"))?, VERIFIED)?;
        }
        VerifiedCommand::Revoke { verified, host } => {
            match (verified, host) {
                (Some(verified), None) => client.delete(&format!("/verified-numbers/{verified}"))?,
                (None, Some(host)) => client.delete(&format!("/hosts/{host}/verified-numbers"))?,
                _ => bail!("expected either a verified number's id or --host"),
            }
            done(out, json, "revoked")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn token(text: &str) -> Result<Token, std::convert::Infallible> {
    Ok(Token::new(text))
}

/// The name of a choice, as it is typed and as the API has it.
fn word(choice: impl ValueEnum) -> String {
    choice.to_possible_value().expect("no choice is hidden").get_name().to_owned()
}

fn set(body: &mut Value, field: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        body[field] = value.into();
    }
}

fn show(out: &mut impl Write, json: bool, answer: &Value, columns: &[Column]) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{answer:#}")?;
    } else {
        write!(out, "{}", facts(answer, columns))?;
    }
    Ok(())
}

fn show_meeting(out: &mut impl Write, json: bool, answer: &Value) -> anyhow::Result<()> {
    show(out, json, answer, MEETING)?;
    if let Some(text) = answer["invitation"]["text"].as_str().filter(|_| !json) {
        writeln!(out)?;
        for line in text.lines() {
            writeln!(out, "  {}", crate::types::text::printable(line))?;
        }
    }
    Ok(())
}

/// Once, or with `--watch` again and again in the same place.
fn watch<W: Write>(
    again: bool,
    out: &mut W,
    mut show: impl FnMut(&mut W) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    loop {
        if again {
            // To the top left, and nothing below (ECMA-48 CUP and ED).
            write!(out, "\x1b[H\x1b[2J")?;
        }
        show(out)?;
        if !again {
            return Ok(ExitCode::SUCCESS);
        }
        out.flush()?;
        std::thread::sleep(WATCH_EVERY);
    }
}

/// Between two looks with `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(2);

fn list(out: &mut impl Write, json: bool, items: Vec<Value>, columns: &[Column]) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{:#}", json!({ "items": items }))?;
    } else if items.is_empty() {
        writeln!(out, "none")?;
    } else {
        write!(out, "{}", table(&items, columns, table::terminal_width()))?;
    }
    Ok(())
}

fn done(out: &mut impl Write, json: bool, what: &str) -> anyhow::Result<()> {
    if json {
        writeln!(out, "{}", Value::Object(Map::new()))?;
    } else {
        writeln!(out, "{what}")?;
    }
    Ok(())
}

const HOSTS: &[Column] = &[("id", "id"), ("name", "name"), ("email", "email"), ("numbers", "numbers")];
const HOST: &[Column] = &[
    ("id", "id"),
    ("name", "name"),
    ("email", "email"),
    ("PIN", "pin"),
    ("host PIN", "host_pin"),
    ("language", "language"),
    ("known callers", "known_callers"),
    ("numbers", "numbers"),
    ("standard meeting", "standard_meeting_id"),
];
const TOKENS: &[Column] = &[("id", "id"), ("name", "name"), ("created", "created_at")];
const TOKEN: &[Column] = &[("id", "id"), ("name", "name"), ("token", "token")];
const MEETINGS: &[Column] = &[
    ("id", "id"),
    ("kind", "kind"),
    ("state", "state"),
    ("starts", "starts_at"),
    ("ends", "ends_at"),
    ("code", "code"),
    ("title", "title"),
];
const MEETING: &[Column] = &[
    ("id", "id"),
    ("title", "title"),
    ("kind", "kind"),
    ("state", "state"),
    ("starts", "starts_at"),
    ("ends", "ends_at"),
    ("PIN", "pin"),
    ("one-time code", "code"),
];
const VERIFIED: &[Column] = &[
    ("id", "id"),
    ("number", "number"),
    ("trust", "trust"),
    ("trunk", "trunk"),
    ("last used", "last_used_at"),
    ("expires", "expires_at"),
];
