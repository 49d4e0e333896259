//! Equality of single values: exact for numbers, by values at several points for the rest.

use super::super::node::{Constant, Literal, Node};
use super::super::number::{Rational, power_of_ten, small};
use super::super::value::{POINTS, agree, value};
use num_traits::Signed;

/// A decimal number of so many digits stands for what it is the rounding of.
const ROUNDED_DIGITS: u32 = 6;

/// Returns whether two values are equal.
pub(super) fn same(gold: &Node, answer: &Node) -> bool {
    if let (Node::Number(one), Node::Number(two)) = (gold, answer) {
        return one.value == two.value || is_rounding(one, &two.value, two) || is_rounding(two, &one.value, one);
    }
    // The question says the base, so that it may be left out.
    if let (Node::Based { digits, .. }, Node::Number(number)) | (Node::Number(number), Node::Based { digits, .. }) =
        (gold, answer)
    {
        return number.value.to_string() == *digits;
    }
    same_values(gold, answer) || is_decimal_of(gold, answer) || is_decimal_of(answer, gold)
}

/// Whether two expressions have the same values.
pub(super) fn same_values(one: &Node, two: &Node) -> bool {
    let points = if has_names(one) || has_names(two) { &POINTS[..] } else { &POINTS[..1] };
    let mut agreed = 0;
    for point in points {
        match (value(one, *point), value(two, *point)) {
            (Some(one), Some(two)) if agree(&one, &two) => agreed += 1,
            (None, None) => {}
            _ => return false,
        }
    }
    agreed > points.len() / 2
}

/// Whether an exact number, not itself a decimal, is rounded to a decimal of many digits.
fn is_rounding(decimal: &Literal, exact: &Rational, other: &Literal) -> bool {
    let Some(decimals) = decimal
        .decimals
        .filter(|decimals| decimals.significant >= ROUNDED_DIGITS && decimals.places >= ROUNDED_DIGITS - 2)
    else {
        return false;
    };
    let Ok(places) = i32::try_from(decimals.places) else { return false };
    // Two decimals are compared exactly.
    other.decimals.is_none() && !exact.is_integer() && within_last_digit(&(exact - &decimal.value), places)
}

fn within_last_digit(difference: &Rational, places: i32) -> bool {
    difference.abs() <= power_of_ten(-places) / small(2)
}

/// Whether a node is a decimal of many digits, and the other an irrational number that is rounded to it.
fn is_decimal_of(decimal: &Node, exact: &Node) -> bool {
    let Node::Number(literal) = decimal else { return false };
    let Some(decimals) = literal
        .decimals
        .filter(|decimals| decimals.significant >= ROUNDED_DIGITS && decimals.places >= ROUNDED_DIGITS - 2)
    else {
        return false;
    };
    let Ok(places) = i32::try_from(decimals.places) else { return false };
    !has_names(exact) && is_near(exact, &literal.value, &(power_of_ten(-places) / small(2)))
}

/// Whether a decimal of `digits` digits or more is a value, rounded up or down to its last place.
pub(super) fn is_rounded(exact: &Node, decimal: &Node, digits: u32) -> bool {
    if let (Node::Quantity(exact, unit), Node::Quantity(decimal, other)) = (exact, decimal) {
        return unit == other && is_rounded(exact, decimal, digits);
    }
    let Node::Number(Literal { value: rounded, decimals: Some(decimals) }) = decimal else { return false };
    let Ok(places) = i32::try_from(decimals.places) else { return false };
    decimals.significant >= digits && !has_names(exact) && is_near(exact, rounded, &power_of_ten(-places))
}

/// Whether a value is within `bound` of a number.
fn is_near(exact: &Node, number: &Rational, bound: &Rational) -> bool {
    let [low, high] = [number - bound, number + bound].map(|bound| value(&Node::number(bound), POINTS[0]));
    let (Some(low), Some(high), Some(exact)) = (low, high, value(exact, POINTS[0])) else { return false };
    exact.im.is_zero() && low.re <= exact.re && exact.re <= high.re
}

/// Whether an angle in degrees is a number in radians, which has pi in it.
pub(super) fn is_in_radians(degrees: &Node, radians: &Node) -> bool {
    let factor = Node::product(vec![Node::Constant(Constant::Pi), Node::number(Rational::new(1.into(), 180.into()))]);
    has_pi(radians) && same_values(&Node::product(vec![degrees.clone(), factor]), radians)
}

fn has_pi(node: &Node) -> bool {
    match node {
        Node::Constant(Constant::Pi) => true,
        Node::Sum(parts) | Node::Product(parts) | Node::Apply(_, parts) => parts.iter().any(has_pi),
        Node::Power(base, exponent) => has_pi(base) || has_pi(exponent),
        _ => false,
    }
}

/// Whether there are variables in an expression.
pub(in crate::math) fn has_names(node: &Node) -> bool {
    match node {
        Node::Symbol(_) | Node::Call(..) | Node::Based { .. } => true,
        Node::Sum(parts) | Node::Product(parts) | Node::Apply(_, parts) | Node::Ratio(parts) => {
            parts.iter().any(has_names)
        }
        Node::Power(base, exponent) => has_names(base) || has_names(exponent),
        Node::Quantity(value, _) => has_names(value),
        _ => false,
    }
}
