//! Kind `distill`: a student learns from a teacher, by one of three methods.
//!
//! | `method` | learns from | loss |
//! |---|---|---|
//! | `text` | samples that the teacher wrote | cross entropy: plain SFT on 800 thousand samples, as in R1 (v2, B.4.3) |
//! | `logits` | the teacher's likeliest tokens at each token of given samples | forward KL over them (`logits.rs`) |
//! | `on-policy` | the teacher's distribution at each token that the student samples | exact KL (`on_policy.rs`) |
//!
//! The latter two compare distributions over tokens, so teacher and student must have the same tokenizer.

mod logits;
mod on_policy;
#[cfg(test)]
mod tests;

use engine::artifact::{ArtifactType, Logits, Model as ModelMarker, Prompts, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError};
use engine::worker::tokens::ShownRow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::training::{FineTuning, fine_tune};
use crate::{limits, looking, showing};

/// The kind.
pub struct Distill;

/// What `distill` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The student to start from.
    pub model: Input<ModelMarker>,
    /// Samples that the teacher wrote.
    #[schemars(extend("x-when" = { "method": ["text"] }, "x-required" = true))]
    pub data: Option<Vec<Input<Samples>>>,
    /// Held-out samples; see `sft`.
    #[serde(default)]
    #[schemars(extend("x-when" = { "method": ["text"] }, "x-omit-default" = true))]
    pub eval_data: Vec<Input<Samples>>,
    /// Held-out prompts; see `sft`.
    #[serde(default)]
    #[schemars(extend("x-omit-default" = true))]
    pub eval_prompts: Vec<Input<Prompts>>,
    /// The teacher's likeliest tokens, as `teacher-logits` writes them; all sets are concatenated.
    #[schemars(extend("x-when" = { "method": ["logits"] }, "x-required" = true))]
    pub logits: Option<Vec<Input<Logits>>>,
    /// The teacher, which scores what the student samples. Teacher and student are both held in memory.
    #[schemars(extend("x-when" = { "method": ["on-policy"] }, "x-required" = true))]
    pub teacher: Option<Input<ModelMarker>>,
    /// Prompts that the student completes; a row is a prompt with one completion.
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

/// Direction of the KL divergence between teacher and student.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// KL(student ‖ teacher): the student avoids what the teacher finds unlikely.
    #[default]
    Reverse,
    /// KL(teacher ‖ student): the student covers everything that the teacher finds likely.
    Forward,
}

