//! `pretrain` makes a model that other kinds can load, for each architecture and tokenizer.

use engine::artifact::Samples;
use engine::stage::Outcome;
use lm::{Model, Options};
use serde_json::json;
use text::Chat;

use super::Pretrain;
use crate::artifacts::{SampleRow, write_samples};
use crate::testing::{Attempt, message, reference, well};

#[test]
fn every_shape_loads_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let rows: Vec<_> =
        (0..40).map(|n| SampleRow::new(format!("what is {n} + 1?"), format!("it is {}", n + 1))).collect();
    well(write_samples(&data, &rows).map_err(Into::into));
    for (architecture, tokenizer) in [
        ("qwen2", "characters"),
        ("llama", "byte-bpe"),
        ("mistral", "characters"),
        ("qwen3", "byte-bpe"),
        ("qwen3-moe", "byte-bpe"),
        ("deepseek-v3", "characters"),
    ] {
        let attempt_dir = dir.path().join(architecture);
        let kv_heads = if architecture == "deepseek-v3" { 2 } else { 1 };
        let config = json!({
            "data": [reference::<Samples>("data.samples", &data)],
            "architecture": architecture, "tokenizer": tokenizer, "vocab-size": 280,
            "hidden-size": 16, "layers": 2, "heads": 2, "kv-heads": kv_heads, "intermediate-size": 32,
            "steps": 3, "batch-size": 4,
        });
        let attempt = Attempt::new::<Pretrain>(&attempt_dir, &config, None);
        assert!(matches!(well(attempt.run::<Pretrain>()), Outcome::Done(_)));
        let model = attempt_dir.join("output-model");
        let loaded = Model::load(&model, &Options::default()).unwrap();
        assert_eq!(loaded.config.model_type, architecture.replace('-', "_"));
        let chat = Chat::load(&model).unwrap();
        assert_eq!(chat.tokenizer.decode(&chat.prompt_ids(&"what is 7?".into()).unwrap()), "what is 7?\n");
    }
}

#[test]
fn latent_attention_has_keys_for_every_head() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    well(write_samples(&data, &[SampleRow::new("a", "b")]).map_err(Into::into));
    let config = json!({ "data": [reference::<Samples>("data.samples", &data)], "architecture": "deepseek-v3",
                         "kv-heads": 2, "heads": 4, "steps": 1 });
    let attempt = Attempt::new::<Pretrain>(&dir.path().join("attempt"), &config, None);
    assert!(
        message(attempt.run::<Pretrain>()).contains("`num_key_value_heads`: 2 differs from num_attention_heads = 4")
    );
}

#[test]
fn a_schedule_without_an_end_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    well(write_samples(&data, &[SampleRow::new("a", "b")]).map_err(Into::into));
    let config = json!({ "data": [reference::<Samples>("data.samples", &data)], "schedule": "cosine", "steps": 1 });
    let attempt = Attempt::new::<Pretrain>(&dir.path().join("attempt"), &config, None);
    assert!(message(attempt.run::<Pretrain>()).contains("decay-steps"));
}
