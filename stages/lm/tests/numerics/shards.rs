//! Checkpoints in several files, and files that are not safetensors.

use std::path::Path;

use lm::checkpoint::{load_tensors, save_tensors};
use lm::{Device, Kind, Model, Options, Tensor};
use serde_json::{Value, json};

use crate::{TINY, tiny};

const INDEX: &str = "model.safetensors.index.json";

/// A model in two shards, `a.safetensors` and `b.safetensors`, with its index.
struct Sharded {
    dir: tempfile::TempDir,
    model: Model,
    map: serde_json::Map<String, Value>,
}

impl Sharded {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let model = tiny("qwen2", &TINY);
        model.save(dir.path()).expect("a writable folder");
        std::fs::remove_file(dir.path().join("model.safetensors")).expect("just written");
        let mut map = serde_json::Map::new();
        let (first, second) = model.parameters().split_at(model.parameters().len() / 2);
        for (file, part) in [("a.safetensors", first), ("b.safetensors", second)] {
            let part: Vec<_> = part.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
            save_tensors(&dir.path().join(file), &part).expect("a writable folder");
            map.extend(part.iter().map(|(name, _)| (name.clone(), json!(file))));
        }
        let sharded = Self { dir, model, map };
        sharded.write_index(&json!({ "metadata": { "total_size": 1 }, "weight_map": sharded.map }));
        sharded
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write_index(&self, document: &Value) {
        std::fs::write(self.path().join(INDEX), document.to_string()).expect("a writable folder");
    }

    /// Returns the error of loading it, without the index's path.
    fn message(&self) -> String {
        let error = Model::load(self.path(), &Options::default()).err().expect("it is broken").to_string();
        let place = format!("`{}`: ", self.path().join(INDEX).display());
        error.strip_prefix(&place).map(str::to_owned).unwrap_or(error)
    }
}

#[test]
fn shards_are_read_through_their_index() {
    let sharded = Sharded::new();
    for dtype in [Kind::Float, Kind::Double, Kind::BFloat16] {
        let options = Options { device: Device::Cpu, dtype };
        let back = Model::load(sharded.path(), &options).expect("two shards");
        // Read as any type, converted while reading or afterwards.
        for ((name, one), (_, two)) in sharded.model.parameters().iter().zip(back.parameters()) {
            assert_eq!(one.to_kind(dtype), *two, "{name}");
            assert_eq!(two.kind(), dtype, "{name}");
        }
    }
}

#[test]
fn an_index_that_is_wrong_is_named_with_all_that_is_wrong() {
    let sharded = Sharded::new();
    let mut map = sharded.map.clone();
    map.remove("model.embed_tokens.weight");
    map.insert("model.layers.7.mlp.up_proj.weight".to_owned(), json!("a.safetensors"));
    sharded.write_index(&json!({ "weight_map": map }));
    assert_eq!(
        sharded.message(),
        "`model.layers.7.mlp.up_proj.weight` is not in its shard `a.safetensors`, `model.embed_tokens.weight` of \
         `a.safetensors` is not in the index"
    );
    sharded.write_index(&json!({ "weight_map": sharded.map }));
    std::fs::remove_file(sharded.path().join("b.safetensors")).expect("just written");
    assert_eq!(sharded.message(), "the shard `b.safetensors` is missing, with 13 tensors");
    for (document, reason) in [
        (json!({ "weight_map": { "x": "../a.safetensors" } }), "shard `../a.safetensors` is no plain file name"),
        (json!({ "weight_map": { "x": 1 } }), "`weight_map` must map names to file names"),
        (json!({}), "no `weight_map`"),
    ] {
        sharded.write_index(&document);
        assert_eq!(sharded.message(), reason);
    }
}

#[test]
fn a_tensor_that_the_model_does_not_know_is_named_though_the_index_does() {
    let sharded = Sharded::new();
    let file = sharded.path().join("b.safetensors");
    let mut tensors = load_tensors(&file).expect("just written");
    tensors.push(("model.layers.9.mlp.up_proj.weight".to_owned(), Tensor::from_slice(&[1f32])));
    save_tensors(&file, &tensors).expect("a writable folder");
    let mut map = sharded.map.clone();
    map.insert("model.layers.9.mlp.up_proj.weight".to_owned(), json!("b.safetensors"));
    sharded.write_index(&json!({ "weight_map": map }));
    let expected = "the weights do not fit `config.json`: `model.layers.9.mlp.up_proj.weight` is unknown";
    assert_eq!(sharded.message(), expected);
}

#[test]
fn pickles_are_refused_with_advice() {
    let dir = tempfile::tempdir().expect("a folder");
    tiny("llama", &TINY).save(dir.path()).expect("a writable folder");
    std::fs::remove_file(dir.path().join("model.safetensors")).expect("just written");
    let message = |path: &Path| Model::load(path, &Options::default()).err().expect("no weights").to_string();
    assert!(message(dir.path()).ends_with("help: a model's folder is what `save_pretrained` of transformers writes"));
    let advice = "which can run code when it is read; convert it to safetensors, for example with transformers: \
                  `from_pretrained`, then `save_pretrained`";
    for name in ["pytorch_model.bin", "consolidated.00.pth", "model.pt"] {
        let file = dir.path().join(name);
        std::fs::write(&file, b"\x80\x02}q\x00.").expect("a writable folder");
        assert!(message(dir.path()).ends_with(&format!("`{name}` is a pickle, {advice}")), "{}", message(dir.path()));
        // The file itself is given instead of the folder.
        assert!(message(&file).contains("convert it to safetensors"), "{}", message(&file));
        std::fs::remove_file(file).expect("just written");
    }
}
