//! Judges completions of any origin, offline: `r1flow grade`. Verifiers and rewards are those of training; this module
//! only feeds them rows of a file and tells what they say, with an explanation if that is asked.
//!
//! Rewards count as after any number of updates (`from-step`). Nothing here reads a reward model: see
//! [`Rewards::offline`]. Rows are judged in batches, on all threads, and passed on in the order of the file.

use std::ops::ControlFlow;
use std::thread::available_parallelism;

use engine::artifact::{ArtifactType, Samples};
use engine::stage::{Input, StageError};
use engine::worker::grade::{GradeExplanation, GradeRequest, GradedRow, GradedVerdict};
use engine::worker::protocol::InputArtifact;
use serde::Deserialize;
use serde_json::Value;
use text::Verdict;

use crate::artifacts::{AnsweredRow, PromptRow, each_answered};
use crate::checks::Tests;
use crate::grading::{Form, Grader};
use crate::loading::Loading;
use crate::parallel;
use crate::programs::Trial;
use crate::rewards::{RewardBreakdown, Rewards, Scored};
use crate::verifiers::Verify;

/// Rows that are judged at once.
const BATCH: usize = 256;

/// How rows are judged.
struct Judging<'a> {
    request: &'a GradeRequest,
    rewards: Rewards,
    form: Form,
    loading: Loading<'a>,
}

