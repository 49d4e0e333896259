//! The name of a verifier in data and workflows.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::{Form, Loaded, Needs, VERIFIERS, VerifierKind};
use crate::checks::Tested;
use crate::loading::Loading;

/// The name that stands for no verifier, and its manual.
const NONE: (&str, &str) = ("none", "Not at all: there is no gold answer.");

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
    /// By the rules of the prompt's tests.
    pub const INSTRUCTIONS: Self = Self(Some(&VERIFIERS[3]));
    /// By running the program in the answer against the prompt's tests.
    pub const CODE: Self = Self(Some(&VERIFIERS[4]));
    /// By the rules of the prompt's puzzle.
    pub const PUZZLE: Self = Self(Some(&VERIFIERS[5]));
    /// By the opinion of the stage's judge.
    pub const JUDGE: Self = Self(Some(&VERIFIERS[6]));
    /// By a program of the user's own.
    pub const OWN: Self = Self(Some(&VERIFIERS[7]));
    /// Not at all.
    pub const NONE: Self = Self(None);

    /// Returns the one that goes with a prompt's tests.
    pub(crate) fn of_tests(tested: Tested) -> Self {
        match tested {
            Tested::Program => Self::CODE,
            Tested::Text => Self::INSTRUCTIONS,
            Tested::Puzzle => Self::PUZZLE,
        }
    }

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
        self.0.is_some_and(|kind| matches!(kind.form, Form::Thought | Form::ThoughtThenText))
    }

    /// Returns whether an answer may be in a box.
    pub fn may_be_boxed(self) -> bool {
        self.0.is_none_or(|kind| kind.form != Form::ThoughtThenText)
    }

    /// Returns whether the whole completion is the answer.
    pub fn is_bare(self) -> bool {
        self.0.is_some_and(|kind| kind.form == Form::Bare)
    }

    /// Refuses a prompt that lacks what answers to it are compared with.
    pub(crate) fn check_row(self, has_answer: bool, tested: Option<Tested>) -> Result<(), String> {
        if self.can_check(has_answer, tested) || !self.is_checked() {
            return Ok(());
        }
        Err(match self.0.map(|kind| kind.needs) {
            Some(Needs::Tests(Tested::Text)) => "no rules in `tests`, which `verify = \"instructions\"` needs: `tests = \"ifeval\"` reads those of IFEval".to_owned(),
            Some(Needs::Tests(Tested::Program)) => "no tests of a program in `tests`, which `verify = \"code\"` needs: the input's `tests` names the form in which a data set has them".to_owned(),
            Some(Needs::Tests(Tested::Puzzle)) => "no puzzle in `tests`, which `verify = \"puzzle\"` needs: the kind `tasks` makes them".to_owned(),
            _ => "no field `answer`, which `verify` needs: map yours with `fields`, or say `verify = \"none\"`".to_owned(),
        })
    }

    /// Returns whether a prompt has what answers to it are compared with.
    pub(crate) fn can_check(self, has_answer: bool, tested: Option<Tested>) -> bool {
        self.0.is_some_and(|kind| match kind.needs {
            Needs::Gold => has_answer,
            Needs::Tests(needed) => tested == Some(needed),
            Needs::Nothing => true,
        })
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
        for (verify, name) in [
            (Verify::NUMBER, "number"),
            (Verify::CHOICE, "choice"),
            (Verify::EXACT, "exact"),
            (Verify::INSTRUCTIONS, "instructions"),
            (Verify::CODE, "code"),
            (Verify::PUZZLE, "puzzle"),
            (Verify::JUDGE, "judge"),
            (Verify::OWN, "own"),
            (Verify::NONE, "none"),
        ] {
            assert_eq!(serde_json::to_value(verify).unwrap(), name);
            assert_eq!(serde_json::from_value::<Verify>(json!(name)).unwrap(), verify);
        }
        let error = serde_json::from_value::<Verify>(json!("integer")).unwrap_err().to_string();
        assert_eq!(
            error,
            "no verifier `integer`; there are `number`, `choice`, `exact`, `instructions`, `code`, `puzzle`, `judge`, `own` and `none`"
        );
    }
}
