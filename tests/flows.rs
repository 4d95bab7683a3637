//! The caller's way as stories: every file in `tests/flows/` holds some, each under a sentence.
//!
//! Lines with `>` happen, the others are what must come out of them. When rules change on
//! purpose, `REWRITE=1 cargo test --test flows` writes down what happens now; read the difference.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use doorline::bridge::rehearsal::play;

#[test]
fn every_story_goes_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flows");
    let rewrite = std::env::var_os("REWRITE").is_some();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let (mut stories, mut wrong) = (0, Vec::new());
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let (head, rest) = text.split_once("\n== ").expect("a file has a title and stories");
        let mut written = format!("{}\n", head.trim_end());
        for story in rest.split("\n== ") {
            let (sentence, script) = story.split_once('\n').unwrap();
            stories += 1;
            *told.entry(path.file_name().unwrap().to_string_lossy().into_owned()).or_insert(0) += 1;
            let (expected, happened) = play(script, Instant::now())
                .unwrap_or_else(|error| panic!("{}: {sentence}: {error}", path.display()));
            if expected != happened {
                let name = path.file_name().unwrap().to_string_lossy();
                wrong.push(format!("{name}: {sentence}\n{}", compared(&expected, &happened)));
            }
            written += &format!("\n== {sentence}\n");
            for line in
                script.lines().take_while(|line| !line.starts_with('>')).filter(|line| !line.is_empty())
            {
                written += &format!("{line}\n");
            }
            written += &format!("{}\n", happened.join("\n"));
        }
        if rewrite {
            fs::write(&path, written).unwrap();
        }
    }
    let clock = told.get("10-clock.txt").copied().unwrap_or_default();
    println!(
        "F9: {clock} stories of a clock that is set by an hour under calls, {} went otherwise",
        wrong.len()
    );
    assert!(clock > 3, "no stories of the clock");
    assert!(stories > 50, "only {stories} stories were found");
    assert!(
        rewrite || wrong.is_empty(),
        "{} of {stories} went otherwise:\n\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
}

/// What really happened; from the first line on that differs, with what was written beside it.
fn compared(expected: &[String], happened: &[String]) -> String {
    let same = expected.iter().zip(happened).take_while(|(a, b)| a == b).count();
    let mut lines: Vec<String> = happened[..same].iter().map(|line| format!("    {line}")).collect();
    lines.push(format!("  ! written: {}", expected.get(same).map_or("(the end)", |line| line)));
    lines.extend(happened[same..].iter().map(|line| format!("  * {line}")));
    lines.join("\n")
}
