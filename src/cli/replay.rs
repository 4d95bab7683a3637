//! `doorline replay`: a recorded call once more, through the flow as it is today.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::bridge::rehearsal::replay::{Pair, Recorded, replay};

#[derive(clap::Args)]
pub struct Arguments {
    /// One call's record, as `doorline calls --json ID` or GET /calls/ID writes it; - is standard input
    file: PathBuf,
}

/// Prints both ways side by side. Exit codes: 0 the same way, 1 it departs.
///
/// # Errors
/// When the file is no record that can be replayed.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let name = arguments.file.display().to_string();
    let text = if name == "-" {
        let mut text = String::new();
        std::io::stdin().lock().take(RECORD_BYTES_MAX).read_to_string(&mut text).context("standard input")?;
        text
    } else {
        std::fs::read_to_string(&arguments.file).with_context(|| name.clone())?
    };
    let recorded: Recorded = serde_json::from_str(&text)
        .with_context(|| format!("{name}: no record of one call, as doorline calls --json ID writes it"))?;
    let pairs = replay(&recorded, Instant::now()).map_err(|why| anyhow::anyhow!("{name}: {why}"))?;
    let departs = pairs.iter().position(|pair| !pair.agrees());
    writeln!(out, "    recorded                         replayed")?;
    for (n, pair) in pairs.iter().enumerate() {
        let mark = if departs == Some(n) { '!' } else { ' ' };
        let line = format!("{mark}   {:<32} {}", side(&pair.recorded), side(&pair.replayed));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(match departs {
        None => {
            writeln!(out, "the same way: {} steps", pairs.len())?;
            ExitCode::SUCCESS
        }
        Some(n) => {
            let Pair { recorded, replayed } = &pairs[n];
            let what = |side: &Option<(Duration, String)>| {
                side.as_ref().map_or("the end".to_owned(), |s| s.1.clone())
            };
            writeln!(
                out,
                "departs at step {}: {} was recorded, {} replayed",
                n + 1,
                what(recorded),
                what(replayed)
            )?;
            ExitCode::FAILURE
        }
    })
}

/// A record is a few kilobytes.
const RECORD_BYTES_MAX: u64 = 1024 * 1024;

fn side(side: &Option<(Duration, String)>) -> String {
    let Some((at, what)) = side else { return String::new() };
    format!("{:8.3} {what}", at.as_secs_f64())
}
