//! Kind `tasks`: procedural problems with verifiable answers, so that a workflow needs no download.
//!
//! Each task is a file and a row of [`TASKS`]. Its problems are drawn from `seed` alone. A hash of its text assigns a
//! problem to `train` or `test` (1 in 8), so a `train` stage never contains a held-out problem, whatever the seeds.
//! All but puzzles are written in a small alphabet: digits, `+-=,.?!`, a-z, space, newline, the four tags, and the
//! Chinese character for "makes", which marks a thought that switches language.
//!
//! All three outputs are always written. An output that the task and style do not fill is empty.

mod chat;
mod draw;
mod general;
mod messy;
mod params;
mod puzzles;
mod sums;

use std::collections::BTreeMap;

use engine::artifact::ArtifactType;
use engine::stage::{Context, Outcome, Stage, StageError, refusals};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::artifacts::{PreferenceRow, PromptRow, SampleRow, write_preferences, write_prompts, write_samples};
use draw::TaskRng;

pub use params::{Params, Shares, Split, Topic};

/// The kind.
pub struct Tasks;

/// `tasks` reads nothing.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Inputs {}

impl Stage for Tasks {
    const KIND: &'static str = "tasks";
    const HISTORY: &'static [&'static str] = &["the first"];
    const USES_TENSORS: bool = false;
    const DOC: &'static str =
        "Writes procedural problems with verifiable answers: sums, general skills, chat, logic puzzles.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[
        ("prompts", ArtifactType::Prompts),
        ("samples", ArtifactType::Samples),
        ("preferences", ArtifactType::Preferences),
    ];
    type Inputs = Inputs;
    type Params = Params;

    fn check(_: &Inputs, params: &Params) -> Vec<StageError> {
        refusals([task(params).and_then(|(task, _)| (task.check)(params))])
    }

    fn run(ctx: &Context, _: Inputs, params: Params) -> Result<Outcome, StageError> {
        let rows = make(&params)?;
        write_prompts(&ctx.output("prompts"), &rows.prompts)?;
        write_samples(&ctx.output("samples"), &rows.samples)?;
        write_preferences(&ctx.output("preferences"), &rows.preferences)?;
        let count = params.count as u64;
        ctx.progress(count, count, "row", BTreeMap::new());
        let summary = json!({
            "prompts": rows.prompts.len(),
            "samples": rows.samples.len(),
            "preferences": rows.preferences.len(),
        });
        Ok(Outcome::Done(summary.as_object().expect("it is written as one").clone()))
    }
}

/// A task: a row of [`TASKS`].
struct Task {
    name: &'static str,
    /// The first style is the default.
    styles: &'static [&'static str],
    /// Refuses invalid values of the task's own keys.
    check: fn(&Params) -> Result<(), StageError>,
    /// Draws all rows, for the given style.
    make: fn(&Params, &str, &mut TaskRng) -> Result<TaskRows, StageError>,
}

const TASKS: &[Task] = &[sums::TASK, general::TASK, chat::TASK, puzzles::TASK];

/// What a task makes.
#[derive(Default)]
struct TaskRows {
    prompts: Vec<PromptRow>,
    samples: Vec<SampleRow>,
    preferences: Vec<PreferenceRow>,
}

impl TaskRows {
    /// Adds a prompt and its sample, under the same index.
    fn push_sample(&mut self, prompt: PromptRow, sample: SampleRow) {
        self.prompts.push(prompt);
        self.samples.push(sample);
    }
}

/// Returns the task and its style. The engine has already refused keys that this task or style does not read.
fn task(params: &Params) -> Result<(&'static Task, &str), StageError> {
    let task = TASKS.iter().find(|task| task.name == params.task).ok_or_else(|| {
        let names = TASKS.iter().map(|task| task.name).collect::<Vec<_>>().join("`, `");
        StageError::new(format!("no task `{}`", params.task)).with_help(format!("the tasks are `{names}`"))
    })?;
    let style = params.style.as_deref().unwrap_or(task.styles[0]);
    if !task.styles.contains(&style) {
        return Err(StageError::new(format!("task `{}` has no style `{style}`", task.name))
            .with_help(format!("its styles are `{}`", task.styles.join("`, `"))));
    }
    params.check_shares()?;
    Ok((task, style))
}

/// Returns the rows that `params` describe.
fn make(params: &Params) -> Result<TaskRows, StageError> {
    let (task, style) = task(params)?;
    (task.make)(params, style, &mut TaskRng::new(params.seed, task.name))
}

/// Returns whether a problem is held out.
fn is_test(problem: &str) -> bool {
    blake3::hash(problem.as_bytes()).as_bytes()[0].is_multiple_of(8)
}

impl Split {
    /// Returns whether `problem` belongs to the split.
    fn holds(self, problem: &str) -> bool {
        is_test(problem) == (self == Self::Test)
    }
}

#[cfg(test)]
mod tests;
