//! The invitation to a meeting: text, HTML and iCalendar (RFC 5545, RFC 5546) from the same facts.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

use super::AccessNumber;
use crate::bridge::view::MeetingState;
use crate::store::{Host, Meeting};

/// What goes to guests.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invitation {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Null for the standing meeting, which has no time.
    pub ics: Option<String>,
}

/// One link per access number: a telephone dials it, waits, and keys PIN and code. A comma is a
/// pause of about two seconds in every dialler we know of.
#[must_use]
pub fn one_tap(host: &Host, meeting: &Meeting, numbers: &[AccessNumber]) -> Vec<String> {
    numbers.iter().map(|number| format!("tel:{},,{}", number.number.reveal(), keys(host, meeting))).collect()
}

/// `PIN#`, or `PIN#,,CODE#`.
fn keys(host: &Host, meeting: &Meeting) -> String {
    let pin = host.pin.reveal();
    match &meeting.code {
        Some(code) => format!("{pin}#,,{}#", code.reveal()),
        None => format!("{pin}#"),
    }
}

impl Invitation {
    #[must_use]
    pub fn of(host: &Host, meeting: &Meeting, numbers: &[AccessNumber]) -> Self {
        let subject = match meeting.state {
            MeetingState::Cancelled => format!("Cancelled: {}", meeting.title),
            _ => meeting.title.clone(),
        };
        let text = text(host, meeting, numbers);
        let ics = meeting
            .starts_at
            .zip(meeting.ends_at)
            .map(|times| calendar(host, meeting, numbers, times, &text));
        Self { subject, html: html(host, meeting, numbers), text, ics }
    }
}

