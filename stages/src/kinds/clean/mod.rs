//! Kind `clean`: leaves out rows that overlap with named prompt sets, and near-duplicates.
//!
//! Decontamination keeps evaluation honest: a row is left out if a turn of the user shares an n-gram of words with a
//! prompt of the sets in `against` (`text::overlap` has the rule and its sources). Near-duplicates are then looked for
//! among the rows that remain: a row is left out if it is near an earlier one that is kept. Of samples, prompt and
//! completion are compared together, because several completions of one prompt are meant.
//!
//! Both outputs are always written. One whose input is not given is empty.

mod duplicates;
mod overlaps;

use std::collections::BTreeMap;

use engine::artifact::{ArtifactType, Prompts, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use text::Prompt;

use crate::artifacts::{read_prompts, read_samples, write_prompts, write_samples};
use crate::looking;
use overlaps::Evaluation;

/// Examples of each sort in the summary.
const EXAMPLES: usize = 10;

/// The kind.
pub struct Clean;

/// What `clean` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Prompts to clean.
    #[serde(default)]
    pub prompts: Vec<Input<Prompts>>,
    /// Samples to clean.
    #[serde(default)]
    pub samples: Vec<Input<Samples>>,
    /// Prompt sets that no row may overlap with, such as those of evaluations.
    #[serde(default)]
    pub against: Vec<Input<Prompts>>,
}

/// What is left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// Words that a row and a prompt of `against` must have in common, one after the other, to overlap; shorter prompts
    /// overlap with equal ones. R1: 10.
    #[schemars(range(min = 1, max = 1_000))]
    pub ngram: usize,
    /// Two rows are near-duplicates if the Jaccard similarity of their sets of five consecutive words is at least this;
    /// only the first is kept. 0.8 is usual. Absent: near-duplicates are not looked for.
    #[schemars(range(min = 0.3, max = 1.0))]
    pub near_duplicates: Option<f64>,
}

impl Default for Params {
    fn default() -> Self {
        Self { ngram: 10, near_duplicates: None }
    }
}

/// A row to clean.
struct Row<'a> {
    /// Its place, for messages: `row 3 of \`inputs.x\``.
    name: String,
    prompt: &'a Prompt,
    completion: Option<&'a str>,
}

/// What was found among the rows of an output.
struct Findings {
    kept: Vec<bool>,
    overlapping: BTreeMap<String, usize>,
    num_duplicates: usize,
    examples: Vec<String>,
}

