//! Expressions in LaTeX, Unicode or plain text to tokens. Markup and styling are dropped, and everything else gets one
//! spelling.

use super::commands::{self, Meaning};
use super::literal;
use super::node::{Function, Literal};
use super::number::{self, Rational};
use super::unit;

/// Longer texts are not answers.
pub(super) const MAX_TOKENS: usize = 3_000;

/// A token and where it begins and ends in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether white space is before it.
    pub(super) spaced: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Number(Literal, Digits),
    /// A variable: a letter, or a command such as `\alpha`.
    Name(String),
    /// Letters in a row.
    Word(String),
    Function(Function),
    /// An operator, a bracket, a separator.
    Sign(&'static str),
    /// A LaTeX command with arguments, known to the parser: `frac`, `sqrt`, ….
    Structure(&'static str),
    /// An unknown command.
    Command(String),
}

/// How a number is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digits {
    /// Its digits, for numbers in other bases.
    pub(super) text: String,
    /// Whether it has commas between thousands, which could also be those of a list.
    pub(super) has_commas: bool,
    /// Whether it is a whole number without any dress.
    pub(super) is_plain: bool,
}

/// How commas between three digits are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commas {
    /// `1,234` is a thousand and more.
    Thousands,
    /// `1,234` are two numbers.
    List,
}

