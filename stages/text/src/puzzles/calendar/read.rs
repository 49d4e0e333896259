//! Reads weekdays, counts and dates in answers.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::date::{Date, MONTHS, WEEKDAYS};
use crate::puzzles::answer::{Reading, only, words};

/// The most dates or numbers that are read in a part.
const MOST: usize = 200;

static DATE: LazyLock<Regex> = LazyLock::new(|| {
    let month = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*";
    let day = r"\d{1,2}(?:st|nd|rd|th)?";
    let forms = [
        r"\b(?P<y1>\d{4})\s*[-/.‐‑–−]\s*(?P<m1>\d{1,2})\s*[-/.‐‑–−]\s*(?P<d1>\d{1,2})\b".to_owned(),
        format!(r"\b(?P<d2>{day})\s+(?:of\s+)?(?P<m2>{month})\.?,?\s+(?P<y2>\d{{4}})\b"),
        format!(r"\b(?P<m3>{month})\.?\s+(?P<d3>{day}),?\s+(?P<y3>\d{{4}})\b"),
    ];
    Regex::new(&format!("(?i){}", forms.join("|"))).expect("a constant pattern")
});
static COUNT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?P<minus>[-−]\s*)?\b(?P<number>\d{1,3}(?:,\d{3})+|\d+)(?P<decimals>\.\d+)?\s*(?P<unit>[A-Za-z]*)")
        .expect("a constant pattern")
});

/// Reads a weekday, from 0 for Monday. A short form counts if it is alone.
pub(super) fn weekday(part: &str) -> Reading<usize> {
    let lower = part.to_lowercase();
    let all = words(&lower);
    let of = |word: &str| WEEKDAYS.iter().position(|day| day.eq_ignore_ascii_case(word.trim_end_matches('s')));
    let short = |word: &str| {
        let is_short = (3..=5).contains(&word.len());
        WEEKDAYS.iter().position(|day| is_short && day.to_lowercase().starts_with(word))
    };
    if let [(_, word)] = all[..]
        && let Some(day) = short(word)
    {
        return Reading::One(day);
    }
    only(&lower, all.into_iter().filter_map(|(at, word)| of(word).map(|day| (at, day))).collect())
}

/// Reads a count. Numbers before the unit count more than others, for these may be of dates.
pub(super) fn count(part: &str, unit: &str) -> Reading<i64> {
    let part = DATE.replace_all(part, " ");
    let found: Vec<(usize, i64, bool)> = COUNT
        .captures_iter(&part)
        .take(MOST)
        .filter_map(|found| {
            let at = found.name("number").map_or(0, |number| number.start());
            let value: i64 = found["number"].replace(',', "").parse().ok().filter(|value| *value < i64::MAX)?;
            let has_unit = found["unit"].to_lowercase().starts_with(unit);
            // What is not whole equals no count.
            let is_whole =
                found.name("decimals").is_none_or(|decimals| decimals.as_str()[1..].bytes().all(|digit| digit == b'0'));
            let value = if found.name("minus").is_some() { -value } else { value };
            Some((at, if is_whole { value } else { i64::MAX }, has_unit))
        })
        .collect();
    let has_unit = found.iter().any(|(_, _, has_unit)| *has_unit);
    only(&part, found.into_iter().filter(|found| found.2 == has_unit).map(|(at, value, _)| (at, value)).collect())
}

/// Reads a date, `None` if there is no such date. The date of the question is left out if there is another one.
pub(super) fn date(part: &str, asked: Date) -> Reading<Option<Date>> {
    let found: Vec<(usize, Option<Date>)> = DATE
        .captures_iter(part)
        .take(MOST)
        .map(|found| (found.get(0).map_or(0, |all| all.start()), date_of(&found)))
        .collect();
    let others: Vec<(usize, Option<Date>)> = found.iter().copied().filter(|(_, date)| *date != Some(asked)).collect();
    only(part, if others.is_empty() { found } else { others })
}

fn date_of(found: &Captures<'_>) -> Option<Date> {
    let field = |name: &str| {
        let mut fields = ["1", "2", "3"].iter().filter_map(|form| found.name(&format!("{name}{form}")));
        fields.next().map(|field| field.as_str())
    };
    let (year, month, day) = (field("y")?, field("m")?, field("d")?);
    let day = day.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let month = month.parse().ok().or_else(|| month_of(month))?;
    Date::new(year.parse().ok()?, month, day.parse().ok()?)
}

fn month_of(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    let is_month = |month: &str| month.to_lowercase().starts_with(&name) || name == "sept" && month.starts_with("Sep");
    MONTHS.iter().position(|month| is_month(month)).map(|at| at + 1)
}
