//! `doorline db`: looks after the database of a configuration.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::serve::{runtime, show};
use crate::config::{self, Settings};
use crate::store::{self, Examined};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Look for damage; the service may be running.
    Check {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Bring the schema up to date, as a start of the service would.
    Migrate {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Write a copy of a SQLite database while the service goes on. Keep the key file elsewhere.
    Backup {
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// A new file.
        to: PathBuf,
    },
    /// Copy a SQLite database into an empty PostgreSQL one. Stop the service first.
    Copy {
        /// The configuration that names the SQLite database.
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        /// The configuration that names the PostgreSQL database.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

/// Exit code 1 when something is wrong with the database, or could not be done.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let (good, words, facts) = match &arguments.command {
        Command::Check { config } => match runtime.block_on(store::examine(&load(config)?.store))? {
            Examined::Absent => (
                true,
                "there is none yet: the first start makes it".to_owned(),
                json!({"good": true, "exists": false}),
            ),
            Examined::Good => (true, "good".to_owned(), json!({"good": true, "exists": true})),
            Examined::Damaged(what) => (
                false,
                format!("damaged: {what}; restore it from the backup"),
                json!({"good": false, "exists": true, "what": what}),
            ),
        },
        Command::Migrate { config } => {
            runtime.block_on(store::migrate(&load(config)?.store))?;
            (true, "the schema is the newest".to_owned(), json!({"good": true}))
        }
        Command::Backup { config, to } => {
            runtime.block_on(store::back_up(&load(config)?.store, to))?;
            let words = format!("{} written; it can be read with the same key file only", to.display());
            (true, words, json!({"good": true, "file": to}))
        }
        Command::Copy { from, to } => {
            let (from, to) = (load(from)?, load(to)?);
            let bar = ProgressBar::no_length().with_style(
                ProgressStyle::with_template("{spinner} {prefix} {pos} rows").expect("the template is good"),
            );
            let copied = runtime.block_on(store::copy(&from.store, &to.store, |table, rows| {
                bar.set_prefix(table.to_owned());
                bar.set_position(rows);
            }));
            bar.finish_and_clear();
            let rows = copied?;
            (true, format!("{rows} rows copied"), json!({"good": true, "rows": rows}))
        }
    };
    if arguments.json {
        writeln!(out, "{facts:#}")?;
    } else if good {
        writeln!(out, "{words}")?;
    } else {
        bail!(words);
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn load(file: &std::path::Path) -> anyhow::Result<Settings> {
    match config::load(file) {
        Ok(settings) => Ok(settings),
        Err(faults) => bail!("the configuration has faults:\n{}", show(&faults)),
    }
}
