//! The training loop that all trainers share: accumulate gradients, clip, AdamW, report, checkpoint.
//!
//! Trainers differ in their [`Objective`]. A step must not depend on the total number of steps, so that `steps` can be
//! raised later; the end of a schedule is a separate key, `decay-steps`.
//!
//! ```text
//! checkpoint/
//! ├── weights.safetensors     every trained parameter
//! ├── optimizer.safetensors   AdamW's moments and step
//! ├── state.json              steps done
//! ├── best.safetensors        with held-out rows: the parameters that did best on them so far
//! ├── best.json               with held-out rows: when, and how well
//! └── …                       what the objective adds
//! ```

mod cures;
mod examined;
mod export;
mod fine_tune;
mod held_out;
mod held_out_prompts;
mod lora;
mod memory;
mod optimisation;
pub(crate) mod rows;
mod supervised;
pub(crate) mod tokenise;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use engine::stage::{Context, StageError};
use lm::checkpoint::{load_tensors, save_tensors};
use lm::{AdamW, Group, Tensor, clip_grad_norm, no_grad_guard, zero_grad};
use serde_json::json;

pub use crate::tally::{Counts, Metrics, Tally, deviation};
pub use cures::{CURES, Cures};
pub(crate) use export::{export, export_trained, shown};
pub use fine_tune::FineTuning;
pub(crate) use fine_tune::{fine_tune, steps_of, train_rows};
pub use held_out::Best;
pub(crate) use held_out::{HeldOut, link};
pub use held_out_prompts::EvalKeys;
pub(crate) use held_out_prompts::{Asking, HeldOutPrompts};
use lora::Adapted;
pub use lora::{Adapters, Lora, check_keys};
use memory::Expected;
pub use memory::{Logits, Passes, Workload};
pub(crate) use memory::{look_at_memory, options};
pub use optimisation::{Optimisation, ScheduleShape};
pub(crate) use supervised::Supervised;

/// What is trained, and its loss.
///
/// A step has two phases. [`batch`](Objective::batch) returns this rank's part of the batch with its counts;
/// [`accumulate`](Objective::accumulate) divides by the counts of the whole batch. So an objective does not depend on
/// the number of ranks.
pub trait Objective {
    /// This rank's part of a step's batch.
    type Batch;

    /// Returns the parameters, sorted by name.
    fn parameters(&self) -> &[(String, Tensor)];

    /// Returns the parameters that accumulate gradients over passes.
    fn leaves(&self) -> Vec<&Tensor> {
        self.parameters().iter().map(|(_, parameter)| parameter).filter(|leaf| leaf.requires_grad()).collect()
    }

    /// Returns the size of the objective's largest pass.
    fn workload(&self) -> Workload<'_>;

    /// Draws or samples the batch of update `step` (from 0), and counts it.
    fn batch(&mut self, step: u64) -> Result<(Self::Batch, Counts), StageError>;

    /// Adds the gradients of a batch to the parameters, and returns what was measured. The loss is divided by `whole`,
    /// the counts of all ranks together.
    fn accumulate(&self, batch: &Self::Batch, whole: Counts) -> Result<Tally, StageError>;

    /// Fails where the measurements of a step say that its gradients are not to be used.
    fn check(&mut self, _metrics: &Metrics) -> Result<(), StageError> {
        Ok(())
    }

    /// Returns whether there are held-out rows or prompts.
    fn has_held_out(&self) -> bool {
        false
    }

    /// Returns whether held-out rows are measured after `step` steps, whatever the number of steps.
    fn is_measured_after(&self, _step: u64) -> bool {
        false
    }

    /// Measures held-out rows with the parameters after `step` steps, if there are any.
    fn measure(&mut self, _step: u64) -> Result<Option<Metrics>, StageError> {
        Ok(None)
    }

    /// Keeps the rows of the newest measurement for an output.
    fn keep_measured(&mut self) -> Result<(), StageError> {
        Ok(())
    }

    /// Writes the state that the next step needs apart from parameters and optimiser; [`restore`](Objective::restore)
    /// reads it.
    fn save(&mut self, _dir: &Path) -> Result<(), StageError> {
        Ok(())
    }

    /// Reads what [`save`](Objective::save) wrote.
    fn restore(&mut self, _dir: &Path, _step: u64) -> Result<(), StageError> {
        Ok(())
    }
}

