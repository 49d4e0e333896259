//! Kind `eval`: measures a model, with standard errors. It follows R1's protocol (v2, appendix D.1): several
//! completions of each prompt at temperature 0.6 and top-p 0.95, pass@1 as their mean, cons@k as the vote of k, no
//! exemplars.
//!
//! Departures: all suites have the same number of completions (R1 takes 64 for small and 16 for large benchmarks), and
//! a greedy completion of each prompt is added. The greedy completion tells a sharpened policy from one that only
//! sampled well.
//!
//! The prompts of all suites form one list, processed in chunks. Completions are kept as rows: an attempt resumes after
//! a stop, and a new suite costs only its own completions. Figures are computed at the end.

mod answers;
mod figures;
mod marks;

use std::collections::BTreeMap;
use std::time::Instant;

use engine::artifact::{ArtifactType, Model, Prompts, RewardModel, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError, refusals};
use engine::worker::tokens::ShownRow;
use lm::generate::Sampling;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::artifacts::{Dtype, Report, write_report};
use crate::chat::Rendering;
use crate::grading::{Form, Grader};
use crate::held::JudgePlace;
use crate::judges::StageJudge;
use crate::loading::Loading;
use crate::own::{self, Own};
use crate::programs::JailKey;
use crate::sampling::{Drawing, Drawn, Exemplars, FewShot, KeptRows, Question, Sampler, questions, show_exemplars};
use crate::{limits, looking, showing};
use answers::AnswerWriter;
use marks::{Mark, Markers, Marks};

/// The kind.
pub struct Eval;

/// What `eval` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The model to measure.
    pub model: Input<Model>,
    /// Suites: a name and a prompt set each.
    #[schemars(extend("x-role" = "rows"))]
    pub prompts: BTreeMap<String, Input<Prompts>>,
    /// Exemplars shown before each prompt. Absent: none, as in R1's protocol.
    #[schemars(extend("x-role" = "rows", "x-omit-default" = true))]
    pub few_shot: Option<Input<Samples>>,
    /// Reward model that scores the answers to prompts without gold answers, except those whose `task` is `harmless`.
    /// Absent: helpfulness is not measured.
    #[schemars(extend("x-role" = "rows"))]
    pub helpful: Option<Input<RewardModel>>,
    /// Reward model that finds harm in completions of prompts without gold answers, except those whose `task` is
    /// `helpful`. Absent: harm is not measured.
    #[schemars(extend("x-role" = "rows"))]
    pub harmless: Option<Input<RewardModel>>,
}

/// How to measure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// Completions sampled for each prompt, the k of cons@k. R1: 64 for AIME and GPQA, 16 for MATH-500.
    #[schemars(range(min = 1, max = limits::COMPLETIONS), extend("x-role" = "rows"))]
    pub completions: usize,
    /// Sampling temperature. R1: 0.6.
    #[schemars(range(min = 0.0), extend("x-role" = "rows"))]
    pub temperature: f64,
    /// Nucleus sampling: tokens are drawn from the likeliest ones that together have this probability. R1: 0.95.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0, "x-role" = "rows"))]
    pub top_p: f64,
    /// Longest completion, in tokens; one that does not end by then is wrong. R1: 32,768.
    #[schemars(range(min = 1, max = limits::TOKENS), extend("x-role" = "rows"))]
    pub max_tokens: usize,
    /// Whether a greedy completion of each prompt is measured as well.
    #[schemars(extend("x-role" = "rows"))]
    pub greedy: bool,
    /// Most prompts of each suite; the first ones are used. Absent: all.
    #[schemars(range(min = 1, max = limits::COUNT), extend("x-role" = "rows"))]
    pub limit: Option<usize>,
    /// Seed of the sampling.
    #[schemars(extend("x-role" = "rows"))]
    pub seed: u64,
    /// The form that a completion must have to be right, where a number or a choice is asked for. `tags`: a thought in
    /// `<think>…</think>`, then the answer. `boxed`: the answer in `\boxed{…}`. `any`: no form.
    #[schemars(extend("x-role" = "rows", "x-omit-default" = true))]
    pub form: Form,
    /// A judge, a model that says whether an answer comes to the same as the gold one: for prompts with `verify = "judge"`.
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
            temperature: 0.6,
            top_p: 0.95,
            max_tokens: 1_024,
            greedy: true,
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

