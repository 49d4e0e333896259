//! A number with what is behind it: a unit, a noun, a scale such as `million`.

use super::super::node::Node;
use super::super::number::small;
use super::super::token::Kind;
use super::super::unit::{self, Dimensions, Unit};
use super::atom::scaled;
use super::{Mode, Parser};
use crate::math::number::Rational;

/// The longest run of letters that may be a product of variables.
const LONGEST_PRODUCT: usize = 4;

/// The most tokens before a unit.
const FARTHEST_UNIT: usize = 64;

/// Words that are no product of variables.
const PROSE: [&str; 68] = [
    "is", "it", "in", "to", "of", "on", "at", "by", "as", "an", "so", "we", "he", "be", "do", "if", "no", "up", "us",
    "my", "me", "the", "she", "her", "his", "has", "had", "are", "was", "for", "all", "any", "yes", "odd", "even",
    "true", "non", "per", "way", "ways", "am", "pm", "because", "since", "which", "but", "thus", "hence", "day",
    "days", "year", "mod", "none", "each", "both", "only", "from", "with", "that", "this", "then", "when", "where",
    "than", "les", "der", "die", "das",
];

/// Returns whether letters in a row may be a product of variables.
pub(super) fn is_product(word: &str) -> bool {
    let lower = word.to_lowercase();
    let is_capital = !word.chars().any(char::is_lowercase) && !matches!(lower.as_str(), "am" | "pm");
    let is_prose = || PROSE.contains(&lower.as_str()) && !is_capital;
    word.is_ascii() && word.len() <= LONGEST_PRODUCT && !is_prose()
}

/// The unit of angles.
pub(super) fn degree() -> Unit {
    let (factor, dimensions) = unit::known("°").expect("a row of the table");
    Unit::Known { factor, dimensions }
}

impl Parser {
    /// Parses a sum, and what its value counts or measures.
    pub(super) fn quantity(&mut self) -> Option<Node> {
        self.skip_dress();
        let begin = self.at;
        let mut node = self.attempt(|parser| parser.measured(begin)).or_else(|| {
            self.at = begin;
            self.sum()
        })?;
        // `5 hours 30 minutes`
        while let Node::Quantity(_, Unit::Known { .. }) = node {
            let Some(next) = self.attempt(|parser| {
                matches!(parser.kind(), Some(Kind::Number(..))).then_some(())?;
                parser.measured(parser.at)
            }) else {
                break;
            };
            node = added(node, next)?;
        }
        Some(node)
    }

    /// Skips words before a number that do not change it, and currencies.
    fn skip_dress(&mut self) {
        const DRESS: [&str; 22] = [
            "about",
            "approximately",
            "approx",
            "around",
            "roughly",
            "exactly",
            "precisely",
            "only",
            "just",
            "total",
            "ca",
            "circa",
            "rs",
            "usd",
            "eur",
            "us",
            "cny",
            "rmb",
            "约",
            "大约",
            "共",
            "ungefähr",
        ];
        while let Some(Kind::Word(word)) = self.kind()
            && DRESS.contains(&word.to_lowercase().as_str())
            && self.at + 1 < self.limit
        {
            self.at += 1;
            if self.is_sign(".") {
                self.at += 1;
            }
        }
    }

    /// Parses a number with a unit; the expression before the unit has no variables.
    fn measured(&mut self, begin: usize) -> Option<Node> {
        let value = self.sum_before_unit(begin)?;
        if let Some(Kind::Word(word)) = self.kind()
            && let Some(factor) = unit::scale(&word.to_lowercase())
        {
            self.at += 1;
            let value = scaled(&value, factor)?;
            self.eat("of");
            return Some(self.unit().map_or(value.clone(), |unit| Node::Quantity(Box::new(value), unit)));
        }
        let unit = self.unit()?;
        // `5 hours 30 minutes`
        let goes_on = matches!(unit, Unit::Known { .. }) && matches!(self.kind(), Some(Kind::Number(..)));
        (goes_on || self.ends_item()).then(|| Node::Quantity(Box::new(value), unit))
    }

    /// Whether nothing is behind a unit that would make it part of an expression.
    fn ends_item(&self) -> bool {
        match self.kind() {
            Some(Kind::Sign("+" | "*" | "/" | "^" | "_" | "(" | "{" | "±")) => false,
            Some(Kind::Sign("-")) => self.mode == Mode::Prose,
            Some(Kind::Sign(_)) | None => true,
            Some(_) => self.mode == Mode::Prose,
        }
    }

