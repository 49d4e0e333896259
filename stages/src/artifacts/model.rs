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
    let Import { adapter, layers, .. } = Import::of(input)?;
    let model = Model::load_layers(input.path(), &Options { device, dtype }, layers.as_deref());
    let model = model.map_err(|error| about_layers(input, error))?;
    if let Some(layers) = layers {
        note(format!("`{}`: only these layers of the model are read: {layers:?}", input.name()));
    }
    if let Some(adapter) = adapter {
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

/// Checks the model of an input without reading a weight, and returns its configuration: that of the layers that the
/// input names.
pub(crate) fn inspect_model(input: &Input<ModelMarker>) -> Result<Config, StageError> {
    refuse_adapter_alone(input)?;
    let layers = Import::of(input)?.layers;
    Model::inspect_layers(input.path(), &Options::default(), layers.as_deref())
        .map_err(|error| about_layers(input, error))
}

/// Adds the input's name to an error about the layers that it names.
fn about_layers(input: &Input<ModelMarker>, error: lm::model::Error) -> StageError {
    match error {
        lm::model::Error::Config(lm::config::Error::Layers(_)) => {
            StageError::new(format!("`{}`: {error}", input.name()))
        }
        error => error.into(),
    }
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
    use crate::artifacts::{SampleRow, write_samples};
    use crate::kinds::generate::Generate;
    use crate::kinds::sft::Sft;
    use crate::testing::{
        Attempt, input, loading, message, reference, tiny_model, tiny_model_of, tiny_reward_model, well,
    };

    /// Returns the keys of a stage that trains some layers of a model of four.
    fn of_layers(dir: &Path, layers: &[usize]) -> serde_json::Value {
        tiny_model_of("qwen2", 4, &dir.join("model"));
        let rows: Vec<_> = (0..4).map(|n| SampleRow::new(format!("{n}+1=?"), format!("{}", n + 1))).collect();
        well(write_samples(&dir.join("data"), &rows).map_err(Into::into));
        let mut model = reference::<ModelMarker>("inputs.m", &dir.join("model"));
        model["import"] = json!({ "layers": layers });
        let data = [reference::<engine::artifact::Samples>("inputs.d", &dir.join("data"))];
        json!({ "model": model, "data": data, "steps": 3, "batch-size": 4, "lr": 0.02 })
    }

    #[test]
    fn a_stage_trains_the_layers_that_an_input_names_and_resumes() {
        let dir = tempfile::tempdir().unwrap();
        let keys = of_layers(dir.path(), &[0, 2]);
        let whole = Attempt::new::<Sft>(&dir.path().join("whole"), &keys, None);
        well(whole.run::<Sft>());
        let resume = Attempt::new::<Sft>(&dir.path().join("broken"), &keys, None).run_stopped::<Sft>();
        well(Attempt::new::<Sft>(&dir.path().join("resumed"), &keys, Some(resume)).run::<Sft>());
        let output = |attempt: &str| dir.path().join(attempt).join("output-model");
        let weights = |attempt: &str| fs_err::read(output(attempt).join("model.safetensors")).unwrap();
        assert!(weights("whole") == weights("resumed"));
        let trained = Model::load(&output("whole"), &Options::default()).unwrap();
        assert_eq!(trained.config.num_hidden_layers, 2);
        // What is trained begins at the layers that are named: three small steps move no weight far.
        let base = Model::load(&dir.path().join("model"), &Options::default()).unwrap();
        let named = |model: &Model, name: &str| {
            let found = model.parameters().iter().find(|(other, _)| other == name);
            found.unwrap_or_else(|| panic!("{name}")).1.shallow_clone()
        };
        for (ours, theirs) in [(0, 0), (1, 2)] {
            let of = |layer: i32| format!("model.layers.{layer}.mlp.up_proj.weight");
            let change = named(&trained, &of(ours)) - named(&base, &of(theirs));
            assert!(change.abs().max().double_value(&[]) < 0.1, "layer {ours}");
        }
    }

    #[test]
    fn layers_that_the_model_lacks_and_layers_beside_an_adapter_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let keys = of_layers(dir.path(), &[0, 9]);
        let error = Attempt::new::<Sft>(&dir.path().join("attempt"), &keys, None).run::<Sft>().err().unwrap();
        assert_eq!(error.message, "`inputs.m`: `layers` names layer 9, and the model has 4, 0 to 3");
        assert_eq!(error.help.as_deref(), Some("name layers of at most 3"));
        let both = json!({ "layers": [0], "adapter": "somewhere" });
        let error = inspect_model(&input("inputs.m", &dir.path().join("model"), both)).err().unwrap();
        assert!(error.message.ends_with("`layers` and `adapter` do not go together"), "{}", error.message);
        assert!(error.help.is_some_and(|help| help.starts_with("merge the adapters")));
    }

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
