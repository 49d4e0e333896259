//! Kind `judge`: a judge makes preference data of sampled completions, for a reward model to learn from. R1's helpful
//! pairs were made so (v2, section 3.1): four votes of DeepSeek-V3 about two answers in either order, pairs kept where
//! the mean differs by more than 1, lengths of the better and the worse ones alike.
//!
//! ```text
//! samples ─ cases ─▶ votes (kept by the engine) ─▶ pairs with a margin ─ balance ─▶ preferences
//!           comparison: two answers to a prompt     yes-no: a label for each answer
//! ```

mod balance;
mod cases;
mod votes;

use std::collections::BTreeMap;

use engine::artifact::{ArtifactType, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError, refusals};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::artifacts::{PreferenceRow, read_samples, write_preferences};
use crate::device::set_up;
use crate::growing::GrowingRows;
use crate::held::JudgePlace;
use crate::judges::{Asks, Judge as LoadedJudge, JudgeKeys};
use crate::{limits, looking};
use balance::{Pair, balance};
use cases::{Case, cases};
use votes::{KeptVotes, VoteRow};

/// The kind.
pub struct Judge;

/// What `judge` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Completions to be judged: those of one prompt are compared with each other, across all sets.
    #[schemars(extend("x-role" = "rows"))]
    pub samples: Vec<Input<Samples>>,
}

/// How to judge, and which judgements to keep.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Params {
    /// The judge and what it is asked. `comparison` and `score` make pairs, `yes-no` makes labels.
    #[schemars(extend("x-required" = true))]
    pub judge: JudgeKeys,
    /// A pair is kept if the better answer leads by more than this: in a `comparison` of at most 2, in points of a
    /// `score`. R1: 1. Absent: 1; labels have none.
    #[serde(default)]
    #[schemars(range(min = 0.0), extend("x-role" = "rows"))]
    pub margin: Option<f64>,
    /// Most pairs of one prompt. Absent: 1; labels have none.
    #[serde(default)]
    #[schemars(range(min = 1, max = limits::COMPLETIONS), extend("x-role" = "rows"))]
    pub pairs_per_prompt: Option<usize>,
    /// Whether pairs are left out until the better and the worse answers are equally long on average, within a
    /// twentieth: a reward model would learn the length. R1 did so. Absent: true; labels are not balanced.
    #[serde(default)]
    #[schemars(extend("x-role" = "rows"))]
    pub balance_lengths: Option<bool>,
    /// Most prompts. Absent: all.
    #[serde(default)]
    #[schemars(range(min = 1, max = limits::COUNT), extend("x-role" = "rows"))]
    pub limit: Option<usize>,
    /// Seed of the choice of pairs and of the judge's sampling.
    #[serde(default)]
    pub seed: u64,
    #[serde(flatten)]
    pub judge_place: JudgePlace,
}

/// Cases that are judged at once, in votes.
const CHUNK: usize = 256;

impl Params {
    fn pairs_per_prompt(&self) -> usize {
        self.pairs_per_prompt.unwrap_or(1)
    }
}

impl Stage for Judge {
    const KIND: &'static str = "judge";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str =
        "Makes preference data of completions by a judge, a model: pairs or labels for `reward-model`.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] =
        &[("preferences", ArtifactType::Preferences), ("votes", ArtifactType::Report)];
    type Inputs = Inputs;
    type Params = Params;

    fn check(_: &Inputs, params: &Params) -> Vec<StageError> {
        let labels = params.judge.asks == Asks::YesNo;
        let refuse = |key: &str| {
            StageError::new(format!("`{key}` is for pairs, and `asks = \"yes-no\"` makes labels"))
                .with_help("remove it, or ask for a `comparison` or a `score`")
        };
        let given = [
            ("margin", params.margin.is_some()),
            ("pairs-per-prompt", params.pairs_per_prompt.is_some()),
            ("balance-lengths", params.balance_lengths.is_some()),
        ];
        let mut refused = refusals([params.judge.check()]);
        refused.extend(given.iter().filter(|(_, is_given)| *is_given && labels).map(|(key, _)| refuse(key)));
        refused
    }

