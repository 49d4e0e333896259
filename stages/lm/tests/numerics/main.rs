//! Numerical tests of the crate's public interface: models against a second implementation, gradients, sampling,
//! training.
//!
//! Everything runs on one thread of the CPU, from fixed seeds; `gpu` runs the GPU path on a simulated GPU. Each claim
//! holds on every processor. Equal bits are claimed within one process only. Stored numbers are compared in double
//! precision, or for single steps from a double-precision state. Tokens are compared only where noise far above
//! rounding does not change them ([`shaken`]). Bounds in single precision are between two and a half and twenty times
//! the worst difference under seven settings of libtorch, oneDNN and MKL, from SSE to AVX-512; the worst differs by a
//! third between settings.

#![expect(clippy::disallowed_methods, reason = "tests remove what they have made")]

mod architectures;
mod config;
mod curve;
mod double;
mod generate;
mod gpu;
mod half;
mod layers;
mod model;
mod optim;
mod parity;
mod pass;
mod reference;
mod reward;
mod shards;
mod training;

use lm::{Config, Device, Kind, Model, Options, Rows, Shape, Tensor, head};
use serde_json::{Value, json};

/// A model small enough for plain loops, with grouped heads and a head width that is not a multiple of a vector.
pub(crate) const TINY: Shape = Shape {
    vocab_size: 19,
    hidden_size: 24,
    intermediate_size: 20,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: Some(12),
    rope_theta: 100.0,
    max_position_embeddings: 512,
    tie_word_embeddings: true,
};

/// Like [`TINY`], for an architecture without groups of heads.
pub(crate) const UNGROUPED: Shape = Shape { num_key_value_heads: 4, ..TINY };

pub(crate) fn tiny(model_type: &str, shape: &Shape) -> Model {
    tiny_with(model_type, shape, &json!({}))
}

/// A tiny model whose `config.json` has additional keys.
pub(crate) fn tiny_with(model_type: &str, shape: &Shape, keys: &Value) -> Model {
    let device = lm::setup(1, lm::Device::Cpu).expect("the CPU is always there");
    let model = Model::init(config_with(model_type, shape, keys).expect("a valid shape"), 7, device);
    // Norms and biases differ from 1 and 0, so that a forgotten one shows.
    let _guard = lm::no_grad_guard();
    for (index, (_, tensor)) in model.parameters().iter().enumerate() {
        if tensor.dim() == 1 {
            let wave = (Tensor::arange(tensor.size()[0], (Kind::Float, device)) * 0.7 + index as f64).sin() * 0.3;
            let _ = tensor.shallow_clone().g_add_(&wave);
        }
    }
    model
}

pub(crate) fn config_with(model_type: &str, shape: &Shape, keys: &Value) -> Result<Config, lm::config::Error> {
    let plain = Config::new(model_type, shape).expect("a valid shape").to_json();
    let mut document: Value = serde_json::from_str(&plain).expect("what was just written");
    for (key, value) in keys.as_object().expect("keys are a table") {
        document[key] = value.clone();
    }
    Config::from_json(&document.to_string())
}

/// The same model in double precision, which uses libtorch's own operations.
pub(crate) fn in_double(model: &Model) -> Model {
    let dir = tempfile::tempdir().expect("a temporary folder");
    model.save(dir.path()).expect("a writable folder");
    let options = Options { device: Device::Cpu, dtype: Kind::Double };
    Model::load(dir.path(), &options).expect("what was just written")
}

/// A copy whose weights differ by up to a millionth, some ten times the rounding of single precision.
///
/// A test that compares tokens must pass with these weights, too. If this noise changes a token, another processor's
/// order of addition could change it as well, and the token must not be in a test.
pub(crate) fn shaken(model: &Model, seed: u64) -> Model {
    let copy = model.deep_copy();
    let _guard = lm::no_grad_guard();
    for (index, (_, tensor)) in copy.parameters().iter().enumerate() {
        let phase = (seed * 1000 + index as u64) as f64;
        let wave = (Tensor::arange(tensor.numel() as i64, (Kind::Double, tensor.device())) * 1.7 + phase).sin() * 1e-6;
        let noisy = tensor.to_kind(Kind::Double) * (wave.view_as(tensor) + 1.0);
        tensor.shallow_clone().copy_(&noisy);
    }
    copy
}

pub(crate) fn rows(lengths: &[usize], vocab_size: i64) -> Rows {
    let row = |(i, length): (usize, &usize)| (0..*length).map(move |t| (i * 7 + t * t + 3 * t) as i64 % vocab_size);
    Rows::pack(lengths.iter().enumerate().map(|pair| row(pair).collect::<Vec<i64>>()))
}

/// Stores the gradients of one batch of SFT (the mean over all predictions) in the parameters, and returns the loss.
pub(crate) fn sft_loss(model: &Model, rows: &Rows) -> f64 {
    model.zero_grad().expect("parameters take gradients");
    add_sft_gradients(model, rows, 1.0, false)
}

/// Adds `weight` times the gradients of one batch of SFT to the parameters', and returns `weight` times the loss.
pub(crate) fn add_sft_gradients(model: &Model, rows: &Rows, weight: f64, recompute: bool) -> f64 {
    let predictions = rows.predictions();
    let (positions, targets) = predictions.to_device(model.device());
    let scale = weight / predictions.targets.len() as f64;
    let pass = model.pass(rows, recompute);
    let hidden = pass.hidden().index_select(0, &positions);
    let loss = head::backward(model, &hidden, &targets, 1.0, 32, |logps, _| -logps.sum(Kind::Float) * scale);
    pass.backward();
    loss
}

/// The gradient of a parameter; zero if it has none, like an expert that no token chose.
pub(crate) fn gradient(parameter: &Tensor) -> Tensor {
    let gradient = parameter.grad();
    if gradient.defined() { gradient } else { parameter.zeros_like() }
}

#[track_caller]
pub(crate) fn assert_close(left: &Tensor, right: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(left.size(), right.size(), "{what}: shapes differ");
    let wide = |tensor: &Tensor| tensor.to_device(Device::Cpu).to_kind(Kind::Double);
    let difference = (wide(left) - wide(right)).abs().max().double_value(&[]);
    assert!(difference <= tolerance, "{what}: differs by {difference}, allowed {tolerance}");
}
