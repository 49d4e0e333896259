//! Numerical tests of the crate's public face: models against a second implementation, gradients, sampling, training.
//!
//! Everything runs on one thread of the CPU, from fixed seeds.

mod generate;
mod model;
mod optim;
mod parity;
mod reference;
mod reward;
mod shards;
mod training;

use lm::{Config, Device, Kind, Model, Options, Rows, Shape, Tensor};

/// A model small enough for plain loops, with grouped heads and a head width that is no multiple of a vector.
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

pub(crate) fn tiny(model_type: &str, shape: &Shape) -> Model {
    let device = lm::setup(1, "cpu").expect("the CPU is always there");
    let model = Model::init(Config::new(model_type, shape).expect("a valid shape"), 7, device);
    // Norms and biases away from 1 and 0, so that a forgotten one shows.
    let _guard = lm::no_grad_guard();
    for (index, (_, tensor)) in model.parameters().iter().enumerate() {
        if tensor.dim() == 1 {
            let wave = (Tensor::arange(tensor.size()[0], (Kind::Float, device)) * 0.7 + index as f64).sin() * 0.3;
            let _ = tensor.shallow_clone().g_add_(&wave);
        }
    }
    model
}

/// The same model in double precision, which takes the path of libtorch's own operations.
pub(crate) fn in_double(model: &Model) -> Model {
    let dir = tempfile::tempdir().expect("a temporary folder");
    model.save(dir.path()).expect("a writable folder");
    let options = Options { device: Device::Cpu, dtype: Kind::Double };
    Model::load(dir.path(), &options).expect("what was just written")
}

pub(crate) fn rows(lengths: &[usize], vocab_size: i64) -> Rows {
    let row = |(i, length): (usize, &usize)| (0..*length).map(move |t| (i * 7 + t * t + 3 * t) as i64 % vocab_size);
    Rows::pack(lengths.iter().enumerate().map(|pair| row(pair).collect::<Vec<i64>>()))
}

#[track_caller]
pub(crate) fn assert_close(left: &Tensor, right: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(left.size(), right.size(), "{what}: shapes differ");
    let difference = (left.to_kind(Kind::Double) - right.to_kind(Kind::Double)).abs().max().double_value(&[]);
    assert!(difference <= tolerance, "{what}: differs by {difference}, allowed {tolerance}");
}