/// How far to train, and how.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// Total number of updates, including those before the attempt's checkpoint.
    pub steps: u64,
    /// Peak learning rate.
    pub lr: f64,
    /// The optimiser and its schedule.
    pub optimisation: &'a Optimisation,
    /// Adapters to train instead of all weights.
    pub lora: Option<&'a Lora>,
    /// Seed of the adapters' initial weights.
    pub seed: u64,
}

/// How training ended, if without an error.
#[expect(clippy::large_enum_variant, reason = "a stage makes one of it")]
pub enum Ended {
    /// All steps are done.
    Done {
        /// Metrics of the last step.
        metrics: Metrics,
        /// Adapters, if they were trained instead of all weights; the model holds the merged weights.
        adapters: Option<Adapters>,
        /// The parameters that did best on held-out rows; none if there are no such rows.
        best: Best,
    },
    /// The engine asked for a stop after this many steps.
    Stopped(u64),
}

/// Trains on an objective, from the attempt's checkpoint if it has one.
pub fn train(ctx: &Context, objective: &mut impl Objective, training: &Training<'_>) -> Result<Ended, StageError> {
    let Some(lora) = training.lora else {
        let reached = train_parameters(ctx, objective, training)?;
        return Ok(reached.into_ended(None));
    };
    let passes = objective.workload().model.passes().share();
    let adapters = Adapters::draw(objective.parameters(), &passes, lora, training.seed)?;
    let mut adapted = Adapted { inner: objective, adapters, seed: training.seed };
    let reached = train_parameters(ctx, &mut adapted, training)?;
    adapted.adapters.merge();
    Ok(reached.into_ended(Some(adapted.adapters)))
}

/// How the loop ended.
enum Reached {
    End(Metrics, Best),
    Stop(u64),
}

impl Reached {
    fn into_ended(self, adapters: Option<Adapters>) -> Ended {
        match self {
            Self::End(metrics, best) => Ended::Done { metrics, adapters, best },
            Self::Stop(step) => Ended::Stopped(step),
        }
    }
}

fn train_parameters(
    ctx: &Context,
    objective: &mut impl Objective,
    training: &Training<'_>,
) -> Result<Reached, StageError> {
    let Training { steps, lr, optimisation, .. } = *training;
    let schedule = optimisation.schedule(lr)?;
    let trained = optimisation.trained(objective.parameters())?;
    let group = Group::Alone;
    let memory = Expected::of(objective)?;
    memory.tell(ctx)?;
    memory.begin()?;
    let mut optimiser = AdamW::new(&trained, optimisation.adamw());
    let mut metrics = Metrics::new();
    let mut best = Best::none_yet(ctx.dir());
    let mut done = resume(ctx, objective, (&trained, &mut optimiser, &mut best))?;
    while done < steps {
        let begin = Instant::now();
        let (batch, own) = objective.batch(done)?;
        ctx.doing("training", None);
        metrics = objective.accumulate(&batch, own.over(&group))?.over(&group);
        group.sum_gradients(&trained);
        objective.check(&metrics)?;
        let lr = schedule.lr(done);
        let norm = update(&trained, &mut optimiser, optimisation.max_grad_norm, lr)?;
        guard(done, &metrics, norm)?;
        done += 1;
        metrics.insert("grad_norm".to_owned(), norm);
        metrics.insert("learning_rate".to_owned(), lr);
        metrics.insert("step_time".to_owned(), begin.elapsed().as_secs_f64());
        memory.measure(&mut metrics)?;
        let is_due = objective.is_measured_after(done);
        if is_due || done == steps {
            if objective.has_held_out() {
                ctx.doing("evaluating", None);
            }
            metrics.extend(measured(objective, done)?);
        }
        if is_due {
            best.consider(done, &metrics, &trained)?;
            objective.keep_measured()?;
        }
        ctx.progress(done, steps, "step", metrics.clone());
        // The last step always has a checkpoint, from which training continues when `steps` is raised.
        if done == steps || ctx.checkpoint_due(done) {
            ctx.doing("saving", None);
            ctx.checkpoint(done, |dir| {
                save(&trained, &optimiser, done, dir)?;
                best.save(dir)?;
                objective.save(dir)
            })?;
        }
        if done < steps && ctx.stop_requested() {
            return Ok(Reached::Stop(done));
        }
    }
    // A resumed attempt held weights and moments twice while it read the checkpoint, so its peak is not checked.
    if ctx.resume().is_none() {
        memory.check(ctx)?;
    }
    if metrics.is_empty() {
        // The attempt resumed after its last step.
        metrics = measured(objective, done)?;
    }
    // Not before the checkpoint: see `held_out.rs`.
    best.consider(done, &metrics, &trained)?;
    if done == 0 || !objective.is_measured_after(done) {
        objective.keep_measured()?;
    }
    Ok(Reached::End(metrics, best))
}

