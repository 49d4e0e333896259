//! Logits: a teacher's likeliest tokens and their log-probs at every token that a student learns. A student can be
//! trained on them without the teacher's model.
//!
//! ```text
//! logits/
//! ├── logits.json          "top-k", "rows", "tokens", "shards", "vocabulary": {"size", "tokenizer", "eos", "template"}
//! ├── 00000.safetensors    rows one after the other; t tokens, r rows, n learnt tokens (those in the loss)
//! │   ├── ids        i32 [t]          prompt, completion and eos of each row, as the teacher's tokenizer encodes them
//! │   ├── lengths    i32 [r]          tokens of each row
//! │   ├── starts     i32 [r]          index of each row's first learnt token
//! │   ├── top_ids    i32 [n, k]       the k likeliest tokens at each learnt token's position, the likeliest first
//! │   └── log_probs  f32 [n, k + 1]   their ln p, then the ln p of all other tokens together
//! └── 00001.safetensors …
//! ```
//! A shard is written once and read row by row, so neither the teacher's nor the student's stage holds more than a few
//! rows.

use std::path::Path;

use engine::artifact::Logits as LogitsMarker;
use engine::stage::{Input, StageError};
use lm::checkpoint::{Entry, TensorFile, save_tensors};
use lm::{Kind, Tensor};
use serde::{Deserialize, Serialize};
use text::Chat;

use super::Error;
use super::{TokenRow, TokenRows, TokenWriter};
use crate::limits;

const INDEX: &str = "logits.json";

/// The contents of `logits.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct LogitsIndex {
    /// Likeliest tokens stored at each position.
    pub(crate) top_k: usize,
    pub(crate) rows: usize,
    /// Learnt tokens.
    pub(crate) tokens: usize,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) shards: usize,
}

/// What two models must share for their token ids to be comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Vocabulary {
    /// The tokenizer's greatest id plus one. Columns of the head beyond it are padding, and never stored.
    pub(crate) size: i64,
    /// Digest of all ids with their tokens. The formatting of `tokenizer.json` does not matter.
    tokenizer: String,
    /// The token that ends a completion.
    eos: i64,
    /// Digest of the chat template.
    template: String,
}

impl Vocabulary {
    pub(crate) fn of(chat: &Chat) -> Self {
        let tokens = chat.tokenizer.tokens();
        let mut hasher = blake3::Hasher::new();
        for (id, token) in &tokens {
            hasher.update(&id.to_le_bytes()).update(&(token.len() as u64).to_le_bytes()).update(token.as_bytes());
        }
        let template = chat.template.as_ref().map_or("", |template| template.source());
        Self {
            size: tokens.last_key_value().map_or(0, |(id, _)| i64::from(*id) + 1),
            tokenizer: hasher.finalize().to_hex().to_string(),
            eos: chat.eos,
            template: blake3::hash(template.as_bytes()).to_hex().to_string(),
        }
    }

    /// Returns an error if the teacher called `name` has other token ids than the student.
    pub(crate) fn check_teacher(&self, teacher: &Self, name: &str) -> Result<(), StageError> {
        let message = if self.size != teacher.size {
            format!("the student has {} tokens, its teacher `{name}` {}", self.size, teacher.size)
        } else if self.tokenizer != teacher.tokenizer {
            format!("the student and its teacher `{name}` have different tokens for the same ids")
        } else if self.eos != teacher.eos {
            let (student, teacher) = (self.eos, teacher.eos);
            format!("the student ends a completion with token {student}, its teacher `{name}` with {teacher}")
        } else {
            return Ok(());
        };
        Err(StageError::new(message).with_help(
            "take a teacher and a student with one tokenizer, or `method = \"text\"`, which needs only words",
        ))
    }

    /// Returns whether both have the same chat template.
    pub(crate) fn has_same_template(&self, other: &Self) -> bool {
        self.template == other.template
    }
}

