//! Fenced blocks, as CommonMark has them: three or more backticks or tildes, and a label behind the opening ones.

/// A fenced block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The first word behind the opening fence; empty if there is none.
    pub(super) label: &'a str,
    /// The lines between the fences, with their line breaks.
    pub(super) text: &'a str,
}

/// Returns the blocks of a text in order. One that is not closed reaches to the end.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(Fence<'_>, usize)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let (start, fence) = (at, fence(line));
        at += line.len();
        match (open, fence) {
            (None, Some(fence)) => open = Some((fence, at)),
            (Some((opening, begin)), Some(fence)) if fence.closes(&opening) => {
                blocks.push(Block { label: opening.label, text: &text[begin..start] });
                open = None;
            }
            _ => {}
        }
    }
    if let Some((opening, begin)) = open {
        blocks.push(Block { label: opening.label, text: &text[begin..] });
    }
    blocks
}

#[derive(Clone, Copy)]
struct Fence<'a> {
    mark: char,
    length: usize,
    label: &'a str,
    /// Whether nothing is behind the marks.
    is_bare: bool,
}

impl Fence<'_> {
    fn closes(&self, opening: &Fence<'_>) -> bool {
        self.is_bare && self.mark == opening.mark && self.length >= opening.length
    }
}

/// Reads a line as a fence.
fn fence(line: &str) -> Option<Fence<'_>> {
    let marks = line.trim_start_matches([' ', '\t']);
    let mark = marks.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let after = marks.trim_start_matches(mark);
    let length = marks.len() - after.len();
    // A line with more backticks is inline code.
    if length < 3 || mark == '`' && after.contains('`') {
        return None;
    }
    let after = after.trim();
    let label = after.split(|c: char| c.is_whitespace() || matches!(c, '{' | ',' | ':')).next().unwrap_or_default();
    Some(Fence { mark, length, label, is_bare: after.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&str, &str)> {
        blocks(text).into_iter().map(|block| (block.label, block.text)).collect()
    }

    #[test]
    fn blocks_have_labels_and_ends() {
        assert_eq!(found("a\n```python\nx = 1\n```\nb"), [("python", "x = 1\n")]);
        assert_eq!(found("```\n1\n```\n~~~cpp\n2\n~~~"), [("", "1\n"), ("cpp", "2\n")]);
        assert_eq!(
            found("````md\n```py\n1\n```\n````"),
            [("md", "```py\n1\n```\n")],
            "a longer fence holds a shorter one"
        );
        assert_eq!(found("```py title=\"a\"\n1"), [("py", "1")], "it is not closed");
        assert_eq!(found("  ```c++\n  1\n  ```"), [("c++", "  1\n")]);
        assert_eq!(found("```x``` and `y`\n"), [], "inline code");
        assert_eq!(found(""), []);
    }
}
