//! `[inputs]`: artifacts from outside, `{ <type> = "path", … }` or `{ <type> = "hf:org/name@revision", … }`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::check::plain;
use super::hub::{HubId, HubInput, PREFIX};
use super::tree::{Entry, Node, Value};
use super::{InputDecl, InputSource};
use crate::artifact::ArtifactType;
use crate::diagnostic::{Diagnostic, Sources, suggest};
use crate::limits;

const ROWS: &[ArtifactType] = &[ArtifactType::Prompts, ArtifactType::Samples, ArtifactType::Preferences];
const MODELS: &[ArtifactType] = &[ArtifactType::Model, ArtifactType::RewardModel];
const ANSWERS: &[ArtifactType] = &[ArtifactType::Prompts, ArtifactType::Samples];
const QUESTIONS: &[ArtifactType] = &[ArtifactType::Prompts];
/// Keys that say how an input is read, with the types that each applies to. They are passed to the stage that reads the
/// input, and are part of its fingerprint, except those that only reject an input (`action/mod.rs`).
const IMPORT_KEYS: [(&str, &[ArtifactType]); 10] = [
    ("fields", ROWS),
    ("split", ROWS),
    ("limit", ROWS),
    ("skip", ROWS),
    ("row-mib", ROWS),
    ("total-mib", ROWS),
    ("allow-non-finite", MODELS),
    ("answer-after", ANSWERS),
    ("verify", QUESTIONS),
    ("language", QUESTIONS),
];
const VERIFY: [&str; 4] = ["number", "choice", "exact", "none"];

