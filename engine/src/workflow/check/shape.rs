//! How a value of another shape, or a key in another place, would be written, for messages about it.

use std::collections::BTreeMap;

use crate::kind::{KeySpec, KeyType};
use crate::workflow::tree::{Entry, Node, Value};

/// Returns how `value` would be written for a key of this type, if that can be told.
pub(super) fn help(node: &Node, ty: &KeyType, key: &str) -> Option<String> {
    let value = &node.value;
    match (ty, value) {
        (KeyType::List(..), Value::Text(text)) => Some(format!("a list has brackets: `{key} = [\"{text}\"]`")),
        (KeyType::MapOf(_), Value::List(_)) => Some(format!("a table has braces and names: `{key} = {{ name = … }}`")),
        (KeyType::MapOf(of), Value::Text(text)) if matches!(**of, KeyType::Reference(_)) => {
            let name = text.strip_prefix("inputs.").or_else(|| text.split('.').next()).unwrap_or("name");
            Some(format!("a table has braces and names that you choose: `{key} = {{ {name} = \"{text}\" }}`"))
        }
        (KeyType::MapOf(_), _) => Some(format!("a table has names that you choose: `{key}.NAME = …`")),
        (KeyType::Table(keys), _) => {
            let example =
                keys.iter().find(|(_, spec)| spec.required).or_else(|| keys.iter().find(|key| fits(key, value)));
            let (first, _) = example.or_else(|| keys.iter().next())?;
            let named = value_text(value).filter(|text| keys.contains_key(*text)).unwrap_or(first);
            Some(format!("a table has braces and keys: `{key} = {{ {named} = … }}`"))
        }
        (KeyType::Integer { .. } | KeyType::Number { .. }, Value::Text(text)) if text.parse::<f64>().is_ok() => {
            Some(format!("a number has no quotes: `{key} = {text}`"))
        }
        (KeyType::Number { .. }, Value::Bool(_)) => Some(format!("for example `{key} = 1.0`")),
        (KeyType::AnyOf(types), _) => {
            let mut plain_first = types.iter().filter(|ty| !matches!(ty, KeyType::Table(_))).chain(types);
            plain_first.find_map(|ty| help(node, ty, key))
        }
        _ => None,
    }
}

fn value_text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

/// Returns whether a key of a table takes such a value.
fn fits((_, spec): &(&String, &KeySpec), value: &Value) -> bool {
    super::shape_of(std::slice::from_ref(&spec.ty), value).is_some()
}

/// Returns how `theirs = "ours"` would be written, where `ours` is a key.
pub(super) fn swapped(entry: &Entry, keys: &BTreeMap<String, KeySpec>) -> Option<String> {
    let ours = entry.node.text().filter(|text| keys.contains_key(*text))?;
    Some(format!("our name stands on the left: `{ours} = \"{}\"`", entry.key))
}

/// Returns where a table that has a name of the user's own belongs.
pub(super) fn of_ones_own(entry: &Entry, keys: &BTreeMap<String, KeySpec>) -> Option<String> {
    fn takes_any_names(ty: &KeyType) -> bool {
        match ty {
            KeyType::MapOf(of) => matches!(**of, KeyType::Table(_)),
            KeyType::AnyOf(types) => types.iter().any(takes_any_names),
            _ => false,
        }
    }
    entry.node.table()?;
    let (key, _) = keys.iter().find(|(_, spec)| takes_any_names(&spec.ty))?;
    Some(format!("a name of your own stands below `{key}`: `{key}.{} = {{ … }}`", entry.key))
}
