//! A time zone as a calendar object describes it: VTIMEZONE (RFC 5545 §3.6.5).
//!
//! Made from the same rules that meetings are reckoned with, for the time that a series takes. Changes
//! of clocks that follow a yearly rule are written as that rule, others date by date.

use jiff::civil::DateTime;
use jiff::tz::{Dst, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::calendar::on_the_wall;
use crate::bridge::Series;

/// A change of clocks.
struct Change {
    /// On the wall, by the old offset.
    at: DateTime,
    from: Offset,
    to: Offset,
    summer: bool,
    name: String,
}

/// The lines of the zone, unfolded.
pub fn lines(name: &str, series: &Series) -> Vec<String> {
    let mut out = vec!["BEGIN:VTIMEZONE".to_owned(), format!("TZID:{name}")];
    let mut kinds: Vec<Vec<Change>> = Vec::new();
    for change in changes(series.time_zone(), series.first().starts_at, series.ends_at()) {
        let same = |kind: &&mut Vec<Change>| {
            let first = &kind[0];
            (first.from, first.to, first.summer, &first.name)
                == (change.from, change.to, change.summer, &change.name)
        };
        match kinds.iter_mut().find(same) {
            Some(kind) => kind.push(change),
            None => kinds.push(vec![change]),
        }
    }
    for kind in &kinds {
        observance(kind, &mut out);
    }
    out.push("END:VTIMEZONE".to_owned());
    out
}

/// The one in force when the series begins, and all until it ends, at most [`CHANGES_MAX`].
fn changes(zone: &TimeZone, begin: Timestamp, end: Timestamp) -> Vec<Change> {
    let in_force = zone.preceding(begin + SignedDuration::from_secs(1)).next();
    let first = match &in_force {
        Some(transition) => change(zone, transition.timestamp(), transition.abbreviation(), transition.dst()),
        None => {
            let info = zone.to_offset_info(begin);
            Change {
                at: jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0),
                from: info.offset(),
                to: info.offset(),
                summer: info.dst().is_dst(),
                name: info.abbreviation().to_owned(),
            }
        }
    };
    let later =
        zone.following(begin).take_while(|transition| transition.timestamp() <= end).take(CHANGES_MAX);
    let later = later
        .map(|transition| change(zone, transition.timestamp(), transition.abbreviation(), transition.dst()));
    std::iter::once(first).chain(later).collect()
}

fn change(zone: &TimeZone, at: Timestamp, name: &str, dst: Dst) -> Change {
    let from =
        at.checked_sub(SignedDuration::from_secs(1)).map_or(Offset::UTC, |before| zone.to_offset(before));
    Change {
        at: from.to_datetime(at),
        from,
        to: zone.to_offset(at),
        summer: dst.is_dst(),
        name: name.to_owned(),
    }
}

fn observance(kind: &[Change], out: &mut Vec<String>) {
    let first = &kind[0];
    let part = if first.summer { "DAYLIGHT" } else { "STANDARD" };
    out.push(format!("BEGIN:{part}"));
    out.push(format!("TZNAME:{}", first.name));
    out.push(format!("TZOFFSETFROM:{}", offset(first.from)));
    out.push(format!("TZOFFSETTO:{}", offset(first.to)));
    out.push(format!("DTSTART:{}", on_the_wall(first.at)));
    match yearly(kind) {
        Some(rule) => out.push(format!("RRULE:{rule}")),
        None => out.extend(kind[1..].iter().map(|change| format!("RDATE:{}", on_the_wall(change.at)))),
    }
    out.push(format!("END:{part}"));
}

/// The rule that gives exactly these dates, if they are of consecutive years: the nth or the last
/// weekday of a month.
fn yearly(kind: &[Change]) -> Option<String> {
    if kind.len() < 2 {
        return None;
    }
    let first = kind[0].at;
    let consecutive = kind.windows(2).all(|pair| {
        pair[1].at.year() == pair[0].at.year() + 1
            && pair[1].at.month() == first.month()
            && pair[1].at.date().weekday() == first.date().weekday()
            && pair[1].at.time() == first.time()
    });
    let nth = |at: DateTime| (at.day() - 1) / 7 + 1;
    let last = |at: DateTime| at.day() + 7 > at.date().days_in_month();
    let place = if kind.iter().all(|change| last(change.at)) {
        -1
    } else if kind.iter().all(|change| nth(change.at) == nth(first)) {
        nth(first)
    } else {
        return None;
    };
    let day = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
        [usize::try_from(first.date().weekday().to_monday_zero_offset()).ok()?];
    consecutive.then(|| format!("FREQ=YEARLY;BYMONTH={};BYDAY={place}{day}", first.month()))
}

/// UTC-OFFSET of §3.3.14; seconds only where a zone had them.
fn offset(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if rest == 0 {
        format!("{sign}{hours:02}{minutes:02}")
    } else {
        format!("{sign}{hours:02}{minutes:02}{rest:02}")
    }
}

/// Two a year over fifty years, and some.
const CHANGES_MAX: usize = 120;
