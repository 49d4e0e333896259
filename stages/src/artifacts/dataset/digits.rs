//! Integers beyond 64 bits in JSON: they are read as text, digit by digit, because a float would round them.

use std::borrow::Cow;

/// Digits that may be too many for 64 bits.
const MANY: usize = 19;

/// Puts quotation marks around the integers of a JSON text that do not fit into 64 bits.
pub(in crate::artifacts) fn quoted(json: &[u8]) -> Cow<'_, [u8]> {
    let mut quoted = Vec::new();
    let (mut copied, mut at, mut is_text) = (0, 0, false);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => is_text = !is_text,
            b'\\' if is_text => at += 1,
            b'-' | b'0'..=b'9' if !is_text => {
                let number = &json[at..at + number_len(&json[at..])];
                if is_too_long(number) {
                    quoted.extend_from_slice(&json[copied..at]);
                    quoted.push(b'"');
                    quoted.extend_from_slice(number);
                    quoted.push(b'"');
                    copied = at + number.len();
                }
                at += number.len() - 1;
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    quoted.extend_from_slice(&json[copied..]);
    Cow::Owned(quoted)
}

fn number_len(json: &[u8]) -> usize {
    json.iter().take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')).count()
}

fn is_too_long(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let is_integer = digits.iter().all(u8::is_ascii_digit) && !digits.starts_with(b"0");
    let text = std::str::from_utf8(number).unwrap_or_default();
    digits.len() >= MANY && is_integer && text.parse::<i64>().is_err() && text.parse::<u64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_integers_beyond_64_bits_become_text() {
        for (json, expected) in [
            (
                r#"{"a": 12345678901234567890123, "b": [-98765432109876543210987]}"#,
                r#"{"a": "12345678901234567890123", "b": ["-98765432109876543210987"]}"#,
            ),
            (
                r#"{"a": 18446744073709551615, "b": 18446744073709551616}"#,
                r#"{"a": 18446744073709551615, "b": "18446744073709551616"}"#,
            ),
            (
                r#"{"a": 1.2345678901234567890123, "b": 12345678901234567890123e5, "c": -0.5}"#,
                r#"{"a": 1.2345678901234567890123, "b": 12345678901234567890123e5, "c": -0.5}"#,
            ),
            (
                r#"{"12345678901234567890123": "x \" 12345678901234567890123 \\"}"#,
                r#"{"12345678901234567890123": "x \" 12345678901234567890123 \\"}"#,
            ),
            ("12345678901234567890123", "\"12345678901234567890123\""),
            ("", ""),
            (r#""open \"#, r#""open \"#),
        ] {
            assert_eq!(String::from_utf8_lossy(&quoted(json.as_bytes())), expected);
        }
    }
}
