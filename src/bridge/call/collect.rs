//! Keys into entries: a PIN or a code of fixed length.
//!
//! A key press is never lost: what comes while nobody asks waits in [`Typed`], so that
//! `PIN#CODE#` and `PINCODE` in one go need no prompt.

use std::collections::VecDeque;
use std::time::Instant;

use crate::types::Digit;

/// One entry on its way. Holds at most the digits it asks for.
#[derive(Debug)]
pub(crate) struct Collector {
    keys: Vec<Digit>,
    full: usize,
}

/// What a key did to an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pressed {
    More,
    /// Full length, or `#` after some digits.
    Complete,
    /// `*` took back what was entered; `had` says whether there was anything.
    Cleared {
        had: bool,
    },
    /// `#` alone, and A–D, do nothing.
    Nothing,
}

impl Collector {
    pub(crate) fn new(full: usize) -> Self {
        Self { keys: Vec::with_capacity(full), full }
    }

    pub(crate) fn press(&mut self, key: Digit) -> Pressed {
        if key == Digit::STAR {
            let had = !self.keys.is_empty();
            self.keys.clear();
            return Pressed::Cleared { had };
        }
        if key == Digit::POUND {
            return if self.keys.is_empty() { Pressed::Nothing } else { Pressed::Complete };
        }
        if !key.is_decimal() {
            return Pressed::Nothing;
        }
        self.keys.push(key);
        if self.keys.len() >= self.full { Pressed::Complete } else { Pressed::More }
    }

    pub(crate) fn keys(&self) -> &[Digit] {
        &self.keys
    }
}

/// Most keys that wait. PIN, code and their `#` are at most 18; who types more did not mean it.
const TYPED_MAX: usize = 32;

/// Keys that were pressed before they were asked for, and when.
#[derive(Debug, Default)]
pub(crate) struct Typed(VecDeque<(Digit, Instant)>);

impl Typed {
    pub(crate) fn push(&mut self, key: Digit, at: Instant) {
        if self.0.len() < TYPED_MAX {
            self.0.push_back((key, at));
        }
    }

    /// Something is there that makes the prompt needless.
    pub(crate) fn answers(&self) -> bool {
        self.0.iter().any(|(key, _)| key.is_decimal())
    }

    /// The caller began an entry, or wants to (`*`); a `#` alone is nothing.
    pub(crate) fn means_something(&self) -> bool {
        self.answers() || self.0.iter().any(|(key, _)| *key == Digit::STAR)
    }

    /// All keys, if `*0` comes first (perhaps behind the `#` of an entry): a host PIN was typed ahead.
    /// Otherwise they are forgotten.
    pub(crate) fn take_host_pin(&mut self) -> Vec<(Digit, Instant)> {
        let keys = std::mem::take(&mut self.0).into_iter();
        let keys: Vec<_> = keys.skip_while(|(key, _)| *key == Digit::POUND).collect();
        match keys.as_slice() {
            [(Digit::STAR, _), (zero, _), ..] if zero.as_char() == '0' => keys,
            _ => Vec::new(),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<(Digit, Instant)> {
        self.0.pop_front()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_complete_when_full_or_at_the_hash() {
        let cases = [
            ("full length", "1234", "complete 1234"),
            ("short, then #", "12#", "complete 12"),
            ("# alone", "#", "open "),
            ("cleared and begun again", "12*3456", "complete 3456"),
            ("letters do nothing", "1A2B34", "complete 1234"),
            ("not yet", "123", "open 123"),
        ];
        for (name, typed, expected) in cases {
            let mut entry = Collector::new(4);
            let mut complete = false;
            for key in typed.chars().filter_map(Digit::from_char) {
                complete |= entry.press(key) == Pressed::Complete;
            }
            let keys: String = entry.keys().iter().map(|key| key.as_char()).collect();
            let got = format!("{} {keys}", if complete { "complete" } else { "open" });
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn keys_that_wait_are_bounded() {
        let mut typed = Typed::default();
        for _ in 0..1_000 {
            typed.push(Digit::POUND, Instant::now());
        }
        assert_eq!(typed.0.len(), TYPED_MAX);
        assert!(!typed.answers());
    }
}
