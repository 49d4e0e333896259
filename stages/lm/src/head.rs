//! Log-probabilities of given tokens or of the whole vocabulary, without ever holding all logits.
//!
//! The head's logits are the largest tensor of a training step by far. Here they exist for one chunk of tokens at a
//! time: forward pass, loss and backward pass of a chunk end before the next begins, and only the gradient of the
//! hidden states is kept. Shapes: n tokens, c tokens of a chunk, d width, v vocabulary, k likeliest tokens.

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::model::Model;
use crate::{loss, ops, shim};

/// Tokens of a chunk for [`logprobs`] and [`backward`], which bounds the logits held at once.
pub const CHUNK: usize = 4_096;

/// Like [`CHUNK`], for [`backward_distributions`] and [`top_k`], which hold several distributions at once.
pub const DISTRIBUTIONS_CHUNK: usize = 1_024;

/// A range of the n tokens that a head works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The range of tokens.
    pub tokens: Range<usize>,
}

impl Chunk {
    /// Returns these tokens' rows of a tensor with n rows.
    pub fn of(&self, tensor: &Tensor) -> Tensor {
        tensor.narrow(0, self.tokens.start as i64, self.tokens.len() as i64)
    }
}

/// Returns ln p(target) of each token, [n], in single precision and without gradient.
///
/// Logits are divided by `temperature` first. `chunk` bounds the logits held at once, in tokens.
pub fn logprobs(model: &Model, hidden_nd: &Tensor, targets_n: &Tensor, temperature: f64, chunk: usize) -> Tensor {
    let _guard = tch::no_grad_guard();
    let parts = chunks(targets_n.size()[0], chunk)
        .map(|chunk| log_probs(model, &chunk.of(hidden_nd), &chunk.of(targets_n), temperature));
    joined(parts.collect(), hidden_nd)
}

/// Runs the backward pass of a loss over the tokens' log-probabilities, chunk by chunk, through the head and the
/// network, and returns the sum of the chunks' losses.
///
/// `loss` gets the log-probabilities of one chunk, [c], and the chunk's range of the n tokens; it returns a scalar. The
/// whole loss must be the sum of the chunks', so divide by counts of the whole batch in it. Gradients are added to the
/// parameters' gradients. `hidden_nd` must come from [`Model::hidden`] with gradients on; its autograd graph is freed.
///
/// # Panics
/// If `hidden_nd` does not require gradients, or libtorch refuses a shape.
pub fn backward(
    model: &Model,
    hidden_nd: &Tensor,
    targets_n: &Tensor,
    temperature: f64,
    chunk: usize,
    mut loss: impl FnMut(&Tensor, &Chunk) -> Tensor,
) -> f64 {
    backward_in_chunks(hidden_nd, chunk, |hidden_cd, chunk| {
        loss(&log_probs(model, hidden_cd, &chunk.of(targets_n), temperature), chunk)
    })
}

/// Like [`backward`] at temperature 1, and also returns how many targets are the likeliest token.
///
/// # Panics
/// As [`backward`].
pub fn backward_with_hits(
    model: &Model,
    hidden_nd: &Tensor,
    targets_n: &Tensor,
    chunk: usize,
    mut loss: impl FnMut(&Tensor, &Chunk) -> Tensor,
) -> (f64, f64) {
    let mut hits = Vec::new();
    let loss = backward_in_chunks(hidden_nd, chunk, |hidden_cd, chunk| {
        let (logits_cv, targets_c) = (model.logits(hidden_cd), chunk.of(targets_n));
        hits.push(num_hits(&logits_cv, &targets_c));
        loss(&ops::log_probs(&logits_cv, &targets_c, 1.0), chunk)
    });
    (loss, total(&hits))
}

/// Like [`backward`]; `loss` also gets the entropy of each token's distribution, [c], in nats, with gradient. A chunk holds
/// whole distributions, so it should be small.
///
/// # Panics
/// As [`backward`].
pub fn backward_with_entropies(
    model: &Model,
    hidden_nd: &Tensor,
    targets_n: &Tensor,
    temperature: f64,
    chunk: usize,
    mut loss: impl FnMut(&Tensor, &Tensor, &Chunk) -> Tensor,
) -> f64 {
    backward_in_chunks(hidden_nd, chunk, |hidden_cd, chunk| {
        let log_probs_cv = ops::log_softmax(&model.logits(hidden_cd), temperature);
        let of_targets_c = log_probs_cv.gather(1, &chunk.of(targets_n).unsqueeze(1), false).squeeze_dim(1);
        let entropies_c = -(log_probs_cv.exp() * &log_probs_cv).sum_dim_intlist(-1, false, None::<Kind>);
        loss(&of_targets_c, &entropies_c, chunk)
    })
}

/// Returns the sum of ln p(target) over the tokens, and how many targets are the likeliest token; without gradient.
/// `chunk` bounds the logits held at once, in tokens.
pub fn score(model: &Model, hidden_nd: &Tensor, targets_n: &Tensor, chunk: usize) -> (f64, f64) {
    let _guard = tch::no_grad_guard();
    let (mut log_probs, mut hits) = (Vec::new(), Vec::new());
    for chunk in chunks(targets_n.size()[0], chunk) {
        let (logits_cv, targets_c) = (model.logits(&chunk.of(hidden_nd)), chunk.of(targets_n));
        hits.push(num_hits(&logits_cv, &targets_c));
        log_probs.push(ops::log_probs(&logits_cv, &targets_c, 1.0).sum(Kind::Double));
    }
    (total(&log_probs), total(&hits))
}

