//! Short forms: `accuracy = 1.0` is `accuracy = { weight = 1.0 }`. They are written out in each layer before layers are
//! merged, so that both forms merge alike.

use std::collections::BTreeMap;

use super::tree::{Entry, Node, Table, Value};
use crate::kind::{KeySpec, KeyType, Kinds};

/// Writes out the short forms in the stages and the defaults of a file.
pub(super) fn write_out_file(file: &mut Table, kinds: &Kinds) {
    for entry in &mut file.0 {
        let Some(table) = entry.node.table_mut() else { continue };
        if let Some(kind) = kinds.get(&entry.key) {
            for stage in table.0.iter_mut().filter_map(|stage| stage.node.table_mut()) {
                write_out(stage, &kind.keys);
                let variants =
                    stage.0.iter_mut().filter(|key| key.key == "each").filter_map(|each| each.node.table_mut());
                for variant in variants.flat_map(|variants| &mut variants.0).filter_map(|one| one.node.table_mut()) {
                    write_out(variant, &kind.keys);
                }
            }
        } else if entry.key == "defaults" {
            for defaults in &mut table.0 {
                if let (Some(kind), Some(keys)) = (kinds.get(&defaults.key), defaults.node.table_mut()) {
                    write_out(keys, &kind.keys);
                }
            }
        }
    }
}

/// Writes out the short forms among the keys of a table.
pub(super) fn write_out(table: &mut Table, keys: &BTreeMap<String, KeySpec>) {
    for entry in &mut table.0 {
        let Some(spec) = keys.get(&entry.key) else { continue };
        if let Some(short) = &spec.short
            && entry.node.table().is_none()
            && has_shape(&spec.ty, &entry.node.value)
        {
            let (span, node) = (entry.node.span.clone(), entry.node.clone());
            let only = Entry { key: short.clone(), key_span: span.clone(), node };
            entry.node = Node { span, value: Value::Table(Table(vec![only])) };
        }
        let types = match &spec.ty {
            KeyType::AnyOf(types) => types.as_slice(),
            ty => std::slice::from_ref(ty),
        };
        if let Some(table) = entry.node.table_mut() {
            for ty in types {
                if let KeyType::Table(keys) = ty {
                    write_out(table, keys);
                }
            }
        }
    }
}

/// Returns the type whose shape a value has: one that the items of a list fit, too, before one that they do not. Where
/// a text or a reference may be written, `inputs.NAME` is the reference.
pub(super) fn shape_of<'a>(types: &'a [KeyType], value: &Value) -> Option<&'a KeyType> {
    let fits_items = |ty: &&KeyType| match (ty, value) {
        (KeyType::List(of, length), Value::List(items)) => {
            length.fits(items.len()) && items.iter().all(|item| has_shape(of, &item.value))
        }
        (KeyType::Reference(_), Value::Text(text)) if types.contains(&KeyType::Text) => names_an_input(text),
        (ty, value) => has_shape(ty, value),
    };
    types.iter().find(fits_items).or_else(|| types.iter().find(|ty| has_shape(ty, value)))
}

fn names_an_input(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.strip_prefix("inputs.").is_some_and(|name| !name.is_empty() && name.chars().all(is_part))
}

/// Returns whether a value has the shape of a type, whatever its bounds.
fn has_shape(ty: &KeyType, value: &Value) -> bool {
    match ty {
        KeyType::Bool => matches!(value, Value::Bool(_)),
        KeyType::Integer { .. } => value.whole().is_some(),
        KeyType::Number { .. } => matches!(value, Value::Integer(_) | Value::Float(_)),
        KeyType::Text | KeyType::OneOf(_) | KeyType::Reference(_) => matches!(value, Value::Text(_)),
        KeyType::List(..) => matches!(value, Value::List(_)),
        KeyType::Table(_) | KeyType::MapOf(_) => matches!(value, Value::Table(_)),
        KeyType::AnyOf(types) => types.iter().any(|ty| has_shape(ty, value)),
    }
}
