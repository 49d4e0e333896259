//! Atoms and what stands behind them: powers, factorials, degrees; names, functions, numbers.

use super::super::node::{Constant, Function, Literal, Node};
use super::super::number::{self, Rational};
use super::super::token::{Digits, Kind, Token};
use super::super::unit::Unit;
use super::{MAX_ATOMS, Mode, Parser, unit};

impl Parser {
    /// Parses an atom with its exponents and postfix signs.
    pub(super) fn power(&mut self) -> Option<Node> {
        self.deeper(|parser| {
            let mut node = parser.atom()?;
            loop {
                let is_measured = matches!(node, Node::Quantity(..));
                if parser.eat_degree() {
                    // `20°°` means nothing.
                    node = Node::Quantity(Box::new((!is_measured).then_some(node)?), unit::degree());
                } else if parser.is_sign("^") {
                    let next = parser.attempt(|parser| {
                        parser.at += 1;
                        parser.exponent()
                    });
                    node = Node::power(node, next?);
                } else if parser.is_sign("!")
                    && (!parser.is_spaced() || parser.mode == Mode::Expression)
                    && !parser.is_exclamation()
                {
                    parser.at += 1;
                    node = Node::apply(Function::Factorial, vec![node]);
                } else if parser.is_sign("'") && matches!(node, Node::Symbol(_)) {
                    parser.at += 1;
                    node = primed(node);
                } else if parser.eat("%") {
                    node = Node::Quantity(Box::new((!is_measured).then_some(node)?), Unit::Percent);
                } else {
                    return Some(node);
                }
            }
        })
    }

    /// Whether a `!` ends a sentence: `The answer is 9!` at the end of prose.
    fn is_exclamation(&self) -> bool {
        self.mode == Mode::Prose && (self.at + 1 == self.limit || self.tokens[self.at + 1].spaced)
    }

    /// Takes `°`, `^\circ` or `^{\circ}`.
    fn eat_degree(&mut self) -> bool {
        let length = if self.is_sign("°") {
            1
        } else if self.is_sign("^") && self.is_sign_at(self.at + 1, "°") {
            2
        } else if self.is_sign("^") && self.is_sign_at(self.at + 1, "{") && self.is_sign_at(self.at + 2, "°") {
            3 + usize::from(self.is_sign_at(self.at + 3, "}"))
        } else {
            return false;
        };
        self.at += length;
        true
    }

    /// Parses an exponent: braces, or one signed atom.
    fn exponent(&mut self) -> Option<Node> {
        if self.is_sign("{") {
            return self.braces();
        }
        if self.eat("-") {
            return self.exponent().map(Node::negated);
        }
        // `9^9^9` is read from the right.
        let base = self.atom()?;
        if self.eat("^") { Some(Node::power(base, self.exponent()?)) } else { Some(base) }
    }

    /// Parses one atom.
    pub(super) fn atom(&mut self) -> Option<Node> {
        self.atoms += 1;
        if self.atoms > MAX_ATOMS {
            return None;
        }
        let kind = self.kind()?.clone();
        match kind {
            Kind::Number(literal, digits) => self.number(literal, &digits),
            Kind::Name(name) => self.name(&name),
            Kind::Function(function) => self.function(function),
            Kind::Structure(name) => self.structure(name),
            Kind::Command(name) => self.command(&name),
            Kind::Word(word) => self.word(&word),
            Kind::Sign(sign) => self.bracket(sign),
        }
    }

    fn number(&mut self, literal: Literal, digits: &Digits) -> Option<Node> {
        self.at += 1;
        if let Some(node) = self.attempt(|parser| parser.mixed(&literal, digits)) {
            return Some(node);
        }
        if self.is_sign("_") {
            return self.attempt(|parser| parser.base(digits));
        }
        if let Some(repeating) = self.attempt(|parser| parser.repeating(&literal)) {
            return Some(repeating);
        }
        Some(Node::Number(literal))
    }

    /// Parses the fraction behind a whole number: `3 1/2`, `3\frac{1}{2}`, `3½`.
    fn mixed(&mut self, whole: &Literal, digits: &Digits) -> Option<Node> {
        if !digits.is_plain {
            return None;
        }
        let fraction = match self.kind()?.clone() {
            Kind::Number(fraction, how) if how.text.is_empty() => {
                self.at += 1;
                fraction.value
            }
            Kind::Number(numerator, how) if how.is_plain && self.is_spaced() => {
                self.at += 1;
                self.eat("/").then_some(())?;
                let Some(Kind::Number(denominator, how)) = self.kind().cloned() else { return None };
                self.at += 1;
                how.is_plain.then(|| number::quotient(&numerator.value, &denominator.value))??
            }
            Kind::Structure("frac") => {
                let begin = self.at;
                let node = self.structure("frac")?;
                let is_plain = |token: &Token| match &token.kind {
                    Kind::Number(_, digits) => digits.is_plain && digits.text.len() <= 3,
                    Kind::Sign("{" | "}") | Kind::Structure(_) => true,
                    _ => false,
                };
                self.tokens[begin..self.at].iter().all(is_plain).then_some(())?;
                let value = node.as_number()?.clone();
                // A fraction above 1 is a factor.
                (value < number::small(1) && value > number::small(0)).then_some(value)?
            }
            _ => return None,
        };
        Some(Node::number(&whole.value + fraction))
    }