    fn look(inputs: &Inputs, params: &Params, look: &mut Look) {
        looking::judges(look, [&params.judge]);
        looking::samples(look, &inputs.samples, None);
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let device = params.judge_place.device(ctx, set_up(ctx)?)?;
        let mut samples = Vec::new();
        for input in &inputs.samples {
            samples.extend(read_samples(input)?);
        }
        ctx.doing("loading", None);
        let judge = LoadedJudge::load(&params.judge, device, params.judge_place.judge_offload, params.seed)?;
        let cases = cases(&samples, judge.reads(), &params)?;
        let mut kept = KeptVotes::read(ctx)?;
        let mut rows: Vec<VoteRow> = Vec::with_capacity(cases.len());
        let mut growing = GrowingRows::create(ctx, "votes")?;
        let chunk = CHUNK.div_ceil(params.judge.num_votes());
        while rows.len() < cases.len() {
            let end = (rows.len() + chunk).min(cases.len());
            ctx.doing("judging", Some((rows.len() as u64, cases.len() as u64)));
            let new = kept.complete(&judge, &samples, &cases[rows.len()..end])?;
            growing.append(&new)?;
            rows.extend(new);
            ctx.progress(end as u64, cases.len() as u64, "case", BTreeMap::new());
            if end < cases.len() && ctx.checkpoint_due(end as u64) {
                kept.keep(ctx, end as u64)?;
                if ctx.stop_requested() {
                    return Ok(Outcome::Stopped(end as u64));
                }
            }
        }
        kept.keep(ctx, cases.len() as u64)?;
        let (preferences, summary) = chosen(&cases, &rows, &samples, &params);
        if preferences.is_empty() {
            ctx.warn("no judgement is kept: the summary says why; `r1flow show STAGE.votes` has what the judge wrote");
        }
        write_preferences(&ctx.output("preferences"), &preferences)?;
        growing.finish("votes.jsonl")?;
        Ok(Outcome::Done(summary))
    }
}

/// Returns the judgements that are kept, and the counts of the summary.
fn chosen(
    cases: &[Case],
    rows: &[VoteRow],
    samples: &[crate::artifacts::SampleRow],
    params: &Params,
) -> (Vec<PreferenceRow>, Map<String, Value>) {
    let unread = rows.iter().filter(|row| row.mean.is_none()).count();
    let mut summary = Map::from_iter([
        ("prompts".to_owned(), json!(cases.iter().map(|case| case.prompt).max().map_or(0, |last| last + 1))),
        ("judged".to_owned(), json!(rows.len())),
        ("without-verdict".to_owned(), json!(unread)),
    ]);
    if params.judge.asks == Asks::YesNo {
        let labels: Vec<PreferenceRow> =
            cases.iter().zip(rows).filter_map(|(case, row)| label(case, row, samples)).collect();
        let good = labels.iter().filter(|row| matches!(row, PreferenceRow::Pointwise { label: 1, .. })).count();
        summary.insert("undecided".to_owned(), json!(rows.len() - unread - labels.len()));
        summary.insert("kept".to_owned(), json!(labels.len()));
        summary.insert("good".to_owned(), json!(good));
        return (labels, summary);
    }
    let found = cases::pairs(cases, rows, params);
    let candidates = found.len();
    let margin = params.margin.unwrap_or(1.0);
    let mut pairs: Vec<Pair> =
        found.into_iter().filter(|pair| pair.by > margin).map(|pair| pair.of(samples, params.judge.reads)).collect();
    summary.insert("pairs".to_owned(), json!(candidates));
    summary.insert("within-margin".to_owned(), json!(candidates - pairs.len()));
    let lengths = |pairs: &[Pair]| {
        let mean =
            |length: fn(&Pair) -> usize| pairs.iter().map(length).sum::<usize>() as f64 / pairs.len().max(1) as f64;
        json!({ "chosen": mean(|pair| pair.chosen), "rejected": mean(|pair| pair.rejected) })
    };
    if !pairs.is_empty() {
        summary.insert("characters-before".to_owned(), lengths(&pairs));
    }
    let before = pairs.len();
    if params.balance_lengths.unwrap_or(true) {
        balance(&mut pairs);
    }
    summary.insert("unbalanced".to_owned(), json!(before - pairs.len()));
    if !pairs.is_empty() {
        summary.insert("characters".to_owned(), lengths(&pairs));
    }
    summary.insert("kept".to_owned(), json!(pairs.len()));
    (pairs.into_iter().map(|pair| pair.row(samples)).collect(), summary)
}

fn label(case: &Case, row: &VoteRow, samples: &[crate::artifacts::SampleRow]) -> Option<PreferenceRow> {
    let sample = &samples[case.first];
    let mean = row.mean.filter(|mean| (mean - 0.5).abs() > 1e-9)?;
    Some(PreferenceRow::Pointwise {
        prompt: sample.prompt.clone(),
        completion: sample.completion.clone(),
        label: u8::from(mean > 0.5),
    })
}
