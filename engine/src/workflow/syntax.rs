//! Mistakes of TOML's syntax, and what was probably meant: YAML, Python, a backslash of TeX.

use std::collections::BTreeSet;
use std::ops::Range;

use super::tree::range_in;
use crate::diagnostic::{Diagnostic, SourceId, Span};

/// The most mistakes of syntax that are reported: a file with more is no TOML.
const MOST: usize = 10;

const BACKSLASH: &str =
    "write `\\\\` for a backslash, or quote the text with `'` or `'''`, where a backslash is itself";

/// Commands of TeX that begin as TOML's escapes for a tab and for the ends of lines do.
const TEX: [&str; 14] = [
    "nabla",
    "neg",
    "neq",
    "rangle",
    "rho",
    "right",
    "rightarrow",
    "tau",
    "text",
    "textbf",
    "tfrac",
    "theta",
    "times",
    "triangle",
];

/// Reports mistakes of syntax, each with what was probably meant.
pub(super) fn report((id, text): (SourceId, &str), errors: Vec<toml::de::Error>, diagnostics: &mut Vec<Diagnostic>) {
    let errors = yaml((id, text), errors, diagnostics);
    let more = errors.len().saturating_sub(MOST);
    for (index, error) in errors.into_iter().take(MOST).enumerate() {
        let range = error.span().unwrap_or(0..text.len().min(1));
        let library = error.message().replace('\n', " ").trim().to_owned();
        let last =
            (index + 1 == MOST && more > 0).then(|| format!("{more} mistakes like this follow: is it TOML at all?"));
        let (message, help) =
            meant(text, &range, &library).map_or((None, None), |(message, help)| (message, Some(help)));
        let (message, help) = (message.unwrap_or(library), last.or(help));
        diagnostics.push(Diagnostic::new(&Span::new(id, range), message, "this is not TOML").with_optional_help(help));
    }
}

/// Returns a message, where the library's says little, and a help.
fn meant(text: &str, range: &Range<usize>, library: &str) -> Option<(Option<String>, String)> {
    let at = text.floor_char_boundary(range.start);
    if library.contains("escape") {
        return Some((None, BACKSLASH.to_owned()));
    }
    if library.starts_with("duplicate key") {
        return first_of(text, at, text.get(range.clone())?)
            .map(|line| (None, format!("the first one is in line {line}")));
    }
    let word = text[at..].split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match word {
        "None" | "null" | "nil" => {
            let message = format!("`{word}` is no value of TOML");
            return Some((Some(message), "TOML has no word for nothing: leave the key out".to_owned()));
        }
        "True" | "False" => return Some((None, format!("TOML writes `{}`", word.to_lowercase()))),
        _ => {}
    }
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[start..].lines().next().unwrap_or_default().trim();
    if line.starts_with("//") {
        return Some((None, "a comment begins with `#`".to_owned()));
    }
    let (key, value) = line.split_once('=')?;
    of_value(key.trim(), value.trim()).map(|help| (None, help))
}

/// Returns what a value that is not TOML would be in TOML.
fn of_value(key: &str, value: &str) -> Option<String> {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| value.starts_with(prefix));
    let bare = value.split_once('#').map_or(value, |(value, _)| value).trim();
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || ".eE+-,_".contains(c));
    if begins(&["f\"", "f'", "r\"", "r'", "b\"", "b'"]) {
        return Some(format!("a text has only quotes before it: `{key} = {}`", &bare[1..]));
    }
    if let Some(inner) = bare.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return Some(format!("a list has brackets: `{key} = [{inner}]`"));
    }
    if begins(&["dict("]) || (begins(&["{"]) && bare.contains(':')) {
        return Some(format!("a table has braces, and `=` between key and value: `{key} = {{ rank = 8 }}`"));
    }
    if let Some((above, below)) = bare.split_once('/')
        && is_number(above.trim())
        && is_number(below.trim())
    {
        return Some("a number is written out, such as `0.25`: TOML does not calculate".to_owned());
    }
    if is_number(bare) && (bare.contains(',') || bare.starts_with('.') || bare.contains(".e") || bare.ends_with('.')) {
        return Some(
            "a number has digits on both sides of its point, and `_` between thousands: `0.5`, `1_000`".to_owned(),
        );
    }
    let is_word = !bare.is_empty() && bare.chars().all(|c| c.is_alphanumeric() || "-_./:@".contains(c));
    (is_word && bare.starts_with(|c: char| c.is_alphabetic() || "./".contains(c)))
        .then(|| format!("a text has quotes: `{key} = \"{bare}\"`"))
}

/// Returns the last line before `at` that has the same key or header.
fn first_of(text: &str, at: usize, key: &str) -> Option<usize> {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let is_same = |line: &str| {
        let rest = line.trim_start().trim_start_matches('[').strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with(['=', ']']))
    };
    text[..start].lines().enumerate().filter(|(_, line)| is_same(line)).last().map(|(index, _)| index + 1)
}

