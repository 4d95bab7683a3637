//! Prompts as sound: every language pack's clips, ready for any leg.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bridge::Prompt;
use crate::media::Clip;
use crate::prompt::Pack;

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
