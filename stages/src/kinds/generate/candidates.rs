//! Completions before the filters, and what the judge says of those that may pass.

use engine::stage::StageError;

use super::{Keep, Params};
use crate::grading::Grade;
use crate::opinions::{Asked, Case, Opinion};
use crate::sampling::{Drawn, Question};

/// A completion with all that the filters look at.
pub(super) struct Candidate {
    pub(super) drawn: Drawn,
    pub(super) grade: Grade,
    /// What the judge says, where the filter `judged` comes to ask it.
    pub(super) opinion: Option<Opinion>,
}

impl Candidate {
    pub(super) fn of((drawn, grade): (Drawn, Grade)) -> Self {
        Self { drawn, grade, opinion: None }
    }

    /// Returns whether it is a whole answer. A truncated one would teach the model to stop in the middle, an empty one to
    /// say nothing.
    pub(super) fn is_whole(&self) -> bool {
        self.drawn.finished && !self.drawn.text.trim().is_empty()
    }
}

/// Asks the judge about completions that pass the filters before `judged`. (What is no `unique` one is judged all the
/// same: the judge remembers what it said.)
pub(super) fn judge(
    judge: &dyn Asked,
    asked: &[Question],
    candidates: &mut [Vec<Candidate>],
    params: &Params,
) -> Result<(), StageError> {
    let before = || params.keep.iter().take_while(|keep| **keep != Keep::Judged);
    let mut chosen = Vec::new();
    for (question, completions) in asked.iter().zip(candidates) {
        let passing = completions.iter_mut().filter(|candidate| {
            candidate.is_whole() && before().all(|keep| keep.passes(question, candidate, params, true))
        });
        chosen.extend(passing.map(|candidate| (question, candidate)));
    }
    let cases: Vec<Case<'_>> = chosen
        .iter()
        .map(|(question, candidate)| Case {
            prompt: &question.row.prompt,
            completion: &candidate.drawn.text,
            gold: question.row.answer.as_deref(),
        })
        .collect();
    let opinions = judge.opinions(&cases)?;
    drop(cases);
    for ((_, candidate), opinion) in chosen.into_iter().zip(opinions) {
        candidate.opinion = Some(opinion);
    }
    Ok(())
}
