//! The options of a question: their letters and texts.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::plain::plain;

/// The letter at the head of an option, in each of the ways in which it is set off from the text.
static HEADS: LazyLock<[Regex; 4]> = LazyLock::new(|| {
    [r"[(（\[【]\s*LETTER\s*[)）\]】]", r"LETTER\s*[)）]", r"LETTER\s*[.．、]", r"LETTER\s*[:：]"].map(|form| {
        let form = form.replace("LETTER", r"([A-JＡ-Ｊ])(?:\*\*)?");
        let font = r"(?:\\(?:text|textbf|textrm|mathrm|mathbf)\s*\{\s*|\*\*|\$)*";
        Regex::new(&format!(r"{font}{form}(?:\}}|\*\*)?[.:]?(?:\*\*)?")).expect("a constant pattern")
    })
});
/// What follows the last option on its line and is no part of it.
static PROMPT_END: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\s(?:(?:Answer|ANSWER|答案)\s*[:：]|The answer is\b|Let's think\b).*$").expect("a constant pattern")
});
/// A text that shows that its head was named in a sentence: "(A), (B) or (C)".
static NO_TEXT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?i:[\s.,;:/、，-]|(?:and|or|to|through|和|或)\b)*$").expect("a constant pattern"));

/// How much of a question is read, in bytes from its end.
const MAX_PROMPT: usize = 1 << 16;
/// How far the head of a line is indented at most, in characters.
const MAX_INDENT: usize = 12;
/// How many lists are looked at for the next option.
const MAX_OPEN: usize = 8;
/// How many lists without texts are passed over.
const MAX_LISTS: usize = 64;

/// The head of an option in a question.
struct Head {
    letter: char,
    span: Range<usize>,
    starts_line: bool,
}

/// Finds the options in a question: `A. text`, `(A) text`, `A) text`, `A: text`, one a line or several, `A` first.
///
/// Of several lists of one form the last counts, and lists of one a line count before others. Each option has a text;
/// without two there are none.
pub fn options(prompt: &str) -> Vec<(char, String)> {
    let prompt = &prompt[prompt.ceil_char_boundary(prompt.len().saturating_sub(MAX_PROMPT))..];
    let heads: Vec<Vec<Head>> = HEADS.iter().map(|form| heads(prompt, form)).collect();
    let longest = |lists: Vec<List>| lists.into_iter().max_by_key(|list| (list.options.len(), list.start));
    let of_lines = heads.iter().filter_map(|heads| last_list(prompt, heads.iter().filter(|head| head.starts_line)));
    let anywhere = || heads.iter().filter_map(|heads| last_list(prompt, heads.iter())).collect();
    let list = longest(of_lines.collect()).or_else(|| longest(anywhere()));
    list.map(|list| list.options).unwrap_or_default()
}

fn heads(prompt: &str, form: &Regex) -> Vec<Head> {
    let found = form.captures_iter(prompt).filter_map(|found| {
        let (whole, letter) = (found.get(0)?, found.get(1)?);
        let letter = plain(letter.as_str()).text.chars().next()?;
        let before = prompt[..whole.start()].chars().next_back();
        let is_apart = before.is_none_or(|c| !(c.is_ascii_alphabetic() || "\\_^'.([（【".contains(c)));
        let mut line = prompt[..whole.start()].chars().rev().take(MAX_INDENT);
        let starts_line = line.find(|&c| c == '\n' || !(c.is_whitespace() || "-*•>|".contains(c)));
        let starts_line = starts_line.map_or(whole.start() < MAX_INDENT, |c| c == '\n');
        is_apart.then_some(Head { letter, span: whole.range(), starts_line })
    });
    found.collect()
}

/// Options, and where they start.
struct List {
    start: usize,
    options: Vec<(char, String)>,
}

