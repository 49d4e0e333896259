//! What is found about one completion.

use engine::stage::StageError;
use text::Verdict;

use super::Inputs;
use crate::artifacts::PromptRow;
use crate::grading::{Answer, Form, Grade, Grader};
use crate::loading::Loading;
use crate::opinions::Reads;
use crate::programs::Trial;
use crate::rewards::{LoadedRewardModel, thought_consistency};
use crate::sampling::{Drawn, Sampler};

/// The marks of one prompt's completions.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Marks {
    pub(super) sampled: Vec<Mark>,
    pub(super) greedy: Option<Mark>,
}

impl Marks {
    /// Returns the marks without the texts of completions, which take the most memory.
    pub(super) fn without_texts(mut self) -> Self {
        for mark in self.sampled.iter_mut().chain(&mut self.greedy) {
            (mark.completion, mark.answer, mark.reasons) = (String::new(), String::new(), None);
            if let Some(trial) = &mut mark.trial {
                trial.detail = String::new();
            }
        }
        self
    }

    /// Returns every mark, the greedy one last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Mark> {
        self.sampled.iter().chain(&self.greedy)
    }
}

/// The findings about one completion. Fractions are rounded, so that a checkpoint stores them without loss.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "findings are independent of each other, not states")]
pub(super) struct Mark {
    /// The completion, and the answer in it.
    pub(super) completion: String,
    pub(super) answer: String,
    pub(super) verdict: Option<Verdict>,
    /// How the program in it did, if it was run.
    pub(super) trial: Option<Trial>,
    /// The end of what the judge wrote, if one was asked.
    pub(super) reasons: Option<String>,
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

/// What judges completions: the verifiers, and the reward models where there are any.
pub(super) struct Markers {
    grader: Grader,
    helpful: Option<LoadedRewardModel>,
    harmless: Option<LoadedRewardModel>,
}

/// A completion beside its prompt.
type Answered<'a> = (&'a PromptRow, &'a Drawn);

impl Markers {
    pub(super) fn load<'a>(
        inputs: &Inputs,
        prompts: impl IntoIterator<Item = &'a PromptRow>,
        form: Form,
        loading: &Loading<'_>,
    ) -> Result<Self, StageError> {
        // As R1's rewards: helpfulness is about the answer, harm may lie anywhere.
        let load = |input: &Option<_>, reads| {
            input.as_ref().map(|input| LoadedRewardModel::load(input, reads, loading)).transpose()
        };
        Ok(Self {
            grader: Grader::load(prompts, form, loading)?,
            helpful: load(&inputs.helpful, Reads::Answer)?,
            harmless: load(&inputs.harmless, Reads::Completion)?,
        })
    }

    pub(super) fn grader(&self) -> &Grader {
        &self.grader
    }

    /// Returns the mark of each row.
    pub(super) fn marks(&self, sampler: &Sampler<'_>, rows: &[Answered<'_>]) -> Result<Vec<Mark>, StageError> {
        let answers =
            rows.iter().map(|(prompt, drawn)| Answer { prompt, completion: &drawn.text, finished: drawn.finished });
        let grades = self.grader.grade(&answers.collect::<Vec<_>>())?;
        let marks = rows.iter().zip(&grades).map(|(row, grade)| mark(sampler, row, grade));
        let mut marks = marks.collect::<Result<Vec<_>, _>>()?;
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
fn judged(
    judge: Option<&LoadedRewardModel>,
    rows: &[Answered<'_>],
    not_for: &str,
) -> Result<Vec<(usize, f64)>, StageError> {
    let Some(judge) = judge else { return Ok(Vec::new()) };
    let is_for = |row: &Answered<'_>| !row.0.verify.is_checked() && row.0.task.as_deref() != Some(not_for);
    let indices: Vec<usize> = (0..rows.len()).filter(|index| is_for(&rows[*index])).collect();
    let texts: Vec<_> = indices.iter().map(|index| (&rows[*index].0.prompt, rows[*index].1.text.as_str())).collect();
    let probabilities = judge.probabilities(&texts)?;
    Ok(indices.into_iter().zip(probabilities.into_iter().map(rounded)).collect())
}

fn mark(sampler: &Sampler<'_>, (prompt, drawn): &Answered<'_>, grade: &Grade) -> Result<Mark, StageError> {
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
        language: thought_consistency(prompt, grade, &drawn.text).map(rounded),
        helpful: None,
        harmless: None,
        vote: prompt.verify.vote(&grade.answer),
        completion: drawn.text.clone(),
        answer: grade.answer.clone(),
        verdict: grade.verdict,
        trial: grade.trial.clone(),
        reasons: grade.opinion.as_ref().map(|opinion| opinion.why.clone()),
    })
}

fn rounded(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}
