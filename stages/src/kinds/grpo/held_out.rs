//! Held-out prompts of `grpo`: how well the policy answers them, and whether it pleases its judges by something else.

use engine::stage::{Context, StageError};
use lm::Model;
use serde::{Deserialize, Serialize};
use text::Chat;

use super::rollout::Rollout;
use super::{Inputs, Params};
use crate::grading::{Answer, Grader};
use crate::loading::Loading;
use crate::sampling::{Draws, Question, draw, fitting, questions, requests};
use crate::training::{Metrics, Tally};

/// Prompts that are not trained on. They are answered greedily.
pub(super) struct HeldOutPrompts {
    questions: Vec<Question>,
    grader: Grader,
    /// Steps between two measurements; absent for one after the last step.
    every: Option<u64>,
}

impl HeldOutPrompts {
    /// Reads the prompts of `eval-prompts`, if there are some.
    pub(super) fn read(
        ctx: &Context,
        inputs: &Inputs,
        params: &Params,
        (model, chat): (&Model, &Chat),
        loading: &Loading<'_>,
    ) -> Result<Option<Self>, StageError> {
        if inputs.eval_prompts.is_empty() {
            return Ok(None);
        }
        let positions = model.config.max_position_embeddings;
        let room = format!("the model's {positions} positions");
        let (questions, _) = fitting(ctx, questions(&inputs.eval_prompts)?, chat, positions, &room)?;
        if !questions.iter().any(|question| question.row.is_checked()) {
            return Err(StageError::new("no prompt of `eval-prompts` has a gold answer")
                .with_help("give prompts that can be checked: map their answers by `fields`"));
        }
        let grader = Grader::load(questions.iter().map(|question| &question.row), params.form, loading)?;
        Ok(Some(Self { questions, grader, every: params.eval_every }))
    }

    /// Returns whether a measurement is due after `step` steps.
    pub(super) fn is_due_after(&self, step: u64) -> bool {
        self.every.is_some_and(|every| step.is_multiple_of(every))
    }

    pub(super) fn grader(&self) -> &Grader {
        &self.grader
    }

    pub(super) fn len(&self) -> usize {
        self.questions.iter().filter(|question| question.row.is_checked()).count()
    }

    /// Answers every prompt, and measures accuracy, form and length.
    pub(super) fn measure(
        &self,
        ctx: &Context,
        params: &Params,
        (model, chat): (&Model, &Chat),
    ) -> Result<Metrics, StageError> {
        let draws = Draws {
            seed: params.seed,
            temperature: 0.0,
            top_p: 1.0,
            max_tokens: params.max_tokens.greatest(),
            group_size: 1,
            side_by_side: params.sampling_batch,
        };
        let all: Vec<usize> = (0..self.questions.len()).collect();
        let requests = requests(chat, &self.questions, &all, &draws, 0)?;
        let drawn = draw(ctx, model, chat, &requests, &draws, &mut |_, _| {})?;
        let texts: Vec<String> = requests
            .iter()
            .zip(&drawn)
            .map(|(request, drawn)| format!("{}{}", chat.opening(&request.prompt), chat.completion_text(&drawn.ids)))
            .collect();
        let answers = self.questions.iter().zip(&drawn).zip(&texts);
        let answers: Vec<Answer<'_>> = answers
            .map(|((question, drawn), completion)| Answer {
                prompt: &question.row,
                completion,
                finished: drawn.finished,
            })
            .collect();
        let grades = self.grader.grade(&answers)?;
        let asking = self.questions.iter().zip(&grades).filter(|(question, _)| question.row.verify.wants_thought());
        let mut tally = Tally::default();
        tally.share_of("eval_accuracy", grades.iter().filter_map(|grade| grade.verdict.map(|_| grade.correct)));
        tally.share_of("eval_format", asking.map(|(_, grade)| grade.format_ok));
        tally.mean_of("eval_mean_length", drawn.iter().map(|drawn| drawn.ids.len() as f64));
        tally.share_of("eval_clipped_ratio", drawn.iter().map(|drawn| !drawn.finished));
        Ok(tally.alone())
    }
}

