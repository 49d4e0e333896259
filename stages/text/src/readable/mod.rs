//! Readability of a thought, by the paper's filters (R1 v2, B.3.2 and B.3.3): no code blocks, no endless paragraphs, no
//! loops.

mod repetition;
mod tokens;

#[cfg(test)]
mod tests;

/// A paragraph with more characters than this is not readable.
const LONG_PARAGRAPH: usize = 2_000;
/// A shorter line ends of itself, not because it was wrapped.
const SHORT_LINE: usize = 60;

/// Returns whether a completion has no over-long paragraph, does not repeat itself, and has no code block in its thought.
/// In an answer a code block may be what is asked for.
pub fn is_readable(completion: &str, thought: &str) -> bool {
    !has_code_block(thought) && !has_long_paragraph(completion) && !has_repetition(completion)
}

/// Returns whether there is a fenced code block.
pub fn has_code_block(text: &str) -> bool {
    text.contains("```")
}

/// Returns whether some paragraph is longer than 2,000 characters. An item of a list, a row of a table and a line that
/// is a whole sentence or short are paragraphs of their own; lines that were wrapped are one.
pub fn has_long_paragraph(text: &str) -> bool {
    let mut length = 0;
    text.lines().any(|line| {
        let line = line.trim();
        let of_line = line.chars().count();
        length = if line.is_empty() || starts_paragraph(line, of_line) { of_line } else { length + of_line };
        length > LONG_PARAGRAPH
    })
}

fn starts_paragraph(line: &str, length: usize) -> bool {
    let mut chars = line.chars();
    let (first, second) = (chars.next().unwrap_or(' '), chars.next().unwrap_or(' '));
    let is_marked = first.is_numeric()
        || "-*+•–—|#>&=$\\([（【".contains(first)
        || first.is_alphanumeric() && matches!(second, '.' | ')' | '）' | '、');
    let is_whole = !first.is_lowercase() && line.ends_with(['.', '!', '?', ':', ';', '。', '！', '？', '：', '；']);
    is_marked || is_whole || length < SHORT_LINE
}

/// Returns whether a text repeats itself. It does where
///
/// - words, or a sentence of up to 32 of them, come four times in a row;
/// - of its sequences of five words and numbers, more than half of some 120 came twice before, or more than three
///   fifths of all (40 or more) came before;
/// - anything of up to 64 characters is repeated over 800 characters.
///
/// Rules of tables, leaders, digits, sums and matrices repeat without being loops, so what has no words counts by the
/// last alone: a product of 64 factors and a matrix of 12 by 12 zeros have less than 600 characters, while a model that
/// has fallen into a loop does not stop there.
pub fn has_repetition(text: &str) -> bool {
    if repetition::has_endless_run(text) {
        return true;
    }
    let tokens = tokens::tokens(text);
    tokens.has_drawn_out_word || repetition::has_loop(&tokens.tokens) || repetition::has_stale_words(&tokens.tokens)
}
