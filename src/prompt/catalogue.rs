//! A pack's catalogue: what each prompt says, by id.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::types::Language;

/// `catalogue.toml` of one language.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    pub language: Language,
    /// The speaker that the WAVs were rendered with.
    pub voice: String,
    /// How slow it speaks; 1 is its own pace.
    pub pace: f64,
    /// Id to words.
    pub speech: BTreeMap<String, String>,
    /// Id to what the sound is.
    pub sounds: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not UTF-8 from byte {0} on")]
    NotText(usize),
    #[error("line {line}: {what}")]
    Toml { line: usize, what: String },
}

impl Catalogue {
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|error| Error::NotText(error.valid_up_to()))?;
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let what = error.message().replace('\n', ", ");
            Error::Toml { line: before.matches('\n').count() + 1, what }
        })
    }
}
