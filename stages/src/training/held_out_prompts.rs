//! Held-out prompts: what a model answers to them while it is trained, greedily and sampled.
//!
//! Every answer is a row of output `answers`. The answers of a measurement that is not due (`eval-every`), which only the
//! last step has, are kept after the checkpoint: see `held_out.rs`.

use std::path::Path;

use engine::artifact::Prompts;
use engine::stage::{Context, Input, StageError};
use lm::generate::{Completion, Request};
use lm::{Config, Model, Options, footprint};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::{Chat, Prompt};

use super::{Metrics, Tally};
use crate::grading::{Answer, Form, Grade, Grader};
use crate::growing::GrowingRows;
use crate::limits;
use crate::loading::Loading;
use crate::sampling::{Draws, Question, draw, fitting, requests};

/// The output with the answers.
const ANSWERS: &str = "answers";

/// How held-out prompts are answered, beside the greedy answer: keys of `grpo`, `sft` and `distill`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct EvalKeys {
    /// Steps between two measurements of what is held out; one more follows the last step. Absent: only that one.
    #[schemars(range(min = 1, max = limits::STEPS), extend("x-omit-default" = true))]
    pub eval_every: Option<u64>,
    /// Completions that are sampled of each of `eval-prompts`, besides the greedy one: their share of right ones is
    /// `eval_sampled_accuracy`.
    #[schemars(range(max = limits::COMPLETIONS), extend("x-omit-default" = true))]
    pub eval_completions: usize,
    /// Temperature of these completions. R1: 0.6.
    #[schemars(range(min = 0.01), extend("x-omit-default" = true))]
    pub eval_temperature: f64,
    /// Nucleus sampling of these completions. R1: 0.95.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0, "x-omit-default" = true))]
    pub eval_top_p: f64,
}

impl Default for EvalKeys {
    fn default() -> Self {
        Self { eval_every: None, eval_completions: 0, eval_temperature: 0.6, eval_top_p: 0.95 }
    }
}

impl EvalKeys {
    /// Returns whether a measurement is due after `step` steps, whatever the number of steps.
    pub(crate) fn is_due_after(&self, step: u64) -> bool {
        self.eval_every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Returns the bytes of the KV cache of the answers to some prompts, of which the longest row has `longest` tokens and
    /// `side_by_side` are sampled in parallel.
    pub(super) fn cache(
        &self,
        (config, options): (&Config, Options),
        prompts: usize,
        longest: usize,
        side_by_side: usize,
    ) -> u64 {
        let answers = prompts * self.eval_completions.max(1);
        footprint::cache(config, options, answers.min(side_by_side), longest)
    }

    /// Refuses keys that have nothing to measure: no prompts, nor rows. `held_out` are the keys that would name it.
    pub(crate) fn check(&self, prompts: &[Input<Prompts>], has_rows: bool, held_out: &str) -> Result<(), StageError> {
        let refused = |key: &str, needs: &str| {
            let help = "name what is held out, for example `eval-prompts = [\"inputs.held-out\"]`";
            Err(StageError::new(format!("`{key}` needs {needs}")).with_help(help))
        };
        match self {
            _ if !prompts.is_empty() => Ok(()),
            Self { eval_completions: 1.., .. } => refused("eval-completions", "`eval-prompts`"),
            Self { eval_every: Some(_), .. } if !has_rows => refused("eval-every", held_out),
            _ => Ok(()),
        }
    }
}

/// What held-out prompts share with the stage that asks them.
pub(crate) struct Asking<'a> {
    pub(crate) keys: &'a EvalKeys,
    pub(crate) seed: u64,
    /// Longest completion, in tokens.
    pub(crate) max_tokens: usize,
    pub(crate) form: Form,
    /// Completions sampled in parallel.
    pub(crate) side_by_side: usize,
}

/// Prompts that are not trained on, and what was answered.
pub(crate) struct HeldOutPrompts {
    keys: EvalKeys,
    questions: Vec<Question>,
    /// The length of the longest prompt, in tokens.
    longest: usize,
    grader: Grader,
    greedy: Draws,
    sampled: Draws,
    rows: GrowingRows,
    /// The answers of the newest measurement, which are not among `rows` yet.
    newest: Vec<AnswerRow>,
}

/// A line of output `answers`, whose fields are named as in `eval`'s.
#[derive(Serialize)]
struct AnswerRow {
    step: u64,
    prompt: Prompt,
    completion: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gold: Option<String>,
    /// What was compared with the gold answer.
    answer: String,
    /// Right, and in the wanted form; absent without a gold answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    correct: Option<bool>,
    format: bool,
    finished: bool,
    tokens: usize,
    greedy: bool,
}

/// Answers to all prompts by one way of drawing, and their grades.
struct Answered {
    drawn: Vec<Completion>,
    texts: Vec<String>,
    grades: Vec<Grade>,
}

