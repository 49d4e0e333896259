//! Numbers that are right within a tolerance, as in the sciences. Units are converted; an answer without one is taken to
//! be in the gold answer's.

use astro_float_num::BigFloat;

use super::equal;
use super::node::Node;
use super::number::Rational;
use super::unit::{Dimensions, Unit};
use super::value::{Complex, POINTS, agree, float, logarithm, power_of_ten, rational, value};

/// How far an answer may be from the gold one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// This share of the gold value.
    Relative(f64),
    /// This much, in the gold answer's unit.
    Absolute(f64),
    /// As far as rounding to so many significant figures goes: half a unit of the last of them.
    Figures(u32),
}

/// Returns whether an answer is within the tolerance of the gold one.
pub(super) fn is_within(gold: &Node, answer: &Node, tolerance: Tolerance) -> bool {
    let (Some(gold), Some(answer)) = (Measure::of(gold), Measure::of(answer)) else { return false };
    let Some(converted) = answer.in_unit_of(&gold) else { return false };
    let difference = converted.minus(&gold.value);
    let Some(allowed) = allowed(&gold.value, tolerance) else { return false };
    // The bound itself is within, whatever its last bits are.
    let size = Complex::real(difference.re.abs());
    difference.is_real() && (size.re <= allowed || agree(&size, &Complex::real(allowed)))
}

/// A real number with its unit.
struct Measure {
    value: Complex,
    unit: Option<(Rational, Dimensions)>,
}

impl Measure {
    fn of(node: &Node) -> Option<Self> {
        match node {
            Node::Relation(members, rels) => Self::of(&equal::value_of(members, rels)?),
            Node::Quantity(inner, unit) => {
                let unit = match unit {
                    Unit::Known { factor, dimensions } => Some((factor.clone(), *dimensions)),
                    Unit::Percent | Unit::Noun(_) => None,
                };
                Some(Self { unit, ..Self::of(inner)? })
            }
            other if equal::has_names(other) => None,
            other => value(other, POINTS[0]).filter(Complex::is_real).map(|value| Self { value, unit: None }),
        }
    }

    /// Returns its value in another's unit; `None` if it cannot be converted.
    fn in_unit_of(&self, other: &Self) -> Option<Complex> {
        match (&self.unit, &other.unit) {
            (Some((factor, dimensions)), Some((target, targeted))) => {
                (dimensions == targeted).then(|| self.value.times(&Complex::real(rational(&(factor / target)))))
            }
            _ => Some(self.value.clone()),
        }
    }
}

fn allowed(gold: &Complex, tolerance: Tolerance) -> Option<BigFloat> {
    let size = gold.re.abs();
    Some(match tolerance {
        Tolerance::Relative(share) => Complex::real(size).times(&Complex::real(exact(share)?)).re,
        Tolerance::Absolute(amount) => exact(amount)?,
        Tolerance::Figures(_) if size.is_zero() => float(0),
        Tolerance::Figures(figures) => {
            let places = logarithm(&size)? - i32::try_from(figures).ok()? + 1;
            power_of_ten(places).over(&Complex::real(float(2)))?.re
        }
    })
}

/// Returns a decimal number as it is written, not the binary number beside it.
fn exact(number: f64) -> Option<BigFloat> {
    let text = format!("{number}");
    let (literal, _, length) = super::literal::read(&text, super::token::Commas::Thousands)?;
    (length == text.len()).then(|| rational(&literal.value))
}
