//! Draws tokens from logits with given uniform numbers.
//!
//! A token is drawn by inverting the cumulative distribution: the first token whose cumulated probability exceeds the
//! uniform number. Our kernels do not support top-p, top-k and min-p. Shapes: r rows, v vocabulary.

use tch::{Kind, Tensor};

use super::kernels::{cpu_takes, gpu_takes};
use super::log_softmax;
use crate::shim::{cpu, cuda};

/// How a token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Draw {
    /// The likeliest; its ln p is taken at temperature 1.
    Greedy,
    /// At random, by probability.
    Random {
        /// Divides the logits.
        temperature: f64,
        /// Keeps the likeliest tokens that together reach this probability; 1 keeps all.
        top_p: f64,
        /// Keeps this many of the likeliest tokens; 0 keeps all.
        top_k: i64,
        /// Keeps tokens with at least this share of the likeliest one's probability; 0 keeps all.
        min_p: f64,
    },
}

impl Draw {
    /// Whether some tokens of the vocabulary cannot be drawn.
    fn truncates(self, vocabulary: i64) -> bool {
        match self {
            Self::Greedy => false,
            Self::Random { top_p, top_k, min_p, .. } => top_p < 1.0 || (top_k > 0 && top_k < vocabulary) || min_p > 0.0,
        }
    }

    fn temperature(self) -> f64 {
        match self {
            Self::Greedy => 1.0,
            Self::Random { temperature, .. } => temperature,
        }
    }
}

/// Draws one token for each row, below `vocabulary`, and returns it with its log-probability in the whole row.
pub(crate) fn sample(logits_rv: &Tensor, uniforms: &[f32], draw: Draw, vocabulary: i64) -> Vec<(i64, f32)> {
    let mut drawn = sample_all(logits_rv, uniforms, draw);
    if drawn.iter().any(|(token, _)| *token >= vocabulary) {
        let (drawable_rv, share_r1) = drawable(logits_rv, draw, vocabulary);
        let shares = Vec::<f32>::try_from(share_r1.view([-1]).to_device(tch::Device::Cpu)).expect("one for each row");
        let is_sorted = draw.truncates(logits_rv.size()[1]);
        let next = |(uniform, share): (&f32, &f32)| second_uniform(*uniform, share.exp(), is_sorted);
        let uniforms: Vec<f32> = uniforms.iter().zip(&shares).map(next).collect();
        let again = sample_all(&drawable_rv, &uniforms, draw);
        for ((first, (token, log_prob)), share) in drawn.iter_mut().zip(again).zip(shares) {
            if first.0 >= vocabulary {
                *first = (token, log_prob + share);
            }
        }
    }
    drawn
}

/// Returns a uniform number for a second draw, after `uniform` has drawn an id beyond the vocabulary; `share` is the
/// probability of the ids below it.
///
/// Without truncation tokens are in the order of their ids, so `uniform` is above `share`, and rescaling makes it
/// uniform again. With truncation they are sorted by probability, so its bits are mixed (the finaliser of MurmurHash3);
/// so are they where rounding leaves nothing to rescale.
fn second_uniform(uniform: f32, share: f32, is_sorted: bool) -> f32 {
    let rest = 1.0 - share;
    if !is_sorted && rest > f32::EPSILON {
        return ((uniform - share) / rest).clamp(0.0, 1.0);
    }
    let mut bits = uniform.to_bits();
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
    bits ^= bits >> 16;
    (bits >> 8) as f32 / (1 << 24) as f32
}

fn sample_all(logits_rv: &Tensor, uniforms: &[f32], draw: Draw) -> Vec<(i64, f32)> {
    if cpu_takes(logits_rv) && !draw.truncates(logits_rv.size()[1]) {
        let (scale, is_greedy) = (1.0 / draw.temperature(), draw == Draw::Greedy);
        return cpu::sample(logits_rv, scale, is_greedy, uniforms).expect("one uniform number for each row");
    }
    let uniforms: Vec<f64> = uniforms.iter().copied().map(f64::from).collect();
    let uniforms_r = Tensor::from_slice(&uniforms).to_device(logits_rv.device());
    read_drawn(&sample_on_device(logits_rv, &uniforms_r, draw, logits_rv.size()[1]))
}

/// Draws a token for each row by its uniform number (in double precision), without a host sync. Returns the tokens and
/// their log-probabilities, [r, 2] in double precision.
pub(crate) fn sample_on_device(logits_rv: &Tensor, uniforms_r: &Tensor, draw: Draw, vocabulary: i64) -> Tensor {
    if vocabulary < logits_rv.size()[1] {
        let (drawable_rv, share_r1) = drawable(logits_rv, draw, vocabulary);
        let drawn_r2 = sample_on_device(&drawable_rv, uniforms_r, draw, vocabulary);
        return Tensor::cat(&[drawn_r2.narrow(1, 0, 1), drawn_r2.narrow(1, 1, 1) + share_r1], 1);
    }
    if gpu_takes(logits_rv, &[vocabulary]) && !draw.truncates(vocabulary) {
        let uniforms_r = if draw == Draw::Greedy { None } else { Some(uniforms_r) };
        return cuda::sample(logits_rv, uniforms_r, 1.0 / draw.temperature()).expect("one uniform number for each row");
    }
    general(logits_rv, &uniforms_r.to_kind(Kind::Float).unsqueeze(1), draw)
}

