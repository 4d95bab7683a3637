//! Language packs: what callers hear, as samples in memory.
//!
//! A pack is a folder `prompts/LANGUAGE` with a catalogue (id to words) and one WAV per spoken id; tones and
//! music may be left to the English pack. The packs
//! of the repository travel inside the binary; an operator's own lie in a folder of theirs. A pack
//! that lacks a prompt does not load, so that no call finds out first.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rust_embed::RustEmbed;

use crate::bridge::Prompt;
use crate::types::Language;

pub mod catalogue;
pub mod judge;
pub mod level;
pub mod render;
pub mod wav;

pub use catalogue::Catalogue;

/// Samples a second of every prompt.
pub const RATE: u32 = 16_000;

/// Largest file of a pack: two minutes of sound and their header.
const FILE_BYTES_MAX: usize = 2 * 60 * 2 * RATE as usize + 1024;

#[derive(RustEmbed)]
#[folder = "prompts/"]
struct Embedded;

/// Every prompt of one language, 16 kHz mono.
#[derive(Clone, Debug)]
pub struct Pack {
    catalogue: Catalogue,
    clips: BTreeMap<Prompt, Arc<[i16]>>,
}

/// Why a pack does not load. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no prompts for language {0}, there are: {1}")]
    NoSuchLanguage(Language, String),
    #[error("{0}: {1}")]
    NotReadable(String, std::io::Error),
    #[error("{0}: larger than {FILE_BYTES_MAX} bytes")]
    TooLarge(String),
    #[error("{0}: {1}")]
    Wav(String, wav::Error),
    #[error("{0}: {1}")]
    Catalogue(String, catalogue::Error),
    #[error("{folder}: {} of {} prompts missing: {}", .missing.len(), Prompt::all().count(), .missing.join(", "))]
    Incomplete { folder: String, missing: Vec<String> },
}

impl Pack {
    /// The pack of `language` in `folder/LANGUAGE` if there is one, else the one in the binary.
    pub fn find(folder: Option<&Path>, language: &Language) -> Result<Self, Error> {
        match own(folder, language) {
            Some(own) => Self::load(&own),
            None => Self::embedded(language),
        }
    }

    /// Whether [`Pack::find`] would take the operator's.
    #[must_use]
    pub fn is_own(folder: Option<&Path>, language: &Language) -> bool {
        own(folder, language).is_some()
    }

    /// The pack that travels inside the binary.
    pub fn embedded(language: &Language) -> Result<Self, Error> {
        if !Self::languages().contains(language) {
            let there: Vec<String> = Self::languages().iter().map(Language::to_string).collect();
            return Err(Error::NoSuchLanguage(language.clone(), there.join(", ")));
        }
        Self::from_files(&format!("prompts/{language}"), |name| {
            Ok(Embedded::get(&format!("{language}/{name}")).map(|file| file.data.into_owned()))
        })
    }

    /// An operator's own pack: `folder` holds `catalogue.toml` and the WAVs.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        Self::from_files(&folder.display().to_string(), |name| read(&folder.join(name)))
    }

    /// The languages that travel inside the binary.
    #[must_use]
    pub fn languages() -> Vec<Language> {
        let mut languages: Vec<Language> = Embedded::iter()
            .filter_map(|file| file.strip_suffix("/catalogue.toml").and_then(|tag| tag.parse().ok()))
            .collect();
        languages.sort_unstable();
        languages
    }

    /// `read` gives a file of the pack by its name, `None` if there is none.
    fn from_files(
        folder: &str,
        read: impl Fn(&str) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Self, Error> {
        let at = |name: &str| format!("{folder}/{name}");
        let Some(text) = read("catalogue.toml")? else {
            let nothing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Error::NotReadable(at("catalogue.toml"), nothing));
        };
        let catalogue =
            Catalogue::parse(&text).map_err(|error| Error::Catalogue(at("catalogue.toml"), error))?;
        let mut clips = BTreeMap::new();
        let mut missing = Vec::new();
        for prompt in Prompt::all() {
            let name = format!("{}.wav", prompt.id());
            // Tones and music are the same in every language.
            let english = || Embedded::get(&format!("en-GB/{name}")).map(|file| file.data.into_owned());
            match read(&name)?.or_else(|| english().filter(|_| !is_speech(prompt))) {
                Some(bytes) => {
                    let samples = wav::samples(&bytes).map_err(|error| Error::Wav(at(&name), error))?;
                    clips.insert(prompt, samples.into());
                }
                None => missing.push(prompt.id()),
            }
        }
        if missing.is_empty() {
            Ok(Self { catalogue, clips })
        } else {
            Err(Error::Incomplete { folder: folder.to_owned(), missing })
        }
    }

    #[must_use]
    pub fn language(&self) -> &Language {
        &self.catalogue.language
    }

    /// The words of its prompts.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The samples of `prompt`, at [`RATE`].
    #[must_use]
    pub fn samples(&self, prompt: Prompt) -> &Arc<[i16]> {
        self.clips.get(&prompt).expect("a pack that lacks a prompt does not load")
    }

    /// Every prompt with its samples.
    pub fn iter(&self) -> impl Iterator<Item = (Prompt, &Arc<[i16]>)> {
        self.clips.iter().map(|(prompt, samples)| (*prompt, samples))
    }

    /// The active speech level of the whole voice, in dBov (ITU-T P.56); `None` if it is silent.
    #[must_use]
    pub fn voice_level_dbov(&self) -> Option<f64> {
        let speech = self.iter().filter(|(prompt, _)| is_speech(*prompt));
        level::active_speech_dbov(speech.flat_map(|(_, samples)| samples.iter().copied()), RATE)
    }
}

fn own(folder: Option<&Path>, language: &Language) -> Option<PathBuf> {
    folder.map(|folder| folder.join(language.as_str())).filter(|own| own.is_dir())
}

/// Tones and music are not speech.
#[must_use]
pub fn is_speech(prompt: Prompt) -> bool {
    !matches!(
        prompt,
        Prompt::JoinTone
            | Prompt::LeaveTone
            | Prompt::NameTone
            | Prompt::HandTone
            | Prompt::JoinedWithoutCodeTone
            | Prompt::Music
    )
}

/// A file of a bounded size; `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let name = || path.display().to_string();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::NotReadable(name(), error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::NotReadable(name(), error))?;
    if bytes.len() > FILE_BYTES_MAX { Err(Error::TooLarge(name())) } else { Ok(Some(bytes)) }
}
