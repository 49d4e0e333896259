//! What was probably meant by a table that is no kind, or by a `--set` that names no stage.

use std::collections::BTreeSet;

use super::each::is_name;
use super::tree::{Entry, Table};
use crate::diagnostic::{Diagnostic, quoted, suggest};
use crate::kind::{KindInfo, Kinds};

/// The keys of a workflow that are no kinds.
pub(super) const RESERVED: [&str; 5] = ["name", "seed", "inputs", "defaults", "run"];

/// Reports a table or a key of a workflow that is neither a kind nor a key of workflows.
pub(super) fn unknown_kind(entry: &Entry, kinds: &Kinds) -> Diagnostic {
    let key = entry.key.as_str();
    let example = kinds.names().find(|kind| *kind == "sft").or_else(|| kinds.names().next()).unwrap_or("kind");
    let Some(table) = entry.node.table() else {
        let message = format!("`{key}` is no key of a workflow");
        let has_key = |kind: &&KindInfo| kind.keys.contains_key(key);
        let of = kinds.get(example).filter(has_key).or_else(|| kinds.iter().find(has_key));
        let of = of.map(|kind| kind.spec.kind.as_str());
        let known = RESERVED.into_iter().chain(["extends"]);
        let near = suggest(key, known.clone()).filter(|help| help.ends_with('?'));
        let help = near.unwrap_or_else(|| match of {
            Some(kind) => format!("keys of a stage stand below its name: `[{kind}.first]`"),
            None => {
                format!("known: {}; stages are tables, such as `[{example}.first]`", quoted(&known.collect::<Vec<_>>()))
            }
        });
        return Diagnostic::new(&entry.key_span, message, "outside of tables").with_help(help);
    };
    let message = format!("unknown kind `{key}`");
    let near =
        |key: &str| suggest(key, kinds.names().chain(RESERVED).chain(["extends"])).filter(|help| help.ends_with('?'));
    let lower = key.to_lowercase();
    // A short name is near to many.
    let is_near = |help: &String| {
        let name = help.split('`').nth(1).unwrap_or_default();
        key.len() > 3 || strsim::damerau_levenshtein(&lower, name) <= 1
    };
    let help = near(&lower).filter(is_near).unwrap_or_else(|| {
        let names = quoted(&kinds.names().collect::<Vec<_>>());
        let holds_keys = |kind: &KindInfo| {
            let is_key = |own: &Entry| kind.keys.contains_key(&own.key);
            table.0.iter().filter(|own| is_key(own)).count()
        };
        match kinds.iter().max_by_key(|kind| holds_keys(kind)).filter(|kind| holds_keys(kind) > 0) {
            Some(kind) => {
                let (kind, name) = (&kind.spec.kind, if is_name(&lower) { lower.as_str() } else { "first" });
                format!("a stage has a kind and a name, such as `[{kind}.{name}]`; kinds: {names}")
            }
            None => format!("kinds: {names}"),
        }
    });
    Diagnostic::new(&entry.key_span, message, "no such kind").with_help(help)
}

/// Reports keys of a kind that stand in place of its stages: the name of the stage is missing.
pub(super) fn without_name(kind: &KindInfo, stages: &Table) -> Option<Diagnostic> {
    let is_own = |key: &&Entry| kind.keys.contains_key(&key.key) && key.node.table().is_none();
    let key = stages.0.iter().find(is_own)?;
    let name = &kind.spec.kind;
    let message = format!("`[{name}]` has no name of a stage");
    let has_stages = stages.0.iter().any(|stage| stage.node.table().is_some() && !kind.keys.contains_key(&stage.key));
    let help = if has_stages {
        format!("keys of all {name} stages stand in `[defaults.{name}]`")
    } else {
        format!("give it one that you choose: `[{name}.first]`")
    };
    Some(Diagnostic::new(&key.key_span, message, format!("a key of {name} stages")).with_help(help))
}

/// Returns what was meant by `--set KEY=VALUE`, where `KEY` is no stage.
pub(super) fn stage_of_set<'a>(
    path: &[String],
    stages: impl Iterator<Item = (&'a str, &'a str, &'a KindInfo)> + Clone,
) -> Option<String> {
    let target = path[0].as_str();
    if path.len() == 1 {
        let with_key = stages.clone().filter(|(_, _, kind)| kind.keys.contains_key(target));
        let of: BTreeSet<String> = with_key.map(|(name, ..)| format!("--set {name}.{target}=…")).collect();
        if !of.is_empty() && of.len() <= 4 {
            return Some(format!("a key has its stage before it: {}", quoted(&of.into_iter().collect::<Vec<_>>())));
        }
    }
    if let Some(kind) = stages.clone().map(|(.., kind)| &kind.spec.kind).find(|kind| *kind == target)
        && path.len() > 2
    {
        return Some(format!("leave the kind `{kind}` out: `--set {}=…`", path[1..].join(".")));
    }
    let names = stages.flat_map(|(name, family, _)| [name, family]);
    let known: BTreeSet<&str> = names.chain(RESERVED).collect();
    suggest(target, known)
}