/// Returns the logits of the tokens that may be drawn, and ln of the probability that they have together, [r, 1].
fn drawable(logits_rv: &Tensor, draw: Draw, vocabulary: i64) -> (Tensor, Tensor) {
    let drawable_rv = logits_rv.narrow(1, 0, vocabulary).contiguous();
    let total = |logits: &Tensor| (logits.to_kind(Kind::Float) / draw.temperature()).logsumexp([1].as_slice(), true);
    let share_r1 = total(&drawable_rv) - total(logits_rv);
    (drawable_rv, share_r1)
}

/// Samples with libtorch's operations, for every device and type, with top-p and top-k.
fn general(logits_rv: &Tensor, uniforms_r1: &Tensor, draw: Draw) -> Tensor {
    let log_probs_rv = log_softmax(logits_rv, draw.temperature());
    let tokens_r1 = match draw {
        Draw::Greedy => log_probs_rv.argmax(-1, true),
        Draw::Random { top_p, top_k, min_p, .. } if draw.truncates(log_probs_rv.size()[1]) => {
            truncated(&log_probs_rv.exp(), uniforms_r1, (top_p, top_k, min_p))
        }
        Draw::Random { .. } => invert(&log_probs_rv.exp(), uniforms_r1),
    };
    let chosen_r1 = log_probs_rv.gather(1, &tokens_r1, false);
    Tensor::cat(&[tokens_r1.to_kind(Kind::Double), chosen_r1.to_kind(Kind::Double)], 1)
}

/// Copies the tokens and log-probabilities of [`sample_on_device`] to the host, at once.
pub(crate) fn read_drawn(drawn_r2: &Tensor) -> Vec<(i64, f32)> {
    let mut values = vec![0f64; drawn_r2.numel()];
    drawn_r2.copy_data(&mut values, drawn_r2.numel());
    values.chunks_exact(2).map(|pair| (pair[0] as i64, pair[1] as f32)).collect()
}

/// Draws among the likeliest tokens, by top-p, top-k and min-p.
fn truncated(probs_rv: &Tensor, uniforms_r1: &Tensor, (top_p, top_k, min_p): (f64, i64, f64)) -> Tensor {
    let vocabulary = probs_rv.size()[1];
    let (sorted_rv, order_rv) = probs_rv.sort_stable(true, -1, true);
    // A token is kept if the tokens before it do not yet reach top_p, so the first is always kept.
    let before_rv = sorted_rv.cumsum(-1, Kind::Float) - &sorted_rv;
    let kept_rv = sorted_rv.masked_fill(&before_rv.ge(top_p), 0.0);
    if min_p > 0.0 {
        // The likeliest token always stays.
        let _ = kept_rv.shallow_clone().masked_fill_(&sorted_rv.lt_tensor(&(sorted_rv.narrow(1, 0, 1) * min_p)), 0.0);
    }
    if top_k > 0 && top_k < vocabulary {
        let _ = kept_rv.narrow(1, top_k, vocabulary - top_k).zero_();
    }
    order_rv.gather(1, &invert(&kept_rv, uniforms_r1), false)
}

/// Returns the index of the first entry of each row at which the cumulated weight exceeds the uniform number times the
/// total.
fn invert(weights_rv: &Tensor, uniforms_r1: &Tensor) -> Tensor {
    let cumulated_rv = weights_rv.cumsum(-1, Kind::Float);
    let total_r1 = cumulated_rv.narrow(1, weights_rv.size()[1] - 1, 1);
    let index_r1 = (uniforms_r1 * &total_r1).searchsorted(&cumulated_rv, false, true, "right", None::<Tensor>);
    // If rounding makes that product equal to the total, this is the last entry with any weight.
    let last_r1 = cumulated_rv.lt_tensor(&total_r1).sum_dim_intlist(-1, true, Kind::Int64);
    index_r1.minimum(&last_r1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the padding has no measurable probability, where it has much, and where tokens are sorted.
    #[test]
    fn a_second_uniform_number_is_one() {
        for (share, is_sorted) in [(1.0, false), (1.0 - f32::EPSILON / 2.0, false), (0.75, false), (0.75, true)] {
            let count = 10_000;
            let drawn = (0..count).map(|index| share + (1.0 - share) * index as f32 / count as f32);
            let second: Vec<f32> = drawn.map(|uniform| second_uniform(uniform, share, is_sorted)).collect();
            assert!(second.iter().all(|uniform| (0.0..=1.0).contains(uniform)), "{share} {is_sorted}");
            if share < 0.9 {
                let mean = second.iter().sum::<f32>() / count as f32;
                assert!((mean - 0.5).abs() < 0.02, "{share} {is_sorted}: {mean}");
            }
        }
    }
}
