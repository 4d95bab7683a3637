//! `doorline trunk` and `doorline reload`: a running service's trunks and configuration.

use std::io::Write;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::Client;
use super::table::{Column, printable};
use super::{Connection, list};

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
    /// Would a call from an address come in over a trunk? If not: which rule refuses it, and the
    /// line that would let it in. Exit code 1 when it is refused.
    Test {
        name: String,
        #[arg(long, value_name = "ADDRESS")]
        from: IpAddr,
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
        TrunkCommand::List => list(out, json, client.all("/trunks")?, TRUNKS)?,
        TrunkCommand::Test { name, from } => {
            anyhow::ensure!(is_name(name), "{}: no name of a trunk", printable(name));
            let verdict = client.get(&format!("/trunks/{name}/test?from={from}"))?;
            let accepted = verdict["accepted"] == true;
            if json {
                writeln!(out, "{verdict:#}")?;
            } else {
                let text = |member: &str| printable(verdict[member].as_str().unwrap_or_default());
                let word = if accepted { "accepted" } else { "refused" };
                writeln!(out, "{word} by {}: {}", text("rule"), text("why"))?;
                if !text("paste").is_empty() {
                    writeln!(out, "to let it in, write in the trunk's file: {}", text("paste"))?;
                }
            }
            return Ok(if accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
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
    ("live", "calls_live"),
    ("most", "calls_max"),
    ("answered", "answered"),
    ("unanswered", "unanswered"),
    ("believes", "believes"),
    ("allow", "allow"),
];
