//! Grades: whether a completion is right, and whether it has the expected form. The reward `accuracy`, the filters of
//! `generate` and the figures of `eval` all get their grades from a [`Grader`].
//!
//! Grading fails closed: an unfinished completion is never right, nor is one whose answer or gold answer does not parse.
//!
//! Two forms are well-formed: R1-Zero's `<think>…</think><answer>…</answer>`, and that of the released R1, a thought in
//! tags and then a summary without tags.

use engine::stage::StageError;
use text::math::Verdict;

use crate::artifacts::PromptRow;
use crate::loading::Loading;
use crate::verifiers::{Claim, Verifier, Verify};

/// A completion to be graded.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The question.
    pub prompt: &'a PromptRow,
    /// The text, tags included, without the end-of-sequence token.
    pub completion: &'a str,
    /// Whether it ended with the end-of-sequence token rather than at the token limit.
    pub finished: bool,
}

/// The grade of a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Grade {
    /// Right, finished, and in the expected form.
    pub correct: bool,
    /// Finished, with one thought in well-formed tags and one answer, in tags or after them.
    pub format_ok: bool,
    /// How the answer compares with the gold answer, in any form; absent without a gold answer.
    pub verdict: Option<Verdict>,
    /// Whether the answer says that it may be wrong.
    pub hedged: bool,
    /// The text in `<answer>`, else the text after `</think>`, else the whole completion.
    pub answer: String,
    /// The thought, if its tags are there.
    pub reasoning: Option<String>,
}

impl Grade {
    /// Returns whether the gold answer does not parse. This is a mistake in the data: no completion can be right.
    pub fn gold_unparsed(&self) -> bool {
        self.verdict == Some(Verdict::GoldUnparsed)
    }

    /// Returns whether a wrong answer was given as if it were certain.
    pub fn is_confident_and_wrong(&self, finished: bool) -> bool {
        finished && !self.hedged && self.verdict == Some(Verdict::Wrong)
    }
}

/// Grades completions by the verifiers of their prompts, in batches.
pub struct Grader {
    verifiers: Vec<(Verify, Box<dyn Verifier>)>,
}

impl Grader {
    /// Loads the verifiers that `prompts` name.
    pub fn load<'a>(
        prompts: impl IntoIterator<Item = &'a PromptRow>,
        loading: &Loading<'_>,
    ) -> Result<Self, StageError> {
        let mut verifiers: Vec<(Verify, Box<dyn Verifier>)> = Vec::new();
        for prompt in prompts {
            if verifiers.iter().all(|(known, _)| *known != prompt.verify)
                && let Some(verifier) = prompt.verify.load(loading)
            {
                verifiers.push((prompt.verify, verifier?));
            }
        }
        Ok(Self { verifiers })
    }

    /// Returns the grade of each answer.
    pub fn grade(&self, answers: &[Answer<'_>]) -> Result<Vec<Grade>, StageError> {
        let mut verdicts = vec![None; answers.len()];
        let is_checked = |answer: &Answer<'_>| answer.prompt.verify.is_checked() && answer.prompt.answer.is_some();
        for (verify, verifier) in &self.verifiers {
            let of_verifier = |index: &usize| answers[*index].prompt.verify == *verify && is_checked(&answers[*index]);
            let indices: Vec<usize> = (0..answers.len()).filter(of_verifier).collect();
            let claims: Vec<Claim<'_>> = indices.iter().map(|index| claim(&answers[*index])).collect();
            for (index, verdict) in indices.into_iter().zip(verifier.verdicts(&claims)?) {
                verdicts[index] = Some(verdict);
            }
        }
        let forgotten = answers.iter().zip(&verdicts).find(|(answer, verdict)| is_checked(answer) && verdict.is_none());
        if let Some((answer, _)) = forgotten {
            return Err(StageError::new(format!("no verdict of the verifier `{}`", answer.prompt.verify.name())));
        }
        Ok(answers.iter().zip(verdicts).map(|(answer, verdict)| grade(answer, verdict)).collect())
    }
}

fn claim<'a>(answer: &Answer<'a>) -> Claim<'a> {
    let given =
        if answer.prompt.verify.is_bare() { answer.completion } else { text::think::parse(answer.completion).answer };
    Claim { gold: answer.prompt.answer.as_deref().unwrap_or_default(), answer: given }
}

fn grade(answer: &Answer<'_>, verdict: Option<Verdict>) -> Grade {
    let parts = text::think::parse(answer.completion);
    let format_ok = answer.finished && (parts.format_ok || parts.summary_ok);
    let in_form = answer.finished && (format_ok || !answer.prompt.verify.wants_thought());
    Grade {
        correct: in_form && verdict == Some(Verdict::Correct),
        format_ok,
        verdict,
        hedged: text::hedge::is_hedged(parts.answer),
        answer: parts.answer.to_owned(),
        reasoning: parts.reasoning.map(str::to_owned),
    }
}
