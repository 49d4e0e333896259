//! Kept rows: completions that the engine keeps for a model, so that no attempt samples them again.
//!
//! A completion depends only on the model, its prompt, its seed and the sampling settings, not on its batch or on other
//! prompts. The engine keeps rows by model; the rest is a row's key. So added prompts cost only their own completions,
//! and a changed filter costs none.

use std::collections::HashMap;
use std::path::Path;

use engine::stage::{Context, StageError};
use lm::generate::{Request, Sampling};
use serde::{Deserialize, Serialize};

use super::questions::Question;
use super::sampler::{Drawn, Sampler};
use crate::artifacts::{Error, read_own_lines, write_lines};
use crate::grading::Grader;

const FILE: &str = "completions.jsonl";

type Key = [u8; 32];

/// Completions sampled by this attempt and by earlier ones.
pub(crate) struct KeptRows {
    known: HashMap<Key, Drawn>,
    /// Rows not yet given to the engine.
    new: Vec<KeptRow>,
}

#[derive(Serialize, Deserialize)]
struct KeptRow {
    key: String,
    completion: String,
    finished: bool,
    tokens: usize,
}

impl KeptRows {
    /// Reads the rows that the engine has kept.
    pub(crate) fn read(ctx: &Context) -> Result<Self, StageError> {
        let mut known = HashMap::new();
        for folder in ctx.known_rows() {
            for row in read_own_lines::<KeptRow>(&folder.join(FILE))? {
                let key = blake3::Hash::from_hex(&row.key)?;
                let drawn = Drawn { text: row.completion, finished: row.finished, num_tokens: row.tokens };
                known.insert(*key.as_bytes(), drawn);
            }
        }
        Ok(Self { known, new: Vec::new() })
    }

    /// Returns `completions` completions of each question, and none of a question that already fills the model's
    /// positions. Samples those that are not kept yet, and runs the programs in them meanwhile, for `grader` to find.
    /// Returns `None` if it was stopped and some are missing.
    pub(crate) fn complete(
        &mut self,
        (sampler, grader): (&Sampler<'_>, &Grader),
        asked: &[&Question],
        (seed, completions): (u64, usize),
        sampling: &Sampling,
    ) -> Result<Option<Vec<Vec<Drawn>>>, StageError> {
        let (mut keys, mut missing) = (Vec::with_capacity(asked.len()), Vec::new());
        for question in asked {
            let requests = sampler.requests(question, seed, completions)?;
            let fits = requests.iter().all(|request| sampler.has_room_after(&request.prompt));
            let requests = requests.into_iter().filter(|_| fits).map(|request| (key(&request, sampling), request));
            let mut keys_of_question = Vec::with_capacity(completions);
            for (key, request) in requests {
                keys_of_question.push(key);
                if !self.known.contains_key(&key) {
                    missing.push((*question, key, request));
                }
            }
            keys.push(keys_of_question);
        }
        let requests: Vec<Request> = missing.iter().map(|(_, _, request)| request.clone()).collect();
        let drawn = grader.meanwhile(|run| {
            sampler.sample(&requests, sampling, &mut |index, text| run(&missing[index].0.row, text))
        })?;
        for ((_, key, _), drawn) in missing.into_iter().zip(drawn).filter_map(|(row, drawn)| Some((row, drawn?))) {
            self.new.push(KeptRow {
                key: blake3::Hash::from_bytes(key).to_hex().to_string(),
                completion: drawn.text.clone(),
                finished: drawn.finished,
                tokens: drawn.num_tokens,
            });
            self.known.insert(key, drawn);
        }
        let of_question = |keys: Vec<Key>| keys.iter().map(|key| self.known.get(key).cloned()).collect();
        Ok(keys.into_iter().map(of_question).collect())
    }

    /// Returns the number of tokens sampled since the last [`keep`](KeptRows::keep).
    pub(crate) fn new_tokens(&self) -> usize {
        self.new.iter().map(|row| row.tokens).sum()
    }

    /// Returns the number of rows sampled since the last [`keep`](KeptRows::keep).
    pub(crate) fn num_new(&self) -> usize {
        self.new.len()
    }

    /// Gives new rows to the engine to keep, after `step` prompts.
    pub(crate) fn keep(&mut self, ctx: &Context, step: u64) -> Result<(), StageError> {
        let rows = std::mem::take(&mut self.new);
        if rows.is_empty() {
            return Ok(());
        }
        ctx.keep_rows(step, rows.len() as u64, |dir: &Path| -> Result<(), Error> { write_lines(dir, FILE, &rows) })
    }
}

fn key(request: &Request, sampling: &Sampling) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&sampling.temperature.to_le_bytes()).update(&sampling.top_p.to_le_bytes());
    hasher.update(&(sampling.max_tokens as u64).to_le_bytes()).update(&request.seed.to_le_bytes());
    // At their defaults they leave the key as it was before they existed.
    if sampling.top_k > 0 {
        hasher.update(b"top-k").update(&(sampling.top_k as u64).to_le_bytes());
    }
    if sampling.min_p > 0.0 {
        hasher.update(b"min-p").update(&sampling.min_p.to_le_bytes());
    }
    for id in &request.prompt {
        hasher.update(&id.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}