    /// Parses the base of a number: `110_2`, `110_{two}`.
    fn base(&mut self, digits: &Digits) -> Option<Node> {
        self.eat("_").then_some(())?;
        let braced = self.eat("{");
        let base = match self.kind()? {
            Kind::Number(base, _) => number::whole(&base.value)?,
            Kind::Word(word) => word_number(word)?,
            _ => return None,
        };
        self.at += 1;
        if braced {
            self.eat("}").then_some(())?;
        }
        if !(2..=36).contains(&base) {
            return None;
        }
        let value = number::in_base(&digits.text, base)?;
        Some(if base == 10 { Node::number(value) } else { Node::Based { value, base, digits: digits.text.clone() } })
    }

    /// Parses the period of a decimal: `0.1\overline{6}`.
    fn repeating(&mut self, literal: &Literal) -> Option<Node> {
        let places = literal.decimals.map_or(0, |decimals| decimals.places);
        if places == 0 {
            self.eat(".").then_some(())?;
        }
        if !matches!(self.kind(), Some(Kind::Structure("accent"))) {
            return None;
        }
        self.at += 1;
        self.eat("{").then_some(())?;
        let Some(Kind::Number(period, digits)) = self.kind().cloned() else { return None };
        self.at += 1;
        self.eat("}").then_some(())?;
        let length = i32::try_from(digits.text.len()).ok().filter(|length| *length < 40 && digits.is_plain)?;
        let nines = number::power_of_ten(length) - number::small(1);
        let tail = period.value / nines * number::power_of_ten(-i32::try_from(places).ok()?);
        Some(Node::number(&literal.value + tail))
    }

    fn name(&mut self, name: &str) -> Option<Node> {
        self.at += 1;
        match name {
            "pi" => return Some(Node::Constant(Constant::Pi)),
            "e" if !self.is_sign("_") => return Some(Node::Constant(Constant::E)),
            "i" if !self.is_sign("_") => return Some(Node::Constant(Constant::I)),
            _ => {}
        }
        let symbol = self.subscripted(name);
        const FUNCTIONS: [&str; 10] = ["f", "g", "h", "F", "G", "H", "P", "W", "phi", "psi"];
        if FUNCTIONS.contains(&name) && self.is_sign("(") && !self.is_spaced() {
            self.at += 1;
            let arguments = self.answer()?;
            self.eat(")").then_some(())?;
            return Some(Node::Call(symbol, super::members(arguments)));
        }
        if FUNCTIONS.contains(&name) && self.is_sign("{") && self.is_sign_at(self.at + 1, "(") {
            // `f{\left(x\right)}`, as SymPy writes it.
            let argument = self.braces()?;
            return Some(Node::Call(symbol, super::members(argument)));
        }
        Some(Node::Symbol(symbol))
    }

    /// Returns a name with its subscript: `x_1`, `x_{12}`, `a_{n-1}`, `x1`.
    pub(super) fn subscripted(&mut self, name: &str) -> String {
        if self.is_sign("_") {
            let begin = self.at;
            self.at += 1;
            let braced = self.is_sign("{");
            let first = self.at + usize::from(braced);
            let mut depth = u32::from(braced);
            self.at = first;
            loop {
                if self.is_sign("{") {
                    depth += 1;
                } else if self.is_sign("}") {
                    depth = depth.saturating_sub(1);
                }
                if self.is_at_end() || (braced && depth == 0) {
                    break;
                }
                self.at += 1;
                if !braced {
                    break;
                }
            }
            let text: String = self.tokens[first..self.at].iter().map(spelling).collect();
            self.at += usize::from(braced && !self.is_at_end());
            return if self.at > begin { format!("{name}_{text}") } else { name.to_owned() };
        }
        if let Some(Kind::Number(_, digits)) = self.kind()
            && digits.is_plain
            && !self.is_spaced()
            && name.len() == 1
        {
            let text = digits.text.clone();
            self.at += 1;
            return format!("{name}_{text}");
        }
        name.to_owned()
    }

