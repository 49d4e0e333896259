//! Kind `generate`: samples completions and keeps the good ones. It is R1's cold-start collection and its rejection
//! sampling (v2, appendix B.3.2 and B.3.3). Given samples in place of prompts, it rewrites them.
//!
//! Prompts are ordered by a hash of (seed, prompt), so that `limit` keeps a mixture of all sets instead of the first
//! set. Each completion has its own seed, made from (seed, prompt, index). Prompts are processed in chunks, and
//! completions are kept as rows: an attempt resumes after a stop, and a later attempt with other prompts or filters
//! samples only what is missing.

mod candidates;
mod keep;
mod progress;
mod rewrite;

use std::time::Instant;

use engine::artifact::{ArtifactType, Model, Prompts, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError, refusals};
use engine::worker::tokens::ShownRow;
use lm::generate::Sampling;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::artifacts::{Dtype, write_samples};
use crate::chat::{Rendering, Text};
use crate::grading::{Answer, Form, Grader};
use crate::growing::GrowingRows;
use crate::held::JudgePlace;
use crate::judges::StageJudge;
use crate::loading::Loading;
use crate::own::{self, Own};
use crate::programs::JailKey;
use crate::sampling::{
    Drawing, Drawn, Exemplars, FewShot, KeptRows, Question, Sampler, questions, show_exemplars, shuffle,
};
use crate::{limits, looking, showing};
use candidates::Candidate;
pub use keep::Keep;
use progress::Progress;

/// The kind.
pub struct Generate;

/// What `generate` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The model that samples.
    pub model: Input<Model>,
    /// The questions. Absent: `samples` are rewritten.
    #[serde(default)]
    #[schemars(extend("x-role" = "rows", "x-omit-default" = true))]
    pub prompts: Vec<Input<Prompts>>,
    /// Samples whose completions the model rewrites, as `rewrite` asks. What passes the filters takes the sample's
    /// place, with its prompt, gold answer and source. Absent: `prompts` are answered.
    #[serde(default)]
    #[schemars(extend("x-role" = "rows", "x-omit-default" = true))]
    pub samples: Vec<Input<Samples>>,
    /// Exemplars shown before each prompt; kept samples have the prompt without them. Absent: none.
    #[schemars(extend("x-role" = "rows"))]
    pub few_shot: Option<Input<Samples>>,
}

