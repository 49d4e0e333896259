//! Reads an arithmetic expression in a text: `(3+5)*2`, `\frac{3+5}{1} \times 2 = 16`.
//!
//! Values are exact. Deep and long expressions are refused.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use crate::puzzles::answer::Reading;

/// The most tokens of an expression. Sixteen numbers with signs and parentheses have fewer.
const MAX_TOKENS: usize = 200;

/// The deepest nesting of parentheses.
const MAX_DEPTH: usize = 40;

/// An expression.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    pub(super) value: BigRational,
    /// The numbers in it, in order.
    pub(super) numbers: Vec<i64>,
    /// How it is spelt, apart from white space.
    spelling: Vec<Token>,
    divides_by_zero: bool,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.spelling == other.spelling
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Number(i64),
    /// One of `+-*/()`.
    Sign(char),
    /// `\frac`, with two groups in parentheses behind it.
    Fraction,
    Equals,
    /// An operator that is not allowed, such as `^`.
    Foreign,
    /// A word or a sign that no expression has.
    Other,
}

/// Reads a part of an answer: one expression, with `= 16` or words around it.
pub(super) fn read(part: &str) -> Reading<Expression> {
    let tokens = tokens(part);
    let mut found: Option<Expression> = None;
    let mut lone = None;
    let mut is_broken = false;
    for run in tokens.split(|token| *token == Token::Other).filter(|run| !run.is_empty()) {
        let Some(chain) = chain(run) else {
            is_broken |= run.iter().any(|token| matches!(token, Token::Number(_))) && run.len() > 1;
            continue;
        };
        match chain {
            Chain::Wrong => return Reading::Several,
            Chain::Equal(side) if side.numbers.len() < 2 => lone = Some(side),
            Chain::Equal(side) if found.as_ref().is_some_and(|found| *found != side) => return Reading::Several,
            Chain::Equal(side) => found = Some(side),
        }
    }
    match (found, lone) {
        (Some(_), _) if is_broken => Reading::Several,
        (Some(found), _) => Reading::One(found),
        (None, Some(lone)) if !is_broken && !tokens.contains(&Token::Other) => Reading::One(lone),
        _ => Reading::Nothing,
    }
}

/// Expressions joined by `=`.
enum Chain {
    /// The one that is meant: the first that is not a lone number.
    Equal(Expression),
    /// They are not equal, or divide by zero.
    Wrong,
}

/// Reads expressions joined by `=`; `None` if one of them does not parse.
fn chain(run: &[Token]) -> Option<Chain> {
    let sides: Vec<Expression> = run.split(|token| *token == Token::Equals).map(expression).collect::<Option<_>>()?;
    let is_defined = sides.iter().all(|side| !side.divides_by_zero);
    let is_equal = is_defined && sides.windows(2).all(|pair| pair[0].value == pair[1].value);
    let at = sides.iter().position(|side| side.numbers.len() > 1).unwrap_or(0);
    let meant = sides.into_iter().nth(at)?;
    Some(if is_equal { Chain::Equal(meant) } else { Chain::Wrong })
}

fn expression(tokens: &[Token]) -> Option<Expression> {
    if tokens.len() > MAX_TOKENS {
        return None;
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, divides_by_zero: false };
    let value = parser.sum()?;
    let numbers =
        tokens.iter().filter_map(|token| if let Token::Number(number) = token { Some(*number) } else { None });
    let spelling = tokens.to_vec();
    let divides_by_zero = parser.divides_by_zero;
    (parser.at == tokens.len()).then(|| Expression { value, numbers: numbers.collect(), spelling, divides_by_zero })
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    divides_by_zero: bool,
}

