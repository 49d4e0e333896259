//! How the rows of a user's own dataset are read: the keys of an input beside its type. The worker describes them to the
//! engine (`r1flow-worker kinds`), which checks them in a workflow and hands them on as an input's `import`.

use std::collections::BTreeMap;

use engine::limits::MIB;
use engine::stage::Input;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use crate::verifiers::Verify;

/// The keys of an input. What a stage wrote has none of them. `x-inputs` names the types that a key is for.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Import {
    /// Our field to yours, or to several of yours, whose texts are joined by a space.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) fields: BTreeMap<String, FieldNames>,
    /// Which split of a dataset's folder, if it has several.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) split: Option<String>,
    /// Read at most so many rows.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) limit: Option<usize>,
    /// Leave out the first rows.
    #[schemars(extend("x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) skip: usize,
    /// Most MiB of a row, 16 unless given.
    #[schemars(range(min = 1, max = MIB), extend("x-role" = "neutral", "x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) row_mib: Option<u64>,
    /// Most MiB of all rows, unpacked; 8192, or half of the machine's memory, unless given.
    #[schemars(range(min = 1, max = MIB), extend("x-role" = "neutral", "x-inputs" = ["prompts", "samples", "preferences"]))]
    pub(super) total_mib: Option<u64>,
    /// The gold answer is what follows the last of these marks.
    #[schemars(extend("x-inputs" = ["prompts", "samples"]))]
    pub(super) answer_after: Option<String>,
    /// How answers are checked, where the rows do not say.
    #[schemars(extend("x-inputs" = ["prompts"]))]
    pub(super) verify: Option<Verify>,
    /// Language of the thought, `en` unless given.
    #[schemars(extend("x-inputs" = ["prompts"]))]
    pub(super) language: Option<String>,
    /// Takes a model with weights that are infinite or no numbers.
    #[schemars(extend("x-role" = "neutral", "x-inputs" = ["model", "reward-model"]))]
    pub(super) allow_non_finite: bool,
}

impl Import {
    pub(super) fn of<A>(input: &Input<A>) -> Result<Self, Error> {
        Self::deserialize(Value::Object(input.artifact.import.clone()))
            .map_err(|source| Error::Import { input: input.name().to_owned(), source })
    }
}

/// One or several fields of the user's.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "the name of a field, or a list of names")]
pub(super) enum FieldNames {
    One(String),
    Several(#[schemars(length(min = 1))] Vec<String>),
}

impl FieldNames {
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let names = match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Several(names) => names,
        };
        names.iter().map(String::as_str)
    }
}