impl Stage for Clean {
    const KIND: &'static str = "clean";
    const HISTORY: &'static [&'static str] =
        &["the first", "a result of a function in `cases` may be in a list of one"];
    const USES_TENSORS: bool = false;
    const DOC: &'static str =
        "Leaves out rows that overlap with the prompts of other sets (10-gram decontamination), and near-duplicates.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] =
        &[("prompts", ArtifactType::Prompts), ("samples", ArtifactType::Samples)];
    type Inputs = Inputs;
    type Params = Params;

    fn check(inputs: &Inputs, params: &Params) -> Vec<StageError> {
        let mut refused = Vec::new();
        if inputs.prompts.is_empty() && inputs.samples.is_empty() {
            refused.push(StageError::new("there is nothing to clean").with_help("give `prompts` or `samples`"));
        }
        if inputs.against.is_empty() && params.near_duplicates.is_none() {
            refused.push(StageError::new("nothing would be left out").with_help("give `against` or `near-duplicates`"));
        }
        refused
    }

    fn look(inputs: &Inputs, _: &Params, look: &mut Look) {
        looking::asked(look, inputs.prompts.iter().chain(&inputs.against), None, None);
        looking::samples(look, &inputs.samples, None);
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        // Few threads more or less change nothing but the time.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(ctx.machine().threads).build()?;
        let evaluation = Evaluation::read(&inputs.against, params.ngram)?;
        let (mut prompts, mut prompt_names) = (Vec::new(), Vec::new());
        for input in &inputs.prompts {
            let rows = read_prompts(input)?;
            prompt_names.extend(rows.iter().map(|row| format!("prompt `{}` of `{}`", row.id, input.name())));
            prompts.extend(rows);
        }
        let (mut samples, mut sample_names) = (Vec::new(), Vec::new());
        for input in &inputs.samples {
            let rows = read_samples(input)?;
            sample_names.extend((0..rows.len()).map(|index| format!("row {index} of `{}`", input.name())));
            samples.extend(rows);
        }
        let rows = prompts.iter().zip(prompt_names);
        let rows: Vec<Row<'_>> = rows.map(|(row, name)| Row { name, prompt: &row.prompt, completion: None }).collect();
        let of_prompts = pool.install(|| findings(&rows, &evaluation, &params));
        let total = (prompts.len() + samples.len()) as u64;
        ctx.progress(prompts.len() as u64, total, "row", BTreeMap::new());
        let rows = samples.iter().zip(sample_names);
        let rows: Vec<Row<'_>> =
            rows.map(|(row, name)| Row { name, prompt: &row.prompt, completion: Some(&row.completion) }).collect();
        let of_samples = pool.install(|| findings(&rows, &evaluation, &params));
        ctx.progress(total, total, "row", BTreeMap::new());
        write_prompts(&ctx.output("prompts"), &kept(prompts, &of_prompts))?;
        write_samples(&ctx.output("samples"), &kept(samples, &of_samples))?;
        warn(ctx, "prompts", &of_prompts);
        warn(ctx, "samples", &of_samples);
        let mut summary = json!({ "against": evaluation.sizes() });
        for (name, is_given, found) in
            [("prompts", !inputs.prompts.is_empty(), &of_prompts), ("samples", !inputs.samples.is_empty(), &of_samples)]
        {
            if is_given {
                summary[name] = found.summary();
            }
        }
        Ok(Outcome::Done(summary.as_object().expect("it is written as one").clone()))
    }
}

/// Finds the rows that are left out.
fn findings(rows: &[Row<'_>], evaluation: &Evaluation, params: &Params) -> Findings {
    let mut found = Findings {
        kept: vec![true; rows.len()],
        overlapping: BTreeMap::new(),
        num_duplicates: 0,
        examples: Vec::new(),
    };
    for (index, overlap) in evaluation.overlaps(rows).into_iter().enumerate() {
        let Some(prompt) = overlap else { continue };
        found.kept[index] = false;
        let count = found.overlapping.entry(prompt.set.clone()).or_default();
        *count += 1;
        if *count <= EXAMPLES {
            found
                .examples
                .push(format!("{} overlaps with prompt `{}` of `{}`", rows[index].name, prompt.id, prompt.set));
        }
    }
    let Some(threshold) = params.near_duplicates else { return found };
    for (index, first) in duplicates::find(rows, &found.kept, threshold) {
        found.kept[index] = false;
        found.num_duplicates += 1;
        if found.num_duplicates <= EXAMPLES {
            found.examples.push(format!("{} is a near-duplicate of {}", rows[index].name, rows[first].name));
        }
    }
    found
}

impl Findings {
    fn num_kept(&self) -> usize {
        self.kept.iter().filter(|kept| **kept).count()
    }

    fn summary(&self) -> Value {
        json!({
            "rows": self.kept.len(),
            "kept": self.num_kept(),
            "overlapping": self.overlapping,
            "near-duplicates": self.num_duplicates,
            "examples": self.examples,
        })
    }
}

fn kept<T>(rows: Vec<T>, found: &Findings) -> Vec<T> {
    rows.into_iter().zip(&found.kept).filter(|(_, kept)| **kept).map(|(row, _)| row).collect()
}

/// Warns of a set that overlaps with most rows: there is hardly that much of it in the data.
fn warn(ctx: &Context, name: &str, found: &Findings) {
    for (set, count) in &found.overlapping {
        let rows = found.kept.len();
        if 2 * count > rows {
            ctx.warn(format!(
                "{count} of {rows} {name} overlap with `{set}`: if all its prompts have the same instruction, read it \
                 without that, or raise `ngram`"
            ));
        }
    }
}

#[cfg(test)]
mod tests;
