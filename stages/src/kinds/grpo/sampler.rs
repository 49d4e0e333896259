//! The sampling half of a policy: it samples groups of completions, scores them, and keeps the rollouts until all their
//! updates are done.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use engine::stage::{Context, StageError};
use lm::Model;
use lm::generate::Completion;
use serde::{Deserialize, Serialize};
use text::{Chat, Prompt};

use super::advantage::advantages;
use super::measure::Watch;
use super::rollout::Rollout;
use super::{Inputs, Params};
use crate::grading::Grader;
use crate::growing::GrowingRows;
use crate::loading::Loading;
use crate::rewards::{RewardBreakdown, Scored, Scorer};
use crate::sampling::{Draws, Question, draw, fitting, questions, requests, show_exemplars};
use crate::training::rows::Order;

/// Samples rollouts from the current weights.
pub(super) struct RolloutSampler<'a> {
    ctx: &'a Context,
    params: &'a Params,
    pub(super) chat: Chat,
    scorer: Scorer,
    questions: Vec<Question>,
    /// The length of each prompt, in tokens.
    pub(super) prompts: Vec<usize>,
    order: Order,
    state: State,
    growing: GrowingRows,
    watch: Watch,
    /// How long the newest rollout took.
    times: Times,
}

/// Seconds that a rollout took.
#[derive(Clone, Copy, Default)]
pub(super) struct Times {
    pub(super) sampling: f64,
    pub(super) scoring: f64,
}

/// What the next step needs apart from weights; it is part of the checkpoint.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// The current rollouts, whose updates are not all done.
    rollouts: Vec<Rollout>,
    /// Lines of output `rollouts` so far.
    kept: Vec<KeptRollout>,
}

/// The output with the lines.
const ROLLOUTS: &str = "rollouts";

/// A line of output `rollouts`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptRollout {
    prompt: Prompt,
    completion: String,
    /// The gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// Right, and in the wanted form; absent without a gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
    /// Whether it ended by itself.
    finished: bool,
    tokens: usize,
    step: u64,
    reward: f64,
    parts: BTreeMap<String, f64>,
    advantage: f64,
}

impl<'a> RolloutSampler<'a> {
    pub(super) fn load(
        ctx: &'a Context,
        inputs: &Inputs,
        params: &'a Params,
        model: &Model,
        loading: &Loading<'_>,
    ) -> Result<Self, StageError> {
        let chat = params.rendering.load(&inputs.model)?.with_stops(&params.stop);
        let positions = model.config.max_position_embeddings;
        let room = format!("the model's {positions} positions");
        let mut questions = questions(&inputs.prompts)?;
        show_exemplars(&mut questions, inputs.few_shot.as_ref(), &params.few, params.seed)?;
        let (questions, prompts) = fitting(ctx, questions, &chat, positions, &room)?;
        let per_rollout = params.prompts_per_step * params.updates_per_rollout as usize;
        let grader = Grader::load(questions.iter().map(|question| &question.row), params.form, loading)?;
        Ok(Self {
            ctx,
            params,
            chat,
            scorer: params.rewards.load(grader, loading)?,
            order: Order::new(params.seed, questions.len(), per_rollout),
            questions,
            prompts,
            state: State::default(),
            growing: GrowingRows::create(ctx, ROLLOUTS)?,
            watch: Watch::default(),
            times: Times::default(),
        })
    }

    /// Returns a range of the current rollouts.
    pub(super) fn rollouts(&self, range: &Range<usize>) -> &[Rollout] {
        &self.state.rollouts[range.clone()]
    }

    /// Returns all rollouts of the newest one.
    pub(super) fn all_rollouts(&self) -> &[Rollout] {
        &self.state.rollouts
    }

