//! `doorline prompts say`: a sentence as a caller would hear it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::json;

use super::Packs;
use crate::bridge::{Prompt, sentence};
use crate::prompt::judge::seconds;
use crate::prompt::{Catalogue, render};
use crate::types::Language;

#[derive(clap::Args)]
pub struct Arguments {
    /// What to say: others NUMBER, or prompts by their ids, such as do-not-match enter-pin
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// Write it here, 16 kHz mono
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    packs: Packs,
}

pub(super) fn run(arguments: &Arguments, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let language = arguments.packs.language.clone().unwrap_or_else(Language::english);
    let pack = arguments.packs.load(&language)?;
    let prompts = prompts(&language, &arguments.words)?;
    let catalogue: &Catalogue = pack.catalogue();
    let words: Vec<&str> = prompts.iter().filter_map(|prompt| catalogue.words(*prompt)).collect();
    let samples: Vec<i16> = prompts.iter().flat_map(|prompt| pack.samples(*prompt).iter().copied()).collect();
    if let Some(file) = &arguments.out {
        render::write(file, &samples)?;
    }
    if json {
        let facts = json!({"words": words.join(" "), "seconds": seconds(&samples), "file": arguments.out});
        writeln!(out, "{facts:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} ({:.1} s)", words.join(" "), seconds(&samples))?;
    if let Some(file) = &arguments.out {
        writeln!(out, "{} written", file.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn prompts(language: &Language, words: &[String]) -> anyhow::Result<Vec<Prompt>> {
    if let [sentence, count] = words
        && sentence == "others"
    {
        let count = count.parse().with_context(|| format!("number {count:?}, expected how many others"))?;
        return Ok(sentence::others(language, count));
    }
    let known = |id: &String| {
        let prompt = Prompt::all().find(|prompt| prompt.id() == *id);
        prompt.with_context(|| format!("prompt {id:?}, expected an id of prompts/en-GB/catalogue.toml"))
    };
    words.iter().map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(language: &str, words: &[&str], out: Option<PathBuf>) -> anyhow::Result<String> {
        let packs = Packs { folder: None, language: Some(language.parse()?) };
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let mut text = Vec::new();
        run(&Arguments { words, out, packs }, false, &mut text)?;
        Ok(String::from_utf8(text)?)
    }

    #[test]
    fn a_number_of_others_is_said_in_each_language_with_its_own_plurals() {
        let cases = [
            ("en-GB", "1", "There is one other person here."),
            ("en-GB", "2", "There are two other people here."),
            ("en-GB", "121", "There are one hundred twenty one other people here."),
            ("pl-PL", "1", "Jest tu jedna inna osoba."),
            ("pl-PL", "2", "Są tu dwie inne osoby."),
            ("pl-PL", "5", "Jest tu pięć innych osób."),
            ("pl-PL", "12", "Jest tu dwanaście innych osób."),
            ("pl-PL", "21", "Jest tu dwadzieścia jeden innych osób."),
            ("pl-PL", "22", "Są tu dwadzieścia dwie inne osoby."),
            ("pl-PL", "345", "Jest tu trzysta czterdzieści pięć innych osób."),
        ];
        for (language, count, expected) in cases {
            let said = said(language, &["others", count], None).unwrap();
            assert!(said.starts_with(expected), "{language} {count}: {said}");
        }
    }

    #[test]
    fn a_sentence_is_a_file_that_is_as_long_as_its_pieces() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("others.wav");
        said("pl-PL", &["others", "3"], Some(file.clone())).unwrap();
        let written = crate::prompt::wav::samples(&std::fs::read(&file).unwrap()).unwrap();
        let pack = crate::prompt::Pack::embedded(&"pl-PL".parse().unwrap()).unwrap();
        let pieces = sentence::others(&"pl-PL".parse().unwrap(), 3);
        assert_eq!(written.len(), pieces.iter().map(|prompt| pack.samples(*prompt).len()).sum::<usize>());
        let error = said("en-GB", &["enter-pim"], None).unwrap_err().to_string();
        assert!(error.starts_with("prompt \"enter-pim\""), "{error}");
    }
}