    /// Parses the tokens up to the first word or unit as a sum.
    fn sum_before_unit(&mut self, begin: usize) -> Option<Node> {
        let end = self.unit_begins(begin)?;
        let limit = std::mem::replace(&mut self.limit, end);
        let value = self.sum().filter(|_| self.is_at_end());
        self.limit = limit;
        value
    }

    /// Returns where the first unit of this item begins, if it has one that is not at its beginning.
    fn unit_begins(&self, begin: usize) -> Option<usize> {
        let mut open = 0_i32;
        for at in begin..self.limit.min(begin + FARTHEST_UNIT) {
            match &self.tokens[at].kind {
                _ if open == 0 && self.begins_unit(at) => return (at > begin).then_some(at),
                Kind::Sign("(" | "[" | "{" | "\\{") => open += 1,
                Kind::Sign(")" | "]" | "}" | "\\}") => open -= 1,
                Kind::Sign("," | ";" | "=" | "<" | ">" | "<=" | ">=" | "~" | "and" | "or" | "\\\\" | "∈" | "∪")
                    if open == 0 =>
                {
                    return None;
                }
                _ => {}
            }
            if open < 0 {
                return None;
            }
        }
        None
    }

    /// Whether a unit or a noun begins at a token.
    fn begins_unit(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        let after_value = at > 0
            && match &self.tokens[at - 1].kind {
                Kind::Number(..) | Kind::Sign(")" | "}" | "%" | "'" | "°") => true,
                Kind::Name(_) => self.mode == Mode::Expression,
                _ => false,
            };
        // `5m` may be a product, `5m²` and `5 m` are measures.
        let stands_apart = token.spaced || self.mode == Mode::Prose || self.is_sign_at(at + 1, "^");
        match &token.kind {
            Kind::Word(word) => {
                let is_letters =
                    !token.spaced && is_product(word) && unit::known(word).is_none() && self.mode == Mode::Expression;
                after_value && !is_letters
            }
            Kind::Name(_) => {
                let is_known = || self.unit_name(at).is_some_and(|(name, _)| unit::known(&name).is_some());
                after_value && stands_apart && self.nested == 0 && is_known() && !self.has_variables(at)
            }
            Kind::Structure("frac") => after_value && self.is_unit_fraction(at),
            Kind::Sign("(") => after_value && token.spaced && matches!(self.kind_at(at + 1), Some(Kind::Word(_))),
            _ => false,
        }
    }

    /// Whether there are variables before a token, so that a letter there is one too.
    fn has_variables(&self, end: usize) -> bool {
        self.tokens[..end].iter().any(|token| matches!(&token.kind, Kind::Name(name) if name != "pi"))
    }

    /// Whether `\frac{km}{h}` is at a token.
    fn is_unit_fraction(&self, at: usize) -> bool {
        let is_name = |at: usize| match self.kind_at(at) {
            Some(Kind::Word(name) | Kind::Name(name)) => unit::known(name).is_some(),
            _ => false,
        };
        self.is_sign_at(at + 1, "{") && is_name(at + 2)
    }

    /// Parses a unit: names with powers, products and quotients, or words.
    fn unit(&mut self) -> Option<Unit> {
        if let Some((factor, dimensions)) = self.attempt(Self::known_unit) {
            // What follows a known unit is a noun: `99\pi square inches`, `3 cups of milk`.
            self.words();
            return Some(Unit::Known { factor, dimensions });
        }
        let noun = self.words().or_else(|| self.attempt(Self::noun_in_parentheses))?;
        // `12 square inches` has a known unit behind an adjective.
        Some(Unit::Noun(noun))
    }

    /// Parses `(apples)` behind a number.
    fn noun_in_parentheses(&mut self) -> Option<String> {
        (self.is_spaced() && self.eat("(")).then_some(())?;
        let mut words = Vec::new();
        while let Some(Kind::Word(word)) = self.kind() {
            words.push(word.to_lowercase());
            self.at += 1;
        }
        (!words.is_empty() && self.eat(")")).then(|| words.join(" "))
    }

    fn known_unit(&mut self) -> Option<(Rational, Dimensions)> {
        let (mut power, mut unit) = (1, (small(1), [0; 10]));
        if let Some(Kind::Word(word)) = self.kind() {
            power = match word.to_lowercase().as_str() {
                "square" | "sq" | "平方" => 2,
                "cubic" | "cu" | "立方" => 3,
                _ => 1,
            };
            self.at += usize::from(power != 1);
        }
        let mut sign = 1;
        loop {
            let (factor, own) = self.unit_factor()?;
            unit = Unit::product(unit, factor, sign * own * power)?;
            power = 1;
            let is_per = matches!(self.kind(), Some(Kind::Word(word)) if word == "per");
            if self.is_sign("/") || is_per {
                self.at += 1;
                sign = -1;
            } else if self.is_sign("*") || self.is_unit_name() {
                self.eat("*");
            } else {
                return Some(unit);
            }
        }
    }