impl Stage for Eval {
    const KIND: &'static str = "eval";
    const HISTORY: &'static [&'static str] = &[
        "the first",
        "chats are rendered whole, and every end token ends a completion",
        "the answers are an output, and the table shows those that are right in any form or cut off",
        "answers are compared by meaning: expressions, lists, units, choices; instructions are checked",
        "programs are run against their tests, and puzzles are checked",
        "a result of a function in `cases` may be in a list of one",
    ];
    const ROWS_VERSION: u32 = 2;
    const DOC: &'static str =
        "Measures a model: pass@1 with its error, cons@k, greedy accuracy, format, thinking, helpfulness, harm.";
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_NAMES;
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_WAYS;
    const OUTPUTS: &'static [(&'static str, ArtifactType)] =
        &[("report", ArtifactType::Report), ("answers", ArtifactType::Report)];
    const TOKENS: &'static [&'static str] =
        &["model", "prompts", "few-shot", "chat-template", "system", "prompt-template"];
    type Inputs = Inputs;
    type Params = Params;

    fn check(inputs: &Inputs, params: &Params) -> Vec<StageError> {
        let mut refused = refusals([
            params.rendering.check(),
            params.drawing.check(),
            params.judge.check(),
            own::check(params.verifier.as_ref()),
        ]);
        if inputs.prompts.is_empty() {
            let help = "give a suite: `prompts = { sums = \"x.prompts\" }`";
            refused.push(StageError::new("`prompts` is empty").with_help(help));
        }
        refused
    }

    fn look(inputs: &Inputs, params: &Params, look: &mut Look) {
        let seen = looking::sampler(look, &inputs.model, &params.rendering, params.max_tokens);
        looking::asked(look, inputs.prompts.values(), seen.as_ref(), None);
        looking::compared(look, inputs.prompts.values());
        looking::exemplars(look, inputs.few_shot.as_ref(), &params.few);
        for model in inputs.helpful.iter().chain(&inputs.harmless) {
            looking::reward_model(look, model);
        }
        looking::judges(look, params.judge.keys());
    }

    fn tokens(inputs: &Inputs, params: &Params, row: usize) -> Result<ShownRow, StageError> {
        let chat = params.rendering.load(&inputs.model)?;
        let exemplars = Exemplars::read(inputs.few_shot.as_ref(), &params.few, params.seed)?;
        showing::prompt(&chat, inputs.prompts.values(), |row| exemplars.before(&row.prompt), row)
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let mut asked = suites(&inputs, &params)?;
        let shown = asked.iter_mut().map(|(_, question)| question);
        show_exemplars(shown, inputs.few_shot.as_ref(), &params.few, params.seed)?;
        let chat = params.rendering.load(&inputs.model)?.with_stops(&params.drawing.stop);
        let sampler = Sampler::load(ctx, &inputs.model, chat, params.dtype, params.batch_size)?;
        let loading = Loading::of(ctx, sampler.device(), params.judge_place, params.seed)?.with_jail(params.jail);
        let judge = params.judge.load(&loading)?;
        let loading = loading.with_judge(judge.as_ref()).with_verifier(params.verifier.as_ref());
        let markers = Markers::load(&inputs, asked.iter().map(|(_, question)| &question.row), params.form, &loading)?;
        Grader::warn_of_idle(ctx, &loading, &[markers.grader()]);
        let mut rows = KeptRows::read(ctx)?;
        let mut marks: Vec<Marks> = Vec::new();
        let mut answers = AnswerWriter::create(ctx)?;
        let chunk = (4 * params.batch_size).div_ceil(params.completions);
        while marks.len() < asked.len() {
            let end = (marks.len() + chunk).min(asked.len());
            let (before, old_tokens) = (Instant::now(), rows.new_tokens());
            let chunk = &asked[marks.len()..end];
            let old_rows = rows.num_new();
            let Some(measured) = measure(&sampler, &markers, chunk, &mut rows, &params)? else {
                let begun = marks.len() + (rows.num_new() - old_rows).div_ceil(params.completions);
                rows.keep(ctx, begun as u64)?;
                return Ok(Outcome::Stopped(begun as u64));
            };
            answers.write(chunk, &measured, params.form)?;
            marks.extend(measured.into_iter().map(Marks::without_texts));
            report_progress(ctx, rows.new_tokens() - old_tokens, end, asked.len(), before);
            if end < asked.len() && ctx.checkpoint_due(end as u64) {
                rows.keep(ctx, end as u64)?;
                if ctx.stop_requested() {
                    return Ok(Outcome::Stopped(end as u64));
                }
            }
        }
        rows.keep(ctx, asked.len() as u64)?;
        let report = report(&asked, &marks, settings(&inputs, &params, &sampler));
        figures::warn(ctx, &marks);
        answers.finish()?;
        write_report(&ctx.output("report"), &report)?;
        let summary = report.row.iter().map(|column| (column.column.clone(), json!(column.value))).collect();
        Ok(Outcome::Done(summary))
    }
}

