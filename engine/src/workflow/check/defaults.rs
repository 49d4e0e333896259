//! Keys that a table leaves out: fills in their defaults, which are part of the action, and reports missing keys.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Checker, Owner};
use crate::diagnostic::{Diagnostic, Span};
use crate::dirty::same;
use crate::kind::{KeySpec, When};
use crate::workflow::tree::{Entry, Node, Table};

/// A table of a workflow: as written, the keys of its kind, and its values checked so far.
struct Beside<'a> {
    table: &'a Table,
    keys: &'a BTreeMap<String, KeySpec>,
    config: &'a Map<String, Json>,
}

/// The value that another key depends on is itself a mistake, so nothing is reported for the other key.
struct Mistaken;

impl Beside<'_> {
    /// Returns the text value of a key, given or by default.
    fn word(&self, key: &str) -> Result<Option<String>, Mistaken> {
        if self.table.get(key).is_some() {
            let word = self.config.get(key).and_then(Json::as_str);
            return word.map(|word| Some(word.to_owned())).ok_or(Mistaken);
        }
        let Some(spec) = self.keys.get(key) else { return Ok(None) };
        Ok(self.default(spec)?.and_then(|default| default.as_str().map(str::to_owned)))
    }

    fn default(&self, spec: &KeySpec) -> Result<Option<Json>, Mistaken> {
        let by = spec.default_by.as_ref().map(|by| self.word(&by.key)).transpose()?.flatten();
        Ok(spec.default_beside(|_| by))
    }
}

impl Checker<'_> {
    /// Fills in defaults, and reports missing keys and keys without effect.
    pub(super) fn complete(
        &mut self,
        table: &Table,
        keys: &BTreeMap<String, KeySpec>,
        owner: Owner<'_>,
        span: &Span,
        config: &mut Map<String, Json>,
    ) {
        let mut omitted = Vec::new();
        for (key, spec) in keys {
            let entry = table.get(key);
            let beside = Beside { table, keys, config };
            if let Some(when) = &spec.when {
                match beside.word(&when.key) {
                    Ok(word) if when.holds(word.as_deref()) => {}
                    Ok(word) => {
                        self.diagnostics.extend(entry.map(|entry| useless(entry, when, word.as_deref())));
                        continue;
                    }
                    Err(Mistaken) => continue,
                }
            }
            let Ok(default) = beside.default(spec) else { continue };
            match default.map(|default| self.whole(key, spec, default, span)) {
                Some(default) if spec.omits_default => {
                    // Removed only after the loop, because other keys may depend on it.
                    omitted.extend(config.get(key).is_some_and(|value| same(value, &default)).then_some(key));
                }
                Some(default) if entry.is_none() => {
                    config.insert(key.clone(), default);
                }
                None if spec.required && entry.is_none() => {
                    let message = format!("{} lacks `{key}`", self.named(owner));
                    self.is_complete = false;
                    let reason = spec.when.as_ref().map_or_else(String::new, |when| format!(" for {when}"));
                    let diagnostic = Diagnostic::new(span, message, format!("`{key}` is required{reason}"));
                    self.diagnostics.push(diagnostic.with_help(format!("`{key}` takes {}", spec.ty)));
                }
                Some(_) | None => {}
            }
        }
        for key in omitted {
            config.remove(key);
        }
    }

    /// Fills in the defaults of tables in a default, so that it equals the same value written out.
    fn whole(&mut self, key: &str, spec: &KeySpec, default: Json, span: &Span) -> Json {
        if !default.is_object() {
            return default;
        }
        let node = Node::of(&default, span);
        self.at(key, |checker| checker.value(&node, &spec.ty, key)).unwrap_or(default)
    }
}

/// A key without effect is a mistake: its author expects one.
fn useless(entry: &Entry, when: &When, value: Option<&str>) -> Diagnostic {
    let span =
        value.map_or_else(|| format!("without `{}`", when.key), |value| format!("where `{}` is `{value}`", when.key));
    let message = format!("`{}` has no use {span}", entry.key);
    Diagnostic::new(&entry.key_span, message, "would be ignored").with_help(format!("it is for {when}"))
}
