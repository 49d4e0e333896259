//! Configurations: which keys are read, and which are refused by name.

use lm::{Config, Shape};
use serde_json::{Value, json};

use crate::{TINY, UNGROUPED, config_with};

fn refused(model_type: &str, keys: &Value) -> String {
    config_with(model_type, &UNGROUPED, keys).expect_err("a configuration that cannot be honoured").to_string()
}

#[test]
fn what_is_unknown_is_refused_with_what_is_known() {
    let unknown = Config::from_json(r#"{ "model_type": "gpt2" }"#).expect_err("an unknown architecture").to_string();
    assert!(
        unknown.contains("`gpt2`") && unknown.contains("deepseek_v3, llama, mistral, qwen2, qwen3, qwen3_moe"),
        "{unknown}"
    );
    for (keys, expected) in [
        (json!({ "rope_scaling": { "type": "dynamic", "factor": 2.0 } }), "supported: default, linear, llama3, yarn"),
        (json!({ "rope_parameters": { "full_attention": { "rope_theta": 1e4 } } }), "`full_attention` alone"),
        (json!({ "partial_rotary_factor": 0.5, "rope_scaling": { "type": "default" } }), "only 1"),
        (json!({ "layer_types": ["full_attention"] }), "expected a list of 2"),
        (
            json!({ "layer_types": ["full_attention", "linear_attention"] }),
            "supported: full_attention, sliding_attention",
        ),
        (json!({ "layer_types": ["full_attention", "sliding_attention"] }), "needs `use_sliding_window`"),
        (json!({ "use_sliding_window": true, "sliding_window": 0 }), "expected a positive integer"),
        (json!({ "hidden_act": "gelu" }), "only `silu`"),
        (json!({ "quantization_config": { "quant_method": "fp8" } }), "packed weights"),
    ] {
        let message = refused("qwen3", &keys);
        assert!(message.contains(expected), "{keys}: {message}");
    }
    for (keys, expected) in [
        (json!({ "attention_bias": true }), "for `deepseek_v3`"),
        (json!({ "num_key_value_heads": 2 }), "2 differs from num_attention_heads = 4"),
        (json!({ "scoring_func": "softmax" }), "only `sigmoid`"),
        (json!({ "topk_method": "greedy" }), "only `noaux_tc`"),
        (json!({ "moe_layer_freq": 2 }), "only 1"),
        (json!({ "n_group": 3 }), "do not divide n_routed_experts = 8"),
        (json!({ "topk_group": 5 }), "more than n_group = 4"),
        (json!({ "num_experts_per_tok": 5 }), "more than the 4"),
        (json!({ "qk_rope_head_dim": 3 }), "3 is odd"),
    ] {
        let message = refused("deepseek_v3", &keys);
        assert!(message.contains(expected), "{keys}: {message}");
    }
    assert!(refused("llama", &json!({ "use_sliding_window": true, "sliding_window": 8 })).contains("for `llama`"));
}

#[test]
fn what_mistral_and_qwen3_moe_do_not_have_is_refused() {
    for (keys, expected) in [
        (json!({ "attention_bias": true }), "for `mistral`"),
        (json!({ "sliding_window": "8" }), "expected a positive integer"),
        (json!({ "use_sliding_window": false, "sliding_window": 8 }), "`sliding_window` = null is no window"),
        (json!({ "layer_types": ["sliding_attention", "full_attention"] }), "only `full_attention` in all 2 layers"),
    ] {
        let message = refused("mistral", &keys);
        assert!(message.contains(expected), "{keys}: {message}");
    }
    for (keys, expected) in [
        (json!({ "num_experts": null }), "`num_experts`: missing"),
        (json!({ "num_experts": 0 }), "expected a positive integer"),
        (json!({ "num_local_experts": 4 }), "8 differs from num_local_experts = 4"),
        (json!({ "num_experts_per_tok": 9 }), "9 is more than num_experts = 8"),
        (json!({ "decoder_sparse_step": 0 }), "expected a positive integer"),
        (json!({ "mlp_only_layers": 1 }), "expected a list of numbers of layers"),
        (json!({ "mlp_only_layers": ["1"] }), "expected a list of numbers of layers"),
        (json!({ "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1 }), "only 0 is supported"),
        (
            json!({ "use_sliding_window": true, "sliding_window": 8,
                    "layer_types": ["sliding_attention", "full_attention"] }),
            "only `sliding_attention` in all 2 layers",
        ),
    ] {
        let message = refused("qwen3_moe", &keys);
        assert!(message.contains(expected), "{keys}: {message}");
    }
}

#[test]
fn layers_with_experts_are_those_of_transformers() {
    let layers = |keys: Value| {
        let shape = Shape { num_hidden_layers: 4, ..TINY };
        let config = config_with("qwen3_moe", &shape, &keys).expect("a valid configuration");
        config.experts.expect("a mixture").layers
    };
    assert_eq!(layers(json!({ "num_experts": null, "num_local_experts": 8 })), [true; 4]);
    assert_eq!(layers(json!({ "decoder_sparse_step": 2 })), [false, true, false, true]);
    assert_eq!(layers(json!({ "mlp_only_layers": [1, 9] })), [true, false, true, true]);
    let deepseek = config_with("deepseek_v3", &UNGROUPED, &json!({})).expect("a valid configuration");
    assert_eq!(deepseek.experts.expect("a mixture").layers, [false, true]);
}

#[test]
fn windows_are_those_of_transformers() {
    let windows = |keys: Value| config_with("qwen2", &TINY, &keys).expect("a valid configuration").windows;
    assert_eq!(windows(json!({ "sliding_window": 8 })), [None, None], "it is not used");
    assert_eq!(windows(json!({ "use_sliding_window": true, "sliding_window": null })), [None, None]);
    assert_eq!(windows(json!({ "use_sliding_window": true, "sliding_window": 8 })), [None, None], "28 see all");
    let from_first = json!({ "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1 });
    assert_eq!(windows(from_first), [None, Some(8)]);
    let named = json!({ "use_sliding_window": true, "sliding_window": 8, "max_window_layers": 1,
                        "layer_types": ["sliding_attention", "full_attention"] });
    assert_eq!(windows(named), [Some(8), None], "`layer_types` decides");
}

#[test]
fn mistral_and_qwen3_moe_have_one_window_for_all_layers() {
    let windows = |model_type, keys: Value| {
        let plain = Config::new(model_type, &TINY).expect("a valid shape").to_json();
        let mut document: Value = serde_json::from_str(&plain).expect("what was just written");
        let document = document.as_object_mut().expect("an object");
        document.remove("sliding_window");
        document.extend(keys.as_object().expect("keys are a table").clone());
        Config::from_json(&json!(document).to_string()).expect("a valid configuration").windows
    };
    assert_eq!(windows("mistral", json!({})), [Some(4096); 2], "transformers' default");
    assert_eq!(windows("mistral", json!({ "sliding_window": null })), [None; 2]);
    assert_eq!(windows("mistral", json!({ "sliding_window": 8 })), [Some(8); 2]);
    assert_eq!(windows("qwen3_moe", json!({ "sliding_window": 8, "max_window_layers": 2 })), [None; 2]);
    assert_eq!(windows("qwen3_moe", json!({ "use_sliding_window": true, "sliding_window": 8 })), [Some(8); 2]);
}

#[test]
fn both_spellings_of_rotary_keys_are_read() {
    let old = json!({ "rope_theta": 5e5, "rope_parameters": null,
                      "rope_scaling": { "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64 } });
    let new = json!({ "rope_theta": null, "rope_parameters": { "rope_type": "yarn", "rope_theta": 5e5, "factor": 4.0,
                                                               "original_max_position_embeddings": 64 } });
    let rope = |keys: &Value| config_with("qwen2", &TINY, keys).expect("a valid configuration").rope;
    assert_eq!(rope(&old), rope(&new));
    assert!((rope(&old).table_factor() - (0.1 * 4f64.ln() + 1.0)).abs() < 1e-12);
}

#[test]
fn generation_config_decides_what_ends_a_completion() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config_with("qwen3", &TINY, &json!({})).expect("a valid configuration");
    config.set_special_tokens(&[3], Some(0));
    config.save(dir.path()).expect("a writable folder");
    let eos = || Config::load(dir.path()).expect("what was just written").eos_token_ids;
    assert_eq!(eos(), [3]);
    let path = dir.path().join("generation_config.json");
    std::fs::write(&path, r#"{ "eos_token_id": [4, 3] }"#).expect("a writable folder");
    assert_eq!(eos(), [4, 3]);
    std::fs::remove_file(&path).expect("just written");
    assert_eq!(eos(), [3]);
}

#[test]
fn a_size_that_no_model_has_is_refused_before_anything_is_made_of_it() {
    let sizes =
        ["num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "num_attention_heads", "head_dim"];
    let values =
        [json!(1_u64 << 62), json!(1_000_000_000), json!(0), json!(-1), json!(1.5), json!("8"), json!(u64::MAX)];
    for (key, value) in sizes.iter().flat_map(|key| values.iter().map(move |value| (key, value))) {
        let message = refused("qwen2", &json!({ *key: value }));
        assert!(message.contains(&format!("`{key}`")), "{key} {value}: {message}");
    }
    for (key, value) in [("rope_theta", json!(1.0)), ("rope_theta", json!(0.5)), ("rms_norm_eps", json!(-1e-6))] {
        // Our own files have the base under two keys, and the newer key counts.
        assert!(refused("llama", &json!({ key: value, "rope_parameters": null })).contains(key), "{key} {value}");
    }
    for theta in [1.0, 0.5, -1.0] {
        let rope = json!({ "rope_parameters": { "rope_type": "default", "rope_theta": theta } });
        assert!(refused("llama", &rope).contains("`rope_theta`"), "{theta}");
    }
    let long = refused("llama", &json!({ "hidden_size": "x".repeat(1 << 20) }));
    assert!(long.len() < 200, "{} bytes", long.len());
}

#[test]
fn more_layers_than_the_weights_can_have_are_refused_with_both_numbers() {
    let dir = tempfile::tempdir().expect("a folder");
    crate::tiny("qwen2", &TINY).save(dir.path()).expect("a writable folder");
    let file = dir.path().join("config.json");
    let mut document: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("just written")).expect("JSON");
    document["num_hidden_layers"] = json!(4_000);
    std::fs::write(&file, document.to_string()).expect("a writable folder");
    let error = lm::Model::load(dir.path(), &lm::Options::default()).err().expect("too many").to_string();
    assert!(error.contains("`num_hidden_layers` = 4000 need 8000 tensors at least, and 26 are there"), "{error}");
}

#[test]
fn a_folder_whose_names_are_no_files_is_refused_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    crate::tiny("qwen2", &TINY).save(dir.path()).expect("a writable folder");
    for name in ["config.json", "generation_config.json", "model.safetensors"] {
        let path = dir.path().join(name);
        let kept = dir.path().join("kept");
        std::fs::rename(&path, &kept).expect("just written");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("a writable folder");
        let error = lm::Model::load(dir.path(), &lm::Options::default()).err().expect("a device").to_string();
        assert!(error.contains(name) && error.contains("is a device, not a file"), "{error}");
        std::fs::rename(&kept, &path).expect("just moved");
    }
}
