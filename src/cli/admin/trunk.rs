//! `doorline trunk` and `doorline reload`: a running service's trunks and configuration.

use std::io::Write;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use serde_json::{Value, json};

use super::client::Client;
use super::table::Column;
use super::{Connection, list};
use crate::types::text::printable;

#[derive(Args, Debug)]
pub struct TrunkArguments {
    #[command(flatten)]
    pub connection: Connection,
    #[command(subcommand)]
    pub command: TrunkCommand,
}

#[derive(Debug, Subcommand)]
pub enum TrunkCommand {
    /// All trunks: who may call over them, and how many do.
    List,
    /// Does a trunk work? Asks its peer whether it is there, and says how our registration stands. With
    /// --from: would a call from that address come in, and if not, which rule refuses it, and the line
    /// that would let it in. Exit code 1 when something does not work.
    Test {
        name: String,
        #[arg(long, value_name = "ADDRESS")]
        from: Option<IpAddr>,
    },
}

#[derive(Args, Debug)]
pub struct ReloadArguments {
    #[command(flatten)]
    pub connection: Connection,
}

/// `doorline trunk …`, printed to `out`.
pub fn trunk(arguments: &TrunkArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.connection)?;
    let json = arguments.connection.json;
    match &arguments.command {
        TrunkCommand::List => {
            let mut trunks = client.all("/trunks")?;
            if !json {
                for trunk in &mut trunks {
                    trunk["registration"] = match &trunk["registration"] {
                        Value::Null => Value::Null,
                        registration => of_registration(registration).into(),
                    };
                }
            }
            list(out, json, trunks, TRUNKS)?;
        }
        TrunkCommand::Test { name, from } => {
            anyhow::ensure!(is_name(name), "{}: no name of a trunk", printable(name));
            return test(&client, json, name, *from, out);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is asked, one after the other: the source, the peer, the registration.
fn test(
    client: &Client,
    json: bool,
    name: &str,
    from: Option<IpAddr>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let trunks = client.all("/trunks")?;
    let Some(trunk) = trunks.into_iter().find(|trunk| trunk["name"] == name) else {
        anyhow::bail!("{name}: no such trunk");
    };
    let verdict = match from {
        Some(from) => client.get(&format!("/trunks/{name}/test?from={from}"))?,
        None => Value::Null,
    };
    let has_peer = !trunk["ping"].is_null() || !trunk["registration"].is_null();
    let probe = if has_peer { client.post(&format!("/trunks/{name}/probe"), None)? } else { Value::Null };
    let registration = &trunk["registration"];
    let works = verdict["accepted"] != false
        && probe["answered"] != false
        && (registration.is_null() || registration["state"] == "registered");
    if json {
        let all = json!({"verdict": verdict, "probe": probe, "registration": registration});
        writeln!(out, "{all:#}")?;
    } else {
        if !verdict.is_null() {
            let word = if verdict["accepted"] == true { "accepted" } else { "refused" };
            writeln!(out, "{word} by {}: {}", text(&verdict, "rule"), text(&verdict, "why"))?;
            if !verdict["paste"].is_null() {
                writeln!(out, "to let it in, write in the trunk's file: {}", text(&verdict, "paste"))?;
            }
        }
        writeln!(out, "{}", of_probe(&probe))?;
        if !registration.is_null() {
            writeln!(out, "{}", of_registration(registration))?;
        }
    }
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(thing: &Value, member: &str) -> String {
    printable(thing[member].as_str().unwrap_or_default())
}

fn of_probe(probe: &Value) -> String {
    if probe.is_null() {
        return "not asked: the trunk has neither ping.target nor register.registrar".to_owned();
    }
    match (probe["status"].as_u64(), probe["round_trip_ms"].as_f64()) {
        (Some(status), Some(ms)) => {
            format!(
                "answers: {status} in {ms} ms from {}:{}",
                text(probe, "transport"),
                text(probe, "address")
            )
        }
        _ => format!("does not answer: {}", text(probe, "why")),
    }
}

fn of_registration(registration: &Value) -> String {
    let status = registration["last_status"].as_u64().map(|status| format!("{status} ")).unwrap_or_default();
    let (state, why) = (text(registration, "state"), text(registration, "why"));
    match state.as_str() {
        "registered" => format!(
            "registered at {} until {}",
            text(registration, "address"),
            text(registration, "registered_until")
        ),
        "failing" => format!(
            "not registered: {status}{why}; next try at {}",
            registration["next_try_at"].as_str().map_or_else(|| "once".to_owned(), printable)
        ),
        _ => "not registered yet".to_owned(),
    }
}

/// `doorline reload`, printed to `out`.
pub fn reload(arguments: &ReloadArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let reloaded = Client::new(&arguments.connection)?.post("/reload", None)?;
    if arguments.connection.json {
        writeln!(out, "{reloaded:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let lines = |member: &str| reloaded[member].as_array().cloned().unwrap_or_default();
    let (changes, later) = (lines("changes"), lines("needs_restart"));
    if changes.is_empty() && later.is_empty() {
        writeln!(out, "nothing changed")?;
    }
    for change in changes {
        writeln!(out, "{}", printable(change.as_str().unwrap_or_default()))?;
    }
    for part in later {
        writeln!(out, "{} changed: needs a restart", printable(part.as_str().unwrap_or_default()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// As a trunk's file may have it; nothing else can stand in the path.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

const TRUNKS: &[Column] = &[
    ("name", "name"),
    ("state", "state"),
    ("recognised by", "recognised_by"),
    ("live", "calls_live"),
    ("most", "calls_max"),
    ("answered", "answered"),
    ("unanswered", "unanswered"),
    ("believes", "believes"),
    ("allow", "allow"),
    ("registration", "registration"),
];
