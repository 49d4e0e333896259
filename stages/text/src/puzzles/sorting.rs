//! Puzzle `sorting`: numbers or words, in ascending or descending order.
//!
//! | difficulty | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 |
//! |---|---|---|---|---|---|---|---|---|---|---|
//! | items | 4 | 5 | 6 | 8 | 10 | 13 | 16 | 20 | 25 | 32 |
//! | numbers up to | 20 | 50 | 99 | 99 | 500 | 999 | 999 | 2000 | 5000 | 9999 |
//!
//! From difficulty 4 numbers may be negative, from 6 they may have decimals. Words have small letters only.
//!
//! ```text
//! { "puzzle": "sorting", "items": ["3", "-1.5"], "of": "numbers", "descending": false }
//! ```
//! `of` is `numbers` or `words`; words are ordered by code point. At most 100 items, and numbers of at most 30 digits.

use std::cmp::{Ordering, Reverse};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::answer::{Reading, judge};
use super::stream::{between, coin, pick, sample};
use super::vocabulary::WORDS;
use super::{Draw, Problem, Puzzle, texts};
use crate::Verdict;

pub(super) const PUZZLE: Puzzle =
    Puzzle { name: "sorting", doc: "Numbers or words, to be put in ascending or descending order.", draw, verify };

/// By difficulty: how many items, and the largest number.
const LADDER: [(usize, usize); 10] =
    [(4, 20), (5, 50), (6, 99), (8, 99), (10, 500), (13, 999), (16, 999), (20, 2000), (25, 5000), (32, 9999)];

/// The difficulties from which numbers may be negative, and may have decimals.
const NEGATIVE: usize = 4;
const DECIMAL: usize = 6;

/// The most items of an instance.
const MOST: usize = 100;

/// The longest number, in digits.
const MAX_DIGITS: usize = 30;

