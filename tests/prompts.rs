//! The prompt packs as callers hear them: complete, in the right format, level and length.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use doorline::bridge::Prompt;
use doorline::prompt::{Catalogue, Pack, RATE, is_speech, level};
use doorline::types::Language;

fn english() -> Pack {
    Pack::embedded(&Language::english()).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/en-GB")
}

fn seconds(samples: &[i16]) -> f64 {
    samples.len() as f64 / f64::from(RATE)
}

fn rms_dbov(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|sample| (f64::from(*sample) / 32_768.0).powi(2)).sum();
    10.0 * (energy / samples.len() as f64).log10()
}

#[test]
fn the_catalogue_the_files_and_the_program_name_the_same_prompts() {
    let program: BTreeSet<String> = Prompt::all().map(Prompt::id).collect();
    let catalogue = Catalogue::parse(&std::fs::read(folder().join("catalogue.toml")).unwrap()).unwrap();
    let (sounds, speech): (Vec<_>, Vec<_>) = Prompt::all().partition(|prompt| !is_speech(*prompt));
    let ids = |prompts: Vec<Prompt>| prompts.into_iter().map(Prompt::id).collect::<BTreeSet<_>>();
    assert_eq!(catalogue.speech.keys().cloned().collect::<BTreeSet<_>>(), ids(speech), "[speech]");
    assert_eq!(catalogue.sounds.keys().cloned().collect::<BTreeSet<_>>(), ids(sounds), "[sounds]");

    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".wav").map(str::to_owned))
        .collect();
    assert_eq!(files, program, "files");
}

#[test]
fn the_embedded_pack_is_the_folder() {
    let (embedded, loaded) = (english(), Pack::load(&folder()).unwrap());
    assert_eq!(embedded.language(), loaded.language());
    for prompt in Prompt::all() {
        assert_eq!(embedded.samples(prompt), loaded.samples(prompt), "{}", prompt.id());
    }
    assert_eq!(Pack::languages(), [Language::english()]);
}

#[test]
fn the_whole_voice_speaks_at_minus_16_dbm0() {
    // 0 dBm0 is -6.15 dBov.
    let level = english().voice_level_dbov().unwrap();
    println!("active speech over all prompts: {level:.2} dBov (ITU-T P.56), expected -22.15");
    assert!((level + 22.15).abs() < 0.5, "{level}");
}

#[test]
fn no_prompt_stands_out_from_the_others() {
    for (prompt, samples) in english().iter().filter(|(prompt, _)| is_speech(*prompt)) {
        let level = level::active_speech_dbov(samples.iter().copied(), RATE).unwrap();
        assert!((-26.5..=-17.5).contains(&level), "{}: {level:.1} dBov", prompt.id());
    }
}

#[test]
fn tones_and_music_stay_below_the_voice() {
    // -26 dBm0.
    for (prompt, samples) in english().iter().filter(|(prompt, _)| !is_speech(*prompt)) {
        let level = rms_dbov(samples);
        assert!((level + 32.15).abs() < 0.5, "{}: {level:.2} dBov", prompt.id());
    }
}

#[test]
fn the_pin_question_is_over_within_5_seconds() {
    let pack = english();
    let all = seconds(pack.samples(Prompt::Welcome)) + seconds(pack.samples(Prompt::EnterPin));
    println!("welcome and PIN question: {all:.2} s, at most 5");
    assert!(all <= 5.0, "{all}");
}

#[test]
fn every_prompt_is_as_long_as_its_kind_may_be() {
    for (prompt, samples) in english().iter() {
        let bounds = match prompt {
            Prompt::Number(_) => 0.2..=1.0,
            Prompt::JoinTone
            | Prompt::LeaveTone
            | Prompt::NameTone
            | Prompt::HandTone
            | Prompt::JoinedWithoutCodeTone => 0.1..=0.4,
            Prompt::Music => 30.0..=60.0,
            Prompt::HelpGuest => 3.0..=12.0,
            Prompt::HelpModerator => 3.0..=20.0,
            _ => 0.3..=5.0,
        };
        let length = seconds(samples);
        assert!(bounds.contains(&length), "{}: {length:.2} s, expected {bounds:?}", prompt.id());
    }
}

#[test]
fn nothing_clips_or_clicks() {
    for (prompt, samples) in english().iter() {
        let id = prompt.id();
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!(peak <= 32_000, "{id}: peak {peak}");
        if prompt == Prompt::Music {
            continue;
        }
        // The first and last 2 ms: below -60 dBov, so that neither a start nor an end is heard.
        let edge = RATE as usize / 500;
        for (end, part) in [("begins", &samples[..edge]), ("ends", &samples[samples.len() - edge..])] {
            let level = rms_dbov(part);
            assert!(level < -60.0, "{id} {end} at {level:.1} dBov");
        }
    }
}

#[test]
fn speech_is_trimmed_of_silence() {
    for (prompt, samples) in english().iter() {
        // 40 ms at either end hold something audible: 20 ms are kept and the sound may rise slowly.
        let edge = RATE as usize * 40 / 1000;
        for (end, part) in [("begins", &samples[..edge]), ("ends", &samples[samples.len() - edge..])] {
            let peak = part.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
            assert!(peak > 16, "{} {end} with silence, peak {peak}", prompt.id());
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
    assert!(rms_dbov(&around) > -42.0, "{}", rms_dbov(&around));
}

#[test]
fn a_pack_that_lacks_prompts_names_them_all() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(self::folder()).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap();
        if name != "goodbye.wav" && name != "number-7.wav" {
            std::fs::copy(&from, folder.path().join(name)).unwrap();
        }
    }
    let error = Pack::load(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("2 of 103 prompts missing: goodbye, number-7"), "{error}");

    std::fs::write(folder.path().join("music.wav"), b"RIFF, not really").unwrap();
    let error = Pack::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("music.wav: ") && error.ends_with("expected a WAV file"), "{error}");

    std::fs::write(folder.path().join("catalogue.toml"), "language = \"en-GB\"\nvoise = 1").unwrap();
    let error = Pack::load(folder.path()).unwrap_err().to_string();
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
    assert_eq!(error, "no prompts for language de-DE, there are: en-GB");
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
