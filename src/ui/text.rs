//! Text that is safe on a terminal: control characters in names, logs, data and errors are shown, not sent.
//!
//! Everything printed as text goes through [`painted`]. Its result has no control characters except tab, line break,
//! and the colours that [`styled`] asked for. Until then colours are encoded as noncharacters of Unicode. So no text
//! from elsewhere can inject an escape sequence; at worst it selects one of our colours.

use std::borrow::Cow;
use std::fmt::Write;

use anstyle::{AnsiColor, Style as AnsiStyle};

/// Mark the beginning of each [`Style`], in its order; `END` marks the end of all.
const BEGIN: [char; 5] = ['\u{fdd0}', '\u{fdd1}', '\u{fdd2}', '\u{fdd3}', '\u{fdd4}'];
const END: char = '\u{fdef}';

/// The style of a piece of text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Good,
    Warn,
    Bad,
    Dim,
    Strong,
}

const STYLES: [AnsiStyle; 5] = [
    AnsiColor::Green.on_default(),
    AnsiColor::Yellow.on_default(),
    AnsiColor::Red.on_default(),
    AnsiStyle::new().dimmed(),
    AnsiStyle::new().bold(),
];

/// Marks text with a style.
pub(super) fn marked(text: &str, style: Style) -> String {
    let text = text.replace(|c| BEGIN.contains(&c) || c == END, "\u{fffd}");
    format!("{}{text}{END}", BEGIN[style as usize])
}

/// Returns text as it is printed: marks become colours, or vanish if there are no colours, and control characters are
/// escaped.
pub(super) fn painted(text: &str, has_color: bool) -> String {
    let mut painted = String::with_capacity(text.len());
    let mut open = None;
    for c in text.chars() {
        if let Some(style) = BEGIN.iter().position(|begin| *begin == c) {
            open = Some(style).filter(|_| has_color);
            let _ = open.map_or(Ok(()), |style| write!(painted, "{}", STYLES[style]));
        } else if c == END {
            let _ = open.take().map_or(Ok(()), |style| write!(painted, "{:#}", STYLES[style]));
        } else {
            push(&mut painted, c);
        }
    }
    let _ = open.map_or(Ok(()), |style| write!(painted, "{:#}", STYLES[style]));
    painted
}

/// Returns text with control characters escaped.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    text.chars().for_each(|c| push(&mut shown, c));
    Cow::Owned(shown)
}

/// Returns text of the same length in bytes, without the control characters that a renderer of source lines would
/// print.
pub(crate) fn placeheld(text: &str) -> String {
    let held = |c: char| match c.len_utf8() {
        1 if c == '\r' || !is_control(c) => c,
        1 => '?',
        2 if is_control(c) => '¿',
        3 if is_control(c) => '\u{fffd}',
        _ => c,
    };
    text.chars().map(held).collect()
}

/// Returns JSON with the control characters escaped that JSON itself allows; they only occur in its strings.
pub(super) fn visible_json(json: &str) -> Cow<'_, str> {
    if !json.contains(is_control) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 8);
    for c in json.chars() {
        let _ = if is_control(c) { write!(shown, "\\u{:04x}", u32::from(c)) } else { write!(shown, "{c}") };
    }
    Cow::Owned(shown)
}

/// Returns a renderer's output with its colours, and with all other control characters escaped.
pub(super) fn rendered(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        shown.push_str(&visible(&rest[..at]));
        let sequence = &rest[at..];
        let length = sequence.find('m').map_or(0, |end| end + 1);
        let is_color = sequence.starts_with("\x1b[")
            && length > 2
            && sequence[2..length - 1].bytes().all(|byte| byte.is_ascii_digit() || byte == b';');
        let length = if is_color { length } else { 1 };
        shown.push_str(if is_color { &sequence[..length] } else { "\\x1b" });
        rest = &sequence[length..];
    }
    shown.push_str(&visible(rest));
    shown
}

fn push(text: &mut String, c: char) {
    let _ = match c {
        _ if !is_control(c) => write!(text, "{c}"),
        '\r' => write!(text, "\\r"),
        '\0'..='\u{9f}' => write!(text, "\\x{:02x}", u32::from(c)),
        _ => write!(text, "\\u{{{:x}}}", u32::from(c)),
    };
}

/// Returns whether a character controls a terminal or changes the order of the text beside it, except tab and line
/// break.
pub(super) fn is_control(c: char) -> bool {
    match c {
        '\t' | '\n' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // `END` and `BEGIN` are reserved for our colours.
        c => c.is_control() || c == END || BEGIN.contains(&c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_gets_through() {
        let every: String = (0..=0xffff).filter_map(char::from_u32).collect();
        for shown in
            [painted(&every, true), visible(&every).into_owned(), rendered(&every), visible_json(&every).into()]
        {
            let sent: Vec<char> = shown.replace("\x1b[0m", "").chars().filter(|c| is_control(*c)).collect();
            let ours = |c: &char| *c == '\x1b';
            assert!(sent.iter().all(ours), "{sent:?}");
        }
        assert!(!rendered(&every).contains('\x1b') && !visible(&every).contains('\x1b'));
        assert_eq!(placeheld(&every).len(), every.len());
        assert!(!placeheld(&every).contains(|c| is_control(c) && c != '\r'));
    }

    #[test]
    fn colours_are_ours_alone() {
        let text = format!("{} \x1b[31mred\x1b[0m", marked("good\x1b[31m\u{fdd2}", Style::Good));
        assert_eq!(painted(&text, true), "\x1b[32mgood\\x1b[31m\u{fffd}\x1b[0m \\x1b[31mred\\x1b[0m");
        assert_eq!(painted(&text, false), "good\\x1b[31m\u{fffd} \\x1b[31mred\\x1b[0m");
        assert_eq!(painted("\u{fdd2}from elsewhere", true), "\x1b[31mfrom elsewhere\x1b[0m", "it is closed");
    }

    #[test]
    fn what_is_spelt_out_says_what_it_was() {
        assert_eq!(visible("a\tb\nc\rd\u{9b}2J\u{202e}e\x7f"), "a\tb\nc\\rd\\x9b2J\\u{202e}e\\x7f");
        assert_eq!(visible_json("\"\u{9b}\u{202e}\""), "\"\\u009b\\u202e\"");
        assert_eq!(rendered("\x1b[1m\x1b[38;5;9mx\x1b[0m\x1b]0;t\x07"), "\x1b[1m\x1b[38;5;9mx\x1b[0m\\x1b]0;t\\x07");
    }
}
