//! Kind `teacher-logits`: stores a teacher's likeliest tokens at every token of samples. Students learn from its
//! distributions (Hinton et al. 2015), and the teacher runs only once for all of them.
//!
//! ```text
//! rows in their order ─ shards of 8 `micro-batch-tokens` ─ forward ─ the k likeliest and the rest ─▶ one file a shard
//! ```
//! The bytes of a shard depend only on its rows, the model and the keys, so the engine keeps shards as it keeps the
//! rows of `generate`. An attempt resumes after the last kept shard. Rows that are appended to the data cost only new
//! shards. Rows inserted before others shift the borders of the shards, so all later shards are computed again.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::artifact::{ArtifactType, Model as ModelMarker, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError, refusals};
use engine::worker::tokens::ShownRow;
use lm::{Model, Tensor, head, no_grad_guard};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use crate::artifacts::{
    Dtype, LogitsIndex, Shard, TokenRow, TokenRows, Vocabulary, load_model, shard_name, write_logits_index, write_shard,
};
use crate::chat::Rendering;
use crate::device::set_up;
use crate::training::link;
use crate::training::rows::{Learn, micro_batches, pack};
use crate::training::tokenise::{Tokenising, token_rows};
use crate::{limits, looking, showing};

/// Tokens of a shard, in micro-batches: enough for few files, few enough that a stop loses little work.
const SHARD_MICRO_BATCHES: usize = 8;

/// The kind.
pub struct TeacherLogits;

/// What `teacher-logits` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The teacher.
    pub model: Input<ModelMarker>,
    /// Samples to run the teacher on, its own or others'; all sets are concatenated.
    #[schemars(extend("x-role" = "rows"))]
    pub data: Vec<Input<Samples>>,
}

/// What to store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// Likeliest tokens stored at each learnt token; the probability of all others is stored as one number. A learnt
    /// token takes 8 × `top-k` + 4 bytes. The metric `rest` is the mean probability of the tokens that are not stored.
    #[schemars(range(min = 1, max = limits::TOP_K))]
    pub top_k: usize,
    /// Longest row in tokens, prompt included; longer rows are counted and dropped.
    #[schemars(range(min = 2, max = limits::TOKENS), extend("x-role" = "rows"))]
    pub max_tokens: usize,
    /// Which of the assistant's turns in a conversation are learnt; see `sft`.
    #[schemars(extend("x-omit-default" = true))]
    pub learn: Learn,
    /// Element type of the model in memory; the rounding of `bfloat16` changes the results. Absent: the one that its
    /// `config.json` names.
    pub dtype: Option<Dtype>,
    /// Most tokens in one forward pass, which bounds memory; a file has about eight times as many. It is a result key,
    /// because it changes the order of sums and thus their last bits.
    #[schemars(range(min = 1, max = limits::TOKENS))]
    pub micro_batch_tokens: usize,
    // The engine has checked every key against the schema.
    #[serde(flatten)]
    pub rendering: Rendering,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            top_k: 32,
            max_tokens: 4_096,
            learn: Learn::Last,
            dtype: None,
            micro_batch_tokens: 8_192,
            rendering: Rendering::default(),
        }
    }
}

