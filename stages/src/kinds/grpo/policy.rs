//! The objective of `grpo`: a policy samples rollouts and learns from them, with the same weights.

use std::ops::Range;
use std::path::Path;

use engine::stage::{Context, Look, StageError};
use lm::checkpoint::{load_tensors, save_tensors};
use lm::{Config, Model, Options, Tensor, footprint};
use text::Chat;

use super::guards::Guards;
use super::learner::Learner;
use super::measure::measure;
use super::sampler::RolloutSampler;
use super::{Inputs, Params};
use crate::artifacts::load_model;
use crate::device::set_up;
use crate::grading::Grader;
use crate::loading::Loading;
use crate::sampling::{Agreement, questions, show_exemplars};
use crate::training::rows::{FORESEEN, LargestPasses, Order, PassSize};
use crate::training::{
    Asking, CURES, Counts, Cures, HeldOutPrompts, Logits, Metrics, Objective, Passes, Tally, Workload, copy_into,
    look_at_memory, options,
};

/// The file of a checkpoint that has what the guards have seen.
const GUARDS: &str = "guards.json";

pub(super) struct Policy<'a> {
    params: &'a Params,
    ctx: &'a Context,
    sampler: RolloutSampler<'a>,
    learner: Learner<'a>,
    held_out: Option<HeldOutPrompts>,
    guards: Guards,
    /// Updates done.
    done: u64,
}

/// The rollouts of one update.
pub(super) struct Minibatch {
    /// Indices into the current rollouts.
    rollouts: Range<usize>,
    /// The updates that were done when they were sampled.
    sampled_at: u64,
    /// Whether the weights are the same as then.
    is_on_policy: bool,
}

impl<'a> Policy<'a> {
    pub(super) fn load(ctx: &'a Context, inputs: &Inputs, params: &'a Params) -> Result<Self, StageError> {
        let device = set_up(ctx)?;
        let model = load_model(ctx, &inputs.model, device, params.optimisation.dtype)?;
        let loading = Loading::of(ctx, model.device(), params.judge_place, params.seed)?.with_jail(params.jail);
        let judge = params.judge.load(&loading)?;
        let loading = loading.with_judge(judge.as_ref()).with_verifier(params.verifier.as_ref());
        let sampler = RolloutSampler::load(ctx, inputs, params, &model, &loading)?;
        let held_out = held_out(ctx, (inputs, params), (&model, &sampler.chat), &loading)?;
        let graders = [Some(sampler.grader()), held_out.as_ref().map(HeldOutPrompts::grader)];
        Grader::warn_of_idle(ctx, &loading, &graders.into_iter().flatten().collect::<Vec<_>>());
        let learner = Learner::new(model, params);
        Ok(Self { params, ctx, sampler, learner, held_out, guards: Guards::default(), done: 0 })
    }

    pub(super) fn model(&self) -> &Model {
        &self.learner.model
    }

    pub(super) fn chat(&self) -> &Chat {
        &self.sampler.chat
    }

    /// Writes output `rollouts`, and output `answers` if there are held-out prompts.
    pub(super) fn write_rows(self) -> Result<(), StageError> {
        self.sampler.finish()?;
        self.held_out.map_or(Ok(()), HeldOutPrompts::finish)
    }
}

/// Reads the prompts of `eval-prompts`, if there are some. They are asked as those that are trained on.
fn held_out(
    ctx: &Context,
    (inputs, params): (&Inputs, &Params),
    model: (&Model, &Chat),
    loading: &Loading<'_>,
) -> Result<Option<HeldOutPrompts>, StageError> {
    if inputs.eval_prompts.is_empty() {
        return Ok(None);
    }
    let mut questions = questions(&inputs.eval_prompts)?;
    show_exemplars(&mut questions, inputs.few_shot.as_ref(), &params.few, params.seed)?;
    let asking = Asking {
        keys: &params.eval,
        seed: params.seed,
        max_tokens: params.max_tokens.greatest(),
        form: params.form,
        side_by_side: params.sampling_batch,
    };
    HeldOutPrompts::new(ctx, questions, model, asking, loading).map(Some)
}

/// Returns the sizes of the largest passes, if every completion of these prompts is as long as it may be.
fn passes(params: &Params, (config, options): (&Config, Options), prompts: &[usize]) -> Passes {
    let max_tokens = params.max_tokens.greatest();
    let row = |prompt: usize| PassSize { tokens: prompt + max_tokens, targets: max_tokens };
    let mut order = Order::new(params.seed, prompts.len(), params.prompts_per_step);
    let groups = (0..FORESEEN).map(|step| {
        let prompts = order.batch(step).into_iter().map(|prompt| row(prompts[prompt]));
        prompts.flat_map(|row| std::iter::repeat_n(row, params.group_size)).collect()
    });
    let largest = LargestPasses::of(groups, params.micro_batch_tokens);
    let rollouts = params.prompts_per_step * params.group_size * params.updates_per_rollout as usize;
    let longest = prompts.iter().max().copied().unwrap_or(0) + max_tokens;
    Passes {
        largest,
        recompute: params.optimisation.gradient_checkpointing,
        logits: if params.objective.entropy_bonus > 0.0 { Logits::Distributions(5) } else { Logits::OfTargets },
        sampling: footprint::cache(config, options, params.sampling_batch.min(rollouts), longest),
        is_bound: true,
        cures: Cures { sampling: &["sampling-batch", "max-tokens"], ..CURES },
    }
}