/// Reports lines that are YAML, `steps: 2`, each once; returns the errors of other lines.
fn yaml(
    (id, text): (SourceId, &str),
    errors: Vec<toml::de::Error>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<toml::de::Error> {
    let mut reported = BTreeSet::new();
    let is_other = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let start = text.as_bytes()[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else {
            return true;
        };
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return true;
        }
        if reported.insert(start) {
            let help = if value.is_empty() {
                format!("TOML names a table in brackets: `[{key}]`")
            } else {
                format!("TOML has `=` between a key and its value: `{key} = {value}`")
            };
            let span = Span::new(id, range_in(text, line.trim()));
            diagnostics.push(
                Diagnostic::new(&span, "this is YAML, and a workflow is TOML", "`:` after a key").with_help(help),
            );
        }
        false
    };
    errors.into_iter().filter(is_other).collect()
}

/// Reports commands of TeX in a text in double quotes whose first letter is an escape of TOML: `\boxed` is a backspace
/// and `oxed`, `\times` a tab and `imes`. One who wants such a character writes its number, `\u0008`.
pub(super) fn tex((id, text): (SourceId, &str), range: &Range<usize>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(raw) = text.get(range.clone()).filter(|raw| raw.starts_with('"')) else { return };
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let after = &rest[at + 1..];
        let command: &str = &after[..after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len())];
        let Some(letter) = after.chars().next() else { return };
        if matches!(letter, 'b' | 'f' | 'e') || TEX.contains(&command) {
            let span = range.start + (raw.len() - rest.len()) + at;
            let span = Span::new(id, span..span + 1 + command.len());
            let message = format!("`\\{command}` does not stay as it is: `\\{letter}` is {}", character(letter));
            let help =
                format!("write `\\\\{command}`, or quote the text with `'` or `'''`, where a backslash is itself");
            diagnostics.push(Diagnostic::new(&span, message, "an escape of TOML").with_help(help));
        }
        rest = &after[letter.len_utf8()..];
    }
}

/// Names the character that an escape stands for.
fn character(letter: char) -> &'static str {
    match letter {
        'b' => "a backspace in TOML (U+0008)",
        'f' => "a form feed in TOML (U+000C)",
        'e' => "an escape character in TOML (U+001B)",
        'n' => "the end of a line in TOML",
        'r' => "a carriage return in TOML",
        _ => "a tab in TOML",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tree::parse;
    use crate::diagnostic::Sources;

    /// Returns the messages and helps about a text.
    fn told(text: &str) -> Vec<(String, String)> {
        let (mut sources, mut diagnostics) = (Sources::default(), Vec::new());
        parse(&mut sources, Path::new("a.toml"), text.to_owned(), &mut diagnostics);
        diagnostics.into_iter().map(|found| (found.message, found.help.unwrap_or_default())).collect()
    }

    #[test]
    fn a_command_of_tex_is_no_escape() {
        for (text, command) in [
            (r#"a = "in \boxed{}""#, r"\boxed"),
            (r#"a = ["x", "\frac{1}{2}"]"#, r"\frac"),
            (r#"a = { b = "2 \times 3" }"#, r"\times"),
            (
                r#"a = """
a \neq b""""#,
                r"\neq",
            ),
            (r#"a = "\\a \boxed""#, r"\boxed"),
        ] {
            let (message, help) = told(text).pop().unwrap_or_else(|| panic!("{text}"));
            assert!(message.starts_with(&format!("`{command}` does not stay")), "{message}");
            assert!(help.starts_with(&format!("write `\\{command}`, or quote")), "{help}");
        }
        for text in [
            r#"a = "in \\boxed{}""#,
            r"a = 'in \boxed{} \times'",
            r"a = '''\frac'''",
            r#"a = "one\nthe answer\ttab\r\nAnswer: \"x\" \u0008""#,
        ] {
            assert_eq!(told(text), [], "{text}");
        }
    }

    #[test]
    fn what_is_no_toml_gets_what_was_meant() {
        for (text, expected) in [
            (r#"a = "\sqrt{2}""#, "write `\\\\` for a backslash"),
            ("a = None", "TOML has no word for nothing"),
            ("a = f\"x\"", "a text has only quotes before it: `a = \"x\"`"),
            ("betas = (0.9, 0.95)", "a list has brackets: `betas = [0.9, 0.95]`"),
            ("lora = {\"rank\": 8}", "a table has braces"),
            ("lora = dict(rank=8)", "a table has braces"),
            ("lr = .001", "a number has digits on both sides"),
            ("lr = 1.e-6", "a number has digits on both sides"),
            ("steps = 1,000", "a number has digits on both sides"),
            ("lr = 2/3", "a number is written out"),
            ("// a comment", "a comment begins with `#`"),
            ("model = inputs.base", "a text has quotes: `model = \"inputs.base\"`"),
            ("a = 1\nb = 2\na = 3", "the first one is in line 1"),
        ] {
            let told = told(text);
            assert!(told.iter().any(|(_, help)| help.starts_with(expected)), "{text}: {told:?}");
        }
        assert_eq!(told("a = None")[0].0, "`None` is no value of TOML");
    }
}
