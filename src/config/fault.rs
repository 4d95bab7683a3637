//! What is wrong with a configuration: file, key, reason, in one line.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::types::text::misleads;

/// One thing that is wrong. All of them are collected, so that one reading shows everything.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    pub file: PathBuf,
    /// Such as `sip.listen` or `access_number[2].number`, counted from 1; empty: the file as a whole.
    pub key: String,
    /// What we got and what we expected, without a full stop. Never a secret.
    pub what: String,
}

impl Fault {
    /// A fault of no file alone.
    pub(crate) fn of_all(what: &str) -> Self {
        Self { file: PathBuf::from("configuration"), key: String::new(), what: what.to_owned() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", one_line(&self.file.display().to_string()))?;
        if !self.key.is_empty() {
            write!(f, "{}: ", one_line(&self.key))?;
        }
        f.write_str(&one_line(&self.what))
    }
}

/// The faults of one file, as they are found.
pub(super) struct Faults {
    pub file: PathBuf,
    pub found: Vec<Fault>,
}

impl Faults {
    pub fn of(file: &Path) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    pub fn push(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.found.push(Fault { file: self.file.clone(), key: key.into(), what: what.into() });
    }

    /// The value, or a fault under `key` and nothing.
    pub fn keep<T, E: fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.push(key, error.to_string())).ok()
    }
}

/// Text from a file as part of one line: control characters escaped, at most 400 characters.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().take(400) {
        if misleads(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
