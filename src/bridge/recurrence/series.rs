//! A first meeting and its rule in a time zone: every occurrence, and the one that matters now.
//!
//! The clock on the wall stays the same when summer time begins or ends: a meeting at 10:00 is at 10:00
//! all year. A time that a change of clocks skips is moved on by the gap, one that it repeats is the
//! first of the two (RFC 5545 §3.3.5). The length is the same in seconds (§3.8.5.3).

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, ZonedDateTime};

use super::{BadRecurrence, End, Recurrence, YEARS_MAX};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Occurrence {
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
}

/// A meeting that happens at least once.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    first: Occurrence,
    /// Of `first`, on the wall.
    start: ZonedDateTime,
    recurrence: Option<Recurrence>,
}

impl Series {
    /// `starts_at` and `ends_at` are those of the first meeting, which must itself fit the rule.
    pub fn new(
        starts_at: Timestamp,
        ends_at: Timestamp,
        time_zone: TimeZone,
        recurrence: Option<Recurrence>,
    ) -> Result<Self, BadRecurrence> {
        if starts_at >= ends_at {
            return Err(BadRecurrence::EndsBeforeItStarts);
        }
        let start = starts_at.to_zoned_datetime(time_zone);
        if let Some(rule) = &recurrence {
            let date = start.date();
            if !rule.days_of(date, 0).is_some_and(|days| days.contains(&date))
                || matches!(rule.end, End::Until(until) if until < starts_at)
            {
                return Err(BadRecurrence::FirstIsNoOccurrence(date));
            }
            if start.datetime().to_zoned_datetime(start.time_zone().clone()).ok().as_ref() != Some(&start) {
                return Err(BadRecurrence::Ambiguous);
            }
        }
        Ok(Self { first: Occurrence { starts_at, ends_at }, start, recurrence })
    }

    #[must_use]
    pub fn first(&self) -> Occurrence {
        self.first
    }

    #[must_use]
    pub fn time_zone(&self) -> &TimeZone {
        self.start.time_zone()
    }

    #[must_use]
    pub fn recurrence(&self) -> Option<&Recurrence> {
        self.recurrence.as_ref()
    }

    /// All of them, in order, the first included.
    pub fn occurrences(&self) -> impl Iterator<Item = Occurrence> + '_ {
        self.beginning_with(0)
    }

    /// The occurrence whose window holds `now`: `early` before its start to `overrun` after its end.
    ///
    /// When windows overlap: the one going on, else the next, else the one that ended last. When `now`
    /// is in no window: the next one, and when there is none any more, the last.
    #[must_use]
    pub fn occurrence(&self, now: Timestamp, early: Duration, overrun: Duration) -> Occurrence {
        let Some(rule) = &self.recurrence else { return self.first };
        let opens = |one: &Occurrence| minus(one.starts_at, early);
        let closes = |one: &Occurrence| plus(one.ends_at, overrun);
        // Counted series are walked from the beginning; others from shortly before now.
        let begin = match rule.end {
            End::After(_) => 0,
            End::Never | End::Until(_) => {
                let length = self.first.ends_at.duration_since(self.first.starts_at).unsigned_abs();
                let reach = length.saturating_add(overrun).saturating_add(TWO_DAYS);
                let day = minus(now, reach).to_zoned_datetime(self.time_zone().clone()).date();
                rule.period_before(self.start.date(), day)
            }
        };
        let mut ended = None;
        let mut going_on = None;
        for one in self.beginning_with(begin) {
            if closes(&one) < now {
                continue;
            }
            if one.starts_at > now {
                let open = opens(&one) <= now;
                return match (going_on, ended) {
                    (Some(current), _) => current,
                    (None, Some(over)) if !open => over,
                    (None, _) => one,
                };
            }
            if one.ends_at > now {
                going_on = Some(one);
            } else {
                ended = Some(one);
            }
        }
        going_on.or(ended).unwrap_or_else(|| self.occurrences().last().unwrap_or(self.first))
    }

    /// When the last one ends.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        match self.recurrence.as_ref().map(|rule| rule.end) {
            None => self.first.ends_at,
            // Not walked: fifty years of days for nothing.
            Some(End::Never) => self.horizon(),
            Some(End::After(_) | End::Until(_)) => {
                self.occurrences().last().map_or(self.first.ends_at, |last| last.ends_at)
            }
        }
    }

    fn horizon(&self) -> Timestamp {
        self.start.checked_add(YEARS_MAX.years()).map_or(Timestamp::MAX, |end| end.timestamp())
    }

    fn beginning_with(&self, period: u32) -> impl Iterator<Item = Occurrence> + '_ {
        let horizon = self.horizon();
        let last_day = horizon.to_zoned_datetime(self.time_zone().clone()).date();
        let first_day = self.start.date();
        let (count, until) = match self.recurrence.as_ref().map(|rule| rule.end) {
            None => (1, horizon),
            Some(End::Never) => (usize::MAX, horizon),
            Some(End::After(count)) => (usize::from(count), horizon),
            Some(End::Until(until)) => (usize::MAX, until.min(horizon)),
        };
        // Sparse rules have many periods without a day; this ends those that never have one again.
        let days = (period..PERIODS_MAX)
            .map_while(move |period| match &self.recurrence {
                None => (period == 0).then(|| vec![first_day]),
                Some(rule) => rule.days_of(first_day, period),
            })
            .flatten()
            .take_while(move |day| *day <= last_day);
        days.filter(move |day| *day >= first_day)
            .filter_map(move |day| self.on(day))
            .take_while(move |one| one.starts_at <= until)
            .take(count)
    }

    /// The occurrence of a day.
    fn on(&self, day: Date) -> Option<Occurrence> {
        if day == self.start.date() {
            return Some(self.first);
        }
        let start =
            day.to_datetime(self.start.time()).to_zoned_datetime(self.time_zone().clone()).ok()?.timestamp();
        let length = self.first.ends_at.duration_since(self.first.starts_at);
        Some(Occurrence { starts_at: start, ends_at: start.checked_add(length).ok()? })
    }
}

