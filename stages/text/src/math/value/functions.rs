//! Elementary functions of complex numbers.

use astro_float_num::BigFloat;

use super::super::node::Function;
use super::{Complex, FUNCTION, Machine, PRECISION, ROUNDING, float, spend};

/// Binary exponent of the largest argument of a function.
const MAX_ARGUMENT: i32 = 64;

impl Machine<'_> {
    pub(super) fn exp(&mut self, z: &Complex) -> Complex {
        let size = z.re.exp(PRECISION, ROUNDING, self.constants);
        if z.is_real() {
            return Complex::real(size);
        }
        let cos = z.im.cos(PRECISION, ROUNDING, self.constants);
        let sin = z.im.sin(PRECISION, ROUNDING, self.constants);
        Complex { re: size.mul(&cos, PRECISION, ROUNDING), im: size.mul(&sin, PRECISION, ROUNDING) }
    }

    /// Returns the principal logarithm.
    pub(super) fn ln(&mut self, z: &Complex) -> Option<Complex> {
        if z.is_zero() {
            return None;
        }
        let re = z.absolute().ln(PRECISION, ROUNDING, self.constants);
        Some(Complex { re, im: self.argument_of(z) })
    }

    /// Returns the angle of a number, from -pi to pi.
    fn argument_of(&mut self, z: &Complex) -> BigFloat {
        if z.is_real() {
            return if z.re.is_negative() { self.pi() } else { float(0) };
        }
        let half = self.pi().div(&float(2), PRECISION, ROUNDING);
        if z.re.is_zero() {
            return if z.im.is_negative() { half.neg() } else { half };
        }
        let angle = z.im.div(&z.re, PRECISION, ROUNDING).atan(PRECISION, ROUNDING, self.constants);
        match (z.re.is_negative(), z.im.is_negative()) {
            (false, _) => angle,
            (true, false) => angle.add(&self.pi(), PRECISION, ROUNDING),
            (true, true) => angle.sub(&self.pi(), PRECISION, ROUNDING),
        }
    }

    /// Returns the root of a degree: of a negative real number the real one, if the degree is odd, else the principal.
    pub(super) fn root(&mut self, z: &Complex, degree: u32) -> Option<Complex> {
        spend(FUNCTION / 4)?;
        if z.is_zero() || degree == 0 {
            return (degree > 0).then(|| z.clone());
        }
        if z.is_real() {
            if z.re.is_negative() {
                let root = self.root(&z.negated(), degree)?;
                return match degree {
                    2 => Some(root.times(&Complex::imaginary())),
                    odd if odd % 2 == 1 => Some(root.negated()),
                    _ => self.principal_root(z, degree),
                };
            }
            match degree {
                1 => return Some(z.clone()),
                2 => return Some(Complex::real(z.re.sqrt(PRECISION, ROUNDING))),
                3 => return Some(Complex::real(z.re.cbrt(PRECISION, ROUNDING))),
                _ => {}
            }
        }
        self.principal_root(z, degree)
    }

    fn principal_root(&mut self, z: &Complex, degree: u32) -> Option<Complex> {
        spend(2 * FUNCTION)?;
        let logarithm = self.ln(z)?.over(&Complex::real(float(i64::from(degree))))?;
        Some(self.exp(&logarithm))
    }

    /// Applies a function to values.
    pub(super) fn call(&mut self, function: Function, values: &[Complex]) -> Option<Complex> {
        spend(FUNCTION)?;
        let first = values.first()?;
        // Reducing the angle of a huge number would cost too much.
        if values.iter().any(|value| value.magnitude() > MAX_ARGUMENT) && function != Function::Abs {
            return None;
        }
        Some(match function {
            Function::Sin => self.sine(first)?,
            Function::Cos => self.cosine(first)?,
            Function::Tan => self.sine(first)?.over(&self.cosine(first)?)?,
            Function::Cot => self.cosine(first)?.over(&self.sine(first)?)?,
            Function::Sec => Complex::real(float(1)).over(&self.cosine(first)?)?,
            Function::Csc => Complex::real(float(1)).over(&self.sine(first)?)?,
            Function::Sinh => self.hyperbolic(first, true)?,
            Function::Cosh => self.hyperbolic(first, false)?,
            Function::Tanh => self.hyperbolic(first, true)?.over(&self.hyperbolic(first, false)?)?,
            Function::Arcsin | Function::Arccos | Function::Arctan => self.inverse(function, first)?,
            Function::Exp => self.exp(first),
            Function::Ln => self.ln(first)?,
            Function::Log if values.len() == 1 => self.ln(first)?,
            Function::Log => self.ln(&values[1])?.over(&self.ln(first)?)?,
            Function::Lg => self.ln(first)?.over(&self.ln(&Complex::real(float(10)))?)?,
            Function::Abs => Complex::real(first.absolute()),
            Function::Floor if first.is_real() => Complex::real(first.re.floor()),
            Function::Ceil if first.is_real() => Complex::real(first.re.ceil()),
            Function::Max | Function::Min => {
                let is_real = values.iter().all(Complex::is_real);
                let pick = |one: Complex, two: &Complex| {
                    let takes_two = (one.re < two.re) == (function == Function::Max);
                    if takes_two { two.clone() } else { one }
                };
                is_real.then(|| values[1..].iter().fold(first.clone(), pick))?
            }
            // Expressions of these have one spelling: their arguments decide.
            Function::Gcd | Function::Lcm | Function::Factorial | Function::Binomial => {
                self.called(&format!("{function:?}"), values)
            }
            Function::Floor | Function::Ceil | Function::Root => return None,
        })
    }

    fn sine(&mut self, z: &Complex) -> Option<Complex> {
        if z.is_real() {
            return Some(Complex::real(z.re.sin(PRECISION, ROUNDING, self.constants)));
        }
        // (exp(i z) - exp(-i z)) / 2i
        let turned = z.times(&Complex::imaginary());
        let difference = self.exp(&turned).minus(&self.exp(&turned.negated()));
        difference.over(&Complex { re: float(0), im: float(2) })
    }

    fn cosine(&mut self, z: &Complex) -> Option<Complex> {
        if z.is_real() {
            return Some(Complex::real(z.re.cos(PRECISION, ROUNDING, self.constants)));
        }
        let turned = z.times(&Complex::imaginary());
        self.exp(&turned).plus(&self.exp(&turned.negated())).over(&Complex::real(float(2)))
    }

    fn hyperbolic(&mut self, z: &Complex, is_sine: bool) -> Option<Complex> {
        let (up, down) = (self.exp(z), self.exp(&z.negated()));
        let combined = if is_sine { up.minus(&down) } else { up.plus(&down) };
        combined.over(&Complex::real(float(2)))
    }

    fn inverse(&mut self, function: Function, z: &Complex) -> Option<Complex> {
        if !z.is_real() {
            return None;
        }
        let re = match function {
            Function::Arctan => z.re.atan(PRECISION, ROUNDING, self.constants),
            _ if z.re.abs() > float(1) => return None,
            Function::Arcsin => z.re.asin(PRECISION, ROUNDING, self.constants),
            _ => z.re.acos(PRECISION, ROUNDING, self.constants),
        };
        Some(Complex::real(re))
    }
}

impl Function {
    pub(super) fn is_of_angles(self) -> bool {
        matches!(self, Self::Sin | Self::Cos | Self::Tan | Self::Cot | Self::Sec | Self::Csc)
    }
}
