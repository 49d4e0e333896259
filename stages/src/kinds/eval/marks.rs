//! What is found about one completion.

use engine::stage::{Context, StageError};
use text::math::Verdict;

use super::Inputs;
use crate::artifacts::{PromptRow, Verify};
use crate::device::set_up;
use crate::rewards::{Judge, Reads, grade, thought_consistency};
use crate::sampling::{Drawn, Sampler};

/// The marks of one prompt's completions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Marks {
    pub(super) sampled: Vec<Mark>,
    pub(super) greedy: Option<Mark>,
}

impl Marks {
    /// Returns every mark, the greedy one last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Mark> {
        self.sampled.iter().chain(&self.greedy)
    }
}

/// The findings about one completion. Fractions are rounded, so that a checkpoint stores them without loss.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "findings are independent of each other, not states")]
pub(super) struct Mark {
    /// The answer as it is compared when votes are counted.
    pub(super) vote: String,
    pub(super) correct: bool,
    /// Right, in any form.
    pub(super) right: bool,
    pub(super) format: bool,
    pub(super) finished: bool,
    pub(super) hedged: bool,
    pub(super) confident_and_wrong: bool,
    pub(super) gold_unparsed: bool,
    pub(super) tokens: usize,
    pub(super) thinking_tokens: usize,
    pub(super) language: Option<f64>,
    pub(super) helpful: Option<f64>,
    pub(super) harmless: Option<f64>,
}

/// The reward models, if there are any.
pub(super) struct Judges {
    helpful: Option<Judge>,
    harmless: Option<Judge>,
}

/// A completion beside its prompt.
type Row<'a> = (&'a PromptRow, &'a Drawn);

impl Judges {
    pub(super) fn load(ctx: &Context, inputs: &Inputs) -> Result<Self, StageError> {
        let device = set_up(ctx)?;
        // As in R1's rewards: helpfulness is a matter of the answer, harm may be anywhere.
        let load = |input: &Option<_>, reads| input.as_ref().map(|input| Judge::load(input, reads, device)).transpose();
        Ok(Self {
            helpful: load(&inputs.helpful, Reads::Answer)?,
            harmless: load(&inputs.harmless, Reads::Completion)?,
        })
    }

    /// Returns the mark of each row.
    pub(super) fn marks(&self, sampler: &Sampler, rows: &[Row<'_>]) -> Result<Vec<Mark>, StageError> {
        let mut marks = rows.iter().map(|row| mark(sampler, row)).collect::<Result<Vec<_>, _>>()?;
        for (index, score) in judged(self.helpful.as_ref(), rows, "harmless")? {
            marks[index].helpful = Some(score);
        }
        for (index, score) in judged(self.harmless.as_ref(), rows, "helpful")? {
            marks[index].harmless = Some(score);
        }
        Ok(marks)
    }
}

/// Returns the index and the probability of each row that `judge` applies to.
fn judged(judge: Option<&Judge>, rows: &[Row<'_>], not_for: &str) -> Result<Vec<(usize, f64)>, StageError> {
    let Some(judge) = judge else { return Ok(Vec::new()) };
    let is_for = |row: &Row<'_>| row.0.verify == Verify::None && row.0.task.as_deref() != Some(not_for);
    let indices: Vec<usize> = (0..rows.len()).filter(|index| is_for(&rows[*index])).collect();
    let texts: Vec<_> =
        indices.iter().map(|index| (rows[*index].0.prompt.as_str(), rows[*index].1.text.as_str())).collect();
    let probabilities = judge.probabilities(&texts)?;
    Ok(indices.into_iter().zip(probabilities.into_iter().map(rounded)).collect())
}

fn mark(sampler: &Sampler, (prompt, drawn): &Row<'_>) -> Result<Mark, StageError> {
    let grade = grade(prompt, &drawn.text, drawn.finished);
    let thinking_tokens = match &grade.reasoning {
        Some(reasoning) if grade.format_ok => sampler.chat.tokenizer.encode(reasoning)?.len(),
        _ => 0,
    };
    Ok(Mark {
        correct: grade.correct,
        right: drawn.finished && grade.verdict == Some(Verdict::Correct),
        format: grade.format_ok,
        finished: drawn.finished,
        hedged: grade.hedged,
        confident_and_wrong: grade.is_confident_and_wrong(drawn.finished),
        gold_unparsed: grade.gold_unparsed(),
        tokens: drawn.num_tokens,
        thinking_tokens,
        language: thought_consistency(prompt, &grade, &drawn.text).map(rounded),
        helpful: None,
        harmless: None,
        vote: match prompt.verify {
            Verify::Number => text::math::extract(&grade.answer).unwrap_or_else(|| grade.answer.clone()),
            _ => grade.answer.clone(),
        },
    })
}

fn rounded(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}
