//! Continuous batching: assigns requests to slots of the KV cache, from prompt to last token.
//!
//! Shapes: n packed tokens, r rows that are sampled, d width of the residual stream, v vocabulary.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tch::Tensor;

use super::attend::{Decode, Prefill};
use super::steps::{Inputs, Steps};
use super::uniform::uniform;
use super::{Completion, Request, Sampling};
use crate::model::Model;
use crate::ops::{self, Cache, Layout, Newest};
use crate::rows::Rows;

/// Most tokens of one prefill (but at least one prompt), which bounds its memory.
const PREFILL_TOKENS: usize = 16_384;

/// The rows that are sampled; row `i` has slot `i` of the cache.
pub(super) struct Batch<'a> {
    model: &'a Model,
    requests: &'a [Request],
    sampling: &'a Sampling,
    callbacks: Callbacks<'a>,
    num_slots: usize,
    /// Positions of a slot.
    limit: i64,
    cache: Cache,
    /// On a GPU: captured steps.
    steps: Option<Steps>,
    rows: Vec<BatchRow>,
    /// The first request that has not entered yet.
    waiting: usize,
    /// The first request that will not enter.
    end: usize,
    completions: Vec<Completion>,
}

/// What the caller is asked and told.
pub(super) struct Callbacks<'a> {
    /// Whether these tokens of a completion end it, apart from stop tokens.
    pub(super) is_ended: &'a dyn Fn(&[i64]) -> bool,
    /// Called with each completion as soon as it ends; says whether waiting requests may still enter.
    pub(super) on_completion: &'a mut dyn FnMut(usize, &Completion) -> ControlFlow<()>,
}

struct BatchRow {
    request: usize,
    /// Tokens in the cache, without the last sampled one.
    cached: i64,
    last: i64,
}

impl<'a> Batch<'a> {
    /// Allocates a cache for at most `num_slots` rows.
    pub(super) fn new(
        model: &'a Model,
        requests: &'a [Request],
        sampling: &'a Sampling,
        num_slots: usize,
        callbacks: Callbacks<'a>,
    ) -> Self {
        let longest = requests.iter().map(|request| request.prompt.len()).max().unwrap_or(0);
        let limit = (longest + sampling.max_tokens).min(model.config.max_position_embeddings as usize) as i64;
        let useful = ops::useful_rows(&model.config, model.options(), limit);
        let num_slots = num_slots.min(useful).clamp(1, requests.len().max(1));
        Self {
            model,
            requests,
            sampling,
            callbacks,
            num_slots,
            limit,
            cache: Cache::new(&model.config, model.options(), num_slots as i64, limit),
            steps: Steps::new(model, num_slots, limit).filter(|_| !sampling.penalises()),
            rows: Vec::with_capacity(num_slots),
            waiting: 0,
            end: requests.len(),
            completions: vec![Completion::default(); requests.len()],
        }
    }

    /// Samples every request to its end.
    pub(super) fn run(mut self) -> Vec<Completion> {
        if self.sampling.max_tokens > 0 {
            while self.admit() || !self.rows.is_empty() {
                self.decode();
            }
        }
        self.completions
    }

    /// Admits waiting requests while there is room, and returns whether any were admitted.
    fn admit(&mut self) -> bool {
        let before = self.waiting;
        loop {
            let free = self.num_slots - self.rows.len();
            // A prefill for one free slot would delay all other rows, so it waits until an eighth of the slots is free.
            let is_worth_it = self.rows.is_empty() || free * 8 >= self.num_slots;
            if free == 0 || self.waiting == self.end || !is_worth_it {
                return self.waiting > before;
            }
            self.prefill(free);
        }
    }

    /// Prefills the prompts of up to `free` requests, and samples their first tokens.
    fn prefill(&mut self, free: usize) {
        let (prompts, row_of) = self.entering(free);
        // The new rows take the slots after those in use, in the order of their requests.
        let first = self.rows.len();
        for index in 0..row_of.len() {
            let request = self.waiting + index;
            self.rows.push(BatchRow { request, cached: self.requests[request].prompt.len() as i64, last: 0 });
        }
        self.waiting += row_of.len();

        let device = self.model.device();
        let layout = Layout::new(&prompts, device);
        let rotation = self.model.rotation(&layout.positions_n, prompts.max_length());
        let ids_n = Tensor::from_slice(prompts.ids()).to_device(device);
        let mut attend = Prefill::new(&mut self.cache, layout, rotation, &prompts, &row_of, first);
        let hidden_nd = self.model.forward(&ids_n, &mut attend);
        // A token is sampled only after a prompt's last token. Rows with equal prompts read the same hidden state.
        let last_positions = prompts.last_positions();
        let last: Vec<i64> = row_of.iter().map(|row| last_positions[*row]).collect();
        let hidden_rd = hidden_nd.index_select(0, &Tensor::from_slice(&last).to_device(device));
        self.sample(&hidden_rd, first);
    }

