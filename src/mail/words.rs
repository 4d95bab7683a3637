//! The words of invitations in each language, from Fluent templates inside the binary.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use jiff::civil::{Date, Weekday};
use unic_langid::LanguageIdentifier;

use crate::types::{Country, Language};

/// One language.
pub struct Words {
    /// BCP 47, for the `lang` of HTML.
    pub tag: &'static str,
    bundle: FluentBundle<FluentResource>,
}

/// The first one speaks for every language that is not here.
const TEMPLATES: [(&str, &str); 2] =
    [("en-GB", include_str!("templates/en-GB.ftl")), ("pl-PL", include_str!("templates/pl-PL.ftl"))];

static ALL: LazyLock<Vec<Words>> =
    LazyLock::new(|| TEMPLATES.iter().map(|(tag, text)| Words::read(tag, text)).collect());

impl Words {
    /// In that language, else in its other regions' form, else in English.
    pub fn of(language: &Language) -> &'static Self {
        let base = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let wanted = language.as_str();
        ALL.iter()
            .find(|words| words.tag.eq_ignore_ascii_case(wanted))
            .or_else(|| ALL.iter().find(|words| base(words.tag) == base(wanted)))
            .unwrap_or(&ALL[0])
    }

    /// Panics on a broken template: they are part of the program, and a test reads each.
    fn read(tag: &'static str, text: &str) -> Self {
        let locale: LanguageIdentifier = tag.parse().expect("a template's tag is BCP 47");
        let resource = FluentResource::try_new(text.to_owned())
            .unwrap_or_else(|(_, faults)| panic!("invitations in {tag}: {faults:?}"));
        let mut bundle = FluentBundle::new_concurrent(vec![locale]);
        // Marks around values that keep directions of writing apart would break links and look odd in
        // plain text; titles and names are checked for such marks when they come in.
        bundle.set_use_isolating(false);
        bundle.add_resource(resource).unwrap_or_else(|faults| panic!("invitations in {tag}: {faults:?}"));
        Self { tag, bundle }
    }

    /// A sentence without values.
    pub fn plain(&self, name: &str) -> String {
        self.say(name, &[])
    }

    /// A sentence with values. A name that the language lacks is said in English.
    pub fn say(&self, name: &str, values: &[(&'static str, FluentValue<'_>)]) -> String {
        let mut arguments = FluentArgs::new();
        for (key, value) in values {
            arguments.set(*key, value.clone());
        }
        let said = self.bundle.get_message(name).and_then(|message| message.value()).map(|pattern| {
            let mut faults = Vec::new();
            self.bundle.format_pattern(pattern, Some(&arguments), &mut faults).into_owned()
        });
        match said {
            Some(said) => said,
            None if std::ptr::eq(self, &raw const ALL[0]) => name.to_owned(),
            None => ALL[0].say(name, values),
        }
    }

    pub fn weekday(&self, day: Weekday) -> String {
        self.plain(&format!("weekday-{}", day.to_monday_one_offset()))
    }

    pub fn date(&self, date: Date) -> String {
        let values = [
            ("weekday", self.weekday(date.weekday()).into()),
            // As text: no language groups the digits of a year.
            ("day", date.day().to_string().into()),
            ("month", self.plain(&format!("month-{}", date.month())).into()),
            ("year", date.year().to_string().into()),
        ];
        self.say("date", &values)
    }

    /// Its name, or its two letters.
    pub fn country(&self, country: Country) -> String {
        let name = format!("country-{}", country.as_str());
        if self.bundle.has_message(&name) { self.plain(&name) } else { country.as_str().to_owned() }
    }

    /// `a, b and c`.
    pub fn list(&self, items: &[String]) -> String {
        let Some((first, rest)) = items.split_first() else { return String::new() };
        let mut all = first.clone();
        for (at, item) in rest.iter().enumerate() {
            let name = if at + 1 == rest.len() { "list-end" } else { "list" };
            all = self.say(name, &[("before", all.into()), ("item", item.as_str().into())]);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that a template defines.
    fn names(text: &str) -> Vec<&str> {
        let mut names: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
            .filter_map(|line| line.split_once(" ="))
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_language_says_everything() {
        assert!(names(TEMPLATES[0].1).len() > 40);
        for (tag, text) in TEMPLATES {
            assert_eq!(names(text), names(TEMPLATES[0].1), "{tag}");
        }
    }

    #[test]
    fn a_language_we_have_not_is_answered_in_english() {
        for (language, expected) in [
            ("en-GB", "en-GB"),
            ("en-US", "en-GB"),
            ("EN", "en-GB"),
            ("tlh", "en-GB"),
            ("pl", "pl-PL"),
            ("pl-PL", "pl-PL"),
        ] {
            if let Ok(language) = language.parse() {
                assert_eq!(Words::of(&language).tag, expected);
            }
        }
        assert_eq!(ALL[0].plain("no-such-sentence"), "no-such-sentence");
    }

    #[test]
    fn lists_and_dates_are_sentences() {
        let words = &ALL[0];
        let items: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(words.list(&items), "a, b and c");
        assert_eq!(words.list(&items[..2]), "a and b");
        assert_eq!(words.list(&[]), "");
        assert_eq!(words.date(jiff::civil::date(2027, 3, 28)), "Sunday, 28 March 2027");
    }

    #[test]
    fn polish_has_its_three_plurals() {
        let words = &ALL[1];
        let weeks = |interval: i64| words.say("repeats-weeks", &[("interval", interval.into())]);
        assert_eq!(weeks(1), "Powtarza się co tydzień");
        assert_eq!(weeks(2), "Powtarza się co 2 tygodnie");
        assert_eq!(weeks(5), "Powtarza się co 5 tygodni");
        assert_eq!(weeks(12), "Powtarza się co 12 tygodni");
        assert_eq!(weeks(22), "Powtarza się co 22 tygodnie");
        assert_eq!(words.date(jiff::civil::date(2027, 3, 28)), "niedziela, 28 marca 2027");
    }
}
