//! Whether fields say what they may. Each refusal names the field, what came and what was expected.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::problem::Problem;
use crate::types::text::misleads;
use crate::types::{Language, PhoneNumber};

/// A name or title: 1 to 200 characters on one line, trimmed, none of which changes how others
/// are shown.
pub fn line(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let length = text.chars().count();
    if length == 0 || length > LINE_MAX {
        return Err(Problem::invalid(field, format!("{length} characters, expected 1 to {LINE_MAX}")));
    }
    if text.chars().any(misleads) {
        return Err(Problem::invalid(field, "a control character, expected one line of text"));
    }
    Ok(text.to_owned())
}

/// Not whether mail arrives there; that it can stand in a header and on a command line.
pub fn email(field: &str, text: &str) -> Result<String, Problem> {
    let text = text.trim();
    let good = text.len() <= 254
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@') && domain.is_ascii()
        })
        && !text.chars().any(|c| c.is_whitespace() || misleads(c) || "<>()[]\\,;:\"".contains(c))
        && !text.starts_with('-');
    if good {
        Ok(text.to_owned())
    } else {
        Err(Problem::invalid(field, "expected a mail address such as ada@example.com"))
    }
}

pub fn language(field: &str, text: &str) -> Result<Language, Problem> {
    text.parse()
        .map_err(|error: crate::types::language::NotALanguage| Problem::invalid(field, error.to_string()))
}

pub fn numbers(field: &str, texts: &[String]) -> Result<Vec<PhoneNumber>, Problem> {
    if texts.len() > NUMBERS_MAX {
        return Err(Problem::invalid(
            field,
            format!("{} numbers, expected at most {NUMBERS_MAX}", texts.len()),
        ));
    }
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            PhoneNumber::parse(text, None)
                .map_err(|error| Problem::invalid(field, format!("number {}: {error}", index + 1)))
        })
        .collect()
}

pub fn invitees(field: &str, texts: &[String]) -> Result<Vec<String>, Problem> {
    if texts.len() > INVITEES_MAX {
        return Err(Problem::invalid(
            field,
            format!("{} invitees, expected at most {INVITEES_MAX}", texts.len()),
        ));
    }
    texts.iter().map(|text| email(field, text)).collect()
}

/// RFC 3339, in a range in which no sum with a setting leaves the calendar.
pub fn time(field: &str, text: &str) -> Result<Timestamp, Problem> {
    let refused = || {
        Problem::invalid(
            field,
            "expected a time as in RFC 3339, such as 2026-03-02T10:00:00Z, in the years 2000 to 2199",
        )
    };
    let time: Timestamp = text.parse().map_err(|_| refused())?;
    if (FIRST..LAST).contains(&time.as_second()) { Ok(time) } else { Err(refused()) }
}

pub fn time_zone(field: &str, text: &str) -> Result<String, Problem> {
    match TimeZone::get(text) {
        Ok(_) if text.len() <= 64 => Ok(text.to_owned()),
        _ => Err(Problem::invalid(field, "expected an IANA time zone such as Europe/London")),
    }
}

const LINE_MAX: usize = 200;
const NUMBERS_MAX: usize = 20;
const INVITEES_MAX: usize = 500;

/// 2000-01-01 and 2200-01-01 in seconds since 1970.
const FIRST: i64 = 946_684_800;
const LAST: i64 = 7_258_118_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_held_to_their_form() {
        let long = "x".repeat(201);
        let lines =
            [("Budget", true), ("  Grüße, 会議 ", true), ("", false), (" ", false), ("a\r\nb", false)];
        for (text, good) in lines.into_iter().chain([(long.as_str(), false), ("a\u{202e}b", false)]) {
            assert_eq!(line("title", text).is_ok(), good, "{text:?}");
        }
        let addresses = [
            ("ada@example.com", true),
            ("a.b+c@mail.example", true),
            ("ada", false),
            ("@example.com", false),
            ("ada@", false),
            ("a@b@c", false),
            ("ada @example.com", false),
            ("ada@example.com\r\nBcc:x@y", false),
            ("<ada@example.com>", false),
            ("-oQ@example.com", false),
        ];
        for (text, good) in addresses {
            assert_eq!(email("email", text).is_ok(), good, "{text:?}");
        }
        let times = [
            ("2026-03-02T10:00:00Z", true),
            ("2026-03-02T10:00:00+02:00", true),
            ("2026-03-02", false),
            ("10:00", false),
            ("1999-12-31T23:59:59Z", false),
            ("2200-01-01T00:00:00Z", false),
        ];
        for (text, good) in times {
            assert_eq!(time("starts_at", text).is_ok(), good, "{text:?}");
        }
        for (text, good) in [("Europe/London", true), ("UTC", true), ("Mars/Olympus", false), ("", false)] {
            assert_eq!(time_zone("time_zone", text).is_ok(), good, "{text:?}");
        }
    }
}
