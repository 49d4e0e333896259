//! A model's folder, read into memory.

use engine::artifact::Model as ModelMarker;
use engine::stage::{Context, Input, StageError};
use lm::{Device, Kind, Model, Options};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The element type of weights and activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Dtype {
    /// 32 bits.
    Float32,
    /// 16 bits with the range of 32; in training the optimiser keeps weights and moments, and gradients are added up, in 32.
    Bfloat16,
}

impl Dtype {
    /// Returns libtorch's name of it, `float32` where absent.
    pub(crate) fn kind(dtype: Option<Self>) -> Kind {
        match dtype {
            None | Some(Self::Float32) => Kind::Float,
            Some(Self::Bfloat16) => Kind::BFloat16,
        }
    }
}

/// Reads the model of an input onto a device as elements of type `dtype`, and says what of its folder is left out.
pub(crate) fn load_model(
    ctx: &Context,
    input: &Input<ModelMarker>,
    device: Device,
    dtype: Kind,
) -> Result<Model, StageError> {
    let model = Model::load(input.path(), &Options { device, dtype })?;
    if let [first, rest @ ..] = model.set_aside() {
        let count = rest.len() + 1;
        ctx.note(format!(
            "`{}`: multi-token prediction is left out (tensors: {count}, the first `{first}`)",
            input.name()
        ));
    }
    Ok(model)
}
