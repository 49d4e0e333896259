//! Readability of a thought, by the paper's filters (R1 v2, B.3.2 and B.3.3).

/// A paragraph with more characters than this is not readable.
const LONG_PARAGRAPH: usize = 2_000;
/// Longest period of a loop that is detected, in characters.
const MAX_PERIOD: usize = 64;

/// Returns whether a text has no code block, no over-long paragraph, and does not repeat itself.
pub fn is_readable(text: &str) -> bool {
    !has_code_block(text) && !has_long_paragraph(text) && !has_repetition(text)
}

/// Returns whether there is a fenced code block.
pub fn has_code_block(text: &str) -> bool {
    text.contains("```")
}

/// Returns whether some paragraph is longer than 2,000 characters.
pub fn has_long_paragraph(text: &str) -> bool {
    text.split("\n\n").any(|paragraph| paragraph.chars().count() > LONG_PARAGRAPH)
}

/// Returns whether a text repeats itself: a piece of up to 64 characters occurs four times in a row (over 16 characters
/// or more), or fewer than half of its four-word sequences (at least 40) are distinct.
pub fn has_repetition(text: &str) -> bool {
    has_loop(text) || has_stale_words(text)
}

fn has_loop(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=MAX_PERIOD.min(chars.len() / 4)).any(|period| {
        let needed = (3 * period).max(16);
        let mut run = 0;
        chars.iter().zip(&chars[period..]).any(|(one, two)| {
            run = if one == two { run + 1 } else { 0 };
            run >= needed
        })
    })
}

fn has_stale_words(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let sequences: Vec<&[&str]> = words.windows(4).collect();
    let different: std::collections::BTreeSet<&[&str]> = sequences.iter().copied().collect();
    sequences.len() >= 40 && different.len() * 2 < sequences.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for readable in ["8-8=0,+1=1,+2=3,+4=7", "", "first we add, then we check that the sum is right", "1111111111"]
        {
            assert!(is_readable(readable), "{readable}");
        }
        let wall = "word and number 12 ".repeat(200);
        for unreadable in ["wait wait wait wait wait", "0000000000000000000000", "```\ncode\n```", &wall] {
            assert!(!is_readable(unreadable), "{unreadable}");
        }
    }

    #[test]
    fn a_long_paragraph_is_noticed_and_many_short_ones_are_not() {
        let sentence = (0..400).map(|n| format!("step {n}: {}", n * 37 % 101)).collect::<Vec<_>>().join(" ");
        assert!(has_long_paragraph(&sentence));
        assert!(!has_long_paragraph(&sentence.replace("step", "\n\nstep")));
    }

    #[test]
    fn stale_words_are_noticed() {
        let stale = (0..30).map(|n| format!("so the sum is not right {}", n % 3)).collect::<Vec<_>>().join(" ");
        assert!(has_stale_words(&stale));
    }
}