/// Returns all prompts, suite by suite, each with the name of its suite.
fn suites(inputs: &Inputs, params: &Params) -> Result<Vec<(String, Question)>, StageError> {
    let mut asked = Vec::new();
    for (suite, input) in &inputs.prompts {
        let rows = questions(std::slice::from_ref(input))?.into_iter().take(params.limit.unwrap_or(usize::MAX));
        asked.extend(rows.map(|row| (suite.clone(), row)));
    }
    Ok(asked)
}

/// Samples and marks the completions of some prompts; returns `None` if it was stopped before all were sampled.
fn measure(
    sampler: &Sampler<'_>,
    markers: &Markers,
    asked: &[(String, Question)],
    rows: &mut KeptRows,
    params: &Params,
) -> Result<Option<Vec<Marks>>, StageError> {
    let sampling = params.drawing.apply(Sampling {
        temperature: params.temperature,
        top_p: params.top_p,
        max_tokens: params.max_tokens,
        ..sampler.sampling()
    });
    let greedy = Sampling { temperature: 0.0, top_p: 1.0, top_k: 0, min_p: 0.0, ..sampling.clone() };
    let sampled = marked((sampler, markers, rows), asked, params.seed, params.completions, &sampling)?;
    let Some(sampled) = sampled else { return Ok(None) };
    let greedy = if params.greedy {
        marked((sampler, markers, rows), asked, params.seed, 1, &greedy)?
    } else {
        Some(Vec::new())
    };
    let Some(greedy) = greedy else { return Ok(None) };
    let mut greedy = greedy.into_iter().flatten();
    Ok(Some(sampled.into_iter().map(|sampled| Marks { sampled, greedy: greedy.next() }).collect()))
}

fn marked(
    (sampler, markers, known): (&Sampler<'_>, &Markers, &mut KeptRows),
    asked: &[(String, Question)],
    seed: u64,
    completions: usize,
    sampling: &Sampling,
) -> Result<Option<Vec<Vec<Mark>>>, StageError> {
    let questions: Vec<&Question> = asked.iter().map(|(_, question)| question).collect();
    let drawn = known.complete((sampler, markers.grader()), &questions, (seed, completions), sampling)?;
    let Some(mut drawn) = drawn else { return Ok(None) };
    // A prompt that leaves no room has no answer.
    let none = Drawn { text: String::new(), finished: false, num_tokens: 0 };
    for drawn in &mut drawn {
        drawn.resize(completions, none.clone());
    }
    let drawn: Vec<Drawn> = drawn.into_iter().flatten().collect();
    let rows = asked.iter().flat_map(|(_, question)| std::iter::repeat_n(&question.row, completions));
    let rows: Vec<_> = rows.zip(&drawn).collect();
    let mut marks = markers.marks(sampler, &rows)?.into_iter();
    Ok(Some(asked.iter().map(|_| marks.by_ref().take(completions).collect()).collect()))
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

/// Returns the settings that the figures depend on, apart from the inputs.
fn settings(inputs: &Inputs, params: &Params, sampler: &Sampler<'_>) -> Map<String, Value> {
    // Models with different templates do not get the same prompt.
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
    if inputs.few_shot.is_some() {
        settings["shots"] = json!(params.few.shots);
        settings["few-shot-as"] = json!(params.few.few_shot_as);
    }
    if let Some(dtype) = params.dtype {
        settings["dtype"] = json!(dtype);
    }
    let mut settings = settings.as_object().expect("it is written as one").clone();
    settings.extend(params.drawing.shown());
    settings.extend(params.rendering.shown());
    settings
}

#[cfg(test)]
mod tests;
