//! Records that could not be written, kept in a file of JSON lines until they can.
//!
//! What is secret in a record is sealed before it comes here.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The file, which is there only while it holds something.
pub(super) struct Spill {
    path: PathBuf,
    lock: Mutex<()>,
}

impl Spill {
    /// Beside the database: `doorline.db.spilled`.
    pub fn beside(database: &Path) -> Self {
        Self { path: with_ending(database, ".spilled"), lock: Mutex::new(()) }
    }

    pub fn add<T: Serialize>(&self, rows: &[T]) -> std::io::Result<()> {
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row)?;
            lines.push(b'\n');
        }
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        file.write_all(&lines)?;
        file.sync_data()
    }

    /// Is there anything to replay?
    pub fn is_empty(&self) -> bool {
        !self.path.exists() && !self.taken().exists()
    }

    /// Puts the file aside and opens it; what spills meanwhile goes into a new one. A file that an
    /// earlier replay did not finish comes first.
    pub fn take<T: DeserializeOwned>(&self) -> std::io::Result<Option<Replay<T>>> {
        let taken = self.taken();
        if !taken.exists() {
            let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            match std::fs::rename(&self.path, &taken) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let lines = BufReader::new(File::open(&taken)?);
        let unreadable = with_ending(&self.path, ".unreadable");
        Ok(Some(Replay { lines, taken, unreadable, row: std::marker::PhantomData }))
    }

    fn taken(&self) -> PathBuf {
        with_ending(&self.path, ".replaying")
    }
}

/// A file being replayed. Dropped before [`Replay::finish`] it stays, and is replayed again.
pub(super) struct Replay<T> {
    lines: BufReader<File>,
    taken: PathBuf,
    unreadable: PathBuf,
    row: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Replay<T> {
    /// The next rows, at most `count`; none at the end. A line that is no row (cut off by a crash)
    /// is moved to a file of its own.
    pub fn next(&mut self, count: usize) -> std::io::Result<Vec<T>> {
        let mut rows = Vec::with_capacity(count);
        let mut line = Vec::new();
        while rows.len() < count && self.lines.read_until(b'\n', &mut line)? > 0 {
            match serde_json::from_slice(&line) {
                Ok(row) => rows.push(row),
                Err(cause) => {
                    tracing::warn!(file = %self.unreadable.display(), %cause, "spilled record put aside");
                    let mut file =
                        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.unreadable)?;
                    file.write_all(&line)?;
                }
            }
            line.clear();
        }
        Ok(rows)
    }

    pub fn finish(self) -> std::io::Result<()> {
        std::fs::remove_file(&self.taken)
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