impl Stage for TeacherLogits {
    const KIND: &'static str = "teacher-logits";
    const HISTORY: &'static [&'static str] =
        &["the first", "chats are rendered whole, and every end token ends a completion"];
    const DOC: &'static str = "Writes down the likeliest tokens of a teacher at every token of samples, for `distill` by `method = \"logits\"`.";
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_NAMES;
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_WAYS;
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("logits", ArtifactType::Logits)];
    const TOKENS: &'static [&'static str] = &["model", "data", "chat-template", "system", "prompt-template"];
    type Inputs = Inputs;
    type Params = Params;

    fn check(_: &Inputs, params: &Params) -> Vec<StageError> {
        refusals([params.rendering.check()])
    }

    fn look(inputs: &Inputs, params: &Params, look: &mut Look) {
        let seen = looking::model(look, &inputs.model, Some(&params.rendering));
        let keys = Tokenising { key: "data", learn: params.learn, max_tokens: params.max_tokens };
        looking::samples(look, &inputs.data, seen.as_ref().map(|seen| (seen, &keys)));
    }

    fn tokens(inputs: &Inputs, params: &Params, row: usize) -> Result<ShownRow, StageError> {
        let keys = Tokenising { key: "data", learn: params.learn, max_tokens: params.max_tokens };
        showing::sample(&params.rendering.load(&inputs.model)?, &inputs.data, &keys, row)
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let device = set_up(ctx)?;
        let chat = params.rendering.load(&inputs.model)?;
        let vocabulary = Vocabulary::of(&chat);
        if params.top_k as i64 >= vocabulary.size {
            let message = format!("`top-k` = {} is all of the {} tokens or more", params.top_k, vocabulary.size);
            return Err(StageError::new(message).with_help("lower `top-k`: 32 is usual"));
        }
        let keys = Tokenising { key: "data", learn: params.learn, max_tokens: params.max_tokens };
        let Some(rows) = token_rows(ctx, &chat, &inputs.data, &keys)? else { return Ok(Outcome::Stopped(0)) };
        let teacher = Teacher {
            model: load_model(ctx, &inputs.model, device, params.dtype)?,
            vocab: vocabulary.size,
            params: &params,
        };
        let dir = ctx.output("logits");
        fs_err::create_dir_all(&dir)?;
        let shards = shards(&rows, SHARD_MICRO_BATCHES * params.micro_batch_tokens);
        let mut writer = Writer { known: known_shards(ctx)?, new: Vec::new(), dir };
        let (mut done, mut tokens, mut rest) = (0, 0, 0.0);
        for (index, shard) in shards.iter().enumerate() {
            let begin = Instant::now();
            let shard = shard.clone().map(|row| rows.row(row)).collect::<Result<Vec<_>, StageError>>()?;
            rest += writer.write(index, &shard, &teacher)?;
            done += shard.len();
            tokens += shard.iter().map(TokenRow::num_targets).sum::<usize>();
            let length = shard.iter().map(|row| row.ids.len()).sum::<usize>() as f64;
            let metrics = BTreeMap::from([
                ("rest".to_owned(), rest / tokens.max(1) as f64),
                ("tokens_per_second".to_owned(), length / begin.elapsed().as_secs_f64().max(1e-9)),
            ]);
            ctx.progress(done as u64, rows.len() as u64, "row", metrics);
            if index + 1 < shards.len() && ctx.checkpoint_due(done as u64) {
                writer.keep(ctx, done as u64)?;
                if ctx.stop_requested() {
                    return Ok(Outcome::Stopped(done as u64));
                }
            }
        }
        writer.keep(ctx, done as u64)?;
        let index = LogitsIndex { top_k: params.top_k, rows: rows.len(), tokens, vocabulary, shards: shards.len() };
        write_logits_index(&writer.dir, &index)?;
        let summary = [
            ("rows", json!(rows.len())),
            ("tokens", json!(tokens)),
            ("shards", json!(shards.len())),
            ("rest", json!(rest / tokens.max(1) as f64)),
        ];
        Ok(Outcome::Done(Map::from_iter(summary.map(|(name, value)| (name.to_owned(), value)))))
    }
}

/// Cuts rows, in their order, into shards of at most `max_tokens` tokens or one longer row.
fn shards(rows: &TokenRows, max_tokens: usize) -> Vec<Range<usize>> {
    let mut tokens = 0;
    let mut shards = Vec::new();
    let mut start = 0;
    for (at, length) in rows.lengths().enumerate() {
        if at > start && tokens + length > max_tokens {
            shards.push(start..at);
            (start, tokens) = (at, 0);
        }
        tokens += length;
    }
    shards.push(start..rows.len());
    shards
}

