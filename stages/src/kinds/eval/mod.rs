//! Kind `eval`: what a model can do, with errors. It follows R1's protocol (v2, appendix D.1): several completions of each
//! prompt at temperature 0.6 and top-p 0.95, pass@1 as their mean, cons@k as the vote of k, no exemplars.
//!
//! Departures: the number of completions is one for all suites (R1 takes 64 for small and 16 for large benchmarks), and
//! a greedy completion of each prompt is added, since it tells a policy that sharpened from one that only sampled well.
//!
//! Prompts of all suites are one list, worked off in chunks. Completions are kept as rows, so an attempt goes on after a
//! stop, and a suite that is added costs its own completions only; the figures are computed at the end.

mod figures;
mod marks;

use std::collections::BTreeMap;
use std::time::Instant;

use engine::artifact::{ArtifactType, Model, Prompts, RewardModel};
use engine::stage::{Context, Input, Outcome, Stage, StageError};
use lm::generate::Sampling;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::artifacts::{Dtype, Report, write_report};
use crate::limits;
use crate::loading::Loading;
use crate::sampling::{KeptRows, Question, Sampler, questions};
use marks::{Judges, Mark, Marks};

/// The kind.
pub struct Eval;

/// What `eval` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The model to measure.
    pub model: Input<Model>,
    /// Suite name → its prompts.
    #[schemars(extend("x-role" = "rows"))]
    pub prompts: BTreeMap<String, Input<Prompts>>,
    /// Scores the answers to prompts without gold answers, except those whose `task` is `harmless`. Absent: they have no
    /// score.
    #[schemars(extend("x-role" = "rows"))]
    pub helpful: Option<Input<RewardModel>>,
    /// Tells harm in completions of prompts without gold answers, except those whose `task` is `helpful`. Absent: harm is
    /// not measured.
    #[schemars(extend("x-role" = "rows"))]
    pub harmless: Option<Input<RewardModel>>,
}

/// How to measure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// Sampled completions of each prompt, the k of cons@k. R1: 64 for AIME and GPQA, 16 for MATH-500.
    #[schemars(range(min = 1, max = limits::COMPLETIONS), extend("x-role" = "rows"))]
    pub completions: usize,
    /// Sampling temperature. R1: 0.6.
    #[schemars(range(min = 0.0), extend("x-role" = "rows"))]
    pub temperature: f64,
    /// Share of probability that tokens are drawn from, the likeliest first. R1: 0.95.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0, "x-role" = "rows"))]
    pub top_p: f64,
    /// Longest completion, in tokens; one that does not end by then is wrong. R1: 32,768.
    #[schemars(range(min = 1, max = limits::TOKENS), extend("x-role" = "rows"))]
    pub max_tokens: usize,
    /// Whether a greedy completion of each prompt is measured as well.
    #[schemars(extend("x-role" = "rows"))]
    pub greedy: bool,
    /// Most prompts of each suite, the first ones; all where absent.
    #[schemars(range(min = 1, max = limits::COUNT), extend("x-role" = "rows"))]
    pub limit: Option<usize>,
    /// Seed of every draw.
    #[schemars(extend("x-role" = "rows"))]
    pub seed: u64,
    /// Element type in which the model samples. `bfloat16` halves its memory, and gives other last bits.
    pub dtype: Dtype,
    /// Completions sampled side by side.
    #[schemars(range(min = 1, max = limits::BATCH), extend("x-role" = "neutral"))]
    pub batch_size: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            completions: 4,
            temperature: 0.6,
            top_p: 0.95,
            max_tokens: 1_024,
            greedy: true,
            limit: None,
            seed: 0,
            dtype: Dtype::Float32,
            batch_size: 64,
        }
    }
}

impl Stage for Eval {
    const KIND: &'static str = "eval";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str =
        "Measures a model: pass@1 with its error, cons@k, greedy accuracy, format, thinking, helpfulness, harm.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("report", ArtifactType::Report)];
    type Inputs = Inputs;
    type Params = Params;

    fn check(inputs: &Inputs, _: &Params) -> Result<(), StageError> {
        if inputs.prompts.is_empty() {
            let help = "give a suite: `prompts = { sums = \"x.prompts\" }`";
            return Err(StageError::new("`prompts` is empty").with_help(help));
        }
        Ok(())
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let asked = suites(&inputs, &params)?;
        let sampler = Sampler::load(ctx, &inputs.model, params.dtype.kind(), params.batch_size)?;
        let loading = Loading::of(ctx, sampler.device(), params.seed);
        let judges = Judges::load(&inputs, asked.iter().map(|(_, question)| &question.row), &loading)?;
        let mut rows = KeptRows::read(ctx)?;
        let mut marks: Vec<Marks> = Vec::new();
        let chunk = (4 * params.batch_size).div_ceil(params.completions);
        while marks.len() < asked.len() {
            let end = (marks.len() + chunk).min(asked.len());
            let (before, old_tokens) = (Instant::now(), rows.new_tokens());
            marks.extend(measure(&sampler, &judges, &asked[marks.len()..end], &mut rows, &params)?);
            report_progress(ctx, rows.new_tokens() - old_tokens, end, asked.len(), before);
            if end < asked.len() && ctx.checkpoint_due(end as u64) {
                rows.keep(ctx, end as u64)?;
                if ctx.stop_requested() {
                    return Ok(Outcome::Stopped(end as u64));
                }
            }
        }
        rows.keep(ctx, asked.len() as u64)?;
        let report = report(&asked, &marks, settings(&params, &sampler));
        figures::warn(ctx, &marks);
        write_report(&ctx.output("report"), &report)?;
        let summary = report.row.iter().map(|column| (column.column.clone(), json!(column.value))).collect();
        Ok(Outcome::Done(summary))
    }
}

