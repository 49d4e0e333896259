//! Tests of programming problems, rules that a completion must follow, and puzzles: read from the forms in which data
//! sets publish them into one checked form, kept with the prompt. Nothing is run or graded here.
//!
//! ```text
//! published.rs   livecodebench, taco, code-contests, cases, kodcode, humaneval, mbpp, ifeval → Tests
//! packed.rs      LiveCodeBench's private tests: base64 of zlib of a pickle of one text
//! ```

mod packed;
mod published;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lines::RawRow;
use crate::checks::Tests;

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
    let named = "a published form is named by the input's `tests`, such as `tests = \"humaneval\"`";
    if row.mapped("tests")?.is_some_and(|value| is_mapped && value.is_string()) {
        return Err(format!("`tests` is a text, where `fields` names tests in the form that a stage writes: {named}"));
    }
    tests.transpose().map_err(|error| format!("`tests`: {error}; {named}"))
}

#[cfg(test)]
mod tests;
