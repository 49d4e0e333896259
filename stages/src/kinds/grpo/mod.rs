//! Kind `grpo`: reinforcement learning without a critic. It covers R1-Zero, reasoning RL and alignment RL (v2, sections
//! 2.1 and 3.2; DeepSeekMath, section 4.1).
//!
//! ```text
//! rollout (every `updates-per-rollout` steps)          step = one optimiser update
//!   prompts ─ sample a group each ─ score ─ advantages ─▶ minibatch ─▶ clipped surrogate − β k3 ─▶ AdamW
//! ```
//! Departures from the paper: a group of equal rewards contributes nothing, not even its KL; clipping defaults to 0.2,
//! where the paper's first RL stage prints 10. The old policy's log-probs are those of the sampler, because sampler and
//! trainer share one engine; their difference is measured at every rollout, and training fails if it is too large.

mod advantage;
mod alarm;
mod guards;
mod learner;
mod measure;
mod objective;
mod pass_rates;
mod policy;
mod probe;
mod refill;
mod rollout;
mod sampler;
mod source;
#[cfg(test)]
mod tests;

use engine::artifact::{ArtifactType, Model as ModelMarker, Prompts, Report, Samples};
use engine::stage::{Context, Input, Look, Outcome, Stage, StageError, refusals};
use engine::worker::tokens::ShownRow;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::chat::{Rendering, check_stops};
use crate::grading::Form;
use crate::held::JudgePlace;
use crate::judges::{JudgeKeys, StageJudge};
use crate::own::{self, Own};
use crate::programs::JailKey;
use crate::rewards::Rewards;
use crate::sampling::{Exemplars, FewShot};
use crate::stepwise::{self, Stepwise};
use crate::training::{Ended, EvalKeys, Lora, Optimisation, Training, check_keys, export_trained, shown, train};
use crate::{limits, looking, showing};
use guards::GuardAction;
use objective::ObjectiveKeys;
use policy::Policy;
use source::Share;

/// The kind.
pub struct Grpo;

/// What `grpo` reads.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The policy to start from.
    pub model: Input<ModelMarker>,
    /// The questions; all sets are concatenated.
    pub prompts: Vec<Input<Prompts>>,
    /// Prompts with gold answers that are not trained on, answered greedily after every `eval-every` steps and after the
    /// last one. With them, the stage has the outputs `answers`, every answer, and `best`, the model with the highest
    /// `eval_accuracy`; and it warns if that falls while the scores of judges and reward models rise.
    #[serde(default)]
    #[schemars(extend("x-omit-default" = true))]
    pub eval_prompts: Vec<Input<Prompts>>,
    /// Answers of `eval` stages to the prompts, `["scores.answers"]`: they say which prompts are within reach
    /// (`pass-rate`), and which are easy (`curriculum`).
    #[serde(default)]
    #[schemars(extend("x-omit-default" = true))]
    pub pass_rates: Vec<Input<Report>>,
    /// Exemplars shown before each question. Absent: none, as in the paper.
    #[schemars(extend("x-omit-default" = true))]
    pub few_shot: Option<Input<Samples>>,
}

