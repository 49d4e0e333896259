//! Marks of a sentence: whether it opens a re-evaluation, confirms, corrects or concludes, and which values it states.

use std::sync::LazyLock;

use regex::Regex;

use super::phrases::{ANSWERING, CHECKS, CONCLUDING, CONFIRMING, CORRECTING, DOUBTS, LEADS, NAMING, STATING};
use super::{Value, sums};

/// Longest beginning of a sentence that is looked at for how it opens.
const BEGINNING: usize = 120;

/// How a sentence opens a re-evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// By a doubt (`Wait`).
    Doubt,
    /// By a check (`Let me verify`).
    Check,
}

static CHECK: LazyLock<Regex> = LazyLock::new(|| {
    let checks: Vec<String> = CHECKS.iter().map(|(by, check)| format!("{by}{check}")).collect();
    opening(&checks.join("|"))
});
static DOUBT: LazyLock<Regex> = LazyLock::new(|| opening(&DOUBTS.join("|")));
static CONFIRMS: LazyLock<Regex> = LazyLock::new(|| pattern(&any(CONFIRMING)));
static CORRECTS: LazyLock<Regex> = LazyLock::new(|| pattern(&any(CORRECTING)));
static CONCLUDES: LazyLock<Regex> = LazyLock::new(|| pattern(&any(CONCLUDING)));
static NAMED: LazyLock<Regex> = LazyLock::new(|| pattern(&NAMING.join("|")));

/// A number soon after a word that states one.
static STATED: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"(?:{})[^0-9=.\n。;]{{0,24}}?(?:{NUMBER})", any(STATING))));

/// A number soon after a word for an answer, and one in a box.
static ANSWER: LazyLock<Regex> = LazyLock::new(|| {
    let after = format!(r"(?:{})[^0-9=.\n。;]{{0,24}}?[=*$\s]*(?:{NUMBER})", any(ANSWERING));
    pattern(&format!(r"{after}|\\boxed\{{\s*\$?(?:{NUMBER})\s*\}}"))
});

const NUMBER: &str = r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?|\\[dt]?frac\{\d+\}\{\d+\}";

/// Returns how a sentence opens a re-evaluation, if it does.
pub(super) fn opening_of(sentence: &str) -> Option<Opening> {
    let beginning = &sentence[..sentence.floor_char_boundary(BEGINNING)];
    if CHECK.is_match(beginning) { Some(Opening::Check) } else { DOUBT.is_match(beginning).then_some(Opening::Doubt) }
}

/// Returns whether a sentence says that something is as it was found.
pub(super) fn confirms(sentence: &str) -> bool {
    CONFIRMS.is_match(sentence)
}

/// Returns whether a sentence says that something is wrong.
pub(super) fn corrects(sentence: &str) -> bool {
    CORRECTS.is_match(sentence)
}

/// Returns whether a sentence draws a conclusion.
pub(super) fn concludes(sentence: &str) -> bool {
    CONCLUDES.is_match(sentence)
}

/// Returns the numbers that a sentence states.
pub(super) fn stated(sentence: &str) -> Vec<Value> {
    STATED.find_iter(sentence).filter_map(|found| number_at_end(found.as_str())).collect()
}

/// Returns the numbers and names that a sentence states as the answer.
pub(super) fn answers(sentence: &str) -> Vec<Value> {
    let numbers = ANSWER.find_iter(sentence).filter_map(|found| number_at_end(found.as_str()));
    let names = NAMED.captures_iter(sentence).filter_map(|found| {
        let name = (1..=NAMING.len()).find_map(|group| found.get(group))?.as_str();
        let name = name.split(" not ").next().unwrap_or(name).trim().to_lowercase();
        (!name.is_empty() && !is_negated(&format!("{name} "))).then_some(Value::Name(name))
    });
    numbers.chain(names).collect()
}

/// Returns the number that ends a statement, unless the words before it deny it.
fn number_at_end(statement: &str) -> Option<Value> {
    let digit = statement.find(|c: char| c.is_ascii_digit())?;
    let fraction = statement[..digit].rfind('\\').filter(|start| statement[*start..].contains("frac"));
    let (words, number) = statement.split_at(fraction.unwrap_or(digit));
    if is_negated(words) {
        return None;
    }
    let number = if words.contains("boxed") { number.trim_end().strip_suffix('}')? } else { number };
    let number = sums::number(number)?;
    Some(Value::Number(if words.ends_with(['-', '−']) { -number } else { number }))
}

fn is_negated(words: &str) -> bool {
    const DENIALS: [&str; 10] = ["not ", "n't", "n’t", "never", "nicht", "kein", " pas", "no ", "не ", "不"];
    let lower = words.to_lowercase();
    DENIALS.iter().any(|denial| lower.contains(denial))
}

/// Returns the pattern of sentences that open with one of `phrases`, after a few words that lead to it.
fn opening(phrases: &str) -> Regex {
    pattern(&format!(r#"^[\s*_#>"'“(\-.,!…]*(?:(?:{LEADS})[\s,.…!，、—-]+){{0,3}}(?:{phrases})"#))
}

/// Returns the pattern of any of some words, whole, and of some parts of words.
fn any([words, parts]: [&[&str]; 2]) -> String {
    format!(r"(?-u:\b)(?:{})(?-u:\b)|{}", words.join("|"), parts.join("|"))
}

fn pattern(pattern: &str) -> Regex {
    Regex::new(&format!("(?i){pattern}")).expect("a constant pattern")
}
