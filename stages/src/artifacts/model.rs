//! Loads a model's folder into memory.

use std::path::Path;

use engine::artifact::Model as ModelMarker;
use engine::diagnostic;
use engine::stage::{Context, Input, StageError, warn};
use lm::{Config, Device, Kind, Model, Options};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Import;
use super::adapter::{self, refuse_adapter_alone};

/// The element type of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// 32 bits.
    Float32,
    /// 16 bits with the range of float32. In training, the optimiser's weights and moments and the gradient sums are
    /// float32.
    Bfloat16,
}

impl Dtype {
    /// Returns libtorch's type.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Float32 => Kind::Float,
            Self::Bfloat16 => Kind::BFloat16,
        }
    }
}

/// Returns the element type that a stage's key `dtype` gives for the model in a folder: without one, the model's own.
pub(crate) fn dtype_of(dtype: Option<Dtype>, dir: &Path) -> Result<Kind, StageError> {
    dtype.map_or_else(|| Ok(Config::load(dir)?.dtype()), |dtype| Ok(dtype.kind()))
}

/// Loads the model of an input onto a device, and notes which tensors of its folder are ignored. Without `dtype`, the
/// elements have the model's own type.
pub(crate) fn load_model(
    ctx: &Context,
    input: &Input<ModelMarker>,
    device: Device,
    dtype: Option<Dtype>,
) -> Result<Model, StageError> {
    ctx.doing("loading", None);
    load_told(input, device, dtype, &|note| ctx.note(note), &|warning| ctx.warn(warning))
}

/// Loads the model of an input that is used beside the stage's own.
pub(crate) fn load_beside(
    input: &Input<ModelMarker>,
    device: Device,
    dtype: Option<Dtype>,
) -> Result<Model, StageError> {
    load_told(input, device, dtype, &|note| tracing::info!("{note}"), &|warning| warn(&warning))
}

fn load_told(
    input: &Input<ModelMarker>,
    device: Device,
    dtype: Option<Dtype>,
    note: &dyn Fn(String),
    complain: &dyn Fn(String),
) -> Result<Model, StageError> {
    refuse_adapter_alone(input)?;
    let dtype = dtype_of(dtype, input.path())?;
    let model = Model::load(input.path(), &Options { device, dtype })?;
    if let Some(adapter) = Import::of(input)?.adapter {
        let merged = adapter::merge(&model, Path::new(&adapter))?;
        note(format!("`{}`: {merged} weights are merged with the adapters in `{adapter}`", input.name()));
    }
    if let Some(warning) = check_numbers(input, &model)? {
        complain(warning);
    }
    if let [first, rest @ ..] = model.ignored() {
        let (name, count) = (input.name(), rest.len() + 1);
        note(format!("`{name}`: multi-token prediction is left out (tensors: {count}, the first `{first}`)"));
    }
    Ok(model)
}

/// Refuses weights that are infinite or NaN, by name: hours later, everything computed from them would be NaN too. If
/// the input's keys allow them, returns a warning to show.
pub(crate) fn check_numbers<A>(input: &Input<A>, model: &Model) -> Result<Option<String>, StageError> {
    let [(first, count), rest @ ..] = model.non_finite() else { return Ok(None) };
    let others = if rest.is_empty() {
        String::new()
    } else {
        format!(", as do {}", diagnostic::count(rest.len(), "other tensor"))
    };
    let name = input.name();
    let message = format!("`{name}`: `{first}` holds {count} weights that are infinite or NaN{others}");
    if Import::of(input)?.allow_non_finite {
        return Ok(Some(message));
    }
    Err(StageError::new(message).with_help(
        "take a checkpoint from before it broke; if they are meant, say `allow-non-finite = true` where the input is declared",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::generate::Generate;
    use crate::testing::{Attempt, input, loading, message, reference, tiny_model, tiny_reward_model};

    /// Writes three NaNs into the second tensor of a model's folder.
    fn spoil(dir: &std::path::Path) {
        let file = dir.join("model.safetensors");
        let mut tensors = lm::checkpoint::load_tensors(&file).unwrap();
        let (_, tensor) = &mut tensors[1];
        let _ = tensor.view([-1]).narrow(0, 0, 3).fill_(f64::NAN);
        lm::checkpoint::save_tensors(&file, &tensors).unwrap();
    }

    #[test]
    fn weights_that_are_no_numbers_are_told_by_name_when_a_model_is_read() {
        let dir = tempfile::tempdir().unwrap();
        tiny_model(dir.path());
        spoil(dir.path());
        fs_err::write(dir.path().join("prompts.jsonl"), "{\"prompt\": \"1+1=?\"}\n").unwrap();
        let prompts = reference::<engine::artifact::Prompts>("inputs.p", &dir.path().join("prompts.jsonl"));
        let mut keys = json!({ "model": reference::<ModelMarker>("inputs.m", dir.path()), "prompts": [prompts] });
        let told = "`inputs.m`: `model.layers.0.input_layernorm.weight` holds 3 weights that are infinite or NaN";
        let attempt = Attempt::new::<Generate>(&dir.path().join("refused"), &keys, None);
        assert_eq!(message(attempt.run::<Generate>()), told);
        keys["model"]["import"] = json!({ "allow-non-finite": true });
        let attempt = Attempt::new::<Generate>(&dir.path().join("allowed"), &keys, None);
        let _ = attempt.run::<Generate>();
        assert!(attempt.warnings().contains(&told.to_owned()), "{:?}", attempt.warnings());
    }

    #[test]
    fn a_reward_model_is_looked_at_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        tiny_reward_model(dir.path());
        spoil(dir.path());
        let judge = input::<engine::artifact::RewardModel>("inputs.r", dir.path(), json!({}));
        let judge =
            crate::rewards::LoadedRewardModel::load(&judge, crate::opinions::Reads::Answer, &loading(dir.path()));
        assert!(message(judge).contains("holds 3 weights"));
    }
}
