//! Defaults of every key of every kind, nested tables included: a default is part of the action, written or not.
//!
//! Otherwise writing a default out would run a finished stage again, and changing a default in the code would rerun
//! nothing. The stages here are generated from the kinds' descriptions, once for each value on which the use of another
//! key depends.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use engine::artifact::ArtifactType;
use engine::kind::{KeySpec, KeyType, KindInfo, Kinds, Role};
use engine::workflow::{StageDecl, load};
use serde_json::{Map, Value, json};

use super::support::{CHAIN, Sandbox};

type Keys = BTreeMap<String, KeySpec>;
type Table = Map<String, Value>;

fn kinds(sandbox: &Sandbox) -> Kinds {
    let list = Command::new(sandbox.worker()).arg("kinds").output().unwrap();
    Kinds::parse(serde_json::from_slice(&list.stdout).unwrap()).unwrap()
}

/// Returns the keys of the table that a type allows, if any.
fn table_in(ty: &KeyType) -> Option<&Keys> {
    match ty {
        KeyType::Table(keys) => Some(keys),
        KeyType::AnyOf(types) => types.iter().find_map(table_in),
        _ => None,
    }
}

/// Returns a valid value of a type.
fn some(ty: &KeyType) -> Value {
    match ty {
        KeyType::Bool => json!(true),
        KeyType::Integer { min, .. } => json!(min.unwrap_or(0).max(1)),
        KeyType::Number { min, .. } => json!(min.unwrap_or(0.0).max(0.5)),
        KeyType::Text => json!("text"),
        KeyType::OneOf(words) => json!(words[0]),
        KeyType::Reference(artifact) => json!(format!("inputs.{artifact}")),
        KeyType::List(of, length) => vec![some(of); length.least.max(1)].into(),
        KeyType::MapOf(of) => json!({ "one": some(of) }),
        KeyType::Table(keys) => Value::Object(smallest(keys, &Table::new(), false)),
        KeyType::AnyOf(types) => some(&types[0]),
    }
}

fn is_used(spec: &KeySpec, table: &Table, keys: &Keys) -> bool {
    spec.when.as_ref().is_none_or(|when| when.holds(word(&when.key, table, keys).as_deref()))
}

fn word(key: &str, table: &Table, keys: &Keys) -> Option<String> {
    let default = || keys[key].default_beside(|other| word(other, table, keys));
    table.get(key).cloned().or_else(default)?.as_str().map(str::to_owned)
}

/// Returns `chosen` with the keys that a stage requires; if `with_tables`, also every table with its required keys.
fn smallest(keys: &Keys, chosen: &Table, with_tables: bool) -> Table {
    let mut table = chosen.clone();
    for (key, spec) in keys.iter().filter(|(key, spec)| !chosen.contains_key(*key) && is_used(spec, chosen, keys)) {
        match table_in(&spec.ty) {
            Some(keys) if spec.required || with_tables => {
                table.insert(key.clone(), Value::Object(smallest(keys, &Table::new(), with_tables)));
            }
            _ if spec.required => {
                table.insert(key.clone(), some(&spec.ty));
            }
            _ => {}
        }
    }
    table
}

/// Returns the values on which the use or the default of another key depends, one at a time.
fn choices(keys: &Keys) -> Vec<Table> {
    let deciding = keys
        .values()
        .flat_map(|spec| spec.when.iter().map(|when| &when.key).chain(spec.default_by.iter().map(|by| &by.key)));
    let words = deciding.collect::<BTreeSet<_>>().into_iter().flat_map(|key| match &keys[key].ty {
        KeyType::OneOf(words) => words.iter().map(|word| Table::from_iter([(key.clone(), json!(word))])).collect(),
        _ => Vec::new(),
    });
    std::iter::once(Table::new()).chain(words).collect()
}

/// A stage of a kind, alone in a workflow.
struct Alone<'a> {
    sandbox: &'a Sandbox,
    kinds: &'a Kinds,
    kind: &'a KindInfo,
}

impl Alone<'_> {
    fn load(&self, table: &Table) -> StageDecl {
        let inputs = ArtifactType::ALL.map(|artifact| (artifact.name(), json!({ artifact.name(): "w.toml" })));
        let name = &self.kind.spec.kind;
        let inputs = Map::from_iter(inputs.map(|(name, input)| (name.to_owned(), input)));
        let workflow = json!({ "inputs": inputs, name: { "stage": table } });
        self.sandbox.write("w.toml", &toml::to_string(&workflow).unwrap());
        let loaded = load(&self.sandbox.root().join("w.toml"), &[], self.kinds).unwrap();
        let workflow = loaded.workflow.unwrap_or_else(|| panic!("{workflow}: {:#?}", loaded.diagnostics));
        workflow.graph.node_weights().next().unwrap().clone()
    }

    fn fingerprint(&self, table: &Table) -> store::Digest {
        engine::action::fingerprint(&self.load(table), |reference| json!(reference.pointer))
    }
}