/// Watches whether the scores of judges rise while held-out accuracy falls: then the policy has found something that
/// pleases them and was not meant (R1 v2, figure 6). It is part of the checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Alarm {
    /// Sum and number of judged scores since the last measurement.
    sum: f64,
    count: u64,
    /// When held-out accuracy was greatest.
    best: Option<Point>,
    is_given: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Point {
    step: u64,
    judged: f64,
    accuracy: f64,
}

impl Alarm {
    /// Adds the scores that judges and reward models gave to rollouts.
    pub(super) fn add(&mut self, rollouts: &[Rollout]) {
        let is_judged = |name: &str| name == "helpful" || name == "harmless" || name.starts_with("judge.");
        let parts = rollouts.iter().flat_map(|rollout| &rollout.parts).filter(|(name, _)| is_judged(name));
        for (_, score) in parts {
            self.sum += score;
            self.count += 1;
        }
    }

    /// Looks at the accuracy on `prompts` prompts after `step` steps, and returns a warning, once. A fall counts if it is
    /// more than two standard errors of the difference.
    pub(super) fn look(&mut self, step: u64, accuracy: f64, prompts: usize) -> Option<String> {
        let (sum, count) = (std::mem::take(&mut self.sum), std::mem::take(&mut self.count));
        if count == 0 {
            return None;
        }
        let now = Point { step, judged: sum / count as f64, accuracy };
        let Some(best) = self.best.filter(|best| best.accuracy > now.accuracy) else {
            self.best = Some(now);
            return None;
        };
        let mean = f64::midpoint(best.accuracy, now.accuracy);
        let error = (2.0 * mean * (1.0 - mean) / prompts as f64).sqrt();
        if self.is_given || now.judged <= best.judged || best.accuracy - now.accuracy <= 2.0 * error {
            return None;
        }
        self.is_given = true;
        Some(format!(
            "since step {} the judged score has risen from {:.3} to {:.3}, and held-out accuracy has fallen from {:.3} to \
             {:.3}: the policy may please its judges by something that was not meant. Stop here and take the output \
             `best`; give these rewards less weight or a later `from-step`, or mend the judge",
            best.step, best.judged, now.judged, best.accuracy, now.accuracy
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::rollout::tests::rollout;
    use super::*;

    fn rollouts(name: &str, score: f64) -> Vec<Rollout> {
        let parts = BTreeMap::from([(name.to_owned(), score)]);
        let rollout = Rollout { reward: score, parts, ..rollout() };
        vec![rollout; 4]
    }

    /// Returns the steps at which it warns, given (judged score, accuracy) at each.
    fn warned(name: &str, points: &[(f64, f64)]) -> Vec<usize> {
        let mut alarm = Alarm::default();
        let look = |(step, (judged, accuracy)): (usize, &(f64, f64))| {
            alarm.add(&rollouts(name, *judged));
            // As after a kill: the state goes through a checkpoint.
            alarm = serde_json::from_str(&serde_json::to_string(&alarm).unwrap()).unwrap();
            alarm.look(step as u64, *accuracy, 100).map(|_| step)
        };
        points.iter().enumerate().filter_map(look).collect()
    }

    #[test]
    fn it_is_given_once_where_judges_are_pleased_and_accuracy_falls() {
        let hacked = [(0.2, 0.5), (0.4, 0.6), (0.6, 0.58), (0.7, 0.4), (0.8, 0.3)];
        for name in ["helpful", "harmless", "judge.polite"] {
            assert_eq!(warned(name, &hacked), [3], "{name}");
        }
        assert_eq!(warned("length", &hacked), [0; 0], "a rule is no judge");
        assert_eq!(warned("helpful", &[(0.6, 0.6), (0.5, 0.3)]), [0; 0], "both fall");
        assert_eq!(warned("helpful", &[(0.2, 0.5), (0.9, 0.45)]), [0; 0], "within the error");
        assert_eq!(warned("helpful", &[(0.2, 0.5), (0.9, 0.7)]), [0; 0], "both rise");
    }
}
