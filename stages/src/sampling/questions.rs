//! Prompts of several sets, and their order.

use std::collections::HashMap;

use engine::artifact::Prompts;
use engine::stage::{Input, StageError};
use text::Prompt;

use crate::artifacts::{PromptRow, read_prompts};

/// A prompt to be sampled.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) row: PromptRow,
    /// Short digest of the prompt's set. Names are not part of an action, so they must not reach an output.
    pub(crate) source: String,
    /// Index of the prompt's set.
    pub(crate) set: usize,
    /// Number of equal prompts before this one, so that each gets different draws.
    pub(crate) occurrence: u64,
    /// What the model is given in place of the row's prompt: with exemplars before it, or a request to rewrite a
    /// sample.
    pub(crate) asked_instead: Option<Prompt>,
}

impl Question {
    /// Returns the prompt that the model is given.
    pub(crate) fn asked(&self) -> &Prompt {
        self.asked_instead.as_ref().unwrap_or(&self.row.prompt)
    }

    /// Returns how messages name it.
    pub(crate) fn named(&self) -> String {
        format!("prompt `{}` of `{}`", self.row.id, self.row.source)
    }
}

/// Reads the prompts of every set, one after the other.
pub(crate) fn questions(inputs: &[Input<Prompts>]) -> Result<Vec<Question>, StageError> {
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut questions = Vec::new();
    for (set, input) in inputs.iter().enumerate() {
        let source: String = input.artifact.digest.chars().take("b3:".len() + 12).collect();
        for row in read_prompts(input)? {
            let count = seen.entry(row.prompt.key().into_owned()).or_default();
            questions.push(Question { row, source: source.clone(), set, occurrence: *count, asked_instead: None });
            *count += 1;
        }
    }
    if questions.is_empty() {
        let names = inputs.iter().map(Input::name).collect::<Vec<_>>().join("`, `");
        return Err(StageError::new(format!("`{names}` holds no prompts")));
    }
    Ok(questions)
}

/// Orders questions by a hash of seed and prompt.
pub(crate) fn shuffle(questions: &mut [Question], seed: u64) {
    questions.sort_by_cached_key(|question| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"order").update(&seed.to_le_bytes()).update(&question.occurrence.to_le_bytes());
        *hasher.update(question.row.prompt.key().as_bytes()).finalize().as_bytes()
    });
}