/// How to sample, score and update.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// Number of updates. If you raise it later, training continues. R1-Zero: 10,400.
    #[schemars(range(max = limits::STEPS), extend("x-role" = "extent"))]
    pub steps: u64,
    /// Rewards of a completion: reward name → weight, or a table with `weight`, `on`, `from-step` and the reward's own
    /// keys.
    #[schemars(extend("x-required" = true))]
    pub rewards: Rewards,
    /// Questions in an update. R1: 32.
    #[schemars(range(min = 1, max = limits::BATCH))]
    pub prompts_per_step: usize,
    /// Completions sampled for each question. R1: 16.
    #[schemars(range(min = 2, max = limits::COMPLETIONS))]
    pub group_size: usize,
    /// Updates from one rollout. R1: 16.
    #[schemars(range(min = 1, max = limits::STEPS))]
    pub updates_per_rollout: u64,
    /// Rounds in which further prompts are sampled in place of groups whose rewards are all equal, because these teach
    /// nothing (DAPO's dynamic sampling). Groups that are still missing after them stay as they are. The paper: 0.
    #[schemars(range(max = 100), extend("x-omit-default" = true))]
    pub refill: usize,
    /// Share of each set in `prompts`, and the step from which on it is drawn from: a list with an entry for each. Absent:
    /// all sets are one, so that each has as large a share as it has rows.
    #[schemars(extend("x-omit-default" = true))]
    pub mixture: Option<Vec<Share>>,
    /// Least and greatest share of right answers in `pass-rates` with which a prompt is drawn, such as `[0.1, 0.9]`. A
    /// prompt without answers there is drawn from all the same.
    #[schemars(extend("x-omit-default" = true))]
    pub pass_rate: Option<[f64; 2]>,
    /// Prompts come the easiest first, by `pass-rates`, until all have come once.
    #[schemars(extend("x-omit-default" = true))]
    pub curriculum: bool,
    /// Sampling temperature, also used for log-probs in training; a value, or a list of values with the step from which
    /// each holds. R1: 1.0, alignment 0.7.
    #[schemars(schema_with = "temperature_schema")]
    pub temperature: Stepwise<f64>,
    /// Nucleus sampling: tokens are drawn from the likeliest ones that together have this probability. Log-probs are
    /// those of all tokens, in sampling and in training.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0, "x-omit-default" = true))]
    pub top_p: f64,
    /// Texts that end a completion, for a base model that writes on after its answer. The text that is scored ends
    /// before them; their tokens are learnt.
    #[schemars(extend("x-omit-default" = true))]
    pub stop: Vec<String>,
    /// Longest completion, in tokens; a value, or a list of values with the step from which each holds. R1-Zero: 32,768,
    /// from step 8,200 on 65,536.
    #[schemars(schema_with = "max_tokens_schema")]
    pub max_tokens: Stepwise<usize>,
    /// Peak learning rate. R1: 3e-6.
    #[schemars(range(min = 0.0))]
    pub lr: f64,
    /// Number of groups of each rollout that are written to output `rollouts`.
    #[schemars(range(max = limits::COUNT))]
    pub keep_groups: usize,
    /// Most tokens in one forward pass; see `sft`.
    #[schemars(range(min = 1, max = limits::TOKENS))]
    pub micro_batch_tokens: usize,
    /// Training fails when the sampler's and the trainer's log-probs differ by more than this, on average over tokens.
    #[schemars(range(min = 0.0))]
    pub max_logp_difference: f64,
    /// What happens where training goes on and learns nothing, or what was not meant: rewards that one text without an
    /// answer earns, groups that all have equal rewards, completions that are cut off or grow into the limit, a collapsed
    /// entropy, a policy far from its reference, judged scores that rise while accuracy falls. `warn`, `stop` or `off`.
    #[schemars(extend("x-role" = "neutral", "x-omit-default" = true))]
    pub guards: GuardAction,
    /// Most completions sampled in parallel; fewer where their cache would not fit. On a CPU it changes no token.
    #[schemars(range(min = 1, max = limits::BATCH), extend("x-role" = "neutral"))]
    pub sampling_batch: usize,
    /// Seed of the order of prompts and of the sampling.
    pub seed: u64,
    /// The form that a completion must have to be right, where a number or a choice is asked for. `tags`: a thought in
    /// `<think>…</think>`, then the answer. `boxed`: the answer in `\boxed{…}`. `any`: no form.
    #[schemars(extend("x-omit-default" = true))]
    pub form: Form,
    /// A judge, a model that says whether an answer comes to the same as the gold one: for prompts with `verify = "judge"`.
    #[schemars(extend("x-omit-default" = true))]
    pub judge: StageJudge,
    /// A program of yours that says whether an answer is right: for prompts with `verify = "own"`.
    #[schemars(extend("x-omit-default" = true))]
    pub verifier: Option<Own>,
    /// What must hold before programs that the model wrote are run, where `verify` is `code`. `required`: no attack that
    /// is known gets out of the jail, else the stage fails. `best-effort`: whatever holds on the machine; **programs may
    /// read your files and use your network**.
    #[schemars(extend("x-role" = "neutral", "x-omit-default" = true))]
    pub jail: JailKey,
    /// Trains low-rank adapters instead of all weights; see `sft`. Absent: all weights are trained.
    pub lora: Option<Lora>,
    // The engine has checked every key against the schema, so `flatten` cannot hide a misspelt one.
    #[serde(flatten)]
    pub objective: ObjectiveKeys,
    #[serde(flatten)]
    pub eval: EvalKeys,
    #[serde(flatten)]
    pub rendering: Rendering,
    #[serde(flatten)]
    pub few: FewShot,
    #[serde(flatten)]
    pub judge_place: JudgePlace,
    #[serde(flatten)]
    pub optimisation: Optimisation,
}

