//! The `import` keys of an input, which describe how the rows of a user's own dataset are read.

use std::collections::BTreeMap;
use std::fmt;

use engine::stage::Input;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Error, Verify};

/// The `import` keys of an input; all are absent for a stage's output.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Import {
    /// Our field → the user's.
    pub(super) fields: BTreeMap<String, FieldNames>,
    /// The gold answer is the text after the last occurrence of this mark.
    pub(super) answer_after: Option<String>,
    /// The split of a folder to read; needed only if there are several.
    pub(super) split: Option<String>,
    /// Number of rows to skip at the beginning.
    pub(super) skip: usize,
    /// Most rows to read after those.
    pub(super) limit: Option<usize>,
    /// Most MiB of a row, and below, of all rows; absent for the defaults.
    pub(super) row_mib: Option<u64>,
    pub(super) total_mib: Option<u64>,
    /// How answers are checked.
    pub(super) verify: Option<Verify>,
    /// The language that a thought should be in.
    pub(super) language: Option<String>,
}

impl Import {
    pub(super) fn of<A>(input: &Input<A>) -> Result<Self, Error> {
        Self::deserialize(Value::Object(input.artifact.import.clone()))
            .map_err(|source| Error::Import { input: input.name().to_owned(), source })
    }
}

/// One or several of the user's fields. The texts of several are joined by a space.
#[derive(Debug)]
pub(super) struct FieldNames(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for FieldNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = FieldNames;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field, or a list of names")
            }

            fn visit_str<E>(self, name: &str) -> Result<FieldNames, E> {
                Ok(FieldNames(vec![name.to_owned()]))
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<FieldNames, S::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(FieldNames(names))
            }
        }
        deserializer.deserialize_any(Names)
    }
}
