//! Recurring meetings: the part of iCalendar's recurrence rules that meetings need (RFC 5545 §3.3.10).
//!
//! A [`Recurrence`] is the rule alone, read from text and bounded; a [`Series`] is a rule with a first
//! meeting in a time zone, and knows which [`Occurrence`] matters at a given moment. Rules that no
//! calendar program offers for meetings (by hour, by week number) are refused by name.

mod days;
mod series;

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

pub use series::{Occurrence, Series};

/// A rule such as `FREQ=WEEKLY;BYDAY=TU,TH;COUNT=10`.
///
/// Equal rules print alike, whatever order their parts came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recurrence {
    pub frequency: Frequency,
    /// Every so many days, weeks, months or years, 1 to [`INTERVAL_MAX`].
    pub interval: u16,
    pub end: End,
    /// 1–12, sorted.
    pub months: Vec<i8>,
    /// 1–31, or -1 (the last) to -31, sorted.
    pub month_days: Vec<i8>,
    pub days: Vec<Day>,
    /// Which of a period's days: 1 the first, -1 the last; sorted.
    pub positions: Vec<i16>,
    /// The day a week begins with. It matters when `interval` skips weeks.
    pub week_start: Weekday,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// How a series ends. One without an end goes on for [`YEARS_MAX`] years.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    Never,
    /// After so many occurrences, the first included, 1 to [`COUNT_MAX`].
    After(u16),
    /// None begins later than this.
    Until(Timestamp),
}

/// A weekday, or the nth one of a month.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Day {
    /// 0 every one; 1–5 from the month's beginning, -1 to -5 from its end.
    pub nth: i8,
    /// 0 Monday to 6 Sunday.
    monday_offset: i8,
}

/// Longest text of a rule, in bytes.
pub const TEXT_MAX: usize = 500;
pub const INTERVAL_MAX: u16 = 999;
/// Most occurrences that a rule may count: twenty years of weeks.
pub const COUNT_MAX: u16 = 1_000;
/// No series goes on longer.
pub const YEARS_MAX: i16 = 50;

/// Why a rule, or a rule with its first meeting, is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadRecurrence {
    #[error("recurrence of {0} bytes, expected at most {TEXT_MAX}")]
    TooLong(usize),
    #[error("recurrence part {0:?}, expected NAME=VALUE such as FREQ=WEEKLY")]
    NoPart(String),
    #[error("recurrence part {0} twice, expected once")]
    Twice(&'static str),
    #[error("recurrence part {0:?}, expected one of {known}", known = KNOWN.join(", "))]
    Unknown(String),
    #[error("recurrence without FREQ, expected such as FREQ=WEEKLY")]
    NoFrequency,
    #[error("recurrence {part}={got:?}, expected {expected}")]
    Value { part: &'static str, got: String, expected: &'static str },
    #[error("recurrence with COUNT and UNTIL, expected one of them at most (RFC 5545 §3.3.10)")]
    TwoEnds,
    #[error("recurrence with {0}, expected {1}")]
    Misfit(&'static str, &'static str),
    #[error("time zone {0:?}, expected an IANA name such as \"Europe/London\"")]
    NoTimeZone(String),
    #[error("recurrence without time_zone, expected an IANA name such as \"Europe/London\"")]
    WithoutTimeZone,
    #[error("recurrence whose days do not include {0}, the day of starts_at in the meeting's time zone")]
    FirstIsNoOccurrence(jiff::civil::Date),
    #[error("recurrence that begins in the hour which clocks repeat, expected another starts_at")]
    Ambiguous,
    #[error("recurring meeting that ends before it starts")]
    EndsBeforeItStarts,
}

/// The parts we know, in the order they are printed.
const KNOWN: [&str; 9] =
    ["FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS", "WKST"];

/// Monday first.
const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

const FREQUENCIES: [(&str, Frequency); 4] = [
    ("DAILY", Frequency::Daily),
    ("WEEKLY", Frequency::Weekly),
    ("MONTHLY", Frequency::Monthly),
    ("YEARLY", Frequency::Yearly),
];

impl Day {
    #[must_use]
    pub fn new(nth: i8, weekday: Weekday) -> Self {
        Self { nth, monday_offset: weekday.to_monday_zero_offset() }
    }

