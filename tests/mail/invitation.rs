//! How invitations read, and that another program understands their calendar.

use doorline::bridge::{Recurrence, Series, recurrence};
use doorline::mail::{AccessNumber, Invitation, Method, Rendered};
use doorline::types::{Code, Language, Pin};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::post;

pub fn number(text: &str, country: Option<&str>) -> AccessNumber {
    AccessNumber {
        number: text.parse().unwrap(),
        language: Language::english(),
        country: country.map(|country| country.to_owned().try_into().unwrap()),
    }
}

/// At so many minutes from that time on the wall.
fn series(start: &str, minutes: i64, zone: &str, rule: Option<&str>) -> Series {
    let zone = recurrence::time_zone(zone).unwrap();
    let start: jiff::civil::DateTime = start.parse().unwrap();
    let start = start.to_zoned_datetime(zone.clone()).unwrap().timestamp();
    let rule = rule.map(|rule| rule.parse::<Recurrence>().unwrap());
    Series::new(start, start + SignedDuration::from_mins(minutes), zone, rule).unwrap()
}

fn invitation() -> Invitation {
    Invitation {
        method: Method::Request,
        uid: "0190@doorline".to_owned(),
        sequence: 0,
        stamp: "2027-01-02T03:04:05Z".parse().unwrap(),
        title: "Budget; round 2, <now> & \"later\" – a title long enough to be folded ✂ somewhere".to_owned(),
        language: Language::english(),
        host_name: "Ada \"the\" <L>".to_owned(),
        host_email: "ada@example.com".to_owned(),
        sent_by: Some("doorline@example.net".to_owned()),
        attendees: vec![
            "bob@example.com".to_owned(),
            "a.guest.with.a.very.long.name@mail.example.org".to_owned(),
        ],
        series: Some(series(
            "2027-03-22T10:00",
            90,
            "Europe/London",
            Some("FREQ=WEEKLY;BYDAY=MO,TH;COUNT=4"),
        )),
        pin: Pin::parse("471100815").unwrap(),
        code: Code::parse("4271").ok(),
        numbers: vec![
            number("+442079460000", Some("GB")),
            number("+4930555000", Some("DE")),
            number("+87012345678", None),
        ],
    }
}

#[test]
fn an_invitation_in_text_says_when_where_with_what_and_how_a_phone_is_remembered() {
    let text = invitation().render().text;
    let expected = "\
Ada \"the\" <L> invites you to: Budget; round 2, <now> & \"later\" – a title long enough to be folded ✂ somewhere
Monday, 22 March 2027, 10:00 to 11:30 (Europe/London)
Repeats every week on Monday and Thursday, 4 times in all. The same PIN and code are good each time.

Join by phone
  United Kingdom: +442079460000
  Germany: +4930555000
  +87012345678
PIN: 471 100 815
One-time code: 4271

One tap (Dials, and keys PIN and code for you)
  tel:+442079460000,,471100815#,,4271#
  tel:+4930555000,,471100815#,,4271#
  tel:+87012345678,,471100815#,,4271#

When you call for the first time, key the PIN and then the one-time code. Your phone number is then remembered: the next time you call from it, you go straight in.
Your phone should not be remembered? Press *9 during the call and it is forgotten at once.
Keep this invitation to yourself: whoever has these numbers can join.
";
    assert_eq!(text, expected);
}

#[test]
fn rules_are_told_as_sentences() {
    let cases = [
        ("2027-03-22T10:00", "FREQ=DAILY", "Repeats every day."),
        ("2027-03-22T10:00", "FREQ=DAILY;INTERVAL=3;COUNT=5", "Repeats every 3 days, 5 times in all."),
        ("2027-03-22T10:00", "FREQ=DAILY;COUNT=1", "Repeats every day, once in all."),
        ("2027-03-22T10:00", "FREQ=WEEKLY", "Repeats every week on Monday."),
        (
            "2027-03-22T10:00",
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR;UNTIL=20270601T000000Z",
            "Repeats every 2 weeks on Monday, Wednesday and Friday, until Tuesday, 1 June 2027.",
        ),
        ("2027-03-22T10:00", "FREQ=MONTHLY", "Repeats every month."),
        ("2027-03-22T10:00", "FREQ=MONTHLY;BYDAY=4MO", "Repeats every month on the fourth Monday."),
        ("2027-03-29T10:00", "FREQ=MONTHLY;BYDAY=-1MO", "Repeats every month on the last Monday."),
        (
            "2027-03-22T10:00",
            "FREQ=MONTHLY;BYMONTHDAY=1,22",
            "Repeats every month, on the days in the calendar entry.",
        ),
        ("2027-03-22T10:00", "FREQ=YEARLY", "Repeats every year."),
    ];
    for (start, rule, expected) in cases {
        let series = Some(series(start, 60, "Europe/London", Some(rule)));
        let text = Invitation { series, code: None, ..invitation() }.render().text;
        assert_eq!(text.lines().nth(2), Some(expected), "{rule}");
    }
}

