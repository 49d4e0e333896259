//! Sums in a sentence (`3 * 4 + 2 = 14`), worked out exactly.
//!
//! ```text
//! sentence   5 boxes * \frac{3}{2} = 7.5 kg, so x = 7.5
//! tokens     5 * ( 3 ) / ( 2 ) = 7.5  |  |  = 7.5
//! ```
//! Words are units and drop out; a variable and a comma part what is left and right of them.

use num_rational::Ratio;
use num_traits::{Signed, Zero};

/// An exact number.
pub(super) type Number = Ratio<i128>;

/// Longest side of a sum, in tokens.
const MAX_SIDE: usize = 24;
/// Most digits of a number.
const MAX_DIGITS: usize = 15;
/// Highest power that is worked out.
const MAX_POWER: i128 = 16;
/// Largest numerator and denominator: two of them multiply, and two products add up, within 128 bits.
const MAX_PART: i128 = 1_000_000_000_000_000_000;

/// A sum that comes out. With its terms in another order it is the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sum {
    pub(super) result: Number,
    pub(super) terms: Vec<Number>,
    signs: Vec<char>,
}

/// What a sentence has in numbers.
#[derive(Default)]
pub(super) struct Read {
    /// All numbers.
    pub(super) numbers: Vec<Number>,
    /// Sums that come out and are not trivial.
    pub(super) sums: Vec<Sum>,
    /// Numbers to the right of `=`.
    pub(super) results: Vec<Number>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Number(Number),
    Sign(char),
    Open,
    Close,
    Equals { is_exact: bool },
    Edge,
}

/// Reads the numbers and sums of a sentence.
pub(super) fn read(sentence: &str) -> Read {
    let tokens = tokens(sentence);
    let mut read = Read::default();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Number(number) => read.numbers.push(*number),
            Token::Equals { is_exact } => {
                let (left, right) = (left_side(&tokens[..at]), right_side(&tokens[at + 1..]));
                read.results.extend(value(right).filter(|_| is_plain(right)));
                read.sums.extend(sum(left, right, *is_exact));
            }
            _ => {}
        }
    }
    read
}

/// Returns whether a side is a number: `7`, `-7` or `{14}{2}`.
fn is_plain(side: &[Token]) -> bool {
    use Token::{Close, Number, Open, Sign};
    matches!(side, [Number(_)] | [Sign('-'), Number(_)] | [Open, Number(_), Close, Sign('/'), Open, Number(_), Close])
}

/// Returns the number that a text is.
pub(super) fn number(text: &str) -> Option<Number> {
    value(&tokens(text))
}

fn sum(left: &[Token], right: &[Token], is_exact: bool) -> Option<Sum> {
    let (one, two) = (value(left)?, value(right)?);
    if one != two && (is_exact || bounded((one - two) * Number::from_integer(100))?.abs() > two.abs()) {
        return None;
    }
    let (worked, result) = if has_signs(left) { (left, two) } else { (right, one) };
    let (mut terms, mut signs) = (Vec::new(), Vec::new());
    for token in worked {
        match token {
            Token::Number(number) => terms.push(*number),
            Token::Sign(sign) => signs.push(*sign),
            _ => {}
        }
    }
    // `12 * 1 = 12` checks nothing.
    if !has_signs(worked) || terms.len() < 2 || terms.contains(&result) {
        return None;
    }
    terms.sort_unstable();
    signs.sort_unstable();
    Some(Sum { result, terms, signs })
}

fn has_signs(side: &[Token]) -> bool {
    side.iter().skip(1).any(|token| matches!(token, Token::Sign(_)))
}

/// Returns the side of a sum that ends a list of tokens: as much as may belong to it.
fn left_side(tokens: &[Token]) -> &[Token] {
    let mut start = tokens.len();
    let mut depth = 0;
    while start > 0 && tokens.len() - start < MAX_SIDE {
        let (token, next) = (tokens[start - 1], tokens.get(start));
        match token {
            Token::Equals { .. } | Token::Edge => break,
            Token::Close => depth += 1,
            Token::Open if depth == 0 => break,
            Token::Open => depth -= 1,
            Token::Number(_) if matches!(next, Some(Token::Number(_))) => break,
            Token::Number(_) | Token::Sign(_) => {}
        }
        start -= 1;
    }
    // What is left of a longer formula may begin with a sign.
    let side = &tokens[start..];
    match side {
        [Token::Sign('*' | '/' | '^'), rest @ ..] => rest,
        side => side,
    }
}