    #[must_use]
    pub fn weekday(self) -> Weekday {
        Weekday::from_monday_zero_offset(self.monday_offset).expect("0 to 6 by construction")
    }
}

impl FromStr for Recurrence {
    type Err = BadRecurrence;

    /// From the value of an `RRULE`, with or without `RRULE:` before it.
    fn from_str(text: &str) -> Result<Self, BadRecurrence> {
        if text.len() > TEXT_MAX {
            return Err(BadRecurrence::TooLong(text.len()));
        }
        let text = text.trim();
        let text = text.strip_prefix("RRULE:").unwrap_or(text);
        let mut parts: [Option<&str>; KNOWN.len()] = [None; KNOWN.len()];
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| BadRecurrence::NoPart(part.to_owned()))?;
            let at = KNOWN
                .iter()
                .position(|known| known.eq_ignore_ascii_case(name))
                .ok_or_else(|| BadRecurrence::Unknown(name.to_owned()))?;
            if parts[at].replace(value).is_some() {
                return Err(BadRecurrence::Twice(KNOWN[at]));
            }
        }
        let [frequency, interval, count, until, months, month_days, days, positions, week_start] = parts;
        let rule = Self {
            frequency: word("FREQ", frequency.ok_or(BadRecurrence::NoFrequency)?, &FREQUENCIES)?,
            interval: interval.map_or(Ok(1), |text| number("INTERVAL", text, "1 to 999"))?,
            end: end(count, until)?,
            months: list("BYMONTH", months, "months 1 to 12", |n| (1..=12).contains(&n))?,
            month_days: list("BYMONTHDAY", month_days, "days 1 to 31 or -1 to -31", |n| {
                (1..=31).contains(&i8::unsigned_abs(n))
            })?,
            days: weekdays(days)?,
            positions: list("BYSETPOS", positions, "places 1 to 366 or -1 to -366", |n| {
                (1..=366).contains(&i16::unsigned_abs(n))
            })?,
            week_start: week_start.map_or(Ok(Weekday::Monday), |text| weekday("WKST", text))?,
        };
        rule.fits().map(|()| rule)
    }
}

impl Recurrence {
    /// What does not go together, by the table of RFC 5545 §3.3.10.
    fn fits(&self) -> Result<(), BadRecurrence> {
        use Frequency::{Daily, Monthly, Weekly, Yearly};
        let numbered = self.days.iter().any(|day| day.nth != 0);
        let by_something = !(self.days.is_empty() && self.month_days.is_empty() && self.months.is_empty());
        let misfit = match self.frequency {
            _ if self.interval == 0 || self.interval > INTERVAL_MAX => ("INTERVAL", "1 to 999"),
            Daily | Weekly if numbered => ("a number before a weekday", "that in FREQ=MONTHLY alone"),
            Weekly if !self.month_days.is_empty() => ("BYMONTHDAY", "no FREQ=WEEKLY with it"),
            Monthly | Yearly if numbered && !self.month_days.is_empty() => {
                ("BYMONTHDAY and a number before a weekday", "one of them")
            }
            Yearly if !self.days.is_empty() && self.months.is_empty() && self.month_days.is_empty() => {
                ("BYDAY in FREQ=YEARLY", "BYMONTH with it")
            }
            _ if !self.positions.is_empty() && !by_something => {
                ("BYSETPOS", "BYDAY, BYMONTHDAY or BYMONTH with it")
            }
            Daily if !self.positions.is_empty() => ("BYSETPOS", "no FREQ=DAILY with it"),
            Daily | Weekly | Monthly | Yearly => return Ok(()),
        };
        Err(BadRecurrence::Misfit(misfit.0, misfit.1))
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frequency = FREQUENCIES.iter().find(|(_, frequency)| *frequency == self.frequency);
        write!(f, "FREQ={}", frequency.expect("every frequency has a word").0)?;
        if self.interval != 1 {
            write!(f, ";INTERVAL={}", self.interval)?;
        }
        match self.end {
            End::Never => {}
            End::After(count) => write!(f, ";COUNT={count}")?,
            End::Until(until) => write!(f, ";UNTIL={}", until.strftime("%Y%m%dT%H%M%SZ"))?,
        }
        write_list(f, "BYMONTH", self.months.iter())?;
        write_list(f, "BYMONTHDAY", self.month_days.iter())?;
        write_list(f, "BYDAY", self.days.iter())?;
        write_list(f, "BYSETPOS", self.positions.iter())?;
        if self.week_start != Weekday::Monday {
            write!(f, ";WKST={}", WEEKDAYS[self.week_start.to_monday_zero_offset() as usize])?;
        }
        Ok(())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nth != 0 {
            write!(f, "{}", self.nth)?;
        }
        f.write_str(WEEKDAYS[self.monday_offset as usize])
    }
}

