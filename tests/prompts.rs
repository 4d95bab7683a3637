//! The prompt packs as callers hear them: complete, in the right format, level and length.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use doorline::bridge::Prompt;
use doorline::prompt::judge::{judge, mean_dbov, pin_question_seconds};
use doorline::prompt::{Catalogue, Pack, RATE, is_speech, level, render, wav};
use doorline::types::Language;

/// The languages of the repository.
const LANGUAGES: [&str; 2] = ["en-GB", "pl-PL"];

fn english() -> Pack {
    Pack::embedded(&Language::english()).unwrap()
}

fn folder(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts").join(language)
}

#[test]
fn the_catalogues_the_files_and_the_program_name_the_same_prompts() {
    let ids = |speech: bool| {
        let prompts = Prompt::all().filter(|prompt| is_speech(*prompt) == speech);
        prompts.map(Prompt::id).collect::<BTreeSet<_>>()
    };
    for language in LANGUAGES {
        let text = std::fs::read(folder(language).join("catalogue.toml")).unwrap();
        let catalogue = Catalogue::parse(&text).unwrap();
        assert_eq!(catalogue.language.as_str(), language);
        assert_eq!(
            catalogue.speech.keys().cloned().collect::<BTreeSet<_>>(),
            ids(true),
            "{language} [speech]"
        );
        // Tones and music are in the English pack for all.
        let sounds = catalogue.sounds.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(
            sounds,
            if language == "en-GB" { ids(false) } else { BTreeSet::new() },
            "{language} [sounds]"
        );

        let files: BTreeSet<String> = std::fs::read_dir(folder(language))
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".wav").map(str::to_owned))
            .collect();
        assert_eq!(files, ids(true).union(&sounds).cloned().collect(), "{language} files");
        for (id, words) in &catalogue.speech {
            assert!(words.trim().len() > 1, "{language} {id} says nothing");
        }
    }
}

#[test]
fn the_embedded_packs_are_the_folders() {
    let there: Vec<String> = Pack::languages().iter().map(Language::to_string).collect();
    assert_eq!(there, LANGUAGES);
    for language in LANGUAGES {
        let embedded = Pack::embedded(&language.parse().unwrap()).unwrap();
        let loaded = Pack::load(&folder(language)).unwrap();
        assert_eq!(embedded.language(), loaded.language());
        for prompt in Prompt::all() {
            assert_eq!(embedded.samples(prompt), loaded.samples(prompt), "{language} {}", prompt.id());
        }
    }
}

#[test]
fn every_pack_is_as_loud_as_long_and_as_clean_as_it_must_be() {
    for language in LANGUAGES {
        let pack = Pack::embedded(&language.parse().unwrap()).unwrap();
        // 0 dBm0 is -6.15 dBov.
        println!(
            "{language}: active speech over all prompts {:.2} dBov (ITU-T P.56), expected -22.15; welcome and PIN \
             question {:.2} s, at most 5",
            pack.voice_level_dbov().unwrap(),
            pin_question_seconds(&pack)
        );
        let faults: Vec<String> = judge(&pack).iter().map(ToString::to_string).collect();
        assert!(faults.is_empty(), "{language}: {faults:#?}");
    }
}