    /// Returns the distinct prompts of the next requests, at most `free` of them, and which prompt each request has.
    fn entering(&self, free: usize) -> (Rows, Vec<usize>) {
        let mut distinct: BTreeMap<&[i64], usize> = BTreeMap::new();
        let mut prompts = Rows::default();
        let mut row_of = Vec::new();
        for request in self.requests[self.waiting..self.end].iter().take(free) {
            let prompt = request.prompt.as_slice();
            if !distinct.contains_key(prompt) {
                if prompts.num_rows() > 0 && prompts.num_tokens() + prompt.len() > PREFILL_TOKENS {
                    break;
                }
                distinct.insert(prompt, prompts.num_rows());
                prompts.push(prompt);
            }
            row_of.push(distinct[prompt]);
        }
        (prompts, row_of)
    }

    /// Decodes one token for every row.
    fn decode(&mut self) {
        if self.rows.is_empty() {
            return;
        }
        let ids: Vec<i64> = self.rows.iter().map(|row| row.last).collect();
        let positions: Vec<i64> = self.rows.iter().map(|row| row.cached).collect();
        for row in &mut self.rows {
            row.cached += 1;
        }
        let vocabulary = self.vocabulary();
        if let Some(steps) = &mut self.steps {
            let uniforms = uniforms(&self.rows, self.requests, &self.completions);
            let inputs = Inputs { ids: &ids, positions: &positions, uniforms: &uniforms };
            let drawn = steps.step(self.model, &mut self.cache, (self.sampling.draw(), vocabulary), &inputs);
            return self.take(drawn, 0);
        }
        let device = self.model.device();
        let positions_n = Tensor::from_slice(&positions).to_device(device);
        let rotation = self.model.rotation(&positions_n, self.limit);
        let mut attend = Decode::new(&mut self.cache, rotation, Newest::on_host(&positions));
        let hidden_rd = self.model.forward(&Tensor::from_slice(&ids).to_device(device), &mut attend);
        self.sample(&hidden_rd, 0);
    }

    /// The number of ids that may be drawn.
    fn vocabulary(&self) -> i64 {
        self.sampling.vocabulary.unwrap_or(self.model.config.vocab_size)
    }

    /// Samples the next token of the rows from `first` on.
    fn sample(&mut self, hidden_rd: &Tensor, first: usize) {
        let logits_rv = self.model.logits(hidden_rd);
        let logits_rv = if self.sampling.penalises() { self.penalised(&logits_rv, first) } else { logits_rv };
        let uniforms = uniforms(&self.rows[first..], self.requests, &self.completions);
        self.take(ops::sample(&logits_rv, &uniforms, self.sampling.draw(), self.vocabulary()), first);
    }

    /// Applies the repetition penalty to the logits of the rows from `first` on.
    fn penalised(&self, logits_rv: &Tensor, first: usize) -> Tensor {
        let penalty = self.sampling.repetition_penalty;
        let penalised_rv = logits_rv.copy();
        for (index, row) in self.rows[first..].iter().enumerate() {
            let seen = [self.requests[row.request].prompt.as_slice(), &self.completions[row.request].ids].concat();
            let seen_n = Tensor::from_slice(&seen).to_device(logits_rv.device());
            let of_seen_n = logits_rv.get(index as i64).index_select(0, &seen_n);
            let (less_n, more_n) = (&of_seen_n / penalty, &of_seen_n * penalty);
            // A token that was seen twice has the same value twice.
            let _ =
                penalised_rv.get(index as i64).index_copy_(0, &seen_n, &less_n.where_self(&of_seen_n.gt(0.0), &more_n));
        }
        penalised_rv
    }

    /// Appends the drawn tokens to the rows from `first` on, and releases finished rows.
    fn take(&mut self, drawn: Vec<(i64, f32)>, first: usize) {
        let mut done = Vec::new();
        for (index, (token, log_prob)) in drawn.into_iter().enumerate() {
            let row = &mut self.rows[first + index];
            let completion = &mut self.completions[row.request];
            row.last = token;
            completion.ids.push(token);
            completion.logprobs.push(log_prob);
            completion.finished = self.sampling.stop.contains(&token) || (self.callbacks.is_ended)(&completion.ids);
            let is_full = completion.ids.len() == self.sampling.max_tokens || row.cached + 1 >= self.limit;
            if completion.finished || is_full {
                done.push(first + index);
            }
        }
        self.release(&done);
    }

    /// Removes rows, given in ascending order, from the batch, and moves the last rows into their slots.
    fn release(&mut self, done: &[usize]) {
        if done.is_empty() {
            return;
        }
        for index in done {
            let request = self.rows[*index].request;
            if (self.callbacks.on_completion)(request, &self.completions[request]).is_break() {
                self.end = self.waiting;
            }
        }
        // Afterwards the first `kept` slots are in use: rows beyond them move into the holes before them. There are as
        // many such rows as holes.
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
fn uniforms(rows: &[BatchRow], requests: &[Request], completions: &[Completion]) -> Vec<f32> {
    let of = |row: &BatchRow| uniform(requests[row.request].seed, completions[row.request].ids.len() as u64);
    rows.iter().map(of).collect()
}
