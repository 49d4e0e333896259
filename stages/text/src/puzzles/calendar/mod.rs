//! Puzzle `calendar`: weekdays, days between dates, dates some days later, leap years, in the Gregorian calendar.
//!
//! | difficulty | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | days between two dates, at most | 10 | 30 | 60 | 120 | 365 | 730 | 3650 | 36500 | 90000 | 150000 |
//! | years from | 2000 | 2000 | 2000 | 2000 | 2000 | 1900 | 1900 | 1900 | 1600 | 1600 |
//! | years to | 2049 | 2049 | 2049 | 2049 | 2049 | 2099 | 2099 | 2099 | 2399 | 2399 |
//!
//! Up to difficulty 3 a question asks whether one year is a leap year; above it, how many are. Up to difficulty 5 the
//! weekday of another date is told.
//!
//! ```text
//! { "puzzle": "calendar", "asks": "weekday", "date": "2024-03-05" }
//! { "puzzle": "calendar", "asks": "days", "from": "2024-03-05", "to": "2024-04-01" }
//! { "puzzle": "calendar", "asks": "date", "from": "2024-03-05", "days": 27 }
//! { "puzzle": "calendar", "asks": "leap", "year": 1900 }
//! { "puzzle": "calendar", "asks": "leaps", "from": 1890, "to": 1910 }
//! ```
//! `days` may be negative in the third. Both years count in the last. Years are from 1 to 9999.

mod date;
mod read;

use serde_json::{Value, json};

use super::answer::{judge, yes_or_no};
use super::stream::{between, coin, pick};
use super::{Draw, Problem, Puzzle};
use crate::Verdict;
use date::{Date, WEEKDAYS, is_leap, leaps};

pub(super) const PUZZLE: Puzzle =
    Puzzle { name: "calendar", doc: "Weekdays, days between dates, dates some days later, leap years.", draw, verify };

/// By difficulty: the most days between two dates, and the years.
const LADDER: [(usize, i64, i64); 10] = [
    (10, 2000, 2049),
    (30, 2000, 2049),
    (60, 2000, 2049),
    (120, 2000, 2049),
    (365, 2000, 2049),
    (730, 1900, 2099),
    (3650, 1900, 2099),
    (36500, 1900, 2099),
    (90000, 1600, 2399),
    (150_000, 1600, 2399),
];

/// The highest difficulty at which a question about leap years is about one.
const ONE_YEAR: usize = 3;

/// The highest difficulty at which a question about a weekday tells another one.
const TOLD: usize = 5;

fn draw(difficulty: usize, draw: &mut dyn Draw) -> Option<Problem> {
    let (span, first, last) = LADDER[difficulty - 1];
    let (low, high) = (Date::new(first, 1, 1)?.number(), Date::new(last, 12, 31)?.number());
    // Half of the span or more, so that the difficulty is not by chance a lower one.
    let days = between(draw, span.div_ceil(2), span) as i64;
    let start = low + draw.below((high - low - days) as usize) as i64;
    let (from, to) = (Date::of_number(start)?, Date::of_number(start + days)?);
    Some(match draw.below(4) {
        0 => weekday(from, to, difficulty <= TOLD, draw),
        1 => days_between(from, to, draw),
        2 => date_later(from, to, draw),
        _ if difficulty <= ONE_YEAR => leap_year(first, last, draw),
        _ => leap_years(first, last, difficulty, draw),
    })
}

fn weekday(from: Date, to: Date, is_told: bool, draw: &mut dyn Draw) -> Problem {
    let (asked, told) = if coin(draw) { (to, from) } else { (from, to) };
    let (date, other) = (asked.words(draw), told.words(draw));
    let day = WEEKDAYS[told.weekday()];
    let told = match draw.below(2) {
        _ if !is_told => String::new(),
        0 => format!("{other} is a {day}. "),
        _ => format!("It is known that {other} falls on a {day}. "),
    };
    let asks = match draw.below(3) {
        0 => format!("What day of the week is {date}?"),
        1 => format!("On which weekday does {date} fall?"),
        _ => format!("Find the weekday of {date}."),
    };
    let how = pick(
        draw,
        &[
            "Answer with the weekday only.",
            "Give only the name of the day as the answer.",
            "The answer must be one weekday, such as Monday.",
        ],
    );
    Problem {
        question: format!("{told}{asks} Use the Gregorian calendar. {how}"),
        answer: WEEKDAYS[asked.weekday()].to_owned(),
        identity: format!("calendar weekday {asked}"),
        instance: json!({ "puzzle": "calendar", "asks": "weekday", "date": asked.to_string() }),
    }
}

fn days_between(from: Date, to: Date, draw: &mut dyn Draw) -> Problem {
    let (start, end) = (from.words(draw), to.words(draw));
    let asks = match draw.below(3) {
        0 => format!("How many days after {start} is {end}?"),
        1 => format!(
            "How many days pass from {start} to {end}? The first of the two dates does not count, the last one does."
        ),
        _ => format!("{end} is how many days later than {start}?"),
    };
    let how = pick(
        draw,
        &["Answer with the number only.", "Give just a whole number as the answer.", "The answer must be one number."],
    );
    Problem {
        question: format!("{asks} Use the Gregorian calendar. {how}"),
        answer: (to.number() - from.number()).to_string(),
        identity: format!("calendar days {from} {to}"),
        instance: json!({ "puzzle": "calendar", "asks": "days", "from": from.to_string(), "to": to.to_string() }),
    }
}

