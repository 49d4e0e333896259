//! Few-shot exemplars before a prompt.

use engine::stage::StageError;
use text::Prompt;

use crate::artifacts::SampleRow;

/// Worked examples to show before a prompt.
pub(super) struct Exemplars {
    rows: Vec<SampleRow>,
    shots: usize,
    seed: u64,
}

impl Exemplars {
    pub(super) fn new(rows: Vec<SampleRow>, shots: usize, seed: u64, name: &str) -> Result<Self, StageError> {
        // One more is needed, because an exemplar with the same prompt is skipped.
        if rows.len() <= shots {
            return Err(StageError::new(format!("`{name}` has {} samples, too few for {shots} shots", rows.len()))
                .with_help("lower `shots`, or give more exemplars than that"));
        }
        Ok(Self { rows, shots, seed })
    }

    /// Returns the prompt with exemplars before it: one line for each question and one for each answer.
    pub(super) fn before(&self, prompt: &Prompt) -> Prompt {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"exemplars").update(&self.seed.to_le_bytes()).update(prompt.key().as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        let start = (u64::from_le_bytes(bytes) % self.rows.len() as u64) as usize;
        let others = self.rows.iter().cycle().skip(start).take(self.rows.len()).filter(|row| row.prompt != *prompt);
        let mut text = String::new();
        for row in others.take(self.shots) {
            text.extend([row.prompt.last_text().as_ref(), "\n", &row.completion, "\n"]);
        }
        prompt.with_text_before(&text)
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
            let text = exemplars.before(&prompt.as_str().into());
            let text = text.last_text();
            assert_eq!(text.lines().count(), 9, "{text}");
            assert_eq!(text.matches(&prompt).count(), 1, "{text}");
            assert!(text.ends_with(&prompt), "{text}");
        }
        let text = |digit: usize| exemplars.before(&format!("{digit}+1=?").into()).last_text().into_owned();
        let first: std::collections::BTreeSet<_> =
            (0..20).map(|digit| text(digit).lines().next().map(str::to_owned)).collect();
        assert!(first.len() > 1, "prompts see different exemplars: {first:?}");
    }
}