/// Tells how much memory a stage will hold whose model is not read yet, given the lengths of some prompts.
pub(super) fn look(look: &mut Look, config: &Config, prompts: &[usize], params: &Params) {
    let optimisation = &params.optimisation;
    let options = options(look, config, optimisation.dtype);
    let passes = passes(params, (config, options), prompts);
    let training = (optimisation, params.lora.as_ref());
    look_at_memory(look, (config, options), training, u64::from(params.objective.kl > 0.0), passes);
}

impl Objective for Policy<'_> {
    type Batch = Minibatch;

    fn parameters(&self) -> &[(String, Tensor)] {
        self.learner.model.parameters()
    }

    fn workload(&self) -> Workload<'_> {
        let (params, model) = (self.params, &self.learner.model);
        Workload { model, passes: passes(params, (&model.config, model.options()), &self.sampler.prompts) }
    }

    fn batch(&mut self, step: u64) -> Result<(Minibatch, Counts), StageError> {
        self.learner.refresh_reference(step);
        let position = (step % self.params.updates_per_rollout) as usize;
        if position == 0 {
            if step == 0
                && let Some(wrong) = self.sampler.probe()
            {
                self.guards.raise((self.ctx, self.params.guards), "probe", || wrong)?;
            }
            self.sampler.roll_out(&self.learner, step)?;
            let (rollouts, prompt) = (self.sampler.all_rollouts(), self.sampler.first_prompt());
            self.guards.look_at_rollout(self.ctx, self.params, rollouts, (&prompt, step))?;
            self.guards.alarm.add(rollouts);
        }
        self.done = step + 1;
        let size = self.params.prompts_per_step * self.params.group_size;
        let rollouts = position * size..(position + 1) * size;
        let batch = Minibatch { rollouts, sampled_at: step - position as u64, is_on_policy: position == 0 };
        let counts = self.learner.count(self.sampler.rollouts(&batch.rollouts));
        Ok((batch, counts))
    }

    fn accumulate(&self, batch: &Minibatch, whole: Counts) -> Result<Tally, StageError> {
        let rollouts = self.sampler.rollouts(&batch.rollouts);
        let mut tally = self.learner.learn(rollouts, whole, (batch.sampled_at, batch.is_on_policy));
        if batch.is_on_policy {
            self.sampler.measure(&mut tally);
        }
        measure(rollouts, self.params.group_size, &mut tally);
        Ok(tally)
    }

    fn check(&mut self, metrics: &Metrics) -> Result<(), StageError> {
        Agreement::check(metrics, self.params.max_logp_difference)?;
        self.guards.look_at_update(self.ctx, self.params, metrics)
    }

    fn has_held_out(&self) -> bool {
        self.held_out.is_some()
    }

    fn is_measured_after(&self, step: u64) -> bool {
        self.held_out.as_ref().is_some_and(|held_out| held_out.is_due_after(step))
    }

    fn measure(&mut self, step: u64) -> Result<Option<Metrics>, StageError> {
        let Some(held_out) = &mut self.held_out else { return Ok(None) };
        let metrics = held_out.measure(self.ctx, (&self.learner.model, &self.sampler.chat), step)?;
        let accuracy = metrics.get("eval_accuracy").copied().unwrap_or_default();
        if let Some(warning) = self.guards.alarm.look(step, accuracy, held_out.num_checked()) {
            self.guards.raise((self.ctx, self.params.guards), "judged", || warning)?;
        }
        Ok(Some(metrics))
    }

    fn keep_measured(&mut self) -> Result<(), StageError> {
        self.held_out.as_mut().map_or(Ok(()), HeldOutPrompts::keep)
    }

    fn save(&mut self, dir: &Path) -> Result<(), StageError> {
        self.sampler.save(dir)?;
        if let Some(held_out) = &mut self.held_out {
            held_out.save(dir)?;
        }
        fs_err::write(dir.join(GUARDS), serde_json::to_vec(&self.guards)?)?;
        if let Some(reference) = &self.learner.reference {
            save_tensors(&dir.join("reference.safetensors"), reference.parameters())?;
        }
        Ok(())
    }

    fn restore(&mut self, dir: &Path, step: u64) -> Result<(), StageError> {
        self.sampler.restore(dir)?;
        if let Some(held_out) = &mut self.held_out {
            held_out.restore(dir)?;
        }
        self.guards = serde_json::from_slice(&fs_err::read(dir.join(GUARDS))?)?;
        self.done = step;
        if let Some(reference) = &self.learner.reference {
            let saved = load_tensors(&dir.join("reference.safetensors"))?.into_iter().collect();
            copy_into(reference.parameters(), &saved)?;
        }
        Ok(())
    }
}