fn date_later(from: Date, to: Date, draw: &mut dyn Draw) -> Problem {
    let is_later = coin(draw);
    let (start, end) = if is_later { (from, to) } else { (to, from) };
    let days = to.number() - from.number();
    let (direction, words) = (if is_later { "after" } else { "before" }, start.words(draw));
    let plural = if days == 1 { "" } else { "s" };
    let asks = match draw.below(3) {
        0 => format!("Which date is {days} day{plural} {direction} {words}?"),
        1 => format!(
            "Start at {words} and go {days} day{plural} {}. Which date is it?",
            if is_later { "forward" } else { "back" }
        ),
        _ => format!("Find the date {days} day{plural} {direction} {words}."),
    };
    let how = pick(
        draw,
        &[
            "Write it as YYYY-MM-DD.",
            "Answer with the date alone, in the form YYYY-MM-DD.",
            "The answer must have the form YYYY-MM-DD.",
        ],
    );
    let signed = if is_later { days } else { -days };
    Problem {
        question: format!("{asks} Use the Gregorian calendar. {how}"),
        answer: end.to_string(),
        identity: format!("calendar date {start} {signed}"),
        instance: json!({ "puzzle": "calendar", "asks": "date", "from": start.to_string(), "days": signed }),
    }
}

fn leap_year(first: i64, last: i64, draw: &mut dyn Draw) -> Problem {
    let wants_leap = coin(draw);
    let mut year = between(draw, first as usize - 400, last as usize) as i64;
    if !wants_leap && draw.below(4) == 0 {
        // A century, which is no leap year in three cases out of four.
        year -= year % 100;
    }
    while is_leap(year) != wants_leap {
        year += 1;
    }
    let asks = match draw.below(3) {
        0 => format!("Is the year {year} a leap year?"),
        1 => format!("Does February {year} have 29 days?"),
        _ => format!("Decide whether {year} is a leap year."),
    };
    let how = pick(
        draw,
        &["Answer yes or no.", "The answer must be \"yes\" or \"no\".", "Give one word as the answer, yes or no."],
    );
    Problem {
        question: format!("{asks} Use the Gregorian calendar. {how}"),
        answer: if wants_leap { "yes" } else { "no" }.to_owned(),
        identity: format!("calendar leap {year}"),
        instance: json!({ "puzzle": "calendar", "asks": "leap", "year": year }),
    }
}

fn leap_years(first: i64, last: i64, difficulty: usize, draw: &mut dyn Draw) -> Problem {
    let most = 10 * difficulty;
    let from = between(draw, first as usize - 300, last as usize - most) as i64;
    let to = from + between(draw, most / 2, most) as i64;
    let asks = match draw.below(3) {
        0 => format!("How many leap years are there from {from} to {to}, both included?"),
        1 => format!("Count the leap years in the years {from} to {to} (the first and the last count too)."),
        _ => format!("How many of the years from {from} up to and including {to} are leap years?"),
    };
    let how = pick(
        draw,
        &["Answer with the number only.", "Give just a whole number as the answer.", "The answer must be one number."],
    );
    Problem {
        question: format!("{asks} Use the Gregorian calendar. {how}"),
        answer: leaps(from, to).to_string(),
        identity: format!("calendar leaps {from} {to}"),
        instance: json!({ "puzzle": "calendar", "asks": "leaps", "from": from, "to": to }),
    }
}

fn verify(instance: &Value, answer: &str) -> Option<Verdict> {
    let date = |key: &str| instance.get(key)?.as_str().and_then(Date::parse);
    let year = |key: &str| instance.get(key)?.as_i64().filter(|year| (1..=9999).contains(year));
    Some(match instance.get("asks")?.as_str()? {
        "weekday" => {
            let right = date("date")?.weekday();
            judge(answer, read::weekday, |day| day == right)
        }
        "days" => {
            let days = date("to")?.number() - date("from")?.number();
            judge(answer, |part| read::count(part, "day"), |count| count == days)
        }
        "date" => {
            let from = date("from")?;
            let days = instance.get("days")?.as_i64().filter(|days| (-10_000_000..10_000_000).contains(days))?;
            let right = Date::of_number(from.number() + days)?;
            judge(answer, |part| read::date(part, from), |date| date == Some(right))
        }
        "leap" => {
            let right = is_leap(year("year")?);
            let (yes, no) = (["is a leap", "has 29 days"], ["not a leap", "n't a leap", "n’t a leap", "has 28 days"]);
            judge(answer, |part| yes_or_no(part, &yes, &no), |is_leap| is_leap == right)
        }
        "leaps" => {
            let (from, to) = (year("from")?, year("to")?);
            let right = (from <= to).then(|| leaps(from, to))?;
            judge(answer, |part| read::count(part, "leap"), |count| count == right)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
