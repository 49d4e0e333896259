//! Secrets: values of environment variables that must not appear in a log or a message.
//!
//! A variable is a secret if its name ends in TOKEN, KEY, SECRET or PASSWORD and its value has eight characters or
//! more. In a worker's output the value is replaced by `[masked NAME]`, even if it arrives in two parts ([`Stream`]).
//! An encoded value, in base64 or with escapes, is not recognised.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use serde_json::Value;

/// How the names of secret variables end.
const ENDINGS: [&str; 4] = ["TOKEN", "KEY", "SECRET", "PASSWORD"];

/// Fewest characters of a secret: a shorter value is in too many texts by chance.
const SHORTEST: usize = 8;

/// Variables for access to the hub, which are removed from the environment of every worker.
pub const WITHHELD: [&str; 4] = ["HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN"];

/// The secrets of an environment.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Longest value first, because one may be part of another.
    values: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    value: Vec<u8>,
    /// `[masked NAME]`.
    mask: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.mask)
    }
}

impl Secrets {
    /// Returns the secrets among environment variables.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut values = Vec::new();
        for (name, value) in variables {
            let (name, value) = (name.to_string_lossy().into_owned(), value.into_vec());
            let is_secret = ENDINGS.iter().any(|ending| name.to_ascii_uppercase().ends_with(ending));
            if is_secret && String::from_utf8_lossy(&value).chars().count() >= SHORTEST {
                values.push(Secret { value, mask: format!("[masked {name}]") });
            }
        }
        values.sort_by(|a, b| b.value.len().cmp(&a.value.len()).then_with(|| a.mask.cmp(&b.mask)));
        Self { values }
    }

    /// Returns a text with each secret replaced by its mask.
    pub fn mask(&self, text: &str) -> String {
        if self.values.is_empty() {
            return text.to_owned();
        }
        String::from_utf8_lossy(&self.mask_bytes(text.as_bytes())).into_owned()
    }

    /// Does the same with bytes.
    pub(crate) fn mask_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let (mut stream, mut out) = (Stream::default(), Vec::with_capacity(bytes.len()));
        stream.push(self, bytes, &mut out);
        stream.finish(self, &mut out);
        out
    }

    /// Does the same with every string in a JSON value, names of members as well.
    pub(crate) fn mask_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.mask_value(item)).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(name, value)| (self.mask(&name), self.mask_value(value))).collect()
            }
            other => other,
        }
    }

    fn at(&self, bytes: &[u8]) -> Option<&Secret> {
        self.values.iter().find(|secret| bytes.starts_with(&secret.value))
    }

    /// Returns whether these bytes, the last so far, may be the beginning of a secret.
    fn may_begin(&self, bytes: &[u8]) -> bool {
        self.values.iter().any(|secret| secret.value.len() > bytes.len() && secret.value.starts_with(bytes))
    }
}

/// Masks a stream of bytes that arrives in parts.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The last bytes so far, held back while they may be the beginning of a secret.
    held: Vec<u8>,
}

impl Stream {
    /// Takes more bytes. Appends to `out` everything before a possible beginning of a secret.
    pub(crate) fn push(&mut self, secrets: &Secrets, bytes: &[u8], out: &mut Vec<u8>) {
        if secrets.values.is_empty() {
            return out.extend_from_slice(bytes);
        }
        let mut begins = [false; 256];
        secrets.values.iter().for_each(|secret| begins[secret.value[0] as usize] = true);
        self.held.extend_from_slice(bytes);
        let at = self.copy(secrets, out, |rest| begins[rest[0] as usize], |rest| secrets.may_begin(rest));
        self.held.drain(..at);
    }

    /// Appends the bytes held back, at the end of the stream.
    pub(crate) fn finish(&mut self, secrets: &Secrets, out: &mut Vec<u8>) {
        self.copy(secrets, out, |_| true, |_| false);
        self.held.clear();
    }

    /// Appends the held bytes, masked, up to the first position where both `begins` and `waits` are true. Returns that
    /// position.
    fn copy(
        &self,
        secrets: &Secrets,
        out: &mut Vec<u8>,
        begins: impl Fn(&[u8]) -> bool,
        waits: impl Fn(&[u8]) -> bool,
    ) -> usize {
        let (mut at, mut copied) = (0, 0);
        while at < self.held.len() {
            let rest = &self.held[at..];
            if !begins(rest) {
                at += 1;
            } else if waits(rest) {
                // Held back even if a shorter secret is complete here: with more bytes it may be a longer one.
                break;
            } else if let Some(secret) = secrets.at(rest) {
                out.extend_from_slice(&self.held[copied..at]);
                out.extend_from_slice(secret.mask.as_bytes());
                at += secret.value.len();
                copied = at;
            } else {
                at += 1;
            }
        }
        out.extend_from_slice(&self.held[copied..at]);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(variables: &[(&str, &str)]) -> Secrets {
        Secrets::of(variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    #[test]
    fn names_and_lengths_tell_what_is_a_secret() {
        let secrets = secrets(&[
            ("HF_TOKEN", "hf_abcdefgh"),
            ("api_key", "12345678"),
            ("DB_PASSWORD", "1234567"),
            ("TOKENS", "no-secret-by-name"),
            ("CLIENT_SECRET", "hf_abcdefgh-and-more"),
        ]);
        let masked = |text: &str| secrets.mask(text);
        assert_eq!(masked("x hf_abcdefgh y"), "x [masked HF_TOKEN] y");
        assert_eq!(masked("12345678"), "[masked api_key]");
        assert_eq!(masked("1234567 no-secret-by-name"), "1234567 no-secret-by-name");
        assert_eq!(masked("hf_abcdefgh-and-more!"), "[masked CLIENT_SECRET]!", "the longest wins");
        let value = serde_json::json!({ "12345678": ["hf_abcdefgh", 1] });
        assert_eq!(secrets.mask_value(value), serde_json::json!({ "[masked api_key]": ["[masked HF_TOKEN]", 1] }));
    }

    #[test]
    fn a_secret_that_comes_in_parts_is_masked_wherever_it_is_cut() {
        let secrets = secrets(&[("A_TOKEN", "ababababc"), ("B_TOKEN", "ababababcdef")]);
        let text = b"ab ababababc abababababcdef ababababcde";
        let whole = "ab [masked A_TOKEN] ab[masked B_TOKEN] [masked A_TOKEN]de";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let (mut stream, mut out) = (Stream::default(), Vec::new());
                for part in [&text[..first], &text[first..second], &text[second..]] {
                    stream.push(&secrets, part, &mut out);
                }
                stream.finish(&secrets, &mut out);
                let text = String::from_utf8_lossy(&out);
                assert!(text.starts_with("ab [masked A_TOKEN] ab[masked B_TOKEN] "), "{first} {second}: {text}");
                assert_eq!(text, whole, "cut at {first} and {second}");
            }
        }
    }
}
