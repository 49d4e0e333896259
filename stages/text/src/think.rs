//! A completion's parts: the thought and the answer.

/// The parts of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// Exactly `<think>…</think><answer>…</answer>`, white space between and around allowed (R1-Zero's template).
    pub format_ok: bool,
    /// Exactly `<think>…</think>` and then a summary without tags (the released R1's form).
    pub summary_ok: bool,
    /// The text between the first `<think>` (or the beginning) and the first `</think>`, if there is a `</think>`.
    pub reasoning: Option<&'a str>,
    /// The text in `<answer>`, else the text after `</think>`, else the whole completion.
    pub answer: &'a str,
}

const TAGS: [&str; 4] = ["<think>", "</think>", "<answer>", "</answer>"];

/// Parses a completion.
pub fn parse(completion: &str) -> Parts<'_> {
    let [think, end_think, answer, end_answer] = TAGS;
    let reasoning =
        completion.split_once(end_think).map(|(before, _)| before.split_once(think).map_or(before, |x| x.1));
    let after = completion.split_once(end_think).map_or(completion, |(_, after)| after);
    let inside = after.split_once(answer).map(|(_, rest)| rest.split_once(end_answer).map_or(rest, |x| x.0));
    // A thought may speak of the answer's tags.
    let counts = TAGS.map(|tag| if tag.contains("think") { completion } else { after }.matches(tag).count());
    let opens = completion.trim_start().starts_with(think);
    Parts {
        format_ok: opens && counts == [1; 4] && is_exact(after),
        summary_ok: opens && counts == [1, 1, 0, 0] && !after.trim().is_empty(),
        reasoning,
        answer: inside.unwrap_or(after).trim(),
    }
}

/// Returns whether `text` is `<answer>…</answer>`, apart from white space around it.
fn is_exact(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(TAGS[2]) && text.ends_with(TAGS[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        // (completion, format, summary, reasoning, answer)
        let cases = [
            ("<think>1+1=2</think><answer>2</answer>", true, false, Some("1+1=2"), "2"),
            (" <think>\na\n</think>\n<answer> 2 </answer>\n", true, false, Some("\na\n"), "2"),
            ("<think></think><answer>2</answer>", true, false, Some(""), "2"),
            ("<think>a</think>The answer is 2.", false, true, Some("a"), "The answer is 2."),
            ("a</think><answer>2</answer>", false, false, Some("a"), "2"),
            ("<think>a<answer>2</answer>", false, false, None, "2"),
            ("<think>a</think><answer>2", false, false, Some("a"), "2"),
            ("<think>a</think>so <answer>2</answer>", false, false, Some("a"), "2"),
            ("<think>a</think><answer>2</answer> yes", false, false, Some("a"), "2"),
            ("<think>a</think><think>b</think><answer>2</answer>", false, false, Some("a"), "2"),
            ("<think>in <answer> tags</think><answer>2</answer>", true, false, Some("in <answer> tags"), "2"),
            ("<answer>2</answer><think>a</think>", false, false, Some("a"), ""),
            ("x <think>a</think><answer>2</answer>", false, false, Some("a"), "2"),
            ("2", false, false, None, "2"),
            ("", false, false, None, ""),
        ];
        for (completion, format_ok, summary_ok, reasoning, answer) in cases {
            assert_eq!(parse(completion), Parts { format_ok, summary_ok, reasoning, answer }, "{completion:?}");
        }
    }
}
