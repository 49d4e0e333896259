//! Verifier `judge`: asks the stage's judge whether an answer comes to the same as the gold one. It is R1's way to check
//! what no rule can (v2, B.3.3: "feeding the ground-truth and model predictions into DeepSeek-V3 for judgment").

use std::rc::Rc;

use engine::stage::StageError;
use text::Verdict;

use super::{Claim, Found, Loaded, Verifier};
use crate::loading::Loading;
use crate::opinions::{Asked, Case};

/// An answer is right if the judge's opinion is above this.
pub(crate) const ENOUGH: f64 = 0.5;

pub(super) fn load(loading: &Loading<'_>) -> Loaded {
    let judge = loading.judge.cloned().ok_or_else(|| {
        StageError::new("there are prompts with `verify = \"judge\"`, and no judge").with_help(
            "give `generate`, `eval` or `grpo` the key `judge = { model = \"inputs.NAME\" }`; `r1flow grade` has none",
        )
    })?;
    Ok(Box::new(ByJudge { judge }))
}

struct ByJudge {
    judge: Rc<dyn Asked>,
}

impl Verifier for ByJudge {
    fn verdicts(&self, claims: &[Claim<'_>]) -> Result<Vec<Found>, StageError> {
        // What is empty is no answer, and a judge may be kind.
        let indices: Vec<usize> = (0..claims.len()).filter(|index| !claims[*index].answer.trim().is_empty()).collect();
        let cases: Vec<Case<'_>> = indices
            .iter()
            .map(|index| {
                let Claim { prompt, gold, answer, .. } = &claims[*index];
                Case { prompt, completion: answer, gold: Some(gold) }
            })
            .collect();
        let mut found = vec![Found::of(Verdict::AnswerUnparsed); claims.len()];
        for (index, opinion) in indices.into_iter().zip(self.judge.opinions(&cases)?) {
            let verdict = if opinion.score > ENOUGH { Verdict::Correct } else { Verdict::Wrong };
            found[index] = Found { opinion: Some(opinion), ..Found::of(verdict) };
        }
        Ok(found)
    }
}