/// How to sample, and what to keep.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// Completions of each prompt.
    #[schemars(range(min = 1, max = limits::COMPLETIONS), extend("x-role" = "rows"))]
    pub completions: usize,
    /// Sampling temperature; 0 takes the likeliest token. R1: 1.0 for the cold start.
    #[schemars(range(min = 0.0), extend("x-role" = "rows"))]
    pub temperature: f64,
    /// Nucleus sampling: tokens are drawn from the likeliest ones that together have this probability.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0, "x-role" = "rows"))]
    pub top_p: f64,
    /// Longest completion, in tokens; one that does not end by then is never kept.
    #[schemars(range(min = 1, max = limits::TOKENS), extend("x-role" = "rows"))]
    pub max_tokens: usize,
    /// Text that asks the model to rewrite a sample, in Jinja, or `inputs.NAME` of a text. It may read the sample's
    /// `prompt`, `completion`, and the `thought` and the `answer` in that.
    #[schemars(extend("x-role" = "rows", "x-omit-default" = true))]
    pub rewrite: Option<Text>,
    /// Filters, applied and counted in this order: `correct`, `format` (as `form` says), `one-language` (a thought in
    /// the prompt's language), `readable` (no repetition or endless paragraph, and no code block in the thought),
    /// `short-enough` (see `keep-tokens`), `unique`, `judged` (see `judge`). Unfinished and empty completions are always dropped. The
    /// output `dropped` has the first 100 that each filter dropped.
    #[schemars(extend("x-role" = "rows"))]
    pub keep: Vec<Keep>,
    /// What `judged` keeps: completions that the judge scores above this, from 0 to 1. Absent: 0.5.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-role" = "rows", "x-omit-default" = true))]
    pub keep_above: Option<f64>,
    /// Longest completion that `short-enough` keeps, in tokens.
    #[schemars(range(min = 1, max = limits::TOKENS), extend("x-role" = "rows"))]
    pub keep_tokens: Option<usize>,
    /// Most samples kept of one prompt. Absent: all.
    #[schemars(range(min = 1, max = limits::COUNT), extend("x-role" = "rows"))]
    pub per_prompt_limit: Option<usize>,
    /// Most samples kept in all; sampling ends when it is reached. Absent: all.
    #[schemars(range(min = 1, max = limits::COUNT), extend("x-role" = "rows"))]
    pub limit: Option<usize>,
    /// Seed of the order of prompts and of the sampling.
    #[schemars(extend("x-role" = "rows"))]
    pub seed: u64,
    /// The form that a completion must have to be right, where a number or a choice is asked for. `tags`: a thought in
    /// `<think>…</think>`, then the answer. `boxed`: the answer in `\boxed{…}`. `any`: no form.
    #[schemars(extend("x-role" = "rows", "x-omit-default" = true))]
    pub form: Form,
    /// A judge, a model that says how good an answer is: for the filter `judged`, and for prompts with `verify = "judge"`.
    #[schemars(extend("x-role" = "rows", "x-omit-default" = true))]
    pub judge: StageJudge,
    /// A program of yours that says whether an answer is right: for prompts with `verify = "own"`.
    #[schemars(extend("x-role" = "rows", "x-omit-default" = true))]
    pub verifier: Option<Own>,
    /// What must hold before programs that the model wrote are run, where `verify` is `code`. `required`: no attack that
    /// is known gets out of the jail, else the stage fails. `best-effort`: whatever holds on the machine; **programs may
    /// read your files and use your network**.
    #[schemars(extend("x-role" = "neutral", "x-omit-default" = true))]
    pub jail: JailKey,
    /// Element type of the model in memory; the rounding of `bfloat16` changes the results. Absent: the one that its
    /// `config.json` names.
    pub dtype: Option<Dtype>,
    /// Completions sampled in parallel.
    #[schemars(range(min = 1, max = limits::BATCH), extend("x-role" = "neutral"))]
    pub batch_size: usize,
    // The engine has checked every key against the schema.
    #[serde(flatten)]
    pub rendering: Rendering,
    #[serde(flatten)]
    pub drawing: Drawing,
    #[serde(flatten)]
    pub few: FewShot,
    #[serde(flatten)]
    pub judge_place: JudgePlace,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            completions: 4,
            temperature: 1.0,
            top_p: 1.0,
            max_tokens: 1_024,
            rewrite: None,
            keep: Vec::new(),
            keep_above: None,
            keep_tokens: None,
            per_prompt_limit: None,
            limit: None,
            form: Form::default(),
            judge: StageJudge::default(),
            verifier: None,
            jail: JailKey::default(),
            seed: 0,
            dtype: None,
            batch_size: 64,
            rendering: Rendering::default(),
            drawing: Drawing::default(),
            few: FewShot::default(),
            judge_place: JudgePlace::default(),
        }
    }
}

