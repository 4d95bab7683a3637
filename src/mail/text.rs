//! The invitation as plain text, and the sentences that all forms share.

use super::invitation::{AccessNumber, Invitation, Method};
use super::words::Words;
use crate::bridge::Series;
use crate::bridge::recurrence::{End, Frequency, Recurrence};

pub fn subject(invitation: &Invitation, words: &Words) -> String {
    let name = match invitation.method {
        Method::Cancel => "subject-cancelled",
        Method::Request if invitation.sequence > 0 => "subject-updated",
        Method::Request => "subject",
    };
    words.say(name, &[("title", invitation.title.as_str().into())])
}

pub fn text(invitation: &Invitation, words: &Words) -> String {
    let mut lines = vec![headline(invitation, words)];
    if let Some(series) = &invitation.series {
        lines.push(when(series, words));
        lines.extend(repeats(invitation, series, words));
    }
    lines.push(String::new());
    if invitation.method == Method::Cancel {
        lines.push(words.plain("nothing-to-do"));
    } else {
        lines.push(words.plain("join-by-phone"));
        lines.extend(invitation.numbers.iter().map(|number| format!("  {}", number_line(number, words))));
        if invitation.numbers.is_empty() {
            lines.push(format!("  {}", words.plain("any-number")));
        }
        lines.push(format!("{}: {}", words.plain("pin"), grouped(invitation.pin.reveal())));
        if let Some(code) = &invitation.code {
            lines.push(format!("{}: {}", words.plain("code"), code.reveal()));
        }
        if !invitation.numbers.is_empty() {
            lines.push(String::new());
            lines.push(format!("{} ({})", words.plain("one-tap"), words.plain("one-tap-explained")));
            lines.extend(invitation.one_tap().iter().map(|tap| format!("  {tap}")));
        }
        lines.push(String::new());
        lines.extend(notes(invitation, words));
    }
    lines.push(String::new());
    lines.join("\n")
}

pub fn headline(invitation: &Invitation, words: &Words) -> String {
    let name = match invitation.method {
        Method::Request => "invites",
        Method::Cancel => "cancelled",
    };
    let (host, title) = (invitation.host_name.as_str(), invitation.title.as_str());
    words.say(name, &[("host", host.into()), ("title", title.into())])
}

/// How the phone is remembered, how to stop that, and whom not to tell.
pub fn notes(invitation: &Invitation, words: &Words) -> Vec<String> {
    let names: &[&str] = match invitation.code {
        Some(_) => &["remembered", "forget", "keep-private"],
        None => &["not-remembered", "keep-private"],
    };
    names.iter().map(|name| words.plain(name)).collect()
}

pub fn number_line(number: &AccessNumber, words: &Words) -> String {
    match number.country {
        Some(country) => {
            let values = [
                ("country", words.country(country).into()),
                ("number", number.number.reveal().to_owned().into()),
            ];
            words.say("number", &values)
        }
        None => number.number.reveal().to_owned(),
    }
}

/// In threes, as people read them out.
pub fn grouped(digits: &str) -> String {
    digits.as_bytes().chunks(3).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// In the meeting's time zone.
pub fn when(series: &Series, words: &Words) -> String {
    let first = series.first();
    let zone = series.time_zone();
    let (start, end) =
        (first.starts_at.to_zoned_datetime(zone.clone()), first.ends_at.to_zoned_datetime(zone.clone()));
    let time = |zoned: &jiff::ZonedDateTime| zoned.strftime("%H:%M").to_string();
    let name = if start.date() == end.date() { "when-one-day" } else { "when-two-days" };
    let values = [
        ("date", words.date(start.date()).into()),
        ("from", time(&start).into()),
        ("date-to", words.date(end.date()).into()),
        ("to", time(&end).into()),
        ("zone", zone.iana_name().unwrap_or("UTC").to_owned().into()),
    ];
    words.say(name, &values)
}

/// The rule as a sentence, if there is one.
pub fn repeats(invitation: &Invitation, series: &Series, words: &Words) -> Option<String> {
    let rule = series.recurrence()?;
    let name = match rule.frequency {
        Frequency::Daily => "repeats-days",
        Frequency::Weekly => "repeats-weeks",
        Frequency::Monthly => "repeats-months",
        Frequency::Yearly => "repeats-years",
    };
    let said = words.say(name, &[("interval", rule.interval.into())]);
    let said = on_days(rule, series, said, words);
    let said = match rule.end {
        End::Never => words.say("ends-never", &[("rule", said.into())]),
        End::After(count) => words.say("ends-after", &[("rule", said.into()), ("count", count.into())]),
        End::Until(until) => {
            let day = until.to_zoned_datetime(series.time_zone().clone()).date();
            words.say("ends-until", &[("rule", said.into()), ("date", words.date(day).into())])
        }
    };
    let same = invitation.method == Method::Request && invitation.code.is_some();
    Some(if same { format!("{said} {}", words.plain("same-code")) } else { said })
}

/// Rules that take more than a sentence are left to the calendar.
fn on_days(rule: &Recurrence, series: &Series, said: String, words: &Words) -> String {
    let plain = rule.months.is_empty() && rule.month_days.is_empty() && rule.positions.is_empty();
    match (&rule.days[..], rule.frequency) {
        ([], Frequency::Weekly) if plain => {
            let start = series.first().starts_at.to_zoned_datetime(series.time_zone().clone());
            let day = words.weekday(start.date().weekday());
            words.say("on-weekdays", &[("rule", said.into()), ("days", day.into())])
        }
        ([], _) if plain => said,
        ([day], Frequency::Monthly) if plain && matches!(day.nth, 1..=5 | -1) => {
            let values = [
                ("rule", said.into()),
                ("nth", day.nth.into()),
                ("day", words.weekday(day.weekday()).into()),
            ];
            words.say("on-nth", &values)
        }
        (days, Frequency::Daily | Frequency::Weekly) if plain => {
            let mut days = days.to_vec();
            days.sort_by_key(|day| day.weekday().to_monday_zero_offset());
            let days: Vec<String> = days.iter().map(|day| words.weekday(day.weekday())).collect();
            words.say("on-weekdays", &[("rule", said.into()), ("days", words.list(&days).into())])
        }
        _ => words.say("on-calendar", &[("rule", said.into())]),
    }
}
