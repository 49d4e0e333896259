//! Answers in the words of an option: "The answer is 12 cm".
//!
//! A text is an option's only if it is all of it; a piece of an option's text, or a longer text, is none.

use std::ops::Range;

use super::letters::Letters;
use super::mention::is_unspaced;
use super::pattern::{self, patterns};
use super::plain::plain;

/// The longest text of an option that is looked for inside an answer, in bytes.
const MAX_TEXT: usize = 500;

patterns! {
    /// Where a text begins that may be an option's.
    STATES = r#"(?: NOUN ["')\]]* \s* (?: \bVERB\b | là\b | [éè]\s | это\s | [:=→] )
        | \#{4} | \b(?: choose|select|pick|go_with ) | 答案 (?: 应该|应 )? (?: 是|为|: ) | 정답은 | 答え?は | 正解は )
        [\s,:"]* (?: (?: therefore|thus|clearly|option|the_option|choice )_ )? "#;
    /// What may follow an option's text in its sentence.
    ENDS = r"[.;!。] (?: \s|$ ) | ,? \s (?: because|since|which|so|by|as )\b | ,? \s* (?: because|since ) | \n | $";
    /// What may stand between a letter and its text.
    BETWEEN = r#"^ [)\].:,"'\x20]* (?: (?: which|that )_is_ | i\.e\.,?\s | [=(]\s* | -\s+ )? "#;
    /// Where a text that ends before a letter may begin.
    STARTS = r"^ | [:;=\n] | \.\s | \b(?: is|are )\s";
}

/// The wordings of a question's options, without those that are another option's letter.
pub(super) struct Wordings(Vec<Wording>);

struct Wording {
    letter: Letters,
    exact: String,
    folded: String,
}

impl Wordings {
    pub(super) fn new(options: &[(char, String)]) -> Self {
        let is_letter = |text: &str| {
            let mut letters = options.iter().filter_map(|(letter, _)| Letters::of(*letter));
            Letters::of_word(text).is_some_and(|text| letters.any(|letter| letter == text))
        };
        let wordings = options.iter().filter_map(|(letter, text)| {
            let (letter, exact) = (Letters::of(*letter)?, trimmed(&plain(text).text));
            let is_text = !exact.is_empty() && !is_letter(&exact);
            is_text.then(|| Wording { letter, folded: exact.to_lowercase(), exact })
        });
        Self(wordings.collect())
    }

    /// Returns the only option that has this plain text, in the same case if several have it in another.
    pub(super) fn of(&self, text: &str) -> Option<Letters> {
        let exact = trimmed(text);
        let folded = exact.to_lowercase();
        let only = |same: &dyn Fn(&Wording) -> bool| {
            let mut found = self.0.iter().filter(|wording| same(wording));
            found.next().filter(|_| found.next().is_none()).map(|wording| wording.letter)
        };
        only(&|wording| wording.exact == exact).or_else(|| only(&|wording| wording.folded == folded))
    }

    /// Returns where an answer states options by their texts.
    pub(super) fn stated(&self, text: &str) -> Vec<(Range<usize>, Letters)> {
        if self.0.is_empty() {
            return Vec::new();
        }
        STATES.find_iter(text).filter_map(|cue| self.at(text, cue.end())).collect()
    }

    /// Returns the option whose text follows a letter on its line, if there is one.
    pub(super) fn behind(&self, text: &str, letter_end: usize) -> Option<(Range<usize>, Letters)> {
        let start = letter_end + BETWEEN.find(pattern::after(text, letter_end))?.end();
        self.at(text, start).filter(|_| !text[start..].starts_with('\n'))
    }

    /// Returns the option whose text stands before a letter ("12 cm (B)"), if there is one.
    pub(super) fn ahead(&self, text: &str, letter_start: usize) -> Option<Letters> {
        let from = text.ceil_char_boundary(letter_start.saturating_sub(self.reach()?));
        let before = text[from..letter_start].trim_end_matches(|c: char| c.is_whitespace() || "(,-".contains(c));
        let mut starts = STARTS.find_iter(before).filter(|start| start.end() > 0 || from == 0);
        starts.find_map(|start| self.of(&before[start.end()..]))
    }

    /// Returns the option whose text begins at `start` and ends with a clause of its line; the longest counts.
    fn at(&self, text: &str, start: usize) -> Option<(Range<usize>, Letters)> {
        let limit = start.saturating_add(self.reach()?);
        let start = start + text[start..].bytes().take_while(u8::is_ascii_whitespace).count();
        let window = &text[start..text.floor_char_boundary(limit.max(start))];
        let line = window.find('\n').map_or(window, |end| &window[..end]);
        let is_cut = start + line.len() < text.len() && line.len() == window.len();
        let ends: Vec<usize> = ENDS.find_iter(line).map(|end| end.start()).collect();
        let without_bracket = |text: &str| text.strip_suffix(')').and_then(|text| self.of(text));
        ends.iter().rev().skip_while(|&&end| is_cut && end == line.len()).find_map(|&end| {
            let letters = self.of(&line[..end]).or_else(|| without_bracket(&line[..end]))?;
            Some((start..start + end, letters))
        })
    }

    /// Returns how much of an answer is compared with an option's text, in bytes.
    fn reach(&self) -> Option<usize> {
        let longest = self.0.iter().map(|wording| wording.exact.len()).max()?;
        Some(2 * longest.min(MAX_TEXT) + 40)
    }
}

/// Returns a text without the white space and punctuation that do not tell it from others.
fn trimmed(text: &str) -> String {
    let mut text = text.trim_start_matches(|c: char| c.is_whitespace() || "\":".contains(c));
    while let Some(last) = text.chars().next_back() {
        let before = &text[..text.len() - last.len_utf8()];
        let is_factorial = last == '!' && !before.ends_with(char::is_alphabetic);
        if is_factorial || !last.is_whitespace() && !".,;:!\"。".contains(last) {
            break;
        }
        text = before;
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        let (last, next) = (out.chars().next_back(), word.chars().next());
        let is_both = |is: fn(char) -> bool| last.is_some_and(is) && next.is_some_and(is);
        let is_spelt = |c: char| c.is_alphabetic() && !is_unspaced(c);
        if is_both(is_spelt) || is_both(char::is_numeric) {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wordings(texts: &[&str]) -> Wordings {
        let options = ('A'..).zip(texts).map(|(letter, text)| (letter, (*text).to_owned()));
        Wordings::new(&options.collect::<Vec<_>>())
    }

    #[test]
    fn same_texts() {
        for (one, other, is_same) in [
            ("12 cm", "12cm.", true),
            ("$x + 1$", "x+1", true),
            (r"12\text{ cm}", "12 cm", true),
            ("Iron", "iron", true),
            ("5!", "5", false),
            ("yes!", "yes", true),
            ("not able", "notable", false),
            ("若 x 减小", "若x减小", true),
            ("1 2", "12", false),
            (".5", "5", false),
            ("-5", "5", false),
            ("(1, 2)", "[1, 2]", false),
            ("2*3", "23", false),
        ] {
            assert_eq!(wordings(&[one]).of(&plain(other).text).is_some(), is_same, "{one:?} {other:?}");
        }
    }

    #[test]
    fn the_only_option_with_a_text() {
        let genes = wordings(&["AA", "Aa", "aa", "Bb", "Bb"]);
        for (text, expected) in [("Aa", Some("B")), ("aA", None), ("Bb", None), ("bb", None)] {
            assert_eq!(genes.of(text).map(|letters| letters.to_string()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn stated_texts() {
        let lengths = wordings(&["1", "12 cm", "13 cm", "3", "it is 12 cm. Or more"]);
        for (text, expected) in [
            ("The answer is 12 cm.", vec!["B"]),
            ("Answer: 12 cm\nsince it is", vec!["B"]),
            ("#### 13 cm", vec!["C"]),
            ("The answer is 1,000", vec![]),
            ("The answer is 3 (mod 5)", vec![]),
            ("The answer is 3, 4", vec![]),
            ("The answer is 12 cm because 13 cm is too long", vec!["B"]),
            ("Answer: It is 12 cm. Or more.", vec!["E"]),
            ("The answer is 12 cm. The answer is 13 cm.", vec!["B", "C"]),
            ("12 cm", vec![]),
        ] {
            let found = lengths.stated(text);
            let found: Vec<String> = found.iter().map(|(_, letters)| letters.to_string()).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
