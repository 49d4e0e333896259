//! Judgements as token rows, and the objective that learns from them.

use engine::artifact::Preferences;
use engine::stage::{Input, StageError};
use lm::{Kind, RewardModel, Rows, Tensor, loss, no_grad_guard};
use text::{Chat, Prompt};

use super::Loss;
use crate::artifacts::{PreferenceRow, read_preferences};
use crate::opinions::Reads;
use crate::rewards::judged_ids;
use crate::training::rows::{Order, PassSize};
use crate::training::{Counts, Cures, Logits, Objective, Passes, Tally, Workload};

/// A judgement in tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Judgement {
    Pair {
        chosen: Vec<i64>,
        rejected: Vec<i64>,
    },
    Label {
        completion: Vec<i64>,
        label: u8,
        /// Tokens of the completion alone.
        length: usize,
    },
}

/// Reads judgements; all must be of the form that `loss` needs.
pub(super) fn read(
    chat: &Chat,
    inputs: &[Input<Preferences>],
    loss: Loss,
    reads: Reads,
) -> Result<Vec<Judgement>, StageError> {
    let mut judgements = Vec::new();
    for input in inputs {
        for row in read_preferences(input)? {
            let ids = |prompt: &Prompt, completion: &str| {
                // In these rows, values for the template are for this model's.
                chat.check_args(prompt)?;
                judged_ids(chat, prompt, completion, reads)
            };
            judgements.push(match (row, loss) {
                (PreferenceRow::Pairwise { prompt, chosen, rejected }, Loss::Pairwise) => {
                    Judgement::Pair { chosen: ids(&prompt, &chosen)?.0, rejected: ids(&prompt, &rejected)?.0 }
                }
                (PreferenceRow::Pointwise { prompt, completion, label }, Loss::Pointwise) => {
                    let (ids, of_prompt) = ids(&prompt, &completion)?;
                    Judgement::Label { length: ids.len() - of_prompt, completion: ids, label }
                }
                (PreferenceRow::Pairwise { .. }, Loss::Pointwise) => return Err(mismatch(input, "pairs", "pairwise")),
                (PreferenceRow::Pointwise { .. }, Loss::Pairwise) => {
                    return Err(mismatch(input, "labels", "pointwise"));
                }
            });
        }
    }
    if judgements.is_empty() {
        return Err(StageError::new("there are no judgements to learn from"));
    }
    Ok(judgements)
}

fn mismatch(input: &Input<Preferences>, found: &str, loss: &str) -> StageError {
    StageError::new(format!("`{}` holds {found}", input.name())).with_help(format!("set `loss = \"{loss}\"`"))
}

/// Splits off a held-out share by a hash of each row, so that adding rows moves none. At least one row is left to train
/// on.
pub(super) fn split(rows: Vec<Judgement>, share: f64, seed: u64) -> (Vec<Judgement>, Vec<Judgement>) {
    let is_held_out = |row: &Judgement| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        let ids = match row {
            Judgement::Pair { chosen, .. } => chosen,
            Judgement::Label { completion, .. } => completion,
        };
        for id in ids {
            hasher.update(&id.to_le_bytes());
        }
        let first = u32::from_le_bytes(hasher.finalize().as_bytes()[..4].try_into().expect("a digest is longer"));
        f64::from(first) < share * f64::from(u32::MAX)
    };
    let (mut held_out, mut kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_held_out);
    if kept.is_empty() {
        kept.extend(held_out.pop());
    }
    (kept, held_out)
}

/// The objective.
pub(super) struct Judgements<'a> {
    pub(super) model: &'a RewardModel,
    pub(super) rows: &'a [Judgement],
    pub(super) order: Order,
    /// Whether the backward pass computes activations again.
    pub(super) recompute: bool,
}

impl Objective for Judgements<'_> {
    /// Indices of judgements.
    type Batch = Vec<usize>;

    fn parameters(&self) -> &[(String, Tensor)] {
        self.model.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let lengths = self.rows.iter().map(|row| match row {
            Judgement::Pair { chosen, rejected } => chosen.len() + rejected.len(),
            Judgement::Label { completion, .. } => completion.len(),
        });
        let rows: Vec<PassSize> = lengths.map(|tokens| PassSize { tokens, targets: 0 }).collect();
        Workload {
            model: self.model.network(),
            passes: Passes {
                largest: self.order.largest_passes(&rows, usize::MAX),
                recompute: self.recompute,
                logits: Logits::None,
                sampling: 0,
                is_bound: false,
                cures: Cures { pass: "batch-size", sampling: &[], has_lora: false },
            },
        }
    }

    fn batch(&mut self, step: u64) -> Result<(Vec<usize>, Counts), StageError> {
        let batch = self.order.batch(step);
        // A judgement has one score, whatever its length.
        let counts = Counts { rows: batch.len() as f64, tokens: 0.0 };
        Ok((batch, counts))
    }

    fn accumulate(&self, batch: &Vec<usize>, whole: Counts) -> Result<Tally, StageError> {
        let batch: Vec<&Judgement> = batch.iter().map(|index| &self.rows[*index]).collect();
        let (rows, labels) = pack(&batch);
        let pass = self.model.pass(&rows, self.recompute);
        let (losses, margins) = judge(&self.model.scores_of(&rows, pass.hidden()), &labels);
        let loss = losses.sum(Kind::Float) / whole.rows;
        loss.backward();
        pass.backward();
        let right = margins.gt(0.0).to_kind(Kind::Float).sum(Kind::Float).double_value(&[]);
        let mut tally = Tally::default();
        tally.sum("loss", loss.double_value(&[]));
        tally.mean("accuracy", right, batch.len() as f64);
        tally.mean("margin", margins.sum(Kind::Float).double_value(&[]), batch.len() as f64);
        Ok(tally)
    }
}

/// Returns the margin of each judgement: positive where the model agrees. The sigmoid is the probability that it gives to
/// the judgement.
pub(super) fn margins(model: &RewardModel, rows: &[Judgement]) -> Result<Vec<f64>, StageError> {
    let _guard = no_grad_guard();
    let mut all = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(64) {
        let (rows, labels) = pack(&chunk.iter().collect::<Vec<_>>());
        let (_, margins) = judge(&model.scores(&rows), &labels);
        all.extend(Vec::<f64>::try_from(margins.to_kind(Kind::Double).to_device(lm::Device::Cpu))?);
    }
    Ok(all)
}

/// Packs the completions of judgements: two rows for each pair, chosen first, or one row and its label.
fn pack(batch: &[&Judgement]) -> (Rows, Vec<f32>) {
    let mut rows = Rows::default();
    let mut labels = Vec::new();
    for judgement in batch {
        match judgement {
            Judgement::Pair { chosen, rejected } => {
                rows.push(chosen);
                rows.push(rejected);
            }
            Judgement::Label { completion, label, .. } => {
                rows.push(completion);
                labels.push(f32::from(*label));
            }
        }
    }
    (rows, labels)
}

/// Returns the loss and the margin of each judgement, [judgements]; the margin is positive where the model agrees.
fn judge(scores: &Tensor, labels: &[f32]) -> (Tensor, Tensor) {
    if labels.is_empty() {
        let pairs = scores.view([-1, 2]);
        let (chosen, rejected) = (pairs.select(1, 0), pairs.select(1, 1));
        return (loss::bradley_terry(&chosen, &rejected), chosen - rejected);
    }
    let labels = Tensor::from_slice(labels).to_device(scores.device());
    let margins = scores * (&labels * 2.0 - 1.0);
    (loss::pointwise(scores, &labels), margins)
}
