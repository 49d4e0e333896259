//! Tests of programming problems, and rules that a completion must follow: read from the forms in which data sets
//! publish them into one checked form, kept with the prompt. Nothing is run or graded here.
//!
//! ```text
//! published.rs   livecodebench, taco, code-contests, cases, kodcode, humaneval, mbpp, ifeval → Tests
//! packed.rs      LiveCodeBench's private tests: base64 of zlib of a pickle of one text
//! ```
//! In `prompts.jsonl` it is the field `tests`:
//! ```text
//! {"form": "streams", "cases": [{"input": "1 2\n", "output": "3\n"}], "time-limit": 2.0}
//! {"form": "calls", "function": "add", "cases": [{"arguments": [1, 2], "expected": [3]}]}
//! {"form": "program", "code": "assert add(1, 2) == 3", "runner": "python", "function": "add"}
//! {"form": "rules", "rules": [{"id": "punctuation:no_comma", "arguments": {}}]}
//! ```

mod packed;
mod published;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::lines::RawRow;

/// Tests that a program must pass, or rules that a completion must follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Tests {
    /// A program reads its standard input and writes its standard output.
    Streams {
        /// What it reads, and what it must write.
        cases: Vec<StreamCase>,
        /// Seconds for each case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_limit: Option<f64>,
    },
    /// A function is called.
    Calls {
        /// Its name.
        function: String,
        /// Its arguments, and what it must return.
        cases: Vec<CallCase>,
        /// Seconds for each case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_limit: Option<f64>,
    },
    /// A program tests the solution.
    Program {
        /// The program, in Python.
        code: String,
        /// How it is run.
        runner: Runner,
        /// The function that it tests, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function: Option<String>,
    },
    /// Rules on the text itself.
    Rules {
        /// All of them must be followed.
        rules: Vec<Rule>,
    },
}

impl Tests {
    /// Returns whether they are rules on the text itself.
    pub(crate) fn are_rules(&self) -> bool {
        matches!(self, Self::Rules { .. })
    }

    /// Returns its rules as JSON in the form of IFEval, if it has some.
    pub(crate) fn rules(&self) -> Option<String> {
        let Self::Rules { rules } = self else { return None };
        let listed = rules.iter().map(|rule| json!({ "instruction_id": rule.id, "kwargs": rule.arguments }));
        Some(listed.collect::<Value>().to_string())
    }
}

/// What a program reads and must write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamCase {
    /// Its standard input.
    pub input: String,
    /// Its standard output.
    pub output: String,
}

/// What a function is called with and must return.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallCase {
    /// The arguments, in order.
    pub arguments: Vec<Value>,
    /// The right results: any of them.
    pub expected: Vec<Value>,
}

/// How a test program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runner {
    /// After the solution, in the same program.
    Python,
    /// By pytest, which finds the solution as the module `solution`.
    Pytest,
}

/// A rule of IFEval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name, `punctuation:no_comma`.
    pub id: String,
    /// Its parameters.
    pub arguments: Map<String, Value>,
}

/// The form in which a data set publishes tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TestsForm {
    /// `public_test_cases`, `private_test_cases` and `metadata` of LiveCodeBench.
    Livecodebench,
    /// `input_output` of APPS and TACO: `{ inputs, outputs, fn_name? }`, or text of it.
    Taco,
    /// `public_tests`, `private_tests` and `generated_tests` of CodeContests: `{ input, output }`, two lists.
    CodeContests,
    /// A list of `{ input, output, type?, fn_name? }`, or text of it, in `test_cases`.
    Cases,
    /// `test`, a pytest program, and `test_info` of KodCode.
    Kodcode,
    /// `test`, which defines `check`, and `entry_point` of HumanEval.
    Humaneval,
    /// `test_list`, assertions, and `test_setup_code` or `test_imports` of MBPP.
    Mbpp,
    /// `instruction_id_list` and `kwargs` of IFEval.
    Ifeval,
}

/// Returns the tests of a row, if it has some.
pub(super) fn read(row: &RawRow<'_>) -> Result<Option<Tests>, String> {
    let tests = match row.import.tests {
        Some(form) => Some(published::read(row, form)?),
        None => own(row)?,
    };
    match tests {
        Some(tests) if tests.is_empty() => Err("it has no tests".to_owned()),
        tests => Ok(tests),
    }
}

/// Reads the form that a stage of ours writes. A field `tests` of any other form is another data set's own, and no
/// concern of ours unless `fields` names it.
fn own(row: &RawRow<'_>) -> Result<Option<Tests>, String> {
    let is_mapped = row.import.fields.has("tests");
    let value = row.mapped("tests")?.filter(|value| is_mapped || value.get("form").is_some());
    let tests = value.map(|value| Tests::deserialize(value.as_ref()));
    tests.transpose().map_err(|error| format!("`tests`: {error}; a published form is named by the input's `tests`"))
}

impl Tests {
    fn is_empty(&self) -> bool {
        match self {
            Self::Streams { cases, .. } => cases.is_empty(),
            Self::Calls { cases, .. } => cases.is_empty(),
            Self::Program { code, .. } => code.trim().is_empty(),
            Self::Rules { rules } => rules.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests;
