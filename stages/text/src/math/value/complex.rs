//! Complex numbers of 256 bits.

use astro_float_num::{BigFloat, Sign};

use super::{PRECISION, ROUNDING, float};

/// The largest exponent to which a number is raised by multiplication.
const MAX_POWER: u32 = 100_000;

/// A complex number.
#[derive(Clone, Debug)]
pub(in crate::math) struct Complex {
    pub(in crate::math) re: BigFloat,
    pub(in crate::math) im: BigFloat,
}

impl Complex {
    pub(in crate::math) fn real(re: BigFloat) -> Self {
        Self { re, im: float(0) }
    }

    pub(super) fn imaginary() -> Self {
        Self { re: float(0), im: float(1) }
    }

    pub(in crate::math) fn is_real(&self) -> bool {
        self.im.is_zero()
    }

    pub(super) fn is_zero(&self) -> bool {
        self.re.is_zero() && self.im.is_zero()
    }

    pub(super) fn is_positive(&self) -> bool {
        self.is_real() && self.re.is_positive() && !self.re.is_zero()
    }

    pub(super) fn is_finite(&self) -> bool {
        [&self.re, &self.im].into_iter().all(|part| !part.is_nan() && !part.is_inf())
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        Self { re: self.re.add(&other.re, PRECISION, ROUNDING), im: self.im.add(&other.im, PRECISION, ROUNDING) }
    }

    pub(in crate::math) fn minus(&self, other: &Self) -> Self {
        Self { re: self.re.sub(&other.re, PRECISION, ROUNDING), im: self.im.sub(&other.im, PRECISION, ROUNDING) }
    }

    pub(in crate::math) fn times(&self, other: &Self) -> Self {
        let by = |one: &BigFloat, two: &BigFloat| one.mul(two, PRECISION, ROUNDING);
        if self.is_real() && other.is_real() {
            return Self::real(by(&self.re, &other.re));
        }
        Self {
            re: by(&self.re, &other.re).sub(&by(&self.im, &other.im), PRECISION, ROUNDING),
            im: by(&self.re, &other.im).add(&by(&self.im, &other.re), PRECISION, ROUNDING),
        }
    }

    /// Divides, `None` by 0.
    pub(in crate::math) fn over(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let div = |one: &BigFloat, two: &BigFloat| one.div(two, PRECISION, ROUNDING);
        if other.is_real() {
            return Some(Self { re: div(&self.re, &other.re), im: div(&self.im, &other.re) });
        }
        let conjugate = Self { re: other.re.clone(), im: other.im.neg() };
        let (numerator, norm) = (self.times(&conjugate), other.norm());
        Some(Self { re: div(&numerator.re, &norm), im: div(&numerator.im, &norm) })
    }

    /// Returns the square of the absolute value.
    pub(super) fn norm(&self) -> BigFloat {
        let square = |part: &BigFloat| part.mul(part, PRECISION, ROUNDING);
        square(&self.re).add(&square(&self.im), PRECISION, ROUNDING)
    }

    pub(super) fn absolute(&self) -> BigFloat {
        if self.is_real() { self.re.abs() } else { self.norm().sqrt(PRECISION, ROUNDING) }
    }

    pub(super) fn negated(&self) -> Self {
        Self { re: self.re.neg(), im: self.im.neg() }
    }

    pub(super) fn integer_power(&self, exponent: u32) -> Option<Self> {
        if exponent > MAX_POWER {
            return None;
        }
        let (mut power, mut square, mut left) = (Self::real(float(1)), self.clone(), exponent);
        while left > 0 {
            if left % 2 == 1 {
                power = power.times(&square);
            }
            square = square.times(&square);
            left /= 2;
        }
        Some(power)
    }

    /// Returns its first bits in hexadecimal, which rounding does not change.
    pub(in crate::math) fn digits(&self) -> String {
        format!("{:x}+{:x}i", bits(&self.re), bits(&self.im))
    }

    /// Returns the binary exponent of the larger part; very small for 0.
    pub(in crate::math) fn magnitude(&self) -> i32 {
        let exponent =
            |part: &BigFloat| if part.is_zero() { i32::MIN / 2 } else { part.exponent().unwrap_or(i32::MAX / 2) };
        exponent(&self.re).max(exponent(&self.im))
    }
}

/// Returns the leading bits of a number, which rounding does not change.
pub(super) fn bits(value: &BigFloat) -> u64 {
    if value.is_zero() || value.exponent().is_none_or(|exponent| exponent < -150) {
        return 0;
    }
    // Moves numbers just below a round one above it.
    let nudge =
        value.mul(&float(1).div(&BigFloat::from_u128(1 << 120, PRECISION), PRECISION, ROUNDING), PRECISION, ROUNDING);
    let value = value.add(&nudge, PRECISION, ROUNDING);
    let Some((words, _, sign, exponent, _)) = value.as_raw_parts() else { return 1 };
    let top = words.last().copied().unwrap_or_default();
    let sign = if sign == Sign::Neg { 1 << 40 } else { 0 };
    top ^ (i64::from(exponent) as u64).rotate_left(20) ^ sign
}
