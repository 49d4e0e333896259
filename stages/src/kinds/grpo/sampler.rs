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

use super::advantage::Advantages;
use super::learner::Learner;
use super::pass_rates::PassRates;
use super::probe::probe;
use super::refill::Groups;
use super::rollout::Rollout;
use super::source::{Position, PromptSource};
use super::{Inputs, Params};
use crate::grading::Grader;
use crate::growing::GrowingRows;
use crate::loading::Loading;
use crate::rewards::{RewardBreakdown, Scored, Scorer};
use crate::sampling::{Draws, Question, draw, fitting, questions, requests, show_exemplars};
use crate::training::Tally;

/// Samples rollouts from the current weights.
pub(super) struct RolloutSampler<'a> {
    ctx: &'a Context,
    params: &'a Params,
    pub(super) chat: Chat,
    scorer: Scorer,
    questions: Vec<Question>,
    /// The length of each prompt, in tokens.
    pub(super) prompts: Vec<usize>,
    source: PromptSource,
    state: State,
    growing: GrowingRows,
    /// What the newest rollout took.
    spent: Spent,
}

/// What a rollout took.
#[derive(Clone, Copy, Default)]
struct Spent {
    /// Seconds.
    sampling: f64,
    scoring: f64,
    /// Rounds of sampling after the first, and groups without signal that were replaced.
    refills: usize,
    replaced: usize,
}

/// What the next step needs apart from weights and kept rollouts; it is part of the checkpoint.
#[derive(Default, Serialize, Deserialize)]
struct State {
    /// The current rollouts, whose updates are not all done.
    rollouts: Vec<Rollout>,
    /// Which prompts come next.
    position: Position,
}

/// The output with the kept rollouts.
const ROLLOUTS: &str = "rollouts";

