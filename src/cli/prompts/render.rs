//! `doorline prompts render`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::prompt::render::{Rendered, render};
use crate::types::Language;

#[derive(clap::Args)]
pub struct Arguments {
    /// Such as pl-PL: the pack whose catalogue is spoken
    language: Language,
    /// The folder with one folder per language in it
    #[arg(long, value_name = "FOLDER", default_value = "prompts")]
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("the template is one"));
    let folder = arguments.folder.join(arguments.language.as_str());
    let rendered = render(&folder, |prompt, all| {
        bar.set_length(all as u64);
        bar.set_message(prompt.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    let Rendered { spoken, written, removed, gain_db } = rendered?;
    if json {
        let facts = json!({
            "language": arguments.language, "spoken": spoken, "written": written, "removed": removed, "gain_db": gain_db,
        });
        writeln!(out, "{facts:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "{}: {spoken} spoken, gain {gain_db:+.2} dB, {written} files written, {} as they were",
        arguments.language,
        spoken - written
    )?;
    for id in removed {
        writeln!(out, "{id}.wav: removed, not in the catalogue")?;
    }
    Ok(ExitCode::SUCCESS)
}
