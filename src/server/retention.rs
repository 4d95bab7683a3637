//! The hourly sweep: what is kept no longer goes, from the database and from the folder of recordings.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::SignedDuration;
use tracing::{error, info, warn};

use crate::store::{self, Store};
use crate::types::Now;

/// How long each is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retention {
    pub rows: store::Retention,
    /// Files in the folder of recordings; `None`: for ever.
    pub recordings: Option<Duration>,
}

/// The first sweep waits until a clock that was wrong at boot has been put right.
const FIRST_AFTER: Duration = Duration::from_secs(10 * 60);
const EVERY: Duration = Duration::from_secs(60 * 60);

/// A clock that went this much otherwise than time itself was set; what its date says is not yet believed.
const STEP_MAX: SignedDuration = SignedDuration::from_mins(30);

/// Sweeps until it is dropped. Wrong entries without effect are pruned at the start too.
pub(super) async fn run(store: Store, retention: Retention, recordings: PathBuf) {
    let mut clock = Clock::default();
    let mut wait = FIRST_AFTER;
    loop {
        let now = Now::read();
        // It is tried again; until then old rows are in nobody's way.
        if let Err(cause) = store.prune_guesses(now.date).await {
            error!(%cause, "old wrong entries not pruned");
        }
        match clock.judge(now) {
            Judged::First => {}
            Judged::Stepped => warn!("the clock was set: nothing is deleted by its date for an hour"),
            Judged::Steady => sweep(&store, &retention, &recordings, now).await,
        }
        tokio::time::sleep(wait).await;
        wait = EVERY;
    }
}

async fn sweep(store: &Store, retention: &Retention, recordings: &Path, now: Now) {
    match store.sweep(&retention.rows, now.date).await {
        Ok(swept) => {
            let tables = [
                ("calls", swept.calls),
                ("notices", swept.notices),
                ("webhooks", swept.hooks),
                ("meetings", swept.meetings),
                ("verified-numbers", swept.verified_numbers),
                ("request-outcomes", swept.outcomes),
            ];
            for (table, rows) in tables.into_iter().filter(|(_, rows)| *rows > 0) {
                info!(table, rows, "kept no longer, deleted");
                metrics::counter!("doorline_swept_rows_total", "table" => table).increment(rows);
            }
        }
        Err(cause) => error!(%cause, "what is kept no longer was not deleted"),
    }
    let Some(kept) = retention.recordings else { return };
    let folder = recordings.to_owned();
    let before = SystemTime::now().checked_sub(kept);
    let swept = tokio::task::spawn_blocking(move || old_recordings(&folder, before?).ok()).await;
    match swept {
        Ok(Some(files)) if files > 0 => info!(files, "recordings kept no longer, deleted"),
        Ok(_) => {}
        Err(cause) => error!(%cause, "old recordings not deleted"),
    }
}

/// Deletes recordings that were last written before that time: how many. Other files are not ours.
fn old_recordings(folder: &Path, before: SystemTime) -> io::Result<usize> {
    let mut gone = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let ours = path.extension().is_some_and(|end| end == "wav" || end == "csv");
        // Not through links: what they lead to may be anybody's.
        let about = entry.metadata()?;
        if ours && about.is_file() && about.modified()? < before {
            match std::fs::remove_file(&path) {
                Ok(()) => gone += 1,
                Err(cause) => warn!(file = %path.display(), %cause, "old recording not deleted"),
            }
        }
    }
    Ok(gone)
}

/// Whether the date can be trusted with deleting: has it gone as time has?
#[derive(Debug, Default)]
struct Clock {
    last: Option<Now>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judged {
    First,
    Stepped,
    Steady,
}

impl Clock {
    fn judge(&mut self, now: Now) -> Judged {
        let Some(last) = self.last.replace(now) else { return Judged::First };
        let passed = now.instant.saturating_duration_since(last.instant);
        let passed = SignedDuration::try_from(passed).unwrap_or(SignedDuration::MAX);
        let step = now.date.duration_since(last.date).checked_sub(passed).map(|step| step.abs());
        if step.is_some_and(|step| step <= STEP_MAX) { Judged::Steady } else { Judged::Stepped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_deletes_nothing_until_it_has_gone_on_for_an_hour() {
        let mut clock = Clock::default();
        let start = Now::read();
        let hour = Duration::from_secs(3_600);
        let set = |now: Now, by: SignedDuration| Now { date: now.date + by, ..now };
        let cases = [
            ("the first look", start, Judged::First),
            ("an hour later", start.after(hour), Judged::Steady),
            (
                "set a year ahead",
                set(start.after(2 * hour), SignedDuration::from_hours(8_760)),
                Judged::Stepped,
            ),
            ("and gone on", set(start.after(3 * hour), SignedDuration::from_hours(8_760)), Judged::Steady),
            ("put back", start.after(4 * hour), Judged::Stepped),
            ("an hour back", set(start.after(5 * hour), SignedDuration::from_hours(-1)), Judged::Stepped),
            (
                "a second off",
                set(start.after(6 * hour), SignedDuration::from_millis(-3_599_000)),
                Judged::Steady,
            ),
        ];
        for (name, now, expected) in cases {
            assert_eq!(clock.judge(now), expected, "{name}");
        }
    }

    #[test]
    fn old_recordings_go_and_what_is_not_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["old.wav", "old-callers.csv", "new.wav", "notes.txt"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let old = SystemTime::now() - Duration::from_secs(10 * 86_400);
        for name in ["old.wav", "old-callers.csv", "notes.txt"] {
            let file = std::fs::File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        std::os::unix::fs::symlink(folder.path().join("notes.txt"), folder.path().join("link.wav")).unwrap();
        let gone = old_recordings(folder.path(), SystemTime::now() - Duration::from_secs(86_400)).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!((gone, left), (2, ["link.wav", "new.wav", "notes.txt"].map(str::to_owned).to_vec()));
    }
}
