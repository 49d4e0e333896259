//! What the keys of other programs are called here, for messages about unknown keys.

use std::collections::BTreeMap;

use crate::kind::{KeySpec, KindSpec};

/// Returns what a key of another program is called here, if a key of this table is meant, or what takes its place. A
/// way that begins with the key that is meant says how the two differ.
pub(in crate::workflow) fn called_here(
    name: &str,
    kind: &KindSpec,
    keys: &BTreeMap<String, KeySpec>,
) -> Option<String> {
    let spelt = name.replace('-', "_").to_lowercase();
    let keys_meant = || kind.other_names.iter().filter(|(other, _)| *other == spelt).map(|(_, key)| key);
    let mut ways = kind.other_ways.iter().filter(|(other, _)| *other == spelt).map(|(_, way)| way);
    if let Some(key) = keys_meant().find(|key| keys.contains_key(*key)) {
        return Some(match ways.find(|way| begins_with(way, key)) {
            Some(way) => format!("`{name}` of other programs: {way}"),
            None => format!("`{name}` of other programs is `{key}` here"),
        });
    }
    // A key that is only spelt otherwise is meant itself.
    let is_key = keys.contains_key(&spelt.replace('_', "-"));
    let way = ways.find(|way| !is_key && !keys_meant().any(|key| begins_with(way, key)))?;
    Some(format!("`{name}` of other programs: {way}"))
}

/// Returns whether a text begins with `key` or `key = …`, in backticks.
fn begins_with(way: &str, key: &str) -> bool {
    let rest = way.strip_prefix('`').and_then(|rest| rest.strip_prefix(key));
    rest.is_some_and(|rest| rest.starts_with('`') || rest.starts_with(" = "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::Kinds;

    #[test]
    fn a_key_of_another_program_is_named_with_what_differs() {
        let kinds = |key: &str| {
            let spec = json!({
                "kind": "k",
                "version": 1,
                "doc": "",
                "inputs": {},
                "params": { "properties": { key: { "type": "integer", "default": 0 } } },
                "outputs": {},
                "other_names": [["max_steps", "steps"], ["num_epochs", "epochs"], ["num_epochs", "steps"]],
                "other_ways": [["num_epochs", "`steps` counts updates"], ["packing", "automatic"]],
            });
            Kinds::parse(serde_json::from_value(json!({ "protocol": 1, "kinds": [spec] })).unwrap()).unwrap()
        };
        let help = |name: &str, key: &str| {
            let kinds = kinds(key);
            let kind = kinds.get("k").unwrap();
            called_here(name, &kind.spec, &kind.keys)
        };
        assert_eq!(help("max_steps", "steps").as_deref(), Some("`max_steps` of other programs is `steps` here"));
        assert_eq!(help("num-epochs", "epochs").as_deref(), Some("`num-epochs` of other programs is `epochs` here"));
        let differs = "`num_epochs` of other programs: `steps` counts updates";
        assert_eq!(help("num_epochs", "steps").as_deref(), Some(differs));
        assert_eq!(help("num_epochs", "rows"), None, "`steps` is no key there");
        assert_eq!(help("packing", "rows").as_deref(), Some("`packing` of other programs: automatic"));
    }
}
