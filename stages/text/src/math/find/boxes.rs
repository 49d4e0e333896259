//! Answers in `\boxed{…}`. The last box counts; boxes that only "and", "or", commas or signs separate are one list.

use super::{Found, How, Missing};
use crate::math::read;

/// The most bytes between two boxes of a list.
const MAX_GAP: usize = 60;

/// A box: where it begins, where what is in it begins and ends, and where it ends.
struct Boxed {
    start: usize,
    inner: std::ops::Range<usize>,
    end: usize,
}

/// Finds the boxes at the end of a text; `None` if there are none.
/// Also returns where the last box ends.
pub(super) fn find(text: &str) -> Option<(usize, Result<Found, Missing>)> {
    match all(text) {
        Ok(boxes) => boxes.last().map(|last| (last.end, take(text, &boxes))),
        Err(missing) => Some((text.len(), Err(missing))),
    }
}

fn take(text: &str, boxes: &[Boxed]) -> Result<Found, Missing> {
    let last = boxes.len() - 1;
    let first =
        (0..last).rev().take_while(|at| is_list(&text[boxes[*at].end..boxes[at + 1].start])).last().unwrap_or(last);
    if denies(&text[..boxes[first].start]) {
        return Err(Missing::Refused("the box is denied"));
    }
    let mut inner: Vec<&str> = boxes[first..].iter().map(|boxed| text[boxed.inner.clone()].trim()).collect();
    inner.dedup();
    let mut joined = inner.join(", ");
    // A base stands behind the box: `\boxed{204}_5`.
    if inner.len() == 1
        && let Some(base) = subscript(&text[boxes[last].end..])
    {
        joined.push_str(base);
    }
    if joined.trim().is_empty() {
        return Err(Missing::Nothing);
    }
    let readings = read::readings(&joined);
    if readings.is_empty()
        && let Some(Ok(found)) = super::phrase::find(&joined)
    {
        return Ok(Found { how: How::Box, ..found });
    }
    Ok(Found { text: joined, how: How::Box, readings })
}

/// Returns all boxes that are not in another one. An error for one that is not closed, and for an empty last one.
fn all(text: &str) -> Result<Vec<Boxed>, Missing> {
    let mut boxes = Vec::new();
    let mut at = 0;
    while let Some(start) = next(text, at) {
        let command = if text[start..].starts_with("\\boxed") { "\\boxed".len() } else { "\\fbox".len() };
        let after = start + command;
        let rest = &text[after..];
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let boxed = if rest[spaces..].starts_with('{') {
            let Some(length) = closing(&rest[spaces..]) else {
                return Err(Missing::Refused("the box is not closed"));
            };
            let inner = after + spaces + 1..after + spaces + length;
            Boxed { start, end: inner.end + 1, inner }
        } else {
            // `\boxed 7`: one word.
            let length = rest[spaces..]
                .find(|c: char| c.is_whitespace() || matches!(c, '$' | '.' | ',' | '\\'))
                .unwrap_or(rest.len() - spaces);
            let inner = after + spaces..after + spaces + length;
            Boxed { start, end: inner.end, inner }
        };
        at = boxed.end.max(after);
        boxes.push(boxed);
    }
    Ok(boxes)
}

fn next(text: &str, at: usize) -> Option<usize> {
    ["\\boxed", "\\fbox"].iter().filter_map(|mark| text[at..].find(mark)).min().map(|found| at + found)
}

/// Returns the length of a group in braces up to its closing brace.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'\\' => {
                escaped = !escaped;
                continue;
            }
            b'{' if !escaped => depth += 1,
            b'}' if !escaped => depth -= 1,
            _ => {}
        }
        escaped = false;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Whether what is between two boxes makes them one list.
fn is_list(gap: &str) -> bool {
    if gap.len() > MAX_GAP || gap.contains("\n\n") || gap.contains(". ") || gap.trim_end().ends_with('.') {
        return false;
    }
    let has_words = gap.replace("\\text", " ").replace("\\quad", " ").contains(|c: char| c.is_alphabetic());
    let padded = format!(" {} ", gap.replace(['}', '{', '\\', ',', ')', '('], " "));
    !has_words || [" and ", " or ", "和", "或"].iter().any(|word| padded.contains(word))
}

/// Whether the text before a box denies it.
fn denies(before: &str) -> bool {
    let before =
        before.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '$' | '\\' | '(' | '[' | '{' | ':'));
    let word = before.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default().to_lowercase();
    matches!(word.as_str(), "not" | "isn't" | "never" | "≠" | "nicht" | "不是")
        || before.ends_with("\\ne")
        || before.ends_with("\\neq")
}

fn subscript(after: &str) -> Option<&str> {
    let rest = after.strip_prefix('_')?;
    let length =
        if rest.starts_with('{') { rest.find('}')? + 1 } else { rest.chars().take_while(char::is_ascii_digit).count() };
    (length > 0).then(|| &after[..=length])
}
