//! Passwords of trunks: from files that nobody else can read to what signalling proves itself with.

use std::fs::File;
use std::path::Path;

use super::fault::Faults;
use super::finish::private_text;
use super::raw::Auth;
use super::read::choice;
use crate::sip::digest::{Algorithm, Guard};
use crate::types::Password;

/// Most users of one trunk.
const USERS_MAX: usize = 1_000;

/// Who may call over a trunk with `[auth]`; `None` without one, and after a fault.
pub fn guard(raw: &Auth, folder: &Path, faults: &mut Faults) -> Option<Guard> {
    let algorithms = algorithms(&raw.algorithms, faults);
    if !is_word(&raw.realm) {
        faults.push("auth.realm", "empty or with odd characters, expected a word such as \"doorline\"");
    }
    let Some(names) = &raw.users else {
        if raw.password_file.is_some() {
            faults.push("auth.users", "missing, expected the names that password_file is for");
        }
        return None;
    };
    if names.is_empty() || names.len() > USERS_MAX || !names.iter().all(|name| is_word(name)) {
        faults.push("auth.users", format!("expected 1 to {USERS_MAX} names without colons"));
        return None;
    }
    let text = password_text("auth.password_file", raw.password_file.as_deref(), folder, faults)?;
    let mut users = Vec::new();
    for name in names {
        let Some(password) = password_of(&text, name, names.len() == 1) else {
            // Which of them is missing is no secret to who wrote both.
            let at = names.iter().position(|other| other == name).unwrap_or_default() + 1;
            faults.push(
                "auth.password_file",
                format!("no line for user {at} of users, expected user:password"),
            );
            return None;
        };
        if users.iter().any(|(other, _)| other == name) {
            faults.push("auth.users", "one name twice, expected each once");
        }
        users.push((name.clone(), password));
    }
    Some(Guard { realm: raw.realm.clone(), algorithms: algorithms?, users })
}

/// The one password in the file that `key` names.
pub fn password(key: &str, file: Option<&str>, folder: &Path, faults: &mut Faults) -> Option<Password> {
    let text = password_text(key, file, folder, faults)?;
    text.lines().find(|line| !line.is_empty()).map(Password::new)
}

fn password_text(key: &str, file: Option<&str>, folder: &Path, faults: &mut Faults) -> Option<String> {
    let Some(file) = file else {
        faults.push(key, "missing, expected a file with the password");
        return None;
    };
    let path = folder.join(file);
    let text = File::open(&path)
        .map_err(|error| format!("{error}, expected a file with the password"))
        .and_then(|open| private_text(open, "the password"));
    match text {
        Ok(text) if text.trim().is_empty() => {
            faults.push(key, format!("{}: empty", path.display()));
            None
        }
        Ok(text) => Some(text),
        Err(what) => {
            faults.push(key, format!("{}: {what}", path.display()));
            None
        }
    }
}

fn password_of(text: &str, name: &str, alone: bool) -> Option<Password> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let own = lines.clone().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let password = match own {
        Some(password) => password,
        None if alone => lines.next()?,
        None => return None,
    };
    (!password.is_empty()).then(|| Password::new(password))
}

fn algorithms(names: &[String], faults: &mut Faults) -> Option<Vec<Algorithm>> {
    let choices = Algorithm::ALL.map(|algorithm| (algorithm.name(), algorithm));
    let mut algorithms = Vec::new();
    for name in names {
        let algorithm = faults.keep("auth.algorithms", choice(name, &choices))?;
        if algorithms.contains(&algorithm) {
            faults.push("auth.algorithms", format!("{:?} twice, expected each once", algorithm.name()));
            return None;
        }
        algorithms.push(algorithm);
    }
    if algorithms.is_empty() {
        faults.push("auth.algorithms", "none, expected such as [\"SHA-256\", \"MD5\"]");
        return None;
    }
    Some(algorithms)
}

/// A user or a realm: printable, no colon, which digest puts between them, at most 128 characters.
fn is_word(text: &str) -> bool {
    (1..=128).contains(&text.chars().count()) && !text.chars().any(|c| c.is_control() || c == ':')
}
