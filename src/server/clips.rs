//! Prompts as sound: every language pack's clips, ready for any leg.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::bridge::Prompt;
use crate::config::Settings;
use crate::media::Clip;
use crate::prompt::{self, Pack};
use crate::server::reload::named;
use crate::types::Language;

/// Every language that callers may be spoken to in, English first. Clones share the sound.
#[derive(Clone)]
pub(super) struct Packs(Vec<One>);

#[derive(Clone)]
struct One {
    language: Language,
    /// Tells the operator's own pack from another one; `None`: the program's.
    mark: Option<u64>,
    clips: Arc<Clips>,
}

impl PartialEq for One {
    fn eq(&self, other: &Self) -> bool {
        (&self.language, self.mark) == (&other.language, other.mark)
    }
}

impl Packs {
    /// The packs of the program, each replaced by the operator's own if there is one, and those that access
    /// numbers name beside them.
    pub(super) fn load(settings: &Settings) -> Result<Self, prompt::Error> {
        Self(Vec::new()).again(settings)
    }

    /// As they are now; what has not changed since is not encoded again.
    pub(super) fn again(&self, settings: &Settings) -> Result<Self, prompt::Error> {
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
            let under_way: Vec<_> =
                all.map(|language| scope.spawn(move || self.one(settings, language))).collect();
            let loaded =
                under_way.into_iter().map(|one| one.join().expect("a pack that loads does not panic"));
            Ok(Self(loaded.collect::<Result<_, _>>()?))
        })
    }

    fn one(&self, settings: &Settings, language: Language) -> Result<One, prompt::Error> {
        let had = self.0.iter().find(|one| one.language == language);
        let folder = settings.prompts.as_deref();
        let is_own = Pack::is_own(folder, &language);
        if let Some(had) = had
            && had.mark.is_none()
            && !is_own
        {
            return Ok(had.clone());
        }
        let pack = Pack::find(folder, &language)?;
        let mark = is_own.then(|| mark(&pack));
        let clips = match had {
            Some(had) if had.mark == mark => had.clips.clone(),
            _ => Arc::new(Clips::new(&pack)),
        };
        Ok(One { language, mark, clips })
    }

    /// One line per language that came, went, or sounds otherwise.
    pub(super) fn changes(&self, after: &Self) -> Vec<String> {
        named("prompts", &self.0, &after.0, |one| one.language.to_string())
    }

    /// The clips of that language, else of its other regions' form, else English ones.
    pub(super) fn of(&self, language: Option<&Language>) -> &Clips {
        let exact = |wanted: &Language| self.0.iter().find(|one| one.language == *wanted);
        let base = |wanted: &Language| self.0.iter().find(|one| one.language.base() == wanted.base());
        let found = language.and_then(|wanted| exact(wanted).or_else(|| base(wanted)));
        &found.unwrap_or(&self.0[0]).clips
    }
}

/// The same for packs that sound the same.
fn mark(pack: &Pack) -> u64 {
    let mut mark = DefaultHasher::new();
    for prompt in Prompt::all() {
        pack.samples(prompt).hash(&mut mark);
    }
    mark.finish()
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
