//! Adapters that `sft` exports give the merged model again; what cannot be merged is refused.
#![expect(clippy::float_cmp, reason = "these numbers are exact")]

use engine::artifact::{Model as ModelMarker, Samples};
use engine::worker::protocol::FromWorker;
use lm::checkpoint::save_tensors;
use lm::{Device, Options};
use serde_json::json;

use super::*;
use crate::artifacts::{SampleRow, write_samples};
use crate::kinds::sft::Sft;
use crate::testing::{Attempt, message, reference, tiny_model, well};

fn load(dir: &Path) -> Model {
    Model::load(dir, &Options { device: Device::Cpu, dtype: Kind::Float }).unwrap()
}

/// Trains adapters of a tiny model, and returns the folders of the model and of what was exported.
fn trained(dir: &Path, lora: &Value) -> (std::path::PathBuf, std::path::PathBuf) {
    let (model, data) = (dir.join("model"), dir.join("data"));
    tiny_model(&model);
    let rows: Vec<_> = (0..8).map(|n| SampleRow::new(format!("{n}+1=?"), format!("{}", n + 1))).collect();
    well(write_samples(&data, &rows).map_err(Into::into));
    let keys = json!({ "model": reference::<ModelMarker>("inputs.m", &model), "lora": lora, "steps": 6, "lr": 0.02,
                       "data": [reference::<Samples>("inputs.d", &data)], "batch-size": 4 });
    let attempt = dir.join("attempt");
    well(Attempt::new::<Sft>(&attempt, &keys, None).run::<Sft>());
    (model, attempt.join("output-model"))
}

#[test]
fn a_base_with_exported_adapters_is_the_exported_model() {
    for lora in [
        json!({ "rank": 4 }),
        json!({ "rank": 4, "rslora": true, "dropout": 0.2, "targets": ["embed_tokens", "q_proj"] }),
        json!({ "rank": 2, "targets": ["up_proj"], "modules-to-save": ["embed_tokens", "norm"] }),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (base, exported) = trained(dir.path(), &lora);
        let (merged, expected, plain) = (load(&base), load(&exported), load(&base));
        assert!(merge(&merged, &exported.join("adapter")).unwrap() > 0);
        let mut changed = 0;
        for (((name, merged), (_, expected)), (_, plain)) in
            merged.parameters().iter().zip(expected.parameters()).zip(plain.parameters())
        {
            let differ = |one: &Tensor, two: &Tensor| (one - two).abs().max().double_value(&[]);
            assert!(differ(merged, expected) < 1e-6, "{lora}: {name}");
            changed += usize::from(differ(merged, plain) > 1e-3);
        }
        assert!(changed > 0, "{lora}");
    }
}

#[test]
fn an_input_is_read_with_the_adapters_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let (base, exported) = trained(dir.path(), &json!({ "rank": 4 }));
    let adapter = exported.join("adapter");
    let data = reference::<Samples>("inputs.d", &dir.path().join("data"));
    let mut keys = json!({ "model": reference::<ModelMarker>("inputs.m", &base), "data": [data], "steps": 1 });
    let loss = |keys: &Value, name: &str| {
        let attempt = Attempt::new::<Sft>(&dir.path().join(name), keys, None);
        well(attempt.run::<Sft>());
        let losses = attempt.sent().into_iter().find_map(|message| match message {
            FromWorker::Progress { metrics, .. } => Some(metrics["loss"]),
            _ => None,
        });
        losses.unwrap()
    };
    let plain = loss(&keys, "plain");
    keys["model"]["import"] = json!({ "adapter": adapter });
    let merged = loss(&keys, "merged");
    keys["model"] = reference::<ModelMarker>("inputs.m", &exported);
    let expected = loss(&keys, "expected");
    assert!((merged - expected).abs() < 1e-5 && merged < plain - 0.1, "{plain}, {merged}, {expected}");

    keys["model"] = reference::<ModelMarker>("inputs.m", &adapter);
    let alone = Attempt::new::<Sft>(&dir.path().join("alone"), &keys, None);
    let told = message(alone.run::<Sft>());
    assert!(told.contains("`inputs.m` is a folder of adapters without the model"), "{told}");
}