#[test]
fn html_is_escaped_has_links_that_dial_and_loads_nothing() {
    let html = invitation().render().html;
    for part in [
        "<html lang=\"en-GB\">",
        "<meta name=\"color-scheme\" content=\"light dark\">",
        "href=\"tel:+442079460000,,471100815%23,,4271%23\"",
        "Ada &quot;the&quot; &lt;L&gt; invites you to: Budget; round 2, &lt;now&gt; &amp; &quot;later&quot;",
        ">471 100 815</strong>",
        "*9",
    ] {
        assert!(html.contains(part), "{part} is not in:\n{html}");
    }
    for part in ["<now>", "<L>", "http:", "https:", "src=", "<script", "<img", "<link", "url("] {
        assert!(!html.contains(part), "{part} is in:\n{html}");
    }
    // Every element that is opened is closed.
    for tag in ["html", "head", "body", "h1", "h2", "p", "ul", "li", "a", "strong", "title"] {
        let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
        let opened =
            html.match_indices(&open).filter(|(at, _)| html[at + open.len()..].starts_with([' ', '>']));
        assert_eq!(opened.count(), html.matches(&close).count(), "{tag}");
    }
}

#[test]
fn a_cancellation_tells_no_pin_and_takes_the_entry_away() {
    let cancelled = Invitation { method: Method::Cancel, sequence: 3, ..invitation() }.render();
    assert!(cancelled.subject.starts_with("Cancelled: Budget"));
    let ics = cancelled.ics.unwrap();
    for part in ["METHOD:CANCEL\r\n", "STATUS:CANCELLED\r\n", "SEQUENCE:3\r\n", "UID:0190@doorline\r\n"] {
        assert!(ics.contains(part), "{part}");
    }
    for text in [&cancelled.text, &cancelled.html, &ics] {
        assert!(!text.contains("4271") && !text.contains("471"), "{text}");
    }
}

#[test]
fn meetings_without_code_times_or_numbers_have_invitations_too() {
    let standing = Invitation { code: None, series: None, numbers: Vec::new(), ..invitation() };
    let rendered = standing.render();
    assert_eq!(rendered.ics, None);
    assert!(rendered.text.contains("Call the number that your host gave you.\nPIN: 471 100 815\n"));
    assert!(rendered.text.contains("Your phone is not remembered by this meeting."));
    assert!(!rendered.text.contains("ode:") && !rendered.text.contains("tel:"));
    assert!(standing.one_tap().is_empty());
    let standard = Invitation { code: None, ..invitation() };
    assert_eq!(standard.one_tap()[0], "tel:+442079460000,,471100815#");
    let update = Invitation { sequence: 1, title: "Budget".to_owned(), ..invitation() };
    assert_eq!(update.render().subject, "Updated: Budget");
}

