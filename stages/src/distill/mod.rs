//! Kind `distill`: a student learns what a teacher wrote. R1 does it by plain SFT on the 800 thousand samples (v2, B.4.3).

use engine::artifact::{ArtifactType, Model as ModelMarker, Samples};
use engine::stage::{Context, Input, Outcome, Stage, StageError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::sft;

/// The kind.
pub struct Distill;

/// What `distill` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The student to start from.
    pub model: Input<ModelMarker>,
    /// What the teacher wrote.
    pub data: Vec<Input<Samples>>,
}

/// What the student learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The teacher's text, as in the paper.
    #[default]
    Text,
}

/// How to train.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// What the student learns from.
    pub method: Method,
    // Every key of `sft`; the engine has checked them against the schema.
    #[serde(flatten)]
    pub sft: sft::Params,
}

impl Stage for Distill {
    const KIND: &'static str = "distill";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str = "Trains a student on what a teacher wrote.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("model", ArtifactType::Model)];
    type Inputs = Inputs;
    type Params = Params;

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        match params.method {
            Method::Text => sft::fine_tune(ctx, &inputs.model, &inputs.data, &params.sft),
        }
    }
}