impl Stage for Generate {
    const KIND: &'static str = "generate";
    const HISTORY: &'static [&'static str] = &[
        "the first",
        "chats are rendered whole, and every end token ends a completion",
        "a sample says how its answer is checked",
        "the first completions that each filter dropped are an output",
        "answers are compared by meaning: expressions, lists, units, choices; instructions are checked",
        "programs are run against their tests, and puzzles are checked",
        "a code block in an answer is readable; a result of a function in `cases` may be in a list of one",
    ];
    const ROWS_VERSION: u32 = 2;
    const DOC: &'static str = "Samples completions of prompts, or rewrites samples, and keeps what passes the filters: cold-start data, rejection sampling.";
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_NAMES;
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_WAYS;
    const OUTPUTS: &'static [(&'static str, ArtifactType)] =
        &[("samples", ArtifactType::Samples), ("dropped", ArtifactType::Report)];
    const TOKENS: &'static [&'static str] =
        &["model", "prompts", "samples", "rewrite", "few-shot", "chat-template", "system", "prompt-template"];
    type Inputs = Inputs;
    type Params = Params;

    fn check(inputs: &Inputs, params: &Params) -> Vec<StageError> {
        let (rendering, drawing) = (params.rendering.check(), params.drawing.check());
        refusals([
            rendering,
            drawing,
            rewrite::check(inputs, params),
            keep::check(params),
            params.judge.check(),
            own::check(params.verifier.as_ref()),
        ])
    }

    fn look(inputs: &Inputs, params: &Params, look: &mut Look) {
        let seen = looking::sampler(look, &inputs.model, &params.rendering, params.max_tokens);
        looking::asked(look, &inputs.prompts, seen.as_ref(), None);
        looking::samples(look, &inputs.samples, None);
        looking::exemplars(look, inputs.few_shot.as_ref(), &params.few);
        looking::judges(look, params.judge.keys());
    }

    fn tokens(inputs: &Inputs, params: &Params, row: usize) -> Result<ShownRow, StageError> {
        let chat = params.rendering.load(&inputs.model)?;
        if !inputs.samples.is_empty() {
            return showing::request(&chat, &inputs.samples, |sample| rewrite::request(params, sample), row);
        }
        let exemplars = Exemplars::read(inputs.few_shot.as_ref(), &params.few, params.seed)?;
        showing::prompt(&chat, &inputs.prompts, |row| exemplars.before(&row.prompt), row)
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let mut asked = if inputs.samples.is_empty() {
            questions(&inputs.prompts)?
        } else {
            rewrite::questions(&inputs.samples, &params)?
        };
        shuffle(&mut asked, params.seed);
        show_exemplars(&mut asked, inputs.few_shot.as_ref(), &params.few, params.seed)?;
        let chat = params.rendering.load(&inputs.model)?.with_stops(&params.drawing.stop);
        let sampler = Sampler::load(ctx, &inputs.model, chat, params.dtype, params.batch_size)?;
        let loading = Loading::of(ctx, sampler.device(), params.judge_place, params.seed)?.with_jail(params.jail);
        let judge = params.judge.load(&loading)?;
        let loading = loading.with_judge(judge.as_ref()).with_verifier(params.verifier.as_ref());
        let grader = Grader::load(asked.iter().map(|question| &question.row), params.form, &loading)?;
        let is_filter = params.keep.contains(&Keep::Judged);
        let unasked = if is_filter { loading.with_judge(None) } else { loading };
        Grader::warn_of_idle(ctx, &unasked, &[&grader]);
        let sampling = params.drawing.apply(Sampling {
            temperature: params.temperature,
            top_p: params.top_p,
            max_tokens: params.max_tokens,
            ..sampler.sampling()
        });
        let mut rows = KeptRows::read(ctx)?;
        let mut progress = Progress::start(&params);
        let mut dropped = GrowingRows::create(ctx, "dropped")?;
        // Several batches in a chunk keep the sampler busy; whole prompts keep a checkpoint simple.
        let chunk = (4 * params.batch_size).div_ceil(params.completions);
        while progress.rows < asked.len() && !progress.is_full(&params) {
            let end = (progress.rows + chunk).min(asked.len());
            let (before, old_tokens) = (Instant::now(), rows.new_tokens());
            let chunk = &asked[progress.rows..end];
            let old_rows = rows.num_new();
            let (asked_now, draws) = (chunk.iter().collect::<Vec<_>>(), (params.seed, params.completions));
            let Some(drawn) = rows.complete((&sampler, &grader), &asked_now, draws, &sampling)? else {
                let begun = progress.rows + (rows.num_new() - old_rows).div_ceil(params.completions);
                rows.keep(ctx, begun as u64)?;
                return Ok(Outcome::Stopped(begun as u64));
            };
            let mut candidates = graded(&grader, chunk, drawn)?;
            if let Some(judge) = judge.as_ref().filter(|_| is_filter) {
                candidates::judge(judge.as_ref(), chunk, &mut candidates, &params)?;
            }
            for (question, completions) in chunk.iter().zip(&candidates) {
                progress.take(question, completions, &params);
            }
            progress.rows = end;
            dropped.append(&progress.take_dropped())?;
            progress.report(ctx, asked.len(), rows.new_tokens() - old_tokens, before.elapsed());
            let more = progress.rows < asked.len() && !progress.is_full(&params);
            if more && ctx.checkpoint_due(end as u64) {
                rows.keep(ctx, end as u64)?;
                if ctx.stop_requested() {
                    return Ok(Outcome::Stopped(end as u64));
                }
            }
        }
        rows.keep(ctx, progress.rows as u64)?;
        progress.warn(ctx, &params);
        write_samples(&ctx.output("samples"), &progress.kept)?;
        dropped.finish("dropped.jsonl")?;
        Ok(Outcome::Done(progress.summary()))
    }
}

/// Grades the completions of each question.
fn graded(grader: &Grader, asked: &[Question], drawn: Vec<Vec<Drawn>>) -> Result<Vec<Vec<Candidate>>, StageError> {
    let rows = asked.iter().zip(&drawn).flat_map(|(question, drawn)| drawn.iter().map(|drawn| (&question.row, drawn)));
    let answers: Vec<Answer<'_>> =
        rows.map(|(prompt, drawn)| Answer { prompt, completion: &drawn.text, finished: drawn.finished }).collect();
    let mut grades = grader.grade(&answers)?.into_iter();
    let of_question = |drawn: Vec<Drawn>| drawn.into_iter().zip(grades.by_ref()).map(Candidate::of).collect();
    Ok(drawn.into_iter().map(of_question).collect())
}

#[cfg(test)]
mod tests;