impl Parser<'_> {
    fn next_is(&mut self, sign: char) -> bool {
        let is_next = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    fn sum(&mut self) -> Option<BigRational> {
        let mut value = self.product()?;
        loop {
            if self.next_is('+') {
                value += self.product()?;
            } else if self.next_is('-') {
                value -= self.product()?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<BigRational> {
        let mut value = self.factor()?;
        let mut has_divided = false;
        loop {
            if self.next_is('*') {
                value *= self.factor()?;
            } else if self.next_is('/') {
                let divisor = self.factor()?;
                value = self.quotient(value, divisor);
                has_divided = true;
            } else if matches!(self.tokens.get(self.at), Some(Token::Sign('(') | Token::Fraction)) && !has_divided {
                // `2(3+5)` is a product; `6/2(1+2)` could be read in two ways.
                value *= self.factor()?;
            } else {
                return Some(value);
            }
        }
    }

    fn quotient(&mut self, above: BigRational, below: BigRational) -> BigRational {
        self.divides_by_zero |= below.is_zero();
        if below.is_zero() { below } else { above / below }
    }

    fn factor(&mut self) -> Option<BigRational> {
        self.depth += 1;
        let value = if self.depth > MAX_DEPTH { None } else { self.atom() };
        self.depth -= 1;
        value
    }

    fn atom(&mut self) -> Option<BigRational> {
        let token = *self.tokens.get(self.at)?;
        self.at += 1;
        match token {
            Token::Number(number) => Some(BigRational::from(BigInt::from(number))),
            Token::Sign('-') => self.factor().map(|value| -value),
            Token::Sign('(') => {
                let value = self.sum()?;
                self.next_is(')').then_some(value)
            }
            Token::Fraction => {
                let (above, below) = (self.atom()?, self.atom()?);
                Some(self.quotient(above, below))
            }
            _ => None,
        }
    }
}

fn tokens(part: &str) -> Vec<Token> {
    let chars: Vec<char> = part.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let length = |is: fn(&char) -> bool| chars[at..].iter().take_while(|c| is(c)).count();
        let (token, taken) = match c {
            '\n' => (Some(Token::Other), 1),
            c if c.is_whitespace() => (None, 1),
            '0'..='9' => number(&chars[at..]),
            '+' | '-' | '*' | '/' | '(' | ')' => (Some(Token::Sign(c)), 1),
            '{' | '[' => (Some(Token::Sign('(')), 1),
            '}' | ']' => (Some(Token::Sign(')')), 1),
            '×' | '·' | '∙' | '⋅' | '✕' => (Some(Token::Sign('*')), 1),
            '÷' | '∕' | '⁄' => (Some(Token::Sign('/')), 1),
            '−' | '–' | '‐' | '‑' | '﹣' => (Some(Token::Sign('-')), 1),
            'x' | 'X' if is_between_operands(&chars, at) => (Some(Token::Sign('*')), 1),
            '=' => (Some(Token::Equals), 1),
            '^' | '%' | '√' | '!' if c != '!' || chars.get(at + 1).is_some_and(|next| !next.is_whitespace()) => {
                (Some(Token::Foreign), 1)
            }
            '\\' => command(&chars[at..]),
            c if c.is_alphabetic() => (Some(Token::Other), length(|c| c.is_alphanumeric())),
            // A full stop ends a sentence.
            _ => (Some(Token::Other), 1),
        };
        tokens.extend(token);
        at += taken;
    }
    tokens
}

/// Whether a letter or sign stands between two operands.
fn is_between_operands(chars: &[char], at: usize) -> bool {
    let before = chars[..at].iter().rev().find(|c| !c.is_whitespace());
    let behind = chars[at + 1..].iter().find(|c| !c.is_whitespace());
    before.is_some_and(|c| c.is_ascii_digit() || matches!(c, ')' | ']' | '}'))
        && behind.is_some_and(|c| c.is_ascii_digit() || matches!(c, '(' | '[' | '{' | '\\'))
}

/// Reads a whole number, which may be written `16.0` or `1,000`. What is not whole is no token of an expression.
fn number(chars: &[char]) -> (Option<Token>, usize) {
    let count = |from: usize| chars[from..].iter().take_while(|c| c.is_ascii_digit()).count();
    let mut digits: String = chars[..count(0)].iter().collect();
    let mut taken = digits.len();
    while chars.get(taken) == Some(&',') && count(taken + 1) == 3 {
        digits.extend(&chars[taken + 1..taken + 4]);
        taken += 4;
    }
    let mut is_whole = digits.len() <= 10;
    if chars.get(taken) == Some(&'.') && count(taken + 1) > 0 {
        let decimals = &chars[taken + 1..taken + 1 + count(taken + 1)];
        is_whole &= decimals.iter().all(|digit| *digit == '0');
        taken += 1 + decimals.len();
    }
    let value = digits.parse().ok().filter(|_| is_whole);
    (Some(value.map_or(Token::Other, Token::Number)), taken)
}

fn command(chars: &[char]) -> (Option<Token>, usize) {
    let length = 1 + chars[1..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
    let name: String = chars[1..length].iter().collect();
    let token = match name.as_str() {
        "times" | "cdot" | "ast" => Token::Sign('*'),
        "div" => Token::Sign('/'),
        "frac" | "dfrac" | "tfrac" | "cfrac" => Token::Fraction,
        "sqrt" | "binom" | "log" | "bmod" => Token::Foreign,
        _ => Token::Other,
    };
    (Some(token), length)
}
