//! Drawing tokens from logits with given uniform numbers.
//!
//! A token is drawn by inverting the cumulative distribution: the first token whose cumulated probability exceeds the
//! uniform number. Shapes: r rows, v vocabulary.

use tch::{Kind, Tensor};

use super::Sampling;
use crate::shim::{self, cuda};

/// The uniform number in [0, 1) for token `t` of a request: a counter hashed with the seed (two rounds of SplitMix64).
pub(super) fn uniform(seed: u64, t: u64) -> f32 {
    let bits = mix(mix(seed).wrapping_add(t.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    // 24 bits: every value is exact in single precision, on every device.
    (bits >> 40) as f32 / (1u32 << 24) as f32
}

fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Draws one token for each row and returns it with its log-probability.
pub(super) fn sample(logits_rv: &Tensor, uniforms: &[f32], sampling: &Sampling) -> Vec<(i64, f32)> {
    let greedy = sampling.temperature == 0.0;
    if shim::is_native(logits_rv) && (greedy || !truncates(sampling, logits_rv.size()[1])) {
        let scale = if greedy { 1.0 } else { 1.0 / sampling.temperature };
        return shim::sample(logits_rv, scale, greedy, uniforms).expect("one uniform number for each row");
    }
    let uniforms: Vec<f64> = uniforms.iter().copied().map(f64::from).collect();
    let uniforms_r = Tensor::from_slice(&uniforms).to_device(logits_rv.device());
    read(&on_device(logits_rv, &uniforms_r, sampling))
}

fn truncates(sampling: &Sampling, vocabulary: i64) -> bool {
    sampling.top_p < 1.0 || (sampling.top_k > 0 && (sampling.top_k as i64) < vocabulary)
}

/// Draws a token for each row by its uniform number, in double precision, and says nothing to the host: tokens and their
/// log-probabilities, [r, 2] in double precision.
pub(super) fn on_device(logits_rv: &Tensor, uniforms_r: &Tensor, sampling: &Sampling) -> Tensor {
    let (greedy, vocabulary) = (sampling.temperature == 0.0, logits_rv.size()[1]);
    if cuda::suits(logits_rv, &[vocabulary]) && (greedy || !truncates(sampling, vocabulary)) {
        let (uniforms_r, scale) = if greedy { (None, 1.0) } else { (Some(uniforms_r), 1.0 / sampling.temperature) };
        return cuda::sample(logits_rv, uniforms_r, scale).expect("one uniform number for each row");
    }
    general(logits_rv, &uniforms_r.to_kind(Kind::Float).unsqueeze(1), sampling)
}

/// Sampling in libtorch's operations, for every device and type, top-p and top-k.
fn general(logits_rv: &Tensor, uniforms_r1: &Tensor, sampling: &Sampling) -> Tensor {
    let logits_rv = logits_rv.to_kind(Kind::Float);
    let scaled_rv = if sampling.temperature > 0.0 { logits_rv / sampling.temperature } else { logits_rv };
    let log_probs_rv = scaled_rv.log_softmax(-1, Kind::Float);
    let tokens_r1 = if sampling.temperature > 0.0 {
        draw(&log_probs_rv.exp(), uniforms_r1, sampling)
    } else {
        log_probs_rv.argmax(-1, true)
    };
    let chosen_r1 = log_probs_rv.gather(1, &tokens_r1, false);
    Tensor::cat(&[tokens_r1.to_kind(Kind::Double), chosen_r1.to_kind(Kind::Double)], 1)
}

/// Brings to the host, in one copy, what [`on_device`] has drawn.
pub(super) fn read(drawn_r2: &Tensor) -> Vec<(i64, f32)> {
    let mut values = vec![0f64; drawn_r2.numel()];
    drawn_r2.copy_data(&mut values, drawn_r2.numel());
    values.chunks_exact(2).map(|pair| (pair[0] as i64, pair[1] as f32)).collect()
}

fn draw(probs_rv: &Tensor, uniforms_r1: &Tensor, sampling: &Sampling) -> Tensor {
    let vocabulary = probs_rv.size()[1];
    let top_k = sampling.top_k as i64;
    if !truncates(sampling, vocabulary) {
        return invert(probs_rv, uniforms_r1);
    }
    let (sorted_rv, order_rv) = probs_rv.sort_stable(true, -1, true);
    // A token stays while those before it have not yet reached top_p: the first always does.
    let before_rv = sorted_rv.cumsum(-1, Kind::Float) - &sorted_rv;
    let kept_rv = sorted_rv.masked_fill(&before_rv.ge(sampling.top_p), 0.0);
    if top_k > 0 && top_k < vocabulary {
        let _ = kept_rv.narrow(1, top_k, vocabulary - top_k).zero_();
    }
    order_rv.gather(1, &invert(&kept_rv, uniforms_r1), false)
}

/// The index of the first entry of each row at which the cumulated weight exceeds the uniform share of the total.
fn invert(weights_rv: &Tensor, uniforms_r1: &Tensor) -> Tensor {
    let cumulated_rv = weights_rv.cumsum(-1, Kind::Float);
    let total_r1 = cumulated_rv.narrow(1, weights_rv.size()[1] - 1, 1);
    let index_r1 = (uniforms_r1 * &total_r1).searchsorted(&cumulated_rv, false, true, "right", None::<Tensor>);
    // Where rounding made the product the total itself, the last entry that has any weight.
    let last_r1 = cumulated_rv.lt_tensor(&total_r1).sum_dim_intlist(-1, true, Kind::Int64);
    index_r1.minimum(&last_r1)
}
