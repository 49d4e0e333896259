//! The plain text behind Markdown and LaTeX: no emphasis, no dollars, no `\text{…}`, ASCII for full-width letters.
//!
//! Brackets, digits and operators stay as they are, so that two plain texts are equal only if they say the same.

use std::ops::Range;

/// A text without its markup.
#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) text: String,
    /// Where the contents of `\boxed{…}` stand in `text`, in the order in which the boxes end.
    pub(super) boxes: Vec<Range<usize>>,
}

/// What a brace that is open belongs to.
enum Brace {
    Itself,
    Wrapper,
    /// A box, whose contents start here.
    Box(usize),
}

/// LaTeX commands whose argument is text, or text in another font.
const WRAPPERS: [&str; 20] = [
    "text",
    "textbf",
    "textit",
    "textrm",
    "textsf",
    "texttt",
    "textup",
    "mathrm",
    "mathbf",
    "mathit",
    "mathsf",
    "mathtt",
    "mbox",
    "hbox",
    "operatorname",
    "emph",
    "underline",
    "bm",
    "boldsymbol",
    "mathord",
];
/// LaTeX commands that print nothing, or white space.
const SPACES: [&str; 16] = [
    "quad",
    "qquad",
    "left",
    "right",
    "big",
    "Big",
    "bf",
    "rm",
    "it",
    "sf",
    "displaystyle",
    "textstyle",
    "bfseries",
    "large",
    "Large",
    "hfill",
];

/// How far a line is indented at most, in characters; this bounds the work.
const MAX_INDENT: usize = 12;

/// Removes the markup of a text.
pub(super) fn plain(text: &str) -> Plain {
    let mut plain = Plain::default();
    let mut braces = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = if next == '\\' {
            command(rest, &mut plain.text, &mut braces)
        } else {
            let out = &mut plain.text;
            match next {
                '{' => open(Brace::Itself, out, &mut braces),
                '}' => close(&mut plain, &mut braces),
                '*' | '_' => emphasis(next, rest, out),
                '-' | '•' | '>' if is_bullet(rest, out) => {}
                _ => push(next, out),
            }
            &rest[next.len_utf8()..]
        };
    }
    plain
}

/// Writes one LaTeX command and returns what follows it.
fn command<'a>(text: &'a str, out: &mut String, braces: &mut Vec<Brace>) -> &'a str {
    let after = &text[1..];
    let name = &after[..after.bytes().take_while(u8::is_ascii_alphabetic).count()];
    let rest = &after[name.len()..];
    if name.is_empty() {
        return escape(after, out);
    }
    let argument = rest.trim_start_matches(' ').strip_prefix('{');
    match (name, argument) {
        ("boxed" | "fbox", Some(inside)) => {
            open(Brace::Box(out.len() + 1), out, braces);
            return inside;
        }
        (_, Some(inside)) if WRAPPERS.contains(&name) => {
            braces.push(Brace::Wrapper);
            return inside;
        }
        ("therefore", _) => out.push('∴'),
        ("to" | "rightarrow" | "Rightarrow" | "implies" | "Longrightarrow", _) => out.push('→'),
        _ if SPACES.contains(&name) || WRAPPERS.contains(&name) => out.push(' '),
        _ => {
            out.push('\\');
            out.push_str(name);
        }
    }
    rest
}

/// Writes an escaped character (`\%`, `\ `, `\(`) and returns what follows it.
fn escape<'a>(after: &'a str, out: &mut String) -> &'a str {
    let Some(escaped) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    match escaped {
        '(' | ')' | '[' | ']' | '!' => {}
        ' ' | ',' | ';' | ':' => out.push(' '),
        '\\' | '\n' => out.push('\n'),
        _ => out.push(escaped),
    }
    &after[escaped.len_utf8()..]
}

fn open(brace: Brace, out: &mut String, braces: &mut Vec<Brace>) {
    out.push(if matches!(brace, Brace::Itself) { '{' } else { ' ' });
    braces.push(brace);
}

fn close(plain: &mut Plain, braces: &mut Vec<Brace>) {
    match braces.pop() {
        Some(Brace::Wrapper) => {}
        Some(Brace::Box(start)) => {
            plain.boxes.push(start..plain.text.len());
            plain.text.push(' ');
        }
        Some(Brace::Itself) | None => plain.text.push('}'),
    }
}

