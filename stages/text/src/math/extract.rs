//! Finds the final expression in a text: boxed, marked, stated, alone, or the last number.

use std::sync::LazyLock;

use regex::Regex;

use super::equal::Value;
use crate::boxed;

static SAID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i:answer|result)\s*(?i:is|:|=)\s*:?\s*(?P<rest>[^\n]+)").expect("a constant pattern")
});
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        -? (?: \\[dt]?frac\{[^{}]{1,40}\}\{[^{}]{1,40}\}
             | [$€£¥]? \d+ \s+ \d+ / \d+
             | [$€£¥]? (?: \d{1,3}(?:,\d{3})+ | \d+ )? (?:\.\d+ | \b) (?: \s*/\s*\d+ )? (?: [eE][+-]?\d+ )? \s? (?:\\?%)? )",
    )
    .expect("a constant pattern")
});

/// Returns the final expression of a text, `None` if there is none.
///
/// Tried in order: the last `\boxed{…}`; the rest of the line after the last `####`; the text after the last "answer is"; the whole
/// text if it is one expression; the last number in it.
pub fn extract(text: &str) -> Option<String> {
    if let Some(inside) = boxed(text) {
        return Some(inside.to_owned());
    }
    if let Some((_, after)) = text.rsplit_once("####") {
        // What goes on in further lines is no part of the answer.
        let line = after.trim().lines().next().unwrap_or_default().trim();
        return Some(line.to_owned()).filter(|expression| !expression.is_empty());
    }
    if let Some(found) = SAID.captures_iter(text).last() {
        let rest = found["rest"].trim().trim_end_matches('.');
        return expression(rest);
    }
    expression(text.trim())
}

fn expression(text: &str) -> Option<String> {
    if Value::parse(text).is_some() { Some(text.to_owned()) } else { last_number(text) }
}

fn last_number(text: &str) -> Option<String> {
    let mut last = None;
    for found in NUMBER.find_iter(text) {
        if !found.as_str().contains(|c: char| c.is_ascii_digit()) {
            continue;
        }
        // In `8-3` or `x-3` the sign is an operator, so the number is 3.
        let is_operator = found.as_str().starts_with('-')
            && text[..found.start()].ends_with(|c: char| c.is_alphanumeric() || c == ')');
        last =
            Some(found.as_str().strip_prefix('-').filter(|_| is_operator).unwrap_or(found.as_str()).trim().to_owned());
    }
    last
}
