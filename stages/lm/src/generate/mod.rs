//! Sampling completions: continuous batching over a static cache.
//!
//! A batch has a fixed number of slots. Waiting requests enter in order whenever an eighth of the slots is free; equal
//! prompts that enter together are prefilled once. A finished row leaves at once, and the last rows move into the
//! holes, so that active rows always have the first slots of the cache. All of this depends only on the requests: the
//! same call gives the same tokens.
//!
//! Token t of a request is drawn with a uniform number that depends on (its seed, t) only, never on the batch.

mod attend;
mod batch;
mod steps;
mod uniform;

use std::ops::ControlFlow;

use crate::model::Model;
use crate::ops::Draw;
use batch::{Batch, Callbacks};

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Keeps the likeliest tokens that together reach this probability; 1 keeps all.
    pub top_p: f64,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps tokens with at least this share of the likeliest one's probability; 0 keeps all.
    pub min_p: f64,
    /// Divides the positive logits of the prompt's and the completion's tokens, and multiplies the negative ones, as in
    /// transformers; 1 changes none. Other values decode without captured steps on a GPU.
    pub repetition_penalty: f64,
    /// The longest completion, in tokens.
    pub max_tokens: usize,
    /// Tokens that end a completion.
    pub stop: Vec<i64>,
    /// Only tokens below it are drawn: a head may be padded beyond the tokenizer's ids. Absent: all. A token's ln p is
    /// that of the whole head, as in training.
    pub vocabulary: Option<i64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            max_tokens: 256,
            stop: Vec::new(),
            vocabulary: None,
        }
    }
}

impl Sampling {
    /// Whether the repetition penalty changes anything.
    fn penalises(&self) -> bool {
        (self.repetition_penalty - 1.0).abs() > 0.0
    }

    /// How one token is drawn.
    fn draw(&self) -> Draw {
        if self.temperature == 0.0 {
            return Draw::Greedy;
        }
        Draw::Random { temperature: self.temperature, top_p: self.top_p, top_k: self.top_k as i64, min_p: self.min_p }
    }
}

/// One completion to sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The prompt's tokens.
    pub prompt: Vec<i64>,
    /// Decides the completion, together with the model and the prompt.
    pub seed: u64,
}

/// A sampled completion.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    /// Its tokens, including the stop token if it is finished.
    pub ids: Vec<i64>,
    /// ln p of each token at the sampling temperature, after the repetition penalty and before top-p, top-k and min-p;
    /// at temperature 0, that of temperature 1.
    pub logprobs: Vec<f32>,
    /// Whether it was ended, not cut off at a limit.
    pub finished: bool,
}

/// Why completions cannot be sampled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A prompt cannot be fed to the model.
    #[error("request {index}: {reason}")]
    Prompt {
        /// Which request.
        index: usize,
        /// What is wrong with its prompt.
        reason: String,
    },
    /// A sampling option is out of its range.
    #[error("{0}")]
    Sampling(String),
}

/// Samples one completion for each request, and returns them in request order.
///
/// At most `batch` rows are sampled at a time; on a CPU, no more than its caches allow. `on_completion` is called with
/// every completion and its request's index as soon as the completion ends. A row also ends, unfinished, at the model's
/// `max_position_embeddings`.
pub fn generate(
    model: &Model,
    requests: &[Request],
    sampling: &Sampling,
    batch: usize,
    on_completion: &mut dyn FnMut(usize, &Completion),
) -> Result<Vec<Completion>, Error> {
    check(model, requests, sampling)?;
    let _guard = tch::no_grad_guard();
    let on_completion = &mut |index: usize, completion: &Completion| {
        on_completion(index, completion);
        ControlFlow::Continue(())
    };
    Ok(Batch::new(model, requests, sampling, batch, Callbacks { is_ended: &|_| false, on_completion }).run())
}

/// Like [`generate`], but a completion also ends after a token if `is_ended` says so of its tokens up to there. When
/// `on_completion` breaks off, no waiting request enters any more: those that never entered have no tokens.
pub fn generate_until(
    model: &Model,
    requests: &[Request],
    sampling: &Sampling,
    batch: usize,
    is_ended: &dyn Fn(&[i64]) -> bool,
    on_completion: &mut dyn FnMut(usize, &Completion) -> ControlFlow<()>,
) -> Result<Vec<Completion>, Error> {
    check(model, requests, sampling)?;
    let _guard = tch::no_grad_guard();
    Ok(Batch::new(model, requests, sampling, batch, Callbacks { is_ended, on_completion }).run())
}

fn check(model: &Model, requests: &[Request], sampling: &Sampling) -> Result<(), Error> {
    if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
        return Err(Error::Sampling(format!("temperature {} is no number from 0 up", sampling.temperature)));
    }
    if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        return Err(Error::Sampling(format!("top_p {} is outside (0, 1]", sampling.top_p)));
    }
    if !(0.0..=1.0).contains(&sampling.min_p) {
        return Err(Error::Sampling(format!("min_p {} is outside [0, 1]", sampling.min_p)));
    }
    if !(sampling.repetition_penalty > 0.0 && sampling.repetition_penalty.is_finite()) {
        return Err(Error::Sampling(format!("repetition_penalty {} is not above 0", sampling.repetition_penalty)));
    }
    if sampling.vocabulary.is_some_and(|ids| ids < 1) {
        return Err(Error::Sampling("no token may be drawn".to_owned()));
    }
    let config = &model.config;
    for (index, request) in requests.iter().enumerate() {
        let wrong = |reason: String| Err(Error::Prompt { index, reason });
        let length = request.prompt.len() as i64;
        if length == 0 {
            return wrong("the prompt is empty".to_owned());
        }
        if length >= config.max_position_embeddings {
            return wrong(format!("{length} tokens leave no room in {} positions", config.max_position_embeddings));
        }
        if let Some(id) = request.prompt.iter().find(|id| !(0..config.vocab_size).contains(*id)) {
            return wrong(format!("token {id} is outside the vocabulary of {}", config.vocab_size));
        }
    }
    Ok(())
}
