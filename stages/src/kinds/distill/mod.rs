//! Kind `distill`: a student learns from a teacher, by one of three methods.
//!
//! | `method` | learns from | loss |
//! |---|---|---|
//! | `text` | what the teacher wrote | cross entropy; R1's way, plain SFT on the 800 thousand samples (v2, B.4.3) |
//! | `logits` | what the teacher finds likely at each token of given samples | forward KL on its likeliest tokens (`logits.rs`) |
//! | `on-policy` | what the teacher finds likely at each token that the student samples | KL over all tokens (`on_policy.rs`) |
//!
//! The latter two compare distributions over tokens, so teacher and student must have one tokenizer.

mod logits;
mod on_policy;
#[cfg(test)]
mod tests;

use engine::artifact::{ArtifactType, Logits, Model as ModelMarker, Prompts, Samples};
use engine::stage::{Context, Input, Outcome, Stage, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::training::{FineTuning, fine_tune};

/// The kind.
pub struct Distill;

/// What `distill` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The student to start from.
    pub model: Input<ModelMarker>,
    /// What the teacher wrote.
    #[schemars(extend("x-when" = { "method": ["text"] }, "x-required" = true))]
    pub data: Option<Vec<Input<Samples>>>,
    /// What the teacher finds likely, as `teacher-logits` writes it; all sets together are one.
    #[schemars(extend("x-when" = { "method": ["logits"] }, "x-required" = true))]
    pub logits: Option<Vec<Input<Logits>>>,
    /// The teacher, which scores what the student samples. Both are in memory.
    #[schemars(extend("x-when" = { "method": ["on-policy"] }, "x-required" = true))]
    pub teacher: Option<Input<ModelMarker>>,
    /// What the student samples completions of; a row is a prompt with one completion.
    #[schemars(extend("x-when" = { "method": ["on-policy"] }, "x-required" = true))]
    pub prompts: Option<Vec<Input<Prompts>>>,
}

/// What the student learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The teacher's text, as in the paper.
    #[default]
    Text,
    /// The teacher's likeliest tokens at each token of samples.
    Logits,
    /// The teacher's distributions at each token that the student samples.
    OnPolicy,
}

/// Which way a divergence of teacher and student goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// KL(student ‖ teacher): the student keeps to what the teacher would say.
    #[default]
    Reverse,
    /// KL(teacher ‖ student): the student covers all that the teacher might say.
    Forward,
}

/// How to train.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// What the student learns from: the teacher's text, as in the paper; its `logits` on given samples; or its
    /// distributions on what the student samples itself, `on-policy`.
    pub method: Method,
    /// Softens both distributions, p to the power of 1 / `temperature`; the divergence is multiplied by its square, so that
    /// gradients keep their size (Hinton et al. 2015, section 2.1). On-policy, the student samples at it, too.
    #[schemars(range(min = 0.01), extend("x-when" = { "method": ["logits", "on-policy"] }))]
    pub temperature: f64,
    /// Share of the text's own cross entropy in the loss: (1 − `text-weight`) × divergence + `text-weight` × cross entropy.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = { "method": ["logits"] }))]
    pub text_weight: f64,
    /// `reverse`: KL(student ‖ teacher), as in MiniLLM; `forward`: KL(teacher ‖ student). Both are exact, over all tokens.
    #[schemars(extend("x-when" = { "method": ["on-policy"] }))]
    pub divergence: Divergence,
    /// Longest completion that the student samples, in tokens; prompts that leave less room below `max-tokens` are counted and
    /// left out.
    #[schemars(range(min = 1, max = limits::TOKENS), extend("x-when" = { "method": ["on-policy"] }))]
    pub completion_tokens: usize,
    /// Mean difference between the sampler's and the trainer's log-probs above which training stops.
    #[schemars(range(min = 0.0), extend("x-when" = { "method": ["on-policy"] }))]
    pub max_logp_difference: f64,
    /// Completions sampled side by side.
    #[schemars(range(min = 1, max = limits::BATCH), extend("x-when" = { "method": ["on-policy"] }))]
    pub sampling_batch: usize,
    // Every key of `sft`; the engine has checked them against the schema.
    #[serde(flatten)]
    pub training: FineTuning,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            method: Method::Text,
            temperature: 1.0,
            text_weight: 0.0,
            divergence: Divergence::Reverse,
            completion_tokens: 1_024,
            max_logp_difference: 0.05,
            sampling_batch: 256,
            training: FineTuning::default(),
        }
    }
}

impl Stage for Distill {
    const KIND: &'static str = "distill";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str = "Trains a student on what a teacher wrote, on what it finds likely there, or on what it finds likely in the \
         student's own completions.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("model", ArtifactType::Model)];
    type Inputs = Inputs;
    type Params = Params;

    fn check(_: &Inputs, params: &Params) -> Result<(), StageError> {
        params.training.check()?;
        match params.method {
            Method::OnPolicy => on_policy::longest_prompt(params).map(|_| ()),
            Method::Text | Method::Logits => Ok(()),
        }
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let student = &inputs.model;
        match params.method {
            Method::Text => fine_tune(ctx, student, &given(inputs.data, "data")?, &params.training),
            Method::Logits => logits::learn(ctx, student, &given(inputs.logits, "logits")?, &params),
            Method::OnPolicy => {
                let (teacher, prompts) = (given(inputs.teacher, "teacher")?, given(inputs.prompts, "prompts")?);
                on_policy::learn(ctx, student, &teacher, &prompts, &params)
            }
        }
    }
}

/// Returns an input that the method needs; the engine has refused files without it.
fn given<T>(input: Option<T>, key: &str) -> Result<T, StageError> {
    input.ok_or_else(|| StageError::new(format!("this `method` needs `{key}`")))
}