/// Returns the side of a sum that begins a list of tokens.
fn right_side(tokens: &[Token]) -> &[Token] {
    let mut depth = 0;
    let mut end = 0;
    while end < tokens.len().min(MAX_SIDE) {
        match tokens[end] {
            Token::Equals { .. } | Token::Edge => break,
            Token::Open => depth += 1,
            Token::Close if depth == 0 => break,
            Token::Close => depth -= 1,
            Token::Number(_) if end > 0 && matches!(tokens[end - 1], Token::Number(_)) => break,
            Token::Number(_) | Token::Sign(_) => {}
        }
        end += 1;
    }
    while end > 0 && matches!(tokens[end - 1], Token::Sign(_)) {
        end -= 1;
    }
    &tokens[..end]
}

/// Returns the value of a formula, `None` where it is none.
fn value(tokens: &[Token]) -> Option<Number> {
    let mut rest = tokens;
    let value = terms(&mut rest)?;
    rest.is_empty().then_some(value)
}

fn terms(rest: &mut &[Token]) -> Option<Number> {
    let mut total = factors(rest)?;
    while let [Token::Sign(sign @ ('+' | '-')), after @ ..] = *rest {
        *rest = after;
        let next = factors(rest)?;
        total = bounded(if *sign == '+' { total + next } else { total - next })?;
    }
    Some(total)
}

fn factors(rest: &mut &[Token]) -> Option<Number> {
    let mut product = power(rest)?;
    loop {
        let (sign, after) = match *rest {
            [Token::Sign(sign @ ('*' | '/')), after @ ..] => (*sign, after),
            // `3(5)`
            [Token::Open, ..] => ('*', *rest),
            _ => return Some(product),
        };
        *rest = after;
        let next = power(rest)?;
        product = bounded(match sign {
            '*' => product * next,
            _ if next.is_zero() => return None,
            _ => product / next,
        })?;
    }
}

fn power(rest: &mut &[Token]) -> Option<Number> {
    if let [Token::Sign(sign @ ('+' | '-')), after @ ..] = *rest {
        *rest = after;
        let value = power(rest)?;
        return Some(if *sign == '-' { -value } else { value });
    }
    let base = atom(rest)?;
    let [Token::Sign('^'), after @ ..] = *rest else { return Some(base) };
    *rest = after;
    let exponent = atom(rest)?;
    let is_small = exponent.is_integer() && (0..=MAX_POWER).contains(exponent.numer());
    let times = is_small.then(|| exponent.to_integer())?;
    (0..times).try_fold(Number::from_integer(1), |power, _| bounded(power * base))
}

/// Returns a number if it is small enough to be worked with.
fn bounded(number: Number) -> Option<Number> {
    (number.numer().abs() <= MAX_PART && *number.denom() <= MAX_PART).then_some(number)
}

fn atom(rest: &mut &[Token]) -> Option<Number> {
    match *rest {
        [Token::Number(number), after @ ..] => {
            *rest = after;
            Some(*number)
        }
        [Token::Open, after @ ..] => {
            *rest = after;
            let value = terms(rest)?;
            let [Token::Close, after @ ..] = *rest else { return None };
            *rest = after;
            Some(value)
        }
        _ => None,
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '0'..='9' => numeral(rest),
            '\\' => command(rest),
            '*' if rest.starts_with("**") => (None, 2),
            '{' if let Some((fraction, length)) = fraction(rest) => (Some(Token::Number(fraction)), length),
            '}' if rest.starts_with("}{") => {
                tokens.extend([Token::Close, Token::Sign('/')]);
                (Some(Token::Open), 2)
            }
            '(' | '[' | '{' => (Some(Token::Open), 1),
            ')' | ']' | '}' => (Some(Token::Close), 1),
            '=' => (Some(Token::Equals { is_exact: true }), 1),
            '≈' => (Some(Token::Equals { is_exact: false }), 3),
            '+' | '-' | '*' | '/' | '^' => (Some(Token::Sign(first)), 1),
            '×' | '·' | '⋅' | '∙' => (Some(Token::Sign('*')), first.len_utf8()),
            '÷' => (Some(Token::Sign('/')), 2),
            '−' | '–' => (Some(Token::Sign('-')), 3),
            _ if first.is_alphabetic() => word(rest, tokens.last()),
            _ if first.is_whitespace() || "$€£~".contains(first) => (None, first.len_utf8()),
            _ => (Some(Token::Edge), first.len_utf8()),
        };
        tokens.extend(token);
        rest = &rest[length..];
    }
    tokens
}

