//! The results of training: an output of type model, and the last metrics for the summary.

use engine::stage::{Context, StageError};
use lm::Model;
use serde_json::{Map, Value, json};
use text::Chat;

use super::{Adapters, Best, Metrics};

/// Writes output `name`: weights, configuration and tokenizer, and the adapters in its folder `adapter`, for PEFT.
pub(crate) fn export(
    ctx: &Context,
    name: &str,
    (model, chat): (&Model, &Chat),
    adapters: Option<&Adapters>,
) -> Result<(), StageError> {
    let dir = ctx.output(name);
    model.save_ending(&dir, chat.eos)?;
    chat.save(&dir)?;
    adapters.map_or(Ok(()), |adapters| adapters.save(&dir.join("adapter")))
}

/// Writes output `model`, and output `best` if held-out rows were measured. Returns when the best weights were and how
/// well they did, for the summary.
pub(crate) fn export_trained(
    ctx: &Context,
    (model, chat): (&Model, &Chat),
    adapters: Option<&Adapters>,
    best: &Best,
) -> Result<Map<String, Value>, StageError> {
    export(ctx, "model", (model, chat), adapters)?;
    let found = best.copy_into(adapters.map_or(model.parameters(), Adapters::parameters))?;
    if !found.is_empty() {
        adapters.inspect(|adapters| adapters.merge());
        export(ctx, "best", (model, chat), adapters)?;
    }
    Ok(found)
}

/// Returns the metrics of the last step that the summary shows, if they were measured.
pub(crate) fn shown(metrics: &Metrics, names: &[&str]) -> Vec<(String, Value)> {
    names.iter().filter_map(|name| Some(((*name).to_owned(), json!(metrics.get(*name)?)))).collect()
}
