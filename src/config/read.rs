//! Raw sections: a key is described once, on its field, and read, explained and suggested from there.
//!
//! [`section!`] makes the struct, the reader and the list of [`Key`]s of one table of the file. Unlike
//! a derived reader it goes on after a fault, so that all of them are told at once.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::fault::Faults;

/// One key, as `explain` prints it.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    /// The lines of its doc comment.
    pub doc: &'static [&'static str],
    pub presence: Presence,
    /// A value in TOML: the default, or an example.
    pub value: &'static str,
}

/// What it means when the key is not there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It has the value that `explain` shows.
    Default,
    /// It has none; `explain` shows an example behind `#`.
    Absent,
    /// A fault.
    Required,
}

/// One table of a file.
pub trait Section: Sized {
    /// The lines of the struct's doc comment.
    const ABOUT: &'static [&'static str];
    const KEYS: &'static [Key];

    /// Takes the keys out of `table`, which stands at `path` in the file (empty: at its top).
    fn read(table: &mut Table, path: &str, faults: &mut Faults) -> Self;
}

macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])* $key:ident: $kind:ty = $presence:ident($value:literal), )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $key: $kind, )*
        }

        impl $crate::config::read::Section for $name {
            const ABOUT: &'static [&'static str] = &[$($about),*];
            const KEYS: &'static [$crate::config::read::Key] = &[$(
                $crate::config::read::Key {
                    name: stringify!($key),
                    doc: &[$($doc),*],
                    presence: $crate::config::read::Presence::$presence,
                    value: $value,
                }
            ),*];

            fn read(
                table: &mut toml::Table,
                path: &str,
                faults: &mut $crate::config::fault::Faults,
            ) -> Self {
                let mut keys = Self::KEYS.iter();
                Self {
                    $( $key: $crate::config::read::take(
                        table,
                        keys.next().expect("there is a key for each field, in their order"),
                        path,
                        faults,
                    ), )*
                }
            }
        }
    };
}
pub(super) use section;

/// `name` inside `path`.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The value of `key`. After a fault: its default, or an empty one, so that reading goes on.
pub fn take<T: DeserializeOwned + Default>(
    table: &mut Table,
    key: &Key,
    path: &str,
    faults: &mut Faults,
) -> T {
    let here = join(path, key.name);
    if let Some(value) = table.remove(key.name) {
        match value.try_into() {
            Ok(value) => return value,
            Err(error) => faults.push(here, format!("{}, such as {}", in_words(&error), key.value)),
        }
    } else if key.presence == Presence::Required {
        faults.push(here, format!("missing, expected such as {}", key.value));
    }
    match key.presence {
        Presence::Default => parse(key.value).try_into().unwrap_or_default(),
        Presence::Absent | Presence::Required => T::default(),
    }
}

/// The reader's complaint without words of Rust.
fn in_words(error: &toml::de::Error) -> String {
    let numbers =
        |text: String, kind| text.replace(&format!("expected {kind}"), "expected a whole number from 0 on");
    ["usize", "u64"].into_iter().fold(error.message().to_owned(), numbers)
}

/// The value that a default is written as.
fn parse(value: &str) -> Value {
    let table: Table =
        format!("value = {value}").parse().expect("defaults are TOML, which a test of all of them proves");
    table.into_iter().next().map(|(_, value)| value).expect("a table of one key")
}

/// Where a key may stand: the name of a table (empty: the top) and the keys in it.
pub type Places = [(&'static str, &'static [Key])];

/// A fault for each key that is left in `table`, which stands at `path` and is of the kind `kind`
/// (`path` without a number in brackets).
pub fn refuse_unknown(table: &Table, path: &str, kind: &str, places: &Places, faults: &mut Faults) {
    for (name, value) in table {
        let section = value.is_table();
        let what = match (section, kind) {
            (true, "") => format!("unknown section {name:?}"),
            (false, "") => format!("unknown key {name:?}"),
            (_, kind) => format!("unknown key {name:?} in [{kind}]"),
        };
        let here = places.iter().filter(|(place, _)| *place == kind).flat_map(|(_, keys)| *keys);
        let mut known: Vec<&str> = here.map(|key| key.name).collect();
        let inner = places.iter().filter_map(|(place, _)| place.strip_prefix(kind)?.strip_prefix('.'));
        known.extend(inner.filter(|_| !kind.is_empty()));
        if kind.is_empty() {
            known.extend(places.iter().map(|(place, _)| *place).filter(|place| !place.is_empty()));
        }
        let elsewhere = places.iter().find(|(_, keys)| keys.iter().any(|key| key.name == name.as_str()));
        let hint = match (nearest(name, &known), elsewhere) {
            (_, Some((place, _))) if !place.is_empty() => format!(", it belongs in [{place}]"),
            (_, Some(_)) => ", it belongs at the top of the file, before any [section]".to_owned(),
            (Some(near), None) => format!(", did you mean {near:?}?"),
            (None, None) => format!(", expected one of: {}", known.join(", ")),
        };
        faults.push(join(path, name), format!("{what}{hint}"));
    }
}

/// The one of `known` that `text` is most likely a slip of.
pub fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    // Long names bear more slips; comparing cost is bounded by cutting what no name is as long as.
    let text: String = text.chars().take(64).flat_map(char::to_lowercase).collect();
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&text, name), *name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

/// The meaning of a word that is one of a few.
pub fn choice<T: Copy>(text: &str, choices: &[(&'static str, T)]) -> Result<T, String> {
    if let Some((_, meaning)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*meaning);
    }
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let (last, others) = quoted.split_last().expect("a choice has at least one word");
    let expected = if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) };
    let hint = nearest(text, &names).map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
    let shown: String = text.chars().take(40).collect();
    Err(format!("{shown:?}, expected {expected}{hint}"))
}

/// `value` if it lies in `range`.
pub fn within<T: PartialOrd + std::fmt::Display + Copy>(
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, String> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(format!("{value}, expected {} to {}", range.start(), range.end()))
    }
}
