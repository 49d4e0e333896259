//! One canonical spelling for LaTeX and plain text: removes markup, replaces synonyms. Also strips units from
//! quantities.

use std::sync::LazyLock;

use regex::Regex;

static TEXT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\\(?:text|mathrm|mbox|operatorname|textbf|mathbf)\s*\{([^{}]*)\}").expect("a constant pattern")
});
static BARE_FRACTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\\frac\s*(\d)\s*(\d)").expect("a constant pattern"));
static HALF_BARE_FRACTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\\frac\s*(\{[^{}]*\})\s*(\d)").expect("a constant pattern"));
static BARE_ROOT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\\sqrt\s*(\d)").expect("a constant pattern"));
/// A number, then words: `9 apples`, `18.5 square meters`, `3 km/h`, `45 cm^2`.
static UNITS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^ (?P<number> [-+]?[$€£¥]? [\d,.]*\d (?:\s*/\s*\d+)? (?:\s+\d+/\d+)? )
            \s* (?: [\p{L}°µ.²³/]+ \s )* [\p{L}°µ.²³/]+ (?:\^?[23])? $",
    )
    .expect("a constant pattern")
});

const SYNONYMS: [(&str, &str); 26] = [
    (r"\left", ""),
    (r"\right", ""),
    (r"\dfrac", r"\frac"),
    (r"\tfrac", r"\frac"),
    (r"\cdot", "*"),
    (r"\times", "*"),
    (r"\div", "/"),
    (r"\$", ""),
    (r"\%", "%"),
    (r"\!", ""),
    (r"\,", ""),
    (r"\;", ""),
    (r"\:", ""),
    (r"\ ", " "),
    (r"\(", ""),
    (r"\)", ""),
    (r"\[", ""),
    (r"\]", ""),
    (r"^\circ", ""),
    (r"^{\circ}", ""),
    (r"\degree", ""),
    ("°", ""),
    ("−", "-"),
    ("–", "-"),
    ("×", "*"),
    ("π", r"\pi"),
];

/// Returns the canonical spelling of an expression.
pub(super) fn normalize(expression: &str) -> String {
    let mut text = expression.trim().replace(['\u{a0}', '\u{202f}', '~'], " ");
    for (from, to) in SYNONYMS {
        if text.contains(from) {
            text = text.replace(from, to);
        }
    }
    text = TEXT.replace_all(&text, " $1").into_owned();
    text = BARE_FRACTION.replace_all(&text, r"\frac{$1}{$2}").into_owned();
    text = HALF_BARE_FRACTION.replace_all(&text, r"\frac$1{$2}").into_owned();
    text = BARE_ROOT.replace_all(&text, r"\sqrt{$1}").into_owned();
    let text = text.replace('$', "").trim().trim_end_matches(['.', ',', ';', ':', '!']).trim().to_owned();
    // In `x = 12` and `5+2 = 7`, the answer is on the right-hand side.
    text.rsplit_once('=').map_or(text.as_str(), |(_, right)| right).trim().to_owned()
}

/// Returns the number of a quantity: `9` of `9 apples`.
pub(super) fn without_units(text: &str) -> Option<&str> {
    UNITS.captures(text).and_then(|found| found.name("number")).map(|number| number.as_str())
}
