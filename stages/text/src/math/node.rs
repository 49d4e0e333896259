//! What an expression means: its tree.

use super::number::{self, Rational};
use super::unit::Unit;
use num_traits::{One, Signed, Zero};

/// A part of an answer. Differences and quotients are sums and products with negative terms and powers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// An exact number.
    Number(Literal),
    /// A number in a base other than ten.
    Based {
        value: Rational,
        base: u32,
        digits: String,
    },
    Constant(Constant),
    /// A variable or another name: `x`, `x_1`, `alpha`.
    Symbol(String),
    Sum(Vec<Node>),
    Product(Vec<Node>),
    Power(Box<Node>, Box<Node>),
    Apply(Function, Vec<Node>),
    /// An unknown function or operator with its arguments.
    Call(String, Vec<Node>),
    Matrix(Vec<Vec<Node>>),
    /// Members in brackets: a tuple, an interval, or a set.
    Group(Group),
    /// Members without brackets, in any order. Two whole numbers may also be one with a decimal comma.
    List(Vec<Node>, Option<Rational>),
    /// A chain of relations: `a < b <= c`; the first member may be [`Node::Nothing`].
    Relation(Vec<Node>, Vec<Rel>),
    /// A union of sets.
    Union(Vec<Node>),
    /// The first plus and minus the second; `∓` has the order reversed.
    PlusMinus(Box<Node>, Box<Node>, Branch),
    Quantity(Box<Node>, Unit),
    /// `a : b`, a ratio or a time of day.
    Ratio(Vec<Node>),
    /// The empty set, no solution.
    Empty,
    /// What is left out: the left side of `< 5`.
    Nothing,
}