#[test]
fn a_prompt_that_is_too_loud_too_long_or_badly_cut_is_named() {
    let changed = |prompt: &str, change: &dyn Fn(Vec<i16>) -> Vec<i16>| {
        let own = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(folder("pl-PL")).unwrap() {
            let from = entry.unwrap().path();
            std::fs::copy(&from, own.path().join(from.file_name().unwrap())).unwrap();
        }
        let file = own.path().join(format!("{prompt}.wav"));
        let samples = wav::samples(&std::fs::read(&file).unwrap()).unwrap();
        render::write(&file, &change(samples)).unwrap();
        judge(&Pack::load(own.path()).unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let louder =
        |by: f64| move |samples: Vec<i16>| samples.iter().map(|s| (f64::from(*s) * by) as i16).collect();
    type Change<'a> = &'a dyn Fn(Vec<i16>) -> Vec<i16>;
    let cases: &[(&str, &str, Change<'_>, &str)] = &[
        ("as it is", "muted", &|samples| samples, ""),
        ("too soft", "muted", &louder(0.3), "muted: -"),
        ("beyond the peak", "muted", &louder(9.0), "muted: peak 32768, expected at most 32000"),
        ("too long", "muted", &|samples| samples.repeat(6), "muted: "),
        (
            "silence before it",
            "muted",
            &|samples| [vec![0; 3_200], samples].concat(),
            "muted: begins with silence",
        ),
        ("cut off", "muted", &|samples| samples[..samples.len() / 2].to_vec(), "muted: ends with a click"),
        ("a slow question", "enter-pin", &|samples| samples.repeat(3), "welcome and PIN question take"),
    ];
    for (name, prompt, change, expected) in cases {
        let faults = changed(prompt, *change);
        if expected.is_empty() {
            assert!(faults.is_empty(), "{name}: {faults:?}");
        } else {
            assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{name}: {faults:?}");
        }
    }
}

#[test]
fn the_music_goes_round_without_a_seam() {
    let music = english().samples(Prompt::Music).clone();
    let step = |a: i16, b: i16| (i32::from(a) - i32::from(b)).abs();
    let largest = music.windows(2).map(|pair| step(pair[0], pair[1])).max().unwrap();
    let seam = step(music[music.len() - 1], music[0]);
    assert!(seam <= largest, "step of {seam} at the seam, {largest} within");
    // Nor is there a hole: the half second around the seam is as loud as other half seconds are.
    let half = RATE as usize / 4;
    let around = [&music[music.len() - half..], &music[..half]].concat();
    assert!(mean_dbov(&around) > -42.0, "{}", mean_dbov(&around));
}

#[test]
fn a_pack_that_lacks_prompts_names_them_all() {
    let own = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder("en-GB")).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap();
        if name != "goodbye.wav" && name != "number-7.wav" {
            std::fs::copy(&from, own.path().join(name)).unwrap();
        }
    }
    let error = Pack::load(own.path()).unwrap_err().to_string();
    assert!(error.ends_with("2 of 117 prompts missing: goodbye, number-7"), "{error}");

    std::fs::write(own.path().join("music.wav"), b"RIFF, not really").unwrap();
    let error = Pack::load(own.path()).unwrap_err().to_string();
    assert!(error.contains("music.wav: ") && error.ends_with("expected a WAV file"), "{error}");

    std::fs::write(own.path().join("catalogue.toml"), "language = \"en-GB\"\nvoise = 1").unwrap();
    let error = Pack::load(own.path()).unwrap_err().to_string();
    assert!(error.contains("catalogue.toml: line 2: unknown field `voise`"), "{error}");
}

#[test]
fn an_operators_own_pack_replaces_the_embedded_one() {
    let own = tempfile::tempdir().unwrap();
    let pack = own.path().join("en-GB");
    std::fs::create_dir(&pack).unwrap();
    let error = Pack::find(Some(own.path()), &Language::english()).unwrap_err().to_string();
    assert!(error.contains("catalogue.toml: "), "its own, though incomplete: {error}");

    let german: Language = "de-DE".parse().unwrap();
    let error = Pack::find(Some(own.path()), &german).unwrap_err().to_string();
    assert_eq!(error, "no prompts for language de-DE, there are: en-GB, pl-PL");
}

#[test]
fn the_sounds_are_what_their_script_makes() {
    // Speech needs flite; tones and music only Python, so that they can be checked anywhere.
    let script = "
import sys; sys.dont_write_bytecode = True; sys.path.insert(0, 'prompts')
from array import array; from sounds import SOUNDS, sound; import wave
for name in SOUNDS:
    with wave.open(f'prompts/en-GB/{name}.wav') as file:
        kept = array('h', file.readframes(file.getnframes())).tolist()
    made = sound(name)
    worst = max(abs(a - b) for a, b in zip(made, kept)) if len(made) == len(kept) else 'another length'
    print(name, worst)
";
    let ran = Command::new("python3")
        .args(["-c", script])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("python3 is among what `make test` installs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(said.lines().count(), 6, "{said}");
    for line in said.lines() {
        // Another machine's sine may round otherwise, by one.
        assert!(line.ends_with(" 0") || line.ends_with(" 1"), "{said}");
    }
}

#[test]
fn both_measures_of_speech_level_agree() {
    let names = ["enter-pin", "help-moderator", "number-8"];
    let ran = Command::new("python3")
        .arg("prompts/speech_level.py")
        .args(names.map(|name| format!("prompts/en-GB/{name}.wav")))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("python3 is among what `make test` installs");
    let said = String::from_utf8_lossy(&ran.stdout);
    let pack = english();
    for (line, name) in said.lines().zip(names) {
        let prompt = Prompt::all().find(|prompt| prompt.id() == name).unwrap();
        let ours = level::active_speech_dbov(pack.samples(prompt).iter().copied(), RATE).unwrap();
        assert!(line.contains(&format!("{ours:.2} dBov")), "{line}; ours {ours:.2}");
    }
    assert_eq!(said.lines().count(), names.len(), "{}", String::from_utf8_lossy(&ran.stderr));
}
