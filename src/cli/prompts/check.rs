//! `doorline prompts check`.

use std::io::Write;
use std::process::ExitCode;

use super::Packs;
use crate::prompt::judge::{judge, pin_question_seconds, seconds};

pub(super) fn run(packs: &Packs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut good = true;
    for language in packs.languages()? {
        let pack = match packs.load(&language) {
            Ok(pack) => pack,
            Err(error) => {
                writeln!(out, "{error}")?;
                good = false;
                continue;
            }
        };
        let faults = judge(&pack);
        for fault in &faults {
            writeln!(out, "{language}: {fault}")?;
        }
        good &= faults.is_empty();
        let length: f64 = pack.iter().map(|(_, samples)| seconds(samples)).sum();
        let level = pack.voice_level_dbov().unwrap_or(f64::NEG_INFINITY);
        writeln!(
            out,
            "{language}: {} prompts, {length:.0} s, active speech at {level:.2} dBov (ITU-T P.56), welcome and PIN \
             question in {:.2} s: {}",
            pack.iter().count(),
            pin_question_seconds(&pack),
            match faults.len() {
                0 => "good".to_owned(),
                1 => "1 fault".to_owned(),
                several => format!("{several} faults"),
            }
        )?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packs_in_the_program_are_good_and_a_broken_one_is_told() {
        let mut out = Vec::new();
        let code = run(&Packs { folder: None, language: None }, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert_eq!(code, ExitCode::SUCCESS, "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.lines().all(|line| line.ends_with(": good")), "{said}");

        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pl-PL")).unwrap();
        let packs = Packs { folder: Some(folder.path().to_owned()), language: None };
        let mut out = Vec::new();
        assert_eq!(run(&packs, &mut out).unwrap(), ExitCode::FAILURE);
        assert!(String::from_utf8(out).unwrap().contains("catalogue.toml"));
    }
}
