//! The judge of a stage that grades completions: `generate`, `eval`, `grpo`.

use std::rc::Rc;

use engine::stage::StageError;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Judge, JudgeKeys};
use crate::loading::Loading;
use crate::opinions::Asked;

/// The key `judge` of a stage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StageJudge(Option<JudgeKeys>);

impl StageJudge {
    /// Returns its keys.
    pub(crate) fn keys(&self) -> Option<&JudgeKeys> {
        self.0.as_ref()
    }

    /// Refuses keys that contradict each other.
    pub(crate) fn check(&self) -> Result<(), StageError> {
        self.0.as_ref().map_or(Ok(()), JudgeKeys::check)
    }

    /// Loads the judge, if there is one.
    pub(crate) fn load(&self, loading: &Loading<'_>) -> Result<Option<Rc<dyn Asked>>, StageError> {
        let load =
            |keys| Ok(Rc::new(Judge::load(keys, loading.device, loading.offload, loading.seed)?) as Rc<dyn Asked>);
        self.0.as_ref().map(load).transpose()
    }
}
