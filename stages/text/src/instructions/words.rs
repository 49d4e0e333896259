//! Keywords, counts of words and letters, and the case of letters.

use std::sync::LazyLock;

use regex::Regex;

static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\w+").expect("a constant pattern"));

/// The ends of words that the Treebank counts as words of their own: the `'S` of `IT'S`, the `N'T` of `DON'T`.
static SECOND_WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)(?:'s|'m|'d|'ll|'re|'ve|n't)$").expect("a constant pattern"));

/// Two words written as one, likewise.
const TWO_WORDS: [&str; 6] = ["CANNOT", "GIMME", "GONNA", "GOTTA", "LEMME", "WANNA"];

/// Characters that divide words wherever they stand. The last four are dashes.
const PUNCTUATION: [char; 30] = [
    ';', '@', '#', '$', '%', '&', '?', '!', '*', '(', ')', '[', ']', '{', '}', '<', '>', '"', '`', '«', '»', '“', '”',
    '‘', '’', '„', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}',
];

/// Compiles a keyword to be found in either case.
fn keyword(keyword: &str, edge: &str) -> Result<Regex, String> {
    let pattern = format!("(?i){edge}{}{edge}", regex::escape(keyword));
    Regex::new(&pattern).map_err(|_| format!("the keyword `{keyword}` is too long"))
}

/// Says whether each keyword occurs, in either case, also within longer words.
pub(super) fn all_occur(keywords: &[&str], text: &str) -> Result<bool, String> {
    keywords.iter().try_fold(true, |all, word| Ok(keyword(word, "")?.is_match(text) && all))
}

/// Says whether none of the words occurs, in either case, as a word of its own.
pub(super) fn none_occurs(forbidden: &[&str], text: &str) -> Result<bool, String> {
    forbidden.iter().try_fold(true, |none, word| Ok(!keyword(word, r"\b")?.is_match(text) && none))
}

/// Counts a keyword in either case, also within longer words.
pub(super) fn occurrences(word: &str, text: &str) -> Result<usize, String> {
    Ok(keyword(word, "")?.find_iter(text).count())
}

/// Counts a keyword in either case as a word of its own.
pub(super) fn whole_words(word: &str, text: &str) -> usize {
    let word = word.to_lowercase();
    WORD.find_iter(&text.to_lowercase()).filter(|found| found.as_str() == word).count()
}

/// Counts a letter or another character in either case.
pub(super) fn letters(letter: char, text: &str) -> usize {
    let wanted = letter.to_lowercase().next();
    text.chars().flat_map(char::to_lowercase).filter(|found| Some(*found) == wanted).count()
}

/// Counts runs of letters, digits and underscores.
pub(super) fn count(text: &str) -> usize {
    WORD.find_iter(text).count()
}

/// Counts words in capital letters, as the tokenization of the Penn Treebank divides words. A hyphenated word is one
/// word; `IT'S` is two, and `I'm` is one in capitals and one in small letters.
pub(super) fn capitals(text: &str) -> usize {
    let (mut capitals, mut start, mut before) = (0, 0, None);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if is_between_words(before, c, chars.peek().map(|(_, after)| *after)) {
            capitals += capitals_of_one(&text[start..at]);
            start = at + c.len_utf8();
        }
        before = Some(c);
    }
    capitals + capitals_of_one(&text[start..])
}

/// Says whether a character divides words: white space, punctuation and dashes, but neither a hyphen, an apostrophe nor
/// a full stop that stands single. A comma or colon before a digit is in a number.
fn is_between_words(before: Option<char>, c: char, after: Option<char>) -> bool {
    match c {
        '.' | '-' | '\'' => before == Some(c) || after == Some(c),
        ',' | ':' => !after.is_some_and(char::is_numeric),
        _ => c.is_whitespace() || PUNCTUATION.contains(&c),
    }
}

fn capitals_of_one(word: &str) -> usize {
    let second = if word.contains('\'') { SECOND_WORD.find(word) } else { None };
    let (first, second) = word.split_at(second.map_or(word.len(), |second| second.start()));
    let is_two = TWO_WORDS.contains(&word.trim_matches(['.', '\'']));
    usize::from(is_upper(first)) + usize::from(is_upper(second)) + usize::from(is_two)
}

/// Says whether a text has a letter with case and all of these are capitals.
pub(super) fn is_upper(text: &str) -> bool {
    is_all(text, char::is_uppercase, char::is_lowercase)
}

/// Says whether a text has a letter with case and all of these are small.
pub(super) fn is_lower(text: &str) -> bool {
    is_all(text, char::is_lowercase, char::is_uppercase)
}

/// Title-case letters, such as `ǅ`, are in neither case, but have a small and a capital form.
fn is_all(text: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    let is_title = |c: char| !wanted(c) && !other(c) && !c.is_ascii() && c.to_lowercase().next() != Some(c);
    text.chars().any(wanted) && !text.chars().any(|c| other(c) || is_title(c))
}
