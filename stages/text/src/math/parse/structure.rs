//! LaTeX structures: fractions, roots, matrices, sums and the like.

use super::super::node::{Function, Node};
use super::super::number;
use super::super::token::Kind;
use super::Parser;

/// The most entries of a matrix, and rows and columns of matrices that are multiplied.
const MAX_ENTRIES: usize = 256;

impl Parser {
    /// Parses what begins with the command `name`.
    pub(super) fn structure(&mut self, name: &'static str) -> Option<Node> {
        self.at += 1;
        match name {
            "frac" => {
                let numerator = self.argument()?;
                let denominator = self.argument()?;
                Some(Node::quotient(numerator, denominator))
            }
            "binom" => {
                let (one, two) = (self.argument()?, self.argument()?);
                Some(Node::apply(Function::Binomial, vec![one, two]))
            }
            "sqrt" | "cbrt" => self.root(name),
            "accent" => {
                let argument = self.argument()?;
                Some(Node::Call("accent".to_owned(), vec![argument]))
            }
            "figure" => {
                let argument = self.atom()?;
                Some(Node::Call("figure".to_owned(), vec![argument]))
            }
            "sum" | "prod" | "int" | "lim" => self.operator(name),
            "begin" => self.environment(),
            _ => None,
        }
    }

    /// Parses an argument: braces, or one token, of a number its first digit.
    fn argument(&mut self) -> Option<Node> {
        if self.is_sign("{") {
            return self.braces();
        }
        if let Some(Kind::Number(_, digits)) = self.kind().cloned()
            && digits.is_plain
            && digits.text.len() > 1
        {
            let (first, rest) = digits.text.split_at(1);
            let first = number::in_base(first, 10)?;
            let value = number::in_base(rest, 10)?;
            let token = &mut self.tokens[self.at];
            let mut left = digits.clone();
            rest.clone_into(&mut left.text);
            token.kind = Kind::Number(super::super::node::Literal { value, decimals: None }, left);
            token.spaced = false;
            return Some(Node::number(first));
        }
        self.atom()
    }

    fn root(&mut self, name: &str) -> Option<Node> {
        let mut degree = Node::small(if name == "cbrt" { 3 } else { 2 });
        if self.is_sign("[") {
            self.at += 1;
            degree = self.sum()?;
            self.eat("]").then_some(())?;
        }
        let radicand = if self.is_sign("{") { self.braces()? } else { self.atom()? };
        Some(Node::apply(Function::Root, vec![degree, radicand]))
    }

    /// Parses a sum, a product, an integral or a limit: its bounds, then its body.
    fn operator(&mut self, name: &str) -> Option<Node> {
        let mut arguments = Vec::new();
        while self.is_sign("_") || self.is_sign("^") {
            self.at += 1;
            let bound = if self.is_sign("{") {
                self.at += 1;
                let bound = self.answer()?;
                // `n \to \infty`
                if self.eat("→") {
                    arguments.push(self.answer()?);
                }
                self.eat("}").then_some(bound)?
            } else {
                self.atom()?
            };
            arguments.push(bound);
        }
        // `\sum -x` has a sign before its body.
        let is_negative = self.eat("-");
        let body = self.product()?;
        arguments.push(if is_negative { body.negated() } else { body });
        Some(Node::Call(name.to_owned(), arguments))
    }

    /// Parses `\begin{…}`: a matrix, or lines of an answer.
    fn environment(&mut self) -> Option<Node> {
        let name = self.environment_name()?;
        if !matches!(name.as_str(), "pmatrix" | "bmatrix" | "vmatrix" | "matrix" | "array" | "Bmatrix" | "smallmatrix")
        {
            let node = self.deeper(Self::answer)?;
            while self.eat("\\\\") || self.eat(".") || self.eat(",") || self.eat("&") {}
            return self.end().then_some(node);
        }
        if name == "array" && self.is_sign("{") {
            while !self.is_at_end() && !self.eat("}") {
                self.at += 1;
            }
        }
        let mut rows: Vec<Vec<Node>> = vec![Vec::new()];
        let mut entries = 0;
        loop {
            entries += 1;
            let entry = self.deeper(Self::sum)?;
            rows.last_mut().expect("a row has begun").push(entry);
            let ended_row = self.eat("\\\\");
            if self.end() {
                break;
            }
            if ended_row {
                rows.push(Vec::new());
            } else if !self.eat("&") || entries > MAX_ENTRIES {
                return None;
            }
        }
        let width = rows[0].len();
        if rows.iter().any(|row| row.len() != width) {
            return None;
        }
        Some(if name == "vmatrix" {
            Node::Call("det".to_owned(), vec![Node::Matrix(rows)])
        } else {
            Node::Matrix(rows)
        })
    }

    fn environment_name(&mut self) -> Option<String> {
        self.eat("{").then_some(())?;
        let mut name = String::new();
        while !self.is_at_end() && !self.eat("}") {
            if let Some(Kind::Word(word) | Kind::Name(word)) = self.kind() {
                name.push_str(word);
            }
            self.at += 1;
        }
        Some(name)
    }

    /// Takes `\end{…}`.
    fn end(&mut self) -> bool {
        if !matches!(self.kind(), Some(Kind::Structure("end"))) {
            return false;
        }
        self.at += 1;
        self.environment_name().is_some()
    }
}

/// Adds terms of which some are matrices.
pub(super) fn add(terms: Vec<Node>) -> Node {
    let mut sum: Option<Vec<Vec<Node>>> = None;
    for term in &terms {
        let Node::Matrix(rows) = term else { return Node::Sum(terms) };
        sum = match sum {
            None => Some(rows.clone()),
            Some(before) if before.len() == rows.len() && before[0].len() == rows[0].len() => {
                let added = |(one, two): (&Node, &Node)| Node::sum(vec![one.clone(), two.clone()]);
                Some(before.iter().zip(rows).map(|(one, two)| one.iter().zip(two).map(added).collect()).collect())
            }
            Some(_) => return Node::Sum(terms),
        };
    }
    Node::Matrix(sum.unwrap_or_default())
}

/// Multiplies factors of which some are matrices.
pub(super) fn multiply(factors: Vec<Node>) -> Node {
    let mut product: Option<Node> = None;
    for factor in factors {
        product = Some(match (product, factor) {
            (None, factor) => factor,
            (Some(Node::Matrix(one)), Node::Matrix(two)) => matrix_by_matrix(&one, &two),
            (Some(Node::Matrix(rows)), factor) | (Some(factor), Node::Matrix(rows)) => {
                let scaled = |entry: Node| Node::product(vec![factor.clone(), entry]);
                Node::Matrix(rows.into_iter().map(|row| row.into_iter().map(scaled).collect()).collect())
            }
            (Some(one), two) => Node::product(vec![one, two]),
        });
    }
    product.unwrap_or_else(|| Node::small(1))
}

fn matrix_by_matrix(one: &[Vec<Node>], two: &[Vec<Node>]) -> Node {
    let fits = one.first().is_some_and(|row| row.len() == two.len()) && one.len() * two.len() <= 64;
    if !fits {
        return Node::Product(vec![Node::Matrix(one.to_vec()), Node::Matrix(two.to_vec())]);
    }
    let entry = |row: &[Node], column: usize| {
        Node::sum(
            row.iter().zip(two).map(|(left, right)| Node::product(vec![left.clone(), right[column].clone()])).collect(),
        )
    };
    Node::Matrix(one.iter().map(|row| (0..two[0].len()).map(|column| entry(row, column)).collect()).collect())
}
