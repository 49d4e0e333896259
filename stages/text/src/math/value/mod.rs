//! The value of an expression at a point, in 256 bits: decides whether two expressions are the same function.
//!
//! Arithmetic is that of the crate `astro-float`, which gives the same bits on every machine. Variables get fixed
//! values: two expressions that agree to 200 bits at all points are equal, for no person and no model writes two
//! different ones that do.

mod complex;
mod functions;

use std::cell::{Cell, RefCell};

use astro_float_num::{BigFloat, Consts, RoundingMode};
use num_traits::{Signed, Zero};

use super::node::{Constant, Function, Node, Rel};
use super::number::{Rational, whole};
use super::unit::Unit;
pub(super) use complex::Complex;

/// Bits of the mantissa.
const PRECISION: usize = 256;
const ROUNDING: RoundingMode = RoundingMode::None;

/// Bits in which equal values agree.
const AGREE: i32 = 200;

/// The most terms of a sum.
const MAX_TERMS: u32 = 1_000;

/// The most operations for all values of a check. One takes a quarter of a microsecond or so.
const MAX_OPERATIONS: u32 = 20_000;

/// What a term of a sum counts as, beside its own operations.
const TERM: u32 = 8;

/// What a function such as the sine counts as, in operations.
const FUNCTION: u32 = 100;

thread_local! {
    // Digits of pi and the like, computed once a thread.
    static CONSTANTS: RefCell<Option<Consts>> = const { RefCell::new(None) };
    // Operations that are left for the check at hand.
    static LEFT: Cell<u32> = const { Cell::new(0) };
}

/// A choice of values for variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// Between 0 and 1, where inverse functions have values.
    Small,
    /// Between 1 and 4.
    Large,
    /// Below 0.
    Negative,
    /// Not real.
    Complex,
}

pub(super) const POINTS: [Point; 4] = [Point::Small, Point::Large, Point::Negative, Point::Complex];

/// Returns the value of an expression at a point; `None` if it has none, or costs too much.
pub(super) fn value(node: &Node, point: Point) -> Option<Complex> {
    CONSTANTS.with_borrow_mut(|constants| {
        if constants.is_none() {
            *constants = Consts::new().ok();
        }
        let constants = constants.as_mut()?;
        let value = Machine { constants, point, bound: Vec::new() }.value(node)?;
        value.is_finite().then_some(value)
    })
}

struct Machine<'a> {
    constants: &'a mut Consts,
    point: Point,
    /// Variables of sums with their values.
    bound: Vec<(String, Complex)>,
}

/// Begins a check, which may do so many operations.
pub(super) fn begin() {
    LEFT.set(MAX_OPERATIONS);
}

/// Takes operations from those that are left.
pub(super) fn spend(operations: u32) -> Option<()> {
    let left = LEFT.get().checked_sub(operations);
    LEFT.set(left.unwrap_or(0));
    left.map(|_| ())
}

/// A sum or a product over whole numbers.
struct Range<'a> {
    is_sum: bool,
    variable: &'a str,
    first: u32,
    last: u32,
    body: &'a Node,
}

impl<'a> Range<'a> {
    /// Reads the arguments of an operator; `None` if it is none of these, or has too many terms.
    fn of(name: &str, arguments: &'a [Node]) -> Option<Self> {
        let (Node::Relation(bound, rels), [_, last, body]) = (arguments.first()?, arguments) else { return None };
        let ([Node::Symbol(variable), first], [Rel::Equal]) = (bound.as_slice(), rels.as_slice()) else { return None };
        let (first, last) = (first.as_number().and_then(whole)?, last.as_number().and_then(whole)?);
        let fits = matches!(name, "sum" | "prod") && last >= first && last - first <= MAX_TERMS;
        fits.then_some(Self { is_sum: name == "sum", variable, first, last, body })
    }
}

