//! Verifiers: how an answer is compared with the gold one. Prompts and inputs name one, `verify = "number"`.
//!
//! A verifier is a row of [`VERIFIERS`].

use std::borrow::Cow;
use std::fmt;

use engine::stage::StageError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use text::math::Verdict;

use crate::loading::Loading;
use crate::parallel;

/// Every verifier, in the order of the documentation.
static VERIFIERS: [VerifierKind; 3] = [
    VerifierKind {
        name: "number",
        doc: "The same number, exactly; a thought and tags are expected.",
        form: Form::Thought,
        load: |loading| Ok(per_answer(loading, text::math::verify)),
        vote: |answer| text::math::extract(answer).unwrap_or_else(|| answer.to_owned()),
    },
    VerifierKind {
        name: "choice",
        doc: "The same option letter; a thought and tags are expected.",
        form: Form::Thought,
        load: |loading| Ok(per_answer(loading, text::choice::verify)),
        vote: str::to_owned,
    },
    VerifierKind {
        name: "exact",
        doc: "The same text, without tags.",
        form: Form::Bare,
        load: |loading| Ok(per_answer(loading, text::exact::verify)),
        vote: str::to_owned,
    },
];

/// The name that stands for no verifier, and its manual.
const NONE: (&str, &str) = ("none", "Not at all: there is no gold answer.");

/// A row of [`VERIFIERS`].
struct VerifierKind {
    name: &'static str,
    doc: &'static str,
    form: Form,
    load: fn(&Loading<'_>) -> Loaded,
    /// Normalises an answer for votes: equal results are the same answer.
    vote: fn(&str) -> String,
}

/// Where the answer is in a completion.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In tags after a thought.
    Thought,
    /// The completion is the answer.
    Bare,
}

pub(crate) type Loaded = Result<Box<dyn Verifier>, StageError>;

/// A loaded verifier.
pub(crate) trait Verifier {
    /// Compares each answer with its gold one.
    fn verdicts(&self, claims: &[Claim<'_>]) -> Result<Vec<Verdict>, StageError>;
}

/// An answer beside the gold one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) gold: &'a str,
    pub(crate) answer: &'a str,
}

/// Makes a verifier of a rule that looks at one answer at a time, on all threads of the stage.
fn per_answer(loading: &Loading<'_>, rule: fn(&str, &str) -> Verdict) -> Box<dyn Verifier> {
    Box::new(PerAnswer { rule, threads: loading.threads })
}

struct PerAnswer {
    rule: fn(&str, &str) -> Verdict,
    threads: usize,
}

impl Verifier for PerAnswer {
    fn verdicts(&self, claims: &[Claim<'_>]) -> Result<Vec<Verdict>, StageError> {
        Ok(parallel::map(claims, self.threads, |claim| (self.rule)(claim.gold, claim.answer)))
    }
}

/// How an answer is checked against the gold one: by a verifier, or not at all.
#[derive(Clone, Copy, Default)]
pub struct Verify(Option<&'static VerifierKind>);

impl Verify {
    /// As an exact number.
    pub const NUMBER: Self = Self(Some(&VERIFIERS[0]));
    /// As the letter of an option.
    pub const CHOICE: Self = Self(Some(&VERIFIERS[1]));
    /// As the same text.
    pub const EXACT: Self = Self(Some(&VERIFIERS[2]));
    /// Not at all.
    pub const NONE: Self = Self(None);

    /// Returns its name in data and workflows.
    pub fn name(self) -> &'static str {
        self.0.map_or(NONE.0, |kind| kind.name)
    }

    /// Returns whether an answer is checked.
    pub fn is_checked(self) -> bool {
        self.0.is_some()
    }

    /// Returns whether the prompt asks for a thought and an answer in tags.
    pub fn wants_thought(self) -> bool {
        self.0.is_some_and(|kind| kind.form == Form::Thought)
    }

    /// Returns whether the whole completion is the answer.
    pub fn is_bare(self) -> bool {
        self.0.is_some_and(|kind| kind.form == Form::Bare)
    }

    /// Normalises an answer for votes: equal results are the same answer.
    pub fn vote(self, answer: &str) -> String {
        self.0.map_or_else(|| answer.to_owned(), |kind| (kind.vote)(answer))
    }

    /// Loads its verifier; `None` if nothing is checked.
    pub(crate) fn load(self, loading: &Loading<'_>) -> Option<Loaded> {
        self.0.map(|kind| (kind.load)(loading))
    }
}

impl PartialEq for Verify {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Verify {}

impl fmt::Debug for Verify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Verify {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Verify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        if name == NONE.0 {
            return Ok(Self::NONE);
        }
        let kind = VERIFIERS.iter().find(|kind| kind.name == name);
        kind.map(|kind| Self(Some(kind))).ok_or_else(|| {
            let known = VERIFIERS.iter().map(|kind| kind.name).collect::<Vec<_>>().join("`, `");
            serde::de::Error::custom(format!("no verifier `{name}`; there are `{known}` and `{}`", NONE.0))
        })
    }
}

impl JsonSchema for Verify {
    fn schema_name() -> Cow<'static, str> {
        "verify".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let rows = VERIFIERS.iter().map(|kind| (kind.name, kind.doc)).chain([NONE]);
        let words: Vec<Value> =
            rows.map(|(name, doc)| json!({ "type": "string", "const": name, "description": doc })).collect();
        json_schema!({ "oneOf": words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_data_and_workflows() {
        for (verify, name) in
            [(Verify::NUMBER, "number"), (Verify::CHOICE, "choice"), (Verify::EXACT, "exact"), (Verify::NONE, "none")]
        {
            assert_eq!(serde_json::to_value(verify).unwrap(), name);
            assert_eq!(serde_json::from_value::<Verify>(json!(name)).unwrap(), verify);
        }
        let error = serde_json::from_value::<Verify>(json!("integer")).unwrap_err().to_string();
        assert_eq!(error, "no verifier `integer`; there are `number`, `choice`, `exact` and `none`");
    }
}