/// A line of output `rollouts`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct KeptRollout<'a> {
    prompt: &'a Prompt,
    completion: &'a str,
    /// The gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a str>,
    /// Right, and in the wanted form; absent without a gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
    /// Whether it ended by itself.
    finished: bool,
    /// What ended it: `end`, an end token; `text`, one of `stop`; `length`, the limit.
    stop_reason: &'static str,
    tokens: usize,
    step: u64,
    reward: f64,
    parts: &'a BTreeMap<String, f64>,
    advantage: f64,
    /// Sum of the sampler's log-probs of its tokens.
    logp: f64,
    /// Sum of the KL estimates of its tokens, where they are part of the reward.
    #[serde(skip_serializing_if = "Option::is_none")]
    kl: Option<f64>,
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
        let mut fitting = fitting(ctx, questions, &chat, positions, &room)?;
        let rates = PassRates::read(&inputs.pass_rates)?;
        if !inputs.pass_rates.is_empty() {
            fitting = rates.within(ctx, fitting, params.pass_rate)?;
        }
        let (questions, prompts) = fitting;
        let mut source = PromptSource::new(&questions, &inputs.prompts, params.mixture.as_deref(), params.seed)?;
        if params.curriculum {
            source.easiest_first(|row| rates.of(&questions[row]));
        }
        let grader = Grader::load(questions.iter().map(|question| &question.row), params.form, loading)?;
        Ok(Self {
            ctx,
            params,
            chat,
            scorer: params.rewards.load(grader, loading)?,
            source,
            questions,
            prompts,
            state: State::default(),
            growing: GrowingRows::create(ctx, ROLLOUTS)?,
            spent: Spent::default(),
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

    /// Adds what the newest rollout took.
    pub(super) fn measure(&self, tally: &mut Tally) {
        let Spent { sampling, scoring, refills, replaced } = self.spent;
        tally.most_of("step_time/sampling", [sampling]);
        tally.most_of("step_time/scoring", [scoring]);
        if self.params.refill > 0 {
            tally.most_of("refill/rounds", [refills as f64]);
            tally.most_of("refill/replaced_groups", [replaced as f64]);
        }
    }

    /// Writes output `rollouts`.
    pub(super) fn finish(self) -> Result<(), StageError> {
        self.growing.finish("samples.jsonl")
    }

    /// Samples new rollouts, after `step` updates. Groups without signal are replaced by those of further prompts in at
    /// most `refill` rounds.
    pub(super) fn roll_out(&mut self, learner: &Learner<'_>, step: u64) -> Result<(), StageError> {
        let params = self.params;
        let number = step / params.updates_per_rollout;
        self.spent = Spent::default();
        let mut groups = Groups::new(params.prompts_per_step * params.updates_per_rollout as usize, params.group_size);
        loop {
            let round = self.spent.refills as u64;
            let chosen = self.source.next(&mut self.state.position, step, groups.missing());
            // The same prompt in a later round is drawn anew.
            let sampled = self.sample(&learner.model, &chosen, number | round << 48, step)?;
            groups.add(sampled);
            if groups.missing() == 0 || self.spent.refills == params.refill {
                break;
            }
            self.spent.refills += 1;
        }
        self.spent.replaced = groups.replaced();
        let mut rollouts = groups.chosen();
        learner.estimate_kl(&mut rollouts, params.temperature.at(step));
        let kl = params.objective.kl;
        let paid: Vec<f64> =
            rollouts.iter().map(|rollout| rollout.reward - kl * rollout.kl.unwrap_or_default()).collect();
        let lengths: Vec<usize> = rollouts.iter().map(|rollout| rollout.completion_ids.len()).collect();
        let (baseline, scale) = (params.objective.baseline, params.objective.scale);
        let advantages = Advantages { group_size: params.group_size, baseline, scale }.of(&paid, &lengths);
        for (rollout, advantage) in rollouts.iter_mut().zip(advantages) {
            rollout.advantage = advantage;
        }
        self.state.rollouts = rollouts;
        self.keep(step)
    }

    /// Returns the text that the model was given for the first rollout.
    pub(super) fn first_prompt(&self) -> String {
        let prompt = self.state.rollouts.first().map_or(&[][..], |rollout| &rollout.prompt_ids);
        self.chat.tokenizer.decode(prompt)
    }

    /// Tries the rewards on texts that answer nothing; returns what is wrong with them, if something is.
    pub(super) fn probe(&self) -> Option<String> {
        let prompts: Vec<_> = self.questions.iter().map(|question| &question.row).collect();
        probe(&self.scorer, &prompts)
    }

    /// Writes rollouts to the output.
    fn keep(&mut self, step: u64) -> Result<(), StageError> {
        let kept = self.params.keep_groups.saturating_mul(self.params.group_size);
        let kept = self.state.rollouts.iter().take(kept).map(|rollout| {
            let question = &self.questions[rollout.question].row;
            let is_end = rollout.completion_ids.last().is_some_and(|id| self.chat.ends.contains(id));
            KeptRollout {
                prompt: &question.prompt,
                completion: &rollout.completion,
                answer: question.answer.as_deref(),
                correct: rollout.correct,
                finished: rollout.finished,
                stop_reason: match rollout.finished {
                    true if is_end => "end",
                    true => "text",
                    false => "length",
                },
                tokens: rollout.completion_ids.len(),
                step,
                reward: rollout.reward,
                parts: &rollout.parts,
                advantage: rollout.advantage,
                logp: rollout.logps.iter().map(|logp| f64::from(*logp)).sum(),
                kl: rollout.kl,
            }
        });
        self.growing.append(&kept.collect::<Vec<_>>())
    }

    /// Samples and scores a group for each of `chosen`; no other rollout has the number `rollout`. Advantages are still 0.
    fn sample(&mut self, model: &Model, chosen: &[usize], rollout: u64, step: u64) -> Result<Vec<Rollout>, StageError> {
        let (params, chat, begin) = (self.params, &self.chat, Instant::now());
        let draws = draws(params, step);
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
        self.spent.sampling += sampling;
        self.spent.scoring += begin.elapsed().as_secs_f64() - sampling;
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
                advantage: 0.0,
                kl: None,
                correct: breakdown.grade.verdict.map(|_| breakdown.grade.correct),
                format_ok: asks_for_thought.then_some(breakdown.grade.format_ok),
                thinking_tokens,
                gold_unparsed: breakdown.grade.gold_unparsed(),
            });
        }
        Ok(rollouts)
    }

    pub(super) fn save(&mut self, dir: &Path) -> Result<(), StageError> {
        fs_err::write(dir.join("rollouts.json"), serde_json::to_vec(&self.state)?)?;
        self.growing.save(dir)
    }

    pub(super) fn restore(&mut self, dir: &Path) -> Result<(), StageError> {
        self.state = serde_json::from_slice(&fs_err::read(dir.join("rollouts.json"))?)?;
        self.growing.restore(dir)
    }
}

fn draws(params: &Params, step: u64) -> Draws {
    Draws {
        seed: params.seed,
        temperature: params.temperature.at(step),
        top_p: params.top_p,
        max_tokens: params.max_tokens.at(step),
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
