//! Brackets: groups, tuples, intervals, sets, absolute values, floors.

use super::super::node::{Constant, Function, Node};
use super::{Parser, absolute, group};

impl Parser {
    /// Parses what begins with a sign.
    pub(super) fn bracket(&mut self, sign: &'static str) -> Option<Node> {
        match sign {
            "(" | "[" => self.round(sign),
            "{" => {
                let node = self.braces()?;
                // `{1, 3}` without backslashes is meant as a set.
                Some(if let Node::List(..) = node { group('{', '}', node) } else { node })
            }
            "\\{" => self.set(),
            "|" => {
                self.at += 1;
                self.bars += 1;
                let inner = self.sum();
                self.bars -= 1;
                let inner = inner?;
                self.eat("|").then(|| absolute(inner))
            }
            "⌊" => self.rounded("⌋", Function::Floor),
            "⌈" => self.rounded("⌉", Function::Ceil),
            "∞" => {
                self.at += 1;
                Some(Node::Constant(Constant::Infinity))
            }
            "∅" => {
                self.at += 1;
                Some(Node::Empty)
            }
            "…" => {
                self.at += 1;
                Some(Node::Symbol("…".to_owned()))
            }
            _ => None,
        }
    }

    /// Parses a group in braces, which LaTeX does not show.
    pub(super) fn braces(&mut self) -> Option<Node> {
        self.eat("{").then_some(())?;
        let node = self.inside(Self::answer)?;
        while self.eat(".") || self.eat(",") {}
        self.eat("}").then_some(node)
    }

    fn round(&mut self, sign: &str) -> Option<Node> {
        self.at += 1;
        let node = self.inside(Self::answer)?;
        let open = if sign == "(" { '(' } else { '[' };
        let close = if self.eat(")") {
            ')'
        } else if self.eat("]") {
            ']'
        } else {
            return None;
        };
        match node {
            Node::List(..) => Some(group(open, close, node)),
            // Brackets of two kinds around one member are no interval.
            _ if (open == '(') != (close == ')') => None,
            _ => Some(node),
        }
    }

    fn set(&mut self) -> Option<Node> {
        self.at += 1;
        if self.eat("\\}") {
            return Some(Node::Empty);
        }
        self.bars += 1;
        let node = self.deeper(Self::answer);
        self.bars -= 1;
        let node = node?;
        // A set by its condition: `{x | x > 3}` is what the condition says.
        if (self.is_sign("|") || self.is_sign(":")) && !matches!(node, Node::List(..)) {
            self.at += 1;
            let condition = self.answer()?;
            return self.eat("\\}").then_some(condition);
        }
        self.eat("\\}").then(|| group('{', '}', node))
    }

    fn rounded(&mut self, close: &str, function: Function) -> Option<Node> {
        self.at += 1;
        let inner = self.sum()?;
        self.eat(close).then(|| Node::apply(function, vec![inner]))
    }
}