/// Writes one shard: `rows`, and the likeliest tokens with their ln p at the rows' learnt tokens.
pub(crate) fn write_shard(
    file: &Path,
    rows: &[TokenRow],
    top_ids_nk: &Tensor,
    log_probs_nk: &Tensor,
) -> Result<(), StageError> {
    let ints = |values: Vec<i64>| Tensor::from_slice(&values).to_kind(Kind::Int);
    let tensors = [
        ("ids", ints(rows.iter().flat_map(|row| row.ids.iter().copied()).collect())),
        ("lengths", ints(rows.iter().map(|row| row.ids.len() as i64).collect())),
        ("log_probs", log_probs_nk.to_kind(Kind::Float)),
        ("starts", ints(rows.iter().map(|row| row.start as i64).collect())),
        ("top_ids", top_ids_nk.to_kind(Kind::Int)),
    ];
    Ok(save_tensors(file, &tensors.map(|(name, tensor)| (name.to_owned(), tensor)))?)
}

/// Returns the name of shard number `index`.
pub(crate) fn shard_name(index: usize) -> String {
    format!("{index:05}.safetensors")
}

/// Writes `logits.json` beside the shards.
pub(crate) fn write_logits_index(dir: &Path, index: &LogitsIndex) -> Result<(), StageError> {
    Ok(fs_err::write(dir.join(INDEX), serde_json::to_string_pretty(index)? + "\n")?)
}

/// A shard on disk.
pub(crate) struct Shard(TensorFile);

impl Shard {
    pub(crate) fn open(file: &Path) -> Result<Self, StageError> {
        Ok(Self(TensorFile::open(file)?))
    }

    fn entry(&self, name: &str) -> Result<&Entry, StageError> {
        self.0.entry(name).ok_or_else(|| StageError::new(format!("a shard of logits lacks `{name}`")))
    }

    fn tensor(&self, name: &str) -> Result<Tensor, StageError> {
        Ok(self.0.read(self.entry(name)?)?)
    }

    /// Returns the probability of all tokens that are not stored, summed over positions.
    pub(crate) fn rest(&self) -> Result<f64, StageError> {
        let log_probs_nk = self.tensor("log_probs")?;
        Ok(log_probs_nk.select(1, -1).exp().sum(Kind::Double).double_value(&[]))
    }

    fn ints(&self, name: &str) -> Result<Vec<i64>, StageError> {
        Ok(Vec::try_from(self.tensor(name)?.to_kind(Kind::Int64))?)
    }

    /// Returns the shard's rows, or an error if its tensors do not fit together.
    fn rows(&self, top_k: i64) -> Result<Vec<TokenRow>, StageError> {
        let (ids, lengths, starts) = (self.ints("ids")?, self.ints("lengths")?, self.ints("starts")?);
        let mut rows = Vec::with_capacity(lengths.len());
        let mut rest = ids.as_slice();
        for (length, start) in lengths.iter().zip(&starts) {
            let (row, after) = rest.split_at_checked(usize::try_from(*length)?).unwrap_or((&[], rest));
            rows.push(TokenRow { ids: row.to_vec(), start: usize::try_from(*start)? });
            rest = after;
        }
        let learnt = rows.iter().map(|row| row.num_targets() as i64).sum::<i64>();
        let (tokens, log_probs) = (&self.entry("top_ids")?.size, &self.entry("log_probs")?.size);
        let fits = lengths.len() == starts.len() && rest.is_empty();
        if fits && *tokens == [learnt, top_k] && *log_probs == [learnt, top_k + 1] {
            return Ok(rows);
        }
        Err(StageError::new(format!("a shard of logits is damaged: {learnt} learnt tokens, {tokens:?}, {log_probs:?}")))
    }
}

/// Rows of several artifacts, with their teachers' likeliest tokens.
pub(crate) struct LogitsRows {
    pub(crate) rows: TokenRows,
    /// How many rows were too long.
    pub(crate) long: usize,
    shards: Vec<Shard>,
    /// The shard of each row, and the index of its first learnt token in that shard.
    offsets: Vec<(usize, i64)>,
}