/// The time zone of an IANA name. Offsets and POSIX rules are none: they do not follow a law's change.
pub fn time_zone(name: &str) -> Result<TimeZone, BadRecurrence> {
    TimeZone::get(name).map_err(|_| BadRecurrence::NoTimeZone(name.chars().take(60).collect()))
}

fn write_list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    items: impl Iterator<Item = T>,
) -> fmt::Result {
    for (at, item) in items.enumerate() {
        if at == 0 { write!(f, ";{name}={item}")? } else { write!(f, ",{item}")? }
    }
    Ok(())
}

fn wrong(part: &'static str, got: &str, expected: &'static str) -> BadRecurrence {
    BadRecurrence::Value { part, got: got.chars().take(40).collect(), expected }
}

fn word<T: Copy>(part: &'static str, text: &str, words: &[(&str, T)]) -> Result<T, BadRecurrence> {
    words
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| wrong(part, text, "DAILY, WEEKLY, MONTHLY or YEARLY"))
}

fn number<T: FromStr>(part: &'static str, text: &str, expected: &'static str) -> Result<T, BadRecurrence> {
    let text = text.trim();
    // A sign is part of the grammar for days of months and places alone; `parse` takes it as such.
    text.parse().map_err(|_| wrong(part, text, expected))
}

fn end(count: Option<&str>, until: Option<&str>) -> Result<End, BadRecurrence> {
    match (count, until) {
        (None, None) => Ok(End::Never),
        (Some(_), Some(_)) => Err(BadRecurrence::TwoEnds),
        (Some(text), None) => {
            let count = number("COUNT", text, "1 to 1000")?;
            if (1..=COUNT_MAX).contains(&count) {
                Ok(End::After(count))
            } else {
                Err(wrong("COUNT", text, "1 to 1000"))
            }
        }
        // With a start in a time zone it must be UTC (§3.3.10).
        (None, Some(text)) => until_time(text)
            .map(End::Until)
            .ok_or_else(|| wrong("UNTIL", text, "a time in UTC such as 20271231T235959Z")),
    }
}

