//! Multiple choice: finds the option's letter in several notations.

use std::sync::LazyLock;

use regex::Regex;

use crate::{Verdict, boxed};

static ANSWER_IS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i:answer|option|choice)\s*(?i:is|:)?\s*:?\s*\(?([A-J])\b").expect("a constant pattern")
});
static LETTER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\(?([A-Ja-j])\)?(?:[.:)]|$)").expect("a constant pattern"));
static PARENTHESISED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\(([A-J])\)").expect("a constant pattern"));

/// Compares the chosen letter with the gold one, `A` to `J`.
pub fn verify(gold: &str, answer: &str) -> Verdict {
    match (first_letter(gold), extract(answer)) {
        (None, _) => Verdict::GoldUnparsed,
        (_, None) => Verdict::AnswerUnparsed,
        (Some(gold), Some(answer)) if gold == answer => Verdict::Correct,
        _ => Verdict::Wrong,
    }
}

/// Returns the option that an answer chooses: boxed, stated ("the answer is B"), alone at the start, or in brackets.
pub fn extract(answer: &str) -> Option<char> {
    boxed(answer)
        .and_then(first_letter)
        .or_else(|| ANSWER_IS.captures_iter(answer).last().and_then(|found| found[1].chars().next()))
        .or_else(|| first_letter(answer))
        .or_else(|| PARENTHESISED.captures_iter(answer).last().and_then(|found| found[1].chars().next()))
}

fn first_letter(text: &str) -> Option<char> {
    let found = LETTER.captures(text.trim())?;
    found[1].chars().next().map(|letter| letter.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (gold, answer, verdict) in [
            ("B", "B", Verdict::Correct),
            ("B", "(b)", Verdict::Correct),
            ("(C)", "C. photosynthesis", Verdict::Correct),
            ("D", "The answer is D.", Verdict::Correct),
            ("D", "Answer: (D) because A is wrong", Verdict::Correct),
            ("A", "so we get \\boxed{A}", Verdict::Correct),
            ("A", "I would say (A)", Verdict::Correct),
            ("A", "C", Verdict::Wrong),
            ("A", "Apples", Verdict::AnswerUnparsed),
            ("A", "", Verdict::AnswerUnparsed),
            ("seven", "A", Verdict::GoldUnparsed),
        ] {
            assert_eq!(verify(gold, answer), verdict, "{gold:?} {answer:?}");
        }
    }
}
