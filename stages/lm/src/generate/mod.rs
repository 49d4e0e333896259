//! Sampling completions: continuous batching over a static cache.
//!
//! A batch has a fixed number of slots. Waiting requests enter in their order whenever an eighth of the slots is free;
//! equal prompts that enter together are prefilled once. A finished row leaves at once, and the last rows move into
//! the holes, so that the rows at work are always the first slots of the cache. All of it is a function of the
//! requests alone: the same call gives the same tokens.
//!
//! Token t of a request is drawn with a uniform number that depends on (its seed, t) only, never on the batch.

mod attend;
mod cache;
mod sample;
mod steps;

use std::collections::BTreeMap;

use tch::Tensor;

use crate::attention::Layout;
use crate::model::Model;
use crate::rows::Rows;
use attend::{Decode, Prefill};
use cache::Cache;
use steps::Steps;

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
    /// Keeps the likeliest tokens that together reach this probability; 1 keeps all.
    pub top_p: f64,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// The longest completion, in tokens.
    pub max_tokens: usize,
    /// Tokens that end a completion.
    pub stop: Vec<i64>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_p: 1.0, top_k: 0, max_tokens: 256, stop: Vec::new() }
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
    /// Its tokens, with the stop token where it is finished.
    pub ids: Vec<i64>,
    /// ln p of each token at the sampling temperature, before top-p and top-k; at temperature 0, that of temperature 1.
    pub logprobs: Vec<f32>,
    /// Whether a stop token ended it, not a limit.
    pub finished: bool,
}

/// Why requests cannot be served.
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

/// Tokens that one prefill takes at most (but always one prompt); bounds its memory.
const PREFILL_TOKENS: usize = 16_384;

/// Samples one completion for each request, and returns them in request order.
///
/// At most `batch` rows are at work at a time (on a CPU, no more than its caches can feed). `on_completion` sees every completion, with its request's index, as soon
/// as it is there. A row also ends, unfinished, at the model's `max_position_embeddings`.
pub fn generate(
    model: &Model,
    requests: &[Request],
    sampling: &Sampling,
    batch: usize,
    on_completion: &mut dyn FnMut(usize, &Completion),
) -> Result<Vec<Completion>, Error> {
    check(model, requests, sampling)?;
    let _guard = tch::no_grad_guard();
    let longest = requests.iter().map(|request| request.prompt.len()).max().unwrap_or(0);
    let limit = (longest + sampling.max_tokens).min(model.config.max_position_embeddings as usize);
    let batch = batch.min(cache::useful_rows(model, limit as i64)).clamp(1, requests.len().max(1));
    let mut batch = Batch {
        model,
        requests,
        sampling,
        on_completion,
        num_slots: batch,
        limit: limit as i64,
        cache: Cache::new(model, batch as i64, limit as i64),
        steps: Steps::new(model, batch, limit as i64),
        rows: Vec::with_capacity(batch),
        waiting: 0,
        completions: vec![Completion::default(); requests.len()],
    };
    if sampling.max_tokens > 0 {
        while batch.admit() || !batch.rows.is_empty() {
            batch.decode();
        }
    }
    Ok(batch.completions)
}

fn check(model: &Model, requests: &[Request], sampling: &Sampling) -> Result<(), Error> {
    if !(sampling.temperature >= 0.0 && sampling.temperature.is_finite()) {
        return Err(Error::Sampling(format!("temperature {} is no number from 0 up", sampling.temperature)));
    }
    if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        return Err(Error::Sampling(format!("top_p {} is outside (0, 1]", sampling.top_p)));
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

/// The rows at work; row `i` has slot `i` of the cache.
struct Batch<'a> {
    model: &'a Model,
    requests: &'a [Request],
    sampling: &'a Sampling,
    on_completion: &'a mut dyn FnMut(usize, &Completion),
    num_slots: usize,
    limit: i64,
    cache: Cache,
    steps: Option<Steps>,
    rows: Vec<Row>,
    waiting: usize,
    completions: Vec<Completion>,
}

struct Row {
    request: usize,
    /// Tokens in the cache; the last sampled one is not yet.
    cached: i64,
    last: i64,
}

