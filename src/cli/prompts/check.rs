//! `doorline prompts check`.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use super::Packs;
use crate::prompt::judge::{judge, pin_question_seconds, seconds};
use crate::types::Language;

/// One pack, judged.
#[derive(Serialize)]
struct Judged {
    language: Language,
    good: bool,
    /// Why it does not load, or what is wrong with its prompts.
    faults: Vec<String>,
    /// `None`: it does not load.
    #[serde(flatten)]
    measured: Option<Measured>,
}

#[derive(Serialize)]
struct Measured {
    prompts: usize,
    seconds: f64,
    /// Of active speech (ITU-T P.56).
    level_dbov: Option<f64>,
    pin_question_seconds: f64,
}

pub(super) fn run(packs: &Packs, json: bool, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let judged: Vec<Judged> =
        packs.languages()?.into_iter().map(|language| look_at(packs, language)).collect();
    let good = judged.iter().all(|pack| pack.good);
    if json {
        writeln!(out, "{:#}", json!({"good": good, "packs": judged}))?;
    } else {
        judged.iter().try_for_each(|pack| tell(pack, out))?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look_at(packs: &Packs, language: Language) -> Judged {
    match packs.load(&language) {
        Err(error) => Judged { language, good: false, faults: vec![error.to_string()], measured: None },
        Ok(pack) => {
            let faults: Vec<String> = judge(&pack).iter().map(ToString::to_string).collect();
            let measured = Measured {
                prompts: pack.iter().count(),
                seconds: pack.iter().map(|(_, samples)| seconds(samples)).sum(),
                level_dbov: pack.voice_level_dbov(),
                pin_question_seconds: pin_question_seconds(&pack),
            };
            Judged { language, good: faults.is_empty(), faults, measured: Some(measured) }
        }
    }
}

fn tell(pack: &Judged, out: &mut impl Write) -> std::io::Result<()> {
    let Judged { language, faults, measured, .. } = pack;
    let Some(measured) = measured else {
        return faults.iter().try_for_each(|fault| writeln!(out, "{fault}"));
    };
    for fault in faults {
        writeln!(out, "{language}: {fault}")?;
    }
    writeln!(
        out,
        "{language}: {} prompts, {:.0} s, active speech at {:.2} dBov (ITU-T P.56), welcome and PIN question in \
         {:.2} s: {}",
        measured.prompts,
        measured.seconds,
        measured.level_dbov.unwrap_or(f64::NEG_INFINITY),
        measured.pin_question_seconds,
        match faults.len() {
            0 => "good".to_owned(),
            1 => "1 fault".to_owned(),
            several => format!("{several} faults"),
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packs_in_the_program_are_good_and_a_broken_one_is_told() {
        let mut out = Vec::new();
        let code = run(&Packs { folder: None, language: None }, false, &mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        assert_eq!(code, ExitCode::SUCCESS, "{said}");
        assert_eq!(said.lines().count(), 2, "{said}");
        assert!(said.lines().all(|line| line.ends_with(": good")), "{said}");

        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pl-PL")).unwrap();
        let packs = Packs { folder: Some(folder.path().to_owned()), language: None };
        let mut out = Vec::new();
        assert_eq!(run(&packs, false, &mut out).unwrap(), ExitCode::FAILURE);
        assert!(String::from_utf8(out).unwrap().contains("catalogue.toml"));
        let mut out = Vec::new();
        assert_eq!(run(&packs, true, &mut out).unwrap(), ExitCode::FAILURE);
        let told: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            (&told["good"], &told["packs"][0]["language"]),
            (&false.into(), &"pl-PL".into()),
            "{told}"
        );
        assert!(told["packs"][0]["faults"][0].as_str().unwrap().contains("catalogue.toml"), "{told}");
    }
}
