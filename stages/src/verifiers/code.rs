//! Verifier `code`: runs the program in an answer against the prompt's tests.

use std::sync::Arc;

use engine::stage::StageError;
use text::Verdict;

use super::{Ahead, Claim, Found, Loaded, Verifier};
use crate::loading::Loading;
use crate::programs::{Failure, Runner, Submission};

/// Starts the jail.
pub(super) fn load(loading: &Loading<'_>) -> Loaded {
    Ok(Box::new(Code { runner: Runner::of(loading.jail)?, threads: loading.threads }))
}

struct Code {
    runner: Arc<Runner>,
    threads: usize,
}

impl Verifier for Code {
    fn verdicts(&self, claims: &[Claim<'_>]) -> Result<Vec<Found>, StageError> {
        let texts: Vec<_> = claims.iter().map(|claim| claim.prompt.last_text()).collect();
        let is_runnable = |claim: &Claim<'_>| claim.tests.is_some_and(|tests| self.runner.cannot_run(tests).is_none());
        let submissions =
            claims.iter().zip(&texts).filter(|(claim, _)| is_runnable(claim)).filter_map(|(claim, text)| {
                Some(Submission { tests: claim.tests?, prompt: text, answer: claim.answer })
            });
        let mut trials = self.runner.trials(&submissions.collect::<Vec<_>>(), self.threads)?.into_iter();
        let found = claims.iter().map(|claim| {
            let trial = if is_runnable(claim) { trials.next() } else { None };
            let verdict = match &trial {
                None => Verdict::GoldUnparsed,
                Some(trial) if trial.is_right() => Verdict::Correct,
                Some(trial) if trial.failure == Some(Failure::NoProgram) => Verdict::AnswerUnparsed,
                Some(_) => Verdict::Wrong,
            };
            Found { trial, ..Found::of(verdict) }
        });
        Ok(found.collect())
    }

    fn ahead(&self) -> Option<Ahead<'_>> {
        let work = |claim: &Claim<'_>| {
            if let Some(tests) = claim.tests.filter(|tests| self.runner.cannot_run(tests).is_none()) {
                self.runner.run_ahead(&Submission { tests, prompt: &claim.prompt.last_text(), answer: claim.answer });
            }
        };
        Some(Ahead { threads: self.threads, work: Box::new(work) })
    }
}
