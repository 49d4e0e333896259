//! TOML as a tree in which every key and value has its place.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, SourceId, Sources, Span};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

/// A TOML value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// A table in the file's order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table(pub(super) Vec<Entry>);

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) node: Node,
}

impl Node {
    /// Returns JSON as a node at a place; members that are null are left out.
    pub(super) fn of(json: &Json, span: &Span) -> Self {
        let value = match json {
            Json::Null => Value::Table(Table::default()),
            Json::Bool(claim) => Value::Bool(*claim),
            Json::Number(number) => {
                let float = || Value::Float(number.as_f64().unwrap_or(f64::NAN));
                number.as_i64().map_or_else(float, Value::Integer)
            }
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(|item| Self::of(item, span)).collect()),
            Json::Object(entries) => {
                let entries = entries.iter().filter(|(_, entry)| !entry.is_null());
                let entry = |(key, entry): (&String, &Json)| Entry {
                    key: key.clone(),
                    key_span: span.clone(),
                    node: Self::of(entry, span),
                };
                Value::Table(Table(entries.map(entry).collect()))
            }
        };
        Self { span: span.clone(), value }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(super) fn table(&self) -> Option<&Table> {
        if let Value::Table(table) = &self.value { Some(table) } else { None }
    }

    pub(super) fn table_mut(&mut self) -> Option<&mut Table> {
        if let Value::Table(table) = &mut self.value { Some(table) } else { None }
    }
}

impl Value {
    /// Returns a whole number; 400.0 is one, too.
    pub(super) fn whole(&self) -> Option<i64> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self {
            Self::Integer(number) => Some(*number),
            Self::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => Some(*number as i64),
            _ => None,
        }
    }

    /// Names the sort of value, for messages.
    pub(super) fn sort(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Entry> {
        let index = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.remove(index))
    }

    /// Lays `over` on top: tables merge, anything else is replaced whole.
    pub(super) fn merge(&mut self, over: Table) {
        if self.0.is_empty() {
            *self = over;
            return;
        }
        for entry in over.0 {
            match self.0.iter_mut().find(|own| own.key == entry.key) {
                Some(own) => own.merge(entry),
                None => self.0.push(entry),
            }
        }
    }
}

impl Entry {
    fn merge(&mut self, over: Entry) {
        match (&mut self.node.value, over) {
            (Value::Table(own), Entry { node: Node { span, value: Value::Table(table) }, .. }) => {
                own.merge(table);
                self.node.span = span;
            }
            (_, over) => *self = over,
        }
    }
}

/// The most mistakes of syntax that are reported: a file with more is no TOML.
const SYNTAX_ERRORS: usize = 10;

/// Parses a text. Mistakes of syntax are added to `diagnostics`, and what could be read is returned.
pub(super) fn parse(sources: &mut Sources, name: &Path, text: String, diagnostics: &mut Vec<Diagnostic>) -> Table {
    let id = sources.add(name, text);
    let text = &sources.get(id).text;
    if text.trim_start().starts_with(['{', '<']) {
        let help = "a workflow is a TOML file, such as `[sft.first]`; data are named in its `[inputs]`";
        let span = Span::new(id, 0..text.trim_end().len().min(1));
        diagnostics
            .push(Diagnostic::new(&span, "this is no workflow", "it begins as JSON or HTML does").with_help(help));
        return Table::default();
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    let errors = yaml((id, text), errors, diagnostics);
    let more = errors.len().saturating_sub(SYNTAX_ERRORS);
    for (index, error) in errors.into_iter().take(SYNTAX_ERRORS).enumerate() {
        let span = error.span().unwrap_or(0..text.len().min(1));
        let word = text[span.start.min(text.len())..].split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let help = match word {
            "None" | "null" | "nil" => Some("TOML has no word for nothing: leave the key out".to_owned()),
            "True" | "False" => Some(format!("TOML writes `{}`", word.to_lowercase())),
            _ if index + 1 == SYNTAX_ERRORS && more > 0 => {
                Some(format!("{more} mistakes like this follow: is it TOML at all?"))
            }
            _ => None,
        };
        let message = error.message().replace('\n', " ").trim().to_owned();
        diagnostics.push(Diagnostic::new(&Span::new(id, span), message, "this is not TOML").with_optional_help(help));
    }
    convert_table(id, table.into_inner())
}

/// Reports lines that are YAML, `steps: 2`, each once; returns the errors of other lines.
fn yaml(
    (id, text): (SourceId, &str),
    errors: Vec<toml::de::Error>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<toml::de::Error> {
    let mut reported = BTreeSet::new();
    let is_other = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let start = text.as_bytes()[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let Some((key, value)) = line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else {
            return true;
        };
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return true;
        }
        if reported.insert(start) {
            let help = if value.is_empty() {
                format!("TOML names a table in brackets: `[{key}]`")
            } else {
                format!("TOML has `=` between a key and its value: `{key} = {value}`")
            };
            let span = Span::new(id, range_in(text, line.trim()));
            diagnostics.push(
                Diagnostic::new(&span, "this is YAML, and a workflow is TOML", "`:` after a key").with_help(help),
            );
        }
        false
    };
    errors.into_iter().filter(is_other).collect()
}

/// Parses the value of `--set key=value`: as TOML if it is valid TOML, else as bare text.
pub(super) fn parse_value(sources: &mut Sources, argument: &str, value: &str) -> Node {
    let id = sources.add(Path::new("--set"), argument.to_owned());
    let span = Span::new(id, range_in(argument, value));
    let parsed = DeValue::parse(value).ok().map(|parsed| convert(id, parsed).value);
    Node { value: everywhere(parsed.unwrap_or_else(|| Value::Text(value.to_owned())), &span), span }
}

/// Returns the range of `part` in `text`, which it must be a slice of.
pub(super) fn range_in(text: &str, part: &str) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

/// Sets every place in a value to `place`: parts of an argument are too small to point at.
fn everywhere(value: Value, span: &Span) -> Value {
    let node = |node: Node| Node { span: span.clone(), value: everywhere(node.value, span) };
    match value {
        Value::List(items) => Value::List(items.into_iter().map(node).collect()),
        Value::Table(table) => Value::Table(Table(
            table
                .0
                .into_iter()
                .map(|entry| Entry { key: entry.key, key_span: span.clone(), node: node(entry.node) })
                .collect(),
        )),
        plain => plain,
    }
}

/// Consumes the table while converting it, so that a large one is never in memory twice.
fn convert_table(id: SourceId, table: DeTable<'_>) -> Table {
    let entry = |(key, value): (Spanned<Cow<'_, str>>, Spanned<DeValue<'_>>)| Entry {
        key_span: Span::new(id, key.span()),
        key: key.into_inner().into_owned(),
        node: convert(id, value),
    };
    Table(table.into_iter().map(entry).collect())
}

fn convert(id: SourceId, value: Spanned<DeValue<'_>>) -> Node {
    let span = Span::new(id, value.span());
    let number = |digits: &str, radix: u32| i64::from_str_radix(&digits.replace('_', ""), radix).ok();
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Boolean(claim) => Value::Bool(claim),
        DeValue::Integer(integer) => match number(integer.as_str(), integer.radix()) {
            Some(number) => Value::Integer(number),
            None => Value::Float(integer.as_str().parse().unwrap_or(f64::INFINITY)),
        },
        DeValue::Float(float) => Value::Float(float.as_str().replace('_', "").parse().unwrap_or(f64::NAN)),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| convert(id, item)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(id, table)),
    };
    Node { span, value }
}