fn temperature_schema(_: &mut SchemaGenerator) -> Schema {
    stepwise::schema(&json!({ "type": "number", "minimum": 0.01 }))
}

fn max_tokens_schema(_: &mut SchemaGenerator) -> Schema {
    stepwise::schema(&json!({ "type": "integer", "minimum": 1, "maximum": limits::TOKENS }))
}

impl Default for Params {
    fn default() -> Self {
        Self {
            steps: 100,
            rewards: Rewards::default(),
            prompts_per_step: 32,
            group_size: 16,
            updates_per_rollout: 1,
            refill: 0,
            mixture: None,
            pass_rate: None,
            curriculum: false,
            temperature: Stepwise::Always(1.0),
            top_p: 1.0,
            stop: Vec::new(),
            max_tokens: Stepwise::Always(1_024),
            lr: 1e-6,
            keep_groups: 1,
            micro_batch_tokens: 8_192,
            max_logp_difference: 0.05,
            guards: GuardAction::default(),
            sampling_batch: 256,
            form: Form::default(),
            judge: StageJudge::default(),
            verifier: None,
            jail: JailKey::default(),
            seed: 0,
            lora: None,
            objective: ObjectiveKeys::default(),
            eval: EvalKeys::default(),
            rendering: Rendering::default(),
            few: FewShot::default(),
            judge_place: JudgePlace::default(),
            optimisation: Optimisation::default(),
        }
    }
}

