//! What answers are checked by, beside gold answers: tests of programs, rules on the text, puzzles. Prompts carry them in
//! one checked form; `artifacts/code_tests` reads them from the forms in which data sets publish them.
//!
//! In `prompts.jsonl` it is the field `tests`:
//! ```text
//! {"form": "streams", "cases": [{"input": "1 2\n", "output": "3\n"}], "time-limit": 2.0, "checker": "lines"}
//! {"form": "calls", "function": "add", "cases": [{"arguments": [1, 2], "expected": [3]}]}
//! {"form": "program", "code": "assert add(1, 2) == 3", "runner": "python", "function": "add"}
//! {"form": "rules", "rules": [{"id": "punctuation:no_comma", "arguments": {}}]}
//! {"form": "puzzle", "puzzle": {"puzzle": "countdown", …}}
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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

    /// Returns whether there is nothing to pass.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Streams { cases, .. } => cases.is_empty(),
            Self::Calls { cases, .. } => cases.is_empty(),
            Self::Program { code, .. } => code.trim().is_empty(),
            Self::Rules { rules } => rules.is_empty(),
            Self::Puzzle { .. } => false,
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