fn draw(difficulty: usize, draw: &mut dyn Draw) -> Option<Problem> {
    let (count, largest) = LADDER[difficulty - 1];
    let (of, items) = if coin(draw) {
        ("numbers", (0..count).map(|_| number(difficulty, largest, draw)).collect())
    } else {
        ("words", sample(draw, WORDS, count).into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let descending = coin(draw);
    let mut sorted = keys(&items, of == "numbers")?;
    sorted.sort();
    let texts = |keys: &[(Key, usize)]| keys.iter().map(|(_, at)| items[*at].clone()).collect::<Vec<_>>();
    let identity = format!("sorting {}", texts(&sorted).join(" "));
    if descending {
        sorted.reverse();
    }
    Some(Problem {
        question: question(&items, of, descending, draw),
        answer: texts(&sorted).join(", "),
        identity,
        instance: json!({ "puzzle": "sorting", "items": items, "of": of, "descending": descending }),
    })
}

fn number(difficulty: usize, largest: usize, draw: &mut dyn Draw) -> String {
    let sign = if difficulty >= NEGATIVE && draw.below(3) == 0 { "-" } else { "" };
    let whole = between(draw, 1, largest);
    if difficulty >= DECIMAL && coin(draw) {
        return format!("{sign}{whole}.{}", between(draw, 1, 99));
    }
    format!("{sign}{whole}")
}

fn question(items: &[String], of: &str, descending: bool, draw: &mut dyn Draw) -> String {
    let order = match (of, descending) {
        ("numbers", false) => ["ascending order", "order from the smallest to the largest", "increasing order"],
        ("numbers", true) => ["descending order", "order from the largest to the smallest", "decreasing order"],
        (_, false) => ["alphabetical order", "alphabetical order, from a to z", "ascending alphabetical order"],
        (_, true) => ["reverse alphabetical order", "alphabetical order from z to a", "descending alphabetical order"],
    };
    let order = pick(draw, &order);
    let list = if coin(draw) { items.join(", ") } else { items.join(" ") };
    let how = pick(
        draw,
        &[
            "Give the sorted list as the answer, separated by commas.",
            "Answer with all of them on one line, with commas between them.",
            "The answer must be the whole list, with a comma after each item but the last.",
        ],
    );
    match draw.below(4) {
        0 => format!("Sort these {of} in {order}: {list}\n{how}"),
        1 => format!("Here are some {of}: {list}\nPut them in {order}. {how}"),
        2 => format!("{list}\nWhat is the list above in {order}? {how}"),
        _ => format!("Arrange the following {of} in {order}.\n{list}\n{how}"),
    }
}

/// What an item is ordered by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(Number),
    Word(String),
}

/// A decimal number, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Number {
    is_negative: bool,
    /// Without zeros in front.
    whole: String,
    /// Without zeros behind.
    decimals: String,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim_start_matches('+').replace(['−', '–', '‐', '‑'], "-");
        let (is_negative, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.len() <= MAX_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + decimals.len() == 0 || !are_digits(whole) || !are_digits(decimals) {
            return None;
        }
        let (whole, decimals) = (whole.trim_start_matches('0').to_owned(), decimals.trim_end_matches('0').to_owned());
        let is_zero = whole.is_empty() && decimals.is_empty();
        Some(Self { is_negative: is_negative && !is_zero, whole, decimals })
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |number: &Self| (number.whole.len(), number.whole.clone(), number.decimals.clone());
        match (self.is_negative, other.is_negative) {
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
            (one, two) => two.cmp(&one),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Returns what each item is ordered by, with its place.
fn keys(items: &[impl AsRef<str>], are_numbers: bool) -> Option<Vec<(Key, usize)>> {
    let key = |item: &str| {
        if are_numbers { Number::parse(item).map(Key::Number) } else { Some(Key::Word(item.to_owned())) }
    };
    items.iter().enumerate().map(|(at, item)| key(item.as_ref()).map(|key| (key, at))).collect()
}

fn verify(instance: &Value, answer: &str) -> Option<Verdict> {
    let items = texts(instance.get("items"), MOST)?;
    let are_numbers = match instance.get("of")?.as_str()? {
        "numbers" => true,
        "words" => false,
        _ => return None,
    };
    let mut keys: Vec<Key> = keys(&items, are_numbers)?.into_iter().map(|(key, _)| key).collect();
    keys.sort();
    if instance.get("descending")?.as_bool()? {
        keys.sort_by_key(|key| Reverse(key.clone()));
    }
    if are_numbers {
        return Some(judge(answer, |part| numbers(part, keys.len()), |found| found == keys));
    }
    let sorted: Vec<String> =
        keys.iter().filter_map(|key| if let Key::Word(word) = key { Some(word.clone()) } else { None }).collect();
    Some(judge(answer, |part| words(part, &sorted), |found| found == sorted))
}

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[-−–‐‑+]?(?:\d+(?:\.\d+)?|\.\d+)").expect("a constant pattern"));
static THOUSANDS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(\d{1,3}),(\d{3})\b").expect("a constant pattern"));
static NUMBERING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^\s*\d+[.)]\s+").expect("a constant pattern"));

/// Reads a list of numbers.
fn numbers(part: &str, count: usize) -> Reading<Vec<Key>> {
    let part = NUMBERING.replace_all(part, "");
    let read = |part: &str| -> Vec<Key> {
        let found = NUMBER.find_iter(part).take(2 * MOST + 1);
        found.filter_map(|found| Number::parse(found.as_str()).map(Key::Number)).collect()
    };
    let all = read(&part);
    let others = || {
        // What stands before a colon may have numbers too: "the 5 numbers are: 1, 2, 3, 4, 5".
        let behind = part.rsplit_once(':').map(|(_, behind)| read(behind));
        // "1,234, 5,678" is two numbers.
        let thousands = read(&THOUSANDS.replace_all(&part, "$1$2"));
        behind.into_iter().chain([thousands]).find(|found| found.len() == count)
    };
    let right = if all.len() == count { None } else { others() };
    list(right.unwrap_or(all), count)
}

/// Reads a list of words. Others around it are ignored.
fn words(part: &str, sorted: &[String]) -> Reading<Vec<String>> {
    let find = |word: &str| {
        let is_same = |item: &&String| *item == word;
        let same_but_case = |item: &&String| item.to_lowercase() == word.to_lowercase();
        let mut alike = sorted.iter().filter(same_but_case);
        let lone = alike.next().filter(|_| alike.next().is_none());
        sorted.iter().find(is_same).or(lone).cloned()
    };
    let words = part.split(|c: char| !(c.is_alphanumeric() || "'-_".contains(c)));
    let words = words.filter_map(|word| find(word).or_else(|| find(word.trim_matches(['\'', '-', '_']))));
    list(words.take(2 * MOST + 1).collect(), sorted.len())
}

/// Returns a list of the right length; one that stands twice counts once.
fn list<T: PartialEq>(mut found: Vec<T>, count: usize) -> Reading<Vec<T>> {
    if found.len() == 2 * count && found[..count] == found[count..] {
        found.truncate(count);
    }
    match found.len() {
        0 => Reading::Nothing,
        length if length < count => Reading::Part,
        length if length == count => Reading::One(found),
        _ => Reading::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_they_are_written() {
        let numbers =
            json!({ "puzzle": "sorting", "items": ["10", "-2.5", "3", "3"], "of": "numbers", "descending": false });
        let words =
            json!({ "puzzle": "sorting", "items": ["pear", "apple", "fig"], "of": "words", "descending": true });
        let large =
            json!({ "puzzle": "sorting", "items": ["20", "1200", "3400"], "of": "numbers", "descending": true });
        for (instance, answer, verdict) in [
            (&numbers, "-2.5, 3, 3, 10", Verdict::Correct),
            (&numbers, "[-2.5, 3, 3, 10]", Verdict::Correct),
            (&numbers, "['-2.5', '3.0', '3', '10']", Verdict::Correct),
            (&numbers, "−2.5 3 3 10", Verdict::Correct),
            (&numbers, "**-2.5 < 3 = 3 < 10**", Verdict::Correct),
            (&numbers, "1. -2.5\n2. 3\n3. 3\n4. 10", Verdict::Correct),
            (&numbers, "- -2.5\n- 3\n- 3\n- 10", Verdict::Correct),
            (&numbers, "The 4 numbers in ascending order are: -2.5, 3, 3 and 10.", Verdict::Correct),
            (&numbers, "$$\\boxed{-2.5,\\ 3,\\ 3,\\ 10}$$", Verdict::Correct),
            (&numbers, "First 10, -2.5, 3, 3.\n\nAnswer: -2.5, 3, 3, 10", Verdict::Correct),
            (&numbers, "-2.5, 3, 10", Verdict::Wrong),
            (&numbers, "10, 3, 3, -2.5", Verdict::Wrong),
            (&numbers, "2.5, 3, 3, 10", Verdict::Wrong),
            (&numbers, "-2.5, 3, 3, 10 or 10, 3, 3, -2.5", Verdict::Wrong),
            (&numbers, "-2.5, 3, 3, 10\n10, 3, 3, -2.5", Verdict::Wrong),
            (&numbers, "none", Verdict::AnswerUnparsed),
            (&large, "3,400, 1,200, 20", Verdict::Correct),
            (&large, "1,200, 3,400, 20", Verdict::Wrong),
            (&words, "pear, fig, apple", Verdict::Correct),
            (&words, "Pear → Fig → Apple", Verdict::Correct),
            (&words, "So the answer is `pear`, `fig`, and `apple`.", Verdict::Correct),
            (&words, "1. pear\n2. fig\n3. apple", Verdict::Correct),
            (&words, "fig, pear, apple", Verdict::Wrong),
            (&words, "pear, fig", Verdict::Wrong),
            (&words, "pear, fig, apple, pear", Verdict::Wrong),
            (&words, "pearfigapple", Verdict::AnswerUnparsed),
        ] {
            assert_eq!(verify(instance, answer), Some(verdict), "{answer:?}");
        }
    }

    #[test]
    fn numbers_in_order() {
        let sorted =
            ["-100", "-2.5", "-2.25", "-.5", "-0", "0.05", "+.5", "2.25", "2.5", "10", "9999999999999999999999"];
        let sorted: Vec<Number> = sorted.iter().map(|text| Number::parse(text).unwrap()).collect();
        assert!(sorted.is_sorted());
        assert_eq!(Number::parse("-0.0"), Number::parse("0"));
        assert_eq!(Number::parse("007.10"), Number::parse("7.1"));
        for text in ["", "-", ".", "1e5", "1.2.3", "--1", "é"] {
            assert_eq!(Number::parse(text), None, "{text:?}");
        }
    }
}