/// Writes the values of all unwritten keys into a table, and returns their paths.
fn write_out(table: &mut Table, config: &Table, keys: &Keys, above: &str) -> BTreeSet<String> {
    let mut written = BTreeSet::new();
    for (key, spec) in keys.iter().filter(|(_, spec)| is_used(spec, config, keys)) {
        let path = format!("{above}{key}");
        let value = config.get(key).cloned().or_else(|| {
            assert!(spec.omits_default, "`{path}` is no part of the action");
            spec.default_beside(|other| word(other, config, keys))
        });
        match (table.get_mut(key), value) {
            (Some(Value::Object(table)), Some(Value::Object(config))) => {
                let keys = table_in(&spec.ty);
                written.extend(
                    keys.map(|keys| write_out(table, &config, keys, &format!("{path}."))).into_iter().flatten(),
                );
            }
            (None, Some(value)) if !value.is_null() => {
                table.insert(key.clone(), value);
                written.insert(path);
            }
            _ => {}
        }
    }
    written
}

/// Returns the paths of all keys that have a default which can be written.
fn with_defaults(keys: &Keys, above: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (key, spec) in keys {
        let path = format!("{above}{key}");
        found.extend(table_in(&spec.ty).map(|keys| with_defaults(keys, &format!("{path}."))).into_iter().flatten());
        let has_default = spec.default_by.is_some() || spec.default.as_ref().is_some_and(|default| !default.is_null());
        found.extend(has_default.then_some(path));
    }
    found
}

/// Writes out every default of a kind, and returns how many there are.
fn try_kind(stage: &Alone<'_>) -> usize {
    let (kind, keys) = (&stage.kind.spec.kind, &stage.kind.keys);
    let mut tried = BTreeSet::new();
    for (chosen, with_tables) in choices(keys).iter().flat_map(|chosen| [(chosen, false), (chosen, true)]) {
        let plain = smallest(keys, chosen, with_tables);
        let config = stage.load(&plain).config;
        let mut written = plain.clone();
        tried.extend(write_out(&mut written, &config, keys, ""));
        assert_eq!(stage.load(&written).config, config, "{kind}");
        assert_eq!(stage.fingerprint(&written), stage.fingerprint(&plain), "{kind}");
    }
    assert_eq!(tried, with_defaults(keys, ""), "{kind}: every default was written out");
    tried.len()
}

/// Returns a valid value that differs from the given one.
fn other(ty: &KeyType, value: &Value) -> Option<Value> {
    match ty {
        KeyType::Bool => Some(json!(value == &json!(false))),
        KeyType::Integer { min, max } => {
            let number = value.as_i64()?;
            Some(json!(if *max == Some(number) { min.unwrap_or(number - 1) } else { number + 1 }))
        }
        KeyType::Number { min, max, .. } => {
            let (number, least) = (value.as_f64()?, min.unwrap_or(0.0));
            let half = least + (number - least) / 2.0;
            Some(json!(if number > least { half } else { max.unwrap_or(least + 1.0) }))
        }
        _ => None,
    }
}

/// Gives each key another value, which must change the action, and returns how many keys there are. Without this, a key
/// that is missing from the action would pass the test above.
fn try_other_values(stage: &Alone<'_>) -> usize {
    let (kind, keys) = (&stage.kind.spec.kind, &stage.kind.keys);
    let plain = smallest(keys, &Table::new(), false);
    let (config, before) = (stage.load(&plain).config, stage.fingerprint(&plain));
    let mut tried = 0;
    for (key, value) in config {
        let Some(value) = other(&keys[&key].ty, &value) else { continue };
        let mut changed = plain.clone();
        changed.insert(key.clone(), value);
        let is_same = stage.fingerprint(&changed) == before;
        assert_eq!(is_same, keys[&key].role == Role::Neutral, "`{key}` of {kind}: {}", changed[&key]);
        tried += 1;
    }
    tried
}

/// Returns how many defaults were written out, and how many were changed.
fn try_all(sandbox: &Sandbox) -> (usize, usize) {
    let kinds = &kinds(sandbox);
    let stages = kinds.iter().map(|kind| Alone { sandbox, kinds, kind });
    let tried = stages.map(|stage| (try_kind(&stage), try_other_values(&stage)));
    tried.fold((0, 0), |(all, more), (written, changed)| (all + written, more + changed))
}

#[test]
fn a_default_is_part_of_the_action_whether_it_is_written_or_not() {
    let (written, changed) = try_all(&Sandbox::new(""));
    assert!(written > 10 && changed > 8, "{written} {changed}");
}

