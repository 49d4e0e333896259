//! Checks keys against their types: each value becomes plain JSON, each reference is collected with its place.

mod defaults;
mod other_names;
mod run;
mod shape;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::each::Draft;
use super::short::shape_of;
use super::tree::{Entry, Node, Table, Value};
use super::{StageName, push_step};
use crate::artifact::ArtifactType;
use crate::diagnostic::{Diagnostic, Span, quoted, suggest};
use crate::kind::{KeySpec, KeyType, KindInfo, KindSpec, Role};
pub(super) use other_names::called_here;
pub(super) use run::run_options;

/// A stage's config, and the references in it.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: Map<String, Json>,
    /// Whether it has a value for each key that needs one.
    pub(super) is_complete: bool,
    pub(super) references: Vec<Written>,
}

/// A reference as written.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) pointer: String,
    pub(super) text: String,
    pub(super) artifact: ArtifactType,
    pub(super) span: Span,
}

/// Checks a stage's keys against its kind, and fills in defaults.
pub(super) fn check(draft: &Draft<'_>, diagnostics: &mut Vec<Diagnostic>) -> Checked {
    let kind = &draft.kind.spec.kind;
    let mut checker = Checker::of(kind, Some(&draft.kind.spec), diagnostics);
    let config = checker.table(&draft.keys, &draft.kind.keys, Owner::Stage(&draft.name), &draft.span);
    Checked { config, is_complete: checker.is_complete, references: checker.references }
}

/// Checks the value of an import key, which holds no references.
pub(super) fn import(entry: &Entry, spec: &KeySpec, diagnostics: &mut Vec<Diagnostic>) -> Option<Json> {
    let mut checker = Checker::of("inputs", None, diagnostics);
    checker.at(&entry.key, |checker| checker.value(&entry.node, &spec.ty, &entry.key))
}

/// What a table belongs to.
#[derive(Clone, Copy)]
enum Owner<'a> {
    Stage(&'a StageName),
    /// The table at the checker's pointer.
    Key,
}

