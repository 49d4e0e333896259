//! A model of which only some layers are read.

use std::path::Path;

use lm::checkpoint::{load_tensors, save_tensors};
use lm::config::Error;
use lm::{Config, Model, Options, Rows, Shape, Tensor};
use serde_json::{Value, json};

use crate::{TINY, UNGROUPED, config_with, tiny_with};

fn logits(model: &Model) -> Tensor {
    let _guard = lm::no_grad_guard();
    model.logits(&model.hidden(&Rows::pack([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]])))
}

fn written(dir: &Path) -> Value {
    let text = std::fs::read_to_string(dir.join("config.json")).expect("a model's folder");
    serde_json::from_str(&text).expect("an object")
}

/// Writes the folder of a model that has these layers of another folder's, with these keys of its own.
fn write_by_hand(from: &Path, layers: &[usize], keys: &Value, to: &Path) {
    let mut tensors = Vec::new();
    for (name, tensor) in load_tensors(&from.join("model.safetensors")).expect("a model's folder") {
        let Some(of_layer) = name.strip_prefix("model.layers.") else {
            tensors.push((name, tensor));
            continue;
        };
        let (layer, rest) = of_layer.split_once('.').expect("a number and a name");
        if let Some(at) = layers.iter().position(|kept| kept.to_string() == layer) {
            tensors.push((format!("model.layers.{at}.{rest}"), tensor));
        }
    }
    let mut document = written(from);
    document["num_hidden_layers"] = json!(layers.len());
    for (key, value) in keys.as_object().expect("keys are a table") {
        document[key] = value.clone();
    }
    std::fs::write(to.join("config.json"), document.to_string()).expect("a writable folder");
    save_tensors(&to.join("model.safetensors"), &tensors).expect("a writable folder");
}

#[test]
fn a_model_of_some_layers_is_the_one_made_by_hand_of_their_tensors() {
    let windows = json!({ "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 2 });
    let types = ["full_attention", "full_attention", "sliding_attention", "sliding_attention"];
    let mut typed = windows.clone();
    typed["layer_types"] = json!(types);
    let table: [(&str, Value, &[usize], Value); 10] = [
        ("llama", json!({}), &[0, 2], json!({})),
        ("llama", json!({}), &[3, 1, 0], json!({})),
        ("mistral", json!({ "sliding_window": 4 }), &[1, 3], json!({})),
        ("qwen2", windows.clone(), &[0, 2, 3], json!({ "max_window_layers": 1 })),
        ("qwen3", typed, &[2, 1], json!({ "max_window_layers": 1, "layer_types": [types[2], types[1]] })),
        ("qwen3_moe", json!({}), &[0, 2], json!({})),
        ("qwen3_moe", json!({ "mlp_only_layers": [1] }), &[3, 1], json!({ "mlp_only_layers": [1] })),
        (
            "qwen3_moe",
            json!({ "decoder_sparse_step": 2 }),
            &[1, 2],
            json!({ "decoder_sparse_step": 1, "mlp_only_layers": [1] }),
        ),
        ("deepseek_v3", json!({ "first_k_dense_replace": 2 }), &[0, 3], json!({ "first_k_dense_replace": 1 })),
        ("deepseek_v3", json!({ "first_k_dense_replace": 2 }), &[2, 3], json!({ "first_k_dense_replace": 0 })),
    ];
    for (model_type, keys, layers, by_hand) in table {
        let place = format!("{model_type} {keys} {layers:?}");
        let shape = Shape { num_hidden_layers: 4, ..if model_type == "deepseek_v3" { UNGROUPED } else { TINY } };
        let [whole, hand, saved] = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
        tiny_with(model_type, &shape, &keys).save(whole.path()).expect("a writable folder");
        write_by_hand(whole.path(), layers, &by_hand, hand.path());
        let model = Model::load_layers(whole.path(), &Options::default(), Some(layers)).expect("layers that are there");
        let expected = Model::load(hand.path(), &Options::default()).expect("a model's folder");
        assert_eq!(logits(&model), logits(&expected), "{place}");
        assert!(model.ignored().is_empty(), "{place}");
        model.save(saved.path()).expect("a writable folder");
        assert_eq!(written(saved.path()), written(hand.path()), "{place}");
        let back = Model::load(saved.path(), &Options::default()).expect("what was just written");
        assert_eq!(logits(&back), logits(&expected), "{place}");
    }
}

#[test]
fn layers_that_are_not_there_or_cannot_be_said_are_refused() {
    let refused = |model_type: &str, keys: Value, layers: &[usize]| {
        let shape = Shape { num_hidden_layers: 4, ..if model_type == "deepseek_v3" { UNGROUPED } else { TINY } };
        let config: Config = config_with(model_type, &shape, &keys).expect("a valid configuration");
        match config.with_layers(layers) {
            Err(error @ Error::Layers(_)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let ninth = "`layers` names layer 9, and the model has 4, 0 to 3; help: name layers of at most 3";
    assert_eq!(refused("llama", json!({}), &[0, 9]), ninth);
    assert_eq!(refused("llama", json!({}), &[2, 0, 2]), "`layers` names layer 2 twice; help: remove item 2");
    assert!(refused("llama", json!({}), &[]).starts_with("`layers` is empty"));
    let windows = json!({ "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 2 });
    assert!(refused("qwen2", windows, &[2, 0]).contains("`config.json` cannot say"));
    let dense = json!({ "first_k_dense_replace": 1 });
    assert!(refused("deepseek_v3", dense, &[1, 0]).contains("name the layers in ascending order"));
}

#[test]
fn tensors_of_other_layers_are_not_read_and_unknown_ones_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let shape = Shape { num_hidden_layers: 4, ..TINY };
    tiny_with("llama", &shape, &json!({})).save(dir.path()).expect("a writable folder");
    let file = dir.path().join("model.safetensors");
    let mut tensors = load_tensors(&file).expect("just written");
    let spoilt = tensors.iter().find(|(name, _)| name == "model.layers.1.input_layernorm.weight").expect("a norm");
    let _ = spoilt.1.shallow_clone().fill_(f64::NAN);
    save_tensors(&file, &tensors).expect("a writable folder");
    let read = |layers: &[usize]| Model::load_layers(dir.path(), &Options::default(), Some(layers));
    assert!(read(&[0, 2]).expect("whole layers").non_finite().is_empty());
    assert_eq!(read(&[1]).expect("whole layers").non_finite().len(), 1);
    tensors.push(("model.layers.7.other".to_owned(), Tensor::from_slice(&[1.0f32])));
    save_tensors(&file, &tensors).expect("a writable folder");
    let error = read(&[0]).err().expect("it is unknown").to_string();
    assert!(error.contains("`model.layers.7.other` is unknown"), "{error}");
}
