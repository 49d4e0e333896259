//! `[inputs]`: artifacts from outside, `{ <type> = "path", … }` or `{ <type> = "hf:org/name@revision", … }`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Map;

use super::check;
use super::hub::{self, HubId, HubInput, PREFIX};
use super::tree::{Entry, Node, SET, Value};
use super::{InputDecl, InputSource};
use crate::artifact::ArtifactType;
use crate::diagnostic::{Diagnostic, Sources, quoted, suggest};
use crate::kind::{ImportKey, Kinds, Role};

const FROM_FILE: &str = "paths are relative to the workflow file";

/// Checks the table of inputs.
pub(super) fn inputs(
    node: Option<Node>,
    kinds: &Kinds,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<String, InputDecl> {
    let Some(node) = node else { return BTreeMap::new() };
    let Value::Table(table) = node.value else {
        diagnostics.push(Diagnostic::new(&node.span, "`inputs` is a table", node.value.sort()));
        return BTreeMap::new();
    };
    let mut found = BTreeMap::new();
    for entry in table.0 {
        if let Some(input) = input(&entry, kinds.imports(), sources, diagnostics) {
            found.insert(entry.key, input);
        }
    }
    found
}

fn input(
    entry: &Entry,
    imports: &BTreeMap<String, ImportKey>,
    sources: &Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<InputDecl> {
    let example = "for example `{ prompts = \"data/math.jsonl\" }`";
    let Some(table) = entry.node.table() else {
        let message = format!("input `{}` is not a table", entry.key);
        let help = match entry.node.text() {
            Some(text) => format!(
                "say what it is: `{0} = {{ model = \"{text}\" }}`, or `prompts`, `samples`, `preferences` in place of `model`",
                entry.key
            ),
            None => example.to_owned(),
        };
        diagnostics.push(Diagnostic::new(&entry.node.span, message, entry.node.value.sort()).with_help(help));
        return None;
    };
    let mut decl: Option<InputDecl> = None;
    let mut pin = None;
    let (mut import, mut neutral, mut reads, mut beside) = (Map::new(), Map::new(), Vec::new(), BTreeMap::new());
    let before = diagnostics.len();
    for key in &table.0 {
        if let Ok(artifact) = key.key.parse::<ArtifactType>() {
            if decl.is_some() {
                let message = format!("input `{}` has two types", entry.key);
                diagnostics.push(Diagnostic::new(&key.key_span, message, "one is enough"));
            } else {
                decl = source_of(key, artifact, sources, diagnostics);
            }
        } else if key.key == "digest" {
            pin = digest(key, diagnostics);
        } else if imports.get(&key.key).is_some_and(|import| import.is_path) {
            beside.extend(path_beside(key, sources, diagnostics).map(|path| (key.key.clone(), path)));
        } else if let Some(ImportKey { spec, reads: file, .. }) = imports.get(&key.key) {
            reads.extend(file.clone());
            // A default gives the same fingerprint whether it is written or not.
            let value = check::import(key, spec, diagnostics).filter(|value| spec.default.as_ref() != Some(value));
            let keys = if spec.role == Role::Neutral { &mut neutral } else { &mut import };
            keys.extend(value.map(|value| (key.key.clone(), value)));
        } else {
            let known = ArtifactType::ALL.map(ArtifactType::name).into_iter().chain(imports.keys().map(String::as_str));
            let help = suggest(&key.key, known.chain(["digest"])).unwrap_or_else(|| {
                let types = quoted(&ArtifactType::ALL.map(ArtifactType::name));
                format!("the key of its path is its type: one of {types}")
            });
            let message = format!("unknown key `{}` in input `{}`", key.key, entry.key);
            diagnostics.push(Diagnostic::new(&key.key_span, message, "not a key of inputs").with_help(help));
        }
    }
    if decl.is_none() && diagnostics.len() == before {
        let message = format!("input `{}` has no type", entry.key);
        diagnostics.push(Diagnostic::new(&entry.node.span, message, "which artifact is it?").with_help(example));
    }
    let decl = decl?;
    table.0.iter().for_each(|key| check_use(key, imports, decl.artifact, diagnostics));
    Some(InputDecl { span: entry.key_span.clone(), pin, import, neutral, reads, beside, ..decl })
}

/// A key without effect is a mistake: its author expects one.
fn check_use(
    key: &Entry,
    imports: &BTreeMap<String, ImportKey>,
    artifact: ArtifactType,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(ImportKey { inputs, .. }) = imports.get(&key.key) else { return };
    if !inputs.contains(&artifact) {
        let message = format!("`{}` has no effect on an input of type {artifact}", key.key);
        let types = inputs.iter().map(|artifact| artifact.name()).collect::<Vec<_>>().join(", ");
        let help = format!("it is for {types}");
        diagnostics.push(Diagnostic::new(&key.key_span, message, "would be ignored").with_help(help));
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
        let is_list = matches!(key.node.value, Value::List(_));
        let help =
            is_list.then(|| format!("an input is one: name each in `[inputs]`; a stage's `{}` lists them", key.key));
        diagnostics.push(Diagnostic::new(&key.node.span, message, key.node.value.sort()).with_optional_help(help));
        return None;
    };
    let decl = |source| InputDecl {
        span: key.key_span.clone(),
        artifact,
        source,
        pin: None,
        import: Map::new(),
        neutral: Map::new(),
        reads: Vec::new(),
        beside: BTreeMap::new(),
    };
    if let Some(id) = text.strip_prefix(PREFIX) {
        return hub_id(key, text, HubId::parse(id, artifact), diagnostics).map(|input| decl(InputSource::Hub(input)));
    }
    found(key, text, sources, diagnostics).map(|path| decl(InputSource::Path(path)))
}

/// Returns the file or folder that an import key names.
fn path_beside(key: &Entry, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    let Some(text) = key.node.text() else {
        let message = format!("`{}` is the path of a file or folder", key.key);
        diagnostics.push(Diagnostic::new(&key.node.span, message, key.node.value.sort()));
        return None;
    };
    if text.starts_with(PREFIX) {
        let message = format!("`{}` cannot be fetched from the hub", key.key);
        let help = "download it, and name its folder";
        diagnostics.push(Diagnostic::new(&key.node.span, message, "not a path").with_help(help));
        return None;
    }
    found(key, text, sources, diagnostics)
}

/// Returns the absolute path of an existing file or folder.
fn found(key: &Entry, text: &str, sources: &Sources, diagnostics: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    // A path is relative to the file that it is written in; a path from `--set` is relative to the current folder.
    let name = &sources.get(key.node.span.source).name;
    let base = name.parent().unwrap_or(Path::new(""));
    if let Ok(path) = fs_err::canonicalize(base.join(text)) {
        return Some(path);
    }
    let message = format!("`{text}` is not there");
    let of_set = name.as_os_str() == SET;
    let from = if of_set { "a path of `--set` is relative to the current folder" } else { FROM_FILE };
    let looked = format!("looked for `{}`; {from}", base.join(text).display());
    let is_expanded_elsewhere = text.starts_with('~') || text.contains('$');
    let help = if is_expanded_elsewhere {
        "`~` and variables such as `$HOME` are not replaced here: write the whole path".to_owned()
    } else {
        let artifact = key.key.parse::<ArtifactType>().ok();
        match artifact.and_then(|artifact| hub::meant(text, artifact, |folder| base.join(folder).exists())) {
            Some(id) => format!("{looked}; of the hub it is `{id}`"),
            None => looked,
        }
    };
    diagnostics.push(Diagnostic::new(&key.node.span, message, "no such file or folder").with_help(help));
    None
}

fn hub_id(key: &Entry, text: &str, id: Result<HubId, String>, diagnostics: &mut Vec<Diagnostic>) -> Option<HubInput> {
    let span = key.node.span.clone();
    match id {
        Ok(id) => Some(HubInput { id, span, fetched: None }),
        Err(reason) => {
            let help =
                "`hf:org/name`, `hf:org/name@revision` or `hf:org/name@revision/folder`; a file of yours is `./hf:…`";
            diagnostics.push(Diagnostic::new(&span, format!("`{text}` is no id of the hub"), reason).with_help(help));
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
    diagnostics.push(Diagnostic::new(&key.node.span, message, "not a digest").with_help("`b3sum FILE` prints them"));
    None
}