/// Returns the last list whose heads are `A`, `B` and so on, with a text for each.
///
/// A head goes on with the latest list that it fits, so that a letter within an option's text ("1500 A.") ends none.
fn last_list<'a>(prompt: &str, heads: impl Iterator<Item = &'a Head>) -> Option<List> {
    let mut lists: Vec<Vec<&Head>> = Vec::new();
    for head in heads {
        if head.letter == 'A' {
            lists.push(vec![head]);
            continue;
        }
        let fits = |list: &&mut Vec<&Head>| {
            let last = list.last().filter(|last| follows(last.letter, head.letter));
            last.is_some_and(|last| !NO_TEXT.is_match(window(prompt, last.span.end, head.span.start)))
        };
        if let Some(list) = lists.iter_mut().rev().take(MAX_OPEN).find(fits) {
            list.push(head);
        }
    }
    lists.iter().rev().take(MAX_LISTS).find_map(|list| read(prompt, list))
}

/// Returns the text between two heads, or enough of it to see that there is one.
fn window(prompt: &str, from: usize, to: usize) -> &str {
    &prompt[from..prompt.floor_char_boundary(to.min(from + 40))]
}

fn follows(letter: char, next: char) -> bool {
    u32::from(next) == u32::from(letter) + 1
}

/// Reads the texts behind the heads of a list of two or more.
fn read(prompt: &str, heads: &[&Head]) -> Option<List> {
    let (first, last) = (heads.first().filter(|_| heads.len() > 1)?, heads.last()?);
    let behind = &prompt[last.span.end..];
    let indent = behind.len() - behind.trim_start().len();
    let line_end = behind[indent..].find('\n').map_or(behind.len(), |length| indent + length);
    let last_text = PROMPT_END.replace(&behind[..line_end], "");
    let texts = heads.windows(2).map(|pair| &prompt[pair[0].span.end..pair[1].span.start]).chain([&*last_text]);
    let options = heads.iter().zip(texts).map(|(head, text)| (head.letter, plain(text).text.trim().to_owned()));
    let options: Vec<(char, String)> = options.collect();
    let have_texts = options.iter().all(|(_, text)| !NO_TEXT.is_match(text));
    have_texts.then_some(List { start: first.span.start, options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let four = [('A', "12"), ('B', "13"), ('C', "14 cm"), ('D', "none of these")];
        for prompt in [
            "How long?\nA. 12\nB. 13\nC. 14 cm\nD. none of these",
            "How long?\n(A) 12\n(B) 13\n(C) 14 cm\n(D) none of these\n\nAnswer with a letter.",
            "How long? A) 12 B) 13 C) 14 cm D) none of these",
            "How long? (A) 12 (B) 13 (C) 14 cm (D) none of these Answer:",
            "How long?\nA: 12\nB: 13\nC: 14 cm\nD: none of these\nGive A, B, C or D.",
            "多长？\nＡ．12\nＢ．13\nＣ．14 cm\nＤ．none of these",
            "多长（　）A、12 B、13 C、14 cm D、none of these",
            r"$\textbf{(A)}\ 12 \qquad \textbf{(B)}\ 13 \qquad \textbf{(C)}\ 14 cm \qquad \textbf{(D)}$ none of these",
            "How long?\n- **A.** 12\n- **B.** 13\n- **C**. 14 cm\n- **D.** none of these",
            "A. 1\nB. 2\nSo A.\n\nHow long?\nA. 12  \nB. 13\nC. 14 cm\nD. none of these\nAnswer:",
            "How long?\nA. 12    B. 13\nC. 14 cm    D. none of these",
        ] {
            let found = options(prompt);
            let found: Vec<(char, &str)> = found.iter().map(|(letter, text)| (*letter, text.as_str())).collect();
            assert_eq!(found, four, "{prompt:?}");
        }
    }

    #[test]
    fn no_options() {
        for prompt in [
            "",
            "How long is it?",
            "A. only one",
            "B. 12\nC. 13",
            "Answer with (A), (B), (C) or (D).",
            "Choose A/B/C/D:",
            "f(A) = 2 and f(B) = 3",
            "a triangle ABC with AB = 5",
        ] {
            assert_eq!(options(prompt), [], "{prompt:?}");
        }
    }

    #[test]
    fn the_last_list_may_name_other_options() {
        let found = options("Which?\n(A) iron\n(B) gold\n(C) both (A) and (B)");
        assert_eq!(found.last(), Some(&('C', "both (A) and (B)".to_owned())));
    }
}
