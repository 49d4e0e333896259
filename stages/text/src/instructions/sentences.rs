//! The number of sentences in English text.
//!
//! The published code counts with Punkt, whose model is trained on newspapers. Here stand its rules (Kiss and Strunk
//! 2006) with short lists in place of the model. A sentence ends at the last `.`, `?` or `!` of a chunk of text without
//! white space, if more text follows, unless the full stop belongs to an abbreviation, an initial or an ellipsis; there
//! only a common word in capitals after it begins a sentence. A line break ends none. The number of a list's item is a
//! sentence, which is the published way to count.
//!
//! Departures: what has no letter or digit is no sentence (`...`, `**`), and the dotted `e.g.` and `i.e.` are
//! abbreviations.

/// Abbreviations without their full stop, sorted. Dotted ones, such as `u.s`, and single letters are told by their shape.
pub(super) const ABBREVIATIONS: &[&str] = &[
    "adm", "apr", "aug", "ave", "bros", "calif", "capt", "co", "col", "colo", "conn", "corp", "ct", "dec", "dr", "feb",
    "fla", "fri", "ft", "ga", "gen", "gov", "ill", "inc", "jan", "jr", "kan", "lt", "ltd", "maj", "mass", "messrs",
    "mich", "minn", "mr", "mrs", "ms", "mt", "nev", "nov", "oct", "okla", "ore", "pa", "ph.d", "prof", "rep", "rev",
    "sen", "sep", "sept", "sgt", "sr", "st", "tenn", "thu", "tues", "va", "vs", "vt", "wash", "wed", "wis", "yr",
];

/// Words that mostly begin a sentence where they have a capital letter, sorted.
pub(super) const STARTERS: &[&str] = &[
    "a", "about", "after", "all", "also", "although", "always", "among", "an", "and", "another", "any", "are", "as",
    "at", "be", "because", "before", "both", "but", "by", "can", "could", "despite", "did", "do", "does", "during",
    "each", "even", "every", "finally", "first", "for", "from", "get", "give", "go", "had", "has", "have", "he", "her",
    "here", "his", "how", "however", "i", "if", "in", "indeed", "instead", "is", "it", "its", "just", "let", "like",
    "make", "many", "maybe", "moreover", "most", "my", "never", "next", "no", "nor", "not", "now", "of", "on", "once",
    "one", "only", "or", "other", "our", "over", "perhaps", "she", "should", "since", "so", "some", "take", "that",
    "the", "their", "then", "there", "these", "they", "this", "those", "though", "thus", "to", "under", "until", "was",
    "we", "what", "when", "where", "which", "while", "who", "why", "with", "you", "your",
];

/// Characters that end a word of Punkt's: after one of these, the end of a sentence is looked for within the chunk.
const ENDS_WORD: &str = ")\";}]*:@'({[!?";

/// Counts the sentences of a text.
pub(super) fn count(text: &str) -> usize {
    let mut chunks = text.split_whitespace().peekable();
    let (mut count, mut is_open) = (0, false);
    while let Some(chunk) = chunks.next() {
        let next = chunks.peek().copied();
        match end_in(chunk, next).map(|end| chunk.split_at(end)) {
            Some((before, after)) => {
                count += usize::from(is_open || has_words(before));
                is_open = has_words(after);
            }
            None => is_open |= has_words(chunk),
        }
    }
    count + usize::from(is_open)
}

fn has_words(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

/// Returns where in a chunk a sentence ends, if one does: behind its last mark that has a word's end after it.
fn end_in(chunk: &str, next: Option<&str>) -> Option<usize> {
    let mut after = None;
    for (at, c) in chunk.char_indices().rev() {
        let ends_word = || after.map_or(next.is_some(), |after| ENDS_WORD.contains(after));
        if matches!(c, '.' | '?' | '!') && ends_word() {
            let next = if after.is_none() { next } else { None };
            let ends = c != '.' || ends_sentence(&chunk[..at], next.unwrap_or_default());
            return ends.then_some(at + 1);
        }
        after = Some(c);
    }
    None
}

/// Says whether a full stop after `chunk` and before `next` ends a sentence.
fn ends_sentence(chunk: &str, next: &str) -> bool {
    let token = chunk.rsplit(|c| ENDS_WORD.contains(c)).next().unwrap_or_default();
    let first = next.trim_start_matches(|c| ENDS_WORD.contains(c)).chars().next();
    if token.ends_with('.') || is_abbreviation(token) {
        return next.starts_with(char::is_uppercase)
            && has(STARTERS, next.trim_end_matches(|c: char| !c.is_alphanumeric()));
    }
    let is_number = token.starts_with(|c: char| c.is_numeric()) && !token.contains(char::is_alphabetic);
    !(is_number && first.is_some_and(char::is_lowercase))
}

/// Says whether a token without its full stop is an abbreviation: a known one, a single letter, or dotted letters. The
/// `P.S.` and `P.P.S.` before a postscript stand for themselves.
fn is_abbreviation(token: &str) -> bool {
    let token = token.rsplit('-').next().unwrap_or_default();
    let is_dotted = token.split('.').all(|part| part.contains(char::is_alphabetic) && part.chars().count() == 1);
    (is_dotted || has(ABBREVIATIONS, token)) && !has(&["p.p.s", "p.s"], token)
}

/// Says whether a sorted list has a word, in either case.
fn has(words: &[&str], word: &str) -> bool {
    let small = || word.bytes().map(|byte| byte.to_ascii_lowercase());
    words.binary_search_by(|known| known.bytes().cmp(small())).is_ok()
}
