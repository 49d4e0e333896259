//! Finds the part of a text that states the answer.
//!
//! Tried in order: boxes, what stands behind "the answer is" or `####`, words in bold on the last line, the end of the
//! text. A puzzle's own reader says of a part whether it holds one answer. Boxes or statements that hold different
//! answers are refused, and so is a part that guesses, or that another answer is offered behind.

use std::sync::LazyLock;

use regex::Regex;

use super::Verdict;
use crate::math::plain;

/// Only the last bytes of longer texts are read, because the answer is at the end.
const MAX_BYTES: usize = 16 << 10;

/// The most boxes or statements that are compared, from the end.
const MAX_PARTS: usize = 16;

/// What a puzzle's reader finds in a part of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading<T> {
    /// One answer.
    One(T),
    /// Several answers, or one that is denied.
    Several,
    /// Some of an answer, but not all of it.
    Part,
    Nothing,
}

use Reading::{Nothing, One, Part, Several};

static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) \b answers? \b (?: \s+ (?:to|of|for) \s [^.\n:=]{1,80}? )? \s*
            (?: (?:is|are)\b | should\s+be\b | must\s+be\b | [:=→] ) \s* :?
        | \#{4} | 答案 \s* (?:是|为|:)+",
    )
});
static GUESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) \b (?: maybe | perhaps | possibly | probably | either | alternatively | ambiguous | might | could\s+be
            | not\s+(?:\w+\s+)?(?:sure|certain) | unsure | uncertain | guess\w* ) \b",
    )
});
/// How what stands behind an answer takes it back or offers another.
static MORE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?ix) ^ [\s.,;:)\]}!\x22'$]* (?:\(\s*)?
            (?: or | alternatively | actually | wait | correction | maybe | perhaps | sorry | another | yes | no ) \b",
    )
});
/// Words by which the rest of a paragraph takes an answer back.
static CHANGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b(?:or|actually|wait|correction|instead|sorry)\b"));
static DENIAL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?:\b(?:not|never|cannot\s+be)|n['’]t(?:\s+be)?)[\s:$\x22'(\[{]*$"));
static WRAPPER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\\(?:text(?:bf|it|rm|tt|sf)?|math(?:bf|rm|tt|sf|it)|operatorname|mbox|displaystyle|left|right)\b\s?")
});
static BREAK: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\\\\|\\(?:begin|end|hline)\b(?:\{[a-z*]*\})*(?:\[[^\]\n]*\])?"));
static SPACE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\$|\\[()\[\],;:! ]|\\q?quad\b|[&\u{a0}\u{2009}\u{202f}]"));
static BULLET: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^[ \t]*[-•‣][ \t]+"));
static BOLD: LazyLock<Regex> = LazyLock::new(|| pattern(r"\*\*([^*\n]+)\*\*"));
static BOX: LazyLock<Regex> = LazyLock::new(|| pattern(r"\\f?box(?:ed)?\s*\{"));

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// Judges an answer by what `read` finds in it.
pub(super) fn judge<T: PartialEq>(
    answer: &str,
    read: impl Fn(&str) -> Reading<T>,
    is_right: impl FnOnce(T) -> bool,
) -> Verdict {
    let end = &answer[answer.ceil_char_boundary(answer.len().saturating_sub(MAX_BYTES))..];
    match find(end, &read) {
        One(found) => {
            if is_right(found) {
                Verdict::Correct
            } else {
                Verdict::Wrong
            }
        }
        Several | Part => Verdict::Wrong,
        Nothing => Verdict::AnswerUnparsed,
    }
}

/// Returns a text without Markdown's emphasis and bullets, and without the LaTeX commands that only lay it out.
fn clean(text: &str) -> String {
    let text = plain(text);
    let text = WRAPPER.replace_all(&text, "");
    let text = BREAK.replace_all(&text, "\n");
    let text = BULLET.replace_all(&text, "");
    SPACE.replace_all(&text, " ").into_owned()
}

fn find<T: PartialEq>(answer: &str, read: &impl Fn(&str) -> Reading<T>) -> Reading<T> {
    let text = clean(answer);
    in_boxes(&text, read)
        .or_else(|| stated(&text, read))
        .or_else(|| in_bold(answer, read))
        .unwrap_or_else(|| at_end(&text, read))
}