/// Cuts a text into tokens, `None` if there are too many.
pub(super) fn tokens(text: &str, commas: Commas) -> Option<Vec<Token>> {
    let mut lexer = Lexer { text, at: 0, commas, tokens: Vec::new(), spaced: false, braces: Vec::new() };
    while lexer.at < text.len() {
        if lexer.tokens.len() > MAX_TOKENS {
            return None;
        }
        lexer.step()?;
    }
    Some(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    commas: Commas,
    tokens: Vec<Token>,
    spaced: bool,
    /// Open braces, and for each whether it is that of a command like `\text`, which is left out.
    braces: Vec<bool>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let (start, end) = (self.at, self.at + length);
        self.tokens.push(Token { kind, start, end, spaced: self.spaced });
        (self.at, self.spaced) = (end, false);
    }

    fn skip(&mut self, length: usize) {
        self.at += length;
        self.spaced = true;
    }

    /// Takes one token; `None` for a text that no answer has.
    fn step(&mut self) -> Option<()> {
        let rest = self.rest();
        let c = rest.chars().next().expect("the text has not ended");
        if c.is_whitespace() || matches!(c, '~' | '\u{200b}' | '\u{2061}' | '\u{2009}') {
            self.skip(c.len_utf8());
        } else if c == '\\' {
            self.command();
        } else if c == '$' || is_currency(c) {
            // A delimiter of mathematics, or money: both are dress.
            self.skip(c.len_utf8());
        } else if c.is_ascii_digit() || (c == '.' && rest[1..].starts_with(|next: char| next.is_ascii_digit())) {
            let (literal, digits, length) = literal::read(rest, self.commas)?;
            self.push(Kind::Number(literal, digits), length);
        } else if let Some((one, two)) = commands::vulgar_fraction(c) {
            let value = Rational::new(one.into(), two.into());
            let digits = Digits { text: String::new(), has_commas: false, is_plain: false };
            self.push(Kind::Number(Literal { value, decimals: None }, digits), c.len_utf8());
        } else if commands::script(c).is_some() {
            self.script();
        } else if c == '√' || c == '∛' {
            self.push(Kind::Structure(if c == '√' { "sqrt" } else { "cbrt" }), c.len_utf8());
        } else if c == '∑' || c == '∏' || c == '∫' {
            self.push(Kind::Command(c.to_string()), c.len_utf8());
        } else if c == 'π' {
            self.push(Kind::Name("pi".to_owned()), c.len_utf8());
        } else if c.is_alphabetic() {
            self.word();
        } else {
            self.sign(c);
        }
        Some(())
    }

    fn sign(&mut self, c: char) {
        if c == '{' {
            self.braces.push(false);
        } else if c == '}' && self.braces.pop() == Some(true) {
            return self.at += 1;
        }
        const LONGER: [(&str, &str); 8] =
            [("<=", "<="), (">=", ">="), ("!=", "!="), ("==", "="), ("=>", "→"), ("->", "→"), ("**", "^"), ("+-", "±")];
        let rest = self.rest();
        if let Some((text, sign)) = LONGER.iter().find(|(text, _)| rest.starts_with(text)) {
            self.push(Kind::Sign(sign), text.len());
        } else if let Some(sign) = commands::character(c) {
            self.push(Kind::Sign(sign), c.len_utf8());
        } else {
            self.push(Kind::Command(c.to_string()), c.len_utf8());
        }
    }

    /// Takes a run of superscripts or subscripts: `x²`, `a₁₂`.
    fn script(&mut self) {
        let (mark, _) = self.rest().chars().next().and_then(commands::script).expect("a script character");
        let run: Vec<(char, char)> = self
            .rest()
            .chars()
            .map_while(|c| commands::script(c).filter(|(sign, _)| *sign == mark).map(|(_, digit)| (c, digit)))
            .collect();
        let length: usize = run.iter().map(|(c, _)| c.len_utf8()).sum();
        let text: String = run.iter().map(|(_, digit)| digit).collect();
        self.push(Kind::Sign(mark), 0);
        self.push(Kind::Sign("{"), 0);
        for digit in text.chars() {
            match digit {
                '-' => self.push(Kind::Sign("-"), 0),
                'n' => self.push(Kind::Name("n".to_owned()), 0),
                _ => {}
            }
        }
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if let Some(value) = number::in_base(&digits, 10).filter(|_| digits.len() <= 8) {
            let how = Digits { text: digits, has_commas: false, is_plain: true };
            self.push(Kind::Number(Literal { value, decimals: None }, how), 0);
        }
        self.push(Kind::Sign("}"), length);
    }

    fn command(&mut self) {
        let after = &self.rest()[1..];
        let name: String = after.chars().take_while(char::is_ascii_alphabetic).collect();
        if name.is_empty() {
            return self.escaped(after.chars().next());
        }
        let length = 1 + name.len();
        match commands::meaning(&name) {
            Some(Meaning::Space) => {
                self.skip(length);
                // The width of \hspace{…}.
                if matches!(name.as_str(), "hspace" | "vspace") && self.rest().starts_with('{') {
                    let width = self.rest().find('}').map_or(0, |end| end + 1);
                    self.skip(width);
                }
            }
            Some(Meaning::Nothing | Meaning::Text) => {
                self.skip(length);
                let is_text = matches!(commands::meaning(&name), Some(Meaning::Text));
                if is_text && self.rest().trim_start().starts_with('{') {
                    let gap = self.rest().len() - self.rest().trim_start().len();
                    self.skip(gap + 1);
                    self.braces.push(true);
                }
                let is_delimiter = matches!(name.as_str(), "left" | "right");
                if is_delimiter && self.rest().starts_with('.') {
                    self.skip(1);
                }
            }
            Some(Meaning::Sign(sign)) => self.push(Kind::Sign(sign), length),
            Some(Meaning::Function(function)) => self.push(Kind::Function(function), length),
            Some(Meaning::Structure(name)) => self.push(Kind::Structure(name), length),
            None if is_letter(&name) => self.push(Kind::Name(name), length),
            None => self.push(Kind::Command(name), length),
        }
    }

    /// Takes a command of one character that is no letter: `\,`, `\{`, `\\`.
    fn escaped(&mut self, c: Option<char>) {
        match c {
            Some('!') => {
                // A negative space joins: `12,\! 345`.
                let after = self.rest()[2..].len() - self.rest()[2..].trim_start().len();
                self.at += 2 + after;
            }
            Some('{') => self.push(Kind::Sign("\\{"), 2),
            Some('}') => self.push(Kind::Sign("\\}"), 2),
            Some('|') => self.push(Kind::Sign("|"), 2),
            Some('%') => self.push(Kind::Sign("%"), 2),
            // `\\frac`, a command that was escaped twice, but in an environment a new row.
            Some('\\') if self.is_escaped_twice() => self.at += 1,
            Some('\\') => self.push(Kind::Sign("\\\\"), 2),
            Some('&') => self.push(Kind::Sign("and"), 2),
            Some('_' | '#' | '*') => self.skip(2),
            Some(other) => self.skip(1 + other.len_utf8()),
            None => self.skip(1),
        }
    }

    /// Whether `min` has no arguments, and so is a unit.
    fn is_minutes(&self, word: &str) -> bool {
        word == "min" && !self.rest()[word.len()..].trim_start().starts_with(['(', '_', '{', '\\'])
    }

    /// Whether a letter is set upright as units are, `\mathrm{m}`, and not as the `d` of `\mathrm{d}x`.
    fn is_upright_unit(&self, word: &str) -> bool {
        self.braces.last() == Some(&true)
            && self.tokens.last().is_some_and(|token| !matches!(token.kind, Kind::Sign("^")))
            && word.len() == 1
            && !matches!(word, "d" | "e")
            && unit::known(word).is_some()
            && !self.rest()[word.len()..].starts_with(['_', '('])
    }

    fn is_escaped_twice(&self) -> bool {
        let name: String = self.rest()[2..].chars().take_while(char::is_ascii_alphabetic).collect();
        let is_known = name.len() > 1 && (commands::meaning(&name).is_some() || is_letter(&name));
        is_known && !self.tokens.iter().any(|token| token.kind == Kind::Structure("begin"))
    }

    fn word(&mut self) {
        let rest = self.rest();
        let is_han = |c: char| ('\u{3400}'..='\u{9fff}').contains(&c) || ('\u{3040}'..='\u{30ff}').contains(&c);
        let first = rest.chars().next().expect("a letter");
        let is_part = |c: &char| {
            (c.is_alphabetic() && is_han(*c) == is_han(first) && *c != 'π' && commands::script(*c).is_none())
                || matches!(c, '\'' | '’') && first.is_ascii()
        };
        let mut word: String = rest.chars().take_while(is_part).collect();
        // A quote at the end, or a prime, is no part of the word.
        while word.ends_with(['\'', '’']) || (word.contains(['\'', '’']) && word.chars().count() < 4) {
            word.truncate(word.find(['\'', '’']).expect("there is one"));
        }
        let length = word.len();
        let lower = word.to_lowercase();
        if let Some(sign) = commands::word_sign(&lower).filter(|_| word.chars().count() > 1 || is_han(first)) {
            self.push(Kind::Sign(sign), length);
        } else if let Some(function) =
            commands::function(&lower).filter(|_| word.is_ascii() && !self.is_minutes(&lower))
        {
            self.push(Kind::Function(function), length);
        } else if lower == "sqrt" || lower == "cbrt" {
            self.push(Kind::Structure(if lower == "sqrt" { "sqrt" } else { "cbrt" }), length);
        } else if is_letter(&lower) && word.len() > 1 && word.is_ascii() {
            self.push(Kind::Name(lower), length);
        } else if let Some(name) = function_prefix(&word) {
            let function = commands::function(name).expect("the prefix is a function");
            self.push(Kind::Function(function), name.len());
        } else if self.is_upright_unit(&word) {
            self.push(Kind::Word(word), length);
        } else if word.chars().count() == 1 && !is_han(first) {
            self.push(Kind::Name(greek(first).map_or(word, str::to_owned)), length);
        } else {
            self.push(Kind::Word(word), length);
        }
    }
}