    pub(super) fn grader(&self) -> &Grader {
        self.scorer.grader()
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// Writes output `rollouts`.
    pub(super) fn finish(self) -> Result<(), StageError> {
        self.growing.finish("samples.jsonl")
    }

    /// Samples new rollouts from `model`, after `step` updates.
    pub(super) fn roll_out(&mut self, model: &Model, step: u64) -> Result<(), StageError> {
        let rollout = step / self.params.updates_per_rollout;
        let chosen = self.order.batch(rollout);
        self.state.rollouts = self.sample(model, &chosen, rollout, step)?;
        let kept = self.state.rollouts.iter().take(self.params.keep_groups * self.params.group_size);
        let kept = kept.map(|rollout| KeptRollout {
            prompt: self.questions[rollout.question].row.prompt.clone(),
            completion: rollout.completion.clone(),
            answer: self.questions[rollout.question].row.answer.clone(),
            correct: rollout.correct,
            finished: rollout.finished,
            tokens: rollout.completion_ids.len(),
            step,
            reward: rollout.reward,
            parts: rollout.parts.clone(),
            advantage: rollout.advantage,
        });
        let kept: Vec<KeptRollout> = kept.collect();
        self.growing.append(&kept)?;
        self.state.kept.extend(kept);
        let prompt = self.state.rollouts.first().map_or(&[][..], |rollout| &rollout.prompt_ids);
        let prompt = self.chat.tokenizer.decode(prompt);
        self.watch.look(self.ctx, self.params, &self.state.rollouts, &prompt);
        Ok(())
    }

    /// Samples and scores a group for each of `chosen`; `rollout` is the number of the rollout.
    fn sample(&mut self, model: &Model, chosen: &[usize], rollout: u64, step: u64) -> Result<Vec<Rollout>, StageError> {
        let (params, chat, begin) = (self.params, &self.chat, Instant::now());
        let draws = draws(params);
        let requests = requests(chat, &self.questions, chosen, &draws, rollout)?;
        // Some templates write `<think>` into the prompt; the text that is graded has it all the same.
        let text = |row: usize, completion: &Completion| {
            format!("{}{}", chat.opening(&requests[row].prompt), chat.completion_text(&completion.ids))
        };
        let of_question = |row: usize| chosen[row / params.group_size];
        let mut sampling = 0.0;
        let drawn = self.scorer.meanwhile(|run| {
            let drawn = draw(self.ctx, model, chat, &requests, &draws, &mut |row, completion| {
                run(&self.questions[of_question(row)].row, &|| text(row, completion));
            });
            self.ctx.doing("scoring", None);
            sampling = begin.elapsed().as_secs_f64();
            drawn
        })?;
        let texts: Vec<String> = drawn.iter().enumerate().map(|(row, completion)| text(row, completion)).collect();
        let scored: Vec<Scored<'_>> = drawn
            .iter()
            .enumerate()
            .map(|(row, completion)| Scored {
                prompt: &self.questions[of_question(row)].row,
                completion: &texts[row],
                finished: completion.finished,
                num_tokens: completion.ids.len(),
            })
            .collect();
        let breakdowns = self.scorer.score(step, &scored)?;
        self.times = Times { sampling, scoring: begin.elapsed().as_secs_f64() - sampling };
        let rewards: Vec<f64> = breakdowns.iter().map(|breakdown| breakdown.total).collect();
        let advantages = advantages(&rewards, params.group_size, params.scale);
        let mut rollouts = Vec::with_capacity(drawn.len());
        for (row, (completion, breakdown)) in drawn.into_iter().zip(breakdowns).enumerate() {
            let question = of_question(row);
            let asks_for_thought = self.questions[question].row.verify.wants_thought();
            let thinking_tokens = thinking_tokens(chat, &breakdown, asks_for_thought)?;
            rollouts.push(Rollout {
                question,
                prompt_ids: requests[row].prompt.clone(),
                completion_ids: completion.ids,
                logps: completion.logprobs,
                finished: completion.finished,
                completion: texts[row].clone(),
                reward: breakdown.total,
                parts: breakdown.parts.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect(),
                advantage: advantages[row],
                correct: breakdown.grade.verdict.map(|_| breakdown.grade.correct),
                format_ok: asks_for_thought.then_some(breakdown.grade.format_ok),
                thinking_tokens,
                gold_unparsed: breakdown.grade.gold_unparsed(),
            });
        }
        Ok(rollouts)
    }

    pub(super) fn save(&self, dir: &Path) -> Result<(), StageError> {
        Ok(fs_err::write(dir.join("rollouts.json"), serde_json::to_vec(&self.state)?)?)
    }

    pub(super) fn restore(&mut self, dir: &Path) -> Result<(), StageError> {
        self.state = serde_json::from_slice(&fs_err::read(dir.join("rollouts.json"))?)?;
        self.growing.append(&self.state.kept)
    }
}

fn draws(params: &Params) -> Draws {
    Draws {
        seed: params.seed,
        temperature: params.temperature,
        top_p: params.top_p,
        max_tokens: params.max_tokens,
        group_size: params.group_size,
        side_by_side: params.sampling_batch,
    }
}

/// Returns the length of the thought in tokens if one was asked for; 0 if it is not well formed.
fn thinking_tokens(chat: &Chat, breakdown: &RewardBreakdown, asked: bool) -> Result<Option<usize>, StageError> {
    match &breakdown.grade {
        _ if !asked => Ok(None),
        grade if grade.format_ok => Ok(Some(chat.tokenizer.encode(grade.reasoning.as_deref().unwrap_or(""))?.len())),
        _ => Ok(Some(0)),
    }
}
