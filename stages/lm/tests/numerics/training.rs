//! Training as a whole: ten seeded steps with known losses, and copies that do not share weights.

use lm::generate::generate;
use lm::{
    AdamW, AdamWOptions, Config, Device, Kind, Model, Request, Rows, Sampling, Shape, Tensor, clip_grad_norm, head,
    zero_grad,
};

use crate::double::{Follower, Training};
use crate::{TINY, in_double, rows};

/// Losses of ten steps of next-token prediction in double precision, the same on every processor. A change of the maths
/// changes them; record them again in a separate commit that explains why.
const GOLDEN: [f64; 10] = [
    4.254_273_715_375,
    3.117_830_129_757,
    2.590_513_554_221,
    2.271_796_733_512,
    2.020_280_424_640,
    1.767_895_165_949,
    1.506_094_193_440,
    1.258_073_589_673,
    1.042_869_523_285,
    0.860_047_987_857,
];

fn train(model: &Model, rows: &Rows, steps: usize) -> Vec<f64> {
    let predictions = rows.predictions();
    let (positions, targets) = predictions.to_device(model.device());
    let scale = 1.0 / predictions.targets.len() as f64;
    let mut optimiser = AdamW::new(model.parameters(), AdamWOptions { weight_decay: 0.01, ..AdamWOptions::default() });
    let step = |_| {
        zero_grad(model.parameters()).expect("leaves");
        let hidden = model.hidden(rows).index_select(0, &positions);
        let loss = head::backward(model, &hidden, &targets, 1.0, 32, |logps, _| -logps.sum(Kind::Float) * scale);
        clip_grad_norm(model.parameters(), 1.0).expect("gradients");
        optimiser.step(5e-3).expect("matching shapes");
        loss
    };
    (0..steps).map(step).collect()
}

fn fresh() -> Model {
    let device = lm::setup(1, lm::Device::Cpu).expect("the CPU is always there");
    Model::init(Config::new("qwen2", &TINY).expect("a valid shape"), 42, device)
}

#[test]
fn ten_steps_have_the_losses_they_always_had() {
    let options = AdamWOptions { weight_decay: 0.01, ..AdamWOptions::default() };
    let mut training = Training::new(in_double(&fresh()), options, 5e-3);
    let mut follower = Follower::new(fresh(), options);
    let packed = rows(&[12, 7, 20, 3, 9], 19);
    let losses = [(); 10].map(|()| follower.follow(&mut training, &packed, "a seeded step").0);
    for (step, (loss, golden)) in losses.iter().zip(GOLDEN).enumerate() {
        assert!((loss - golden).abs() < 1e-10, "step {step}: {loss}, recorded {golden}; all: {losses:.12?}");
    }
}

#[test]
fn a_second_run_gives_the_same_bits() {
    let (one, two) = (fresh(), fresh());
    let packed = rows(&[12, 7, 20, 3, 9], 19);
    assert_eq!(train(&one, &packed, 6), train(&two, &packed, 6));
    for ((name, one), (_, two)) in one.parameters().iter().zip(two.parameters()) {
        assert_eq!(one, two, "{name}");
    }
}

/// So its state need not be in a checkpoint. Only this test draws from it, because tests run in parallel.
#[test]
fn libtorch_s_own_generator_is_not_drawn_from() {
    let draws = || Tensor::rand([8], (Kind::Float, Device::Cpu));
    tch::manual_seed(7);
    let expected = draws();
    tch::manual_seed(7);
    let model = fresh();
    train(&model, &rows(&[12, 7], 19), 2);
    let request = Request { prompt: vec![1, 2, 3], seed: 5 };
    generate(&model, &[request], &Sampling { max_tokens: 8, ..Sampling::default() }, 1, &mut |_, _| {}).expect("fits");
    assert_eq!(draws(), expected);
}

#[test]
fn the_fused_weights_follow_the_optimiser() {
    let model = fresh();
    let packed = rows(&[12, 7], 19);
    train(&model, &packed, 3);
    let copy = model.deep_copy();
    let logits = |model: &Model| {
        let _guard = lm::no_grad_guard();
        model.logits(&model.hidden(&packed))
    };
    let before = logits(&copy);
    assert_eq!(logits(&model), before);
    train(&model, &packed, 1);
    assert_eq!(logits(&copy), before, "a copy must not share weights");
    assert_ne!(logits(&model), before);
    copy.copy_weights_from(&model);
    assert_eq!(logits(&model), logits(&copy));
}

#[test]
fn a_toy_learns_to_count() {
    let shape = Shape { hidden_size: 32, num_attention_heads: 2, head_dim: Some(16), num_key_value_heads: 2, ..TINY };
    let model = Model::init(Config::new("llama", &shape).expect("a valid shape"), 1, Device::Cpu);
    let counting = Rows::pack((0..16i64).map(|start| (0..12).map(|t| (start + t) % 19).collect::<Vec<_>>()));
    let losses = train(&model, &counting, 120);
    assert!(losses[0] > 2.0, "{}", losses[0]);
    assert!(losses[119] < 0.25, "{}", losses[119]);
}