/// A box: where it begins, what is in it, and where it ends.
struct Boxed<'a> {
    start: usize,
    inner: &'a str,
    end: usize,
}

/// Reads the boxes at the end of a text; `None` if there are none.
fn in_boxes<T: PartialEq>(text: &str, read: &impl Fn(&str) -> Reading<T>) -> Option<Reading<T>> {
    let boxes = boxes(text);
    let last = boxes.last()?;
    let behind = &text[last.end..];
    if is_denied(text, last.start) || MORE.is_match(behind) {
        return Some(Several);
    }
    let mut found = agreed(boxes.iter().map(|boxed| checked(boxed.inner, read)));
    if matches!(found, Part | Nothing) && boxes.len() > 1 {
        let inner: Vec<&str> = boxes.iter().map(|boxed| boxed.inner).collect();
        found = checked(&inner.join("\n"), read);
    }
    // A statement behind the box may contradict it.
    Some(match stated(behind, read) {
        Some(later) => agreed([found, later].into_iter()),
        None => found,
    })
}

/// Returns what several readings have in common.
fn agreed<T: PartialEq>(readings: impl Iterator<Item = Reading<T>>) -> Reading<T> {
    readings.fold(Nothing, |found, next| match (found, next) {
        (Several, _) | (_, Several) => Several,
        (One(one), One(other)) if one != other => Several,
        (One(one), _) | (_, One(one)) => One(one),
        (Part, _) | (_, Part) => Part,
        (Nothing, Nothing) => Nothing,
    })
}

/// Returns the last boxes.
fn boxes(text: &str) -> Vec<Boxed<'_>> {
    let mut boxes: Vec<Boxed<'_>> = Vec::new();
    for found in BOX.find_iter(text) {
        if boxes.last().is_some_and(|last| found.start() < last.end) {
            continue;
        }
        let Some(length) = closing(&text[found.end()..]) else { break };
        let end = found.end() + length;
        boxes.push(Boxed { start: found.start(), inner: text[found.end()..end].trim(), end: end + 1 });
    }
    boxes.split_off(boxes.len().saturating_sub(MAX_PARTS))
}

/// Returns where the brace closes that is open before the text.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.bytes().position(|byte| {
        depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        depth == 0
    })
}

/// Reads what stands behind the last statements; `None` if none of them holds anything.
fn stated<T: PartialEq>(text: &str, read: &impl Fn(&str) -> Reading<T>) -> Option<Reading<T>> {
    let statements: Vec<(usize, usize)> = STATEMENT.find_iter(text).map(|found| (found.start(), found.end())).collect();
    let parts = statements.iter().enumerate().rev().take(MAX_PARTS).map(|(at, (_, end))| {
        let next = statements.get(at + 1).map_or(text.len(), |(start, _)| *start);
        at_beginning(&text[*end..next], read)
    });
    Some(agreed(parts)).filter(|found| *found != Nothing)
}

/// Reads the beginning of a text: its first sentence, the first two and so on, its first line, its first paragraph, or
/// all of it, whichever is the first to hold an answer.
fn at_beginning<T: PartialEq>(text: &str, read: &impl Fn(&str) -> Reading<T>) -> Reading<T> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ':');
    let paragraph = text.find("\n\n").unwrap_or(text.len());
    let line = text.find('\n').unwrap_or(text.len());
    let sentences = text[..line].match_indices(". ").map(|(end, _)| end).take(MAX_PARTS);
    let mut most = Nothing;
    for end in sentences.chain([line, paragraph, text.len()]) {
        match checked(&text[..end], read) {
            One(found) => {
                let rest = text.get(end..paragraph).unwrap_or_default();
                let is_same = || matches!(read(&text[..paragraph]), One(all) if all == found);
                let is_changed = CHANGE.is_match(rest) && !is_same();
                return if MORE.is_match(&text[end..]) || is_changed { Several } else { One(found) };
            }
            Several => return Several,
            Part => most = Part,
            Nothing => {}
        }
    }
    most
}

