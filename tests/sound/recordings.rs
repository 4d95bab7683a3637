//! Recordings: what is in the file, and what becomes of the meeting when there is none.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorline::audio::goertzel::amplitude;
use doorline::media::{Event, RecordingEnd, recording};
use doorline::types::MeetingId;

use super::lab::Lab;

/// What a recording's file holds, of each channel.
fn recorded(folder: &Path, end: &str) -> Vec<Vec<i16>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.to_string_lossy().ends_with(end)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let file = files.remove(0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut reader = hound::WavReader::open(file).unwrap();
    let channels = usize::from(reader.spec().channels);
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    (0..channels).map(|channel| samples.iter().skip(channel).step_by(channels).copied().collect()).collect()
}

#[test]
fn a_recording_holds_all_voices_and_each_alone() {
    let mut lab = Lab::new(1);
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("recordings");
    lab.engine.set_recording(recording::Settings {
        folder: into.clone(),
        per_caller: true,
        longest: Duration::from_secs(60),
    });
    let meeting = MeetingId::numbered(1);
    lab.engine.record(meeting, true);
    for number in 0..3 {
        lab.call();
        lab.join(number, 1);
    }
    lab.engine.mute(lab.phones[2].call, true);
    lab.run(0.5);
    lab.engine.record(meeting, true);
    lab.engine.record(meeting, true);
    lab.run(2.0);
    lab.engine.record(meeting, false);
    lab.run(0.5);
    let ended = |why| Event::RecordingEnded { meeting, why };
    let nobody_there = ended(RecordingEnd::NothingToRecord);
    assert_eq!(lab.happened, [nobody_there, ended(RecordingEnd::Stopped)]);
    let all = recorded(&into, "Z.wav");
    assert!((15_000..17_000).contains(&all[0].len()), "{} samples", all[0].len());
    let voices = recorded(&into, "-callers.wav");
    assert_eq!(voices.len(), 2, "who is muted is not recorded");
    for number in 0..3 {
        let frequency = lab.phones[number].frequency;
        let heard = |sound: &[i16]| amplitude(&sound[4_000..], frequency) / 3_000.0;
        let expected = if number < 2 { 1.0 } else { 0.0 };
        assert!((heard(&all[0]) - expected).abs() < 0.1, "{number}: {:.2}", heard(&all[0]));
        let loudest = voices.iter().map(|voice| heard(voice)).fold(0.0, f64::max);
        let softest = voices.iter().map(|voice| heard(voice)).fold(1.0, f64::min);
        assert!((loudest - expected).abs() < 0.1 && softest < 0.05, "{number}: {loudest:.2} {softest:.2}");
    }
    lab.assert_hears(0, &[1]);
}

#[test]
fn a_recording_that_cannot_be_written_ends_and_the_callers_hear_each_other() {
    let mut lab = Lab::new(1);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("recordings"), "no folder").unwrap();
    let settings = recording::Settings {
        folder: folder.path().join("recordings"),
        per_caller: false,
        longest: Duration::from_secs(60),
    };
    lab.engine.set_recording(settings.clone());
    for number in 0..2 {
        lab.call();
        lab.join(number, 1);
    }
    let meeting = MeetingId::numbered(1);
    lab.run(0.1);
    lab.engine.record(meeting, true);
    lab.run(1.0);
    assert!(
        matches!(lab.happened[..], [Event::RecordingEnded { why: RecordingEnd::Failed(_), .. }]),
        "{:?}",
        lab.happened
    );
    lab.assert_hears(0, &[1]);
    // The folder is mended: it is recorded until the last caller has left.
    fs::remove_file(&settings.folder).unwrap();
    lab.engine.record(meeting, true);
    lab.run(0.5);
    (0..2).for_each(|number| lab.engine.close(lab.phones[number].call));
    lab.run(0.3);
    let ended = Event::RecordingEnded { meeting, why: RecordingEnd::Stopped };
    assert!(lab.happened.contains(&ended), "{:?}", lab.happened);
    assert!(recorded(&settings.folder, ".wav")[0].len() > 3_000);
}
