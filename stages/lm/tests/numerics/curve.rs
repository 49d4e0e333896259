//! Fifty steps of SFT beside transformers: same model, same rows in the same order, same optimiser, in single precision.

use std::path::{Path, PathBuf};

use lm::checkpoint::load_tensors;
use lm::{AdamW, AdamWOptions, Model, Options, Rows, clip_grad_norm};

use crate::sft_loss;

/// What `make.py` trained, one of each architecture.
const NAMES: [&str; 4] = ["qwen2-gqa-tied", "llama3-scaled-rope", "qwen3-biases-yarn", "deepseek-v3-groups-yarn"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn the_loss_of_fifty_steps_is_that_of_transformers() {
    lm::setup(1, "cpu").expect("the CPU is always there");
    for name in NAMES {
        let model = Model::load(&fixture(name), &Options::default()).expect("transformers wrote it");
        let curve = load_tensors(&fixture(name).join("curve.safetensors")).expect("make.py wrote it");
        let get = |wanted: &str| {
            let (_, tensor) = curve.iter().find(|(name, _)| name == wanted).expect("make.py wrote it");
            tensor.shallow_clone()
        };
        let (ids_slt, losses_s) = (get("ids"), Vec::<f64>::try_from(get("losses")).expect("numbers"));
        let lengths_sl = Vec::<Vec<i64>>::try_from(get("lengths")).expect("numbers");
        let options = AdamWOptions { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.01 };
        let mut optimiser = AdamW::new(model.parameters(), options);
        assert_eq!(losses_s.len(), 50);
        assert!(losses_s[49] < 0.7 * losses_s[0], "{name}: it learnt nothing: {losses_s:?}");
        for (step, (expected, lengths)) in losses_s.iter().zip(&lengths_sl).enumerate() {
            let row = |(index, length): (usize, &i64)| {
                let row_t = ids_slt.select(0, step as i64).select(0, index as i64).narrow(0, 0, *length);
                Vec::<i64>::try_from(row_t).expect("numbers")
            };
            let loss = sft_loss(&model, &Rows::pack(lengths.iter().enumerate().map(row)));
            clip_grad_norm(model.parameters(), 1.0).expect("gradients");
            optimiser.step(2e-3).expect("matching shapes");
            assert!((loss - expected).abs() < 1e-4, "{name}, step {step}: {loss}, transformers has {expected}");
        }
    }
}