/// How to train.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// What the student learns from. `text`: the teacher's text, as in the paper. `logits`: the teacher's likeliest
    /// tokens at each token of given samples. `on-policy`: the teacher's distributions at each token that the student
    /// samples.
    pub method: Method,
    /// Softens both distributions: probabilities are raised to 1 / `temperature` and normalised. The divergence is
    /// multiplied by `temperature`², so that gradients keep their size (Hinton et al. 2015, section 2.1). On-policy, it
    /// is also the sampling temperature.
    #[schemars(range(min = 0.01), extend("x-when" = { "method": ["logits", "on-policy"] }))]
    pub temperature: f64,
    /// Weight of the text's cross entropy in the loss: (1 − `text-weight`) × divergence + `text-weight` × cross
    /// entropy.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = { "method": ["logits"] }))]
    pub text_weight: f64,
    /// `reverse`: KL(student ‖ teacher), as in MiniLLM. `forward`: KL(teacher ‖ student). Both are summed exactly over
    /// the vocabulary.
    #[schemars(extend("x-when" = { "method": ["on-policy"] }))]
    pub divergence: Divergence,
    /// Longest completion that the student samples, in tokens. Prompts that leave less room below `max-tokens` are
    /// counted and dropped.
    #[schemars(range(min = 1, max = limits::TOKENS), extend("x-when" = { "method": ["on-policy"] }))]
    pub completion_tokens: usize,
    /// Training fails when the sampler's and the trainer's log-probs differ by more than this, on average over tokens.
    #[schemars(range(min = 0.0), extend("x-when" = { "method": ["on-policy"] }))]
    pub max_logp_difference: f64,
    /// Most completions sampled in parallel; fewer where their cache would not fit. On a CPU it changes no token.
    #[schemars(range(min = 1, max = limits::BATCH), extend("x-when" = { "method": ["on-policy"] }, "x-role" = "neutral"))]
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
    const HISTORY: &'static [&'static str] =
        &["the first", "chats are rendered whole, and every end token ends a completion"];
    const DOC: &'static str = "Trains a student on what a teacher wrote, on what it finds likely there, or on what it finds likely in the \
         student's own completions.";
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_NAMES;
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_WAYS;
    const OUTPUTS: &'static [(&'static str, ArtifactType)] =
        &[("model", ArtifactType::Model), ("best", ArtifactType::Model), ("answers", ArtifactType::Report)];
    const OUTPUTS_LIKE: &'static [(&'static str, &'static str)] = &[("model", "model"), ("best", "model")];
    const OUTPUTS_WITH: &'static [(&'static str, &'static str)] =
        &[("best", "eval-data"), ("best", "eval-prompts"), ("answers", "eval-prompts")];
    const TOKENS: &'static [&'static str] =
        &["model", "data", "logits", "prompts", "chat-template", "system", "prompt-template"];
    type Inputs = Inputs;
    type Params = Params;

    fn check(inputs: &Inputs, params: &Params) -> Vec<StageError> {
        let mut refused = params.training.check(&inputs.eval_data, &inputs.eval_prompts);
        if params.method == Method::OnPolicy {
            refused.extend(on_policy::longest_prompt(params).err());
        }
        refused
    }

    fn look(inputs: &Inputs, params: &Params, look: &mut Look) {
        let (training, data) = (&params.training, inputs.data.as_deref().unwrap_or_default());
        let sets = [("data", data), ("eval-data", &inputs.eval_data)];
        let student = looking::fine_tuning(look, &inputs.model, training, &sets, &inputs.eval_prompts);
        if let Some(teacher) = &inputs.teacher {
            looking::model(look, teacher, None);
        }
        looking::asked(look, inputs.prompts.iter().flatten(), student.as_ref(), None);
    }

    fn tokens(inputs: &Inputs, params: &Params, row: usize) -> Result<ShownRow, StageError> {
        let (student, training) = (&inputs.model, &params.training);
        let chat = || Ok::<_, StageError>(training.chat(student)?.0);
        match params.method {
            Method::Text => {
                showing::sample(&chat()?, given(inputs.data.as_deref(), "data")?, &training.tokenising("data"), row)
            }
            Method::Logits => {
                showing::learnt_logits(&chat()?, given(inputs.logits.as_deref(), "logits")?, training.max_tokens, row)
            }
            Method::OnPolicy => {
                showing::prompt(&chat()?, given(inputs.prompts.as_ref(), "prompts")?, |row| row.prompt.clone(), row)
            }
        }
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let (student, eval_prompts) = (&inputs.model, &inputs.eval_prompts[..]);
        match params.method {
            Method::Text => {
                let data = (&given(inputs.data, "data")?[..], &inputs.eval_data[..]);
                fine_tune(ctx, student, data, eval_prompts, &params.training)
            }
            Method::Logits => logits::learn(ctx, student, (&given(inputs.logits, "logits")?, eval_prompts), &params),
            Method::OnPolicy => {
                let (teacher, prompts) = (given(inputs.teacher, "teacher")?, given(inputs.prompts, "prompts")?);
                on_policy::learn(ctx, student, &teacher, (&prompts, eval_prompts), &params)
            }
        }
    }
}

/// Returns an input that the method needs. The engine has already refused workflows without it.
fn given<T>(input: Option<T>, key: &str) -> Result<T, StageError> {
    input.ok_or_else(|| StageError::new(format!("this `method` needs `{key}`")))
}