impl HeldOutPrompts {
    /// Takes the prompts of `eval-prompts`, as they are to be asked.
    pub(crate) fn new(
        ctx: &Context,
        questions: Vec<Question>,
        (model, chat): (&Model, &Chat),
        asking: Asking<'_>,
        loading: &Loading<'_>,
    ) -> Result<Self, StageError> {
        let Asking { keys, seed, max_tokens, form, side_by_side } = asking;
        let positions = model.config.max_position_embeddings;
        let room = format!("the model's {positions} positions");
        let (questions, lengths) = fitting(ctx, questions, chat, positions, &room)?;
        if !questions.iter().any(|question| question.row.is_checked()) {
            return Err(StageError::new("no prompt of `eval-prompts` has a gold answer")
                .with_help("give prompts that can be checked: map their answers by `fields`"));
        }
        let grader = Grader::load(questions.iter().map(|question| &question.row), form, loading)?;
        let greedy = Draws { seed, temperature: 0.0, top_p: 1.0, max_tokens, group_size: 1, side_by_side };
        let (temperature, top_p) = (keys.eval_temperature, keys.eval_top_p);
        let sampled = Draws { seed, temperature, top_p, max_tokens, group_size: keys.eval_completions, side_by_side };
        let longest = lengths.into_iter().max().unwrap_or(0);
        let (rows, newest) = (GrowingRows::create(ctx, ANSWERS)?, Vec::new());
        Ok(Self { keys: keys.clone(), questions, longest, grader, greedy, sampled, rows, newest })
    }

    pub(crate) fn is_due_after(&self, step: u64) -> bool {
        self.keys.is_due_after(step)
    }

    pub(crate) fn grader(&self) -> &Grader {
        &self.grader
    }

    /// Returns how many prompts have a gold answer.
    pub(crate) fn num_checked(&self) -> usize {
        self.questions.iter().filter(|question| question.row.is_checked()).count()
    }

    /// Returns the bytes of the KV cache of an answer to each prompt, as many as are sampled in parallel.
    pub(crate) fn cache(&self, model: &Model) -> u64 {
        let (prompts, longest) = (self.questions.len(), self.longest + self.greedy.max_tokens);
        self.keys.cache((&model.config, model.options()), prompts, longest, self.greedy.side_by_side)
    }

    /// Answers every prompt after `step` steps, and measures accuracy, form and length.
    pub(crate) fn measure(
        &mut self,
        ctx: &Context,
        (model, chat): (&Model, &Chat),
        step: u64,
    ) -> Result<Metrics, StageError> {
        self.newest.clear();
        let greedy = self.answered(ctx, (model, chat), &self.greedy)?;
        let mut tally = Tally::default();
        let right = |answered: &Answered| {
            answered.grades.iter().filter_map(|grade| grade.verdict.map(|_| grade.correct)).collect::<Vec<_>>()
        };
        tally.share_of("eval_accuracy", right(&greedy));
        let asking = self.questions.iter().zip(&greedy.grades);
        let asking = asking.filter(|(question, _)| question.row.verify.wants_thought());
        tally.share_of("eval_format", asking.map(|(_, grade)| grade.format_ok));
        tally.mean_of("eval_mean_length", greedy.drawn.iter().map(|drawn| drawn.ids.len() as f64));
        tally.share_of("eval_clipped_ratio", greedy.drawn.iter().map(|drawn| !drawn.finished));
        self.note(greedy, step, true);
        if self.keys.eval_completions > 0 {
            let sampled = self.answered(ctx, (model, chat), &self.sampled)?;
            tally.share_of("eval_sampled_accuracy", right(&sampled));
            self.note(sampled, step, false);
        }
        Ok(tally.alone())
    }

    fn answered(&self, ctx: &Context, (model, chat): (&Model, &Chat), draws: &Draws) -> Result<Answered, StageError> {
        let all: Vec<usize> = (0..self.questions.len()).collect();
        // The same seeds in every measurement, so that two differ by the weights alone.
        let requests = requests(chat, &self.questions, &all, draws, 0)?;
        let drawn = draw(ctx, model, chat, &requests, draws, &mut |_, _| {})?;
        let text = |(request, drawn): (&Request, &Completion)| {
            format!("{}{}", chat.opening(&request.prompt), chat.completion_text(&drawn.ids))
        };
        let texts: Vec<String> = requests.iter().zip(&drawn).map(text).collect();
        let asked = self.questions.iter().flat_map(|question| std::iter::repeat_n(question, draws.group_size));
        let answers = asked.zip(&drawn).zip(&texts).map(|((question, drawn), completion)| Answer {
            prompt: &question.row,
            completion,
            finished: drawn.finished,
        });
        let grades = self.grader.grade(&answers.collect::<Vec<_>>())?;
        Ok(Answered { drawn, texts, grades })
    }

    fn note(&mut self, answered: Answered, step: u64, greedy: bool) {
        let of_each = answered.drawn.len() / self.questions.len();
        let asked = self.questions.iter().flat_map(|question| std::iter::repeat_n(question, of_each));
        let graded = answered.drawn.iter().zip(answered.texts).zip(answered.grades);
        self.newest.extend(asked.zip(graded).map(|(question, ((drawn, completion), grade))| AnswerRow {
            step,
            prompt: question.row.prompt.clone(),
            completion,
            gold: question.row.answer.clone(),
            correct: grade.verdict.map(|_| grade.correct),
            format: grade.format_ok,
            answer: grade.answer,
            finished: drawn.finished,
            tokens: drawn.ids.len(),
            greedy,
        }));
    }

    /// Keeps the answers of the newest measurement for the output.
    pub(crate) fn keep(&mut self) -> Result<(), StageError> {
        self.rows.append(&std::mem::take(&mut self.newest))
    }

    /// Writes the answers that are kept into a checkpoint.
    pub(crate) fn save(&mut self, dir: &Path) -> Result<(), StageError> {
        self.rows.save(dir)
    }

    /// Begins anew with the answers of a checkpoint.
    pub(crate) fn restore(&mut self, dir: &Path) -> Result<(), StageError> {
        self.rows.restore(dir)
    }

    /// Writes output `answers`.
    pub(crate) fn finish(self) -> Result<(), StageError> {
        self.rows.finish("answers.jsonl")
    }
}
