//! `doorline erase`: everything about a person's number, first counted, then gone.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::Connection;
use super::client::Client;
use super::table::{Column, facts};

#[derive(Args, Debug)]
pub struct EraseArguments {
    #[command(flatten)]
    pub connection: Connection,
    /// The telephone number in E.164, such as +447700900123.
    pub number: String,
    /// Erase it. Without this only what there is is counted.
    #[arg(long)]
    pub yes: bool,
}

/// `doorline erase NUMBER`, printed to `out`.
pub fn erase(arguments: &EraseArguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let client = Client::new(&arguments.connection)?;
    let body = json!({"number": arguments.number, "dry_run": !arguments.yes});
    let answer = client.post("/erasures", Some(&body))?;
    if arguments.connection.json {
        writeln!(out, "{answer:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    write!(out, "{}", facts(&answer, ERASURE))?;
    if !arguments.yes {
        writeln!(out, "nothing was erased; --yes erases it")?;
    }
    if answer["live_calls"].as_u64().is_some_and(|calls| calls > 0) {
        writeln!(out, "calls from it are live: erase again when they are over")?;
    }
    Ok(ExitCode::SUCCESS)
}

const ERASURE: &[Column] = &[
    ("erased", "erased"),
    ("verified numbers", "verified_numbers"),
    ("call records (stay without the number)", "calls"),
    ("notices", "notices"),
    ("hosts' own phones", "host_numbers"),
    ("webhook events", "webhook_events"),
    ("counters of wrong entries (kept, hold no number)", "guess_counters_kept"),
    ("live calls", "live_calls"),
];
