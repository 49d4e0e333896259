//! Fingerprints of actions and of their prefixes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::artifact::ArtifactType;
use crate::diagnostic::{Sources, Span};
use crate::placement::Device;
use crate::workflow::{RunOptions, StageName, Target};

fn stage(config: Value) -> StageDecl {
    StageDecl {
        name: StageName("zero".to_owned()),
        span: Span::new(Sources::default().add(Path::new("w.toml"), String::new()), 0..0),
        kind: "grpo".to_owned(),
        version: 1,
        rows_version: 1,
        config: config.as_object().unwrap().clone(),
        references: vec![Reference {
            pointer: "/model".to_owned(),
            target: Target::Input("base".to_owned()),
            artifact: ArtifactType::Model,
        }],
        roles: BTreeMap::from([("steps".to_owned(), Role::Extent), ("batch-size".to_owned(), Role::Neutral)]).into(),
        omitted: BTreeMap::new().into(),
        outputs_like: BTreeMap::new().into(),
        outputs: BTreeMap::new().into(),
        absent_outputs: Vec::new(),
        origins: Vec::new(),
        sets: Vec::new(),
        run: RunOptions::default().into(),
        device: Device::Cpu,
        uses_tensors: true,
    }
}

fn action(config: Value) -> Action {
    let config = config.as_object().unwrap().clone();
    let mut with_model = Map::from_iter([("model".to_owned(), json!("inputs.base"))]);
    with_model.extend(config);
    Action::of(&stage(Value::Object(with_model)), |_| artifact(ArtifactType::Model, &Digest::of(b"m"), &Map::new()))
}

#[test]
fn spelling_order_and_neutral_keys_do_not_matter() {
    let one = action(json!({ "lr": 1e-4, "steps": 400, "rewards": { "a": 1.0, "b": 2 } }));
    let two = action(json!({ "rewards": { "b": 2.0, "a": 1 }, "steps": 400.0, "lr": 0.0001, "batch-size": 7 }));
    assert_eq!(one.fingerprint(), two.fingerprint());
    let three = action(json!({ "lr": 2e-4, "steps": 400, "rewards": { "a": 1.0, "b": 2 } }));
    assert_ne!(one.fingerprint(), three.fingerprint());
}

#[test]
fn a_prefix_forgets_the_extent_and_what_comes_later() {
    let rewards = |weight: f64, from: u64| json!({ "a": 1.0, "helpful": { "weight": weight, "from-step": from } });
    let base = action(json!({ "steps": 400, "rewards": rewards(1.0, 300) }));
    let longer = action(json!({ "steps": 600, "rewards": rewards(1.0, 300) }));
    let other = action(json!({ "steps": 400, "rewards": rewards(2.0, 300) }));
    assert_ne!(base.fingerprint(), longer.fingerprint());
    assert_eq!(base.prefix_fingerprint(400), longer.prefix_fingerprint(400));
    assert_eq!(base.prefix_fingerprint(300), other.prefix_fingerprint(300));
    assert_ne!(base.prefix_fingerprint(301), other.prefix_fingerprint(301));
    assert_eq!((base.extent(), longer.extent()), (Some(400), Some(600)));
}

#[test]
fn what_begins_later_is_until_then_what_is_not_there() {
    let helpful = json!({ "weight": 1.0, "from-step": 300 });
    let later = action(json!({ "steps": 400, "later": helpful, "rewards": { "a": 1.0, "helpful": helpful } }));
    let never = action(json!({ "steps": 400, "later": null, "rewards": { "a": 1.0 } }));
    assert_eq!(later.prefix_fingerprint(300), never.prefix_fingerprint(300));
    assert_ne!(later.prefix_fingerprint(301), never.prefix_fingerprint(301));
}

#[test]
fn a_value_that_changes_later_is_until_then_the_value() {
    let limits = |limits: Value| action(json!({ "steps": 400, "max-tokens": limits }));
    let always = limits(json!(1024));
    let grown = limits(json!([{ "value": 1024, "from-step": 0 }, { "from-step": 300, "value": 2048 }]));
    let other = limits(json!([{ "value": 1024 }, { "from-step": 300, "value": 4096 }]));
    assert_eq!((always.shared_steps(&grown), grown.shared_steps(&other)), (300, 300));
    let sooner = limits(json!([{ "value": 512 }, { "from-step": 300, "value": 2048 }]));
    assert_eq!((sooner.shared_steps(&always), sooner.shared_steps(&grown)), (0, 0));
}

