//! What a chat template marks as the assistant's text by `{% generation %}`.

use std::ops::Range;

/// Written before and after the assistant's text; for private use, so that no text has them.
const MARKS: [char; 2] = ['\u{10FFF0}', '\u{10FFF1}'];

/// A rendered conversation that ends with the assistant's turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Marked {
    /// The text before what is marked in that turn.
    pub before: String,
    /// What is marked.
    pub marked: String,
    /// The text of the turn after what it has in common with how it is asked for.
    pub turn: String,
}

impl Marked {
    /// Finds what is marked in the last turn, whose text is `completion`; `asked` is the conversation before it, with the
    /// turn opened. `None` if the turn differs from how it is asked for by no more than white space: then what is
    /// asked for is learnt.
    pub(super) fn find(text: &str, asked: &str, completion: &str) -> Option<Self> {
        let (whole, marks) = spans(text);
        let common = common(&whole, asked);
        let turn = &whole[common..];
        let rest = &asked[common..];
        let differs_in_space = !rest.is_empty() && rest.trim().is_empty();
        if differs_in_space && turn.trim_start().starts_with(completion.trim_start()) {
            return None;
        }
        let mut of_turn = marks.into_iter().filter(|mark| mark.end > common);
        let Range { start, mut end } = of_turn.next()?;
        for mark in of_turn {
            if !whole[end..mark.start].trim().is_empty() {
                return None;
            }
            end = mark.end;
        }
        Some(Self { before: whole[..start].to_owned(), marked: whole[start..end].to_owned(), turn: turn.to_owned() })
    }
}

/// Returns the number of bytes that two texts have in common at their beginnings.
fn common(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum()
}

/// Puts marks around a text.
pub(super) fn mark(text: &str) -> String {
    format!("{}{text}{}", MARKS[0], MARKS[1])
}

/// Returns a text without marks, and where they were.
fn spans(text: &str) -> (String, Vec<Range<usize>>) {
    let (mut whole, mut spans) = (String::with_capacity(text.len()), Vec::new());
    for (index, piece) in text.split(MARKS).enumerate() {
        let start = whole.len();
        whole.push_str(piece);
        if index % 2 == 1 {
            spans.push(start..whole.len());
        }
    }
    (whole, spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_in_the_last_turn_is_found() {
        let earlier = format!("q={}q=", mark("1;"));
        let asked = |text: &str, asked: &str| Marked::find(text, asked, "2").map(|it| (it.before, it.marked));
        let found = |turn: &str| asked(&format!("{earlier}{turn}"), "q=1;q=");
        let expected = |before: &str, marked: &str| Some((before.to_owned(), marked.to_owned()));
        assert_eq!(found(&mark("2;")), expected("q=1;q=", "2;"));
        assert_eq!(found(&format!("{}\n{}", mark("2;"), mark("."))), expected("q=1;q=", "2;\n."));
        assert_eq!(found(&format!("(thought){};", mark("2"))), expected("q=1;q=(thought)", "2"));
        assert_eq!(found(&format!("{}</think>{}", mark("thought"), mark("2"))), None, "two pieces");
        assert_eq!(found("2;"), None, "earlier turns alone are marked");
        let opening = format!("{earlier}{}", mark("<think>2"));
        assert_eq!(asked(&opening, "q=1;q=<think>"), expected("q=1;q=", "<think>2"), "the mark covers what is asked");
        assert_eq!(asked(&opening, "q=1;q= "), expected("q=1;q=", "<think>2"), "as the template has it");
        assert_eq!(asked(&format!("{earlier}{}", mark("2;")), "q=1;q=\n"), None, "only white space differs");
        let closed = format!("{earlier}{}", mark("2;"));
        assert_eq!(
            asked(&closed, "q=1;q=<think>"),
            expected("q=1;q=", "2;"),
            "the thought that is asked for is left out"
        );
    }
}
