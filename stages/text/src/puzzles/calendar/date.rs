//! Dates of the Gregorian calendar, years 1 to 9999.

use std::fmt;

use crate::puzzles::Draw;

pub(super) const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    year: i64,
    month: usize,
    day: i64,
}

impl Date {
    /// `None` if there is no such date.
    pub(super) fn new(year: i64, month: usize, day: i64) -> Option<Self> {
        let is_date =
            (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
        is_date.then_some(Self { year, month, day })
    }

    /// Reads `2024-03-05`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut next = || parts.next().filter(|part| part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit()));
        let (year, month, day) = (next()?, next()?, next()?);
        Self::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    }

    /// Returns the number of days since the first of January of year 1.
    pub(super) fn number(self) -> i64 {
        let months: i64 = (1..self.month).map(|month| days_of(self.year, month)).sum();
        before_year(self.year) + months + self.day - 1
    }

    /// Returns the date with a number; `None` if its year is out of range.
    pub(super) fn of_number(number: i64) -> Option<Self> {
        if !(0..before_year(10_000)).contains(&number) {
            return None;
        }
        let mut year = number / 366 + 1;
        while before_year(year + 1) <= number {
            year += 1;
        }
        let mut day = number - before_year(year);
        let mut month = 1;
        while day >= days_of(year, month) {
            day -= days_of(year, month);
            month += 1;
        }
        Some(Self { year, month, day: day + 1 })
    }

    /// Returns the weekday, from 0 for Monday. The first of January of year 1 was a Monday.
    pub(super) fn weekday(self) -> usize {
        (self.number() % 7) as usize
    }

    /// Returns the date in one of several ways to write it.
    pub(super) fn words(self, draw: &mut dyn Draw) -> String {
        let (year, month, day) = (self.year, MONTHS[self.month - 1], self.day);
        match draw.below(3) {
            0 => self.to_string(),
            1 => format!("{day} {month} {year}"),
            _ => format!("{month} {day}, {year}"),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Returns how many leap years there are from one year to another, both included.
pub(super) fn leaps(from: i64, to: i64) -> i64 {
    let until = |year: i64| year / 4 - year / 100 + year / 400;
    until(to) - until(from - 1)
}

fn before_year(year: i64) -> i64 {
    (year - 1) * 365 + leaps(1, year - 1)
}

fn days_of(year: i64, month: usize) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
