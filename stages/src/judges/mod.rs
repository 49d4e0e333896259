//! Judges: a model reads an answer with a rubric and says how good it is, where no rule can.
//!
//! ```text
//! answer ─ ask: rubric, question, reference ─▶ model, some votes ─ vote: `Verdict: …` ─▶ score, and why
//! ```
//! It is the verifier `judge`, the filter `judged` of `generate`, the rewards `judge.NAME`, and the kind `judge`, which
//! makes preference data as R1 did (v2, section 3.1). What a judge said is kept by content: it is not asked the same
//! again, neither by an attempt that goes on nor by another stage.

mod ask;
mod model;
mod of_stage;
mod vote;

use engine::artifact::Model as ModelMarker;
use engine::stage::{Input, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::artifacts::Dtype;
use crate::chat::{Rendering, Text};
use crate::limits;
use crate::opinions::Reads;
use crate::template_args::TemplateArgs;
pub(crate) use ask::Asked;
pub(crate) use model::{Judge, Judged};
pub use of_stage::StageJudge;

/// What a judge is asked, and how: the table `judge`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JudgeKeys {
    /// The model that judges.
    pub model: Input<ModelMarker>,
    /// What it is asked. `yes-no`: whether the answer is as the rubric says. `score`: a number on `scale`. `comparison`:
    /// which of two answers is better, in both orders.
    #[serde(default)]
    pub asks: Asks,
    /// What makes an answer good: a text, or `inputs.NAME` of one. Absent: that it is right, helpful and complete; with a
    /// reference answer, that it comes to the same. A `template` has it where it reads `rubric`.
    #[serde(default)]
    pub rubric: Option<Text>,
    /// The whole text that the judge is given, in Jinja, in place of r1flow's: a text, or `inputs.NAME` of one. It may
    /// read `question`, `answer`, `other` (in a comparison), `reference` and `rubric`, and must ask for `Verdict: …`.
    #[serde(default)]
    pub template: Option<Text>,
    /// The least and the greatest `score`. Absent: 1 and 10.
    #[serde(default)]
    pub scale: Option<[Level; 2]>,
    /// How often it is asked about an answer; the mean counts. Even in a comparison, half in each order. R1: 4. Absent: 1,
    /// in a comparison 2.
    #[serde(default)]
    #[schemars(range(min = 1, max = limits::COMPLETIONS))]
    pub votes: Option<usize>,
    /// Sampling temperature. Absent: 0 if it is asked once in each order, else 1.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub temperature: Option<f64>,
    /// Its longest text, in tokens; one that does not end by then has no verdict.
    #[serde(default = "max_tokens")]
    #[schemars(range(min = 1, max = limits::TOKENS))]
    pub max_tokens: usize,
    /// What it reads: the `answer` alone, or the whole `completion`.
    #[serde(default = "reads")]
    pub reads: Reads,
    /// Whether it is told the prompt's gold answer, where there is one and it is not what the answer is compared with.
    #[serde(default = "reference")]
    pub reference: bool,
    /// Chat template in place of the judge's own; see `sft`.
    #[serde(default)]
    pub chat_template: Option<Text>,
    /// Values for the chat template's own variables.
    #[serde(default)]
    pub template_args: TemplateArgs,
    /// Element type of the judge in memory. Absent: the one that its `config.json` names.
    #[serde(default)]
    pub dtype: Option<Dtype>,
    /// Texts of the judge sampled in parallel.
    #[serde(default = "batch_size")]
    #[schemars(range(min = 1, max = limits::BATCH))]
    pub batch_size: usize,
}

/// An end of a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Level(#[schemars(range(min = -1_000, max = 1_000))] pub i64);

/// What a judge is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Asks {
    /// Whether the answer is as the rubric says.
    #[default]
    YesNo,
    /// A number on a scale.
    Score,
    /// Which of two answers is better.
    Comparison,
}

fn max_tokens() -> usize {
    1_024
}

fn reads() -> Reads {
    Reads::Answer
}

fn reference() -> bool {
    true
}

fn batch_size() -> usize {
    64
}

impl JudgeKeys {
    /// Returns how often the judge is asked about an answer.
    pub(crate) fn num_votes(&self) -> usize {
        self.votes.unwrap_or(if self.asks == Asks::Comparison { 2 } else { 1 })
    }

    /// Returns the least and the greatest score.
    pub(crate) fn scale(&self) -> [i64; 2] {
        self.scale.map_or([1, 10], |scale| scale.map(|level| level.0))
    }

    fn temperature(&self) -> f64 {
        let once = if self.asks == Asks::Comparison { 2 } else { 1 };
        self.temperature.unwrap_or(if self.num_votes() > once { 1.0 } else { 0.0 })
    }

    /// Returns how the judge's prompts are rendered.
    pub(crate) fn rendering(&self) -> Rendering {
        Rendering {
            chat_template: self.chat_template.clone(),
            template_args: self.template_args.clone(),
            ..Rendering::default()
        }
    }

    /// Refuses keys that contradict each other.
    pub(crate) fn check(&self) -> Result<(), StageError> {
        if self.asks == Asks::Comparison && !self.num_votes().is_multiple_of(2) {
            return Err(StageError::new(format!(
                "`votes` is {}, and a comparison is asked in two orders",
                self.num_votes()
            ))
            .with_help("give an even number"));
        }
        if self.scale.is_some() && self.asks != Asks::Score {
            return Err(
                StageError::new("`scale` is for a score").with_help("ask for one, `asks = \"score\"`, or remove it")
            );
        }
        let [least, most] = self.scale();
        if least >= most {
            return Err(StageError::new("`scale` is empty").with_help("for example `scale = [1, 10]`"));
        }
        if let Some(template) = &self.template {
            template.check("template", &ask::VARIABLES)?;
        }
        self.rendering().check()
    }
}
