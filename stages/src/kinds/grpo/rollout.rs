//! Rollouts: samples groups of completions for prompts, and scores them. A rollout contains everything that its updates
//! read, so all of it is stored in the checkpoint.

use std::collections::BTreeMap;

use engine::stage::StageError;
use lm::{Model, Tensor};
use serde::{Deserialize, Serialize};
use text::Chat;

use super::Params;
use super::advantage::advantages;
use crate::rewards::{RewardBreakdown, Scored, Scorer};
use crate::sampling::Question;
use crate::sampling::{Draws, draw};

/// A completion with its score and its other measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollout {
    /// Index of its question.
    pub(super) question: usize,
    /// Prompt tokens.
    pub(super) prompt_ids: Vec<i64>,
    /// Completion tokens, including the stop token if it finished.
    pub(super) completion_ids: Vec<i64>,
    /// The sampler's log-probs of the completion tokens.
    pub(super) logps: Vec<f32>,
    pub(super) finished: bool,
    pub(super) completion: String,
    pub(super) reward: f64,
    pub(super) parts: BTreeMap<String, f64>,
    pub(super) advantage: f64,
    /// Whether the answer is right; absent without a gold answer.
    pub(super) correct: Option<bool>,
    pub(super) format_ok: Option<bool>,
    pub(super) thinking_tokens: Option<usize>,
    pub(super) gold_unparsed: bool,
}

/// Samples and scores a group for each of `chosen`.
#[expect(clippy::too_many_arguments, reason = "each is a different thing, used once")]
pub(super) fn roll_out(
    model: &Model,
    chat: &Chat,
    scorer: &Scorer,
    questions: &[Question],
    chosen: &[usize],
    params: &Params,
    rollout: u64,
    step: u64,
) -> Result<Vec<Rollout>, StageError> {
    let draws = Draws {
        seed: params.seed,
        temperature: params.temperature,
        max_tokens: params.max_tokens,
        group_size: params.group_size,
        side_by_side: params.sampling_batch,
    };
    let (requests, drawn) = draw(model, chat, questions, chosen, &draws, rollout)?;
    // Some templates put `<think>` into the prompt. The graded text includes it, too.
    let opening = chat.opening();
    let texts: Vec<String> =
        drawn.iter().map(|completion| format!("{opening}{}", chat.completion_text(&completion.ids))).collect();
    let of_question = |row: usize| chosen[row / params.group_size];
    let scored: Vec<Scored<'_>> = drawn
        .iter()
        .enumerate()
        .map(|(row, completion)| Scored {
            prompt: &questions[of_question(row)].row,
            completion: &texts[row],
            finished: completion.finished,
            num_tokens: completion.ids.len(),
        })
        .collect();
    let breakdowns = scorer.score(step, &scored)?;
    let rewards: Vec<f64> = breakdowns.iter().map(|breakdown| breakdown.total).collect();
    let advantages = advantages(&rewards, params.group_size, params.scale);
    let mut rollouts = Vec::with_capacity(drawn.len());
    for (row, (completion, breakdown)) in drawn.into_iter().zip(breakdowns).enumerate() {
        let question = of_question(row);
        let asks_for_thought = questions[question].row.verify.wants_thought();
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

/// Returns the thought's length in tokens where a thought was asked for; 0 if it is not well formed.
fn thinking_tokens(chat: &Chat, breakdown: &RewardBreakdown, asked: bool) -> Result<Option<usize>, StageError> {
    match &breakdown.grade {
        _ if !asked => Ok(None),
        grade if grade.format_ok => Ok(Some(chat.tokenizer.encode(grade.reasoning.as_deref().unwrap_or(""))?.len())),
        _ => Ok(Some(0)),
    }
}

/// A micro-batch in tensors.
pub(super) struct MicroBatch {
    pub(super) rows: lm::Rows,
    pub(super) positions: Tensor,
    pub(super) targets: Tensor,
    /// Log-probs of the old policy, which sampled, [tokens].
    pub(super) old_logps: Tensor,
    /// Advantage of each token's completion, [tokens].
    pub(super) advantages: Tensor,
    /// Weight of each token in the loss, [tokens].
    pub(super) weights: Tensor,
}

impl MicroBatch {
    /// Packs `rollouts`; `weight` returns the weight of each token of a completion.
    pub(super) fn pack(rollouts: &[&Rollout], weight: impl Fn(&Rollout) -> f64, device: lm::Device) -> Self {
        let mut rows = lm::Rows::default();
        let (mut starts, mut old, mut advantages, mut weights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for rollout in rollouts {
            let mut ids = rollout.prompt_ids.clone();
            starts.push(ids.len() as i64);
            ids.extend(&rollout.completion_ids);
            rows.push(&ids);
            let tokens = rollout.completion_ids.len();
            old.extend(&rollout.logps);
            advantages.extend(std::iter::repeat_n(rollout.advantage as f32, tokens));
            weights.extend(std::iter::repeat_n(weight(rollout) as f32, tokens));
        }
        let predictions = rows.predictions_from(&starts);
        let (positions, targets) = predictions.to_device(device);
        let floats = |values: &[f32]| Tensor::from_slice(values).to_device(device);
        Self {
            rows,
            positions,
            targets,
            old_logps: floats(&old),
            advantages: floats(&advantages),
            weights: floats(&weights),
        }
    }
}
