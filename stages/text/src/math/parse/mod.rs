//! Tokens to a tree: precedence climbing over tolerant rules, for LaTeX, Unicode and plain text alike.
//!
//! ```text
//! answer   = row (; row)*                row = item ((, | and | or) item)*
//! item     = set (relation set)*         set = sum (∪ sum)*
//! sum      = product ((+ | - | ±) product)*
//! product  = power (* | / | nothing) …   power = atom (^ exponent | ! | % | °)*
//! ```
//! Work is bounded by depth and by a number of atoms.

mod atom;
mod bracket;
mod product;
mod structure;
mod unit;

use super::node::{Branch, Function, Group, Node, Rel};
use super::token::{Kind, Token};

/// Deeper nesting is no answer.
const MAX_DEPTH: u32 = 48;

/// Atoms that are parsed at most for a text.
const MAX_ATOMS: u32 = 6_000;

/// Whether words are part of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The text is an expression: letters in a row are a product, words behind a number its unit.
    Expression,
    /// The text is prose with expressions in it.
    Prose,
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    /// Where the tokens end that may be read now.
    limit: usize,
    pub(super) mode: Mode,
    depth: u32,
    atoms: u32,
    /// Open bars of absolute values.
    bars: u32,
    /// Brackets around what is parsed; letters in them are no units.
    nested: u32,
}

impl Parser {
    pub(super) fn new(tokens: Vec<Token>, mode: Mode) -> Self {
        Self { at: 0, limit: tokens.len(), tokens, mode, depth: 0, atoms: 0, bars: 0, nested: 0 }
    }

    /// Parses all tokens as one answer.
    pub(super) fn whole(tokens: Vec<Token>, mode: Mode) -> Option<Node> {
        let mut parser = Self::new(tokens, mode);
        let node = parser.answer()?;
        while parser.eat(".") || parser.eat(",") || parser.eat(";") || parser.eat("\"") || parser.eat("\\\\") {}
        parser.is_at_end().then_some(node)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.limit
    }

    pub(super) fn kind(&self) -> Option<&Kind> {
        self.kind_at(self.at)
    }

    fn kind_at(&self, at: usize) -> Option<&Kind> {
        self.tokens[..self.limit].get(at).map(|token| &token.kind)
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        matches!(self.kind(), Some(Kind::Sign(found)) if *found == sign)
    }

    fn is_sign_at(&self, at: usize, sign: &str) -> bool {
        matches!(self.kind_at(at), Some(Kind::Sign(found)) if *found == sign)
    }