#[test]
fn what_cannot_be_merged_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (base, exported) = trained(dir.path(), &json!({ "rank": 4, "targets": ["q_proj"] }));
    let adapter = exported.join("adapter");
    let model = load(&base);
    let config: Value = serde_json::from_str(&fs_err::read_to_string(adapter.join(CONFIG)).unwrap()).unwrap();
    let weights = load_tensors(&adapter.join(WEIGHTS)).unwrap();
    let told = |keys: Value, tensors: &[(String, Tensor)]| {
        let mut changed = config.clone();
        changed.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        fs_err::write(adapter.join(CONFIG), changed.to_string()).unwrap();
        save_tensors(&adapter.join(WEIGHTS), tensors).unwrap();
        merge(&model, &adapter).map_err(|error| error.message)
    };
    for (keys, expected) in [
        (json!({ "peft_type": "IA3" }), "`peft_type` = \"IA3\""),
        (json!({ "use_dora": true }), "`use_dora` = true"),
        (json!({ "fan_in_fan_out": true }), "`fan_in_fan_out` = true"),
        (json!({ "bias": "all" }), "`bias` = \"all\""),
        (json!({ "init_lora_weights": "pissa_niter_4" }), "`init_lora_weights`"),
        (json!({ "alpha_pattern": { ".*q_proj": 3 } }), "`alpha_pattern`"),
        (json!({ "alpha_pattern": { "q_proj": 3, "self_attn.q_proj": 4 } }), "which both mean"),
        (json!({ "trainable_token_indices": [1] }), "`trainable_token_indices`"),
    ] {
        let message = told(keys, &weights).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    let named = |name: &str, shape: [i64; 2]| (name.to_owned(), Tensor::zeros(shape, (Kind::Float, Device::Cpu)));
    let layer = "base_model.model.model.layers.0.self_attn";
    for (extra, expected) in [
        (named(&format!("{layer}.q_proj.lora_magnitude_vector"), [1, 1]), "(DoRA)"),
        (
            named(&format!("{layer}.x_proj.weight"), [1, 1]),
            "`model.layers.0.self_attn.x_proj.weight` is not in the model",
        ),
        (named(&format!("{layer}.k_proj.lora_A.weight"), [2, 16]), "has only one of its two"),
        (named("base_model.model.model.embed_tokens.weight", [2, 16]), "has shape [2, 16], and the model's"),
        (named("base_model.model.lm_head.weight", [2, 16]), "has shape [2, 16], and the model's"),
        (named("model.norm.weight", [1, 1]), "does not begin with"),
    ] {
        let mut tensors: Vec<_> = weights.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        tensors.push(extra);
        let message = told(json!({}), &tensors).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    assert!(told(json!({ "alpha_pattern": { "q_proj": 3, "k_proj": 4 }, "use_dora": false }), &weights).is_ok());
}

/// alpha by module, and the factor of rsLoRA.
#[test]
fn a_scale_is_that_of_the_module() {
    let config = |keys: Value| {
        let mut document =
            json!({ "peft_type": "LORA", "lora_alpha": 8, "alpha_pattern": { "k_proj": 2, "^lm_head": 4 } });
        document.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        Config::parse(&document).unwrap_or_else(|error| panic!("{}", error.message))
    };
    let scale = |config: &Config, module: &str| config.scale(module, 4).unwrap_or(f64::NAN);
    let plain = config(json!({}));
    assert_eq!(scale(&plain, "model.layers.0.self_attn.q_proj"), 2.0);
    assert_eq!(scale(&plain, "model.layers.0.self_attn.k_proj"), 0.5);
    assert_eq!(scale(&plain, "model.layers.0.mlp.bk_proj"), 2.0, "a whole part of the name");
    assert_eq!((scale(&plain, "lm_head"), scale(&plain, "model.lm_head")), (1.0, 2.0));
    assert_eq!(scale(&config(json!({ "use_rslora": true })), "lm_head"), 2.0);
}

#[test]
fn the_digest_follows_weights_and_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, config: &str, weights: &str| {
        let folder = dir.path().join(name);
        fs_err::create_dir(&folder).unwrap();
        fs_err::write(folder.join(CONFIG), config).unwrap();
        fs_err::write(folder.join(WEIGHTS), weights).unwrap();
        well(digest(&folder))
    };
    let first = write("first", "a", "b");
    assert_eq!(first, write("copy", "a", "b"));
    for (name, config, weights) in [("scaled", "c", "b"), ("trained", "a", "c"), ("moved", "ab", "")] {
        assert_ne!(first, write(name, config, weights), "{name}");
    }
    assert!(digest(dir.path()).is_err());
}