fn until_time(text: &str) -> Option<Timestamp> {
    let civil = text.strip_suffix('Z').filter(|civil| civil.is_ascii() && civil.len() == 15)?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", civil).ok()?;
    time.to_zoned_datetime(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Sorted, each once.
fn list<T>(
    part: &'static str,
    text: Option<&str>,
    expected: &'static str,
    good: impl Fn(T) -> bool,
) -> Result<Vec<T>, BadRecurrence>
where
    T: FromStr + Copy + Ord,
{
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut items = Vec::new();
    for item in text.split(',') {
        let value = number(part, item, expected)?;
        if !good(value) {
            return Err(wrong(part, item, expected));
        }
        items.push(value);
    }
    items.sort_unstable();
    items.dedup();
    Ok(items)
}

fn weekday(part: &'static str, text: &str) -> Result<Weekday, BadRecurrence> {
    let at = WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(text));
    let at = at.ok_or_else(|| wrong(part, text, "weekdays such as MO or TU"))?;
    Ok(Weekday::from_monday_zero_offset(i8::try_from(at).expect("0 to 6")).expect("0 to 6"))
}

fn weekdays(text: Option<&str>) -> Result<Vec<Day>, BadRecurrence> {
    const EXPECTED: &str = "weekdays such as MO, or 1MO to 5MO and -1MO to -5MO";
    let Some(text) = text else { return Ok(Vec::new()) };
    let mut days = Vec::new();
    for item in text.split(',') {
        let letters = item.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
        let nth = &item[..item.len() - letters.len()];
        let nth: i8 = if nth.is_empty() { 0 } else { number("BYDAY", nth, EXPECTED)? };
        if nth.unsigned_abs() > 5 || (nth == 0 && item != letters) {
            return Err(wrong("BYDAY", item, EXPECTED));
        }
        days.push(Day::new(nth, weekday("BYDAY", letters).map_err(|_| wrong("BYDAY", item, EXPECTED))?));
    }
    days.sort_unstable();
    days.dedup();
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_printed_as_it_is_understood() {
        let cases = [
            ("FREQ=DAILY", "FREQ=DAILY"),
            ("RRULE:freq=weekly;byday=th,TU;interval=1", "FREQ=WEEKLY;BYDAY=TU,TH"),
            ("COUNT=10;FREQ=WEEKLY;INTERVAL=2;WKST=SU", "FREQ=WEEKLY;INTERVAL=2;COUNT=10;WKST=SU"),
            (
                "FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20271231T235959Z",
                "FREQ=MONTHLY;UNTIL=20271231T235959Z;BYDAY=-1FR",
            ),
            (
                "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
                "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            ),
            ("FREQ=YEARLY;BYMONTH=3,1,3;BYMONTHDAY=-1,1", "FREQ=YEARLY;BYMONTH=1,3;BYMONTHDAY=-1,1"),
        ];
        for (text, expected) in cases {
            let rule: Recurrence = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(rule.to_string(), expected, "{text}");
            assert_eq!(expected.parse::<Recurrence>().unwrap(), rule, "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_what_was_expected() {
        let cases = [
            ("", "recurrence without FREQ, expected such as FREQ=WEEKLY"),
            ("FREQ", "recurrence part \"FREQ\", expected NAME=VALUE such as FREQ=WEEKLY"),
            ("FREQ=HOURLY", "recurrence FREQ=\"HOURLY\", expected DAILY, WEEKLY, MONTHLY or YEARLY"),
            ("FREQ=DAILY;FREQ=DAILY", "recurrence part FREQ twice, expected once"),
            (
                "FREQ=DAILY;BYHOUR=9",
                "recurrence part \"BYHOUR\", expected one of FREQ, INTERVAL, COUNT, UNTIL, BYMONTH, BYMONTHDAY, \
                 BYDAY, BYSETPOS, WKST",
            ),
            ("FREQ=DAILY;COUNT=0", "recurrence COUNT=\"0\", expected 1 to 1000"),
            ("FREQ=DAILY;COUNT=99999999", "recurrence COUNT=\"99999999\", expected 1 to 1000"),
            ("FREQ=DAILY;INTERVAL=0", "recurrence with INTERVAL, expected 1 to 999"),
            (
                "FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z",
                "recurrence with COUNT and UNTIL, expected one of them at most (RFC 5545 §3.3.10)",
            ),
            (
                "FREQ=DAILY;UNTIL=20270101",
                "recurrence UNTIL=\"20270101\", expected a time in UTC such as 20271231T235959Z",
            ),
            (
                "FREQ=DAILY;UNTIL=20270230T000000Z",
                "recurrence UNTIL=\"20270230T000000Z\", expected a time in UTC such as 20271231T235959Z",
            ),
            (
                "FREQ=WEEKLY;BYDAY=1MO",
                "recurrence with a number before a weekday, expected that in FREQ=MONTHLY alone",
            ),
            (
                "FREQ=MONTHLY;BYDAY=6MO",
                "recurrence BYDAY=\"6MO\", expected weekdays such as MO, or 1MO to 5MO and -1MO to -5MO",
            ),
            (
                "FREQ=MONTHLY;BYDAY=é",
                "recurrence BYDAY=\"é\", expected weekdays such as MO, or 1MO to 5MO and -1MO to -5MO",
            ),
            ("FREQ=MONTHLY;BYMONTHDAY=0", "recurrence BYMONTHDAY=\"0\", expected days 1 to 31 or -1 to -31"),
            (
                "FREQ=MONTHLY;BYMONTHDAY=-128",
                "recurrence BYMONTHDAY=\"-128\", expected days 1 to 31 or -1 to -31",
            ),
            ("FREQ=YEARLY;BYDAY=MO", "recurrence with BYDAY in FREQ=YEARLY, expected BYMONTH with it"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Recurrence>().unwrap_err().to_string(), expected, "{text}");
        }
        assert_eq!("x".repeat(501).parse::<Recurrence>(), Err(BadRecurrence::TooLong(501)));
    }
}