    pub(super) fn eat(&mut self, sign: &str) -> bool {
        let is_there = self.is_sign(sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn is_spaced(&self) -> bool {
        self.at < self.limit && self.tokens[self.at].spaced
    }

    /// Parses with `part`, and goes back to where it began if that fails.
    fn attempt<T>(&mut self, part: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let (at, bars) = (self.at, self.bars);
        let found = part(self);
        if found.is_none() {
            (self.at, self.bars) = (at, bars);
        }
        found
    }

    /// Parses what is in brackets: the bars outside have no meaning there.
    fn inside<T>(&mut self, part: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let bars = std::mem::take(&mut self.bars);
        self.nested += 1;
        let found = self.deeper(part);
        self.nested -= 1;
        self.bars = bars;
        found
    }

    fn deeper<T>(&mut self, part: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let found = part(self);
        self.depth -= 1;
        found
    }

    /// Parses rows that are separated by semicolons.
    pub(super) fn answer(&mut self) -> Option<Node> {
        let mut rows = vec![self.row()?];
        while self.is_sign(";") || self.is_sign("\\\\") {
            let Some(row) = self.attempt(|parser| {
                parser.at += 1;
                parser.row()
            }) else {
                break;
            };
            rows.push(row);
        }
        Some(if rows.len() == 1 { rows.remove(0) } else { Node::List(rows, None) })
    }

    /// Parses items that are separated by commas and words.
    fn row(&mut self) -> Option<Node> {
        let begin = self.at;
        let mut items = vec![self.item()?];
        let mut alternatives = false;
        loop {
            let next = self.attempt(|parser| {
                let comma = parser.eat(",");
                let or = parser.eat("or");
                let word = or || parser.eat("and");
                (comma || word).then_some(())?;
                parser.item().map(|item| (or, item))
            });
            let Some((or, item)) = next else { break };
            alternatives |= or;
            items.push(item);
        }
        if items.len() == 1 {
            return Some(items.remove(0));
        }
        let are_sets = items.iter().all(|item| matches!(item, Node::Relation(_, rels) if rels.iter().all(|rel| !matches!(rel, Rel::Equal | Rel::Approx))));
        if alternatives && are_sets {
            return Some(Node::Union(items));
        }
        let decimal = self.decimal_comma(begin);
        Some(Node::List(items, decimal))
    }

    /// Reads `1,22` as one number, if the row is just that.
    fn decimal_comma(&self, begin: usize) -> Option<super::number::Rational> {
        let negative = self.is_sign_at(begin, "-");
        let tokens = self.tokens.get(begin + usize::from(negative)..self.at)?;
        let [
            Token { kind: Kind::Number(one, digits), .. },
            comma,
            Token { kind: Kind::Number(two, places), spaced, .. },
        ] = tokens
        else {
            return None;
        };
        if !digits.is_plain || !places.is_plain || *spaced || comma.spaced {
            return None;
        }
        let places = i32::try_from(places.text.len()).ok()?;
        let value = &one.value + &two.value * super::number::power_of_ten(-places);
        Some(if negative { -value } else { value })
    }

    /// Parses a chain of relations.
    pub(super) fn item(&mut self) -> Option<Node> {
        self.deeper(|parser| {
            let mut members = Vec::new();
            let mut rels = Vec::new();
            // `= 7` and `≈ 7` are 7.
            if let Some(rel) = parser.relation_sign().filter(|rel| !matches!(rel, Rel::Equal | Rel::Approx | Rel::In)) {
                members.push(Node::Nothing);
                rels.push(rel);
            }
            members.push(parser.sets()?);
            while let Some(next) = parser.attempt(|parser| {
                let rel = parser.relation_sign()?;
                // An alignment mark before or after the sign.
                parser.eat("&");
                Some((rel, parser.sets()?))
            }) {
                rels.push(next.0);
                members.push(next.1);
            }
            Some(if rels.is_empty() { members.remove(0) } else { Node::Relation(members, rels) })
        })
    }

    fn relation_sign(&mut self) -> Option<Rel> {
        let at = if self.is_sign("&") { self.at + 1 } else { self.at };
        let Some(Kind::Sign(sign)) = self.kind_at(at) else { return None };
        let rel = match *sign {
            "=" => Rel::Equal,
            "!=" => Rel::NotEqual,
            "<" => Rel::Less,
            "<=" => Rel::LessEqual,
            ">" => Rel::Greater,
            ">=" => Rel::GreaterEqual,
            "~" => Rel::Approx,
            "≡" => Rel::Congruent,
            "∈" => Rel::In,
            _ => return None,
        };
        self.at = at + 1;
        Some(rel)
    }

    /// Parses a union of sets, or a ratio, or a sum, with its unit.
    fn sets(&mut self) -> Option<Node> {
        let mut parts = vec![self.quantity()?];
        while self.is_sign("∪") {
            let Some(part) = self.attempt(|parser| {
                parser.at += 1;
                parser.quantity()
            }) else {
                break;
            };
            parts.push(part);
        }
        let flat = |part: Node| if let Node::Union(parts) = part { parts } else { vec![part] };
        let mut node =
            if parts.len() == 1 { parts.remove(0) } else { Node::Union(parts.into_iter().flat_map(flat).collect()) };
        for (sign, name) in [("∩", "cap"), ("∖", "setminus")] {
            while self.is_sign(sign) {
                self.at += 1;
                node = Node::Call(name.to_owned(), vec![node, self.quantity()?]);
            }
        }
        if self.is_sign(":") {
            let mut members = vec![node];
            while let Some(next) = self.attempt(|parser| {
                parser.eat(":").then_some(())?;
                parser.sum()
            }) {
                members.push(next);
            }
            node = if members.len() == 1 { members.remove(0) } else { Node::Ratio(members) };
            self.day_half();
        }
        Some(node)
    }

    /// Skips `am` and `pm` behind a time.
    fn day_half(&mut self) {
        if let Some(Kind::Word(word)) = self.kind()
            && matches!(word.to_lowercase().as_str(), "am" | "pm")
        {
            self.at += 1;
            return;
        }
        // `a.m.`
        let is_half = |at: usize| {
            matches!(self.kind_at(at), Some(Kind::Name(name)) if matches!(name.as_str(), "a" | "p" | "A" | "P"))
                && self.is_sign_at(at + 1, ".")
        };
        if is_half(self.at) {
            self.at += 4.min(self.limit - self.at);
        }
    }

    /// Parses a sum.
    pub(super) fn sum(&mut self) -> Option<Node> {
        self.deeper(|parser| {
            let mut terms = vec![parser.signed()?];
            loop {
                let sign = ["+", "-", "±", "∓"].into_iter().find(|sign| parser.is_sign(sign));
                let Some(sign) = sign else { break };
                let next = parser.attempt(|parser| {
                    parser.at += 1;
                    parser.signed()
                });
                let Some(term) = next else { break };
                match sign {
                    "+" => terms.push(term),
                    "-" => terms.push(term.negated()),
                    _ => {
                        let branch = if sign == "±" { Branch::PlusFirst } else { Branch::MinusFirst };
                        let before = Node::sum(std::mem::take(&mut terms));
                        terms.push(Node::PlusMinus(Box::new(before), Box::new(term), branch));
                    }
                }
            }
            Some(if terms.iter().any(|term| matches!(term, Node::Matrix(_))) {
                structure::add(terms)
            } else {
                Node::sum(terms)
            })
        })
    }

    /// Parses a product with signs before it.
    fn signed(&mut self) -> Option<Node> {
        self.deeper(|parser| {
            if parser.eat("+") {
                return parser.signed();
            }
            if parser.eat("-") {
                return parser.signed().map(Node::negated);
            }
            for (sign, branch) in [("±", Branch::PlusFirst), ("∓", Branch::MinusFirst)] {
                if parser.eat(sign) {
                    let term = parser.signed()?;
                    return Some(Node::PlusMinus(Box::new(Node::small(0)), Box::new(term), branch));
                }
            }
            parser.product()
        })
    }
}

/// Returns the members of what was parsed in brackets.
fn members(node: Node) -> Vec<Node> {
    if let Node::List(members, _) = node { members } else { vec![node] }
}

fn group(open: char, close: char, node: Node) -> Node {
    Node::Group(Group { open, close, members: members(node) })
}

/// Returns the absolute value of a node.
fn absolute(node: Node) -> Node {
    Node::apply(Function::Abs, vec![node])
}