    fn function(&mut self, function: Function) -> Option<Node> {
        self.at += 1;
        let mut function = function;
        let mut base = None;
        let mut exponent = None;
        if self.eat("_") {
            base = Some(if self.is_sign("{") { self.braces()? } else { self.atom()? });
        }
        if self.is_sign("^") && !self.is_sign_at(self.at + 1, "°") {
            self.at += 1;
            exponent = Some(self.exponent()?);
        }
        if exponent.as_ref().and_then(Node::as_number).is_some_and(|number| *number == number::small(-1))
            && let Some(inverse) = inverse(function)
        {
            (function, exponent) = (inverse, None);
        }
        let mut arguments = self.function_arguments()?;
        if let Some(base) = base {
            arguments.insert(0, base);
        }
        let value = Node::apply(function, arguments);
        Some(exponent.map_or(value.clone(), |exponent| Node::power(value, exponent)))
    }

    /// Parses arguments in parentheses, or the factors up to the next function or sign.
    fn function_arguments(&mut self) -> Option<Vec<Node>> {
        if self.is_sign("(") {
            self.at += 1;
            let node = self.answer()?;
            self.eat(")").then_some(())?;
            return Some(super::members(node));
        }
        let negative = self.eat("-");
        let mut factors = vec![self.power()?];
        loop {
            let is_factor = match self.kind() {
                Some(Kind::Name(_)) => self.mode == Mode::Expression || !self.is_spaced(),
                Some(Kind::Structure("frac" | "sqrt")) => true,
                _ => false,
            };
            if !is_factor {
                break;
            }
            let Some(factor) = self.attempt(Self::power) else { break };
            factors.push(factor);
        }
        let product = Node::product(factors);
        Some(vec![if negative { product.negated() } else { product }])
    }

    /// Parses an unknown command with its arguments in braces.
    fn command(&mut self, name: &str) -> Option<Node> {
        self.at += 1;
        let name = self.subscripted(name);
        let mut arguments = Vec::new();
        while self.is_sign("{") {
            arguments.push(self.braces()?);
        }
        Some(if arguments.is_empty() { Node::Symbol(name) } else { Node::Call(name, arguments) })
    }

    /// Parses letters in a row, as a product of variables.
    fn word(&mut self, word: &str) -> Option<Node> {
        if self.mode == Mode::Prose {
            return None;
        }
        if self.is_sign_at(self.at + 1, "(") && !self.tokens[self.at + 1].spaced {
            // A function with a longer name: `Var(X)`, `arccot(5)`.
            self.at += 2;
            let arguments = self.answer()?;
            return self.eat(")").then(|| Node::Call(word.to_owned(), super::members(arguments)));
        }
        if !unit::is_product(word) {
            return None;
        }
        self.at += 1;
        let mut letters: Vec<String> = word.chars().map(String::from).collect();
        let last = letters.pop().expect("a word has letters");
        let constant = |letter: &str| match letter {
            "e" => Node::Constant(Constant::E),
            "i" => Node::Constant(Constant::I),
            other => Node::Symbol(other.to_owned()),
        };
        let mut factors: Vec<Node> = letters.iter().map(|letter| constant(letter)).collect();
        let subscripted = self.subscripted(&last);
        factors.push(if subscripted == last { constant(&last) } else { Node::Symbol(subscripted) });
        Some(Node::product(factors))
    }
}

fn primed(node: Node) -> Node {
    if let Node::Symbol(name) = node { Node::Symbol(format!("{name}'")) } else { node }
}

fn inverse(function: Function) -> Option<Function> {
    Some(match function {
        Function::Sin => Function::Arcsin,
        Function::Cos => Function::Arccos,
        Function::Tan => Function::Arctan,
        _ => return None,
    })
}

fn word_number(word: &str) -> Option<u32> {
    const WORDS: [&str; 15] = [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
        "fourteen", "fifteen", "sixteen",
    ];
    WORDS.iter().position(|known| *known == word.to_lowercase()).and_then(|at| u32::try_from(at + 2).ok())
}

/// Returns a token in a canonical spelling, for subscripts.
fn spelling(token: &Token) -> String {
    match &token.kind {
        Kind::Number(literal, _) => literal.value.to_string(),
        Kind::Name(text) | Kind::Word(text) | Kind::Command(text) => text.clone(),
        Kind::Function(function) => format!("{function:?}").to_lowercase(),
        Kind::Sign("{" | "}") => String::new(),
        Kind::Sign(text) | Kind::Structure(text) => (*text).to_owned(),
    }
}

/// Returns the value of a number word of prose; used by units such as `dozen`.
pub(super) fn scaled(node: &Node, factor: i64) -> Option<Node> {
    let value: Rational = node.as_number()? * number::small(factor);
    Some(Node::number(value))
}
