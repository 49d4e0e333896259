//! Reads the text of an answer as expressions, or as words.

use super::node::Node;
use super::parse::{Mode, Parser};
use super::token::{Commas, Kind, Token, tokens};

/// Longer texts are not answers.
const MAX_BYTES: usize = 2_000;

/// Returns how a text can be read as one expression; there are two readings where commas may separate thousands or
/// numbers, and none for prose.
pub(super) fn readings(text: &str) -> Vec<Node> {
    if text.len() > MAX_BYTES {
        return Vec::new();
    }
    if is_no_solution(&words(text)) {
        return vec![Node::Empty];
    }
    let mut readings: Vec<Node> = reading(text, Commas::Thousands).into_iter().collect();
    readings.extend(other_reading(text));
    if readings.is_empty()
        && let Some((name, value)) = text.split_once('=')
        && is_text(name)
        && !value.contains('=')
    {
        // A name in words: `total cost = 18`.
        readings.extend(reading(value, Commas::Thousands));
    }
    readings
}

/// Returns the reading with commas between the members of a list, if a text has commas between thousands.
pub(super) fn other_reading(text: &str) -> Option<Node> {
    let has_commas = |token: &Token| matches!(&token.kind, Kind::Number(_, digits) if digits.has_commas);
    let tokens = tokens(text, Commas::Thousands)?;
    if tokens.iter().any(has_commas) { reading(text, Commas::List) } else { None }
}

fn reading(text: &str, commas: Commas) -> Option<Node> {
    Parser::whole(tokens(text, commas)?, Mode::Expression)
}

/// Returns the words of a text for comparison: lower case, no punctuation, no articles; commands of styling are left out.
pub(super) fn words(text: &str) -> String {
    const STYLE: [&str; 12] = [
        "text",
        "textbf",
        "textit",
        "textrm",
        "mathrm",
        "mathbf",
        "mbox",
        "operatorname",
        "textnormal",
        "boxed",
        "left",
        "right",
    ];
    let mut words: Vec<String> = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !c.is_alphanumeric() {
            continue;
        }
        let mut end = at + c.len_utf8();
        while let Some((next, c)) = chars.peek()
            && c.is_alphanumeric()
        {
            end = next + c.len_utf8();
            chars.next();
        }
        let word = &text[at..end];
        let is_style = text[..at].ends_with('\\') && STYLE.contains(&word);
        let lower = word.to_lowercase();
        if !is_style && !matches!(lower.as_str(), "the" | "a" | "an") {
            words.push(lower);
        }
    }
    // An article alone is a letter.
    if words.is_empty() { text.trim().to_lowercase() } else { words.join(" ") }
}

/// Whether a gold answer is words: letters without numbers and operators that did not parse.
pub(super) fn is_text(text: &str) -> bool {
    if text.len() > MAX_BYTES {
        return false;
    }
    let Some(tokens) = tokens(text, Commas::Thousands) else { return false };
    let has_word = tokens.iter().any(|token| {
        matches!(&token.kind, Kind::Word(_) | Kind::Name(_) | Kind::Function(_)) || is_word_sign(&token.kind)
    });
    let is_plain = |token: &Token| match &token.kind {
        Kind::Word(_) | Kind::Name(_) | Kind::Number(..) | Kind::Function(_) => true,
        Kind::Sign(sign) => matches!(
            *sign,
            "." | ","
                | "'"
                | "\""
                | "-"
                | ":"
                | ";"
                | "("
                | ")"
                | "!"
                | "?"
                | "{"
                | "}"
                | "/"
                | "%"
                | "&"
                | "and"
                | "or"
                | "not"
                | "°"
                | "*"
                | "∞"
                | "+"
        ),
        Kind::Structure(_) | Kind::Command(_) => false,
    };
    has_word && tokens.iter().all(is_plain)
}

fn is_word_sign(kind: &Kind) -> bool {
    matches!(kind, Kind::Sign("and" | "or" | "not"))
}

/// Whether a text has letters only, so that it may be compared as words too.
pub(super) fn is_letters(text: &str) -> bool {
    let text = text.trim();
    let words = words(text);
    words.chars().count() > 1 && words.chars().all(|c| c.is_alphabetic() || c == ' ')
}

fn is_no_solution(words: &str) -> bool {
    const PHRASES: [&str; 16] = [
        "no solution",
        "no solutions",
        "no real solution",
        "no real solutions",
        "none",
        "there is no solution",
        "there are no solutions",
        "no such number",
        "no such numbers",
        "does not exist",
        "doesn t exist",
        "dne",
        "empty set",
        "emptyset",
        "无解",
        "no real roots",
    ];
    PHRASES.contains(&words)
}
