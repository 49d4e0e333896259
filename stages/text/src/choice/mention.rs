//! Letters, and words of several, that may stand for options.
//!
//! This file looks at a letter's shape and at its direct neighbours; `cue` reads the words around it.

use std::ops::Range;

use super::letters::Letters;
use super::pattern::{self, patterns};

/// Letters that may stand for options.
#[derive(Clone, Debug)]
pub(super) struct Mention {
    pub(super) letters: Letters,
    /// Where they stand, with their brackets.
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) dress: Dress,
    /// Followed by a comma, a conjunction, or the end of a sentence.
    pub(super) ends_clause: bool,
}

/// How letters are set off from the text around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dress {
    /// In brackets or quotes, or behind "option".
    Marked,
    /// Capitals.
    Capital,
    /// A small letter: an option's only where the words around it say so.
    Small,
}

const OPENERS: [char; 6] = ['(', '[', '{', '<', '"', '\''];
const CLOSERS: [char; 6] = [')', ']', '}', '>', '"', '\''];
/// How many characters of brackets and spaces are looked at.
const MAX_BRACKETS: usize = 6;
/// Short words before a bracket that are no function's name.
const CALLERS: [&str; 10] = ["is", "be", "Ans", "ans", "ANS", "es", "est", "ist", "are", "or"];

patterns! {
    /// A function's arguments or a point's coordinates, `(x)` or `(1,2)`.
    ARGUMENTS = r"^ \( [^()\s]{1,8} \)";
    /// A formula that goes on.
    FORMULA_AFTER = r"^ \s* (?: [=+*^<>≤≥≠±×÷∈∩∪⊂⊆⊥∥]
        | \\(?: cap|cup|in|subset|times|cdot|le|ge|leq|geq|neq|perp|parallel )\b ) | ^/\d";
    FORMULA_BEFORE = r"(?: [+*^≤≥≠±×÷∈∩∪⊂⊆⊥∥∠△]
        | \\(?: cap|cup|in|subset|times|cdot|le|ge|leq|geq|neq|perp|parallel|angle|triangle ) ) \s* $";
    /// Roman numerals, beside which `I` is one, too.
    ROMAN = r"\b(?: II|III|IV )\b";
    SENTENCE_END = r"^ \s* (?: $ | [.;:)!?\]\n。、] )";
    CLAUSE_END = r"^ \s* (?: $ | [.,;:!?\n。、)\]}/&|(\x22-] | [\u{2e80}-\u{d7ff}] | \b[A-J]\b
        | (?: because|since|as|for|due|which|with|where|when|and|or|but|so|not|instead|rather|after|given|based
            |is|isn't|are|was|were|it|would|could|can|cannot|can't|must|has|seems|looks|does|doesn't|fails|over
            |wrong|incorrect|correct|right|in|here|if|then|that|answer|option|choice
            |et|ou|est|n'est|ist|und|oder|nicht|es|no|y|o|e|é|è|и|или|не )\b )";
    NUMBER = r"^ \s* [-+(]? [\d.\\]";
    OPTION_BEFORE = r"(?: \b(?: options?|choices?|letter|alternative|opción|opcion|opção|opzione|alternativa|letra
        |lettera ) | вариант|选项|選項|选择肢|選択肢 ) \s* $";
    OPTION_AFTER = r"^ \s* (?: 选项|選項|项|項 )";
}

/// Finds the letters of a plain text, in order.
pub(super) fn mentions(text: &str) -> Vec<Mention> {
    let bytes = text.as_bytes();
    let has_roman = ROMAN.is_match(text);
    let mut found = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_alphanumeric() {
            let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let floor = found.last().map_or(0, |last: &Mention| last.end);
            found.extend(mention(text, floor, at..end, depth).filter(|_| !(has_roman && &text[at..end] == "I")));
            at = end;
            continue;
        }
        depth = match byte {
            b'(' => depth + 1,
            b')' => depth.saturating_sub(1),
            b'\n' => 0,
            _ => depth,
        };
        at += 1;
    }
    without_words(text, &found)
}

/// Reads a word `depth` brackets deep, whose own brackets begin after `floor`.
fn mention(text: &str, floor: usize, word: Range<usize>, depth: usize) -> Option<Mention> {
    let Range { start, end } = word;
    let letters = Letters::of_word(&text[start..end])?;
    if is_joined_before(&text[..start]) || is_joined_after(&text[..start], &text[end..]) {
        return None;
    }
    let (from, to) = with_brackets(text, floor, word);
    let (is_opened, is_closed) = (from < start, to > end);
    if is_opened && is_call(&text[..from], &text[from..start]) {
        return None;
    }
    let is_bracketed = is_opened && is_closed || !is_opened && depth == 0 && text[end..].starts_with([')', ']']);
    let first = text.as_bytes()[start];
    let ends_clause = CLAUSE_END.is_match(pattern::after(text, to));
    let is_option =
        || OPTION_BEFORE.is_match(pattern::before(text, from)) || OPTION_AFTER.is_match(pattern::after(text, to));
    let is_letter = is_bracketed
        || end - start > 1
        || match first {
            b'I' => SENTENCE_END.is_match(pattern::after(text, to)) || is_option(),
            b'A' => ends_clause || NUMBER.is_match(pattern::after(text, to)) || is_option(),
            _ => first.is_ascii_uppercase() || ends_clause,
        };
    let dress = match first {
        _ if is_letter && (is_bracketed || is_option()) => Dress::Marked,
        b'a'..=b'z' => Dress::Small,
        _ => Dress::Capital,
    };
    is_letter.then_some(Mention { letters, start: from, end: to, dress, ends_clause })
}