/// Reads the words in bold on the last line; `None` if they hold no answer.
fn in_bold<T: PartialEq>(answer: &str, read: &impl Fn(&str) -> Reading<T>) -> Option<Reading<T>> {
    let line = answer.trim_end().lines().next_back()?;
    let found = agreed(BOLD.captures_iter(line).take(MAX_PARTS).map(|bold| checked(&clean(&bold[1]), read)));
    let has_doubts =
        GUESS.is_match(line) || CHANGE.is_match(line) || BOLD.find(line).is_some_and(|at| is_denied(line, at.start()));
    matches!(found, One(_)).then_some(found).filter(|_| !has_doubts)
}

/// Reads the end of a text: its last line, its last paragraph, or all of it.
fn at_end<T: PartialEq>(text: &str, read: &impl Fn(&str) -> Reading<T>) -> Reading<T> {
    let text = text.trim_end();
    // Lines that are nothing but answers are a list of answers.
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if (2..=MAX_PARTS).contains(&lines.len()) {
        let readings: Vec<Reading<T>> = lines.iter().map(|line| read(line)).collect();
        if readings.iter().all(|reading| matches!(reading, One(_))) {
            return agreed(readings.into_iter());
        }
    }
    let line = text.rsplit('\n').next().unwrap_or(text);
    let paragraph = text.rsplit("\n\n").next().unwrap_or(text);
    let mut most = Nothing;
    for part in [line, paragraph, text] {
        match checked(part, read) {
            Nothing => {}
            Part => most = Part,
            found => return found,
        }
    }
    most
}

/// Reads a part of a text, unless it guesses.
fn checked<T>(part: &str, read: &impl Fn(&str) -> Reading<T>) -> Reading<T> {
    match read(part) {
        Nothing => Nothing,
        _ if GUESS.is_match(part) => Several,
        found => found,
    }
}

/// Returns whether what stands at a place in a text is denied there, `not Monday`.
fn is_denied(text: &str, at: usize) -> bool {
    let start = text.ceil_char_boundary(at.saturating_sub(40));
    DENIAL.is_match(&text[start..at])
}

/// Reads a part that should hold one value, of the values that stand at places in it.
pub(super) fn only<T: PartialEq>(part: &str, values: Vec<(usize, T)>) -> Reading<T> {
    if values.is_empty() {
        return Nothing;
    }
    let mut kept = values.into_iter().filter(|(at, _)| !is_denied(part, *at)).map(|(_, value)| value);
    let Some(first) = kept.next() else { return Several };
    if kept.all(|other| other == first) { One(first) } else { Several }
}

/// Returns the words of a text, runs of letters and digits, and where each begins.
pub(super) fn words(text: &str) -> Vec<(usize, &str)> {
    let place = |word: &&str| word.as_ptr() as usize - text.as_ptr() as usize;
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| (place(&word), word)).collect()
}

/// Words that may follow the answer "no" without a comma. Before others it belongs to them: "no case".
const AFTER_NO: [&str; 14] =
    ["it", "the", "this", "that", "these", "there", "because", "since", "as", "or", "and", "but", "yes", "not"];

/// Reads a part that should say yes or no. `yes` and `no` are more ways to say it.
pub(super) fn yes_or_no(part: &str, yes: &[&str], no: &[&str]) -> Reading<bool> {
    let lower = part.to_lowercase();
    let all = words(&lower);
    let is_aside = |at: usize, end: usize| {
        let is_open = lower[end..].trim_start().starts_with(char::is_alphanumeric);
        is_open && all.get(at + 1).is_some_and(|(_, next)| !AFTER_NO.contains(next))
    };
    let says = |at: usize| match all[at] {
        (_, "yes") => Some(true),
        (start, "no") if !is_aside(at, start + 2) => Some(false),
        (_, word @ ("true" | "false")) if all.len() == 1 => Some(word == "true"),
        _ => None,
    };
    let said: Vec<(usize, bool)> = (0..all.len()).filter_map(|at| Some((all[at].0, says(at)?))).collect();
    if !said.is_empty() {
        return only(&lower, said);
    }
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
    match (has(yes), has(no)) {
        (_, true) => One(false),
        (true, false) => One(true),
        (false, false) => Nothing,
    }
}