impl Machine<'_> {
    fn value(&mut self, node: &Node) -> Option<Complex> {
        spend(1)?;
        Some(match node {
            Node::Number(literal) => Complex::real(rational(&literal.value)),
            Node::Based { value, base, .. } => self.called(&format!("base {base}"), &[Complex::real(rational(value))]),
            Node::Constant(Constant::Pi) => Complex::real(self.pi()),
            Node::Constant(Constant::E) => Complex::real(self.constants.e(PRECISION, ROUNDING)),
            Node::Constant(Constant::I) => Complex::imaginary(),
            Node::Symbol(name) => match self.bound.iter().rev().find(|(bound, _)| bound == name) {
                Some((_, value)) => value.clone(),
                None => self.variable(name),
            },
            Node::Sum(terms) => {
                let mut sum = Complex::real(float(0));
                for term in terms {
                    let term = self.nested(term)?;
                    sum = sum.plus(&term);
                }
                sum
            }
            Node::Product(factors) => {
                let mut product = Complex::real(float(1));
                for factor in factors {
                    let factor = self.nested(factor)?;
                    product = product.times(&factor);
                }
                product
            }
            Node::Power(base, exponent) => self.power(base, exponent)?,
            Node::Apply(function, arguments) => self.apply(*function, arguments)?,
            Node::Call(name, arguments) => {
                if let Some(range) = Range::of(name, arguments) {
                    return self.over_range(&range);
                }
                match (name.as_str(), arguments.as_slice()) {
                    ("sum" | "int" | "lim", [bounds @ .., body]) => self.over_bounds(name, bounds, body)?,
                    _ => self.call_of(name, arguments)?,
                }
            }
            Node::Quantity(value, _) => self.value(value)?,
            Node::Ratio(members) if members.len() == 2 => {
                let (one, two) = (self.value(&members[0])?, self.value(&members[1])?);
                one.over(&two)?
            }
            _ => return None,
        })
    }

    /// Returns the value of a part of a larger expression, in which a percent is a hundredth.
    fn nested(&mut self, node: &Node) -> Option<Complex> {
        let value = self.value(node)?;
        let is_percent = matches!(node, Node::Quantity(_, Unit::Percent));
        if is_percent { value.over(&Complex::real(float(100))) } else { Some(value) }
    }

    /// Returns the values of an argument, which may be a list or a relation.
    fn argument(&mut self, node: &Node) -> Option<Vec<Complex>> {
        match node {
            Node::List(members, _) | Node::Relation(members, _) => {
                members.iter().map(|member| self.value(member)).collect()
            }
            Node::Group(group) => group.members.iter().map(|member| self.value(member)).collect(),
            Node::Matrix(rows) => rows.iter().flatten().map(|entry| self.value(entry)).collect(),
            Node::Constant(Constant::Infinity) => Some(vec![self.variable("∞")]),
            other => Some(vec![self.value(other)?]),
        }
    }

    fn pi(&mut self) -> BigFloat {
        self.constants.pi(PRECISION, ROUNDING)
    }

    /// Returns the value of a variable: its name's hash in the range of the point.
    fn variable(&self, name: &str) -> Complex {
        let share = |salt: u64| {
            let hash = hash(name.bytes().map(u64::from), salt) >> 1;
            BigFloat::from_u64(hash, PRECISION).div(&BigFloat::from_u64(1 << 63, PRECISION), PRECISION, ROUNDING)
        };
        let (one, three) = (share(1), float(3));
        let scaled = |salt: u64| share(salt).mul(&three, PRECISION, ROUNDING).add(&float(1), PRECISION, ROUNDING);
        match self.point {
            Point::Small => Complex::real(one),
            Point::Large => Complex::real(scaled(2)),
            Point::Negative => Complex::real(scaled(3).neg()),
            Point::Complex => Complex { re: scaled(4), im: share(5) },
        }
    }

    fn call_of(&mut self, name: &str, arguments: &[Node]) -> Option<Complex> {
        let values = arguments.iter().map(|argument| self.argument(argument)).collect::<Option<Vec<_>>>()?;
        Some(self.called(name, &values.concat()))
    }

    /// Returns the value of an unknown function: a hash of its name and its arguments' values.
    fn called(&self, name: &str, arguments: &[Complex]) -> Complex {
        let bits = arguments.iter().flat_map(|value| [complex::bits(&value.re), complex::bits(&value.im)]);
        let words: Vec<u64> = name.bytes().map(u64::from).chain(bits).collect();
        self.variable(&format!("{:x}{:x}", hash(words.iter().copied(), 6), hash(words.iter().copied(), 7)))
    }

    fn power(&mut self, base: &Node, exponent: &Node) -> Option<Complex> {
        let base = self.nested(base)?;
        if let Some(number) = exponent.as_number() {
            return self.rational_power(&base, number);
        }
        let exponent = self.nested(exponent)?;
        if base.is_zero() {
            return exponent.is_positive().then(|| Complex::real(float(0)));
        }
        spend(2 * FUNCTION)?;
        let logarithm = self.ln(&base)?;
        let product = logarithm.times(&exponent);
        Some(self.exp(&product))
    }

    fn rational_power(&mut self, base: &Complex, exponent: &Rational) -> Option<Complex> {
        if exponent.is_integer() {
            let positive = whole(&exponent.abs())?;
            let power = base.integer_power(positive)?;
            return if exponent.is_negative() { Complex::real(float(1)).over(&power) } else { Some(power) };
        }
        if base.is_zero() {
            return exponent.is_positive().then(|| Complex::real(float(0)));
        }
        let degree = whole(&Rational::from(exponent.denom().clone()))?;
        let root = self.root(base, degree)?;
        self.rational_power(&root, &Rational::from(exponent.numer().clone()))
    }

    /// Returns the value of a sum or a product over whole numbers.
    fn over_range(&mut self, range: &Range<'_>) -> Option<Complex> {
        let mut total = Complex::real(float(i64::from(!range.is_sum)));
        for index in range.first..=range.last {
            spend(TERM)?;
            self.bound.push((range.variable.to_owned(), Complex::real(float(i64::from(index)))));
            let term = self.nested(range.body);
            self.bound.pop();
            total = if range.is_sum { total.plus(&term?) } else { total.times(&term?) };
        }
        Some(total)
    }

    /// Returns what stands for the value of a sum, an integral or a limit: a factor for its bounds times the value of
    /// its body. So it is linear in the body, as the operator is: `\sum 2x^n` is `2\sum x^n`.
    fn over_bounds(&mut self, name: &str, bounds: &[Node], body: &Node) -> Option<Complex> {
        let factor = self.call_of(name, bounds)?;
        Some(self.nested(body)?.times(&factor))
    }

    fn apply(&mut self, function: Function, arguments: &[Node]) -> Option<Complex> {
        if let (Function::Root, [degree, radicand]) = (function, arguments) {
            let degree = degree.as_number().and_then(whole)?;
            let radicand = self.nested(radicand)?;
            return self.root(&radicand, degree);
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let mut value = self.nested(argument)?;
            if function.is_of_angles() && has_degrees(argument) {
                let factor = self.pi().div(&float(180), PRECISION, ROUNDING);
                value = value.times(&Complex::real(factor));
            }
            values.push(value);
        }
        self.call(function, &values)
    }
}

