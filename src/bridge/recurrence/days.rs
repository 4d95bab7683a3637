//! The days of a recurrence rule, period by period (RFC 5545 §3.3.10, the table of BY… parts).

use jiff::ToSpan;
use jiff::civil::{Date, Weekday, date};

use super::{Day, Frequency, Recurrence};

impl Recurrence {
    /// The days of the `period`th period (0: the one that `first` lies in), sorted; also those before
    /// `first`. `None` beyond the calendar.
    pub(super) fn days_of(&self, first: Date, period: u32) -> Option<Vec<Date>> {
        let step = i64::from(period).checked_mul(i64::from(self.interval))?;
        let mut days = match self.frequency {
            Frequency::Daily => {
                let day = first.checked_add(step.days()).ok()?;
                let on = self.in_months(day) && self.on_weekdays(day) && self.on_month_days(day);
                if on { vec![day] } else { Vec::new() }
            }
            Frequency::Weekly => {
                let back = first.weekday().since(self.week_start);
                let monday = first.checked_sub(i64::from(back).days()).ok()?;
                let begin = monday.checked_add((step.checked_mul(7)?).days()).ok()?;
                let mut week = Vec::with_capacity(7);
                for offset in 0..7_i64 {
                    week.push(begin.checked_add(offset.days()).ok()?);
                }
                let wanted = |day: &Date| {
                    let on = if self.days.is_empty() {
                        day.weekday() == first.weekday()
                    } else {
                        self.on_weekdays(*day)
                    };
                    on && self.in_months(*day)
                };
                week.into_iter().filter(wanted).collect()
            }
            Frequency::Monthly => {
                let month = i64::from(first.month()) - 1 + step;
                let year = i64::from(first.year()) + month.div_euclid(12);
                let begin = month_begin(year, month.rem_euclid(12) + 1)?;
                if self.in_months(begin) { self.days_of_month(begin, first) } else { Vec::new() }
            }
            Frequency::Yearly => {
                let year = i64::from(first.year()) + step;
                let months: Vec<i8> = match (self.months.is_empty(), self.month_days.is_empty()) {
                    (false, _) => self.months.clone(),
                    (true, false) => (1..=12).collect(),
                    (true, true) => vec![first.month()],
                };
                let mut days = Vec::new();
                for month in months {
                    days.extend(self.days_of_month(month_begin(year, i64::from(month))?, first));
                }
                days
            }
        };
        if !self.positions.is_empty() {
            let all = std::mem::take(&mut days);
            for position in &self.positions {
                let at = usize::from(position.unsigned_abs()) - 1;
                let chosen = if *position > 0 { all.get(at) } else { all.iter().rev().nth(at) };
                days.extend(chosen);
            }
            days.sort_unstable();
            days.dedup();
        }
        Some(days)
    }

    /// A period that no day at or after `day` comes before, counted from the one of `first`.
    pub(super) fn period_before(&self, first: Date, day: Date) -> u32 {
        let days = i64::from(first.until(day).map_or(0, |span| span.get_days()));
        let months = i64::from(day.year() - first.year()) * 12 + i64::from(day.month() - first.month());
        let units = match self.frequency {
            Frequency::Daily => days,
            Frequency::Weekly => days.div_euclid(7),
            Frequency::Monthly => months,
            Frequency::Yearly => months.div_euclid(12),
        };
        // Two back: weeks may begin on any day, and the division is not exact.
        u32::try_from(units / i64::from(self.interval) - 2).unwrap_or(0)
    }

    /// The days of one month: by number, else by weekday, else the day of the first meeting (a month
    /// that lacks it is passed over).
    fn days_of_month(&self, begin: Date, first: Date) -> Vec<Date> {
        let length = begin.days_in_month();
        let days = (1..=length).map(|day| date(begin.year(), begin.month(), day));
        if !self.month_days.is_empty() {
            days.filter(|day| self.on_month_days(*day) && self.on_weekdays(*day)).collect()
        } else if !self.days.is_empty() {
            days.filter(|day| self.days.iter().any(|wanted| is_nth(*wanted, *day))).collect()
        } else {
            days.filter(|day| day.day() == first.day()).collect()
        }
    }

    fn in_months(&self, day: Date) -> bool {
        self.months.is_empty() || self.months.contains(&day.month())
    }

    fn on_weekdays(&self, day: Date) -> bool {
        self.days.is_empty() || self.days.iter().any(|wanted| wanted.weekday() == day.weekday())
    }

    fn on_month_days(&self, day: Date) -> bool {
        let from_end = day.day() - day.days_in_month() - 1;
        self.month_days.is_empty()
            || self.month_days.iter().any(|wanted| *wanted == day.day() || *wanted == from_end)
    }
}

/// Whether `day` is the weekday, and the nth of it in its month.
fn is_nth(wanted: Day, day: Date) -> bool {
    let from_begin = (day.day() - 1) / 7 + 1;
    let from_end = -((day.days_in_month() - day.day()) / 7 + 1);
    let right: Weekday = wanted.weekday();
    day.weekday() == right && (wanted.nth == 0 || wanted.nth == from_begin || wanted.nth == from_end)
}

fn month_begin(year: i64, month: i64) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, 1).ok()
}