/// Restores the attempt's checkpoint, if it has one, and returns the number of steps done.
fn resume(
    ctx: &Context,
    objective: &mut impl Objective,
    (trained, optimiser, best): (&[(String, Tensor)], &mut AdamW, &mut Best),
) -> Result<u64, StageError> {
    let Some(resume) = ctx.resume() else { return Ok(0) };
    restore(trained, optimiser, &resume.dir)?;
    best.restore(&resume.dir)?;
    objective.restore(&resume.dir, resume.step)?;
    Ok(resume.step)
}

/// Measures held-out rows after `step` steps; there may be none.
fn measured(objective: &mut impl Objective, step: u64) -> Result<Metrics, StageError> {
    let begin = Instant::now();
    let Some(mut metrics) = objective.measure(step)? else { return Ok(Metrics::new()) };
    guard(step, &metrics, 0.0)?;
    metrics.insert("eval_runtime".to_owned(), begin.elapsed().as_secs_f64());
    Ok(metrics)
}

/// Applies the accumulated gradients, and returns their norm before clipping. Without gradients, nothing changes.
fn update(parameters: &[(String, Tensor)], optimiser: &mut AdamW, max_norm: f64, lr: f64) -> Result<f64, StageError> {
    if !parameters.iter().any(|(_, parameter)| parameter.grad().defined()) {
        return Ok(0.0);
    }
    let norm = clip_grad_norm(parameters, max_norm)?;
    if norm.is_finite() {
        optimiser.step(lr)?;
    }
    zero_grad(parameters)?;
    Ok(norm)
}

fn guard(step: u64, metrics: &Metrics, norm: f64) -> Result<(), StageError> {
    let broken = metrics.iter().find(|(_, value)| !value.is_finite()).map(|(name, value)| (name.as_str(), *value));
    let broken = broken.or_else(|| (!norm.is_finite()).then_some(("grad_norm", norm)));
    broken.map_or(Ok(()), |(name, value)| {
        Err(StageError::new(format!("step {step}: `{name}` is {value}"))
            .with_help("training has diverged: lower `lr`, lengthen `warmup-steps`, or look at the data of this step"))
    })
}

fn save(parameters: &[(String, Tensor)], optimiser: &AdamW, step: u64, dir: &Path) -> Result<(), StageError> {
    save_tensors(&dir.join("weights.safetensors"), parameters)?;
    save_tensors(&dir.join("optimizer.safetensors"), &optimiser.state())?;
    fs_err::write(dir.join("state.json"), json!({ "step": step }).to_string())?;
    Ok(())
}

fn restore(parameters: &[(String, Tensor)], optimiser: &mut AdamW, dir: &Path) -> Result<(), StageError> {
    let weights: BTreeMap<String, Tensor> = load_tensors(&dir.join("weights.safetensors"))?.into_iter().collect();
    copy_into(parameters, &weights)?;
    optimiser.restore(&load_tensors(&dir.join("optimizer.safetensors"))?)?;
    Ok(())
}

/// Copies saved tensors over parameters of the same names.
pub(crate) fn copy_into(parameters: &[(String, Tensor)], saved: &BTreeMap<String, Tensor>) -> Result<(), StageError> {
    let _guard = no_grad_guard();
    for (name, parameter) in parameters {
        let saved = saved.get(name).ok_or_else(|| StageError::new(format!("the checkpoint lacks `{name}`")))?;
        if saved.size() != parameter.size() {
            return Err(StageError::new(format!("the checkpoint's `{name}` has another shape")));
        }
        parameter.shallow_clone().copy_(saved);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_number_stops_training_and_says_which() {
        let metrics = Metrics::from([("loss".to_owned(), f64::NAN)]);
        let error = guard(7, &metrics, 1.0).unwrap_err();
        assert_eq!(error.message, "step 7: `loss` is NaN");
        assert!(error.help.is_some());
        assert_eq!(guard(7, &Metrics::new(), f64::INFINITY).unwrap_err().message, "step 7: `grad_norm` is inf");
        assert!(guard(7, &Metrics::from([("loss".to_owned(), 1.0)]), 1.0).is_ok());
    }
}
