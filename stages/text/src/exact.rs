//! Equality of short answers, character by character.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::Verdict;

/// Compares an answer with the gold one.
///
/// Case, punctuation and inner white space count, a no-break space being another than a space. What nobody sees does
/// not: how an accent is encoded (the texts are compared in Unicode's NFC), zero-width characters, CRLF for LF, and
/// white space at both ends.
pub fn verify(gold: &str, answer: &str) -> Verdict {
    let (gold, answer) = (visible(gold), visible(answer));
    match (gold.trim(), answer.trim()) {
        ("", _) => Verdict::GoldUnparsed,
        (_, "") => Verdict::AnswerUnparsed,
        (gold, answer) if gold == answer => Verdict::Correct,
        _ => Verdict::Wrong,
    }
}

/// Returns a text in NFC, with `\n` for line breaks and without zero-width characters.
fn visible(text: &str) -> String {
    let is_seen = |c: &char| !matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}');
    let seen: String = text.replace("\r\n", "\n").chars().filter(is_seen).collect();
    if is_nfc_quick(seen.chars()) == IsNormalized::Yes { seen } else { seen.nfc().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (gold, answer, verdict) in [
            ("cba", " cba\n", Verdict::Correct),
            ("cba", "CBA", Verdict::Wrong),
            ("cba", "c ba", Verdict::Wrong),
            ("cba", "cba!", Verdict::Wrong),
            ("", "", Verdict::GoldUnparsed),
            ("\u{200b} ", "a", Verdict::GoldUnparsed),
            ("a", " ", Verdict::AnswerUnparsed),
            ("a", "\u{feff}", Verdict::AnswerUnparsed),
            ("café", "cafe\u{301}", Verdict::Correct),
            ("cafe\u{301}", "café", Verdict::Correct),
            ("café", "cafe", Verdict::Wrong),
            ("cafe\u{301}", "cafe\u{200d}\u{301}", Verdict::Correct),
            ("한", "\u{1112}\u{1161}\u{11ab}", Verdict::Correct),
            ("a\nb", "a\r\nb\r\n", Verdict::Correct),
            ("a\nb", "a b", Verdict::Wrong),
            ("a\nb", "a\rb", Verdict::Wrong),
            ("ab", "a\u{200b}b\u{2060}", Verdict::Correct),
            ("a b", "a\u{a0}b", Verdict::Wrong),
            ("a b", "\u{a0}a b\u{3000}", Verdict::Correct),
            ("x2", "x²", Verdict::Wrong),
            ("fi", "ﬁ", Verdict::Wrong),
        ] {
            assert_eq!(verify(gold, answer), verdict, "{gold:?} {answer:?}");
        }
    }
}
