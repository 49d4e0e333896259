//! What to ask, and in which order: prompts of several sets, exemplars before them.

use std::collections::HashMap;

use engine::artifact::Prompts;
use engine::stage::{Input, StageError};

use crate::artifacts::{PromptRow, SampleRow, read_prompts};

/// A prompt to be sampled.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) row: PromptRow,
    /// Short digest of its set: names are no part of an action, so they must not reach an output.
    pub(crate) source: String,
    /// How many equal prompts come before it, so that an equal prompt gets other draws.
    pub(crate) occurrence: u64,
}

/// Reads the prompts of every set, one after the other.
pub(crate) fn questions(inputs: &[Input<Prompts>]) -> Result<Vec<Question>, StageError> {
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut questions = Vec::new();
    for input in inputs {
        let source: String = input.artifact.digest.chars().take("b3:".len() + 12).collect();
        for row in read_prompts(input)? {
            let count = seen.entry(row.prompt.clone()).or_default();
            questions.push(Question { row, source: source.clone(), occurrence: *count });
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
        *hasher.update(question.row.prompt.as_bytes()).finalize().as_bytes()
    });
}

/// Worked examples to show before a prompt.
pub(super) struct Exemplars {
    rows: Vec<SampleRow>,
    shots: usize,
    seed: u64,
}

impl Exemplars {
    pub(super) fn new(rows: Vec<SampleRow>, shots: usize, seed: u64, name: &str) -> Result<Self, StageError> {
        // One more, as an exemplar that is the prompt itself is passed over.
        if rows.len() <= shots {
            return Err(StageError::new(format!("`{name}` has {} samples, too few for {shots} shots", rows.len()))
                .with_help("lower `shots`, or give more exemplars than that"));
        }
        Ok(Self { rows, shots, seed })
    }

    /// Returns the prompt with exemplars before it, a line each for question and answer.
    pub(super) fn before(&self, prompt: &str) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"exemplars").update(&self.seed.to_le_bytes()).update(prompt.as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        let start = (u64::from_le_bytes(bytes) % self.rows.len() as u64) as usize;
        let others = self.rows.iter().cycle().skip(start).take(self.rows.len()).filter(|row| row.prompt != prompt);
        let mut text = String::new();
        for row in others.take(self.shots) {
            text.extend([row.prompt.as_str(), "\n", &row.completion, "\n"]);
        }
        text + prompt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exemplars_come_first_and_never_hold_the_prompt() {
        let rows = (0..5).map(|digit| SampleRow::new(format!("{digit}=?"), digit.to_string())).collect();
        let exemplars = match Exemplars::new(rows, 4, 7, "x.samples") {
            Ok(exemplars) => exemplars,
            Err(error) => panic!("{}", error.message),
        };
        for digit in 0..5 {
            let prompt = format!("{digit}=?");
            let text = exemplars.before(&prompt);
            assert_eq!(text.lines().count(), 9, "{text}");
            assert_eq!(text.matches(&prompt).count(), 1, "{text}");
            assert!(text.ends_with(&prompt), "{text}");
        }
        let text = |digit: usize| exemplars.before(&format!("{digit}+1=?"));
        let first: std::collections::BTreeSet<_> =
            (0..20).map(|digit| text(digit).lines().next().map(str::to_owned)).collect();
        assert!(first.len() > 1, "prompts see different exemplars: {first:?}");
    }
}