    /// Returns the name of a unit that may be at a token, and its tokens: `\\mu m` are two.
    fn unit_name(&self, at: usize) -> Option<(String, usize)> {
        let Some(Kind::Word(name) | Kind::Name(name)) = self.kind_at(at) else { return None };
        match self.kind_at(at + 1) {
            Some(Kind::Word(rest) | Kind::Name(rest)) if name == "mu" => Some((format!("μ{rest}"), 2)),
            _ => Some((name.clone(), 1)),
        }
    }

    fn is_unit_name(&self) -> bool {
        matches!(self.kind(), Some(Kind::Word(name) | Kind::Name(name)) if unit::known(name).is_some())
    }

    /// Parses a unit's name with its exponent, or a fraction of two.
    fn unit_factor(&mut self) -> Option<((Rational, Dimensions), i8)> {
        if matches!(self.kind(), Some(Kind::Structure("frac"))) {
            self.at += 1;
            let (one, two) = (self.unit_in_braces()?, self.unit_in_braces()?);
            return Some((Unit::product(one, two, -1)?, 1));
        }
        let (name, length) = self.unit_name(self.at)?;
        let name = name.as_str();
        let known = unit::known(name).or_else(|| unit::known(&name.to_lowercase()).filter(|_| name.len() > 2))?;
        self.at += length;
        let mut power = 1;
        if self.is_sign("^") {
            self.at += 1;
            let braced = self.eat("{");
            let negative = self.eat("-");
            let Some(Kind::Number(literal, _)) = self.kind() else { return None };
            let value = super::super::number::whole(&literal.value).and_then(|value| i8::try_from(value).ok())?;
            self.at += 1;
            power = if negative { -value } else { value };
            if braced {
                self.eat("}").then_some(())?;
            }
        }
        // `{m/s}^2` and abbreviations with a full stop.
        if self.is_sign(".") && self.at + 1 < self.limit && !self.tokens[self.at + 1].spaced {
            self.at += 1;
        }
        Some((known, power))
    }

    fn unit_in_braces(&mut self) -> Option<(Rational, Dimensions)> {
        let braced = self.eat("{");
        let (unit, power) = self.unit_factor()?;
        let unit = Unit::product((small(1), [0; 10]), unit, power)?;
        if braced {
            self.eat("}").then_some(())?;
        }
        Some(unit)
    }

    /// Takes the words of a noun. `None` if there are none, or one of them changes the number.
    fn words(&mut self) -> Option<String> {
        let mut words: Vec<String> = Vec::new();
        let limit = if self.mode == Mode::Prose { 1 } else { 12 };
        while words.len() < limit {
            let Some(Kind::Word(word)) = self.kind() else { break };
            let lower = word.to_lowercase();
            if unit::is_operation(&lower) || unit::scale(&lower).is_some() {
                return None;
            }
            if self.mode == Mode::Prose && PROSE.contains(&lower.as_str()) {
                break;
            }
            words.push(lower);
            self.at += 1;
            // `beats/lifetime`
            if self.is_sign("/") && matches!(self.kind_at(self.at + 1), Some(Kind::Word(_))) {
                self.at += 1;
            }
        }
        if words.is_empty() {
            return None;
        }
        if self.mode == Mode::Expression {
            self.skip_remark();
        }
        Some(words.join(" "))
    }

    /// Skips a remark in parentheses behind a noun: `5 apples (2 + 3)`.
    fn skip_remark(&mut self) {
        if !self.is_sign("(") || self.is_sign_at(self.at + 1, "or") || self.is_sign_at(self.at + 1, "not") {
            return;
        }
        if self.is_sign_at(self.limit - 1, ")") {
            self.at = self.limit;
        }
    }
}

/// Adds two quantities of the same dimensions, in the unit of the first.
fn added(one: Node, two: Node) -> Option<Node> {
    let (
        Node::Quantity(value, Unit::Known { factor, dimensions }),
        Node::Quantity(more, Unit::Known { factor: other, dimensions: others }),
    ) = (one, two)
    else {
        return None;
    };
    if dimensions != others {
        return None;
    }
    let ratio = Node::number(other / &factor);
    let sum = Node::sum(vec![*value, Node::product(vec![*more, ratio])]);
    Some(Node::Quantity(Box::new(sum), Unit::Known { factor, dimensions }))
}
