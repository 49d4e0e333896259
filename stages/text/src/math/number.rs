//! Exact rational numbers with bounds: no operation makes a number of more than a few thousand bits.

use num_bigint::BigInt;
use num_rational::Ratio;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

pub(super) type Rational = Ratio<BigInt>;

/// Larger numbers are left to arithmetic with a bounded precision.
const MAX_BITS: u64 = 8192;

/// More zeros are no power of ten that a number is written with.
const MAX_ZEROS: usize = 400;

/// The largest factorial that is computed.
const MAX_FACTORIAL: u32 = 500;

/// Returns a small number.
pub(super) fn small(value: i64) -> Rational {
    Rational::from(BigInt::from(value))
}

/// Returns `value` unless it is too large.
pub(super) fn bounded(value: Rational) -> Option<Rational> {
    (bits(&value) <= MAX_BITS).then_some(value)
}

fn bits(value: &Rational) -> u64 {
    value.numer().bits() + value.denom().bits()
}

/// Returns the quotient, `None` for a division by 0.
pub(super) fn quotient(one: &Rational, two: &Rational) -> Option<Rational> {
    (!two.is_zero()).then(|| one / two)
}

/// Returns a rational power with an exact result, `None` if it has none or is too large.
pub(super) fn power(base: &Rational, exponent: &Rational) -> Option<Rational> {
    if exponent.is_integer() {
        return integer_power(base, exponent.numer().to_i64()?);
    }
    // An exact root, such as 8^(2/3).
    let (numerator, degree) = (exponent.numer().to_i64()?, exponent.denom().to_u32()?);
    let root = root(base, degree)?;
    integer_power(&root, numerator)
}

fn integer_power(base: &Rational, exponent: i64) -> Option<Rational> {
    if base.is_zero() {
        return (exponent > 0).then(Rational::zero);
    }
    let trivial = base.is_integer() && base.numer().abs().is_one();
    let size = bits(base).saturating_sub(1).max(1).checked_mul(exponent.unsigned_abs())?;
    if size > MAX_BITS && !trivial {
        return None;
    }
    let exponent = if trivial { exponent % 2 } else { exponent };
    let power: Rational = Pow::pow(base, i32::try_from(exponent).ok()?);
    Some(power)
}

/// Returns the exact root of a degree; a negative number has one of odd degree.
pub(super) fn root(value: &Rational, degree: u32) -> Option<Rational> {
    if degree == 0 || degree > 64 || (value.is_negative() && degree.is_multiple_of(2)) {
        return None;
    }
    let exact = |number: &BigInt| {
        let root = number.nth_root(degree);
        (Pow::pow(&root, degree) == *number).then_some(root)
    };
    Some(Rational::new(exact(value.numer())?, exact(value.denom())?))
}

/// Returns n! of a whole number that is not too large.
pub(super) fn factorial(value: &Rational) -> Option<Rational> {
    let n = whole(value).filter(|n| *n <= MAX_FACTORIAL)?;
    Some(Rational::from((1..=n).fold(BigInt::one(), |product, factor| product * factor)))
}

/// Returns the binomial coefficient n over k.
pub(super) fn binomial(n: &Rational, k: &Rational) -> Option<Rational> {
    let (n, k) = (whole(n).filter(|n| *n <= 2 * MAX_FACTORIAL)?, whole(k)?);
    if k > n {
        return Some(Rational::zero());
    }
    Some(Rational::from((0..k.min(n - k)).fold(BigInt::one(), |product, i| product * (n - i) / (i + 1))))
}

/// Returns a whole number that is not negative.
pub(super) fn whole(value: &Rational) -> Option<u32> {
    if value.is_integer() { value.numer().to_u32() } else { None }
}

/// Returns the largest whole number that is not above `value`.
pub(super) fn floor(value: &Rational) -> Rational {
    value.floor()
}

/// Returns 10 to a power.
pub(super) fn power_of_ten(exponent: i32) -> Rational {
    let power = Rational::from(Pow::pow(BigInt::from(10), exponent.unsigned_abs()));
    if exponent < 0 { power.recip() } else { power }
}

/// Returns the exponent of a number that is a power of ten.
pub(super) fn exponent_of_ten(value: &Rational) -> Option<i32> {
    let zeros = |number: &BigInt| {
        let digits = number.to_string();
        let zeros = digits.strip_prefix('1')?;
        (zeros.len() <= MAX_ZEROS && zeros.bytes().all(|digit| digit == b'0')).then_some(zeros.len())
    };
    let (above, below) = (zeros(value.numer())?, zeros(value.denom())?);
    i32::try_from(above).ok()?.checked_sub(i32::try_from(below).ok()?)
}

/// Reads `digits` in a base.
pub(super) fn in_base(digits: &str, base: u32) -> Option<Rational> {
    BigInt::parse_bytes(digits.as_bytes(), base).map(Rational::from)
}
