//! `doorline prompts`: what callers hear, looked after: check the packs, render one, join a sentence.

mod check;
mod render;
mod say;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::prompt::{self, Pack};
use crate::types::Language;

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Judge every pack: all prompts there, format, level, length, silence, clicks. One line per fault.
    Check(Packs),
    /// Speak a pack's catalogue with flite or espeak-ng, and write its WAV files.
    Render(render::Arguments),
    /// Join a sentence from its prompts, print its words and write it as a file.
    Say(say::Arguments),
}

/// Which packs.
#[derive(Args)]
struct Packs {
    /// Folder of your own prompts, one folder per language in it; else those in the program
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// One language alone, such as pl-PL
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<Language>,
}

/// Runs the command. Exit codes: 0 good, 1 faults.
///
/// # Errors
/// When a pack does not load, or a file cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (json, out) = (arguments.json, &mut std::io::stdout());
    match &arguments.command {
        Command::Check(packs) => check::run(packs, json, out),
        Command::Render(arguments) => render::run(arguments, json, out),
        Command::Say(arguments) => say::run(arguments, json, out),
    }
}

impl Packs {
    /// The languages that are meant: the one that was named, else all.
    fn languages(&self) -> anyhow::Result<Vec<Language>> {
        if let Some(language) = &self.language {
            return Ok(vec![language.clone()]);
        }
        let Some(folder) = &self.folder else { return Ok(Pack::languages()) };
        let mut languages: Vec<Language> = std::fs::read_dir(folder)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        languages.sort_unstable();
        anyhow::ensure!(!languages.is_empty(), "{}: no folder of a language in it", folder.display());
        Ok(languages)
    }

    fn load(&self, language: &Language) -> Result<Pack, prompt::Error> {
        match &self.folder {
            Some(folder) => Pack::load(&folder.join(language.as_str())),
            None => Pack::embedded(language),
        }
    }
}