struct Checker<'a> {
    kind: &'a str,
    /// Absent for inputs.
    spec: Option<&'a KindSpec>,
    /// The JSON pointer of the value that is being checked.
    pointer: String,
    references: Vec<Written>,
    /// Whether each key that needs a value has one, if only a default in place of a wrong one.
    is_complete: bool,
    /// The manual of the key that is being checked.
    manual: String,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn of(kind: &'a str, spec: Option<&'a KindSpec>, diagnostics: &'a mut Vec<Diagnostic>) -> Self {
        let (pointer, manual) = (String::new(), String::new());
        Self { kind, spec, pointer, references: Vec::new(), is_complete: true, manual, diagnostics }
    }

    fn table(
        &mut self,
        table: &Table,
        keys: &BTreeMap<String, KeySpec>,
        owner: Owner<'_>,
        span: &Span,
    ) -> Map<String, Json> {
        let mut config = Map::with_capacity(keys.len());
        let mut wrong = Vec::new();
        for entry in &table.0 {
            let Some(spec) = keys.get(&entry.key) else {
                self.unknown(entry, keys, owner);
                continue;
            };
            self.manual.clone_from(&spec.doc);
            match self.at(&entry.key, |checker| checker.value(&entry.node, &spec.ty, &entry.key)) {
                Some(value) => drop(config.insert(entry.key.clone(), value)),
                None => wrong.push((&entry.key, spec)),
            }
        }
        self.complete(table, keys, owner, span, &mut config);
        // Only now: keys that depend on a wrong value are not checked against its default.
        for (key, spec) in wrong {
            self.is_complete &= !spec.required;
            config.extend(spec.default.as_ref().map(|default| (key.clone(), default.clone())));
        }
        config
    }

    /// Runs `check` with `key` appended to the pointer.
    fn at<T>(&mut self, key: &str, check: impl FnOnce(&mut Self) -> T) -> T {
        let above = self.pointer.len();
        push_step(&mut self.pointer, key);
        let checked = check(self);
        self.pointer.truncate(above);
        checked
    }

    /// Returns the key that is being checked with the tables around it, as in `rewards.own.json`.
    fn path(&self) -> String {
        self.pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~")
    }

    fn named(&self, owner: Owner<'_>) -> String {
        match owner {
            Owner::Stage(name) => format!("{} stage `{name}`", self.kind),
            Owner::Key => format!("`{}`", self.path()),
        }
    }

    fn unknown(&mut self, entry: &Entry, keys: &BTreeMap<String, KeySpec>, owner: Owner<'_>) {
        // Without the key that is meant, a table such as `rewards` would look empty.
        self.is_complete &= matches!(owner, Owner::Stage(_));
        let message = format!("unknown key `{}` in {}", entry.key, self.named(owner));
        let label = match owner {
            Owner::Stage(_) => format!("not a key of {} stages", self.kind),
            Owner::Key => format!("not a key of {}", self.named(owner)),
        };
        let help = self.spec.and_then(|spec| called_here(&entry.key, spec, keys));
        let of_run = || {
            let is_of_run = matches!(owner, Owner::Stage(_)) && run::KEYS.contains(&entry.key.as_str());
            is_of_run.then(|| format!("it is a key of `run`: `run = {{ {} = … }}`", entry.key))
        };
        let help = help.or_else(of_run).or_else(|| shape::swapped(entry, keys));
        let near = || suggest(&entry.key, keys.keys().map(String::as_str));
        let help = help.or_else(|| near().filter(|near| near.ends_with('?')));
        let help = help.or_else(|| shape::of_ones_own(entry, keys)).or_else(near);
        let help = help.or_else(|| Some(format!("`r1flow kinds {}` lists the keys", self.spec?.kind)));
        self.diagnostics.push(Diagnostic::new(&entry.key_span, message, label).with_optional_help(help));
    }

    fn value(&mut self, node: &Node, ty: &KeyType, key: &str) -> Option<Json> {
        match (ty, &node.value) {
            (KeyType::AnyOf(types), _) => match shape_of(types, &node.value) {
                Some(ty) => self.value(node, ty, key),
                None => self.mismatch(node, ty, key),
            },
            (KeyType::Bool, Value::Bool(claim)) => Some(json!(claim)),
            (KeyType::Integer { min, max }, _) if node.value.whole().is_some() => {
                let number = node.value.whole()?;
                let fits = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
                if fits { Some(json!(number)) } else { self.out_of_range(node, key, bounds(*min, *max)) }
            }
            (KeyType::Number { min, above, max }, Value::Integer(_) | Value::Float(_)) => {
                let number = float(&node.value)?;
                let is_enough = min.is_none_or(|min| number >= min) && above.is_none_or(|above| number > above);
                if number.is_finite() && is_enough && max.is_none_or(|max| number <= max) {
                    return Some(plain(node));
                }
                let expected = above.map_or_else(
                    || bounds(*min, *max),
                    |above| max.map_or(format!("more than {above}"), |max| format!("more than {above}, up to {max}")),
                );
                self.out_of_range(node, key, expected)
            }
            (KeyType::Text, Value::Text(text)) => Some(json!(text)),
            (KeyType::OneOf(words), Value::Text(text)) => {
                if words.contains(text) {
                    return Some(json!(text));
                }
                let message = format!("`{key}` is `{text}`, which is none of its values");
                let help = suggest(text, words.iter().map(String::as_str))
                    .unwrap_or_else(|| format!("known: {}", quoted(words)));
                let stop = if help.ends_with('?') { "" } else { "." };
                let help = if self.manual.is_empty() { help } else { format!("{help}{stop} {}", self.manual) };
                self.diagnostics.push(Diagnostic::new(&node.span, message, "unknown value").with_help(help));
                None
            }
            (KeyType::Reference(artifact), Value::Text(text)) => {
                let (pointer, text, span) = (self.pointer.clone(), text.clone(), node.span.clone());
                self.references.push(Written { pointer, text: text.clone(), artifact: *artifact, span });
                Some(json!(text))
            }
            (KeyType::List(of, length), Value::List(items)) => {
                if !length.fits(items.len()) {
                    return self.mismatch(node, ty, key);
                }
                // All items are checked before the first failure counts, so that every mistake is reported.
                let items = items.iter().enumerate();
                let items =
                    items.map(|(index, item)| self.at(&index.to_string(), |checker| checker.value(item, of, key)));
                items.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>().map(Json::Array)
            }
            (KeyType::Table(keys), Value::Table(table)) => {
                Some(Json::Object(self.table(table, keys, Owner::Key, &node.span)))
            }
            (KeyType::MapOf(of), Value::Table(table)) => {
                let mut map = Map::new();
                for entry in &table.0 {
                    if let Some(value) = self.at(&entry.key, |checker| checker.value(&entry.node, of, &entry.key)) {
                        map.insert(entry.key.clone(), value);
                    }
                }
                Some(Json::Object(map))
            }
            _ => self.mismatch(node, ty, key),
        }
    }

    fn mismatch(&mut self, node: &Node, ty: &KeyType, key: &str) -> Option<Json> {
        let message = format!("`{key}` takes {ty}");
        let found = format!("this is {}", node.value.sort());
        self.diagnostics
            .push(Diagnostic::new(&node.span, message, found).with_optional_help(shape::help(node, ty, key)));
        None
    }

    fn out_of_range(&mut self, node: &Node, key: &str, bounds: String) -> Option<Json> {
        let message = format!("`{key}` is out of range");
        self.diagnostics.push(Diagnostic::new(&node.span, message, format!("expected {bounds}")));
        None
    }
}

fn bounds<T: std::fmt::Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("{min} or more"),
        (None, Some(max)) => format!("{max} or less"),
        (None, None) => "a finite number".to_owned(),
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// Returns a value as JSON, without its places.
pub(super) fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Bool(claim) => json!(claim),
        Value::Integer(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) | Value::Date(text) => json!(text),
        Value::List(items) => Json::Array(items.iter().map(plain).collect()),
        Value::Table(table) => {
            Json::Object(table.0.iter().map(|entry| (entry.key.clone(), plain(&entry.node))).collect())
        }
    }
}

/// Returns the keys of a kind whose role is not `result`.
pub(super) fn roles(kind: &KindInfo) -> BTreeMap<String, Role> {
    let others = kind.keys.iter().filter(|(_, spec)| spec.role != Role::Result);
    others.map(|(key, spec)| (key.clone(), spec.role)).collect()
}