/// Returns the shards that the engine has kept for this model and these keys, by [`key`].
fn known_shards(ctx: &Context) -> Result<HashMap<String, PathBuf>, StageError> {
    let mut known = HashMap::new();
    for folder in ctx.known_rows() {
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            if let Some(key) = path.file_stem().and_then(|stem| stem.to_str()) {
                known.insert(key.to_owned(), path.clone());
            }
        }
    }
    Ok(known)
}

/// Returns a digest of a shard's rows. The engine stores kept shards by model and keys; the rows are the rest of a
/// shard's identity.
fn key(rows: &[TokenRow]) -> String {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        hasher.update(&(row.ids.len() as u64).to_le_bytes()).update(&(row.start as u64).to_le_bytes());
        row.ids.iter().for_each(|id| {
            hasher.update(&id.to_le_bytes());
        });
    }
    hasher.finalize().to_hex().to_string()
}

struct Writer {
    known: HashMap<String, PathBuf>,
    /// Shards not yet handed to the engine: key, file, rows.
    new: Vec<(String, PathBuf, u64)>,
    dir: PathBuf,
}

impl Writer {
    /// Writes a shard into the output, and returns the probability of the tokens that are not stored, summed over
    /// positions.
    fn write(&mut self, index: usize, rows: &[TokenRow], teacher: &Teacher) -> Result<f64, StageError> {
        let (file, key) = (self.dir.join(shard_name(index)), key(rows));
        if let Some(known) = self.known.get(&key) {
            link(known, &file)?;
        } else {
            let (top_ids_nk, log_probs_nk) = teacher.likeliest(rows);
            write_shard(&file, rows, &top_ids_nk, &log_probs_nk)?;
            self.new.push((key, file.clone(), rows.len() as u64));
        }
        Shard::open(&file)?.rest()
    }

    /// Gives new shards to the engine to keep, after `step` rows.
    fn keep(&mut self, ctx: &Context, step: u64) -> Result<(), StageError> {
        let new = std::mem::take(&mut self.new);
        if new.is_empty() {
            return Ok(());
        }
        let rows = new.iter().map(|(_, _, rows)| rows).sum();
        ctx.keep_rows(step, rows, |dir: &Path| -> std::io::Result<()> {
            new.iter().try_for_each(|(key, file, _)| link(file, &dir.join(format!("{key}.safetensors"))))
        })
    }
}

struct Teacher<'a> {
    model: Model,
    vocab: i64,
    params: &'a Params,
}

impl Teacher<'_> {
    /// Returns the likeliest tokens and their ln p at the learnt tokens, one row after the other.
    fn likeliest(&self, rows: &[TokenRow]) -> (Tensor, Tensor) {
        let _guard = no_grad_guard();
        let lengths: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let mut parts: Vec<Option<(Tensor, Tensor)>> = rows.iter().map(|_| None).collect();
        for indices in micro_batches(&lengths, self.params.micro_batch_tokens) {
            let (packed, starts) = pack(indices.iter().map(|index| &rows[*index]));
            let positions =
                Tensor::from_slice(&packed.predictions_from(&starts).positions).to_device(self.model.device());
            let hidden_nd = self.model.hidden(&packed).index_select(0, &positions);
            let (top_ids_nk, log_probs_nk) =
                head::top_k(&self.model, &hidden_nd, self.vocab, self.params.top_k as i64, head::DISTRIBUTIONS_CHUNK);
            let (top_ids_nk, log_probs_nk) =
                (top_ids_nk.to_device(lm::Device::Cpu), log_probs_nk.to_device(lm::Device::Cpu));
            let mut place = 0;
            for index in indices {
                let count = rows[index].num_targets() as i64;
                parts[index] = Some((top_ids_nk.narrow(0, place, count), log_probs_nk.narrow(0, place, count)));
                place += count;
            }
        }
        let (ids, log_probs): (Vec<Tensor>, Vec<Tensor>) =
            parts.into_iter().map(|part| part.expect("every row is in a micro-batch")).unzip();
        (Tensor::cat(&ids, 0), Tensor::cat(&log_probs, 0))
    }
}
