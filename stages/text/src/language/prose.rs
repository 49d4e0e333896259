//! The prose of a text: what is left without formulas, code, addresses and tags.
//!
//! Code without fences is known by what only code has: names (`np.array`, `sum_list`, `numApples`), calls (`f(x)`), and
//! statements after a keyword (`return x + 1`). Each is looked at within a short window, so that reading a text takes
//! time in proportion to its length.

use std::sync::LazyLock;

use regex::Regex;

/// Stands for what was cut, so that words on its two sides are not neighbours.
const CUT: &str = " \u{fffc} ";

/// A formula with so many words is prose that pretends.
const MIN_WORDS_OF_PROSE: usize = 4;
/// Or with so many letters of scripts that mathematics does not use.
const MIN_LETTERS_OF_PROSE: usize = 6;

/// Longest statement, call or tag that is known as such, in bytes.
const WINDOW: usize = 80;

/// Deepest nest of brackets in a call.
const MAX_DEPTH: usize = 3;

/// What opens and closes code and formulas, longest first.
const DELIMITERS: [(&str, &str); 6] =
    [("```", "```"), ("`", "`"), ("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")];

const KEYWORDS: [&str; 24] = [
    "def", "fn", "func", "function", "class", "from", "import", "for", "if", "elif", "else", "while", "return",
    "lambda", "let", "const", "var", "int", "float", "double", "char", "bool", "void", "SELECT",
];

/// Operators that only code has.
const OPERATORS: [&str; 9] = ["+=", "-=", "*=", "/=", "==", "!=", ":=", "++", "&&"];

/// Commands of LaTeX whose argument is a name.
const NAMING: [&str; 9] = ["begin", "end", "operatorname", "mathrm", "mathbf", "mathit", "label", "ref", "color"];

/// A statement of code, from its keyword on.
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    let parts = [
        r"(?:def|fn|func|function)\s+NAME\s*\([^()\n]*\)(?:\s*->\s*NAME)?\s*[:{]?",
        r"class\s+NAME\s*(?:\([^()\n]*\))?\s*[:{]",
        r"(?:from\s+DOTTED\s+)?import\s+DOTTED(?:\s+as\s+NAME)?",
        r"for\s+NAME(?:\s*,\s*NAME)?\s+in\s+DOTTED[(\[][^\n:]*:?",
        r"(?:if|elif|while)\s+ITEM\s*[<>=!%&|+*/-]+[^\n:{}]*[:{]|else\s*[:{]|while\s+True:",
        r"(?:let(?:\s+mut)?|const|var|int|float|double|char|bool|void)\s+NAME\s*[=;(][^\n;{]*[;{]",
        r"return\s+(?:DOTTED?[\[(+*/%<>=_0-9-]ITEM?|True|False|None|null|[a-z](?-u:\b))(?:\s*[-+*/%<>=]+\s*ITEM)*;?",
        r"for\s*\([^)\n]*;[^)\n]*\)\s*\{?",
        r"lambda\s+NAME(?:\s*,\s*NAME)*\s*:",
        r"SELECT\s[ -:<-z]+\sFROM\s[ -:<-z]+",
    ];
    let pattern = parts.join("|").replace("NAME", "[a-zA-Z_][a-zA-Z0-9_]*");
    let pattern = pattern.replace("DOTTED?", "[a-zA-Z0-9_.]*").replace("DOTTED", "[a-zA-Z0-9_.]+");
    let pattern = pattern.replace("ITEM?", r"[a-zA-Z0-9_.\[\]()+*/%<>=-]*").replace("ITEM", r"[a-zA-Z0-9_.\[\]()]+");
    Regex::new(&format!("^(?:{pattern})")).expect("a constant pattern")
});

/// Returns a text without what is not prose.
pub(super) fn prose(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    // Where the next closing delimiter of each kind was found, so that none is looked for twice.
    let mut closings = [Some(0); DELIMITERS.len()];
    let bytes = text.as_bytes();
    let (mut at, mut copied) = (0, 0);
    while at < bytes.len() {
        let cut = match bytes[at] {
            b'`' | b'$' | b'\\' => delimited(text, at, &mut closings),
            b'<' => tag(text, at).map(|end| (CUT, end)),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let end = at + length(&bytes[at..], |b| b.is_ascii_alphanumeric() || *b == b'_');
                match code(text, at, end) {
                    None => {
                        at = end;
                        continue;
                    }
                    cut => cut.map(|end| (CUT, end)),
                }
            }
            _ => None,
        };
        match cut {
            Some((instead, end)) => {
                kept.push_str(&text[copied..at]);
                kept.push_str(instead);
                (at, copied) = (end, end);
            }
            None => at += 1,
        }
    }
    kept.push_str(&text[copied..]);
    kept
}

fn length(bytes: &[u8], is_part: impl Fn(&u8) -> bool) -> usize {
    bytes.iter().position(|b| !is_part(b)).unwrap_or(bytes.len())
}

/// Returns what stands for the code or the formula that opens at `start`, and its end. A formula that is prose stays,
/// so that a thought in dollars is read like any other (and so that the words between `$5` and `$6` stay).
fn delimited<'a>(text: &'a str, start: usize, closings: &mut [Option<usize>]) -> Option<(&'a str, usize)> {
    let Some(kind) = DELIMITERS.iter().position(|(opening, _)| text[start..].starts_with(opening)) else {
        return command(text, start).map(|end| (CUT, end));
    };
    let (opening, closing) = DELIMITERS[kind];
    let inside = start + opening.len();
    if closings[kind]? < inside {
        closings[kind] = text[inside..].find(closing).map(|found| inside + found);
    }
    let end = closings[kind]?;
    let content = &text[inside..end];
    match opening {
        "$$" | "\\(" | "\\[" if is_prose(content) => Some((content, end + closing.len())),
        // What closes prose may as well open a formula.
        "$" if is_prose(content) => Some((content, end)),
        _ => Some((CUT, end + closing.len())),
    }
}

