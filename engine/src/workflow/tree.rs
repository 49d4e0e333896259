//! TOML as a tree in which every key and value has its place.

use std::borrow::Cow;
use std::path::Path;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::syntax;
use crate::diagnostic::{Diagnostic, SourceId, Sources, Span};

/// The name of the source that a `--set` argument is.
pub(super) const SET: &str = "--set";

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
    syntax::report((id, text), errors, diagnostics);
    let table = table.into_inner();
    table.values().for_each(|value| backslashes((id, text), value, diagnostics));
    convert_table(id, table)
}

/// Reports commands of TeX in the texts of a value.
fn backslashes(source: (SourceId, &str), value: &Spanned<DeValue<'_>>, diagnostics: &mut Vec<Diagnostic>) {
    match value.get_ref() {
        DeValue::String(_) => syntax::tex(source, &value.span(), diagnostics),
        DeValue::Array(items) => items.iter().for_each(|item| backslashes(source, item, diagnostics)),
        DeValue::Table(table) => table.values().for_each(|item| backslashes(source, item, diagnostics)),
        _ => {}
    }
}

/// Parses the value of `--set key=value`: as TOML if it is valid TOML, else as bare text.
pub(super) fn parse_value(sources: &mut Sources, argument: &str, value: &str) -> Node {
    let id = sources.add(Path::new(SET), argument.to_owned());
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
