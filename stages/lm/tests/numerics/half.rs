//! bf16: close to single precision; gradients, moments and master weights are in single precision.

use lm::{AdamW, AdamWOptions, Kind, Model, Request, Sampling, Tensor, clip_grad_norm, generate, head, zero_grad};

use crate::architectures::all;
use crate::{add_sft_gradients, gradient, rows, sft_loss};

/// The model in bf16, and in single precision with the same, rounded, weights.
fn pair(model: Model) -> (Model, Model) {
    let half = model.in_dtype(Kind::BFloat16);
    let single = half.deep_copy().in_dtype(Kind::Float);
    (half, single)
}

/// |a - b| / |b|, Euclidean.
pub(crate) fn relative(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    (a - &b).norm().double_value(&[]) / b.norm().double_value(&[]).max(1e-12)
}

#[test]
fn loss_and_gradients_are_near_those_of_single_precision() {
    for (name, model) in all() {
        // A router may choose other experts because of rounding, which gives another function.
        if model.config.experts.is_some() {
            continue;
        }
        let (half, single) = pair(model);
        let packed = rows(&[9, 30, 17, 2], 19);
        let (one, two) = (sft_loss(&half, &packed), sft_loss(&single, &packed));
        assert!((one - two).abs() < 0.02 * two, "{name}: {one}, single precision has {two}");
        for ((parameter, half), (_, single)) in half.parameters().iter().zip(single.parameters()) {
            let (half, single) = (gradient(half), gradient(single));
            assert_eq!(half.kind(), Kind::Float, "{name}: gradient of {parameter}");
            let differs = relative(&half, &single);
            assert!(differs < 0.05, "{name}: gradient of {parameter} differs by {differs}");
        }
    }
}

#[test]
fn small_steps_are_not_lost() {
    let (_, model) = all().swap_remove(0);
    let (half, single) = pair(model);
    let packed = rows(&[12, 7, 20, 3, 9], 19);
    let train = |model: &Model| {
        let mut optimiser = AdamW::new(model.parameters(), AdamWOptions::default());
        (0..60)
            .map(|_| {
                let loss = sft_loss(model, &packed);
                clip_grad_norm(model.parameters(), 1.0).expect("gradients");
                // A fiftieth of bf16's spacing near 1/8: without master weights, nothing would change.
                optimiser.step(2e-5).expect("matching shapes");
                zero_grad(model.parameters()).expect("leaves");
                loss
            })
            .collect::<Vec<f64>>()
    };
    let (half, single) = (train(&half), train(&single));
    let fell = |losses: &[f64]| losses[0] - losses[59];
    assert!(fell(&single) > 0.01, "{}", fell(&single));
    assert!((fell(&half) / fell(&single) - 1.0).abs() < 0.2, "{} against {}", fell(&half), fell(&single));
}

#[test]
fn gradients_add_up_in_single_precision() {
    let (_, model) = all().swap_remove(0);
    let half = model.in_dtype(Kind::BFloat16);
    let packed = rows(&[12, 7], 19);
    sft_loss(&half, &packed);
    let once: Vec<Tensor> = half.parameters().iter().map(|(_, parameter)| gradient(parameter).copy()).collect();
    add_sft_gradients(&half, &packed, 1.0 / 512.0, false);
    // A sum in bf16 would lose a 512th by rounding.
    for ((name, parameter), once) in half.parameters().iter().zip(&once) {
        let differs = relative(&gradient(parameter), &(once * (1.0 + 1.0 / 512.0)));
        assert!(differs < 5e-4, "{name}: {differs}");
    }
}

#[test]
fn sampling_follows_the_forward_pass() {
    let (_, model) = all().swap_remove(0);
    let half = model.in_dtype(Kind::BFloat16);
    let request = Request { prompt: vec![1, 2, 3], seed: 5 };
    let sampling = Sampling { max_tokens: 30, ..Sampling::default() };
    let completions = generate::generate(&half, std::slice::from_ref(&request), &sampling, 1, &mut |_, _| {});
    let completion = completions.expect("a valid request").remove(0);
    let whole = lm::Rows::pack([[&request.prompt[..], &completion.ids].concat()]);
    let predictions = whole.predictions_from(&[3]);
    let _guard = lm::no_grad_guard();
    let hidden = half.hidden(&whole).index_select(0, &Tensor::from_slice(&predictions.positions));
    let expected = head::logprobs(&half, &hidden, &Tensor::from_slice(&predictions.targets), 1.0, 64);
    let worst = (expected - Tensor::from_slice(&completion.logprobs)).abs().max().double_value(&[]);
    assert!(worst < 0.06, "{worst}");
}