fn text(host: &Host, meeting: &Meeting, numbers: &[AccessNumber]) -> String {
    let mut lines = vec![format!("{} invites you to: {}", host.name, meeting.title)];
    if meeting.state == MeetingState::Cancelled {
        lines = vec![format!("{} cancelled: {}", host.name, meeting.title)];
    }
    if let Some(when) = when(meeting) {
        lines.push(when);
    }
    if meeting.state != MeetingState::Cancelled {
        lines.push(String::new());
        lines.push("Join by phone:".to_owned());
        lines.extend(numbers.iter().map(|number| format!("  {}", shown(number))));
        lines.push(format!("PIN: {}", grouped(host.pin.reveal())));
        if let Some(code) = &meeting.code {
            lines.push(format!("One-time code: {}", code.reveal()));
        }
        let taps = one_tap(host, meeting, numbers);
        if !taps.is_empty() {
            lines.push(String::new());
            lines.push("One tap:".to_owned());
            lines.extend(taps.iter().map(|tap| format!("  {tap}")));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn html(host: &Host, meeting: &Meeting, numbers: &[AccessNumber]) -> String {
    let (name, title) = (escaped(&host.name), escaped(&meeting.title));
    let when = when(meeting).map(|when| format!("<p>{}</p>", escaped(&when))).unwrap_or_default();
    if meeting.state == MeetingState::Cancelled {
        return format!("<p>{name} cancelled: <strong>{title}</strong></p>{when}");
    }
    let code =
        meeting.code.as_ref().map(|code| format!("<br>One-time code: <strong>{}</strong>", code.reveal()));
    let dial: String = numbers
        .iter()
        .zip(one_tap(host, meeting, numbers))
        .map(|(number, tap)| {
            // In a URI "#" begins a fragment (RFC 3986 §3.5); diallers want it as a key.
            let link = tap.replace('#', "%23");
            format!("<li><a href=\"{}\">{}</a></li>", escaped(&link), escaped(&shown(number)))
        })
        .collect();
    let dial = if dial.is_empty() { dial } else { format!("<p>Join by phone:</p><ul>{dial}</ul>") };
    format!(
        "<p>{name} invites you to: <strong>{title}</strong></p>{when}{dial}<p>PIN: <strong>{}</strong>{}</p>",
        grouped(host.pin.reveal()),
        code.unwrap_or_default()
    )
}

fn shown(number: &AccessNumber) -> String {
    match number.country {
        Some(country) => format!("{} ({}, {})", number.number.reveal(), country.as_str(), number.language),
        None => format!("{} ({})", number.number.reveal(), number.language),
    }
}

/// In threes, as people read them out.
fn grouped(digits: &str) -> String {
    digits.as_bytes().chunks(3).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// In the meeting's time zone, else in UTC.
fn when(meeting: &Meeting) -> Option<String> {
    let (start, end) = meeting.starts_at.zip(meeting.ends_at)?;
    let named = meeting.time_zone.as_deref().and_then(|name| Some((name, TimeZone::get(name).ok()?)));
    let (name, zone) = named.unwrap_or(("UTC", TimeZone::UTC));
    let (start, end) = (start.to_zoned_datetime(zone.clone()), end.to_zoned_datetime(zone));
    let end_form = if start.date() == end.date() { "%H:%M" } else { "%A, %-d %B %Y, %H:%M" };
    Some(format!("{} to {} ({name})", start.strftime("%A, %-d %B %Y, %H:%M"), end.strftime(end_form)))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn calendar(
    host: &Host,
    meeting: &Meeting,
    numbers: &[AccessNumber],
    (start, end): (Timestamp, Timestamp),
    text: &str,
) -> String {
    let cancelled = meeting.state == MeetingState::Cancelled;
    let time = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//Doorline//One Time Meetings//EN".to_owned(),
        format!("METHOD:{}", if cancelled { "CANCEL" } else { "REQUEST" }),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{}@doorline", meeting.id),
        format!("SEQUENCE:{}", meeting.sequence),
        format!("DTSTAMP:{}", time(meeting.updated_at)),
        format!("DTSTART:{}", time(start)),
        format!("DTEND:{}", time(end)),
        format!("SUMMARY:{}", value(&meeting.title)),
        format!("STATUS:{}", if cancelled { "CANCELLED" } else { "CONFIRMED" }),
        format!("ORGANIZER;CN={}:mailto:{}", parameter(&host.name), host.email),
    ];
    lines.extend(meeting.invitees.iter().map(|guest| format!("ATTENDEE;RSVP=TRUE:mailto:{guest}")));
    lines.push(format!("DESCRIPTION:{}", value(text)));
    if let Some(number) = numbers.first() {
        lines.push(format!("LOCATION:{}", value(&shown(number))));
    }
    lines.push("END:VEVENT".to_owned());
    lines.push("END:VCALENDAR".to_owned());
    lines.iter().map(|line| folded(line)).collect()
}

/// TEXT of RFC 5545 §3.3.11.
fn value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | ';' | ',' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => {}
            c => out.push(c),
        }
    }
    out
}

/// A quoted parameter value (§3.2), which cannot hold a quote.
fn parameter(text: &str) -> String {
    format!("\"{}\"", text.replace(['"', '\r', '\n'], "'"))
}

/// Lines of at most 75 octets, not counting CRLF; a long one goes on after CRLF and a space (§3.1).
fn folded(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 8);
    let mut width = 0;
    for c in line.chars() {
        if width + c.len_utf8() > 75 {
            out.push_str("\r\n ");
            width = 1;
        }
        out.push(c);
        width += c.len_utf8();
    }
    out.push_str("\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::view::{KnownCallers, MeetingKind};
    use crate::types::{Code, HostId, MeetingId, Pin};

    fn host() -> Host {
        Host {
            id: HostId::numbered(1),
            name: "Ada \"the\" <L>".to_owned(),
            email: "ada@example.com".to_owned(),
            language: None,
            known_callers: KnownCallers::StraightThrough,
            numbers: Vec::new(),
            pin: Pin::parse("471100815").unwrap(),
            pin_at: Timestamp::UNIX_EPOCH,
            standard_meeting: MeetingId::numbered(2),
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn meeting() -> Meeting {
        Meeting {
            id: MeetingId::numbered(3),
            host: HostId::numbered(1),
            kind: MeetingKind::OneTime,
            standing: false,
            state: MeetingState::Scheduled,
            title: "Budget; round 2, <now> – a title that is long enough to be folded ✂ somewhere".to_owned(),
            starts_at: "2026-07-02T09:00:00Z".parse().ok(),
            ends_at: "2026-07-02T10:30:00Z".parse().ok(),
            time_zone: Some("Europe/London".to_owned()),
            code: Code::parse("4271").ok(),
            invitees: vec!["bob@example.com".to_owned()],
            known_callers: None,
            wait_for_moderator: false,
            sequence: 2,
            opened_by: None,
            opened_at: None,
            closed_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn numbers() -> Vec<AccessNumber> {
        vec![AccessNumber {
            number: "+442079460000".parse().unwrap(),
            language: "en-GB".parse().unwrap(),
            country: "GB".to_owned().try_into().ok(),
        }]
    }

    #[test]
    fn an_invitation_says_when_where_and_with_what() {
        let invitation = Invitation::of(&host(), &meeting(), &numbers());
        let text = &invitation.text;
        for line in [
            "Thursday, 2 July 2026, 10:00 to 11:30 (Europe/London)",
            "  +442079460000 (GB, en-GB)",
            "PIN: 471 100 815",
            "One-time code: 4271",
            "  tel:+442079460000,,471100815#,,4271#",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
        }
        assert!(invitation.html.contains("href=\"tel:+442079460000,,471100815%23,,4271%23\""));
        assert!(invitation.html.contains("Ada &quot;the&quot; &lt;L&gt;"));
        assert!(!invitation.html.contains("<now>") && !invitation.html.contains("<L>"));

        let ics = invitation.ics.unwrap();
        assert!(ics.split("\r\n").all(|line| line.len() <= 75), "{ics}");
        let unfolded = ics.replace("\r\n ", "");
        for line in [
            "METHOD:REQUEST",
            "UID:00000000-0000-0000-0000-000000000003@doorline",
            "SEQUENCE:2",
            "DTSTART:20260702T090000Z",
            "DTEND:20260702T103000Z",
            "SUMMARY:Budget\\; round 2\\, <now> – a title that is long enough to be folded ✂ somewhere",
            "ORGANIZER;CN=\"Ada 'the' <L>\":mailto:ada@example.com",
            "ATTENDEE;RSVP=TRUE:mailto:bob@example.com",
        ] {
            assert!(unfolded.lines().any(|found| found == line), "{line} is not in:\n{unfolded}");
        }
    }

    #[test]
    fn a_cancellation_tells_no_pin() {
        let cancelled = Meeting { state: MeetingState::Cancelled, ..meeting() };
        let invitation = Invitation::of(&host(), &cancelled, &numbers());
        let ics = invitation.ics.unwrap();
        assert!(ics.contains("METHOD:CANCEL\r\n") && ics.contains("STATUS:CANCELLED\r\n"));
        for text in [&invitation.text, &invitation.html, &ics] {
            assert!(!text.contains("4271") && !text.contains("471"), "{text}");
        }
    }

    #[test]
    fn a_meeting_without_code_or_time_has_an_invitation_too() {
        let standing = Meeting {
            kind: MeetingKind::Standard,
            standing: true,
            code: None,
            starts_at: None,
            ends_at: None,
            ..meeting()
        };
        let invitation = Invitation::of(&host(), &standing, &numbers());
        assert!(invitation.ics.is_none() && !invitation.text.contains("code"));
        assert_eq!(one_tap(&host(), &standing, &numbers()), ["tel:+442079460000,,471100815#"]);
        assert!(Invitation::of(&host(), &standing, &[]).text.contains("PIN: 471 100 815"));
    }
}
