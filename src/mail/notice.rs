//! What a host is told by mail of a phone that goes straight in.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::html;
use super::invitation::Rendered;
use super::words::Words;
use crate::types::Language;

/// The facts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    pub language: Language,
    pub about: About,
    /// Masked: mail is read by many a machine.
    pub number: String,
    pub title: String,
    pub at: Timestamp,
    pub time_zone: TimeZone,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum About {
    /// A new phone proved PIN and code.
    Remembered,
    /// A remembered phone came into this meeting without its code.
    CameWithoutCode,
}

impl Notice {
    /// Without a calendar entry.
    #[must_use]
    pub fn render(&self) -> Rendered {
        let words = Words::of(&self.language);
        let [subject, what, undo] = match self.about {
            About::Remembered => ["notice-remembered-subject", "notice-remembered", "notice-remembered-undo"],
            About::CameWithoutCode => {
                ["notice-without-code-subject", "notice-without-code", "notice-without-code-undo"]
            }
        };
        let at = self.at.to_zoned_datetime(self.time_zone.clone());
        let values = [
            ("number", self.number.as_str().into()),
            ("title", self.title.as_str().into()),
            ("date", words.date(at.date()).into()),
            ("time", at.strftime("%H:%M").to_string().into()),
            ("zone", self.time_zone.iana_name().unwrap_or("UTC").to_owned().into()),
        ];
        let subject = words.plain(subject);
        let paragraphs = [words.say(what, &values), words.plain(undo), words.plain("notice-why")];
        let text = paragraphs.iter().map(|paragraph| format!("{paragraph}\n")).collect::<Vec<_>>().join("\n");
        Rendered { html: html::letter(words, &subject, &paragraphs), subject, text, ics: None }
    }
}
