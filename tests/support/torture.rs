//! The torture messages of RFC 4475 and RFC 5118, and what may be answered to each.
//!
//! Codes come from the INDEX.tsv beside the messages, one line a file: every status that is a right
//! answer of ours, whether silence is one too, and what must never happen (in words).

use std::fs;
use std::path::PathBuf;

/// One message and its allowed answers.
pub struct Case {
    /// As in its index: `wsinv.dat`, `wire/ipv6-good.dat`.
    pub file: String,
    pub bytes: Vec<u8>,
    /// Statuses that are right answers; empty for responses.
    pub codes: Vec<u16>,
    /// No answer at all is right too.
    pub silent_ok: bool,
    /// In words, with bare statuses among them: `400; treating NUL as end of string`.
    pub must_not: String,
}

/// All of both RFCs, and the message of RFC 4475 §3.1.2.15 with the end that its archive lost.
#[must_use]
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for rfc in ["rfc4475", "rfc5118"] {
        let index =
            fs::read_to_string(folder(rfc).join("INDEX.tsv")).expect("the index is in the repository");
        let mut lines = index.lines();
        let columns: Vec<&str> = lines.next().expect("an index has a first line").split('\t').collect();
        let column = |name| columns.iter().position(|c| *c == name).expect("the index has this column");
        let [file, codes, silent, must_not] = ["file", "doorline_codes", "silent_ok", "must_not"].map(column);
        for line in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            cases.push(Case {
                file: fields[file].to_owned(),
                bytes: fs::read(folder(rfc).join(fields[file])).expect("every file of the index is there"),
                codes: fields[codes]
                    .split(',')
                    .filter(|c| !c.is_empty())
                    .map(|c| c.parse().unwrap())
                    .collect(),
                silent_ok: fields[silent] == "True",
                must_not: fields.get(must_not).copied().unwrap_or_default().to_owned(),
            });
        }
    }
    let (codes, silent_ok, must_not) = {
        let cut = cases.iter().find(|case| case.file == "baddn.dat").expect("baddn is in the index");
        (cut.codes.clone(), cut.silent_ok, cut.must_not.clone())
    };
    let file = "derived/baddn-terminated.dat";
    let bytes = fs::read(folder("rfc4475").join(file)).expect("the derived message is there");
    cases.push(Case { file: file.to_owned(), bytes, codes, silent_ok, must_not });
    cases
}

/// The codes, whether silence is right, and what must not happen.
#[must_use]
pub fn allowed(file: &str) -> (Vec<u16>, bool, String) {
    let case = all().into_iter().find(|case| case.file == file);
    let case = case.unwrap_or_else(|| panic!("{file} is in no index"));
    (case.codes, case.silent_ok, case.must_not)
}

impl Case {
    /// Whether this answer, or `None` for silence, is a right one.
    #[must_use]
    pub fn allows(&self, answer: Option<u16>) -> bool {
        answer.map_or(self.silent_ok, |status| self.codes.contains(&status))
    }
}

fn folder(rfc: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture").join(rfc)
}
