//! Fifty steps of SFT compared with transformers: same model, same rows in the same order, same optimiser.
//!
//! The curve was computed in double precision (`make.py`) and is compared in double precision; `double.rs` explains
//! why, and what is tested in single precision.

use std::path::{Path, PathBuf};

use lm::checkpoint::load_tensors;
use lm::{AdamWOptions, Device, Kind, Model, Options, Rows, Tensor};

use crate::double::{Follower, Training};

/// The models that `make.py` trained, one of each architecture.
const NAMES: [&str; 6] = [
    "qwen2-gqa-tied",
    "llama3-scaled-rope",
    "qwen3-biases-yarn",
    "deepseek-v3-groups-yarn",
    "mistral-window",
    "qwen3-moe-normed",
];
const OPTIONS: AdamWOptions = AdamWOptions { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.01 };
const LR: f64 = 2e-3;
/// Bound on the difference of losses and norms, which are 1 to 20. Rounding in double precision adds up to 2e-13 in
/// fifty steps; a mathematical error smaller than the bound would not show in any test.
const BOUND: f64 = 1e-10;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn load(name: &str, dtype: Kind) -> Model {
    lm::setup(1, lm::Device::Cpu).expect("the CPU is always there");
    Model::load(&fixture(name), &Options { device: Device::Cpu, dtype }).expect("transformers wrote it")
}

/// The curve of one model, as `make.py` wrote it.
struct Curve {
    ids_slt: Tensor,
    lengths_sl: Vec<Vec<i64>>,
    losses_s: Vec<f64>,
    norms_s: Vec<f64>,
}

impl Curve {
    fn load(name: &str) -> Self {
        let tensors = load_tensors(&fixture(name).join("curve.safetensors")).expect("make.py wrote it");
        let get = |wanted: &str| {
            let (_, tensor) = tensors.iter().find(|(name, _)| name == wanted).expect("make.py wrote it");
            tensor.shallow_clone()
        };
        let numbers = |wanted: &str| Vec::<f64>::try_from(get(wanted)).expect("numbers");
        let curve = Self {
            ids_slt: get("ids"),
            lengths_sl: Vec::try_from(get("lengths")).expect("numbers"),
            losses_s: numbers("losses"),
            norms_s: numbers("norms"),
        };
        assert_eq!(curve.losses_s.len(), 50);
        let (first, last) = (curve.losses_s[0], curve.losses_s[49]);
        assert!(last < 0.7 * first, "{name}: it learnt nothing: {first} to {last}");
        curve
    }

    fn rows(&self, step: usize) -> Rows {
        let ids_lt = self.ids_slt.get(step as i64);
        let row = |(index, length): (usize, &i64)| {
            Vec::<i64>::try_from(ids_lt.get(index as i64).narrow(0, 0, *length)).expect("numbers")
        };
        Rows::pack(self.lengths_sl[step].iter().enumerate().map(row))
    }
}

#[test]
fn fifty_steps_are_those_of_transformers() {
    for name in NAMES {
        let (curve, mut training) = (Curve::load(name), Training::new(load(name, Kind::Double), OPTIONS, LR));
        for (step, expected) in curve.losses_s.iter().zip(&curve.norms_s).enumerate() {
            let (loss, norm) = training.step(&curve.rows(step));
            let near = (loss - expected.0).abs() < BOUND && (norm - expected.1).abs() < BOUND * norm.max(1.0);
            assert!(near, "{name}, step {step}: loss and norm {:?}, transformers has {expected:?}", (loss, norm));
        }
    }
}

#[test]
fn each_of_fifty_steps_in_single_precision_is_that_of_double_precision() {
    for name in NAMES {
        let (curve, mut training) = (Curve::load(name), Training::new(load(name, Kind::Double), OPTIONS, LR));
        let mut follower = Follower::new(load(name, Kind::Float), OPTIONS);
        for step in 0..curve.losses_s.len() {
            follower.follow(&mut training, &curve.rows(step), &format!("{name}, step {step}"));
        }
    }
}
