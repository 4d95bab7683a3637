//! An invitation: the facts, and the four forms that they are sent in.

use std::fmt;

use jiff::Timestamp;

use super::words::Words;
use super::{calendar, html, text};
use crate::bridge::Series;
use crate::types::{Code, Country, Language, PhoneNumber, Pin};

/// All that guests are told. PIN and code are in what is made from it, by design: it goes to guests alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Invitation {
    pub method: Method,
    /// The same in all versions (RFC 5545 §3.8.4.7).
    pub uid: String,
    /// Grows with every change (§3.8.7.4).
    pub sequence: u32,
    /// When this version was made (§3.8.7.2).
    pub stamp: Timestamp,
    pub title: String,
    pub language: Language,
    pub host_name: String,
    pub host_email: String,
    /// The address that sends in the host's name (§3.2.18).
    pub sent_by: Option<String>,
    /// Mail addresses that the calendar names as guests.
    pub attendees: Vec<String>,
    /// `None`: the host's standing meeting, which has no time.
    pub series: Option<Series>,
    pub pin: Pin,
    /// `None` for a standard meeting.
    pub code: Option<Code>,
    /// In the order they are told; none: every number is answered, and none can be told.
    pub numbers: Vec<AccessNumber>,
}

/// RFC 5546 §1.4.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Method {
    Request,
    Cancel,
}

/// A number that callers dial.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessNumber {
    pub number: PhoneNumber,
    pub language: Language,
    pub country: Option<Country>,
}

/// What goes to guests. `Debug` shows lengths alone: PIN and code are in it.
#[derive(Clone, Eq, PartialEq)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Lines end with CRLF. `None`: no time, no calendar entry.
    pub ics: Option<String>,
}

impl Invitation {
    #[must_use]
    pub fn render(&self) -> Rendered {
        let words = Words::of(&self.language);
        let text = text::text(self, words);
        Rendered {
            subject: text::subject(self, words),
            html: html::html(self, words),
            ics: self.series.as_ref().map(|series| calendar::calendar(self, series, words, &text)),
            text,
        }
    }

    /// One link per access number: a telephone dials it, waits, and keys PIN and code. A comma is a
    /// pause of about two seconds in every dialler we know of.
    #[must_use]
    pub fn one_tap(&self) -> Vec<String> {
        let pin = self.pin.reveal();
        let keys = match &self.code {
            Some(code) => format!("{pin}#,,{}#", code.reveal()),
            None => format!("{pin}#"),
        };
        self.numbers.iter().map(|number| format!("tel:{},,{keys}", number.number.reveal())).collect()
    }
}

impl Method {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Request => "REQUEST",
            Self::Cancel => "CANCEL",
        }
    }
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ics = self.ics.as_ref().map_or(0, String::len);
        write!(
            f,
            "Rendered({} bytes of text, {} of HTML, {ics} of iCalendar)",
            self.text.len(),
            self.html.len()
        )
    }
}

/// In a URI "#" begins a fragment (RFC 3986 §3.5); diallers want it as a key.
pub(super) fn as_uri(one_tap: &str) -> String {
    one_tap.replace('#', "%23")
}
