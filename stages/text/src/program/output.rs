//! Comparing what a program writes or returns with what is expected.

use serde_json::Value;

/// Share by which a decimal number may be off, or amount if it is below 1: what judges of programming contests allow.
const TOLERANCE: f64 = 1e-6;

/// How the standard output of a program is compared with the expected one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Checker {
    /// The same characters, but for white space at the end.
    Exact,
    /// The same lines, but for white space at their ends and empty lines at the end.
    Lines,
    /// The same tokens between white space. One that is expected to have a decimal point may be off by a millionth.
    #[default]
    Tokens,
    /// The same tokens, where any number may be off by this share of it, or by this much.
    Float(f64),
}

/// Returns whether an output is the expected one.
pub fn same_output(checker: Checker, expected: &str, output: &str) -> bool {
    let (expected, output) = (expected.trim_end(), output.trim_end());
    match checker {
        Checker::Exact => expected == output,
        Checker::Lines => expected.lines().map(str::trim_end).eq(output.lines().map(str::trim_end)),
        Checker::Tokens => same_tokens(expected, output, |expected, output| {
            expected.contains('.') && are_near(expected, output, TOLERANCE)
        }),
        Checker::Float(tolerance) => {
            same_tokens(expected, output, |expected, output| are_near(expected, output, tolerance))
        }
    }
}

/// Whether the tokens are equal one by one, as texts or by `also`.
fn same_tokens(expected: &str, output: &str, also: impl Fn(&str, &str) -> bool) -> bool {
    let (mut expected, mut output) = (expected.split_whitespace(), output.split_whitespace());
    loop {
        match (expected.next(), output.next()) {
            (None, None) => return true,
            (Some(one), Some(two)) if one == two || also(one, two) => {}
            _ => return false,
        }
    }
}

fn are_near(expected: &str, output: &str, tolerance: f64) -> bool {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    number(expected).zip(number(output)).is_some_and(|(expected, output)| is_near(expected, output, tolerance))
}

fn is_near(expected: f64, value: f64, tolerance: f64) -> bool {
    (expected - value).abs() <= tolerance * expected.abs().max(1.0)
}

/// Returns whether a returned value, as JSON, is the expected one. Numbers are compared as Python does (`1 == 1.0 ==
/// True`), except that where a fraction is expected a value may be off by a millionth.
pub fn same_value(expected: &Value, value: &Value) -> bool {
    match (expected, value) {
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same_value(one, two))
        }
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len() && one.iter().all(|(key, one)| two.get(key).is_some_and(|two| same_value(one, two)))
        }
        (one, two) if one == two => true,
        (one, two) => number(one).zip(number(two)).is_some_and(|(expected, value)| {
            let tolerance = if expected.fract() == 0.0 { 0.0 } else { TOLERANCE };
            is_near(expected, value, tolerance)
        }),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        // Integers beyond 53 bits are equal as they are written, or not at all.
        Value::Number(number) if is_large(number) => None,
        value => value.as_f64(),
    }
}

fn is_large(number: &serde_json::Number) -> bool {
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
    number.as_i64().map(i64::unsigned_abs).or(number.as_u64()).is_some_and(|size| size > EXACT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn outputs() {
        let cases: &[(Checker, &str, &str, bool)] = &[
            (Checker::Exact, "1 2\n", "1 2", true),
            (Checker::Exact, "1 2\n", "1  2\n", false),
            (Checker::Lines, "1\n2\n", "1 \n2\n\n", true),
            (Checker::Lines, "1\n2\n", "1 2\n", false),
            (Checker::Tokens, "1\n2\n", "1 2", true),
            (Checker::Tokens, "0.5", "0.50000001", true),
            (Checker::Tokens, "1000000.5", "1000001.4", true),
            (Checker::Tokens, "0.5", "0.51", false),
            (Checker::Tokens, "1", "1.0", false),
            (Checker::Tokens, "1000000000000", "1000000000001", false),
            (Checker::Tokens, "0.5", "nan", false),
            (Checker::Tokens, "YES", "yes", false),
            (Checker::Tokens, "1", "", false),
            (Checker::Tokens, "", "", true),
            (Checker::Tokens, "1", "1 2", false),
            (Checker::Float(0.01), "1", "1.009", true),
            (Checker::Float(0.01), "1", "1.02", false),
            (Checker::Float(0.01), "inf", "1", false),
        ];
        for (checker, expected, output, same) in cases {
            assert_eq!(same_output(*checker, expected, output), *same, "{checker:?} {expected:?} {output:?}");
        }
    }

    #[test]
    fn values() {
        let cases = [
            (json!([1, 2]), json!([1, 2.0]), true),
            (json!(true), json!(1), true),
            (json!(0.1), json!(0.100_000_000_01), true),
            (json!(2), json!(2.000_000_1), false),
            (json!("a"), json!("a "), false),
            (json!([1]), json!(1), false),
            (json!({"a": [null]}), json!({"a": [null]}), true),
            (json!({"a": 1}), json!({"b": 1}), false),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), false),
            (json!(null), json!(0), false),
        ];
        for (expected, value, same) in cases {
            assert_eq!(same_value(&expected, &value), same, "{expected} {value}");
        }
    }
}
