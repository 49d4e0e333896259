//! A rollout: a completion with its reward. It contains everything that its updates read, so all of it is stored in the
//! checkpoint.

use std::collections::BTreeMap;

use lm::Tensor;
use serde::{Deserialize, Serialize};

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
    /// Sum of the KL estimates of its tokens, where they are part of the reward.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) kl: Option<f64>,
    /// Whether the answer is right; absent without a gold answer.
    pub(super) correct: Option<bool>,
    pub(super) format_ok: Option<bool>,
    pub(super) thinking_tokens: Option<usize>,
    pub(super) gold_unparsed: bool,
}

impl Rollout {
    /// Returns the length of prompt and completion, in tokens.
    pub(super) fn num_tokens(&self) -> usize {
        self.prompt_ids.len() + self.completion_ids.len()
    }
}

/// Prompts are shared if that saves this share of a micro-batch's tokens: attention runs over copies of them, which take
/// time and memory.
const WORTHWHILE: f64 = 0.2;

/// One micro-batch in tensors.
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
    /// The number of tokens of each completion.
    lengths: Vec<i64>,
}

impl MicroBatch {
    /// Packs `rollouts`; `weight` returns the weight of each token of a completion. Rollouts of one prompt that follow one
    /// another share its tokens, where that saves enough.
    pub(super) fn pack(rollouts: &[&Rollout], weight: impl Fn(&Rollout) -> f64, device: lm::Device) -> Self {
        let mut rows = lm::Rows::default();
        let (mut starts, mut old, mut advantages, mut weights) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let lengths = rollouts.iter().map(|rollout| rollout.completion_ids.len() as i64).collect();
        let all: usize = rollouts.iter().map(|rollout| rollout.num_tokens()).sum();
        let repeated = rollouts.windows(2).filter(|pair| pair[0].prompt_ids == pair[1].prompt_ids);
        let saved: usize = repeated.map(|pair| pair[1].prompt_ids.len()).sum();
        let is_worthwhile = saved as f64 >= WORTHWHILE * all as f64;
        // An empty prompt is not shared.
        let mut prompt: &[i64] = &[];
        for rollout in rollouts {
            starts.push(rollout.prompt_ids.len() as i64);
            if is_worthwhile && !prompt.is_empty() && rollout.prompt_ids == prompt {
                rows.push_sharing(prompt.len(), &rollout.completion_ids);
            } else {
                prompt = &rollout.prompt_ids;
                rows.push(&[prompt, &rollout.completion_ids].concat());
            }
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
            lengths,
        }
    }

    /// Splits a tensor over the tokens into one for each completion.
    pub(super) fn each(&self, values: &Tensor) -> Vec<Tensor> {
        values.split_with_sizes(&self.lengths[..], 0)
    }

    /// Returns the mean of `values` over each token's completion, [tokens].
    pub(super) fn mean_of_each(&self, values: &Tensor) -> Tensor {
        let means = self.each(values).into_iter().map(|values| values.mean(None::<lm::Kind>).expand_as(&values));
        Tensor::cat(&means.collect::<Vec<_>>(), 0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a rollout without tokens.
    pub(in super::super) fn rollout() -> Rollout {
        Rollout {
            question: 0,
            prompt_ids: Vec::new(),
            completion_ids: Vec::new(),
            logps: Vec::new(),
            finished: true,
            completion: String::new(),
            reward: 0.0,
            parts: BTreeMap::new(),
            advantage: 0.0,
            kl: None,
            correct: None,
            format_ok: None,
            thinking_tokens: None,
            gold_unparsed: false,
        }
    }
}
