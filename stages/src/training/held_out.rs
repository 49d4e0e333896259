//! Measuring on held-out rows during training, and the weights that did best on them.
//!
//! The trainer measures after every `eval-every` steps, and after the last one. The best weights so far are a file in
//! the attempt's folder and part of every checkpoint, so a resumed attempt ends with the same ones. A measurement after
//! the last step that is not due otherwise stays out of the checkpoint: when `steps` is raised, an attempt that goes on
//! from there knows what an unbroken one would know.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::stage::StageError;
use lm::checkpoint::{load_tensors, save_tensors};
use lm::{Model, Tensor, head, no_grad_guard};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::rows::{micro_batches, pack_rows};
use super::{Metrics, copy_into};
use crate::artifacts::TokenRows;

/// The metric by which weights are compared,
pub(super) const EVAL_LOSS: &str = "eval_loss";
/// or this one where prompts are held out.
const EVAL_ACCURACY: &str = "eval_accuracy";

const WEIGHTS: &str = "best.safetensors";
const STATE: &str = "best.json";

/// Rows that are not trained on.
pub(crate) struct HeldOut {
    pub(crate) rows: TokenRows,
    /// Steps between two measurements; absent for one after the last step.
    pub(crate) every: Option<u64>,
}

impl HeldOut {
    /// Returns whether a measurement is due after `step` steps, whatever the number of steps.
    pub(super) fn is_due_after(&self, step: u64) -> bool {
        self.every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Returns the mean loss of all learnt tokens, and the share of them that the model finds likeliest, by TRL's
    /// names.
    pub(super) fn measure(&self, model: &Model, micro_batch_tokens: usize) -> Result<Metrics, StageError> {
        let _guard = no_grad_guard();
        let lengths: Vec<usize> = self.rows.lengths().collect();
        let (mut log_prob, mut hits, mut tokens) = (0.0, 0.0, 0.0);
        for indices in micro_batches(&lengths, micro_batch_tokens) {
            let (rows, starts) = pack_rows(&self.rows, &indices)?;
            let predictions = rows.predictions_from(&starts);
            let (positions, targets) = predictions.to_device(model.device());
            let hidden_nd = model.hidden(&rows).index_select(0, &positions);
            let (sum, right) = head::score(model, &hidden_nd, &targets, head::CHUNK);
            log_prob += sum;
            hits += right;
            tokens += predictions.targets.len() as f64;
        }
        let tokens: f64 = f64::max(tokens, 1.0);
        let names = [(EVAL_LOSS, -log_prob / tokens), ("eval_mean_token_accuracy", hits / tokens)];
        Ok(names.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

/// When weights did best, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Found {
    /// Steps done.
    step: u64,
    measure: Measure,
}

/// How well weights did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Measure {
    EvalLoss(f64),
    EvalAccuracy(f64),
}

impl Measure {
    fn of(metrics: &Metrics) -> Option<Self> {
        let accuracy = metrics.get(EVAL_ACCURACY).copied().map(Self::EvalAccuracy);
        accuracy.or_else(|| metrics.get(EVAL_LOSS).copied().map(Self::EvalLoss))
    }

    fn is_better_than(self, other: Self) -> bool {
        match (self, other) {
            (Self::EvalLoss(new), Self::EvalLoss(old)) => new < old,
            (Self::EvalAccuracy(new), Self::EvalAccuracy(old)) => new > old,
            _ => false,
        }
    }
}

/// The weights that did best on held-out rows so far.
pub struct Best {
    /// The attempt's folder, which has the file.
    dir: PathBuf,
    found: Option<Found>,
}

impl Best {
    pub(super) fn none_yet(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), found: None }
    }

    /// Takes over what [`save`](Self::save) wrote into a checkpoint, if there is something.
    pub(super) fn restore(&mut self, checkpoint: &Path) -> Result<(), StageError> {
        if !checkpoint.join(STATE).exists() {
            return Ok(());
        }
        self.found = Some(serde_json::from_str(&fs_err::read_to_string(checkpoint.join(STATE))?)?);
        Ok(link(&checkpoint.join(WEIGHTS), &self.dir.join(WEIGHTS))?)
    }

    /// Keeps the weights if they did better than all before; of equal ones, the first are kept.
    pub(super) fn consider(
        &mut self,
        step: u64,
        metrics: &Metrics,
        parameters: &[(String, Tensor)],
    ) -> Result<(), StageError> {
        let Some(measure) = Measure::of(metrics) else { return Ok(()) };
        if self.found.is_some_and(|found| !measure.is_better_than(found.measure)) {
            return Ok(());
        }
        // The file is replaced and not overwritten: a checkpoint may have a link to the old one.
        let partial = self.dir.join(format!("{WEIGHTS}.partial"));
        save_tensors(&partial, parameters)?;
        fs_err::rename(partial, self.dir.join(WEIGHTS))?;
        self.found = Some(Found { step, measure });
        Ok(())
    }

    /// Adds the best weights so far to a checkpoint.
    pub(super) fn save(&self, checkpoint: &Path) -> Result<(), StageError> {
        let Some(found) = &self.found else { return Ok(()) };
        fs_err::write(checkpoint.join(STATE), serde_json::to_string(found)?)?;
        Ok(link(&self.dir.join(WEIGHTS), &checkpoint.join(WEIGHTS))?)
    }

    /// Sets those of `parameters` that were trained to the best weights, if any were measured. Returns when they did
    /// best and how well, for the summary.
    pub(super) fn copy_into(
        &self,
        parameters: &[(String, Tensor)],
    ) -> Result<Map<String, serde_json::Value>, StageError> {
        let Some(found) = &self.found else { return Ok(Map::new()) };
        let saved: BTreeMap<String, Tensor> = load_tensors(&self.dir.join(WEIGHTS))?.into_iter().collect();
        let trained = parameters.iter().filter(|(name, _)| saved.contains_key(name));
        let trained: Vec<_> = trained.map(|(name, parameter)| (name.clone(), parameter.shallow_clone())).collect();
        copy_into(&trained, &saved)?;
        let measure = match found.measure {
            Measure::EvalLoss(loss) => ("best-eval-loss", json!(loss)),
            Measure::EvalAccuracy(accuracy) => ("best-eval-accuracy", json!(accuracy)),
        };
        let shown = [("best-step", json!(found.step)), measure];
        Ok(shown.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
    }
}

/// Hard-links a file that will not change, or copies it if the file system has no hard links.
pub(crate) fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    fs_err::hard_link(from, to).or_else(|_| fs_err::copy(from, to).map(|_| ()))
}
