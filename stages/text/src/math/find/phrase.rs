//! Answers after a statement: "the answer is 5", "A: 5", "答案是5", "Die Antwort ist 5".

use std::sync::LazyLock;

use regex::Regex;

use super::{Found, How, Missing, prose};
use crate::math::{equal, value};

static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?xim)
        (?: \b(?:answer|result|solution)s? (?: \s+ (?:to|of|for) \s [^.\n:=]{1,80}? )?
              \s* (?: (?:is|are|was|would\ be|will\ be|must\ be|should\ be|equals?|is\ equal\ to|comes\ to)\b (?:\s*:)? | [:=] )
          | ^ \s* A \s* :
          | ^ \s* (?:the\ )? final\ answer \s* $
          | (?:正确)?答案 \s* (?: 应该|应当|就|便 )? (?: 是|为|等于 )? \s* :?
          | ^ \s* 答 \s* :
          | (?:最终|最后)?结果 \s* (?: 是|为|等于|: ) \s* :?
          | \b(?:antwort|lösung|ergebnis)\b \s* (?: ist|lautet|beträgt|: ) \s* :?
          | \br[ée]ponse\b (?:\s+finale)? \s* (?: est|: ) \s* :?
          | \br[ée]sultat\b \s* (?: est|: ) \s* :?
          | \b(?:respuesta|resultado|solución)\b (?:\s+final)? \s* (?: es|: ) \s* :?
          | \b(?:resposta|risposta|risultato)\b (?:\s+final[e]?)? \s* (?: é|è|: ) \s* :?
          | 答え \s* (?: は|: )
          | (?:정답|답) \s* (?: 은|: )
          | \bответ\b \s* (?: :|—|–|-|равен )
        )",
    )
    .expect("a constant pattern")
});
/// Words by which a statement takes back the one before it.
static CORRECTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:no|wait|actually|correction|sorry|mistake|wrong|incorrect|instead|however|check|recheck)\b|不对|错|等等")
        .expect("a constant pattern")
});

/// The most statements that are compared with the last one.
const MAX_STATEMENTS: usize = 4;

/// Finds the answer of a statement that says that it is final.
pub(super) fn find_final(text: &str) -> Option<Result<Found, Missing>> {
    text.to_lowercase().contains("final answer").then(|| find(text))?
}

/// Finds the answer after the last statement; `None` if there is no statement.
pub(super) fn find(text: &str) -> Option<Result<Found, Missing>> {
    let ends: Vec<(usize, usize)> = STATEMENT.find_iter(text).map(|found| (found.start(), found.end())).collect();
    // "Final answer: The answer is 5" is one statement.
    let mut last: Option<(usize, Found)> = None;
    let mut missing = None;
    for (at, (_, end)) in ends.iter().enumerate().rev().take(MAX_STATEMENTS) {
        let next = ends.get(at + 1).map_or(text.len(), |(start, _)| *start);
        match (prose::first(&text[*end..next], How::Statement), &last) {
            (Err(refused @ Missing::Refused(_)), None) => return Some(Err(refused)),
            (Err(nothing), None) => missing = Some(nothing),
            (Ok(found), None) => last = Some((*end, found)),
            (Ok(found), Some((later, kept))) => {
                let between = &text[*end..*later];
                if !is_same(&found, kept) && !CORRECTION.is_match(between) {
                    return Some(Err(Missing::Refused("several answers are stated")));
                }
            }
            (Err(_), Some(_)) => {}
        }
    }
    match last {
        Some((_, found)) => Some(Ok(found)),
        // A text may be the answer: "The answer is Evelyn."
        None => missing.and_then(|_| ends.last()).and_then(|(_, end)| stated_text(&text[*end..])).map(Ok),
    }
}

fn is_same(one: &Found, two: &Found) -> bool {
    value::begin();
    one.readings.iter().any(|one| two.readings.iter().any(|two| equal::same(one, two) || equal::same(two, one)))
}

/// Takes the words up to the end of the sentence.
fn stated_text(after: &str) -> Option<Found> {
    let after = after.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '$' | '"'));
    let end = after.find(['.', '\n', '!', '。', ';']).unwrap_or(after.len());
    let text = after[..end].trim();
    (!text.is_empty()).then(|| Found { text: text.to_owned(), how: How::Statement, readings: Vec::new() })
}
