//! Few-shot exemplars before a prompt, as text or as turns of the conversation.

use engine::artifact::Samples;
use engine::diagnostic;
use engine::stage::{Input, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::{Message, Prompt};

use super::Question;
use crate::artifacts::{SampleRow, read_samples};
use crate::limits;

/// How exemplars are shown: the keys beside `few-shot`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct FewShot {
    /// Number of exemplars before each prompt if `few-shot` is given; a hash of the prompt chooses them.
    #[schemars(range(min = 1, max = limits::SHOTS), extend("x-omit-default" = true))]
    pub shots: usize,
    /// Where exemplars are. `text`: before the text of the last user turn, a line for each question and one for each
    /// answer. `turns`: as turns before it, for models that were trained on chats.
    #[schemars(extend("x-omit-default" = true))]
    pub few_shot_as: FewShotAs,
}

impl FewShot {
    /// Refuses an input with too few samples. One more than `shots` is needed, because an exemplar with the same prompt
    /// as the question is skipped.
    pub(crate) fn check(&self, name: &str, samples: usize) -> Result<(), StageError> {
        let shots = self.shots;
        if samples > shots {
            return Ok(());
        }
        let samples = diagnostic::count(samples, "sample");
        Err(StageError::new(format!("`{name}` has {samples}, too few for {shots} shots"))
            .with_help("lower `shots`, or give more exemplars than that"))
    }
}

impl Default for FewShot {
    fn default() -> Self {
        Self { shots: 1, few_shot_as: FewShotAs::Text }
    }
}

/// Where exemplars are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FewShotAs {
    /// In the text of the last user turn.
    #[default]
    Text,
    /// In turns of their own.
    Turns,
}

/// Shows exemplars before every question, if there are any.
pub(crate) fn show_exemplars<'a>(
    questions: impl IntoIterator<Item = &'a mut Question>,
    exemplars: Option<&Input<Samples>>,
    few: &FewShot,
    seed: u64,
) -> Result<(), StageError> {
    if exemplars.is_none() {
        return Ok(());
    }
    let exemplars = Exemplars::read(exemplars, few, seed)?;
    for question in questions {
        question.asked_instead = Some(exemplars.before(&question.row.prompt));
    }
    Ok(())
}

/// Worked examples to show before a prompt; there may be none.
pub(crate) struct Exemplars<'a> {
    rows: Vec<SampleRow>,
    few: &'a FewShot,
    seed: u64,
}

impl<'a> Exemplars<'a> {
    pub(crate) fn read(input: Option<&Input<Samples>>, few: &'a FewShot, seed: u64) -> Result<Self, StageError> {
        let Some(input) = input else { return Ok(Self { rows: Vec::new(), few, seed }) };
        let rows = read_samples(input)?;
        few.check(input.name(), rows.len())?;
        Ok(Self { rows, few, seed })
    }

    /// Returns the prompt with exemplars before it.
    pub(crate) fn before(&self, prompt: &Prompt) -> Prompt {
        if self.rows.is_empty() {
            return prompt.clone();
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"exemplars").update(&self.seed.to_le_bytes()).update(prompt.key().as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        let start = (u64::from_le_bytes(bytes) % self.rows.len() as u64) as usize;
        let others = self.rows.iter().cycle().skip(start).take(self.rows.len()).filter(|row| row.prompt != *prompt);
        let shown = others.take(self.few.shots);
        match self.few.few_shot_as {
            FewShotAs::Text => {
                let mut text = String::new();
                for row in shown {
                    text.extend([row.prompt.last_text().as_ref(), "\n", &row.completion, "\n"]);
                }
                prompt.with_text_before(&text)
            }
            FewShotAs::Turns => {
                let turns = shown.flat_map(|row| {
                    let mut turns = row.prompt.turns().into_owned();
                    turns.retain(|turn| turn.role != "system");
                    turns.push(Message::new("assistant", &row.completion));
                    turns
                });
                prompt.with_turns_before(turns.collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<SampleRow> {
        (0..5).map(|digit| SampleRow::new(format!("{digit}=?"), digit.to_string())).collect()
    }

    #[test]
    fn exemplars_come_first_and_never_hold_the_prompt() {
        let few = FewShot { shots: 4, ..FewShot::default() };
        let exemplars = Exemplars { rows: rows(), few: &few, seed: 7 };
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

    #[test]
    fn exemplars_may_be_turns() {
        let few = FewShot { shots: 2, few_shot_as: FewShotAs::Turns };
        let exemplars = Exemplars { rows: rows(), few: &few, seed: 7 };
        let chat = Prompt::of_turns(vec![Message::new("system", "Be brief."), Message::new("user", "1=?")]);
        let turns: Vec<_> = exemplars.before(&chat).turns().iter().map(|turn| turn.role.clone()).collect();
        assert_eq!(turns, ["system", "user", "assistant", "user", "assistant", "user"]);
        let texts: Vec<_> = exemplars.before(&chat).texts().into_iter().map(std::borrow::Cow::into_owned).collect();
        assert_eq!(texts.iter().filter(|text| *text == "1=?").count(), 1);
        assert_eq!(texts[1].trim_end_matches("=?"), texts[2]);
    }
}