/// Reads `{3}{4}`, which is a number where it is not a whole one.
fn fraction(text: &str) -> Option<(Number, usize)> {
    let near = &text[1..text.floor_char_boundary(2 * MAX_DIGITS + 4)];
    let (above, rest) = near.split_once("}{")?;
    let (below, _) = rest.split_once('}')?;
    let (one, two): (i128, i128) = (above.parse().ok()?, below.parse().ok()?);
    let length = above.len() + below.len() + "{}{}".len();
    let is_number = two != 0 && one % two != 0;
    Some((is_number.then(|| bounded(Number::new(one, two))).flatten()?, length))
}

/// Reads a numeral, with commas after thousands.
fn numeral(text: &str) -> (Option<Token>, usize) {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = digits(0);
    while end <= MAX_DIGITS && bytes.get(end) == Some(&b',') && digits(end + 1) == 3 {
        end += 4;
    }
    let whole = end;
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    let decimals = end.saturating_sub(whole + 1);
    let figures: String = text[..end].chars().filter(char::is_ascii_digit).collect();
    let number = (figures.len() <= MAX_DIGITS)
        .then(|| figures.parse().ok())
        .flatten()
        .map(|figures| Token::Number(Number::new(figures, 10_i128.pow(decimals as u32))));
    (Some(number.unwrap_or(Token::Edge)), end)
}

/// Reads a command of LaTeX.
fn command(text: &str) -> (Option<Token>, usize) {
    let name = &text[1..];
    let length = name.bytes().take_while(u8::is_ascii_alphabetic).count();
    let token = match &name[..length] {
        "times" | "cdot" | "ast" => Some(Token::Sign('*')),
        "div" => Some(Token::Sign('/')),
        "approx" => Some(Token::Equals { is_exact: false }),
        "frac" | "dfrac" | "tfrac" | "left" | "right" | "quad" | "boxed" => None,
        "text" | "mathrm" => {
            let end = text.find('}').filter(|end| *end < 60).map_or(length + 1, |end| end + 1);
            return (None, end);
        }
        // `\(`, `\,`
        "" => return (None, 1 + name.chars().next().map_or(0, char::len_utf8)),
        _ => Some(Token::Edge),
    };
    (token, length + 1)
}

/// Reads a word: `is` after a number equals, other words are units and drop out, a letter is a variable.
fn word(text: &str, before: Option<&Token>) -> (Option<Token>, usize) {
    const EQUALS: [&str; 24] = [
        "is",
        "equals",
        "gives",
        "makes",
        "are",
        "ist",
        "sind",
        "ergibt",
        "macht",
        "est",
        "égale",
        "font",
        "vaut",
        "es",
        "son",
        "fa",
        "é",
        "è",
        "равно",
        "是",
        "得",
        "得到",
        "等于",
        "等於",
    ];
    let length = text.find(|c: char| !c.is_alphabetic()).unwrap_or(text.len());
    let word = &text[..length];
    let is_after_number = matches!(before, Some(Token::Number(_) | Token::Close));
    let token = match word {
        "x" if is_after_number && text[1..].trim_start().starts_with(|c: char| c.is_ascii_digit()) => {
            Some(Token::Sign('*'))
        }
        _ if is_after_number && EQUALS.contains(&word) => Some(Token::Equals { is_exact: true }),
        _ if word.chars().nth(1).is_none() && word.is_ascii() => Some(Token::Edge),
        _ => None,
    };
    (token, length)
}