/// Writes a `*` or `_` if it is an operator (`2 * 3`, `2*3`, `x_1`, `x_{1}`), not emphasis.
fn emphasis(mark: char, rest: &str, out: &mut String) {
    let before = out.chars().next_back();
    let after = rest[1..].chars().next();
    let is_space = |side: Option<char>| side.is_none_or(char::is_whitespace);
    let is_operand = |side: Option<char>| side.is_some_and(|c| c.is_alphanumeric() || "{}()\\".contains(c));
    let is_operator = is_operand(before) && is_operand(after)
        || mark == '_' && after == Some('{')
        || mark == '*' && is_space(before) && is_space(after) && !is_line_start(out);
    if is_operator {
        out.push(mark);
    }
}

/// Returns whether a `-`, `•` or `>` opens a line of a list or a quotation.
fn is_bullet(rest: &str, out: &str) -> bool {
    let mut after = rest.chars().skip(1).take(MAX_INDENT);
    is_line_start(out) && after.next() == Some(' ') && !after.find(|&next| next != ' ').is_some_and(char::is_numeric)
}

/// Returns whether only a few spaces stand between the end of `out` and the start of its line.
fn is_line_start(out: &str) -> bool {
    let mut before = out.bytes().rev();
    let start = before.by_ref().take(MAX_INDENT).find(|&byte| byte != b' ');
    start.map_or(out.len() < MAX_INDENT, |byte| byte == b'\n')
}

/// Writes one character, in its ASCII form where it has one.
fn push(next: char, out: &mut String) {
    let ascii = |first: char, base: char| {
        char::from_u32(u32::from(next) - u32::from(first) + u32::from(base)).expect("an ASCII character")
    };
    match next {
        '$' | '`' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{fe0e}' | '\u{fe0f}' | '\r' => {}
        '\n' => out.push('\n'),
        '~' => out.push(' '),
        '\u{ff01}'..='\u{ff5e}' => out.push(ascii('\u{ff01}', '!')),
        '【' | '〔' => out.push('['),
        '】' | '〕' => out.push(']'),
        '‘' | '’' => out.push('\''),
        '“' | '”' | '„' | '«' | '»' | '「' | '」' | '『' | '』' => out.push('"'),
        '–' | '—' | '−' => out.push('-'),
        'Ⓐ'..='Ⓩ' => bracketed(ascii('Ⓐ', 'A'), out),
        'ⓐ'..='ⓩ' => bracketed(ascii('ⓐ', 'a'), out),
        '⒜'..='⒵' => bracketed(ascii('⒜', 'a'), out),
        '𝐀'..='𝐙' => out.push(ascii('𝐀', 'A')),
        _ if next.is_whitespace() => out.push(' '),
        _ => out.push(next),
    }
}

fn bracketed(letter: char, out: &mut String) {
    out.extend(['(', letter, ')']);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, expected) in [
            ("**B**", "B"),
            ("__B__ *B* _B_ `B`", "B B B B"),
            ("2 * 3, 2*3, x_1, x _{1}, (a)*(b)", "2 * 3, 2*3, x_1, x _{1}, (a)*(b)"),
            (r"$\textbf{(B)}\ 12$", "(B) 12"),
            (r"\(B\)\[B\]", "BB"),
            (r"\left(1,2\right)", " (1,2 )"),
            (r"\text{a {b} c} d} {e", "a {b} c d} {e"),
            ("（Ｂ）　１２。", "(B) 12。"),
            ("Ⓑ ⓑ ⒝ 𝐁", "(B) (b) (b) B"),
            ("- B\n* C\n - 5\n-5", " B\n C\n - 5\n-5"),
            (r"\frac{1}{2}\%\", r"\frac{1}{2}%\"),
            ("\u{feff}B\u{200b}\r\n", "B\n"),
        ] {
            assert_eq!(plain(text).text, expected, "{text:?}");
        }
    }

    #[test]
    fn boxes() {
        for (text, expected) in [
            (r"\boxed{B}", vec!["B"]),
            (r"\boxed {\text{(B)}} and \fbox{C}", vec!["(B)", "C"]),
            (r"\boxed{a \boxed{b}}", vec!["b", "a  b "]),
            (r"\boxed{\frac{1}{2}", vec![]),
            (r"}\boxed{}", vec![""]),
        ] {
            let plain = plain(text);
            let found: Vec<&str> = plain.boxes.iter().map(|range| &plain.text[range.clone()]).collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
