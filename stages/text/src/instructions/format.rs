//! Marks in a text and its division: brackets, asterisks, headings, paragraphs, the first and the last words.

use std::sync::LazyLock;

use regex::Regex;

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[[^\]\n]*\]").expect("a constant pattern"));

static TITLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"<<([^\n]+)>>").expect("a constant pattern"));

/// Counts texts in square brackets, each within a line.
pub(super) fn placeholders(text: &str) -> usize {
    PLACEHOLDER.find_iter(text).count()
}

/// Counts texts between asterisks and those between double asterisks, each within a line and not empty.
pub(super) fn highlights(text: &str) -> usize {
    text.split('\n')
        .filter(|line| line.contains('*'))
        .map(|line| highlights_of(&line.split('*').collect::<Vec<_>>()))
        .sum()
}

/// Counts the highlights of a line, given its parts between asterisks. An asterisk closes one highlight at most.
fn highlights_of(parts: &[&str]) -> usize {
    let num_asterisks = parts.len() - 1;
    let single = (1..num_asterisks).step_by(2).filter(|at| !parts[*at].trim().is_empty()).count();
    let (mut double, mut at) = (0, 1);
    while at + 3 <= num_asterisks {
        if parts[at].is_empty() && parts[at + 2].is_empty() {
            double += usize::from(!parts[at + 1].trim().is_empty());
            at += 4;
        } else {
            at += 1;
        }
    }
    single + double
}

/// Counts lines that begin with a hyphen, or with an asterisk before something other than an asterisk.
pub(super) fn bullets(text: &str) -> usize {
    let is_item = |rest: &str| !rest.is_empty() && !rest.starts_with('*');
    let is_bullet = |line: &str| line.starts_with('-') || line.strip_prefix('*').is_some_and(is_item);
    text.lines().map(str::trim_start).filter(|line| is_bullet(line)).count()
}

/// Says whether a title stands in double angular brackets.
pub(super) fn has_title(text: &str) -> bool {
    TITLE.captures_iter(text).any(|title| !title[1].trim_matches(['<', '>']).trim().is_empty())
}

/// Counts headings: the section's name and a number, as in `Section 1`.
pub(super) fn sections(text: &str, name: &str) -> Result<usize, String> {
    let heading = Regex::new(&format!(r"{}\s?\d", regex::escape(name)));
    Ok(heading.map_err(|_| format!("the section name `{name}` is too long"))?.find_iter(text).count())
}

/// Says whether the marker of a postscript occurs, in either case, also with spaces after its full stops.
pub(super) fn has_postscript(text: &str, marker: &str) -> Result<bool, String> {
    let pattern = format!("(?i){}", regex::escape(marker).replace(r"\.", r"\.\s?"));
    Ok(Regex::new(&pattern).map_err(|_| format!("the marker `{marker}` is too long"))?.is_match(text))
}

/// Says whether a text contains one of the options and no other.
pub(super) fn chooses_one(options: &[&str], text: &str) -> bool {
    options.iter().filter(|option| text.contains(**option)).count() == 1
}

/// Returns the number of parts between dividers; `None` if one is empty. A divider may begin or end the text.
pub(super) fn divided(text: &str, divider: &str) -> Option<usize> {
    let parts: Vec<_> = text.split(divider).map(str::trim).collect();
    let inner = parts.get(1..parts.len() - 1).unwrap_or_default();
    let is_one_empty = inner.iter().any(|part| part.is_empty());
    if is_one_empty { None } else { Some(parts.iter().filter(|part| !part.is_empty()).count()) }
}

/// Says whether a row of six asterisks divides the text into two that differ.
pub(super) fn are_two_responses(text: &str) -> bool {
    let parts: Vec<_> = text.split("******").map(str::trim).filter(|part| !part.is_empty()).collect();
    divided(text, "******") == Some(2) && parts[0] != parts[1]
}

/// Returns the first word of a paragraph in small letters, if the text has so many paragraphs. Two line breaks divide
/// paragraphs. Punctuation ends a word.
pub(super) fn first_word_of_paragraph(text: &str, nth: usize, num: usize) -> Option<String> {
    let paragraphs: Vec<_> = text.split("\n\n").map(str::trim).collect();
    if paragraphs.iter().filter(|paragraph| !paragraph.is_empty()).count() != num {
        return None;
    }
    let word = paragraphs.get(nth - 1)?.split_whitespace().next()?;
    let word = word.trim_start_matches('\'').trim_start_matches('"');
    Some(word.split(['.', ',', '?', '!', '\'', '"']).next()?.to_lowercase())
}

/// Says whether a text is JSON, as it is or in a fence of backticks. Only what JSON's standard allows: no `NaN`.
pub(super) fn is_json(text: &str) -> bool {
    let text = text.trim();
    let opened = ["```json", "```Json", "```JSON", "```"].iter().find_map(|fence| text.strip_prefix(fence));
    let text = opened.unwrap_or(text);
    let text = text.strip_suffix("```").unwrap_or(text);
    serde_json::from_str::<serde::de::IgnoredAny>(text.trim()).is_ok()
}

/// Says whether a text repeats the request, in either case, and then says more.
pub(super) fn repeats(text: &str, request: &str) -> bool {
    let text = text.trim().to_lowercase();
    text.strip_prefix(request.trim().to_lowercase().as_str())
        .is_some_and(|answer| answer.contains(char::is_alphanumeric))
}

/// Says whether a text ends with a phrase, in either case; quotation marks may follow it.
pub(super) fn ends_with(text: &str, phrase: &str) -> bool {
    text.trim().trim_matches('"').to_lowercase().ends_with(phrase.trim().to_lowercase().as_str())
}

/// Says whether double quotation marks enclose the text.
pub(super) fn is_quoted(text: &str) -> bool {
    let text = text.trim();
    text.len() > 1 && text.starts_with('"') && text.ends_with('"')
}