/// Returns every default of a stage as an argument of `--set`; a table that has a short form is set as a whole.
fn sets(name: &str, config: &Table, keys: &Keys) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in config {
        let (spec, path) = (&keys[key], format!("{name}.{key}"));
        match (table_in(&spec.ty), value) {
            (Some(keys), Value::Object(config)) if spec.short.is_none() => found.extend(sets(&path, config, keys)),
            (Some(_), Value::Object(_)) => found.push(format!("{path}={}", toml::Value::try_from(value).unwrap())),
            _ if spec.default.as_ref() == Some(value) && !value.is_null() => {
                found.push(format!("{path}={}", toml::Value::try_from(value).unwrap()));
            }
            _ => {}
        }
    }
    found
}

/// Returns the arguments of a plan with every default of a workflow written out.
fn plan_with_defaults(sandbox: &Sandbox, file: &str) -> Vec<String> {
    let kinds = kinds(sandbox);
    let workflow = load(&sandbox.root().join(file), &[], &kinds).unwrap().workflow.unwrap();
    let sets = workflow.graph.node_weights().flat_map(|stage| {
        let keys = &kinds.get(&stage.kind).unwrap().keys;
        sets(&stage.name.0, &stage.config, keys).into_iter().flat_map(|set| ["--set".to_owned(), set])
    });
    ["plan".to_owned(), file.to_owned()].into_iter().chain(sets).collect()
}

#[test]
fn a_default_that_is_written_out_leaves_what_is_finished_fresh() {
    let sandbox = Sandbox::new(CHAIN);
    sandbox.ok(&["apply", "toy.toml"]);
    let arguments = plan_with_defaults(&sandbox, "toy.toml");
    assert!(arguments.contains(&"a.text=\"hello\"".to_owned()) && arguments.len() > 20, "{arguments:?}");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let plan = sandbox.ok(&arguments);
    assert!(plan.contains("everything is fresh"), "{plan}");
    let other = sandbox.ok(&[&arguments[..], &["--set", "a.text=bye"]].concat());
    assert!(other.contains("dirty  a      `text` \"hello\" → \"bye\""), "{other}");
}

#[cfg(feature = "worker")]
mod with_the_real_worker {
    use std::path::{Path, PathBuf};

    use super::*;

    fn sandbox() -> Sandbox {
        Sandbox::with_worker(PathBuf::from(env!("CARGO_BIN_EXE_r1flow-worker")))
    }

    #[test]
    fn a_default_is_part_of_the_action_whether_it_is_written_or_not() {
        let (written, changed) = try_all(&sandbox());
        assert!(written > 150 && changed > 80, "{written} {changed}");
    }

    #[test]
    fn a_key_for_another_task_or_style_has_no_use() {
        let sandbox = sandbox();
        let kinds = kinds(&sandbox);
        for (keys, expected) in [
            ("pairs = 0.1", "`pairs` has no use where `style` is `clean`"),
            ("task = 'chat'\nminus = 0.1", "`minus` has no use where `task` is `chat`"),
            (
                "task = 'chat'\nstyle = 'pairwise'\nrefusal-share = 1",
                "`refusal-share` has no use where `style` is `pairwise`",
            ),
            ("families = ['facts']", "`families` has no use where `task` is `sums`"),
            ("task = 'general'\ntopics = ['helpful']", "`topics` has no use where `task` is `general`"),
        ] {
            sandbox.write("w.toml", &format!("[tasks.t]\n{keys}\n"));
            let loaded = load(&sandbox.root().join("w.toml"), &[], &kinds).unwrap();
            let told: Vec<&str> = loaded.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
            assert_eq!(told, [expected], "{keys}");
        }
        sandbox.write("w.toml", "[tasks.t]\ntask = 'chat'\nrefusal-share = 1\n");
        assert!(load(&sandbox.root().join("w.toml"), &[], &kinds).unwrap().workflow.is_some());
    }

    #[test]
    fn a_default_that_is_written_out_moves_no_fingerprint() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workflows/golden/workflow.toml");
        let sandbox = sandbox();
        let arguments = plan_with_defaults(&sandbox, golden.to_str().unwrap());
        assert!(arguments.iter().any(|set| set.starts_with("grpo.rewards.format={")), "{arguments:?}");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let fingerprints = |arguments: &[&str]| -> Vec<Value> {
            let rows = sandbox.json(arguments)["rows"].as_array().unwrap().clone();
            rows.iter().map(|row| row["fingerprint"].clone()).collect()
        };
        let before = fingerprints(&arguments[..2]);
        assert_eq!(fingerprints(&arguments), before);
        assert_ne!(fingerprints(&[&arguments[..], &["--set", "grpo.scale=batch"]].concat()), before);
    }
}
