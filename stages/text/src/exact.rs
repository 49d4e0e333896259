//! Equality of short answers, letter by letter.

use crate::Verdict;

/// Compares an answer with the gold one. Only white space at both ends is ignored.
pub fn verify(gold: &str, answer: &str) -> Verdict {
    match (gold.trim(), answer.trim()) {
        ("", _) => Verdict::GoldUnparsed,
        (_, "") => Verdict::AnswerUnparsed,
        (gold, answer) if gold == answer => Verdict::Correct,
        _ => Verdict::Wrong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (gold, answer, verdict) in [
            ("cba", " cba\n", Verdict::Correct),
            ("cba", "CBA", Verdict::Wrong),
            ("", "", Verdict::GoldUnparsed),
            ("a", " ", Verdict::AnswerUnparsed),
        ] {
            assert_eq!(verify(gold, answer), verdict, "{gold:?} {answer:?}");
        }
    }
}