/// A number as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal {
    pub(super) value: Rational,
    /// Digits after the decimal point, if it is written with one, and significant digits.
    pub(super) decimals: Option<Decimals>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimals {
    pub(super) places: u32,
    pub(super) significant: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constant {
    Pi,
    E,
    I,
    Infinity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Ln,
    /// Of one argument the natural logarithm, of two that of the second to the base of the first.
    Log,
    Lg,
    Exp,
    Max,
    Min,
    Gcd,
    Lcm,
    Abs,
    Floor,
    Ceil,
    Factorial,
    Binomial,
    /// The principal root: degree, radicand.
    Root,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Group {
    pub(super) open: char,
    pub(super) close: char,
    pub(super) members: Vec<Node>,
}

impl Group {
    pub(super) fn is_set(&self) -> bool {
        self.open == '{'
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rel {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Approx,
    Congruent,
    In,
}

impl Rel {
    /// Returns the relation with its sides exchanged.
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            other => other,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Branch {
    PlusFirst,
    MinusFirst,
}

impl Node {
    pub(super) fn number(value: Rational) -> Self {
        Self::Number(Literal { value, decimals: None })
    }

    pub(super) fn small(value: i64) -> Self {
        Self::number(number::small(value))
    }

    /// Returns its value if it is a number.
    pub(super) fn as_number(&self) -> Option<&Rational> {
        if let Self::Number(literal) = self { Some(&literal.value) } else { None }
    }

    /// Adds; numbers become one number.
    pub(super) fn sum(terms: Vec<Node>) -> Self {
        fold(
            terms,
            Rational::zero(),
            |one, two| one + two,
            Self::Sum,
            |node| match node {
                Self::Sum(terms) => Ok(terms),
                other => Err(other),
            },
        )
    }

    /// Multiplies; numbers become one number.
    pub(super) fn product(factors: Vec<Node>) -> Self {
        if let Some(literal) = scientific(&factors) {
            return Self::Number(literal);
        }
        if factors.iter().any(|factor| factor.as_number().is_some_and(Zero::is_zero))
            && factors.iter().all(|factor| factor.as_number().is_some())
        {
            return Self::small(0);
        }
        fold(
            factors,
            Rational::one(),
            |one, two| one * two,
            Self::Product,
            |node| match node {
                Self::Product(factors) => Ok(factors),
                other => Err(other),
            },
        )
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Number(Literal { value, decimals }) => Self::Number(Literal { value: -value, decimals }),
            Self::Quantity(value, unit) => Self::Quantity(Box::new(value.negated()), unit),
            Self::Matrix(rows) => {
                let negate = |row: Vec<Self>| row.into_iter().map(Self::negated).collect();
                Self::Matrix(rows.into_iter().map(negate).collect())
            }
            Self::PlusMinus(one, two, branch) => {
                let branch = if branch == Branch::PlusFirst { Branch::MinusFirst } else { Branch::PlusFirst };
                Self::PlusMinus(Box::new(one.negated()), two, branch)
            }
            other => Self::product(vec![Self::small(-1), other]),
        }
    }

    /// Raises to a power.
    pub(super) fn power(base: Node, exponent: Node) -> Self {
        if let (Some(one), Some(two)) = (base.as_number(), exponent.as_number())
            && let Some(power) = number::power(one, two)
        {
            return Self::number(power);
        }
        Self::Power(Box::new(base), Box::new(exponent))
    }

    /// Divides; a division by 0 stays a power of 0, which has no value.
    pub(super) fn quotient(one: Node, two: Node) -> Self {
        if let (Some(one), Some(two)) = (one.as_number(), two.as_number())
            && let Some(quotient) = number::quotient(one, two)
        {
            return Self::number(quotient);
        }
        Self::product(vec![one, Self::power(two, Self::small(-1))])
    }

    /// Applies a function, and computes it where the result is exact.
    pub(super) fn apply(function: Function, arguments: Vec<Node>) -> Self {
        let numbers: Option<Vec<&Rational>> = arguments.iter().map(Self::as_number).collect();
        let value = match (function, numbers.as_deref()) {
            (Function::Factorial, Some([n])) => number::factorial(n),
            (Function::Binomial, Some([n, k])) => number::binomial(n, k),
            (Function::Abs, Some([n])) => Some(n.abs()),
            (Function::Floor, Some([n])) => Some(number::floor(n)),
            (Function::Ceil, Some([n])) => Some(-number::floor(&-*n)),
            (Function::Root, Some([degree, radicand])) => {
                number::whole(degree).and_then(|degree| number::root(radicand, degree))
            }
            (Function::Max, Some([_, ..])) => numbers.and_then(|all| all.into_iter().max().cloned()),
            (Function::Min, Some([_, ..])) => numbers.and_then(|all| all.into_iter().min().cloned()),
            _ => None,
        };
        value.map_or(Self::Apply(function, arguments), Self::number)
    }
}

/// Multiplies a decimal by a power of ten, which moves its point: `3.98 \cdot 10^{-6}` has three significant digits.
fn scientific(factors: &[Node]) -> Option<Literal> {
    let [Node::Number(Literal { value, decimals: Some(decimals) }), Node::Number(power)] = factors else { return None };
    let exponent = number::exponent_of_ten(&power.value)?;
    let places = u32::try_from(i64::from(decimals.places) - i64::from(exponent)).ok();
    let decimals = places.map(|places| Decimals { places, ..*decimals });
    Some(Literal { value: number::bounded(value * &power.value)?, decimals })
}

/// Flattens nested sums or products, and combines their numbers.
fn fold(
    parts: Vec<Node>,
    neutral: Rational,
    combine: fn(&Rational, &Rational) -> Rational,
    wrap: fn(Vec<Node>) -> Node,
    flatten: fn(Node) -> Result<Vec<Node>, Node>,
) -> Node {
    let mut flat: Vec<Node> = Vec::with_capacity(parts.len());
    for part in parts {
        match flatten(part) {
            Ok(inner) => flat.extend(inner),
            Err(other) => flat.push(other),
        }
    }
    if flat.len() == 1 {
        return flat.remove(0);
    }
    let mut constant = neutral.clone();
    let mut rest = Vec::with_capacity(flat.len());
    for part in flat {
        match part.as_number().and_then(|value| number::bounded(combine(&constant, value))) {
            Some(combined) => constant = combined,
            None => rest.push(part),
        }
    }
    if rest.is_empty() {
        return Node::number(constant);
    }
    if constant != neutral {
        rest.insert(0, Node::number(constant));
    }
    if rest.len() == 1 { rest.remove(0) } else { wrap(rest) }
}
