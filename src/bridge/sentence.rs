//! Sentences that are put together from recorded pieces, by the rules of their language.
//!
//! Which form goes with a number is its plural category (Unicode CLDR): English has two, Polish has
//! three. A pack records three forms of each piece; a language with two says the same in two of them.

use intl_pluralrules::{PluralCategory, PluralRuleType, PluralRules};
use unic_langid::LanguageIdentifier;

use crate::bridge::Prompt;
use crate::bridge::prompt::{Number, Plural};
use crate::types::Language;

/// "There are two other people here." Of more than 999, 999 are told.
#[must_use]
pub fn others(language: &Language, count: usize) -> Vec<Prompt> {
    let count = count.min(Number::MOST);
    let plural = plural(language, count);
    let mut sentence = vec![Prompt::There(plural)];
    sentence.extend(Number::words(count));
    sentence.push(Prompt::Others(plural));
    sentence
}

/// The form that goes with a number of things. A language that nobody has rules for goes as English does.
fn plural(language: &Language, count: usize) -> Plural {
    let rules = |tag: &str| {
        let language: LanguageIdentifier = tag.parse().ok()?;
        let language = LanguageIdentifier::from_parts(language.language, None, None, &[]);
        PluralRules::create(language, PluralRuleType::CARDINAL).ok()
    };
    let category = rules(language.as_str()).and_then(|rules| rules.select(count).ok());
    match category {
        Some(PluralCategory::ONE) => Plural::One,
        Some(PluralCategory::TWO | PluralCategory::FEW) => Plural::Few,
        Some(_) => Plural::Many,
        None if count == 1 => Plural::One,
        None => Plural::Many,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_the_form_that_its_language_says() {
        let cases = [
            ("en-GB", 1, Plural::One),
            ("en-GB", 2, Plural::Many),
            ("en-GB", 21, Plural::Many),
            ("pl-PL", 0, Plural::Many),
            ("pl-PL", 1, Plural::One),
            ("pl-PL", 2, Plural::Few),
            ("pl-PL", 4, Plural::Few),
            ("pl-PL", 5, Plural::Many),
            ("pl-PL", 12, Plural::Many),
            ("pl-PL", 21, Plural::Many),
            ("pl-PL", 22, Plural::Few),
            ("pl-PL", 112, Plural::Many),
            ("pl-PL", 124, Plural::Few),
            ("ru-RU", 21, Plural::One),
            ("tlh", 1, Plural::One),
            ("tlh", 3, Plural::Many),
        ];
        for (language, count, expected) in cases {
            assert_eq!(plural(&language.parse().unwrap(), count), expected, "{language} {count}");
        }
    }

    #[test]
    fn a_sentence_is_its_pieces_in_order() {
        let said = |language: &str, count| {
            let pieces = others(&language.parse().unwrap(), count);
            pieces.into_iter().map(Prompt::id).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(said("en-GB", 1), "there-one number-1 others-one");
        assert_eq!(said("pl-PL", 3), "there-few number-3 others-few");
        assert_eq!(said("pl-PL", 121), "there-many number-100 number-20 number-1-after others-many");
        assert_eq!(said("en-GB", 5_000), "there-many number-900 number-90 number-9 others-many");
    }
}
