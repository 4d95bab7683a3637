//! A pack's catalogue: what each prompt says, by id.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::bridge::Prompt;
use crate::types::Language;

/// `catalogue.toml` of one language.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    pub language: Language,
    /// What the WAVs were rendered with.
    #[serde(default)]
    pub engine: Engine,
    /// The engine's speaker.
    pub voice: String,
    /// How slow it speaks; 1 is its own pace.
    pub pace: f64,
    /// Id to words.
    pub speech: BTreeMap<String, String>,
    /// Id to what the sound is.
    #[serde(default)]
    pub sounds: BTreeMap<String, String>,
}

/// A program of Debian that speaks a text into a file.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    #[default]
    Flite,
    EspeakNg,
}

impl Engine {
    /// The command, and the package that it comes with.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Flite => "flite",
            Self::EspeakNg => "espeak-ng",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not UTF-8 from byte {0} on")]
    NotText(usize),
    #[error("line {line}: {what}")]
    Toml { line: usize, what: String },
}

impl Catalogue {
    /// What a spoken prompt says.
    #[must_use]
    pub fn words(&self, prompt: Prompt) -> Option<&str> {
        self.speech.get(&prompt.id()).map(String::as_str)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|error| Error::NotText(error.valid_up_to()))?;
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let what = error.message().replace('\n', ", ");
            Error::Toml { line: before.matches('\n').count() + 1, what }
        })
    }
}