fn minus(time: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| time.checked_sub(by).ok()).unwrap_or(Timestamp::MIN)
}

fn plus(time: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| time.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Days in [`YEARS_MAX`] years, and some.
const PERIODS_MAX: u32 = YEARS_MAX as u32 * 366 + 2;

#[cfg(test)]
mod tests {
    use super::super::time_zone;
    use super::*;

    const EARLY: Duration = Duration::from_secs(15 * 60);
    const OVERRUN: Duration = Duration::from_secs(30 * 60);

    /// Of `2027-03-26T10:00 60m Europe/London FREQ=…`: start on the wall, length, zone, rule.
    fn series(text: &str) -> Result<Series, BadRecurrence> {
        let words: Vec<&str> = text.split(' ').collect();
        let zone = time_zone(words[2])?;
        let start: jiff::civil::DateTime = words[0].parse().unwrap();
        let start = start.to_zoned_datetime(zone.clone()).unwrap().timestamp();
        let minutes: i64 = words[1].trim_end_matches('m').parse().unwrap();
        let end = start + SignedDuration::from_mins(minutes);
        Series::new(start, end, zone, words.get(3).map(|rule| rule.parse()).transpose()?)
    }

    fn starts(series: &Series, most: usize) -> String {
        let all: Vec<String> = series.occurrences().take(most).map(|one| one.starts_at.to_string()).collect();
        all.join(" ").replace(":00Z", "Z")
    }

    #[test]
    fn occurrences_keep_the_clock_on_the_wall() {
        let cases = [
            ("once", "2027-03-26T10:00 60m Europe/London", "2027-03-26T10:00Z"),
            (
                "daily over the beginning of summer time, 28 March",
                "2027-03-27T10:00 60m Europe/London FREQ=DAILY;COUNT=3",
                "2027-03-27T10:00Z 2027-03-28T09:00Z 2027-03-29T09:00Z",
            ),
            (
                "weekly over its end, 31 October",
                "2027-10-26T10:00 60m Europe/London FREQ=WEEKLY;COUNT=2",
                "2027-10-26T09:00Z 2027-11-02T10:00Z",
            ),
            (
                "a time that the change skips is moved on by the gap",
                "2027-03-27T01:30 30m Europe/London FREQ=DAILY;COUNT=3",
                "2027-03-27T01:30Z 2027-03-28T01:30Z 2027-03-29T00:30Z",
            ),
            (
                "a time that the change repeats is the first of the two",
                "2027-10-30T01:30 30m Europe/London FREQ=DAILY;COUNT=3",
                "2027-10-30T00:30Z 2027-10-31T00:30Z 2027-11-01T01:30Z",
            ),
            (
                "the south turns the other way",
                "2027-04-03T09:00 30m Australia/Sydney FREQ=DAILY;COUNT=2",
                "2027-04-02T22:00Z 2027-04-03T23:00Z",
            ),
            (
                "on two weekdays, begun in the middle of the week",
                "2027-01-07T10:00 30m UTC FREQ=WEEKLY;BYDAY=TU,TH;COUNT=3",
                "2027-01-07T10:00Z 2027-01-12T10:00Z 2027-01-14T10:00Z",
            ),
            (
                "every second week that begins on Monday",
                "1997-08-05T09:00 30m UTC FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
                "1997-08-05T09:00Z 1997-08-10T09:00Z 1997-08-19T09:00Z 1997-08-24T09:00Z",
            ),
            (
                "every second week that begins on Sunday",
                "1997-08-05T09:00 30m UTC FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
                "1997-08-05T09:00Z 1997-08-17T09:00Z 1997-08-19T09:00Z 1997-08-31T09:00Z",
            ),
            (
                "months without a 31st are passed over",
                "2027-01-31T10:00 30m UTC FREQ=MONTHLY;COUNT=3",
                "2027-01-31T10:00Z 2027-03-31T10:00Z 2027-05-31T10:00Z",
            ),
            (
                "the last day of each month",
                "2027-01-31T10:00 30m UTC FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3",
                "2027-01-31T10:00Z 2027-02-28T10:00Z 2027-03-31T10:00Z",
            ),
            (
                "the last working day of each month",
                "2027-01-29T10:00 30m UTC FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3",
                "2027-01-29T10:00Z 2027-02-26T10:00Z 2027-03-31T10:00Z",
            ),
            (
                "the second Tuesday, every other month",
                "2027-01-12T10:00 30m UTC FREQ=MONTHLY;INTERVAL=2;BYDAY=2TU;COUNT=3",
                "2027-01-12T10:00Z 2027-03-09T10:00Z 2027-05-11T10:00Z",
            ),
            (
                "29 February",
                "2028-02-29T10:00 30m UTC FREQ=YEARLY;COUNT=3",
                "2028-02-29T10:00Z 2032-02-29T10:00Z 2036-02-29T10:00Z",
            ),
            (
                "until a moment, included",
                "2027-01-01T10:00 30m UTC FREQ=DAILY;UNTIL=20270103T100000Z",
                "2027-01-01T10:00Z 2027-01-02T10:00Z 2027-01-03T10:00Z",
            ),
        ];
        for (name, text, expected) in cases {
            let series = series(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(starts(&series, 9), expected, "{name}");
        }
    }

    #[test]
    fn the_first_meeting_must_fit_its_rule() {
        let cases = [
            (
                "2027-01-06T10:00 30m UTC FREQ=WEEKLY;BYDAY=TU",
                "recurrence whose days do not include 2027-01-06, the day of starts_at in the meeting's time zone",
            ),
            (
                "2027-01-06T10:00 30m UTC FREQ=DAILY;UNTIL=20270101T000000Z",
                "recurrence whose days do not include 2027-01-06, the day of starts_at in the meeting's time zone",
            ),
            (
                "2027-01-06T10:00 30m Middle/Earth FREQ=DAILY",
                "time zone \"Middle/Earth\", expected an IANA name such as \"Europe/London\"",
            ),
            ("2027-01-06T10:00 0m UTC FREQ=DAILY", "recurring meeting that ends before it starts"),
        ];
        for (text, expected) in cases {
            assert_eq!(series(text).unwrap_err().to_string(), expected, "{text}");
        }
        let second = "2027-10-31T01:30:00Z".parse().unwrap();
        let hour = SignedDuration::from_hours(1);
        let rule = "FREQ=DAILY".parse().unwrap();
        let london = time_zone("Europe/London").unwrap();
        assert_eq!(Series::new(second, second + hour, london, Some(rule)), Err(BadRecurrence::Ambiguous));
    }

    #[test]
    fn the_occurrence_that_matters_is_the_one_whose_window_is_open() {
        // Mondays and Tuesdays at 10:00 in London; summer time begins on Sunday, 28 March 2027.
        let weekly = "2027-03-22T10:00 60m Europe/London FREQ=WEEKLY;BYDAY=MO,TU;COUNT=4";
        let endless = "2027-03-22T10:00 60m Europe/London FREQ=WEEKLY;BYDAY=MO,TU";
        let close = "2027-03-22T10:00 710m UTC FREQ=DAILY";
        let cases = [
            ("long before", weekly, "2026-01-01T00:00Z", "2027-03-22T10:00Z"),
            ("a second before its end", weekly, "2027-03-22T10:59:59Z", "2027-03-22T10:00Z"),
            ("in the overrun", weekly, "2027-03-22T11:30:00Z", "2027-03-22T10:00Z"),
            ("after the overrun", weekly, "2027-03-22T11:30:01Z", "2027-03-23T10:00Z"),
            (
                "an hour early by winter's clock, in time by summer's",
                weekly,
                "2027-03-29T08:45Z",
                "2027-03-29T09:00Z",
            ),
            ("going on in summer", weekly, "2027-03-29T09:59Z", "2027-03-29T09:00Z"),
            ("the last one is over", weekly, "2028-01-01T00:00Z", "2027-03-30T09:00Z"),
            ("without an end, years later, in winter", endless, "2041-01-07T10:20Z", "2041-01-07T10:00Z"),
            ("without an end, years later, in summer", endless, "2041-07-01T09:20Z", "2041-07-01T09:00Z"),
            ("without an end, between", endless, "2041-07-03T09:20Z", "2041-07-08T09:00Z"),
            ("beyond what any series reaches", endless, "2150-01-01T00:00Z", "2077-03-22T10:00Z"),
            ("windows that do not touch: the one just over", close, "2027-03-22T21:55Z", "2027-03-22T10:00Z"),
        ];
        for (name, text, now, expected) in cases {
            let series = series(text).unwrap();
            let now: Timestamp = now.parse().unwrap();
            let one = series.occurrence(now, EARLY, OVERRUN);
            assert_eq!(one.starts_at.to_string().replace(":00Z", "Z"), expected, "{name}");
        }
    }

    #[test]
    fn overlapping_windows_prefer_what_goes_on() {
        // Two hours' pause between meetings of 22 h; windows of three hours on both sides.
        let series = series("2027-03-22T10:00 1320m UTC FREQ=DAILY;COUNT=5").unwrap();
        let wide = Duration::from_secs(3 * 60 * 60);
        for (now, expected) in [
            ("2027-03-23T07:59:00Z", "2027-03-22T10:00:00Z"),
            ("2027-03-23T08:01:00Z", "2027-03-23T10:00:00Z"),
            ("2027-03-23T10:30:00Z", "2027-03-23T10:00:00Z"),
            ("2027-03-27T09:30:00Z", "2027-03-26T10:00:00Z"),
        ] {
            let one = series.occurrence(now.parse().unwrap(), wide, wide);
            assert_eq!(one.starts_at.to_string(), expected, "at {now}");
        }
    }

    #[test]
    fn a_jump_finds_what_a_walk_finds() {
        let rules = [
            "FREQ=DAILY",
            "FREQ=DAILY;INTERVAL=5",
            "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR",
            "FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,MO,FR;WKST=SU",
            "FREQ=MONTHLY;BYMONTHDAY=1,15,-1",
            "FREQ=MONTHLY;INTERVAL=7;BYDAY=-1FR,1FR",
            "FREQ=YEARLY;BYMONTH=1,10;BYMONTHDAY=1",
        ];
        for rule in rules {
            let text = format!("2027-01-01T09:00 45m America/New_York {rule}");
            let series = series(&text).unwrap_or_else(|error| panic!("{rule}: {error}"));
            let all: Vec<Occurrence> = series.occurrences().take(300).collect();
            for pair in all.windows(2) {
                for (now, expected) in [
                    (pair[0].ends_at + SignedDuration::from_mins(30), pair[0]),
                    (pair[0].ends_at + SignedDuration::from_mins(31), pair[1]),
                    (pair[1].starts_at, pair[1]),
                ] {
                    assert_eq!(series.occurrence(now, EARLY, OVERRUN), expected, "{rule} at {now}");
                }
            }
        }
    }

    #[test]
    fn rules_that_hardly_ever_happen_end() {
        let leap =
            series("2028-02-29T10:00 30m UTC FREQ=DAILY;INTERVAL=999;BYMONTH=2;BYMONTHDAY=29").unwrap();
        assert!(leap.occurrences().count() < 3);
        let far = "9990-01-01T00:00:00Z".parse().unwrap();
        let hour = SignedDuration::from_hours(1);
        let rule = "FREQ=YEARLY".parse().unwrap();
        let last = Series::new(far, far + hour, TimeZone::UTC, Some(rule)).unwrap();
        assert_eq!(last.occurrences().count(), 10);
        assert_eq!(last.ends_at(), Timestamp::MAX);
    }
}