/// Returns the function with which a run of letters begins that has only one more letter: `sinx`.
fn function_prefix(word: &str) -> Option<&'static str> {
    const NAMES: [&str; 9] = ["arcsin", "arccos", "arctan", "sin", "cos", "tan", "ln", "log", "cot"];
    NAMES.into_iter().find(|name| word.strip_prefix(name).is_some_and(|rest| rest.len() == 1))
}

/// Whether a command is the name of a letter.
fn is_letter(name: &str) -> bool {
    const LETTERS: [&str; 34] = [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "zeta",
        "eta",
        "theta",
        "vartheta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
        "Gamma",
        "Delta",
        "Theta",
        "Lambda",
        "Sigma",
        "Phi",
        "Psi",
        "Omega",
    ];
    LETTERS.contains(&name) || name == "ell"
}

fn greek(c: char) -> Option<&'static str> {
    Some(match c {
        'α' => "alpha",
        'β' => "beta",
        'γ' => "gamma",
        'δ' => "delta",
        'ε' => "epsilon",
        'θ' => "theta",
        'λ' => "lambda",
        'μ' | 'µ' => "mu",
        'ρ' => "rho",
        'σ' => "sigma",
        'τ' => "tau",
        'φ' => "phi",
        'ω' => "omega",
        'Δ' => "Delta",
        'Σ' => "Sigma",
        'Ω' => "Omega",
        _ => return None,
    })
}

fn is_currency(c: char) -> bool {
    matches!(c, '€' | '£' | '¥' | '₹' | '￥' | '₩' | '₽' | '¢')
}
