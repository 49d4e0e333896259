//! Runs a reward model: which tokens it reads, and its scores in batches.

use engine::artifact::RewardModel;
use engine::stage::{Input, StageError, warn};
use tch::Device;
use text::{Chat, Prompt};

use super::{Graded, Reward};
use crate::artifacts::{check_numbers, dtype_of};
use crate::held::Held;
use crate::loading::Loading;
use crate::opinions::Reads;

/// Most tokens in one forward pass. The head gives one number for each row, so this bounds only the activations.
const TOKENS_PER_BATCH: usize = 16_384;

/// Returns the tokens that a reward model reads for a completion, and how many of them are the prompt's. Training and
/// scoring both use it.
pub fn judged_ids(
    chat: &Chat,
    prompt: &Prompt,
    completion: &str,
    reads: Reads,
) -> Result<(Vec<i64>, usize), text::Error> {
    let read = reads.of(completion);
    // Values may be for the policy's template: the reward model's need not read them.
    let mut args = prompt.template_args().cloned().unwrap_or_default();
    args.retain(|name, _| chat.template.as_ref().is_some_and(|template| template.names(name)));
    let prompt = Prompt::of_turns(prompt.turns().into_owned()).with_template_args(args);
    let mut ids = chat.prompt_ids(&prompt)?;
    let of_prompt = ids.len();
    ids.extend(chat.completion_ids(&ids, read)?);
    Ok((ids, of_prompt))
}

/// A loaded reward model.
pub struct LoadedRewardModel {
    model: Held<lm::reward::RewardModel>,
    chat: Chat,
    reads: Reads,
}

impl LoadedRewardModel {
    /// Loads the reward model and its tokenizer.
    pub fn load(input: &Input<RewardModel>, reads: Reads, loading: &Loading<'_>) -> Result<Self, StageError> {
        let options = lm::Options { device: loading.device, dtype: dtype_of(None, input.path())? };
        let chat = Chat::load(input.path())?;
        let input = input.clone();
        let load = move || {
            let model = lm::reward::RewardModel::load(input.path(), &options)?;
            if let Some(warning) = check_numbers(&input, model.network())? {
                warn(&warning);
            }
            Ok(model)
        };
        Ok(Self { model: Held::load(load, !loading.offload)?, chat, reads })
    }

    /// Returns the probability that each (prompt, completion) is good: the sigmoid of the model's score.
    pub fn probabilities(&self, rows: &[(&Prompt, &str)]) -> Result<Vec<f64>, StageError> {
        let ids = rows.iter().map(|(prompt, completion)| Ok(judged_ids(&self.chat, prompt, completion, self.reads)?.0));
        let ids = ids.collect::<Result<Vec<_>, text::Error>>()?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.model.with(|model| {
            let mut probabilities = Vec::with_capacity(ids.len());
            for batch in batches(&ids) {
                let scores = tch::no_grad(|| model.scores(&lm::Rows::pack(batch)));
                let scores = Vec::<f64>::try_from(scores.sigmoid().to_kind(tch::Kind::Double).to_device(Device::Cpu))?;
                probabilities.extend(scores);
            }
            Ok(probabilities)
        })
    }
}

/// Cuts rows into batches of at most [`TOKENS_PER_BATCH`] tokens, or one longer row.
fn batches(rows: &[Vec<i64>]) -> Vec<&[Vec<i64>]> {
    let mut batches = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        if tokens + row.len() > TOKENS_PER_BATCH && index > start {
            batches.push(&rows[start..index]);
            (start, tokens) = (index, 0);
        }
        tokens += row.len();
    }
    if start < rows.len() {
        batches.push(&rows[start..]);
    }
    batches
}

/// A reward from a reward model: `helpful` and `harmless`.
pub(super) struct Preference {
    pub(super) model: LoadedRewardModel,
    /// The reward does not apply to prompts of this `task`: the other model judges them (R1 v2, section 3.1).
    pub(super) not_for: &'static str,
}

impl Reward for Preference {
    fn score(&self, rows: &[&Graded<'_>]) -> Result<Vec<Option<f64>>, StageError> {
        let mut scores = vec![None; rows.len()];
        let mut judged = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            if row.scored.prompt.task.as_deref() != Some(self.not_for) {
                // A truncated completion scores 0, however well it begins.
                scores[index] = Some(0.0);
                if row.scored.finished {
                    judged.push(index);
                }
            }
        }
        let texts: Vec<_> =
            judged.iter().map(|index| (&rows[*index].scored.prompt.prompt, rows[*index].scored.completion)).collect();
        for (index, probability) in judged.into_iter().zip(self.model.probabilities(&texts)?) {
            scores[index] = Some(probability);
        }
        Ok(scores)
    }
}