fn has_degrees(node: &Node) -> bool {
    match node {
        Node::Quantity(_, Unit::Known { .. }) => true,
        Node::Sum(parts) | Node::Product(parts) => parts.iter().any(has_degrees),
        _ => false,
    }
}

/// Returns whether two values are equal.
pub(super) fn agree(one: &Complex, two: &Complex) -> bool {
    let difference = one.minus(two);
    let scale = one.magnitude().max(two.magnitude()).max(0);
    difference.magnitude() < scale - AGREE
}

pub(super) fn float(value: i64) -> BigFloat {
    BigFloat::from_i64(value, PRECISION)
}

/// Returns a rational number, rounded.
pub(super) fn rational(value: &Rational) -> BigFloat {
    if value.is_zero() {
        return float(0);
    }
    let integer = |number: &num_bigint::BigInt| {
        let base = BigFloat::from_u128(1 << 64, PRECISION);
        let (_, digits) = number.to_u64_digits();
        let mut sum = BigFloat::from_u64(0, PRECISION);
        for digit in digits.iter().rev() {
            sum = sum.mul(&base, PRECISION, ROUNDING).add(&BigFloat::from_u64(*digit, PRECISION), PRECISION, ROUNDING);
        }
        if number.is_negative() { sum.neg() } else { sum }
    };
    integer(value.numer()).div(&integer(value.denom()), PRECISION, ROUNDING)
}

/// Returns a power of ten.
pub(super) fn power_of_ten(exponent: i32) -> Complex {
    Complex::real(rational(&super::number::power_of_ten(exponent)))
}

/// Returns the place of the first digit of a positive number: 0 for 5, 1 for 50, -1 for 0.5. `None` if it is far away.
pub(super) fn logarithm(value: &BigFloat) -> Option<i32> {
    const FARTHEST: i32 = 400;
    (-FARTHEST..FARTHEST).rev().find(|exponent| power_of_ten(*exponent).re <= *value)
}

/// A hash that is the same everywhere (FNV-1a with a last mixing).
fn hash(words: impl Iterator<Item = u64>, salt: u64) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let sum = words.fold(start, |sum, word| (sum ^ word).wrapping_mul(0x0100_0000_01b3));
    let sum = (sum ^ sum >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let sum = (sum ^ sum >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ sum >> 31
}
