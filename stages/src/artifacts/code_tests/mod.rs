//! Tests of programming problems, rules that a completion must follow, and puzzles: read from the forms in which data
//! sets publish them into one checked form, kept with the prompt. Nothing is run or graded here.
//!
//! ```text
//! published.rs   livecodebench, taco, code-contests, cases, kodcode, humaneval, mbpp, ifeval → Tests
//! packed.rs      LiveCodeBench's private tests: base64 of zlib of a pickle of one text
//! ```
//! In `prompts.jsonl` it is the field `tests`:
//! ```text
//! {"form": "streams", "cases": [{"input": "1 2\n", "output": "3\n"}], "time-limit": 2.0, "checker": "lines"}
//! {"form": "calls", "function": "add", "cases": [{"arguments": [1, 2], "expected": [3]}]}
//! {"form": "program", "code": "assert add(1, 2) == 3", "runner": "python", "function": "add"}
//! {"form": "rules", "rules": [{"id": "punctuation:no_comma", "arguments": {}}]}
//! {"form": "puzzle", "puzzle": {"puzzle": "countdown", …}}
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
        /// CPU seconds for each case.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time_limit: Option<f64>,
        /// How the output is compared.
        #[serde(default, skip_serializing_if = "Checker::is_default")]
        checker: Checker,
    },
    /// A function is called.
    Calls {
        /// Its name.
        function: String,
        /// Its arguments, and what it must return.
        cases: Vec<CallCase>,
        /// CPU seconds for each case.
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
    /// A puzzle that has more than one way to write its solution.
    Puzzle {
        /// What [`text::puzzles::verify`] needs to know of it.
        puzzle: Value,
    },
}

/// What tests are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tested {
    /// A program in the answer.
    Program,
    /// The text itself.
    Text,
    /// The solution of a puzzle.
    Puzzle,
}

/// How the output of a program is compared with the expected one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Checker {
    /// By the tokens between white space; where a decimal number is expected, one may be off by a millionth.
    #[default]
    Tokens,
    /// By lines, without white space at their ends.
    Lines,
    /// By every character, but for white space at the end.
    Exact,
    /// By tokens; numbers may be off by this share, or this much.
    Float(#[schemars(range(min = 0.0))] f64),
    /// By a program in Python, which gets the names of three files: the input, the expected output, the output. It ends
    /// without an error, and prints nothing or a number above 0, if the output is right.
    Program(String),
}

impl Checker {
    fn is_default(&self) -> bool {
        *self == Self::Tokens
    }
}

impl Tests {
    /// Returns what they are about.
    pub(crate) fn tested(&self) -> Tested {
        match self {
            Self::Streams { .. } | Self::Calls { .. } | Self::Program { .. } => Tested::Program,
            Self::Rules { .. } => Tested::Text,
            Self::Puzzle { .. } => Tested::Puzzle,
        }
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
    let mut tests = match row.import.tests {
        Some(form) => Some(published::read(row, form)?),
        None => own(row)?,
    };
    if let (Some(Tests::Streams { checker, .. }), Some(given)) = (&mut tests, &row.import.checker) {
        checker.clone_from(given);
    }
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
            Self::Puzzle { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests;