/// Checks the table of inputs.
pub(super) fn inputs(
    node: Option<Node>,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<String, InputDecl> {
    let Some(node) = node else { return BTreeMap::new() };
    let Value::Table(table) = node.value else {
        diagnostics.push(Diagnostic::new(&node.place, "`inputs` is a table", node.value.sort()));
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for entry in table.0 {
        if let Some(input) = input(&entry, sources, diagnostics) {
            found.insert(entry.key, input);
        }
    }
    found
}

fn input(entry: &Entry, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> Option<InputDecl> {
    let example = "for example `{ prompts = \"data/math.jsonl\" }`";
    let Some(table) = entry.node.table() else {
        let message = format!("input `{}` is not a table", entry.key);
        diagnostics.push(Diagnostic::new(&entry.node.place, message, entry.node.value.sort()).with_help(example));
        return None;
    };
    let mut decl: Option<InputDecl> = None;
    let mut pin = None;
    let mut import = Map::new();
    let before = diagnostics.len();
    for key in &table.0 {
        if let Ok(artifact) = key.key.parse::<ArtifactType>() {
            if decl.is_some() {
                let message = format!("input `{}` has two types", entry.key);
                diagnostics.push(Diagnostic::new(&key.key_place, message, "one is enough"));
            } else {
                decl = source_of(key, artifact, sources, diagnostics);
            }
        } else if key.key == "digest" {
            pin = digest(key, diagnostics);
        } else if IMPORT_KEYS.iter().any(|(name, _)| *name == key.key) {
            check_import(key, diagnostics);
            // A default gives the same fingerprint whether it is written or not.
            let value = Some(plain(&key.node)).filter(|value| !is_default(&key.key, value));
            import.extend(value.map(|value| (key.key.clone(), value)));
        } else {
            let known = ArtifactType::ALL.map(ArtifactType::name).into_iter().chain(IMPORT_KEYS.map(|(name, _)| name));
            let help = suggest(&key.key, known.chain(["digest"]));
            let message = format!("unknown key `{}` in input `{}`", key.key, entry.key);
            diagnostics.push(Diagnostic::new(&key.key_place, message, "not a key of inputs").with_optional_help(help));
        }
    }
    if decl.is_none() && diagnostics.len() == before {
        let message = format!("input `{}` has no type", entry.key);
        diagnostics.push(Diagnostic::new(&entry.node.place, message, "which artifact is it?").with_help(example));
    }
    let decl = decl?;
    table.0.iter().for_each(|key| check_use(key, decl.artifact, diagnostics));
    Some(InputDecl { pin, import, ..decl })
}

/// A key without effect is a mistake: its author expects one.
fn check_use(key: &Entry, artifact: ArtifactType, diagnostics: &mut Vec<Diagnostic>) {
    let Some((name, types)) = IMPORT_KEYS.iter().find(|(name, _)| *name == key.key) else { return };
    if !types.contains(&artifact) {
        let message = format!("`{name}` has no use for an input of type {artifact}");
        let types = types.iter().map(|artifact| artifact.name()).collect::<Vec<_>>().join(", ");
        let help = format!("it is for {types}");
        diagnostics.push(Diagnostic::new(&key.key_place, message, "would be ignored").with_help(help));
    }
}

fn source_of(
    key: &Entry,
    artifact: ArtifactType,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<InputDecl> {
    let Some(text) = key.node.text() else {
        let message = format!("`{}` is the path of a file or folder, or an id of the hub", key.key);
        diagnostics.push(Diagnostic::new(&key.node.place, message, key.node.value.sort()));
        return None;
    };
    let decl = |source| InputDecl { artifact, source, pin: None, import: Map::new() };
    if let Some(id) = text.strip_prefix(PREFIX) {
        return hub_id(key, text, HubId::parse(id, artifact), diagnostics).map(|input| decl(InputSource::Hub(input)));
    }
    // A path is relative to the file that it is written in; a path from `--set` is relative to the current folder.
    let base = sources.get(key.node.place.source).name.parent().unwrap_or(Path::new(""));
    if let Ok(path) = fs_err::canonicalize(base.join(text)) {
        return Some(decl(InputSource::Path(path)));
    }
    let message = format!("`{text}` is not there");
    let help = format!("looked for `{}`; paths are relative to the workflow file", base.join(text).display());
    diagnostics.push(Diagnostic::new(&key.node.place, message, "no such file or folder").with_help(help));
    None
}

fn hub_id(key: &Entry, text: &str, id: Result<HubId, String>, diagnostics: &mut Vec<Diagnostic>) -> Option<HubInput> {
    let place = key.node.place.clone();
    match id {
        Ok(id) => Some(HubInput { id, place, fetched: None }),
        Err(reason) => {
            let help =
                "`hf:org/name`, `hf:org/name@revision` or `hf:org/name@revision/folder`; a file of yours is `./hf:…`";
            diagnostics.push(Diagnostic::new(&place, format!("`{text}` is no id of the hub"), reason).with_help(help));
            None
        }
    }
}

fn digest(key: &Entry, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    let text = key.node.text().unwrap_or("");
    if text.parse::<store::Digest>().is_ok() {
        return Some(text.to_owned());
    }
    let message = "`digest` is `b3:` and 64 hex digits";
    diagnostics.push(Diagnostic::new(&key.node.place, message, "not a digest").with_help("`b3sum FILE` prints them"));
    None
}

/// Returns whether an import key has its default.
fn is_default(key: &str, value: &Json) -> bool {
    match key {
        "skip" => *value == json!(0),
        "fields" => *value == json!({}),
        "allow-non-finite" => *value == json!(false),
        _ => false,
    }
}

fn check_import(key: &Entry, diagnostics: &mut Vec<Diagnostic>) {
    let is_text = |node: &Node| node.text().is_some();
    let is_texts =
        |node: &Node| matches!(&node.value, Value::List(items) if !items.is_empty() && items.iter().all(is_text));
    let (fits, expected) = match key.key.as_str() {
        "allow-non-finite" => (matches!(key.node.value, Value::Bool(_)), "true or false"),
        "row-mib" | "total-mib" => {
            (matches!(key.node.value, Value::Integer(1..=limits::MIB)), "a whole number of MiB, from 1 to 16777216")
        }
        "limit" | "skip" => (matches!(key.node.value, Value::Integer(0..)), "a whole number, 0 or more"),
        "verify" => {
            (key.node.text().is_some_and(|text| VERIFY.contains(&text)), "one of `number`, `choice`, `exact`, `none`")
        }
        "fields" => (
            key.node
                .table()
                .is_some_and(|table| table.0.iter().all(|entry| is_text(&entry.node) || is_texts(&entry.node))),
            "a table of our fields to yours, for example `{ prompt = \"question\" }`",
        ),
        _ => (is_text(&key.node), "text"),
    };
    if !fits {
        let message = format!("`{}` is {expected}", key.key);
        diagnostics.push(Diagnostic::new(&key.node.place, message, key.node.value.sort()));
    }
}
