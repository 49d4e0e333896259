//! Looks into a stage's inputs before anything runs: the first rows of data sets, the configuration of models.
//!
//! `check`, `plan` and `apply` ask for it, so it must be quick: no weights are read, and of a data set the first rows
//! alone. What can be seen here must not be found only after hours of other stages. Outputs that other stages
//! have yet to make are passed over; a model that will be like an input is looked at as that input.

mod rows;
#[cfg(test)]
mod tests;

use engine::artifact::{Model as ModelMarker, Prompts, RewardModel, Samples};
use engine::stage::{Input, Look, StageError};
use lm::{Config, Options};
use text::Chat;

use crate::artifacts::{Import, inspect_model, refuse_adapter_alone};
use crate::chat::{Rendering, keep_loaded};
use crate::judges::JudgeKeys;
use crate::training::FineTuning;
pub(crate) use rows::{asked, compared, exemplars, preferences, samples};

/// A model as it is known before its weights are read.
pub(crate) struct Seen<'a> {
    input: &'a Input<ModelMarker>,
    pub(crate) config: Config,
    /// Absent if a text that surrounds its prompts is not there yet.
    chat: Option<Chat>,
}

impl Seen<'_> {
    fn positions(&self) -> usize {
        usize::try_from(self.config.max_position_embeddings).unwrap_or(usize::MAX)
    }
}

/// Looks at a model, and at its chat conventions as `rendering` changes them.
pub(crate) fn model<'a>(
    look: &mut Look,
    input: &'a Input<ModelMarker>,
    rendering: Option<&Rendering>,
) -> Option<Seen<'a>> {
    let default = Rendering::default();
    let rendering = rendering.unwrap_or(&default);
    seen(look, input, rendering, || rendering.load(input))
}

/// Looks at a model that samples completions of `max_tokens` tokens.
pub(crate) fn sampler<'a>(
    look: &mut Look,
    input: &'a Input<ModelMarker>,
    rendering: &Rendering,
    max_tokens: usize,
) -> Option<Seen<'a>> {
    let seen = model(look, input, Some(rendering))?;
    let positions = seen.positions();
    if max_tokens > positions {
        let message = format!("`max-tokens` is {max_tokens}, and `{}` has {positions} positions", input.name());
        look.warn(None, message, "a completion ends there at the latest: lower `max-tokens`");
    }
    Some(seen)
}

/// Looks at a model that is fine-tuned on `sets` of samples, each with its key; the first is the one that it learns.
pub(crate) fn fine_tuning<'a>(
    look: &mut Look,
    input: &'a Input<ModelMarker>,
    training: &FineTuning,
    sets: &[(&'static str, &[Input<Samples>])],
    eval_prompts: &[Input<Prompts>],
) -> Option<Seen<'a>> {
    let seen = seen(look, input, &training.rendering, || training.chat(input).map(|(chat, _)| chat));
    let mut first = None;
    for (key, inputs) in sets {
        let keys = training.tokenising(key);
        let lengths = samples(look, *inputs, seen.as_ref().map(|seen| (seen, &keys)));
        first.get_or_insert(lengths);
    }
    let asked = asked(look, eval_prompts, seen.as_ref(), Some(training.eval_form));
    let seen = seen?;
    if let Some(lengths) = first.filter(|lengths| !lengths.is_empty()) {
        training.look_at_memory(look, &seen.config, &lengths, &asked);
    }
    Some(seen)
}

fn seen<'a>(
    look: &mut Look,
    input: &'a Input<ModelMarker>,
    rendering: &Rendering,
    chat: impl FnOnce() -> Result<Chat, StageError>,
) -> Option<Seen<'a>> {
    if !input.is_here() {
        return None;
    }
    if input.is_declared()
        && let Err(error) = check_folder(input)
    {
        look.refuse_input(input.name(), error);
        return None;
    }
    keep_loaded();
    let config = inspect_model(input);
    let chat = if rendering.is_here() { chat().map(Some) } else { Ok(None) };
    if !input.is_declared() {
        // What is wrong with the input itself, the stage that reads it has said.
        return Some(Seen { input, config: config.ok()?, chat: chat.ok()? });
    }
    match (config, chat) {
        (Ok(config), Ok(chat)) => {
            if chat.as_ref().is_some_and(|chat| chat.template.is_none()) {
                let name = input.name();
                look.note(Some(name), format!("`{name}` has no chat template: it reads prompts as plain text"));
            }
            Some(Seen { input, config, chat })
        }
        (config, chat) => {
            // Both read config.json: what is wrong with it is said once.
            let of_config = format!("`{}`", input.path().join("config.json").display());
            let chat = chat.err().filter(|error| config.is_ok() || !error.message.contains(&of_config));
            for error in [config.err(), chat].into_iter().flatten() {
                look.refuse_input(input.name(), error);
            }
            None
        }
    }
}

/// Refuses what is no model's folder by the files that it lacks.
fn check_folder(input: &Input<ModelMarker>) -> Result<(), StageError> {
    refuse_adapter_alone(input)?;
    Import::of(input)?;
    let (name, dir) = (input.name(), input.path());
    if !dir.is_dir() {
        let help = "name the folder that has config.json, the weights and the tokenizer";
        return Err(StageError::new(format!("`{name}` is a file, and a model is a folder")).with_help(help));
    }
    for file in ["config.json", "tokenizer.json"] {
        if !dir.join(file).exists() {
            let tokenizer = "; `save_pretrained` of a fast tokenizer writes tokenizer.json";
            let more = if file == "tokenizer.json" { tokenizer } else { "" };
            let help = format!("take the whole folder that the model was published with{more}");
            return Err(StageError::new(format!("`{name}` has no `{file}`")).with_help(help));
        }
    }
    Ok(())
}

/// Looks at models that judge.
pub(crate) fn judges<'a>(look: &mut Look, judges: impl IntoIterator<Item = &'a JudgeKeys>) {
    for keys in judges {
        sampler(look, &keys.model, &keys.rendering(), keys.max_tokens);
    }
}

/// Looks at a reward model.
pub(crate) fn reward_model(look: &mut Look, input: &Input<RewardModel>) {
    if !input.is_here() || !input.is_declared() {
        return;
    }
    let config = lm::reward::RewardModel::inspect(input.path(), &Options::default()).map(|_| ());
    let chat = Chat::load(input.path()).map(|_| ());
    let errors = [config.map_err(StageError::from), chat.map_err(StageError::from)];
    for error in errors.into_iter().filter_map(Result::err) {
        look.refuse_input(input.name(), error);
    }
}
