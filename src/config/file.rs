//! One file of the configuration, taken apart into its tables.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::{Table, Value};

use super::fault::Faults;
use super::read::{self, Places, Section};

/// Largest file. A configuration of a thousand access numbers has 100 kB.
const BYTES_MAX: u64 = 1024 * 1024;

/// The tables of a file, taken out one by one with [`Document::section`]. What is left at the end is
/// unknown.
pub struct Document {
    table: Table,
    places: &'static Places,
}

impl Document {
    /// Reads `faults.file`. `None`: it cannot be read as TOML, and the fault says where and why.
    pub fn open(places: &'static Places, faults: &mut Faults) -> Option<Self> {
        let text = match text(&faults.file) {
            Ok(text) => text,
            Err(what) => {
                faults.push("", what);
                return None;
            }
        };
        match text.parse::<Table>() {
            Ok(table) => Some(Self { table, places }),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let before = text.get(..at).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                let what = error.message().trim().replace('\n', ", ");
                faults.push("", format!("line {line}, column {column}: {what}"));
                None
            }
        }
    }

    /// The table `[name]`, or its defaults if it is not there.
    pub fn section<S: Section>(&mut self, name: &str, faults: &mut Faults) -> S {
        match self.table.remove(name) {
            None => S::read(&mut Table::new(), name, faults),
            Some(Value::Table(table)) => self.one(table, name, name, faults),
            Some(other) => {
                faults.push(name, format!("{}, expected a section [{name}]", other.type_str()));
                S::read(&mut Table::new(), name, faults)
            }
        }
    }

    /// Each of the tables `[[name]]`, with its path.
    pub fn sections<S: Section>(&mut self, name: &str, faults: &mut Faults) -> Vec<(String, S)> {
        let tables = match self.table.remove(name) {
            None => return Vec::new(),
            Some(Value::Array(tables)) => tables,
            Some(other) => {
                faults.push(name, format!("{}, expected parts [[{name}]]", other.type_str()));
                return Vec::new();
            }
        };
        let mut sections = Vec::new();
        for (at, table) in tables.into_iter().enumerate() {
            let path = format!("{name}[{}]", at + 1);
            match table {
                Value::Table(table) => {
                    let section = self.one(table, &path, name, faults);
                    sections.push((path, section));
                }
                other => faults.push(path, format!("{}, expected a part [[{name}]]", other.type_str())),
            }
        }
        sections
    }

    fn one<S: Section>(&self, mut table: Table, path: &str, kind: &str, faults: &mut Faults) -> S {
        let section = S::read(&mut table, path, faults);
        read::refuse_unknown(&table, path, kind, self.places, faults);
        section
    }

    /// The keys before any section, once all sections have been taken out.
    pub fn top<S: Section>(mut self, faults: &mut Faults) -> S {
        let section = S::read(&mut self.table, "", faults);
        read::refuse_unknown(&self.table, "", "", self.places, faults);
        section
    }

    /// Makes the table `[section.key]` one of its own, for [`Document::section`] under that name.
    pub fn lift(&mut self, section: &str, key: &str) {
        let outer = self.table.get_mut(section).and_then(Value::as_table_mut);
        if let Some(inner) = outer.and_then(|table| table.remove(key)) {
            self.table.insert(read::join(section, key), inner);
        }
    }
}

/// The text of a file of bounded size.
fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("larger than {BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line}: not UTF-8")
    })
}