impl Batch<'_> {
    /// Lets waiting requests in while there is room, and says whether any came.
    fn admit(&mut self) -> bool {
        let before = self.waiting;
        loop {
            let free = self.num_slots - self.rows.len();
            let worth_it = self.rows.is_empty() || free * 8 >= self.num_slots;
            if free == 0 || self.waiting == self.requests.len() || !worth_it {
                return self.waiting > before;
            }
            self.prefill(free);
        }
    }

    /// Takes up to `free` requests through their prompts and samples their first tokens.
    fn prefill(&mut self, free: usize) {
        let mut distinct: BTreeMap<&[i64], usize> = BTreeMap::new();
        let mut prompts = Rows::default();
        let mut row_of = Vec::new();
        while row_of.len() < free && self.waiting + row_of.len() < self.requests.len() {
            let prompt = self.requests[self.waiting + row_of.len()].prompt.as_slice();
            if !distinct.contains_key(prompt) {
                if prompts.num_rows() > 0 && prompts.num_tokens() + prompt.len() > PREFILL_TOKENS {
                    break;
                }
                distinct.insert(prompt, prompts.num_rows());
                prompts.push(prompt);
            }
            row_of.push(distinct[prompt]);
        }
        let first = self.rows.len();
        for index in 0..row_of.len() {
            let request = self.waiting + index;
            self.rows.push(Row { request, cached: self.requests[request].prompt.len() as i64, last: 0 });
        }
        self.waiting += row_of.len();

        let layout = Layout::new(prompts.lengths(), self.model.device());
        let rotation = self.model.rotation(&layout.positions_n, prompts.max_length());
        let ids_n = Tensor::from_slice(prompts.ids()).to_device(self.model.device());
        let mut attend = Prefill::new(&mut self.cache, layout, rotation, &prompts, &row_of, first);
        let hidden_nd = self.model.forward(&ids_n, &mut attend);
        let last: Vec<i64> = prompts.last_positions();
        let last: Vec<i64> = row_of.iter().map(|row| last[*row]).collect();
        let hidden_rd = hidden_nd.index_select(0, &Tensor::from_slice(&last).to_device(self.model.device()));
        self.sample(&hidden_rd, first);
    }

    /// Takes every row one token further.
    fn decode(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        let ids: Vec<i64> = self.rows.iter().map(|row| row.last).collect();
        let positions: Vec<i64> = self.rows.iter().map(|row| row.cached).collect();
        for row in &mut self.rows {
            row.cached += 1;
        }
        if let Some(steps) = &mut self.steps {
            let uniforms = uniforms(&self.rows, self.requests, &self.completions);
            let drawn = steps.step(self.model, &mut self.cache, self.sampling, (&ids, &positions, &uniforms));
            return self.take(drawn, 0);
        }
        let device = self.model.device();
        let positions_n = Tensor::from_slice(&positions).to_device(device);
        let rotation = self.model.rotation(&positions_n, self.limit);
        let mut attend = Decode::new(&mut self.cache, rotation, &positions);
        let hidden_rd = self.model.forward(&Tensor::from_slice(&ids).to_device(device), &mut attend);
        self.sample(&hidden_rd, 0);
    }

    /// Samples the next token of the rows from `first` on.
    fn sample(&mut self, hidden_rd: &Tensor, first: usize) {
        let logits_rv = self.model.logits(hidden_rd);
        let uniforms = uniforms(&self.rows[first..], self.requests, &self.completions);
        self.take(sample::sample(&logits_rv, &uniforms, self.sampling), first);
    }

    /// Gives the rows from `first` on the tokens drawn for them, and lets finished rows go.
    fn take(&mut self, drawn: Vec<(i64, f32)>, first: usize) {
        let mut done = Vec::new();
        for (index, (token, log_prob)) in drawn.into_iter().enumerate() {
            let row = &mut self.rows[first + index];
            let completion = &mut self.completions[row.request];
            row.last = token;
            completion.ids.push(token);
            completion.logprobs.push(log_prob);
            completion.finished = self.sampling.stop.contains(&token);
            let full = completion.ids.len() == self.sampling.max_tokens || row.cached + 1 >= self.limit;
            if completion.finished || full {
                done.push(first + index);
            }
        }
        self.release(&done);
    }

    /// Takes rows out of the batch, given in ascending order, and moves the last rows into their slots.
    fn release(&mut self, done: &[usize]) {
        if done.is_empty() {
            return;
        }
        for index in done {
            let request = self.rows[*index].request;
            (self.on_completion)(request, &self.completions[request]);
        }
        let kept = self.rows.len() - done.len();
        let holes: Vec<usize> = done.iter().copied().filter(|slot| *slot < kept).collect();
        let movers: Vec<usize> = (kept..self.rows.len()).filter(|slot| done.binary_search(slot).is_err()).collect();
        let length = movers.iter().map(|slot| self.rows[*slot].cached).max().unwrap_or(0);
        self.cache.move_rows(&movers, &holes, length);
        for (hole, mover) in holes.into_iter().zip(movers) {
            self.rows.swap(hole, mover);
        }
        self.rows.truncate(kept);
    }
}

/// The uniform number of each row's next token.
fn uniforms(rows: &[Row], requests: &[Request], completions: &[Completion]) -> Vec<f32> {
    let of = |row: &Row| sample::uniform(requests[row.request].seed, completions[row.request].ids.len() as u64);
    rows.iter().map(of).collect()
}