impl Stage for Grpo {
    const KIND: &'static str = "grpo";
    const HISTORY: &'static [&'static str] = &[
        "the first",
        "chats are rendered whole, and every end token ends a completion",
        "rollouts have the gold answer, and whether and where a completion ended",
        "rewards compare answers by meaning, and judge language, repetition and reflection anew",
        "programs are run against their tests, and puzzles are checked",
        "a result of a function in `cases` may be in a list of one",
        "reflection is paid for checks of numbers that follow from the question",
        "by default every completion weighs alike, as in the paper; all rollouts that are kept say why they ended",
        "held-out prompts come after the exemplars, and their answers are an output",
    ];
    const DOC: &'static str = "Reinforcement learning from rewards, relative to each question's group of completions.";
    const OTHER_NAMES: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_NAMES;
    const OTHER_WAYS: &'static [(&'static str, &'static str)] = crate::other_names::OTHER_WAYS;
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[
        ("model", ArtifactType::Model),
        ("rollouts", ArtifactType::Samples),
        ("best", ArtifactType::Model),
        ("answers", ArtifactType::Report),
    ];
    const OUTPUTS_LIKE: &'static [(&'static str, &'static str)] = &[("model", "model"), ("best", "model")];
    const OUTPUTS_WITH: &'static [(&'static str, &'static str)] =
        &[("best", "eval-prompts"), ("answers", "eval-prompts")];
    const TOKENS: &'static [&'static str] =
        &["model", "prompts", "few-shot", "chat-template", "system", "prompt-template"];
    type Inputs = Inputs;
    type Params = Params;

    fn check(inputs: &Inputs, params: &Params) -> Vec<StageError> {
        let (rendering, stops) = (params.rendering.check(), check_stops(&params.stop));
        let rewards = params.rewards.check_sources(&inputs.prompts);
        let mut refused = refusals([
            rendering,
            stops,
            rewards,
            check_rollout(params),
            params.objective.check(),
            params.max_tokens.check("max-tokens"),
            params.temperature.check("temperature"),
            source::check(params.mixture.as_deref(), &inputs.prompts),
            params.judge.check(),
            params.eval.check(&inputs.eval_prompts, false, "`eval-prompts`"),
            own::check(params.verifier.as_ref()),
        ]);
        refused.extend(refusals(params.rewards.judges().map(JudgeKeys::check)));
        let of_rates = [("pass-rate", params.pass_rate.is_some()), ("curriculum", params.curriculum)];
        for (key, _) in of_rates.into_iter().filter(|(_, is_given)| *is_given && inputs.pass_rates.is_empty()) {
            let help = "give the answers of an evaluation, for example `pass-rates = [\"scores.answers\"]`";
            refused.push(StageError::new(format!("`{key}` needs `pass-rates`")).with_help(help));
        }
        if let Some([low, high]) = params.pass_rate.filter(|[low, high]| !(0.0 <= *low && low <= high && *high <= 1.0))
        {
            let message = format!("`pass-rate` = [{low}, {high}] is no range of shares");
            refused.push(StageError::new(message).with_help("for example `pass-rate = [0.1, 0.9]`"));
        }
        if !inputs.pass_rates.is_empty() && params.pass_rate.is_none() && !params.curriculum {
            let help = "give `pass-rate`, `curriculum` or both";
            refused.push(StageError::new("`pass-rates` has no effect").with_help(help));
        }
        if params.rewards.is_empty() {
            let message = "`rewards` is empty: there is nothing to learn from";
            refused
                .push(StageError::new(message).with_help("for example `rewards = { accuracy = 1.0, format = 0.2 }`"));
        }
        if params.lora.as_ref().is_some_and(|lora| lora.dropout > 0.0) {
            let message = "`lora.dropout` in RL: the policy that is trained would not be the one that samples";
            refused.push(
                StageError::new(message)
                    .with_help("leave it out; `kl` and a lower `lr` keep the policy near its start"),
            );
        }
        refused.extend(check_keys(&params.optimisation, params.lora.as_ref()));
        refused
    }

    fn look(inputs: &Inputs, params: &Params, look: &mut Look) {
        let seen = looking::sampler(look, &inputs.model, &params.rendering, params.max_tokens.greatest());
        let form = params.rewards.want_form().then_some(params.form);
        let prompts = looking::asked(look, &inputs.prompts, seen.as_ref(), form);
        looking::asked(look, &inputs.eval_prompts, seen.as_ref(), form);
        looking::exemplars(look, inputs.few_shot.as_ref(), &params.few);
        for model in params.rewards.reward_models() {
            looking::reward_model(look, &model);
        }
        looking::judges(look, params.rewards.judges().chain(params.judge.keys()));
        if let Some(seen) = seen.filter(|_| !prompts.is_empty()) {
            policy::look(look, &seen.config, &prompts, params);
        }
    }

    fn tokens(inputs: &Inputs, params: &Params, row: usize) -> Result<ShownRow, StageError> {
        let chat = params.rendering.load(&inputs.model)?;
        let exemplars = Exemplars::read(inputs.few_shot.as_ref(), &params.few, params.seed)?;
        showing::prompt(&chat, &inputs.prompts, |row| exemplars.before(&row.prompt), row)
    }

    fn run(ctx: &Context, inputs: Inputs, params: Params) -> Result<Outcome, StageError> {
        let mut policy = Policy::load(ctx, &inputs, &params)?;
        let training = Training {
            steps: params.steps,
            lr: params.lr,
            optimisation: &params.optimisation,
            lora: params.lora.as_ref(),
            seed: params.seed,
        };
        match train(ctx, &mut policy, &training)? {
            Ended::Stopped(step) => Ok(Outcome::Stopped(step)),
            Ended::Done { metrics, adapters, best } => {
                let found = export_trained(ctx, (policy.model(), policy.chat()), adapters.as_ref(), &best)?;
                policy.write_rows()?;
                let names = [
                    "reward",
                    "accuracy",
                    "format",
                    "thinking/mean_tokens",
                    "completions/mean_length",
                    "eval_accuracy",
                    "eval_sampled_accuracy",
                ];
                let mut summary: Map<String, Value> = shown(&metrics, &names).into_iter().collect();
                summary.extend(found);
                Ok(Outcome::Done(summary))
            }
        }
    }
}

/// Refuses a rollout that is too large for memory: all its completions are sampled before its first update.
fn check_rollout(params: &Params) -> Result<(), StageError> {
    let keys = [params.prompts_per_step as u64, params.group_size as u64, params.updates_per_rollout];
    let completions = keys.into_iter().fold(1, u64::saturating_mul);
    if completions <= limits::ROLLOUT {
        return Ok(());
    }
    let most = limits::ROLLOUT;
    let message = "`prompts-per-step` times `group-size` times `updates-per-rollout`";
    Err(StageError::new(format!("{message} are {completions} completions of a rollout, of at most {most}"))
        .with_help("lower one of them"))
}