/// Counts the tokens whose target no other token's logit exceeds.
fn num_hits(logits_cv: &Tensor, targets_c: &Tensor) -> Tensor {
    let _guard = tch::no_grad_guard();
    let of_target_c = logits_cv.gather(1, &targets_c.unsqueeze(1), false).squeeze_dim(1);
    of_target_c.ge_tensor(&logits_cv.amax([-1], false)).sum(Kind::Double)
}

/// Adds numbers up. They are read at the end, so that the GPU does not wait for the host between chunks.
fn total(numbers: &[Tensor]) -> f64 {
    numbers.iter().map(|number| number.double_value(&[])).sum()
}

/// Like [`backward`], for a loss over whole distributions: `loss` gets ln p of the first `vocab` tokens, [c, v], from
/// [`distributions`]. A chunk holds a few such tensors at once, so it should be small.
///
/// # Panics
/// As [`backward`].
pub fn backward_distributions(
    model: &Model,
    hidden_nd: &Tensor,
    vocab: i64,
    temperature: f64,
    chunk: usize,
    mut loss: impl FnMut(&Tensor, &Chunk) -> Tensor,
) -> f64 {
    backward_in_chunks(hidden_nd, chunk, |hidden_cd, chunk| {
        loss(&distributions(model, hidden_cd, vocab, temperature), chunk)
    })
}

/// Returns ln p of the first `vocab` tokens after each hidden state, [c, v], in single precision. Their p sum to 1:
/// columns of the head beyond them are ignored. Gradients are computed unless they are off.
pub fn distributions(model: &Model, hidden_cd: &Tensor, vocab: i64, temperature: f64) -> Tensor {
    ops::log_softmax(&model.logits(hidden_cd).narrow(1, 0, vocab), temperature)
}

/// Returns the `k` likeliest tokens after each hidden state, the likeliest first, [n, k], and their ln p followed by
/// that of all others together, [n, k + 1]; without gradient. Only the first `vocab` tokens can be among the likeliest.
///
/// # Panics
/// If `k` is not between 1 and `vocab` − 1.
pub fn top_k(model: &Model, hidden_nd: &Tensor, vocab: i64, k: i64, chunk: usize) -> (Tensor, Tensor) {
    let _guard = tch::no_grad_guard();
    assert!((1..vocab).contains(&k), "the {k} likeliest of {vocab} tokens");
    let (mut tokens, mut log_probs) = (Vec::new(), Vec::new());
    for chunk in chunks(hidden_nd.size()[0], chunk) {
        let log_probs_cv = distributions(model, &chunk.of(hidden_nd), model.config.vocab_size, 1.0);
        let (_, tokens_ck) = log_probs_cv.narrow(1, 0, vocab).topk(k, -1, true, true);
        log_probs.push(loss::with_rest(&log_probs_cv, &tokens_ck));
        tokens.push(tokens_ck);
    }
    (Tensor::cat(&tokens, 0), Tensor::cat(&log_probs, 0))
}

/// Runs the backward pass of `loss`, a function of the hidden states of a chunk, and then of the network.
fn backward_in_chunks(hidden_nd: &Tensor, chunk: usize, mut loss: impl FnMut(&Tensor, &Chunk) -> Tensor) -> f64 {
    let (mut losses, mut grads) = (Vec::new(), Vec::new());
    for chunk in chunks(hidden_nd.size()[0], chunk) {
        let hidden_cd = chunk.of(hidden_nd).detach().set_requires_grad(true);
        let loss = loss(&hidden_cd, &chunk);
        if loss.requires_grad() {
            loss.backward();
        }
        losses.push(loss.detach().to_kind(Kind::Double));
        let grad = hidden_cd.grad();
        grads.push(if grad.defined() { grad } else { hidden_cd.zeros_like() });
    }
    if !grads.is_empty() {
        let grad = if grads.len() == 1 { grads.remove(0) } else { Tensor::cat(&grads, 0) };
        shim::torch::backward_from(hidden_nd, &grad)
            .expect("the hidden states come from this model, with gradients on");
    }
    total(&losses)
}

fn log_probs(model: &Model, hidden_cd: &Tensor, targets_c: &Tensor, temperature: f64) -> Tensor {
    ops::log_probs(&model.logits(hidden_cd), targets_c, temperature)
}

/// Divides `num_tokens` tokens into chunks of `size`; the last may be smaller.
fn chunks(num_tokens: i64, size: usize) -> impl Iterator<Item = Chunk> {
    let (num_tokens, size) = (num_tokens as usize, size.max(1));
    (0..num_tokens).step_by(size).map(move |start| Chunk { tokens: start..(start + size).min(num_tokens) })
}

fn joined(mut chunks: Vec<Tensor>, hidden_nd: &Tensor) -> Tensor {
    match chunks.len() {
        0 => Tensor::zeros([0], (Kind::Float, hidden_nd.device())),
        1 => chunks.remove(0),
        _ => Tensor::cat(&chunks, 0),
    }
}