impl LogitsRows {
    /// Opens artifacts, leaving out rows of more than `max_tokens` tokens; the others' ids go to a file in the folder
    /// `dir`. All must have the same `top-k`; `check` may reject an artifact by its index.
    pub(crate) fn open(
        inputs: &[Input<LogitsMarker>],
        (dir, max_tokens): (&Path, usize),
        mut check: impl FnMut(&LogitsIndex, &str) -> Result<(), StageError>,
    ) -> Result<Self, StageError> {
        let mut writer = TokenWriter::create(dir, "logits.ids")?;
        let (mut long, mut shards, mut offsets) = (0, Vec::new(), Vec::new());
        let mut first: Option<(usize, &str)> = None;
        for input in inputs {
            let index = read_index(input)?;
            let (top_k, name) = *first.get_or_insert((index.top_k, input.name()));
            if top_k != index.top_k {
                let other = (input.name(), index.top_k);
                return Err(StageError::new(format!("`{name}` has `top-k` = {top_k}, `{}` has {}", other.0, other.1))
                    .with_help("logits that are learnt together need one `top-k`"));
            }
            check(&index, input.name())?;
            for number in 0..index.shards {
                let shard = Shard::open(&input.path().join(shard_name(number)))?;
                let mut offset = 0;
                for row in shard.rows(top_k as i64)? {
                    if row.ids.len() <= max_tokens {
                        offsets.push((shards.len(), offset));
                        writer.push(&row)?;
                    } else {
                        long += 1;
                    }
                    offset += row.num_targets() as i64;
                }
                shards.push(shard);
            }
        }
        Ok(Self { rows: writer.finish()?, long, shards, offsets })
    }

    /// Returns, for the learnt tokens of these rows in order, the likeliest tokens [n, k] and their ln p with that of
    /// the rest [n, k + 1].
    pub(crate) fn likeliest(&self, rows: &[usize]) -> Result<(Tensor, Tensor), StageError> {
        let part = |name: &str| -> Result<Tensor, StageError> {
            let parts = rows.iter().map(|row| {
                let (shard, offset) = self.offsets[*row];
                let shard = &self.shards[shard];
                Ok(shard.0.read_rows(shard.entry(name)?, offset, self.rows.num_targets(*row) as i64)?)
            });
            Ok(Tensor::cat(&parts.collect::<Result<Vec<_>, StageError>>()?, 0))
        };
        Ok((part("top_ids")?.to_kind(Kind::Int64), part("log_probs")?))
    }
}

/// Reads one row of several artifacts, without the others; if there is no such row, returns how many there are.
pub(crate) fn logits_row(inputs: &[Input<LogitsMarker>], wanted: usize) -> Result<Result<TokenRow, usize>, StageError> {
    let mut count = 0;
    for input in inputs {
        let index = read_index(input)?;
        for number in 0..index.shards {
            let shard = Shard::open(&input.path().join(shard_name(number)))?;
            let here = shard.ints("lengths")?.len();
            if wanted < count + here {
                return Ok(Ok(shard.rows(index.top_k as i64)?.swap_remove(wanted - count)));
            }
            count += here;
        }
    }
    Ok(Err(count))
}

fn read_index(input: &Input<LogitsMarker>) -> Result<LogitsIndex, StageError> {
    let file = input.path().join(INDEX);
    let text = outside::read_text(&file, limits::DOCUMENT_BYTES, limits::NO_SUCH_FILE)?;
    let index: LogitsIndex = serde_json::from_str(&text).map_err(|source| Error::Damaged { file, source })?;
    if index.top_k > limits::TOP_K {
        let (name, most) = (input.name(), limits::TOP_K);
        return Err(StageError::new(format!("`{name}` has `top-k` = {}, of at most {most}", index.top_k)));
    }
    Ok(index)
}