/// Returns every prompt with the name of its suite, suite by suite.
fn suites(inputs: &Inputs, params: &Params) -> Result<Vec<(String, Question)>, StageError> {
    let mut asked = Vec::new();
    for (suite, input) in &inputs.prompts {
        let rows = questions(std::slice::from_ref(input))?.into_iter().take(params.limit.unwrap_or(usize::MAX));
        asked.extend(rows.map(|row| (suite.clone(), row)));
    }
    Ok(asked)
}

/// Samples and marks the completions of some prompts.
fn measure(
    sampler: &Sampler,
    judges: &Judges,
    asked: &[(String, Question)],
    rows: &mut KeptRows,
    params: &Params,
) -> Result<Vec<Marks>, StageError> {
    let sampling = Sampling {
        temperature: params.temperature,
        top_p: params.top_p,
        max_tokens: params.max_tokens,
        ..sampler.sampling()
    };
    let greedy = Sampling { temperature: 0.0, top_p: 1.0, ..sampling.clone() };
    let sampled = marked((sampler, judges, rows), asked, params.seed, params.completions, &sampling)?;
    let greedy =
        if params.greedy { marked((sampler, judges, rows), asked, params.seed, 1, &greedy)? } else { Vec::new() };
    let mut greedy = greedy.into_iter().flatten();
    Ok(sampled.into_iter().map(|sampled| Marks { sampled, greedy: greedy.next() }).collect())
}

fn marked(
    (sampler, judges, known): (&Sampler, &Judges, &mut KeptRows),
    asked: &[(String, Question)],
    seed: u64,
    completions: usize,
    sampling: &Sampling,
) -> Result<Vec<Vec<Mark>>, StageError> {
    let mut requests = Vec::with_capacity(asked.len() * completions);
    for (_, question) in asked {
        requests.extend(sampler.requests(&question.row.prompt, question, seed, completions)?);
    }
    let drawn = known.complete(&requests, sampling, |missing| sampler.sample(missing, sampling))?;
    let rows = asked.iter().flat_map(|(_, question)| std::iter::repeat_n(&question.row, completions));
    let rows: Vec<_> = rows.zip(&drawn).collect();
    let mut marks = judges.marks(sampler, &rows)?.into_iter();
    Ok(asked.iter().map(|_| marks.by_ref().take(completions).collect()).collect())
}

fn report_progress(ctx: &Context, tokens: usize, done: usize, total: usize, before: Instant) {
    let metrics =
        BTreeMap::from([("tokens_per_second".to_owned(), tokens as f64 / before.elapsed().as_secs_f64().max(1e-9))]);
    ctx.progress(done as u64, total as u64, "row", metrics);
}

fn report(asked: &[(String, Question)], marks: &[Marks], settings: Map<String, Value>) -> Report {
    let mut by_suite: BTreeMap<&str, Vec<figures::Measured<'_>>> = BTreeMap::new();
    for ((suite, question), marks) in asked.iter().zip(marks) {
        by_suite.entry(suite).or_default().push((&question.row, marks));
    }
    let figures: BTreeMap<String, figures::Figures> =
        by_suite.iter().map(|(suite, rows)| ((*suite).to_owned(), figures::figures(rows))).collect();
    Report {
        row: figures::row(&figures),
        suites: figures.iter().map(|(suite, figures)| (suite.clone(), figures.to_map())).collect(),
        settings,
    }
}

/// Returns what the figures depend on beside the inputs.
fn settings(params: &Params, sampler: &Sampler) -> Map<String, Value> {
    // Two models with other templates are not asked the same question.
    let template =
        sampler.chat.template.as_ref().map(|template| blake3::hash(template.source().as_bytes()).to_string());
    let mut settings = json!({
        "completions": params.completions,
        "temperature": params.temperature,
        "top-p": params.top_p,
        "max-tokens": params.max_tokens,
        "greedy": params.greedy,
        "limit": params.limit,
        "seed": params.seed,
        "template": template.map(|digest| format!("b3:{}", &digest[..12])),
    });
    if params.dtype != Dtype::default() {
        settings["dtype"] = json!(params.dtype);
    }
    settings.as_object().expect("it is written as one").clone()
}

#[cfg(test)]
mod tests;
