//! Products: factors with signs between them, and factors that stand side by side.

use super::super::node::Node;
use super::super::token::Kind;
use super::{Mode, Parser, structure, unit};

impl Parser {
    pub(super) fn product(&mut self) -> Option<Node> {
        let mut factors = vec![self.power()?];
        loop {
            let next = self.attempt(|parser| {
                if parser.eat("*") {
                    return parser.signed_power();
                }
                if parser.eat("/") {
                    return parser.signed_power().map(|divisor| Node::quotient(Node::small(1), divisor));
                }
                if parser.is_times_letter() {
                    parser.at += 1;
                    return parser.power();
                }
                parser.follows_directly().then_some(())?;
                let is_apart = parser.is_sign("[") && parser.is_spaced();
                // `x [0, 1)` is no product.
                parser.power().filter(|factor| !(is_apart && matches!(factor, Node::Group(_))))
            });
            let Some(factor) = next else { break };
            factors.push(factor);
        }
        Some(matrix_product(factors))
    }

    fn signed_power(&mut self) -> Option<Node> {
        self.deeper(|parser| if parser.eat("-") { parser.signed_power().map(Node::negated) } else { parser.power() })
    }

    /// Whether the next token is the `x` of `5 x 10`.
    fn is_times_letter(&self) -> bool {
        let is_number = |at: usize| matches!(self.kind_at(at), Some(Kind::Number(..)));
        matches!(self.kind(), Some(Kind::Name(name)) if name == "x" || name == "X")
            && self.at > 0
            && is_number(self.at - 1)
            && is_number(self.at + 1)
    }

    /// Whether the next token is a factor although no sign is before it.
    fn follows_directly(&self) -> bool {
        let after_number = self.at > 0 && matches!(self.tokens[self.at - 1].kind, Kind::Number(..));
        match self.kind() {
            Some(Kind::Name(_) | Kind::Command(_) | Kind::Sign("(")) => {
                self.mode == Mode::Expression || !self.is_spaced()
            }
            Some(Kind::Function(_) | Kind::Sign("{" | "⌊" | "⌈")) => true,
            Some(Kind::Structure(name)) => !matches!(*name, "end" | "mod"),
            Some(Kind::Word(word)) => {
                self.mode == Mode::Expression && (unit::is_product(word) || self.is_sign_at(self.at + 1, "("))
            }
            Some(Kind::Number(..)) => {
                let is_base = self.is_sign_at(self.at + 1, "^");
                !after_number && self.mode == Mode::Expression && (!self.is_after_letter() || is_base)
            }
            Some(Kind::Sign("|")) => self.bars == 0 && self.mode == Mode::Expression && self.has_closing_bar(),
            Some(Kind::Sign("[")) => self.mode == Mode::Expression,
            _ => false,
        }
    }

    fn is_after_letter(&self) -> bool {
        self.at > 0 && matches!(self.tokens[self.at - 1].kind, Kind::Name(_) | Kind::Word(_) | Kind::Command(_))
    }

    fn has_closing_bar(&self) -> bool {
        (self.at + 1..self.limit).any(|at| self.is_sign_at(at, "|"))
    }
}

/// Multiplies; matrices by the rules of matrices.
fn matrix_product(factors: Vec<Node>) -> Node {
    if factors.len() > 1 && factors.iter().any(|factor| matches!(factor, Node::Matrix(_))) {
        return structure::multiply(factors);
    }
    Node::product(factors)
}
