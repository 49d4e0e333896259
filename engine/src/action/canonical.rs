//! The canonical text of an action: sorted keys, no white space, one spelling for each number.
//!
//! It can be written straight from a stage's config, with artifacts in place of references: hashing an action does not
//! require building it.

use serde::Serialize;
use serde_json::Value;
use store::Digest;

use crate::workflow::push_step;

/// Returns the digest of a document.
pub(super) fn digest(document: &Value) -> Digest {
    let mut text = Canonical::with(Vec::new());
    text.value(document);
    text.digest()
}

/// A canonical text under construction.
pub(super) struct Canonical<'a> {
    out: Vec<u8>,
    /// Artifacts to write in place of references, each with the JSON pointer of its reference.
    artifacts: Vec<(&'a str, Value)>,
    /// JSON pointer of the value being written; maintained only while `artifacts` is not empty.
    pointer: String,
}

impl<'a> Canonical<'a> {
    pub(super) fn with(artifacts: Vec<(&'a str, Value)>) -> Self {
        Self { out: Vec::with_capacity(1_024), artifacts, pointer: String::new() }
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(&self.out)
    }

    /// Writes text as it is.
    pub(super) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Writes a value that contains no float.
    pub(super) fn plain<T: Serialize + ?Sized>(&mut self, value: &T) {
        write_plain(value, &mut self.out);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(entries) => self.object(entries.iter()),
            Value::Array(items) => {
                self.out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    self.member(&index.to_string(), item);
                }
                self.out.push(b']');
            }
            Value::Number(number) => write_number(number, &mut self.out),
            plain => write_plain(plain, &mut self.out),
        }
    }

    /// Writes an object, sorted by key.
    pub(super) fn object<'b>(&mut self, entries: impl Iterator<Item = (&'b String, &'b Value)>) {
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        self.out.push(b'{');
        for (index, (key, entry)) in entries.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write_plain(key, &mut self.out);
            self.out.push(b':');
            self.member(key, entry);
        }
        self.out.push(b'}');
    }

    /// Writes a member of an object or array, or the artifact that replaces it.
    fn member(&mut self, key: &str, value: &Value) {
        if self.artifacts.is_empty() {
            return self.value(value);
        }
        let above = self.pointer.len();
        push_step(&mut self.pointer, key);
        match self.artifacts.iter().position(|(pointer, _)| *pointer == self.pointer) {
            Some(at) => {
                // An artifact contains no references.
                let artifacts = std::mem::take(&mut self.artifacts);
                self.value(&artifacts[at].1);
                self.artifacts = artifacts;
            }
            None => self.value(value),
        }
        self.pointer.truncate(above);
    }
}

fn write_plain<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("plain values are JSON, and memory takes all bytes");
}

/// Whole numbers are written without a fraction, others as the shortest text that reads back the same.
fn write_number(number: &serde_json::Number, out: &mut Vec<u8>) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
            write_plain(&(float as i64), out);
        }
        _ => write_plain(number, out),
    }
}
