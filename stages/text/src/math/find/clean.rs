//! Takes Markdown and full-width letters off a text.

use std::borrow::Cow;

/// Returns a text without Markdown's emphasis, headings and code marks, with full-width signs as ASCII ones.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let is_wide = |c: char| ('\u{ff01}'..='\u{ff5e}').contains(&c) || c == '\u{3000}';
    let needs_work =
        text.contains(['*', '`', '#', '_', '\u{200b}', '\u{feff}', '\u{200c}', '\u{200d}']) || text.contains(is_wide);
    if !needs_work {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            cleaned.push('\n');
        }
        let folded: String = without_heading(line).chars().filter_map(fold).collect();
        without_emphasis(&folded, &mut cleaned);
    }
    Cow::Owned(cleaned)
}

fn fold(c: char) -> Option<char> {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0),
        '\u{3000}' => Some(' '),
        '\u{200b}' | '\u{feff}' | '\u{200c}' | '\u{200d}' => None,
        other => Some(other),
    }
}

/// Takes off the marks of a heading; `####` is not one, for GSM8K's answers stand behind it.
fn without_heading(line: &str) -> &str {
    let trimmed = line.trim_start();
    let marks = trimmed.bytes().take_while(|byte| *byte == b'#').count();
    if (1..=3).contains(&marks) { trimmed[marks..].trim_start() } else { line }
}

/// Copies a line without emphasis: stars that touch a word on one side only, and backticks.
fn without_emphasis(line: &str, cleaned: &mut String) {
    let chars: Vec<char> = line.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if c == '`' {
            at += 1;
            continue;
        }
        if c != '*' {
            cleaned.push(c);
            at += 1;
            continue;
        }
        let run = chars[at..].iter().take_while(|c| **c == '*').count();
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + run).copied();
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, ')' | '(' | '}'));
        // `is**18**` is emphasis behind a word.
        let is_word = run > 1 && before.is_some_and(char::is_alphabetic) && at > 1 && chars[at - 2].is_alphabetic();
        // `2*3`, `2 * 3` and `2**3` are operators.
        let is_operator = is_part(before) && is_part(after) && !is_word
            || run == 1 && before.is_some_and(char::is_whitespace) && after.is_some_and(char::is_whitespace);
        if is_operator && run <= 2 {
            cleaned.extend(std::iter::repeat_n('*', run));
        }
        at += run;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, cleaned) in [
            ("**18**", "18"),
            ("**Answer:** 18", "Answer: 18"),
            ("答案是**18**", "答案是18"),
            ("it is**18**", "it is18"),
            ("the *answer* is `18`", "the answer is 18"),
            ("### Final\n**18**", "Final\n18"),
            ("#### 18", "#### 18"),
            ("3*4 and 3 * 4 and 2**3", "3*4 and 3 * 4 and 2**3"),
            ("１８：５", "18:5"),
            ("x_1 + y", "x_1 + y"),
            ("plain", "plain"),
        ] {
            assert_eq!(clean(text), cleaned, "{text}");
        }
    }
}
