//! Numbers as they are written: thousands, decimals, exponents.

use super::node::{Decimals, Literal};
use super::number;
use super::token::{Commas, Digits};

/// A number with more leading zeros or digits is not an answer.
const MAX_LEADING_ZEROS: usize = 2;
const MAX_DIGITS: usize = 400;

/// Reads the number at the beginning of a text, with its length. `None` if it is too long to be an answer.
pub(super) fn read(text: &str, commas: Commas) -> Option<(Literal, Digits, usize)> {
    let bytes = text.as_bytes();
    let run = |at: usize| bytes[at.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = run(0);
    let mut digits = text[..length].to_owned();
    let mut has_commas = false;
    if (1..=3).contains(&length) && !digits.starts_with('0') {
        while let Some((gap, is_comma)) = thousands_gap(&text[length..], commas) {
            has_commas |= is_comma;
            digits.push_str(&text[length + gap..length + gap + 3]);
            length += gap + 3;
        }
    }
    let whole = digits.len();
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let mut places = 0;
    if bytes.get(length) == Some(&b'.') && run(length + 1) > 0 {
        places = run(length + 1);
        digits.push_str(&text[length + 1..length + 1 + places]);
        length += 1 + places;
    }
    let is_plain = length == whole;
    let exponent = exponent(&text[length..]);
    length += exponent.map_or(0, |(_, length)| length);
    if digits.len() > MAX_DIGITS || zeros > MAX_LEADING_ZEROS && zeros < whole {
        return None;
    }
    let scale = exponent.map_or(0, |(exponent, _)| exponent) - i32::try_from(places).ok()?;
    let value = number::in_base(&digits, 10)? * number::power_of_ten(scale);
    let significant = digits.trim_start_matches('0').len();
    let decimals = u32::try_from(-scale)
        .ok()
        .filter(|_| places > 0)
        .zip(u32::try_from(significant).ok())
        .map(|(places, significant)| Decimals { places, significant });
    Some((Literal { value, decimals }, Digits { text: digits, has_commas, is_plain }, length))
}

/// Returns the length of what separates three digits that follow, and whether it is a comma.
fn thousands_gap(text: &str, commas: Commas) -> Option<(usize, bool)> {
    let (gap, is_comma) = [
        ("{,}", false),
        (" {,}", false),
        (" {, }", false),
        ("{, }", false),
        (",\\!", false),
        (",", true),
        ("\\,", false),
        ("'", false),
        ("’", false),
        ("\u{a0}", false),
        ("\u{202f}", false),
        (" ", false),
    ]
    .into_iter()
    .find_map(|(gap, is_comma)| text.starts_with(gap).then_some((gap, is_comma)))?;
    if is_comma && commas == Commas::List {
        return None;
    }
    let spaces = if gap == ",\\!" { text[gap.len()..].len() - text[gap.len()..].trim_start().len() } else { 0 };
    let after = &text.as_bytes()[gap.len() + spaces..];
    let digits = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits == 3).then_some((gap.len() + spaces, is_comma))
}

/// Returns the exponent of `e-5` and its length.
fn exponent(text: &str) -> Option<(i32, usize)> {
    let rest = text.strip_prefix(['e', 'E'])?;
    let (sign, digits) = match rest.as_bytes().first()? {
        b'-' => (-1, &rest[1..]),
        b'+' => (1, &rest[1..]),
        _ => (1, rest),
    };
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let follows = digits[count..].starts_with(|c: char| c.is_alphanumeric());
    if count == 0 || count > 3 || follows {
        return None;
    }
    let value: i32 = digits[..count].parse().ok()?;
    Some((sign * value, 1 + (rest.len() - digits.len()) + count))
}
