//! The invitation as a calendar object (RFC 5545) that asks for or cancels a meeting (RFC 5546).

use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::invitation::{Invitation, Method, as_uri};
use super::text;
use super::time_zone;
use super::words::Words;
use crate::bridge::Series;

/// `description` is the invitation as text.
pub fn calendar(invitation: &Invitation, series: &Series, words: &Words, description: &str) -> String {
    let cancelled = invitation.method == Method::Cancel;
    let mut out = Lines::default();
    out.line("BEGIN:VCALENDAR");
    out.line("VERSION:2.0");
    out.line("PRODID:-//Doorline//One Time Meetings//EN");
    out.line("CALSCALE:GREGORIAN");
    out.line(&format!("METHOD:{}", invitation.method.word()));
    let zone = Zone::of(series);
    if let Some(name) = &zone.name {
        for line in time_zone::lines(name, series) {
            out.line(&line);
        }
    }
    out.line("BEGIN:VEVENT");
    out.line(&format!("UID:{}", escaped(&invitation.uid)));
    out.line(&format!("SEQUENCE:{}", invitation.sequence));
    out.line(&format!("DTSTAMP:{}", utc(invitation.stamp)));
    out.line(&zone.time("DTSTART", series.first().starts_at));
    out.line(&zone.time("DTEND", series.first().ends_at));
    if let Some(rule) = series.recurrence() {
        out.line(&format!("RRULE:{rule}"));
    }
    out.line(&format!("SUMMARY:{}", escaped(&invitation.title)));
    out.line(&format!("STATUS:{}", if cancelled { "CANCELLED" } else { "CONFIRMED" }));
    let sent_by = invitation.sent_by.as_ref().filter(|from| **from != invitation.host_email);
    let sent_by = sent_by.map(|from| format!(";SENT-BY={}", parameter(&format!("mailto:{from}"))));
    out.line(&format!(
        "ORGANIZER;CN={}{}:mailto:{}",
        parameter(&invitation.host_name),
        sent_by.unwrap_or_default(),
        address(&invitation.host_email)
    ));
    for guest in &invitation.attendees {
        out.line(&format!(
            "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:{}",
            address(guest)
        ));
    }
    out.line(&format!("DESCRIPTION:{}", escaped(description)));
    if !cancelled {
        if let Some(number) = invitation.numbers.first() {
            out.line(&format!("LOCATION:{}", escaped(&text::number_line(number, words))));
        }
        // RFC 7986 §5.11: programs that know it offer a button to call.
        for (number, tap) in invitation.numbers.iter().zip(invitation.one_tap()) {
            let label = parameter(&text::number_line(number, words));
            out.line(&format!("CONFERENCE;VALUE=URI;FEATURE=PHONE;LABEL={label}:{}", as_uri(&tap)));
        }
    }
    out.line("TRANSP:OPAQUE");
    out.line("END:VEVENT");
    out.line("END:VCALENDAR");
    out.text
}

/// How times are written: on the wall of a zone that the object describes, or in UTC.
struct Zone {
    zone: TimeZone,
    name: Option<String>,
}

impl Zone {
    fn of(series: &Series) -> Self {
        let zone = series.time_zone().clone();
        // A time that clocks repeat means the first of the two (RFC 5545 §3.3.5); the second can only be
        // written in UTC. Recurring meetings do not begin in such an hour.
        let first = series.first();
        let told = [first.starts_at, first.ends_at].into_iter().all(|time| {
            zone.to_datetime(time)
                .to_zoned_datetime(zone.clone())
                .is_ok_and(|zoned| zoned.timestamp() == time)
        });
        let name = zone.iana_name().filter(|name| *name != "UTC").map(str::to_owned);
        Self { name: name.filter(|_| told || series.recurrence().is_some()), zone }
    }

    fn time(&self, property: &str, time: Timestamp) -> String {
        match &self.name {
            Some(name) => format!("{property};TZID={name}:{}", on_the_wall(self.zone.to_datetime(time))),
            None => format!("{property}:{}", utc(time)),
        }
    }
}

/// FORM #1 of §3.3.5.
pub fn on_the_wall(time: civil::DateTime) -> String {
    time.strftime("%Y%m%dT%H%M%S").to_string()
}

fn utc(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// TEXT of §3.3.11. Control characters but line breaks are not part of it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// A quoted parameter value (§3.2), which cannot hold quotes or control characters.
fn parameter(text: &str) -> String {
    let inner: String =
        text.chars().filter(|c| !c.is_control()).map(|c| if c == '"' { '\'' } else { c }).collect();
    format!("\"{inner}\"")
}

/// A mail address without what would end the line.
fn address(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !c.is_whitespace()).collect()
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    /// At most 75 octets without CRLF; a longer one goes on after CRLF and a space (§3.1), never in
    /// the middle of a character.
    fn line(&mut self, line: &str) {
        let mut width = 0;
        for c in line.chars() {
            if width + c.len_utf8() > 75 {
                self.text.push_str("\r\n ");
                width = 1;
            }
            width += c.len_utf8();
            let _ = self.text.write_char(c);
        }
        self.text.push_str("\r\n");
    }
}