#[test]
fn none_is_not_an_artifact_whatever_its_content() {
    let shape_of = |few_shot: Value| shape(&json!({ "params": { "few-shot": few_shot } }));
    let [one, two] = [b"1", b"2"].map(|bytes| artifact(ArtifactType::Samples, &Digest::of(bytes), &Map::new()));
    assert_eq!(shape_of(one.clone()), shape_of(two));
    assert_ne!(shape_of(one), shape_of(Value::Null));
}

#[test]
fn shared_steps_end_where_two_actions_part() {
    let rewards = |weight: f64, from: u64| json!({ "a": 1.0, "helpful": { "weight": weight, "from-step": from } });
    let base = action(json!({ "steps": 400, "rewards": rewards(1.0, 300) }));
    let shared = |other: Value| base.shared_steps(&action(other));
    assert_eq!(shared(json!({ "steps": 400, "rewards": rewards(1.0, 300) })), 400);
    assert_eq!(shared(json!({ "steps": 600, "rewards": rewards(1.0, 300) })), 400);
    assert_eq!(shared(json!({ "steps": 400, "rewards": rewards(2.0, 300) })), 300);
    assert_eq!(shared(json!({ "steps": 400, "rewards": rewards(1.0, 200) })), 200);
    assert_eq!(shared(json!({ "steps": 100, "rewards": rewards(2.0, 300) })), 100);
    assert_eq!(shared(json!({ "steps": 400, "rewards": rewards(1.0, 300), "lr": 1 })), 0);
}

#[test]
fn a_version_that_does_something_else_with_rows_keeps_them() {
    let mut stage = stage(json!({ "model": "inputs.base", "prompts": "x" }));
    stage.roles = Arc::new(BTreeMap::from([("prompts".to_owned(), Role::Rows)]));
    let key = |stage: &StageDecl| Action::of(stage, |_| Value::Null).row_key();
    let first = key(&stage);
    stage.version = 2;
    assert_eq!(key(&stage), first);
    stage.rows_version = 2;
    assert_ne!(key(&stage), first);
}

#[test]
fn a_fingerprint_is_that_of_the_action() {
    let references = ["/model", "/data/1", "/nested/a~1b/model", "/nested/c~0d"].map(|pointer| Reference {
        pointer: pointer.to_owned(),
        target: Target::Input("base".to_owned()),
        artifact: ArtifactType::Model,
    });
    let nested = json!({ "c~d": "inputs.c", "a/b": { "weight": 2.0, "model": "inputs.b" }, "ab": "model" });
    let mut stage = stage(json!({ "model": "inputs.base", "data": ["x", "inputs.y"], "nested": nested }));
    stage.config.extend([("batch-size".to_owned(), json!(3)), ("lr".to_owned(), json!(1e-4))]);
    stage.references = references.to_vec();
    let import = Map::from_iter([("limit".to_owned(), json!(3)), ("fields".to_owned(), json!({"a": "model"}))]);
    let resolve =
        |reference: &Reference| artifact(ArtifactType::Model, &Digest::of(reference.pointer.as_bytes()), &import);
    for device in [Device::Cpu, Device::Cuda(None)] {
        stage.device = device;
        let action = Action::of(&stage, resolve);
        assert!(!action.document.to_string().contains("inputs."), "{}", action.document);
        assert_eq!(fingerprint(&stage, resolve), action.fingerprint());
        stage.references.rotate_left(1);
    }
    assert_ne!(fingerprint(&stage, resolve), fingerprint(&stage, |_| Value::Null));
}

#[test]
fn the_backend_counts_where_it_is_not_the_cpu() {
    let on_cpu = stage(json!({ "model": "inputs.base" }));
    let on_gpu = StageDecl { device: Device::Cuda(Some(1)), ..on_cpu.clone() };
    let [cpu, gpu] = [&on_cpu, &on_gpu].map(|stage| Action::of(stage, |_| Value::Null));
    assert_ne!(cpu.fingerprint(), gpu.fingerprint());
    assert_eq!(cpu.document.get("backend"), None);
}

#[test]
fn a_golden_fingerprint_does_not_move() {
    let fingerprint = action(json!({ "lr": 3e-4, "steps": 80, "prompts": ["a", "b"] })).fingerprint();
    assert_eq!(fingerprint.to_string(), GOLDEN);
}

/// A release that changes this fingerprint reruns every stage of every user, so it changes only on purpose.
const GOLDEN: &str = "b3:e6b1642df3dd91886520902f6dfe2c66bad16e59373241b381cc0c2b8f3d2212";
