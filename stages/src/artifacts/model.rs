//! A model's folder, read into memory.

use engine::artifact::Model as ModelMarker;
use engine::stage::{Context, Input, StageError};
use lm::{Device, Kind, Model, Options};

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