/// Grades the completions of a file, and calls `take` with each row until it breaks.
pub fn grade(request: &GradeRequest, take: &mut dyn FnMut(GradedRow) -> ControlFlow<()>) -> Result<(), StageError> {
    let threads = available_parallelism().map_or(1, usize::from);
    let judging = Judging {
        request,
        rewards: Rewards::offline(&request.rewards)?,
        form: Form::deserialize(Value::from(request.form.as_str()))?,
        loading: Loading::alone(threads),
    };
    let input = Input::<Samples>::new(InputArtifact {
        name: request.name.clone(),
        artifact: ArtifactType::Samples,
        digest: String::new(),
        path: request.path.clone(),
        import: request.import.clone(),
    });
    let (mut batch, mut count, mut failed) = (Vec::with_capacity(BATCH), 0, None);
    // Of rows without the label's field, why the first has none; rows that have it.
    let (mut no_label, mut labelled) = (None, 0);
    let read = each_answered(&input, request.label.as_deref(), &mut |row| {
        match &row.label {
            Ok(_) => labelled += 1,
            Err(reason) => drop(no_label.get_or_insert_with(|| reason.clone())),
        }
        batch.push(row);
        count += 1;
        if batch.len() < BATCH {
            return ControlFlow::Continue(());
        }
        judging.pass_on(&std::mem::take(&mut batch), take).unwrap_or_else(|error| {
            failed = Some(error);
            ControlFlow::Break(())
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    // Rows before one that cannot be read are judged all the same.
    let is_broken = matches!(read, Ok(ControlFlow::Break(())));
    if !is_broken && judging.pass_on(&batch, take)?.is_break() {
        return Ok(());
    }
    let _ = read?;
    if count == 0 {
        return Err(StageError::new(format!("`{}` holds no rows", request.name))
            .with_help("look at its `where`, `part`, `skip` and `limit`"));
    }
    no_label.filter(|_| labelled == 0).map_or(Ok(()), |reason| Err(StageError::new(format!("the label: {reason}"))))
}

impl Judging<'_> {
    /// Judges rows, and passes them on.
    fn pass_on(
        &self,
        rows: &[AnsweredRow],
        take: &mut dyn FnMut(GradedRow) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StageError> {
        for row in self.judged(rows)? {
            if take(row).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn judged(&self, rows: &[AnsweredRow]) -> Result<Vec<GradedRow>, StageError> {
        if let Some(reward) = self.rewards.counting_tokens()
            && let Some(row) = rows.iter().find(|row| row.num_tokens.is_none())
        {
            let what = "the length of a completion in tokens, and there is no number in the field `tokens`";
            return Err(StageError::new(format!("row {}: reward `{reward}` reads {what}", row.index))
                .with_help("leave the reward out, or add the field `tokens` to every row"));
        }
        let grader = Grader::load(rows.iter().map(|row| &row.prompt), self.form, &self.loading)?;
        let scorer = self.rewards.load(grader, &self.loading)?;
        let scored: Vec<Scored<'_>> = rows
            .iter()
            .map(|row| Scored {
                prompt: &row.prompt,
                completion: &row.completion,
                finished: row.finished,
                num_tokens: row.num_tokens.unwrap_or(0),
            })
            .collect();
        let explain = self.request.explain;
        let judged: Vec<_> = rows.iter().zip(scorer.score(u64::MAX, &scored)?).collect();
        Ok(parallel::map(&judged, self.loading.threads, |(row, breakdown)| told(row, breakdown, explain)))
    }
}

fn told(row: &AnsweredRow, breakdown: &RewardBreakdown, explain: bool) -> GradedRow {
    let RewardBreakdown { total, parts, grade } = breakdown;
    let answer = if row.prompt.verify.is_bare() { &row.completion } else { &grade.answer };
    GradedRow {
        index: row.index,
        gold: row.prompt.answer.clone(),
        answer: answer.clone(),
        verdict: grade.verdict.map(verdict),
        correct: grade.verdict.map(|_| grade.correct),
        format: grade.format_ok,
        total: *total,
        parts: parts.iter().map(|(name, score)| ((*name).to_owned(), *score)).collect(),
        label: row.label.as_ref().ok().copied().flatten(),
        explanation: explain.then(|| explanation(&row.prompt, answer, grade.trial.as_ref())),
    }
}

fn verdict(verdict: Verdict) -> GradedVerdict {
    match verdict {
        Verdict::Correct => GradedVerdict::Correct,
        Verdict::Wrong => GradedVerdict::Wrong,
        Verdict::AnswerUnparsed => GradedVerdict::AnswerUnparsed,
        Verdict::GoldUnparsed => GradedVerdict::GoldUnparsed,
    }
}

/// Tells what the prompt's verifier finds in an answer.
fn explanation(prompt: &PromptRow, answer: &str, trial: Option<&Trial>) -> GradeExplanation {
    let gold = prompt.answer.as_deref().unwrap_or_default();
    let question = prompt.prompt.last_text();
    let told = |found: Option<String>, place: &str| GradeExplanation {
        prompt: question.clone().into_owned(),
        verify: prompt.verify.name().to_owned(),
        found,
        place: place.to_owned(),
        read: Vec::new(),
        gold: Vec::new(),
    };
    if !prompt.is_checked() {
        told(None, "there is nothing to compare with")
    } else if prompt.verify == Verify::NUMBER {
        let explained = text::math::explain(gold, answer, prompt.tolerance.map(Into::into));
        GradeExplanation { read: explained.read, gold: explained.gold, ..told(explained.found, &explained.place) }
    } else if prompt.verify == Verify::CHOICE {
        let options = text::choice::options(&question);
        let chosen = |text: &str| text::choice::chosen(text, &options).map(|chosen| chosen.to_string());
        let found = chosen(answer);
        let place = if found.is_some() { "chosen" } else { "no option is chosen" };
        GradeExplanation { gold: chosen(gold).into_iter().collect(), ..told(found, place) }
    } else if prompt.verify == Verify::INSTRUCTIONS {
        told(None, &instructions(prompt, answer))
    } else if let Some(trial) = trial {
        told(None, &trial.to_string())
    } else if prompt.verify == Verify::PUZZLE {
        told(Some(answer.to_owned()), "the answer, against the rules of the puzzle")
    } else {
        told(Some(answer.to_owned()), "the whole completion")
    }
}

/// Tells which instructions of a prompt an answer does not follow.
fn instructions(prompt: &PromptRow, answer: &str) -> String {
    let rules = prompt.tests.as_ref().and_then(Tests::rules).unwrap_or_default();
    match text::instructions::report(&rules, answer) {
        Err(reason) => reason,
        Ok(report) => {
            let missed = report.iter().filter(|(_, followed)| !followed);
            let missed: Vec<String> = missed.map(|(name, _)| format!("`{name}`")).collect();
            match missed.as_slice() {
                [] => "all instructions are followed".to_owned(),
                missed => format!("not followed: {}", missed.join(", ")),
            }
        }
    }
}
