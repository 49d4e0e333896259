//! Measured numbers for people.

/// Significant digits of a measured number.
const DIGITS: usize = 5;

/// Returns a number with five significant digits, without zeros at its end; a whole number has all its digits.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        // Also of -0.
        return if value == 0.0 { "0".to_owned() } else { value.to_string() };
    }
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    let scientific = format!("{value:.*e}", DIGITS - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let power: i32 = exponent.parse().expect("an exponent is a whole number");
    match power {
        -4..5 => trimmed(&format!("{value:.*}", usize::try_from(DIGITS as i32 - 1 - power).unwrap_or(0))).to_owned(),
        5..15 => format!("{value:.0}"),
        _ => format!("{}e{exponent}", trimmed(mantissa)),
    }
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_digits_count() {
        for (value, expected) in [
            (5e-5, "5e-5"),
            (1e-6, "1e-6"),
            (0.000_123_456, "0.00012346"),
            (1.0 / 3.0, "0.33333"),
            (-0.0, "0"),
            (0.999_999_9, "1"),
            (1.290_4, "1.2904"),
            (99_999.96, "100000"),
            (1_234_567.8, "1234568"),
            (64.0, "64"),
            (1e300, "1e300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(number(value), expected, "{value:?}");
        }
    }
}
