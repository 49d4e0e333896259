//! Values and their equality: exact rationals, tuples, and canonical text for the rest.

use std::str::FromStr;
use std::sync::LazyLock;

use num_bigint::BigInt;
use num_rational::Ratio;
use num_traits::{Pow, Zero};
use regex::Regex;

use super::normalize::{normalize, without_units};

/// More digits than any answer has. Without a limit, an answer could make arithmetic expensive.
const MAX_DIGITS: usize = 400;
/// Longer expressions are not answers.
const MAX_EXPRESSION: usize = 400;

static DECIMAL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^([-+]?)[€£¥]?(\d{1,3}(?:,\d{3})+|\d+)?(?:\.(\d*))?(?:[eE]([-+]?\d{1,3}))?$")
        .expect("a constant pattern")
});
static MIXED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([-+]?)(\d+)\s+(\d+)/(\d+)$").expect("a constant pattern"));
static MIXED_LATEX: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([-+]?)(\d+)\s*\\frac\{(\d+)\}\{(\d+)\}$").expect("a constant pattern"));
static FRACTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([-+]?)\\frac\{([^{}]+)\}\{([^{}]+)\}$").expect("a constant pattern"));
static POWER_OF_TEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(.+?)\s*\*\s*10\^\{?([-+]?\d{1,3})\}?$").expect("a constant pattern"));

/// The value of an expression.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Number(Ratio<BigInt>),
    /// `(a, b)` or `[a, b)`: brackets and members.
    Tuple(char, char, Vec<Value>),
    /// Canonical LaTeX without white space.
    Symbols(String),
}

impl Value {
    /// Returns the value of an expression, `None` for prose and for empty text.
    pub(super) fn parse(expression: &str) -> Option<Self> {
        if expression.len() > MAX_EXPRESSION {
            return None;
        }
        Self::of(&normalize(expression), 0)
    }

    fn of(text: &str, depth: usize) -> Option<Self> {
        // Numbers are tried before units: the `e3` of `1.5e3` is not a unit.
        if let Some(number) = number(text, 0).or_else(|| number(without_units(text)?, 0)) {
            return Some(Self::Number(number));
        }
        if let Some(tuple) = tuple(text, depth) {
            return Some(tuple);
        }
        symbols(text)
    }
}

fn tuple(text: &str, depth: usize) -> Option<Value> {
    let (open, close) = (text.chars().next()?, text.chars().last()?);
    if !"([".contains(open) || !")]".contains(close) || depth > 3 || text.len() < 3 {
        return None;
    }
    let inside = &text[1..text.len() - 1];
    let mut members = Vec::new();
    let (mut level, mut start) = (0_i32, 0);
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => level += 1,
            b')' | b']' | b'}' => level -= 1,
            b',' if level == 0 => {
                members.push(Value::of(inside[start..at].trim(), depth + 1)?);
                start = at + 1;
            }
            _ => {}
        }
        if level < 0 {
            return None;
        }
    }
    members.push(Value::of(inside[start..].trim(), depth + 1)?);
    (members.len() > 1).then_some(Value::Tuple(open, close, members))
}

/// Text counts as an expression if it contains a digit or a command, or is a single letter: `paris` is prose.
fn symbols(text: &str) -> Option<Value> {
    let canonical: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let canonical = canonical.replace(r"\frac", "/").replace('%', "");
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().count() > 1);
    // Commands such as `\sqrt` are words too, so only words without a backslash before them indicate prose.
    let prose = words.filter(|word| !text.contains(&format!("\\{word}"))).count();
    let mathematical = canonical.contains(|c: char| c.is_ascii_digit() || c == '\\') || canonical.chars().count() == 1;
    (mathematical && prose == 0 && canonical.chars().any(char::is_alphanumeric)).then_some(Value::Symbols(canonical))
}

fn number(text: &str, depth: usize) -> Option<Ratio<BigInt>> {
    if depth > 2 {
        return None;
    }
    let text = text.trim();
    let text = text.strip_suffix('%').unwrap_or(text).trim_end();
    if let Some(decimal) = decimal(text) {
        return Some(decimal);
    }
    for pattern in [&MIXED, &MIXED_LATEX] {
        if let Some(found) = pattern.captures(text) {
            let fraction = divide(integer(&found[3])?, integer(&found[4])?)?;
            return Some(signed(&found[1], Ratio::from(integer(&found[2])?) + fraction));
        }
    }
    if let Some(found) = FRACTION.captures(text) {
        let quotient = number(&found[2], depth + 1)?.checked_quotient(number(&found[3], depth + 1)?)?;
        return Some(signed(&found[1], quotient));
    }
    if let Some(found) = POWER_OF_TEN.captures(text) {
        return Some(number(&found[1], depth + 1)? * power_of_ten(found[2].parse().ok()?));
    }
    let (numerator, denominator) = text.split_once('/')?;
    number(numerator, depth + 1)?.checked_quotient(number(denominator, depth + 1)?)
}

trait CheckedQuotient: Sized {
    fn checked_quotient(self, divisor: Self) -> Option<Self>;
}

impl CheckedQuotient for Ratio<BigInt> {
    fn checked_quotient(self, divisor: Self) -> Option<Self> {
        (!divisor.is_zero()).then(|| self / divisor)
    }
}

fn decimal(text: &str) -> Option<Ratio<BigInt>> {
    let found = DECIMAL.captures(text)?;
    let whole = found.get(2).map_or("", |part| part.as_str()).replace(',', "");
    let fraction = found.get(3).map_or("", |part| part.as_str());
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = integer(&format!("{whole}{fraction}"))?;
    let exponent: i32 = found.get(4).map_or(Ok(0), |part| part.as_str().parse()).ok()?;
    let scale = exponent - i32::try_from(fraction.len()).ok()?;
    Some(signed(&found[1], Ratio::from(digits) * power_of_ten(scale)))
}

fn power_of_ten(exponent: i32) -> Ratio<BigInt> {
    let power = Ratio::from(Pow::pow(BigInt::from(10), exponent.unsigned_abs()));
    if exponent < 0 { power.recip() } else { power }
}

fn integer(digits: &str) -> Option<BigInt> {
    if digits.len() > MAX_DIGITS { None } else { BigInt::from_str(digits).ok() }
}

fn divide(numerator: BigInt, denominator: BigInt) -> Option<Ratio<BigInt>> {
    (!denominator.is_zero()).then(|| Ratio::new(numerator, denominator))
}

fn signed(sign: &str, value: Ratio<BigInt>) -> Ratio<BigInt> {
    if sign == "-" { -value } else { value }
}