#[test]
fn nothing_of_pin_code_and_numbers_is_printed_for_logs() {
    let invitation = invitation();
    let shown = format!("{invitation:?} {:?}", invitation.render());
    for secret in ["471100815", "471 100 815", "4271", "442079460000"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// A calendar object, and the same with a name for its zone that only its own VTIMEZONE explains.
fn both_ways(rendered: &Rendered, zone: &str, own: &str) -> [String; 2] {
    let ics = rendered.ics.clone().unwrap();
    for line in ics.split("\r\n") {
        assert!(line.len() <= 75, "{} octets: {line}", line.len());
        assert!(!line.contains(['\n', '\r']), "{line:?}");
    }
    assert!(ics.ends_with("END:VCALENDAR\r\n"));
    let unfolded = ics.replace("\r\n ", "");
    let mut own_zone = unfolded.clone();
    for lead in ["TZID:", "TZID="] {
        own_zone = own_zone.replace(&format!("{lead}{zone}"), &format!("{lead}{own}"));
    }
    assert!(own_zone != unfolded || zone == "UTC");
    [ics, own_zone]
}

#[test]
fn another_reader_finds_the_same_meetings_in_the_calendar() {
    let cases = [
        ("once", "2027-03-22T10:00", "Europe/London", None),
        ("over midnight", "2027-03-22T23:30", "Europe/London", None),
        ("in the south", "2027-03-22T10:00", "Australia/Sydney", Some("FREQ=WEEKLY;COUNT=40")),
        ("weekly for a year", "2027-01-04T09:30", "Europe/London", Some("FREQ=WEEKLY;BYDAY=MO,FR;COUNT=104")),
        ("daily without an end", "2027-01-04T09:30", "America/New_York", Some("FREQ=DAILY")),
        (
            "every other week",
            "2027-01-05T18:00",
            "America/Los_Angeles",
            Some("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU;COUNT=50"),
        ),
        (
            "last working day",
            "2027-01-29T10:00",
            "Europe/Warsaw",
            Some("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=24"),
        ),
        ("second Tuesday", "2027-01-12T10:00", "Europe/Dublin", Some("FREQ=MONTHLY;BYDAY=2TU;COUNT=24")),
        ("the 31st", "2027-01-31T10:00", "Asia/Tokyo", Some("FREQ=MONTHLY;COUNT=14")),
        ("last day", "2027-01-31T10:00", "Asia/Kolkata", Some("FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=14")),
        (
            "quarters",
            "2027-01-01T10:00",
            "America/Sao_Paulo",
            Some("FREQ=YEARLY;BYMONTH=1,4,7,10;BYMONTHDAY=1;COUNT=12"),
        ),
        ("until", "2027-03-20T12:00", "Europe/London", Some("FREQ=DAILY;UNTIL=20270404T110000Z")),
        ("no rule for its clocks", "2027-01-04T09:30", "Africa/Casablanca", Some("FREQ=WEEKLY;COUNT=60")),
        ("half an hour of summer", "2027-01-04T09:30", "Australia/Lord_Howe", Some("FREQ=WEEKLY;COUNT=60")),
        ("UTC", "2027-03-22T10:00", "UTC", Some("FREQ=WEEKLY;COUNT=5")),
    ];
    let until: Timestamp = "2029-06-01T00:00:00Z".parse().unwrap();
    let mut objects = Vec::new();
    let mut expected = Vec::new();
    for (at, (name, start, zone, rule)) in cases.into_iter().enumerate() {
        let series = series(start, 75, zone, rule);
        let found: Vec<Value> = series
            .occurrences()
            .take_while(|one| one.starts_at < until)
            .map(|one| json!([one.starts_at.to_string(), one.ends_at.to_string()]))
            .collect();
        let rendered = Invitation { series: Some(series), ..invitation() }.render();
        // Its reader keeps zones by name, so each has its own.
        for ics in both_ways(&rendered, zone, &format!("Doorline/Zone-{at}")) {
            objects.push(json!({"ics": ics, "until": until.to_string()}));
            expected.push((name, found.clone(), rendered.text.clone()));
        }
    }
    let read = post::read_calendars(&objects);
    assert_eq!(read.len(), expected.len());
    for (read, (name, occurrences, text)) in read.iter().zip(&expected) {
        assert_eq!(read["occurrences"], json!(occurrences), "{name} {}", read["zones"]);
        assert_eq!(read["errors"], json!([]), "{name}");
        assert_eq!(read["method"], "REQUEST", "{name}");
        assert_eq!(read["uid"], "0190@doorline");
        assert_eq!(read["status"], "CONFIRMED");
        assert_eq!(read["summary"].as_str().unwrap(), invitation().title);
        assert_eq!(read["description"].as_str().unwrap().trim_end(), text.trim_end(), "{name}");
        assert_eq!(read["organizer"], "mailto:ada@example.com");
        assert_eq!(read["organizer_name"], "Ada 'the' <L>");
        assert_eq!(
            read["attendees"],
            json!(["mailto:bob@example.com", "mailto:a.guest.with.a.very.long.name@mail.example.org"])
        );
        let zones = read["zones"].as_array().unwrap().len();
        assert_eq!(zones, usize::from(*name != "UTC"), "{name}");
    }
}
