//! Prompts as sound: every language pack's clips, ready for any leg.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::bridge::Prompt;
use crate::config::Settings;
use crate::media::Clip;
use crate::prompt::{self, Pack};
use crate::types::Language;

/// Every language that callers may be spoken to in, English first.
pub(super) struct Packs(Vec<(Language, Clips)>);

impl Packs {
    /// The packs of the program, each replaced by the operator's own if there is one, and those that access
    /// numbers name beside them.
    pub(super) fn load(settings: &Settings) -> Result<Self, prompt::Error> {
        let mut languages: BTreeSet<Language> = Pack::languages().into_iter().collect();
        for number in &settings.access_numbers {
            languages.insert(number.language.clone());
            languages.extend(number.other_languages.iter().cloned());
        }
        let english = Language::english();
        languages.remove(&english);
        // Every clip is encoded for every codec, which takes a core a moment: all at once.
        std::thread::scope(|scope| {
            let all = std::iter::once(english).chain(languages);
            let under_way: Vec<_> = all
                .map(|language| {
                    scope.spawn(move || {
                        let pack = Pack::find(settings.prompts.as_deref(), &language)?;
                        Ok((language, Clips::new(&pack)))
                    })
                })
                .collect();
            let loaded =
                under_way.into_iter().map(|one| one.join().expect("a pack that loads does not panic"));
            Ok(Self(loaded.collect::<Result<_, _>>()?))
        })
    }

    /// The clips of that language, else of its other regions' form, else English ones.
    pub(super) fn of(&self, language: Option<&Language>) -> &Clips {
        let exact = |wanted: &Language| self.0.iter().find(|(there, _)| there == wanted);
        let base = |wanted: &Language| self.0.iter().find(|(there, _)| there.base() == wanted.base());
        let found = language.and_then(|wanted| exact(wanted).or_else(|| base(wanted)));
        &found.unwrap_or(&self.0[0]).1
    }
}

/// The clips of one language.
pub(super) struct Clips(HashMap<Prompt, Arc<Clip>>);

impl Clips {
    /// Brings every prompt to the mixing rate and into every codec, once.
    pub(super) fn new(pack: &Pack) -> Self {
        Self(
            Prompt::all().map(|prompt| (prompt, Arc::new(Clip::from_16_khz(pack.samples(prompt))))).collect(),
        )
    }

    pub(super) fn one(&self, prompt: Prompt) -> Arc<Clip> {
        // A pack loads only when it has every prompt.
        Arc::clone(&self.0[&prompt])
    }

    pub(super) fn of(&self, prompts: &[Prompt]) -> Vec<Arc<Clip>> {
        prompts.iter().map(|prompt| self.one(*prompt)).collect()
    }
}