/// Returns the end of the command of LaTeX at `start`.
fn command(text: &str, start: usize) -> Option<usize> {
    let name = start + 1;
    let end = name + length(&text.as_bytes()[name..], u8::is_ascii_alphabetic);
    let argument = &text.as_bytes()[end..];
    if NAMING.contains(&&text[name..end]) && argument.first() == Some(&b'{') {
        let closed = 1 + length(&argument[1..], |b| b.is_ascii_alphanumeric() || b"*: ".contains(b));
        if closed <= WINDOW && argument.get(closed) == Some(&b'}') {
            return Some(end + closed + 1);
        }
    }
    (end > name).then_some(end)
}

/// Returns the end of the tag at `start`: a name, then nothing or attributes.
fn tag(text: &str, start: usize) -> Option<usize> {
    let rest = &text.as_bytes()[start + 1..];
    let rest = &rest[..rest.len().min(WINDOW)];
    let closed = rest.iter().position(|b| *b == b'>')?;
    let slash = usize::from(rest[0] == b'/');
    let name = slash + length(&rest[slash..closed], u8::is_ascii_alphanumeric);
    let is_tag = rest[slash].is_ascii_alphabetic()
        && (rest[name..closed].trim_ascii().is_empty() || rest[..closed].contains(&b'='));
    is_tag.then_some(start + 1 + closed + 1)
}

/// Returns the end of the code that begins with the name from `start` to `end`, `None` if that is a word.
fn code(text: &str, start: usize, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (name, rest) = (&text[start..end], &bytes[end..]);
    if matches!(name, "http" | "https") && rest.starts_with(b"://") || name == "www" && rest.first() == Some(&b'.') {
        return Some(start + address_length(&text[start..]));
    }
    if name.len() <= 8 && KEYWORDS.contains(&name) {
        let window = &text[start..text.floor_char_boundary(start + WINDOW)];
        if let Some(found) = STATEMENT.find(window) {
            return Some(start + found.end());
        }
    }
    let operator = &rest[usize::from(rest.starts_with(b" "))..];
    if OPERATORS.iter().any(|operators| operator.starts_with(operators.as_bytes())) {
        return Some(end);
    }
    let dotted = dotted_length(rest);
    let end = end + dotted;
    let call = call_length(&bytes[end..]);
    let is_camel = name.as_bytes()[0].is_ascii_lowercase() && name.bytes().any(|b| b.is_ascii_uppercase());
    let is_snake = name.trim_matches('_').contains('_');
    (dotted > 0 || call > 0 || is_camel || is_snake).then_some(end + call)
}

/// Addresses have letters of any script, but not of one that is written without spaces.
fn address_length(text: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || "<>\"，。；！？、）".contains(c) || matches!(c, '\u{3040}'..='\u{9fff}');
    text.find(ends).unwrap_or(text.len())
}

/// Returns the length of `.name.name` at the start.
fn dotted_length(bytes: &[u8]) -> usize {
    let mut total = 0;
    while bytes.get(total) == Some(&b'.')
        && bytes.get(total + 1).is_some_and(|next| next.is_ascii_lowercase() || *next == b'_')
    {
        total += 1 + length(&bytes[total + 1..], |b| b.is_ascii_alphanumeric() || *b == b'_');
    }
    total
}

/// Returns the length of `(arguments)` at the start, 0 if they are none: in arguments no word follows another but in
/// quotes, and there is nothing but ASCII.
fn call_length(bytes: &[u8]) -> usize {
    if bytes.first() != Some(&b'(') {
        return 0;
    }
    let mut depth = 0;
    let mut quote = None;
    let mut after_word = false;
    for (at, b) in bytes.iter().enumerate().take(WINDOW) {
        match (*b, quote) {
            (b'\n', _) => return 0,
            (b, Some(open)) => quote = (b != open).then_some(open),
            (b'"' | b'\'', None) => quote = Some(*b),
            (b'(', None) if depth == MAX_DEPTH => return 0,
            (b'(', None) => depth += 1,
            (b')', None) => depth -= 1,
            (b' ', None) => {
                let before = bytes[at - 1];
                after_word = before.is_ascii_alphanumeric() || after_word && before == b' ';
                continue;
            }
            (b, None) if !b.is_ascii() || b.is_ascii_alphabetic() && after_word => return 0,
            _ => {}
        }
        after_word = false;
        if depth == 0 {
            return at + 1;
        }
    }
    0
}

/// Returns whether the content of a formula is prose.
fn is_prose(content: &str) -> bool {
    let (mut words, mut letters, mut run) = (0, 0, 0);
    let mut in_command = false;
    for c in content.chars() {
        if c.is_ascii_alphabetic() {
            run += 1;
            words += usize::from(run == 3 && !in_command);
        } else {
            run = 0;
            in_command = c == '\\';
            letters += usize::from(c.is_alphabetic() && !matches!(c, 'Α'..='ω'));
        }
        if words >= MIN_WORDS_OF_PROSE || letters >= MIN_LETTERS_OF_PROSE {
            return true;
        }
    }
    false
}