/// Widens a range by the brackets and quotes around it, with single spaces inside them.
fn with_brackets(text: &str, floor: usize, word: Range<usize>) -> (usize, usize) {
    let Range { start, end } = word;
    let (mut from, mut to) = (start, end);
    for step in text[floor..start].char_indices().rev().take(MAX_BRACKETS) {
        match step {
            (at, c) if OPENERS.contains(&c) => from = floor + at,
            (_, ' ') => {}
            _ => break,
        }
    }
    for step in text[end..].char_indices().take(MAX_BRACKETS) {
        match step {
            (at, c) if CLOSERS.contains(&c) => to = end + at + 1,
            (_, ' ') => {}
            _ => break,
        }
    }
    (from, to)
}

/// Returns whether a letter behind `before` is a part of something longer: a word, a formula, an abbreviation.
fn is_joined_before(before: &str) -> bool {
    let mut chars = before.chars().rev();
    let Some(last) = chars.next() else { return false };
    let (previous, third) = (chars.next(), chars.next());
    let is_word = |side: Option<char>| side.is_some_and(|c| c.is_alphanumeric() && !is_unspaced(c));
    match last {
        '\\' | '^' | '_' | '°' | '@' | '%' | '-' => true,
        '\'' => is_word(previous),
        ':' => previous.is_some_and(|c| c.is_ascii_uppercase()) && !is_word(third),
        '.' => previous.is_some_and(|c| c.is_ascii_alphabetic()) && !is_word(third),
        '&' | '/' => is_word(previous) && !previous.is_some_and(|c| matches!(c, 'A'..='J' | 'a'..='j')),
        _ => is_word(Some(last)) || FORMULA_BEFORE.is_match(pattern::before(before, before.len())),
    }
}

/// Returns whether a letter between `before` and `after` is a part of something longer.
fn is_joined_after(before: &str, after: &str) -> bool {
    let mut chars = after.chars();
    let Some(first) = chars.next() else { return false };
    let (second, third) = (chars.next(), chars.next());
    let is_word = |side: Option<char>| side.is_some_and(|c| c.is_alphanumeric() && !is_unspaced(c));
    match first {
        '_' | '#' => true,
        '\'' => !before.ends_with('\''),
        '>' if before.ends_with('<') => false,
        '.' => second.is_some_and(|c| c.is_ascii_alphabetic()) && !is_word(third),
        '-' => is_word(second),
        ':' => second.is_some_and(|c| c.is_ascii_uppercase()) && !is_word(third),
        '(' => ARGUMENTS.is_match(after),
        _ => is_word(Some(first)) || FORMULA_AFTER.is_match(pattern::after(after, 0)),
    }
}

/// Returns whether a bracket belongs to a function: `f(A)`, `\sin(A)`, `\binom{A}{2}`, not `option(A)`.
fn is_call(before: &str, bracket: &str) -> bool {
    let name = before.bytes().rev().take_while(u8::is_ascii_alphanumeric).count();
    let (rest, word) = before.split_at(before.len() - name);
    match bracket.as_bytes().first() {
        Some(b'{') => rest.ends_with(['\\', '}']),
        Some(b'(') => rest.ends_with('\\') || (1..=3).contains(&name) && !CALLERS.contains(&word),
        _ => false,
    }
}

/// Returns whether a script is written without spaces, so that a letter beside it stands alone.
pub(super) fn is_unspaced(letter: char) -> bool {
    matches!(letter, '\u{0e00}'..='\u{0eff}' | '\u{2e80}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}')
}

/// Leaves out small letters before a capital, which are words of other languages (`A e C`, `é a C`).
fn without_words(text: &str, mentions: &[Mention]) -> Vec<Mention> {
    let is_blank = |from: usize, to: usize| text[from..to].bytes().all(|byte| byte == b' ');
    let kept = mentions.iter().enumerate().filter(|&(at, one)| {
        let next = mentions.get(at + 1).filter(|next| next.dress != Dress::Small && is_blank(one.end, next.start));
        !(one.dress == Dress::Small && next.is_some())
    });
    kept.map(|(_, one)| one.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, expected) in [
            ("B", vec!["B"]),
            ("(B) 12", vec!["B"]),
            ("ABD", vec!["A, B, D"]),
            ("答案是B选项", vec!["B"]),
            ("正解はBです", vec!["B"]),
            ("The answer is A 12 cm", vec!["A"]),
            ("A lot of it", vec![]),
            ("I don't know. I see", vec![]),
            ("I and II", vec![]),
            ("f(A) + g(B)", vec![]),
            ("A + B, A = 5, A_1, B(1,2)", vec![]),
            ("e.g. U.S.A. vitamin B12 and 20°C", vec![]),
            ("A-D", vec![]),
            ("Babel Éa Aé", vec![]),
        ] {
            let found: Vec<String> = mentions(text).iter().map(|mention| mention.letters.to_string()).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn marks() {
        for (text, is_marked) in [
            ("(B)", true),
            ("( B )", true),
            ("B) 12", true),
            ("[B", false),
            ("\"B\"", true),
            ("option B", true),
            ("see (point B)", false),
        ] {
            let found = mentions(text);
            assert_eq!(found.first().map(|mention| mention.dress == Dress::Marked), Some(is_marked), "{text:?}");
        }
    }
}
