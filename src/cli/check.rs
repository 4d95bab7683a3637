//! `doorline check`: everything that is wrong with a configuration, one line per fault.
//! `doorline config`: every key, explained.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use crate::config::{self, Fault, Settings};
use crate::prompt::Pack;
use crate::types::Language;

#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Print one JSON object: good, what it would start (summary), or the faults (file, key, what)
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args)]
pub struct ConfigArguments {
    /// Explain a trunk file instead.
    #[arg(long)]
    pub trunk: bool,
}

/// Exit code 1 if there is a fault.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let good = if arguments.json {
        let (good, answer) = match config::load(&arguments.config) {
            Ok(settings) => (true, json!({"good": true, "summary": summary(&settings)})),
            Err(faults) => {
                let one = |fault: &Fault| json!({"file": fault.file, "key": fault.key, "what": fault.what});
                (false, json!({"good": false, "faults": faults.iter().map(one).collect::<Vec<_>>()}))
            }
        };
        writeln!(out, "{answer:#}")?;
        good
    } else {
        report(&arguments.config, &mut out)?
    };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes one line per fault of the configuration in `file`, or one line that says what it would
/// start. Tells whether it is good.
pub fn report(file: &Path, out: &mut impl Write) -> std::io::Result<bool> {
    match config::load(file) {
        Ok(settings) => {
            writeln!(out, "{}: good: {}", file.display(), summary(&settings))?;
            Ok(true)
        }
        Err(faults) => {
            for fault in &faults {
                writeln!(out, "{fault}")?;
            }
            Ok(false)
        }
    }
}

/// Prints a configuration file with every key, its meaning and its default.
pub fn explain(arguments: &ConfigArguments) -> anyhow::Result<ExitCode> {
    let text = if arguments.trunk { config::explain::trunk() } else { config::explain::config() };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What stands behind a good configuration, in one line.
fn summary(settings: &Settings) -> String {
    let listen: Vec<String> = settings
        .signalling
        .listen
        .iter()
        .map(|listen| format!("{}:{}", listen.transport.name(), listen.address))
        .collect();
    let numbers = match settings.access_numbers.len() {
        0 => "every dialled number".to_owned(),
        1 => "1 access number".to_owned(),
        several => format!("{several} access numbers"),
    };
    let trunks = match settings.trunks.as_slice() {
        [] => "no trunk, so nobody can call".to_owned(),
        trunks => {
            let names: Vec<&str> = trunks.iter().map(|trunk| trunk.name.as_str()).collect();
            format!("trunks {}", names.join(", "))
        }
    };
    // The voice of an operator's own prompts may be at another level than ours.
    let voice = settings
        .prompts
        .as_deref()
        .and_then(|folder| Pack::find(Some(folder), &Language::english()).ok()?.voice_level_dbov())
        .map(|level| format!(", prompts at {level:.1} dBov (built-in ones: -22.2)"))
        .unwrap_or_default();
    format!("{}; {numbers}; {trunks}; up to {} calls{voice}", listen.join(", "), settings.bridge.calls_max)
}
